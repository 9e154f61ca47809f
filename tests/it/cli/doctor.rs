//! `doctor`: what it says beside a real OpenBao, in which state ever, and that it tells no secret.

use serde_json::{Value, json};

use super::vault::user;
use super::{Run, Sandbox};
use crate::openbao::{Bao, Listener, Own};

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
}

fn doctor(sandbox: &Sandbox) -> (Option<i32>, Value) {
    let run = sandbox.run(&["doctor", "--json"]);
    let report = report(&run);
    assert_eq!(report["ok"], json!(run.code == Some(0)), "{report}");
    (run.code, report)
}

const DEAD: &str = "the token of VAULT_TOKEN is not valid here (expired, revoked, or of another server or \
                    namespace)";

#[test]
fn what_is_well_is_told_for_people_and_for_scripts() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let policy = format!(
        "path \"{mount}/decrypt/a\" {{ capabilities = [\"update\"] }}\n\
         path \"{mount}/encrypt/a\" {{ capabilities = [\"create\", \"update\"] }}"
    );
    let token = bao.token(&policy, json!({ "ttl": "1h" }));
    let sandbox = user(bao.address(), &token, &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let uri = format!("{}/v1/{mount}/keys/a", bao.address());
    let text = sandbox.run(&["doctor"]).ok();
    for line in [
        "  .sops.yaml (found from here upwards)",
        "  VAULT_TOKEN: set",
        &format!("  VAULT_ADDR: {}", bao.address()),
        "  token of VAULT_TOKEN: alive, ",
        &format!("  {uri}: may encrypt, decrypt; may not rewrap, read the key"),
        "  a.yaml: can be opened",
        &format!("    hc_vault {uri}: opens it"),
        &format!("server {} (VAULT_ADDR, a.yaml, the rule at line 2 of .sops.yaml)", bao.address()),
    ] {
        assert!(text.lines().any(|it| it.starts_with(line)), "{line}: {text}");
    }
    assert!(!text.contains(&token), "{text}");

    let (code, report) = doctor(&sandbox);
    assert_eq!(code, Some(0), "{report}");
    let server = &report["servers"][0];
    assert_eq!((&server["state"], &server["usable"]), (&json!("active"), &json!(true)));
    assert_eq!((&server["version"], &server["tls"]), (&json!("2.4.0"), &json!("no TLS")));
    assert_eq!(server["token"]["source"], "VAULT_TOKEN");
    assert!(server["token"]["ttl"].as_u64().is_some_and(|ttl| (3_000..=3_600).contains(&ttl)));
    let key = json!({
        "key": uri, "encrypt": true, "decrypt": true, "rewrap": false, "read": false, "problem": null,
    });
    assert_eq!(server["keys"], json!([key]));
    assert_eq!(report["files"][0]["opens"], true);
    assert!(!report.to_string().contains(&token));
}

#[test]
fn a_token_that_is_gone_and_one_that_is_missing_are_told_apart() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    for (token, problem) in
        [("s.nobody", DEAD), ("", "there is no token: set VAULT_TOKEN, or log in")]
    {
        let sandbox = user(bao.address(), token, &[(&mount, "a")]);
        let (code, report) = doctor(&sandbox);
        assert_eq!(code, Some(1));
        let told = report["problems"][0].as_str().expect("a problem");
        assert_eq!(told, format!("{}: {problem}", bao.address()));
        let source = if token.is_empty() { Value::Null } else { json!("VAULT_TOKEN") };
        let absent = json!({
            "source": source, "alive": false, "problem": problem, "ttl": null, "uses": null,
            "policies": null, "namespace": null, "renewable": null,
        });
        assert_eq!(report["servers"][0]["token"], absent);
        // What is not known is there all the same, as null; usable is the server.
        let key = json!({
            "key": format!("{}/v1/{mount}/keys/a", bao.address()),
            "encrypt": null, "decrypt": null, "rewrap": null, "read": null, "problem": null,
        });
        assert_eq!(report["servers"][0]["keys"], json!([key]));
        assert_eq!(report["servers"][0]["usable"], true);
        assert!(!report.to_string().contains("s.nobody"));
        let said = sandbox.run(&["doctor"]).fails(1);
        assert!(said.contains(problem) && !said.contains("s.nobody"), "{said}");
    }
}

#[test]
fn a_server_that_is_sealed_new_or_away_says_so() {
    let Some(mut own) = Own::start() else { return };
    let sandbox = Sandbox::bare()
        .with("VAULT_ADDR", own.address())
        .with("VAULT_TOKEN", own.root())
        .with("VAULT_MAX_RETRIES", "0");
    assert_eq!(doctor(&sandbox).0, Some(0));
    own.seal();
    let (code, report) = doctor(&sandbox);
    assert_eq!((code, &report["servers"][0]["state"]), (Some(1), &json!("sealed")), "{report}");
    own.stop();
    let (code, report) = doctor(&sandbox);
    let told = report["problems"][0].as_str().expect("a problem");
    assert!(code == Some(1) && told.contains("cannot connect"), "{told}");
    let server = &report["servers"][0];
    assert_eq!((&server["asked"], &server["usable"]), (&json!(true), &json!(false)));
    assert!(server["problem"].as_str().is_some_and(|it| it.starts_with("cannot connect")));
    assert!(!sandbox.run(&["doctor"]).stdout.contains("not asked"));
    let Some(blank) = Own::blank() else { return };
    let sandbox = Sandbox::bare().with("VAULT_ADDR", blank.address());
    let (code, report) = doctor(&sandbox);
    assert_eq!((code, &report["servers"][0]["state"]), (Some(1), &json!("not initialised")));
}

#[test]
fn a_server_that_only_a_file_names_is_named_and_not_asked() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let stranger = Listener::start();
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let text = sandbox.read("a.yaml").replace(bao.address(), &stranger.address());
    sandbox.write("b.yaml", &text);
    let (code, report) = doctor(&sandbox);
    assert_eq!(code, Some(1));
    let servers = report["servers"].as_array().expect("a list");
    let server = servers.iter().find(|it| it["address"] == stranger.address().as_str());
    let server = server.expect("it is named");
    assert_eq!((&server["asked"], &server["named_by"]), (&json!(false), &json!(["b.yaml"])));
    let opens: Vec<_> =
        report["files"].as_array().expect("files").iter().map(|it| &it["opens"]).collect();
    assert_eq!(opens, [true, false]);
    let problems = report["problems"].as_array().expect("a list");
    let stranger_is = format!("{} is named by the file or its rule", stranger.address());
    let key = format!("{}/v1/{mount}/keys/a", stranger.address());
    let told = |at: usize, how: String| {
        let problem = problems[at].as_str().expect("text");
        assert!(problem.starts_with(&how), "{problem}");
        assert!(
            problem.ends_with(&format!("export SOPS_HC_VAULT_ALLOWLIST={}", stranger.address())),
            "{problem}"
        );
    };
    told(0, stranger_is.clone());
    told(1, format!("b.yaml: no key opens it: {key}: {stranger_is}"));
    assert_eq!(problems.len(), 2, "{report}");
    assert_eq!(stranger.connections(), 0);
    // Of the named files only.
    assert_eq!(sandbox.run(&["doctor", "a.yaml"]).code, Some(0));
}

#[test]
fn a_token_of_a_namespace_is_asked_for_what_it_may_do_there() {
    let Some(bao) = Bao::start() else { return };
    let team = bao.namespace();
    let mount = bao.mount_in(&team);
    bao.create_key(&mount, "a", json!({}));
    let inside = mount.strip_prefix(&format!("{team}/")).expect("below it");
    let policy = format!("path \"{inside}/decrypt/a\" {{ capabilities = [\"update\"] }}");
    bao.ask("POST", &format!("{team}/sys/policies/acl/reader"), Some(json!({ "policy": policy })));
    let made = bao.ask(
        "POST",
        &format!("{team}/auth/token/create"),
        Some(json!({ "policies": ["reader"] })),
    );
    let token = made["auth"]["client_token"].as_str().expect("a token");
    // The path names the namespace; or the variable does, and the rule's key is in it.
    for (key, variable) in [(mount.as_str(), ""), (inside, team.as_str())] {
        let sandbox = user(bao.address(), token, &[(key, "a")]).with("VAULT_NAMESPACE", variable);
        let (code, report) = doctor(&sandbox);
        assert_eq!(code, Some(0), "{report}");
        let server = &report["servers"][0];
        assert_eq!(server["token"]["namespace"], team.as_str());
        let key = &server["keys"][0];
        assert_eq!((&key["decrypt"], &key["encrypt"]), (&json!(true), &json!(false)), "{report}");
    }
}

#[test]
fn without_any_server_it_is_about_age() {
    let sandbox = Sandbox::new();
    sandbox.sealed("deep/a.yaml", "a: one\n");
    std::fs::create_dir(sandbox.path(".git")).expect("made");
    let run = sandbox.run(&["doctor"]);
    let text = run.ok();
    assert!(text.contains(&format!("sops/age/keys.txt: {}", sandbox.recipient)), "{text}");
    assert!(text.contains("  deep/a.yaml: can be opened\n") && !text.contains("server"), "{text}");

    let other = Sandbox::bare();
    other.write("a.yaml", &sandbox.read("deep/a.yaml"));
    let (code, report) = doctor(&other);
    assert_eq!(code, Some(1));
    let entry = &report["files"][0]["entries"][0];
    assert_eq!((&entry["kind"], &entry["opens"]), (&json!("age"), &json!(false)));
    assert_eq!(entry["problem"], "no identity for this recipient");
    // A configuration that cannot be read is one more thing that does not work.
    sandbox.write(".sops.yaml", "creation_rules: 7\n");
    let (code, report) = doctor(&sandbox);
    assert_eq!((code, &report["configuration"]), (Some(1), &Value::Null), "{report}");
}

#[test]
fn values_of_variables_that_can_hold_a_secret_are_not_shown() {
    let sandbox = Sandbox::new()
        .with("SOPS_AGE_KEY_CMD", "print s3cret")
        .with("VAULT_TOKEN", "s3cret")
        .with("VAULT_PROXY_ADDR", "http://me:s3cret@proxy")
        .with("BAO_NAMESPACE", "")
        .with("VAULT_NAMESPACE", "team")
        .with("WAXSEAL_INTEGRITY", "sealed");
    let run = sandbox.run(&["doctor", "--json"]);
    let settings = report(&run)["settings"].clone();
    let value = |name: &str| {
        let all = settings.as_array().expect("a list");
        all.iter()
            .find(|it| it["name"] == name)
            .map(|it| it["value"].as_str().expect("text").to_owned())
    };
    for (name, expected) in [
        ("SOPS_AGE_KEY_CMD", "set"),
        ("VAULT_TOKEN", "set"),
        ("VAULT_PROXY_ADDR", "set"),
        ("BAO_NAMESPACE", "set to nothing"),
        ("VAULT_NAMESPACE", "hidden by BAO_NAMESPACE"),
        ("WAXSEAL_INTEGRITY", "sealed"),
    ] {
        assert_eq!(value(name).as_deref(), Some(expected), "{name}");
    }
    assert!(!run.stdout.contains("s3cret") && !run.stderr.contains("s3cret"));
}

#[test]
fn keys_and_mounts_that_are_not_there_are_problems() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let policy = format!(
        "path \"{mount}/encrypt/*\" {{ capabilities = [\"update\"] }}\n\
         path \"+/keys/*\" {{ capabilities = [\"read\"] }}\n\
         path \"nowhere/encrypt/*\" {{ capabilities = [\"update\"] }}"
    );
    let reader = bao.token(&policy, json!({}));
    for token in [bao.root(), &reader] {
        let sandbox = user(bao.address(), token, &[(&mount, "a"), (&mount, "b"), ("nowhere", "a")]);
        let (code, report) = doctor(&sandbox);
        let missing = format!("{}/v1/{mount}/keys/b: no such key", bao.address());
        let nowhere = format!("{}/v1/nowhere/keys/a: no engine is mounted there", bao.address());
        assert_eq!(report["problems"], json!([missing, nowhere]));
        assert_eq!(
            (code, &report["servers"][0]["keys"][1]["problem"]),
            (Some(1), &json!("no such key"))
        );
        let text = sandbox.run(&["doctor"]).stdout;
        for line in [missing, nowhere] {
            assert!(text.contains(&format!("  {line}\n")), "{line}: {text}");
        }
    }
}

#[test]
fn a_token_that_can_do_nothing_with_the_key_of_the_rule_is_a_problem() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let policy = format!("path \"{mount}/encrypt/b\" {{ capabilities = [\"update\"] }}");
    let sandbox = user(bao.address(), &bao.token(&policy, json!({})), &[(&mount, "a")]);
    let (code, report) = doctor(&sandbox);
    let problem = format!(
        "{}/v1/{mount}/keys/a: the token of VAULT_TOKEN may neither encrypt nor decrypt with it: its \
         policies lack `update` on {mount}/encrypt/a and {mount}/decrypt/a",
        bao.address()
    );
    assert_eq!((code, &report["problems"]), (Some(1), &json!([problem])));
}

#[test]
fn a_token_that_is_known_to_live_is_not_said_to_have_expired() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let owner = user(bao.address(), bao.root(), &[(&mount, "a")]);
    owner.write("a.yaml", "a: one\n");
    owner.run(&["encrypt", "-i", "a.yaml"]).ok();
    let policy = format!("path \"{mount}/encrypt/a\" {{ capabilities = [\"update\"] }}");
    let lacks = format!("the token of VAULT_TOKEN lacks `update` on {mount}/decrypt/a");
    let live = bao.token(&policy, json!({}));
    // It may not even ask about itself.
    let silent = bao.token(&policy, json!({ "no_default_policy": true }));
    for (token, why) in [(live.as_str(), lacks.as_str()), (&silent, &lacks), ("s.nobody", DEAD)] {
        let sandbox = user(bao.address(), token, &[(&mount, "a")]);
        sandbox.write("a.yaml", &owner.read("a.yaml"));
        let (code, report) = doctor(&sandbox);
        assert_eq!((code, &report["files"][0]["opens"]), (Some(1), &json!(false)), "{report}");
        let problem = report["files"][0]["entries"][0]["problem"].as_str().expect("text");
        assert!(problem.contains(why) && !problem.contains("may have"), "{problem}");
        let told = report["problems"].as_array().and_then(|it| it.last()?.as_str()).expect("text");
        assert!(told.starts_with("a.yaml: no key opens it: ") && told.contains(why), "{told}");
        assert_eq!(report["servers"][0]["token"]["alive"], json!(why != DEAD));
    }
}

#[test]
fn a_login_that_fails_is_told_once() {
    let Some(bao) = Bao::start() else { return };
    let sandbox = Sandbox::bare()
        .with("VAULT_ADDR", bao.address())
        .with("VAULT_MAX_RETRIES", "0")
        .with("NOBODY", "s3cret")
        .with("WAXSEAL_VAULT_AUTH", "approle role_id=nobody secret_id=env:NOBODY");
    let run = sandbox.run(&["doctor"]);
    let said = &run.stderr;
    assert_eq!(run.code, Some(1), "{said}");
    let begin = format!("error: {}: the login approle at auth/approle (", bao.address());
    assert!(said.starts_with(&begin) && said.matches("the login").count() == 1, "{said}");
    assert_eq!(run.stdout.matches("the login").count(), 1, "{}", run.stdout);
    let (_, report) = doctor(&sandbox);
    assert_eq!(report["servers"][0]["token"]["alive"], false);
}

#[test]
fn the_login_is_told_also_of_a_server_that_does_not_answer() {
    let away = format!("http://127.0.0.1:{}", crate::openbao::free_pair());
    let sandbox = user(&away, "", &[("transit", "a")]);
    let told = |vars: &[(&str, &str)]| {
        let mut all = sandbox.vars.clone();
        all.retain(|(name, _)| name != "VAULT_TOKEN");
        all.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let user = Sandbox { vars: all, ..Sandbox::bare() };
        let config = user.home().join(".config/waxseal/config.yaml");
        std::fs::create_dir_all(config.parent().expect("a folder")).expect("made");
        let auto_auth =
            "auto_auth:\n  method: userpass\n  username: me\n  password: env:PW\n  mount: people\n";
        std::fs::write(&config, auto_auth).expect("written");
        std::fs::copy(sandbox.path(".sops.yaml"), user.path(".sops.yaml")).expect("copied");
        let text = user.run(&["doctor"]);
        assert_eq!(text.code, Some(1), "{}", text.stderr);
        let (_, report) = doctor(&user);
        let line = text.stdout.lines().find(|line| line.starts_with("  login: "));
        let line = line.unwrap_or_default().replace(&config.display().to_string(), "FILE");
        let (text, all) = (text.stdout, report.to_string());
        assert!(!text.contains("hunter2") && !all.contains("hunter2"), "{text}{all}");
        // Without a login that can be read there is no client for servers.
        assert_eq!(text.contains(&format!("server {away}")), !line.is_empty(), "{text}");
        (line, report["login"].clone())
    };
    let (line, json) = told(&[("PW", "hunter2")]);
    assert_eq!(line, "  login: userpass, username me, at auth/people (FILE)");
    assert_eq!((&json["method"], &json["mount"]), (&json!("userpass"), &json!("people")));
    assert_eq!((&json["username"], &json["role"]), (&json!("me"), &Value::Null));
    let own = ("WAXSEAL_VAULT_AUTH", "kubernetes role=app mount=k8s namespace=team jwt=env:PW");
    let (line, json) = told(&[("PW", "hunter2"), own]);
    let expected =
        "  login: kubernetes, role app, at auth/k8s, namespace team (WAXSEAL_VAULT_AUTH)";
    assert_eq!(line, expected);
    assert_eq!((&json["role"], &json["source"]), (&json!("app"), &json!("WAXSEAL_VAULT_AUTH")));
    let (line, json) = told(&[own, ("VAULT_TOKEN", "hunter2")]);
    assert_eq!(line, format!("{expected}; not used, VAULT_TOKEN has a token"));
    assert_eq!(json["hidden_by"], "VAULT_TOKEN");
    // A role without a secret id needs nothing else.
    let (line, json) = told(&[("WAXSEAL_VAULT_AUTH", "approle role_id=hunter2")]);
    assert_eq!(line, "  login: approle, at auth/approle (WAXSEAL_VAULT_AUTH)");
    assert_eq!(json["role_id"], Value::Null);
    let (line, _) = told(&[("WAXSEAL_VAULT_AUTH", "approle role_id=r secret_id=env:PW")]);
    assert_eq!(line, "  login: approle, role_id r, at auth/approle (WAXSEAL_VAULT_AUTH)");
    let (line, json) = told(&[("WAXSEAL_VAULT_AUTH", "nonsense password=hunter2")]);
    assert_eq!((line.as_str(), json), ("", Value::Null));
}

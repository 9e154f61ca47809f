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
    let key =
        json!({ "key": uri, "encrypt": true, "decrypt": true, "rewrap": false, "read": false });
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
        [("s.nobody", "the token of VAULT_TOKEN: permission denied"), ("", "there is no token")]
    {
        let sandbox = user(bao.address(), token, &[(&mount, "a")]);
        let (code, report) = doctor(&sandbox);
        assert_eq!(code, Some(1));
        let told = report["problems"][0].as_str().expect("a problem");
        assert!(told.starts_with(&format!("{}: {problem}", bao.address())), "{told}");
        assert_eq!(report["servers"][0]["token"]["alive"], false);
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
    assert_eq!(report["problems"], json!(["b.yaml: no key opens it"]));
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

//! `rewrap` beside a real OpenBao: what changes in a file, what is asked of the server, and what is told.

use serde_json::json;

use super::peers::sops;
use super::terminal::end;
use super::vault::{TYPES, files, rule, run, user};
use super::{Run, Sandbox};
use crate::openbao::{Answer, Bao, Own, Recorder, Script};

/// A file without its wrapped keys, and those, in order.
fn apart(text: &str) -> (String, Vec<String>) {
    let mut parts = text.split("vault:v");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    let mut wrapped = Vec::new();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || "+/=:".contains(c)));
        let (enc, more) = part.split_at(end.unwrap_or(part.len()));
        wrapped.push(format!("vault:v{enc}"));
        rest.push_str("ENC");
        rest.push_str(more);
    }
    (rest, wrapped)
}

fn versions(text: &str) -> Vec<String> {
    let version = |enc: &String| enc.split(':').nth(1).expect("a version").to_owned();
    apart(text).1.iter().map(version).collect()
}

fn rotate(bao: &Bao, mount: &str, key: &str) {
    bao.ask("POST", &format!("{mount}/keys/{key}/rotate"), None);
}

fn check(sandbox: &Sandbox, files: &[&str]) -> Run {
    sandbox.run(&[&["rewrap", "--check"], files].concat())
}

#[test]
fn a_rewrap_changes_the_wrapped_key_alone_and_the_file_stays_sealed() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for kind in TYPES {
        bao.create_key(&mount, kind, json!({ "type": kind }));
        let sandbox = user(bao.address(), bao.root(), &[(&mount, kind)]);
        sandbox.write("a.yaml", "# why\na: one # because\nb: [1, 2]\n");
        sandbox.write("b.json", "{\"a\": \"one\"}\n");
        sandbox.write("c.toml", "a = 'one' # because\n");
        let names = ["a.yaml", "b.json", "c.toml"];
        for name in names {
            sandbox.run(&["encrypt", "-i", name]).ok();
        }
        rotate(bao, &mount, kind);
        let before = names.map(|name| sandbox.read(name));
        sandbox.run(&[&["rewrap"], &names[..]].concat()).ok();
        for (name, before) in names.into_iter().zip(before) {
            let after = sandbox.read(name);
            assert_eq!(apart(&after).0, apart(&before).0, "{kind} {name}");
            assert_eq!(
                (versions(&before), versions(&after)),
                (vec!["v1".into()], vec!["v2".into()])
            );
            assert_eq!(sandbox.run(&["verify", name]).ok(), format!("{name}: sealed\n"), "{kind}");
        }
        let theirs = sops(&sandbox, &["decrypt", "b.json"]).expect("sops is brought").ok();
        assert_eq!(
            theirs,
            "{
	\"a\": \"one\"
}
",
            "{kind}"
        );
    }
}

#[test]
fn quotes_and_blocks_stay_as_they_were() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let sealed = sandbox.read("a.yaml");
    let enc = apart(&sealed).1.remove(0);
    rotate(bao, &mount, "a");
    let indent = |block: &str| format!("enc: {block}\n                {enc}");
    for form in [
        format!("enc: '{enc}'"),
        format!("enc: \"{enc}\" # by hand"),
        indent("|"),
        indent("|-"),
        indent(">-"),
        format!("enc:\n                {enc}"),
    ] {
        let text = sealed.replace(&format!("enc: {enc}"), &form);
        assert_ne!((&form, &text), (&form, &sealed));
        sandbox.write("a.yaml", &text);
        let verified = sandbox.run(&["verify", "a.yaml"]);
        sandbox.run(&["rewrap", "a.yaml"]).ok();
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).stdout, verified.stdout, "{form}");
        let after = sandbox.read("a.yaml");
        assert_eq!(apart(&after).0, apart(&text).0, "{form}");
        assert_eq!(versions(&after), ["v2"], "{form}");
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n", "{form}");
    }
}

#[test]
fn what_is_current_is_not_asked_for_and_a_second_run_writes_nothing() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let server = Recorder::before(bao.address());
    let sandbox = user(&server.address(), bao.root(), &[(&mount, "a")]);
    let names = files(&sandbox, 150);
    run(&sandbox, &["encrypt", "-i"], &names[..120]).ok();
    rotate(bao, &mount, "a");
    run(&sandbox, &["encrypt", "-i"], &names[120..]).ok();
    let (asked, open) = (server.requests().len(), server.connections());
    run(&sandbox, &["rewrap"], &names).ok();
    let requests = server.requests().split_off(asked);
    let sent = |request: &crate::openbao::Request| {
        let items = |it: serde_json::Value| it["batch_input"].as_array().map_or(0, Vec::len);
        let items = if request.body.is_empty() { 0 } else { items(request.json()) };
        (request.method.clone(), items)
    };
    let mut sent: Vec<_> = requests.iter().map(sent).collect();
    sent.sort();
    // One question for the version, then the stale ones in full requests.
    let post = |count| ("POST".to_owned(), count);
    assert_eq!(sent, [("GET".to_owned(), 0), post(20), post(100)]);
    assert!(server.connections() - open <= 2);
    let after: Vec<_> = names.iter().map(|name| sandbox.read(name)).collect();
    assert!(after.iter().all(|text| versions(text) == ["v2"]));
    let asked = server.requests().len();
    run(&sandbox, &["rewrap"], &names).ok();
    assert_eq!(server.requests().len(), asked + 1);
    assert!(names.iter().zip(after).all(|(name, text)| sandbox.read(name) == text));
}

#[test]
fn check_says_what_is_stale_and_changes_nothing() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert_eq!(check(&sandbox, &["a.yaml"]).ok(), "");
    rotate(bao, &mount, "a");
    rotate(bao, &mount, "a");
    let sealed = sandbox.read("a.yaml");
    let stale = check(&sandbox, &["a.yaml"]);
    let line = format!("a.yaml: {}/v1/{mount}/keys/a from version 1 to 3\n", bao.address());
    assert_eq!((stale.code, &stale.stdout, sandbox.read("a.yaml")), (Some(56), &line, sealed));
    let error = "error: 1 file has wrapped keys of older versions: waxseal rewrap\n";
    assert_eq!(stale.stderr, error);
    sandbox.write("b.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "b.yaml"]).ok();
    assert_eq!(check(&sandbox, &["a.yaml", "b.yaml"]).code, Some(56));
    sandbox.run(&["rewrap", "a.yaml", "b.yaml"]).ok();
    assert_eq!(check(&sandbox, &["a.yaml", "b.yaml"]).ok(), "");
}

#[test]
fn stale_files_are_counted_in_one_line_and_are_not_files_that_failed() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    for name in ["a.yaml", "b.yaml"] {
        sandbox.write(name, "a: one\n");
        sandbox.run(&["encrypt", "-i", name]).ok();
    }
    rotate(bao, &mount, "a");
    sandbox.write("new.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "new.yaml"]).ok();
    let closing = "error: 2 files have wrapped keys of older versions: waxseal rewrap\n";
    let of_both = |run: &Run| {
        let lines = run.stdout.lines().filter_map(|line| line.split(':').next());
        assert_eq!(lines.collect::<Vec<_>>(), ["a.yaml", "b.yaml"], "{}", run.stdout);
    };
    let run = check(&sandbox, &["a.yaml", "b.yaml", "new.yaml"]);
    of_both(&run);
    assert_eq!((run.code, run.stderr.as_str()), (Some(56), closing));
    // Beside one that fails they are told all the same, and the failure is what counts.
    let run = check(&sandbox, &["a.yaml", "gone.yaml", "b.yaml"]);
    of_both(&run);
    let failed = "error: 1 of 3 files failed\n";
    assert!(run.stderr.starts_with("error: gone.yaml: "), "{}", run.stderr);
    assert!(run.stderr.ends_with(&format!("{closing}{failed}")), "{}", run.stderr);
    assert_eq!((run.code, run.stderr.lines().count()), (Some(1), 3), "{}", run.stderr);
}

#[test]
fn at_a_terminal_the_plan_is_told_first() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    rotate(bao, &mount, "a");
    let (said, code) = end(sandbox.at_terminal("rewrap a.yaml"));
    assert!(said.contains(&format!("/v1/{mount}/keys/a from version 1 to 2")), "{said}");
    assert_eq!((code, versions(&sandbox.read("a.yaml"))), (0, vec!["v2".to_owned()]));
}

#[test]
fn a_bot_that_may_rewrap_and_nothing_else_does_it_all() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let owner = user(bao.address(), bao.root(), &[(&mount, "a")]);
    let names = files(&owner, 5);
    run(&owner, &["encrypt", "-i"], &names).ok();
    rotate(bao, &mount, "a");
    owner.write("new.yaml", "a: one\n");
    owner.run(&["encrypt", "-i", "new.yaml"]).ok();
    let policy = format!("path \"{mount}/rewrap/a\" {{ capabilities = [\"update\"] }}");
    let bot = bao.token(&policy, json!({}));
    let server = Recorder::before(bao.address());
    let sandbox = user(bao.address(), &bot, &[(&mount, "a")]);
    for name in names.iter().map(String::as_str).chain(["new.yaml"]) {
        sandbox.write(name, &owner.read(name));
    }
    let (new, old) = (sandbox.read("new.yaml"), sandbox.read("f0.yaml"));
    sandbox.run(&["decrypt", "f0.yaml"]).fails(128);
    assert_eq!(check(&sandbox, &["new.yaml"]).ok(), "");
    assert_eq!(check(&sandbox, &["f0.yaml"]).code, Some(56));
    assert_eq!(sandbox.read("f0.yaml"), old);
    sandbox.run(&["rewrap", "."]).ok();
    assert_eq!(sandbox.read("new.yaml"), new);
    for name in &names {
        assert_eq!(versions(&sandbox.read(name)), ["v2"]);
        owner.write(name, &sandbox.read(name));
        assert_eq!(owner.run(&["verify", name]).ok(), format!("{name}: sealed\n"));
    }
    assert!(server.requests().is_empty());

    // And one that may not.
    let nobody = user(
        bao.address(),
        &bao.token(&policy.replace("rewrap", "encrypt"), json!({})),
        &[(&mount, "a")],
    );
    nobody.write("f0.yaml", &old);
    let said = nobody.run(&["rewrap", "f0.yaml"]).fails(1);
    assert!(said.contains(&format!("lack `update` on {mount}/rewrap/a")), "{said}");
    assert_eq!(nobody.read("f0.yaml"), old);
}

#[test]
fn folders_are_searched_and_what_is_not_sealed_there_is_passed_over() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    let sealed = ["x/a.yaml", "x/y/b.json", "c.toml", ".git/d.yaml"];
    for (name, text) in sealed.into_iter().zip(["a: one\n", "{\"a\": 1}\n", "a = 1\n", "a: one\n"])
    {
        sandbox.write(name, text);
        sandbox.run(&["encrypt", "-i", name]).ok();
    }
    let plain = "see: 'a sops file with ENC[AES256_GCM,data:x] in it'\n";
    sandbox.write("x/plain.yaml", plain);
    sandbox.write("x/notes.md", "# sops ENC[AES256_GCM,\n");
    std::os::unix::fs::symlink("../c.toml", sandbox.path("x/link.toml")).expect("linked");
    rotate(bao, &mount, "a");
    let run = check(&sandbox, &["."]);
    let found: Vec<_> = run.stdout.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(found, ["./c.toml", "./x/a.yaml", "./x/y/b.json"], "{}", run.stderr);
    sandbox.run(&["rewrap", "."]).ok();
    for (name, version) in sealed.into_iter().zip(["v2", "v2", "v2", "v1"]) {
        assert_eq!(versions(&sandbox.read(name)), [version], "{name}");
    }
    assert_eq!(sandbox.read("x/plain.yaml"), plain);
    let said = sandbox.run(&["rewrap", "x/plain.yaml"]).fails(1);
    assert!(said.contains("sops metadata not found"), "{said}");
    std::fs::create_dir(sandbox.path("empty")).expect("made");
    sandbox.run(&["rewrap", "empty"]).fails(100);
    sandbox.run(&["rewrap"]).fails(100);
}

#[test]
fn what_sops_sealed_under_other_names_is_no_success() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    let here = ["a.env", "b.ini", "c.bin", "d.yaml.tpl", "e.yaml"];
    for (name, text) in here.iter().zip(["A=1\n", "[a]\nb = 1\n", "bytes", "a: 1\n", "a: 1\n"]) {
        sandbox.write(name, text);
        let mut words = vec!["encrypt", "-i", *name];
        if name.ends_with("tpl") {
            words = vec!["encrypt", "--input-type", "yaml", "--output-type", "yaml", "-i", *name];
        }
        sops(&sandbox, &words).expect("sops is brought").ok();
    }
    let page = format!("How a sealed file looks:\n\n{}", sandbox.read("a.env"));
    sandbox.write("README.md", &page);
    rotate(bao, &mount, "a");
    for words in [["rewrap", "--check", "."], ["rewrap", ".", "."]] {
        let run = sandbox.run(&words);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        for name in &here[..4] {
            assert!(run.stderr.contains(&format!("error: ./{name}: ")), "{name}: {}", run.stderr);
        }
        assert!(
            !run.stderr.contains("README.md") && !run.stderr.contains("e.yaml"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(versions(&sandbox.read("e.yaml")), ["v2"]);
    // What the name does not say is said once for it.
    sandbox.run(&["rewrap", "--input-type", "yaml", "d.yaml.tpl"]).ok();
    assert_eq!(versions(&sandbox.read("d.yaml.tpl")), ["v2"]);
}

#[test]
fn who_may_rewrap_with_one_key_leaves_the_other_to_another() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for key in ["a", "b"] {
        bao.create_key(&mount, key, json!({}));
    }
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a"), (&mount, "b")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    for key in ["a", "b"] {
        rotate(bao, &mount, key);
    }
    let policy = format!("path \"{mount}/rewrap/b\" {{ capabilities = [\"update\"] }}");
    let sandbox = sandbox.with("VAULT_TOKEN", &bao.token(&policy, json!({})));
    let key = |name: &str| format!("{}/v1/{mount}/keys/{name}", bao.address());
    sandbox.run(&["rewrap", "a.yaml"]).fails(1);
    assert_eq!(versions(&sandbox.read("a.yaml")), ["v1", "v1"]);
    sandbox.run(&["rewrap", "--hc-vault-transit", &key("b"), "a.yaml"]).ok();
    assert_eq!(versions(&sandbox.read("a.yaml")), ["v1", "v2"]);
    let none = sandbox.run(&["rewrap", "--check", "--hc-vault-transit", &key("c"), "."]).fails(1);
    assert_eq!(none, "error: --hc-vault-transit: no file has what such a key wrapped\n");
    let odd = sandbox.run(&["rewrap", "--hc-vault-transit", "b", "."]).fails(1);
    assert!(odd.starts_with("error: --hc-vault-transit: "), "{odd}");
}

#[test]
fn a_file_that_cannot_be_rewrapped_says_why_and_does_not_stop_the_others() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for key in ["a", "old", "trim", "back", "aad", "gone"] {
        bao.create_key(&mount, key, json!({ "type": "aes256-gcm96" }));
    }
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    for key in ["a", "old", "trim", "back", "aad", "gone"] {
        sandbox.write(".sops.yaml", &rule(bao.address(), &[(&mount, key)]));
        sandbox.write(&format!("{key}.yaml"), "a: one\n");
        if key == "back" {
            rotate(bao, &mount, key);
        }
        sandbox.run(&["encrypt", "-i", &format!("{key}.yaml")]).ok();
        rotate(bao, &mount, key);
    }
    let config = |key: &str, config: serde_json::Value| {
        bao.ask("POST", &format!("{mount}/keys/{key}/config"), Some(config));
    };
    config("old", json!({ "min_decryption_version": 2 }));
    config("trim", json!({ "min_decryption_version": 2, "min_encryption_version": 2 }));
    let trim = json!({ "min_available_version": 2 });
    bao.ask("POST", &format!("{mount}/keys/trim/trim"), Some(trim));
    // As after a restore of a backup: the file is of a version that the key does not have yet.
    let future = sandbox.read("back.yaml").replace("vault:v2:", "vault:v9:");
    sandbox.write("back.yaml", &future);
    config("gone", json!({ "deletion_allowed": true }));
    bao.ask("DELETE", &format!("{mount}/keys/gone"), None);
    let wrapped = bao.ask(
        "POST",
        &format!("{mount}/encrypt/aad"),
        Some(json!({
            "plaintext": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "associated_data": "Zm9v", "key_version": 1,
        })),
    );
    let wrapped = wrapped["data"]["ciphertext"].as_str().expect("a ciphertext").to_owned();
    let bound = sandbox.read("aad.yaml");
    sandbox.write("aad.yaml", &bound.replace(&apart(&bound).1[0], &wrapped));
    let before =
        ["old", "trim", "back", "aad", "gone"].map(|key| sandbox.read(&format!("{key}.yaml")));

    let said = sandbox.run(&["rewrap", "."]).fails(1);
    for (file, why) in [
        (
            "old",
            "version 1 wrapped it and the key decrypts none before 2: an operator has to lower",
        ),
        ("trim", "version 1 wrapped it, and the server has deleted all before 2: another key of"),
        ("back", "version 9 wrapped it and 3 is the newest: another server did, or"),
        (
            "aad",
            "or it was wrapped with associated data, which cannot be rewrapped: `waxseal rotate`",
        ),
        ("gone", "no such key (404)"),
    ] {
        let mut parts = said.split("error: ");
        let part = parts.find(|part| part.starts_with(&format!("./{file}.yaml")));
        assert!(part.is_some_and(|part| part.contains(why)), "{file}: {said}");
    }
    assert!(said.contains("5 of 6 files failed"), "{said}");
    let after =
        ["old", "trim", "back", "aad", "gone"].map(|key| sandbox.read(&format!("{key}.yaml")));
    assert_eq!(before, after);
    assert_eq!(versions(&sandbox.read("a.yaml")), ["v2"]);
    // Nothing of this is told by silence either.
    assert_eq!(check(&sandbox, &["old.yaml"]).code, Some(1));
}

#[test]
fn one_damaged_rsa_key_does_not_take_the_batch_down() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "r", json!({ "type": "rsa-2048" }));
    let server = Recorder::before(bao.address());
    let sandbox = user(&server.address(), bao.root(), &[(&mount, "r")]);
    let sandbox = sandbox.with("VAULT_MAX_RETRIES", "2");
    let names = files(&sandbox, 4);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    rotate(bao, &mount, "r");
    let sealed = sandbox.read("f2.yaml");
    let at = sealed.find("vault:v1:").expect("a wrapped key") + 40;
    let other = if &sealed[at..=at] == "A" { "B" } else { "A" };
    sandbox.write("f2.yaml", &format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]));
    let asked = server.requests().len();
    let said = run(&sandbox, &["rewrap"], &names).fails(1);
    // A fault that stays is not asked for again: four, two and two, one and one.
    let mut bodies: Vec<_> = server.requests().split_off(asked);
    bodies.retain(|request| request.method == "POST");
    assert_eq!(bodies.len(), 5);
    assert!(said.contains("f2.yaml: cannot rewrap") && said.contains("1 of 4"), "{said}");
    for name in ["f0.yaml", "f1.yaml", "f3.yaml"] {
        assert_eq!(versions(&sandbox.read(name)), ["v2"], "{said}");
    }
}

#[test]
fn derived_keys_are_rewrapped_by_their_context_also_if_sops_dropped_it() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for (key, convergent) in [("d", false), ("c", true)] {
        let body = json!({ "derived": true, "convergent_encryption": convergent });
        bao.create_key(&mount, key, body);
        let sandbox = user(bao.address(), bao.root(), &[(&mount, key)]);
        let with = rule(bao.address(), &[(&mount, key)]) + "    hc_vault_context: payroll\n";
        sandbox.write(".sops.yaml", &with);
        for name in ["a.yaml", "b.yaml"] {
            sandbox.write(name, "a: one\n");
            sandbox.run(&["encrypt", "-i", name]).ok();
        }
        let text = sandbox.read("b.yaml");
        let at = text.find("context: payroll\n").expect("a context");
        let next = text[at..].find("created_at").expect("the next field");
        sandbox.write("b.yaml", &format!("{}{}", &text[..at], &text[at + next..]));
        rotate(bao, &mount, key);
        sandbox.run(&["rewrap", "."]).ok();
        for name in ["a.yaml", "b.yaml"] {
            assert_eq!(versions(&sandbox.read(name)), ["v2"], "{key} {name}");
        }
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    }
}

#[test]
fn what_a_server_gives_instead_of_a_rewrapped_key_is_not_written() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    rotate(bao, &mount, "a");
    let sealed = sandbox.read("a.yaml");
    type Wrong = fn() -> Answer;
    let cases: [Wrong; 4] = [
        || {
            Answer::json(
                200,
                &json!({ "data": { "batch_results": [{ "reference": "0", "ciphertext": "" }] } }),
            )
        },
        || {
            Answer::json(
                200,
                &json!({ "data": { "batch_results": [{ "reference": "0", "ciphertext": "vault:v0:AAAA\nx: 1" }] } }),
            )
        },
        || {
            Answer::json(
                200,
                &json!({ "data": { "batch_results": [{ "reference": "1", "ciphertext": "vault:v2:AAAA" }] } }),
            )
        },
        || Answer::hang_up(),
    ];
    let real = bao.address().to_owned();
    for wrong in cases {
        let script = Script::start({
            let real = real.clone();
            move |request| match request.method.as_str() {
                "GET" => Answer::from_server(&real, request),
                _ => wrong(),
            }
        });
        let sandbox = user(&script.address(), bao.root(), &[(&mount, "a")]);
        let text = sealed.replace(bao.address(), &script.address());
        sandbox.write("a.yaml", &text);
        sandbox.run(&["rewrap", "a.yaml"]).fails(1);
        assert_eq!(sandbox.read("a.yaml"), text);
    }
}

#[test]
fn a_server_that_is_away_or_not_named_leaves_every_file_alone() {
    let Some(mut own) = Own::start() else { return };
    let mount = own.mount();
    own.create_key(&mount, "a", json!({}));
    let sandbox = user(own.address(), own.root(), &[(&mount, "a")]);
    let names = files(&sandbox, 3);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    rotate(&own, &mount, "a");
    let before: Vec<_> = names.iter().map(|name| sandbox.read(name)).collect();
    let other = Sandbox::bare().with("VAULT_TOKEN", own.root());
    other.write("f0.yaml", &before[0]);
    let said = other.run(&["rewrap", "f0.yaml"]).fails(1);
    assert!(said.contains(&format!("export VAULT_ADDR={}", own.address())), "{said}");
    own.stop();
    let said = run(&sandbox, &["rewrap"], &names).fails(1);
    assert!(said.contains("cannot connect") && said.contains("3 of 3"), "{said}");
    assert!(names.iter().zip(before).all(|(name, text)| sandbox.read(name) == text));
}

//! Transit keys of a real OpenBao: what is asked of it, how often, and by whom it is not asked.

use serde_json::json;

use super::peers::sops;
use super::{Run, Sandbox};
use crate::openbao::{Answer, Bao, Listener, Own, Recorder, Script};

/// Every type of key that encrypts.
pub(super) const TYPES: [&str; 7] = [
    "aes128-gcm96",
    "aes256-gcm96",
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
];

/// A user of the server at this address, whose rule names these keys of it.
pub(super) fn user(address: &str, token: &str, keys: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::bare()
        .with("VAULT_ADDR", address)
        .with("VAULT_TOKEN", token)
        .with("VAULT_MAX_RETRIES", "0");
    sandbox.write(".sops.yaml", &rule(address, keys));
    sandbox
}

pub(super) fn rule(address: &str, keys: &[(&str, &str)]) -> String {
    let uris = keys.iter().map(|(mount, key)| format!("{address}/v1/{mount}/keys/{key}"));
    let uris: Vec<_> = uris.collect();
    format!("creation_rules:\n  - hc_vault_transit_uri: {}\n", uris.join(","))
}

/// So many files, each with a value of its own.
pub(super) fn files(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|index| format!("f{index}.yaml")).collect();
    for (index, name) in names.iter().enumerate() {
        sandbox.write(name, &format!("password: hunter{index}\n"));
    }
    names
}

pub(super) fn run(sandbox: &Sandbox, words: &[&str], files: &[String]) -> Run {
    let words = words.iter().copied().chain(files.iter().map(String::as_str));
    sandbox.run(&words.collect::<Vec<_>>())
}

#[test]
fn sops_and_waxseal_open_each_others_files_with_every_type_of_key() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for kind in TYPES {
        bao.create_key(&mount, kind, json!({ "type": kind }));
        let sandbox = user(bao.address(), bao.root(), &[(&mount, kind)]);
        sandbox.write("ours.yaml", "# why\na: one\n");
        sandbox.run(&["encrypt", "-i", "ours.yaml"]).ok();
        let theirs = sops(&sandbox, &["decrypt", "ours.yaml"]).expect("sops is brought").ok();
        assert_eq!(theirs, "# why\na: one\n", "{kind}");

        sandbox.write("theirs.yaml", "a: one\n");
        sops(&sandbox, &["encrypt", "-i", "theirs.yaml"]).expect("there").ok();
        assert_eq!(sandbox.run(&["decrypt", "theirs.yaml"]).ok(), "a: one\n", "{kind}");
        sandbox.run(&["set", "theirs.yaml", "[\"a\"]", "\"two\""]).ok();
        sandbox.run(&["rotate", "-i", "theirs.yaml"]).ok();
        let back = sops(&sandbox, &["decrypt", "theirs.yaml"]).expect("there").ok();
        assert_eq!(back, "a: two\n", "{kind}");
    }
}

#[test]
fn a_hundred_files_cost_one_request_on_one_connection() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    bao.create_key(&mount, "b", json!({}));
    let server = Recorder::before(bao.address());
    let sandbox = user(&server.address(), bao.root(), &[(&mount, "a")]);
    let names = files(&sandbox, 100);
    let (mut requests, mut connections) = (0, 0);
    let mut cost = || {
        let (now, then) = (server.requests().len(), requests);
        let (open, before) = (server.connections(), connections);
        (requests, connections) = (now, open);
        (now - then, open - before)
    };
    cost();
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    assert_eq!(cost(), (1, 1), "encrypt");
    run(&sandbox, &["decrypt", "--output-dir", "plain"], &names).ok();
    assert_eq!(cost(), (1, 1), "decrypt");
    run(&sandbox, &["rotate", "-i"], &names).ok();
    assert_eq!(cost(), (2, 1), "rotate");
    sandbox.write(".sops.yaml", &rule(&server.address(), &[(&mount, "a"), (&mount, "b")]));
    assert_eq!(run(&sandbox, &["updatekeys", "-y"], &names).code, Some(0));
    let (asked, opened) = cost();
    assert!(asked <= 3 && opened <= 2, "updatekeys: {asked} requests, {opened} connections");
    for (index, name) in names.iter().enumerate() {
        assert_eq!(sandbox.read(&format!("plain/{name}")), format!("password: hunter{index}\n"));
    }
    // One that was given a second time is asked for once.
    let copies: Vec<String> = (0..150).map(|index| format!("copy{index}.yaml")).collect();
    for copy in &copies {
        sandbox.write(copy, &sandbox.read("f0.yaml"));
    }
    cost();
    run(&sandbox, &["decrypt", "--output-dir", "copies"], &copies).ok();
    let last = server.requests().pop().expect("one");
    assert_eq!(last.json()["batch_input"].as_array().map(Vec::len), Some(1));
    assert_eq!(cost(), (1, 1), "copies");
}

#[test]
fn many_files_take_full_requests() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let server = Recorder::before(bao.address());
    let sandbox = user(&server.address(), bao.root(), &[(&mount, "a")]);
    let names = files(&sandbox, 600);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    let sizes = |from: usize| -> Vec<usize> {
        let size = |body: serde_json::Value| body["batch_input"].as_array().map_or(0, Vec::len);
        server.requests()[from..].iter().map(|request| size(request.json())).collect()
    };
    assert_eq!(sizes(0), [100; 6]);
    run(&sandbox, &["decrypt", "--output-dir", "plain"], &names).ok();
    assert_eq!(sizes(6), [100; 6]);
}

#[test]
fn a_file_that_fails_leaves_the_others_alone() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    let names = files(&sandbox, 5);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    let sealed = sandbox.read("f2.yaml");
    let enc = sealed.find("vault:v1:").expect("a wrapped key") + "vault:v1:".len();
    let other = if &sealed[enc..=enc] == "A" { "B" } else { "A" };
    sandbox.write("f2.yaml", &format!("{}{other}{}", &sealed[..enc], &sealed[enc + 1..]));
    let failed = run(&sandbox, &["decrypt", "--output-dir", "plain"], &names).fails(1);
    let why =
        "message authentication failed: another key or another context made it, or it was changed";
    assert!(failed.contains("f2.yaml") && failed.contains(why), "{failed}");
    for index in [0, 1, 3, 4] {
        let plain = sandbox.read(&format!("plain/f{index}.yaml"));
        assert_eq!(plain, format!("password: hunter{index}\n"));
    }
}

#[test]
fn no_token_goes_to_a_server_that_only_the_file_names() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let (server, evil) = (Recorder::before(bao.address()), Listener::start());
    let sandbox = user(&server.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let sealed = sandbox.read("a.yaml").replace(&server.address(), &evil.address());
    sandbox.write("a.yaml", &sealed);
    for words in [
        &["decrypt", "a.yaml"][..],
        &["verify", "a.yaml"],
        &["rotate", "-i", "a.yaml"],
        &["set", "a.yaml", "[\"a\"]", "\"two\""],
        &["updatekeys", "-y", "a.yaml"],
    ] {
        let said = sandbox.run(words).fails(128);
        let line = format!("export SOPS_HC_VAULT_ALLOWLIST={}", evil.address());
        assert!(said.contains(&line), "{words:?}: {said}");
        assert!(said.contains("a.yaml"), "{words:?}: {said}");
    }
    // A rule travels with the file and is no permission either.
    sandbox.write(".sops.yaml", &rule(&evil.address(), &[(&mount, "a")]));
    sandbox.write("b.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "b.yaml"]).fails(1);
    assert_eq!(sandbox.read("b.yaml"), "a: one\n");
    assert_eq!((evil.connections(), sandbox.read("a.yaml")), (0, sealed));

    // The list of allowed servers is one.
    sandbox.write(".sops.yaml", &rule(bao.address(), &[(&mount, "a")]));
    let refused = sandbox.run(&["encrypt", "b.yaml"]);
    assert_ne!(refused.code, Some(0));
    let list = format!("https://elsewhere, {}", bao.address());
    let sandbox = sandbox.with("SOPS_HC_VAULT_ALLOWLIST", &list);
    sandbox.run(&["encrypt", "-i", "b.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "b.yaml"]).ok(), "a: one\n");
}

#[test]
fn a_namespace_is_recorded_so_that_everybody_finds_the_key() {
    let Some(bao) = Bao::start() else { return };
    let team = bao.namespace();
    let mount = bao.mount_in(&team);
    bao.create_key(&mount, "a", json!({}));
    let inside = mount.strip_prefix(&format!("{team}/")).expect("below it");
    let sandbox = user(bao.address(), bao.root(), &[(inside, "a")]);
    let sandbox = sandbox.with("VAULT_NAMESPACE", &format!("{team}/"));
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert!(sandbox.read("a.yaml").contains(&format!("engine_path: {mount}\n")));
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    assert_eq!(sandbox.run(&["updatekeys", "-y", "a.yaml"]).code, Some(0));
    let sealed = sandbox.read("a.yaml");

    // sops knows the namespace from the path alone, and so do those who have no variable.
    let other = user(bao.address(), bao.root(), &[(&mount, "a")]);
    other.write("a.yaml", &sealed);
    assert_eq!(sops(&other, &["decrypt", "a.yaml"]).expect("there").ok(), "a: one\n");
    assert_eq!(other.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");

    // What sops wrote with the variable needs it.
    sandbox.write("theirs.yaml", "a: one\n");
    sops(&sandbox, &["encrypt", "-i", "theirs.yaml"]).expect("there").ok();
    assert_eq!(sandbox.run(&["decrypt", "theirs.yaml"]).ok(), "a: one\n");
}

#[test]
fn no_key_is_created_behind_anybodys_back() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    // This token may create one.
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "typo")]);
    sandbox.write("a.yaml", "a: one\n");
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    assert!(said.contains("no such key; it is not created here"), "{said}");
    let (status, _) = bao.call("GET", &format!("{mount}/keys/typo"), Some(bao.root()), None);
    assert_eq!((status, sandbox.read("a.yaml")), (404, "a: one\n".to_owned()));
}

#[test]
fn a_key_that_cannot_encrypt_is_refused_with_the_reason() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for kind in ["ed25519", "ecdsa-p256", "hmac"] {
        let body = if kind == "hmac" {
            json!({ "type": kind, "key_size": 32 })
        } else {
            json!({ "type": kind })
        };
        bao.create_key(&mount, kind, body);
        let sandbox = user(bao.address(), bao.root(), &[(&mount, kind)]);
        sandbox.write("a.yaml", "a: one\n");
        let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
        assert!(said.contains("this key signs; it cannot encrypt"), "{said}");
    }
}

#[test]
fn a_derived_key_takes_its_context_from_the_rule_and_the_file_keeps_it() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "d", json!({ "derived": true }));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "d")]);
    sandbox.write("a.yaml", "a: one\n");
    let said = sandbox.run(&["encrypt", "a.yaml"]).fails(1);
    assert!(said.contains("its rule needs `hc_vault_context`"), "{said}");
    let with = rule(bao.address(), &[(&mount, "d")]) + "    hc_vault_context: payroll\n";
    sandbox.write(".sops.yaml", &with);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert!(sandbox.read("a.yaml").contains("context: payroll\n"));
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    let other = sandbox.read("a.yaml").replace("context: payroll", "context: others");
    sandbox.write("b.yaml", &other);
    let said = sandbox.run(&["decrypt", "b.yaml"]).fails(128);
    assert!(said.contains("message authentication failed"), "{said}");
}

#[test]
fn a_refused_token_is_told_and_never_shown() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let writer = format!("path \"{mount}/encrypt/a\" {{ capabilities = [\"update\"] }}");
    let writer = bao.token(&writer, json!({}));
    let sandbox = user(bao.address(), &writer, &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    // `update` is enough to encrypt, and no help to decrypt.
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
    let flat: String = said.replace("\n      | ", " ");
    assert!(flat.contains(&format!("lack `update` on {mount}/decrypt/a")), "{said}");
    assert!(flat.contains("VAULT_TOKEN") && !flat.contains(&writer), "{said}");

    for (token, expected) in [
        ("s.nobody\nX-Evil: 1", "another character that no token has"),
        ("", "there is no token"),
        ("s.nobody", "permission denied (403)"),
    ] {
        let sandbox = user(bao.address(), token, &[(&mount, "a")]);
        sandbox.write("a.yaml", "a: one\n");
        let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
        assert!(said.replace("\n  ", " ").contains(expected), "{said}");
        assert!(!said.contains("s.nobody"), "{said}");
    }
}

#[test]
fn what_is_no_transit_key_is_told_with_its_flag() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: one\n");
    sandbox.write("b.yaml", "a: one\n");
    for (words, flag) in [
        (["rotate", "-i", "--add-hc-vault-transit", "next", "a.yaml"], "--add-hc-vault-transit"),
        (["rotate", "-i", "--rm-hc-vault-transit", "next", "a.yaml"], "--rm-hc-vault-transit"),
        (["encrypt", "-i", "--hc-vault-transit", "next", "b.yaml"], "--hc-vault-transit"),
    ] {
        let said = sandbox.run(&words).fails(1);
        let form = "not a transit key: it looks like https://HOST:PORT/v1/ENGINE/keys/NAME";
        assert!(said.contains(&format!(": {flag}: {form}")), "{said}");
    }
    let sandbox = sandbox.with("SOPS_VAULT_URIS", "next");
    let said = sandbox.run(&["encrypt", "-i", "b.yaml"]).fails(1);
    assert!(said.contains("SOPS_VAULT_URIS: not a transit key"), "{said}");
}

#[test]
fn a_token_comes_from_the_variable_the_helper_or_the_file() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), "", &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    let home = sandbox.home();
    std::fs::write(home.join(".vault-token"), "root\n").expect("written");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    // The folder of another program that is called so.
    std::fs::create_dir(home.join(".vault")).expect("made");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");

    let helper = home.join("helper");
    std::fs::write(
        &helper,
        "#!/bin/sh\n[ \"$1\" = get ] && echo \"$VAULT_ADDR\" >>\"$0.log\" && echo root\n",
    )
    .expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, mode).expect("mode");
    std::fs::write(home.join(".vault-token"), "s.wrong\n").expect("written");
    let config = format!("token_helper = \"{}\"\n", helper.display());
    std::fs::write(home.join(".bao"), config).expect("written");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    let log = std::fs::read_to_string(home.join("helper.log")).expect("it ran");
    assert_eq!(log, format!("{}\n", bao.address()));
    // What BAO_TOKEN says counts before all of them, be it nothing.
    let sandbox = sandbox.with("BAO_TOKEN", "s.wrong");
    sandbox.run(&["decrypt", "a.yaml"]).fails(128);
}

#[test]
fn a_sealed_server_and_one_that_is_away_are_told_apart() {
    let Some(mut own) = Own::start() else { return };
    let mount = own.mount();
    own.create_key(&mount, "a", json!({}));
    let sandbox = user(own.address(), own.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let sealed = sandbox.read("a.yaml");
    own.seal();
    let said = sandbox.run(&["rotate", "-i", "a.yaml"]).fails(128);
    assert!(said.contains("is sealed (503): an operator has to unseal it"), "{said}");
    own.unseal();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    own.stop();
    let said = sandbox.run(&["rotate", "-i", "a.yaml"]).fails(128);
    assert!(said.contains("cannot connect"), "{said}");
    assert_eq!(sandbox.read("a.yaml"), sealed);
}

#[test]
fn answers_that_are_wrong_change_no_file() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let real = bao.address().to_owned();
    type Wrong = fn(&str, &crate::openbao::Request) -> Answer;
    let cases: [(Wrong, &str); 6] = [
        (|_, _| Answer::hang_up(), "the connection broke"),
        (|real, it| Answer::from_server(real, it).cut_at(40), "the connection broke"),
        (|_, _| Answer::new(200, "<html>"), "the answer is not JSON"),
        (|_, _| Answer::new(200, vec![b' '; 9 << 20]), "the answer is too long"),
        (|_, _| Answer::json(200, &json!({ "data": {} })), "something else than one result"),
        (|_, _| Answer::never(), "no answer in time"),
    ];
    for (wrong, expected) in cases {
        let script = Script::start({
            let real = real.clone();
            move |request| wrong(&real, request)
        });
        let sandbox = user(&script.address(), bao.root(), &[(&mount, "a")]);
        let sandbox = sandbox.with("VAULT_CLIENT_TIMEOUT", "1");
        let names = files(&sandbox, 3);
        let said = run(&sandbox, &["encrypt", "-i"], &names).fails(1);
        assert!(said.contains(expected), "{expected}: {said}");
        for (index, name) in names.iter().enumerate() {
            assert_eq!(sandbox.read(name), format!("password: hunter{index}\n"));
        }
    }
}

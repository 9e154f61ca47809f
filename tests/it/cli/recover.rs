//! `recover` by keys that a real OpenBao exported, with no server at hand.

use serde_json::{Value, json};

use super::Sandbox;
use super::peers::{peer, sops};
use super::vault::{TYPES, rule, user};
use crate::openbao::{Bao, Listener};

/// What the API answers when the key is exported.
fn export(bao: &Bao, mount: &str, key: &str) -> Value {
    bao.ask("GET", &format!("{mount}/export/encryption-key/{key}"), None)
}

/// Somebody without a server, with these files and this exported key.
fn offline(from: &Sandbox, names: &[&str], exported: &Value) -> Sandbox {
    let sandbox = Sandbox::bare();
    for name in names {
        sandbox.write(name, &from.read(name));
    }
    sandbox.write("key.json", &exported.to_string());
    sandbox
}

/// Every part of an exported key that is worth something.
fn material(exported: &Value) -> Vec<String> {
    let keys = exported["data"]["keys"].as_object().expect("keys");
    let lines = keys.values().flat_map(|key| key.as_str().expect("a text").lines());
    lines.filter(|line| !line.starts_with("-----")).map(str::to_owned).collect()
}

#[test]
fn every_type_of_key_and_every_version_opens_without_a_server() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for kind in TYPES {
        bao.create_key(&mount, kind, json!({ "type": kind, "exportable": true }));
        let sandbox = user(bao.address(), bao.root(), &[(&mount, kind)]);
        sandbox.write("one.yaml", "# why\na: one\n");
        sandbox.run(&["encrypt", "-i", "one.yaml"]).ok();
        bao.ask("POST", &format!("{mount}/keys/{kind}/rotate"), None);
        sandbox.write("two.json", "{\"a\": 2}\n");
        sandbox.run(&["encrypt", "-i", "two.json"]).ok();
        sandbox.write("sops.yaml", "a: theirs\n");
        sops(&sandbox, &["encrypt", "-i", "sops.yaml"]).expect("sops is brought").ok();
        let names = ["one.yaml", "two.json", "sops.yaml"];
        let offline = offline(&sandbox, &names, &export(bao, &mount, kind));
        for (name, plain) in
            names.into_iter().zip(["# why\na: one\n", "{\"a\": 2}\n", "a: theirs\n"])
        {
            let run = offline.run(&["recover", "--exported", "key.json", name]);
            assert_eq!(run.ok(), plain, "{kind} {name}");
        }
    }
}

#[test]
fn derived_keys_open_by_the_context_of_the_file_the_rule_or_the_command() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for kind in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"] {
        for convergent in [false, true] {
            let key = format!("{kind}-{convergent}");
            let body = json!({
                "type": kind, "derived": true, "exportable": true,
                "convergent_encryption": convergent,
            });
            bao.create_key(&mount, &key, body);
            let sandbox = user(bao.address(), bao.root(), &[(&mount, &key)]);
            let with = rule(bao.address(), &[(&mount, &key)]) + "    hc_vault_context: payroll\n";
            sandbox.write(".sops.yaml", &with);
            sandbox.write("a.yaml", "a: one\n");
            sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
            let offline = offline(&sandbox, &["a.yaml"], &export(bao, &mount, &key));
            let recover = ["recover", "--exported", "key.json", "a.yaml"];
            assert_eq!(offline.run(&recover).ok(), "a: one\n", "{key}");

            // As sops leaves it: the context is gone, and a seal over the recipients with it.
            let text = offline.read("a.yaml");
            let at = text.find("context: payroll\n").expect("a context");
            let next = text[at..].find("created_at").expect("the next field");
            offline.write("a.yaml", &format!("{}{}", &text[..at], &text[at + next..]));
            let said = offline.run(&recover).fails(128);
            assert!(
                said.replace("\n", " ").contains("a derived key needs its context: --context"),
                "{said}"
            );
            let given = offline.run(&[&recover[..], &["--context", "payroll"]].concat());
            assert_eq!(given.ok(), "a: one\n", "{key}");
            offline.run(&[&recover[..], &["--context", "others"]].concat()).fails(128);
            offline.write(".sops.yaml", &with);
            assert_eq!(offline.run(&recover).ok(), "a: one\n", "{key}");
        }
    }
}

#[test]
fn whatever_prints_an_export_can_be_given() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({ "exportable": true }));
    bao.create_key(&mount, "r", json!({ "type": "rsa-2048", "exportable": true }));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a"), (&mount, "r")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let sandbox = sandbox.with("BAO_ADDR", bao.address()).with("BAO_TOKEN", bao.root());
    let printed = ["read", "-format=json", &format!("{mount}/export/encryption-key/a")];
    let printed = sandbox.start(peer("bao").expect("brought"), &printed, "").stdout;
    let answer = export(bao, &mount, "a");
    let der = bao.ask("GET", &format!("{mount}/export/encryption-key/r?format=der"), None);
    for exported in [
        serde_json::from_str(&printed).expect("JSON"),
        answer["data"].clone(),
        bao.ask("GET", &format!("{mount}/export/encryption-key/a/latest"), None),
        bao.ask("GET", &format!("{mount}/export/encryption-key/a/1"), None),
        export(bao, &mount, "r"),
        der,
    ] {
        let offline = offline(&sandbox, &["a.yaml"], &exported);
        let run = offline.run(&["recover", "--exported", "key.json", "a.yaml"]);
        assert_eq!(run.ok(), "a: one\n");
    }
}

#[test]
fn a_tree_is_recovered_in_place_or_into_a_folder() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for key in ["a", "b"] {
        bao.create_key(&mount, key, json!({ "exportable": true }));
    }
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("x/a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "x/a.yaml"]).ok();
    sandbox.write(".sops.yaml", &rule(bao.address(), &[(&mount, "b")]));
    sandbox.write("x/y/b.toml", "b = 2\n");
    sandbox.run(&["encrypt", "-i", "x/y/b.toml"]).ok();
    let offline = offline(&sandbox, &["x/a.yaml", "x/y/b.toml"], &export(bao, &mount, "a"));
    offline.write("b.json", &export(bao, &mount, "b").to_string());
    let both = ["recover", "--exported", "key.json", "--exported", "b.json"];
    offline.run(&[&both[..], &["--output-dir", "plain", "x"]].concat()).ok();
    assert_eq!(offline.read("plain/x/a.yaml"), "a: one\n");
    offline.run(&[&both[..], &["-i", "x"]].concat()).ok();
    assert_eq!(
        (offline.read("x/a.yaml"), offline.read("x/y/b.toml")),
        ("a: one\n".into(), "b = 2\n".into())
    );
}

#[test]
fn nobody_is_asked_and_nothing_of_the_key_is_shown() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for kind in ["aes256-gcm96", "rsa-2048"] {
        for key in ["right", "wrong"] {
            let body = json!({ "type": kind, "exportable": true });
            bao.create_key(&mount, &format!("{key}-{kind}"), body);
        }
        let key = format!("right-{kind}");
        let sandbox = user(bao.address(), bao.root(), &[(&mount, &key)]);
        sandbox.write("a.yaml", "a: one\n");
        sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
        let right = export(bao, &mount, &key);
        let wrong = export(bao, &mount, &format!("wrong-{kind}"));
        let mut later = right.clone();
        let keys = later["data"]["keys"].as_object_mut().expect("keys");
        let only = keys.remove("1").expect("version 1");
        keys.insert("7".to_owned(), only.clone());
        let mut damaged = right.clone();
        damaged["data"]["keys"]["1"] = json!(only.as_str().expect("a text")[..20].to_owned() + "!");

        let server = Listener::start();
        let text = sandbox.read("a.yaml").replace(bao.address(), &server.address());
        for (exported, code, why) in [
            (&wrong, 128, "does not open it: another key wrapped it"),
            (&later, 128, "the export of right-"),
            (&damaged, 1, "key.json: version 1 of the key is damaged"),
        ] {
            let offline = offline(&sandbox, &[], exported)
                .with("VAULT_ADDR", &server.address())
                .with("VAULT_TOKEN", "s.token");
            offline.write("a.yaml", &text);
            let run = offline.run(&["recover", "--exported", "key.json", "a.yaml"]);
            assert_eq!(run.stdout, "");
            let said = run.fails(code);
            assert!(said.contains(why), "{said}");
            for part in material(exported).iter().chain(&material(&right)) {
                assert!(!said.contains(&part[..part.len().min(16)]), "{said}");
            }
        }
        assert_eq!(server.connections(), 0);
    }
}

#[test]
fn what_decrypt_checks_recover_checks() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({ "exportable": true }));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\nb: two\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let offline = offline(&sandbox, &["a.yaml"], &export(bao, &mount, "a"));
    let text = offline.read("a.yaml");
    offline
        .write("a.yaml", &text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>());
    offline.run(&["recover", "--exported", "key.json", "a.yaml"]).fails(51);
    offline.run(&["recover", "--exported", "none.json", "a.yaml"]).fails(2);
    offline.write("key.json", "hunter2");
    let said = offline.run(&["recover", "--exported", "key.json", "a.yaml"]).fails(1);
    assert!(said.contains("is not JSON") && !said.contains("hunter2"), "{said}");
}

//! Servers, answers, tokens and files that are not as they should be: which server, which key, which file,
//! what to do; and never a token.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::Sandbox;
use super::vault::{files, rule, run, user};
use crate::openbao::{Answer, Bao, Listener, Own, Script};

/// What is said, without what differs from run to run; no token is in it.
fn told(sandbox: &Sandbox, said: &str, masks: &[(&str, &str)]) -> String {
    for (_, token) in sandbox.vars.iter().filter(|(name, _)| name == "VAULT_TOKEN") {
        // That of the shared server is a word like others.
        assert!(token.len() < 5 || !said.contains(token), "{said}");
    }
    let mut said = sandbox.masked(said);
    for (from, to) in masks {
        said = said.replace(from, to);
    }
    said
}

/// A user who has a file that the server at this address opens, and the mount of its key.
fn owner(bao: &Bao, address: &str) -> (Sandbox, String) {
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let root =
        bao.token("path \"*\" { capabilities = [\"sudo\", \"read\", \"update\"] }", json!({}));
    let sandbox = user(bao.address(), &root, &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let moved = sandbox.read("a.yaml").replace(bao.address(), address);
    sandbox.write("a.yaml", &moved);
    sandbox.write(".sops.yaml", &rule(address, &[(&mount, "a")]));
    (sandbox.with("VAULT_ADDR", address), mount)
}

#[test]
fn a_server_that_nobody_has_initialised_or_that_only_stands_by_is_told() {
    let Some(blank) = Own::blank() else { return };
    let sandbox = user(blank.address(), "s.secret", &[("transit", "a")]);
    sandbox.write("a.yaml", "a: one\n");
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    let said = told(&sandbox, &said, &[(blank.address(), "SERVER")]);
    expect![[r#"
        error: a.yaml: cannot wrap the data key
          SERVER/v1/transit/keys/a: Vault is sealed (503): an operator has to unseal it
    "#]]
    .assert_eq(&said);
    let standby = Script::start(|_| {
        Answer::json(503, &json!({ "errors": ["no active Vault instance found"] }))
    });
    let sandbox = user(&standby.address(), "s.secret", &[("transit", "a")]);
    sandbox.write("a.yaml", "a: one\n");
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    expect![[r#"
        error: a.yaml: cannot wrap the data key
          SERVER/v1/transit/keys/a: no active Vault instance found (503): no server of the cluster leads at the moment; try again later
    "#]]
    .assert_eq(&told(&sandbox, &said, &[(&standby.address(), "SERVER")]));
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_run_changes_no_file() {
    let Some(bao) = Bao::start() else { return };
    let real = bao.address().to_owned();
    let asked = Arc::new(AtomicUsize::new(0));
    let token = Arc::new(std::sync::Mutex::new(String::new()));
    let server = Script::start({
        let (asked, token) = (Arc::clone(&asked), Arc::clone(&token));
        move |request| {
            // Before the second request: data keys are open by then, and none is wrapped.
            if asked.fetch_add(1, Ordering::SeqCst) == 1 {
                let body = json!({ "token": *token.lock().expect("no panic") });
                let bao = Bao::start().expect("it is there");
                bao.ask("POST", "auth/token/revoke", Some(body));
            }
            Answer::from_server(&real, request)
        }
    });
    let (sandbox, mount) = owner(bao, &server.address());
    let sealed = sandbox.read("a.yaml");
    let (_, own) = sandbox.vars.iter().find(|(name, _)| name == "VAULT_TOKEN").expect("one");
    token.lock().expect("no panic").clone_from(own);
    let said = sandbox.run(&["rotate", "-i", "a.yaml"]);
    assert_ne!(said.code, Some(0));
    let masks = [(server.address(), "SERVER".to_owned()), (mount, "MOUNT".to_owned())];
    let masks = masks.each_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    expect![[r#"
        error: a.yaml: cannot wrap the data key
          SERVER/v1/MOUNT/keys/a: permission denied (403): the token of VAULT_TOKEN may have expired, or lack `update` on MOUNT/encrypt/a, where a key that is missing is refused as well; `waxseal doctor` knows which
    "#]].assert_eq(&told(&sandbox, &said.stderr, &masks));
    assert_eq!((sandbox.read("a.yaml"), asked.load(Ordering::SeqCst)), (sealed, 2));
}

#[test]
fn a_server_that_sends_us_elsewhere_gives_no_token_away() {
    let Some(bao) = Bao::start() else { return };
    let evil = Listener::start();
    let to = evil.address();
    let server = Script::start(move |request| {
        Answer::new(307, "").header("location", &format!("{to}{}", request.path))
    });
    let (sandbox, _) = owner(bao, &server.address());
    let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
    assert!(said.contains(&evil.address()) && said.contains("you did not name"), "{said}");
    let said = sandbox.run(&["updatekeys", "-y", "a.yaml"]);
    assert_ne!((said.code, evil.connections()), (Some(0), 1), "{}", said.stderr);
    assert_eq!(evil.connections(), 0);
}

/// What comes of a file whose address is this one.
#[test]
fn addresses_that_look_like_the_servers_get_nothing() {
    let Some(bao) = Bao::start() else { return };
    let evil = Listener::start();
    let (sandbox, _) = owner(bao, bao.address());
    let sealed = sandbox.read("a.yaml");
    let (port, own) = (evil.address(), bao.address());
    let port = port.rsplit_once(':').expect("a port").1;
    let own_host = own.strip_prefix("http://").expect("plain");
    for address in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://{own_host}@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/{own_host}"),
        format!("http://127.0.0.1:{port}/v1/.."),
        format!("http://127.0.0.1:{port}?{own_host}"),
        format!("http://127.0.0.1:{port}#@{own_host}"),
        format!("http://127.1:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("https://{own_host}"),
        format!("{own}0"),
        format!("{own}/v1/../.."),
        format!("unix:///tmp/{port}"),
    ] {
        sandbox.write("b.yaml", &sealed.replace(own, &address));
        let run = sandbox.run(&["decrypt", "b.yaml"]);
        assert_eq!(run.code, Some(128), "{address}: {}", run.stderr);
        assert!(run.stderr.contains("b.yaml"), "{address}: {}", run.stderr);
        told(&sandbox, &run.stderr, &[]);
    }
    assert_eq!(evil.connections(), 0);
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
}

/// How an answer of the real server is changed.
type Change = fn(&mut Vec<Value>);

#[test]
fn answers_with_items_that_are_wrong_open_nothing() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let cases: [(&str, Change); 8] = [
        ("one is missing", |items| drop(items.pop())),
        ("one too many", |items| items.push(items[0].clone())),
        ("two are swapped", |items| items.swap(0, 1)),
        ("a wrong reference", |items| items[1]["reference"] = "7".into()),
        ("no reference", |items| {
            drop(items[1].as_object_mut().expect("a map").remove("reference"))
        }),
        ("an empty plaintext", |items| items[1]["plaintext"] = "".into()),
        ("31 bytes", |items| items[1]["plaintext"] = "A".repeat(41).into()),
        ("not base64", |items| items[1]["plaintext"] = "hunter2!".into()),
    ];
    let mut said = String::new();
    for (what, change) in cases {
        let real = bao.address().to_owned();
        let server = Script::start(move |request| {
            let answer = Answer::from_server(&real, request);
            match request.path.contains("/decrypt/") {
                true => answer.changed(|body| {
                    let items = body["data"]["batch_results"].as_array_mut();
                    change(items.expect("results"));
                }),
                false => answer,
            }
        });
        let sandbox = user(&server.address(), bao.root(), &[(&mount, "a")]);
        let names = files(&sandbox, 3);
        run(&sandbox, &["encrypt", "-i"], &names).ok();
        let failed = run(&sandbox, &["decrypt", "--output-dir", "plain"], &names);
        // What is whole may be opened; what is not is not.
        for (index, name) in names.iter().enumerate() {
            if let Ok(plain) = fs::read_to_string(sandbox.path(&format!("plain/{name}"))) {
                assert_eq!(plain, format!("password: hunter{index}\n"), "{what}");
            }
        }
        let masks = [(server.address(), "SERVER"), (mount.clone(), "MOUNT")];
        let masks = masks.each_ref().map(|(from, to)| (from.as_str(), *to));
        let text = told(&sandbox, &failed.fails(1), &masks);
        assert!(!text.contains("hunter2"), "{text}");
        // Files are worked on side by side: which of them comes second is not known.
        let text = match text.contains("1 of 3 files failed") {
            true => names.iter().fold(text, |text, name| text.replace(name.as_str(), "ONE")),
            false => text,
        };
        said += &format!("{what}\n{text}\n");
    }
    expect![[r#"
        one is missing
        error: f0.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the answer holds something else than one result for each item (200)
        error: f1.yaml: cannot recover the data key: as for f0.yaml
        error: f2.yaml: cannot recover the data key: as for f0.yaml
        error: 3 of 3 files failed

        one too many
        error: f0.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the answer holds something else than one result for each item (200)
        error: f1.yaml: cannot recover the data key: as for f0.yaml
        error: f2.yaml: cannot recover the data key: as for f0.yaml
        error: 3 of 3 files failed

        two are swapped
        error: f0.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the answer holds something else than one result for each item (200)
        error: f1.yaml: cannot recover the data key: as for f0.yaml
        error: f2.yaml: cannot recover the data key: as for f0.yaml
        error: 3 of 3 files failed

        a wrong reference
        error: f0.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the answer holds something else than one result for each item (200)
        error: f1.yaml: cannot recover the data key: as for f0.yaml
        error: f2.yaml: cannot recover the data key: as for f0.yaml
        error: 3 of 3 files failed

        no reference
        error: f0.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the answer holds something else than one result for each item (200)
        error: f1.yaml: cannot recover the data key: as for f0.yaml
        error: f2.yaml: cannot recover the data key: as for f0.yaml
        error: 3 of 3 files failed

        an empty plaintext
        error: ONE: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  what was wrapped is 0 bytes long, a data key has 32
        error: 1 of 3 files failed

        31 bytes
        error: ONE: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the server's answer holds something else than the result
        error: 1 of 3 files failed

        not base64
        error: ONE: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the server's answer holds something else than the result
        error: 1 of 3 files failed

    "#]].assert_eq(&said);
}

#[test]
fn a_warning_that_the_request_was_not_understood_is_a_refusal() {
    let Some(bao) = Bao::start() else { return };
    let real = bao.address().to_owned();
    let server = Script::start(move |request| {
        Answer::from_server(&real, request).changed(|body| {
            let text = "Endpoint ignored these unrecognized parameters: [batch_input]";
            body["warnings"] = json!([text]);
        })
    });
    let (sandbox, _) = owner(bao, &server.address());
    let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128).replace("\n      | ", " ");
    assert!(said.contains("did not understand all of the request"), "{said}");
}

#[test]
fn an_answer_that_comes_too_slowly_is_not_waited_for() {
    let Some(bao) = Bao::start() else { return };
    let real = bao.address().to_owned();
    let server = Script::start(move |request| {
        Answer::from_server(&real, request).slowly(10, Duration::from_millis(300))
    });
    let (sandbox, _) = owner(bao, &server.address());
    let sandbox = sandbox.with("VAULT_CLIENT_TIMEOUT", "1");
    let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
    assert!(said.contains("no answer in time"), "{said}");
}

#[test]
fn a_wrapped_key_that_the_server_cannot_open_is_told_apart() {
    let Some(bao) = Bao::start() else { return };
    let (sandbox, mount) = owner(bao, bao.address());
    bao.create_key(&mount, "other", json!({}));
    bao.ask("POST", &format!("{mount}/keys/a/rotate"), Some(json!({})));
    sandbox.write("new.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "new.yaml"]).ok();
    let (old, new) = (sandbox.read("a.yaml"), sandbox.read("new.yaml"));
    assert!(old.contains("vault:v1:") && new.contains("vault:v2:"));
    let mut said = String::new();
    let mut tell = |what: &str, file: &str| {
        sandbox.write("b.yaml", file);
        let text = sandbox.run(&["decrypt", "b.yaml"]).fails(128);
        let text = told(&sandbox, &text, &[(bao.address(), "SERVER"), (&mount, "MOUNT")]);
        said += &format!("{what}\n{text}\n");
    };
    tell("said to be of the next version", &old.replace("vault:v1:", "vault:v2:"));
    tell("of the future", &old.replace("vault:v1:", "vault:v99:"));
    tell("no version", &old.replace("vault:v1:", "vault:v:"));
    tell("a version beyond all numbers", &old.replace("v1:", "v99999999999999999999:"));
    tell("no ciphertext", &old.replace("vault:v1:", "vault:v1:~"));
    tell("too short", &{
        let at = old.find("vault:v1:").expect("one") + "vault:v1:".len();
        let end = at + old[at..].find('\n').expect("a line");
        format!("{}AAAA{}", &old[..at], &old[end..])
    });
    tell("of another key", &old.replace("key_name: a\n", "key_name: other\n"));
    tell("of no key", &old.replace("key_name: a\n", "key_name: nothing\n"));
    tell("of no engine", &old.replace(&format!("engine_path: {mount}"), "engine_path: nowhere"));
    let body = json!({ "min_decryption_version": 2 });
    bao.ask("POST", &format!("{mount}/keys/a/config"), Some(body));
    tell("below what is still decrypted", &old);
    expect![[r#"
        said to be of the next version
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  cipher: message authentication failed: another key or another context made it, or it was changed

        of the future
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  invalid ciphertext: version is too new: it was made by another server, or by a key that was restored since

        no version
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the wrapped key cannot be read: it is no ciphertext of a transit engine (vault:v1:…)

        a version beyond all numbers
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the wrapped key cannot be read: it is no ciphertext of a transit engine (vault:v1:…)

        no ciphertext
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  the wrapped key cannot be read: it is no ciphertext of a transit engine (vault:v1:…)

        too short
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  invalid ciphertext length: it was cut off, or changed

        of another key
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/other  cipher: message authentication failed: another key or another context made it, or it was changed

        of no key
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/nothing  encryption key not found (400): no such key; it is not created here

        of no engine
        error: b.yaml: cannot recover the data key
          SERVER/v1/nowhere/keys/a  no handler for route "nowhere/decrypt/a". route entry not found. (404): is `nowhere` where the engine is mounted, and the namespace the right one?

        below what is still decrypted
        error: b.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  ciphertext or signature version is disallowed by policy (too old): the key decrypts this version no more: see its min_decryption_version, and whether the version was deleted

    "#]].assert_eq(&said);
    assert_eq!(sandbox.run(&["decrypt", "new.yaml"]).ok(), "a: one\n");
}

#[test]
fn places_that_hold_no_token_are_named() {
    let Some(bao) = Bao::start() else { return };
    let (sandbox, mount) = owner(bao, bao.address());
    let file = sandbox.home().join("token");
    let path = super::text(&file);
    let place = sandbox.with("VAULT_TOKEN", "").with("VAULT_TOKEN_PATH", &path);
    let mut said = String::new();
    let check = |said: &mut String, what: &str| {
        let text = place.run(&["decrypt", "a.yaml"]).fails(128);
        assert!(!text.contains("s.secret"), "{text}");
        let text = place.masked(&text).replace(bao.address(), "SERVER").replace(&mount, "MOUNT");
        *said += &format!("{what}\n{text}\n");
    };
    check(&mut said, "no file");
    fs::create_dir(&file).expect("made");
    check(&mut said, "a folder");
    fs::remove_dir(&file).expect("removed");
    for (what, content) in [
        ("nothing", &b"\n"[..]),
        ("two lines", b"s.secret\nX-Evil: 1\n"),
        ("a carriage return inside", b"s.secret\rX-Evil: 1"),
        ("no text", b"s.secret\xff"),
        ("a wrapped token", b"{\"token\":\"s.secret\"}"),
        ("another's token", b"s.secret"),
    ] {
        fs::write(&file, content).expect("written");
        check(&mut said, what);
    }
    expect![[r#"
        no file
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  permission denied (403): there is no token: DIR/home/token does not exist

        a folder
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  DIR/home/token: is a directory

        nothing
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  permission denied (403): there is no token: DIR/home/token holds none

        two lines
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  DIR/home/token: the token holds a blank, a line break or another character that no token has

        a carriage return inside
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  DIR/home/token: the token holds a blank, a line break or another character that no token has

        no text
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  DIR/home/token: is not text

        a wrapped token
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  DIR/home/token: wrapping token is not valid or does not exist (400): it has expired, was opened before, or never was a wrapping token of this server: have another made; if it cannot have expired and nobody of yours has opened it, somebody else has read what was inside: have that revoked

        another's token
        error: a.yaml: cannot recover the data key
          SERVER/v1/MOUNT/keys/a  permission denied (403): the token of DIR/home/token may have expired, or lack `update` on MOUNT/decrypt/a, where a key that is missing is refused as well; `waxseal doctor` knows which

    "#]].assert_eq(&said);
}

#[test]
fn each_meaning_of_a_refusal_is_named() {
    let Some(bao) = Bao::start() else { return };
    let (sandbox, mount) = owner(bao, bao.address());
    let team = bao.namespace();
    let masks = [(bao.address(), "SERVER"), (mount.as_str(), "MOUNT"), (team.as_str(), "TEAM")];
    let tell = |sandbox: &Sandbox, expected: &Expect| {
        let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
        expected.assert_eq(&told(sandbox, &said, &masks));
    };
    // Nobody mounted an engine of this name in the namespace.
    let sandbox = sandbox.with("VAULT_NAMESPACE", &team);
    tell(
        &sandbox,
        &expect![[r#"
            error: a.yaml: cannot recover the data key
              SERVER/v1/MOUNT/keys/a  no handler for route "MOUNT/decrypt/a". route entry not found. (404) in the namespace TEAM: is `MOUNT` where the engine is mounted, and the namespace the right one?
        "#]],
    );
    // The namespace is none.
    let sandbox = sandbox.with("VAULT_NAMESPACE", "nowhere");
    tell(
        &sandbox,
        &expect![[r#"
            error: a.yaml: cannot recover the data key
              SERVER/v1/MOUNT/keys/a  namespace not found (404) in the namespace nowhere: is `MOUNT` where the engine is mounted, and the namespace the right one?
        "#]],
    );
    // A token that may nothing; one of the past.
    let nothing = bao.token("path \"x\" { capabilities = [\"read\"] }", json!({}));
    let sandbox = sandbox.with("VAULT_NAMESPACE", "").with("VAULT_TOKEN", &nothing);
    tell(
        &sandbox,
        &expect![[r#"
            error: a.yaml: cannot recover the data key
              SERVER/v1/MOUNT/keys/a  permission denied (403): the token of VAULT_TOKEN may have expired, or lack `update` on MOUNT/decrypt/a, where a key that is missing is refused as well; `waxseal doctor` knows which
        "#]],
    );
    bao.ask("POST", "auth/token/revoke", Some(json!({ "token": nothing })));
    tell(
        &sandbox,
        &expect![[r#"
            error: a.yaml: cannot recover the data key
              SERVER/v1/MOUNT/keys/a  permission denied (403): the token of VAULT_TOKEN may have expired, or lack `update` on MOUNT/decrypt/a, where a key that is missing is refused as well; `waxseal doctor` knows which
        "#]],
    );
}

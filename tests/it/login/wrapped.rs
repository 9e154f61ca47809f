//! Wrapped secret ids and the files of Agents: looked up, opened once, and never if somebody else may
//! have made them.

use std::fs;

use serde_json::{Value, json};

use super::{Site, flat, role};
use crate::openbao::wrapped;

#[test]
fn a_wrapped_secret_id_is_opened_once_and_logs_in() {
    let Some(site) = Site::new("approle") else { return };
    let (id, _) = role(&site, json!({}));
    let login = format!("approle role_id={id} secret_id=file:wrapped wrapped_for=app");
    let sandbox = site.user(&login);
    let path = format!("auth/{}/role/app/secret-id", site.auth);
    sandbox.write("wrapped", &wrapped(site.bao, &path, &json!({})));
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let opened = ["POST sys/wrapping/lookup", "POST sys/wrapping/unwrap"];
    let rest = ["POST auth/M/login", "POST T/encrypt/a", "POST auth/token/revoke-self"];
    assert_eq!(site.asked(0), [&opened[..], &rest].concat());
    let unwrap = &site.server.requests()[1];
    assert!(unwrap.header("x-vault-token").is_some() && unwrap.body.is_empty());

    // It is spent, which is an alarm unless somebody knows why, or it is old.
    let from = site.server.requests().len();
    let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
    let alarm = "it has expired, was opened before, or never was a wrapping token of this server: have \
                 another made; if it cannot have expired and nobody of yours has opened it, somebody else \
                 has read what was inside: have that revoked";
    assert!(said.contains(alarm), "{said}");
    assert_eq!(site.asked(from), ["POST sys/wrapping/lookup"]);
}

#[test]
fn a_secret_id_and_a_wrapping_token_that_changed_places_are_no_alarm() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let login = format!("approle role_id={id} secret_id=file:secret");
    // Nothing is sent of what cannot be opened.
    let sandbox = site.user(&format!("{login} wrapped_for=app"));
    sandbox.write("secret", &secret);
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    let expected = "file:secret: it holds no wrapping token, which begins with `hvs.` or `s.`; if it is \
                    the secret id itself, leave wrapped_for out";
    assert!(said.contains(expected) && !said.contains(&secret), "{said}");
    assert!(!said.contains("somebody else"), "{said}");
    assert_eq!(site.asked(0), Vec::<String>::new());
    // What is wrapped is no secret id, and is not used up by that.
    let path = format!("auth/{}/role/app/secret-id", site.auth);
    let token = wrapped(site.bao, &path, &json!({}));
    for login in [login.clone(), format!("{login} inline=true")] {
        let sandbox = site.user(&login);
        sandbox.write("secret", &token);
        let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
        let hint = "its secret id looks like a wrapping token: say wrapped_for=ROLE";
        assert!(said.contains(hint) && !said.contains(token.trim()), "{said}");
    }
    let sandbox = site.user(&format!("{login} wrapped_for=app"));
    sandbox.write("secret", &token);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
}

#[test]
fn a_wrapping_token_that_was_made_elsewhere_is_not_opened() {
    let Some(site) = Site::new("approle") else { return };
    let (id, _) = role(&site, json!({}));
    site.set("role/other", json!({}));
    let login = format!("approle role_id={id} secret_id=file:wrapped wrapped_for=app");
    let sandbox = site.user(&login);
    let other = format!("auth/{}/role/other/secret-id", site.auth);
    for (path, body) in [
        (other.as_str(), json!({})),
        // What anybody with a token can make.
        ("sys/wrapping/wrap", json!({ "secret_id": "hunter2" })),
    ] {
        let from = site.server.requests().len();
        sandbox.write("wrapped", &wrapped(site.bao, path, &body));
        let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
        let expected = format!("it was made at `{path}`");
        assert!(said.contains(&expected) && !said.contains("hunter2"), "{said}");
        assert_eq!(site.asked(from), ["POST sys/wrapping/lookup"]);
    }
}

#[test]
fn the_file_of_an_agent_holds_a_token_or_a_wrapped_one() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let sandbox = site.anybody();
    let file = sandbox.home().join(".vault-token");
    let token = site.bao.call(
        "POST",
        &format!("auth/{}/login", site.auth),
        None,
        Some(json!({ "role_id": id, "secret_id": secret })),
    );
    let token = token.1["auth"]["client_token"].as_str().expect("a token").to_owned();
    let sink = |path: &str, body: &Value| {
        let token = wrapped(site.bao, path, body);
        let sink = json!({ "token": token, "ttl": 60, "creation_path": path });
        fs::write(&file, sink.to_string()).expect("written");
    };
    sandbox.run(&["encrypt", "a.yaml"]).fails(1);
    let login = format!("auth/{}/login", site.auth);
    let bodies = [
        ("sys/wrapping/wrap", json!({ "token": token })),
        (login.as_str(), json!({ "role_id": id, "secret_id": secret })),
    ];
    for (path, body) in &bodies {
        let from = site.server.requests().len();
        sink(path, body);
        for index in 0..250 {
            sandbox.write(&format!("{index}.yaml"), "a: one\n");
        }
        let names: Vec<_> = (0..250).map(|index| format!("{index}.yaml")).collect();
        let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
        sandbox.run(&words.collect::<Vec<_>>()).ok();
        let asked = site.asked(from);
        let opened = ["POST sys/wrapping/lookup", "POST sys/wrapping/unwrap"];
        assert_eq!(asked[..2], opened, "once");
        assert!(asked[2..].iter().all(|it| it == "POST T/encrypt/a"), "{asked:?}");
    }
    // Somebody put another token there than the Agent.
    let path = "sys/wrapping/wrap";
    let planted = wrapped(site.bao, path, &json!({ "token": token }));
    let sink = json!({ "token": planted, "creation_path": format!("auth/{}/login", site.auth) });
    fs::write(&file, sink.to_string()).expect("written");
    let from = site.server.requests().len();
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    assert!(said.contains("it was made at `sys/wrapping/wrap`"), "{said}");
    assert!(!said.contains(&planted), "{said}");
    assert_eq!(site.asked(from), ["POST sys/wrapping/lookup"]);
}

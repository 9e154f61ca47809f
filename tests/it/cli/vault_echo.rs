//! Servers and proxies that repeat the request when they refuse it: nothing of it is shown.

use serde_json::{Value, json};

use super::Sandbox;
use super::vault::user;
use crate::openbao::{Answer, Request, Script};

const NOT_SHOWN: &str = "the server's text holds what was sent: not shown";

const TOKEN: &str = "s.SECRETTOKEN";

/// Everything that came, as it is repeated.
fn echo(request: &Request) -> String {
    let token = request.header("x-vault-token").unwrap_or_default();
    format!("cannot parse: {} token {token}", String::from_utf8_lossy(&request.body))
}

/// Nothing of this is in a message, neither whole nor its beginning.
#[track_caller]
fn holds_none(said: &str, secrets: &[&str]) {
    assert!(said.contains(NOT_SHOWN), "{said}");
    for secret in secrets {
        let start = &secret[..secret.len().min(12)];
        assert!(!said.contains(start), "{secret}: {said}");
    }
}

#[test]
fn a_data_key_that_a_server_repeats_is_not_shown() {
    let json = |status| {
        move |request: &Request| Answer::json(status, &json!({ "errors": [echo(request)] }))
    };
    let items = |request: &Request| {
        let item = json!({ "reference": "0", "error": echo(request) });
        Answer::json(400, &json!({ "data": { "batch_results": [item] } }))
    };
    for server in [
        Script::start(json(400)),
        Script::start(json(403)),
        Script::start(items),
        Script::start(|request| Answer::new(400, format!("Bad request: {}", echo(request)))),
        // Cut where a proxy has no more room.
        Script::start(|request| Answer::new(502, echo(request)[..90].to_owned())),
    ] {
        let sandbox = user(&server.address(), TOKEN, &[("transit", "app")]);
        sandbox.write("a.yaml", "a: one\n");
        let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
        let sent: Value = serde_json::from_slice(&server.requests()[0].body).expect("JSON");
        let key = sent["batch_input"][0]["plaintext"].as_str().expect("a data key").to_owned();
        holds_none(&said, &[&key, TOKEN]);
        assert_eq!(sandbox.read("a.yaml"), "a: one\n");
    }
}

#[test]
fn values_that_a_proxy_repeats_are_not_shown() {
    let server = Script::start(|request| match request.method.as_str() {
        "GET" if request.path.contains("ui/mounts") => {
            let mount = json!({ "path": "secret/", "type": "kv", "options": { "version": "2" } });
            Answer::json(200, &json!({ "data": mount }))
        }
        "GET" => Answer::json(404, &json!({ "errors": [] })),
        _ => Answer::new(502, format!("Bad gateway, the request was {}", echo(request))),
    });
    let rules = "  - vault_path: t\n";
    let sandbox = super::kv::user(&server.address(), rules).with("VAULT_TOKEN", TOKEN);
    sandbox.sealed("f.yaml", "pw: hunter2\npin: 48151623\nkey: |\n  one line\n  of several\n");
    let said = sandbox.run(&["publish", "-y", "f.yaml"]).fails(1);
    holds_none(&said, &["hunter2", "48151623", "one line", "of several", TOKEN]);
    assert!(server.requests().iter().any(|request| request.method != "GET"));
}

#[test]
fn a_password_that_a_server_repeats_is_not_shown() {
    let server = Script::start(|request| Answer::json(400, &json!({ "errors": [echo(request)] })));
    let sandbox = Sandbox::bare()
        .with("VAULT_ADDR", &server.address())
        .with("VAULT_MAX_RETRIES", "0")
        .with("PW", "hunter2");
    let said = sandbox.run(&["login", "userpass", "username=a", "password=env:PW"]).fails(1);
    holds_none(&said, &["hunter2"]);
    // Which field is wrong is no secret.
    let server = Script::start(|_| {
        Answer::json(400, &json!({ "errors": ["invalid username or password"] }))
    });
    let sandbox = sandbox.with("VAULT_ADDR", &server.address()).with("PW", "password1");
    let said = sandbox.run(&["login", "userpass", "username=a", "password=env:PW"]).fails(1);
    assert!(said.contains("invalid username or password (400)"), "{said}");
}

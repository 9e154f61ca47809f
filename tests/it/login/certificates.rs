//! Certificates, over TLS.

use serde_json::{Value, json};

use super::{Bao, Sandbox};

/// A key and a certificate of an authority in the server's PKI engine, written as files; the
/// certificate of the authority.
fn issue(bao: &dyn Fn(&str, Value) -> Value, sandbox: &Sandbox, mount: &str, name: &str) -> String {
    let made = bao(&format!("{mount}/issue/any"), json!({ "common_name": name, "ttl": "1h" }));
    let text = |field: &str| made["data"][field].as_str().expect("a text").to_owned();
    sandbox.write(&format!("{name}.pem"), &text("certificate"));
    sandbox.write(&format!("{name}.key"), &text("private_key"));
    text("issuing_ca")
}

#[test]
fn a_certificate_logs_in_be_it_that_of_every_connection_or_one_of_its_own() {
    let Some((bao, ca)) = Bao::with_tls() else { return };
    let sandbox = Sandbox::bare()
        .with("VAULT_ADDR", bao.address())
        .with("VAULT_CACERT", ca.to_str().expect("UTF-8"))
        .with("VAULT_MAX_RETRIES", "0");
    // An operator's work is done by the program of the server: the tests speak no TLS.
    let ask = |path: &str, body: Value| -> Value {
        let program = std::env::var("WAXSEAL_PEERS").expect("it runs") + "/bao";
        sandbox.write("body.json", &body.to_string());
        let mut command = sandbox.command(program);
        command.env("BAO_ADDR", bao.address()).env("BAO_CACERT", &ca).env("BAO_TOKEN", "root");
        command.args(["write", "-format=json", path, "@body.json"]);
        let output = command.output().expect("it ran");
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    };
    ask("sys/mounts/pki", json!({ "type": "pki" }));
    ask(&super::authority("pki"), json!({ "common_name": "authority", "key_type": "ec" }));
    let any = json!({ "allow_any_name": true, "enforce_hostnames": false, "key_type": "ec" });
    ask("pki/roles/any", any);
    let authority = issue(&ask, &sandbox, "pki", "ci");
    issue(&ask, &sandbox, "pki", "stranger");
    ask("sys/auth/cert", json!({ "type": "cert" }));
    let role = json!({ "certificate": authority, "allowed_common_names": "ci",
        "token_policies": "default" });
    ask("auth/cert/certs/app", role);

    let none = sandbox.run(&["login", "cert", "--print"]).fails(1);
    assert!(none.contains("client certificate must be supplied"), "{none}");
    let token = sandbox.run(&["login", "cert", "cert=ci.pem", "key=ci.key", "--print"]).ok();
    assert!(token.trim().len() > 20, "a token");
    // The role can be named, and the certificate be that of every connection.
    let sandbox = sandbox.with("VAULT_CLIENT_CERT", "ci.pem").with("VAULT_CLIENT_KEY", "ci.key");
    sandbox.run(&["login", "cert", "name=app"]).ok();
    let kept = std::fs::read_to_string(sandbox.home().join(".vault-token")).expect("kept");
    assert_ne!(kept.trim(), token.trim());
    sandbox.run(&["logout"]).ok();
    let refused = sandbox.run(&["login", "cert", "cert=stranger.pem", "key=stranger.key"]);
    let refused = refused.fails(1);
    assert!(refused.contains("(400)"), "{refused}");
    assert!(!refused.contains("PRIVATE KEY"), "{refused}");
}

//! What is said to somebody who begins with Vault, and has set one thing in another way.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::terminal::end;
use super::vault::user;
use super::{Sandbox, text};
use crate::openbao::{Bao, Listener};

/// A user of a server with a file that it opens, its mount, and a message without its line breaks.
fn owner(bao: &Bao) -> (Sandbox, String) {
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "a")]);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    (sandbox, mount)
}

fn flat(said: &str) -> String {
    said.replace("\n      | ", " ")
}

#[test]
fn a_path_in_the_address_is_named() {
    let Some(bao) = Bao::start() else { return };
    let (mut sandbox, _) = owner(bao);
    for path in ["/v1", "/foo"] {
        sandbox = sandbox.with("VAULT_ADDR", &format!("{}{path}", bao.address()));
        let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
        let hint = format!("scheme, host and port are enough: take `{path}` off");
        assert!(said.contains(&hint) && !said.contains("ALLOWLIST"), "{said}");
    }
}

#[test]
fn a_port_for_tls_that_is_asked_without_it_is_suspected() {
    // One server ends the connection unread, another one sends an alert of TLS.
    for alert in [&b""[..], b"\x15\x03\x03\x00\x02\x02\x46"] {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", port.local_addr().expect("bound"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = port.accept().expect("a connection");
            stream.read_exact(&mut [0]).expect("a byte");
            stream.write_all(alert).expect("sent");
        });
        let sandbox = user(&address, "s.secret", &[("transit", "a")]);
        sandbox.write("a.yaml", "a: one\n");
        let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
        assert!(
            said.contains("if the port is one for TLS, the address begins with https://"),
            "{said}"
        );
        server.join().expect("no panic");
    }
}

#[test]
fn a_key_of_the_same_name_in_another_namespace_is_the_first_suspect() {
    let Some(bao) = Bao::start() else { return };
    let (sandbox, mount) = owner(bao);
    let team = bao.namespace();
    bao.ask("POST", &format!("{team}/sys/mounts/{mount}"), Some(json!({ "type": "transit" })));
    bao.ask("POST", &format!("{team}/{mount}/keys/a"), Some(json!({})));
    let sandbox = sandbox.with("VAULT_NAMESPACE", &team);
    let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
    let first = format!(
        "in the namespace {team}, which your environment names and the file does not: is it the right \
         one? If so, another key"
    );
    assert!(said.contains(&first), "{said}");
}

#[test]
fn a_token_file_that_is_not_there_is_none_that_is_empty() {
    let Some(bao) = Bao::start() else { return };
    let (sandbox, _) = owner(bao);
    let sandbox = sandbox.with("VAULT_TOKEN", "").with("VAULT_TOKEN_FILE", "token");
    let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
    assert!(said.contains("there is no token: token does not exist"), "{said}");
    sandbox.write("token", "\n");
    let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
    assert!(said.contains("there is no token: token holds none"), "{said}");
}

#[test]
fn a_configuration_that_says_something_else_is_no_silence() {
    let Some(bao) = Bao::start() else { return };
    let (sandbox, _) = owner(bao);
    let sandbox = sandbox.with("VAULT_TOKEN", "");
    for config in ["# mine\ntoken_helper = /bin/helper\n", "\ntoken_helpers = \"/bin/helper\"\n"] {
        std::fs::write(sandbox.home().join(".vault"), config).expect("written");
        let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
        let what = ".vault: line 2 is passed over: only `token_helper = \"/PATH\"` is read there";
        assert!(said.contains("there is no token: ") && said.contains(what), "{said}");
        let (shown, code) = end(sandbox.at_terminal("decrypt a.yaml"));
        assert!(shown.contains("note: ") && shown.contains(what), "{shown}");
        assert_eq!(code, 128);
    }
    // A good one is no matter of any note.
    let helper = sandbox.home().join("helper");
    std::fs::write(&helper, "#!/bin/sh\necho root\n").expect("written");
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).expect("mode");
    let config = format!("# mine\ntoken_helper = \"{}\"\n", text(&helper));
    std::fs::write(sandbox.home().join(".vault"), config).expect("written");
    let (shown, code) = end(sandbox.at_terminal("decrypt a.yaml"));
    assert!(!shown.contains("note: ") && shown.contains("a: one"), "{shown}");
    assert_eq!(code, 0);
}

#[test]
fn who_calls_us_sops_is_told_where_we_are_stricter() {
    let Some(bao) = Bao::start() else { return };
    let other = Listener::start();
    let (sandbox, _) = owner(bao);
    sandbox.write("a.yaml", &sandbox.read("a.yaml").replace(bao.address(), &other.address()));
    let sops = sandbox.home().join("sops");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_waxseal"), &sops).expect("linked");
    let said = flat(&sandbox.start(&sops, &["decrypt", "a.yaml"], "").fails(128));
    assert!(said.contains("sops would have sent it, since no list means `all` there"), "{said}");
    let line = format!("export SOPS_HC_VAULT_ALLOWLIST={}", other.address());
    assert!(said.contains(&line), "{said}");
    let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
    assert!(!said.contains("sops would"), "{said}");
    assert_eq!(other.connections(), 0);
}

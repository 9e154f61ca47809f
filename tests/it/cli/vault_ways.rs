//! The way to a server: over a proxy, so many requests at a time, and none where none is needed.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;

use super::Sandbox;
use super::vault::user;
use crate::openbao::{Answer, Bao, Listener, Recorder, Script};

/// A name that no resolver knows: who gets there went over the proxy.
const FAR: &str = "http://vault.invalid:8200";

#[test]
fn a_proxy_is_taken_where_a_variable_names_one_for_that_server() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let proxy = Recorder::before(bao.address());
    let run = |address: &str, variables: &[(&str, &str)]| {
        let mut sandbox = user(address, bao.root(), &[(&mount, "a")]);
        for (name, value) in variables {
            sandbox = sandbox.with(name, value);
        }
        sandbox.write("a.yaml", "a: one\n");
        let before = proxy.requests().len();
        let run = sandbox.run(&["encrypt", "-i", "a.yaml"]);
        let seen: Vec<_> = proxy.requests()[before..].iter().map(|it| it.path.clone()).collect();
        (run, seen)
    };
    let own = proxy.address();
    let absent = "http://127.0.0.1:1";
    for (address, variables) in [
        (FAR, &[("HTTP_PROXY", own.as_str())][..]),
        (FAR, &[("http_proxy", &own), ("no_proxy", "vault.example,.internal")]),
        // What is named for these servers alone counts for all of them.
        (FAR, &[("VAULT_PROXY_ADDR", &own), ("HTTP_PROXY", absent), ("NO_PROXY", "vault.invalid")]),
        (FAR, &[("VAULT_HTTP_PROXY", &own), ("NO_PROXY", "*")]),
        (FAR, &[("VAULT_PROXY_ADDR", &own), ("BAO_HTTP_PROXY", absent)]),
        (bao.address(), &[("BAO_PROXY_ADDR", &own)]),
    ] {
        let (run, seen) = run(address, variables);
        assert_eq!(run.ok(), "", "{variables:?}");
        assert_eq!(seen, [format!("{address}/v1/{mount}/encrypt/a")], "{variables:?}");
    }
    // This machine needs none.
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (run, seen) = run(bao.address(), &[(name, &own)]);
        assert_eq!((run.ok().as_str(), seen.len()), ("", 0), "{name}");
    }
    let (said, seen) = run(FAR, &[("HTTP_PROXY", &own), ("NO_PROXY", "vault.invalid")]);
    assert!(said.fails(1).contains("cannot connect"));
    assert_eq!(seen.len(), 0);
    let (said, _) = run(FAR, &[("VAULT_PROXY_ADDR", absent)]);
    let said = said.fails(1);
    assert!(said.contains("over the proxy of VAULT_PROXY_ADDR"), "{said}");
}

#[test]
fn a_server_that_agrees_on_no_cipher_was_not_reached() {
    // It takes connections and says nothing; to connect has a time of its own, after which nothing was sent.
    let server = Listener::start();
    let address = server.address().replace("http:", "https:");
    let sandbox = user(&address, "s.token", &[("transit", "a")]);
    sandbox.write("a.yaml", "a: one\n");
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    assert!(said.contains("cannot connect: "), "{said}");
    assert_eq!(server.connections(), 1);
}

/// Requests that are under way.
#[derive(Default)]
struct UnderWay {
    now: usize,
    most: usize,
}

/// How many may be.
const MOST: usize = 4;

#[test]
fn four_requests_are_under_way_at_a_time_and_no_more() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    let names: Vec<String> = (0..3 * MOST).map(|index| format!("k{index}")).collect();
    for name in &names {
        bao.create_key(&mount, name, json!({}));
    }
    let gate = Arc::new((Mutex::new(UnderWay::default()), Condvar::new()));
    let server = Script::start({
        let gate = Arc::clone(&gate);
        move |request| {
            let (state, changed) = &*gate;
            let mut under_way = state.lock().expect("no panic");
            under_way.now += 1;
            under_way.most = under_way.most.max(under_way.now);
            changed.notify_all();
            // The first are held until all of them are here, and then for as long as one more would take.
            let until = |most: usize, time, under_way| {
                let waits = |it: &mut UnderWay| it.most < most;
                changed.wait_timeout_while(under_way, time, waits).expect("no panic").0
            };
            let under_way = until(MOST, Duration::from_secs(10), under_way);
            until(MOST + 1, Duration::from_millis(200), under_way).now -= 1;
            Answer::from_server(bao.address(), request)
        }
    });
    let keys: Vec<_> = names.iter().map(|name| (mount.as_str(), name.as_str())).collect();
    let sandbox = user(&server.address(), bao.root(), &keys);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert_eq!(server.requests().len(), names.len());
    assert_eq!(gate.0.lock().expect("no panic").most, MOST);
}

#[test]
fn a_run_that_needs_no_server_minds_nothing_that_is_said_of_one() {
    let server = Listener::start();
    for (name, value, problem) in [
        ("VAULT_ADDR", "nonsense", "VAULT_ADDR"),
        ("VAULT_CACERT", "/nowhere/ca.pem", "VAULT_CACERT: /nowhere/ca.pem"),
        ("VAULT_CAPATH", "/nowhere", "VAULT_CAPATH: /nowhere"),
        ("VAULT_CLIENT_KEY", "/nowhere/key.pem", "VAULT_CLIENT_KEY"),
        ("VAULT_CLIENT_TIMEOUT", "soon", "VAULT_CLIENT_TIMEOUT"),
        ("VAULT_TOKEN_PATH", "/", "/: is a directory"),
        ("VAULT_CONFIG_PATH", "/", "VAULT_CONFIG_PATH: /: is a directory"),
        ("VAULT_TOKEN", "two words", "VAULT_TOKEN"),
        ("WAXSEAL_VAULT_AUTH", "nothing", "WAXSEAL_VAULT_AUTH"),
        ("SOPS_HC_VAULT_ALLOWLIST", ",", "SOPS_HC_VAULT_ALLOWLIST"),
    ] {
        let mut sandbox = Sandbox::new().with("VAULT_MAX_RETRIES", "0");
        if name != "VAULT_ADDR" {
            sandbox = sandbox.with("VAULT_ADDR", &server.address());
        }
        let sandbox = sandbox.with(name, value);
        let uri = format!("{}/v1/transit/keys/a", server.address());
        let remote = format!("    - path_regex: remote\n      hc_vault_transit_uri: {uri}\n");
        let own = format!("    - age: {}\n", sandbox.recipient);
        sandbox.write(".sops.yaml", &format!("creation_rules:\n{remote}{own}"));
        sandbox.sealed("a.yaml", "a: one\n");
        sandbox.run(&["set", "a.yaml", "[\"a\"]", "\"two\""]).ok();
        sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
        assert_eq!(sandbox.run(&["updatekeys", "-y", "a.yaml"]).code, Some(0), "{name}");
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: two\n", "{name}");
        // And one that needs it does mind.
        sandbox.write("remote.yaml", "a: one\n");
        let said = sandbox.run(&["encrypt", "-i", "remote.yaml"]).fails(1);
        let flat = said.replace("\n  ", " ").replace("    | ", "");
        assert!(flat.contains(problem), "{name}: {said}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_file_that_a_local_key_opens_needs_no_server() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "a", json!({}));
    let server = Recorder::before(bao.address());
    let sandbox = Sandbox::new();
    let uri = format!("{}/v1/{mount}/keys/a", server.address());
    let config = format!("{}      hc_vault_transit_uri: {uri}\n", sandbox.read(".sops.yaml"));
    sandbox.write(".sops.yaml", &config);
    let mut sandbox = sandbox.with("VAULT_ADDR", &server.address()).with("VAULT_TOKEN", bao.root());
    sandbox.sealed("a.yaml", "a: one\n");
    let asked = server.requests().len();
    assert_eq!(asked, 1);
    sandbox.vars.clear();
    let sandbox = sandbox.with("VAULT_ADDR", "nonsense").with("VAULT_CACERT", "/nowhere");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "\"two\""]).ok();
    assert_eq!(server.requests().len(), asked);
}

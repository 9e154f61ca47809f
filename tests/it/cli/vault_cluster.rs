//! A cluster of three: whoever leads changes in the middle of a run, and those that stand by pass requests
//! on or send them on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{Run, Sandbox, text};
use crate::openbao::{Answer, Cluster, Script, send};

const FILES: usize = 500;

/// The request of a run, from 0, before which nobody leads any more.
const MIDDLE: usize = 2;

fn user(cluster: &Cluster, server: &str) -> Sandbox {
    let sandbox =
        Sandbox::bare().with("VAULT_ADDR", server).with("VAULT_TOKEN", cluster.leader().root());
    rule(&sandbox, server, "app");
    sandbox
}

fn rule(sandbox: &Sandbox, server: &str, key: &str) {
    let uri = format!("{server}/v1/transit/keys/{key}");
    sandbox.write(".sops.yaml", &format!("creation_rules:\n  - hc_vault_transit_uri: {uri}\n"));
}

fn run(sandbox: &Sandbox, words: &[&str], names: &[String]) -> Run {
    let words = words.iter().copied().chain(names.iter().map(String::as_str));
    sandbox.run(&words.collect::<Vec<_>>())
}

fn cluster() -> Option<Arc<Cluster>> {
    let cluster = Cluster::start()?;
    cluster.leader().ask("POST", "sys/mounts/transit", Some(json!({ "type": "transit" })));
    for key in ["app", "next"] {
        cluster.leader().create_key("transit", key, json!({}));
    }
    Some(Arc::new(cluster))
}

/// Many files of a user, and the server between them and the cluster.
struct Stage {
    cluster: Arc<Cluster>,
    server: Script,
    sandbox: Sandbox,
    names: Vec<String>,
    /// Requests to come until the leader steps down, twice; `None`: none does.
    fuse: Arc<Mutex<Option<usize>>>,
}

impl Stage {
    fn set() -> Option<Self> {
        let cluster = cluster()?;
        // The user names one server of the three, whoever leads.
        let address = cluster.leader().address().to_owned();
        let fuse = Arc::new(Mutex::new(None));
        let server = Script::start({
            let (cluster, fuse) = (Arc::clone(&cluster), Arc::clone(&fuse));
            move |request| {
                let burns = {
                    let mut fuse = fuse.lock().expect("no panic");
                    let burns = *fuse == Some(0);
                    *fuse = fuse.and_then(|left: usize| left.checked_sub(1));
                    burns
                };
                if burns {
                    // The second one lasts ten seconds, more than repetitions take.
                    cluster.step_down();
                    cluster.step_down();
                }
                Answer::from_server(&address, request)
            }
        });
        let sandbox = user(&cluster, &server.address());
        let names: Vec<String> = (0..FILES).map(|index| format!("f{index}.yaml")).collect();
        for (index, name) in names.iter().enumerate() {
            sandbox.write(name, &format!("password: hunter{index}\n"));
        }
        Some(Self { cluster, server, sandbox, names, fuse })
    }

    /// A run in the middle of which the leader steps down: what is said.
    #[track_caller]
    fn survives(&self, words: &[&str]) {
        *self.fuse.lock().expect("no panic") = Some(MIDDLE);
        let run = run(&self.sandbox, words, &self.names);
        assert_eq!(run.code, Some(0), "{words:?}: {}", run.stderr);
        assert_eq!(*self.fuse.lock().expect("no panic"), None, "{words:?}: nothing was in the way");
    }

    #[track_caller]
    fn all(&self, what: &str, holds: impl Fn(&str) -> bool) {
        for name in &self.names {
            let text = self.sandbox.read(name);
            assert!(holds(&text), "{what}, {name}: {text}");
        }
    }

    #[track_caller]
    fn is_plain_in(&self, folder: &str) {
        for (index, name) in self.names.iter().enumerate() {
            let plain = self.sandbox.read(&format!("{folder}/{name}"));
            assert_eq!(plain, format!("password: hunter{index}\n"));
        }
    }
}

#[test]
fn step_downs_in_the_middle_of_a_run_lose_nothing_and_fail_nothing() {
    let Some(stage) = Stage::set() else { return };
    stage.survives(&["encrypt", "-i"]);
    stage.all("encrypt", |text| text.contains("key_name: app\n") && !text.contains("hunter"));
    stage.survives(&["decrypt", "--output-dir", "plain"]);
    stage.is_plain_in("plain");
    rule(&stage.sandbox, &stage.server.address(), "next");
    stage.survives(&["updatekeys", "-y"]);
    stage.all("updatekeys", |text| !text.contains("key_name: app\n"));
    stage.cluster.leader().ask("POST", "transit/keys/next/rotate", None);
    stage.survives(&["rewrap"]);
    stage.all("rewrap", |text| text.contains("enc: vault:v2:"));
    let before: Vec<_> = stage.names.iter().map(|name| stage.sandbox.read(name)).collect();
    stage.survives(&["rotate", "-i"]);
    let is_new = |(name, old): (&String, &String)| stage.sandbox.read(name) != *old;
    assert!(stage.names.iter().zip(&before).all(is_new));
    run(&stage.sandbox, &["decrypt", "--output-dir", "last"], &stage.names).ok();
    stage.is_plain_in("last");
}

#[test]
fn a_server_that_sends_us_to_the_leader_is_followed_if_the_user_named_that_one() {
    let Some(cluster) = cluster() else { return };
    let standby = cluster.standby().address().to_owned();
    let sends_on = Arc::new(AtomicBool::new(true));
    let server = Script::start({
        let sends_on = Arc::clone(&sends_on);
        move |request| {
            let mut request = request.clone();
            if sends_on.load(Ordering::SeqCst) {
                let header = ("X-Vault-No-Request-Forwarding".to_owned(), "true".to_owned());
                request.headers.push(header);
            }
            Answer::from_server(&standby, &request)
        }
    });
    let sandbox = user(&cluster, &server.address());
    sandbox.write("a.yaml", "a: one\n");
    let leader = cluster.leader().address().to_owned();
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    let flat = said.replace("\n  ", " ").replace("    | ", "");
    assert!(flat.contains("a.yaml") && flat.contains("which you did not name"), "{said}");
    assert!(flat.contains(&format!("sends the request on to {leader}")), "{said}");
    assert!(!said.contains(cluster.leader().root()), "{said}");
    assert_eq!(sandbox.read("a.yaml"), "a: one\n");

    // One that passes it on needs no word of the user.
    sends_on.store(false, Ordering::SeqCst);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    sends_on.store(true, Ordering::SeqCst);
    sandbox.run(&["decrypt", "a.yaml"]).fails(128);

    let list: Vec<_> = cluster.nodes().iter().map(|node| node.address()).collect();
    let sandbox = sandbox.with("SOPS_HC_VAULT_ALLOWLIST", &list.join(","));
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    sandbox.write("b.yaml", "a: two\n");
    sandbox.run(&["encrypt", "-i", "b.yaml"]).ok();
    writes_in_its_own_way(&cluster);
    logs_in_once(&cluster, &server, &list.join(","));
    helps_for_one(&cluster, &server, &list.join(","));
    // Who follows none is told.
    let sandbox = sandbox.with("VAULT_DISABLE_REDIRECTS", "true");
    let said = sandbox.run(&["decrypt", "b.yaml"]).fails(128);
    assert!(said.contains("307"), "{said}");
}

/// A credential that is good for one time is enough for the server and the leader that it sends to; and the
/// token goes back.
fn logs_in_once(cluster: &Cluster, server: &Script, allowed: &str) {
    let leader = cluster.leader();
    leader.ask("POST", "sys/auth/approle", Some(json!({ "type": "approle" })));
    let policy = "path \"transit/*\" { capabilities = [\"update\"] }";
    leader.ask("POST", "sys/policies/acl/app", Some(json!({ "policy": policy })));
    let role = json!({ "token_policies": "app", "secret_id_num_uses": 1 });
    leader.ask("POST", "auth/approle/role/app", Some(role));
    let id = leader.ask("GET", "auth/approle/role/app/role-id", None);
    let id = id["data"]["role_id"].as_str().expect("a text");
    let secret = leader.ask("POST", "auth/approle/role/app/secret-id", Some(json!({})));
    let sandbox = user(cluster, &server.address())
        .with("VAULT_TOKEN", "")
        .with("SOPS_HC_VAULT_ALLOWLIST", allowed)
        .with("WAXSEAL_VAULT_AUTH", &format!("approle role_id={id} secret_id=env:SECRET"))
        .with("SECRET", secret["data"]["secret_id"].as_str().expect("a text"));
    let tokens = || {
        let list = cluster.leader().ask("LIST", "auth/token/accessors", None);
        list["data"]["keys"].as_array().expect("a list").len()
    };
    let before = tokens();
    let names: Vec<String> = (0..250).map(|index| format!("l{index}.yaml")).collect();
    for name in &names {
        sandbox.write(name, "a: one\n");
    }
    let from = server.requests().len();
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    let asked: Vec<_> = server.requests()[from..].iter().map(|it| it.path.clone()).collect();
    assert_eq!(asked.iter().filter(|path| path.ends_with("login")).count(), 1, "{asked:?}");
    assert!(asked.last().is_some_and(|path| path.ends_with("revoke-self")), "{asked:?}");
    assert_eq!(tokens(), before);
}

/// A server that stands by writes a path in its own way, as that of a login by a name with `@`.
fn writes_in_its_own_way(cluster: &Cluster) {
    let standby = cluster.standby().address().to_owned();
    let headers = [("X-Vault-No-Request-Forwarding".to_owned(), "true".to_owned())];
    let path = "/v1/auth/ldap/login/anna%40b.example";
    let answer = send(&standby, "POST", path, &headers, b"{}").expect("an answer");
    let location = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
    let location = location.map(|(_, location)| location.as_str());
    let expected = format!("{}/v1/auth/ldap/login/anna@b.example", cluster.leader().address());
    assert_eq!((answer.status, location), (307, Some(expected.as_str())));
}

/// A token helper that knows the token of one server alone.
fn helps_for_one(cluster: &Cluster, server: &Script, allowed: &str) {
    let sandbox = user(cluster, &server.address())
        .with("VAULT_TOKEN", "")
        .with("SOPS_HC_VAULT_ALLOWLIST", allowed);
    sandbox.write("h.yaml", "a: one\n");
    let helper = sandbox.home().join("helper");
    let config = format!("token_helper = \"{}\"\n", text(&helper));
    fs::write(sandbox.home().join(".vault"), config).expect("written");
    let helps = |of: &str| {
        let token = cluster.leader().root();
        let script = format!("#!/bin/sh\ncase $VAULT_ADDR in {of}) echo {token};; esac\n");
        fs::write(&helper, script).expect("written");
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("mode");
    };
    helps(&server.address());
    let said = sandbox.run(&["encrypt", "-i", "h.yaml"]).fails(1);
    let flat = said.replace("\n  ", " ").replace("    | ", "");
    assert!(flat.contains("for which there is no token: let your token helper give one"), "{said}");
    assert_eq!(sandbox.read("h.yaml"), "a: one\n");
    helps("*");
    sandbox.run(&["encrypt", "-i", "h.yaml"]).ok();
}

//! A cluster of three: whoever leads changes in the middle of a run, and those that stand by pass requests
//! on or send them on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::{Run, Sandbox};
use crate::openbao::{Answer, Cluster, Script};

const FILES: usize = 500;

/// The request of a run, from 0, before which nobody leads any more.
const MIDDLE: usize = 4;

fn user(cluster: &Cluster, server: &str) -> Sandbox {
    let sandbox =
        Sandbox::bare().with("VAULT_ADDR", server).with("VAULT_TOKEN", cluster.leader().root());
    let rule = format!("creation_rules:\n  - hc_vault_transit_uri: {server}/v1/transit/keys/app\n");
    sandbox.write(".sops.yaml", &rule);
    sandbox
}

fn run(sandbox: &Sandbox, words: &[&str], names: &[String]) -> Run {
    let words = words.iter().copied().chain(names.iter().map(String::as_str));
    sandbox.run(&words.collect::<Vec<_>>())
}

fn cluster() -> Option<Arc<Cluster>> {
    let cluster = Cluster::start()?;
    cluster.leader().ask("POST", "sys/mounts/transit", Some(json!({ "type": "transit" })));
    cluster.leader().create_key("transit", "app", json!({}));
    Some(Arc::new(cluster))
}

#[test]
fn a_step_down_in_the_middle_of_a_run_loses_nothing_and_fails_nothing() {
    let Some(cluster) = cluster() else { return };
    // The user names one server of the three, whoever leads.
    let address = cluster.leader().address().to_owned();
    let armed = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Script::start({
        let (cluster, address) = (Arc::clone(&cluster), address.clone());
        let (armed, asked) = (Arc::clone(&armed), Arc::clone(&asked));
        move |request| {
            let armed = armed.load(Ordering::SeqCst);
            if armed && asked.fetch_add(1, Ordering::SeqCst) == MIDDLE {
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
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    let before: Vec<_> = names.iter().map(|name| sandbox.read(name)).collect();
    armed.store(true, Ordering::SeqCst);
    run(&sandbox, &["rotate", "-i"], &names).ok();
    armed.store(false, Ordering::SeqCst);
    // It needs ten, and some of them twice.
    assert!(asked.load(Ordering::SeqCst) > 2 * FILES / 100, "nothing was in the way");
    assert_ne!(cluster.leader().address(), address);
    assert!(names.iter().zip(&before).all(|(name, old)| sandbox.read(name) != *old));
    run(&sandbox, &["decrypt", "--output-dir", "plain"], &names).ok();
    for (index, name) in names.iter().enumerate() {
        let plain = sandbox.read(&format!("plain/{name}"));
        assert_eq!(plain, format!("password: hunter{index}\n"));
    }
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
    // Who follows none is told.
    let sandbox = sandbox.with("VAULT_DISABLE_REDIRECTS", "true");
    let said = sandbox.run(&["decrypt", "b.yaml"]).fails(128);
    assert!(said.contains("307"), "{said}");
}

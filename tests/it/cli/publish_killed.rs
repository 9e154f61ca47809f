//! `publish` that is killed at each of its requests: no secret is torn, and a second run does the rest.

use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::Sandbox;
use super::kv::user;
use crate::openbao::{Answer, Bao, Script};

/// When the program dies: what it asked for is not done, or done and not heard of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dies {
    Before,
    After,
}

/// The request at which it is to die.
struct Plan {
    /// Requests that pass before.
    pass: usize,
    dies: Dies,
    reached: Sender<()>,
    killed: Receiver<()>,
}

const NAMES: [&str; 6] = ["a1.yaml", "a2.yaml", "b1.yaml", "b2.yaml", "c1.yaml", "c2.yaml"];

fn values(name: &str, version: u8) -> Value {
    let entry = |index: u8| (format!("k{index}"), json!(format!("{name} {version}")));
    Value::Object((0..40).map(entry).collect())
}

/// What each secret holds, by the name of its file.
fn held(bao: &Bao, places: &[(String, String)]) -> Vec<Value> {
    let data = |(path, at): &(String, String)| {
        let answer = bao.ask("GET", path, None);
        answer.pointer(at).expect("a secret").clone()
    };
    places.iter().map(data).collect()
}

/// Runs until the request of the plan, and dies there: whether it got that far.
fn dies(sandbox: &Sandbox, reached: &Receiver<()>, killed: &Sender<()>) -> bool {
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
    command.args(["publish", "-y"]).args(NAMES);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child: Child = command.spawn().expect("started");
    loop {
        match reached.recv_timeout(Duration::from_millis(20)) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) => {
                if child.try_wait().expect("a child").is_some() {
                    return false;
                }
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the plan is gone"),
        }
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    killed.send(()).expect("somebody waits");
    true
}

#[test]
fn who_is_killed_while_publishing_leaves_each_secret_old_or_new() {
    let Some(bao) = Bao::start() else { return };
    let mounts = [bao.kv_in("", 2), bao.kv_in("", 2), bao.kv_in("", 1)];
    let plan: Arc<Mutex<Option<Plan>>> = Arc::default();
    let server = Script::start({
        let (plan, address) = (Arc::clone(&plan), bao.address().to_owned());
        move |request| {
            let due = {
                let mut plan = plan.lock().expect("no panic");
                match plan.as_mut() {
                    Some(Plan { pass: 0, .. }) => plan.take(),
                    Some(before) => {
                        before.pass -= 1;
                        None
                    }
                    None => None,
                }
            };
            let Some(due) = due else { return Answer::from_server(&address, request) };
            if due.dies == Dies::After {
                Answer::from_server(&address, request);
            }
            due.reached.send(()).expect("somebody waits");
            due.killed.recv().expect("killed");
            Answer::hang_up()
        }
    });
    let rule = |(regex, mount): (&str, &String)| {
        format!("  - {{path_regex: ^{regex}, vault_path: app, vault_kv_mount_name: {mount}}}\n")
    };
    let rules: String = ["a", "b", "c"].into_iter().zip(&mounts).map(rule).collect();
    let sandbox = user(&server.address(), &rules);
    let places: Vec<(String, String)> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| match index / 2 {
            2 => (format!("{}/app/{name}", mounts[2]), "/data".to_owned()),
            mount => (format!("{}/data/app/{name}", mounts[mount]), "/data/data".to_owned()),
        })
        .collect();
    let publish = || sandbox.run(&[&["publish", "-y"][..], &NAMES].concat());
    let seal = |version: u8| {
        for name in NAMES {
            sandbox.sealed(name, &values(name, version).to_string());
        }
    };
    let both: Vec<[Value; 2]> = NAMES.map(|name| [1, 2].map(|it| values(name, it))).into();
    let (mut torn, mut requests) = (0, 0);
    for when in [Dies::Before, Dies::After] {
        for pass in 0.. {
            seal(1);
            publish().ok();
            let first = versions(bao, &mounts);
            seal(2);
            let (reached, is_reached) = channel();
            let (kill, killed) = channel();
            *plan.lock().expect("no panic") = Some(Plan { pass, dies: when, reached, killed });
            let got_there = dies(&sandbox, &is_reached, &kill);
            plan.lock().expect("no panic").take();
            let now = held(bao, &places);
            for (now, known) in now.iter().zip(&both) {
                assert!(known.contains(now), "{when:?} {pass}: {now}");
            }
            let new = now.iter().zip(&both).filter(|(now, known)| **now == known[1]).count();
            if !got_there {
                assert_eq!(new, NAMES.len());
                break;
            }
            torn += usize::from(new > 0 && new < NAMES.len());
            requests += 1;
            publish().ok();
            let last = held(bao, &places);
            assert!(last.iter().zip(&both).all(|(now, known)| *now == known[1]), "{when:?} {pass}");
            // Each was written once: what the first run did, the second one left alone.
            let second: Vec<u64> = first.iter().map(|version| version + 1).collect();
            assert_eq!(versions(bao, &mounts), second, "{when:?} {pass}");
        }
    }
    assert!(torn > 0 && requests > 2 * NAMES.len(), "{torn} of {requests}");
}

/// How often the secrets that count it were written.
fn versions(bao: &Bao, mounts: &[String]) -> Vec<u64> {
    let of = |name: &&str| {
        let mount = &mounts[usize::from(name.starts_with('b'))];
        super::kv::version(bao, mount, &format!("app/{name}")).as_u64().expect("a number")
    };
    NAMES.iter().take(4).map(of).collect()
}

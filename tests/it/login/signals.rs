//! A run that is interrupted takes its tokens back, and ends as the signal says.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Answer, Sandbox, Script, Site};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} has not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn anna(site: &Site) -> Sandbox {
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": site.policy }));
    let sandbox = site.user("userpass username=anna password=env:PASSWORD");
    sandbox.with("PASSWORD", "hunter2")
}

/// Starts a run over so many files that it is slow: one request in a second.
fn start(sandbox: &Sandbox) -> Child {
    let names: Vec<_> = (0..900).map(|index| format!("{index}.yaml")).collect();
    for name in &names {
        sandbox.write(name, "a: one\n");
    }
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
    command.args(["encrypt", "-i"]).args(&names).env("VAULT_RATE_LIMIT", "1:1");
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("started")
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a number")).expect("a process");
    kill_process(pid, signal).expect("sent");
}

/// The token that the last request but one was made with, and that the last took back.
#[track_caller]
fn token_of(site: &Site) -> String {
    let requests = site.server.requests();
    let last = requests.last().expect("one");
    assert_eq!(last.path, "/v1/auth/token/revoke-self");
    last.header("x-vault-token").expect("a token").to_owned()
}

#[test]
fn an_interrupted_run_takes_its_token_back_and_ends_by_the_signal() {
    let Some(site) = Site::new("userpass") else { return };
    for signal in [Signal::TERM, Signal::INT] {
        let sandbox = anna(&site);
        let from = site.server.requests().len();
        let child = start(&sandbox);
        until("a request with the token", || {
            site.asked(from).iter().any(|it| it == "POST T/encrypt/a")
        });
        send(&child, signal);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        let token = token_of(&site);
        assert!(!site.knows(&token), "it was taken back");
        let asked = site.asked(from);
        let logins = asked.iter().filter(|it| it.starts_with("POST auth/M/login")).count();
        assert_eq!(logins, 1, "{asked:?}");
        // Files are old or new, and whole.
        let mut sealed = 0;
        for index in 0..900 {
            let text = sandbox.read(&format!("{index}.yaml"));
            assert!(text == "a: one\n" || text.contains("\nsops:\n"), "{text}");
            sealed += usize::from(text != "a: one\n");
        }
        assert!(sealed < 900, "it was in the middle");
    }
}

#[test]
fn a_login_that_is_under_way_is_taken_back_too() {
    let Some(site) = Site::new("userpass") else { return };
    // The server has made the token, and its answer is on the way until somebody says so.
    let gate = Arc::new((Mutex::new((false, false)), Condvar::new()));
    let front = Script::start({
        let (gate, server) = (Arc::clone(&gate), site.server.address());
        move |request| {
            let answer = Answer::from_server(&server, request);
            if request.path.contains("/login/") {
                let (state, changed) = &*gate;
                let mut state = state.lock().expect("no panic");
                state.0 = true;
                while !state.1 {
                    state = changed.wait_timeout(state, PATIENCE).expect("no panic").0;
                }
            }
            answer
        }
    });
    let sandbox = anna(&site).with("VAULT_ADDR", &front.address());
    let rule = sandbox.read(".sops.yaml").replace(&site.server.address(), &front.address());
    sandbox.write(".sops.yaml", &rule);
    let child = start(&sandbox);
    until("the login", || gate.0.lock().expect("no panic").0);
    send(&child, Signal::TERM);
    // It has caught the signal when it no longer stands among those that are to come.
    let status = format!("/proc/{}/status", child.id());
    until("the signal", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        !status.lines().any(|line| line.starts_with("ShdPnd:") && line.ends_with("4000"))
    });
    gate.0.lock().expect("no panic").1 = true;
    gate.1.notify_all();
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.signal(), Some(15), "{output:?}");
    let token = token_of(&site);
    assert!(!site.knows(&token), "it was taken back");
    let logins = site.asked(0).iter().filter(|it| it.contains("/login/")).count();
    assert_eq!(logins, 1);
}

#[test]
fn a_second_interrupt_waits_for_no_server() {
    let Some(site) = Site::new("userpass") else { return };
    let front = Script::start({
        let server = site.server.address();
        move |request| match request.path.as_str() {
            "/v1/auth/token/revoke-self" => Answer::never(),
            _ => Answer::from_server(&server, request),
        }
    });
    let sandbox = anna(&site).with("VAULT_ADDR", &front.address());
    let rule = sandbox.read(".sops.yaml").replace(&site.server.address(), &front.address());
    sandbox.write(".sops.yaml", &rule);
    let mut child = start(&sandbox);
    let has = |path: &str| front.requests().iter().any(|it| it.path.ends_with(path));
    until("a request with the token", || has("/encrypt/a"));
    send(&child, Signal::TERM);
    until("the last words", || has("revoke-self"));
    // Who is tired of waiting presses Ctrl-C until it ends; by that signal, not by the first.
    let mut status = None;
    until("the end", || {
        status = child.try_wait().expect("a child");
        if status.is_none() {
            send(&child, Signal::INT);
        }
        status.is_some()
    });
    assert_eq!(status.and_then(|it| it.signal()), Some(2));
}

#[test]
fn a_token_that_is_not_kept_yet_is_taken_back() {
    let Some(site) = Site::new("userpass") else { return };
    let sandbox = anna(&site);
    // It has the token, and is not ready as long as its folder is there.
    let helper = sandbox.path("helper");
    let script = "#!/bin/sh\ncat > had; mv had has; while [ -e has ]; do sleep 0.1; done\n";
    std::fs::write(&helper, script).expect("written");
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).expect("mode");
    sandbox.write("bao.hcl", &format!("token_helper = \"{}\"\n", helper.display()));
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
    command.arg("login").env("VAULT_CONFIG_PATH", "bao.hcl").stdin(Stdio::null());
    let mut child = command.spawn().expect("started");
    until("the token helper", || sandbox.path("has").exists());
    send(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").signal(), Some(15));
    let token = token_of(&site);
    assert_eq!(sandbox.read("has"), token);
    assert!(!site.knows(&token), "it was taken back");
}

#[test]
fn an_edit_that_is_ended_by_a_signal_takes_its_token_back() {
    let Some(site) = Site::new("userpass") else { return };
    let sandbox = anna(&site).editor("kill -TERM $PPID; sleep 5");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let before = sandbox.read("a.yaml");
    let said = sandbox.run(&["edit", "a.yaml"]).fails(1);
    assert!(said.contains("interrupted"), "{said}");
    let token = token_of(&site);
    assert!(!site.knows(&token), "it was taken back");
    assert_eq!(sandbox.read("a.yaml"), before);
}

#[test]
fn a_signal_that_the_program_was_started_to_ignore_stays_ignored() {
    let Some(site) = Site::new("userpass") else { return };
    let sandbox = anna(&site);
    sandbox.write("b.yaml", "a: one\n");
    sandbox.write("c.yaml", "a: one\n");
    // As a shell starts what runs behind it; the password comes after the watch has begun.
    let login = format!(
        "userpass username=anna 'password=command:sh -c \"kill -INT $PPID; echo hunter2\"' mount={}",
        site.auth
    );
    let sandbox = sandbox.with("WAXSEAL_VAULT_AUTH", &login);
    let run = sandbox.run(&["encrypt", "-i", "b.yaml"]);
    assert_eq!(run.code, None, "an interrupt ends it: {}", run.stderr);
    let program = env!("CARGO_BIN_EXE_waxseal");
    let line = format!("trap '' INT; exec {program} encrypt -i c.yaml");
    assert_eq!(sandbox.start("sh", &["-c", &line], "").ok(), "");
}

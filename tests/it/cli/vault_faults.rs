//! A server that fails in the middle of a run over many files: at each of its requests it is killed,
//! sealed, cut or slow. Afterwards every file is the old or the new one, whole, and a second run does what
//! the first one left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;

use super::{Run, Sandbox};
use crate::openbao::{Answer, Own, Request, Script};

/// Files of a run, half of them for another key than the others, so that some can fail alone.
const FILES: usize = 50;

/// Number of the first request that a command does not make, at most.
const MOST_REQUESTS: usize = 12;

/// A command that changes files, as the table of faults needs it.
struct Row {
    words: &'static [&'static str],
    /// What is done to plaintext files before it.
    prepare: fn(&Stage),
    /// Whether a file is as the command leaves it; with what it was before.
    is_new: fn(&str, &str) -> bool,
    /// Whether it refuses files that it has changed already.
    refuses_new: bool,
}

/// What happens to one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// The server is gone before it has read it.
    Killed,
    /// The server is gone when it has answered, and nobody has heard it.
    KilledAfter,
    Sealed,
    /// The connection ends, and the server has seen nothing.
    Cut,
    /// The connection ends in the middle of the answer.
    CutAnswer,
    /// The answer takes its time, and comes.
    Slow,
    /// The answer does not come in time.
    TooSlow,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::Killed,
        Self::KilledAfter,
        Self::Sealed,
        Self::Cut,
        Self::CutAnswer,
        Self::Slow,
        Self::TooSlow,
    ];

    fn happens(self, own: &Mutex<Own>, address: &str, request: &Request) -> Answer {
        let real = || Answer::from_server(address, request);
        match self {
            Self::Killed => {
                lock(own).kill();
                Answer::hang_up()
            }
            Self::KilledAfter => {
                real();
                lock(own).kill();
                Answer::hang_up()
            }
            Self::Sealed => {
                lock(own).seal();
                real()
            }
            Self::Cut => Answer::hang_up(),
            Self::CutAnswer => real().cut_at(100),
            Self::Slow => real().slowly(4_000, Duration::from_millis(10)),
            Self::TooSlow => Answer::never(),
        }
    }

    /// The server as it was before.
    fn is_over(self, own: &Mutex<Own>) {
        match self {
            Self::Killed | Self::KilledAfter => {
                lock(own).start_again();
                lock(own).unseal();
            }
            Self::Sealed => lock(own).unseal(),
            Self::Cut | Self::CutAnswer | Self::Slow | Self::TooSlow => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

/// A server with keys `a`, `b` and `c`, what stands before it, and a user of it.
struct Stage {
    own: Arc<Mutex<Own>>,
    server: Script,
    /// How many requests pass before the fault, and which it is.
    plan: Arc<Mutex<Option<(usize, Fault)>>>,
    mount: String,
    sandbox: Sandbox,
    names: Vec<String>,
}

impl Stage {
    fn set() -> Option<Self> {
        let own = Own::start()?;
        let mount = own.mount();
        for key in ["a", "b", "c"] {
            own.create_key(&mount, key, json!({}));
        }
        let (address, root) = (own.address().to_owned(), own.root().to_owned());
        let own = Arc::new(Mutex::new(own));
        let plan = Arc::new(Mutex::new(None));
        let server = Script::start({
            let (own, plan) = (Arc::clone(&own), Arc::clone(&plan));
            move |request| match next(&plan) {
                Some(fault) => Fault::happens(fault, &own, &address, request),
                None => Answer::from_server(&address, request),
            }
        });
        let sandbox = Sandbox::bare()
            .with("VAULT_ADDR", &server.address())
            .with("VAULT_TOKEN", &root)
            .with("VAULT_MAX_RETRIES", "0");
        let name = |index| format!("{}{index}.yaml", if index % 2 == 0 { "a" } else { "b" });
        let names: Vec<String> = (0..FILES).map(name).collect();
        let stage = Self { own, server, plan, mount, sandbox, names };
        stage.rule("");
        for (index, name) in stage.names.iter().enumerate() {
            stage.sandbox.write(name, &plain(index));
        }
        Some(stage)
    }

    /// Each file is for its own key, and for this one.
    fn rule(&self, more: &str) {
        let uri = |key: &str| format!("{}/v1/{}/keys/{key}", self.server.address(), self.mount);
        let more = if more.is_empty() { String::new() } else { format!(",{}", uri(more)) };
        let rule = format!(
            "creation_rules:\n  - path_regex: ^a\n    hc_vault_transit_uri: {}{more}\n  - \
             hc_vault_transit_uri: {}{more}\n",
            uri("a"),
            uri("b")
        );
        self.sandbox.write(".sops.yaml", &rule);
    }

    fn run(&self, words: &[&str]) -> Run {
        let words = words.iter().copied().chain(self.names.iter().map(String::as_str));
        self.sandbox.run(&words.collect::<Vec<_>>())
    }

    fn texts(&self) -> BTreeMap<String, String> {
        self.names.iter().map(|name| (name.clone(), self.sandbox.read(name))).collect()
    }

    /// Every file that is sealed opens, and holds what it held. Nothing else stands there.
    fn is_whole(&self, what: &str) {
        let texts = self.texts();
        let sealed = texts.iter().filter(|(_, text)| text.contains("\nsops:\n"));
        let sealed: Vec<&str> = sealed.map(|(name, _)| name.as_str()).collect();
        if !sealed.is_empty() {
            let words = ["decrypt", "--output-dir", "../plain"].into_iter().chain(sealed.clone());
            let run = self.sandbox.run(&words.collect::<Vec<_>>());
            assert_eq!(run.code, Some(0), "{what}: {}", run.stderr);
        }
        for (index, name) in self.names.iter().enumerate() {
            let opened = match sealed.contains(&name.as_str()) {
                true => self.sandbox.read(&format!("../plain/{name}")),
                false => texts[name].clone(),
            };
            assert_eq!(opened, plain(index), "{what}: {name}");
        }
        let plain = self.sandbox.path("../plain");
        if plain.exists() {
            std::fs::remove_dir_all(plain).expect("removed");
        }
        let entries = std::fs::read_dir(self.sandbox.path("")).expect("a folder");
        assert_eq!(entries.count(), FILES + 1, "{what}: something was left beside the files");
    }
}

/// The fault that is planned for this request.
fn next(plan: &Mutex<Option<(usize, Fault)>>) -> Option<Fault> {
    let mut plan = lock(plan);
    match &mut *plan {
        Some((0, fault)) => {
            let fault = *fault;
            *plan = None;
            Some(fault)
        }
        Some((before, _)) => {
            *before -= 1;
            None
        }
        None => None,
    }
}

fn plain(index: usize) -> String {
    format!("# why\npassword: hunter{index}\nport: {index}\n")
}

/// Each fault at each request of the command.
fn fails_well(row: &Row) {
    let Some(mut stage) = Stage::set() else { return };
    (row.prepare)(&stage);
    let before = stage.texts();
    for fault in Fault::ALL {
        let mut met = 0;
        for number in 0..MOST_REQUESTS {
            for (name, text) in &before {
                stage.sandbox.write(name, text);
            }
            let what = format!("{:?} of {:?}, request {number}", fault, row.words);
            *lock(&stage.plan) = Some((number, fault));
            if fault == Fault::TooSlow {
                stage.sandbox.vars.push(("VAULT_CLIENT_TIMEOUT".to_owned(), "1".to_owned()));
            }
            let run = stage.run(row.words);
            stage.sandbox.vars.retain(|(name, _)| name != "VAULT_CLIENT_TIMEOUT");
            let reached = lock(&stage.plan).take().is_none();
            if reached {
                fault.is_over(&stage.own);
                met += 1;
            }
            stage.is_whole(&what);
            let after = stage.texts();
            let is_new = |name: &String| (row.is_new)(&before[name], &after[name]);
            let new = stage.names.iter().filter(|name| is_new(name)).count();
            let old = stage.names.iter().filter(|name| after[*name] == before[*name]).count();
            assert_eq!(old + new, FILES, "{what}: {}", run.stderr);
            // A run in a hurry can fail on a busy machine, too.
            let harmless = (!reached && fault != Fault::TooSlow) || fault == Fault::Slow;
            assert_eq!(run.code == Some(0), new == FILES, "{what}: {}", run.stderr);
            assert!(new == FILES || !harmless, "{what}: {}", run.stderr);
            let needed = old > 0 || harmless || !reached;
            assert!(needed, "{what}: a request that failed was needed by nobody");
            let told = |name: &&String| is_new(name) || run.stderr.contains(name.as_str());
            assert!(stage.names.iter().all(|name| told(&name)), "{what}: {}", run.stderr);
            if !reached {
                break;
            }
            // What is left is done by the same command.
            let again = stage.run(row.words);
            let refuses = row.refuses_new && new > 0;
            assert_eq!(again.code != Some(0), refuses, "{what}: {}", again.stderr);
            let last = stage.texts();
            let is_done = |name: &String| (row.is_new)(&before[name], &last[name]);
            assert!(stage.names.iter().all(is_done), "{what}: {}", again.stderr);
            stage.is_whole(&what);
        }
        assert!((1..MOST_REQUESTS).contains(&met), "{fault:?}: {met} requests");
    }
}

fn sealed(stage: &Stage) {
    stage.run(&["encrypt", "-i"]).ok();
}

#[test]
fn encrypt_leaves_every_file_whole_when_the_server_fails() {
    fails_well(&Row {
        words: &["encrypt", "-i"],
        prepare: |_| {},
        is_new: |_, new| new.contains("\nsops:\n"),
        refuses_new: true,
    });
}

#[test]
fn rotate_leaves_every_file_whole_when_the_server_fails() {
    fails_well(&Row {
        words: &["rotate", "-i"],
        prepare: sealed,
        is_new: |old, new| old != new,
        refuses_new: false,
    });
}

#[test]
fn updatekeys_leaves_every_file_whole_when_the_server_fails() {
    fails_well(&Row {
        words: &["updatekeys", "-y"],
        prepare: |stage| {
            sealed(stage);
            stage.rule("c");
        },
        is_new: |_, new| new.contains("key_name: c\n"),
        refuses_new: false,
    });
}

#[test]
fn rewrap_leaves_every_file_whole_when_the_server_fails() {
    fails_well(&Row {
        words: &["rewrap"],
        prepare: |stage| {
            sealed(stage);
            for key in ["a", "b"] {
                let path = format!("{}/keys/{key}/rotate", stage.mount);
                lock(&stage.own).ask("POST", &path, None);
            }
        },
        is_new: |_, new| new.contains("vault:v2:"),
        refuses_new: false,
    });
}

#[test]
fn a_connection_that_is_cut_once_fails_nothing() {
    let Some(stage) = Stage::set() else { return };
    let stage = Stage {
        sandbox: stage.sandbox.with("VAULT_MAX_RETRIES", "2").with("VAULT_CLIENT_TIMEOUT", "60"),
        ..stage
    };
    *lock(&stage.plan) = Some((0, Fault::Cut));
    stage.run(&["encrypt", "-i"]).ok();
    *lock(&stage.plan) = Some((1, Fault::CutAnswer));
    stage.run(&["rotate", "-i"]).ok();
    stage.is_whole("after two cuts");
}

//! Servers that only a file names: the question whether they may get the token.
//!
//! Invariants: each is asked about once in a run, at a terminal and nowhere else; who has said no twice is
//! asked no more in that run; a yes is remembered, a no is not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::output::Output;
use crate::keyservice::vault::{Address, Asker, Trust};
use crate::os::env::Env;
use crate::os::known_servers::KnownServers;
use crate::os::tty;

/// Servers that only a file names: what the user said of them before, or says at the terminal.
pub(super) struct Strangers {
    known: Option<KnownServers>,
    out: Output,
    /// Each is asked about once in a run.
    answers: Mutex<Answers>,
    /// That a leader is waited for was told.
    told: AtomicBool,
}

#[derive(Default)]
struct Answers {
    given: HashMap<Address, Result<bool, String>>,
    noes: usize,
}

/// After so many a file that names thirty servers gets no yes by weariness.
const NOES: usize = 2;

impl Strangers {
    pub(super) fn new(env: &Env, out: Output) -> Self {
        Self {
            known: KnownServers::new(env),
            out,
            answers: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }

    /// The servers that the user said yes to before.
    fn known(&self) -> Result<Vec<Address>, String> {
        self.known.as_ref().map_or_else(|| Ok(Vec::new()), KnownServers::all)
    }

    fn ask(&self, server: &Address, noes: &mut usize) -> Result<bool, String> {
        let known = self.known().map(|known| known.contains(server));
        // In a pipeline nobody would see the question.
        if known == Ok(true) || !self.out.stderr_is_terminal {
            return known;
        }
        if let Err(problem) = known {
            self.out.note(&format!("what you said before is not known: {problem}"));
        }
        if *noes == NOES {
            return Ok(false);
        }
        let readable = if server.is_readable() {
            "It has no TLS: everybody on the way can read the token, and answer in its place.\n"
        } else {
            ""
        };
        let question = format!(
            "{server} is named by the file or its rule and not by you.\n{readable}\
             Send your Vault token there, now and from now on? [y/N] "
        );
        let answer = tty::line(&question).unwrap_or_default();
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            *noes += 1;
            if *noes == NOES {
                self.out.note("no other server is asked about in this run");
            }
            return Ok(false);
        }
        match self.known.as_ref().map(|known| known.add(server)) {
            Some(Ok(place)) => self.out.note(&format!("remembered in {place}")),
            Some(Err(error)) => self.out.note(&format!("not remembered: {error}")),
            None => {}
        }
        Ok(true)
    }
}

impl Asker for Strangers {
    fn allows(&self, server: &Address) -> Result<bool, String> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.given.get(server) {
            return answer.clone();
        }
        let answer = self.ask(server, &mut answers.noes);
        answers.given.insert(server.clone(), answer.clone());
        answer
    }

    fn with_tls(&self, server: &Address) -> Option<Address> {
        let known = self.known().unwrap_or_default();
        if known.contains(server) {
            return None;
        }
        known.into_iter().fold(Trust::new(), Trust::with).with_tls(server).cloned()
    }

    fn waits(&self, server: &Address) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.out.note(&format!("{server}: no server of the cluster leads; waiting for one"));
        }
    }
}

//! Which calls are made again, and when.
//!
//! Invariants: what uses up a credential or makes a lease is made again only where no server acted on it;
//! what a server refused is not asked a second time.

use std::time::Duration;

use super::super::RSA_FAULT;
use super::super::http::{Answer, TransportError};
use super::{CallError, RedirectError};
use crate::secret::fill_random;

/// Whether a call may be made twice (Vault API: what uses up a credential or makes a lease may not).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// What it does, it does again.
    Freely,
    /// Only if it was not sent: nobody was reached.
    Unsent,
}

/// What follows an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Nothing.
    End,
    /// Another, as often as the user lets a call be repeated; after this time, if the server named one.
    Again(Option<Duration>),
    /// Another, for as long as there is time: nobody leads the cluster at the moment.
    Leader,
}

/// What follows this. `serves`: the server did what it was asked before, in this run.
pub(super) fn next(result: &Result<Answer, CallError>, repeat: Repeat, serves: bool) -> Next {
    let freely = repeat == Repeat::Freely;
    match result {
        Ok(answer) if is_leaderless(answer, repeat) => Next::Leader,
        Ok(answer) if freely => after(answer),
        Ok(_) => Next::End,
        // Who has served asks a leader that is gone, or names it, until there is another one.
        Err(CallError::Redirect { problem, .. }) if serves && is_between(problem) => Next::Leader,
        Err(CallError::Redirect { problem: RedirectError::NotTrusted, .. }) => Next::Again(None),
        Err(error) if error.is_nobody_there() => Next::Again(None),
        Err(CallError::Transport(TransportError::Broken(_))) if freely => Next::Again(None),
        Err(_) => Next::End,
    }
}

/// Whether a redirect can have failed since the leader is changing.
fn is_between(problem: &RedirectError) -> bool {
    match problem {
        RedirectError::NotTrusted | RedirectError::Again | RedirectError::Unreachable(_) => true,
        RedirectError::Readable | RedirectError::Elsewhere | RedirectError::NoToken => false,
    }
}

/// Whether the answer is that of a server that stands by and knows no leader. The first text is said before
/// the request is passed on, the second one maybe after that. One that is sealed says something else.
fn is_leaderless(answer: &Answer, repeat: Repeat) -> bool {
    match answer.status {
        500 => says(answer, "active cluster node not found"),
        503 => repeat == Repeat::Freely && says(answer, "no active Vault instance found"),
        _ => false,
    }
}

fn says(answer: &Answer, text: &str) -> bool {
    memchr::memmem::find(&answer.body, text.as_bytes()).is_some()
}

/// What follows an answer to a call that may be repeated.
fn after(answer: &Answer) -> Next {
    // A batch that failed inside says so with a status, and would fail again.
    let failed = ["\"batch_results\"", "failed to parse", RSA_FAULT];
    match answer.status {
        412 | 429 | 500 | 502..=599 if !failed.iter().any(|text| says(answer, text)) => {
            Next::Again(answer.retry_after)
        }
        _ => Next::End,
    }
}

/// One to one and a half seconds for each attempt, so that many runs do not come back at once.
pub(super) fn pause(attempt: u32) -> Duration {
    let mut random = [0; 2];
    if fill_random(&mut random).is_err() {
        return Duration::from_secs(u64::from(attempt));
    }
    let jitter = u64::from(u16::from_le_bytes(random)) * 500 / u64::from(u16::MAX);
    Duration::from_millis((1_000 + jitter) * u64::from(attempt))
}

/// The longest pause between two looks for a leader, in attempts.
pub(super) const PATIENT: u32 = 2;

/// How long a leader is looked for where a call has no limit of its own.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

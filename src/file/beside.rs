//! Two pieces of work at the same time.

use std::panic::resume_unwind;
use std::thread;

/// Does both, the first on a thread of its own if it is `worth` one and there is one to be had.
pub(crate) fn both<A: Send, B>(
    worth: bool,
    first: impl Fn() -> A + Sync,
    second: impl FnOnce() -> B,
) -> (A, B) {
    thread::scope(|scope| {
        let spawn = || thread::Builder::new().spawn_scoped(scope, &first).ok();
        let other = worth.then(spawn).flatten();
        let second = second();
        let first = match other {
            Some(other) => other.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => first(),
        };
        (first, second)
    })
}

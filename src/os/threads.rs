//! Work on many items at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::keyservice::Crew;

/// Applies `work` to each item, on up to `threads` threads that compute, and on more where some of the
/// crew wait; results in the order of the items.
///
/// # Panics
///
/// If `work` does.
#[must_use]
pub fn side_by_side<T: Sync, R: Send>(
    crew: &Crew,
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if threads.min(items.len()) < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    // Whoever has a place begins with an item, and goes on as long as the crew lets it.
    let run = || {
        let _leaves = Leaves(crew);
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
            if !crew.next() {
                return done;
            }
        }
    };
    crew.work(items.len(), threads);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let (mut workers, mut done) = (Vec::new(), Vec::new());
        while crew.place() {
            match thread::Builder::new().spawn_scoped(scope, run) {
                Ok(worker) => workers.push(worker),
                // Without a thread more to be had, this one does what is left.
                Err(_) => {
                    crew.short_of_threads();
                    done.extend(run());
                }
            }
        }
        for worker in workers {
            match worker.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Gives the place back, also when the work panics: others wait for it.
struct Leaves<'a>(&'a Crew);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

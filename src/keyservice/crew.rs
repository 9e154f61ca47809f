//! The workers of a run, and those of them that wait for a server.
//!
//! Files are worked on side by side, as many at a time as there are cores. What a file needs of a
//! server is known only in the middle of the work on it, and a request should hold what many files
//! need. So who waits gives its place to a worker of the next file, and the request is sent when nobody
//! is left who could add to it.
//!
//! Invariants: a place is given back before its worker waits for anybody; whoever waits is asked again
//! when he is told to, and whenever nobody is left who computes, so that nobody waits for a worker that waits
//! itself; who was told of something and has not looked yet counts as one that computes: it may be about to.
//! Nothing else wakes those who wait: there are hundreds of them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who works in a run, and who waits. Where no [`Crew::work`] is under way, whoever waits is alone.
#[derive(Default)]
pub struct Crew {
    state: Mutex<State>,
    /// A place may be free, or no item left.
    placed: Condvar,
    /// Whoever waits is to look.
    look: Condvar,
}

#[derive(Default)]
struct State {
    /// How many may compute at the same time.
    places: usize,
    /// Workers that compute, or talk to a server for all.
    working: usize,
    /// Items that nobody has begun.
    unbegun: usize,
    /// No more workers can be had.
    short: bool,
    /// Workers that wait.
    waiting: usize,
    /// How often they were told to look again,
    told: u64,
    /// and how many have not looked since.
    unsettled: usize,
}

/// Whether anybody can still add to what is to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// Somebody computes, or there are items that nobody has begun.
    Working,
    /// All wait.
    Waiting,
}

impl Crew {
    /// Gives up the place of this worker until `ready` gives something; it is asked at once, when somebody
    /// tells, and when all wait.
    pub fn wait<R>(&self, mut ready: impl FnMut(Others) -> Option<R>) -> R {
        let mut state = self.lock();
        let worker = state.leave();
        state.waiting += 1;
        self.placed.notify_all();
        let (mut heard, mut is_change) = (state.told, true);
        loop {
            if heard != state.told {
                heard = state.told;
                state.unsettled -= 1;
                is_change = true;
            }
            if let Some(result) = ready(state.others()) {
                state.working += worker;
                state.waiting -= 1;
                return result;
            }
            // This was the last one, and has nothing to do: another one has.
            if std::mem::take(&mut is_change) {
                self.look_if_all_wait(&state);
            }
            state = self.look.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does something for which this worker may have to wait for another one.
    pub fn aside<R>(&self, work: impl FnOnce() -> R) -> R {
        let worker = self.give_up();
        let result = work();
        self.lock().working += worker;
        result
    }

    /// Has whoever waits asked again.
    pub fn tell(&self) {
        let mut state = self.lock();
        state.told += 1;
        state.unsettled = state.waiting;
        drop(state);
        self.look.notify_all();
    }

    /// Begins a run over so many items.
    pub fn work(&self, items: usize, places: usize) {
        let mut state = self.lock();
        (state.places, state.unbegun, state.short) = (places, items, false);
    }

    /// Waits for a place and an item that nobody has begun; `false` if there are none left.
    #[must_use]
    pub fn place(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.unbegun == 0 {
                return false;
            }
            if state.working < state.places {
                state.unbegun -= 1;
                state.working += 1;
                return true;
            }
            state = self.placed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Another item for a worker that has finished one; `false` if it is to go.
    #[must_use]
    pub fn next(&self) -> bool {
        let mut state = self.lock();
        let goes_on = state.unbegun > 0 && state.working <= state.places;
        if goes_on {
            state.unbegun -= 1;
        }
        goes_on
    }

    /// A worker goes.
    pub fn leave(&self) {
        self.give_up();
    }

    /// There are no more threads to be had: those who wait need not wait for items that are left.
    pub fn short_of_threads(&self) {
        let mut state = self.lock();
        state.short = true;
        self.look_if_all_wait(&state);
    }

    /// Gives a place back.
    fn give_up(&self) -> usize {
        let mut state = self.lock();
        let worker = state.leave();
        self.placed.notify_all();
        self.look_if_all_wait(&state);
        worker
    }

    fn look_if_all_wait(&self, state: &State) {
        if state.others() == Others::Waiting {
            self.look.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives a place back: 1, or 0 if there was none, as outside of a run.
    fn leave(&mut self) -> usize {
        let worker = self.working.min(1);
        self.working -= worker;
        worker
    }

    fn others(&self) -> Others {
        let none_to_come = self.unbegun == 0 || self.short;
        if self.working == 0 && self.unsettled == 0 && none_to_come {
            Others::Waiting
        } else {
            Others::Working
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Mutex, OnceLock};
    use std::thread;

    use super::{Crew, Others};

    /// Works on items as a run does.
    fn run(crew: &Crew, items: usize, places: usize, work: impl Fn() + Sync) {
        crew.work(items, places);
        thread::scope(|scope| {
            while crew.place() {
                scope.spawn(|| {
                    loop {
                        work();
                        if !crew.next() {
                            return crew.leave();
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_request_is_sent_when_all_who_could_add_to_it_wait() {
        let (crew, sent) = (Crew::default(), AtomicUsize::new(0));
        let pending = Mutex::new(0);
        let (most, computing) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(&crew, 50, 2, || {
            let now = computing.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            *pending.lock().expect("not poisoned") += 1;
            computing.fetch_sub(1, Ordering::SeqCst);
            let first = crew.wait(|others| {
                let mut pending = pending.lock().expect("not poisoned");
                if *pending == 0 {
                    return Some(false);
                }
                (others == Others::Waiting).then(|| {
                    assert_eq!(std::mem::take(&mut *pending), 50);
                    true
                })
            });
            if first {
                sent.fetch_add(1, Ordering::SeqCst);
                crew.tell();
            }
        });
        assert_eq!(sent.load(Ordering::SeqCst), 1);
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn outside_of_a_run_nobody_is_waited_for() {
        let crew = Crew::default();
        for _ in 0..3 {
            assert_eq!(crew.wait(Some), Others::Waiting);
            crew.aside(|| ());
        }
        run(&crew, 3, 2, || ());
        assert_eq!(crew.wait(Some), Others::Waiting);
    }

    #[test]
    fn who_waits_for_another_worker_does_not_hold_up_the_request() {
        let crew = Crew::default();
        let (value, asked) = (OnceLock::new(), AtomicBool::new(false));
        let ask = || crew.wait(|others| (others == Others::Waiting).then_some(()));
        run(&crew, 20, 2, || {
            if asked.swap(true, Ordering::SeqCst) {
                crew.aside(|| value.get_or_init(ask));
            } else {
                value.get_or_init(ask);
            }
        });
    }
}

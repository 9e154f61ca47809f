//! What the workers of a run need of servers, until one of them asks for all.
//!
//! Invariants: whoever asks gets an answer for each of its items, in their order; an item is sent once;
//! a batch is sent when it is full, or when nobody is left who could add to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::transit::Item;
use crate::keyservice::{Crew, Others};

/// Items that one request can hold.
pub(super) const BATCH: usize = 100;

/// Requests that are under way at the same time.
const SIDE_BY_SIDE: usize = 4;

/// Requests under way, of all who send.
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Items of workers, by what they are to be sent together with (`G`), and what came of them.
pub(super) struct Queue<G, R> {
    crew: Arc<Crew>,
    pending: Mutex<Pending<G, R>>,
    slots: Slots,
}

struct Pending<G, R> {
    next: u64,
    groups: BTreeMap<G, Vec<(u64, Item)>>,
    /// `None`: whoever was to send it never came back.
    results: HashMap<u64, Option<R>>,
}

/// Items that go in one request.
struct Batch<G> {
    group: G,
    ids: Vec<u64>,
    items: Vec<Item>,
}

impl<G: Ord + Clone + Sync + Send, R: Send> Queue<G, R> {
    pub(super) fn new(crew: Arc<Crew>) -> Self {
        let pending = Pending { next: 0, groups: BTreeMap::new(), results: HashMap::new() };
        let slots = Slots { free: Mutex::new(SIDE_BY_SIDE), freed: Condvar::new() };
        Self { crew, pending: Mutex::new(pending), slots }
    }

    /// Asks for these items, together with those of others: `send` takes items of one group and gives a
    /// result for each. `None`: there is no result.
    pub(super) fn ask(
        &self,
        items: Vec<(G, Item)>,
        send: impl Fn(&G, &[Item]) -> Vec<R> + Sync,
    ) -> Vec<Option<R>> {
        let mine = self.lock().put(items);
        loop {
            let ready = |others| self.lock().ready(&mine, others);
            let batches = match self.crew.wait(ready) {
                Ready::Results(results) => return results,
                Ready::Lead(batches) => batches,
            };
            let store = |Batch { group, ids, items }: Batch<G>| {
                let mut under_way = UnderWay { queue: self, ids, results: Vec::new() };
                under_way.results = self.slots.with(|| send(&group, &items));
            };
            side_by_side(batches, store);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending<G, R>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Items on their way. However that ends, whoever waits for them is told.
struct UnderWay<'q, G: Ord + Clone + Sync + Send, R: Send> {
    queue: &'q Queue<G, R>,
    ids: Vec<u64>,
    results: Vec<R>,
}

impl<G: Ord + Clone + Sync + Send, R: Send> Drop for UnderWay<'_, G, R> {
    fn drop(&mut self) {
        let mut results = std::mem::take(&mut self.results).into_iter();
        let results = self.ids.iter().map(|id| (*id, results.next()));
        self.queue.lock().results.extend(results);
        self.queue.crew.tell();
    }
}

impl Slots {
    /// Does this when a request may be sent.
    fn with<T>(&self, send: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let _taken = Taken(self);
        send()
    }
}

/// A slot, until it is dropped.
struct Taken<'s>(&'s Slots);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// What a worker that waits is to do.
enum Ready<G, R> {
    /// Go on with these.
    Results(Vec<Option<R>>),
    /// Send these, which may be of others.
    Lead(Vec<Batch<G>>),
}

impl<G: Ord + Clone, R> Pending<G, R> {
    fn put(&mut self, items: Vec<(G, Item)>) -> Vec<u64> {
        let put = |(group, item): (G, Item)| {
            self.next += 1;
            self.groups.entry(group).or_default().push((self.next, item));
            self.next
        };
        items.into_iter().map(put).collect()
    }

    fn ready(&mut self, mine: &[u64], others: Others) -> Option<Ready<G, R>> {
        if mine.iter().all(|id| self.results.contains_key(id)) {
            return Some(Ready::Results(
                mine.iter().filter_map(|id| self.results.remove(id)).collect(),
            ));
        }
        let batches = self.take(others);
        (!batches.is_empty()).then_some(Ready::Lead(batches))
    }

    /// What is to be sent now: full batches; all, if nobody adds to it.
    fn take(&mut self, others: Others) -> Vec<Batch<G>> {
        let mut batches = Vec::new();
        for (group, items) in &mut self.groups {
            while items.len() >= BATCH || (others == Others::Waiting && !items.is_empty()) {
                let rest = items.split_off(items.len().min(BATCH));
                let (ids, items) = std::mem::replace(items, rest).into_iter().unzip();
                batches.push(Batch { group: group.clone(), ids, items });
            }
        }
        self.groups.retain(|_, items| !items.is_empty());
        batches
    }
}

/// Sends some batches at the same time.
fn side_by_side<G: Send>(batches: Vec<Batch<G>>, send: impl Fn(Batch<G>) + Sync) {
    let mut batches = batches;
    if batches.len() == 1 {
        return batches.drain(..).for_each(send);
    }
    let batches = Mutex::new(batches);
    let run = || {
        loop {
            let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(batch) = batch else { return };
            send(batch);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..SIDE_BY_SIDE {
            // Without threads they are sent one after the other.
            if std::thread::Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    use super::{Crew, Item, Queue, SIDE_BY_SIDE};
    use crate::secret::SecretText;

    #[test]
    fn senders_share_the_requests_that_may_be_under_way() {
        let queue: Queue<usize, ()> = Queue::new(Arc::new(Crew::default()));
        // Those under way, and the most that were.
        let (count, changed) = (Mutex::new((0, 0)), Condvar::new());
        let send = |_: &usize, items: &[Item]| {
            let mut state = count.lock().expect("not poisoned");
            state.0 += 1;
            state.1 = state.1.max(state.0);
            changed.notify_all();
            let until = |most: usize, time, state| {
                let waits = |state: &mut (usize, usize)| state.1 < most;
                changed.wait_timeout_while(state, time, waits).expect("not poisoned").0
            };
            // The first are held until all of them are here, and then for as long as one more would take.
            let state = until(SIDE_BY_SIDE, Duration::from_secs(10), state);
            until(SIDE_BY_SIDE + 1, Duration::from_millis(50), state).0 -= 1;
            items.iter().map(|_| ()).collect()
        };
        let item = |group| (group, Item { text: SecretText::new(String::new()), context: None });
        std::thread::scope(|scope| {
            for sender in 0..6 {
                let groups = 3 * sender..3 * (sender + 1);
                scope.spawn(|| assert_eq!(queue.ask(groups.map(item).collect(), send).len(), 3));
            }
        });
        assert_eq!(*count.lock().expect("not poisoned"), (0, SIDE_BY_SIDE));
    }
}

//! Signals that end the program, and what has to be done before.
//!
//! Invariants: whoever changes the terminal gets to change it back before an interrupt ends the program;
//! what [`before_the_end`] was given is done before a signal ends it, and a second signal does not wait for
//! that; at all other times a signal ends it at once, unless [`stay_caught`] was called. A signal that the
//! program was started to ignore is not caught for last words.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use super::fs::read;

/// Does something during which an interrupt must wait; if one came, it ends the program afterwards.
pub fn postponed<T>(work: impl FnOnce() -> T) -> T {
    let is_inner = HOLDS.change(|holds| {
        holds.questions += 1;
        holds.questions > 1
    });
    let came = Arc::new(AtomicBool::new(false));
    let registered = flag::register(SIGINT, Arc::clone(&came));
    let result = work();
    if let Ok(id) = registered {
        low_level::unregister(id);
    }
    if came.load(Ordering::SeqCst) && !is_inner && !HOLDS.look(|holds| holds.is_theirs) {
        end(SIGINT);
    }
    HOLDS.change(|holds| holds.questions -= 1);
    result
}

/// From now on signals are somebody else's to handle, who calls [`last_words`] before the end.
pub fn stay_caught() {
    HOLDS.change(|holds| holds.is_theirs = true);
}

/// Has something done before an interrupt or a SIGTERM ends the program. It takes seconds at most, and is
/// told whether it may wait for others: not while the user is asked for a secret, which nobody types any more.
pub fn before_the_end(words: impl FnOnce(bool) + Send + 'static) {
    WORDS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(words));
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let caught = [SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal));
        // Without it the default stays: the end comes at once.
        let Ok(signals) = Signals::new(caught) else { return };
        HOLDS.change(|holds| holds.is_watched = true);
        thread::spawn(move || watch(signals));
    });
}

/// Does what is to be done before the end. Who comes second waits until the first is ready.
pub fn last_words() {
    let mut all = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    for words in all.drain(..) {
        words(HOLDS.look(|holds| holds.questions == 0));
    }
}

type Words = Box<dyn FnOnce(bool) + Send>;

static WORDS: Mutex<Vec<Words>> = Mutex::new(Vec::new());
/// Why an interrupt does not end the program at once. The flag that the handler reads is made of these: the
/// end of a question does not undo that signals are watched since.
struct Reasons {
    /// Questions that the user is asked, for which an interrupt waits.
    questions: usize,
    /// Signals are watched: something is to be done before the end.
    is_watched: bool,
    /// Signals are somebody else's.
    is_theirs: bool,
}

struct Holds(Mutex<Reasons>);

static HOLDS: Holds =
    Holds(Mutex::new(Reasons { questions: 0, is_watched: false, is_theirs: false }));

impl Holds {
    fn look<T>(&self, look: impl FnOnce(&Reasons) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Reasons) -> T) -> T {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut reasons);
        let is_free = reasons.questions == 0 && !reasons.is_watched && !reasons.is_theirs;
        at_once().store(is_free, Ordering::SeqCst);
        result
    }
}

/// `timeout` sends its signal to a program and then to its group, which is no second wish.
const TWICE: Duration = Duration::from_millis(300);

fn watch(mut signals: Signals) {
    let mut first: Option<Instant> = None;
    for signal in signals.forever() {
        let waits = |holds: &Reasons| signal == SIGINT && holds.questions > 0;
        if HOLDS.look(|holds| waits(holds) || holds.is_theirs) {
            continue;
        }
        match first {
            None => {
                first = Some(Instant::now());
                thread::spawn(move || end(signal));
            }
            Some(first) if first.elapsed() < TWICE => {}
            Some(_) => die(signal),
        }
    }
}

fn end(signal: i32) {
    last_words();
    die(signal);
}

/// As if the signal had never been caught.
fn die(signal: i32) {
    // It does not fail for these signals.
    let _ = low_level::emulate_default_handler(signal);
}

/// Whether whoever started the program had it ignore a signal, as a shell does for what it runs behind it
/// (Linux: a bit for each signal; elsewhere it is not known).
fn is_ignored(signal: i32) -> bool {
    let status = read(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> (signal - 1) & 1 == 1)
}

/// Whether an interrupt ends the program at once. Once a signal is caught its default is lost, so
/// that it is done by hand.
fn at_once() -> &'static AtomicBool {
    static AT_ONCE: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    AT_ONCE.get_or_init(|| {
        let at_once = Arc::new(AtomicBool::new(true));
        // Without it the default stays, which is the same.
        let _ = flag::register_conditional_default(SIGINT, Arc::clone(&at_once));
        at_once
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::Command;

    use signal_hook::consts::SIGINT;
    use signal_hook::low_level::raise;

    use super::{before_the_end, postponed};

    const CHILD: &str = "WAXSEAL_TEST_INTERRUPT";

    /// Runs only as the child of the test below: somebody types a secret while a login is made beside.
    #[test]
    fn interrupted_child() {
        let Ok(path) = std::env::var(CHILD) else { return };
        postponed(|| {
            before_the_end(move |_| fs::write(Path::new(&path), "taken back").expect("written"))
        });
        raise(SIGINT).expect("raised");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn a_question_that_ends_does_not_undo_that_something_is_to_be_done_before_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("done");
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", "os::interrupt::tests::interrupted_child"]).env(CHILD, &path);
        let status = child.output().expect("run").status;
        assert_eq!(status.signal(), Some(SIGINT));
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("taken back"));
    }
}

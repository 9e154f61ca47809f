//! Ctrl-C while the terminal is in another mode.
//!
//! Invariant: whoever changes the terminal gets to change it back before an interrupt ends the
//! program; at all other times an interrupt ends it at once, unless [`stay_caught`] was called.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};

/// Does something during which an interrupt must wait; if one came, it ends the program afterwards.
pub fn postponed<T>(work: impl FnOnce() -> T) -> T {
    let at_once = at_once();
    let before = at_once.swap(false, Ordering::SeqCst);
    let came = Arc::new(AtomicBool::new(false));
    let registered = flag::register(SIGINT, Arc::clone(&came));
    let result = work();
    if let Ok(id) = registered {
        low_level::unregister(id);
    }
    at_once.store(before, Ordering::SeqCst);
    if before && came.load(Ordering::SeqCst) {
        // It does not fail for this signal.
        let _ = low_level::emulate_default_handler(SIGINT);
    }
    result
}

/// From now on interrupts are somebody else's to handle.
pub fn stay_caught() {
    at_once().store(false, Ordering::SeqCst);
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

//! How far a run over many files is, for somebody who waits at a terminal.
//!
//! Invariants: nothing is shown in the first second, and nothing but to a terminal; what was shown is
//! wiped out before anything else is said, and at the end.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::context::Ctx;

/// One line that is drawn over itself: how many files are done, of how many.
///
/// Written here because the usual library brings `libm`, and with it a tenth more of memory for every
/// run of the program.
pub(crate) struct Bar {
    files: usize,
    started: Instant,
    wanted: bool,
    state: Mutex<State>,
}

struct State {
    done: usize,
    drawn: Option<Instant>,
}

impl Bar {
    pub(crate) fn new(ctx: &Ctx, files: usize) -> Self {
        Self {
            files,
            started: Instant::now(),
            wanted: ctx.out.stderr_is_terminal && files > 1,
            state: Mutex::new(State { done: 0, drawn: None }),
        }
    }

    /// One file more is done.
    pub(crate) fn tick(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += 1;
        let is_due = state.drawn.is_none_or(|drawn| drawn.elapsed() > BETWEEN);
        if self.wanted && self.started.elapsed() > QUIET && is_due {
            state.drawn = Some(Instant::now());
            let full = state.done * WIDTH / self.files.max(1);
            let (full, empty) = ("#".repeat(full), "-".repeat(WIDTH.saturating_sub(full)));
            say(&format!("{WIPE}[{full}{empty}] {}/{} files", state.done, self.files));
        }
    }

    /// Wipes out what is shown.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.drawn.take().is_some() {
            say(WIPE);
        }
    }
}

fn say(text: &str) {
    // There is nobody to tell that standard error is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Back to the start of the line, and all of it away.
const WIPE: &str = "\r\x1b[2K";

/// So wide that the line fits the narrowest terminals.
const WIDTH: usize = 30;

/// How long a run may take without a word.
const QUIET: Duration = Duration::from_secs(1);

/// Time between two pictures.
const BETWEEN: Duration = Duration::from_millis(100);

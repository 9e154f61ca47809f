//! What the program says: data on standard output, everything else on standard error.
//!
//! Invariants: nothing but data goes to standard output; a reader that went away ends the program
//! quietly; what is only good to know is told to a terminal and to nobody else.

use std::io::{self, Write};

use super::error::{Error, Voice};
use super::exit;
use crate::os::env::Env;
use crate::os::tty::{Stream, is_terminal};

/// Which streams are terminals, and how to speak to them.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) voice: Voice,
    pub(crate) stdout_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
    colour: bool,
}

impl Output {
    /// The streams of this process.
    pub(crate) fn new(env: &Env, voice: Voice) -> Self {
        Self {
            voice,
            stdout_is_terminal: is_terminal(Stream::Output),
            stderr_is_terminal: is_terminal(Stream::Error),
            colour: env.allows_colour(),
        }
    }

    /// Writes data to standard output.
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Error::closed_pipe();
            }
            Error::new(exit::CANNOT_WRITE, format!("cannot write to standard output: {error}"))
        })
    }

    /// A line that belongs on standard error whoever reads it.
    pub(crate) fn line(&self, text: &str) {
        // There is nobody to tell that standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Something good to know, for a person at a terminal.
    pub(crate) fn note(&self, text: &str) {
        if self.stderr_is_terminal {
            self.line(&format!("note: {text}"));
        }
    }

    /// Reports an error.
    pub(crate) fn error(&self, error: &Error) {
        let text = error.render(self.voice, self.colour && self.stderr_is_terminal);
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// A text in a colour (an ANSI code) if standard output is a terminal that may have some.
    pub(crate) fn paint(&self, code: &str, text: &str) -> String {
        if self.colour && self.stdout_is_terminal {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

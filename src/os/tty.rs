//! The terminal: whether there is one, and questions to the user.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::interrupt;
use crate::secret::SecretText;

/// One of the three standard streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Whether the stream is a terminal.
#[must_use]
pub fn is_terminal(stream: Stream) -> bool {
    match stream {
        Stream::Input => io::stdin().is_terminal(),
        Stream::Output => io::stdout().is_terminal(),
        Stream::Error => io::stderr().is_terminal(),
    }
}

/// Asks for a passphrase on the controlling terminal, never on a standard stream.
///
/// # Errors
///
/// If there is no controlling terminal, or the user gave up.
pub fn passphrase(prompt: &str) -> Result<SecretText, String> {
    let _turn = one_at_a_time();
    // rpassword sends itself the signal for Ctrl-C before it gives the terminal its echo back.
    let answer = interrupt::postponed(|| rpassword::prompt_password(prompt));
    answer.map(SecretText::new).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => "no passphrase was given".to_owned(),
        _ => "no terminal to ask for its passphrase".to_owned(),
    })
}

/// Asks on the controlling terminal for what is not shown. `None`: there is none, or the user gave up.
#[must_use]
pub fn secret(prompt: &str) -> Option<SecretText> {
    let _turn = one_at_a_time();
    interrupt::postponed(|| rpassword::prompt_password(prompt)).ok().map(SecretText::new)
}

/// Asks for a line of text on the controlling terminal. `None`: there is none, or its end is reached.
#[must_use]
pub fn line(prompt: &str) -> Option<String> {
    let _turn = one_at_a_time();
    let mut output = File::options().write(true).open(TERMINAL).ok()?;
    output.write_all(prompt.as_bytes()).and_then(|()| output.flush()).ok()?;
    let mut answer = String::new();
    let read = BufReader::new(File::open(TERMINAL).ok()?).read_line(&mut answer).ok()?;
    (read > 0).then(|| answer.trim_end_matches(['\n', '\r']).to_owned())
}

/// Files are worked on side by side, and there is one terminal.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever sits at the controlling terminal.
#[cfg(feature = "age")]
pub struct Terminal;

#[cfg(feature = "age")]
impl crate::keyservice::age::Interaction for Terminal {
    fn passphrase(&self, prompt: &str) -> Result<SecretText, String> {
        passphrase(prompt)
    }

    fn message(&self, text: &str) {
        if let Ok(mut terminal) = File::options().write(true).open(TERMINAL) {
            // Without a terminal there is nobody to tell.
            let _ = terminal.write_all(format!("{text}\n").as_bytes());
        }
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.unwrap_or("no");
        for _ in 0..3 {
            let answer = line(&format!("{question} [1: {yes}, 2: {no}] "))?;
            match answer.trim() {
                "1" => return Some(true),
                "2" => return Some(false),
                _ => {}
            }
        }
        None
    }

    fn line(&self, prompt: &str) -> Option<String> {
        line(prompt)
    }
}

/// The controlling terminal.
const TERMINAL: &str = "/dev/tty";

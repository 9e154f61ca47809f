//! Whoever logs in, at the terminal of this process.

use super::output::Output;
use crate::keyservice::vault::auth::{Person, SourceError};
use crate::os::browser;
use crate::os::env::Env;
use crate::os::tty;
use crate::secret::SecretText;
use std::sync::Arc;

/// The user.
pub(crate) struct User {
    pub(crate) env: Arc<Env>,
    pub(crate) out: Output,
}

impl Person for User {
    fn secret(&self, prompt: &str) -> Result<SecretText, SourceError> {
        tty::secret(prompt).ok_or_else(|| {
            "there is no terminal to ask at: name a file, a variable or a command instead".into()
        })
    }

    fn tell(&self, line: &str) {
        // It has to be read whoever reads it, or the login does not go on.
        self.out.line(line);
    }

    fn browse(&self, url: &str) {
        browser::open(&self.env, url);
    }
}

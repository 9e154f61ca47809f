//! Questions to the user, asked through whoever has a terminal.

use std::sync::Arc;

use age::secrecy::SecretString;

use crate::secret::SecretText;

/// Whoever can ask the user. Methods give `None` if there is nobody to ask.
pub trait Interaction: Send + Sync {
    /// A passphrase, not shown while it is typed. `prompt` is the whole prompt.
    ///
    /// # Errors
    ///
    /// Why it could not be asked for: no terminal.
    fn passphrase(&self, prompt: &str) -> Result<SecretText, String>;

    /// Tells something: "touch the key".
    fn message(&self, text: &str);

    /// A choice between two.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool>;

    /// A line of text, shown while it is typed.
    fn line(&self, prompt: &str) -> Option<String>;
}

/// Nobody can be asked.
pub struct Nobody;

impl Interaction for Nobody {
    fn passphrase(&self, _prompt: &str) -> Result<SecretText, String> {
        Err("nobody can be asked for its passphrase".into())
    }

    fn message(&self, _text: &str) {}

    fn confirm(&self, _question: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn line(&self, _prompt: &str) -> Option<String> {
        None
    }
}

/// What the `age` crate asks with; for plugins only.
#[derive(Clone)]
pub(super) struct Asking(pub(super) Arc<dyn Interaction>);

impl age::Callbacks for Asking {
    fn display_message(&self, message: &str) {
        self.0.message(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.confirm(message, yes, no)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.line(&format!("{description}: "))
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let text = self.0.passphrase(&format!("{description}: ")).ok()?;
        Some(SecretString::from(text.expose_secret().to_owned()))
    }
}

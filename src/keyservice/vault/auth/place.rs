//! Where a credential is kept.
//!
//! Invariants: a place is no secret and may be shown; what stands in a setting itself is taken for a
//! credential only where the method says that it is none.

use std::fmt;

use super::{Door, DoorSettings, Machine};
use crate::secret::SecretText;

/// Where to read what is sent to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the setting, since it is no secret.
    Here(String),
    /// `env:NAME`: an environment variable.
    Variable(String),
    /// `file:PATH`: a file, without the blanks and line breaks around its text.
    File(String),
    /// `command:LINE`: what a command prints; it is run without a shell.
    Command(String),
    /// `terminal`: asked for, and not shown.
    Terminal,
    /// `github-actions:AUDIENCE`: the identity token of a job of GitHub Actions.
    Actions(String),
}

impl Place {
    /// Reads a place; `None`: the text is none of them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "terminal" {
            return Some(Self::Terminal);
        }
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty())?;
        let rest = rest.to_owned();
        match kind {
            "env" => Some(Self::Variable(rest)),
            "file" => Some(Self::File(rest)),
            "command" => Some(Self::Command(rest)),
            "github-actions" => Some(Self::Actions(rest)),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(text) => f.write_str(text),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            // Its words can hold more than a message should.
            Self::Command(_) => f.write_str("command:…"),
            Self::Terminal => f.write_str("terminal"),
            Self::Actions(audience) => write!(f, "github-actions:{audience}"),
        }
    }
}

/// Why a credential could not be had: where it should be, and what to do; never what is there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

impl From<String> for SourceError {
    fn from(problem: String) -> Self {
        Self(problem)
    }
}

impl From<&str> for SourceError {
    fn from(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

/// Reads what is kept on this machine.
pub trait Places: Send + Sync {
    /// What a place holds, but for [`Place::Here`] and [`Place::Terminal`], which are not of the machine.
    ///
    /// # Errors
    ///
    /// If it holds nothing; says which place it is.
    fn read(&self, place: &Place) -> Result<SecretText, SourceError>;

    /// The machine itself, for methods by which its cloud vouches for it.
    fn machine(&self) -> Option<&dyn Machine> {
        None
    }

    /// Opens the door that a browser comes back to.
    ///
    /// # Errors
    ///
    /// If it cannot be opened there.
    fn door(&self, _: &DoorSettings) -> Result<Box<dyn Door>, SourceError> {
        Err("no browser can come back here".into())
    }
}

//! What was typed of a login: a method, and `key=value` for each of its settings.
//!
//! Invariants: a setting that the method does not know is an error, so that none is misspelled
//! unseen; no error repeats a value, which may be a secret in the wrong place.

use std::fmt;

use super::place::Place;

/// Why what was typed of a login is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Nothing was typed.
    #[error("no method is named")]
    NoMethod,
    /// The method is none.
    #[error("there is no {typed}: there are {known}")]
    UnknownMethod {
        /// What was typed, if it may be shown, and what may have been meant.
        typed: String,
        /// All methods.
        known: String,
    },
    /// A word is no setting.
    #[error("word {at} behind {method} is no key=value")]
    NoPair {
        /// Which, from 1.
        at: usize,
        /// The method.
        method: String,
    },
    /// A setting stands there again.
    #[error("{key} stands there twice")]
    Twice {
        /// Which.
        key: String,
    },
    /// A setting is not there.
    #[error("{method} needs {key}=…{slip}")]
    Missing {
        /// The method.
        method: String,
        /// Which.
        key: &'static str,
        /// What may be it, misspelled.
        slip: String,
    },
    /// Settings need each other, or more has to be said.
    #[error("{0}")]
    Incomplete(&'static str),
    /// A value has another form.
    #[error("{key} is {form}")]
    Value {
        /// Whose.
        key: &'static str,
        /// What it is not, or has to be.
        form: &'static str,
    },
    /// The method knows no such setting.
    #[error("{method} knows no {key}: {known}")]
    Unknown {
        /// The method.
        method: String,
        /// Its name, if it may be shown.
        key: String,
        /// Those that it knows.
        known: String,
    },
    /// Each request cannot carry this login.
    #[error("this login by {method} cannot be inline")]
    Inline {
        /// The method.
        method: &'static str,
    },
}

/// A method and its settings, which methods take out one by one.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    method: String,
    pairs: Vec<(String, String)>,
    asked: Vec<&'static str>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({})", self.method)
    }
}

impl Settings {
    /// A method by its name, and its settings.
    #[must_use]
    pub fn new(method: &str, pairs: Vec<(String, String)>) -> Self {
        Self { method: method.to_owned(), pairs, asked: Vec::new() }
    }

    /// Reads `METHOD key=value …`; `-` and `_` are the same in a key.
    ///
    /// # Errors
    ///
    /// If there is no method, or a word that is no setting.
    pub fn of_words(words: &[String]) -> Result<Self, PlanError> {
        let (method, words) = words.split_first().ok_or(PlanError::NoMethod)?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| PlanError::NoPair { at: at + 1, method: method.clone() })?;
            let key = key.replace('-', "_");
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(PlanError::Twice { key });
            }
            pairs.push((key, value.to_owned()));
        }
        Ok(Self::new(method, pairs))
    }

    /// The name of the method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// A setting; an empty one is none.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.given(key).filter(|value| !value.is_empty())
    }

    /// A setting of which an empty one says something.
    pub fn given(&mut self, key: &'static str) -> Option<String> {
        self.asked.push(key);
        let at = self.pairs.iter().position(|(known, _)| known == key)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// A setting that the method cannot do without.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn required(&mut self, key: &'static str) -> Result<String, PlanError> {
        self.text(key).ok_or_else(|| {
            let near = |it: &&(String, String)| is_near(&it.0, key);
            let slip = self.pairs.iter().find(near).map_or(String::new(), |(typed, _)| {
                format!(": is that what `{typed}` is meant to be?")
            });
            PlanError::Missing { method: self.method.clone(), key, slip }
        })
    }

    /// A setting that is `true` or `false`; false if it is not there.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn flag(&mut self, key: &'static str) -> Result<bool, PlanError> {
        match self.text(key).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(PlanError::Value { key, form: "neither true nor false" }),
        }
    }

    /// Where a secret is.
    ///
    /// # Errors
    ///
    /// If the setting is not a place: secrets do not stand in settings.
    pub fn secret(&mut self, key: &'static str) -> Result<Option<Place>, PlanError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let form =
            "where the secret is, not the secret: env:NAME, file:PATH, command:LINE or terminal";
        Place::parse(&text).map(Some).ok_or(PlanError::Value { key, form })
    }

    /// Something that is no secret: itself, or where it is.
    pub fn public(&mut self, key: &'static str) -> Option<Place> {
        let text = self.text(key)?;
        Some(Place::parse(&text).unwrap_or(Place::Here(text)))
    }

    /// Nothing more is asked for.
    ///
    /// # Errors
    ///
    /// If something is left.
    pub fn end(mut self) -> Result<(), PlanError> {
        let Some((key, _)) = self.pairs.first() else { return Ok(()) };
        self.asked.sort_unstable();
        self.asked.dedup();
        // A secret that ends with `=` looks like one.
        let key = if is_word(key) { key } else { "setting of the name that stands there" };
        let (key, known) = (key.to_owned(), self.asked.join(", "));
        Err(PlanError::Unknown { method: self.method, key, known })
    }
}

/// Whether a text can be shown: it is no secret.
pub(super) fn is_word(text: &str) -> bool {
    text.len() < 30 && text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_')
}

/// Whether a word is one slip or two away from a known one, or a part of it.
pub(super) fn is_near(typed: &str, known: &str) -> bool {
    let slips = if known.len() < 5 { 1 } else { 2 };
    let part = typed.len() > 2 && (known.starts_with(typed) || known.ends_with(typed));
    is_word(typed) && (part || strsim::osa_distance(typed, known) <= slips)
}

#[cfg(test)]
mod tests {
    use super::{Place, PlanError, Settings};

    fn read(text: &str) -> Result<Settings, PlanError> {
        Settings::of_words(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_setting_is_a_key_and_a_value() {
        let mut settings = read("approle role-id=a=b secret_id=file:/s").expect("valid");
        assert_eq!(settings.method(), "approle");
        assert_eq!(settings.public("role_id"), Some(Place::Here("a=b".into())));
        assert_eq!(settings.secret("secret_id"), Ok(Some(Place::File("/s".into()))));
        assert_eq!(settings.text("mount"), None);
        assert_eq!(settings.end(), Ok(()));
        assert!(
            read("approle hunter2")
                .expect_err("no pair")
                .to_string()
                .starts_with("word 1 behind approle")
        );
        assert!(read("jwt role=a role=b").is_err());
    }

    #[test]
    fn a_secret_is_never_a_setting_and_never_repeated() {
        let mut settings = read("userpass password=hunter2 user=x").expect("pairs");
        let error = settings.secret("password").expect_err("no place").to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(settings.text("username"), None);
        let error = settings.end().expect_err("a key that is not known").to_string();
        assert_eq!(error, "userpass knows no user: password, username");
        let said = |text: &str| {
            let error = read(text).expect("pairs").required("username");
            error.expect_err("none").to_string()
        };
        let meant = "userpass needs username=…: is that what `user` is meant to be?";
        assert_eq!(said("userpass password=env:P user=anna"), meant);
        assert_eq!(said("userpass password=env:P mount=x"), "userpass needs username=…");
        let error = read("cert c2VjcmV0==").expect("a pair").end().expect_err("left").to_string();
        assert!(!error.contains("c2VjcmV0"), "{error}");
        assert_eq!(format!("{:?}", read("cert a=hunter2")), "Ok(Settings(cert))");
    }
}

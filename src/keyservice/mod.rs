//! Who can unwrap a data key, and one run's keyring of those.
//!
//! A [`KeyService`] sees master keys, wrapped keys and 32 bytes, never a document. The [`Keyring`]
//! asks its services in order.
//!
//! Invariants: one run asks for each distinct wrapped key once, on however many threads, unless files at work
//! have the same ones in another order; no key is asked for
//! before those above it failed, but for those of a server that has refused one of that file; every
//! failure is kept, with the key that it belongs to, until all have failed.

#[cfg(feature = "age")]
pub mod age;
mod crew;
mod keyring;
mod order;
#[cfg(feature = "vault")]
pub mod vault;

use std::sync::Arc;

pub use self::crew::{Crew, Others};
pub use self::keyring::{KeyFailure, Keyring, RecoverError, WrapError};
pub use self::order::{DecryptionOrder, DuplicateKindError};

use crate::keys::{MasterKey, WrappedKey};
use crate::secret::{DataKey, DataKeyLengthError};

/// Wraps and unwraps data keys with master keys of some kind.
pub trait KeyService: Send + Sync {
    /// Wraps a data key for each of these master keys. `None`: it is none of this service's.
    fn wrap(
        &self,
        keys: &[&MasterKey],
        data_key: &DataKey,
    ) -> Vec<Option<Result<String, KeyError>>>;

    /// Unwraps a data key. `None`: the master key is none of this service's.
    fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>>;

    /// Unwraps several, with as few requests as it takes.
    fn unwrap_all(&self, keys: &[&WrappedKey]) -> Vec<Option<Result<DataKey, KeyError>>> {
        keys.iter().map(|key| self.unwrap(key)).collect()
    }
}

impl<S: KeyService + ?Sized> KeyService for Arc<S> {
    fn wrap(
        &self,
        keys: &[&MasterKey],
        data_key: &DataKey,
    ) -> Vec<Option<Result<String, KeyError>>> {
        (**self).wrap(keys, data_key)
    }

    fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>> {
        (**self).unwrap(key)
    }

    fn unwrap_all(&self, keys: &[&WrappedKey]) -> Vec<Option<Result<DataKey, KeyError>>> {
        (**self).unwrap_all(keys)
    }
}

/// Why a data key could not be wrapped for one master key, or unwrapped with it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No service takes master keys of this kind.
    #[error("{kind} keys are not supported yet")]
    NoService {
        /// The kind, by its name in the metadata.
        kind: &'static str,
    },
    /// The master key is not one that a data key can be wrapped for.
    #[error("{problem}")]
    Recipient {
        /// Why not.
        problem: String,
    },
    /// The wrapped key is damaged.
    #[error("the wrapped key cannot be read: {problem}")]
    Malformed {
        /// How.
        problem: String,
    },
    /// The user has no identity for it.
    #[error("no identity for this recipient")]
    NoIdentity {
        /// Every place that was looked at.
        looked: Vec<Looked>,
    },
    /// What was wrapped is no data key.
    #[error("{0}")]
    Length(#[from] DataKeyLengthError),
    /// Whoever does it failed.
    #[error("{problem}")]
    Failed {
        /// How.
        problem: String,
    },
}

/// A place where an identity was looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Looked {
    /// What the user knows it by: `SOPS_AGE_KEY_FILE`.
    pub name: String,
    /// The path, or the program of the command, that it led to; empty if there is none to tell.
    pub location: String,
    /// What was there, or why it could not be used. Never a part of an identity.
    pub outcome: String,
}

impl Looked {
    /// Whether there was an identity, of another recipient.
    #[must_use]
    pub fn is_of_another(&self) -> bool {
        self.outcome.contains("for this recipient")
    }
}

#[cfg(feature = "age")]
impl From<age::RecipientError> for KeyError {
    fn from(error: age::RecipientError) -> Self {
        Self::Recipient { problem: error.to_string() }
    }
}

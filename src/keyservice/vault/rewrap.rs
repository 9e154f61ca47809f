//! Wrapped keys, wrapped anew by the newest version of their transit key: on the server, which gives
//! neither plaintext nor data key away.
//!
//! Invariants: what the server gives takes the place of a wrapped key only if it is a ciphertext of no
//! older version; a key is asked for its versions once, by whoever calls.

use serde_json::Value;

use super::transit::{self, AnswerError, Item, Operation};
use super::{Repeat, Target, VaultKeys, damage, envelope, is_wrapping, refusal};
use crate::keys::MasterKey;
use crate::keyservice::KeyError;
use crate::secret::SecretText;

/// The versions of a transit key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// The oldest that the server still has, from 1.
    pub kept: u64,
    /// The oldest that decrypts, from 1. Below it are those that the operator gave up.
    pub oldest: u64,
    /// The newest, which encrypts.
    pub newest: u64,
}

impl VaultKeys {
    /// The versions that a key has. `wrapped` is what it wrapped, at least one: a token that may rewrap and
    /// not read the key learns the newest version from what comes back for the first of these.
    ///
    /// # Errors
    ///
    /// If the server does not say, or there is no such key.
    pub fn versions(&self, wrapped: &[(MasterKey, &str)]) -> Result<Versions, KeyError> {
        let Some((key, _)) = wrapped.first() else { return Err(refusal::no_result()) };
        let target = target(key)?;
        let path = format!("{}/keys/{}", target.engine_path, target.key_name);
        let answer = self.call(&target, "GET", &path, None, Repeat::Freely);
        let answer = answer.map_err(|error| refusal::of_call(self.client(), &error))?;
        if answer.status == 403 {
            return self.newest_of(wrapped);
        }
        let (status, key) = (answer.status, envelope::read(&answer));
        let key = key.map_err(|error| match error.texts.as_slice() {
            [] if status == 404 => KeyError::Failed { problem: "no such key (404)".to_owned() },
            _ => {
                let error = AnswerError::Refused(error.texts);
                refusal::of_answer(self.client(), &target, status, &error)
            }
        })?;
        let number = |name: &str| key.pointer(&format!("/data/{name}")).and_then(Value::as_u64);
        let newest = number("latest_version").ok_or_else(refusal::no_result)?;
        let oldest = |name: &str| number(name).unwrap_or(1).max(1);
        let (kept, oldest) = (oldest("min_available_version"), oldest("min_decryption_version"));
        Ok(Versions { kept, oldest, newest })
    }

    fn newest_of(&self, wrapped: &[(MasterKey, &str)]) -> Result<Versions, KeyError> {
        // One that is damaged says nothing of the others.
        let results = self.rewrap(wrapped);
        let versions = results.iter().flatten().filter_map(|new| transit::version(new));
        match versions.max() {
            Some(newest) => Ok(Versions { kept: 1, oldest: 1, newest }),
            None => {
                Err(results.into_iter().find_map(Result::err).unwrap_or_else(refusal::no_result))
            }
        }
    }

    /// Has each of these made anew, by the newest version of its key; together with those that others ask
    /// for at the same time. The results are in the same order.
    pub fn rewrap(&self, wrapped: &[(MasterKey, &str)]) -> Vec<Result<String, KeyError>> {
        let item = |(key, enc): &(MasterKey, &str)| {
            let enc = enc.trim_end();
            let context = context(key);
            if let Some(problem) = damage(enc, context.as_deref()) {
                return Err(KeyError::Malformed { problem });
            }
            let item = Item { text: SecretText::new(enc.to_owned()), context };
            Ok((target(key)?, item))
        };
        let results = self.ask(wrapped.iter().map(item).collect());
        let new = |((_, old), result): (&(MasterKey, &str), Result<SecretText, KeyError>)| {
            let text = result?.expose_secret().to_owned();
            let older = transit::version(&text) < transit::version(old.trim_end());
            if older || !is_wrapping(&text) { Err(refusal::no_result()) } else { Ok(text) }
        };
        wrapped.iter().zip(results).map(new).collect()
    }
}

fn target(key: &MasterKey) -> Result<Target, KeyError> {
    let MasterKey::Vault { address, engine_path, key_name, context } = key else {
        return Err(KeyError::NoService { kind: key.kind().field() });
    };
    Target::new(Operation::Rewrap, address, engine_path, key_name, context.is_some())
}

fn context(key: &MasterKey) -> Option<String> {
    match key {
        MasterKey::Vault { context, .. } => context.clone(),
        MasterKey::Age { .. } | MasterKey::Foreign { .. } => None,
    }
}

//! What the entries of a file give: each that can be opened here, held against the file itself.
//!
//! **Invariants**: a wrapped key that gives a data key is not believed before that key opens the file; each
//! distinct data key is tried once.

use std::sync::Arc;

use super::context::Ctx;
use crate::file::{EncryptedFile, Fit};
#[cfg(feature = "vault")]
use crate::keys::MasterKey;
use crate::keys::{KeyGroup, WrappedKey};
use crate::keyservice::RecoverError;
#[cfg(feature = "vault")]
use crate::keyservice::vault::Address;
use crate::secret::DataKey;
use crate::shown::Show;

/// What an entry is worth.
#[derive(Clone, Debug)]
pub(crate) enum Worth {
    /// What it gives opens the file.
    Opens,
    /// It gives the data key of something else.
    Another,
    /// It gives the key of the file, which was changed; in a sentence.
    Damaged(String),
    /// It gives nothing here.
    Closed(RecoverError),
}

/// Each entry of a file, and what it is worth.
pub(crate) fn judged(
    ctx: &Ctx,
    file: &EncryptedFile,
    groups: &[KeyGroup],
) -> Vec<(WrappedKey, Worth)> {
    let mut known: Vec<(Arc<DataKey>, Worth)> = Vec::new();
    let judge = |key: &WrappedKey| {
        let data_key = match given(ctx, key) {
            Ok(data_key) => data_key,
            Err(error) => return (key.clone(), Worth::Closed(error)),
        };
        let same = known.iter().find(|(it, _)| it.expose_secret() == data_key.expose_secret());
        if let Some((_, worth)) = same {
            return (key.clone(), worth.clone());
        }
        let worth = match file.fit(&data_key) {
            Fit::Opens => Worth::Opens,
            Fit::Another => Worth::Another,
            Fit::Damaged(error) => Worth::Damaged(error.to_string().shown().to_string()),
        };
        known.push((data_key, worth.clone()));
        (key.clone(), worth)
    };
    groups.iter().flat_map(KeyGroup::keys).map(judge).collect()
}

/// The entries that give another data key than the one that opened the file.
pub(crate) fn lying<'k>(
    ctx: &Ctx,
    data_key: &DataKey,
    entries: impl Iterator<Item = &'k WrappedKey>,
) -> Vec<WrappedKey> {
    let entries: Vec<_> = entries.filter(|key| is_named(ctx, key)).collect();
    let given = ctx.keyring().each(&entries);
    let lies = |(key, given): (&'k WrappedKey, Result<Arc<DataKey>, _>)| {
        let other = given.is_ok_and(|it| it.expose_secret() != data_key.expose_secret());
        other.then(|| key.clone())
    };
    entries.into_iter().zip(given).filter_map(lies).collect()
}

/// Whether an entry can be tried without a question: whom only the file names is not asked for a check.
#[cfg(feature = "vault")]
fn is_named(ctx: &Ctx, key: &WrappedKey) -> bool {
    let MasterKey::Vault { address, .. } = key.key() else { return true };
    let server = Address::of_file(address);
    let client = ctx.vault().client();
    server.is_ok_and(|server| client.is_ok_and(|client| client.is_named(&server)))
}

#[cfg(not(feature = "vault"))]
fn is_named(_: &Ctx, _: &WrappedKey) -> bool {
    true
}

/// What one entry gives.
fn given(ctx: &Ctx, key: &WrappedKey) -> Result<Arc<DataKey>, RecoverError> {
    ctx.keyring().recover(&[KeyGroup::new(vec![key.clone()])])
}

/// What to do about an entry that gives another data key.
pub(crate) fn mend(others_open: bool) -> &'static str {
    match others_open {
        true => "`waxseal reseal` makes a new one and wraps it for all",
        false => "take its `enc` back from an earlier version of the file (git log -p)",
    }
}

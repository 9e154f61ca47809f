//! All key services of a run, and the data keys that they gave.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Crew, DecryptionOrder, KeyError, KeyService};
use crate::keys::{KeyGroup, MasterKey, WrappedKey};
use crate::secret::DataKey;

/// The key services of a run.
pub struct Keyring {
    services: Vec<Box<dyn KeyService>>,
    order: DecryptionOrder,
    crew: Arc<Crew>,
    /// What each wrapped key gave, or why it gave nothing.
    known: Mutex<HashMap<(MasterKey, String), Arc<Unwrapped>>>,
}

/// What a wrapped key gave. The first thread that asks finds out; the others wait for it.
#[derive(Default)]
struct Unwrapped {
    /// Somebody is about to find out, be it with others.
    asked: AtomicBool,
    result: OnceLock<Result<Arc<DataKey>, Vec<KeyError>>>,
}

/// A master key that failed, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFailure {
    /// Which.
    pub key: MasterKey,
    /// One error per service that takes keys of this kind; at least one.
    pub errors: Vec<KeyError>,
}

/// Why the data key of a file could not be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The file names no master key.
    #[error("the file names no master key")]
    NoKeys,
    /// The file has key groups.
    #[error("files with {count} key groups cannot be opened yet, those with one can")]
    SeveralGroups {
        /// How many.
        count: usize,
    },
    /// No master key worked.
    #[error("cannot recover the data key{}", list(failures))]
    NoKeyWorked {
        /// Why, in the order in which they were tried.
        failures: Vec<KeyFailure>,
    },
}

/// Why a data key could not be wrapped for all master keys.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// There is no group, or one without keys.
    #[error("{}", if *groups > 1 { "a key group has no keys" } else { "there is no master key to encrypt for" })]
    EmptyGroup {
        /// Number of groups.
        groups: usize,
    },
    /// Several key groups.
    #[error("files with {count} key groups cannot be written yet, those with one can")]
    SeveralGroups {
        /// How many.
        count: usize,
    },
    /// Some master keys failed.
    #[error("cannot wrap the data key{}", list(failures))]
    KeysFailed {
        /// Each that did.
        failures: Vec<KeyFailure>,
    },
}

impl Keyring {
    /// A keyring of these services, which are asked in this order.
    #[must_use]
    pub fn new(services: Vec<Box<dyn KeyService>>, order: DecryptionOrder) -> Self {
        Self { services, order, crew: Arc::default(), known: Mutex::default() }
    }

    /// The same keyring for those who work side by side in this crew, as its services do.
    #[must_use]
    pub fn for_crew(self, crew: Arc<Crew>) -> Self {
        Self { crew, ..self }
    }

    /// The data key of a file, by the first of its master keys that works.
    ///
    /// # Errors
    ///
    /// If none works; names each and why it failed.
    pub fn recover(&self, groups: &[KeyGroup]) -> Result<Arc<DataKey>, RecoverError> {
        let group = match groups {
            [] => return Err(RecoverError::NoKeys),
            [group] => group,
            several => return Err(RecoverError::SeveralGroups { count: several.len() }),
        };
        if group.keys().is_empty() {
            return Err(RecoverError::NoKeys);
        }
        let mut failures: Vec<KeyFailure> = Vec::new();
        let keys = self.order.sort(group);
        for (at, key) in keys.iter().enumerate() {
            // Where one was of no use, a hundred more may be: they are asked for together.
            let missed = failures.iter().any(|failure| is_beside(&failure.key, key.key()));
            let rest = keys[at + 1..].iter().filter(|it| missed && is_beside(it.key(), key.key()));
            match self.unwrap(key, rest.copied()) {
                Ok(data_key) => return Ok(data_key),
                Err(errors) => failures.push(KeyFailure { key: key.key().clone(), errors }),
            }
        }
        Err(RecoverError::NoKeyWorked { failures })
    }

    /// Wraps a data key for every master key; the wrapped keys in the same order.
    ///
    /// # Errors
    ///
    /// If any fails; names all that do.
    pub fn wrap_all(
        &self,
        groups: &[Vec<MasterKey>],
        data_key: &DataKey,
    ) -> Result<Vec<Vec<String>>, WrapError> {
        if groups.is_empty() || groups.iter().any(Vec::is_empty) {
            return Err(WrapError::EmptyGroup { groups: groups.len() });
        }
        if groups.len() > 1 {
            return Err(WrapError::SeveralGroups { count: groups.len() });
        }
        let mut failures = Vec::new();
        let wrap_group = |group: &Vec<MasterKey>| {
            let wrapped = group.iter().zip(self.wrap(group, data_key));
            let wrapped = wrapped.map(|(key, result)| {
                result.unwrap_or_else(|errors| {
                    failures.push(KeyFailure { key: key.clone(), errors });
                    String::new()
                })
            });
            wrapped.collect()
        };
        let wrapped = groups.iter().map(wrap_group).collect();
        if failures.is_empty() { Ok(wrapped) } else { Err(WrapError::KeysFailed { failures }) }
    }

    /// Wraps for each key by the first service that can; a service is asked for all of its keys at once.
    fn wrap(&self, keys: &[MasterKey], data_key: &DataKey) -> Vec<Result<String, Vec<KeyError>>> {
        let mut wrapped: Vec<Result<String, Vec<KeyError>>> = vec![Err(Vec::new()); keys.len()];
        for service in &self.services {
            let left = || (0..keys.len()).filter(|&at| wrapped[at].is_err());
            let asked: Vec<usize> = left().collect();
            let keys: Vec<&MasterKey> = asked.iter().map(|&at| &keys[at]).collect();
            for (at, attempt) in asked.into_iter().zip(service.wrap(&keys, data_key)) {
                match (attempt, &mut wrapped[at]) {
                    (Some(Ok(enc)), slot) => *slot = Ok(enc),
                    (Some(Err(error)), Err(errors)) => errors.push(error),
                    (Some(Err(_)), Ok(_)) | (None, _) => {}
                }
            }
        }
        for (key, wrapped) in keys.iter().zip(&mut wrapped) {
            if let Err(errors) = wrapped
                && errors.is_empty()
            {
                errors.push(no_service(key));
            }
        }
        wrapped
    }

    /// What a wrapped key gives. If it is not known yet, it is asked for together with the rest.
    fn unwrap<'k>(
        &self,
        key: &'k WrappedKey,
        rest: impl Iterator<Item = &'k WrappedKey>,
    ) -> Result<Arc<DataKey>, Vec<KeyError>> {
        let unwrapped = self.known(key);
        if unwrapped.is_for_us() {
            self.find_out(std::iter::once(key).chain(rest.filter(|it| self.known(it).is_for_us())));
        }
        self.found(&unwrapped).clone()
    }

    /// What each wrapped key gives; what is not known yet is asked for together.
    pub fn each(&self, keys: &[&WrappedKey]) -> Vec<Result<Arc<DataKey>, Vec<KeyError>>> {
        let known: Vec<_> = keys.iter().map(|key| self.known(key)).collect();
        let mine = keys.iter().zip(&known).filter(|(_, it)| it.is_for_us());
        self.find_out(mine.map(|(key, _)| *key));
        known.iter().map(|unwrapped| self.found(unwrapped).clone()).collect()
    }

    /// What was found out, here or by another worker, who is waited for.
    fn found<'u>(&self, unwrapped: &'u Unwrapped) -> &'u Result<Arc<DataKey>, Vec<KeyError>> {
        match unwrapped.result.get() {
            Some(result) => result,
            None => self.crew.aside(|| unwrapped.result.wait()),
        }
    }

    /// Finds out what these keys give, of which each is ours to ask for.
    fn find_out<'k>(&self, keys: impl Iterator<Item = &'k WrappedKey>) {
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() {
            return;
        }
        let asking = Asking(keys.iter().map(|key| self.known(key)).collect());
        for (unwrapped, result) in asking.0.iter().zip(self.unwrap_all(&keys)) {
            // Nobody else sets it.
            let _ = unwrapped.result.set(result);
        }
    }

    fn known(&self, key: &WrappedKey) -> Arc<Unwrapped> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry((key.key().clone(), key.enc().to_owned())).or_default())
    }

    /// Unwraps each key by the first service that can.
    fn unwrap_all(&self, keys: &[&WrappedKey]) -> Vec<Result<Arc<DataKey>, Vec<KeyError>>> {
        let mut unwrapped: Vec<Result<Arc<DataKey>, Vec<KeyError>>> =
            keys.iter().map(|_| Err(Vec::new())).collect();
        for service in &self.services {
            let asked: Vec<usize> = (0..keys.len()).filter(|&at| unwrapped[at].is_err()).collect();
            let left: Vec<_> = asked.iter().map(|&at| keys[at]).collect();
            for (at, attempt) in asked.into_iter().zip(service.unwrap_all(&left)) {
                match (attempt, &mut unwrapped[at]) {
                    (Some(Ok(data_key)), slot) => *slot = Ok(Arc::new(data_key)),
                    (Some(Err(error)), Err(errors)) => errors.push(error),
                    (Some(Err(_)), Ok(_)) | (None, _) => {}
                }
            }
        }
        for (key, unwrapped) in keys.iter().zip(&mut unwrapped) {
            if let Err(errors) = unwrapped
                && errors.is_empty()
            {
                errors.push(no_service(key.key()));
            }
        }
        unwrapped
    }
}

/// Keys that are asked for. However that ends, whoever waits for them gets a result.
struct Asking(Vec<Arc<Unwrapped>>);

impl Drop for Asking {
    fn drop(&mut self) {
        for unwrapped in &self.0 {
            // There is one already, unless the work was broken off.
            let _ = unwrapped.result.set(Err(Vec::new()));
        }
    }
}

impl Unwrapped {
    /// Whether nobody has asked for it, so that we do.
    fn is_for_us(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }
}

/// Whether two master keys are of one server.
fn is_beside(one: &MasterKey, other: &MasterKey) -> bool {
    match (one, other) {
        (MasterKey::Vault { address: one, .. }, MasterKey::Vault { address: other, .. }) => {
            one == other
        }
        (MasterKey::Age { .. } | MasterKey::Foreign { .. } | MasterKey::Vault { .. }, _) => false,
    }
}

fn no_service(key: &MasterKey) -> KeyError {
    KeyError::NoService { kind: key.kind().field() }
}

impl fmt::Display for KeyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: Vec<_> = self.errors.iter().map(ToString::to_string).collect();
        write!(f, "{}: {}", self.key, errors.join("; "))
    }
}

fn list(failures: &[KeyFailure]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a service that takes its time")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Keyring, RecoverError, WrapError};
    use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey};
    use crate::keyservice::{DecryptionOrder, KeyError, KeyService};
    use crate::secret::DataKey;
    use crate::timestamp::Timestamp;

    /// Takes age recipients; those named `good…` it knows.
    struct Fake(Arc<AtomicUsize>);

    impl KeyService for Fake {
        fn wrap(&self, keys: &[&MasterKey], _: &DataKey) -> Vec<Option<Result<String, KeyError>>> {
            let wrap = |key: &&MasterKey| {
                let MasterKey::Age { recipient } = key else { return None };
                Some(if recipient.starts_with("good") {
                    Ok(format!("for {recipient}"))
                } else {
                    Err(KeyError::Recipient { problem: "bad".into() })
                })
            };
            keys.iter().map(wrap).collect()
        }

        fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>> {
            let MasterKey::Age { recipient } = key.key() else { return None };
            self.0.fetch_add(1, Ordering::Relaxed);
            // Long enough for other threads to come.
            std::thread::sleep(std::time::Duration::from_millis(5));
            Some(if recipient.starts_with("good") {
                DataKey::from_bytes(&[7; 32]).map_err(KeyError::from)
            } else {
                Err(KeyError::NoIdentity { looked: Vec::new() })
            })
        }
    }

    fn keyring() -> (Keyring, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let services: Vec<Box<dyn KeyService>> = vec![Box::new(Fake(Arc::clone(&count)))];
        (Keyring::new(services, DecryptionOrder::default()), count)
    }

    fn age(recipient: &str) -> MasterKey {
        MasterKey::Age { recipient: recipient.into() }
    }

    fn pgp() -> MasterKey {
        MasterKey::Foreign { kind: KeyKind::Pgp, id: "FP".into() }
    }

    fn group(keys: &[MasterKey]) -> KeyGroup {
        let now = Timestamp::from_unix(0).expect("in range");
        KeyGroup::new(
            keys.iter().map(|key| WrappedKey::new(key.clone(), "enc".into(), now)).collect(),
        )
    }

    #[test]
    fn the_first_key_that_works_gives_the_data_key() {
        let (keyring, _) = keyring();
        let key = keyring.recover(&[group(&[pgp(), age("bad"), age("good")])]).expect("recovered");
        assert_eq!(key.expose_secret(), &[7; 32]);
    }

    #[test]
    fn each_wrapped_key_is_unwrapped_once_on_all_threads() {
        let (keyring, count) = keyring();
        let groups = [group(&[age("bad"), age("good")])];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| keyring.recover(&groups).expect("recovered"));
            }
        });
        keyring.recover(&groups).expect("recovered");
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn every_key_that_failed_is_told_in_the_order_of_trying() {
        let (keyring, _) = keyring();
        let error = keyring.recover(&[group(&[pgp(), age("bad")])]).expect_err("no key");
        assert_eq!(
            error.to_string(),
            "cannot recover the data key\n  bad: no identity for this recipient\n  FP: pgp keys are not supported yet"
        );
        assert_eq!(keyring.recover(&[]).err(), Some(RecoverError::NoKeys));
        assert_eq!(keyring.recover(&[group(&[])]).err(), Some(RecoverError::NoKeys));
        let two = [group(&[age("good")]), group(&[age("good")])];
        assert_eq!(keyring.recover(&two).err(), Some(RecoverError::SeveralGroups { count: 2 }));
    }

    #[test]
    fn a_data_key_is_wrapped_for_all_or_none() {
        let (keyring, _) = keyring();
        let key = DataKey::from_bytes(&[7; 32]).expect("32 bytes");
        let wrapped = keyring.wrap_all(&[vec![age("good1"), age("good2")]], &key);
        assert_eq!(wrapped, Ok(vec![vec!["for good1".into(), "for good2".into()]]));
        let error = keyring.wrap_all(&[vec![age("x"), age("good"), pgp()]], &key);
        let text = error.expect_err("two fail").to_string();
        assert_eq!(
            text,
            "cannot wrap the data key\n  x: bad\n  FP: pgp keys are not supported yet"
        );
        let empty = keyring.wrap_all(&[vec![]], &key);
        assert_eq!(empty, Err(WrapError::EmptyGroup { groups: 1 }));
        let two = keyring.wrap_all(&[vec![age("good")], vec![age("good")]], &key);
        assert_eq!(two, Err(WrapError::SeveralGroups { count: 2 }));
    }
}

//! In which order the keys of a group are tried.

use crate::keys::{KeyGroup, KeyKind, WrappedKey};

/// Kinds of master keys, the first to be tried first; kinds that are not named come last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecryptionOrder(Vec<KeyKind>);

/// A kind stands twice in a decryption order.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("duplicate decryption key type {kind:?}")]
pub struct DuplicateKindError {
    /// As it is written.
    pub kind: String,
}

impl DecryptionOrder {
    /// Reads a comma list of type ids, untrimmed as in SOPS; unknown ids have no effect.
    ///
    /// # Errors
    ///
    /// If an id stands twice, known or not.
    pub fn parse(text: &str) -> Result<Self, DuplicateKindError> {
        let ids: Vec<&str> = text.split(',').collect();
        let twice = ids.iter().enumerate().find(|&(at, id)| ids[..at].contains(id));
        match twice {
            Some((_, kind)) => Err(DuplicateKindError { kind: (*kind).to_owned() }),
            None => Ok(Self(ids.into_iter().filter_map(KeyKind::from_field).collect())),
        }
    }

    /// The keys of a group in this order; those of one kind, and of kinds not named, as they stand.
    #[must_use]
    pub fn sort<'a>(&self, group: &'a KeyGroup) -> Vec<&'a WrappedKey> {
        let mut keys: Vec<_> = group.keys().iter().collect();
        keys.sort_by_key(|key| {
            self.0.iter().position(|&kind| kind == key.key().kind()).unwrap_or(self.0.len())
        });
        keys
    }
}

impl Default for DecryptionOrder {
    fn default() -> Self {
        Self(vec![KeyKind::Age, KeyKind::Pgp])
    }
}

#[cfg(test)]
mod tests {
    use super::DecryptionOrder;
    use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey};
    use crate::timestamp::Timestamp;

    #[track_caller]
    fn check(order: &DecryptionOrder, expected: &[&str]) {
        let keys = [(KeyKind::Kms, "k"), (KeyKind::Pgp, "p1"), (KeyKind::Pgp, "p2")]
            .map(|(kind, id)| MasterKey::Foreign { kind, id: id.into() })
            .into_iter()
            .chain([MasterKey::Age { recipient: "a".into() }])
            .map(|key| {
                let now = Timestamp::from_unix(0).expect("in range");
                WrappedKey::new(key, String::new(), now)
            });
        let group = KeyGroup::new(keys.collect());
        let sorted: Vec<_> = order.sort(&group).iter().map(|key| key.key().to_string()).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn keys_are_sorted_by_kind_and_else_stay() {
        let order = |text| DecryptionOrder::parse(text).expect("valid");
        check(&DecryptionOrder::default(), &["a", "p1", "p2", "k"]);
        check(&order("pgp,hc_vault"), &["p1", "p2", "k", "a"]);
        check(&order(""), &["k", "p1", "p2", "a"]);
        check(&order("age , pgp"), &["k", "p1", "p2", "a"]);
    }

    #[test]
    fn a_kind_stands_once() {
        let error = DecryptionOrder::parse("age,pgp,age").expect_err("twice");
        assert_eq!(error.to_string(), r#"duplicate decryption key type "age""#);
    }
}

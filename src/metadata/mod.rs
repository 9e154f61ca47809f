//! The `sops` block of a file: who can decrypt it, what is encrypted, and the MAC.
//!
//! It is read from a [`Tree`] and written back as one, so this module knows no format. What SOPS reads
//! leniently is read so too; what would let two programs read two different things is refused.
//!
//! Invariants: a [`Metadata`] was understood completely; everything that is not known, and every
//! spelling that needs no change, is kept as it was read and where it stood. Errors name fields,
//! never values. Nothing here is secret; nothing here is authentic until the MAC and the seal say so.

mod read;
mod weak;

use crate::keys::{KeyGroup, KeyKind, WrappedKey, put};
use crate::policy::{Policy, Rule};
use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType, Tree};

/// The version of SOPS whose format is written.
pub const SOPS_VERSION: &str = "3.13.3";

/// The name of the block.
pub const BLOCK: &str = "sops";

/// The metadata of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// The block, as it was read, with what was changed since.
    raw: Vec<(String, Tree)>,
    lastmodified: Timestamp,
    mac: String,
    version: String,
    policy: Policy,
    groups: Vec<KeyGroup>,
    threshold: usize,
}

/// Why a `sops` block is not metadata. Names fields, never values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// `sops` is there and is no map.
    #[error("sops is not a map of metadata")]
    NotAMap,
    /// It nests deeper than any metadata does.
    #[error("the metadata nests too deeply")]
    TooDeep,
    /// It holds more than any metadata does: what works on it takes time with its size.
    #[error("the metadata holds more than {} values", read::MAX_VALUES)]
    TooLarge,
    /// A key stands twice in one map.
    #[error("the metadata has {field} twice")]
    Duplicate {
        /// Where.
        field: String,
    },
    /// A field that differs from a known one in case, which SOPS would read as that one.
    #[error("the metadata has {field}, which sops would read as {known}")]
    CaseVariant {
        /// Where.
        field: String,
        /// The field that SOPS would take it for.
        known: &'static str,
    },
    /// A field holds another type of value than it can.
    #[error("{field} in the metadata is not {expected}")]
    WrongType {
        /// Where.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is missing that has to be there.
    #[error("the metadata has no {field}")]
    Missing {
        /// Where it should be.
        field: String,
    },
    /// A time is not RFC 3339.
    #[error("{field} in the metadata is not a time such as 2026-01-02T03:04:05Z")]
    Time {
        /// Where.
        field: String,
    },
    /// Two rules say what is encrypted.
    #[error("the metadata has both {first} and {second}; a file has one rule")]
    TwoRules {
        /// One of them.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// Nobody can decrypt it.
    #[error("the metadata names no keys")]
    NoKeys,
}

/// The version in the metadata is none, which the `sops` program refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("version in the metadata is not a version such as {SOPS_VERSION}")]
pub struct VersionError;

impl Metadata {
    /// The metadata of a new file, without a MAC yet.
    ///
    /// `threshold` is the number of groups that are needed; 0 with two or more groups means all. The
    /// caller has checked that there is a group and that none is empty.
    #[must_use]
    pub fn new(
        policy: Policy,
        groups: Vec<KeyGroup>,
        threshold: usize,
        lastmodified: Timestamp,
    ) -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), Tree::str(value));
        let mut raw = vec![
            text("lastmodified", &lastmodified.seconds()),
            text("mac", ""),
            text("version", SOPS_VERSION),
        ];
        if policy.mac_only_encrypted() {
            put(&mut raw, "mac_only_encrypted", Tree::Scalar(Scalar::bool(true)));
        }
        if let Some(rule) = policy.named_rule() {
            put(&mut raw, rule.field(), Tree::str(rule.text()));
        }
        Self {
            raw,
            lastmodified,
            mac: String::new(),
            version: SOPS_VERSION.to_owned(),
            policy,
            groups: Vec::new(),
            threshold: 0,
        }
        .with_groups(groups, threshold)
    }

    /// Reads the block.
    ///
    /// # Errors
    ///
    /// If SOPS would refuse it, or if another program could read it in another way.
    pub fn from_tree(block: &Tree) -> Result<Self, MetadataError> {
        read::metadata(block)
    }

    /// When the file was last changed; its [`Timestamp::seconds`] is the AAD of the MAC.
    #[must_use]
    pub fn lastmodified(&self) -> Timestamp {
        self.lastmodified
    }

    /// The token of the MAC; empty if there is none.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// The version of SOPS that wrote the file; empty if none is named.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the version is one, as the `sops` program demands for decrypt, edit, rotate, set and
    /// unset; its library does not.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn check_version(&self) -> Result<(), VersionError> {
        if weak::is_version(&self.version) { Ok(()) } else { Err(VersionError) }
    }

    /// Which values are encrypted.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The groups of keys; one, unless the data key is split.
    #[must_use]
    pub fn groups(&self) -> &[KeyGroup] {
        &self.groups
    }

    /// Every wrapped key of every group.
    pub fn wrapped_keys(&self) -> impl Iterator<Item = &WrappedKey> {
        self.groups.iter().flat_map(|group| group.keys())
    }

    /// How many groups are needed; 0 if it is not said.
    #[must_use]
    pub fn shamir_threshold(&self) -> usize {
        self.threshold
    }

    /// The sealed spelling notes (`waxseal.spelling`).
    #[must_use]
    pub fn spelling(&self) -> Option<&str> {
        let (_, waxseal) = self.raw.iter().find(|(name, _)| name == "waxseal")?;
        match waxseal.get("spelling")? {
            Tree::Scalar(text) if text.kind == ScalarType::Str => text.text(),
            Tree::Scalar(_) | Tree::Map(_) | Tree::List(_) => None,
        }
    }

    /// The same metadata with this MAC token.
    #[must_use]
    pub fn with_mac(&self, token: &str) -> Self {
        let mut new = self.clone();
        put(&mut new.raw, "mac", Tree::str(token));
        token.clone_into(&mut new.mac);
        new
    }

    /// Whether what no tag covers is written as sops and waxseal write it: the time as a text of the
    /// one form, nothing behind the token of the MAC, and no field without content that neither knows.
    #[must_use]
    pub fn is_as_written(&self) -> bool {
        let text = |name: &str| match self.raw.iter().find(|(field, _)| field == name) {
            Some((_, Tree::Scalar(scalar))) if scalar.kind == ScalarType::Str => scalar.text(),
            _ => None,
        };
        let mac = self.mac.find(']').is_none_or(|end| end + 1 == self.mac.len());
        text("lastmodified") == Some(self.lastmodified.seconds().as_str())
            && mac
            && !self.raw.iter().any(|(name, value)| is_stray(name, value))
    }

    /// The fields that neither SOPS nor waxseal knows. They are kept, and count as recipients: a later
    /// version may wrap for what they name.
    pub fn unknown_fields(&self) -> impl Iterator<Item = &str> {
        self.raw
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !read::KNOWN.contains(name) && !Rule::FIELDS.contains(name))
    }

    /// The same metadata, last changed then, without fields that say nothing.
    #[must_use]
    pub fn with_lastmodified(&self, time: Timestamp) -> Self {
        let mut new = self.clone();
        new.raw.retain(|(name, value)| !is_stray(name, value));
        put(&mut new.raw, "lastmodified", Tree::str(time.seconds()));
        new.lastmodified = time;
        new
    }

    /// The same metadata, written by this version of SOPS.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        let mut new = self.clone();
        put(&mut new.raw, "version", Tree::str(version));
        version.clone_into(&mut new.version);
        new
    }

    /// The same metadata under another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        let mut new = self.clone();
        let named = policy.named_rule().map(Rule::field);
        new.raw.retain(|(name, _)| {
            Some(name.as_str()) == named || !Rule::FIELDS.contains(&name.as_str())
        });
        if let Some(rule) = policy.named_rule() {
            put(&mut new.raw, rule.field(), Tree::str(rule.text()));
        }
        if policy.mac_only_encrypted() != self.policy.mac_only_encrypted() {
            new.raw.retain(|(name, _)| name != "mac_only_encrypted");
            if policy.mac_only_encrypted() {
                put(&mut new.raw, "mac_only_encrypted", Tree::Scalar(Scalar::bool(true)));
            }
        }
        new.policy = policy;
        new
    }

    /// The same metadata with these notes; `None` leaves none.
    #[must_use]
    pub fn with_spelling(&self, sealed: Option<&str>) -> Self {
        let mut new = self.clone();
        match sealed {
            Some(sealed) => {
                let fields = vec![("spelling".to_owned(), Tree::str(sealed))];
                put(&mut new.raw, "waxseal", Tree::Map(fields));
            }
            None => new.raw.retain(|(name, _)| name != "waxseal"),
        }
        new
    }

    /// The same metadata with these groups of keys. `threshold` as in [`Metadata::new`].
    #[must_use]
    pub fn with_groups(&self, groups: Vec<KeyGroup>, threshold: usize) -> Self {
        let mut new = self.clone();
        let threshold = if groups.len() > 1 && threshold == 0 { groups.len() } else { threshold };
        if threshold != self.threshold {
            new.raw.retain(|(name, _)| name != "shamir_threshold");
            if let Some(number) = i64::try_from(threshold).ok().filter(|&number| number > 0) {
                put(&mut new.raw, "shamir_threshold", Tree::Scalar(Scalar::int(number)));
            }
        }
        if let [group] = groups.as_slice() {
            new.raw.retain(|(name, _)| name != "key_groups");
            for kind in KeyKind::ALL {
                let list = entries_of(group, kind);
                // An empty list that was written (`kms: []`) stays.
                if list.is_empty() {
                    new.raw.retain(|(name, value)| name != kind.field() || weak::is_empty(value));
                } else {
                    put_list(&mut new.raw, kind.field(), list);
                }
            }
        } else {
            new.raw.retain(|(name, value)| {
                KeyKind::from_field(name).is_none() || weak::is_empty(value)
            });
            let list = groups.iter().map(group_tree).collect();
            put_list(&mut new.raw, "key_groups", list);
        }
        new.groups = groups;
        new.threshold = threshold;
        new
    }

    /// The block in the order in which it was read, with changed fields in their place: the least to
    /// change in a file.
    #[must_use]
    pub fn to_tree_in_place(&self) -> Tree {
        Tree::Map(self.raw.clone())
    }

    /// The block as SOPS writes it: fields in ascending order of bytes at every level.
    #[must_use]
    pub fn to_tree(&self) -> Tree {
        sorted(&Tree::Map(self.raw.clone()))
    }

    /// The recipients, as the seal counts them: the block without `mac`, `lastmodified`, `version`,
    /// `waxseal`, `mac_only_encrypted`, the rule, and the `enc` of each entry.
    #[must_use]
    pub fn recipients_view(&self) -> Tree {
        let fields = self
            .raw
            .iter()
            .filter(|(name, _)| {
                !UNCOUNTED.contains(&name.as_str()) && !Rule::FIELDS.contains(&name.as_str())
            })
            .map(|(name, value)| {
                let value = if name == "key_groups" {
                    map_items(value, |group| match group {
                        Tree::Map(lists) => Tree::Map(
                            lists
                                .iter()
                                .map(|(name, v)| (name.clone(), counted(name, v)))
                                .collect(),
                        ),
                        Tree::Scalar(_) | Tree::List(_) => group.clone(),
                    })
                } else {
                    counted(name, value)
                };
                (name.clone(), value)
            })
            .collect();
        Tree::Map(fields)
    }
}

/// Whether a field is neither known nor counted as a recipient: an unknown one without content, or a
/// `waxseal` that holds more than notes.
fn is_stray(name: &str, value: &Tree) -> bool {
    match (name, value) {
        ("waxseal", Tree::Map(fields)) => {
            let note = |(name, value): &(String, Tree)| {
                name == "spelling"
                    && matches!(value, Tree::Scalar(it) if it.kind == ScalarType::Str)
            };
            fields.is_empty() || !fields.iter().all(note)
        }
        ("waxseal", Tree::Scalar(_) | Tree::List(_)) => true,
        _ => !read::KNOWN.contains(&name) && says_nothing(value),
    }
}

/// What the tag of the recipients leaves out: null, or a map or list of nothing else.
fn says_nothing(value: &Tree) -> bool {
    match value {
        Tree::Scalar(scalar) => scalar.kind == ScalarType::Null,
        Tree::Map(entries) => entries.iter().all(|(_, value)| says_nothing(value)),
        Tree::List(items) => items.is_empty(),
    }
}

/// A list of entries without their wrapped keys. Of kinds that are not known too: what they wrap is
/// no recipient either.
fn counted(name: &str, value: &Tree) -> Tree {
    if matches!(value, Tree::Map(_)) && KeyKind::from_field(name).is_none() {
        return value.clone();
    }
    map_items(value, |entry| match entry {
        Tree::Map(fields) => {
            Tree::Map(fields.iter().filter(|(name, _)| name != "enc").cloned().collect())
        }
        Tree::Scalar(_) | Tree::List(_) => entry.clone(),
    })
}

/// Every item of a list. A single map counts as a list of one, since SOPS reads and rewrites it so.
fn map_items(value: &Tree, change: impl Fn(&Tree) -> Tree) -> Tree {
    match value {
        Tree::List(items) => Tree::List(items.iter().map(change).collect()),
        Tree::Map(entries) if entries.is_empty() => Tree::List(Vec::new()),
        Tree::Map(_) => Tree::List(vec![change(value)]),
        Tree::Scalar(_) => value.clone(),
    }
}

fn entries_of(group: &KeyGroup, kind: KeyKind) -> Vec<Tree> {
    group.of_kind(kind).map(|key| Tree::Map(key.raw().to_vec())).collect()
}

fn group_tree(group: &KeyGroup) -> Tree {
    let mut fields = group.extra().to_vec();
    for kind in KeyKind::ALL {
        let list = entries_of(group, kind);
        // SOPS writes these two even if they are empty.
        if !list.is_empty() || matches!(kind, KeyKind::Age | KeyKind::Vault) {
            put(&mut fields, kind.field(), Tree::List(list));
        }
    }
    Tree::Map(fields)
}

/// Puts a list of entries; one that says the same already stays as it is written.
fn put_list(fields: &mut Vec<(String, Tree)>, name: &str, list: Vec<Tree>) {
    let same = |old: &Tree| match (old, list.as_slice()) {
        (Tree::Map(_), [only]) => old == only,
        _ => false,
    };
    if !fields.iter().any(|(field, old)| field == name && same(old)) {
        put(fields, name, Tree::List(list));
    }
}

fn sorted(tree: &Tree) -> Tree {
    match tree {
        Tree::Map(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
            Tree::Map(entries)
        }
        Tree::List(items) => Tree::List(items.iter().map(sorted).collect()),
        Tree::Scalar(_) => tree.clone(),
    }
}

/// What the tag of the recipients leaves out, besides the rule.
const UNCOUNTED: [&str; 5] = ["lastmodified", "mac", "mac_only_encrypted", "version", "waxseal"];

#[cfg(test)]
mod tests;

//! Who can unwrap a data key: master keys, the wrapped keys they made, and groups of those.
//!
//! Invariants: this is data only; nothing is wrapped, unwrapped or fetched here. What a file says of
//! a key is kept verbatim in [`WrappedKey::raw`], fields and kinds that are not known included. An
//! address in it was written by whoever wrote the file.

use std::fmt;

use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType, Tree};

/// The lists of master keys in the metadata, in the order in which SOPS puts them into a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum KeyKind {
    /// `kms`: AWS KMS.
    Kms,
    /// `gcp_kms`: Google Cloud KMS.
    GcpKms,
    /// `hckms`: Huawei Cloud KMS.
    HcKms,
    /// `azure_kv`: Azure Key Vault.
    AzureKv,
    /// `hc_vault`: the transit engine of HashiCorp Vault or OpenBao.
    Vault,
    /// `pgp`: OpenPGP.
    Pgp,
    /// `age`.
    Age,
}

impl KeyKind {
    /// Every kind, in the order within a group.
    pub const ALL: [Self; 7] =
        [Self::Kms, Self::GcpKms, Self::HcKms, Self::AzureKv, Self::Vault, Self::Pgp, Self::Age];

    /// The name of the list in the metadata, which SOPS also takes as the id of the type.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HcKms => "hckms",
            Self::AzureKv => "azure_kv",
            Self::Vault => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }

    /// The kind of this list.
    #[must_use]
    pub fn from_field(field: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.field() == field)
    }

    /// The fields of an entry that SOPS knows; of `hc_vault` also `context`, which it drops.
    #[must_use]
    pub fn entry_fields(self) -> &'static [&'static str] {
        match self {
            Self::Kms => &["arn", "aws_profile", "context", "created_at", "enc", "role"],
            Self::GcpKms => &["created_at", "enc", "resource_id"],
            Self::HcKms => &["created_at", "enc", "key_id"],
            Self::AzureKv => &["created_at", "enc", "name", "vault_url", "version"],
            Self::Vault => {
                &["context", "created_at", "enc", "engine_path", "key_name", "vault_address"]
            }
            Self::Pgp => &["created_at", "enc", "fp"],
            Self::Age => &["enc", "recipient"],
        }
    }
}

/// A key that wraps data keys. `Display` is the string form of SOPS.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MasterKey {
    /// An age recipient: X25519, hybrid, plugin or SSH.
    Age {
        /// As it is written.
        recipient: String,
    },
    /// A key in a transit engine.
    Vault {
        /// Scheme, host and port.
        address: String,
        /// Where the engine is mounted.
        engine_path: String,
        /// The name of the key.
        key_name: String,
        /// What a derived key is derived by. SOPS knows no such keys.
        context: Option<String>,
    },
    /// A key of a kind that is not built in.
    Foreign {
        /// Which kind.
        kind: KeyKind,
        /// Its string form.
        id: String,
    },
}

impl MasterKey {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Age { .. } => KeyKind::Age,
            Self::Vault { .. } => KeyKind::Vault,
            Self::Foreign { kind, .. } => *kind,
        }
    }
}

impl MasterKey {
    /// The same key as a file records it: a namespace stands before the engine's path, where SOPS, which
    /// knows it from the environment alone, reads it too.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        match self {
            Self::Vault { address, engine_path, key_name, context } => {
                let rest = engine_path.strip_prefix(namespace);
                let engine_path = match rest {
                    Some(rest) if rest.starts_with('/') => engine_path,
                    Some(_) | None => format!("{namespace}/{engine_path}"),
                };
                Self::Vault { address, engine_path, key_name, context }
            }
            key @ (Self::Age { .. } | Self::Foreign { .. }) => key,
        }
    }
}

impl fmt::Display for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { recipient } => f.write_str(recipient),
            Self::Vault { address, engine_path, key_name, .. } => {
                write!(f, "{address}/v1/{engine_path}/keys/{key_name}")
            }
            Self::Foreign { id, .. } => f.write_str(id),
        }
    }
}

/// A data key, or a share of it, wrapped by a master key.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    key: MasterKey,
    enc: String,
    created_at: Option<Timestamp>,
    raw: Vec<(String, Tree)>,
}

impl WrappedKey {
    /// What a key has just wrapped. Of a foreign key the entry names its id only, which is all there is
    /// for `pgp`, `gcp_kms`, `hckms` and a plain `kms`; entries that were read keep everything.
    #[must_use]
    pub fn new(key: MasterKey, enc: String, created_at: Timestamp) -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), Tree::str(value));
        let created = ("created_at".to_owned(), Tree::str(created_at.seconds()));
        let (raw, created_at) = match &key {
            MasterKey::Age { recipient } => {
                (vec![text("enc", &enc), text("recipient", recipient)], None)
            }
            MasterKey::Vault { address, engine_path, key_name, context } => {
                let context = context.iter().map(|context| text("context", context));
                let others = [
                    created,
                    text("enc", &enc),
                    text("engine_path", engine_path),
                    text("key_name", key_name),
                    text("vault_address", address),
                ];
                (context.chain(others).collect(), Some(created_at))
            }
            MasterKey::Foreign { kind, id } => {
                let id = text(id_field(*kind), id);
                let mut fields = vec![created, text("enc", &enc), id];
                fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                (fields, Some(created_at))
            }
        };
        Self { key, enc, created_at, raw }
    }

    /// An entry as it was read, and what it means.
    pub(crate) fn from_parts(
        key: MasterKey,
        enc: String,
        created_at: Option<Timestamp>,
        raw: Vec<(String, Tree)>,
    ) -> Self {
        Self { key, enc, created_at, raw }
    }

    /// The same entry with another wrapping, made at `created_at`; `None` keeps the time, as rotate
    /// does. Everything else stays as it was read.
    #[must_use]
    pub fn with_enc(&self, enc: String, created_at: Option<Timestamp>) -> Self {
        let mut raw = self.raw.clone();
        let created_at = match (created_at, self.created_at) {
            // Entries of age have no time.
            (Some(now), Some(_)) => {
                put(&mut raw, "created_at", Tree::str(now.seconds()));
                Some(now)
            }
            (_, old) => old,
        };
        put(&mut raw, "enc", Tree::str(enc.clone()));
        Self { key: self.key.clone(), enc, created_at, raw }
    }

    /// The entry of a transit key with what it is derived by, which other programs drop.
    #[must_use]
    pub fn with_context(&self, context: &str) -> Self {
        let mut with = self.clone();
        if let MasterKey::Vault { context: old, .. } = &mut with.key {
            *old = Some(context.to_owned());
            put(&mut with.raw, "context", Tree::str(context));
        }
        with
    }

    /// Who can unwrap it.
    #[must_use]
    pub fn key(&self) -> &MasterKey {
        &self.key
    }

    /// What was wrapped, in the encoding of the kind.
    #[must_use]
    pub fn enc(&self) -> &str {
        &self.enc
    }

    /// When it was wrapped; age does not say.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    /// The fields of the entry, as they were read.
    #[must_use]
    pub fn raw(&self) -> &[(String, Tree)] {
        &self.raw
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({})", self.key)
    }
}

/// Keys of which any one unwraps the group's share; with one group, the data key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyGroup {
    /// In the order in which SOPS tries them: by kind, then as written.
    keys: Vec<WrappedKey>,
    /// Fields of the group that are not known.
    extra: Vec<(String, Tree)>,
}

impl KeyGroup {
    /// A group of these keys, put into SOPS' order.
    #[must_use]
    pub fn new(keys: Vec<WrappedKey>) -> Self {
        Self::with_extra(keys, Vec::new())
    }

    pub(crate) fn with_extra(mut keys: Vec<WrappedKey>, extra: Vec<(String, Tree)>) -> Self {
        keys.sort_by_key(|key| key.key().kind());
        Self { keys, extra }
    }

    /// The same group, its unknown fields included, with other keys.
    #[must_use]
    pub fn with_keys(&self, keys: Vec<WrappedKey>) -> Self {
        Self::with_extra(keys, self.extra.clone())
    }

    /// The keys, by kind, then as written.
    #[must_use]
    pub fn keys(&self) -> &[WrappedKey] {
        &self.keys
    }

    /// The keys of one kind, as written.
    pub fn of_kind(&self, kind: KeyKind) -> impl Iterator<Item = &WrappedKey> {
        self.keys.iter().filter(move |key| key.key().kind() == kind)
    }

    /// Fields of the group that are not known.
    pub(crate) fn extra(&self) -> &[(String, Tree)] {
        &self.extra
    }
}

/// Replaces the value of a field where it stands, or adds the field in its alphabetical place.
pub(crate) fn put(fields: &mut Vec<(String, Tree)>, name: &str, value: Tree) {
    if let Some((_, old)) = fields.iter_mut().find(|(field, _)| field == name) {
        *old = value;
        return;
    }
    let at = fields.iter().position(|(field, _)| field.as_str() > name).unwrap_or(fields.len());
    fields.insert(at, (name.to_owned(), value));
}

/// The string form of a foreign key. `text` gives the fields of its entry, empty if missing.
pub(crate) fn foreign_id(
    kind: KeyKind,
    text: impl Fn(&str) -> String,
    context: Option<&Tree>,
) -> String {
    match kind {
        KeyKind::Kms => {
            let mut id = text("arn");
            let (role, profile) = (text("role"), text("aws_profile"));
            if !role.is_empty() {
                id.push('+');
                id.push_str(&role);
            }
            let context = context_text(context);
            if !context.is_empty() || !profile.is_empty() {
                id.push('|');
                id.push_str(&context);
            }
            if !profile.is_empty() {
                id.push('|');
                id.push_str(&profile);
            }
            id
        }
        KeyKind::AzureKv => {
            format!("{}/keys/{}/{}", text("vault_url"), text("name"), text("version"))
        }
        KeyKind::GcpKms | KeyKind::HcKms | KeyKind::Pgp | KeyKind::Vault | KeyKind::Age => {
            text(id_field(kind))
        }
    }
}

/// `k:v,k:v`, sorted by key.
fn context_text(context: Option<&Tree>) -> String {
    let Some(Tree::Map(entries)) = context else { return String::new() };
    let mut pairs: Vec<(&str, String)> = entries
        .iter()
        .filter_map(|(key, value)| match value {
            Tree::Scalar(scalar) => Some((key.as_str(), weak_text(scalar)?)),
            Tree::Map(_) | Tree::List(_) => None,
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(key, text)| format!("{key}:{text}")).collect();
    pairs.join(",")
}

/// The text that SOPS takes a scalar of the metadata for, if it takes it for one.
pub(crate) fn weak_text(scalar: &Scalar<'_>) -> Option<String> {
    match scalar.kind {
        ScalarType::Bool => Some(if *scalar.bytes == *b"True" { "1" } else { "0" }.to_owned()),
        // A time that is not quoted is refused by SOPS; there is no reason to.
        ScalarType::Str | ScalarType::Int | ScalarType::Float | ScalarType::Time => {
            scalar.text().map(str::to_owned)
        }
        ScalarType::DatetimeLocal
        | ScalarType::DateLocal
        | ScalarType::TimeLocal
        | ScalarType::Bytes
        | ScalarType::Comment
        | ScalarType::Null => None,
    }
}

/// The field that names the key.
fn id_field(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Kms => "arn",
        KeyKind::GcpKms => "resource_id",
        KeyKind::HcKms => "key_id",
        KeyKind::AzureKv => "vault_url",
        KeyKind::Vault => "key_name",
        KeyKind::Pgp => "fp",
        KeyKind::Age => "recipient",
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyGroup, KeyKind, MasterKey, WrappedKey, foreign_id};
    use crate::timestamp::Timestamp;
    use crate::value::Tree;

    fn now() -> Timestamp {
        Timestamp::from_unix(1_767_323_045).expect("in range")
    }

    #[track_caller]
    fn kms(fields: &[(&str, &str)], context: &[(&str, &str)], expect: &str) {
        let text = |name: &str| {
            fields.iter().find(|(field, _)| *field == name).map_or("", |(_, text)| text).to_owned()
        };
        let context =
            Tree::Map(context.iter().map(|&(k, v)| (k.to_owned(), Tree::str(v))).collect());
        assert_eq!(foreign_id(KeyKind::Kms, text, Some(&context)), expect);
    }

    #[test]
    fn the_string_forms_are_those_of_sops() {
        let vault = MasterKey::Vault {
            address: "https://vault:8200".into(),
            engine_path: "secret/sops".into(),
            key_name: "prod".into(),
            context: None,
        };
        assert_eq!(vault.to_string(), "https://vault:8200/v1/secret/sops/keys/prod");
        kms(&[("arn", "A")], &[], "A");
        kms(&[("arn", "A"), ("role", "R")], &[], "A+R");
        kms(&[("arn", "A")], &[("z", "1"), ("b", "2")], "A|b:2,z:1");
        kms(&[("arn", "A"), ("aws_profile", "P")], &[], "A||P");
        kms(&[("arn", "A"), ("role", "R"), ("aws_profile", "P")], &[("b", "2")], "A+R|b:2|P");
    }

    #[test]
    fn a_namespace_is_recorded_once_where_sops_reads_it() {
        let key = |engine_path: &str| MasterKey::Vault {
            address: "https://vault".into(),
            engine_path: engine_path.into(),
            key_name: "k".into(),
            context: None,
        };
        assert_eq!(key("transit").in_namespace("a/b"), key("a/b/transit"));
        assert_eq!(key("a/b/transit").in_namespace("a/b"), key("a/b/transit"));
        assert_eq!(key("a/bc").in_namespace("a/b"), key("a/b/a/bc"));
    }

    #[test]
    fn a_new_wrapping_keeps_the_rest_of_the_entry() {
        let key = MasterKey::Age { recipient: "age1x".into() };
        let mut raw = WrappedKey::new(key.clone(), "old".into(), now()).raw().to_vec();
        raw.push(("note".to_owned(), Tree::str("kept")));
        let wrapped = WrappedKey::from_parts(key, "old".into(), None, raw);
        let again = wrapped.with_enc("new".into(), Some(now()));
        assert_eq!(again.enc(), "new");
        assert_eq!(again.created_at(), None);
        let names: Vec<&str> = again.raw().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["enc", "recipient", "note"]);
    }

    #[test]
    fn a_group_is_in_the_order_of_sops() {
        let age = |name: &str| {
            let key = MasterKey::Age { recipient: name.into() };
            WrappedKey::new(key, String::new(), now())
        };
        let pgp = MasterKey::Foreign { kind: KeyKind::Pgp, id: "FP".into() };
        let pgp = WrappedKey::new(pgp, String::new(), now());
        let group = KeyGroup::new(vec![age("b"), age("a"), pgp]);
        let names: Vec<String> = group.keys().iter().map(|key| key.key().to_string()).collect();
        assert_eq!(names, ["FP", "b", "a"]);
    }
}

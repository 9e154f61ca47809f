//! From the tree of a `sops` block to what it means.

use std::fmt;

use super::weak::{boolean, case_variant, count, is_empty, maps, text};
use super::{Metadata, MetadataError};
use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey, foreign_id};
use crate::policy::{Policy, Rule};
use crate::timestamp::Timestamp;
use crate::value::Tree;

type Fields = [(String, Tree)];

pub(super) fn metadata(block: &Tree) -> Result<Metadata, MetadataError> {
    let Tree::Map(raw) = block else { return Err(MetadataError::NotAMap) };
    check_depth(block, MAX_DEPTH)?;
    count_values(block, &mut 0)?;
    check_duplicates(raw, &Place::Block)?;
    check_case(raw, &KNOWN, "")?;
    let string = |name: &'static str| {
        field(raw, name).map_or(Ok(String::new()), |value| text(value, || name.to_owned()))
    };
    let lastmodified = string("lastmodified")?;
    if lastmodified.is_empty() {
        return Err(MetadataError::Missing { field: "lastmodified".into() });
    }
    let lastmodified = Timestamp::parse(&lastmodified)
        .map_err(|_| MetadataError::Time { field: "lastmodified".into() })?;
    let threshold = field(raw, "shamir_threshold")
        .map_or(Ok(0), |value| count(value, || "shamir_threshold".into()))?;
    Ok(Metadata {
        lastmodified,
        mac: string("mac")?,
        version: string("version")?,
        policy: policy(raw)?,
        groups: groups(raw)?,
        threshold,
        raw: raw.clone(),
    })
}

fn policy(raw: &Fields) -> Result<Policy, MetadataError> {
    let mac_only_encrypted = field(raw, "mac_only_encrypted")
        .map_or(Ok(false), |value| boolean(value, || "mac_only_encrypted".into()))?;
    let mut found: Option<Rule> = None;
    for name in Rule::FIELDS {
        let Some(value) = field(raw, name) else { continue };
        let Some(rule) = Rule::from_metadata(name, &text(value, || name.into())?) else { continue };
        if let Some(first) = found {
            return Err(MetadataError::TwoRules { first: first.field(), second: name });
        }
        found = Some(rule);
    }
    Ok(match found {
        Some(rule) => Policy::new(rule, mac_only_encrypted),
        None => Policy::unnamed(mac_only_encrypted),
    })
}

fn groups(raw: &Fields) -> Result<Vec<KeyGroup>, MetadataError> {
    // If there is a key outside groups, SOPS ignores the groups.
    let flat = keys_of(raw, "")?;
    let groups = field(raw, "key_groups")
        .map_or(Ok(Vec::new()), |value| maps(value, || "key_groups".into()))?;
    if !flat.is_empty() {
        return Ok(vec![KeyGroup::new(flat)]);
    }
    if groups.is_empty() {
        return Err(MetadataError::NoKeys);
    }
    groups
        .into_iter()
        .enumerate()
        .map(|(index, fields)| {
            let place = format!("key_groups[{index}].");
            check_case(fields, &KEY_LISTS, &place)?;
            let keys = keys_of(fields, &place)?;
            let extra = fields.iter().filter(|(name, _)| KeyKind::from_field(name).is_none());
            Ok(KeyGroup::with_extra(keys, extra.cloned().collect()))
        })
        .collect()
}

fn keys_of(fields: &Fields, place: &str) -> Result<Vec<WrappedKey>, MetadataError> {
    let mut keys = Vec::new();
    for kind in KeyKind::ALL {
        let Some(value) = field(fields, kind.field()) else { continue };
        let place = format!("{place}{}", kind.field());
        for (index, entry) in maps(value, || place.clone())?.into_iter().enumerate() {
            keys.push(wrapped_key(kind, entry, &format!("{place}[{index}]."))?);
        }
    }
    Ok(keys)
}

fn wrapped_key(kind: KeyKind, entry: &Fields, place: &str) -> Result<WrappedKey, MetadataError> {
    check_case(entry, kind.entry_fields(), place)?;
    let string = |name: &str| {
        field(entry, name)
            .map_or(Ok(String::new()), |value| text(value, || format!("{place}{name}")))
    };
    for (name, value) in entry {
        // A map of texts; everything else that is known is a text.
        if name == "context" && kind == KeyKind::Kms {
            check_context(value, place)?;
        } else if kind.entry_fields().contains(&name.as_str()) {
            string(name)?;
        }
    }
    let created_at = if kind == KeyKind::Age {
        None
    } else {
        let at = || format!("{place}created_at");
        let text = string("created_at")?;
        if text.is_empty() {
            return Err(MetadataError::Missing { field: at() });
        }
        Some(Timestamp::parse(&text).map_err(|_| MetadataError::Time { field: at() })?)
    };
    let key = match kind {
        KeyKind::Age => MasterKey::Age { recipient: string("recipient")? },
        KeyKind::Vault => MasterKey::Vault {
            address: string("vault_address")?,
            engine_path: string("engine_path")?,
            key_name: string("key_name")?,
            context: Some(string("context")?).filter(|context| !context.is_empty()),
        },
        KeyKind::Kms | KeyKind::GcpKms | KeyKind::HcKms | KeyKind::AzureKv | KeyKind::Pgp => {
            let id =
                foreign_id(kind, |name| string(name).unwrap_or_default(), field(entry, "context"));
            MasterKey::Foreign { kind, id }
        }
    };
    Ok(WrappedKey::from_parts(key, string("enc")?, created_at, entry.to_vec()))
}

fn check_context(context: &Tree, place: &str) -> Result<(), MetadataError> {
    match context {
        context if is_empty(context) => Ok(()),
        Tree::Map(entries) => entries.iter().try_for_each(|(name, value)| {
            text(value, || format!("{place}context.{name}")).map(|_| ())
        }),
        Tree::Scalar(_) | Tree::List(_) => Err(MetadataError::WrongType {
            field: format!("{place}context"),
            expected: "a map of texts",
        }),
    }
}

/// The value of a field; a null counts as none.
fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a Tree> {
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    match value {
        Tree::Scalar(_) if is_empty(value) => None,
        Tree::Scalar(_) | Tree::Map(_) | Tree::List(_) => Some(value),
    }
}

fn check_case(fields: &Fields, known: &[&'static str], place: &str) -> Result<(), MetadataError> {
    let variant = fields.iter().find_map(|(name, _)| Some((name, case_variant(name, known)?)));
    match variant {
        Some((name, known)) => {
            Err(MetadataError::CaseVariant { field: format!("{place}{name}"), known })
        }
        None => Ok(()),
    }
}

fn check_depth(tree: &Tree, left: usize) -> Result<(), MetadataError> {
    let left = left.checked_sub(1).ok_or(MetadataError::TooDeep)?;
    match tree {
        Tree::Map(entries) => entries.iter().try_for_each(|(_, value)| check_depth(value, left)),
        Tree::List(items) => items.iter().try_for_each(|item| check_depth(item, left)),
        Tree::Scalar(_) => Ok(()),
    }
}

fn count_values(tree: &Tree, count: &mut usize) -> Result<(), MetadataError> {
    *count += 1;
    match tree {
        _ if *count > MAX_VALUES => Err(MetadataError::TooLarge),
        Tree::Map(entries) => entries.iter().try_for_each(|(_, value)| count_values(value, count)),
        Tree::List(items) => items.iter().try_for_each(|item| count_values(item, count)),
        Tree::Scalar(_) => Ok(()),
    }
}

/// Names the field by its path, which is put together for an error only.
fn check_duplicates(fields: &Fields, place: &Place<'_>) -> Result<(), MetadataError> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(MetadataError::Duplicate { field: Place::Field(place, pair[0]).to_string() });
    }
    fields.iter().try_for_each(|(name, value)| match value {
        Tree::Scalar(_) => Ok(()),
        Tree::Map(_) | Tree::List(_) => check_duplicates_in(value, &Place::Field(place, name)),
    })
}

fn check_duplicates_in(value: &Tree, place: &Place<'_>) -> Result<(), MetadataError> {
    match value {
        Tree::Map(entries) => check_duplicates(entries, place),
        Tree::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_duplicates_in(item, &Place::Item(place, index))),
        Tree::Scalar(_) => Ok(()),
    }
}

/// Where something stands in the block.
enum Place<'a> {
    Block,
    Field(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => Ok(()),
            Self::Field(Self::Block, name) => f.write_str(name),
            Self::Field(outer, name) => write!(f, "{outer}.{name}"),
            Self::Item(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

/// Every field that SOPS knows at the top.
pub(super) const KNOWN: [&str; 19] = [
    "age",
    "azure_kv",
    "encrypted_comment_regex",
    "encrypted_regex",
    "encrypted_suffix",
    "gcp_kms",
    "hc_vault",
    "hckms",
    "key_groups",
    "kms",
    "lastmodified",
    "mac",
    "mac_only_encrypted",
    "pgp",
    "shamir_threshold",
    "unencrypted_comment_regex",
    "unencrypted_regex",
    "unencrypted_suffix",
    "version",
];

/// Every field that SOPS knows in a group.
const KEY_LISTS: [&str; 7] = ["age", "azure_kv", "gcp_kms", "hc_vault", "hckms", "kms", "pgp"];

/// Nesting of the deepest known field is 6.
const MAX_DEPTH: usize = 64;

/// Enough for a thousand recipients and more.
pub(super) const MAX_VALUES: usize = 5_000;

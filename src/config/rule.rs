//! One creation rule, from the text to what it means.
//!
//! Invariant: types are checked when the configuration is read; what else can be wrong is kept, with
//! its place, until the rule is reached.

use std::sync::OnceLock;

use super::keys::{foreign, parse_keys, with_context, with_profile};
use super::known;
use super::read::{Entry, Reader};
use super::{ConfigError, CreationRule, Integrity, Nonces, TransitField};
use crate::document::NodeId;
use crate::keys::{KeyKind, MasterKey};
use crate::policy::{Pattern, PatternError, Rule};
use crate::text::Position;
use crate::value::Tree;

/// A creation rule as it is written. Regexes are compiled when it is reached: that is what costs.
#[derive(Debug)]
pub(super) struct RuleEntry {
    position: Position,
    /// `None` matches every path.
    path_regex: Option<RegexText>,
    path: OnceLock<Result<Option<Pattern>, ConfigError>>,
    draft: Result<Draft, ConfigError>,
    transit: TransitField,
    rule: OnceLock<Result<CreationRule, ConfigError>>,
}

/// A creation rule whose selection is not compiled.
#[derive(Debug)]
struct Draft {
    groups: Vec<Vec<MasterKey>>,
    shamir_threshold: usize,
    selection: Option<RegexText>,
    mac_only_encrypted: bool,
    integrity: Option<Integrity>,
    nonces: Option<Nonces>,
}

/// A field that can hold a regex.
#[derive(Clone, Debug)]
struct RegexText {
    field: String,
    text: String,
    position: Position,
}

impl RuleEntry {
    /// Fails if something is of a wrong type; what else is wrong is kept for when it is reached.
    pub(super) fn read(reader: &Reader<'_>, at: NodeId) -> Result<Self, ConfigError> {
        let entries = reader.map(at, "a creation rule")?;
        known::check(reader, &entries, known::RULE, "a creation rule")?;
        let get = |name: &str| entries.iter().find(|entry| entry.name == name);
        let text =
            |name: &str| get(name).map_or(Ok(String::new()), |it| reader.text(it.value, name));

        let regex = |entry: &Entry| -> Result<Option<RegexText>, ConfigError> {
            let text = reader.text(entry.value, &entry.name)?;
            let position = reader.error(entry.value, "").position;
            Ok((!text.is_empty()).then(|| RegexText { field: entry.name.clone(), text, position }))
        };
        let path_regex = get("path_regex").map(regex).transpose()?.flatten();

        // Everything is read before anything is judged, since types fail the whole configuration.
        let selections = Rule::FIELDS
            .iter()
            .filter_map(|name| get(name))
            .filter_map(|entry| regex(entry).transpose().map(|text| Ok((entry.key, text?))))
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let flat = FlatKeys::read(reader, &entries)?;
        let groups = match get("key_groups") {
            Some(entry) => reader.list(entry.value, "key_groups")?.unwrap_or_default(),
            None => Vec::new(),
        };
        let groups = groups
            .into_iter()
            .map(|group| GroupKeys::read(reader, group, GROUP_DEPTH))
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let threshold = match get("shamir_threshold") {
            Some(entry) => reader.integer(entry.value, &entry.name)?.map(|it| (it, entry.value)),
            None => None,
        };
        let mac_only_encrypted = match get("mac_only_encrypted") {
            Some(entry) => reader.boolean(entry.value, &entry.name)?,
            None => false,
        };
        let (integrity, nonces) = (text("integrity")?, text("nonces")?);
        let choice = |name: &str, problem: &str| {
            reader.error(get(name).map_or(at, |entry| entry.value), problem)
        };

        let transit = match get("hc_vault_transit_uri") {
            _ if !groups.is_empty() => TransitField::Groups,
            None => TransitField::Absent,
            Some(entry) => {
                let position = reader.error(entry.key, "").position;
                match reader.is_list(entry.value)? {
                    true => TransitField::List(position),
                    false => TransitField::Text(position),
                }
            }
        };

        let judge = move || {
            Ok(Draft {
                groups: if groups.is_empty() {
                    vec![flat.keys(reader)?]
                } else {
                    groups
                        .iter()
                        .map(|group| Ok(without_duplicates(group.keys(reader)?)))
                        .collect::<Result<_, ConfigError>>()?
                },
                shamir_threshold: match threshold {
                    None => 0,
                    Some((number, value)) => usize::try_from(number)
                        .map_err(|_| reader.error(value, "shamir_threshold is negative"))?,
                },
                selection: one_selection(reader, selections)?,
                mac_only_encrypted,
                integrity: match integrity.as_str() {
                    "" => None,
                    "sealed" => Some(Integrity::Sealed),
                    "values" => Some(Integrity::Values),
                    _ => return Err(choice("integrity", "integrity is `sealed` or `values`")),
                },
                nonces: match nonces.as_str() {
                    "" => None,
                    "random" => Some(Nonces::Random),
                    "derived" => Some(Nonces::Derived),
                    _ => return Err(choice("nonces", "nonces are `random` or `derived`")),
                },
            })
        };
        let draft = judge();
        Ok(Self {
            position: reader.error(at, "").position,
            path_regex,
            path: OnceLock::new(),
            draft,
            transit,
            rule: OnceLock::new(),
        })
    }

    /// What paths are matched with; `None` matches every path.
    pub(super) fn path(&self) -> &Result<Option<Pattern>, ConfigError> {
        self.path.get_or_init(|| {
            let Some(regex) = &self.path_regex else { return Ok(None) };
            Pattern::parse(&regex.text).map(Some).map_err(|error| regex.error(&error))
        })
    }

    pub(super) fn rule(&self) -> &Result<CreationRule, ConfigError> {
        self.rule.get_or_init(|| {
            let draft = self.draft.as_ref().map_err(Clone::clone)?;
            let rule = match &draft.selection {
                Some(regex) => Rule::from_config(&regex.field, &regex.text)
                    .map_err(|error| regex.error(&error))?,
                None => None,
            };
            Ok(CreationRule {
                position: self.position,
                path_regex: self.path_regex.as_ref().map_or("", |regex| &regex.text).to_owned(),
                groups: draft.groups.clone(),
                shamir_threshold: draft.shamir_threshold,
                rule,
                mac_only_encrypted: draft.mac_only_encrypted,
                integrity: draft.integrity,
                nonces: draft.nonces,
                transit: self.transit,
            })
        })
    }
}

impl RegexText {
    fn error(&self, error: &PatternError) -> ConfigError {
        let problem = format!("{}: {error}", self.field);
        ConfigError { position: self.position, problem, second: None }
    }
}

/// The selection that a rule names, if it is one.
fn one_selection(
    reader: &Reader<'_>,
    mut selections: Vec<(NodeId, RegexText)>,
) -> Result<Option<RegexText>, ConfigError> {
    selections.sort_by_key(|&(key, _)| key);
    if let [(first_key, first), (second_key, second), ..] = selections.as_slice() {
        let problem = format!(
            "a rule selects values in one way only: {} and {} exclude each other",
            first.field, second.field
        );
        let mut error = reader.error(*second_key, problem);
        error.second = Some(reader.error(*first_key, "").position);
        return Err(error);
    }
    Ok(selections.pop().map(|(_, regex)| regex))
}

/// Texts that name master keys, and where they stand.
type KeyTexts = Vec<(KeyKind, String, NodeId)>;

/// The keys of a rule without groups.
struct FlatKeys {
    texts: KeyTexts,
    profile: String,
    context: Option<String>,
}

impl FlatKeys {
    /// The fields of a rule, in the order in which their keys stand in the group.
    const FIELDS: [(&'static str, KeyKind); 7] = [
        ("age", KeyKind::Age),
        ("pgp", KeyKind::Pgp),
        ("kms", KeyKind::Kms),
        ("gcp_kms", KeyKind::GcpKms),
        ("hckms", KeyKind::HcKms),
        ("azure_keyvault", KeyKind::AzureKv),
        ("hc_vault_transit_uri", KeyKind::Vault),
    ];

    fn read(reader: &Reader<'_>, entries: &[Entry]) -> Result<Self, ConfigError> {
        let mut texts = Vec::new();
        for (name, kind) in Self::FIELDS {
            let Some(entry) = entries.iter().find(|entry| entry.name == name) else { continue };
            // sops has hckms as a list only.
            if kind == KeyKind::HcKms || reader.is_list(entry.value)? {
                let items = reader.texts(entry.value, name)?;
                texts.extend(items.into_iter().map(|(text, at)| (kind, text, at)));
            } else {
                texts.push((kind, reader.text(entry.value, name)?, entry.value));
            }
        }
        let profile = match entries.iter().find(|entry| entry.name == "aws_profile") {
            Some(entry) => reader.text(entry.value, "aws_profile")?,
            None => String::new(),
        };
        let context = read_context(reader, entries)?;
        Ok(Self { texts, profile, context })
    }

    fn keys(&self, reader: &Reader<'_>) -> Result<Vec<MasterKey>, ConfigError> {
        let keys = parse_texts(reader, &self.texts)?;
        let context = self.context.as_deref();
        let complete = |key| with_context(with_profile(key, &self.profile), context);
        Ok(keys.into_iter().map(complete).collect())
    }
}

/// What derived transit keys of a rule or group are derived by; not known to sops, which ignores it.
fn read_context(reader: &Reader<'_>, entries: &[Entry]) -> Result<Option<String>, ConfigError> {
    let entry = entries.iter().find(|entry| entry.name == "hc_vault_context");
    entry.map(|entry| reader.text(entry.value, "hc_vault_context")).transpose()
}

/// The keys of one key group.
struct GroupKeys {
    merged: Vec<GroupKeys>,
    /// Lists of texts, and keys that are written as maps, in the order of the group.
    parts: Vec<GroupPart>,
    context: Option<String>,
}

enum GroupPart {
    Texts(KeyTexts),
    Key(MasterKey),
}

impl GroupKeys {
    fn read(reader: &Reader<'_>, at: NodeId, depth: usize) -> Result<Self, ConfigError> {
        let mut group = Self { merged: Vec::new(), parts: Vec::new(), context: None };
        if depth == 0 {
            return Err(reader.error(at, "too much is merged here"));
        }
        let entries = reader.map(at, "a key group")?;
        known::check(reader, &entries, known::GROUP, "a key group")?;
        group.context = read_context(reader, &entries)?;
        let get = |name: &str| entries.iter().find(|entry| entry.name == name);
        if let Some(entry) = get("merge") {
            for item in reader.list(entry.value, "merge")?.unwrap_or_default() {
                group.merged.push(Self::read(reader, item, depth - 1)?);
            }
        }
        let texts = |name: &str, kind| -> Result<GroupPart, ConfigError> {
            let items = get(name).map_or(Ok(Vec::new()), |it| reader.texts(it.value, name))?;
            Ok(GroupPart::Texts(items.into_iter().map(|(text, at)| (kind, text, at)).collect()))
        };
        let maps = |name: &str, kind, fields: &[(&str, &str)]| {
            let items = match get(name) {
                Some(entry) => reader.list(entry.value, name)?.unwrap_or_default(),
                None => Vec::new(),
            };
            items
                .into_iter()
                .map(|item| read_foreign(reader, item, name, kind, fields).map(GroupPart::Key))
                .collect::<Result<Vec<_>, ConfigError>>()
        };
        group.parts.push(texts("age", KeyKind::Age)?);
        group.parts.push(texts("pgp", KeyKind::Pgp)?);
        let kms = [("arn", "arn"), ("role", "role"), ("aws_profile", "aws_profile")];
        group.parts.extend(maps("kms", KeyKind::Kms, &kms)?);
        group.parts.extend(maps("gcp_kms", KeyKind::GcpKms, &[("resource_id", "resource_id")])?);
        group.parts.extend(maps("hckms", KeyKind::HcKms, &[("key_id", "key_id")])?);
        let azure = [("vaultUrl", "vault_url"), ("key", "name"), ("version", "version")];
        group.parts.extend(maps("azure_keyvault", KeyKind::AzureKv, &azure)?);
        group.parts.push(texts("hc_vault", KeyKind::Vault)?);
        Ok(group)
    }

    fn keys(&self, reader: &Reader<'_>) -> Result<Vec<MasterKey>, ConfigError> {
        let mut keys = Vec::new();
        for group in &self.merged {
            keys.extend(group.keys(reader)?);
        }
        for part in &self.parts {
            match part {
                GroupPart::Texts(texts) => keys.extend(parse_texts(reader, texts)?),
                GroupPart::Key(key) => keys.push(key.clone()),
            }
        }
        let context = self.context.as_deref();
        Ok(keys.into_iter().map(|key| with_context(key, context)).collect())
    }
}

/// A key that is written as a map. `fields`: its names here and in the metadata.
fn read_foreign(
    reader: &Reader<'_>,
    at: NodeId,
    what: &str,
    kind: KeyKind,
    fields: &[(&str, &str)],
) -> Result<MasterKey, ConfigError> {
    let (mut texts, mut context) = (Vec::new(), None);
    let what = format!("an item of {what}");
    let entries = reader.map(at, &what)?;
    let mut known: Vec<&str> = fields.iter().map(|(here, _)| *here).collect();
    if kind == KeyKind::Kms {
        known.push("context");
    }
    known::check(reader, &entries, &known, &what)?;
    for Entry { name, value, .. } in entries {
        if let Some((_, field)) = fields.iter().find(|(here, _)| *here == name) {
            texts.push((*field, reader.text(value, &name)?));
        } else if kind == KeyKind::Kms && name == "context" {
            let pairs = reader
                .map(value, "context")?
                .into_iter()
                .map(|pair| Ok((pair.name, Tree::str(reader.text(pair.value, "context")?))))
                .collect::<Result<_, ConfigError>>()?;
            context = Some(Tree::Map(pairs));
        }
    }
    let texts: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Ok(foreign(kind, &texts, context.as_ref()))
}

fn parse_texts(reader: &Reader<'_>, texts: &KeyTexts) -> Result<Vec<MasterKey>, ConfigError> {
    let mut keys = Vec::new();
    for (kind, text, at) in texts {
        keys.extend(parse_keys(*kind, text).map_err(|error| reader.error(*at, error.to_string()))?);
    }
    Ok(keys)
}

fn without_duplicates(keys: Vec<MasterKey>) -> Vec<MasterKey> {
    let mut unique: Vec<MasterKey> = Vec::with_capacity(keys.len());
    for key in keys {
        if !unique.contains(&key) {
            unique.push(key);
        }
    }
    unique
}

/// How deep key groups are merged into each other.
const GROUP_DEPTH: usize = 100;

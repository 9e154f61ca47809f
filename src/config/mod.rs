//! `.sops.yaml`: which keys and which rule a file is encrypted with.
//!
//! Text in, [`Config`] out; nothing is read from disk here. The text is read by our own parser, so
//! that every error says where.
//!
//! Invariants: a wrong type anywhere, or a text that is no YAML, fails the whole configuration;
//! what is wrong with one rule only (two selections, a bad regex, a bad key) fails when that rule is
//! reached, as in SOPS. Keys that are not known are ignored, unless they are nearly a known one.

mod destination;
mod keys;
mod known;
mod read;
mod rule;
pub mod user;

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use self::destination::DestinationEntry;
pub use self::destination::{
    Destination, DestinationError, DestinationRule, KvDestination, KvVersion,
};
pub use self::keys::{KeySyntaxError, parse_keys};
use self::read::{Entry, Reader};
use self::rule::RuleEntry;
use crate::document::{Document, Format, NodeId, ParseError};
use crate::keys::MasterKey;
use crate::policy::Rule;
use crate::text::Position;

/// A configuration.
#[derive(Debug)]
pub struct Config {
    /// `None`: there is no list of rules.
    rules: Option<Vec<RuleEntry>>,
    stores: Stores,
    destinations: Vec<DestinationEntry>,
}

/// How files that match are encrypted.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CreationRule {
    /// Where it stands in the configuration.
    pub position: Position,
    /// The regex that paths are matched with, as it is written; empty: every path.
    pub path_regex: String,
    /// The master keys, at least one group, which can be empty.
    pub groups: Vec<Vec<MasterKey>>,
    /// How many groups are needed to decrypt; 0: not said.
    pub shamir_threshold: usize,
    /// Which values are encrypted, if it says so.
    pub rule: Option<Rule>,
    /// Whether the MAC covers encrypted values only.
    pub mac_only_encrypted: bool,
    /// What is protected against changes, if it says so.
    pub integrity: Option<Integrity>,
    /// How nonces are made, if it says so.
    pub nonces: Option<Nonces>,
    /// Where one more transit key is written.
    pub transit: TransitField,
}

/// Where the transit keys of a creation rule stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransitField {
    /// There is no `hc_vault_transit_uri`.
    Absent,
    /// A text with commas, with the place of its key.
    Text(Position),
    /// A list, with the place of its key.
    List(Position),
    /// In `key_groups`: beside them `hc_vault_transit_uri` does not count.
    Groups,
}

/// What is protected against changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Integrity {
    /// Values, types, order, structure, comments, spelling and recipients.
    Sealed,
    /// Values only, as SOPS does.
    Values,
}

/// How nonces are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nonces {
    /// At random.
    Random,
    /// From the content.
    Derived,
}

/// How new text is laid out. `None`: not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stores {
    /// Spaces of a YAML level; 0 is SOPS' own, 4.
    pub yaml_indent: Option<i64>,
    /// Spaces of a JSON level; -1 is a tab.
    pub json_indent: Option<i64>,
    /// The same of binary files.
    pub json_binary_indent: Option<i64>,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
#[error("{position}: {problem}{}", second.map_or(String::new(), |at| format!(" (first at {at})")))]
pub struct ConfigError {
    /// Where.
    pub position: Position,
    /// What.
    pub problem: String,
    /// The other place, of a duplicate.
    pub second: Option<Position>,
}

/// Why a file has no creation rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There are rules for other files.
    #[error("no matching creation rules found")]
    NoMatch,
    /// The rule for the file cannot be used.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

impl Config {
    /// Reads a configuration: YAML, of which JSON is a part.
    ///
    /// # Errors
    ///
    /// If it is no YAML, has a key twice or nearly a known one, or has something of a wrong type.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(text.to_owned(), Format::Yaml)?;
        if let Some(duplicate) = document.duplicate_key() {
            return Err(duplicate.into());
        }
        let reader = Reader::new(&document);
        let mut config = Self { rules: None, stores: Stores::default(), destinations: Vec::new() };
        let Some(root) = reader.root()? else { return Ok(config) };
        let entries = reader.map(root, "the configuration")?;
        known::check(&reader, &entries, known::ROOT, "the configuration")?;
        for Entry { name, value, .. } in entries {
            match name.as_str() {
                "creation_rules" => {
                    let rules = reader.list(value, "creation_rules")?;
                    config.rules = rules
                        .map(|rules| {
                            rules.into_iter().map(|it| RuleEntry::read(&reader, it)).collect()
                        })
                        .transpose()?;
                }
                "stores" => config.stores = Stores::read(&reader, value)?,
                "destination_rules" => {
                    let rules = reader.list(value, "destination_rules")?.unwrap_or_default();
                    let rules = rules.into_iter().map(|it| DestinationEntry::read(&reader, it));
                    config.destinations = rules.collect::<Result<_, _>>()?;
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// The creation rule of a file: the first that matches. `None`: the configuration has no rules.
    ///
    /// Both paths are absolute; they are compared as they are written, symlinks are not followed.
    ///
    /// # Errors
    ///
    /// If there are rules and none matches, or a rule that is reached is not valid.
    pub fn rule_for(
        &self,
        config_dir: &Path,
        file: &Path,
    ) -> Result<Option<&CreationRule>, RuleError> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let subject = subject(config_dir, file);
        for entry in rules {
            let path = entry.path().as_ref().map_err(Clone::clone)?;
            if path.as_ref().is_none_or(|pattern| pattern.matches(&subject)) {
                return Ok(Some(entry.rule().as_ref().map_err(Clone::clone)?));
            }
        }
        Err(RuleError::NoMatch)
    }

    /// Every rule that can be used, in order.
    pub fn rules(&self) -> impl Iterator<Item = &CreationRule> {
        self.rules.iter().flatten().filter_map(|entry| entry.rule().as_ref().ok())
    }

    /// What is wrong with rules, used or not.
    pub fn problems(&self) -> impl Iterator<Item = &ConfigError> {
        self.rules
            .iter()
            .flatten()
            .flat_map(|entry| [entry.path().as_ref().err(), entry.rule().as_ref().err()])
            .flatten()
    }

    /// How new text is laid out.
    #[must_use]
    pub fn stores(&self) -> Stores {
        self.stores
    }
}

impl ConfigError {
    fn at(text: &str, offset: usize, problem: impl Into<String>) -> Self {
        Self { position: Position::of(text, offset), problem: problem.into(), second: None }
    }
}

impl From<ParseError> for ConfigError {
    fn from(error: ParseError) -> Self {
        Self { position: error.position, problem: error.problem.into_owned(), second: error.second }
    }
}

impl Stores {
    fn read(reader: &Reader<'_>, at: NodeId) -> Result<Self, ConfigError> {
        let mut stores = Self::default();
        let entries = reader.map(at, "stores")?;
        known::check(reader, &entries, known::STORES, "stores")?;
        for Entry { name, value, .. } in entries {
            let indent = match name.as_str() {
                "yaml" => &mut stores.yaml_indent,
                "json" => &mut stores.json_indent,
                "json_binary" => &mut stores.json_binary_indent,
                _ => continue,
            };
            let entries = reader.map(value, &name)?;
            known::check(reader, &entries, &["indent"], &name)?;
            for Entry { name, value, .. } in entries {
                if name == "indent" {
                    *indent = reader.integer(value, "indent")?;
                }
            }
        }
        Ok(stores)
    }
}

/// What a path regex is matched with: the path from the configuration's directory, or the whole path
/// of a file elsewhere.
pub(crate) fn subject(config_dir: &Path, file: &Path) -> String {
    let file = clean(file);
    let file = file.to_string_lossy();
    let prefix = format!("{}/", clean(config_dir).to_string_lossy());
    match file.strip_prefix(&prefix) {
        Some(rest) => rest.to_owned(),
        None => Cow::into_owned(file),
    }
}

/// Without `.`, `..` and double slashes, by the text alone.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                clean.push(component);
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests;

//! Where `publish` puts the values of a file: the destination rules.
//!
//! Invariants: types are checked when the configuration is read; what else can be wrong is kept, with
//! its place, until the rule is reached. A destination in a cloud that is not built in is valid, and an
//! error only where somebody publishes to it.

use super::known;
use super::read::{Entry, Reader};
use super::rule::RuleEntry;
use super::{Config, ConfigError};
use crate::document::NodeId;
use crate::policy::Pattern;
use crate::text::Position;

/// A destination rule that can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DestinationRule {
    /// Where it stands in the configuration.
    pub position: Position,
    /// What it names.
    pub destination: Destination,
    /// Whether names lose their extension.
    pub omit_extensions: bool,
}

/// Where values go.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Destination {
    /// A key-value engine of Vault or OpenBao.
    Kv(KvDestination),
    /// A bucket of another cloud, by the name of its field.
    Foreign(&'static str),
}

/// A folder of a key-value engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KvDestination {
    /// `vault_address`; `None`: the server that the user names.
    pub address: Option<String>,
    /// `vault_kv_mount_name`, by default `secret` as in SOPS; without slashes around it.
    pub mount: String,
    /// `vault_path`, without slashes around it; empty: the engine's root.
    pub folder: String,
    /// `vault_kv_version`; `None`: not said.
    pub version: Option<KvVersion>,
}

/// The two kinds of key-value engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KvVersion {
    /// A map at a path.
    One,
    /// The same with versions.
    Two,
}

/// Why a file has no destination.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// There is no rule for it.
    #[error("no matching destination rules found")]
    NoMatch,
    /// The rule for it cannot be used.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

/// A destination rule as it is written.
#[derive(Debug)]
pub(super) struct DestinationEntry {
    /// `None` matches every path; `Some(Err)`: not valid.
    path: Option<Result<Pattern, ConfigError>>,
    rule: Result<DestinationRule, ConfigError>,
}

impl DestinationEntry {
    /// Fails if something is of a wrong type; what else is wrong is kept for when it is reached.
    pub(super) fn read(reader: &Reader<'_>, at: NodeId) -> Result<Self, ConfigError> {
        let entries = reader.map(at, "a destination rule")?;
        known::check(reader, &entries, known::DESTINATION, "a destination rule")?;
        let get = |name: &str| entries.iter().find(|entry| entry.name == name);
        let text =
            |name: &str| get(name).map_or(Ok(String::new()), |it| reader.text(it.value, name));
        let place = |name: &str| get(name).map_or(at, |entry| entry.value);
        let mut named: Vec<&'static str> = Vec::new();
        for field in ["s3_bucket", "gcs_bucket", "vault_path"] {
            if !text(field)?.is_empty() {
                named.push(field);
            }
        }
        for field in ["s3_prefix", "gcs_prefix"] {
            text(field)?;
        }
        let path_regex = text("path_regex")?;
        let kv = KvDestination {
            address: Some(text("vault_address")?).filter(|text| !text.is_empty()),
            mount: match text("vault_kv_mount_name")?.trim_matches('/') {
                "" => "secret".to_owned(),
                mount => mount.to_owned(),
            },
            folder: text("vault_path")?.trim_matches('/').to_owned(),
            version: None,
        };
        let version = match get("vault_kv_version") {
            Some(entry) => reader.integer(entry.value, &entry.name)?,
            None => None,
        };
        let omit_extensions = match get("omit_extensions") {
            Some(entry) => reader.boolean(entry.value, &entry.name)?,
            None => false,
        };
        let recreation = match get("recreation_rule") {
            Some(entry) => Some((entry, RuleEntry::read(reader, entry.value)?)),
            None => None,
        };
        let judge = || {
            let destination = match named.as_slice() {
                [] => {
                    let problem = "a destination rule names no destination: give it vault_path";
                    return Err(reader.error(at, problem));
                }
                ["vault_path"] => Destination::Kv(KvDestination {
                    version: match version {
                        // As in SOPS, where it is the number that is not set.
                        None | Some(0) => None,
                        Some(1) => Some(KvVersion::One),
                        Some(2) => Some(KvVersion::Two),
                        Some(_) => {
                            let problem = "vault_kv_version is 1 or 2";
                            return Err(reader.error(place("vault_kv_version"), problem));
                        }
                    },
                    ..kv
                }),
                [one] => Destination::Foreign(one),
                [first, second, ..] => {
                    let problem = format!("a rule has one destination: {first} and {second}");
                    return Err(reader.error(place(second), problem));
                }
            };
            refuse_recreation(reader, &destination, recreation.as_ref())?;
            let position = reader.error(at, "").position;
            Ok(DestinationRule { position, destination, omit_extensions })
        };
        let path = (!path_regex.is_empty()).then(|| {
            Pattern::parse(&path_regex)
                .map_err(|error| reader.error(place("path_regex"), format!("path_regex: {error}")))
        });
        Ok(Self { path, rule: judge() })
    }
}

/// SOPS encrypts anew for a bucket only, and for Vault passes over such a rule without a word: whoever
/// wrote it does not expect his values there in the open.
fn refuse_recreation(
    reader: &Reader<'_>,
    destination: &Destination,
    recreation: Option<&(&Entry, RuleEntry)>,
) -> Result<(), ConfigError> {
    let (Destination::Kv(_), Some((entry, rule))) = (destination, recreation) else {
        return Ok(());
    };
    let names_keys = match rule.rule() {
        Ok(rule) => rule.groups.iter().any(|group| !group.is_empty()),
        Err(_) => true,
    };
    if !names_keys {
        return Ok(());
    }
    let problem = "recreation_rule is for files in a bucket: a key-value engine gets the values \
                   decrypted, so take it out of the rule";
    Err(reader.error(entry.key, problem))
}

impl Config {
    /// The destination rule of a file: the first whose regex is empty or matches the path as it was
    /// typed, whatever folder the configuration is in, as in SOPS.
    ///
    /// # Errors
    ///
    /// If no rule matches, or a rule that is reached is not valid.
    pub fn destination_for(&self, typed: &str) -> Result<&DestinationRule, DestinationError> {
        for entry in &self.destinations {
            let matches = match &entry.path {
                None => true,
                Some(Ok(pattern)) => pattern.matches(typed),
                Some(Err(error)) => return Err(error.clone().into()),
            };
            if matches {
                return entry.rule.as_ref().map_err(|error| error.clone().into());
            }
        }
        Err(DestinationError::NoMatch)
    }

    /// Whether there are destination rules at all.
    #[must_use]
    pub fn has_destinations(&self) -> bool {
        !self.destinations.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, Destination, KvVersion};

    /// Where `dir/a.yaml` goes, or why nowhere.
    #[track_caller]
    fn check(rules: &str, expected: &str) {
        let config = Config::parse(&format!("destination_rules:\n{rules}"));
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let said = match config.destination_for("dir/a.yaml") {
            Ok(rule) => match &rule.destination {
                Destination::Foreign(field) => (*field).to_owned(),
                Destination::Kv(kv) => {
                    let address = kv.address.as_deref().unwrap_or("-");
                    let version = match kv.version {
                        None => "?",
                        Some(KvVersion::One) => "1",
                        Some(KvVersion::Two) => "2",
                    };
                    let cut = if rule.omit_extensions { " cut" } else { "" };
                    format!("{address} {} {} {version}{cut}", kv.mount, kv.folder)
                }
            },
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn the_first_rule_that_matches_the_path_as_typed_counts() {
        check(
            "- {path_regex: ^/, vault_path: no}\n- {path_regex: ^dir/, vault_path: /yes/}\n",
            "- secret yes ?",
        );
        check("- {path_regex: '', s3_bucket: b, s3_prefix: p}\n- vault_path: x\n", "s3_bucket");
        check("- {path_regex: other, vault_path: x}\n", "no matching destination rules found");
        check("\n", "no matching destination rules found");
        check(
            "- vault_path: a/b\n  vault_address: https://v\n  vault_kv_mount_name: kv/team/\n  vault_kv_version: 1\n  omit_extensions: true\n",
            "https://v kv/team a/b 1 cut",
        );
        check("- {vault_path: x, vault_kv_version: 0, reencryption: {}}\n", "- secret x ?");
        check("- {vault_path: x, recreation_rule: {mac_only_encrypted: true}}\n", "- secret x ?");
        check("- {gcs_bucket: x, recreation_rule: {age: a}}\n", "gcs_bucket");
    }

    #[test]
    fn what_is_wrong_counts_when_it_is_reached_and_says_where() {
        check(
            "- {path_regex: other, vault_kv_version: 7}\n",
            "no matching destination rules found",
        );
        check(
            "- {path_regex: '(', vault_path: x}\n",
            "line 2, column 16: path_regex: a closing parenthesis is missing (at character 2 of the regex)",
        );
        check(
            "- {vault_path: x, vault_kv_version: 3}\n",
            "line 2, column 37: vault_kv_version is 1 or 2",
        );
        check(
            "- {}\n",
            "line 2, column 3: a destination rule names no destination: give it vault_path",
        );
        check(
            "- {vault_path: x, s3_bucket: b}\n",
            "line 2, column 16: a rule has one destination: s3_bucket and vault_path",
        );
        check(
            "- {vault_path: x, recreation_rule: {age: a}}\n",
            "line 2, column 19: recreation_rule is for files in a bucket: a key-value engine gets the values decrypted, so take it out of the rule",
        );
    }

    #[test]
    fn wrong_types_and_slips_fail_the_whole_configuration() {
        for (rule, expected) in [
            ("vault_path: [x]", "line 2, column 15: vault_path must be a text"),
            ("vault_kv_version: two", "line 2, column 21: vault_kv_version must be a whole number"),
            ("omit_extensions: 1", "line 2, column 20: omit_extensions must be true or false"),
            (
                "vault_paths: x",
                "line 2, column 3: a destination rule has no key `vault_paths`: did you mean `vault_path`?",
            ),
            ("recreation_rule: [x]", "line 2, column 20: a creation rule must be a map"),
        ] {
            let error = Config::parse(&format!("destination_rules:\n- {rule}\n")).map(|_| ());
            assert_eq!(error.map_err(|error| error.to_string()), Err(expected.to_owned()));
        }
    }
}

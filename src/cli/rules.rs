//! The creation rules: which configuration counts, and which of its rules for a file.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::exit;
use super::integrity::Integrity;
use super::key_diff::same_key;
use super::output::Output;
use crate::config::{self, Config, CreationRule, RuleError};
#[cfg(feature = "vault")]
use crate::config::{DestinationError, DestinationRule, TransitField};
use crate::file::Nonces;
use crate::keys::MasterKey;
use crate::os::discover::find_config;
use crate::os::fs;
use crate::os::shell::word;
use crate::policy;
use crate::shown::Show;

/// The configuration of a run.
pub(crate) struct Rules {
    found: Option<Found>,
}

struct Found {
    /// As it is shown.
    path: PathBuf,
    /// The folder that it stands in, absolute.
    folder: PathBuf,
    config: Config,
    /// The user said that these are the rules.
    is_named: bool,
    /// Of Vault.
    namespace: Option<String>,
}

/// What a creation rule says about the files that it matches.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// `the rule at line 2 of .sops.yaml`.
    pub(crate) name: String,
    pub(crate) groups: Vec<Vec<MasterKey>>,
    /// 0: not said.
    pub(crate) threshold: usize,
    /// What is sealed, if it says so.
    pub(crate) policy: Option<policy::Rule>,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) integrity: Option<Integrity>,
    pub(crate) nonces: Nonces,
}

/// What the configuration says about a file.
pub(crate) enum Lookup {
    /// There is no configuration, or one without creation rules.
    NoRules,
    /// None of its rules matches.
    NoMatch {
        /// The configuration.
        config: PathBuf,
        /// What its rules were held against.
        subject: String,
    },
    /// The first rule that matches.
    Rule(Box<Rule>),
}

impl Lookup {
    /// The rule, if one matches.
    pub(crate) fn rule(self) -> Option<Rule> {
        match self {
            Self::Rule(rule) => Some(*rule),
            Self::NoRules | Self::NoMatch { .. } => None,
        }
    }
}

/// A key as a file records it.
pub(crate) fn in_namespace(key: MasterKey, namespace: Option<&str>) -> MasterKey {
    match namespace {
        Some(namespace) => key.in_namespace(namespace),
        None => key,
    }
}

impl Rules {
    /// The configuration that was named, or the nearest from the working directory upwards.
    ///
    /// The transit keys of its rules are in this namespace.
    pub(crate) fn load(
        out: &Output,
        named: Option<&Path>,
        cwd: &Path,
        namespace: Option<String>,
    ) -> Result<Self, Error> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => {
                let discovery = find_config(cwd);
                if let Some(ignored) = discovery.ignored {
                    out.line(&format!(
                        "warning: {} is not used: the name is .sops.yaml",
                        ignored.shown()
                    ));
                }
                let Some(path) = discovery.config else { return Ok(Self { found: None }) };
                if let Some(problem) = discovery.problem {
                    let hint = format!("if it is meant, name it: --config {}", word(&path.shown()));
                    return Err(Error::of(exit::GENERIC, &problem).about(&path).hint(hint));
                }
                path
            }
        };
        let shown = path.strip_prefix(cwd).unwrap_or(&path).to_owned();
        let failed = |text: String| Error::new(exit::GENERIC, text).about(&shown);
        let text = fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let config = Config::parse(&text).map_err(|error| failed(error.to_string()))?;
        let folder = cwd.join(path.parent().unwrap_or(Path::new("")));
        let is_named = named.is_some();
        Ok(Self { found: Some(Found { path: shown, folder, config, is_named, namespace }) })
    }

    /// What the configuration says about a file, whose path is absolute.
    pub(crate) fn find(&self, file: &Path) -> Result<Lookup, Error> {
        let Some(found) = &self.found else { return Ok(Lookup::NoRules) };
        match found.config.rule_for(&found.folder, file) {
            Ok(Some(rule)) => Ok(Lookup::Rule(Box::new(found.rule(rule)))),
            Ok(None) => Ok(Lookup::NoRules),
            Err(RuleError::NoMatch) => Ok(Lookup::NoMatch {
                config: found.path.clone(),
                subject: config::subject(&found.folder, file),
            }),
            Err(RuleError::Invalid(error)) => {
                Err(Error::of(exit::GENERIC, &error).about(&found.path))
            }
        }
    }

    /// Refuses a file, by its absolute path, that only a symlink brings below these rules: whoever
    /// committed it would say who can read another project's secrets.
    pub(crate) fn refuse_led_out(&self, file: &Path) -> Result<(), Error> {
        let Some(found) = self.found.as_ref().filter(|found| !found.is_named) else {
            return Ok(());
        };
        if !fs::leads_out(&found.folder, file) {
            return Ok(());
        }
        let text = format!(
            "a symlink leads out of the folder of {}, which says who can read it; nothing was done",
            found.path.shown()
        );
        Err(Error::new(exit::GENERIC, text).hint(
            "name the file where it stands, or these rules with --config, which says that they are meant",
        ))
    }

    /// Where `publish` puts a file, by its path as it was typed.
    #[cfg(feature = "vault")]
    pub(crate) fn destination(&self, typed: &str) -> Result<&DestinationRule, Error> {
        let Some(found) = &self.found else {
            let text = "config file not found: where values go is said by a .sops.yaml";
            return Err(Error::new(exit::GENERIC, text)
                .hint("it needs `destination_rules:`, a list of rules with vault_path"));
        };
        found.config.destination_for(typed).map_err(|error| match error {
            DestinationError::NoMatch => {
                let text = format!("no matching destination rules found in {}", found.path.shown());
                Error::new(exit::GENERIC, text)
                    .sops("error loading config: no matching destination found in config")
                    .hint(format!(
                        "add a rule whose path_regex matches \"{}\", the path as it was typed",
                        typed.shown()
                    ))
            }
            error => Error::of(exit::GENERIC, &error).about(&found.path),
        })
    }

    /// Whether a rule names this key; if none does, what to do about it.
    ///
    /// `is_it`: whether a key, as a file records it, is this one; `uri`: as a rule names it.
    #[cfg(feature = "vault")]
    pub(crate) fn transit(
        &self,
        is_it: impl Fn(&MasterKey) -> bool,
        uri: &str,
    ) -> Result<Option<String>, Error> {
        let rules = || self.found.iter().flat_map(|found| found.config.rules());
        if self.keys().iter().any(is_it) {
            return Ok(None);
        }
        if let Some(found) = &self.found
            && let Some(error) = found.config.problems().next()
        {
            return Err(Error::of(exit::GENERIC, error).about(&found.path));
        }
        // One that names such keys already is meant sooner than another.
        let with_keys = rules().find(|rule| rule.transit != TransitField::Absent);
        let Some(rule) = with_keys.or_else(|| rules().next()) else {
            let line = format!("`- hc_vault_transit_uri: {uri}`");
            return Ok(Some(format!("add a rule to `creation_rules:`, {line}, then try again")));
        };
        let place = match rule.transit {
            TransitField::Absent => format!(
                "add `hc_vault_transit_uri: {uri}` to the rule at line {}",
                rule.position.line
            ),
            TransitField::Text(at) => {
                format!("append `,{uri}` to the `hc_vault_transit_uri` of line {}", at.line)
            }
            TransitField::List(at) => {
                format!("add `- {uri}` to the list `hc_vault_transit_uri` of line {}", at.line)
            }
            TransitField::Groups => format!(
                "add `- {uri}` to the list `hc_vault` of a key group of the rule at line {}",
                rule.position.line
            ),
        };
        Ok(Some(format!("{place}, then try again")))
    }

    /// The keys that rules name, as files record them.
    #[cfg(feature = "vault")]
    pub(crate) fn keys(&self) -> Vec<MasterKey> {
        let Some(found) = &self.found else { return Vec::new() };
        let groups = found.config.rules().flat_map(|rule| &rule.groups);
        groups.flat_map(|group| found.in_namespace(group)).collect()
    }

    /// Whether a rule names this recipient of age.
    pub(crate) fn name_age(&self, recipient: &str) -> bool {
        let wanted = MasterKey::Age { recipient: recipient.to_owned() };
        let rules = self.found.iter().flat_map(|found| found.config.rules());
        rules.flat_map(|rule| rule.groups.iter().flatten()).any(|key| same_key(key, &wanted))
    }

    /// The configuration, if there is one: as it is shown.
    pub(crate) fn configuration(&self) -> Option<&Path> {
        self.found.as_ref().map(|found| found.path.as_path())
    }

    /// Whether there is a configuration at all.
    pub(crate) fn exist(&self) -> bool {
        self.found.is_some()
    }
}

impl Found {
    /// The keys as a file records them.
    fn in_namespace(&self, keys: &[MasterKey]) -> Vec<MasterKey> {
        keys.iter().map(|key| in_namespace(key.clone(), self.namespace.as_deref())).collect()
    }

    fn rule(&self, rule: &CreationRule) -> Rule {
        Rule {
            name: format!("the rule at line {} of {}", rule.position.line, self.path.shown()),
            groups: rule.groups.iter().map(|group| self.in_namespace(group)).collect(),
            threshold: rule.shamir_threshold,
            policy: rule.rule.clone(),
            mac_only_encrypted: rule.mac_only_encrypted,
            integrity: rule.integrity.map(|level| match level {
                config::Integrity::Sealed => Integrity::Sealed,
                config::Integrity::Values => Integrity::Values,
            }),
            nonces: match rule.nonces {
                Some(config::Nonces::Random) => Nonces::Random,
                Some(config::Nonces::Derived) | None => Nonces::Derived,
            },
        }
    }
}

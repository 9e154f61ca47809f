//! What a new file is sealed by: flags, environment, and the creation rule.
//!
//! Invariants: any key flag or variable replaces the keys of the rule, never adds to them; the rule
//! is looked up all the same, and one that does not match is an error, as in SOPS.

use std::path::Path;

use super::context::Ctx;
use super::error::{Error, shorten};
use super::exit;
use super::explain;
use super::key_diff::same_key;
use super::rules::{Lookup, Rule, Rules, in_namespace};
use crate::config::parse_keys;
use crate::file::Nonces;
use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey};
use crate::keyservice::age::{check_recipient, plugin_program};
use crate::policy::{self, Policy};
use crate::secret::DataKey;
use crate::shown::Show;

/// Flags that name keys and choose what is sealed.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SealArgs {
    /// age recipients, with commas [env: SOPS_AGE_RECIPIENTS]
    #[arg(short, long, value_name = "LIST", overrides_with = "age")]
    pub(crate) age: Option<String>,
    /// Transit keys of Vault or OpenBao (https://HOST/v1/transit/keys/NAME), with commas
    /// [env: SOPS_VAULT_URIS]
    #[arg(long, value_name = "LIST", overrides_with = "hc_vault_transit")]
    pub(crate) hc_vault_transit: Option<String>,
    /// Number of key groups that are needed together
    #[arg(long, value_name = "NUMBER", overrides_with = "shamir_secret_sharing_threshold")]
    pub(crate) shamir_secret_sharing_threshold: Option<usize>,
    /// Seal everything but what has a key with this end
    #[arg(long, value_name = "SUFFIX", overrides_with = "unencrypted_suffix")]
    pub(crate) unencrypted_suffix: Option<String>,
    /// Seal what has a key with this end
    #[arg(long, value_name = "SUFFIX", overrides_with = "encrypted_suffix")]
    pub(crate) encrypted_suffix: Option<String>,
    /// Seal everything but what has a key that matches
    #[arg(long, value_name = "REGEX", overrides_with = "unencrypted_regex")]
    pub(crate) unencrypted_regex: Option<String>,
    /// Seal what has a key that matches
    #[arg(long, value_name = "REGEX", overrides_with = "encrypted_regex")]
    pub(crate) encrypted_regex: Option<String>,
    /// Seal everything but what has a comment before it that matches
    #[arg(long, value_name = "REGEX", overrides_with = "unencrypted_comment_regex")]
    pub(crate) unencrypted_comment_regex: Option<String>,
    /// Seal what has a comment before it that matches
    #[arg(long, value_name = "REGEX", overrides_with = "encrypted_comment_regex")]
    pub(crate) encrypted_comment_regex: Option<String>,
    /// Let the MAC cover sealed values only
    #[arg(long)]
    pub(crate) mac_only_encrypted: bool,
}

/// How a new file is to be sealed.
pub(crate) struct Plan {
    pub(crate) groups: Vec<Vec<MasterKey>>,
    pub(crate) threshold: usize,
    pub(crate) policy: Policy,
    pub(crate) nonces: Nonces,
    /// The rule that names the recipients, if it does.
    named_by: Option<String>,
}

impl Plan {
    /// For somebody at a terminal who is about to seal a file that he cannot open.
    pub(crate) fn lockout(&self, ctx: &Ctx) -> Option<String> {
        let rule = self.named_by.as_ref().filter(|_| ctx.out.stderr_is_terminal)?;
        let keys = || self.groups.iter().flatten();
        let names = |own: &str| {
            let own = MasterKey::Age { recipient: own.to_owned() };
            keys().any(|key| same_key(key, &own))
        };
        let elsewhere = keys().any(|key| key.kind() != KeyKind::Age);
        (!elsewhere && ctx.locks_out(names)).then(|| {
            format!("{rule} names none of your identities: you will not be able to open the file")
        })
    }
}

impl SealArgs {
    /// What flags, environment and creation rule say about a file of this name.
    pub(crate) fn plan(&self, ctx: &Ctx, name: &Path) -> Result<Plan, Error> {
        let rules = ctx.rules()?;
        let lookup = rules.find(&ctx.absolute(name))?;
        if let Lookup::NoMatch { config, subject } = &lookup {
            return Err(no_match(config, subject));
        }
        let rule = lookup.rule();
        let from_flags = self.keys(ctx)?;
        let by_rule = from_flags.is_empty();
        let (groups, origin) = match (&rule, from_flags.is_empty()) {
            (_, false) => (vec![from_flags], "--age or SOPS_AGE_RECIPIENTS"),
            (Some(rule), true) if rule.groups.iter().all(Vec::is_empty) => {
                return Err(no_keys(&rule.name));
            }
            (Some(rule), true) => (rule.groups.clone(), rule.name.as_str()),
            (None, true) => return Err(no_config(rules)),
        };
        check(&groups, origin)?;
        let threshold = self
            .shamir_secret_sharing_threshold
            .filter(|&number| number != 0)
            .or(rule.as_ref().map(|rule| rule.threshold))
            .unwrap_or(0);
        Ok(Plan {
            groups,
            threshold,
            policy: self.policy(rule.as_ref())?,
            nonces: rule.as_ref().map_or(Nonces::Derived, |rule| rule.nonces),
            named_by: rule.filter(|_| by_rule).map(|rule| rule.name),
        })
    }

    /// The keys that flags and variables name.
    fn keys(&self, ctx: &Ctx) -> Result<Vec<MasterKey>, Error> {
        let given = |flag: &Option<String>, variable| {
            flag.clone().filter(|list| !list.is_empty()).or_else(|| ctx.env.text(variable))
        };
        let mut keys = Vec::new();
        for (kind, variable) in FOREIGN {
            for id in given(&None, variable).iter().flat_map(|list| list.split(',')) {
                keys.push(MasterKey::Foreign { kind, id: id.trim().to_owned() });
            }
        }
        let typed = self.hc_vault_transit.as_ref().is_some_and(|list| !list.is_empty());
        let origin = if typed { "--hc-vault-transit" } else { "SOPS_VAULT_URIS" };
        let transit = given(&self.hc_vault_transit, "SOPS_VAULT_URIS").unwrap_or_default();
        keys.extend(vault_keys(ctx, &transit, origin)?);
        let recipients = given(&self.age, "SOPS_AGE_RECIPIENTS");
        for recipient in recipients.iter().flat_map(|list| list.split(',')) {
            keys.push(MasterKey::Age { recipient: recipient.trim().to_owned() });
        }
        Ok(keys)
    }

    /// The one rule that says what is sealed.
    fn policy(&self, rule: Option<&Rule>) -> Result<Policy, Error> {
        let flags = [
            ("unencrypted_suffix", &self.unencrypted_suffix),
            ("encrypted_suffix", &self.encrypted_suffix),
            ("unencrypted_regex", &self.unencrypted_regex),
            ("encrypted_regex", &self.encrypted_regex),
            ("unencrypted_comment_regex", &self.unencrypted_comment_regex),
            ("encrypted_comment_regex", &self.encrypted_comment_regex),
        ];
        let mut chosen: Vec<policy::Rule> = Vec::new();
        for (field, text) in flags {
            let Some(text) = text else { continue };
            let parsed = policy::Rule::from_config(field, text).map_err(|error| {
                let flag = field.replace('_', "-");
                Error::new(exit::GENERIC, format!("--{flag}: {error}"))
            })?;
            chosen.extend(parsed);
        }
        if let Some(of_config) = rule.and_then(|rule| rule.policy.clone())
            && !chosen.iter().any(|flag| flag.field() == of_config.field())
        {
            chosen.push(of_config);
        }
        let mac_only = self.mac_only_encrypted || rule.is_some_and(|rule| rule.mac_only_encrypted);
        match chosen.as_slice() {
            [] => Ok(Policy::new(policy::Rule::default(), mac_only)),
            [rule] => Ok(Policy::new(rule.clone(), mac_only)),
            [first, second, ..] => Err(Error::new(
                exit::CONFLICT,
                format!(
                    "both {} and {} say what is sealed; a file has one rule",
                    first.field(),
                    second.field()
                ),
            )),
        }
    }
}

/// No creation rule matches a file.
pub(crate) fn no_match(config: &Path, subject: &str) -> Error {
    let text = format!("no matching creation rules found in {}", config.shown());
    Error::new(exit::GENERIC, text)
        .sops("error loading config: no matching creation rules found")
        .hint(format!(
            "add a rule whose path_regex matches \"{}\", or one without path_regex at the end",
            subject.shown()
        ))
}

/// A creation rule names no key at all.
fn no_keys(rule: &str) -> Error {
    Error::new(exit::GENERIC, format!("{rule} names nobody who could open the file"))
        .sops("Could not generate data key: [empty key group provided]")
        .hint(
            "give it a line `age:` with recipients (age1…; `waxseal init` prints yours), or \
             `hc_vault_transit_uri:` with the URL of a transit key",
        )
}

/// Neither a creation rule nor a flag names a key.
pub(crate) fn no_config(rules: &Rules) -> Error {
    let error = Error::new(
        exit::GENERIC,
        "config file not found, or has no creation rules, and no keys provided through command \
         line options",
    );
    if let Some(found) = rules.configuration() {
        return error.hint(format!(
            "{} was found, and has no `creation_rules:`, a list of rules that name recipients",
            found.shown()
        ));
    }
    error.hint(
        "`waxseal init` makes an identity and a .sops.yaml; --age names recipients directly, \
         --hc-vault-transit transit keys; for a rule with hc_vault_transit_uri: `waxseal init --vault ADDRESS`",
    )
}

/// Wraps a data key for every key of every group.
pub(crate) fn wrap(
    ctx: &Ctx,
    groups: &[Vec<MasterKey>],
    data_key: &DataKey,
) -> Result<Vec<KeyGroup>, Error> {
    check(groups, "the keys that are given")?;
    let wrapped = ctx.keyring().wrap_all(groups, data_key).map_err(|it| explain::wrap(&it))?;
    let now = ctx.now()?;
    let group = |(keys, wrapped): (&Vec<MasterKey>, Vec<String>)| {
        let keys = keys.iter().zip(wrapped);
        KeyGroup::new(keys.map(|(key, enc)| WrappedKey::new(key.clone(), enc, now)).collect())
    };
    Ok(groups.iter().zip(wrapped).map(group).collect())
}

/// Wraps another data key for the keys that a file has; all else about them stays. A plugin runs only
/// for a recipient that is `vouched` for: a file is no instruction to run a program.
pub(crate) fn rewrap(
    ctx: &Ctx,
    groups: &[KeyGroup],
    data_key: &DataKey,
    vouched: impl Fn(&MasterKey) -> bool,
) -> Result<Vec<KeyGroup>, Error> {
    let keys: Vec<Vec<MasterKey>> = groups.iter().map(keys_of).collect();
    check(&keys, "the keys of the file")?;
    for key in keys.iter().flatten().filter(|key| !vouched(key)) {
        let MasterKey::Age { recipient } = key else { continue };
        if let Some(program) = plugin_program(recipient) {
            let recipient = shorten(recipient);
            let text =
                format!("{recipient}: {program} would run, and nothing but the file asks so");
            return Err(Error::new(exit::RECIPIENTS, text)
                .hint("name the recipient in the creation rule, if it is one of yours")
                .hint("--accept-recipients goes on with those that the file names"));
        }
    }
    let wrapped = ctx.keyring().wrap_all(&keys, data_key).map_err(|it| explain::wrap(&it))?;
    let group = |(group, wrapped): (&KeyGroup, Vec<String>)| {
        let keys = group.keys().iter().zip(wrapped);
        group.with_keys(keys.map(|(key, enc)| key.with_enc(enc, None)).collect())
    };
    Ok(groups.iter().zip(wrapped).map(group).collect())
}

/// The transit keys of a comma list, as a file records them; it was given by `origin`.
pub(crate) fn vault_keys(ctx: &Ctx, list: &str, origin: &str) -> Result<Vec<MasterKey>, Error> {
    let keys = parse_keys(KeyKind::Vault, list)
        .map_err(|error| Error::new(exit::GENERIC, format!("{origin}: {error}")))?;
    let namespace = ctx.namespace();
    Ok(keys.into_iter().map(|key| in_namespace(key, namespace.as_deref())).collect())
}

/// The master keys of a group.
pub(crate) fn keys_of(group: &KeyGroup) -> Vec<MasterKey> {
    group.keys().iter().map(|key| key.key().clone()).collect()
}

/// A new data key.
pub(crate) fn new_data_key() -> Result<DataKey, Error> {
    DataKey::generate().map_err(|error| {
        let text = format!("no random numbers from the operating system: {error}");
        Error::new(exit::GENERIC, text)
    })
}

/// Refuses what is no recipient before anything shows it: it may be an identity, a secret.
pub(crate) fn check(groups: &[Vec<MasterKey>], origin: &str) -> Result<(), Error> {
    let recipients = groups.iter().flatten().filter_map(|key| match key {
        MasterKey::Age { recipient } => Some(recipient),
        MasterKey::Vault { .. } | MasterKey::Foreign { .. } => None,
    });
    for (index, recipient) in recipients.enumerate() {
        check_recipient(recipient).map_err(|error| {
            let text = format!("{origin}, age recipient {}: {error}", index + 1);
            Error::new(exit::GENERIC, text)
        })?;
    }
    Ok(())
}

/// Variables that name keys of kinds that are not built in: to leave them out silently would leave
/// somebody out.
const FOREIGN: [(KeyKind, &str); 5] = [
    (KeyKind::Kms, "SOPS_KMS_ARN"),
    (KeyKind::GcpKms, "SOPS_GCP_KMS_IDS"),
    (KeyKind::HcKms, "SOPS_HUAWEICLOUD_KMS_IDS"),
    (KeyKind::AzureKv, "SOPS_AZURE_KEYVAULT_URLS"),
    (KeyKind::Pgp, "SOPS_PGP_FP"),
];

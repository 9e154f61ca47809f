//! The keys that a configuration can have, and those that are nearly one of them.
//!
//! sops ignores keys that it does not know, and so do we: they may be of a later version, or
//! somebody's own. But one that is a slip away from a known key, or made of its words, was meant as
//! that key, and a rule that silently selects nothing leaves secrets in the open. `x-` begins a key
//! that is certainly somebody's own.

use super::ConfigError;
use super::read::{Entry, Reader};

/// Keys of the whole configuration.
pub(super) const ROOT: &[&str] = &["creation_rules", "destination_rules", "stores"];

/// Keys of a creation rule.
pub(super) const RULE: &[&str] = &[
    "path_regex",
    "age",
    "pgp",
    "kms",
    "gcp_kms",
    "hckms",
    "azure_keyvault",
    "hc_vault_transit_uri",
    "hc_vault_context",
    "aws_profile",
    "key_groups",
    "shamir_threshold",
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
    "mac_only_encrypted",
    "integrity",
    "nonces",
];

/// Keys of a destination rule.
pub(super) const DESTINATION: &[&str] = &[
    "path_regex",
    "s3_bucket",
    "s3_prefix",
    "gcs_bucket",
    "gcs_prefix",
    "vault_path",
    "vault_address",
    "vault_kv_mount_name",
    "vault_kv_version",
    "omit_extensions",
    "recreation_rule",
];

/// Keys of a key group.
pub(super) const GROUP: &[&str] = &[
    "merge",
    "age",
    "pgp",
    "kms",
    "gcp_kms",
    "hckms",
    "azure_keyvault",
    "hc_vault",
    "hc_vault_context",
];

/// Keys of `stores`.
pub(super) const STORES: &[&str] = &["yaml", "json", "json_binary", "dotenv", "ini"];

/// Refuses a key that is nearly a known one.
pub(super) fn check(
    reader: &Reader<'_>,
    entries: &[Entry],
    known: &[&str],
    what: &str,
) -> Result<(), ConfigError> {
    for Entry { name, key, .. } in entries {
        let meant = meant(name, known);
        if !meant.is_empty() {
            let meant: Vec<_> = meant.iter().map(|name| format!("`{name}`")).collect();
            let problem =
                format!("{what} has no key `{name}`: did you mean {}?", meant.join(" or "));
            return Err(reader.error(*key, problem));
        }
    }
    Ok(())
}

/// The known keys that an unknown one may mean: the nearest, if they are near; else those that have
/// the most of its telling words, such as `path` or `encrypted_keys`.
fn meant<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    if known.contains(&name) || name.chars().count() > LONGEST || name.starts_with("x-") {
        return Vec::new();
    }
    let plain = name.to_lowercase().replace('-', "_");
    let distance = |key: &str| strsim::osa_distance(&plain, &key.to_lowercase());
    let near = |key: &&&str| distance(key) <= if key.len() < SHORT { 1 } else { 2 };
    let nearest = known.iter().filter(near).map(|key| distance(key)).min();
    if nearest.is_some() {
        return known
            .iter()
            .filter(near)
            .filter(|key| Some(distance(key)) == nearest)
            .copied()
            .collect();
    }
    let shared = |key: &str| {
        let words = plain.split('_').filter(|word| TELLING.contains(word));
        words.filter(|word| key.split('_').any(|other| other == *word)).count()
    };
    let most = known.iter().map(|key| shared(key)).max().filter(|&most| most > 0);
    known.iter().filter(|key| Some(shared(key)) == most).copied().collect()
}

/// Words of which nobody makes a key of his own beside those that decide what is sealed and for whom.
const TELLING: &[&str] = &[
    "path",
    "regex",
    "encrypted",
    "unencrypted",
    "suffix",
    "creation",
    "rules",
    "threshold",
    "hc",
    "transit",
];

/// Shorter keys are near to many words: `age` to `name`.
const SHORT: usize = 5;

/// Longer than any key that could be meant.
const LONGEST: usize = 60;

#[cfg(test)]
mod tests {
    use super::{GROUP, ROOT, RULE, meant};

    #[test]
    fn a_slip_is_seen() {
        for (name, known, expect) in [
            ("encypted_regex", RULE, &["encrypted_regex"][..]),
            ("path-regex", RULE, &["path_regex"]),
            ("pathregex", RULE, &["path_regex"]),
            ("Age", RULE, &["age"]),
            ("ages", RULE, &["age"]),
            ("uencrypted_regex", RULE, &["unencrypted_regex", "encrypted_regex"]),
            ("azure_key_vault", RULE, &["azure_keyvault"]),
            ("integrety", RULE, &["integrity"]),
            ("creation_rule", ROOT, &["creation_rules"]),
            ("creationRules", ROOT, &["creation_rules"]),
            ("hcvault", GROUP, &["hc_vault"]),
            ("path", RULE, &["path_regex"]),
            ("threshold", RULE, &["shamir_threshold"]),
            (
                "regex",
                RULE,
                &[
                    "path_regex",
                    "unencrypted_regex",
                    "encrypted_regex",
                    "unencrypted_comment_regex",
                    "encrypted_comment_regex",
                ],
            ),
            ("filename_regex", RULE, meant("regex", RULE).as_slice()),
            (
                "encrypted",
                RULE,
                &[
                    "encrypted_suffix",
                    "encrypted_regex",
                    "encrypted_comment_regex",
                    "mac_only_encrypted",
                ],
            ),
            ("encrypted_keys", RULE, meant("encrypted", RULE).as_slice()),
            ("hc_vault_uris", RULE, &["hc_vault_transit_uri", "hc_vault_context"]),
            ("hc_vault", RULE, &["hc_vault_transit_uri", "hc_vault_context"]),
            ("vault_transit", RULE, &["hc_vault_transit_uri"]),
            ("hc_vault_transit_uri", GROUP, &["hc_vault", "hc_vault_context"]),
            ("rules", ROOT, &["creation_rules", "destination_rules"]),
        ] {
            assert_eq!(meant(name, known), expect, "{name}");
        }
    }

    #[test]
    fn what_is_known_or_something_else_is_let_be() {
        for name in ["age", "name", "comment", "x-age", "recipients", "owner", "page_size", "tag"] {
            assert_eq!(meant(name, RULE), [""; 0], "{name}");
        }
        for known in [ROOT, RULE, GROUP] {
            assert!(known.iter().all(|key| meant(key, known).is_empty()));
        }
    }
}

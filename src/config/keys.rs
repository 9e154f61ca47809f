//! The syntax of master keys, as it is written in configurations and on the command line.

use crate::keys::{KeyKind, MasterKey, foreign_id};
use crate::value::Tree;

/// Why a text names no master key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySyntaxError {
    /// No address of a transit key.
    #[error("not a transit key: it looks like https://HOST:PORT/v1/ENGINE/keys/NAME")]
    Vault,
    /// No address of an Azure key.
    #[error("not an Azure key: it looks like https://VAULT.vault.azure.net/keys/NAME/VERSION")]
    Azure,
    /// No Huawei key.
    #[error("not a Huawei Cloud key: it looks like REGION:KEY-UUID")]
    HcKms,
}

/// The master keys of a comma-separated list of one kind. Parts are trimmed, empty ones dropped.
///
/// Whether a recipient is valid shows when a data key is wrapped for it.
///
/// # Errors
///
/// If a part names no key of this kind.
pub fn parse_keys(kind: KeyKind, list: &str) -> Result<Vec<MasterKey>, KeySyntaxError> {
    list.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| parse_key(kind, part))
        .collect()
}

fn parse_key(kind: KeyKind, text: &str) -> Result<MasterKey, KeySyntaxError> {
    let without_spaces = || text.replace(' ', "");
    Ok(match kind {
        KeyKind::Age => MasterKey::Age { recipient: text.to_owned() },
        KeyKind::Vault => parse_vault(text).ok_or(KeySyntaxError::Vault)?,
        KeyKind::Kms | KeyKind::Pgp | KeyKind::GcpKms => {
            MasterKey::Foreign { kind, id: without_spaces() }
        }
        KeyKind::HcKms => match text.split_once(':') {
            Some((region, id)) if !region.is_empty() && !id.is_empty() => {
                MasterKey::Foreign { kind, id: text.to_owned() }
            }
            _ => return Err(KeySyntaxError::HcKms),
        },
        KeyKind::AzureKv => parse_azure(text).ok_or(KeySyntaxError::Azure)?,
    })
}

/// `SCHEME://HOST/v1/ENGINE/keys/NAME`, as SOPS reads it: the version and `keys` are not looked at.
fn parse_vault(text: &str) -> Option<MasterKey> {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty())?;
    let (host, path) = rest.split_at(rest.find('/')?);
    // A query or fragment would belong to the address in SOPS; no server has one.
    if host.is_empty() || path.contains(['?', '#']) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let [version, engine @ .., _keys, key_name] = parts.as_slice() else { return None };
    let digits = version.strip_prefix('v').filter(|digits| !digits.is_empty())?;
    if engine.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(MasterKey::Vault {
        address: format!("{scheme}://{host}"),
        engine_path: engine.join("/"),
        key_name: (*key_name).to_owned(),
        context: None,
    })
}

/// `https://VAULT/keys/NAME[/VERSION]`.
fn parse_azure(text: &str) -> Option<MasterKey> {
    let host_end = "https://".len() + text.strip_prefix("https://")?.find('/')?;
    let (vault_url, path) = text.split_at(host_end);
    let mut parts = path.strip_prefix("/keys/")?.splitn(2, '/');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let version = parts.next().unwrap_or("");
    let fields = [("vault_url", vault_url), ("name", name), ("version", version)];
    (vault_url.len() > "https://".len() && !version.contains('/'))
        .then(|| foreign(KeyKind::AzureKv, &fields, None))
}

/// A foreign key of these fields of the metadata.
pub(super) fn foreign(kind: KeyKind, fields: &[(&str, &str)], context: Option<&Tree>) -> MasterKey {
    let field = |name: &str| {
        fields.iter().find(|(field, _)| *field == name).map_or("", |(_, text)| text).to_owned()
    };
    MasterKey::Foreign { kind, id: foreign_id(kind, field, context) }
}

/// A transit key with the context of its rule or group.
pub(super) fn with_context(key: MasterKey, context: Option<&str>) -> MasterKey {
    match key {
        MasterKey::Vault { address, engine_path, key_name, context: None } => {
            let context = context.filter(|context| !context.is_empty()).map(str::to_owned);
            MasterKey::Vault { address, engine_path, key_name, context }
        }
        key => key,
    }
}

/// A KMS key of a flat list (`ARN[+ROLE]`) with the profile of its rule.
pub(super) fn with_profile(key: MasterKey, profile: &str) -> MasterKey {
    match key {
        MasterKey::Foreign { kind: KeyKind::Kms, id } => {
            let (arn, role) = id.split_once('+').unwrap_or((&id, ""));
            let fields = [("arn", arn), ("role", role), ("aws_profile", profile)];
            foreign(KeyKind::Kms, &fields, None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_keys, with_profile};
    use crate::keys::{KeyKind, MasterKey};

    #[track_caller]
    fn check(kind: KeyKind, list: &str, expected: &[&str]) {
        let keys = parse_keys(kind, list);
        let texts: Vec<_> = match &keys {
            Ok(keys) => keys.iter().map(ToString::to_string).collect(),
            Err(_) => vec!["error".to_owned()],
        };
        assert_eq!(texts, expected);
    }

    #[test]
    fn lists_are_split_and_trimmed() {
        check(KeyKind::Age, " a , ,b\n,ssh-ed25519 AAAA me", &["a", "b", "ssh-ed25519 AAAA me"]);
        check(KeyKind::Pgp, "AB CD,EF", &["ABCD", "EF"]);
        check(KeyKind::GcpKms, "", &[]);
        check(KeyKind::HcKms, "eu:1-2", &["eu:1-2"]);
        check(KeyKind::HcKms, "eu", &["error"]);
    }

    #[test]
    fn transit_keys_are_addresses() {
        let vault = |text, expected| check(KeyKind::Vault, text, &[expected]);
        vault("https://vault:8200/v1/sops/keys/k", "https://vault:8200/v1/sops/keys/k");
        vault(
            "http://h/v1/super42/bestmarket/keys/slig",
            "http://h/v1/super42/bestmarket/keys/slig",
        );
        vault("https://h/v2/a/b/k/", "https://h/v1/a/keys/k");
        vault("https://h/v1/keys/dev", "error");
        vault("h/v1/sops/keys/k", "error");
        vault("https://h/prefix/v1/sops/keys/k", "error");
        vault("https:///v1/sops/keys/k", "error");
    }

    #[test]
    fn azure_keys_are_addresses() {
        let azure = |text, expected| check(KeyKind::AzureKv, text, &[expected]);
        azure("https://x.vault.azure.net/keys/n/v", "https://x.vault.azure.net/keys/n/v");
        azure("https://x.vault.azure.net/keys/n", "https://x.vault.azure.net/keys/n/");
        azure("https://x.vault.azure.net/secrets/n", "error");
        azure("x/keys/n", "error");
    }

    #[test]
    fn kms_keys_have_a_profile() {
        let key = |id: &str| MasterKey::Foreign { kind: KeyKind::Kms, id: id.into() };
        assert_eq!(with_profile(key("A+R"), "p").to_string(), "A+R||p");
        assert_eq!(with_profile(key("A"), "").to_string(), "A");
    }
}

//! Transit keys that were exported from their server, and open data keys without it.
//!
//! Invariants: a key is tried on what it may have wrapped, and what it opens is authenticated or, for RSA,
//! padded as OAEP demands; no message holds any part of a key.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::{Oaep, RsaPrivateKey};
use serde_json::Value;
use zeroize::Zeroizing;

use super::envelope::flat;
use super::json::wipe;
use super::transit;
use crate::crypto::wrapped::{Aead, derived, derived_by_counter};
use crate::keys::{MasterKey, WrappedKey};
use crate::keyservice::{KeyError, KeyService};
use crate::secret::{DataKey, SecretText};

/// A transit key with all versions that its server exported.
pub struct ExportedKey {
    name: String,
    kind: Kind,
    versions: BTreeMap<u64, Material>,
}

/// One version of a key.
enum Material {
    Bytes(Zeroizing<Vec<u8>>),
    Rsa(Box<RsaPrivateKey>),
}

/// What a key decrypts by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Aead(Aead),
    /// OAEP with SHA-256.
    Rsa,
}

/// A text is no exported transit key. Never says what it holds.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It is not JSON.
    #[error("is not JSON, as `export/encryption-key/NAME` answers it")]
    NotJson,
    /// It is JSON of something else.
    #[error("holds no exported key: `name`, `type` and `keys`, or these in `data`")]
    Shape,
    /// The key is none of those that decrypt.
    #[error("a key of type {0} wraps no data keys, or is not known")]
    Type(String),
    /// A version of it is damaged.
    #[error("version {0} of the key is damaged")]
    Damaged(u64),
}

impl ExportedKey {
    /// Reads the answer of `export/encryption-key/NAME`, or what is in its `data`.
    ///
    /// # Errors
    ///
    /// If it is something else, or of a key that does not decrypt.
    pub fn parse(json: &[u8]) -> Result<Self, ExportError> {
        let mut value: Value = serde_json::from_slice(json).map_err(|_| ExportError::NotJson)?;
        let read = Self::taken(&mut value);
        wipe(value);
        read
    }

    fn taken(value: &mut Value) -> Result<Self, ExportError> {
        let key = match value.get_mut("data") {
            Some(data) => data,
            None => value,
        };
        let text = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).map(flat);
        let name = text(key, "name").ok_or(ExportError::Shape)?;
        let kind = text(key, "type").ok_or(ExportError::Shape)?;
        let listed = key.get_mut("keys").and_then(Value::as_object_mut);
        let mut texts = BTreeMap::new();
        for (version, key) in listed.ok_or(ExportError::Shape)? {
            let (Ok(version), Value::String(key)) = (version.parse(), key.take()) else {
                return Err(ExportError::Shape);
            };
            texts.insert(version, SecretText::new(key));
        }
        if texts.is_empty() {
            return Err(ExportError::Shape);
        }
        let kind = match kind.as_str() {
            "aes128-gcm96" => Kind::Aead(Aead::Aes128Gcm),
            "aes256-gcm96" => Kind::Aead(Aead::Aes256Gcm),
            "chacha20-poly1305" => Kind::Aead(Aead::ChaCha20Poly1305),
            "xchacha20-poly1305" => Kind::Aead(Aead::XChaCha20Poly1305),
            "rsa-2048" | "rsa-3072" | "rsa-4096" => Kind::Rsa,
            _ => return Err(ExportError::Type(kind)),
        };
        let read = |(version, text): (u64, SecretText)| {
            let material = match kind {
                Kind::Aead(aead) => {
                    let key = transit::decoded(&text).ok();
                    key.filter(|key| key.len() == aead.key_len()).map(Material::Bytes)
                }
                Kind::Rsa => rsa_key(&text).map(Box::new).map(Material::Rsa),
            };
            Ok((version, material.ok_or(ExportError::Damaged(version))?))
        };
        Ok(Self { name, kind, versions: texts.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// What a ciphertext of this version holds; a key may be derived by one of these contexts.
    fn open(&self, key: &Material, sealed: &[u8], contexts: &[&str]) -> Option<Opened> {
        let (aead, key) = match (self.kind, key) {
            (Kind::Aead(aead), Material::Bytes(key)) => (aead, key),
            (_, Material::Rsa(key)) => {
                return key.decrypt(Oaep::new::<Sha256>(), sealed).ok().map(Opened::new);
            }
            (Kind::Rsa, Material::Bytes(_)) => return None,
        };
        // What is exported does not say whether it is derived; a wrong guess opens nothing.
        let by = |context: &&str| {
            let (context, len) = (context.as_bytes(), aead.key_len());
            let open = |key: Opened| aead.open(&key, sealed);
            open(derived(key, context, len)).or_else(|| open(derived_by_counter(key, context, len)))
        };
        aead.open(key, sealed).or_else(|| contexts.iter().find_map(by))
    }
}

type Opened = Zeroizing<Vec<u8>>;

/// The RSA key of a text in PEM (PKCS#1, or PKCS#8), or in the base64 of DER.
fn rsa_key(text: &SecretText) -> Option<RsaPrivateKey> {
    let text = text.expose_secret();
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let base64 = Zeroizing::new(lines.map(str::trim).collect::<String>());
    let der = Zeroizing::new(BASE64_STANDARD.decode(base64.as_bytes()).ok()?);
    let key = RsaPrivateKey::from_pkcs1_der(&der).ok();
    key.or_else(|| RsaPrivateKey::from_pkcs8_der(&der).ok())
}

/// Exported keys as a key service: whatever a file says of servers, none is asked.
pub struct ExportedKeys {
    keys: Vec<ExportedKey>,
    contexts: Vec<String>,
}

impl ExportedKeys {
    /// These keys. A derived one is tried with the context of the entry, then with these.
    #[must_use]
    pub fn new(keys: Vec<ExportedKey>, contexts: Vec<String>) -> Self {
        Self { keys, contexts }
    }

    fn open(&self, wrapped: &WrappedKey, context: Option<&str>) -> Result<DataKey, KeyError> {
        let malformed = |problem: &str| KeyError::Malformed { problem: problem.to_owned() };
        let enc = wrapped.enc().trim_end();
        let version = transit::version(enc)
            .ok_or_else(|| malformed("it is no ciphertext of a transit engine (vault:v1:…)"))?;
        let base64 = enc.rsplit(':').next().unwrap_or_default();
        let sealed =
            BASE64_STANDARD.decode(base64).map_err(|_| malformed("what it holds is not base64"))?;
        let contexts = context.into_iter().chain(self.contexts.iter().map(String::as_str));
        let contexts: Vec<&str> = contexts.collect();
        let mut problems = Vec::new();
        for key in &self.keys {
            let Some(material) = key.versions.get(&version) else {
                problems.push(key.lacks(version));
                continue;
            };
            match key.open(material, &sealed, &contexts) {
                Some(data_key) => return Ok(DataKey::from_bytes(&data_key)?),
                None => problems.push(key.does_not_open(version, contexts.is_empty())),
            }
        }
        Err(KeyError::Failed { problem: problems.join("; ") })
    }
}

impl ExportedKey {
    fn lacks(&self, version: u64) -> String {
        let held: Vec<String> = self.versions.keys().map(u64::to_string).collect();
        format!(
            "version {version} of a key wrapped it, the export of {} holds {}: an operator can lower \
             min_decryption_version and export again",
            self.name,
            held.join(", ")
        )
    }

    fn does_not_open(&self, version: u64, no_context: bool) -> String {
        let derived = match self.kind {
            Kind::Aead(_) if no_context => "; a derived key needs its context: --context",
            Kind::Aead(_) => ", or by another context",
            Kind::Rsa => "",
        };
        format!(
            "version {version} of the exported key {} does not open it: another key wrapped it{derived}",
            self.name
        )
    }
}

impl KeyService for ExportedKeys {
    fn wrap(&self, keys: &[&MasterKey], _: &DataKey) -> Vec<Option<Result<String, KeyError>>> {
        keys.iter().map(|_| None).collect()
    }

    fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>> {
        match key.key() {
            MasterKey::Vault { context, .. } => Some(self.open(key, context.as_deref())),
            MasterKey::Age { .. } | MasterKey::Foreign { .. } => {
                let problem = "no transit key: not tried here".to_owned();
                Some(Err(KeyError::Failed { problem }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ExportError, ExportedKey};

    #[test]
    fn what_is_no_export_is_refused_without_a_word_of_it() {
        let parse = |text: &str| ExportedKey::parse(text.as_bytes()).err();
        assert_eq!(parse("hunter2"), Some(ExportError::NotJson));
        for text in [
            "{}",
            "[1]",
            r#"{"data":null}"#,
            r#"{"name":"a","type":"aes256-gcm96","keys":{}}"#,
            r#"{"name":"a","type":"aes256-gcm96","keys":{"1":7}}"#,
            r#"{"name":"a","type":"aes256-gcm96","keys":{"latest":"AAAA"}}"#,
        ] {
            assert_eq!(parse(text), Some(ExportError::Shape), "{text}");
        }
        let of = |kind: &str, key: &str| {
            parse(&format!(r#"{{"name":"a","type":"{kind}","keys":{{"2":"{key}"}}}}"#))
        };
        assert_eq!(of("aes256-gcm96", "AAAA"), Some(ExportError::Damaged(2)));
        assert_eq!(of("aes256-gcm96", "hunter2!"), Some(ExportError::Damaged(2)));
        assert_eq!(of("rsa-2048", "AAAA"), Some(ExportError::Damaged(2)));
        assert_eq!(of("ed25519", "AAAA"), Some(ExportError::Type("ed25519".into())));
        assert_eq!(of("aes128-gcm96", "AAAAAAAAAAAAAAAAAAAAAA=="), None);
    }
}

//! Recipients: what they look like, and a data key wrapped for one.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use age::armor::{ArmoredWriter, Format};
use age::plugin::RecipientPluginV1;
use age::ssh::ParseRecipientKeyError;
use age::{EncryptError, Encryptor};

use super::ask::{Asking, Interaction};
use super::errors;
use crate::keyservice::KeyError;
use crate::secret::SecretText;

/// Why a text is no recipient that a data key can be wrapped for. Never shows the text: it may be
/// an identity that was pasted in the wrong place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// It is a secret.
    #[error(
        "this is an age identity (a secret), not a recipient: `age-keygen -y` shows the recipient"
    )]
    Identity,
    /// It is of the hybrid post-quantum kind.
    #[error("post-quantum recipients (age1pq1…) are not supported yet")]
    PostQuantum,
    /// It begins like no recipient.
    #[error("unknown recipient type: an age recipient begins with age1, ssh-ed25519 or ssh-rsa")]
    Unknown,
    /// It begins like a recipient, but is damaged or too weak.
    #[error("not a valid {kind} recipient: {problem}")]
    Invalid {
        /// What it looks like.
        kind: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// A recipient of one of the kinds that a data key can be wrapped for.
enum Recipient {
    X25519(age::x25519::Recipient),
    Plugin(age::plugin::Recipient),
    Ssh(age::ssh::Recipient),
}

/// Checks that a data key can be wrapped for this recipient, as far as its text shows. Whether a
/// plugin is installed is not looked at.
///
/// # Errors
///
/// If it cannot.
pub fn check_recipient(text: &str) -> Result<(), RecipientError> {
    Recipient::from_str(text.trim()).map(|_| ())
}

/// The program that wrapping for this recipient runs, if it is one of a plugin.
#[must_use]
pub fn plugin_program(recipient: &str) -> Option<String> {
    match Recipient::from_str(recipient.trim()) {
        Ok(Recipient::Plugin(recipient)) => Some(format!("age-plugin-{}", recipient.plugin())),
        Ok(Recipient::X25519(_) | Recipient::Ssh(_)) | Err(_) => None,
    }
}

/// Wraps `key` for one recipient: a whole age file, in armor.
pub(super) fn wrap(
    recipient: &str,
    key: &[u8],
    interaction: &Arc<dyn Interaction>,
) -> Result<String, KeyError> {
    match Recipient::from_str(recipient.trim())? {
        Recipient::X25519(recipient) => encrypt(&recipient, key),
        Recipient::Ssh(recipient) => encrypt(&recipient, key),
        Recipient::Plugin(recipient) => {
            let name = recipient.plugin().to_owned();
            let asking = Asking(Arc::clone(interaction));
            let plugin = RecipientPluginV1::new(&name, &[recipient], &[], asking)
                .map_err(|error| KeyError::Failed { problem: errors::resolve(&error) })?;
            encrypt(&plugin, key)
        }
    }
}

pub(super) fn encrypt(recipient: &dyn age::Recipient, key: &[u8]) -> Result<String, KeyError> {
    let failed = |error: EncryptError| KeyError::Failed { problem: errors::encrypt(&error) };
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient)).map_err(failed)?;
    let armored = || -> std::io::Result<Vec<u8>> {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(key)?;
        writer.finish()?.finish()
    };
    let text = armored().map_err(|error| failed(error.into()))?;
    // Armor is ASCII.
    String::from_utf8(text).map_err(|_| KeyError::Failed { problem: "armor is no text".into() })
}

/// An age file in armor.
pub(super) fn armor(file: &[u8]) -> Option<SecretText> {
    let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).ok()?;
    armor.write_all(file).ok()?;
    String::from_utf8(armor.finish().ok()?).ok().map(SecretText::new)
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let invalid =
            |kind, problem: &str| RecipientError::Invalid { kind, problem: problem.into() };
        if text.starts_with("age1") && text.contains(char::is_whitespace) {
            Err(invalid(
                "age",
                "there is a space in it; several recipients stand in a list, or \
                                with commas between them",
            ))
        } else if text.starts_with("age1pq1") {
            Err(RecipientError::PostQuantum)
        } else if text.starts_with("age1") && text.matches('1').count() > 1 {
            text.parse().map(Self::Plugin).map_err(|problem| invalid("age plugin", problem))
        } else if text.starts_with("age1") {
            text.parse().map(Self::X25519).map_err(|problem| invalid("age", problem))
        } else if text.starts_with("ssh-") {
            text.parse().map(Self::Ssh).map_err(|error| {
                invalid(
                    "SSH",
                    match error {
                        ParseRecipientKeyError::RsaModulusTooSmall => {
                            "the RSA key is shorter than 2048 bits"
                        }
                        ParseRecipientKeyError::RsaModulusTooLarge => "the RSA key is too long",
                        ParseRecipientKeyError::Unsupported(_) | ParseRecipientKeyError::Ignore => {
                            "only ssh-ed25519 and ssh-rsa keys can be used"
                        }
                        _ => "the key is damaged",
                    },
                )
            })
        } else if text.starts_with("AGE-SECRET-KEY-")
            || text.starts_with("AGE-PLUGIN-")
            || text.contains("PRIVATE KEY")
        {
            Err(RecipientError::Identity)
        } else {
            Err(RecipientError::Unknown)
        }
    }
}

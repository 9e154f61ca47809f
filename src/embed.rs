//! The library in few words: what a program that embeds waxseal needs nearly always.
//!
//! Everything is at the root of the crate. Of the machine this module needs two things, random
//! numbers and the time of day, both to encrypt; nothing here reads a file, a variable or a terminal.
//!
//! Invariant: what was decrypted leaves as [`SecretText`] and in no other form.

use zeroize::Zeroizing;

use crate::document::Format;
use crate::file::{EncryptedFile, FileError};
use crate::keyservice::{Keyring, RecoverError};
use crate::secret::{DataKey, SecretText};

/// Why a file could not be decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The file is not valid, or was changed without the key.
    #[error(transparent)]
    File(#[from] FileError),
    /// No key of the keyring opens it.
    #[error(transparent)]
    Keys(#[from] RecoverError),
    /// It holds bytes: `sops` sealed a binary file.
    #[error("the decrypted content is not text")]
    NotText,
}

/// Decrypts a file with a key of the keyring, after its MAC and its seal were verified.
///
/// The plaintext is what its owner wrote, byte for byte. What it proves beyond the values is in
/// [`crate::file::DecryptedFile::outcome`], for who wants to know.
///
/// # Errors
///
/// If the text is no encrypted file, no key opens it, or it was changed without the key. Errors say
/// where, and hold no part of the file.
pub fn decrypt(text: &str, format: Format, keyring: &Keyring) -> Result<SecretText, DecryptError> {
    let file = EncryptedFile::parse(text.to_owned(), format)?;
    let data_key = keyring.recover(file.metadata().groups())?;
    open(file, &data_key)
}

/// Decrypts a file whose data key is known; as [`decrypt`], which recovers it.
///
/// # Errors
///
/// As [`decrypt`].
pub fn decrypt_with_data_key(
    text: &str,
    format: Format,
    data_key: &DataKey,
) -> Result<SecretText, DecryptError> {
    open(EncryptedFile::parse(text.to_owned(), format)?, data_key)
}

fn open(file: EncryptedFile, data_key: &DataKey) -> Result<SecretText, DecryptError> {
    let content = file.decrypt(data_key)?.into_content();
    String::from_utf8(content).map(SecretText::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        DecryptError::NotText
    })
}

#[cfg(feature = "age")]
pub use self::age::{EncryptError, age_keyring, encrypt};

#[cfg(feature = "age")]
mod age {
    use std::sync::Arc;
    use std::time::{SystemTime, UNIX_EPOCH};

    use crate::document::Format;
    use crate::file::{self, EncryptOptions, FileError, Nonces};
    use crate::keys::{KeyGroup, MasterKey, WrappedKey};
    use crate::keyservice::age::{AgeIdentities, IdentitySource, Nobody, SourceKind};
    use crate::keyservice::{DecryptionOrder, Keyring, WrapError};
    use crate::policy::Policy;
    use crate::secret::{DataKey, SecretText};
    use crate::timestamp::Timestamp;

    /// Why a text could not be encrypted.
    #[derive(Debug, thiserror::Error)]
    #[non_exhaustive]
    pub enum EncryptError {
        /// The text is not valid or cannot be sealed.
        #[error(transparent)]
        File(#[from] FileError),
        /// It cannot be encrypted for one of the recipients.
        #[error(transparent)]
        Keys(#[from] WrapError),
        /// The clock of the machine is set to no time that can be written.
        #[error("the clock is wrong")]
        Clock,
    }

    /// A keyring of these age identities: `AGE-SECRET-KEY-1…`, several with white space between them,
    /// or the content of an identity file. Nobody is asked anything.
    ///
    /// Identities that are none are an error when a file is to be decrypted, which says where.
    #[must_use]
    pub fn age_keyring(identities: String) -> Keyring {
        let text = SecretText::new(identities);
        let source = IdentitySource::of_text(SourceKind::IdentityWords, "the keyring", text);
        keyring(vec![source])
    }

    /// Encrypts a plaintext for these age recipients (`age1…`, SSH public keys): a new file, with
    /// everything sealed but what has a key that ends in `_unencrypted`, as `sops` does by itself.
    ///
    /// With another rule, another data key or another kind of key it is [`crate::file::encrypt`].
    ///
    /// # Errors
    ///
    /// If the text cannot be sealed, or one of the recipients is none.
    pub fn encrypt(
        text: &str,
        format: Format,
        recipients: &[&str],
    ) -> Result<String, EncryptError> {
        let keys: Vec<MasterKey> = recipients
            .iter()
            .map(|recipient| MasterKey::Age { recipient: (*recipient).to_owned() })
            .collect();
        let now = now().ok_or(EncryptError::Clock)?;
        let data_key = DataKey::generate().map_err(|_| FileError::Random)?;
        let wrapped = keyring(Vec::new()).wrap_all(std::slice::from_ref(&keys), &data_key)?;
        let wrapped = keys
            .into_iter()
            .zip(wrapped.into_iter().flatten())
            .map(|(key, enc)| WrappedKey::new(key, enc, now))
            .collect();
        let options = EncryptOptions {
            vouch_for_recipients: true,
            policy: &Policy::default(),
            groups: vec![KeyGroup::new(wrapped)],
            shamir_threshold: 0,
            nonces: Nonces::Derived,
            now,
        };
        Ok(file::encrypt(text.to_owned(), format, &data_key, &options)?)
    }

    fn keyring(sources: Vec<IdentitySource>) -> Keyring {
        let age = AgeIdentities::new(sources, Arc::new(Nobody));
        Keyring::new(vec![Box::new(age)], DecryptionOrder::default())
    }

    #[expect(clippy::disallowed_methods, reason = "who embeds waxseal has a clock")]
    fn now() -> Option<Timestamp> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?)
    }
}

//! Secrets are typed from the moment they are read.
//!
//! Invariants: neither type implements `Clone`, `PartialEq` or `Display`; `Debug` prints the type's
//! name; the memory is overwritten on drop. `expose_secret` is the one crossing, and the tidy test
//! lists the modules that may make it.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::{Zeroize, Zeroizing};

/// Length of a data key in bytes.
pub const DATA_KEY_LEN: usize = 32;

/// Overwrites the bytes with the operating system's random numbers.
#[expect(clippy::disallowed_methods, reason = "the one place below os that asks for them")]
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    getrandom::fill(bytes)
}

/// Makes room for so many bytes more. A buffer that grows by itself leaves its content behind in the
/// memory that it had; here that is overwritten.
pub(crate) fn reserve(buffer: &mut Vec<u8>, more: usize) {
    if buffer.capacity() - buffer.len() >= more {
        return;
    }
    let capacity = (buffer.capacity() * 2).max(buffer.len() + more);
    let mut larger = Vec::with_capacity(capacity);
    larger.extend_from_slice(buffer);
    drop(Wiped::from(std::mem::replace(buffer, larger)));
}

/// The data key of one file: 32 bytes, used directly as the AES-256 key.
pub struct DataKey(Box<Zeroizing<[u8; DATA_KEY_LEN]>>);

/// A wrapped key was opened, but what came out is not a data key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("what was wrapped is {len} bytes long, a data key has {DATA_KEY_LEN}")]
pub struct DataKeyLengthError {
    len: usize,
}

impl DataKey {
    /// A new data key from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// If the operating system has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut key = Box::new(Zeroizing::new([0; DATA_KEY_LEN]));
        fill_random(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// The data key of these bytes.
    ///
    /// # Errors
    ///
    /// If there are not exactly 32 of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DataKeyLengthError> {
        let mut key = Box::new(Zeroizing::new([0; DATA_KEY_LEN]));
        if bytes.len() != DATA_KEY_LEN {
            return Err(DataKeyLengthError { len: bytes.len() });
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; DATA_KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// Text that must not be shown: an identity, a passphrase, a decrypted document.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Another one with the same text. By a name of its own, so that every copy is seen where it is made.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::new(self.0.as_str().to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

/// A buffer whose memory is overwritten on drop, as much of it as was ever filled.
///
/// As `Zeroizing`, but all at once: that one goes byte by byte, which for a large document takes as
/// long as its encryption.
#[derive(Default)]
pub(crate) struct Wiped<B: Default + Into<Vec<u8>>>(B);

impl<B: Default + Into<Vec<u8>>> From<B> for Wiped<B> {
    fn from(buffer: B) -> Self {
        Self(buffer)
    }
}

impl<B: Default + Into<Vec<u8>>> Deref for Wiped<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

impl<B: Default + Into<Vec<u8>>> DerefMut for Wiped<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.0
    }
}

impl<B: Default + Into<Vec<u8>>> Drop for Wiped<B> {
    fn drop(&mut self) {
        let mut bytes: Vec<u8> = std::mem::take(&mut self.0).into();
        // What was cut off is behind the end.
        bytes.clear();
        bytes.spare_capacity_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::{DataKey, SecretText, reserve};

    #[test]
    fn debug_shows_the_type_only() {
        let key = DataKey::from_bytes(&[b'f'; 32]).expect("32 bytes");
        assert_eq!(format!("{key:?}"), "DataKey");
        assert_eq!(format!("{:?}", SecretText::new("hunter2".into())), "SecretText");
    }

    #[test]
    fn a_buffer_has_the_room_that_is_asked_for_and_keeps_its_content() {
        let mut buffer = Vec::new();
        for (count, more) in [(0, 0), (0, 3), (3, 100), (103, 1), (104, 5_000)] {
            assert_eq!(buffer.len(), count);
            reserve(&mut buffer, more);
            let before = buffer.as_ptr();
            buffer.extend(std::iter::repeat_n(7, more));
            assert_eq!(buffer.as_ptr(), before, "it did not grow by itself");
        }
        assert!(buffer.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(DataKey::from_bytes(&[0; 16]).is_err());
        assert!(DataKey::from_bytes(&[0; 33]).is_err());
    }
}

//! Whether a data key is that of a file. No tag covers what is wrapped in it, so that somebody without any
//! key can put the wrapped key of another file there.
//!
//! **Invariants**: nothing that was opened leaves this module; a key fits only if the whole file opens
//! under it, its MAC and seal with it.

use super::encrypted::EncryptedFile;
use super::error::FileError;
use super::open::{Verify, open, opens_a_value};
use super::seal::FileKeys;
use crate::crypto::encrypted_value;
use crate::secret::DataKey;

/// What a data key is to a file.
#[derive(Debug)]
pub enum Fit {
    /// It opens the file, whose MAC and seal are right.
    Opens,
    /// Neither the values nor the MAC were sealed with it.
    Another,
    /// The file, not the key, is what somebody changed.
    Damaged(FileError),
}

impl EncryptedFile {
    /// Tries a data key on the file.
    #[must_use]
    pub fn fit(&self, data_key: &DataKey) -> Fit {
        let keys = FileKeys::new(data_key);
        match open(self, &keys, Verify::Yes) {
            Ok(_) => Fit::Opens,
            Err(FileError::Open { .. })
                if !self.opens_mac(&keys) && !opens_a_value(self, &keys) =>
            {
                Fit::Another
            }
            Err(error) => Fit::Damaged(error),
        }
    }

    /// Whether the MAC was sealed with this data key. Nothing else of the file is looked at.
    #[must_use]
    pub fn has_mac_of(&self, data_key: &DataKey) -> bool {
        self.opens_mac(&FileKeys::new(data_key))
    }

    fn opens_mac(&self, keys: &FileKeys) -> bool {
        let lastmodified = self.metadata.lastmodified().seconds();
        let (token, mut mac) = (self.metadata.mac(), Vec::new());
        encrypted_value::open(token, &keys.cipher, lastmodified.as_bytes(), &mut mac).is_ok()
    }
}

//! What tests share: sealing and opening texts under a fixed key, and where the corpora are.

use std::path::PathBuf;

use waxseal::document::Format;
use waxseal::file::{DecryptedFile, EncryptOptions, EncryptedFile, FileError, Nonces, encrypt};
use waxseal::keys::{KeyGroup, MasterKey, WrappedKey};
use waxseal::policy::Policy;
use waxseal::secret::DataKey;
use waxseal::timestamp::Timestamp;

/// 2026-01-02T03:04:06Z: `lastmodified` is one second before.
pub(crate) const NOW: i64 = 1_767_323_046;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(NOW).expect("in range")
}

pub(crate) fn data_key() -> DataKey {
    DataKey::from_bytes(&[0x66; 32]).expect("32 bytes")
}

/// A group of one age key whose wrapped data key nobody opens.
pub(crate) fn groups() -> Vec<KeyGroup> {
    let recipient = "age1lzd99uklcjnc0e7d860axevet2cz99ce9pq6tzuzd05l5nr28ams36nvun";
    let key = MasterKey::Age { recipient: recipient.to_owned() };
    let enc = "-----BEGIN AGE ENCRYPTED FILE-----\nYQ==\n-----END AGE ENCRYPTED FILE-----\n";
    vec![KeyGroup::new(vec![WrappedKey::new(key, enc.to_owned(), now())])]
}

pub(crate) fn seal_with(text: &str, format: Format, policy: &Policy) -> Result<String, FileError> {
    let options = EncryptOptions {
        vouch_for_recipients: true,
        policy,
        groups: groups(),
        shamir_threshold: 0,
        nonces: Nonces::Derived,
        now: now(),
    };
    encrypt(text.to_owned(), format, &data_key(), &options)
}

pub(crate) fn seal(text: &str, format: Format) -> Result<String, FileError> {
    seal_with(text, format, &Policy::default())
}

pub(crate) fn open(text: &str, format: Format) -> Result<DecryptedFile, FileError> {
    EncryptedFile::parse(text.to_owned(), format)?.decrypt(&data_key())
}

/// The folder of suites and real files, where `tests/run` has brought them.
pub(crate) fn corpus() -> Option<PathBuf> {
    std::env::var_os("WAXSEAL_CORPUS").map(PathBuf::from)
}

/// Every file below a folder with this suffix, in order.
pub(crate) fn files(folder: &std::path::Path, suffix: &str) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder of the corpus");
        for entry in entries {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

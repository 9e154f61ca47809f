//! Exit codes: those of SOPS, which other programs branch on, three for the seal, and one for wrapped keys.

/// What a process ends with.
pub(crate) type Exit = u8;

/// Done.
pub(crate) const SUCCESS: Exit = 0;
/// Everything that has no code of its own.
pub(crate) const GENERIC: Exit = 1;
/// The input cannot be read, or its plaintext does not parse.
pub(crate) const CANNOT_READ: Exit = 2;
/// The output cannot be written. As in SOPS also: there is no such help topic.
pub(crate) const CANNOT_WRITE: Exit = 3;
/// The result cannot be written in the format that it should have.
pub(crate) const CANNOT_EXPRESS: Exit = 4;
/// A key path or a value of `set` or `unset` is malformed.
pub(crate) const INVALID_SET: Exit = 7;
/// Flags that exclude each other.
pub(crate) const CONFLICT: Exit = 8;
/// The values cannot be encrypted.
pub(crate) const CANNOT_ENCRYPT: Exit = 23;
/// A value does not decrypt.
pub(crate) const CANNOT_DECRYPT: Exit = 25;
/// Keys of a file that is not there cannot be changed.
pub(crate) const NO_FILE_TO_CHANGE_KEYS_OF: Exit = 49;
/// The MAC or the seal is broken.
pub(crate) const BROKEN: Exit = 51;
/// Authentic, but comments, quoting or spacing were changed.
pub(crate) const RESPELLED: Exit = 53;
/// Authentic, but nobody with the key vouches for the recipients.
pub(crate) const RECIPIENTS: Exit = 54;
/// Another tool wrote the MAC: there is no seal.
pub(crate) const NO_SEAL: Exit = 55;
/// `rewrap --check`: an older version of a transit key wraps a data key.
#[cfg(feature = "vault")]
pub(crate) const STALE: Exit = 56;
/// The key path of `--extract` is malformed.
pub(crate) const INVALID_EXTRACT: Exit = 91;
/// A file holds no document.
pub(crate) const NO_DOCUMENT: Exit = 92;
/// No file was named, or it is not there.
pub(crate) const NO_FILE: Exit = 100;
/// A kind of key stands twice in the decryption order.
pub(crate) const DUPLICATE_KIND: Exit = 112;
/// No key gives the data key.
pub(crate) const NO_KEY: Exit = 128;
/// `edit`: nothing was changed.
pub(crate) const NOT_CHANGED: Exit = 200;
/// `edit`: no editor, or it failed.
pub(crate) const NO_EDITOR: Exit = 201;
/// The file is encrypted already.
pub(crate) const ALREADY_ENCRYPTED: Exit = 203;

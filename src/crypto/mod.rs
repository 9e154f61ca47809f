//! Sealing and opening single values, the MAC, and the tags that make a file tamper-evident.
//!
//! Invariants: nothing here knows a format, a rule or a recipient; the AAD, paths and records are
//! bytes that the caller gives. Nothing here is random: equal input gives equal output. No tag, no
//! MAC and no plaintext is shown by `Debug` or by an error.

pub mod cipher;
pub mod encrypted_value;
pub mod mac;
pub mod notes;
pub mod path;
pub mod seal;
#[cfg(feature = "vault")]
pub mod wrapped;

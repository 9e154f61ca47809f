//! What is done with a file: encrypt, decrypt, change, rotate, verify. Text in, text out.
//!
//! Nothing here reads a file, asks a key service or looks at the clock: data keys, times and texts
//! are given. Every text that leaves this room was parsed again and compared with what it is to hold.

mod active_comments;
mod alias;
mod beside;
mod budget;
mod carry;
mod comment_path;
mod decrypt;
mod encrypt;
mod encrypted;
mod error;
mod fit;
mod key_matches;
mod metadata_text;
mod open;
mod outcome;
mod plain_check;
mod removal;
mod rewrap;
mod rotate;
mod seal;
mod sealed_check;
mod set;
mod set_check;
mod skip;
mod spelling;
mod stray;
mod stream;
mod take;
mod tally;
mod walk;

pub use decrypt::{Consent, DecryptedFile};
pub use encrypt::{EncryptOptions, encrypt};
pub use encrypted::EncryptedFile;
pub use error::FileError;
pub use fit::Fit;
pub use outcome::{Outcome, Verdict, Vouch};
pub use rotate::RotateOptions;
pub use seal::Nonces;
pub use set::{extract, set, unset};
pub use take::{Prune, TakeError, Taken, take, write_values};

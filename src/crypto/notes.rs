//! Spelling notes: the owner's bytes where the canonical spelling of a value is another one.
//!
//! They are kept in the metadata, encrypted, as base64(nonce ‖ ciphertext ‖ tag). The padding hides
//! their length up to 64 bytes; the nonce is derived, so that equal notes stay equal.
//!
//! Invariant: a note is a hint. Whoever uses it checks that its bytes stand for the decrypted value.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use zeroize::Zeroizing;

use super::cipher::{CipherError, NONCE_LEN};
use super::path::push_str;
use super::seal::SealKeys;

/// What a note replaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoteKind {
    /// The token of a leaf or comment.
    Token,
    /// The alias that an expanded value stood for.
    Alias,
    /// What stands behind the last value, such as a missing line break.
    EndOfFile,
}

/// One note.
#[derive(Clone, PartialEq, Eq)]
pub struct SpellingNote {
    /// What it replaces.
    pub kind: NoteKind,
    /// Index of the leaf or comment in document order.
    pub index: u64,
    /// The owner's bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// Why notes could not be read. Nothing is lost then but spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotesError {
    /// They are no base64 of a nonce and a ciphertext.
    #[error("the spelling notes are damaged")]
    Damaged,
    /// They cannot be decrypted.
    #[error("the spelling notes cannot be decrypted: {0}")]
    Cipher(#[from] CipherError),
    /// They decrypt to something that a newer version wrote.
    #[error("the spelling notes are of a kind that this version does not know")]
    Unknown,
}

/// Encrypts notes for the metadata. Of no notes nothing is kept: the caller leaves the field out.
#[must_use]
pub fn seal_spelling(keys: &SealKeys, notes: &[SpellingNote]) -> String {
    let len: usize = notes.iter().map(|note| note.bytes.len() + RECORD_OVERHEAD).sum();
    // Room for all of it, so that no copy is left behind by growing.
    let mut plain = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(BLOCK)));
    for note in notes {
        plain.push(note.kind.code());
        plain.extend(note.index.to_be_bytes());
        push_str(&mut plain, &note.bytes);
    }
    plain.resize(len.next_multiple_of(BLOCK), 0);

    let mut hash = keys.notes_nonce.clone();
    hash.update(&plain);
    let nonce: [u8; NONCE_LEN] = hash.finalize().into_bytes().into();
    let mut sealed = vec![0; NONCE_LEN + plain.len()];
    sealed[..NONCE_LEN].copy_from_slice(&nonce);
    let tag = keys.notes_cipher.seal(&nonce, AAD, &plain, &mut sealed[NONCE_LEN..]);
    sealed.extend(tag);
    STANDARD.encode(sealed)
}

/// Decrypts the notes of the metadata.
///
/// # Errors
///
/// If they are damaged, of another file, or of a newer kind.
pub fn open_spelling(keys: &SealKeys, text: &str) -> Result<Vec<SpellingNote>, NotesError> {
    let mut sealed = Zeroizing::new(STANDARD.decode(text).map_err(|_| NotesError::Damaged)?);
    let nonce: [u8; NONCE_LEN] = *sealed.first_chunk::<NONCE_LEN>().ok_or(NotesError::Damaged)?;
    keys.notes_cipher.open(&nonce, AAD, &mut sealed, NONCE_LEN)?;
    let mut rest = &sealed[NONCE_LEN..];
    let mut notes = Vec::new();
    while rest.first().is_some_and(|&code| code != 0) {
        let (note, behind) = SpellingNote::read(rest).ok_or(NotesError::Unknown)?;
        notes.push(note);
        rest = behind;
    }
    if rest.iter().any(|&byte| byte != 0) {
        return Err(NotesError::Unknown);
    }
    Ok(notes)
}

impl SpellingNote {
    /// The first record of these bytes, and what follows it.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&code, bytes) = bytes.split_first()?;
        let (&index, bytes) = bytes.split_first_chunk()?;
        let (&len, bytes) = bytes.split_first_chunk()?;
        let (text, rest) =
            bytes.split_at_checked(usize::try_from(u64::from_be_bytes(len)).ok()?)?;
        let note = Self {
            kind: NoteKind::from_code(code)?,
            index: u64::from_be_bytes(index),
            bytes: Zeroizing::new(text.to_vec()),
        };
        Some((note, rest))
    }
}

impl fmt::Debug for SpellingNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpellingNote({:?} at {})", self.kind, self.index)
    }
}

impl NoteKind {
    fn code(self) -> u8 {
        match self {
            Self::Token => 1,
            Self::Alias => 2,
            Self::EndOfFile => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Token, Self::Alias, Self::EndOfFile].into_iter().find(|kind| kind.code() == code)
    }
}

const AAD: &[u8] = b"waxseal v1 spelling";

/// The plaintext is padded to a multiple of this.
const BLOCK: usize = 64;

/// Bytes of a record without the owner's: kind, index, length.
const RECORD_OVERHEAD: usize = 17;

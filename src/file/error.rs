//! What can go wrong between a text and a key: where, and never what stands there.

use crate::crypto::encrypted_value::OpenError;
use crate::document::{Document, EditError, NodeId, ParseError};
use crate::metadata::MetadataError;
use crate::path::KeyPath;
use crate::text::Position;

/// Why a file could not be encrypted, decrypted or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The text is not valid in its format.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A key stands twice in a map that is to be sealed.
    #[error("{0}; rename or remove one of them")]
    DuplicateKey(ParseError),
    /// There is no document: an empty file or comments only.
    #[error("there is nothing to encrypt: the file holds no document")]
    NoDocument,
    /// The document is a single value.
    #[error("{position}: a document that is a single value cannot be sealed; put it under a key")]
    TopLevelScalar {
        /// Where the value stands.
        position: Position,
    },
    /// A plaintext has the key that the metadata needs.
    #[error("{position}: the file already has a top-level entry called 'sops'")]
    AlreadyEncrypted {
        /// Where the key stands.
        position: Position,
    },
    /// An encrypted file was expected.
    #[error("sops metadata not found")]
    NoMetadata,
    /// The metadata stands twice.
    #[error("{second}: there is a second entry called 'sops' (first at {first})")]
    DoubledMetadata {
        /// The first one.
        first: Position,
        /// The second one.
        second: Position,
    },
    /// The metadata uses something that programs read differently.
    #[error("{position}: {what} inside the sops metadata")]
    ForbiddenInMetadata {
        /// Where.
        position: Position,
        /// `an alias`, `an anchor`, `a tag`, `a merge key`.
        what: &'static str,
    },
    /// The metadata cannot be used.
    #[error("sops metadata: {0}")]
    Metadata(#[from] MetadataError),
    /// A place that the rule seals holds something else.
    #[error("{position}: {path} should be encrypted and is not")]
    NotSealed {
        /// Where.
        position: Position,
        /// Under which keys.
        path: KeyPath,
    },
    /// A sealed value does not open.
    #[error("{position}: cannot decrypt {path}")]
    Open {
        /// Where.
        position: Position,
        /// Under which keys.
        path: KeyPath,
        /// Why.
        source: OpenError,
    },
    /// A comment token stands where a value must stand.
    #[error("{position}: {path} is a sealed comment in the place of a value")]
    CommentAsValue {
        /// Where.
        position: Position,
        /// Under which keys.
        path: KeyPath,
    },
    /// The MAC is missing.
    #[error("the file has no MAC: somebody removed it, or a broken tool wrote the file")]
    MacMissing,
    /// The MAC does not open under the data key and the time of `lastmodified`.
    #[error("the MAC does not open: it, or lastmodified, was changed without the key")]
    MacUnreadable,
    /// The values are not those that the MAC was made for.
    #[error(
        "the MAC does not match: values were added, removed, reordered or changed without the key"
    )]
    MacMismatch,
    /// Keys, order, types or structure are not those that were sealed.
    #[error("the seal is broken: keys, types, order or structure were changed without the key")]
    Broken,
    /// A sealed comment's text would be taken for the marker of the rule.
    #[error("{position}: the sealed comment matches the comment rule; choose another expression")]
    CommentRule {
        /// Where.
        position: Position,
    },
    /// Aliases expand to too much.
    #[error("{position}: aliases add more than 1,000,000 nodes")]
    AliasBudget {
        /// The alias.
        position: Position,
    },
    /// Deep paths over many values, or long values under many aliases.
    #[error(
        "{position}: the keys above each value, and what aliases repeat, come to more than 256 MiB \
         and 64 times the file"
    )]
    LengthBudget {
        /// The value or alias that is too much.
        position: Position,
    },
    /// A format cannot hold a value.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// No such place.
    #[error("{path} is not in the file")]
    NotFound {
        /// The place.
        path: KeyPath,
    },
    /// What is to go has an anchor that an alias outside of it names.
    #[error(
        "{path} cannot go: the alias at {position} ({alias}) stands for a part of it; set or unset that first"
    )]
    Anchored {
        /// What is to go.
        path: KeyPath,
        /// Where the alias stands.
        position: Position,
        /// Under which keys.
        alias: KeyPath,
    },
    /// The written text did not read back as intended: nothing was written.
    #[error(
        "{position}: what would be written does not read back as it should; nothing was changed"
    )]
    Check {
        /// Where in the result.
        position: Position,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers from the operating system")]
    Random,
}

/// The position and the key path of a node, for an error.
pub(crate) fn place_of(doc: &Document, id: NodeId) -> (Position, KeyPath) {
    (Position::of(doc.text(), doc.node(id).span().start()), doc.path_of(id))
}

/// The position of a node, for an error.
pub(crate) fn position_of(doc: &Document, id: NodeId) -> Position {
    Position::of(doc.text(), doc.node(id).span().start())
}

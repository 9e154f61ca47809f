//! How much work a text may ask for, compared with its size: whoever writes it need not have the key.

use super::error::{FileError, position_of};
use crate::document::{Document, NodeId};

/// How many nodes aliases may add to a file.
pub(crate) const ALIAS_BUDGET: usize = 1_000_000;

/// How many bytes the paths of all leaves, and what aliases repeat, may have together for each byte of
/// the text, and beyond that: each leaf is hashed with its whole path, so that a deep path over many
/// leaves would cost the square of what it takes to write it.
pub(super) const LENGTH_FACTOR: usize = 64;
pub(super) const LENGTH_FREE: usize = 256 << 20;

/// Why a walk ended early.
pub(crate) enum Stop {
    /// Aliases would add more than [`ALIAS_BUDGET`] nodes; this is the one too many.
    AliasBudget(NodeId),
    /// Paths and what aliases repeat come to more than [`LENGTH_FREE`] and [`LENGTH_FACTOR`] allow; this
    /// is where.
    LengthBudget(NodeId),
    /// The visitor's error.
    Visit(FileError),
}

impl From<FileError> for Stop {
    fn from(error: FileError) -> Self {
        Self::Visit(error)
    }
}

impl Stop {
    /// The error, with where it is.
    pub(super) fn located(self, doc: &Document) -> FileError {
        match self {
            Self::AliasBudget(alias) => {
                FileError::AliasBudget { position: position_of(doc, alias) }
            }
            Self::LengthBudget(node) => {
                FileError::LengthBudget { position: position_of(doc, node) }
            }
            Self::Visit(error) => error,
        }
    }
}

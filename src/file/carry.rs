//! The ciphertext of the version before: what did not change keeps it.
//!
//! Invariant: each old token is used once at most, and for the same path, type and plaintext only.

use std::collections::{HashMap, VecDeque};

use crate::text::Span;
use crate::value::{Scalar, ScalarType};

/// One sealed leaf of the version before.
#[derive(Clone, Copy)]
pub(crate) struct OldToken<'a> {
    /// `ENC[…]`.
    pub(crate) token: &'a str,
    /// The token as it stands in the old file, quotes or block header included.
    pub(crate) source: &'a str,
    /// What `decrypt` prints in its place.
    pub(crate) plain: &'a str,
    /// Where that stands in the old plaintext.
    pub(crate) offset: usize,
    /// Whether it stands between brackets.
    pub(crate) flow: bool,
    /// The type of the value as it is printed.
    pub(crate) kind: ScalarType,
    /// The type that the token declares: sops seals a float that is printed as an integer.
    pub(crate) declared: ScalarType,
}

/// Which part of the old plaintext stands unchanged in the new one: all before the first difference,
/// and all behind the last one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Alignment {
    before: usize,
    behind: usize,
    old: usize,
    new: usize,
}

impl Alignment {
    pub(crate) fn of(old: &str, new: &str) -> Self {
        let before = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
        let rest = old.len().min(new.len()) - before;
        let behind = old.bytes().rev().zip(new.bytes().rev()).take(rest);
        let behind = behind.take_while(|(a, b)| a == b).count();
        Self { before, behind, old: old.len(), new: new.len() }
    }

    /// Where an unchanged place of the new text stood in the old one.
    fn old_offset(&self, new: Span) -> Option<usize> {
        if new.end() <= self.before {
            return Some(new.start());
        }
        (new.start() >= self.new - self.behind).then(|| new.start() + self.old - self.new)
    }
}

/// The old tokens by what they stand for: the value nonce of n = 0 names path, type and plaintext.
#[derive(Default)]
pub(crate) struct Carry<'a> {
    tokens: HashMap<[u8; 32], VecDeque<OldToken<'a>>>,
    alignment: Alignment,
}

impl<'a> Carry<'a> {
    pub(crate) fn new(alignment: Alignment) -> Self {
        Self { tokens: HashMap::new(), alignment }
    }

    pub(crate) fn add(&mut self, identity: [u8; 32], old: OldToken<'a>) {
        self.tokens.entry(identity).or_default().push_back(old);
    }

    /// The old token of this value: of equal ones that which stood in its place, else the first.
    pub(crate) fn take(
        &mut self,
        identity: &[u8; 32],
        scalar: &Scalar<'_>,
        place: Span,
    ) -> Option<OldToken<'a>> {
        let queue = self.tokens.get_mut(identity)?;
        let old = self.alignment.old_offset(place);
        let index = queue.iter().position(|token| Some(token.offset) == old).unwrap_or(0);
        if queue.get(index)?.kind != scalar.kind {
            return None;
        }
        queue.remove(index)
    }
}

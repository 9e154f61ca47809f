//! The ciphertext of the version before: what did not change keeps it.
//!
//! Invariant: each old token is used once at most, and for the same path, type and plaintext only.

use std::collections::HashMap;

use crate::text::Span;
use crate::value::ScalarType;

/// One sealed leaf of the version before.
#[derive(Clone, Copy)]
pub(crate) struct OldToken<'a> {
    /// `ENC[…]`.
    pub(crate) token: &'a str,
    /// The token as it stands in the old file, quotes or block header included.
    pub(crate) source: &'a str,
    /// What `decrypt` prints in its place.
    pub(crate) plain: &'a str,
    /// Where that ends in the old plaintext.
    pub(crate) end: usize,
    /// Whether it stands between brackets.
    pub(crate) flow: bool,
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

    /// Where what stands in an unchanged place of the new text ended in the old one.
    fn old_end(&self, new: Span) -> Option<usize> {
        if new.end() <= self.before {
            return Some(new.end());
        }
        (new.start() >= self.new - self.behind).then(|| new.end() + self.old - self.new)
    }
}

/// The old tokens by what they stand for: the value nonce of n = 0 names path, type and plaintext.
#[derive(Default)]
pub(crate) struct Carry<'a> {
    tokens: HashMap<[u8; 32], Equal<'a>>,
    alignment: Alignment,
}

/// Tokens that stand for the same, in the order of the text: by where they end.
#[derive(Default)]
struct Equal<'a> {
    tokens: Vec<(OldToken<'a>, Taken)>,
    /// All before it are taken.
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    No,
    Yes,
}

impl<'a> Carry<'a> {
    pub(crate) fn new(alignment: Alignment) -> Self {
        Self { tokens: HashMap::new(), alignment }
    }

    pub(crate) fn add(&mut self, identity: [u8; 32], old: OldToken<'a>) {
        self.tokens.entry(identity).or_default().tokens.push((old, Taken::No));
    }

    /// The old token of this value: of equal ones that which stood in its place, else the first.
    pub(crate) fn take(&mut self, identity: &[u8; 32], place: Span) -> Option<OldToken<'a>> {
        let equal = self.tokens.get_mut(identity)?;
        let there = self.alignment.old_end(place).and_then(|end| equal.at(end));
        let index = there.or_else(|| equal.first())?;
        let (old, taken) = equal.tokens.get_mut(index)?;
        *taken = Taken::Yes;
        Some(*old)
    }
}

impl Equal<'_> {
    /// The one that ended at this offset, if nobody has it.
    fn at(&self, end: usize) -> Option<usize> {
        let index = self.tokens.binary_search_by_key(&end, |(old, _)| old.end).ok()?;
        (self.tokens[index].1 == Taken::No).then_some(index)
    }

    /// The first that nobody has.
    fn first(&mut self) -> Option<usize> {
        let taken = |(_, taken): &&(OldToken<'_>, Taken)| *taken == Taken::Yes;
        self.next += self.tokens.get(self.next..)?.iter().take_while(taken).count();
        (self.next < self.tokens.len()).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::{Alignment, Carry, OldToken};
    use crate::text::Span;
    use crate::value::ScalarType;

    #[test]
    fn of_many_equal_values_each_takes_the_token_of_its_place_else_the_first() {
        const EQUAL: usize = 200_000;
        let old = format!("x{}y", "v".repeat(EQUAL));
        let sources: Vec<String> = (0..EQUAL).map(|n| n.to_string()).collect();
        let taken = |new: &str| {
            let mut carry = Carry::new(Alignment::of(&old, new));
            for (n, token) in sources.iter().enumerate() {
                let old = OldToken {
                    token,
                    source: token,
                    plain: "v",
                    end: n + 2,
                    flow: false,
                    declared: ScalarType::Str,
                };
                carry.add([0; 32], old);
            }
            let places = new.char_indices().filter(|&(_, c)| c == 'v').map(|(at, _)| at);
            places
                .map(|at| {
                    let old = carry.take(&[0; 32], Span::new(at, at + 1));
                    old.map(|old| old.token.parse::<usize>().expect("a number"))
                })
                .collect::<Vec<_>>()
        };
        // With a walk through the others for each, this takes minutes.
        let all = |from: usize| (from..EQUAL).map(Some);
        // Nothing stands where it stood: the first that is left, and none twice.
        assert!(taken(&format!("a{}b", "v".repeat(EQUAL))).into_iter().eq(all(0)));
        // The front went: what is behind stands in its place.
        assert!(taken(&format!("{}y", "v".repeat(EQUAL / 2))).into_iter().eq(all(EQUAL / 2)));
        // One more than there were: the one in the middle of what changed has none left.
        let more = taken(&format!("x{}y", "v".repeat(EQUAL + 1)));
        assert!(more.into_iter().eq(all(0).chain([None])));
    }
}

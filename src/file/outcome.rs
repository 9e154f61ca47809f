//! What the seal of a file says: who wrote this text and these recipients.
//!
//! A table of `docs/format.md`. The outcome is data; what follows from it is decided by the caller.

/// One of the two tags that can be withheld.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vouch {
    /// A holder of the data key vouched for it, and it is unchanged.
    Good,
    /// It was changed since a holder of the data key vouched for it.
    Bad,
    /// Nobody vouches: eight zero bytes.
    Zero,
}

impl Vouch {
    /// The lower, the better.
    fn rank(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Zero => 1,
            Self::Bad => 2,
        }
    }
}

/// What the nonce of `mac` says about a file whose MAC is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Whether waxseal wrote this `mac` with this data key (tag M).
    pub marked: bool,
    /// Whether keys, types, order and structure are as sealed (tag T). Meaningless if not marked.
    pub tree: bool,
    /// The text, comments and spelling included (tag S). Meaningless if not marked.
    pub text: Vouch,
    /// The recipients (tag R). Meaningless if not marked.
    pub recipients: Vouch,
    /// With `mac_only_encrypted` the text is shown, not judged.
    pub mac_only_encrypted: bool,
}

/// The one word for an [`Outcome`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A holder of this data key wrote exactly this text and these recipients.
    Sealed,
    /// Values and structure are authentic; comments, quoting or spacing were changed.
    Respelled,
    /// Somebody without the data key changed the recipients.
    RecipientsChanged,
    /// The values were sealed here; the recipients come from another tool.
    RecipientsUnvouched,
    /// Keys, types, order or structure were changed without the key.
    Broken,
    /// Another tool wrote the MAC: SOPS' own check is all there is.
    Sops,
}

impl Outcome {
    /// The outcome of a file whose `mac` another tool wrote.
    #[must_use]
    pub fn sops(mac_only_encrypted: bool) -> Self {
        Self {
            marked: false,
            tree: false,
            text: Vouch::Zero,
            recipients: Vouch::Zero,
            mac_only_encrypted,
        }
    }

    /// The verdict; of several, the one that matters most.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self { marked: false, .. } => Verdict::Sops,
            Self { tree: false, .. } => Verdict::Broken,
            Self { recipients: Vouch::Bad, .. } => Verdict::RecipientsChanged,
            Self { text: Vouch::Bad | Vouch::Zero, mac_only_encrypted: false, .. } => {
                Verdict::Respelled
            }
            Self { recipients: Vouch::Zero, .. } => Verdict::RecipientsUnvouched,
            Self { .. } => Verdict::Sealed,
        }
    }

    /// Whether the text is as a holder of the data key left it.
    #[must_use]
    pub fn text_is_good(self) -> bool {
        self.marked && self.tree && self.text == Vouch::Good
    }

    /// Whether somebody may have written under this data key whose `mac` proves less than ours: a
    /// `set` over a file by another tool leaves a tag withheld. An old `mac` of his stays good for as
    /// long as the data key does.
    #[must_use]
    pub fn another_tool_may_have_written(self) -> bool {
        !self.marked || self.text == Vouch::Zero || self.recipients == Vouch::Zero
    }

    /// Whether less can be said of this version than of an earlier one, in any respect.
    #[must_use]
    pub fn is_worse_than(self, earlier: Self) -> bool {
        let text = !self.mac_only_encrypted && self.text.rank() > earlier.text.rank();
        let lost = |now: bool, then: bool| then && !now;
        lost(self.marked, earlier.marked)
            || self.marked && earlier.marked && lost(self.tree, earlier.tree)
            || self.marked
                && earlier.marked
                && (text || self.recipients.rank() > earlier.recipients.rank())
    }

    /// Whether the recipients are as a holder of the data key left them.
    #[must_use]
    pub fn recipients_are_good(self) -> bool {
        self.marked && self.tree && self.recipients == Vouch::Good
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Verdict, Vouch};

    #[track_caller]
    fn check(marked: bool, tree: bool, text: Vouch, recipients: Vouch, expect: Verdict) {
        let outcome = Outcome { marked, tree, text, recipients, mac_only_encrypted: false };
        assert_eq!(outcome.verdict(), expect);
    }

    #[test]
    fn each_row_of_the_table_has_its_verdict() {
        check(true, true, Vouch::Good, Vouch::Good, Verdict::Sealed);
        check(true, true, Vouch::Bad, Vouch::Good, Verdict::Respelled);
        check(true, true, Vouch::Zero, Vouch::Good, Verdict::Respelled);
        check(true, true, Vouch::Good, Vouch::Bad, Verdict::RecipientsChanged);
        check(true, true, Vouch::Bad, Vouch::Bad, Verdict::RecipientsChanged);
        check(true, true, Vouch::Good, Vouch::Zero, Verdict::RecipientsUnvouched);
        check(true, false, Vouch::Good, Vouch::Good, Verdict::Broken);
        check(false, false, Vouch::Good, Vouch::Good, Verdict::Sops);
    }

    #[test]
    fn a_version_is_worse_if_it_is_in_any_respect() {
        let outcome = |marked, text, recipients| Outcome {
            marked,
            tree: marked,
            text,
            recipients,
            mac_only_encrypted: false,
        };
        let vouches = [Vouch::Good, Vouch::Zero, Vouch::Bad];
        for (worse, text) in vouches.into_iter().enumerate() {
            for (planted, recipients) in vouches.into_iter().enumerate() {
                let now = outcome(true, text, recipients);
                for (before, text) in vouches.into_iter().enumerate() {
                    for (known, recipients) in vouches.into_iter().enumerate() {
                        let earlier = outcome(true, text, recipients);
                        let expect = worse > before || planted > known;
                        assert_eq!(now.is_worse_than(earlier), expect, "{now:?} {earlier:?}");
                    }
                }
                assert!(Outcome::sops(false).is_worse_than(now));
                assert!(!now.is_worse_than(Outcome::sops(false)));
            }
        }
        let broken = Outcome { tree: false, ..outcome(true, Vouch::Good, Vouch::Good) };
        assert!(broken.is_worse_than(outcome(true, Vouch::Bad, Vouch::Bad)));
    }
}

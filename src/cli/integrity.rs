//! How much a file must prove before it is used, and what to say if it does not.

use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use crate::file::{Outcome, Verdict, Vouch};

/// What a file must prove. Ordered: the strictest of all that was asked for counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, clap::ValueEnum)]
pub(crate) enum Integrity {
    /// What SOPS demands: the MAC.
    #[default]
    Mac,
    /// Keys, values, types and structure are as a holder of the data key sealed them.
    Values,
    /// Comments, spelling and recipients as well.
    Sealed,
}

impl Integrity {
    /// The level of this name in a configuration or variable.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "mac" => Some(Self::Mac),
            "values" => Some(Self::Values),
            "sealed" => Some(Self::Sealed),
            _ => None,
        }
    }

    /// The strictest of what the flag, the environment and the rule ask for.
    pub(crate) fn strictest(
        ctx: &Ctx,
        flag: Option<Self>,
        rule: Option<Self>,
    ) -> Result<Self, Error> {
        let env = match ctx.env.text(VARIABLE) {
            Some(name) => Some(Self::from_name(&name).ok_or_else(|| {
                let text = format!("{VARIABLE} is none of mac, values, sealed");
                Error::new(exit::GENERIC, text)
            })?),
            None => None,
        };
        Ok([flag, env, rule].into_iter().flatten().max().unwrap_or_default())
    }

    /// Whether a file that turned out so may be used.
    pub(crate) fn check(self, outcome: Outcome) -> Result<(), Error> {
        let verdict = outcome.verdict();
        let asked = match self {
            Self::Mac => return Ok(()),
            Self::Values if outcome.marked && outcome.tree => return Ok(()),
            Self::Sealed if verdict == Verdict::Sealed => return Ok(()),
            Self::Values => "values",
            Self::Sealed => "sealed",
        };
        let text = format!("{} (integrity: {asked} is asked for)", describe(outcome));
        Err(with_hint(Error::new(code(verdict), text), outcome))
    }
}

/// One word for a verdict.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sealed => "sealed",
        Verdict::Respelled => "respelled",
        Verdict::RecipientsChanged => "recipients changed",
        Verdict::RecipientsUnvouched => "recipients unvouched",
        Verdict::Broken => "broken",
        Verdict::Sops => "no seal",
    }
}

/// The words that `verify` prints: of text and recipients, whatever is not as it should be.
pub(crate) fn words(outcome: Outcome) -> String {
    let verdict = outcome.verdict();
    // The verdict names the graver of two findings; the other one must not be hidden by it.
    let other = match verdict {
        Verdict::Respelled => Outcome { text: Vouch::Good, ..outcome }.verdict(),
        Verdict::RecipientsChanged => Outcome { recipients: Vouch::Good, ..outcome }.verdict(),
        Verdict::Sealed | Verdict::RecipientsUnvouched | Verdict::Broken | Verdict::Sops => {
            Verdict::Sealed
        }
    };
    match other {
        Verdict::Sealed => word(verdict).to_owned(),
        other => format!("{}, {}", word(verdict), word(other)),
    }
}

/// What an outcome means, in a sentence.
pub(crate) fn describe(outcome: Outcome) -> String {
    match outcome.verdict() {
        Verdict::Sealed => return "sealed: a holder of the data key wrote exactly this".to_owned(),
        Verdict::Broken => {
            return "keys, types, order or structure were changed without the key".to_owned();
        }
        Verdict::Sops => {
            return "another tool wrote it: the MAC is right, there is no seal".to_owned();
        }
        Verdict::Respelled | Verdict::RecipientsChanged | Verdict::RecipientsUnvouched => {}
    }
    let text = match outcome.text {
        _ if outcome.mac_only_encrypted => None,
        Vouch::Good => None,
        Vouch::Bad => Some("comments, quoting or spacing were changed without the key"),
        Vouch::Zero => Some("nobody vouches for comments, quoting and spacing"),
    };
    let recipients = match outcome.recipients {
        Vouch::Good => None,
        Vouch::Bad => Some("the recipients were changed without the key"),
        Vouch::Zero => Some("nobody vouches for the recipients"),
    };
    let findings: Vec<_> = text.into_iter().chain(recipients).collect();
    format!("values and structure are authentic; {}", findings.join("; "))
}

/// What `verify` exits with.
pub(crate) fn code(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Sealed => exit::SUCCESS,
        Verdict::Respelled => exit::RESPELLED,
        Verdict::RecipientsChanged | Verdict::RecipientsUnvouched => exit::RECIPIENTS,
        Verdict::Broken => exit::BROKEN,
        Verdict::Sops => exit::NO_SEAL,
    }
}

/// The error with what to do about such a file.
pub(crate) fn with_hint(error: Error, outcome: Outcome) -> Error {
    let error = match outcome.verdict() {
        Verdict::Sealed | Verdict::RecipientsChanged | Verdict::RecipientsUnvouched => error,
        Verdict::Respelled | Verdict::Broken | Verdict::Sops => error.hint(
            "review the file (`waxseal reseal --show` prints it), then `waxseal reseal` \
                 vouches for it",
        ),
    };
    if !outcome.marked || !outcome.tree || outcome.recipients == Vouch::Good {
        return error;
    }
    error.hint(
        "`waxseal recipients` shows who can open it; `waxseal updatekeys` puts it under the \
         recipients of its creation rule, `waxseal reseal` vouches for those that it has",
    )
}

/// The variable that asks for a level everywhere.
const VARIABLE: &str = "WAXSEAL_INTEGRITY";

#[cfg(test)]
mod tests {
    use super::Integrity;
    use crate::file::{Outcome, Vouch};

    #[track_caller]
    fn check(integrity: Integrity, outcome: Outcome, exit: Option<u8>) {
        assert_eq!(integrity.check(outcome).err().map(|error| error.exit()), exit);
    }

    #[test]
    fn each_level_accepts_less_than_the_one_before() {
        let outcome = |text, recipients| Outcome {
            marked: true,
            tree: true,
            text,
            recipients,
            mac_only_encrypted: false,
        };
        let sealed = outcome(Vouch::Good, Vouch::Good);
        let respelled = outcome(Vouch::Bad, Vouch::Good);
        let changed = outcome(Vouch::Good, Vouch::Bad);
        let sops = Outcome::sops(false);
        for it in [sealed, respelled, changed, sops] {
            check(Integrity::Mac, it, None);
        }
        check(Integrity::Values, respelled, None);
        check(Integrity::Values, changed, None);
        check(Integrity::Values, sops, Some(55));
        check(Integrity::Sealed, sealed, None);
        check(Integrity::Sealed, respelled, Some(53));
        check(Integrity::Sealed, changed, Some(54));
        check(Integrity::Sealed, sops, Some(55));
        assert!(Integrity::Mac < Integrity::Values && Integrity::Values < Integrity::Sealed);
    }
}

//! Names that others chose, as messages show them: those of files above all.
//!
//! Invariants: nothing that is shown breaks a line, moves the cursor or turns the direction of a text,
//! so that no name can fake a line of ours; a private key that stands where a name belongs is not shown.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::path::Path;

/// What has a name to show.
pub(crate) trait Show {
    /// The name for a message; never one to open a file by.
    fn shown(&self) -> Shown<'_>;
}

impl Show for Path {
    fn shown(&self) -> Shown<'_> {
        Shown(self.to_string_lossy())
    }
}

impl Show for str {
    fn shown(&self) -> Shown<'_> {
        Shown(Cow::Borrowed(self))
    }
}

/// A name in a message.
pub(crate) struct Shown<'a>(Cow<'a, str>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if holds_private_key(&self.0) {
            return f.write_str("(a private key)");
        }
        for c in self.0.chars() {
            // As in key paths. Quotes and backslashes stay: names are often copied.
            if is_active(c) { write!(f, "{}", c.escape_debug())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// What acts on a terminal instead of being seen.
pub(crate) fn is_active(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a text that should name something holds a private key of age or SSH instead.
pub(crate) fn holds_private_key(text: &str) -> bool {
    let marked = ["AGE-PLUGIN-", "PRIVATE KEY"].iter().any(|mark| text.contains(mark));
    // age reads identities in small letters as well.
    marked || text.to_ascii_uppercase().contains("AGE-SECRET-KEY-")
}

/// What to say of a private key in the place of a path.
#[cfg(feature = "cli")]
pub(crate) const MISPLACED: &str =
    "a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Show;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        assert_eq!(Path::new(name).shown().to_string(), expect);
        assert_eq!(name.shown().to_string(), expect);
    }

    #[test]
    fn names_stay_as_they_are_where_they_can_be_seen() {
        check("secrets/prod db.yaml", "secrets/prod db.yaml");
        check("für \"alle\"\\'.yaml", "für \"alle\"\\'.yaml");
        check("👩‍🚀.yaml", "👩‍🚀.yaml");
    }

    #[test]
    fn no_name_acts_on_the_terminal() {
        check("a\x1b[2K.yaml", "a\\u{1b}[2K.yaml");
        check("a: sealed\nb.yaml", "a: sealed\\nb.yaml");
        check("a\r\t\0\u{7f}\u{85}", "a\\r\\t\\0\\u{7f}\\u{85}");
        check("a\u{202e}lmay.b", "a\\u{202e}lmay.b");
    }

    #[test]
    fn a_private_key_is_no_name() {
        for key in ["AGE-SECRET-KEY-1QQ", "x/age-secret-key-1qq", "AGE-PLUGIN-YUBIKEY-1Q"] {
            check(key, "(a private key)");
        }
        check("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "(a private key)");
        check("age-plugin-yubikey.txt", "age-plugin-yubikey.txt");
    }
}

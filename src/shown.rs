//! Names that others chose, as messages show them: those of files above all.
//!
//! Invariants: nothing that is shown breaks a line, moves the cursor, turns the direction of a text or is
//! not seen, so that no name can fake a line of ours or pass for another; a private key that stands where a name belongs is not shown.

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
        let mut before = None;
        for c in self.0.chars() {
            // As in key paths. Quotes and backslashes stay: names are often copied.
            match c {
                c if c.is_control() => write!(f, "{}", c.escape_debug())?,
                c if is_active(c, before) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
            before = Some(c);
        }
        Ok(())
    }
}

/// What acts on a terminal instead of being seen, or is not seen at all, so that two names look like one
/// (Unicode: controls, separators of lines, what turns the direction, Default_Ignorable_Code_Point). What
/// joins letters or chooses a form of one is part of what is seen behind a letter that is not ASCII.
pub(crate) fn is_active(c: char, before: Option<char>) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    c.is_control() || hidden || (joins && before.is_none_or(|before| before.is_ascii()))
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
    fn no_name_holds_what_nobody_sees() {
        check("pro\u{200b}d.yaml", "pro\\u{200b}d.yaml");
        check("\u{feff}a\u{2060}b\u{ad}c\u{3164}", "\\u{feff}a\\u{2060}b\\u{ad}c\\u{3164}");
        check("a\u{e0041}\u{180e}", "a\\u{e0041}\\u{180e}");
        // What joins letters does so where there are some to join.
        check("a\u{200d}b\u{200c}", "a\\u{200d}b\\u{200c}");
        check("\u{2764}\u{fe0f}.yaml", "\u{2764}\u{fe0f}.yaml");
        check("\u{645}\u{6cc}\u{200c}\u{631}", "\u{645}\u{6cc}\u{200c}\u{631}");
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

//! Names that somebody else chose, made fit for a message.
//!
//! A repository can hold a file whose name moves the cursor or ends a line, and so fakes what `verify`
//! says of another one; a user can put an identity where a path is expected. Neither reaches a terminal
//! or a log.

use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

/// What an identity begins with, in either case (age: the human-readable part of its Bech32 form).
const IDENTITY: &str = "AGE-SECRET-KEY-";

/// A name as a message shows it.
pub(crate) struct Shown(String);

/// The path of a file.
pub(crate) fn path(path: &Path) -> Shown {
    text(&path.to_string_lossy())
}

/// Any other text that is no word of ours.
pub(crate) fn text(text: &str) -> Shown {
    let upper = text.to_ascii_uppercase();
    let mut shown = String::new();
    let mut at = 0;
    while let Some(found) = upper[at..].find(IDENTITY) {
        let start = at + found;
        let rest = &text[start + IDENTITY.len()..];
        shown.push_str(&text[at..start]);
        shown.push_str("<a private key>");
        let key = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        at = start + IDENTITY.len() + key;
    }
    shown.push_str(&text[at..]);
    Shown(shown)
}

/// Whether a text holds an identity of age.
pub(crate) fn holds_identity(text: &str) -> bool {
    text.to_ascii_uppercase().contains(IDENTITY)
}

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            // Those that turn the direction of a text fake a name as well.
            let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || turns {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{path, text};

    #[test]
    fn a_name_cannot_fake_a_line_or_move_the_cursor() {
        let shown = path(Path::new("a\nb: sealed\u{1b}[31m\r\u{202e}é ü.yaml")).to_string();
        assert_eq!(shown, "a\\u{a}b: sealed\\u{1b}[31m\\u{d}\\u{202e}é ü.yaml");
    }

    #[test]
    fn an_identity_in_the_place_of_a_path_is_not_shown() {
        let key = "AGE-SECRET-KEY-1QQPQ0";
        for (given, expect) in [
            (key.to_owned(), "<a private key>"),
            (format!("/home/me/{key}.txt"), "/home/me/<a private key>.txt"),
            (format!("sh -c 'echo {}'", key.to_lowercase()), "sh -c 'echo <a private key>'"),
            (format!("é{key},{key}"), "é<a private key>,<a private key>"),
        ] {
            assert_eq!(text(&given).to_string(), expect);
        }
    }
}

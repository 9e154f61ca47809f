//! The source of a scalar to the text that it stands for, one function per style.
//!
//! Invariants: line breaks come out as LF, whatever the file uses; a source without escapes and line
//! breaks is borrowed, not copied. The parser has accepted the source; of what it lets pass, only a
//! lone surrogate escape or an unknown escape is an error here.

use std::borrow::Cow;

/// An escape that stands for no character, at this offset in the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BadEscape(pub(super) usize);

/// A plain scalar: lines folded.
pub(super) fn plain(source: &str) -> Cow<'_, str> {
    if has_break(source) { Cow::Owned(fold(source)) } else { Cow::Borrowed(source) }
}

/// A single-quoted scalar, quotes included.
pub(super) fn single(source: &str) -> Cow<'_, str> {
    let inner = source.strip_prefix('\'').unwrap_or(source);
    let inner = inner.strip_suffix('\'').unwrap_or(inner);
    let folded = plain(inner);
    if folded.contains('\'') { Cow::Owned(folded.replace("''", "'")) } else { folded }
}

/// A double-quoted scalar, quotes included.
pub(super) fn double(source: &str) -> Result<Cow<'_, str>, BadEscape> {
    let inner = source.strip_prefix('"').unwrap_or(source);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let start = source.len().min(1);
    if memchr::memchr3(b'\\', b'\n', b'\r', inner.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    // Escaped characters are no white space to trim: out[..kept] stays at a line break.
    let mut kept = 0;
    let mut rest = inner;
    while let Some(at) = memchr::memchr3(b'\\', b'\n', b'\r', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(escape) = rest.strip_prefix('\\') {
            if let Some(next) = after_break(escape) {
                let (breaks, next) = skip_breaks(trim_start(next));
                out.extend(std::iter::repeat_n('\n', breaks));
                rest = next;
            } else {
                let (decoded, next) =
                    unescape(escape).ok_or(BadEscape(start + inner.len() - rest.len()))?;
                out.push(decoded);
                rest = next;
            }
        } else {
            let trimmed = out[kept..].trim_end_matches([' ', '\t']).len();
            out.truncate(kept + trimmed);
            let (breaks, next) = skip_breaks(rest);
            push_folded(&mut out, breaks);
            rest = next;
        }
        kept = out.len();
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// A block scalar, header included. `indent` is the column of its body.
pub(super) fn block(source: &str, indent: usize) -> String {
    let (header, mut rest) = split_line(source);
    let is_folded = header.starts_with('>');
    let indicators: &str = header.split([' ', '\t', '#']).next().unwrap_or(header);
    let mut out = String::with_capacity(rest.len());
    // The line break behind the last text line, and those of the empty lines behind it.
    let (mut ended, mut blanks) = (false, 0);
    let mut after_text = false;
    let mut after_indented = false;
    let has_content = rest.contains(|c| !matches!(c, ' ' | '\n' | '\r')) || indent > 0;
    while !rest.is_empty() {
        let (line, next) = split_line(rest);
        let has_line_break = line.len() < rest.len() && ends_line(rest, line);
        rest = next;
        let spaces = line.bytes().take(indent).take_while(|&byte| byte == b' ').count();
        let text = &line[spaces..];
        if text.is_empty() || !has_content {
            blanks += usize::from(has_line_break);
            continue;
        }
        let is_indented = text.starts_with([' ', '\t']);
        if after_text {
            let joins = is_folded && !after_indented && !is_indented;
            match (joins, blanks) {
                (true, 0) => out.push(' '),
                (true, _) => {}
                (false, _) => out.push('\n'),
            }
        }
        out.extend(std::iter::repeat_n('\n', blanks));
        out.push_str(text);
        blanks = 0;
        ended = has_line_break;
        after_text = true;
        after_indented = is_indented;
    }
    let keeps = indicators.contains('+');
    if ended && !indicators.contains('-') {
        out.push('\n');
    }
    if keeps {
        out.extend(std::iter::repeat_n('\n', blanks));
    }
    out
}

/// The first line of `text` without its line break, and what follows the line break.
pub(super) fn split_line(text: &str) -> (&str, &str) {
    match memchr::memchr2(b'\n', b'\r', text.as_bytes()) {
        None => (text, ""),
        Some(at) => (&text[..at], after_break(&text[at..]).unwrap_or("")),
    }
}

fn ends_line(text: &str, line: &str) -> bool {
    text[line.len()..].starts_with(['\n', '\r'])
}

/// What follows the line break that `text` starts with.
fn after_break(text: &str) -> Option<&str> {
    text.strip_prefix("\r\n").or_else(|| text.strip_prefix(['\n', '\r']))
}

fn has_break(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some()
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Skips line breaks and the white space behind each; how many there were.
fn skip_breaks(text: &str) -> (usize, &str) {
    let (mut count, mut rest) = (0, text);
    while let Some(next) = after_break(rest) {
        count += 1;
        rest = trim_start(next);
    }
    (count, rest)
}

fn push_folded(out: &mut String, breaks: usize) {
    match breaks {
        1 => out.push(' '),
        _ => out.extend(std::iter::repeat_n('\n', breaks.saturating_sub(1))),
    }
}

/// One line break is a space, each further one a line break.
fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let Some(at) = memchr::memchr2(b'\n', b'\r', rest.as_bytes()) else {
            out.push_str(rest);
            return out;
        };
        out.push_str(rest[..at].trim_end_matches([' ', '\t']));
        let (breaks, next) = skip_breaks(&rest[at..]);
        push_folded(&mut out, breaks);
        rest = next;
    }
}

/// The character of an escape without its backslash, and what follows.
fn unescape(escape: &str) -> Option<(char, &str)> {
    let mut chars = escape.chars();
    let decoded = match chars.next()? {
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        ' ' => ' ',
        '"' => '"',
        '/' => '/',
        '\\' => '\\',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        'x' => return code_point(chars.as_str(), 2),
        'u' => return code_point(chars.as_str(), 4),
        'U' => return code_point(chars.as_str(), 8),
        _ => return None,
    };
    Some((decoded, chars.as_str()))
}

fn code_point(text: &str, digits: usize) -> Option<(char, &str)> {
    let number = |text: &str| {
        let digits = text.get(..digits)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let (first, rest) = (number(text)?, text.get(digits..)?);
    if digits == 4 && (0xd800..0xdc00).contains(&first) {
        // JSON's way to write what lies beyond U+FFFF.
        let rest = rest.strip_prefix("\\u")?;
        let second = number(rest).filter(|second| (0xdc00..0xe000).contains(second))?;
        let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Some((char::from_u32(joined)?, &rest[digits..]));
    }
    Some((char::from_u32(first)?, rest))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{BadEscape, block, double, plain, single};

    #[test]
    fn plain_lines_are_folded() {
        assert!(matches!(plain("a b"), Cow::Borrowed("a b")));
        assert_eq!(plain("a \n  b"), "a b");
        assert_eq!(plain("a\r\n\r\n\tb\rc"), "a\nb c");
    }

    #[test]
    fn single_quotes() {
        assert!(matches!(single("'a b '"), Cow::Borrowed("a b ")));
        assert_eq!(single("'it''s'"), "it's");
        assert_eq!(single("''''"), "'");
        assert_eq!(single("' a \n  b '"), " a b ");
        assert_eq!(single("'a\n\n'"), "a\n");
        assert_eq!(single("'\n a'"), " a");
    }

    #[track_caller]
    fn check_double(source: &str, expect: &str) {
        assert_eq!(double(source).as_deref(), Ok(expect));
    }

    #[test]
    fn double_quotes() {
        check_double(r#""""#, "");
        check_double(r#""a b""#, "a b");
        check_double(r#""\0\a\b\t\n\v\f\r\e\ \"\/\\""#, "\0\x07\x08\t\n\x0b\x0c\r\x1b \"/\\");
        check_double(r#""\N\_\L\P""#, "\u{85}\u{a0}\u{2028}\u{2029}");
        check_double(r#""\x41\u00e9\U0001F600\ud83d\ude00""#, "Aé😀😀");
        check_double("\"a \\\n  \tb\"", "a b");
        check_double("\"a\\\n\n  b\"", "a\nb");
        check_double("\"a \t\n  b\"", "a b");
        check_double("\"a\\ \n  b\"", "a  b");
        check_double("\"a\\\t \r\n\r\n  b\"", "a\t\nb");
        check_double("\"\n\"", " ");
        check_double("\"a\n  \\  b\"", "a   b");
    }

    #[test]
    fn escapes_that_stand_for_nothing() {
        assert_eq!(double(r#""ab\ud800""#), Err(BadEscape(3)));
        assert_eq!(double(r#""\ude00\ud83d""#), Err(BadEscape(1)));
        assert_eq!(double(r#""\q""#), Err(BadEscape(1)));
        assert_eq!(double(r#""\U00110000""#), Err(BadEscape(1)));
    }

    #[track_caller]
    fn check_block(source: &str, indent: usize, expect: &str) {
        assert_eq!(block(source, indent), expect);
    }

    #[test]
    fn literal_blocks() {
        check_block("|\n  a\n   b\n\n  c\n", 2, "a\n b\n\nc\n");
        check_block("|-\r\n  a\r\n\r\n  b\r\n", 2, "a\n\nb");
        check_block("|+ # note\n  a\n\n \n", 2, "a\n\n\n");
        check_block("|1\n  a\n", 1, " a\n");
        check_block("|\n\n  a", 2, "\na");
        check_block("|+\n  a", 2, "a");
        check_block("|\n\n\n", 0, "");
        check_block("|+\n\n  \n", 0, "\n\n");
        check_block("| # +\n  a\n", 2, "a\n");
        check_block("|\na\n", 0, "a\n");
        check_block("|", 0, "");
    }

    #[test]
    fn folded_blocks() {
        check_block(">\n a\n b\n\n c\n", 1, "a b\nc\n");
        check_block(">-\n a\n\n\n b\n", 1, "a\n\nb");
        check_block(">\n a\n  b\n c\n", 1, "a\n b\nc\n");
        check_block(">\n a\n\n  b\n\n c\n", 1, "a\n\n b\n\nc\n");
        check_block(">\n\n a\n b\n", 1, "\na b\n");
        check_block(">+\n a\n\n", 1, "a\n\n");
        check_block(">\n a\n \tb\n", 1, "a\n\tb\n");
    }
}

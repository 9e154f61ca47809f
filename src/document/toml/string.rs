//! The four kinds of strings: where one ends, and what it says.
//!
//! Invariant: [`decode`] is given what [`scan`] accepted; line breaks count as LF.

use std::borrow::Cow;

use super::super::Style;

/// Over the string that starts at `at`: the offset behind it and its style, or where what is wrong.
pub(super) fn scan(bytes: &[u8], at: usize) -> Result<(usize, Style), (usize, &'static str)> {
    let quote = bytes[at];
    let is_multi = bytes[at..].starts_with(&[quote; 3]);
    match (quote, is_multi) {
        (b'"', false) => basic(bytes, at).map(|end| (end, Style::Double)),
        (b'"', true) => multi(bytes, at, b'"').map(|end| (end, Style::MultiDouble)),
        (_, false) => literal(bytes, at).map(|end| (end, Style::Single)),
        (_, true) => multi(bytes, at, b'\'').map(|end| (end, Style::MultiSingle)),
    }
}

const UNCLOSED: &str = "the string is not closed";
const CONTROL: &str = "a control character cannot stand here";

fn basic(bytes: &[u8], start: usize) -> Result<usize, (usize, &'static str)> {
    let mut at = start + 1;
    loop {
        at += plain_run(&bytes[at..], b'"');
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape(bytes, at).ok_or((at, "an unknown escape in a string"))?,
            Some(b'\n' | b'\r') | None => return Err((start, UNCLOSED)),
            Some(_) => return Err((at, CONTROL)),
        }
    }
}

fn literal(bytes: &[u8], start: usize) -> Result<usize, (usize, &'static str)> {
    let mut at = start + 1;
    loop {
        at += plain_run(&bytes[at..], b'\'');
        match bytes.get(at) {
            Some(b'\'') => return Ok(at + 1),
            Some(b'\\') => at += 1,
            Some(b'\n' | b'\r') | None => return Err((start, UNCLOSED)),
            Some(_) => return Err((at, CONTROL)),
        }
    }
}

fn multi(bytes: &[u8], start: usize, quote: u8) -> Result<usize, (usize, &'static str)> {
    let mut at = start + 3;
    loop {
        at += plain_run(&bytes[at..], quote);
        match bytes.get(at) {
            Some(&byte) if byte == quote => {
                let count = bytes[at..].iter().take(5).take_while(|&&b| b == quote).count();
                at += count;
                if count >= 3 {
                    // Up to two quotes may stand right before the closing three.
                    return Ok(at);
                }
            }
            Some(b'\\') if quote == b'\'' => at += 1,
            Some(b'\\') => {
                let end = escape(bytes, at).or_else(|| line_end(bytes, at));
                at = end.ok_or((at, "an unknown escape in a string"))?;
            }
            Some(b'\n') => at += 1,
            Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            Some(_) => return Err((at, CONTROL)),
            None => return Err((start, UNCLOSED)),
        }
    }
}

/// Behind the escape at `at`, if there is one.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'b' | b't' | b'n' | b'f' | b'r' | b'e' | b'"' | b'\\' => Some(at + 2),
        b'x' => code_point(bytes, at + 2, 2).map(|_| at + 4),
        b'u' => code_point(bytes, at + 2, 4).map(|_| at + 6),
        b'U' => code_point(bytes, at + 2, 8).map(|_| at + 10),
        _ => None,
    }
}

fn code_point(bytes: &[u8], at: usize, digits: usize) -> Option<char> {
    let digits = bytes.get(at..at + digits)?;
    let number = digits.iter().try_fold(0_u32, |sum, &digit| {
        char::from(digit).to_digit(16).map(|digit| (sum << 4) | digit)
    })?;
    char::from_u32(number)
}

/// Behind a backslash that joins lines: at the next character that is no blank and no line break.
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let blanks =
        |from: usize| bytes[from..].iter().take_while(|&&b| b == b' ' || b == b'\t').count() + from;
    let line_break = |from: usize| match bytes.get(from) {
        Some(b'\n') => Some(from + 1),
        Some(b'\r') if bytes.get(from + 1) == Some(&b'\n') => Some(from + 2),
        _ => None,
    };
    let mut at = line_break(blanks(at + 1))?;
    while let Some(next) = line_break(blanks(at)) {
        at = next;
    }
    Some(blanks(at))
}

/// The text of a string token of this style.
pub(super) fn decode(token: &str, style: Style) -> Cow<'_, str> {
    let width = match style {
        Style::MultiDouble | Style::MultiSingle => 3,
        _ => 1,
    };
    let inner = token.len().checked_sub(width).and_then(|end| token.get(width..end));
    let mut inner = inner.unwrap_or_default();
    if width == 3 {
        inner = inner.strip_prefix("\r\n").or_else(|| inner.strip_prefix('\n')).unwrap_or(inner);
    }
    let is_basic = matches!(style, Style::Double | Style::MultiDouble);
    match is_basic && inner.contains('\\') {
        true => Cow::Owned(unescape(inner)),
        false if width == 3 && inner.contains('\r') => Cow::Owned(inner.replace("\r\n", "\n")),
        false => Cow::Borrowed(inner),
    }
}

fn unescape(inner: &str) -> String {
    let bytes = inner.as_bytes();
    let mut out = String::with_capacity(inner.len());
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\\', b'\r', &bytes[at..]) {
        out.push_str(&inner[at..at + found]);
        at += found;
        if bytes[at] == b'\r' {
            at += 1;
            continue;
        }
        let Some(end) = escape(bytes, at) else {
            at = line_end(bytes, at).unwrap_or(bytes.len());
            continue;
        };
        match bytes[at + 1] {
            b'b' => out.push('\u{8}'),
            b't' => out.push('\t'),
            b'n' => out.push('\n'),
            b'f' => out.push('\u{c}'),
            b'r' => out.push('\r'),
            b'e' => out.push('\u{1b}'),
            b'"' => out.push('"'),
            b'\\' => out.push('\\'),
            _ => out.extend(code_point(bytes, at + 2, end - at - 2)),
        }
        at = end;
    }
    out.push_str(&inner[at..]);
    out
}

/// How many bytes stand before the first `quote`, backslash or control character but a tab.
fn plain_run(bytes: &[u8], quote: u8) -> usize {
    let mut at = 0;
    loop {
        at += run(&bytes[at..], quote);
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

/// How many bytes stand before the first `quote`, backslash or control character.
///
/// Eight at a time: strings are short, so that a search for each of them would cost more.
fn run(bytes: &[u8], quote: u8) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let found = (word.wrapping_sub(ONES * 0x20) & !word)
            | zero(word ^ (ONES * u64::from(quote)))
            | zero(word ^ (ONES * b'\\' as u64))
            | zero(word ^ (ONES * 0x7f));
        let found = found & HIGHS;
        if found != 0 {
            // The lowest hit is exact; a borrow can only add false ones above it.
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && ![quote, b'\\', 0x7f].contains(byte);
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

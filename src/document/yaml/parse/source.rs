//! The text as bytes and lines.
//!
//! Invariants: byte 0 stands for the end of the text (a NUL is refused before anything is read);
//! LF, CRLF and a lone CR each end a line.

use memchr::{memchr, memchr2, memchr3};

#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) text: &'t str,
    bytes: &'t [u8],
    /// Whether a CR that no LF follows stands somewhere: such texts are read by a slower path.
    lone_cr: bool,
}

/// What ends the part of a plain scalar that stands on one line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A `:` that makes it a key.
    Colon,
    /// A comment.
    Comment,
    /// The end of the line.
    Line,
    /// In brackets: one of `, [ ] { }`.
    Bracket,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let lone_cr = memchr::memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1) != Some(&b'\n'));
        Self { text, bytes, lone_cr }
    }

    #[inline]
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), b' ' | b'\t')
    }

    /// Whether a blank, a line break or the end is here: what makes `-`, `?` and `:` indicators.
    #[inline]
    pub(super) fn is_separator(&self, at: usize) -> bool {
        matches!(self.byte(at), b' ' | b'\n' | b'\t' | b'\r' | 0)
    }

    #[inline]
    pub(super) fn is_break_or_end(&self, at: usize) -> bool {
        matches!(self.byte(at), b'\n' | b'\r' | 0)
    }

    pub(super) fn is_flow_indicator(&self, at: usize) -> bool {
        matches!(self.byte(at), b',' | b'[' | b']' | b'{' | b'}')
    }

    /// Whether `---` or `...` stands here, as a token; to be asked at the start of a line.
    pub(super) fn is_marker(&self, at: usize) -> bool {
        let bytes = &self.bytes[at.min(self.len())..];
        (bytes.starts_with(b"---") || bytes.starts_with(b"...")) && self.is_separator(at + 3)
    }

    #[inline]
    pub(super) fn skip_spaces(&self, mut at: usize) -> usize {
        while self.byte(at) == b' ' {
            at += 1;
        }
        at
    }

    /// As [`Source::skip_spaces`], not beyond `limit`.
    pub(super) fn skip_spaces_up_to(&self, mut at: usize, limit: usize) -> usize {
        while at < limit && self.byte(at) == b' ' {
            at += 1;
        }
        at
    }

    #[inline]
    pub(super) fn skip_blanks(&self, mut at: usize) -> usize {
        while self.is_blank(at) {
            at += 1;
        }
        at
    }

    /// Where the line of `at` ends: at its line break, or at the end of the text.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        if self.lone_cr {
            return memchr2(b'\n', b'\r', rest).map_or(self.len(), |offset| at + offset);
        }
        match memchr(b'\n', rest) {
            Some(0) => at,
            Some(offset) if rest[offset - 1] == b'\r' => at + offset - 1,
            Some(offset) => at + offset,
            None => self.len(),
        }
    }

    /// The byte behind the line break that starts at `at`; `at` itself if none does.
    #[inline]
    pub(super) fn after_break(&self, at: usize) -> usize {
        match self.byte(at) {
            b'\n' => at + 1,
            b'\r' if self.byte(at + 1) == b'\n' => at + 2,
            b'\r' => at + 1,
            _ => at,
        }
    }

    /// The start of the last line that starts in `from..=to`; `line` if none does.
    pub(super) fn last_line(&self, line: usize, from: usize, to: usize) -> usize {
        match memchr::memrchr2(b'\n', b'\r', &self.bytes[from..to]) {
            Some(offset) => from + offset + 1,
            None => line,
        }
    }

    /// The part of a plain scalar on this line, outside of brackets: its end without trailing blanks,
    /// and what ends it (found at or behind that end).
    #[inline]
    pub(super) fn plain_part(&self, from: usize) -> (usize, Stop) {
        if self.lone_cr {
            return self.plain_part_slow(from, false);
        }
        let mut at = from;
        let (end, stop) = loop {
            let Some(offset) = memchr3(b':', b'\n', b'#', &self.bytes[at..]) else {
                break (self.len(), Stop::Line);
            };
            at += offset;
            match self.bytes[at] {
                b'\n' => break (at, Stop::Line),
                b':' if self.is_separator(at + 1) => break (at, Stop::Colon),
                b'#' if at > from && self.is_blank(at - 1) => break (at, Stop::Comment),
                _ => at += 1,
            }
        };
        (self.trim(from, end), stop)
    }

    /// As [`Source::plain_part`], inside of brackets.
    pub(super) fn plain_part_in_brackets(&self, from: usize) -> (usize, Stop) {
        self.plain_part_slow(from, true)
    }

    fn plain_part_slow(&self, from: usize, brackets: bool) -> (usize, Stop) {
        let mut at = from;
        let stop = loop {
            match self.byte(at) {
                0 | b'\n' | b'\r' => break Stop::Line,
                b':' if self.is_separator(at + 1) => break Stop::Colon,
                b':' if brackets && self.is_flow_indicator(at + 1) => break Stop::Colon,
                b'#' if at > from && self.is_blank(at - 1) => break Stop::Comment,
                b',' | b'[' | b']' | b'{' | b'}' if brackets => break Stop::Bracket,
                _ => at += 1,
            }
        };
        (self.trim(from, at), stop)
    }

    fn trim(&self, from: usize, mut end: usize) -> usize {
        while end > from && matches!(self.bytes[end - 1], b' ' | b'\t' | b'\r') {
            end -= 1;
        }
        end
    }

    /// The first `"` or `\`, or `'`, from `at` on.
    pub(super) fn find_quote(&self, at: usize, quote: u8) -> Option<usize> {
        let rest = &self.bytes[at.min(self.len())..];
        let offset = match quote {
            b'"' => memchr2(b'"', b'\\', rest),
            _ => memchr(quote, rest),
        };
        offset.map(|offset| at + offset)
    }

    /// The number that `count` hex digits at `from` spell.
    pub(super) fn hex(&self, from: usize, count: usize) -> Option<u32> {
        let digits = self.bytes.get(from..from + count)?;
        digits.iter().try_fold(0, |value: u32, &digit| {
            Some(value.checked_mul(16)? + char::from(digit).to_digit(16)?)
        })
    }

    /// The first line break in `from..to`.
    pub(super) fn find_break(&self, from: usize, to: usize) -> Option<usize> {
        let part = &self.bytes[from..to];
        let found = if self.lone_cr { memchr2(b'\n', b'\r', part) } else { memchr(b'\n', part) };
        found.map(|offset| from + offset)
    }
}

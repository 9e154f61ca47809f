//! Spans of a text, replacements over them, and where a byte stands.
//!
//! Invariants: a [`Span`] never ends before it starts; the replacements in [`Edits`] are sorted and
//! disjoint, so that applying them is one pass and cannot fail.

use std::fmt;
use std::ops::Range;

use crate::secret::Wiped;

/// The longest text that waxseal takes, in bytes. Offsets are 32 bits wide.
pub const MAX_TEXT: usize = u32::MAX as usize - 1;

/// A range of bytes in a text, on character boundaries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    ///
    /// Both are at most [`MAX_TEXT`]; an `end` before `start` is taken as `start`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= MAX_TEXT);
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let end = u32::try_from(end).unwrap_or(u32::MAX).max(start);
        Self { start, end }
    }

    /// The empty span at `offset`.
    #[must_use]
    pub fn at(offset: usize) -> Self {
        Self::new(offset, offset)
    }

    /// Offset of the first byte.
    #[must_use]
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// Offset behind the last byte.
    #[must_use]
    pub fn end(self) -> usize {
        self.end as usize
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span holds no byte.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// As a range, to slice with.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start()..self.end()
    }

    /// The part of `text` that this span covers.
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        &text[self.range()]
    }
}

/// Replacements over one text: sorted, disjoint, applied in one pass.
///
/// The new texts stand in one buffer, so that a hundred thousand of them cost two allocations.
#[derive(Default)]
pub struct Edits {
    texts: String,
    list: Vec<Replacement>,
}

#[derive(Clone, Copy)]
struct Replacement {
    span: Span,
    /// End of the new text in `Edits::texts`; it starts where the one before ends.
    end: usize,
}

impl Edits {
    /// No replacement.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the bytes of `span` by what `write` appends to the buffer it is given.
    ///
    /// # Panics
    ///
    /// If `span` starts before the end of the replacement pushed last: the caller walks the text
    /// from front to back.
    pub fn push_with(&mut self, span: Span, write: impl FnOnce(&mut String)) {
        assert!(
            self.list.last().is_none_or(|last| last.span.end() <= span.start()),
            "edits are pushed in the order of the text"
        );
        write(&mut self.texts);
        let end = self.texts.len();
        self.list.push(Replacement { span, end });
    }

    /// Replaces the bytes of `span` by `text`; as [`Edits::push_with`].
    pub fn push(&mut self, span: Span, text: &str) {
        self.push_with(span, |buffer| buffer.push_str(text));
    }

    /// Both lists in one, in the order of the text; at the same place `self` comes first.
    ///
    /// # Panics
    ///
    /// If a replacement of one overlaps a replacement of the other.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut merged = Self::new();
        merged.texts.reserve(self.texts.len() + other.texts.len());
        merged.list.reserve(self.list.len() + other.list.len());
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let take_left = match (left.peek(), right.peek()) {
                (Some((a, _)), Some((b, _))) => (a.start(), a.end()) <= (b.start(), b.end()),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return merged,
            };
            let next = if take_left { left.next() } else { right.next() };
            if let Some((span, text)) = next {
                merged.push(span, text);
            }
        }
    }

    /// Number of replacements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no replacement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The replacements in the order of the text: what is replaced, by what.
    pub fn iter(&self) -> impl Iterator<Item = (Span, &str)> {
        (0..self.list.len()).map(|index| self.get(index))
    }

    /// The replacement of this index, counted from 0 in the order of the text.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn get(&self, index: usize) -> (Span, &str) {
        let start = index.checked_sub(1).map_or(0, |before| self.list[before].end);
        let replacement = self.list[index];
        (replacement.span, &self.texts[start..replacement.end])
    }

    /// The text with every replacement made.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let removed: usize = self.list.iter().map(|r| r.span.len()).sum();
        let mut out = String::with_capacity(text.len() - removed + self.texts.len());
        let (mut done, mut taken) = (0, 0);
        for replacement in &self.list {
            out.push_str(&text[done..replacement.span.start()]);
            out.push_str(&self.texts[taken..replacement.end]);
            done = replacement.span.end();
            taken = replacement.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

impl fmt::Debug for Edits {
    /// The spans only: the new texts can hold plaintext.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(|r| r.span)).finish()
    }
}

/// A text that is rewritten while it is walked from front to back.
///
/// For a hundred thousand replacements: the new text grows piece by piece, and no replacement is held
/// twice. A few more [`Edits`] of the old text can follow at the end.
pub struct Splice<'a> {
    old: &'a str,
    /// Offset in the old text: all before it is written.
    done: usize,
    new: Wiped<String>,
    /// For each replacement: what it replaced, and its end in the new text.
    ends: Vec<(Span, usize)>,
    /// Two replacements were for the same bytes.
    overlaps: bool,
}

/// Two replacements are for the same bytes of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overlap;

impl<'a> Splice<'a> {
    /// Nothing replaced yet. `capacity`: bytes that the new text is likely to have.
    #[must_use]
    pub fn new(old: &'a str, capacity: usize) -> Self {
        let new = String::with_capacity(capacity).into();
        Self { old, done: 0, new, ends: Vec::new(), overlaps: false }
    }

    /// Replaces the bytes of `span` by what `write` appends to the buffer it is given.
    ///
    /// If `span` starts before the end of the replacement before, [`Splice::finish`] fails: who wrote a
    /// file chooses what stands where in it.
    pub fn replace_with(&mut self, span: Span, write: impl FnOnce(&mut String)) {
        if span.start() < self.done {
            self.overlaps = true;
            return;
        }
        self.new.push_str(&self.old[self.done..span.start()]);
        write(&mut self.new);
        self.done = span.end();
        self.ends.push((span, self.new.len()));
    }

    /// Takes back the replacements that end behind this offset of the old text.
    pub fn undo(&mut self, offset: usize) {
        while self.ends.pop_if(|(old, _)| old.end() > offset).is_some() {}
        let (done, len) = self.ends.last().map_or((0, 0), |&(old, new)| (old.end(), new));
        self.done = done;
        self.new.truncate(len);
    }

    /// The new text, with `edits` of the old text made in it too; at the same place they come behind
    /// what was replaced before.
    ///
    /// # Errors
    ///
    /// If one of the edits overlaps a replacement, or two replacements did.
    pub fn finish(mut self, edits: &Edits) -> Result<String, Overlap> {
        if self.overlaps {
            return Err(Overlap);
        }
        self.new.push_str(&self.old[self.done..]);
        // From the back, so that the offsets of those before hold. Usually there is one, at the end.
        for index in (0..edits.len()).rev() {
            let (span, text) = edits.get(index);
            if self.is_replaced(span) {
                return Err(Overlap);
            }
            let (start, end) = (self.moved(span.start()), self.moved(span.end()));
            self.new.replace_range(start..end, text);
        }
        let mut new = std::mem::take(&mut *self.new);
        // What was never filled need not be wiped later.
        new.shrink_to_fit();
        Ok(new)
    }

    /// Where an offset of the old text, outside of all replacements, is in the new one.
    fn moved(&self, offset: usize) -> usize {
        let (old, new) = self.behind(offset).checked_sub(1).map_or((0, 0), |last| {
            let (old, new) = self.ends[last];
            (old.end(), new)
        });
        new + offset - old
    }

    /// The first replacement that ends behind an offset.
    fn behind(&self, offset: usize) -> usize {
        self.ends.partition_point(|(old, _)| old.end() <= offset)
    }

    /// Whether a part of these bytes, or what is around this place, was replaced.
    fn is_replaced(&self, span: Span) -> bool {
        let next = self.ends.get(self.behind(span.start()));
        next.is_some_and(|(old, _)| old.start() < span.end())
    }
}

/// Where a byte stands, as editors count: the first line and the first column are 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Line, from 1; LF, CRLF and a lone CR end one.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl Position {
    /// The position of the byte at `offset` (at most the length) of `text`.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let offset =
            (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let before = &text[..offset];
        let bytes = before.as_bytes();
        let mut line = 1;
        let mut start = 0;
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            if bytes[at] == b'\r' && text.as_bytes().get(at + 1) == Some(&b'\n') {
                continue;
            }
            line += 1;
            start = at + 1;
        }
        let column = before[start..].chars().filter(|&c| c != '\u{feff}').count() + 1;
        Self { line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The line break that a text uses: that of its first line, LF if it has none.
#[must_use]
pub fn line_break(text: &str) -> &'static str {
    match memchr::memchr2(b'\n', b'\r', text.as_bytes()) {
        Some(at) if text.as_bytes()[at] == b'\n' => "\n",
        Some(at) if text.as_bytes().get(at + 1) == Some(&b'\n') => "\r\n",
        Some(_) => "\r",
        None => "\n",
    }
}

/// The text without the line break at its end; `None` if it has none there.
#[must_use]
pub fn without_final_break(text: &str) -> Option<&str> {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix(['\n', '\r']))
}

#[cfg(test)]
mod tests {
    use super::{Edits, Overlap, Position, Span, Splice, line_break};

    #[test]
    fn no_edits_give_the_same_text() {
        assert_eq!(Edits::new().apply("a: 1\r\n"), "a: 1\r\n");
    }

    #[test]
    fn edits_touch_their_spans_only() {
        let mut edits = Edits::new();
        edits.push(Span::new(0, 1), "key");
        edits.push(Span::at(3), "\"");
        edits.push_with(Span::new(3, 4), |out| out.push_str("2\""));
        assert_eq!(edits.apply("a: 1\n"), "key: \"2\"\n");
        assert_eq!(edits.get(2), (Span::new(3, 4), "2\""));
    }

    #[track_caller]
    fn check_splice(edits: &[(usize, usize, &str)], expect: &str) {
        let old = "a: 1\nb: 2\n";
        let mut splice = Splice::new(old, 0);
        splice.replace_with(Span::new(3, 4), |out| out.push_str("one"));
        splice.replace_with(Span::new(8, 9), |out| out.push('2'));
        let mut more = Edits::new();
        for &(start, end, text) in edits {
            more.push(Span::new(start, end), text);
        }
        assert_eq!(splice.finish(&more).as_deref(), Ok(expect));
    }

    #[test]
    fn a_splice_takes_edits_of_the_old_text() {
        check_splice(&[], "a: one\nb: 2\n");
        check_splice(&[(10, 10, "c: 3\n")], "a: one\nb: 2\nc: 3\n");
        check_splice(&[(0, 1, "A"), (4, 5, " #\n"), (5, 6, "B")], "A: one #\nB: 2\n");
        check_splice(&[(4, 4, "!"), (10, 10, "")], "a: one!\nb: 2\n");
    }

    #[test]
    fn a_splice_takes_back_what_a_larger_one_covers() {
        let mut splice = Splice::new("a: 1 2 3", 0);
        for at in [3, 5] {
            splice.replace_with(Span::new(at, at + 1), |out| out.push('x'));
        }
        splice.undo(5);
        splice.replace_with(Span::new(5, 8), |out| out.push('y'));
        assert_eq!(splice.finish(&Edits::new()).as_deref(), Ok("a: x y"));
    }

    #[test]
    fn a_splice_refuses_what_overlaps() {
        let splice = || {
            let mut splice = Splice::new("a: 1 2 3", 0);
            splice.replace_with(Span::new(3, 6), |out| out.push('x'));
            splice
        };
        for (start, end) in [(0, 4), (3, 6), (4, 5), (5, 8), (0, 8)] {
            let mut edits = Edits::new();
            edits.push(Span::new(start, end), "y");
            assert_eq!(splice().finish(&edits), Err(Overlap), "{start} {end}");
        }
        let mut twice = splice();
        twice.replace_with(Span::new(5, 8), |out| out.push('y'));
        assert_eq!(twice.finish(&Edits::new()), Err(Overlap));
    }

    #[test]
    #[should_panic(expected = "in the order of the text")]
    fn edits_out_of_order_are_a_bug() {
        let mut edits = Edits::new();
        edits.push(Span::new(3, 4), "");
        edits.push(Span::new(0, 1), "");
    }

    #[track_caller]
    fn check_position(text: &str, offset: usize, line: usize, column: usize) {
        assert_eq!(Position::of(text, offset), Position { line, column });
    }

    #[test]
    fn positions_count_lines_of_every_line_break() {
        check_position("", 0, 1, 1);
        check_position("ab\ncd", 4, 2, 2);
        check_position("ab\r\ncd", 4, 2, 1);
        check_position("ab\rcd", 3, 2, 1);
        check_position("é=ü", 5, 1, 4);
        check_position("\u{feff}a", 3, 1, 1);
    }

    #[test]
    fn the_first_line_names_the_line_break() {
        assert_eq!(line_break("a\r\nb\n"), "\r\n");
        assert_eq!(line_break("a\rb"), "\r");
        assert_eq!(line_break("a"), "\n");
    }
}

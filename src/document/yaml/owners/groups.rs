//! From the comment lines between two tokens to groups.
//!
//! A blank line, or a change of indentation to the left, ends a group. The first one is a foot of the
//! token before it if it stands on the very next line, a blank line follows, and none came before. What
//! is left in the end is a head of the token that follows.
//!
//! The library counts line breaks by characters here, so that with CRLF each line of comments looks as
//! if a blank one followed; and it counts no line for the break that ends a comment. Both shows in what
//! it makes of real files, so both is kept.

use super::{Group, Part};
use crate::text::Span;

/// What stands around the comments.
pub(super) struct Gap<'t> {
    pub(super) text: &'t str,
    /// Where a foot of that token is anchored, and whether it can have one by its place.
    pub(super) foot_anchor: usize,
    pub(super) takes_foot: bool,
    /// Line breaks between it and the first comment.
    pub(super) breaks: usize,
    /// Column of the innermost block collection.
    pub(super) indent: usize,
    /// What follows.
    pub(super) next: Next,
    /// Where it stands, and in which column.
    pub(super) to: usize,
    pub(super) column: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Token,
    ClosingBracket,
    TextEnd,
}

/// A group, and what the ends of blocks are put at.
pub(super) struct Laid {
    pub(super) group: Group,
    pub(super) start: usize,
    pub(super) column: usize,
    pub(super) end: usize,
}

/// A group that has not ended.
#[derive(Clone, Copy)]
struct Open {
    first: usize,
    start: usize,
    column: usize,
    line: usize,
}

struct Grouping<'t> {
    gap: &'t Gap<'t>,
    anchor: usize,
    open: Option<Open>,
    laid: Vec<Laid>,
}

/// Groups these comments, given with their columns; `number` is that of the first one.
pub(super) fn group(gap: &Gap<'_>, comments: &[(Span, usize)], number: usize) -> Vec<Laid> {
    let mut grouping = Grouping { gap, anchor: gap.foot_anchor, open: None, laid: Vec::new() };
    let mut line = 0;
    let mut counted_line = 0;
    let mut no_blank_yet = gap.breaks <= 1;
    for (index, &(span, column)) in comments.iter().enumerate() {
        let number = number + index;
        grouping.reach(span.start(), column, number);
        grouping.open.get_or_insert(Open {
            first: number,
            start: span.start(),
            column,
            line: counted_line,
        });
        let last = index + 1 == comments.len();
        let to = comments.get(index + 1).map_or(gap.to, |(next, _)| next.start());
        let space = &gap.text[span.end()..to];
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let breaks = space.bytes().filter(|byte| is_break(byte)).count();
        let blanks = breaks.saturating_sub(1);
        let foot = |open: Open| gap.is_foot_line(open, comments[0].1);
        if blanks > 0 {
            let second = space.bytes().enumerate().filter(|(_, byte)| is_break(byte)).nth(1);
            let at = span.end() + second.map_or(0, |(offset, _)| offset);
            if no_blank_yet && grouping.open.is_some_and(foot) {
                grouping.end_as_foot(number + 1, at);
            }
            no_blank_yet = false;
        }
        match gap.next {
            Next::ClosingBracket if last => grouping.end_as_foot(number + 1, to),
            Next::TextEnd if last && blanks == 0 && no_blank_yet => {
                if grouping.open.is_some_and(foot) {
                    grouping.end_as_foot(number + 1, to);
                }
            }
            Next::TextEnd if last => {}
            Next::Token if last => grouping.reach(to, gap.column, number + 1),
            Next::ClosingBracket | Next::TextEnd | Next::Token => {}
        }
        counted_line = line + blanks;
        line += lines(space);
    }
    let end = number + comments.len();
    if let Some(open) = grouping.open {
        grouping.lay(open, Part::Head, open.start, end, gap.to.saturating_sub(1));
    }
    grouping.laid
}

/// Line breaks in a text, CRLF as one.
pub(super) fn lines(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = |(at, byte): (usize, &u8)| {
        *byte == b'\n' || *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')
    };
    bytes.iter().enumerate().filter(|&pair| ends(pair)).count()
}

impl Gap<'_> {
    /// Whether a group that a blank line ends is a foot: by its line, or since it stands further out than
    /// the collection. `first`: the column of the first comment of all.
    fn is_foot_line(&self, open: Open, first: usize) -> bool {
        let foot_line = match self.breaks {
            0 => Some(if first > 1 { 2 } else { 1 }),
            1 => Some(0),
            _ => None,
        };
        self.takes_foot && foot_line == Some(open.line) || open.column <= self.indent
    }
}

impl Grouping<'_> {
    /// Something stands at `start`: further out, it ends a group of another column.
    fn reach(&mut self, start: usize, column: usize, number: usize) {
        let ends = |open: Open| column <= self.gap.indent && column != open.column;
        if let Some(open) = self.open.filter(|&open| ends(open)) {
            self.lay(open, Part::Foot, self.anchor, number, start);
            self.anchor = start;
            self.open = None;
        }
    }

    fn end_as_foot(&mut self, number: usize, at: usize) {
        let Some(open) = self.open.take() else { return };
        // Further out, it has nothing to do with the token before.
        let anchor = if open.column <= self.gap.indent { open.start } else { self.anchor };
        self.lay(open, Part::Foot, anchor, number, at);
        self.anchor = at;
    }

    fn lay(&mut self, open: Open, part: Part, anchor: usize, end_number: usize, end: usize) {
        let group = Group { part, anchor, first: open.first, end: end_number };
        self.laid.push(Laid { group, start: open.start, column: open.column, end });
    }
}

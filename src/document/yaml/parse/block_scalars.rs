//! Block scalars: `|` and `>`.
//!
//! Invariant: the span goes from the indicator through the line break that ends the last content
//! line (of a scalar without content: the header line); with keep chomping, through that of the last
//! blank line behind.

use crate::document::{NodeKind, Style};
use crate::text::Span;

use super::{Fault, Parsed, Parser};

/// What the line of `|` or `>` says.
struct Header {
    /// Indentation beyond that of the collection around, if it is given.
    indent: Option<usize>,
    keep: bool,
    /// Start of the first line of the body.
    end: usize,
}

const UNEVEN: &str = "a line of a block scalar that is indented less than a line before it";

impl Parser<'_> {
    pub(super) fn block_scalar(&mut self, indicator: u8) -> Parsed<()> {
        let start = self.pos;
        let Some(slot) = self.slot else {
            return Fault::new(start, "a block scalar where a key is expected");
        };
        let header = self.block_header(start)?;
        if self.source.byte(header.end) == b'\t' && header.end > start + 1 {
            return Fault::new(header.end, "a tab as indentation of a block scalar; use spaces");
        }
        let body = match header.indent {
            Some(digit) => {
                let indent = usize::try_from(slot.indent).unwrap_or(0) + digit;
                self.given_body(header.end, indent, slot.indent)?
            }
            None => self.detected_body(header.end, slot.indent)?,
        };
        let mut end = header.end;
        let mut at = header.end;
        let mut has_content = false;
        // Blank lines, and with `body` content lines.
        loop {
            let indent = body.unwrap_or(0);
            let text = if body.is_some() {
                self.source.skip_spaces_up_to(at, at + indent)
            } else {
                self.source.skip_spaces(at)
            };
            if self.source.is_break_or_end(text) {
                if self.source.byte(text) == 0 {
                    break;
                }
                at = self.source.after_break(text);
                if header.keep {
                    end = at;
                }
                continue;
            }
            if body.is_none() || text < at + indent || (indent == 0 && self.source.is_marker(at)) {
                break;
            }
            at = self.source.after_break(self.source.line_end(text));
            end = at;
            has_content = true;
        }
        let style = if indicator == b'|' { Style::Literal } else { Style::Folded };
        let node = self.fill(NodeKind::Scalar, style, Span::new(start, end))?;
        if has_content {
            self.nodes[node] = self.nodes[node].with_indent(body.unwrap_or(0));
        }
        self.start_line(end);
        Ok(())
    }

    fn block_header(&self, start: usize) -> Parsed<Header> {
        let (mut indent, mut chomping) = (None, None);
        let mut at = start + 1;
        loop {
            match self.source.byte(at) {
                digit @ b'1'..=b'9' if indent.is_none() => indent = Some(usize::from(digit - b'0')),
                sign @ (b'+' | b'-') if chomping.is_none() => chomping = Some(sign),
                _ => break,
            }
            at += 1;
        }
        let blank = self.source.skip_blanks(at);
        let end = match self.source.byte(blank) {
            b'#' if blank > at => self.source.line_end(blank),
            _ => blank,
        };
        if !self.source.is_break_or_end(end) {
            let problem = "text behind the | or > of a block scalar; put it on the next line";
            return Fault::new(at, problem);
        }
        let keep = chomping == Some(b'+');
        Ok(Header { indent, keep, end: self.source.after_break(end) })
    }

    /// The column of the body, from the first line that is not blank. `None`: there is no content.
    fn detected_body(&self, from: usize, around: isize) -> Parsed<Option<usize>> {
        let (mut at, mut widest) = (from, 0);
        loop {
            let text = self.source.skip_spaces(at);
            let spaces = text - at;
            match self.source.byte(text) {
                0 => return Ok(None),
                b'\n' | b'\r' => {
                    widest = widest.max(spaces);
                    at = self.source.after_break(text);
                }
                _ if spaces.cast_signed() <= around => return Ok(None),
                _ if spaces == 0 && self.source.is_marker(text) => return Ok(None),
                // At the root, where a body may have column 0: a comment, as libyaml has it.
                b'#' if spaces == 0 && widest > 0 => return Ok(None),
                _ if widest > spaces => return Fault::new(text, UNEVEN),
                _ => return Ok(Some(spaces)),
            }
        }
    }

    /// The column of the body that the header gives; the first line must hold to it.
    fn given_body(&self, from: usize, indent: usize, around: isize) -> Parsed<Option<usize>> {
        let mut at = from;
        loop {
            let text = self.source.skip_spaces_up_to(at, at + indent);
            match self.source.byte(text) {
                b'\n' | b'\r' => at = self.source.after_break(text),
                0 => return Ok(Some(indent)),
                _ => {
                    let spaces = text - at;
                    let ends = spaces.cast_signed() <= around
                        || spaces == 0
                            && (self.source.is_marker(text) || self.source.byte(text) == b'#');
                    if spaces < indent && !ends {
                        return Fault::new(text, UNEVEN);
                    }
                    return Ok(Some(indent));
                }
            }
        }
    }
}

//! Plain and quoted scalars, aliases, and bracketed collections among block structure.
//!
//! Invariant: each of them is a key if a `:` is behind it on its line, and a value if not.

use crate::document::{NodeKind, Style};
use crate::text::Span;

use super::properties::Properties;
use super::slots::SlotKind;
use super::source::Stop;
use super::{Fault, Parsed, Parser};

const NO_COLON: &str = "text where a key is expected, without a `:` behind it; \
                        indent it deeper if it continues the value above";
const KEY_LINES: &str = "a key on more than one line; write it on one, or put `? ` before it";

impl Parser<'_> {
    pub(super) fn plain(&mut self) -> Parsed<()> {
        let start = self.pos;
        let (mut end, mut stop) = self.source.plain_part(start);
        if stop == Stop::Colon {
            let key = Span::new(start, end);
            self.pos = self.source.skip_blanks(end);
            return self.implicit_key(key, Style::Plain);
        }
        let Some(slot) = self.slot else {
            return Fault::new(start, NO_COLON);
        };
        let mut line = self.line;
        while stop == Stop::Line
            && let Some((line_start, next)) = self.continuation(end, slot.indent)
        {
            line = line_start;
            (end, stop) = self.source.plain_part(next);
            if stop == Stop::Colon {
                return Fault::new(next, KEY_LINES);
            }
        }
        self.fill(NodeKind::Scalar, Style::Plain, Span::new(start, end))?;
        (self.pos, self.line, self.fresh) = (end, line, false);
        Ok(())
    }

    /// The next line that a plain scalar, of which a line ends at `end`, goes on with: start of the
    /// line, and of the text on it.
    #[inline]
    fn continuation(&self, end: usize, indent: isize) -> Option<(usize, usize)> {
        let mut at = self.source.skip_blanks(end);
        loop {
            let line = self.source.after_break(at);
            let spaces_end = self.source.skip_spaces(line);
            at = self.source.skip_blanks(spaces_end);
            match self.source.byte(at) {
                0 | b'#' => return None,
                b'\n' | b'\r' => {}
                _ => {
                    let deeper = (spaces_end - line).cast_signed() > indent;
                    let marker = at == line && self.source.is_marker(at);
                    return (deeper && !marker).then_some((line, at));
                }
            }
        }
    }

    pub(super) fn quoted(&mut self, quote: u8) -> Parsed<()> {
        let start = self.pos;
        let end = self.quoted_end(start, quote)?;
        let style = if quote == b'"' { Style::Double } else { Style::Single };
        self.key_or_value(Span::new(start, end), NodeKind::Scalar, style)
    }

    pub(super) fn alias(&mut self) -> Parsed<()> {
        let span = self.read_alias()?;
        self.key_or_value(span, NodeKind::Alias, Style::Plain)
    }

    /// A scalar or alias that may be a key, by what is behind it.
    fn key_or_value(&mut self, span: Span, kind: NodeKind, style: Style) -> Parsed<()> {
        if let Some(colon) = self.colon_behind(span)? {
            self.pos = colon;
            return self.implicit_key(span, style);
        }
        if kind == NodeKind::Alias {
            self.refuse_properties_above(span.start())?;
        }
        self.fill(kind, style, span)?;
        self.pass(span);
        self.expect_line_end()
    }

    /// Where the `:` is that makes what has the span `span` a key, if there is one.
    fn colon_behind(&self, span: Span) -> Parsed<Option<usize>> {
        let at = self.source.skip_blanks(span.end());
        if self.source.byte(at) == b':' && self.source.is_separator(at + 1) {
            if self.source.find_break(span.start(), span.end()).is_some() {
                return Fault::new(span.start(), KEY_LINES);
            }
            return Ok(Some(at));
        }
        if self.slot.is_none() {
            return Fault::new(span.start(), NO_COLON);
        }
        Ok(None)
    }

    /// Goes behind `span`, which starts on the line at hand.
    fn pass(&mut self, span: Span) {
        self.line = self.source.last_line(self.line, span.start(), span.end());
        (self.pos, self.fresh) = (span.end(), false);
    }

    /// A bracketed collection, as a value or as a key.
    pub(super) fn bracketed(&mut self) -> Parsed<()> {
        let (start, fresh) = (self.pos, self.fresh);
        let first = self.nodes.len();
        let (properties, comments) = (self.properties, self.comments.clone());
        let (parent, indent) = match self.slot {
            Some(slot) => (slot.parent, slot.indent),
            None => (self.container(), self.frames.last().map_or(-1, |f| f.indent.cast_signed())),
        };
        self.push_comments();
        self.properties = Properties::default();
        for (kind, span) in properties.iter() {
            self.push_new(span, parent, kind, Style::Plain);
        }
        let node = self.nodes.len();
        self.read_flow(parent, indent)?;
        let span = Span::new(start, self.pos);
        if let Some(colon) = self.colon_behind(span)? {
            self.nodes.truncate(first);
            (self.properties, self.comments) = (properties, comments);
            (self.pos, self.fresh) = (colon, fresh);
            return self.implicit_key(span, Style::Flow);
        }
        self.expect_no_pair(&properties)?;
        if let Some(slot) = self.slot.take()
            && slot.kind == SlotKind::Key
        {
            self.collapse_to_key(node, Style::Flow);
            self.await_value(slot, node);
        }
        self.fresh = false;
        self.expect_line_end()
    }

    /// The end of the quoted scalar at `start`.
    pub(super) fn quoted_end(&self, start: usize, quote: u8) -> Parsed<usize> {
        let mut at = start + 1;
        let close = loop {
            let Some(found) = self.source.find_quote(at, quote) else {
                return Fault::new(start, "a quote that is never closed");
            };
            at = match self.source.byte(found) {
                b'\\' => self.escape_end(found)?,
                b'\'' if self.source.byte(found + 1) == b'\'' => found + 2,
                _ => break found,
            };
        };
        let mut from = start + 1;
        while let Some(found) = self.source.find_break(from, close) {
            from = self.source.after_break(found);
            if self.source.is_marker(from) {
                return Fault::new(
                    from,
                    "a line of --- or ... inside of quotes, which ends the document; indent it",
                );
            }
        }
        Ok(close + 1)
    }

    /// The end of the escape whose `\` is at `at`.
    fn escape_end(&self, at: usize) -> Parsed<usize> {
        let digits = match self.source.byte(at + 1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            b'\n' | b'\r' => return Ok(self.source.after_break(at + 1)),
            byte if b"0abt\tnvfre \"/\\N_LP".contains(&byte) => return Ok(at + 2),
            _ => {
                let problem = "an escape that YAML does not know; write \\\\ for a backslash";
                return Fault::new(at, problem);
            }
        };
        let end = at + 2 + digits;
        let value = |from: usize| self.source.hex(from, digits);
        let fault = Fault::new(at, "an escape that spells no character");
        match value(at + 2) {
            Some(0xd800..=0xdbff) if digits == 4 => {
                // As in JSON, two escapes can spell one character.
                let follows = self.source.byte(end) == b'\\' && self.source.byte(end + 1) == b'u';
                match value(end + 2) {
                    Some(0xdc00..=0xdfff) if follows => Ok(end + 6),
                    _ => fault,
                }
            }
            Some(value) if char::from_u32(value).is_some() => Ok(end),
            _ => fault,
        }
    }
}

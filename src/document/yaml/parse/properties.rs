//! Anchors, tags and aliases.
//!
//! Invariants: a value has one anchor and one tag at most; what stands on a line of its own above a
//! block map belongs to the map, what stands before a key on its line to the key.

use crate::document::NodeKind;
use crate::document::Style;
use crate::text::Span;

use super::{Fault, Parsed, Parser};

/// The properties before one node, in the order of the text.
#[derive(Clone, Copy, Default)]
pub(super) struct Properties {
    list: [Option<(NodeKind, Span)>; 2],
    /// Whether the first one is the first thing on its line.
    fresh: bool,
}

impl Properties {
    pub(super) fn is_empty(&self) -> bool {
        self.list[0].is_none()
    }

    pub(super) fn has(&self, kind: NodeKind) -> bool {
        self.iter().any(|(other, _)| other == kind)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeKind, Span)> + use<> {
        self.list.into_iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    fn add(&mut self, kind: NodeKind, span: Span) -> Parsed<()> {
        if self.has(kind) {
            return Fault::new(span.start(), TWO_OF_A_KIND);
        }
        let free = usize::from(self.list[0].is_some());
        self.list[free] = Some((kind, span));
        Ok(())
    }
}

const TWO_OF_A_KIND: &str = "a value can have one anchor and one tag only; remove one of the two";
const NO_SPACE: &str = "a space is needed behind an anchor, alias or tag";

impl<'t> Parser<'t> {
    /// Start of the node at `pos`, properties on its line included, and whether that is the first
    /// thing on the line.
    pub(super) fn node_start(&self) -> (usize, bool) {
        match self.properties.list[0] {
            Some((_, span)) => (span.start(), self.properties.fresh),
            None => (self.pos, self.fresh),
        }
    }

    /// Reads the `&name` or `!tag` at `pos`.
    pub(super) fn read_property(&mut self) -> Parsed<(NodeKind, Span)> {
        let start = self.pos;
        let kind = if self.source.byte(start) == b'&' { NodeKind::Anchor } else { NodeKind::Tag };
        let end = match kind {
            NodeKind::Anchor => self.name_end(start)?,
            _ => self.tag_end(start)?,
        };
        let span = Span::new(start, end);
        if self.properties.is_empty() {
            self.properties.fresh = self.fresh;
        }
        self.properties.add(kind, span)?;
        if kind == NodeKind::Anchor {
            self.anchors.insert(&self.source.text[start + 1..end]);
        }
        self.pos = end;
        Ok((kind, span))
    }

    /// Pushes the properties on this line.
    pub(super) fn push_properties(&mut self, parent: usize) {
        for (kind, span) in std::mem::take(&mut self.properties).iter() {
            self.push_new(span, parent, kind, Style::Plain);
        }
    }

    /// Ends the properties above a value; refuses one that `below`, on its line, is there too.
    pub(super) fn expect_no_pair(&mut self, below: &Properties) -> Parsed<()> {
        let above = std::mem::take(&mut self.above);
        match below.iter().find(|&(kind, _)| above.has(kind)) {
            Some((_, span)) => Fault::new(span.start(), TWO_OF_A_KIND),
            None => Ok(()),
        }
    }

    /// Pushes the properties on this line, for the value that fills the slot.
    #[inline]
    pub(super) fn push_properties_of_value(&mut self, parent: usize) -> Parsed<()> {
        if !(self.properties.is_empty() && self.above.is_empty()) {
            let properties = self.properties;
            self.expect_no_pair(&properties)?;
            self.push_properties(parent);
        }
        Ok(())
    }

    /// A line ends: the properties on it belong to the open slot, whatever comes.
    #[inline]
    pub(super) fn end_properties(&mut self) -> Parsed<()> {
        if self.properties.is_empty() { Ok(()) } else { self.push_properties_of_line() }
    }

    fn push_properties_of_line(&mut self) -> Parsed<()> {
        let properties = std::mem::take(&mut self.properties);
        let Some(mut slot) = self.slot else {
            let at = properties.list[0].map_or(self.pos, |(_, span)| span.start());
            return Fault::new(at, "an anchor or tag of a key must stand on the line of the key");
        };
        self.push_comments();
        for (kind, span) in properties.iter() {
            self.above.add(kind, span)?;
            self.push_new(span, slot.parent, kind, Style::Plain);
            slot.null_at = span.end();
        }
        self.slot = Some(slot);
        Ok(())
    }

    /// Reads the alias at `pos`.
    pub(super) fn read_alias(&mut self) -> Parsed<Span> {
        let start = self.pos;
        if !self.properties.is_empty() {
            return Fault::new(start, ALIAS_WITH_PROPERTIES);
        }
        let end = self.name_end(start)?;
        if !self.anchors.contains(&self.source.text[start + 1..end]) {
            return Fault::new(
                start,
                "an alias of an anchor that does not stand before it in the document; \
                 define the anchor first, or quote the value",
            );
        }
        self.pos = end;
        Ok(Span::new(start, end))
    }

    /// Refuses properties of lines before, for an alias that is a value.
    pub(super) fn refuse_properties_above(&self, at: usize) -> Parsed<()> {
        if self.above.is_empty() { Ok(()) } else { Fault::new(at, ALIAS_WITH_PROPERTIES) }
    }

    /// The end of an anchor's or alias' name.
    fn name_end(&self, start: usize) -> Parsed<usize> {
        let mut end = start + 1;
        while !self.source.is_separator(end) && !self.source.is_flow_indicator(end) {
            end += 1;
        }
        if end == start + 1 {
            return Fault::new(start, "an anchor or alias without a name; quote the value");
        }
        self.expect_separation(end)?;
        Ok(end)
    }

    fn tag_end(&self, start: usize) -> Parsed<usize> {
        let byte = |at| self.source.byte(at);
        let mut end = start + 1;
        if byte(end) == b'<' {
            end = self.uri_end(end + 1, is_uri_byte)?;
            if end == start + 2 || byte(end) != b'>' {
                return Fault::new(start, "a tag that starts with !< must end with > on its line");
            }
            end += 1;
        } else {
            while is_word_byte(byte(end)) {
                end += 1;
            }
            if byte(end) == b'!' {
                end += 1;
                if !self.is_declared(&self.source.text[start..end]) {
                    let problem = "a tag with a handle that no %TAG line declares; quote the value";
                    return Fault::new(start, problem);
                }
                let suffix = end;
                end = self.uri_end(end, is_tag_byte)?;
                if end == suffix {
                    return Fault::new(start, "a tag that ends behind its handle");
                }
            } else {
                end = self.uri_end(end, is_tag_byte)?;
            }
        }
        self.expect_separation(end)?;
        Ok(end)
    }

    fn is_declared(&self, handle: &str) -> bool {
        handle == "!!" || self.handles.contains(handle)
    }

    pub(super) fn uri_end(&self, mut end: usize, allowed: fn(u8) -> bool) -> Parsed<usize> {
        let start = end;
        loop {
            let byte = self.source.byte(end);
            if byte == b'%' {
                let hex = |at| self.source.byte(at).is_ascii_hexdigit();
                if !(hex(end + 1) && hex(end + 2)) {
                    return Fault::new(end, "a % in a tag must be followed by two hex digits");
                }
                end += 3;
            } else if allowed(byte) {
                end += 1;
            } else {
                break;
            }
        }
        self.check_escaped_utf8(start, end)?;
        Ok(end)
    }

    /// The escapes of a tag must spell UTF-8.
    fn check_escaped_utf8(&self, start: usize, end: usize) -> Parsed<()> {
        let part = &self.source.text.as_bytes()[start..end];
        let mut bytes = Vec::new();
        let mut at = 0;
        while let Some(offset) = memchr::memchr(b'%', &part[at..]) {
            at += offset;
            bytes.clear();
            while part.get(at) == Some(&b'%') {
                let digit = |at: usize| (part[at] as char).to_digit(16).unwrap_or(0) as u8;
                bytes.push(digit(at + 1) << 4 | digit(at + 2));
                at += 3;
            }
            if std::str::from_utf8(&bytes).is_err() {
                return Fault::new(start, "the % escapes of a tag must spell UTF-8 characters");
            }
        }
        Ok(())
    }

    fn expect_separation(&self, end: usize) -> Parsed<()> {
        let in_brackets = !self.flow.is_empty();
        let closes = matches!(self.source.byte(end), b',' | b']' | b'}');
        if self.source.is_separator(end) || (in_brackets && closes) {
            return Ok(());
        }
        Fault::new(end, NO_SPACE)
    }
}

const ALIAS_WITH_PROPERTIES: &str = "an alias can have no anchor and no tag of its own";

pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

pub(super) fn is_uri_byte(byte: u8) -> bool {
    is_word_byte(byte) || b"#;/?:@&=+$,_.!~*'()[]%".contains(&byte)
}

pub(super) fn is_tag_byte(byte: u8) -> bool {
    is_uri_byte(byte) && !matches!(byte, b'!' | b',' | b'[' | b']')
}

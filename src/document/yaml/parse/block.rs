//! Block structure: maps and lists by indentation.
//!
//! Invariants: the frames are the open block collections, each indented at least as much as the one
//! around it; the slot, if one is open, is inside of the last frame.

use crate::document::{MAX_DEPTH, Node, NodeId, NodeKind, Style, TOO_DEEP};
use crate::text::Span;

use super::properties::Properties;
use super::slots::{Slot, SlotKind};
use super::{Fault, Parsed, Parser};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Map,
    List,
}

/// An open block collection.
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    /// Column of its keys or dashes.
    pub(super) indent: usize,
    pub(super) node: usize,
    /// The explicit key (`? …`) that has no value yet.
    pub(super) awaiting: Option<usize>,
    /// Whether the collection itself is an explicit key.
    pub(super) is_key: bool,
}

/// SOPS' YAML library looks no further for the `:` of a key.
const MAX_KEY: usize = 1024;

impl Parser<'_> {
    /// The innermost open container: a block collection or the document.
    pub(super) fn container(&self) -> usize {
        self.frames.last().map_or(self.document, |frame| frame.node)
    }

    /// Reads the content of a document, up to the end of the text or a line of `---` or `...`.
    pub(super) fn content(&mut self) -> Parsed<()> {
        loop {
            self.skip_space()?;
            if self.at_end() || self.at_marker() {
                return self.close_document();
            }
            if self.fresh {
                self.align()?;
            }
            self.token()?;
        }
    }

    fn close_document(&mut self) -> Parsed<()> {
        if let Some(slot) = self.slot.take() {
            self.fill_with_null(slot);
        }
        self.close_frames(0, false);
        Ok(())
    }

    /// A fresh line starts: ends what is indented deeper, so that the token either goes into the
    /// slot or continues the innermost frame.
    fn align(&mut self) -> Parsed<()> {
        let dash = self.source.byte(self.pos) == b'-' && self.source.is_separator(self.pos + 1);
        if let Some(slot) = self.slot {
            let indent = self.indent.cast_signed();
            let takes_dash = matches!(slot.kind, SlotKind::Key | SlotKind::Value);
            if indent > slot.indent || (dash && takes_dash && indent == slot.indent) {
                return Ok(());
            }
            self.slot = None;
            self.fill_with_null(slot);
        }
        let mut depth = self.frames.len();
        while depth > 0 && self.frames[depth - 1].indent > self.indent {
            depth -= 1;
        }
        let goes_on = |depth: usize| {
            depth.checked_sub(1).is_some_and(|top| self.frames[top].indent == self.indent)
        };
        if goes_on(depth) && !dash && self.frames[depth - 1].kind == FrameKind::List {
            depth -= usize::from(goes_on(depth - 1));
        }
        if !goes_on(depth) {
            return Fault::new(
                self.pos,
                match self.frames.is_empty() {
                    true => "text behind the end of the document's value",
                    false => {
                        "a line that is indented like no line above it; indent it like its siblings"
                    }
                },
            );
        }
        let awaits = self.frames[depth - 1].awaiting.is_some();
        if depth < self.frames.len() || awaits || !self.comments.is_empty() {
            let byte = self.source.byte(self.pos);
            let colon = byte == b':' && self.source.is_separator(self.pos + 1);
            self.close_frames(depth, colon);
        }
        Ok(())
    }

    fn token(&mut self) -> Parsed<()> {
        let (byte, indicator) =
            (self.source.byte(self.pos), self.source.is_separator(self.pos + 1));
        match byte {
            b'-' if indicator => self.item(),
            b'?' if indicator => self.explicit_key(),
            b':' if indicator => self.colon(),
            b'&' | b'!' => {
                self.read_property()?;
                self.fresh = false;
                Ok(())
            }
            b'*' => self.alias(),
            b'"' | b'\'' => self.quoted(byte),
            b'[' | b'{' => self.bracketed(),
            b'|' | b'>' => self.block_scalar(byte),
            b'%' | b'@' | b'`' | b',' | b']' | b'}' | b'#' => {
                Fault::new(self.pos, "a character that no value can start with; quote the value")
            }
            _ => self.plain(),
        }
    }

    fn item(&mut self) -> Parsed<()> {
        if !self.properties.is_empty() {
            let problem = "an anchor or tag of a list must stand on a line of its own above it";
            return Fault::new(self.pos, problem);
        }
        let list = self.enter(FrameKind::List, self.pos, self.fresh)?;
        self.open_slot(SlotKind::Item, list);
        Ok(())
    }

    fn explicit_key(&mut self) -> Parsed<()> {
        if !self.properties.is_empty() {
            let problem = "an anchor or tag of a map must stand on a line of its own above it";
            return Fault::new(self.pos, problem);
        }
        let map = self.enter(FrameKind::Map, self.pos, self.fresh)?;
        self.open_slot(SlotKind::Key, map);
        Ok(())
    }

    /// A `:` that no key stands before on its line: the value of an explicit key, or of an empty one.
    fn colon(&mut self) -> Parsed<()> {
        let explicit = match (self.slot, self.frames.last()) {
            (None, Some(frame)) if self.properties.is_empty() => frame.awaiting,
            _ => None,
        };
        let Some(key) = explicit else {
            let at = if self.properties.is_empty() { self.pos } else { self.last_property_end() };
            return self.implicit_key(Span::at(at), Style::Plain);
        };
        if self.tabbed {
            return Fault::new(self.pos, TAB);
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.awaiting = None;
        }
        self.open_slot(SlotKind::Value, key);
        Ok(())
    }

    fn last_property_end(&self) -> usize {
        self.properties.iter().last().map_or(self.pos, |(_, span)| span.end())
    }

    /// A key with the span `key`, which has a `:` behind it at `pos`.
    pub(super) fn implicit_key(&mut self, key: Span, style: Style) -> Parsed<()> {
        let (start, fresh) = match self.properties.is_empty() {
            true => (key.start(), self.fresh),
            false => self.node_start(),
        };
        self.check_key_length(start, self.pos)?;
        let map = self.enter(FrameKind::Map, start, fresh)?;
        if !self.properties.is_empty() {
            self.push_properties(map);
        }
        let key = self.push_new(key, map, NodeKind::Key, style);
        let indent = self.frames.last().map_or(-1, |frame| frame.indent.cast_signed());
        self.pos += 1;
        let null_at = self.pos;
        let kind = SlotKind::Value;
        self.slot = Some(Slot { kind, indent, parent: key, null_at, compact: false });
        self.fresh = false;
        Ok(())
    }

    pub(super) fn check_key_length(&self, start: usize, colon: usize) -> Parsed<()> {
        let bytes = colon - start;
        let too_long = bytes > 4 * MAX_KEY
            || bytes > MAX_KEY && self.source.text[start..colon].chars().count() > MAX_KEY;
        if too_long {
            return Fault::new(start, "a key of more than 1024 characters; put `? ` before it");
        }
        Ok(())
    }

    /// The collection that a key or dash at `start` belongs to: the innermost one, or a new one in
    /// the open slot.
    fn enter(&mut self, kind: FrameKind, start: usize, fresh: bool) -> Parsed<usize> {
        if self.tabbed && fresh {
            return Fault::new(start, TAB);
        }
        let Some(slot) = self.slot else {
            return match self.frames.last() {
                Some(frame) if frame.kind == kind => Ok(frame.node),
                Some(Frame { kind: FrameKind::List, .. }) => {
                    Fault::new(start, "a key between the items of a list; indent it like a key")
                }
                _ => Fault::new(start, "a list item between the keys of a map; indent it deeper"),
            };
        };
        if !fresh && !slot.compact {
            return Fault::new(start, NOT_HERE);
        }
        let indent = start - self.line;
        if matches!(slot.kind, SlotKind::Root | SlotKind::Key) {
            self.push_comments();
        } else {
            self.push_comments_outside();
        }
        self.check_depth(start)?;
        let node_kind = if kind == FrameKind::Map { NodeKind::Map } else { NodeKind::List };
        let node = Node::new(Span::at(start), NodeId::new(slot.parent), node_kind, Style::Block);
        let node = self.push(node.with_indent(indent));
        let is_key = slot.kind == SlotKind::Key;
        self.frames.push(Frame { kind, indent, node, awaiting: None, is_key });
        self.slot = None;
        self.above = Properties::default();
        self.push_comments();
        Ok(node)
    }

    pub(super) fn check_depth(&self, at: usize) -> Parsed<()> {
        if self.frames.len() + self.flow.len() < MAX_DEPTH {
            return Ok(());
        }
        Fault::new(at, TOO_DEEP)
    }
}

const TAB: &str = "a tab as indentation of a key or list item; use spaces";
const NOT_HERE: &str = "a map or list that starts behind something on its line; \
                        put it on a line of its own, or quote the value";

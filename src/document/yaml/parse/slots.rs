//! Slots: the places where values go, and what becomes of what goes there.
//!
//! Invariants: a slot is filled once, by a value or by a null that is not written; what goes into the
//! slot behind `?` becomes a `Key`, without what is inside, and then awaits a value.

use crate::document::{Node, NodeKind, Style};
use crate::text::Span;

use super::properties::Properties;
use super::{Fault, Parsed, Parser};

/// A place for a value.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) kind: SlotKind,
    /// The value must be indented deeper than this; -1 at the root.
    pub(super) indent: isize,
    /// Parent of the value (of a key: its map).
    pub(super) parent: usize,
    /// Where a null stands that is not written.
    pub(super) null_at: usize,
    /// Whether a block collection can start on the line of the `-`, `?` or `:`.
    pub(super) compact: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotKind {
    Root,
    Item,
    /// Behind `?`: the value becomes a key.
    Key,
    Value,
}

impl Parser<'_> {
    /// Steps over the indicator at `pos`, and opens the slot behind it.
    pub(super) fn open_slot(&mut self, kind: SlotKind, parent: usize) {
        let indent = self.frames.last().map_or(-1, |frame| frame.indent.cast_signed());
        let null_at = self.pos + 1;
        let next = self.source.skip_spaces(null_at);
        let compact = self.source.byte(next) != b'\t';
        self.slot = Some(Slot { kind, indent, parent, null_at, compact });
        self.above = Properties::default();
        self.fresh = false;
        self.pos = null_at;
    }

    /// Puts a value into the open slot, with the properties on its line.
    pub(super) fn fill(&mut self, kind: NodeKind, style: Style, span: Span) -> Parsed<usize> {
        let Some(slot) = self.slot.take() else {
            return Fault::new(
                span.start(),
                "a key without a `:` behind it, or a line too far left",
            );
        };
        self.push_comments();
        self.push_properties_of_value(slot.parent)?;
        let kind = if slot.kind == SlotKind::Key { NodeKind::Key } else { kind };
        let node = self.push_new(span, slot.parent, kind, style);
        self.await_value(slot, node);
        Ok(node)
    }

    /// If `slot` is that of an explicit key: `node`, which fills it, awaits a value.
    pub(super) fn await_value(&mut self, slot: Slot, node: usize) {
        if slot.kind == SlotKind::Key
            && let Some(frame) = self.frames.last_mut()
        {
            frame.awaiting = Some(node);
        }
    }

    pub(super) fn fill_with_null(&mut self, slot: Slot) {
        let bare = self.above.is_empty();
        self.above = Properties::default();
        match slot.kind {
            SlotKind::Root if bare => {}
            SlotKind::Root | SlotKind::Item | SlotKind::Value => {
                self.push_null(slot.null_at, slot.parent);
            }
            SlotKind::Key => {
                let span = Span::at(slot.null_at);
                let key = self.push_new(span, slot.parent, NodeKind::Key, Style::Plain);
                self.await_value(slot, key);
            }
        }
    }

    /// The innermost frame gets no value for its explicit key anymore.
    pub(super) fn settle_key(&mut self) {
        if let Some(key) = self.frames.last_mut().and_then(|frame| frame.awaiting.take()) {
            self.push_null(self.nodes[key].span().end(), key);
        }
    }

    /// Ends the innermost frame.
    pub(super) fn close_frame(&mut self) {
        self.settle_key();
        let Some(frame) = self.frames.pop() else { return };
        self.end_node(frame.node, self.last_end);
        if frame.is_key {
            self.collapse_to_key(frame.node, Style::Block);
            if let Some(outer) = self.frames.last_mut() {
                outer.awaiting = Some(frame.node);
            }
        }
    }

    /// Makes the collection at `node` one `Key`, without what is inside.
    pub(super) fn collapse_to_key(&mut self, node: usize, style: Style) {
        let collection = self.nodes[node];
        self.nodes.truncate(node);
        self.nodes.push(Node::new(collection.span(), collection.parent(), NodeKind::Key, style));
    }
}

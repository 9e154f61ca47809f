//! The documents of a stream.
//!
//! Invariants: a document starts where the one before it ends, behind its `...` line or at its own
//! `---`; there is at least one document, if only of comments; anchors and tag handles end with
//! their document.

use crate::document::{Node, NodeId, NodeKind, Style};
use crate::text::Span;

use super::slots::{Slot, SlotKind};
use super::{Fault, Parsed, Parser};

impl Parser<'_> {
    pub(super) fn stream(&mut self) -> Parsed<()> {
        let mut start = self.pos;
        while let Some(explicit) = self.prefix()? {
            self.open_document(start);
            let (kind, parent) = (SlotKind::Root, self.document);
            if explicit {
                self.pos += "---".len();
                self.fresh = false;
            }
            let null_at = self.pos;
            self.slot = Some(Slot { kind, indent: -1, parent, null_at, compact: false });
            self.content()?;
            if self.source.byte(self.pos) == b'.' {
                self.end_line()?;
                self.push_comments();
            }
            start = self.pos;
        }
        if self.nodes.is_empty() {
            self.open_document(start);
        }
        self.push_comments();
        self.end_node(self.document, self.source.len());
        Ok(())
    }

    /// Reads what stands before a document: comments, directives, lines of `...`. Whether the
    /// document starts by `---`; `None`: there is none.
    fn prefix(&mut self) -> Parsed<Option<bool>> {
        let (mut directives, mut versions) = (false, 0);
        self.anchors.clear();
        self.handles.clear();
        loop {
            self.skip_space()?;
            let byte = self.source.byte(self.pos);
            if self.at_marker() && byte == b'-' {
                return Ok(Some(true));
            }
            let directive = byte == b'%' && self.pos == self.line;
            if directives && !directive {
                return Fault::new(self.pos, "a line of `---` must follow the % lines");
            }
            if directive {
                directives = true;
                self.read_directive(&mut versions)?;
            } else if self.at_marker() {
                self.end_line()?;
            } else {
                return Ok((byte != 0).then_some(false));
            }
        }
    }

    /// Goes behind the `...` at `pos` and its line.
    fn end_line(&mut self) -> Parsed<()> {
        self.pos += "...".len();
        self.fresh = false;
        self.expect_line_end()?;
        let at = self.source.skip_blanks(self.pos);
        let end = self.source.line_end(at);
        if at < end {
            self.hold_comment(at, end);
        }
        self.start_line(self.source.after_break(end));
        Ok(())
    }

    fn open_document(&mut self, start: usize) {
        if !self.nodes.is_empty() {
            self.end_node(self.document, start);
        }
        let id = NodeId::new(self.nodes.len());
        let node = Node::new(Span::at(start), id, NodeKind::Document, Style::Plain);
        self.document = self.push(node);
        self.push_comments();
    }
}

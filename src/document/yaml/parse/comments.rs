//! To which container a comment belongs.
//!
//! Invariants: a comment behind something on its line belongs to the innermost collection that is
//! open there. One on a line of its own, between a key and a collection under it, belongs to that
//! collection, but at the root to the document. Any other belongs to the innermost collection that is
//! indented no deeper than the comment, but never to one outside of the collection that goes on behind
//! it, and never to one inside of a collection that a comment before it has ended.

use crate::document::{Node, NodeId, NodeKind, Style};
use crate::text::Span;

use super::Parser;
use super::block::FrameKind;

/// A comment that waits for the token behind it.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    span: Span,
    column: usize,
    style: Style,
    /// Number of collections open where it stands.
    depth: usize,
}

impl Parser<'_> {
    pub(super) fn hold_comment(&mut self, start: usize, end: usize) {
        self.comments.push(Pending {
            span: Span::new(start, end),
            column: start - self.line,
            style: if self.fresh { Style::Line } else { Style::Inline },
            depth: self.frames.len(),
        });
    }

    pub(super) fn push_comment(&mut self, span: Span, style: Style, parent: usize) {
        self.nodes.push(Node::new(span, NodeId::new(parent), NodeKind::Comment, style));
    }

    /// Comments before a value that is no block collection: the collection around it owns them.
    #[inline]
    pub(super) fn push_comments(&mut self) {
        if !self.comments.is_empty() {
            self.push_first_comments(self.comments.len());
        }
    }

    /// Gives all comments to one container.
    pub(super) fn push_comments_to(&mut self, parent: usize) {
        for index in 0..self.comments.len() {
            let Pending { span, style, .. } = self.comments[index];
            self.push_comment(span, style, parent);
        }
        self.comments.clear();
    }

    /// Gives the first `count` comments to the innermost open collection.
    fn push_first_comments(&mut self, count: usize) {
        let parent = self.container();
        for index in 0..count {
            let Pending { span, style, .. } = self.comments[index];
            self.push_comment(span, style, parent);
        }
        self.comments.drain(..count);
    }

    /// Comments before a block collection that opens in a slot: those behind the `:` or `-` belong to
    /// the collection around it; those on lines of their own to the new one, as SOPS has it.
    pub(super) fn push_comments_outside(&mut self) {
        let inline = |comment: &Pending| comment.style == Style::Inline;
        let count = self.comments.iter().rposition(inline).map_or(0, |last| last + 1);
        if count > 0 {
            self.push_first_comments(count);
        }
    }

    /// Ends all collections but the outermost `depth`, and gives each comment to its owner. With
    /// `colon`, the value of an explicit key follows.
    pub(super) fn close_frames(&mut self, depth: usize, colon: bool) {
        if !self.comments.is_empty() {
            let comments = std::mem::take(&mut self.comments);
            for comment in &comments {
                while self.frames.len() > depth.max(1) && !self.owns(comment) {
                    self.close_frame();
                }
                if !(colon && self.frames.len() == depth) {
                    self.settle_key();
                }
                self.push_comment(comment.span, comment.style, self.container());
            }
            self.comments = comments;
            self.comments.clear();
        }
        while self.frames.len() > depth {
            self.close_frame();
        }
        if !colon {
            self.settle_key();
        }
    }

    /// Whether a comment that stands behind the innermost collection belongs to it.
    fn owns(&self, comment: &Pending) -> bool {
        if comment.style == Style::Inline {
            return self.frames.len() <= comment.depth;
        }
        let Some((top, outer)) = self.frames.split_last() else { return true };
        let dashes_under_key = top.kind == FrameKind::List
            && outer.last().is_some_and(|around| around.indent == top.indent);
        if dashes_under_key { comment.column > top.indent } else { comment.column >= top.indent }
    }
}

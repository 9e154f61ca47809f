//! Which key or item a comment is said to stand by, and so whose path it is sealed under.
//!
//! The parent of a comment node is where it stands for whoever edits the text. SOPS has its comments
//! from its YAML library, which goes by blank lines, indentation and line ends, and gives a comment to
//! a neighbour where a reader may not see why. Its choice counts for sealing.

use super::{Document, Format, NodeId, yaml};

/// Where SOPS has a comment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// Right before this entry (its `Key`) or item (its value).
    Before(NodeId),
    /// Right behind this entry or item.
    After(NodeId),
    /// In this collection, before everything else.
    First(NodeId),
    /// In this collection or document, behind everything else.
    Last(NodeId),
}

impl Owner {
    /// The map, list or document that the comment is in.
    #[must_use]
    pub fn container(self, doc: &Document) -> NodeId {
        match self {
            Self::Before(item) | Self::After(item) => doc.node(item).parent(),
            Self::First(container) | Self::Last(container) => container,
        }
    }
}

impl Document {
    /// The comments that SOPS keeps, in the order of the text, each with its owner; it loses the others. A
    /// comment on the first line of a block scalar is named by the scalar. Empty but for YAML: in other
    /// formats the parent of a comment owns it.
    #[must_use]
    pub fn comment_owners(&self) -> Vec<(NodeId, Owner)> {
        if self.format == Format::Yaml { yaml::comment_owners(self) } else { Vec::new() }
    }

    /// The text of a comment that [`Document::comment_owners`] names, without its `#`.
    #[must_use]
    pub fn comment_text(&self, id: NodeId) -> &str {
        let header =
            (self.format == Format::Yaml).then(|| yaml::header_comment(self, id)).flatten();
        let text = header.unwrap_or(self.source(id));
        text.strip_prefix('#').unwrap_or(text)
    }

    /// Says that an entry of the root of the first document is about to be put at this offset: what
    /// follows a comment can change its owner. Block scalars are taken to lose the blank lines at their
    /// end, as they do when they are sealed.
    pub(crate) fn announce_entry(&mut self, offset: usize) {
        self.announced = Some(offset);
    }

    /// Where an entry is about to be put.
    pub(crate) fn announced(&self) -> Option<usize> {
        self.announced
    }
}

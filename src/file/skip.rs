//! Entries that are left out of a walk, each with all below it: the metadata.

use crate::document::{Document, Format, NodeId, subtree_end};

/// For each node whether it is left out.
pub(crate) struct Skip(Vec<bool>);

impl Skip {
    /// Leaves out these entries (`Key` nodes) or list items.
    pub(crate) fn new(doc: &Document, roots: &[NodeId]) -> Self {
        let mut skipped = vec![false; doc.nodes().len()];
        for &root in roots {
            // A comment behind `sops:` belongs to the root, and goes with the entry.
            let contiguous = doc.format() != Format::Toml;
            let end = if contiguous { subtree_end(doc, root) } else { root.index() + 1 };
            skipped[root.index()..end].fill(true);
        }
        for id in doc.ids() {
            let parent = doc.node(id).parent();
            skipped[id.index()] |= parent != id && skipped[parent.index()];
        }
        Self(skipped)
    }

    /// Whether this node is left out.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.0[id.index()]
    }
}

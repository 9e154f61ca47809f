//! What is looked up again and again in a document: computed once, when it is first asked for.
//!
//! Invariant: a lookup costs no more in a text that was made to be slow (comments without end, ten
//! thousand aliases of one name) than in any other.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Document, NodeId, NodeKind};

/// Empty until something is asked for.
#[derive(Default)]
pub(super) struct Links {
    anchors: OnceLock<Anchors>,
    ends: OnceLock<Vec<u32>>,
    before_comments: OnceLock<Vec<u32>>,
    handles: OnceLock<Handles>,
}

/// Every document with the tag handles that it declares, and what each stands for.
pub(super) type Handles = Vec<(NodeId, HashMap<String, String>)>;

/// Every anchor, by its name.
struct Anchors {
    /// In the order of the text: the anchor, and the key or value behind it.
    by_name: HashMap<String, Vec<(NodeId, NodeId)>>,
    documents: Vec<NodeId>,
}

impl Document {
    /// The key or value that an alias stands for: the one behind the last anchor of its name.
    #[must_use]
    pub fn alias_target(&self, alias: NodeId) -> Option<NodeId> {
        self.anchored(alias, self.source(alias).strip_prefix('*')?)
    }

    /// The key or value behind the last anchor of this name before a node, in its document.
    #[must_use]
    pub fn anchored(&self, before: NodeId, name: &str) -> Option<NodeId> {
        let anchors = self.links.anchors.get_or_init(|| Anchors::of(self));
        let named = anchors.by_name.get(name)?;
        let &(anchor, target) = last_before(named, |&(anchor, _)| anchor < before)?;
        let document = last_before(&anchors.documents, |&document| document < before)?;
        (anchor > *document).then_some(target)
    }

    /// Index behind the last node of a subtree, from the table of all.
    pub(super) fn end_in_table(&self, root: NodeId) -> usize {
        self.links.ends.get_or_init(|| ends(self))[root.index()] as usize
    }

    /// The last node before this one that is no comment.
    pub(super) fn before_comments(&self, id: NodeId) -> Option<NodeId> {
        const NEAR: usize = 16;
        let nodes = &self.nodes()[..id.index()];
        let is_other = |at: &usize| nodes[*at].kind() != NodeKind::Comment;
        let far = nodes.len().saturating_sub(NEAR);
        if let Some(found) = (far..nodes.len()).rev().find(is_other) {
            return Some(NodeId::new(found));
        }
        if far == 0 {
            return None;
        }
        let table = self.links.before_comments.get_or_init(|| before_comments(self));
        table[id.index()].checked_sub(1).map(|before| NodeId::new(before as usize))
    }

    /// What a tag handle stands for in the document of this node; `read` gives the handles of all.
    pub(super) fn handle(
        &self,
        node: NodeId,
        handle: &str,
        read: impl FnOnce() -> Handles,
    ) -> Option<&str> {
        let handles = self.links.handles.get_or_init(read);
        let (_, declared) = last_before(handles, |&(document, _)| document < node)?;
        declared.get(handle).map(String::as_str)
    }
}

/// The last of a list whose first part fulfils a condition that the rest does not.
fn last_before<T>(list: &[T], before: impl FnMut(&T) -> bool) -> Option<&T> {
    list.partition_point(before).checked_sub(1).map(|at| &list[at])
}

impl Anchors {
    fn of(doc: &Document) -> Self {
        let mut anchors = Self { by_name: HashMap::new(), documents: Vec::new() };
        // Those whose key or value is yet to come.
        let mut open: Vec<NodeId> = Vec::new();
        for id in doc.ids() {
            let node = doc.node(id);
            match node.kind() {
                NodeKind::Document => anchors.documents.push(id),
                NodeKind::Anchor => open.push(id),
                NodeKind::Comment | NodeKind::Tag => {}
                NodeKind::Map
                | NodeKind::List
                | NodeKind::Key
                | NodeKind::Scalar
                | NodeKind::Alias => {
                    while let Some(anchor) =
                        open.pop_if(|anchor| doc.node(*anchor).parent() == node.parent())
                    {
                        let source = doc.source(anchor);
                        let name = source.strip_prefix('&').unwrap_or(source).to_owned();
                        anchors.by_name.entry(name).or_default().push((anchor, id));
                    }
                }
            }
        }
        anchors
    }
}

/// For each node the index behind its last descendant.
fn ends(doc: &Document) -> Vec<u32> {
    let behind = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
    let mut ends: Vec<u32> = (0..doc.nodes().len()).map(behind).collect();
    for id in doc.ids().rev() {
        let parent = doc.node(id).parent();
        ends[parent.index()] = ends[parent.index()].max(ends[id.index()]);
    }
    ends
}

/// For each node one more than the index of the last node before it that is no comment; 0: none.
fn before_comments(doc: &Document) -> Vec<u32> {
    let mut last = 0;
    doc.nodes()
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let before = last;
            if node.kind() != NodeKind::Comment {
                last = u32::try_from(index + 1).unwrap_or(u32::MAX);
            }
            before
        })
        .collect()
}

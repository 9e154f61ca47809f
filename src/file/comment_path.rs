//! The path of a comment that belongs elsewhere than where it stands: YAML only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::budget::Stop;
use super::key_matches::KeyMatches;
use super::skip::Skip;
use super::walk::spend;
use crate::crypto::path::push_component;
use crate::document::{Document, NodeId, NodeKind, Owner};
use crate::policy::Rule;

/// What a comment is sealed under.
pub(crate) struct CommentPath {
    /// Each key, then `:`; `:` at the root.
    pub(crate) aad: String,
    /// The keys, as the value nonce takes them, and their number.
    pub(crate) components: Vec<u8>,
    pub(crate) count: u64,
    /// A key rule matches one of them.
    pub(crate) matched: bool,
}

/// Whose each comment is. One that SOPS takes for a part of the metadata is lost with it.
pub(crate) fn owners(doc: &Document, skip: Option<&Skip>) -> HashMap<NodeId, Owner> {
    let mut owners: HashMap<NodeId, Owner> = doc.comment_owners().into_iter().collect();
    owners.retain(|_, owner| !skip.is_some_and(|skip| skip.contains(owner.container(doc))));
    owners
}

/// How many bytes of paths are kept for the next comment: the budget alone would let them fill the
/// memory.
const KEPT: usize = 16 << 20;

/// Where the comments of a document belong, and the paths built so far.
pub(crate) struct CommentPaths {
    owners: HashMap<NodeId, Owner>,
    /// The innermost key that each node is, or is below; empty if there are no owners.
    enclosing: Vec<Option<NodeId>>,
    built: HashMap<Option<NodeId>, CommentPath>,
    /// The bytes of `built`.
    held: usize,
}

impl CommentPaths {
    pub(crate) fn new(doc: &Document, owners: HashMap<NodeId, Owner>) -> Self {
        let enclosing = if owners.is_empty() { Vec::new() } else { enclosing_keys(doc) };
        Self { owners, enclosing, built: HashMap::new(), held: 0 }
    }

    /// The key (`None`: at the root) that a comment belongs below, if it stands below another one.
    #[expect(clippy::option_option, reason = "no key is a place, too")]
    pub(crate) fn moved(&self, doc: &Document, comment: NodeId) -> Option<Option<NodeId>> {
        let key = self.enclosing[self.owners.get(&comment)?.container(doc).index()];
        (key != self.enclosing[doc.node(comment).parent().index()]).then_some(key)
    }

    /// The path that a comment is sealed under below this key (none: at the root). Takes what it costs
    /// to build and to seal under from the bytes `left`.
    pub(crate) fn path(
        &mut self,
        doc: &Document,
        matches: &mut KeyMatches<'_>,
        key: Option<NodeId>,
        comment: NodeId,
        left: &mut usize,
    ) -> Result<&CommentPath, Stop> {
        if self.held > KEPT {
            self.built.clear();
            self.held = 0;
        }
        let path = match self.built.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let outer = |key: &NodeId| self.enclosing[doc.node(*key).parent().index()];
                let mut keys: Vec<NodeId> = std::iter::successors(key, outer).collect();
                keys.reverse();
                let path =
                    CommentPath::of(doc, matches, &keys, |bytes| spend(left, bytes, comment))?;
                self.held += path.len();
                entry.insert(path)
            }
        };
        spend(left, path.aad.len(), comment)?;
        Ok(path)
    }
}

/// In one pass: parents stand before their children.
fn enclosing_keys(doc: &Document) -> Vec<Option<NodeId>> {
    let mut enclosing: Vec<Option<NodeId>> = Vec::with_capacity(doc.nodes().len());
    for id in doc.ids() {
        let key = match doc.node(id).kind() {
            NodeKind::Key => Some(id),
            NodeKind::Document => None,
            NodeKind::Map
            | NodeKind::List
            | NodeKind::Scalar
            | NodeKind::Alias
            | NodeKind::Comment
            | NodeKind::Anchor
            | NodeKind::Tag => enclosing[doc.node(id).parent().index()],
        };
        enclosing.push(key);
    }
    enclosing
}

impl CommentPath {
    /// The path of what is under these keys, from the outermost one. `spend` is told of the bytes of
    /// each key as it is added.
    fn of(
        doc: &Document,
        matches: &mut KeyMatches<'_>,
        keys: &[NodeId],
        mut spend: impl FnMut(usize) -> Result<(), Stop>,
    ) -> Result<Self, Stop> {
        let count = keys.len() as u64;
        let mut path = Self { aad: String::new(), components: Vec::new(), count, matched: false };
        for &key in keys {
            let before = path.len();
            let text = doc.key_text(key);
            path.aad.push_str(&text);
            path.aad.push(':');
            push_component(&mut path.components, &text);
            spend(path.len() - before)?;
            path.matched = path.matched || matches.of(key, &text);
        }
        if path.aad.is_empty() {
            path.aad.push(':');
        }
        Ok(path)
    }

    fn len(&self) -> usize {
        self.aad.len() + self.components.len()
    }

    /// Whether a rule seals a comment there; one by comments has said so before (`active`).
    pub(crate) fn is_selected(&self, rule: &Rule, active: bool) -> bool {
        match rule {
            Rule::UnencryptedSuffix(_) | Rule::UnencryptedRegex(_) => !self.matched,
            Rule::EncryptedSuffix(_) | Rule::EncryptedRegex(_) => self.matched,
            Rule::UnencryptedCommentRegex(_) | Rule::EncryptedCommentRegex(_) => active,
        }
    }
}

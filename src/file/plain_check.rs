//! Holds a written plaintext against the values that it was written from.
//!
//! The plaintext is parsed like any other text; node by node it must have the structure of the
//! encrypted file, and each value must be the decrypted one.

use std::collections::HashMap;

use super::encrypted::EncryptedFile;
use super::open::Values;
use super::seal::EMPTY_COMMENT;
use super::spelling::PlainSites;
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::text::Position;
use crate::value::{Scalar, ScalarType};

/// A place that came out wrong: the node of the encrypted file, if it is known.
pub(crate) struct Failed {
    pub(crate) node: Option<NodeId>,
    pub(crate) position: Position,
}

/// Compares; the first difference is the error.
pub(crate) fn check(
    file: &EncryptedFile,
    values: &Values,
    plain: &Document,
    sites: &PlainSites,
) -> Result<(), Failed> {
    let doc = &file.doc;
    let failed = |node: Option<NodeId>, at: Option<NodeId>| Failed {
        node,
        position: Position::of(
            plain.text(),
            at.map_or(plain.text().len(), |at| plain.node(at).span().start()),
        ),
    };
    let mut mapped: Vec<NodeId> = vec![NodeId::new(usize::MAX); doc.nodes().len()];
    let mut opened = values.opened.iter().peekable();
    let mut aliased = sites.aliased.iter().peekable();
    let mut plain_ids = plain.ids().peekable();
    let mut skip_until = 0;
    let mut ahead = 0;
    for id in doc.ids() {
        if file.skip.contains(id) {
            continue;
        }
        if id.index() < skip_until {
            continue;
        }
        let node = doc.node(id);
        let noted = sites.noted.contains(&id);
        // A note can bring a tag back that the token could not keep, and moves properties.
        if matches!(node.kind(), NodeKind::Tag | NodeKind::Anchor) {
            if plain_ids.peek().is_some_and(|&at| plain.node(at).kind() == node.kind()) {
                mapped[id.index()] = plain_ids.next().unwrap_or(id);
            }
            continue;
        }
        // Bytes that are no text get the tag `!!binary`.
        let bytes = opened
            .peek()
            .is_some_and(|opened| opened.node == id && values.scalar(opened).text().is_none());
        if noted || bytes {
            // A note can bring a comment back that stood between tag and value.
            let before_value = |at: &NodeId| {
                let kind = plain.node(*at).kind();
                matches!(kind, NodeKind::Tag | NodeKind::Anchor)
                    || kind == NodeKind::Comment && node.kind() == NodeKind::Scalar
            };
            while plain_ids.next_if(before_value).is_some() {}
        }
        if sites.list_comments.contains(&id) && ahead > 0 {
            ahead -= 1;
            opened.next_if(|opened| opened.node == id);
            continue;
        }
        // `- - ENC[…,type:comment]` becomes `- # …`: the comment is then before the inner list.
        while node.kind() == NodeKind::List
            && !sites.list_comments.is_empty()
            && plain_ids.next_if(|&at| plain.node(at).kind() == NodeKind::Comment).is_some()
        {
            ahead += 1;
        }
        let Some(at) = plain_ids.next() else { return Err(failed(Some(id), None)) };
        mapped[id.index()] = at;
        let there = plain.node(at);
        if aliased.next_if(|(root, _)| *root == id).is_some_and(|&(_, end)| {
            skip_until = end;
            true
        }) {
            if there.kind() != NodeKind::Alias {
                return Err(failed(Some(id), Some(at)));
            }
            while opened.next_if(|opened| opened.node.index() < skip_until).is_some() {}
            continue;
        }
        let value = opened.next_if(|opened| opened.node == id);
        if sites.list_comments.contains(&id) {
            if there.kind() != NodeKind::Comment {
                return Err(failed(Some(id), Some(at)));
            }
            continue;
        }
        let parent = mapped[node.parent().index()];
        let same_parent = parent == there.parent() || node.kind() == NodeKind::Comment;
        if there.kind() != node.kind() || !same_parent {
            return Err(failed(Some(id), Some(at)));
        }
        let same = match value {
            Some(opened) => plain
                .scalar(at)
                .is_ok_and(|scalar| same_value(&values.scalar(opened), &scalar, noted)),
            None => {
                is_container(node.kind())
                    || doc.source(id) == plain.source(at)
                    || doc.format() == Format::Yaml
                        && node.kind() == NodeKind::Scalar
                        && doc.scalar(id).ok() == plain.scalar(at).ok()
            }
        };
        if !same {
            return Err(failed(Some(id), Some(at)));
        }
    }
    match plain_ids.next() {
        Some(at) => Err(failed(None, Some(at))),
        None if ahead > 0 => Err(failed(None, None)),
        None => Ok(()),
    }
}

/// Whether a node is known by its children alone.
pub(super) fn is_container(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Map | NodeKind::List | NodeKind::Document)
}

/// Whether a value reads back as it should: exactly, if its spelling came from a note; else numbers
/// of equal bytes are one thing, as they are to SOPS.
fn same_value(intended: &Scalar<'_>, read: &Scalar<'_>, exact: bool) -> bool {
    let same_kind = intended.kind == read.kind
        || intended.kind == ScalarType::Bytes && read.kind == ScalarType::Str
        || !exact && intended.kind.tree_name() == read.kind.tree_name();
    if exact && intended.kind == ScalarType::Comment && intended.text() == Some(EMPTY_COMMENT) {
        return same_kind && (read.bytes.is_empty() || intended.bytes == read.bytes);
    }
    // Beyond the digits of a float, a number's text is its float again.
    same_kind && intended.bytes == read.bytes
}

/// Compares values within an encrypted file, by what they decrypt to.
pub(crate) struct Comparer<'a> {
    doc: &'a Document,
    values: &'a Values,
    opened: HashMap<NodeId, usize>,
}

impl<'a> Comparer<'a> {
    pub(crate) fn new(doc: &'a Document, values: &'a Values) -> Self {
        Self { doc, values, opened: super::open::by_node(values) }
    }

    /// Whether two values are equal: kinds, keys, and leaves, aliases followed.
    pub(crate) fn equal(&self, a: NodeId, b: NodeId) -> bool {
        let mut pairs = vec![(a, b)];
        let mut budget = super::budget::ALIAS_BUDGET;
        while let Some((a, b)) = pairs.pop() {
            budget -= 1;
            let (Some(a), Some(b)) = (self.resolve(a), self.resolve(b)) else { return false };
            let (left, right) = (self.doc.node(a), self.doc.node(b));
            // An alias can name a key: a string.
            let leaf = |kind| if kind == NodeKind::Key { NodeKind::Scalar } else { kind };
            if budget == 0 || leaf(left.kind()) != leaf(right.kind()) {
                return false;
            }
            let same = match left.kind() {
                NodeKind::Map => {
                    let mut ours = self.doc.entries(a);
                    let mut theirs = self.doc.entries(b);
                    loop {
                        match (ours.next(), theirs.next()) {
                            (None, None) => break true,
                            (Some((k, v)), Some((l, w)))
                                if self.doc.key_text(k) == self.doc.key_text(l) =>
                            {
                                pairs.push((v, w));
                            }
                            _ => break false,
                        }
                    }
                }
                NodeKind::List => {
                    let ours: Vec<_> = self.doc.items(a).collect();
                    let theirs: Vec<_> = self.doc.items(b).collect();
                    pairs.extend(ours.iter().copied().zip(theirs.iter().copied()));
                    ours.len() == theirs.len()
                }
                _ => self.leaf(a).is_some_and(|leaf| Some(leaf) == self.leaf(b)),
            };
            if !same {
                return false;
            }
        }
        true
    }

    fn resolve(&self, id: NodeId) -> Option<NodeId> {
        let mut at = id;
        while self.doc.node(at).kind() == NodeKind::Alias {
            at = self.doc.alias_target(at)?;
        }
        Some(at)
    }

    fn leaf(&self, id: NodeId) -> Option<Scalar<'_>> {
        match self.opened.get(&id) {
            Some(&index) => Some(self.values.scalar(&self.values.opened[index])),
            None => super::seal::scalar_at(self.doc, id).ok(),
        }
    }
}

//! The path of a comment that belongs elsewhere than where it stands: YAML only.

use std::collections::HashMap;

use super::skip::Skip;
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

/// The innermost key that a container is the value of, or in the value of.
fn enclosing_key(doc: &Document, mut at: NodeId) -> Option<NodeId> {
    loop {
        match doc.node(at).kind() {
            NodeKind::Key => return Some(at),
            NodeKind::Document => return None,
            NodeKind::Map
            | NodeKind::List
            | NodeKind::Scalar
            | NodeKind::Alias
            | NodeKind::Comment
            | NodeKind::Anchor
            | NodeKind::Tag => at = doc.node(at).parent(),
        }
    }
}

/// The key (`None`: at the root) that a comment belongs below, if it stands below another one.
#[expect(clippy::option_option, reason = "no key is a place, too")]
pub(crate) fn moved(
    doc: &Document,
    owners: &HashMap<NodeId, Owner>,
    comment: NodeId,
) -> Option<Option<NodeId>> {
    let key = enclosing_key(doc, owners.get(&comment)?.container(doc));
    (key != enclosing_key(doc, doc.node(comment).parent())).then_some(key)
}

impl CommentPath {
    /// The path of what is under this key (none: at the root).
    pub(crate) fn under(doc: &Document, rule: &Rule, key: Option<NodeId>) -> Self {
        let outer = |key: &NodeId| enclosing_key(doc, doc.node(*key).parent());
        let mut keys: Vec<NodeId> = std::iter::successors(key, outer).collect();
        keys.reverse();
        let (mut aad, mut components, mut matched) = (String::new(), Vec::new(), false);
        for &key in &keys {
            let key = doc.key_text(key);
            aad.push_str(&key);
            aad.push(':');
            push_component(&mut components, &key);
            matched = matched || rule.matches_key(&key);
        }
        if aad.is_empty() {
            aad.push(':');
        }
        Self { aad, components, count: keys.len() as u64, matched }
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

//! Which keys the rule matches, each asked once: a key is seen again through every alias and for every
//! comment below it, and a pattern can take long over a long key.

use crate::document::{Document, NodeId};
use crate::policy::Rule;

/// What the rule says of each key so far.
pub(super) struct KeyMatches<'a> {
    rule: &'a Rule,
    known: Vec<Option<bool>>,
}

impl<'a> KeyMatches<'a> {
    pub(super) fn new(doc: &Document, rule: &'a Rule) -> Self {
        Self { rule, known: vec![None; doc.nodes().len()] }
    }

    /// Whether the rule matches this key; `text` is what the key stands for.
    pub(super) fn of(&mut self, key: NodeId, text: &str) -> bool {
        *self.known[key.index()].get_or_insert_with(|| self.rule.matches_key(text))
    }
}

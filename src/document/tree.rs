//! A part of a document as a value: for metadata, extraction and conversion.

use super::{Document, NodeId, NodeKind, ParseError};
use crate::value::Tree;

/// How deep aliases may stand within what aliases name.
const MAX_ALIAS_DEPTH: usize = 200;

/// How many nodes aliases may add to a tree.
const MAX_ALIAS_NODES: usize = 1_000_000;

impl Document {
    /// The value of a node, aliases expanded, comments left out.
    ///
    /// # Errors
    ///
    /// If a scalar has no value ([`Document::scalar`]) or aliases expand beyond measure.
    pub fn tree(&self, id: NodeId) -> Result<Tree, ParseError> {
        let mut budget = MAX_ALIAS_NODES;
        self.tree_within(id, 0, &mut budget)
    }

    /// Builds from the last node to the first: the children of a node are complete before it.
    fn tree_within(
        &self,
        root: NodeId,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Tree, ParseError> {
        let end = if self.format() == super::Format::Toml {
            self.nodes().len()
        } else {
            crate::document::subtree_end(self, root)
        };
        let mut parts: Vec<Vec<(NodeId, Tree)>> = Vec::new();
        parts.resize_with(end - root.index(), Vec::new);
        let inside = self.inside(root, end);
        for id in (root.index()..end).rev().map(NodeId::new) {
            if !inside[id.index() - root.index()] {
                continue;
            }
            let node = self.node(id);
            let mut own = std::mem::take(&mut parts[id.index() - root.index()]);
            own.reverse();
            let tree = match node.kind() {
                NodeKind::Map => Tree::Map(
                    own.into_iter()
                        .map(|(key, value)| (self.key_text(key).into_owned(), value))
                        .collect(),
                ),
                NodeKind::List => Tree::List(own.into_iter().map(|(_, value)| value).collect()),
                NodeKind::Scalar => Tree::Scalar(self.scalar(id)?.into_owned()),
                NodeKind::Alias => self.alias_tree(id, depth, budget)?,
                NodeKind::Key | NodeKind::Document => match own.pop() {
                    Some((_, value)) => value,
                    None => continue,
                },
                NodeKind::Comment | NodeKind::Anchor | NodeKind::Tag => continue,
            };
            if id == root {
                return Ok(tree);
            }
            let parent = node.parent().index() - root.index();
            parts[parent].push((id, tree));
        }
        Ok(Tree::Map(Vec::new()))
    }

    fn inside(&self, root: NodeId, end: usize) -> Vec<bool> {
        let mut inside = vec![false; end - root.index()];
        for id in root.index()..end {
            let parent = self.nodes()[id].parent().index();
            inside[id - root.index()] = id == root.index()
                || (parent >= root.index() && parent < id && inside[parent - root.index()]);
        }
        inside
    }

    fn alias_tree(
        &self,
        alias: NodeId,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Tree, ParseError> {
        let start = self.node(alias).span().start();
        let too_much =
            || ParseError::at(self.text(), start, "aliases add more than 1,000,000 nodes");
        let Some(target) = self.alias_target(alias) else {
            return Err(ParseError::at(self.text(), start, "the alias has no anchor before it"));
        };
        if self.node(target).kind() == NodeKind::Key {
            return Ok(Tree::str(self.key_text(target)));
        }
        let nodes = crate::document::subtree_end(self, target) - target.index();
        *budget = budget.checked_sub(nodes).ok_or_else(too_much)?;
        if depth == MAX_ALIAS_DEPTH {
            return Err(too_much());
        }
        self.tree_within(target, depth + 1, budget)
    }
}

//! Every leaf of a document in the order of the text, with its path and whether the rule seals it.
//!
//! One walk serves encryption, decryption and verification, so that all three see the same leaves
//! under the same paths. Aliases are followed: each copy is seen under the path of the alias, as
//! SOPS sees it. The metadata entry is left out.
//!
//! Invariant: the stack mirrors the parents of the node at hand; the three path buffers are always
//! those of the innermost level. No recursion, and no allocation per leaf.

use std::collections::HashMap;

use super::active_comments::ActiveComments;
use super::budget::{ALIAS_BUDGET, LENGTH_FACTOR, LENGTH_FREE, Stop};
use super::comment_path::{CommentPaths, owners};
use super::error::FileError;
use super::key_matches::KeyMatches;
use super::skip::Skip;
use crate::crypto::path::{EncodedPath, push_component, push_index, push_key, push_other_key};
use crate::document::{Document, Format, Node, NodeId, NodeKind, Style, subtree_end};
use crate::policy::{Policy, Rule, RuleSubject};

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leaf {
    /// A scalar, null included.
    Scalar,
    /// A map without entries; also a document without a value, which SOPS reads as an empty map.
    EmptyMap,
    /// A list without items.
    EmptyList,
    /// A comment.
    Comment,
}

/// A leaf and where it stands.
pub(crate) struct Place<'a> {
    /// The node: a scalar, an empty map or list, a comment, or a document without a value.
    pub(crate) node: NodeId,
    pub(crate) leaf: Leaf,
    /// Index of the YAML document, from 0.
    pub(crate) document: u64,
    /// Whether the rule seals this place.
    pub(crate) selected: bool,
    /// The outermost alias that the leaf is seen through: its text stands elsewhere.
    pub(crate) alias: Option<NodeId>,
    /// Additional authenticated data as SOPS builds it: each map key, then `:`; `:` at the root.
    pub(crate) aad: &'a str,
    /// The map keys as the value nonce takes them.
    pub(crate) components: EncodedPath<'a>,
    /// The keys and indices as the tree tag takes them.
    pub(crate) tree_path: EncodedPath<'a>,
}

/// Lengths of the path buffers.
#[derive(Clone, Copy, Default)]
struct Lengths {
    aad: usize,
    components: usize,
    component_count: u64,
    tree: usize,
    tree_count: u64,
}

/// One open document, map, list or key.
#[derive(Clone, Copy)]
struct Level {
    node: NodeId,
    lengths: Lengths,
    /// A key rule matched here or above.
    matched: bool,
    /// Items of a list seen so far.
    items: u64,
    /// A comment rule matched in a run of comments at a level above, for the item that is open there.
    outer_run: bool,
    /// A comment of this level's current run matches.
    run: bool,
    /// As `run`, without the run's last comment.
    run_before_last: bool,
    /// An item of this level has begun: the next comment or item starts a new run.
    item_open: bool,
}

/// A stretch of nodes to walk: the whole document, or what an alias stands for.
struct Frame {
    next: usize,
    end: usize,
    /// Height of the stack below the stretch.
    base: usize,
    /// The outermost alias being followed.
    alias: Option<NodeId>,
}

struct Walker<'a> {
    doc: &'a Document,
    policy: &'a Policy,
    skip: Option<&'a Skip>,
    matches: KeyMatches<'a>,
    has_children: Vec<bool>,
    stack: Vec<Level>,
    frames: Vec<Frame>,
    aad: String,
    components: Vec<u8>,
    tree_path: Vec<u8>,
    documents: u64,
    /// Nodes that aliases added.
    expanded: usize,
    /// Bytes that paths and aliases may still add.
    length_left: usize,
    /// TOML only, where a table can be left and entered again: the items seen of each list, and the
    /// index of each table in its list.
    items: HashMap<NodeId, u64>,
    indices: HashMap<NodeId, u64>,
    /// YAML only: whose path comments are sealed under, and what a rule by comments makes of them.
    comments: CommentPaths,
    active: Option<ActiveComments>,
}

/// Visits every leaf; gives the number of documents.
///
/// # Errors
///
/// The first error of `visit`, or that of an alias that is one too many.
pub(crate) fn walk(
    doc: &Document,
    policy: &Policy,
    skip: Option<&Skip>,
    mut visit: impl FnMut(&Place<'_>) -> Result<(), FileError>,
) -> Result<u64, FileError> {
    let mut walker = Walker::new(doc, policy, skip);
    while let Some(id) = walker.next_node() {
        walker.step(id, &mut visit).map_err(|stop| stop.located(doc))?;
    }
    Ok(walker.documents)
}

/// Takes bytes from those that are left.
pub(super) fn spend(left: &mut usize, bytes: usize, at: NodeId) -> Result<(), Stop> {
    *left = left.checked_sub(bytes).ok_or(Stop::LengthBudget(at))?;
    Ok(())
}

impl<'a> Walker<'a> {
    fn new(doc: &'a Document, policy: &'a Policy, skip: Option<&'a Skip>) -> Self {
        let mut has_children = vec![false; doc.nodes().len()];
        for id in doc.ids() {
            let node = doc.node(id);
            let counts = node.is_value() || node.kind() == NodeKind::Key;
            if counts && !skip.is_some_and(|skip| skip.contains(id)) {
                has_children[node.parent().index()] = true;
            }
        }
        let owners = owners(doc, skip);
        let active = ActiveComments::of(doc, policy, &owners, skip);
        Self {
            doc,
            policy,
            skip,
            matches: KeyMatches::new(doc, policy.rule()),
            has_children,
            stack: Vec::new(),
            frames: vec![Frame { next: 0, end: doc.nodes().len(), base: 0, alias: None }],
            aad: String::new(),
            components: Vec::new(),
            tree_path: Vec::new(),
            documents: 0,
            expanded: 0,
            length_left: doc.text().len().saturating_mul(LENGTH_FACTOR).saturating_add(LENGTH_FREE),
            items: HashMap::new(),
            indices: HashMap::new(),
            comments: CommentPaths::new(doc, owners),
            active,
        }
    }

    fn next_node(&mut self) -> Option<NodeId> {
        loop {
            let frame = self.frames.last_mut()?;
            if frame.next == frame.end {
                let base = frame.base;
                self.frames.pop();
                self.stack.truncate(base);
                continue;
            }
            let id = NodeId::new(frame.next);
            frame.next += 1;
            if !self.skip.is_some_and(|skip| skip.contains(id)) {
                return Some(id);
            }
        }
    }

    fn step(
        &mut self,
        id: NodeId,
        visit: &mut impl FnMut(&Place<'_>) -> Result<(), FileError>,
    ) -> Result<(), Stop> {
        let node = *self.doc.node(id);
        match node.kind() {
            NodeKind::Document => {
                self.stack.clear();
                self.documents += 1;
                self.open(id, None);
                if !self.has_children[id.index()] {
                    self.leaf(id, Leaf::EmptyMap, None, visit)?;
                }
                Ok(())
            }
            NodeKind::Anchor | NodeKind::Tag => Ok(()),
            NodeKind::Comment => self.comment(id, &node, visit),
            NodeKind::Key => {
                self.enter_parent(&node);
                self.begin_item(id);
                self.open(id, None);
                Ok(())
            }
            NodeKind::Map | NodeKind::List => {
                self.enter_parent(&node);
                let index = self.begin_list_item(id);
                if !self.has_children[id.index()] {
                    let map = node.kind() == NodeKind::Map;
                    let empty = if map { Leaf::EmptyMap } else { Leaf::EmptyList };
                    self.leaf(id, empty, index, visit)?;
                }
                // Comments can stand in an empty collection.
                self.open(id, index);
                Ok(())
            }
            NodeKind::Scalar => {
                self.enter_parent(&node);
                let index = self.begin_list_item(id);
                // A document that is a null is an empty map to SOPS.
                let root = self.doc.node(node.parent()).kind() == NodeKind::Document;
                let leaf = if root { Leaf::EmptyMap } else { Leaf::Scalar };
                self.leaf(id, leaf, index, visit)
            }
            NodeKind::Alias => {
                self.enter_parent(&node);
                let index = self.begin_list_item(id);
                self.follow(id, index, visit)
            }
        }
    }

    /// Walks what an alias stands for, in its place.
    fn follow(
        &mut self,
        alias: NodeId,
        index: Option<u64>,
        visit: &mut impl FnMut(&Place<'_>) -> Result<(), FileError>,
    ) -> Result<(), Stop> {
        let mut target = alias;
        let mut hops = 0;
        while self.doc.node(target).kind() == NodeKind::Alias {
            hops += 1;
            match self.doc.alias_target(target) {
                Some(next) if hops <= crate::document::MAX_DEPTH => target = next,
                // The parser refuses an alias without an anchor before it.
                _ => return Ok(()),
            }
        }
        let outermost = self.frames.last().and_then(|frame| frame.alias).unwrap_or(alias);
        let end = subtree_end(self.doc, target);
        // An anchor comes before its alias, so that in every cycle an alias stands in what it names.
        if (target.index()..end).contains(&alias.index()) {
            return Err(Stop::AliasBudget(alias));
        }
        self.expanded += end - target.index();
        if self.expanded > ALIAS_BUDGET || self.frames.len() > crate::document::MAX_DEPTH {
            return Err(Stop::AliasBudget(alias));
        }
        spend(&mut self.length_left, self.doc.node(target).span().len(), alias)?;
        let leaf = match self.doc.node(target).kind() {
            NodeKind::Map if !self.has_children[target.index()] => Leaf::EmptyMap,
            NodeKind::List if !self.has_children[target.index()] => Leaf::EmptyList,
            NodeKind::Map | NodeKind::List => {
                let base = self.stack.len();
                self.frames.push(Frame {
                    next: target.index() + 1,
                    end,
                    base,
                    alias: Some(outermost),
                });
                self.open(target, index);
                return Ok(());
            }
            // An anchored key is a string that nothing seals.
            _ => Leaf::Scalar,
        };
        let base = self.stack.len();
        self.frames.push(Frame { next: end, end, base, alias: Some(outermost) });
        self.leaf(target, leaf, index, visit)
    }

    /// Makes the node's parent the innermost level.
    fn enter_parent(&mut self, node: &Node) {
        let parent = node.parent();
        if self.stack.last().is_some_and(|top| top.node == parent) {
            return;
        }
        if self.doc.format() == Format::Toml {
            self.reenter(parent);
            return;
        }
        // The level at the base belongs to the alias's target, or to the document.
        let base = self.frames.last().map_or(0, |frame| frame.base);
        while self.stack.len() > base + 1 && self.stack.last().is_some_and(|top| top.node != parent)
        {
            self.stack.pop();
        }
    }

    /// TOML: rebuilds the levels from the root to `parent`, each of which was entered before.
    fn reenter(&mut self, parent: NodeId) {
        let mut chain = Vec::new();
        let mut at = parent;
        // Levels stand in the order of the text.
        let common = loop {
            if let Ok(depth) = self.stack.binary_search_by_key(&at, |level| level.node) {
                break depth + 1;
            }
            chain.push(at);
            let outer = self.doc.node(at).parent();
            if outer == at {
                break 0;
            }
            at = outer;
        };
        chain.reverse();
        for level in self.stack.drain(common..) {
            if self.doc.node(level.node).kind() == NodeKind::List {
                self.items.insert(level.node, level.items);
            }
        }
        for id in chain {
            self.cut_paths();
            let index = self.indices.get(&id).copied();
            self.open(id, index);
            if let (Some(level), Some(&items)) = (self.stack.last_mut(), self.items.get(&id)) {
                level.items = items;
            }
        }
    }

    /// Opens a level below the innermost one; `index` if it is an item of a list.
    fn open(&mut self, id: NodeId, index: Option<u64>) {
        self.cut_paths();
        let mut lengths = self.stack.last().map(|level| level.lengths).unwrap_or_default();
        let mut matched = self.stack.last().is_some_and(|level| level.matched);
        // Comments above the root of a document are of one level with its entries.
        let above_root = self
            .stack
            .last()
            .is_some_and(|level| self.doc.node(level.node).kind() == NodeKind::Document);
        let above = self.stack.last().is_some_and(|level| level.run);
        let outer_run = self.stack.last().is_some_and(|level| level.outer_run);
        let outer_run = outer_run || (above && !above_root);
        if self.doc.node(id).kind() == NodeKind::Key {
            let key = self.doc.key_text(id);
            self.aad.push_str(&key);
            self.aad.push(':');
            push_component(&mut self.components, &key);
            if self.doc.key_is_string(id) {
                push_key(&mut self.tree_path, &key);
            } else {
                push_other_key(&mut self.tree_path, &key);
            }
            lengths.component_count += 1;
            lengths.tree_count += 1;
            matched = matched || self.matches.of(id, &key);
        }
        if let Some(index) = index {
            push_index(&mut self.tree_path, index);
            lengths.tree_count += 1;
        }
        lengths.aad = self.aad.len();
        lengths.components = self.components.len();
        lengths.tree = self.tree_path.len();
        self.stack.push(Level {
            node: id,
            lengths,
            matched,
            items: 0,
            outer_run,
            run: above && above_root,
            run_before_last: above && above_root,
            item_open: false,
        });
    }

    /// Counts a value in, if the innermost level is a list, and gives its index there.
    fn begin_list_item(&mut self, id: NodeId) -> Option<u64> {
        let level = self.stack.last().copied()?;
        if self.doc.node(level.node).kind() != NodeKind::List {
            return None;
        }
        self.begin_item(id);
        let level = self.stack.last_mut()?;
        let index = level.items;
        level.items += 1;
        if self.doc.format() == Format::Toml {
            self.indices.insert(id, index);
        }
        Some(index)
    }

    /// An entry or item begins: the comments right before it, and the one behind it on its line, are
    /// the run that can govern it.
    fn begin_item(&mut self, id: NodeId) {
        if self.policy.rule().subject() != RuleSubject::Comments {
            return;
        }
        if let (Some(active), Some(level)) = (&self.active, self.stack.last_mut()) {
            level.run = active.marks(id);
            return;
        }
        let inline = self.inline_comment(id).is_some_and(|comment| {
            self.policy.rule().matches_comment(self.doc.comment_text(comment))
        });
        let Some(level) = self.stack.last_mut() else { return };
        if level.item_open {
            level.run = false;
        }
        level.item_open = true;
        level.run_before_last = level.run;
        level.run |= inline;
    }

    /// The comment behind an entry or item on its line.
    fn inline_comment(&self, id: NodeId) -> Option<NodeId> {
        let node = self.doc.node(id);
        let is_inline = |at: usize| {
            let comment = self.doc.nodes().get(at)?;
            (comment.kind() == NodeKind::Comment
                && comment.style() == Style::Inline
                && comment.parent() == node.parent())
            .then(|| NodeId::new(at))
        };
        if node.kind() == NodeKind::Key {
            // `key: # comment` above a nested collection, else behind the value.
            let value = self.doc.value_of(id)?;
            let direct = (id.index() + 1..value.index()).find_map(is_inline);
            return direct.or_else(|| is_inline(subtree_end(self.doc, value)));
        }
        is_inline(subtree_end(self.doc, id))
    }

    /// A comment can belong to a level further out than the innermost one, which stays open
    /// (`key: # comment` above a nested map).
    fn comment(
        &mut self,
        id: NodeId,
        node: &Node,
        visit: &mut impl FnMut(&Place<'_>) -> Result<(), FileError>,
    ) -> Result<(), Stop> {
        if self.doc.format() == Format::Toml {
            self.enter_parent(node);
        }
        let parent = node.parent();
        // Levels stand in the order of the text, from where an alias is followed.
        let base = self.frames.last().map_or(0, |frame| frame.base);
        let found = self.stack[base..].binary_search_by_key(&parent, |level| level.node);
        let Ok(depth) = found.map(|depth| base + depth) else { return Ok(()) };
        let in_its_place = self.frames.last().is_none_or(|frame| frame.alias.is_none());
        if in_its_place && let Some(key) = self.comments.moved(self.doc, id) {
            return self.comment_of(id, key, visit);
        }
        let by_comments = self.policy.rule().subject() == RuleSubject::Comments;
        if by_comments && self.active.is_none() && node.style() != Style::Inline {
            let matches = self.policy.rule().matches_comment(self.doc.comment_text(id));
            let level = &mut self.stack[depth];
            if level.item_open {
                level.run = false;
                level.item_open = false;
            }
            level.run_before_last = level.run;
            level.run |= matches;
        }
        self.leaf_at(id, Leaf::Comment, depth, None, visit)
    }

    /// A comment that belongs below another key (none: at the root) than it stands below.
    fn comment_of(
        &mut self,
        id: NodeId,
        owner: Option<NodeId>,
        visit: &mut impl FnMut(&Place<'_>) -> Result<(), FileError>,
    ) -> Result<(), Stop> {
        let left = &mut self.length_left;
        let path = self.comments.path(self.doc, &mut self.matches, owner, id, left)?;
        let active = self.active.as_ref().is_some_and(|active| active.seals(id));
        let selected = path.is_selected(self.policy.rule(), active);
        visit(&Place {
            node: id,
            leaf: Leaf::Comment,
            document: self.documents.saturating_sub(1),
            selected,
            alias: None,
            aad: &path.aad,
            components: EncodedPath { count: path.count, steps: &path.components },
            // No hash counts comments.
            tree_path: EncodedPath { count: 0, steps: &[] },
        })
        .map_err(Stop::Visit)
    }

    /// Visits a leaf of the innermost level; `index` if it is an item of a list.
    fn leaf(
        &mut self,
        id: NodeId,
        leaf: Leaf,
        index: Option<u64>,
        visit: &mut impl FnMut(&Place<'_>) -> Result<(), FileError>,
    ) -> Result<(), Stop> {
        self.cut_paths();
        self.leaf_at(id, leaf, self.stack.len().saturating_sub(1), index, visit)
    }

    fn leaf_at(
        &mut self,
        id: NodeId,
        leaf: Leaf,
        depth: usize,
        index: Option<u64>,
        visit: &mut impl FnMut(&Place<'_>) -> Result<(), FileError>,
    ) -> Result<(), Stop> {
        let level = self.stack[depth];
        let mut lengths = level.lengths;
        if let Some(index) = index {
            push_index(&mut self.tree_path, index);
            lengths.tree = self.tree_path.len();
            lengths.tree_count += 1;
        }
        spend(&mut self.length_left, lengths.tree, id)?;
        visit(&Place {
            node: id,
            leaf,
            document: self.documents.saturating_sub(1),
            selected: match &self.active {
                Some(active) if leaf == Leaf::Comment => active.seals(id),
                _ => self.selects(&level, leaf),
            },
            alias: self.frames.last().and_then(|frame| frame.alias),
            // SOPS joins no keys to nothing and appends the colon.
            aad: if lengths.aad == 0 { ":" } else { &self.aad[..lengths.aad] },
            components: EncodedPath {
                count: lengths.component_count,
                steps: &self.components[..lengths.components],
            },
            tree_path: EncodedPath {
                count: lengths.tree_count,
                steps: &self.tree_path[..lengths.tree],
            },
        })
        .map_err(Stop::Visit)
    }

    fn selects(&self, level: &Level, leaf: Leaf) -> bool {
        match self.policy.rule() {
            Rule::UnencryptedSuffix(_) | Rule::UnencryptedRegex(_) => !level.matched,
            Rule::EncryptedSuffix(_) | Rule::EncryptedRegex(_) => level.matched,
            Rule::UnencryptedCommentRegex(_) => !(level.outer_run || level.run),
            // A comment never triggers its own encryption.
            Rule::EncryptedCommentRegex(_) if leaf == Leaf::Comment => {
                level.outer_run || level.run_before_last
            }
            Rule::EncryptedCommentRegex(_) => level.outer_run || level.run,
        }
    }

    /// Cuts the path buffers back to the innermost level.
    fn cut_paths(&mut self) {
        let lengths = self.stack.last().map(|level| level.lengths).unwrap_or_default();
        self.aad.truncate(lengths.aad);
        self.components.truncate(lengths.components);
        self.tree_path.truncate(lengths.tree);
    }
}

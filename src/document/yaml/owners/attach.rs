//! Which token takes which comments, and which entry or item they end up at.
//!
//! Invariants: `maps` are the maps that are open, outermost first; of the entry at hand each has the
//! comments that may yet move to the entry before.

use std::collections::VecDeque;

use super::{Group, Part, Token, TokenKind};
use crate::document::{Document, NodeId, NodeKind, Owner};

pub(super) struct Attach<'d> {
    doc: &'d Document,
    comments: &'d [NodeId],
    groups: VecDeque<Group>,
    /// What has come together for the next one that takes it.
    taken: Taken,
    maps: Vec<OpenMap>,
    documents: std::vec::IntoIter<NodeId>,
    /// The root value of the open document, or the document.
    root: NodeId,
    in_document: bool,
    owners: Vec<(NodeId, Owner)>,
}

/// Numbers of comments.
#[derive(Default)]
struct Taken {
    head: Vec<usize>,
    line: Vec<usize>,
    foot: Vec<usize>,
    /// The head of a whole collection that begins behind its dash.
    stem: Vec<usize>,
}

struct OpenMap {
    node: Option<NodeId>,
    is_block: bool,
    key: Option<NodeId>,
    /// The foot of the entry of `key`.
    foot: Vec<usize>,
}

impl<'d> Attach<'d> {
    pub(super) fn new(doc: &'d Document, comments: &'d [NodeId]) -> Self {
        let is_document = |id: &NodeId| doc.node(*id).kind() == NodeKind::Document;
        let documents: Vec<_> = doc.ids().filter(is_document).collect();
        Self {
            doc,
            comments,
            groups: VecDeque::new(),
            taken: Taken::default(),
            maps: Vec::new(),
            documents: documents.into_iter(),
            root: NodeId::FIRST,
            in_document: false,
            owners: Vec::new(),
        }
    }

    /// Groups that no token has reached.
    pub(super) fn waiting(&mut self) -> &mut VecDeque<Group> {
        &mut self.groups
    }

    pub(super) fn into_owners(mut self) -> Vec<(NodeId, Owner)> {
        self.owners.sort_unstable_by_key(|&(comment, _)| self.doc.node(comment).span().start());
        self.owners
    }

    pub(super) fn token(&mut self, token: Token, next: Option<&Token>) {
        self.reach(&token);
        match token.kind {
            TokenKind::Directive | TokenKind::DocumentEnd | TokenKind::TextEnd => {
                return self.end_document();
            }
            TokenKind::DocumentStart => {
                self.end_document();
                return self.begin_document();
            }
            _ if !self.in_document => self.begin_document(),
            _ => {}
        }
        match (token.kind, token.node) {
            (TokenKind::Dash, _) => self.dash(next),
            (TokenKind::BlockStart, Some(node)) => {
                let stem = std::mem::take(&mut self.taken.stem);
                self.own(&stem, Owner::Before(node));
                if self.doc.node(node).kind() == NodeKind::Map {
                    self.open_map(Some(node), true);
                }
            }
            (TokenKind::Leaf | TokenKind::Unwritten, Some(node)) => {
                let taken = match token.kind {
                    TokenKind::Leaf => std::mem::take(&mut self.taken),
                    _ => Taken::default(),
                };
                match self.doc.node(node).kind() {
                    NodeKind::Key => self.key(node, taken),
                    _ => self.value(node, taken),
                }
            }
            (TokenKind::FlowStart, Some(node)) => {
                let Taken { head, .. } = std::mem::take(&mut self.taken);
                let in_list = self.is_item(node);
                self.own(&head, if in_list { Owner::Before(node) } else { Owner::First(node) });
                if self.doc.node(node).kind() == NodeKind::Map {
                    self.open_map(Some(node), false);
                }
            }
            (TokenKind::FlowEnd, Some(node)) => {
                let Taken { line, foot, .. } = std::mem::take(&mut self.taken);
                self.close_pair(node);
                if self.doc.node(node).kind() == NodeKind::Map {
                    self.close_map(Vec::new());
                }
                self.own_line(&line, node);
                self.foot_of_value(foot, node);
            }
            (TokenKind::BlockEnd, Some(map)) => {
                let Taken { line, foot, .. } = std::mem::take(&mut self.taken);
                self.own_line(&line, map);
                self.close_map(foot);
            }
            (TokenKind::Announced, _) => {
                let Taken { head, line, foot, .. } = std::mem::take(&mut self.taken);
                self.next_key(None, foot);
                self.own(&head, Owner::Last(self.root));
                self.own(&line, Owner::Last(self.root));
            }
            (TokenKind::AnnouncedInBrackets, _) => self.taken = Taken::default(),
            (TokenKind::Comma, Some(brackets)) => self.close_pair(brackets),
            _ => {}
        }
    }

    /// Takes the groups that are anchored here or before.
    fn reach(&mut self, token: &Token) {
        if token.kind == TokenKind::Unwritten {
            return;
        }
        while let Some(group) = self.groups.front().filter(|group| group.anchor <= token.start) {
            let part = match group.part {
                // No end has a head; what is behind waits as well.
                Part::Head if token.kind == TokenKind::BlockEnd => return,
                Part::Head => &mut self.taken.head,
                Part::Line => &mut self.taken.line,
                Part::Foot => &mut self.taken.foot,
            };
            part.extend(group.first..group.end);
            self.groups.pop_front();
        }
    }

    fn begin_document(&mut self) {
        self.in_document = true;
        if let Some(document) = self.documents.next() {
            self.root = self.doc.value_of(document).unwrap_or(document);
        }
    }

    fn end_document(&mut self) {
        if !std::mem::take(&mut self.in_document) {
            return;
        }
        let Taken { head, foot, .. } = std::mem::take(&mut self.taken);
        self.own(if foot.is_empty() { &head } else { &foot }, Owner::Last(self.root));
        self.maps.clear();
    }

    /// What stands above a dash is the head of a collection behind it, not of its first key or item.
    fn dash(&mut self, next: Option<&Token>) {
        let above = self.taken.head.len();
        let Some(next) = next.filter(|next| above > 0 && next.kind == TokenKind::BlockStart) else {
            return;
        };
        self.reach(next);
        let behind = self.taken.head.split_off(above);
        self.taken.stem = std::mem::replace(&mut self.taken.head, behind);
    }

    fn open_map(&mut self, node: Option<NodeId>, is_block: bool) {
        self.maps.push(OpenMap { node, is_block, key: None, foot: Vec::new() });
    }

    /// Closes the innermost map, with the foot that its end has: that of the last entry.
    fn close_map(&mut self, foot: Vec<usize>) {
        let Some(mut map) = self.maps.pop() else { return };
        if map.is_block && !foot.is_empty() {
            map.foot = foot;
        }
        if let Some(key) = map.key {
            self.own(&map.foot, Owner::After(key));
        }
    }

    /// Closes the pair without brackets of its own that is open right inside of these brackets.
    fn close_pair(&mut self, brackets: NodeId) {
        let is_pair = |map: &OpenMap| {
            let outer = map.node.map(|node| self.doc.node(node).parent());
            !map.is_block && outer == Some(brackets)
        };
        if self.maps.last().is_some_and(is_pair) {
            self.close_map(Vec::new());
        }
    }

    fn key(&mut self, key: NodeId, taken: Taken) {
        let map = self.doc.node(key).parent();
        if self.maps.last().is_none_or(|open| open.node != Some(map)) {
            self.open_map(Some(map), false);
        }
        self.next_key(Some(key), taken.foot);
        self.own(&taken.head, Owner::Before(key));
        self.own(&taken.line, Owner::Before(key));
    }

    /// The next entry of the innermost map begins: a foot at its key is one of the entry before.
    fn next_key(&mut self, key: Option<NodeId>, foot: Vec<usize>) {
        let Some(map) = self.maps.last_mut() else {
            return self.own(&foot, Owner::Last(self.root));
        };
        let Some(before) = std::mem::replace(&mut map.key, key) else {
            map.foot = foot;
            return;
        };
        let stays = !map.is_block || foot.is_empty();
        let (of_before, own) = if stays {
            (std::mem::replace(&mut map.foot, foot), None)
        } else {
            map.foot.clear();
            (Vec::new(), Some(foot))
        };
        self.own(&of_before, Owner::After(before));
        if let Some(foot) = own {
            self.own(&foot, Owner::After(before));
        }
    }

    /// A scalar or alias.
    fn value(&mut self, value: NodeId, taken: Taken) {
        let parent = self.doc.node(value).parent();
        let owner = match self.doc.node(parent).kind() {
            NodeKind::Key => Owner::Before(parent),
            NodeKind::List => Owner::Before(value),
            _ => Owner::First(parent),
        };
        self.own(&taken.head, owner);
        self.own(&taken.line, owner);
        self.foot_of_value(taken.foot, value);
    }

    /// The foot of a value is that of its entry, if that has none.
    fn foot_of_value(&mut self, foot: Vec<usize>, value: NodeId) {
        let parent = self.doc.node(value).parent();
        let is_scalar = matches!(self.doc.node(value).kind(), NodeKind::Scalar | NodeKind::Alias);
        let owner = match self.doc.node(parent).kind() {
            NodeKind::List => Owner::After(value),
            NodeKind::Key => match self.maps.last_mut() {
                Some(map) if map.foot.is_empty() => {
                    map.foot = foot;
                    return;
                }
                _ if is_scalar => Owner::After(parent),
                _ => Owner::Last(value),
            },
            _ => Owner::Last(value),
        };
        self.own(&foot, owner);
    }

    /// The line of the end of a collection.
    fn own_line(&mut self, line: &[usize], collection: NodeId) {
        let in_list = self.is_item(collection);
        self.own(line, if in_list { Owner::Before(collection) } else { Owner::First(collection) });
    }

    fn is_item(&self, value: NodeId) -> bool {
        self.doc.node(self.doc.node(value).parent()).kind() == NodeKind::List
    }

    fn own(&mut self, comments: &[usize], owner: Owner) {
        self.owners.extend(comments.iter().map(|&number| (self.comments[number], owner)));
    }
}

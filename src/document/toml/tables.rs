//! The nodes of a TOML text while it is read, and the rules on what may be defined where.
//!
//! Invariants: each map has each key once; a value written in brackets is closed; a table has one
//! header; dotted keys reach no table that has a header. Keys are found in constant time, and no
//! choice of keys makes that slow.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::super::{MAX_DEPTH, Node, NodeId, NodeKind, ParseError, Style, TOO_DEEP};
use super::string;
use crate::text::{Position, Span};

/// A key as it stands in the text.
#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) span: Span,
    pub(super) style: Style,
}

impl Token {
    /// The text that it stands for.
    pub(super) fn text(self, text: &str) -> Cow<'_, str> {
        let source = self.span.of(text);
        if self.style == Style::Plain { source.into() } else { string::decode(source, self.style) }
    }
}

/// Where a key that is not there yet would be found.
#[derive(Clone, Copy)]
struct Slot {
    index: usize,
    hash: u32,
}

/// How a map came to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// No map, or one in brackets.
    Closed,
    /// A header of something inside it.
    Implicit,
    /// A dotted key through it.
    Dotted,
    /// A header of its own; the root.
    Header,
}

/// What is behind a key of a header or a dotted key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    Header,
    DottedKey,
}

/// The nodes so far.
pub(super) struct Tables<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    origins: Vec<Origin>,
    /// The item that the headers speak of, for each array of tables.
    last_items: HashMap<NodeId, NodeId>,
    /// Open addressing: indices of `Key` nodes ([`FREE`]: none), and the low half of their hashes.
    slots: Vec<(u32, u32)>,
    keys: usize,
    hasher: RandomState,
}

const FREE: u32 = u32::MAX;
const FREE_SLOT: (u32, u32) = (FREE, 0);

impl<'a> Tables<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let room = text.len() / 12 + 8;
        Self {
            text,
            nodes: Vec::with_capacity(room),
            origins: Vec::with_capacity(room),
            last_items: HashMap::new(),
            slots: vec![FREE_SLOT; (text.len() / 64).next_power_of_two().max(64)],
            keys: 0,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(super) fn set_end(&mut self, id: NodeId, end: usize) {
        self.nodes[id.index()] = self.nodes[id.index()].with_end(end);
    }

    /// The root of the document and its map.
    pub(super) fn push_root(&mut self, span: Span) -> NodeId {
        let document = self.push(span, NodeId::new(0), NodeKind::Document, Style::Block);
        self.push_map(span, document, Origin::Header)
    }

    /// A node that no header and no dotted key reaches into.
    pub(super) fn push(
        &mut self,
        span: Span,
        parent: NodeId,
        kind: NodeKind,
        style: Style,
    ) -> NodeId {
        let id = NodeId::new(self.nodes.len());
        self.nodes.push(Node::new(span, parent, kind, style));
        self.origins.push(Origin::Closed);
        id
    }

    /// The table behind a key that is not the last one of a header or dotted key. `depth`: of `map`;
    /// raised to that of the table.
    pub(super) fn descend(
        &mut self,
        map: NodeId,
        key: Token,
        through: Through,
        depth: &mut usize,
    ) -> Result<NodeId, ParseError> {
        self.deeper(depth, key.span)?;
        let slot = match self.find(map, key) {
            Ok(found) => return self.reenter(found, key, through, depth),
            Err(slot) => slot,
        };
        let id = self.push_key(map, key, slot);
        let origin = match through {
            Through::Header => Origin::Implicit,
            Through::DottedKey => Origin::Dotted,
        };
        Ok(self.push_map(key.span, id, origin))
    }

    fn reenter(
        &mut self,
        found: NodeId,
        key: Token,
        through: Through,
        depth: &mut usize,
    ) -> Result<NodeId, ParseError> {
        let value = value_of(found);
        let node = self.node(value);
        match (node.kind(), node.style(), through) {
            (NodeKind::Map, Style::Block, Through::Header) => Ok(value),
            (NodeKind::Map, Style::Block, Through::DottedKey) => {
                if self.origins[value.index()] == Origin::Header {
                    let problem = "a dotted key cannot add to a table that has a header";
                    return Err(self.clash(key, found, problem));
                }
                self.origins[value.index()] = Origin::Dotted;
                Ok(value)
            }
            (NodeKind::List, Style::Block, Through::Header) => {
                self.deeper(depth, key.span)?;
                Ok(self.last_items[&value])
            }
            (NodeKind::List, Style::Block, Through::DottedKey) => {
                Err(self.clash(key, found, "a dotted key cannot add to an array of tables"))
            }
            _ => Err(self.clash(key, found, "the key already has a value that cannot be added to")),
        }
    }

    /// The last key of a dotted key: a new one.
    pub(super) fn leaf(&mut self, map: NodeId, key: Token) -> Result<NodeId, ParseError> {
        match self.find(map, key) {
            Ok(found) => Err(self.clash(key, found, "the key stands twice")),
            Err(slot) => Ok(self.push_key(map, key, slot)),
        }
    }

    /// The table of `[…]` whose last key this is.
    pub(super) fn table(
        &mut self,
        map: NodeId,
        key: Token,
        depth: &mut usize,
    ) -> Result<NodeId, ParseError> {
        self.deeper(depth, key.span)?;
        match self.find(map, key) {
            Ok(found) => {
                let value = value_of(found);
                if self.origins[value.index()] != Origin::Implicit {
                    return Err(self.clash(key, found, "the table is defined twice"));
                }
                self.origins[value.index()] = Origin::Header;
                Ok(value)
            }
            Err(slot) => {
                let id = self.push_key(map, key, slot);
                Ok(self.push_map(key.span, id, Origin::Header))
            }
        }
    }

    /// The new table of `[[…]]` whose last key this is.
    pub(super) fn item(
        &mut self,
        map: NodeId,
        key: Token,
        depth: &mut usize,
    ) -> Result<NodeId, ParseError> {
        self.deeper(depth, key.span)?;
        self.deeper(depth, key.span)?;
        let list = match self.find(map, key) {
            Ok(found) => {
                let value = value_of(found);
                let node = self.node(value);
                if node.kind() != NodeKind::List || node.style() != Style::Block {
                    let problem = "the key already has a value that is no array of tables";
                    return Err(self.clash(key, found, problem));
                }
                value
            }
            Err(slot) => {
                let id = self.push_key(map, key, slot);
                self.push(key.span, id, NodeKind::List, Style::Block)
            }
        };
        let item = self.push_map(key.span, list, Origin::Header);
        self.last_items.insert(list, item);
        Ok(item)
    }

    /// One level more, if there may be one.
    pub(super) fn deeper(&self, depth: &mut usize, span: Span) -> Result<(), ParseError> {
        *depth += 1;
        if *depth > MAX_DEPTH {
            let problem = TOO_DEEP;
            return Err(ParseError::at(self.text, span.start(), problem));
        }
        Ok(())
    }

    fn clash(&self, key: Token, first: NodeId, problem: &'static str) -> ParseError {
        let mut error = ParseError::at(self.text, key.span.start(), problem);
        error.second = Some(Position::of(self.text, self.node(first).span().start()));
        error
    }

    fn push_map(&mut self, span: Span, parent: NodeId, origin: Origin) -> NodeId {
        let id = self.push(span, parent, NodeKind::Map, Style::Block);
        self.origins[id.index()] = origin;
        id
    }

    fn push_key(&mut self, map: NodeId, key: Token, slot: Slot) -> NodeId {
        let id = self.push(key.span, map, NodeKind::Key, key.style);
        self.slots[slot.index] = (u32::try_from(id.index()).unwrap_or(FREE), slot.hash);
        self.keys += 1;
        if self.keys * 2 > self.slots.len() {
            self.grow();
        }
        id
    }

    /// The key of this text in this map, or the slot where it would stand.
    fn find(&self, map: NodeId, key: Token) -> Result<NodeId, Slot> {
        let text = key.text(self.text);
        let hash = self.hash(map, &text);
        let mask = self.slots.len() - 1;
        let mut index = hash as usize & mask;
        loop {
            let (found, its_hash) = self.slots[index];
            if found == FREE {
                return Err(Slot { index, hash });
            }
            let id = NodeId::new(found as usize);
            if its_hash == hash
                && self.node(id).parent() == map
                && self.token(id).text(self.text) == text
            {
                return Ok(id);
            }
            index = (index + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![FREE_SLOT; old.len() * 2];
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.0 != FREE) {
            let mut index = slot.1 as usize & mask;
            while self.slots[index].0 != FREE {
                index = (index + 1) & mask;
            }
            self.slots[index] = slot;
        }
    }

    /// The low half of the hash. What is random in it is the text; maps are told apart by an odd
    /// factor, so that one text in many maps is spread evenly.
    fn hash(&self, map: NodeId, text: &str) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text.as_bytes());
        let spread = (map.index() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = hasher.finish().wrapping_add(spread);
        u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn token(&self, id: NodeId) -> Token {
        Token { span: self.node(id).span(), style: self.node(id).style() }
    }
}

/// The value of a key stands right behind it.
fn value_of(key: NodeId) -> NodeId {
    NodeId::new(key.index() + 1)
}

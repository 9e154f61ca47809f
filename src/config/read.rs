//! A configuration document read by type: maps, lists, texts, with the place of each error.
//!
//! Aliases and merge keys are followed as `yaml.v3`, which SOPS uses, follows them.

use std::cell::Cell;
use std::collections::HashMap;

use super::ConfigError;
use crate::document::{Document, NodeId, NodeKind};
use crate::value::ScalarType;

/// A document, and what its anchors name.
pub(super) struct Reader<'a> {
    document: &'a Document,
    /// Every anchor of a name, with the value that it names, in the order of the text.
    anchors: HashMap<&'a str, Vec<(NodeId, NodeId)>>,
    /// Maps that may still be read: aliases can make more of them than the text has characters.
    budget: Cell<usize>,
}

/// An entry of a map.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) key: NodeId,
    pub(super) value: NodeId,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        let mut anchors: HashMap<&str, Vec<_>> = HashMap::new();
        let with_anchor = document.ids().filter(|&id| document.node(id).kind() == NodeKind::Anchor);
        for anchor in with_anchor {
            let parent = document.node(anchor).parent();
            let named = (anchor.index() + 1..document.nodes().len()).map(NodeId::new).find(|&id| {
                let node = document.node(id);
                node.parent() == parent && (node.is_value() || node.kind() == NodeKind::Key)
            });
            if let Some(named) = named {
                anchors.entry(&document.source(anchor)[1..]).or_default().push((anchor, named));
            }
        }
        Self { document, anchors, budget: Cell::new(MAPS_MAX) }
    }

    /// The value of the first document. `None`: it is empty or null.
    pub(super) fn root(&self) -> Result<Option<NodeId>, ConfigError> {
        match self.document.value_of(NodeId::new(0)) {
            Some(root) => self.present(root),
            None => Ok(None),
        }
    }

    pub(super) fn error(&self, at: NodeId, problem: impl Into<String>) -> ConfigError {
        let offset = self.document.node(at).span().start();
        ConfigError::at(self.document.text(), offset, problem)
    }

    /// The value itself, behind any alias. `None`: null.
    fn present(&self, value: NodeId) -> Result<Option<NodeId>, ConfigError> {
        let value = self.resolve(value)?;
        let null = self.document.node(value).kind() == NodeKind::Scalar
            && self.document.scalar(value)?.kind == ScalarType::Null;
        Ok((!null).then_some(value))
    }

    fn resolve(&self, value: NodeId) -> Result<NodeId, ConfigError> {
        let mut at = value;
        // An alias names what stands before it, so that each step goes back.
        while self.document.node(at).kind() == NodeKind::Alias {
            let name = &self.document.source(at)[1..];
            let named = self.anchors.get(name).and_then(|all| {
                all.iter().rev().find(|(anchor, _)| *anchor < at).map(|&(_, named)| named)
            });
            at = match named {
                Some(named) if self.document.node(named).is_value() => named,
                _ => return Err(self.error(value, "there is no value with this anchor before")),
            };
        }
        Ok(at)
    }

    /// The entries of a map, those that are merged into it included; none if it is null.
    pub(super) fn map(&self, value: NodeId, what: &str) -> Result<Vec<Entry>, ConfigError> {
        self.map_within(value, what, DEPTH_MAX)
    }

    fn map_within(&self, at: NodeId, what: &str, depth: usize) -> Result<Vec<Entry>, ConfigError> {
        let Some(map) = self.present(at)? else { return Ok(Vec::new()) };
        if self.document.node(map).kind() != NodeKind::Map {
            return Err(self.error(at, format!("{what} must be a map")));
        }
        let Some(left) = self.budget.get().checked_sub(1).filter(|_| depth > 0) else {
            return Err(self.error(at, "too much is merged here"));
        };
        self.budget.set(left);
        let (mut own, mut merged) = (Vec::new(), Vec::new());
        for (key, value) in self.document.entries(map) {
            if self.document.source(key) == "<<" {
                let from = self.resolve(value)?;
                if self.document.node(from).kind() == NodeKind::List {
                    for item in self.document.items(from) {
                        merged.extend(self.map_within(item, what, depth - 1)?);
                    }
                } else {
                    merged.extend(self.map_within(from, what, depth - 1)?);
                }
            } else {
                let name = self.document.key_text(key).into_owned();
                own.push(Entry { name, key, value });
            }
        }
        // The map's own keys win, then the maps that are merged first.
        for entry in merged {
            if own.iter().all(|known| known.name != entry.name) {
                own.push(entry);
            }
        }
        Ok(own)
    }

    /// The items of a list. `None`: null.
    pub(super) fn list(&self, at: NodeId, what: &str) -> Result<Option<Vec<NodeId>>, ConfigError> {
        let Some(list) = self.present(at)? else { return Ok(None) };
        if self.document.node(list).kind() != NodeKind::List {
            return Err(self.error(at, format!("{what} must be a list")));
        }
        Ok(Some(self.document.items(list).collect()))
    }

    /// Whether a value is a map.
    pub(super) fn is_map(&self, at: NodeId) -> Result<bool, ConfigError> {
        Ok(self.document.node(self.resolve(at)?).kind() == NodeKind::Map)
    }

    /// Whether a value is a list.
    pub(super) fn is_list(&self, at: NodeId) -> Result<bool, ConfigError> {
        Ok(self.document.node(self.resolve(at)?).kind() == NodeKind::List)
    }

    /// A text; empty if null. A number or boolean is taken as it is written.
    pub(super) fn text(&self, at: NodeId, what: &str) -> Result<String, ConfigError> {
        let Some(value) = self.present(at)? else { return Ok(String::new()) };
        if self.document.node(value).kind() != NodeKind::Scalar {
            return Err(self.error(at, format!("{what} must be a text")));
        }
        let scalar = self.document.scalar(value)?;
        match (scalar.kind, scalar.text()) {
            (ScalarType::Str, Some(text)) => Ok(text.to_owned()),
            (ScalarType::Bytes, _) | (ScalarType::Str, None) => {
                Err(self.error(at, format!("{what} must be a text")))
            }
            _ => Ok(self.document.source(value).to_owned()),
        }
    }

    /// A list of texts.
    pub(super) fn texts(
        &self,
        at: NodeId,
        what: &str,
    ) -> Result<Vec<(String, NodeId)>, ConfigError> {
        let items = self.list(at, what)?.unwrap_or_default();
        items.into_iter().map(|item| Ok((self.text(item, what)?, item))).collect()
    }

    /// A whole number. `None`: null.
    pub(super) fn integer(&self, at: NodeId, what: &str) -> Result<Option<i64>, ConfigError> {
        let Some(value) = self.present(at)? else { return Ok(None) };
        let is_scalar = self.document.node(value).kind() == NodeKind::Scalar;
        let number = match is_scalar.then(|| self.document.scalar(value)).transpose()? {
            Some(scalar) if scalar.kind == ScalarType::Int => {
                scalar.text().and_then(|text| text.parse().ok())
            }
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.error(at, format!("{what} must be a whole number")))
    }

    /// A boolean; false if null.
    pub(super) fn boolean(&self, at: NodeId, what: &str) -> Result<bool, ConfigError> {
        let Some(value) = self.present(at)? else { return Ok(false) };
        let is_scalar = self.document.node(value).kind() == NodeKind::Scalar;
        match is_scalar.then(|| self.document.scalar(value)).transpose()? {
            Some(scalar) if scalar.kind == ScalarType::Bool => Ok(scalar.text() == Some("True")),
            _ => Err(self.error(at, format!("{what} must be true or false"))),
        }
    }

    /// A value as it is written.
    pub(super) fn source(&self, at: NodeId) -> &'a str {
        self.document.source(at)
    }
}

/// How deep maps are merged into each other.
const DEPTH_MAX: usize = 100;

/// Far more maps than any configuration has.
const MAPS_MAX: usize = 10_000;

//! What differs between a plaintext and values from elsewhere.
//!
//! Invariant: nothing is changed here; the order is that in which one change after the other fits.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Prune;
use crate::document::{Document, NodeId, NodeKind, Value};
use crate::file::error::FileError;
use crate::path::{KeyPath, Step};

/// A change that is to be made.
pub(super) enum Change<'v> {
    Set(KeyPath, &'v Value),
    /// In the place of an alias.
    Alias(KeyPath, &'v Value),
    Unset(KeyPath),
}

/// What differs.
pub(super) struct Found<'v> {
    pub(super) changes: Vec<Change<'v>>,
    /// The values that are there and become others.
    pub(super) places: Vec<(NodeId, KeyPath, &'v Value)>,
    /// The values that are not there, by what they are to stand in.
    pub(super) new: BTreeMap<NodeId, Vec<(KeyPath, &'v Value)>>,
    pub(super) gone: Vec<KeyPath>,
    prune: Prune,
}

impl<'v> Found<'v> {
    pub(super) fn of(doc: &Document, values: &'v Value, prune: Prune) -> Result<Self, FileError> {
        let (changes, places, gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = Self { changes, places, new: BTreeMap::new(), gone, prune };
        match (doc.value_of(NodeId::FIRST), values) {
            (Some(root), values) => found.compare(doc, root, values, &mut KeyPath::default())?,
            (None, Value::Map(entries)) => {
                let set = |(key, value): &'v (String, Value)| {
                    Change::Set(KeyPath(vec![Step::Key(key.clone())]), value)
                };
                found.changes.extend(entries.iter().map(set));
            }
            (None, _) => {}
        }
        Ok(found)
    }

    fn add(&mut self, container: NodeId, path: &KeyPath, value: &'v Value) {
        self.new.entry(container).or_default().push((path.clone(), value));
        self.changes.push(Change::Set(path.clone(), value));
    }

    fn compare(
        &mut self,
        doc: &Document,
        at: NodeId,
        value: &'v Value,
        path: &mut KeyPath,
    ) -> Result<(), FileError> {
        // What has no value here, such as an infinity, is another one.
        if Value::of_node(doc, at).is_ok_and(|old| old.same(value)) {
            return Ok(());
        }
        match (doc.node(at).kind(), value) {
            (NodeKind::Map, Value::Map(entries)) => {
                let old = doc.entries(at).map(|(key, at)| (doc.key_text(key).into_owned(), at));
                let old: Vec<(String, NodeId)> = old.collect();
                let places: HashMap<&str, NodeId> =
                    old.iter().map(|(key, at)| (key.as_str(), *at)).collect();
                for (key, value) in entries {
                    path.0.push(Step::Key(key.clone()));
                    match places.get(key.as_str()) {
                        Some(&at) => self.compare(doc, at, value, path)?,
                        None => self.add(at, path, value),
                    }
                    path.0.pop();
                }
                let given: HashSet<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
                for (key, _) in old.iter().filter(|(key, _)| !given.contains(key.as_str())) {
                    path.0.push(Step::Key(key.clone()));
                    self.gone.push(path.clone());
                    if self.prune == Prune::Yes {
                        self.changes.push(Change::Unset(path.clone()));
                    }
                    path.0.pop();
                }
            }
            (NodeKind::List, Value::List(items)) => {
                let old: Vec<NodeId> = doc.items(at).collect();
                for (index, value) in items.iter().enumerate() {
                    path.0.push(Step::Index(index));
                    match old.get(index) {
                        Some(&at) => self.compare(doc, at, value, path)?,
                        None => self.add(at, path, value),
                    }
                    path.0.pop();
                }
                // A list is one value: what it no longer has is not one of its own.
                for index in (items.len()..old.len()).rev() {
                    path.0.push(Step::Index(index));
                    self.changes.push(Change::Unset(path.clone()));
                    path.0.pop();
                }
            }
            (NodeKind::Alias, value) => self.changes.push(Change::Alias(path.clone(), value)),
            (_, value) => {
                self.places.push((at, path.clone(), value));
                self.changes.push(Change::Set(path.clone(), value));
            }
        }
        Ok(())
    }
}

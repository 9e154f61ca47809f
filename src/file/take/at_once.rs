//! Many changes in one step: a step for each takes a time that grows with the square of their number.
//!
//! Invariants: the text is the one that a step for each would give; it is parsed and held against the text
//! before; where anything is not that simple there is no result, and steps are taken.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::found::Change;
use super::respell;
use crate::document::{Document, Entry, NodeId, NodeKind, Value};
use crate::file::set_check::{check_inserted, check_removed};
use crate::path::{KeyPath, Step};
use crate::text::{Edits, Span};
use crate::value::{ScalarType, Tree};

/// A text, and the places that are others in it.
type Made = (String, Vec<KeyPath>);

/// The text with all these scalars in the place of others, in one step. `None`: it is not that simple, or there is no need.
pub(super) fn scalars(doc: &Document, places: &mut [(NodeId, KeyPath, &Value)]) -> Option<String> {
    if places.len() < 2 {
        return None;
    }
    let mut edits = Edits::new();
    let mut edited = HashSet::new();
    places.sort_by_key(|(at, _, _)| *at);
    for (at, _, value) in places.iter() {
        let Tree::Scalar(scalar) = value.to_tree() else { return None };
        edits.push_with(doc.node(*at).span(), |out| doc.write_scalar(*at, &scalar, out));
        edited.insert(*at);
    }
    let new = Document::parse(edits.apply(doc.text()), doc.format()).ok()?;
    let same = |id: NodeId| {
        let (old, now) = (doc.node(id), new.node(id));
        old.kind() == now.kind()
            && old.parent() == now.parent()
            && (old.kind() != NodeKind::Scalar
                || edited.contains(&id)
                || doc.source(id) == new.source(id))
    };
    let as_before = doc.nodes().len() == new.nodes().len() && doc.ids().all(same);
    let there = |(at, _, value): &(NodeId, KeyPath, &Value)| {
        Value::of_node(&new, *at).is_ok_and(|there| there.same(value))
    };
    (as_before && places.iter().all(there)).then(|| new.into_text())
}

/// Whether a value takes the place of a scalar as it is written canonically.
pub(super) fn is_simple(doc: &Document, at: NodeId, value: &Value) -> bool {
    let scalar = |at| doc.scalar(at).ok();
    let old = Some(at).filter(|&at| doc.node(at).kind() == NodeKind::Scalar).and_then(scalar);
    let old = old.is_some_and(|old| old.kind != ScalarType::Null && old.text().is_some());
    old && match value {
        Value::Bool(_) | Value::Text(_) => true,
        Value::Number(number) => match value.to_tree() {
            Tree::Scalar(scalar) => scalar.text() == Some(number),
            Tree::Map(_) | Tree::List(_) => false,
        },
        Value::Null | Value::List(_) | Value::Map(_) => false,
    }
}

/// The text with new entries at the ends of their collections. A collection that takes one only in a step
/// gets its first, once: it is then in `alone`.
pub(super) fn entries(
    doc: &Document,
    new: &BTreeMap<NodeId, Vec<(KeyPath, &Value)>>,
    alone: &mut HashSet<KeyPath>,
) -> Option<Made> {
    if new.values().map(Vec::len).sum::<usize>() < 2 {
        return None;
    }
    let (mut trees, mut values, mut made) = (Vec::new(), Vec::new(), Vec::new());
    for (&container, added) in new {
        let of_container: Vec<Tree> = added.iter().map(|(_, value)| value.to_tree()).collect();
        trees.push((container, added, of_container));
    }
    let (mut inserted, mut all) = (Vec::new(), Vec::new());
    for (container, added, trees) in &trees {
        let keys = added.iter().map(|(path, _)| key_of(path));
        let mut entries: Vec<Entry<'_>> = keys.zip(trees).collect();
        let edits = match doc.insert_all(*container, &entries) {
            Ok(edits) => edits,
            Err(_) if alone.insert(doc.path_of(*container)) => {
                entries.truncate(1);
                doc.insert_all(*container, &entries).ok()?
            }
            Err(_) => return None,
        };
        made.extend(added.iter().take(entries.len()).map(|(path, _)| path.clone()));
        values.extend(added.iter().take(entries.len()).map(|(_, value)| *value));
        // Where two end at one place, the inner one comes first.
        let depth = added.first().map_or(0, |(path, _)| path.0.len());
        all.extend(edits.iter().map(|(span, text)| (span, depth, text.to_owned())));
        inserted.push((*container, entries));
    }
    all.sort_by_key(|(span, depth, _)| (span.start(), std::cmp::Reverse(*depth)));
    // A last line without a line break gets one from the first that comes behind it.
    let end = Some(doc.text().len()).filter(|_| !doc.text().ends_with(['\n', '\r']));
    let mut is_ended = false;
    let edits = all.iter().map(|(span, _, text)| {
        let begun = std::mem::replace(&mut is_ended, end == Some(span.start()));
        let rest = text.strip_prefix("\r\n").or_else(|| text.strip_prefix(['\n', '\r']));
        (*span, rest.filter(|_| begun).unwrap_or(text))
    });
    let text = joined(doc, edits)?;
    let (new, places) = check_inserted(doc, text, &inserted).ok()?;
    Some((with_digits(new, &places, &values)?, made))
}

/// The key at the end of a path; `None`: an item stands there.
fn key_of(path: &KeyPath) -> Option<&str> {
    match path.0.last() {
        Some(Step::Key(key)) => Some(key),
        Some(Step::Index(_)) | None => None,
    }
}

/// The text with all its numbers spelled as they were given.
fn with_digits(doc: Document, places: &[NodeId], values: &[&Value]) -> Option<String> {
    let mut numbers = Vec::new();
    for (&at, value) in places.iter().zip(values) {
        respell(&doc, at, value, &mut numbers);
    }
    if numbers.is_empty() {
        return Some(doc.into_text());
    }
    numbers.sort_by_key(|(id, _)| doc.node(*id).span().start());
    let text = joined(&doc, numbers.iter().map(|(id, number)| (doc.node(*id).span(), *number)))?;
    let spelled = Document::parse(text, doc.format()).ok()?;
    let there = |(&at, value): (&NodeId, &&Value)| {
        Value::of_node(&spelled, at).is_ok_and(|there| there.same(value))
    };
    let same = spelled.nodes().len() == doc.nodes().len() && places.iter().zip(values).all(there);
    same.then(|| spelled.into_text())
}

/// The text without entries and items that are to go: those of them whose edits do not touch, so that of
/// neighbours half go. `None`: there is an anchor, or all of a collection is to go.
pub(super) fn removals(doc: &Document, changes: &[Change<'_>]) -> Option<Made> {
    let has_anchor = || doc.ids().any(|id| doc.node(id).kind() == NodeKind::Anchor);
    let is_removal = |change: &&Change<'_>| matches!(change, Change::Unset(_));
    if changes.iter().filter(is_removal).count() < 2 || has_anchor() {
        return None;
    }
    let targets = Targets::of(doc, changes);
    let mut edits: Vec<(Span, &KeyPath, NodeId)> = Vec::new();
    for (path, target) in targets.0 {
        let removal = doc.remove(target);
        // What takes more than one edit, or leaves an empty collection behind, is none of the simple ones.
        let (span, text) = removal.iter().next()?;
        if removal.len() == 1 && text.is_empty() {
            edits.push((span, path, target));
        }
    }
    edits.sort_by_key(|(span, _, _)| (span.start(), span.end()));
    let mut apart: Vec<(Span, &KeyPath, NodeId)> = Vec::new();
    for edit in edits {
        if apart.last().is_none_or(|(last, _, _)| last.end() < edit.0.start()) {
            apart.push(edit);
        }
    }
    if apart.len() < 2 {
        return None;
    }
    let text = joined(doc, apart.iter().map(|(span, _, _)| (*span, "")))?;
    let gone: Vec<NodeId> = apart.iter().map(|(_, _, target)| *target).collect();
    let text = check_removed(doc, text, &gone).ok()?;
    Some((text, apart.into_iter().map(|(_, path, _)| path.clone()).collect()))
}

/// What is to go: the key of an entry, or the item.
struct Targets<'c>(Vec<(&'c KeyPath, NodeId)>);

impl<'c> Targets<'c> {
    fn of(doc: &Document, changes: &'c [Change<'_>]) -> Self {
        let mut by_container: HashMap<&[Step], Vec<&'c KeyPath>> = HashMap::new();
        for change in changes {
            if let Change::Unset(path) = change
                && let Some((_, above)) = path.0.split_last()
            {
                by_container.entry(above).or_default().push(path);
            }
        }
        let mut targets = Vec::new();
        for (above, paths) in by_container {
            let Some(container) = doc.find(&KeyPath(above.to_vec())) else { continue };
            let keys: HashMap<String, NodeId> = doc
                .entries(container)
                .map(|(key, _)| (doc.key_text(key).into_owned(), key))
                .collect();
            let items: Vec<NodeId> = match doc.node(container).kind() {
                NodeKind::List => doc.items(container).collect(),
                _ => Vec::new(),
            };
            let target = |path: &&'c KeyPath| match path.0.last() {
                Some(Step::Key(key)) => keys.get(key).copied(),
                Some(Step::Index(index)) => items.get(*index).copied(),
                None => None,
            };
            let found = paths.iter().filter_map(|path| Some((*path, target(path)?)));
            let found: Vec<_> = found.collect();
            // The last one leaves an empty collection, which is written otherwise.
            let all = found.len() == keys.len().max(items.len());
            targets.extend(found.into_iter().skip(usize::from(all)));
        }
        Self(targets)
    }
}

/// The text with these edits, which are in its order. `None`: two are about the same bytes.
fn joined<'e>(doc: &Document, edits: impl Iterator<Item = (Span, &'e str)>) -> Option<String> {
    let mut all = Edits::new();
    let mut end = 0;
    for (span, text) in edits {
        if span.start() < end {
            return None;
        }
        end = span.end();
        all.push(span, text);
    }
    Some(all.apply(doc.text()))
}

//! Changes of single places in a plaintext: `set`, `unset`, `--extract`.

use super::error::{FileError, place_of};
use super::set_check::{check_set, check_unset};
use super::skip::Skip;
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::path::{KeyPath, Step};
use crate::text::{Edits, line_break};
use crate::value::{ScalarType, Tree};

/// Puts a value at a key path of the first document, making the maps and lists on the way.
///
/// As in SOPS: missing keys are created, an index at or beyond the end appends, a scalar on the way
/// is replaced by what the path needs.
///
/// # Errors
///
/// If an index is used on a map or a key on a list, or the format cannot hold the value.
pub fn set(doc: &Document, path: &KeyPath, value: &Tree) -> Result<String, FileError> {
    let place = Place::of(doc, path)?;
    let (written, edits) = match place.at {
        At::New { container, key } => {
            let written = wrapped(place.rest, value);
            let edits = doc.insert(container, key, &written)?;
            (written, edits)
        }
        At::Value(at) => {
            if place.rest.is_empty()
                && let Some(text) = respelled(doc, at, value)?
                && let Ok(text) = check_set(doc, text, &place.path, value)
            {
                return Ok(text);
            }
            let written = match doc.node(at).kind() {
                // What the alias stands for, changed here alone.
                NodeKind::Alias => changed(doc.tree(at)?, place.rest, value),
                _ => Some(wrapped(place.rest, value)),
            };
            let written = written.ok_or_else(|| FileError::NotFound { path: path.clone() })?;
            let edits = doc.replace(at, &written)?;
            (written, edits)
        }
    };
    check_set(doc, edits.apply(doc.text()), &place.path, &written)
}

/// Where a path leads to.
struct Place<'a> {
    at: At<'a>,
    /// The path of what is written there.
    path: KeyPath,
    /// What of the path asked for lies within that.
    rest: &'a [Step],
}

enum At<'a> {
    /// Here something is to be put, under this key or as an item.
    New { container: NodeId, key: Option<&'a str> },
    /// This value is to be replaced.
    Value(NodeId),
}

impl<'a> Place<'a> {
    fn of(doc: &Document, path: &'a KeyPath) -> Result<Self, FileError> {
        let not_found = || FileError::NotFound { path: path.clone() };
        let up_to = |depth: usize| KeyPath(path.0[..depth].to_vec());
        let Some(mut at) = doc.value_of(NodeId::FIRST) else {
            let [Step::Key(key), rest @ ..] = &path.0[..] else { return Err(not_found()) };
            let at = At::New { container: NodeId::FIRST, key: Some(key) };
            return Ok(Self { at, path: up_to(1), rest });
        };
        for (depth, step) in path.0.iter().enumerate() {
            let rest = &path.0[depth + 1..];
            at = match (step, doc.node(at).kind()) {
                (Step::Key(key), NodeKind::Map) => match doc.entry(at, key) {
                    Some((_, value)) => value,
                    None => {
                        let at = At::New { container: at, key: Some(key) };
                        return Ok(Self { at, path: up_to(depth + 1), rest });
                    }
                },
                (Step::Index(index), NodeKind::List) => match doc.items(at).nth(*index) {
                    Some(item) => item,
                    None => {
                        let mut path = up_to(depth);
                        path.0.push(Step::Index(doc.items(at).count()));
                        return Ok(Self { at: At::New { container: at, key: None }, path, rest });
                    }
                },
                (_, NodeKind::Scalar | NodeKind::Alias) => {
                    let rest = &path.0[depth..];
                    return Ok(Self { at: At::Value(at), path: up_to(depth), rest });
                }
                _ => return Err(not_found()),
            };
        }
        Ok(Self { at: At::Value(at), path: path.clone(), rest: &[] })
    }
}

/// The text with another scalar in the place of a scalar, in its style.
fn respelled(doc: &Document, at: NodeId, value: &Tree) -> Result<Option<String>, FileError> {
    let Tree::Scalar(scalar) = value else { return Ok(None) };
    if doc.node(at).kind() != NodeKind::Scalar
        || scalar.kind == ScalarType::Null
        || doc.scalar(at)?.kind == ScalarType::Null
    {
        return Ok(None);
    }
    let mut edits = Edits::new();
    edits.push_with(doc.node(at).span(), |out| doc.write_scalar(at, scalar, out));
    Ok(Some(edits.apply(doc.text())))
}

/// A tree with a value at a path in it; `None` if the path does not fit.
fn changed(tree: Tree, path: &[Step], value: &Tree) -> Option<Tree> {
    let [step, rest @ ..] = path else { return Some(value.clone()) };
    match (step, tree) {
        (Step::Key(key), Tree::Map(mut entries)) => {
            match entries.iter_mut().find(|(at, _)| at == key) {
                Some((_, at)) => *at = changed(at.clone(), rest, value)?,
                None => entries.push((key.clone(), wrapped(rest, value))),
            }
            Some(Tree::Map(entries))
        }
        (Step::Index(index), Tree::List(mut items)) => {
            match items.get_mut(*index) {
                Some(at) => *at = changed(at.clone(), rest, value)?,
                None => items.push(wrapped(rest, value)),
            }
            Some(Tree::List(items))
        }
        (_, Tree::Scalar(_)) => Some(wrapped(path, value)),
        (_, Tree::Map(_) | Tree::List(_)) => None,
    }
}

/// The value inside the maps and lists that the rest of a path asks for.
fn wrapped(rest: &[Step], value: &Tree) -> Tree {
    rest.iter().rev().fold(value.clone(), |inner, step| match step {
        Step::Key(key) => Tree::Map(vec![(key.clone(), inner)]),
        Step::Index(_) => Tree::List(vec![inner]),
    })
}

/// Takes a map entry or a list item out of the first document.
///
/// # Errors
///
/// If there is no such place, or an alias elsewhere stands for a part of it.
pub fn unset(doc: &Document, path: &KeyPath) -> Result<String, FileError> {
    let not_found = || FileError::NotFound { path: path.clone() };
    let (last, above) = path.0.split_last().ok_or_else(not_found)?;
    let container = doc.find(&KeyPath(above.to_vec())).ok_or_else(not_found)?;
    let target = match (last, doc.node(container).kind()) {
        (Step::Key(key), NodeKind::Map) => doc.entry(container, key).map(|(key, _)| key),
        (Step::Index(index), NodeKind::List) => doc.items(container).nth(*index),
        _ => None,
    };
    let target = target.ok_or_else(not_found)?;
    if let Some(alias) = alias_of(doc, target) {
        let (position, alias) = place_of(doc, alias);
        return Err(FileError::Anchored { path: path.clone(), position, alias });
    }
    let mut text = doc.remove(target).apply(doc.text());
    if doc.format() == Format::Yaml && above.is_empty() {
        // Without its last entry a collection at the root of a YAML text is none, and no document.
        let left = Document::parse(text, doc.format())?;
        text = if left.value_of(NodeId::FIRST).is_some() {
            left.into_text()
        } else {
            emptied_root(doc, container)
        };
    }
    check_unset(doc, text, target)
}

/// An alias outside of an entry or item that stands for a part of it.
fn alias_of(doc: &Document, target: NodeId) -> Option<NodeId> {
    let inside = Skip::new(doc, &[target]);
    let anchored =
        doc.ids().any(|id| doc.node(id).kind() == NodeKind::Anchor && inside.contains(id));
    if !anchored {
        return None;
    }
    let outside =
        doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Alias && !inside.contains(id));
    let mut outside = outside.filter(|&id| id > target);
    outside.find(|&id| doc.alias_target(id).is_some_and(|it| inside.contains(it)))
}

fn emptied_root(doc: &Document, root: NodeId) -> String {
    let span = doc.node(root).span();
    let empty = if doc.node(root).kind() == NodeKind::List { "[]" } else { "{}" };
    let mut edits = Edits::new();
    edits.push_with(span, |out| {
        out.push_str(empty);
        // The line break of a block scalar is its own.
        if span.of(doc.text()).ends_with(['\n', '\r']) {
            out.push_str(line_break(doc.text()));
        }
    });
    edits.apply(doc.text())
}

/// The value at a key path of the first document, aliases followed.
///
/// # Errors
///
/// If there is no such place.
pub fn extract(doc: &Document, path: &KeyPath) -> Result<Tree, FileError> {
    let not_found = || FileError::NotFound { path: path.clone() };
    let mut at = doc.value_of(NodeId::FIRST).ok_or_else(not_found)?;
    for step in &path.0 {
        at = follow(doc, at).ok_or_else(not_found)?;
        at = match (step, doc.node(at).kind()) {
            (Step::Key(key), NodeKind::Map) => doc.entry(at, key).map(|(_, value)| value),
            (Step::Index(index), NodeKind::List) => doc.items(at).nth(*index),
            _ => None,
        }
        .ok_or_else(not_found)?;
    }
    Ok(doc.tree(at)?)
}

fn follow(doc: &Document, id: NodeId) -> Option<NodeId> {
    let mut at = id;
    while doc.node(at).kind() == NodeKind::Alias {
        at = doc.alias_target(at)?;
    }
    Some(at)
}

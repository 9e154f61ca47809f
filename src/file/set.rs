//! Changes of single places in a plaintext: `set`, `unset`, `--extract`.

use super::error::FileError;
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::path::{KeyPath, Step};
use crate::value::Tree;

/// Puts a value at a key path of the first document, making the maps and lists on the way.
///
/// As in SOPS: missing keys are created, an index at or beyond the end appends, a scalar on the way
/// is replaced by what the path needs.
///
/// # Errors
///
/// If an index is used on a map or a key on a list, or the format cannot hold the value.
pub fn set(doc: &Document, path: &KeyPath, value: &Tree) -> Result<String, FileError> {
    let not_found = || FileError::NotFound { path: path.clone() };
    let document = NodeId::FIRST;
    let Some(mut at) = doc.value_of(document) else {
        let [Step::Key(key), rest @ ..] = &path.0[..] else { return Err(not_found()) };
        let edits = doc.insert(document, Some(key), &wrapped(rest, value))?;
        return Ok(edits.apply(doc.text()));
    };
    for (depth, step) in path.0.iter().enumerate() {
        let rest = &path.0[depth + 1..];
        let next = match (step, doc.node(at).kind()) {
            (Step::Key(key), NodeKind::Map) => match doc.entry(at, key) {
                Some((_, value)) => value,
                None => {
                    let edits = doc.insert(at, Some(key), &wrapped(rest, value))?;
                    return Ok(edits.apply(doc.text()));
                }
            },
            (Step::Index(index), NodeKind::List) => match doc.items(at).nth(*index) {
                Some(item) => item,
                None => {
                    let edits = doc.insert(at, None, &wrapped(rest, value))?;
                    return Ok(edits.apply(doc.text()));
                }
            },
            (_, NodeKind::Scalar | NodeKind::Alias) => {
                let edits = doc.replace(at, &wrapped(&path.0[depth..], value))?;
                return Ok(edits.apply(doc.text()));
            }
            _ => return Err(not_found()),
        };
        at = next;
    }
    if doc.node(at).kind() == NodeKind::Scalar
        && let Tree::Scalar(scalar) = value
        && scalar.kind != crate::value::ScalarType::Null
        && doc.scalar(at)?.kind != crate::value::ScalarType::Null
    {
        let mut edits = crate::text::Edits::new();
        edits.push_with(doc.node(at).span(), |out| doc.write_scalar(at, scalar, out));
        let text = edits.apply(doc.text());
        let written = Document::parse(text, doc.format())?;
        if written.find(path).and_then(|id| written.scalar(id).ok()).as_ref() == Some(scalar) {
            return Ok(written.into_text());
        }
    }
    Ok(doc.replace(at, value)?.apply(doc.text()))
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
/// If there is no such place.
pub fn unset(doc: &Document, path: &KeyPath) -> Result<String, FileError> {
    let not_found = || FileError::NotFound { path: path.clone() };
    let (last, above) = path.0.split_last().ok_or_else(not_found)?;
    let container = doc.find(&KeyPath(above.to_vec())).ok_or_else(not_found)?;
    let target = match (last, doc.node(container).kind()) {
        (Step::Key(key), NodeKind::Map) => doc.entry(container, key).map(|(key, _)| key),
        (Step::Index(index), NodeKind::List) => doc.items(container).nth(*index),
        _ => None,
    };
    let text = doc.remove(target.ok_or_else(not_found)?).apply(doc.text());
    if doc.format() != Format::Yaml || !above.is_empty() {
        return Ok(text);
    }
    // Without its last entry a map at the root of a YAML text is no map, and no document.
    let left = Document::parse(text, doc.format())?;
    if left.value_of(NodeId::FIRST).is_some() {
        return Ok(left.into_text());
    }
    let span = doc.node(container).span();
    let mut edits = crate::text::Edits::new();
    // The line break of a block scalar is its own.
    edits.push(span, if span.of(doc.text()).ends_with('\n') { "{}\n" } else { "{}" });
    Ok(edits.apply(doc.text()))
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

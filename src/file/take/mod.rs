//! Values from elsewhere put into a plaintext, whose shape stays: order, comments, quoting.
//!
//! Invariants: a value that means the same is not touched; the result is parsed and holds just the
//! values that were given, and of others those that were to stay.

mod at_once;
mod found;

use std::collections::{HashMap, HashSet};

use self::at_once::{entries, is_simple, removals, scalars};
use self::found::{Change, Found};
use super::error::{FileError, position_of};
use super::set::{set, unset};
use crate::document::{Document, EditError, NodeId, NodeKind, ParseError, Value, bytes_of};
use crate::path::KeyPath;
use crate::text::Edits;
use crate::value::{Scalar, ScalarType, Tree};

/// What came of it.
pub struct Taken {
    /// The plaintext.
    pub text: String,
    /// Where values are new or others.
    pub changed: Vec<KeyPath>,
    /// Keys that were not given: taken out, or left.
    pub gone: Vec<KeyPath>,
}

/// Whether keys that were not given go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prune {
    /// They go.
    Yes,
    /// They stay.
    No,
}

/// A value cannot stand in this file.
#[derive(Debug)]
pub struct TakeError {
    /// Which.
    pub path: KeyPath,
    /// Why not.
    pub source: FileError,
}

/// Puts a map of values into the one document of a plaintext.
///
/// # Errors
///
/// If the format cannot hold a value there, or something else depends on what is to change.
pub fn take(doc: &Document, values: &Value, prune: Prune) -> Result<Taken, TakeError> {
    let mut documents = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
    if let Some(second) = documents.nth(1) {
        let start = doc.node(second).span().start();
        let problem = "a second document begins here: values are put into files of one only";
        return Err(at_root(ParseError::at(doc.text(), start, problem).into()));
    }
    let mut taken = Taken { text: doc.text().to_owned(), changed: Vec::new(), gone: Vec::new() };
    let (mut stay, mut known, mut alone) = (HashSet::new(), HashSet::new(), HashSet::new());
    // Who changes what has an anchor changes what aliases stand for: those that still differ are next.
    for _ in 0..ROUNDS {
        let doc = parse(&taken.text, doc)?;
        let found = Found::of(&doc, values, prune).map_err(at_root)?;
        for path in found.gone {
            if stay.insert(path.clone()) {
                taken.gone.push(path);
            }
        }
        if found.changes.is_empty() {
            return Ok(taken);
        }
        let mut simple = found.places;
        simple.retain(|(at, _, value)| is_simple(&doc, *at, value));
        let at_once = scalars(&doc, &mut simple)
            .map(|text| (text, simple.into_iter().map(|(_, path, _)| path).collect()))
            .or_else(|| entries(&doc, &found.new, &mut alone))
            .or_else(|| removals(&doc, &found.changes));
        if let Some((text, paths)) = at_once {
            let paths: Vec<KeyPath> = paths;
            taken.text = text;
            taken.changed.extend(paths.into_iter().filter(|path| known.insert(path.clone())));
            continue;
        }
        // The first entry of an empty text makes the map that the others go to.
        let one_by_one = match doc.value_of(NodeId::FIRST) {
            Some(_) => usize::MAX,
            None => 1,
        };
        let first = found.changes.iter().any(|change| !matches!(change, Change::Alias(..)));
        for change in found.changes.into_iter().take(one_by_one) {
            let (path, made) = match change {
                Change::Alias(..) if first => continue,
                Change::Set(path, value) | Change::Alias(path, value) => {
                    let made = put(&taken.text, &doc, &path, value);
                    (path, made)
                }
                Change::Unset(path) => {
                    let made = parse(&taken.text, &doc)?;
                    let made = unset(&made, &path);
                    (path, made)
                }
            };
            taken.text = made.map_err(|source| TakeError { path: path.clone(), source })?;
            if known.insert(path.clone()) {
                taken.changed.push(path);
            }
        }
    }
    let path = taken.changed.pop().unwrap_or_default();
    let position = position_of(doc, NodeId::FIRST);
    Err(TakeError { path, source: FileError::Check { position } })
}

/// Aliases within what aliases name take one each; of many keys that go, half go in each.
const ROUNDS: usize = 40;

fn at_root(source: FileError) -> TakeError {
    TakeError { path: KeyPath::default(), source }
}

fn parse(text: &str, like: &Document) -> Result<Document, TakeError> {
    Document::parse(text.to_owned(), like.format()).map_err(|error| at_root(error.into()))
}

/// The text with this value at this place, its numbers with all their digits.
fn put(text: &str, like: &Document, path: &KeyPath, value: &Value) -> Result<String, FileError> {
    let doc = Document::parse(text.to_owned(), like.format())?;
    let text = set(&doc, path, &tree_for(&doc, path, value))?;
    let doc = Document::parse(text, like.format())?;
    let Some(at) = doc.find(path) else {
        return Err(FileError::Check { position: position_of(&doc, NodeId::FIRST) });
    };
    with_digits(doc, at, value)
}

/// A whole plaintext of these values, in the canonical form of a format.
///
/// # Errors
///
/// If the format cannot hold one of them.
pub fn write_values(values: &Value, format: crate::document::Format) -> Result<String, FileError> {
    let doc = Document::parse(Document::emit(&values.to_tree(), format)?, format)?;
    match doc.value_of(NodeId::FIRST) {
        Some(root) => with_digits(doc, root, values),
        None => Ok(doc.into_text()),
    }
}

/// The text with every number below a node spelled as it was given; it holds these values then.
fn with_digits(doc: Document, at: NodeId, value: &Value) -> Result<String, FileError> {
    let mut edits = Vec::new();
    respell(&doc, at, value, &mut edits);
    if edits.is_empty() {
        return Ok(doc.into_text());
    }
    let path = doc.path_of(at);
    edits.sort_by_key(|(id, _)| doc.node(*id).span().start());
    let mut all = Edits::new();
    for (id, number) in edits {
        all.push(doc.node(id).span(), number);
    }
    let what = "a number of so many digits";
    let inexpressible = || EditError::Inexpressible { format: doc.format().name(), what };
    let spelled = Document::parse(all.apply(doc.text()), doc.format()).ok();
    let spelled = spelled.ok_or_else(inexpressible)?;
    let there = spelled.find(&path).map(|at| Value::of_node(&spelled, at)).transpose()?;
    match there {
        Some(there) if there.same(value) => Ok(spelled.into_text()),
        Some(_) | None => Err(inexpressible().into()),
    }
}

/// The numbers that are spelled otherwise.
fn respell<'v>(doc: &Document, at: NodeId, value: &'v Value, out: &mut Vec<(NodeId, &'v str)>) {
    match (doc.node(at).kind(), value) {
        (NodeKind::Scalar, Value::Number(number)) if doc.source(at) != number.as_str() => {
            out.push((at, number));
        }
        (NodeKind::List, Value::List(items)) => {
            for (at, item) in doc.items(at).zip(items) {
                respell(doc, at, item, out);
            }
        }
        (NodeKind::Map, Value::Map(entries)) => {
            let values: HashMap<&str, &'v Value> =
                entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
            for (key, at) in doc.entries(at) {
                if let Some(value) = values.get(&*doc.key_text(key)) {
                    respell(doc, at, value, out);
                }
            }
        }
        _ => {}
    }
}

/// Where bytes stood that are no text, base64 of such bytes is bytes again.
fn tree_for(doc: &Document, path: &KeyPath, value: &Value) -> Tree {
    let old = doc.find(path).filter(|&at| doc.node(at).kind() == NodeKind::Scalar);
    let is_binary = old.is_some_and(|at| doc.scalar(at).is_ok_and(|it| it.text().is_none()));
    match value {
        Value::Text(text) if is_binary => match bytes_of(text) {
            Some(bytes) => Tree::Scalar(Scalar::new(ScalarType::Str, bytes)),
            None => value.to_tree(),
        },
        _ => value.to_tree(),
    }
}

#[cfg(test)]
mod tests;

//! Which type a tag forces.
//!
//! Invariant: only the core tags (`tag:yaml.org,2002:…`, by whatever handle) mean anything; a scalar
//! with any other tag is a string of its text.

use std::collections::HashMap;

use crate::document::links::Handles;
use crate::document::{Document, NodeId, NodeKind};

/// What a tag in front of a scalar demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tag {
    /// No tag, or the non-specific `!`.
    None,
    Str,
    Int,
    Float,
    Bool,
    Null,
    Time,
    Binary,
    /// One that SOPS does not know.
    Other,
}

const CORE: &str = "tag:yaml.org,2002:";

/// The tag before this key or value.
#[inline]
pub(super) fn of(doc: &Document, id: NodeId) -> Tag {
    // Nearly nothing has a tag: the node before tells.
    let before = id.index().checked_sub(1).map(|before| doc.nodes()[before].kind());
    match before {
        Some(NodeKind::Tag | NodeKind::Anchor | NodeKind::Comment) => read(doc, id),
        _ => Tag::None,
    }
}

fn read(doc: &Document, id: NodeId) -> Tag {
    let Some(tag) = node(doc, id) else { return Tag::None };
    let source = doc.source(tag);
    if source == "!" {
        return Tag::None;
    }
    if let Some(uri) = source.strip_prefix("!<") {
        return named(uri.strip_suffix('>').unwrap_or(uri));
    }
    let handle_end = source[1..].find('!').map_or(1, |at| at + 2);
    let (handle, suffix) = source.split_at(handle_end);
    match declared_prefix(doc, id, handle) {
        Some(prefix) => named(&format!("{prefix}{suffix}")),
        None if handle == "!!" => named_core(suffix),
        None => Tag::Other,
    }
}

/// The tag before this key or value, as a node.
pub(super) fn node(doc: &Document, id: NodeId) -> Option<NodeId> {
    doc.property(id, NodeKind::Tag)
}

fn named(uri: &str) -> Tag {
    uri.strip_prefix(CORE).map_or(Tag::Other, named_core)
}

fn named_core(suffix: &str) -> Tag {
    match suffix {
        "str" => Tag::Str,
        "int" => Tag::Int,
        "float" => Tag::Float,
        "bool" => Tag::Bool,
        "null" => Tag::Null,
        "timestamp" => Tag::Time,
        "binary" => Tag::Binary,
        _ => Tag::Other,
    }
}

/// What a `%TAG` line of the node's document says that this handle stands for.
fn declared_prefix<'a>(doc: &'a Document, id: NodeId, handle: &str) -> Option<&'a str> {
    doc.handle(id, handle, || declared(doc))
}

/// The handles that `%TAG` lines declare, by document.
fn declared(doc: &Document) -> Handles {
    let documents = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
    documents.map(|document| (document, declared_before(doc, document))).collect()
}

/// The first declaration of each handle. Directives stand between the content of two documents, where
/// nothing but comments does.
fn declared_before(doc: &Document, document: NodeId) -> HashMap<String, String> {
    let nodes = doc.nodes();
    let start = nodes[..document.index()].last().map_or(0, |node| node.span().end());
    let end = nodes[document.index() + 1..]
        .iter()
        .find(|node| node.kind() != NodeKind::Comment)
        .map_or(start, |node| node.span().start());
    let mut handles = HashMap::new();
    for line in doc.text().get(start..end).unwrap_or_default().split(['\n', '\r']) {
        let line = line.trim_start_matches('\u{feff}').strip_prefix("%TAG");
        let mut words = line.unwrap_or_default().split_whitespace();
        if let (Some(handle), Some(prefix)) = (words.next(), words.next()) {
            handles.entry(handle.to_owned()).or_insert_with(|| prefix.to_owned());
        }
    }
    handles
}

#[cfg(test)]
mod tests {
    use super::{Tag, named, named_core};

    #[test]
    fn core_tags_by_either_name() {
        assert_eq!(named("tag:yaml.org,2002:int"), Tag::Int);
        assert_eq!(named_core("timestamp"), Tag::Time);
        assert_eq!(named("tag:example.com,2000:int"), Tag::Other);
        assert_eq!(named_core("custom"), Tag::Other);
    }
}

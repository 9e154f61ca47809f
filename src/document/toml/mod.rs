//! TOML 1.1, and so 1.0.
//!
//! A map can be spread over the text: `[a.b]`, `[a]`, `a.c = 1` all speak of `a`. Its `Key` and `Map`
//! nodes stand where it is mentioned first; later mentions make no nodes. In brackets a map or list
//! has [`Style::Flow`], by headers or dotted keys [`Style::Block`].
//!
//! Invariants: every edit leaves what it does not name byte for byte; new headers go in where no
//! comment or pair changes its table. Nothing here knows another format.

use std::borrow::Cow;

use super::{Document, EditError, Node, NodeId, NodeKind, ParseError, Style};
use crate::text::Edits;
use crate::value::{Scalar, ScalarType, Tree};

mod flow;
mod insert;
mod parse;
mod place;
mod plain;
mod remove;
mod string;
mod tables;
mod tree;
mod write;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, ParseError> {
    parse::parse(text)
}

pub(super) fn key_text(doc: &Document, key: NodeId) -> Cow<'_, str> {
    let node = doc.node(key);
    tables::Token { span: node.span(), style: node.style() }.text(doc.text())
}

pub(super) fn scalar(doc: &Document, id: NodeId) -> Result<Scalar<'_>, ParseError> {
    let node = doc.node(id);
    let source = doc.source(id);
    if node.kind() == NodeKind::Comment {
        let text = source.strip_prefix('#').unwrap_or(source);
        return Ok(Scalar::new(ScalarType::Comment, text.as_bytes()));
    }
    if node.style() != Style::Plain {
        return Ok(Scalar::str(string::decode(source, node.style())));
    }
    let error = |problem| ParseError::at(doc.text(), node.span().start(), problem);
    let value = plain::read(source).map_err(error)?;
    if value.kind == ScalarType::Time && value.bytes.get(16..19) == Some(b":60") {
        return Err(error("a leap second is a moment that SOPS cannot hold"));
    }
    Ok(value)
}

pub(super) fn insert(
    doc: &Document,
    at: NodeId,
    entries: &[super::Entry<'_>],
) -> Result<Edits, EditError> {
    insert::insert(doc, at, entries)
}

pub(super) fn replace(doc: &Document, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
    insert::replace(doc, value, new)
}

pub(super) fn remove(doc: &Document, id: NodeId) -> Edits {
    remove::remove(doc, id)
}

pub(super) fn write_scalar(doc: &Document, id: NodeId, value: &Scalar<'_>, out: &mut String) {
    write::write_scalar(doc, id, value, out);
}

pub(super) fn write_token(doc: &Document, id: NodeId, token: &str, out: &mut String) {
    write::write_token(doc, id, token, out);
}

pub(super) fn emit(tree: &Tree) -> Result<String, EditError> {
    tree::emit(tree)
}

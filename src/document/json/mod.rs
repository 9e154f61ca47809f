//! JSON (RFC 8259).
//!
//! Invariants: every edit leaves what it does not name byte for byte; [`remove`] of what [`insert`]
//! put there gives back the same text. Nothing here knows another format.

use std::borrow::Cow;

use super::{Document, EditError, Node, NodeId, ParseError};
use crate::text::Edits;
use crate::value::{Scalar, Tree};

mod edit;
mod layout;
mod parse;
mod scalar;
mod write;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, ParseError> {
    parse::parse(text)
}

pub(super) fn key_text(doc: &Document, key: NodeId) -> Cow<'_, str> {
    scalar::decode(doc.source(key)).unwrap_or_default()
}

pub(super) fn scalar(doc: &Document, id: NodeId) -> Result<Scalar<'_>, ParseError> {
    scalar::read(doc, id)
}

pub(super) fn insert(
    doc: &Document,
    at: NodeId,
    entries: &[super::Entry<'_>],
) -> Result<Edits, EditError> {
    edit::insert(doc, at, entries)
}

pub(super) fn replace(doc: &Document, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
    edit::replace(doc, value, new)
}

pub(super) fn remove(doc: &Document, id: NodeId) -> Edits {
    edit::remove(doc, id)
}

pub(super) fn write_scalar(value: &Scalar<'_>, out: &mut String) {
    scalar::write(value, out);
}

pub(super) fn write_token(token: &str, out: &mut String) {
    // A token needs no escapes.
    out.push('"');
    out.push_str(token);
    out.push('"');
}

pub(super) fn emit(tree: &Tree) -> Result<String, EditError> {
    write::emit(tree)
}

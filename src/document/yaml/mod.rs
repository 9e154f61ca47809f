//! YAML: what its scalars and keys mean, and how values are written into it.
//!
//! Invariants: values are SOPS' (YAML 1.2 as its library reads it, with leftovers of 1.1); what is
//! written is read alike by every reader of YAML 1.1 and 1.2.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::tag::Tag;
use super::{Document, EditError, Node, NodeId, NodeKind, ParseError, Style};
use crate::text::Edits;
use crate::value::{Scalar, ScalarType, Tree};

mod decode;
mod emit;
mod extent;
mod flow;
mod insert;
mod literal;
mod owners;
mod parse;
mod place;
mod quote;
mod remove;
mod replace;
mod resolve;
mod tag;
mod write;

pub(super) use flow::flow_text;
pub(super) use owners::{header_comment, owners as comment_owners};

pub(super) fn parse(text: &str) -> Result<Vec<Node>, ParseError> {
    parse::parse(text)
}

pub(super) fn key_text(doc: &Document, key: NodeId) -> Cow<'_, str> {
    let source = doc.source(key);
    // Nearly every key: as it is written, be it a string or not.
    let is_plain = doc.node(key).style() == Style::Plain && !source.contains(['\n', '\r']);
    if is_plain && tag::of(doc, key) == Tag::None {
        return Cow::Borrowed(source);
    }
    if let Some(text) = string_key(doc, key) {
        return text;
    }
    // A block scalar at its end takes in a line break where there is one.
    let source = source.trim_end_matches(['\n', '\r']);
    match source.contains('\r') {
        true => Cow::Owned(source.replace("\r\n", "\n")),
        false => Cow::Borrowed(source),
    }
}

pub(super) fn key_is_string(doc: &Document, key: NodeId) -> bool {
    let source = doc.source(key);
    // Nearly every key begins as no number, word or alias does.
    let is_name = doc.node(key).style() == Style::Plain
        && source.starts_with(|c: char| c.is_ascii_alphabetic() && !"nNtTfF".contains(c));
    is_name && tag::of(doc, key) == Tag::None || string_key(doc, key).is_some()
}

pub(super) fn scalar(doc: &Document, id: NodeId) -> Result<Scalar<'_>, ParseError> {
    let node = doc.node(id);
    let source = doc.source(id);
    if node.kind() == NodeKind::Comment {
        let text = source.strip_prefix('#').unwrap_or(source);
        return Ok(Scalar::new(ScalarType::Comment, text.as_bytes()));
    }
    let text = match node.style() {
        Style::Plain | Style::Flow | Style::Block | Style::Line | Style::Inline => {
            decode::plain(source)
        }
        Style::Single | Style::MultiSingle => decode::single(source),
        Style::Double | Style::MultiDouble => decode::double(source).map_err(|bad| {
            let at = node.span().start() + bad.0;
            ParseError::at(doc.text(), at, "this escape stands for no character")
        })?,
        Style::Literal | Style::Folded => Cow::Owned(decode::block(source, node.indent())),
    };
    let tag = tag::of(doc, id);
    if tag == Tag::None && node.style() == Style::Plain {
        return Ok(resolve(text));
    }
    typed(tag, text).ok_or_else(|| {
        ParseError::at(doc.text(), node.span().start(), "this value does not fit its tag")
    })
}

pub(super) fn write_scalar(doc: &Document, id: NodeId, value: &Scalar<'_>, out: &mut String) {
    write::write_scalar(doc, id, value, out);
}

pub(super) fn write_token(doc: &Document, id: NodeId, token: &str, out: &mut String) {
    write::write_token(doc, id, token, out);
}

/// How a value at the end of the text, up to there, is spelled so that it keeps its value once a line follows.
pub(super) fn with_more_behind(doc: &Document, id: NodeId) -> Option<String> {
    let node = doc.node(id);
    let block = matches!(node.style(), Style::Literal | Style::Folded);
    let behind = &doc.text()[node.span().end()..];
    if !block || behind.bytes().any(|byte| byte != b' ') {
        return None;
    }
    literal::with_more_behind(&doc.text()[node.span().start()..], node.indent())
}

pub(super) fn insert(
    doc: &Document,
    container: NodeId,
    entries: &[super::Entry<'_>],
) -> Result<Edits, EditError> {
    insert::insert(doc, container, entries)
}

pub(super) fn replace(doc: &Document, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
    replace::replace(doc, value, new)
}

pub(super) fn remove(doc: &Document, id: NodeId) -> Edits {
    remove::remove(doc, id)
}

pub(super) fn emit(tree: &Tree) -> String {
    emit::emit(tree)
}

/// The text of a key that is a string; none of any other.
fn string_key(doc: &Document, key: NodeId) -> Option<Cow<'_, str>> {
    let style = doc.node(key).style();
    let is_collection = matches!(style, Style::Flow | Style::Block);
    let is_alias = style == Style::Plain && doc.source(key).starts_with('*');
    if is_collection || is_alias {
        return None;
    }
    let scalar = scalar(doc, key).ok().filter(|scalar| scalar.kind == ScalarType::Str)?;
    Some(match scalar.bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    })
}

fn resolve(text: Cow<'_, str>) -> Scalar<'_> {
    match text {
        Cow::Borrowed(text) => resolve::resolve(text),
        Cow::Owned(text) => resolve::resolve(&text).into_owned(),
    }
}

/// The value that a tag makes of a text; none if the text does not fit.
fn typed(tag: Tag, text: Cow<'_, str>) -> Option<Scalar<'_>> {
    let wanted = match tag {
        Tag::None | Tag::Str | Tag::Other => return Some(Scalar::str(text)),
        Tag::Null => ScalarType::Null,
        Tag::Binary => {
            let digits: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            return Some(Scalar::new(ScalarType::Str, STANDARD.decode(digits).ok()?));
        }
        Tag::Int => ScalarType::Int,
        Tag::Float => ScalarType::Float,
        Tag::Bool => ScalarType::Bool,
        Tag::Time => ScalarType::Time,
    };
    let scalar = resolve(text);
    match (wanted, scalar.kind) {
        (ScalarType::Float, ScalarType::Int) => {
            let number: f64 = scalar.text()?.parse().ok()?;
            Some(Scalar::float(number))
        }
        // An integer beyond int64 comes as a float.
        (ScalarType::Int, ScalarType::Float) => {
            let digits = scalar.text().is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
            digits.then_some(scalar)
        }
        (wanted, kind) => (wanted == kind).then_some(scalar),
    }
}

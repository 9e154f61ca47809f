//! Values of YAML read and written: by hand, over the YAML test suite, over real files, and against
//! other readers.

#![expect(clippy::print_stdout, reason = "figures over a corpus, seen with --nocapture")]

use waxseal::document::{Document, Format, NodeId, NodeKind, Style};
use waxseal::text::{Edits, Span};
use waxseal::value::{Scalar, ScalarType, Tree};

mod corpus;
mod strings;
mod tokens;
mod trees;
mod values;

fn parse(text: &str) -> Document {
    Document::parse(text.to_owned(), Format::Yaml).expect("a YAML text")
}

fn try_parse(text: &str) -> Option<Document> {
    Document::parse(text.to_owned(), Format::Yaml).ok()
}

/// The ids of all scalars that hold something and so can be sealed.
fn sealable(doc: &Document) -> Vec<NodeId> {
    let forced = |id: NodeId| {
        // A tag on the line before the value is one of these tests' blind spots, not of the code.
        let line = &doc.text()[..doc.node(id).span().start()];
        let line = &line[line.rfind(['\n', '\r']).map_or(0, |at| at + 1)..];
        ["!!int", "!!float", "!!bool", "!!null", "!!binary", "!!timestamp", "!<"]
            .iter()
            .any(|tag| line.contains(tag))
    };
    doc.ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Scalar && !forced(id))
        .filter(|&id| doc.scalar(id).is_ok_and(|scalar| !scalar.bytes.is_empty()))
        .collect()
}

/// What a text says, line by line: every node's kind and, but for scalars, its text.
fn outline(doc: &Document) -> Vec<String> {
    let line = |id: NodeId| {
        let node = doc.node(id);
        let value = match node.kind() {
            NodeKind::Key => doc.key_text(id).into_owned(),
            NodeKind::Comment | NodeKind::Anchor | NodeKind::Tag | NodeKind::Alias => {
                doc.source(id).to_owned()
            }
            NodeKind::Scalar => doc.scalar(id).map_or("?".to_owned(), |scalar| spell(&scalar)),
            NodeKind::Document | NodeKind::Map | NodeKind::List => String::new(),
        };
        format!("{:?} {} {value}", node.kind(), node.parent().index())
    };
    doc.ids().map(line).collect()
}

fn spell(scalar: &Scalar<'_>) -> String {
    format!("{} {}", scalar.kind.name(), String::from_utf8_lossy(&scalar.bytes))
}

fn write_scalar(doc: &Document, id: NodeId, value: &Scalar<'_>) -> String {
    let mut out = String::new();
    doc.write_scalar(id, value, &mut out);
    out
}

fn with(doc: &Document, span: Span, new: &str) -> String {
    let mut edits = Edits::new();
    edits.push(span, new);
    edits.apply(doc.text())
}

fn is_block(style: Style) -> bool {
    matches!(style, Style::Literal | Style::Folded)
}

fn map(entries: &[(&str, Tree)]) -> Tree {
    Tree::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// Something like the metadata of a sealed file.
fn metadata() -> Tree {
    let age = map(&[
        ("recipient", Tree::str("age1q")),
        ("enc", Tree::str("-----BEGIN-----\nYWdl\n-----END-----\n")),
    ]);
    map(&[
        ("age", Tree::List(vec![age.clone(), age])),
        ("kms", Tree::List(vec![])),
        ("lastmodified", Tree::str("2026-01-02T03:04:05Z")),
        ("mac", Tree::str("ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]")),
        ("shamir_threshold", Tree::Scalar(Scalar::int(2))),
        ("mac_only_encrypted", Tree::Scalar(Scalar::new(ScalarType::Bool, &b"True"[..]))),
        ("unencrypted_suffix", Tree::str("_unencrypted")),
        ("x", map(&[("y", map(&[("z", Tree::str("a\nb"))]))])),
    ])
}

//! What must hold whatever the bytes: the laws of the tests, over texts that nobody wrote.
//!
//! A target hands its input to [`room`]. Nothing may panic, and a law that does not hold is a panic.

use waxseal::document::{Document, Format, Node, NodeId, NodeKind, Style};
use waxseal::file::{EncryptedFile, Verdict};

#[path = "../../tests/it/yaml_parse/invariants.rs"]
mod invariants;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/laws.rs"]
mod laws;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/it/support.rs"]
mod support;

/// Everything that can be done with a text of one format.
pub fn room(data: &[u8], format: Format) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    read_sealed(text, format);
    let Ok(doc) = Document::parse(text.to_owned(), format) else { return };
    if format == Format::Yaml
        && let Err(broken) = invariants::check(&doc)
    {
        panic!("{broken}");
    }
    laws::check_nodes(&doc);
    // A tag such as `!!binary` makes of a token what `round_trip` undoes.
    // A lone value is never sealed.
    let roots = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
    let is_lone =
        |root| doc.value_of(root).is_some_and(|it| doc.node(it).kind() == NodeKind::Scalar);
    if !has(&doc, NodeKind::Tag) && !roots.map(is_lone).any(|lone| lone) {
        laws::check_tokens(&doc);
    }
    if std::env::var_os("WAXSEAL_FUZZ_EDITS").is_none_or(|word| word != "no") {
        edit(&doc);
    }
    round_trip(text, format);
}

/// A sealed file, more or less damaged: read or refused.
fn read_sealed(text: &str, format: Format) {
    let Ok(file) = EncryptedFile::parse(text.to_owned(), format) else { return };
    let _ = file.decrypt_unverified(&support::data_key());
    let _ = support::open(text, format);
}

/// Whether there is such a node behind the first, which is the first document.
fn has(doc: &Document, kind: NodeKind) -> bool {
    doc.nodes()[1..].iter().any(|node| node.kind() == kind)
}

/// One kind of change, so that an input costs little; its length chooses.
fn edit(doc: &Document) {
    let Some(root) = doc.value_of(NodeId::FIRST) else { return };
    // A block scalar as a key, at the open end of a text: a `:` below gives it a line break more.
    let is_block_key = |node: &Node| {
        node.kind() == NodeKind::Key && matches!(node.style(), Style::Literal | Style::Folded)
    };
    if doc.nodes().iter().any(is_block_key) {
        return;
    }
    // The laws find places by their path, which a doubled key, a second document or an alias hides.
    if has(doc, NodeKind::Document)
        || has(doc, NodeKind::Alias)
        || doc.ids().any(|id| is_alias_key(doc, id))
        || doc.duplicate_key().is_some()
        || laws::tree(doc, root).is_none()
    {
        return;
    }
    let every = 1 + doc.nodes().len() / 4;
    match doc.text().len() % 8 {
        0 => laws::check_insert(doc, every, &mut laws::Seen::default()),
        1 => laws::check_replace(doc, every),
        2 => drop(laws::check_remove(doc, every)),
        _ => {}
    }
}

/// A key can be an alias, or hold one.
fn is_alias_key(doc: &Document, id: NodeId) -> bool {
    let node = doc.node(id);
    let is_quoted = matches!(node.style(), Style::Single | Style::Double);
    node.kind() == NodeKind::Key && !is_quoted && doc.source(id).contains('*')
}

/// What can be sealed comes back byte for byte, and nobody else's hand is seen in it.
fn round_trip(text: &str, format: Format) {
    // A text that would not read back as it should is refused, too: nothing is lost.
    let Ok(sealed) = support::seal(text, format) else { return };
    let opened = support::open(&sealed, format)
        .unwrap_or_else(|error| panic!("does not open: {error}\n{text}\n{sealed}"));
    assert_eq!(opened.document().text(), text, "sealed as\n{sealed}");
    assert_eq!(opened.outcome().verdict(), Verdict::Sealed, "{text}");
}

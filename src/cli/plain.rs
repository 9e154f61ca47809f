//! What a text shows before it is sealed: mistakes that would be sealed all the same, and what sops
//! will not read of the result.
//!
//! The library seals anything that is valid; here stands what nobody means. Invariant: a text is
//! parsed once more only where it holds what gives such a mistake away.

use std::ffi::OsStr;
use std::path::Path;

use memchr::memmem;

use super::error::Error;
use super::exit;
use super::open::{self, EMPTY};
use crate::crypto::encrypted_value::{PREFIX, is_token};
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::file::{EncryptedFile, FileError};
use crate::text::Position;
use crate::value::ScalarType;

/// Refuses an empty TOML file, which is valid: a shell may just have emptied it. The parsers of the
/// other formats refuse theirs.
pub(crate) fn refuse_empty(text: &str, format: Format) -> Result<(), Error> {
    if format != Format::Toml || !text.trim_start_matches('\u{feff}').is_empty() {
        return Ok(());
    }
    Err(Error::new(exit::CANNOT_READ, "there is nothing to seal").hint(EMPTY))
}

/// Refuses a template: YAML reads `{{ .Values.x }}` as a map whose key is a map, so that nothing
/// in it would be sealed. sops refuses it as well.
pub(crate) fn refuse_template(text: &str, format: Format) -> Result<(), Error> {
    if format != Format::Yaml || !holds(text, "{{") {
        return Ok(());
    }
    // What does not parse is told by whoever seals it.
    let Ok(doc) = Document::parse(text.to_owned(), format) else { return Ok(()) };
    match doc.ids().find(|&id| is_template(&doc, id)) {
        Some(key) => {
            let position = Position::of(doc.text(), doc.node(key).span().start());
            let text = format!(
                "{position}: `{{{{ … }}}}` is a template; YAML reads a map in its place, and \
                 nothing in it would be sealed"
            );
            Err(Error::new(exit::CANNOT_READ, text).hint(TEMPLATE))
        }
        None => Ok(()),
    }
}

/// The key of the inner map in `{{ .Values.x }}`: a map without values as the key of a map.
fn is_template(doc: &Document, id: NodeId) -> bool {
    let node = doc.node(id);
    if node.kind() != NodeKind::Key || !doc.source(id).starts_with('{') {
        return false;
    }
    let before = &doc.text()[..node.span().start()];
    let value = doc.value_of(id).and_then(|value| doc.scalar(value).ok());
    before.ends_with('{') && value.is_none_or(|value| value.kind == ScalarType::Null)
}

/// What a text that does not parse may be.
pub(crate) struct Marks {
    template: bool,
    conflict: Option<usize>,
    empty: bool,
}

impl Marks {
    /// Looked for before the text is given away.
    pub(crate) fn of(text: &str) -> Self {
        let template = holds(text, "{{") || holds(text, "{%");
        Self { template, conflict: open::conflict(text), empty: text.is_empty() }
    }

    /// The error of the parser, with what to do; of a merge that is not settled another one.
    pub(crate) fn hint(&self, error: Error) -> Error {
        if self.empty {
            error.hint(EMPTY)
        } else if let Some(line) = self.conflict {
            open::unmerged(error.exit(), line)
        } else if self.template {
            error.hint(TEMPLATE)
        } else {
            error
        }
    }
}

/// Refuses a text whose values are encrypted already while the metadata is gone: sealed once more
/// they would stay locked for good.
pub(crate) fn refuse_tokens(text: &str, format: Format) -> Result<(), Error> {
    if !holds(text, PREFIX) {
        return Ok(());
    }
    // With metadata, or broken: whoever seals it says so.
    if !matches!(EncryptedFile::parse(text.to_owned(), format), Err(FileError::NoMetadata)) {
        return Ok(());
    }
    let Ok(doc) = Document::parse(text.to_owned(), format) else { return Ok(()) };
    let is_sealed = |id: &NodeId| match doc.node(*id).kind() {
        NodeKind::Scalar | NodeKind::Comment => {
            doc.scalar(*id).is_ok_and(|it| it.text().is_some_and(is_token))
        }
        _ => false,
    };
    let Some(id) = doc.ids().find(is_sealed) else { return Ok(()) };
    let position = Position::of(doc.text(), doc.node(id).span().start());
    let what = match doc.node(id).kind() {
        NodeKind::Comment => "a comment".to_owned(),
        _ => doc.path_of(id).to_string(),
    };
    let text = format!(
        "{position}: {what} is encrypted already, and the `sops` entry that opens it is not there"
    );
    Err(Error::new(exit::ALREADY_ENCRYPTED, text)
        .hint("take the entry back from an earlier version: git log -p shows it")
        .hint("--allow-encrypted seals what is encrypted once more, as a text"))
}

/// What sops does not read of a sealed file, for a person at a terminal. Of TOML it reads nothing,
/// which needs no saying each time.
pub(crate) fn unread_by_sops(sealed: &str, format: Format) -> Option<String> {
    if format == Format::Toml {
        return None;
    }
    let doc = Document::parse(sealed.to_owned(), format).ok()?;
    let root = doc.value_of(NodeId::FIRST)?;
    if doc.node(root).kind() == NodeKind::List {
        return Some("sops does not read a file that is a list at its root; waxseal does".into());
    }
    if format == Format::Json && sealed.starts_with('\u{feff}') {
        return Some("sops does not read JSON with a byte order mark; waxseal does".into());
    }
    let is_other = |id: &NodeId| {
        let source = doc.source(*id);
        doc.node(*id).kind() == NodeKind::Key && source != "<<" && !doc.key_is_string(*id)
    };
    let key = doc.ids().find(is_other)?;
    let position = Position::of(doc.text(), doc.node(key).span().start());
    Some(format!(
        "{position}: sops does not read a file with a key that is no text ({}); waxseal does",
        doc.path_of(key)
    ))
}

/// Whether a file is called like the configuration.
pub(crate) fn is_configuration(name: &Path) -> bool {
    name.file_name() == Some(OsStr::new(".sops.yaml"))
}

/// Refuses to seal the configuration: nobody could read who can open what.
pub(crate) fn refuse_configuration(name: &Path) -> Result<(), Error> {
    if !is_configuration(name) {
        return Ok(());
    }
    let text = "the configuration itself is not encrypted: it says who can open which file";
    Err(Error::new(exit::GENERIC, text)
        .hint("recipients (age1…) are no secret; an identity, if one stands in it, has to go"))
}

fn holds(text: &str, what: &str) -> bool {
    memmem::find(text.as_bytes(), what.as_bytes()).is_some()
}

/// Where encrypted values are, and nothing that opens them.
pub(crate) const METADATA_GONE: &str = "its values are encrypted and the `sops` entry that opens them is gone: take it back from an \
     earlier version, git log -p shows it";

/// What to do with a template.
const TEMPLATE: &str = "seal what fills the template in, such as a chart's values, not the \
                        template; braces that are meant as text need quotes";

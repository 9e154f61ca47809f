//! From one format to another, in the canonical form of the target.
//!
//! Invariant: what the target cannot hold is an error; what is only dropped (comments, the owner's
//! spelling) is told.

use super::error::Error;
use super::exit;
use super::explain::{self, Role};
use crate::document::{Document, EditError, Format, NodeId, NodeKind};
use crate::file::FileError;
use crate::value::{Scalar, ScalarType, Tree};

/// A text in its new format, and what it lost on the way.
#[derive(Debug)]
pub(crate) struct Converted {
    pub(crate) text: String,
    pub(crate) notes: Vec<String>,
}

/// Writes a document in another format.
pub(crate) fn convert(doc: &Document, to: Format) -> Result<Converted, Error> {
    let count = |kind| doc.nodes().iter().filter(|node| node.kind() == kind).count();
    let documents = count(NodeKind::Document);
    if documents > 1 {
        let text = format!("holds {documents} documents; {} holds one", to.name());
        return Err(Error::new(exit::CANNOT_EXPRESS, text));
    }
    if let Some(error) = doc.duplicate_key() {
        return Err(explain::file(&FileError::DuplicateKey(error), Role::Plain));
    }
    let tree = match doc.value_of(NodeId::FIRST) {
        Some(root) => doc.tree(root).map_err(|it| explain::file(&it.into(), Role::Plain))?,
        None => Tree::Map(Vec::new()),
    };
    let text = Document::emit(&tree, to).map_err(|error| not_held(&error))?;
    let comments = count(NodeKind::Comment);
    let notes = match comments {
        0 => Vec::new(),
        _ => vec![format!("{comments} comments are not carried over to {}", to.name())],
    };
    Ok(Converted { text, notes })
}

/// What `--extract` prints: a string as it is, anything else as the format writes it.
pub(crate) fn value(tree: &Tree, format: Format) -> Result<Vec<u8>, Error> {
    let text = match tree {
        Tree::Scalar(scalar) => return scalar_bytes(scalar, format),
        Tree::Map(_) => emit(tree, format)?,
        Tree::List(_) if format == Format::Toml => {
            let text = emit(&Tree::Map(vec![("x".to_owned(), tree.clone())]), format)?;
            match text.strip_prefix("x = ") {
                Some(array) => array.to_owned(),
                None => {
                    let what = "a list of tables without a key";
                    let error = EditError::Inexpressible { format: "toml", what };
                    return Err(not_held(&error));
                }
            }
        }
        Tree::List(_) if format == Format::Json => emit(tree, format)?.trim_end().to_owned(),
        Tree::List(_) => emit(tree, format)?,
    };
    Ok(text.into_bytes())
}

fn emit(tree: &Tree, format: Format) -> Result<String, Error> {
    Document::emit(tree, format).map_err(|error| not_held(&error))
}

fn scalar_bytes(scalar: &Scalar<'_>, format: Format) -> Result<Vec<u8>, Error> {
    let mut bytes = match (scalar.kind, scalar.text()) {
        (ScalarType::Str | ScalarType::Bytes | ScalarType::Comment, _) => {
            return Ok(scalar.bytes.to_vec());
        }
        (ScalarType::Null, _) => b"null".to_vec(),
        (ScalarType::Bool, text) => text.unwrap_or_default().to_ascii_lowercase().into_bytes(),
        (ScalarType::Float, Some("NaN" | "+Inf" | "-Inf")) if format == Format::Json => {
            let what = "a number that is not finite";
            return Err(not_held(&EditError::Inexpressible { format: "json", what }));
        }
        (ScalarType::Float, Some(text)) => float_text(text, format).as_bytes().to_vec(),
        (ScalarType::Time, Some(text)) if format == Format::Json => {
            format!("\"{text}\"").into_bytes()
        }
        (
            ScalarType::Int
            | ScalarType::Float
            | ScalarType::Time
            | ScalarType::DatetimeLocal
            | ScalarType::DateLocal
            | ScalarType::TimeLocal,
            _,
        ) => scalar.bytes.to_vec(),
    };
    if format != Format::Json {
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn float_text(text: &str, format: Format) -> &str {
    match (text, format) {
        ("NaN", Format::Toml) => "nan",
        ("+Inf", Format::Toml) => "inf",
        ("-Inf", Format::Toml) => "-inf",
        ("NaN", _) => ".nan",
        ("+Inf", _) => ".inf",
        ("-Inf", _) => "-.inf",
        _ => text,
    }
}

fn not_held(error: &EditError) -> Error {
    Error::of(exit::CANNOT_EXPRESS, error)
}

//! An encrypted file: a document, and the metadata that stands in it.

use super::error::{FileError, position_of};
use super::skip::Skip;
use crate::crypto::encrypted_value::is_token;
use crate::document::{Document, Format, NodeId, NodeKind, Style};
use crate::metadata::Metadata;
use crate::value::ScalarType;

/// The key that the metadata stands under, in every format.
pub(crate) const METADATA_KEY: &str = "sops";

/// A parsed file with readable metadata. Nothing is decrypted yet.
pub struct EncryptedFile {
    pub(crate) doc: Document,
    /// The value of the metadata entry: a map.
    pub(crate) block: NodeId,
    /// What to take out for the plaintext: a `Key`, or the last item of a root list; in later YAML
    /// documents the copies that SOPS writes.
    pub(crate) entries: Vec<NodeId>,
    pub(crate) skip: Skip,
    pub(crate) metadata: Metadata,
    /// The file is SOPS' JSON envelope of a binary file.
    pub(crate) envelope: bool,
    /// The first document holds the metadata alone and would be none without it: `{}` takes its
    /// place.
    pub(crate) leaves_braces: bool,
}

impl std::fmt::Debug for EncryptedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptedFile({:?})", self.doc)
    }
}

impl EncryptedFile {
    /// Reads an encrypted file.
    ///
    /// A `.toml` text that is a JSON object is what real sops makes of a TOML file: its envelope
    /// of a binary file. It is read as such.
    ///
    /// # Errors
    ///
    /// If the text is not valid in its format, holds no metadata, or metadata that cannot be used.
    pub fn parse(text: String, format: Format) -> Result<Self, FileError> {
        let envelope = format == Format::Toml && text.trim_start().starts_with('{');
        let format = if envelope { Format::Json } else { format };
        let doc = Document::parse(text, format)?;
        let Located { block, entries } = locate(&doc)?;
        refuse_ambiguous(&doc, block)?;
        // What a later document calls `sops` goes too; nothing outside may lean on it.
        for &entry in &entries {
            if let Some(value) = doc.value_of(entry) {
                refuse_ambiguous(&doc, value)?;
            }
        }
        let tree = doc.tree(block)?;
        let metadata = Metadata::from_tree(&tree)?;
        let leaves_braces = entries.first().is_some_and(|&entry| would_vanish(&doc, entry));
        let skip = Skip::new(&doc, &skipped_roots(&doc, &entries, leaves_braces));
        Ok(Self { doc, block, entries, skip, metadata, envelope, leaves_braces })
    }

    /// What the file says of its keys, its rule and its MAC.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The format that the text is written in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.doc.format()
    }

    /// The format to parse the text as again: an envelope announces itself under TOML.
    pub(crate) fn written_format(&self) -> Format {
        if self.envelope { Format::Toml } else { self.doc.format() }
    }

    /// Whether this is SOPS' JSON envelope of a binary file.
    #[must_use]
    pub fn is_envelope(&self) -> bool {
        self.envelope
    }

    /// The text, as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        self.doc.text()
    }

    /// How many values stand in the open, nulls and empty texts not counted.
    #[must_use]
    pub fn plain_values(&self) -> usize {
        self.doc
            .ids()
            .filter(|&id| self.doc.node(id).kind() == NodeKind::Scalar && !self.skip.contains(id))
            .filter_map(|id| self.doc.scalar(id).ok())
            .filter(|scalar| scalar.text().is_none_or(|text| !is_token(text)))
            .filter(|scalar| scalar.kind != ScalarType::Null && !scalar.bytes.is_empty())
            .count()
    }
}

struct Located {
    block: NodeId,
    entries: Vec<NodeId>,
}

pub(crate) fn documents(doc: &Document) -> impl Iterator<Item = NodeId> + '_ {
    doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document)
}

/// The value of the metadata entry.
pub(crate) fn block(doc: &Document) -> Result<NodeId, FileError> {
    Ok(locate(doc)?.block)
}

/// The entry called `sops` at the root of each document, and the last item of a root list that
/// holds nothing else.
fn locate(doc: &Document) -> Result<Located, FileError> {
    let mut entries = Vec::new();
    let mut block = None;
    for (index, document) in documents(doc).enumerate() {
        let Some(root) = doc.value_of(document) else { continue };
        let found: Vec<(NodeId, NodeId)> = match doc.node(root).kind() {
            NodeKind::Map => {
                doc.entries(root).filter(|&(key, _)| doc.key_text(key) == METADATA_KEY).collect()
            }
            NodeKind::List if index == 0 => metadata_item(doc, root).into_iter().collect(),
            _ => Vec::new(),
        };
        if let [first, second, ..] = found[..] {
            return Err(FileError::DoubledMetadata {
                first: position_of(doc, first.0),
                second: position_of(doc, second.0),
            });
        }
        if index == 0 {
            block = found.first().map(|&(_, value)| value);
        }
        entries.extend(found.iter().map(|&(entry, _)| entry));
    }
    let block = block.ok_or(FileError::NoMetadata)?;
    if doc.node(block).kind() != NodeKind::Map {
        return Err(FileError::Metadata(crate::metadata::MetadataError::NotAMap));
    }
    Ok(Located { block, entries })
}

/// The last item of a list, if it is a map whose one entry is the metadata.
fn metadata_item(doc: &Document, list: NodeId) -> Option<(NodeId, NodeId)> {
    let item = doc.items(list).last()?;
    let mut entries = doc.entries(item);
    let (key, value) = entries.next()?;
    (entries.next().is_none() && doc.key_text(key) == METADATA_KEY).then_some((item, value))
}

/// A block map that holds the metadata alone is no map of the owner: he wrote an empty document.
fn skipped_roots(doc: &Document, entries: &[NodeId], leaves_braces: bool) -> Vec<NodeId> {
    let braces = entries.first().filter(|_| leaves_braces);
    entries
        .iter()
        .map(|entry| match alone(doc, *entry) {
            Some(root) if braces != Some(entry) => root,
            _ => *entry,
        })
        .collect()
}

/// The block map that holds this entry and nothing else.
fn alone(doc: &Document, entry: NodeId) -> Option<NodeId> {
    let root = doc.node(entry).parent();
    let node = doc.node(root);
    let only = doc.children(root).all(|child| {
        child == entry || matches!(doc.node(child).kind(), NodeKind::Anchor | NodeKind::Tag)
    });
    let whole = doc.format() == Format::Yaml
        && node.kind() == NodeKind::Map
        && node.style() == Style::Block
        && only;
    whole.then_some(root)
}

/// Whether the first document of several is known by this entry alone: no `---` is before it.
fn would_vanish(doc: &Document, entry: NodeId) -> bool {
    let marked = |root: NodeId| {
        let before = &doc.text()[..doc.node(root).span().start()];
        before.lines().any(|line| line.trim_start_matches('\u{feff}').starts_with("---"))
    };
    alone(doc, entry).is_some_and(|root| !marked(root)) && documents(doc).nth(1).is_some()
}

/// Refuses what programs read differently: it could name other recipients to sops than to us.
fn refuse_ambiguous(doc: &Document, block: NodeId) -> Result<(), FileError> {
    let end = if doc.format() == Format::Toml {
        doc.nodes().len()
    } else {
        crate::document::subtree_end(doc, block)
    };
    for id in (block.index()..end).map(NodeId::new) {
        let what = match doc.node(id).kind() {
            NodeKind::Alias => "an alias",
            NodeKind::Anchor => "an anchor",
            NodeKind::Tag => "a tag",
            NodeKind::Key if doc.format() == Format::Yaml && doc.source(id) == "<<" => {
                "a merge key"
            }
            _ => continue,
        };
        return Err(FileError::ForbiddenInMetadata { position: position_of(doc, id), what });
    }
    for kind in [NodeKind::Tag, NodeKind::Anchor] {
        if let Some(id) = doc.property(block, kind) {
            let what = if kind == NodeKind::Tag { "a tag" } else { "an anchor" };
            return Err(FileError::ForbiddenInMetadata { position: position_of(doc, id), what });
        }
    }
    Ok(())
}

/// Refuses a plaintext that cannot be sealed: as [`check_shape`] and [`check_keys`].
pub(crate) fn check_plain(doc: &Document) -> Result<(), FileError> {
    check_shape(doc)?;
    check_keys(doc)
}

/// Refuses a map that has a key twice.
pub(crate) fn check_keys(doc: &Document) -> Result<(), FileError> {
    doc.duplicate_key().map_or(Ok(()), |error| Err(FileError::DuplicateKey(error)))
}

/// Refuses what is no document, a lone value, or has metadata.
pub(crate) fn check_shape(doc: &Document) -> Result<(), FileError> {
    let mut any = false;
    for document in documents(doc) {
        let Some(root) = doc.value_of(document) else { continue };
        any = true;
        match doc.node(root).kind() {
            NodeKind::Map => {
                if let Some((key, _)) = doc.entry(root, METADATA_KEY) {
                    return Err(FileError::AlreadyEncrypted { position: position_of(doc, key) });
                }
            }
            NodeKind::List => {
                if let Some((item, _)) = metadata_item(doc, root) {
                    return Err(FileError::AlreadyEncrypted { position: position_of(doc, item) });
                }
            }
            // In the first document the metadata needs its place.
            NodeKind::Scalar if document != NodeId::FIRST && is_null(doc, root) => {}
            _ => {
                return Err(FileError::TopLevelScalar { position: position_of(doc, root) });
            }
        }
    }
    if !any && (doc.format() != Format::Yaml || !has_marker(doc)) && doc.format() != Format::Toml {
        return Err(FileError::NoDocument);
    }
    Ok(())
}

fn is_null(doc: &Document, id: NodeId) -> bool {
    doc.scalar(id).is_ok_and(|scalar| scalar.kind == ScalarType::Null)
}

/// A YAML text with a `---` holds a document, if an empty one.
fn has_marker(doc: &Document) -> bool {
    doc.text().lines().any(|line| line.trim_start_matches('\u{feff}').starts_with("---"))
}

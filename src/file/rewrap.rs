//! Other wrappings of the same data key, by whoever has no key at all.
//!
//! Invariants: nothing but the text of `enc` changes, of entries of Vault; it keeps its quotes, its block and
//! the line break at its end. The seal holds on: it does not cover what wraps a data key.

use super::encrypted::EncryptedFile;
use super::error::{FileError, position_of};
use crate::document::{Document, NodeId, NodeKind};
use crate::keys::{KeyKind, WrappedKey};
use crate::text::Edits;
use crate::value::Scalar;

impl EncryptedFile {
    /// The text with other wrappings in the entries of Vault. `new` gives what takes the place of one's
    /// `enc`; `None`: it stays. No data key is needed, and none is seen.
    ///
    /// # Errors
    ///
    /// If the result does not read back.
    pub fn rewrapped(
        &self,
        new: impl Fn(&WrappedKey) -> Option<String>,
    ) -> Result<String, FileError> {
        let check = || FileError::Check { position: position_of(&self.doc, self.block) };
        let keys: Vec<&WrappedKey> = self.vault_keys().collect();
        let places = wrappings(&self.doc, self.block);
        let fits = keys.len() == places.len()
            && keys.iter().zip(&places).all(|(key, &at)| text(&self.doc, at) == key.enc());
        if !fits {
            return Err(check());
        }
        let wanted: Vec<String> = keys.iter().map(|key| replacement(key, &new)).collect();
        let mut changes: Vec<(NodeId, &str)> = Vec::new();
        changes.extend(places.iter().zip(&wanted).map(|(&at, new)| (at, new.as_str())));
        // sops writes the metadata into every document.
        for copy in self.entries.iter().skip(1).filter_map(|&entry| self.doc.value_of(entry)) {
            for at in wrappings(&self.doc, copy) {
                let old = text(&self.doc, at);
                let index = keys.iter().position(|key| key.enc() == old);
                changes.extend(index.map(|index| (at, wanted[index].as_str())));
            }
        }
        changes.sort_by_key(|&(at, _)| self.doc.node(at).span().start());
        let mut edits = Edits::new();
        for (at, new) in changes.into_iter().filter(|&(at, new)| text(&self.doc, at) != new) {
            let scalar = Scalar::str(new);
            edits.push_with(self.doc.node(at).span(), |out| {
                self.doc.write_scalar(at, &scalar, out);
            });
        }
        let result = Self::parse(edits.apply(self.doc.text()), self.written_format())?;
        let same = result.vault_keys().map(WrappedKey::enc).eq(wanted.iter().map(String::as_str))
            && result.metadata.recipients_view() == self.metadata.recipients_view()
            && result.metadata.mac() == self.metadata.mac();
        if same { Ok(result.doc.into_text()) } else { Err(check()) }
    }

    /// What Vault wrapped, in the order of the text.
    pub fn vault_keys(&self) -> impl Iterator<Item = &WrappedKey> {
        self.metadata.groups().iter().flat_map(|group| group.of_kind(KeyKind::Vault))
    }
}

/// What a wrapping becomes: the line break behind it, which a literal block has, stays.
fn replacement(key: &WrappedKey, new: impl Fn(&WrappedKey) -> Option<String>) -> String {
    let end = &key.enc()[key.enc().trim_end().len()..];
    new(key).map_or_else(|| key.enc().to_owned(), |new| new + end)
}

/// The `enc` of every entry of Vault: of the list at the top or, as SOPS reads it, of the groups.
fn wrappings(doc: &Document, block: NodeId) -> Vec<NodeId> {
    let entry = |map: NodeId, name: &str| doc.entry(map, name).map(|(_, value)| value);
    let list =
        |map: NodeId| entry(map, KeyKind::Vault.field()).map_or(Vec::new(), |it| maps(doc, it));
    let flat = KeyKind::ALL
        .iter()
        .any(|kind| entry(block, kind.field()).is_some_and(|list| !maps(doc, list).is_empty()));
    let entries = match entry(block, "key_groups") {
        Some(groups) if !flat => maps(doc, groups).into_iter().flat_map(list).collect(),
        _ => list(block),
    };
    entries.into_iter().filter_map(|map| entry(map, "enc")).collect()
}

/// The maps of a list; one alone counts as a list, as SOPS reads it.
fn maps(doc: &Document, node: NodeId) -> Vec<NodeId> {
    match doc.node(node).kind() {
        NodeKind::List => doc.items(node).collect(),
        NodeKind::Map => vec![node],
        _ => Vec::new(),
    }
}

fn text(doc: &Document, node: NodeId) -> String {
    let scalar = doc.scalar(node).ok();
    scalar.and_then(|it| it.text().map(str::to_owned)).unwrap_or_default()
}

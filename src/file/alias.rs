//! Aliases that reach an encrypted value are written out before sealing, and noted.
//!
//! SOPS expands every alias and seals each copy under its own path; it cannot read an alias to an
//! encrypted value. An alias that reaches nothing encrypted stays.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::encrypted::EncryptedFile;
use super::error::FileError;
use super::seal::scalar_at;
use super::spelling::leaves;
use super::walk::{Leaf, walk};
use crate::crypto::notes::{NoteKind, SpellingNote};
use crate::document::subtree_end;
use crate::document::{Document, NodeId, NodeKind};
use crate::policy::Policy;
use crate::text::Edits;

/// A plaintext without aliases to encrypted values.
pub(crate) struct Expanded<'a> {
    owner: &'a Document,
    /// With some aliases written out.
    expanded: Option<Document>,
    /// Where each expanded value starts in the text, and the alias that stood there.
    aliases: Vec<(usize, String)>,
    /// Where each alias ended in the owner's text, and how many bytes it grew by.
    growth: Vec<(usize, isize)>,
}

/// Writes out each alias that reaches a value which the policy seals, in its own place or in that of
/// the alias.
pub(crate) fn expand<'a>(owner: &'a Document, policy: &Policy) -> Result<Expanded<'a>, FileError> {
    let doc = owner;
    let unchanged = Expanded { owner, expanded: None, aliases: Vec::new(), growth: Vec::new() };
    let mut aliases: Vec<NodeId> =
        doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Alias).collect();
    if aliases.is_empty() {
        return Ok(unchanged);
    }
    let reached = reached(doc, policy)?;
    aliases.retain(|alias| reached[alias.index()]);
    if aliases.is_empty() {
        return Ok(unchanged);
    }
    let mut edits = Edits::new();
    let mut found = Vec::new();
    let mut growth = Vec::new();
    let mut shift = 0_isize;
    for alias in aliases {
        let Some(target) = doc.alias_target(alias) else { continue };
        let text = doc.flow_text(target)?;
        let span = doc.node(alias).span();
        found.push((span.start().saturating_add_signed(shift), doc.source(alias).to_owned()));
        let grown = text.len().cast_signed() - span.len().cast_signed();
        growth.push((span.end(), grown));
        shift += grown;
        edits.push(span, &text);
    }
    let mut expanded = Document::parse(edits.apply(doc.text()), doc.format())?;
    if let Some(offset) = owner.announced() {
        expanded.announce_entry(moved(&growth, offset));
    }
    Ok(Expanded { owner, expanded: Some(expanded), aliases: found, growth })
}

/// For each node that is an alias: whether it reaches a value that is sealed.
fn reached(doc: &Document, policy: &Policy) -> Result<Vec<bool>, FileError> {
    let mut sealed = vec![false; doc.nodes().len()];
    let mut reached = vec![false; doc.nodes().len()];
    walk(doc, policy, None, |place| {
        let holds = match place.leaf {
            Leaf::Scalar => !scalar_at(doc, place.node)?.bytes.is_empty(),
            Leaf::EmptyMap | Leaf::EmptyList | Leaf::Comment => false,
        };
        match place.alias {
            None => sealed[place.node.index()] = place.selected && holds,
            Some(alias) => {
                reached[alias.index()] |= holds && (place.selected || sealed[place.node.index()]);
            }
        }
        Ok(())
    })?;
    Ok(reached)
}

fn moved(growth: &[(usize, isize)], offset: usize) -> usize {
    let before = growth.iter().take_while(|(end, _)| *end <= offset);
    offset.saturating_add_signed(before.map(|(_, grown)| grown).sum())
}

impl Expanded<'_> {
    /// The document to seal.
    pub(crate) fn doc(&self) -> &Document {
        self.expanded.as_ref().unwrap_or(self.owner)
    }

    /// Whether any alias was written out.
    pub(crate) fn any(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// The text as its owner wrote it.
    pub(crate) fn owner_text(&self) -> &str {
        self.owner.text()
    }

    /// Where an offset of the owner's text has moved to.
    pub(crate) fn moved(&self, offset: usize) -> usize {
        moved(&self.growth, offset)
    }

    /// Adds a note for each alias; the indices of leaves are the same in the sealed text, but for
    /// comments that were taken in.
    pub(crate) fn add_notes(
        &self,
        sealed: &EncryptedFile,
        taken_in: &[NodeId],
        notes: &mut Vec<SpellingNote>,
    ) {
        if self.aliases.is_empty() {
            return;
        }
        let doc = self.doc();
        let none = super::skip::Skip::new(doc, &[]);
        let taken_in: HashSet<NodeId> = taken_in.iter().copied().collect();
        let leaves: Vec<NodeId> =
            leaves(doc, &none).filter(|leaf| !taken_in.contains(leaf)).collect();
        debug_assert_eq!(leaves.len(), super::spelling::leaves(&sealed.doc, &sealed.skip).count());
        // Both stand in the order of the text.
        let mut values = doc.ids().filter(|&id| {
            let node = doc.node(id);
            node.is_value() && !node.span().is_empty()
        });
        let mut value = values.next();
        for (start, name) in &self.aliases {
            // Behind the tag that came with it.
            while value.is_some_and(|value| doc.node(value).span().start() < *start) {
                value = values.next();
            }
            let Some(value) = value else { continue };
            let end = subtree_end(doc, value);
            let index = leaves.partition_point(|&leaf| leaf < value);
            if leaves.get(index).is_some_and(|leaf| leaf.index() < end) {
                let bytes = Zeroizing::new(name.clone().into_bytes());
                notes.push(SpellingNote { kind: NoteKind::Alias, index: index as u64, bytes });
            }
        }
    }
}

//! What stands in a file and is no part of what it decrypts to, though neither sops nor waxseal writes
//! it: text behind a token, escapes in a token or in the key `sops`, comments inside the metadata, entries
//! called `sops` in later documents that are no copies of the metadata.
//!
//! No tag covers such things. In a file that a seal vouches for somebody planted them, so that its
//! text counts as changed; what is written anew leaves them out.

use super::encrypted::EncryptedFile;
use super::metadata_text::same;
use crate::document::{Format, NodeId, NodeKind, Style, subtree_end};
use crate::metadata::BLOCK;

/// Whether a token, as a scalar or comment of this style gives it, is followed by nothing, and stands
/// in its source as it is: with an escape in it (`ENC\u005b…`) whoever looks for tokens misses it.
pub(crate) fn is_bare(token: &str, style: Style, source: &str) -> bool {
    // The one line of a block scalar ends.
    let ends = matches!(style, Style::Literal | Style::Folded);
    let token = if ends { token.trim_end_matches('\n') } else { token };
    token.find(']').is_some_and(|end| end + 1 == token.len()) && stands_in(source, token)
}

fn stands_in(source: &str, token: &str) -> bool {
    // Nearly every token is all of its source, with a `#` before it or between quotes: no search.
    source.ends_with(token)
        || source.get(1..source.len().saturating_sub(1)) == Some(token)
        || source.contains(token)
}

/// Whether comments stand inside the metadata, its key has an escape in it, or later documents hold
/// entries that sops did not write.
pub(crate) fn any(file: &EncryptedFile) -> bool {
    let is_named = |&entry: &NodeId| file.doc.source(entry).contains(BLOCK);
    comments(file).next().is_some() || !file.entries.iter().all(is_named) || !copies_are_true(file)
}

/// Sops writes the whole metadata into every document.
fn copies_are_true(file: &EncryptedFile) -> bool {
    let later = later_entries(file);
    if later.is_empty() {
        return true;
    }
    let Ok(block) = file.doc.tree(file.block) else { return false };
    later.iter().all(|&entry| {
        let value = file.doc.value_of(entry);
        value.and_then(|value| file.doc.tree(value).ok()).is_some_and(|tree| same(&tree, &block))
    })
}

/// Those behind that of the first document.
pub(crate) fn later_entries(file: &EncryptedFile) -> &[NodeId] {
    file.entries.get(1..).unwrap_or_default()
}

/// The comments that are left out together with the metadata.
pub(crate) fn comments(file: &EncryptedFile) -> impl Iterator<Item = NodeId> + '_ {
    let doc = &file.doc;
    let all = |&entry: &NodeId| {
        let scattered = doc.format() == Format::Toml;
        let end = if scattered { doc.nodes().len() } else { subtree_end(doc, entry) };
        (entry.index()..end).map(NodeId::new)
    };
    let left_out =
        |id: &NodeId| doc.node(*id).kind() == NodeKind::Comment && file.skip.contains(*id);
    file.entries.iter().flat_map(all).filter(left_out)
}

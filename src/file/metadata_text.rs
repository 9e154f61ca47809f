//! Changes the metadata block of a file in place: what stays the same keeps its bytes.

use std::collections::{HashMap, HashSet, VecDeque};

use super::encrypted::{self, EncryptedFile};
use super::error::FileError;
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::text::Edits;
use crate::value::Tree;

/// Makes the block say `tree`, and reads the result. On the way the block need not be metadata: of
/// two lists of keys one goes before the other comes.
pub(crate) fn update(file: EncryptedFile, tree: &Tree) -> Result<EncryptedFile, FileError> {
    let format = file.written_format();
    let EncryptedFile { mut doc, mut block, .. } = file;
    // Fields whose text alone differs: one pass.
    let mut edits = Edits::new();
    scalars(&doc, block, tree, &mut edits);
    if !edits.is_empty() {
        (doc, block) = with_block(edits.apply(doc.text()), doc.format())?;
    }
    // Fields that come, go, or change their shape: one after the other, since each moves the rest.
    while let Some(edits) = next_change(&doc, block, tree)? {
        let text = edits.apply(doc.text());
        if text == doc.text() {
            break;
        }
        (doc, block) = with_block(text, doc.format())?;
    }
    EncryptedFile::parse(doc.into_text(), format)
}

fn with_block(text: String, format: Format) -> Result<(Document, NodeId), FileError> {
    let doc = Document::parse(text, format)?;
    let block = encrypted::block(&doc)?;
    Ok((doc, block))
}

/// Edits for scalars that stand at the same place in the block and in `tree`, but differ.
fn scalars(doc: &Document, node: NodeId, tree: &Tree, edits: &mut Edits) {
    match (doc.node(node).kind(), tree) {
        (NodeKind::Scalar, Tree::Scalar(new)) => {
            let old = doc.scalar(node).ok();
            if old.as_ref() != Some(new) && new.kind != crate::value::ScalarType::Null {
                edits.push_with(doc.node(node).span(), |out| doc.write_scalar(node, new, out));
            }
        }
        (NodeKind::Map, Tree::Map(entries)) => {
            let wanted = by_name(entries);
            for (key, value) in doc.entries(node) {
                if let Some(new) = wanted.get(&*doc.key_text(key)) {
                    scalars(doc, value, new, edits);
                }
            }
        }
        (NodeKind::List, Tree::List(items)) => {
            for (item, new) in doc.items(node).zip(pairing(doc, node, items)) {
                if let Some(new) = new {
                    scalars(doc, item, new, edits);
                }
            }
        }
        _ => {}
    }
}

/// For each item of a list of key entries, the entry of `new` that is for the same key.
fn pairing<'t>(doc: &Document, list: NodeId, new: &'t [Tree]) -> Vec<Option<&'t Tree>> {
    let mut waiting: HashMap<Tree, VecDeque<&Tree>> = HashMap::new();
    for tree in new {
        waiting.entry(identity(tree)).or_default().push_back(tree);
    }
    doc.items(list)
        .map(|item| waiting.get_mut(&identity(&doc.tree(item).ok()?))?.pop_front())
        .collect()
}

fn by_name(entries: &[(String, Tree)]) -> HashMap<&str, &Tree> {
    entries.iter().map(|(name, tree)| (name.as_str(), tree)).collect()
}

/// An entry of a list without what a rotation changes, or gives back.
fn identity(entry: &Tree) -> Tree {
    match entry {
        Tree::Map(entries) => Tree::Map(
            entries
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "context" | "enc" | "created_at"))
                .filter(|(_, value)| !matches!(value, Tree::Map(_) | Tree::List(_)))
                .cloned()
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The first field that is missing, superfluous, or of another shape.
fn next_change(doc: &Document, node: NodeId, tree: &Tree) -> Result<Option<Edits>, FileError> {
    match (doc.node(node).kind(), tree) {
        (NodeKind::Scalar, Tree::Scalar(_)) => Ok(None),
        (NodeKind::Map, Tree::Map(entries)) => {
            let wanted = by_name(entries);
            let mut there = HashSet::new();
            for (key, value) in doc.entries(node) {
                let name = doc.key_text(key);
                let Some(new) = wanted.get(&*name) else { return Ok(Some(doc.remove(key))) };
                if let Some(edits) = next_change(doc, value, new)? {
                    return Ok(Some(edits));
                }
                there.insert(name);
            }
            match entries.iter().find(|(name, _)| !there.contains(name.as_str())) {
                Some((name, new)) => Ok(Some(doc.insert(node, Some(name), new)?)),
                None => Ok(None),
            }
        }
        (NodeKind::List, Tree::List(items)) => {
            let paired = pairing(doc, node, items);
            // One that comes takes the style of those that go: a list without items has none.
            if !paired.is_empty()
                && paired.iter().all(Option::is_none)
                && let Some(first) = items.first()
            {
                return Ok(Some(doc.insert(node, None, first)?));
            }
            for (item, new) in doc.items(node).zip(&paired) {
                match new {
                    None => return Ok(Some(doc.remove(item))),
                    Some(new) => {
                        if let Some(edits) = next_change(doc, item, new)? {
                            return Ok(Some(edits));
                        }
                    }
                }
            }
            let kept: Vec<&Tree> = paired.into_iter().flatten().collect();
            match (kept.iter().zip(items).position(|(a, b)| *a != b), items.get(kept.len())) {
                (None, None) => Ok(None),
                (None, Some(added)) => Ok(Some(doc.insert(node, None, added)?)),
                (Some(0), _) if doc.format() != Format::Toml => Ok(Some(doc.replace(node, tree)?)),
                // In TOML a list of tables cannot be replaced in its own style, nor be without one.
                (Some(0), _) if kept.len() == 1 => Ok(Some(doc.insert(node, None, &items[0])?)),
                // What is before stays as it is; what is behind comes again.
                (Some(at), _) => Ok(doc.items(node).nth(at).map(|item| doc.remove(item))),
            }
        }
        _ => Ok(Some(doc.replace(node, tree)?)),
    }
}

/// Whether two blocks say the same; the order of fields says nothing.
pub(crate) fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::Map(ours), Tree::Map(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Tree::List(ours), Tree::List(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

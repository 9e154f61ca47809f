//! Holds a text in which one place was changed against the text before.
//!
//! The new text is parsed; every key and value outside of the changed place must be there as before,
//! in the same order and the same collections, and every alias must name what it named.

use std::collections::HashMap;

use super::error::{FileError, position_of};
use super::plain_check::is_container;
use super::skip::Skip;
use crate::document::{Document, Entry, Format, NodeId, NodeKind};
use crate::path::KeyPath;
use crate::value::{Scalar, ScalarType, Tree};

/// Checks that `path` holds `value`, and that nothing else changed.
pub(super) fn check_set(
    old: &Document,
    text: String,
    path: &KeyPath,
    value: &Tree,
) -> Result<String, FileError> {
    let new = Document::parse(text, old.format())?;
    let Some(changed) = new.find(path) else {
        return Err(FileError::Check { position: position_of(&new, NodeId::FIRST) });
    };
    let differs = FileError::Check { position: position_of(&new, changed) };
    if !alike(&new.tree(changed)?, value, old.format()) {
        return Err(differs);
    }
    let before = old.find(path).map(|value| entry_of(old, value));
    // The first entry of an empty document brings the map that it stands in.
    let root = new.value_of(NodeId::FIRST).filter(|_| old.value_of(NodeId::FIRST).is_none());
    if root.is_some_and(|root| new.entries(root).nth(1).is_some()) {
        return Err(differs);
    }
    let after = root.unwrap_or_else(|| entry_of(&new, changed));
    check_rest(old, before.as_slice(), &new, &[after])?;
    Ok(new.into_text())
}

/// Checks that these entries are there, each behind what its collection (of the old text) had, and that
/// nothing else changed: the new text, and where their values stand in it.
pub(super) fn check_inserted(
    old: &Document,
    text: String,
    inserted: &[(NodeId, Vec<Entry<'_>>)],
) -> Result<(Document, Vec<NodeId>), FileError> {
    let new = Document::parse(text, old.format())?;
    let differs = || FileError::Check { position: position_of(&new, NodeId::FIRST) };
    let (mut added, mut values) = (Vec::new(), Vec::new());
    for (container, entries) in inserted {
        let at = new.find(&old.path_of(*container)).ok_or_else(differs)?;
        let by_key: HashMap<_, _> =
            new.entries(at).map(|(key, value)| (new.key_text(key), (key, value))).collect();
        let items: Vec<NodeId> = match new.node(at).kind() {
            NodeKind::List => new.items(at).collect(),
            _ => Vec::new(),
        };
        let mut rest = items.len().checked_sub(entries.len()).map(|from| items[from..].iter());
        for (key, tree) in entries {
            let (entry, value) = match key {
                Some(key) => by_key.get(*key).copied(),
                None => rest.as_mut().and_then(Iterator::next).map(|&item| (item, item)),
            }
            .ok_or_else(differs)?;
            // The tree of a TOML node is looked for in the whole text.
            let is_it = match (new.node(value).kind(), tree) {
                (NodeKind::Scalar, Tree::Scalar(scalar)) => {
                    same_scalar(&new.scalar(value)?, scalar, old.format())
                }
                _ => alike(&new.tree(value)?, tree, old.format()),
            };
            if !is_it {
                return Err(differs());
            }
            added.push(entry);
            values.push(value);
        }
    }
    check_rest(old, &[], &new, &added)?;
    Ok((new, values))
}

/// Checks that these entries and items are gone, and nothing else.
pub(super) fn check_removed(
    old: &Document,
    text: String,
    gone: &[NodeId],
) -> Result<String, FileError> {
    let new = Document::parse(text, old.format())?;
    check_rest(old, gone, &new, &[])?;
    Ok(new.into_text())
}

/// Checks that the entry or item is gone, and nothing else.
pub(super) fn check_unset(old: &Document, text: String, gone: NodeId) -> Result<String, FileError> {
    check_removed(old, text, &[gone])
}

/// The key of a value in a map, an item or the root itself.
fn entry_of(doc: &Document, value: NodeId) -> NodeId {
    let parent = doc.node(value).parent();
    if doc.node(parent).kind() == NodeKind::Key { parent } else { value }
}

/// Compares what is outside of the changed places, node by node.
fn check_rest(
    old: &Document,
    changed_in_old: &[NodeId],
    new: &Document,
    changed_in_new: &[NodeId],
) -> Result<(), FileError> {
    let (gone, added) = (Skip::new(old, changed_in_old), Skip::new(new, changed_in_new));
    let mut mapped = vec![None; old.nodes().len()];
    let mut there = rest(new, &added);
    for id in rest(old, &gone) {
        let differs = |at| FileError::Check { position: position_of(new, at) };
        let Some(at) = there.next() else { return Err(differs(NodeId::FIRST)) };
        mapped[id.index()] = Some(at);
        let (before, after) = (old.node(id), new.node(at));
        let same = before.kind() == after.kind()
            && mapped[before.parent().index()] == Some(after.parent())
            && match before.kind() {
                NodeKind::Key => old.key_text(id) == new.key_text(at),
                NodeKind::Alias => match (old.alias_target(id), new.alias_target(at)) {
                    (Some(target), Some(now)) if gone.contains(target) => added.contains(now),
                    (Some(target), now) => mapped[target.index()] == now,
                    (None, now) => now.is_none(),
                },
                kind => is_container(kind) || old.scalar(id).ok() == new.scalar(at).ok(),
            };
        if !same {
            return Err(differs(at));
        }
    }
    match there.next() {
        Some(at) => Err(FileError::Check { position: position_of(new, at) }),
        None => Ok(()),
    }
}

/// Keys and values that are not left out.
fn rest<'a>(doc: &'a Document, skip: &'a Skip) -> impl Iterator<Item = NodeId> + 'a {
    doc.ids().filter(|&id| match doc.node(id).kind() {
        NodeKind::Comment | NodeKind::Anchor | NodeKind::Tag => false,
        NodeKind::Document
        | NodeKind::Map
        | NodeKind::List
        | NodeKind::Key
        | NodeKind::Scalar
        | NodeKind::Alias => !skip.contains(id),
    })
}

/// Whether a value reads back as it was meant, as far as the format can tell types apart.
fn alike(read: &Tree, meant: &Tree, format: Format) -> bool {
    match (read, meant) {
        (Tree::Scalar(read), Tree::Scalar(meant)) => same_scalar(read, meant, format),
        (Tree::List(read), Tree::List(meant)) => {
            read.len() == meant.len() && read.iter().zip(meant).all(|(a, b)| alike(a, b, format))
        }
        (Tree::Map(read), Tree::Map(meant)) => {
            // TOML puts plain entries before tables.
            let sorted = |entries: &'_ [(String, Tree)]| {
                let mut order: Vec<usize> = (0..entries.len()).collect();
                order.sort_by(|&a, &b| entries[a].0.cmp(&entries[b].0));
                order
            };
            let pairs = sorted(read).into_iter().zip(sorted(meant));
            read.len() == meant.len()
                && pairs
                    .into_iter()
                    .all(|(a, b)| read[a].0 == meant[b].0 && alike(&read[a].1, &meant[b].1, format))
        }
        (Tree::Scalar(_) | Tree::List(_) | Tree::Map(_), _) => false,
    }
}

fn same_scalar(read: &Scalar<'_>, meant: &Scalar<'_>, format: Format) -> bool {
    let is_local = matches!(
        meant.kind,
        ScalarType::DatetimeLocal | ScalarType::DateLocal | ScalarType::TimeLocal
    );
    // A float without a fraction is printed as an integer; local times are TOML's alone.
    let same_kind = read.kind.tree_name() == meant.kind.tree_name()
        || read.kind == ScalarType::Str
            && (meant.kind == ScalarType::Bytes || is_local && format != Format::Toml)
        || format == Format::Json && read.kind == ScalarType::Str && meant.kind == ScalarType::Time;
    same_kind && read.bytes == meant.bytes
}

#[cfg(test)]
mod tests {
    use super::super::set::{set, unset};
    use crate::document::{Document, Format};
    use crate::path::KeyPath;
    use crate::value::Tree;

    fn document(text: &str, format: Format) -> Document {
        Document::parse(text.to_owned(), format).expect("valid")
    }

    fn path(text: &str) -> KeyPath {
        KeyPath::parse(text).expect("a path")
    }

    #[track_caller]
    fn check_set(text: &str, at: &str, expect: &str) {
        let set = set(&document(text, Format::Yaml), &path(at), &Tree::str("new"));
        assert_eq!(set.as_deref().ok(), Some(expect), "{:?}", set.as_ref().err());
    }

    #[test]
    fn nothing_but_the_place_changes() {
        check_set("a: 1\nb: 2\n", r#"["b"]"#, "a: 1\nb: new\n");
        check_set("", r#"["a"]["b"]"#, "a:\n    b: new\n");
        check_set("- 1\n", "[7]", "- 1\n- new\n");
        check_set("a: &x 1\nb: *x\n", r#"["a"]"#, "a: &x new\nb: *x\n");
    }

    #[test]
    fn behind_an_alias_what_it_names_is_kept() {
        check_set(
            "a: &x {k: 1}\nb: *x\n",
            r#"["b"]["l"]"#,
            "a: &x {k: 1}\nb:\n    k: 1\n    l: new\n",
        );
    }

    #[test]
    fn an_anchor_that_is_needed_elsewhere_stays() {
        for text in ["a: &x 1\nb: *x\n", "z: &x 0\na: &x 1\nb: *x\n"] {
            let unset = unset(&document(text, Format::Yaml), &path(r#"["a"]"#));
            assert!(unset.is_err(), "{unset:?}");
        }
    }

    #[test]
    fn every_format_is_held_against_the_text_before() {
        let toml = document("[a]\nb = 1\n\n[c]\nd = 2\n", Format::Toml);
        let set_toml = set(&toml, &path(r#"["e"]"#), &Tree::str("new"));
        assert_eq!(set_toml.ok().as_deref(), Some("e = \"new\"\n[a]\nb = 1\n\n[c]\nd = 2\n"));
        let json = document("{\"a\": [1, 2]}", Format::Json);
        let unset_json = unset(&json, &path(r#"["a"][0]"#));
        assert_eq!(unset_json.ok().as_deref(), Some("{\"a\": [2]}"));
    }
}

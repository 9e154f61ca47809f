//! What is refused until somebody with the key has looked.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use super::error::Error;
use super::exit;
use super::integrity::with_hint;
use super::open::{Opened, Trust};
use crate::crypto::encrypted_value::is_token;
use crate::document::{Document, NodeId, NodeKind};
use crate::file::{Outcome, Vouch};
use crate::metadata::BLOCK;
use crate::policy::{Policy, RuleSubject};
use crate::shown::Show;
use crate::text::Position;
use crate::value::{Scalar, ScalarType};

/// Refuses a new value in the open where somebody without the key may have chosen that it stays there.
pub(crate) fn check_new_plain_values(opened: &Opened, sealed: &str) -> Result<(), Error> {
    check_rule(opened, sealed)?;
    check_comments(opened, sealed)
}

/// The MAC of SOPS does not cover the rule: whoever changed it so that it still fits what is sealed would
/// get the next key in plain. A place that was in the open under this MAC is its owner's choice.
fn check_rule(opened: &Opened, sealed: &str) -> Result<(), Error> {
    let encrypted = opened.file.encrypted();
    let policy = encrypted.metadata().policy();
    let rule = policy.rule();
    let configured = opened.rule.as_ref().and_then(|rule| rule.policy.as_ref());
    let outcome = opened.file.outcome();
    // Who changes one value of a file by another tool vouches for no more than that value.
    let vouched = (outcome.marked && outcome.text != Vouch::Zero)
        || rule == Policy::unnamed(false).rule()
        || configured == Some(rule);
    let format = encrypted.format();
    let parse = |text: &str| Document::parse(text.to_owned(), format).ok();
    let (false, Some(old), Some(new)) = (vouched, parse(opened.text()), parse(sealed)) else {
        return Ok(());
    };
    // Then nothing says who wrote what is in the open.
    let uncovered = policy.mac_only_encrypted() || opened.trust == Trust::Unverified;
    let hasher = RandomState::new();
    let place = |(path, text)| match path {
        COMMENT => (path, text),
        _ if uncovered => (path, text),
        _ => (path, ""),
    };
    let known: HashSet<_> =
        in_the_open(&old, &hasher, Items::Alike).map(|(_, it)| place(it)).collect();
    let found =
        in_the_open(&new, &hasher, Items::Alike).find(|(_, it)| !known.contains(&place(*it)));
    let Some((at, _)) = found else { return Ok(()) };
    let text = format!(
        "{} is new and would stay in the open by the rule of the file ({}: {}), for which nobody vouches; \
         nothing was changed",
        name(&new, at),
        rule.field(),
        rule.text().shown()
    );
    Err(Error::new(exit::GENERIC, text).hint(
        "if the rule is right, give it to the creation rule in .sops.yaml; or `waxseal reseal` the file, \
         which vouches for the rule, after a review",
    ))
}

/// A comment decides what is sealed and the comments are not as they were sealed: whoever changed one
/// would get the next value in plain.
fn check_comments(opened: &Opened, sealed: &str) -> Result<(), Error> {
    let encrypted = opened.file.encrypted();
    let outcome = opened.file.outcome();
    let by_comment = encrypted.metadata().policy().rule().subject() == RuleSubject::Comments;
    let respelled = outcome.marked && outcome.tree && !outcome.text_is_good();
    if !by_comment || !respelled {
        return Ok(());
    }
    let format = encrypted.format();
    let parse = |text: &str| Document::parse(text.to_owned(), format).ok();
    let (Some(old), Some(new)) = (parse(opened.text()), parse(sealed)) else { return Ok(()) };
    let hasher = RandomState::new();
    let known: HashSet<_> =
        in_the_open(&old, &hasher, Items::Counted).map(|(_, value)| value).collect();
    let found =
        in_the_open(&new, &hasher, Items::Counted).find(|(_, value)| !known.contains(value));
    let Some((place, _)) = found else { return Ok(()) };
    let what = name(&new, place);
    // Not the words of the verdict: under `mac_only_encrypted` it does not look at comments.
    let why = if outcome.text == Vouch::Zero {
        "nobody vouches for the comments"
    } else {
        "comments, quoting or spacing were changed without the key"
    };
    let text = format!("{what} would stay in the open, which a comment decides, and {why}");
    let text_alone = Outcome { recipients: Vouch::Good, mac_only_encrypted: false, ..outcome };
    Err(with_hint(Error::new(exit::RESPELLED, text), text_alone))
}

fn name(doc: &Document, place: NodeId) -> String {
    match doc.node(place).kind() {
        NodeKind::Comment => {
            let position = Position::of(doc.text(), doc.node(place).span().start());
            format!("the comment in line {}", position.line)
        }
        _ => doc.path_of(place).to_string(),
    }
}

/// Whether the items of a list have paths of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Items {
    /// Each its own.
    Counted,
    /// One for all: a rule knows keys only.
    Alike,
}

/// What stands for the path of a comment, which counts by its text alone, wherever it stands.
const COMMENT: u64 = 0;

/// The values that are not sealed, each with a hash of its path and its text.
fn in_the_open<'d>(
    doc: &'d Document,
    hasher: &RandomState,
    list_items: Items,
) -> impl Iterator<Item = (NodeId, (u64, &'d str))> {
    // `None`: in the metadata.
    let mut paths: Vec<Option<u64>> = Vec::with_capacity(doc.nodes().len());
    let mut items: HashMap<NodeId, usize> = HashMap::new();
    let mut found = Vec::new();
    for id in doc.ids() {
        let node = doc.node(id);
        let parent = node.parent();
        let outer = paths.get(parent.index()).copied().unwrap_or(Some(0));
        let path = outer.and_then(|outer| match node.kind() {
            NodeKind::Key if is_metadata(doc, id) => None,
            NodeKind::Key => Some(hasher.hash_one((outer, doc.key_text(id)))),
            _ if list_items == Items::Counted
                && node.is_value()
                && doc.node(parent).kind() == NodeKind::List =>
            {
                let index = items.entry(parent).or_default();
                *index += 1;
                Some(hasher.hash_one((outer, *index)))
            }
            _ => Some(outer),
        });
        paths.push(path);
        if path.is_some() && node.kind() == NodeKind::Comment {
            if !is_token(doc.source(id).trim_start_matches('#').trim()) {
                found.push((id, (COMMENT, doc.source(id))));
            }
        } else if let Some(path) = path
            && node.kind() == NodeKind::Scalar
            && doc.scalar(id).is_ok_and(|value| is_in_the_open(&value))
        {
            found.push((id, (path, doc.source(id))));
        }
    }
    found.into_iter()
}

/// Nulls and empty texts are never sealed; a block scalar's token ends its line.
fn is_in_the_open(value: &Scalar<'_>) -> bool {
    let is_sealed = |text: &str| is_token(text.trim_end_matches(['\n', '\r']));
    value.kind != ScalarType::Null
        && !value.bytes.is_empty()
        && !value.text().is_some_and(is_sealed)
}

/// Whether this is the key of the metadata: at the root, or in an item of a list that is the root.
fn is_metadata(doc: &Document, key: NodeId) -> bool {
    let mut outer = doc.node(doc.node(key).parent()).parent();
    if doc.node(outer).kind() == NodeKind::List {
        outer = doc.node(outer).parent();
    }
    doc.node(outer).kind() == NodeKind::Document && doc.key_text(key) == BLOCK
}

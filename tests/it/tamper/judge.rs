//! What a mutant came to, by what it decrypts to.

use std::collections::BTreeMap;

use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::file::{EncryptedFile, FileError, Verdict};
use waxseal::policy::RuleSubject;
use waxseal::value::{ScalarType, Tree};

use super::base::Base;
use super::harmless::{harmless, lf, planted};
use crate::support::data_key;

/// Path and value of each leaf, null and empty container, in order; aliases followed, the metadata
/// left out.
pub(super) fn leaves(doc: &Document) -> Vec<(String, String)> {
    // Not with `Document::entries`: what is judged here has its own eyes.
    let mut children: Vec<Vec<NodeId>> = vec![Vec::new(); doc.nodes().len()];
    for id in doc.ids().filter(|&id| doc.node(id).kind() != NodeKind::Document) {
        if doc.node(id).is_value() || doc.node(id).kind() == NodeKind::Key {
            children[doc.node(id).parent().index()].push(id);
        }
    }
    let mut out = Vec::new();
    let documents = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
    for (index, document) in documents.enumerate() {
        match children[document.index()].first() {
            Some(&root) => visit(doc, &children, root, &format!("{index}/"), &mut out),
            None => out.push((format!("{index}/"), "map".to_owned())),
        }
    }
    out
}

fn visit(
    doc: &Document,
    children: &[Vec<NodeId>],
    id: NodeId,
    path: &str,
    out: &mut Vec<(String, String)>,
) {
    let mut id = id;
    while doc.node(id).kind() == NodeKind::Alias {
        id = doc.alias_target(id).expect("an anchor");
    }
    let before = out.len();
    match doc.node(id).kind() {
        NodeKind::Map => {
            for &key in &children[id.index()] {
                let text = doc.key_text(key);
                if path.ends_with('/') && text == "sops" {
                    continue;
                }
                let kind = if doc.key_is_string(key) { "" } else { "~" };
                let path = format!("{path}{kind}{text:?}.");
                children[key.index()].iter().for_each(|&v| visit(doc, children, v, &path, out));
            }
            if out.len() == before {
                out.push((path.to_owned(), "map".to_owned()));
            }
        }
        NodeKind::List => {
            for (index, &item) in children[id.index()].iter().enumerate() {
                visit(doc, children, item, &format!("{path}{index}."), out);
            }
            if out.len() == before {
                out.push((path.to_owned(), "list".to_owned()));
            }
        }
        NodeKind::Key => out.push((path.to_owned(), format!("str {}", doc.key_text(id)))),
        _ => {
            let value = doc.scalar(id).map_or("error".to_owned(), |scalar| {
                let text = String::from_utf8_lossy(&scalar.bytes);
                format!("{} {}", scalar.kind.tree_name(), text.trim_end_matches('\n'))
            });
            out.push((path.to_owned(), value));
        }
    }
}

/// What an error is called in the tables.
pub(super) fn word(error: &FileError) -> &'static str {
    match error {
        FileError::Parse(_) => "parse",
        FileError::NoMetadata => "no metadata",
        FileError::DoubledMetadata { .. } => "doubled metadata",
        FileError::ForbiddenInMetadata { .. } => "forbidden in metadata",
        FileError::Metadata(_) => "metadata",
        FileError::NotSealed { .. } => "not sealed",
        FileError::Open { .. } => "open",
        FileError::CommentAsValue { .. } => "comment as value",
        FileError::MacMissing => "mac missing",
        FileError::MacUnreadable => "mac unreadable",
        FileError::MacMismatch => "mac mismatch",
        FileError::Broken => "broken",
        FileError::AliasBudget { .. } => "alias budget",
        FileError::LengthBudget { .. } => "length budget",
        FileError::Check { .. } => "DOES NOT READ BACK",
        _ => "OTHER",
    }
}

/// What a mutant came to, or why that is wrong.
pub(super) fn judge(base: &Base, mutant: &str) -> Result<String, String> {
    let toml = base.format == Format::Toml;
    let parsed = match EncryptedFile::parse(mutant.to_owned(), base.format) {
        Ok(file) => file,
        Err(error) => return refusal(&error, toml),
    };
    let metadata = parsed.metadata().clone();
    let opened = match parsed.decrypt(&data_key()) {
        Ok(opened) => opened,
        Err(error) => {
            false_alarm(base, mutant, &error)?;
            return refusal(&error, toml);
        }
    };
    let text = opened.document().text();
    let leaves = base.judged(mutant, opened.document())?;
    if leaves != base.leaves {
        let at = leaves.iter().zip(&base.leaves).position(|(a, b)| a != b).unwrap_or_default();
        let (got, was) = (leaves.get(at), base.leaves.get(at));
        return Err(format!("changed data was accepted: {got:?} was {was:?}"));
    }
    let original = EncryptedFile::parse(base.sealed.clone(), base.format).expect("parses");
    let same_recipients = recipients(&metadata.recipients_view())
        == recipients(&original.metadata().recipients_view());
    // Where comments decide, whose they are depends on the line breaks.
    let by_comments = metadata.policy().rule().subject() == RuleSubject::Comments;
    let same_text = if by_comments { *text == base.plain } else { lf(text) == lf(&base.plain) };
    let outcome = opened.outcome();
    match outcome.verdict() {
        Verdict::Sealed if !same_recipients => Err("changed recipients count as sealed".into()),
        Verdict::Sealed if !same_text && !base.mac_only => {
            Err("a changed text counts as sealed".into())
        }
        Verdict::Sealed if !same_text => Ok("unjudged text".into()),
        Verdict::Sealed if planted(base, mutant) && !base.mac_only => {
            Err("what was planted counts as sealed".into())
        }
        Verdict::Sealed => match harmless(base, mutant) {
            Some(reason) => Ok(format!("sealed: {reason}")),
            None => Err("sealed, and no reason is listed".into()),
        },
        Verdict::Respelled if same_text && planted(base, mutant) => Ok("planted".into()),
        Verdict::Respelled if same_text => Err("the same text counts as respelled".into()),
        Verdict::Respelled => Ok("respelled".into()),
        Verdict::RecipientsChanged if same_recipients => {
            Err("the same recipients count as changed".into())
        }
        Verdict::RecipientsChanged => Ok("recipients changed".into()),
        verdict @ (Verdict::RecipientsUnvouched | Verdict::Broken | Verdict::Sops) => {
            Err(format!("no mutant can be {verdict:?}"))
        }
    }
}

fn refusal(error: &FileError, toml: bool) -> Result<String, String> {
    match word(error) {
        // A comment in the last table of the metadata is not taken out with it: to be fixed in
        // `document::toml`, and then a change of spelling or of nothing.
        "DOES NOT READ BACK" if toml => Ok("known: a comment in the metadata of TOML".into()),
        wrong @ ("DOES NOT READ BACK" | "OTHER") => Err(format!("{wrong}: {error}")),
        word => Ok(format!("refused: {word}")),
    }
}

/// An error about the seal must have a cause: data, the place of a token, or what the MAC is about.
fn false_alarm(base: &Base, mutant: &str, error: &FileError) -> Result<(), String> {
    if !matches!(error, FileError::Broken | FileError::MacMismatch) {
        return Ok(());
    }
    // Under a comment rule a comment says which values are sealed.
    let by_comments =
        base.rule.starts_with("unencrypted_comment") || base.rule.starts_with("encrypted_comment");
    if by_comments {
        return Ok(());
    }
    let parse = |text: &str| EncryptedFile::parse(text.to_owned(), base.format).expect("parses");
    let (file, original) = (parse(mutant), parse(&base.sealed));
    let same_metadata = file.metadata().mac() == original.metadata().mac()
        && file.metadata().policy() == original.metadata().policy()
        && file.metadata().lastmodified().seconds() == original.metadata().lastmodified().seconds();
    let Ok(opened) = file.decrypt_unverified(&data_key()) else { return Ok(()) };
    // Tokens by their declared type.
    let places = |text: &str| -> Vec<Option<String>> {
        let doc = Document::parse(text.to_owned(), base.format).expect("parses");
        leaves(&doc)
            .iter()
            .map(|(_, value)| {
                let token = value.strip_prefix("str ENC[")?;
                Some(token[token.rfind(",type:").unwrap_or_default()..].to_owned())
            })
            .collect()
    };
    let plain = Document::parse(base.plain.clone(), base.format).expect("parses");
    // A map that was split in two by its key has the same leaves, and is another one to a reader.
    let split = opened.document().duplicate_key().is_some();
    let same = same_metadata
        && !split
        && leaves(opened.document()) == leaves(&plain)
        && places(mutant) == places(&base.sealed);
    if same { Err(format!("false alarm: {error}")) } else { Ok(()) }
}

/// Recipients as text, what counts as nothing left out.
pub(super) fn recipients(tree: &Tree) -> String {
    match tree {
        Tree::Scalar(scalar) if scalar.kind == ScalarType::Null => String::new(),
        Tree::Scalar(scalar) => format!("{:?}", String::from_utf8_lossy(&scalar.bytes)),
        Tree::List(items) if items.is_empty() => String::new(),
        Tree::List(items) => format!("{:?}", items.iter().map(recipients).collect::<Vec<_>>()),
        Tree::Map(entries) => {
            let entries: BTreeMap<&str, String> = entries
                .iter()
                .map(|(key, value)| (key.as_str(), recipients(value)))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            if entries.is_empty() { String::new() } else { format!("{entries:?}") }
        }
    }
}

//! What is refused until somebody with the key has looked.

use std::collections::HashSet;

use super::error::Error;
use super::exit;
use super::integrity::with_hint;
use super::open::Opened;
use crate::document::{Document, NodeKind};
use crate::file::{Verdict, Vouch};
use crate::policy::RuleSubject;

/// Refuses a new value in the open where a comment decides what is sealed and the comments are not
/// as they were sealed: whoever changed a comment would get the next value in plain.
pub(crate) fn check_new_plain_values(opened: &Opened, sealed: &str) -> Result<(), Error> {
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
    let known = in_the_open(&old);
    let Some((path, _)) = in_the_open(&new).into_iter().find(|value| !known.contains(value)) else {
        return Ok(());
    };
    // Not the words of the verdict: under `mac_only_encrypted` it does not look at comments.
    let why = if outcome.text == Vouch::Zero {
        "nobody vouches for the comments"
    } else {
        "comments, quoting or spacing were changed without the key"
    };
    let text = format!("{path} would stay in the open, which a comment decides, and {why}");
    Err(with_hint(Error::new(exit::RESPELLED, text), Verdict::Respelled))
}

/// Paths and texts of the values that are not sealed.
fn in_the_open(doc: &Document) -> HashSet<(String, String)> {
    doc.ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Scalar)
        .filter(|&id| !doc.source(id).contains("ENC[AES256_GCM,"))
        .map(|id| (doc.path_of(id).to_string(), doc.source(id).to_owned()))
        .filter(|(path, _)| !path.starts_with("[\"sops\"]"))
        .collect()
}

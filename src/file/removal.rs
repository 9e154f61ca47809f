//! What is taken out of the text of a file: its metadata for the plaintext, and what is stray in it
//! before it is written anew.

use super::encrypted::EncryptedFile;
use super::stray::{comments, later_entries};
use crate::document::{Document, NodeId};
use crate::text::{Edits, Overlap, Span};

/// The edits that take the metadata out, handed over in the order of the text.
pub(crate) struct Removal {
    spans: Vec<(Span, String)>,
    next: usize,
}

impl Removal {
    pub(crate) fn new(file: &EncryptedFile) -> Self {
        let mut spans = spans(file, &file.entries);
        if let Some((_, text)) = spans.first_mut().filter(|_| file.leaves_braces) {
            text.push_str("{}\n");
        }
        Self { spans, next: 0 }
    }

    pub(crate) fn edits(&self) -> Result<Edits, Overlap> {
        if self.spans.is_sorted_by(|(before, _), (behind, _)| before.end() <= behind.start()) {
            let mut edits = Edits::new();
            self.spans.iter().for_each(|(span, text)| edits.push(*span, text));
            return Ok(edits);
        }
        Err(Overlap)
    }

    pub(crate) fn before(
        &mut self,
        put: &mut impl FnMut(Span, &dyn Fn(&mut String)),
        offset: usize,
    ) {
        while let Some((span, text)) = self.spans.get(self.next)
            && span.start() < offset
        {
            put(*span, &|out| out.push_str(text));
            self.next += 1;
        }
    }
}

/// The edits that take out all that is stray, true copies of the metadata as well: they would soon be
/// false.
pub(crate) fn of_stray(file: &EncryptedFile) -> Edits {
    let mut edits = Edits::new();
    for (span, text) in spans(file, later_entries(file)) {
        edits.push(span, &text);
    }
    edits
}

/// What takes these entries out, and the comments inside the metadata, those that go with an entry
/// once; in the order of the text.
fn spans(file: &EncryptedFile, entries: &[NodeId]) -> Vec<(Span, String)> {
    let doc = &file.doc;
    let mut spans: Vec<(Span, String)> = Vec::new();
    for &entry in entries {
        spans.extend(doc.remove(entry).iter().map(|(span, text)| (span, text.to_owned())));
    }
    spans.sort_by_key(|(span, _)| span.start());
    let inside = |at: usize| {
        let before = spans.partition_point(|(span, _)| span.start() <= at);
        before.checked_sub(1).is_some_and(|last| spans[last].0.range().contains(&at))
    };
    let lines = comments(file).map(|comment| with_its_line(doc, comment));
    let alone: Vec<Span> = lines.filter(|line| !inside(line.start())).collect();
    spans.extend(alone.into_iter().map(|line| (line, String::new())));
    spans.sort_by_key(|(span, _)| span.start());
    spans
}

/// A comment with its line, or with the space before it.
fn with_its_line(doc: &Document, comment: NodeId) -> Span {
    let text = doc.text();
    let span = doc.node(comment).span();
    let line = text[..span.start()].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let before = text[line..span.start()].trim_end_matches([' ', '\t']);
    if !before.is_empty() {
        return Span::new(line + before.len(), span.end());
    }
    let behind = &text[span.end()..];
    let line_break = match behind.as_bytes() {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    };
    Span::new(line, span.end() + line_break)
}

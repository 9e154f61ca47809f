//! Holds a sealed text against the plaintext that it was made from, and finds what needs a note.
//!
//! The text is parsed like any other; node by node it must have the structure of the plaintext, with
//! tokens at the sealed places and every other byte as it was. Then the plaintext is written from
//! it as decryption would write it: what does not come out the same is noted.

use std::panic::resume_unwind;
use std::sync::mpsc::channel;
use std::thread;

use zeroize::Zeroizing;

use super::error::{FileError, position_of};
use super::plain_check::is_container;
use super::seal::{Site, value_to_seal};
use super::skip::Skip;
use super::spelling::leaves;
use crate::crypto::notes::{NoteKind, SpellingNote};
use crate::document::{Document, Node, NodeId, NodeKind};
use crate::text::{Edits, Position, Span, without_final_break};

/// Compares; gives the notes that bring the owner's spelling back.
pub(crate) fn check(
    plain: &Document,
    sealed: &Document,
    skip: &Skip,
    entries: &[NodeId],
    sites: &[Site],
) -> Result<Vec<SpellingNote>, FileError> {
    let mut owner = Owner { text: plain.text(), done: 0, cut: false };
    let mut restore = |pairs: &mut dyn Iterator<Item = NodeId>| {
        restore(plain, sealed, skip, entries, sites.iter().zip(pairs), &mut owner)
    };
    let mut notes = if let Some(notes) = side_by_side(plain, sealed, skip, sites, &mut restore) {
        notes?
    } else {
        let mut pairs = Vec::with_capacity(sites.len());
        pair(plain, sealed, skip, sites, |at| pairs.push(at))?;
        restore(&mut pairs.into_iter())?
    };
    if owner.done < owner.text.len() {
        return Err(owner.differs());
    }
    if owner.cut {
        let (kind, index) = (NoteKind::EndOfFile, 0);
        notes.push(SpellingNote { kind, index, bytes: Zeroizing::default() });
    }
    Ok(notes)
}

/// The owner's text, held against what comes back, piece by piece.
struct Owner<'a> {
    text: &'a str,
    /// So much of it came back.
    done: usize,
    /// It was all there, and a line break more.
    cut: bool,
}

impl Owner<'_> {
    fn expect(&mut self, piece: &str) -> Result<(), FileError> {
        let rest = &self.text[self.done..];
        if rest.starts_with(piece) && (piece.is_empty() || !self.cut) {
            self.done += piece.len();
        } else if !self.cut && without_final_break(piece) == Some(rest) {
            self.done = self.text.len();
            self.cut = true;
        } else {
            return Err(self.differs());
        }
        Ok(())
    }

    fn differs(&self) -> FileError {
        FileError::Check { position: Position::of(self.text, self.done) }
    }
}

/// [`restore`], given the node of the sealed text for each site.
type Restore<'a> =
    dyn FnMut(&mut dyn Iterator<Item = NodeId>) -> Result<Vec<SpellingNote>, FileError> + 'a;

/// Of many sites: pairs and restores at the same time. `None`: of few, or without a thread to spare.
fn side_by_side(
    plain: &Document,
    sealed: &Document,
    skip: &Skip,
    sites: &[Site],
    restore: &mut Restore<'_>,
) -> Option<Result<Vec<SpellingNote>, FileError>> {
    if sites.len() < WORTH_A_THREAD {
        return None;
    }
    thread::scope(|scope| {
        let (found, pairs) = channel::<Vec<NodeId>>();
        let pairing = move || {
            let mut some = Vec::new();
            // Whoever stops receiving has an error of its own to tell.
            pair(plain, sealed, skip, sites, |at| {
                some.push(at);
                if some.len() == PAIRS_AT_ONCE {
                    let _ = found.send(std::mem::take(&mut some));
                }
            })?;
            let _ = found.send(some);
            Ok(())
        };
        let pairing = thread::Builder::new().spawn_scoped(scope, pairing).ok()?;
        let restored = restore(&mut pairs.into_iter().flatten());
        let paired = pairing.join().unwrap_or_else(|panic| resume_unwind(panic));
        Some(paired.and(restored))
    })
}

/// Holds every node against its counterpart; hands over the node of the sealed text for each site.
fn pair(
    plain: &Document,
    sealed: &Document,
    skip: &Skip,
    sites: &[Site],
    mut found: impl FnMut(NodeId),
) -> Result<(), FileError> {
    let mut mapped = vec![NodeId::new(usize::MAX); plain.nodes().len()];
    let mut there = sealed.ids().filter(|&id| !skip.contains(id)).peekable();
    let mut site = sites.iter().peekable();
    for id in plain.ids() {
        let node = plain.node(id);
        let may_be_taken_in = matches!(node.kind(), NodeKind::Tag | NodeKind::Comment);
        if may_be_taken_in && taken_in(plain, id, site.peek().copied()) {
            continue;
        }
        let Some(at) = there.next() else {
            return Err(FileError::Check { position: position_of(plain, id) });
        };
        mapped[id.index()] = at;
        let counterpart = sealed.node(at);
        let sealed_here = site.next_if(|site| site.node == id).map(|site| site.sealed);
        let same = node.kind() == counterpart.kind()
            && (mapped[node.parent().index()] == counterpart.parent()
                || node.kind() == NodeKind::Comment)
            && match sealed_here {
                Some(true) => holds_token(sealed, at, counterpart),
                Some(false) => plain.scalar(id).ok() == sealed.scalar(at).ok(),
                None => is_container(node.kind()) || plain.source(id) == sealed.source(at),
            };
        if !same {
            return Err(FileError::Check { position: position_of(plain, id) });
        }
        if sealed_here.is_some() {
            found(at);
        }
    }
    match there.next() {
        Some(at) => Err(FileError::Check { position: position_of(sealed, at) }),
        None => Ok(()),
    }
}

/// Whether a tag, or a comment behind it, went into the span that the site's token replaced.
fn taken_in(plain: &Document, id: NodeId, site: Option<&Site>) -> bool {
    site.is_some_and(|site| {
        site.widened
            && site.source.start() <= plain.node(id).span().start()
            && plain.node(id).span().end() <= site.source.end()
    })
}

fn holds_token(sealed: &Document, at: NodeId, node: &Node) -> bool {
    sealed.scalar(at).is_ok_and(|scalar| {
        let text = scalar.text().unwrap_or_default().trim_end_matches(['\n', '\r']);
        let comment = node.kind() == NodeKind::Comment;
        text.starts_with("ENC[AES256_GCM,data:")
            && text.ends_with(']')
            && comment == text.ends_with(",type:comment]")
    })
}

/// Walks the plaintext as decryption would write it from the sealed text; gives a note for each place
/// that would come out otherwise.
fn restore<'a>(
    plain: &Document,
    sealed: &Document,
    skip: &Skip,
    entries: &[NodeId],
    pairs: impl Iterator<Item = (&'a Site, NodeId)>,
    owner: &mut Owner<'_>,
) -> Result<Vec<SpellingNote>, FileError> {
    let mut removal = Edits::new();
    for &entry in entries {
        removal = removal.merge(&sealed.remove(entry));
    }
    let mut removal = removal.iter().peekable();
    let mut leaves = leaves(sealed, skip).enumerate();
    let mut notes = Vec::new();
    let mut spelled = String::new();
    let mut done = 0;
    let mut put = |span: Span, text: &str| {
        owner.expect(&sealed.text()[done..span.start()])?;
        done = span.end();
        owner.expect(text)
    };
    for (site, at) in pairs {
        let source = site.source.of(plain.text());
        spelled.clear();
        if !site.widened {
            sealed.write_scalar(at, &value_to_seal(plain, site.node)?, &mut spelled);
        }
        let mut span = sealed.node(at).span();
        if site.widened || spelled != source {
            let Some((index, _)) = leaves.by_ref().find(|&(_, leaf)| leaf == at) else {
                return Err(FileError::Check { position: position_of(plain, site.node) });
            };
            let bytes = Zeroizing::new(source.as_bytes().to_vec());
            notes.push(SpellingNote { kind: NoteKind::Token, index: index as u64, bytes });
            if source.starts_with(['!', '&'])
                && let Some(anchor) = sealed.property(at, NodeKind::Anchor)
            {
                span = Span::new(sealed.node(anchor).span().start(), span.end());
            }
        }
        while let Some((span, text)) = removal.next_if(|(it, _)| it.start() < span.start()) {
            put(span, text)?;
        }
        put(span, source)?;
    }
    for (span, text) in removal {
        put(span, text)?;
    }
    put(Span::at(sealed.text().len()), "")?;
    Ok(notes)
}

/// Fewer sites are checked before a thread would have started.
const WORTH_A_THREAD: usize = 2_000;

/// How many pairs travel together.
const PAIRS_AT_ONCE: usize = 1_024;

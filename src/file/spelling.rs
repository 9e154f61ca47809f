//! Spelling notes: the owner's bytes where the canonical writer would choose others.
//!
//! Invariant: a note is never trusted on its own. The plaintext that it gives is parsed, and the
//! note counts only if every value is exactly the decrypted one there; else the canonical spelling
//! is written.

use std::collections::{HashMap, HashSet};

use super::beside::both;
use super::encrypted::EncryptedFile;
use super::error::{FileError, position_of};
use super::open::{Opened, Values};
use super::plain_check;
use super::removal::Removal;
use super::seal::FileKeys;
use super::skip::Skip;
use super::stream::WORTH_THREADS;
use crate::crypto::notes::{self, NoteKind, SpellingNote};
use crate::document::subtree_end;
use crate::document::{Document, NodeId, NodeKind};
use crate::text::{Edits, Overlap, Span, Splice, line_break, without_final_break};
use crate::value::{Scalar, ScalarType};

/// The notes of one file by the node that they are for.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) list: Vec<SpellingNote>,
    tokens: HashMap<NodeId, usize>,
    /// First leaf of what an alias was expanded to, and the note.
    aliases: Vec<(NodeId, usize)>,
    pub(crate) no_final_break: bool,
    /// There are notes that cannot be read.
    pub(crate) damaged: bool,
}

/// The plaintext and how it came about.
pub(crate) struct Written<T> {
    pub(crate) plain: Document,
    pub(crate) notes: Notes,
    /// What the plaintext was found to have.
    pub(crate) tag: T,
}

/// Reads the notes of a file. Missing or damaged ones are none: the spelling is then canonical.
pub(crate) fn read(file: &EncryptedFile, keys: &FileKeys) -> Notes {
    let Some(text) = file.metadata.spelling() else { return Notes::default() };
    let Ok(list) = notes::open_spelling(&keys.seal, text) else {
        return Notes { damaged: true, ..Notes::default() };
    };
    let leaves: Vec<NodeId> = leaves(&file.doc, &file.skip).collect();
    let mut notes = Notes::default();
    for (at, note) in list.iter().enumerate() {
        let leaf = usize::try_from(note.index).ok().and_then(|index| leaves.get(index));
        match (note.kind, leaf) {
            (NoteKind::Token, Some(&leaf)) => drop(notes.tokens.insert(leaf, at)),
            (NoteKind::Alias, Some(&leaf)) => notes.aliases.push((leaf, at)),
            (NoteKind::EndOfFile, _) => notes.no_final_break = true,
            (NoteKind::Token | NoteKind::Alias, None) => {}
        }
    }
    notes.list = list;
    notes
}

/// Scalars and comments in the order of the text, those of the metadata left out: what the index of
/// a note counts.
pub(crate) fn leaves<'a>(doc: &'a Document, skip: &'a Skip) -> impl Iterator<Item = NodeId> + 'a {
    doc.ids().filter(|&id| doc.node(id).is_leaf() && !skip.contains(id))
}

/// Writes the plaintext: with the notes, or without those that do not hold; looks at it with `tag`
/// while it is being checked.
pub(crate) fn write_plain<T: Send>(
    file: &EncryptedFile,
    values: &Values,
    mut notes: Notes,
    straight: Straight<'_>,
    tag: impl Fn(&str) -> T + Sync,
) -> Result<Written<T>, FileError> {
    let mut straight = Some(straight).filter(|straight| !straight.has_list_comments);
    let mut attempt = 0;
    loop {
        let straight = straight.take().filter(|_| notes.leave_all_values());
        let (written, sites) = if let Some(straight) = straight {
            let removal = Removal::new(file).edits();
            (removal.and_then(|edits| straight.splice.finish(&edits)), PlainSites::default())
        } else {
            let mut splice = Splice::new(file.doc.text(), file.doc.text().len());
            let sites = write_places(file, values, &notes, |span, write| {
                splice.replace_with(span, write);
            });
            (splice.finish(&Edits::new()), sites)
        };
        let mut text = written
            .map_err(|Overlap| FileError::Check { position: position_of(&file.doc, file.block) })?;
        if notes.no_final_break {
            let kept = without_final_break(&text).map_or(text.len(), str::len);
            text.truncate(kept);
        }
        let plain = Document::parse(text, file.doc.format());
        let failed = match plain {
            Ok(plain) => {
                let large = plain.nodes().len() >= WORTH_THREADS;
                let check = || plain_check::check(file, values, &plain, &sites);
                let (tag, checked) = both(large, || tag(plain.text()), check);
                match checked {
                    Ok(()) => return Ok(Written { plain, notes, tag }),
                    Err(failed) => failed,
                }
            }
            Err(error) => plain_check::Failed { node: None, position: error.position },
        };
        // Notes of another version fail one by one: a few are given up, then more, then all.
        if !notes.retract(failed.node.filter(|_| attempt < ATTEMPTS), attempt) {
            return Err(FileError::Check { position: failed.position });
        }
        attempt += 1;
    }
}

/// How often a plaintext is written before all notes are given up.
const ATTEMPTS: usize = 16;

impl Notes {
    fn token(&self, node: NodeId) -> Option<&str> {
        std::str::from_utf8(&self.list[*self.tokens.get(&node)?].bytes).ok()
    }

    /// Whether every value is spelled as the canonical writer does.
    fn leave_all_values(&self) -> bool {
        self.tokens.is_empty() && self.aliases.is_empty()
    }

    /// Gives up the note of a node whose value came out wrong, or all of them; false if none is left.
    ///
    /// Each attempt writes and parses the whole text. So after a few those behind the node go with it:
    /// where somebody put a line in between, they are all off by one.
    fn retract(&mut self, node: Option<NodeId>, attempt: usize) -> bool {
        if let Some(node) = node
            && self.tokens.remove(&node).is_some()
        {
            if attempt >= ONE_BY_ONE {
                self.tokens.retain(|&other, _| other < node);
            }
            return true;
        }
        let any = !self.leave_all_values() || self.no_final_break;
        *self = Self::default();
        any
    }
}

/// How many notes are given up singly.
const ONE_BY_ONE: usize = 8;

/// What was done with each place, for the check.
#[derive(Default)]
pub(crate) struct PlainSites {
    /// Leaves whose spelling came from a note: they must come out exactly.
    pub(crate) noted: HashSet<NodeId>,
    /// Expanded aliases that became aliases again: the root of what was expanded, and where its
    /// subtree ends.
    pub(crate) aliased: Vec<(NodeId, usize)>,
    /// List items that are comments in SOPS' own form.
    pub(crate) list_comments: Vec<NodeId>,
}

/// The plaintext of a file in which nothing needs a note, as most are: made while its values are still
/// being opened, and used only if there are no notes.
pub(crate) struct Straight<'a> {
    doc: &'a Document,
    splice: Splice<'a>,
    /// Those of SOPS' own form take their dash along.
    has_list_comments: bool,
}

impl<'a> Straight<'a> {
    pub(crate) fn new(file: &'a EncryptedFile) -> Self {
        let doc = &file.doc;
        // A value is shorter than its token, so that this does not grow, which would leave plaintext
        // behind; what is not used of it costs nothing.
        let splice = Splice::new(doc.text(), doc.text().len());
        Self { doc, splice, has_list_comments: false }
    }

    /// The next value.
    pub(crate) fn push(&mut self, node: NodeId, value: &Scalar<'_>) {
        self.has_list_comments |= is_list_comment(self.doc, node, value.kind);
        let doc = self.doc;
        self.splice.replace_with(doc.node(node).span(), |out| doc.write_scalar(node, value, out));
    }
}

/// Whether a comment stands as an item of a list, as only sops writes it.
fn is_list_comment(doc: &Document, node: NodeId, kind: ScalarType) -> bool {
    kind == ScalarType::Comment && doc.node(node).kind() == NodeKind::Scalar
}

/// The replacements that give the plaintext.
pub(crate) fn plain_edits(file: &EncryptedFile, values: &Values, notes: &Notes) -> Edits {
    let mut edits = Edits::new();
    write_places(file, values, notes, |span, write| edits.push_with(span, write));
    edits
}

/// Hands over what is to be replaced for the plaintext, in the order of the text, with a writer of
/// what takes its place.
fn write_places(
    file: &EncryptedFile,
    values: &Values,
    notes: &Notes,
    mut put: impl FnMut(Span, &dyn Fn(&mut String)),
) -> PlainSites {
    let doc = &file.doc;
    let mut removal = Removal::new(file);
    let mut sites = PlainSites::default();
    let mut aliases = alias_sites(file, values, notes);
    aliases.sort_by_key(|site| site.root);
    let mut aliases = aliases.into_iter().peekable();
    let mut skip_until = 0;
    let in_the_open = noted_in_the_open(file, values, notes);
    let mut items = items_of_commented_lists(doc, values);
    for opened in &values.opened {
        while let Some(site) = aliases.next_if(|site| site.root <= opened.node) {
            if site.root.index() < skip_until {
                continue;
            }
            let end = doc.node(site.root).span().end();
            let span = Span::new(doc.properties_start(site.root), end);
            removal.before(&mut put, span.start());
            put(span, &|out| out.push_str(&site.name));
            skip_until = site.end;
            sites.aliased.push((site.root, site.end));
        }
        if opened.node.index() < skip_until {
            continue;
        }
        let mut span = doc.node(opened.node).span();
        removal.before(&mut put, span.start());
        if is_list_comment(doc, opened.node, opened.kind) {
            // `- ENC[…,type:comment]`: the dash goes with it.
            span = Span::new(dash_before(doc, span.start()), span.end());
            sites.list_comments.push(opened.node);
            let list = doc.node(opened.node).parent();
            let left = items.get_mut(&list).map_or(1, |items| {
                *items -= 1;
                *items
            });
            put(span, &|out| {
                write_comment(values, opened, out);
                if left == 0 {
                    // Without an item the list would be none.
                    out.push_str(line_break(doc.text()));
                    out.extend(std::iter::repeat_n(' ', doc.node(list).indent() + 2));
                    out.push_str("[]");
                }
            });
            continue;
        }
        if let Some(note) = notes.token(opened.node) {
            if note.starts_with(['!', '&']) {
                span = Span::new(doc.properties_start(opened.node), span.end());
            }
            sites.noted.insert(opened.node);
            put(span, &|out| out.push_str(note));
            continue;
        }
        put(span, &|out| doc.write_scalar(opened.node, &values.scalar(opened), out));
    }
    // Such a value stands at the end of the text, or right before the metadata.
    if let Some(node) = in_the_open.filter(|node| node.index() >= skip_until)
        && let Some(note) = notes.token(node)
    {
        let span = doc.node(node).span();
        removal.before(&mut put, span.start());
        sites.noted.insert(node);
        put(span, &|out| out.push_str(note));
    }
    removal.before(&mut put, usize::MAX);
    sites
}

/// How many items each list has that comments by sops are items of.
fn items_of_commented_lists(doc: &Document, values: &Values) -> HashMap<NodeId, usize> {
    let is_comment = |opened: &&Opened| is_list_comment(doc, opened.node, opened.kind);
    let comments = values.opened.iter().filter(is_comment);
    let mut items: HashMap<NodeId, usize> =
        comments.map(|opened| (doc.node(opened.node).parent(), 0)).collect();
    if !items.is_empty() {
        for node in doc.nodes().iter().filter(|node| node.is_value()) {
            if let Some(items) = items.get_mut(&node.parent()) {
                *items += 1;
            }
        }
    }
    items
}

/// The value in the open that a note is for: behind all that were sealed.
fn noted_in_the_open(file: &EncryptedFile, values: &Values, notes: &Notes) -> Option<NodeId> {
    let last = values.opened.last().map(|opened| opened.node);
    notes
        .tokens
        .keys()
        .copied()
        .filter(|&node| file.doc.node(node).kind() == NodeKind::Scalar)
        .find(|&node| last.is_none_or(|last| node > last))
}

fn write_comment(values: &Values, opened: &Opened, out: &mut String) {
    out.push('#');
    // A line break would end the comment.
    let scalar = values.scalar(opened);
    out.push_str(&scalar.text().unwrap_or_default().replace(['\n', '\r'], " "));
}

fn dash_before(doc: &Document, start: usize) -> usize {
    doc.text()[..start].rfind('-').unwrap_or(start)
}

struct AliasSite {
    root: NodeId,
    end: usize,
    name: String,
}

/// Where an expanded alias can be written as an alias again: the outermost value that begins with
/// the note's leaf and equals what the anchor names.
fn alias_sites(file: &EncryptedFile, values: &Values, notes: &Notes) -> Vec<AliasSite> {
    if notes.aliases.is_empty() {
        return Vec::new();
    }
    let comparer = plain_check::Comparer::new(&file.doc, values);
    notes
        .aliases
        .iter()
        .filter_map(|&(leaf, at)| {
            let name = std::str::from_utf8(&notes.list[at].bytes).ok()?;
            let target = anchor_before(&file.doc, leaf, name.strip_prefix('*')?)?;
            let root = candidates(&file.doc, leaf).find(|&root| comparer.equal(root, target))?;
            let end = subtree_end(&file.doc, root);
            Some(AliasSite { root, end, name: name.to_owned() })
        })
        .collect()
}

/// The leaf, then each collection whose first leaf it is. Empty collections before it are no leaves.
fn candidates(doc: &Document, leaf: NodeId) -> impl Iterator<Item = NodeId> + '_ {
    std::iter::successors(Some(leaf), move |&inner| {
        let parent = doc.node(inner).parent();
        let container = if doc.node(parent).kind() == NodeKind::Key {
            doc.node(parent).parent()
        } else {
            parent
        };
        let mut before = (container.index() + 1..inner.index()).rev().map(NodeId::new);
        let first = !before.any(|id| doc.node(id).is_leaf());
        (first && doc.node(container).is_value()).then_some(container)
    })
}

fn anchor_before(doc: &Document, leaf: NodeId, name: &str) -> Option<NodeId> {
    let mut target = doc.anchored(leaf, name)?;
    while doc.node(target).kind() == NodeKind::Alias {
        target = doc.alias_target(target)?;
    }
    Some(target)
}

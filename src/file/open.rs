//! From an encrypted document to its values and its plaintext.

use std::collections::HashMap;
use std::ops::Range;

use super::encrypted::{EncryptedFile, check_keys};
use super::error::{FileError, place_of};
use super::outcome::{Outcome, Vouch};
use super::seal::FileKeys;
use super::spelling::{self, Notes, Straight};
use super::stray;
use super::stream::{Found, Source, stream};
use super::tally::Tally;
use super::walk::{Leaf, Place};
use crate::crypto::encrypted_value::{self, EncryptedValue};
use crate::crypto::mac::MacText;
use crate::crypto::seal::{LineBreaks, MacNonce, SealTag, TextTag};
use crate::document::{Document, Format, NodeId, NodeKind, Style};
use crate::policy::{Policy, RuleSubject};
use crate::secret::{Wiped, reserve};
use crate::text::{Edits, Span};
use crate::value::{Scalar, ScalarType};

/// A leaf whose token was opened.
pub(crate) struct Opened {
    pub(crate) node: NodeId,
    pub(crate) kind: ScalarType,
    /// It opens under the path of a level above its own only.
    pub(crate) moved: bool,
    /// In [`Values::bytes`]. All tokens of a text are longer than what they hold.
    plain: Span,
}

/// The values of a file, in the order of its text.
#[derive(Default)]
pub(crate) struct Values {
    bytes: Wiped<Vec<u8>>,
    pub(crate) opened: Vec<Opened>,
}

impl Values {
    /// With room for all that a document is likely to hold: a buffer that grows is there twice.
    fn of(doc: &Document) -> Self {
        let leaves = doc.nodes().iter().filter(|node| node.is_leaf());
        let base64: usize = leaves.map(|leaf| leaf.span().len().saturating_sub(TOKEN_FRAME)).sum();
        let bytes = Wiped::from(Vec::with_capacity(base64 / 4 * 3));
        Self { bytes, opened: Vec::with_capacity(doc.nodes().len()) }
    }

    pub(crate) fn scalar(&self, opened: &Opened) -> Scalar<'_> {
        Scalar::new(opened.kind, &self.bytes[opened.plain.range()])
    }

    fn push(&mut self, node: NodeId, kind: ScalarType, moved: bool, plain: &[u8]) {
        let start = self.bytes.len();
        reserve(&mut self.bytes, plain.len());
        self.bytes.extend_from_slice(plain);
        let plain = Span::new(start, self.bytes.len());
        self.opened.push(Opened { node, kind, moved, plain });
    }
}

/// What a token holds beside its data, at least: its names, nonce and authentication tag.
const TOKEN_FRAME: usize = 100;

/// A file's values, what its MAC and tags say, and its plaintext.
pub(crate) struct OpenedFile {
    pub(crate) values: Values,
    pub(crate) notes: Notes,
    pub(crate) outcome: Outcome,
    /// Whether comments stand as list items, as only sops writes them.
    pub(crate) list_comments: bool,
    /// The tags of the stored MAC, if waxseal wrote it.
    pub(crate) nonce: Option<MacNonce>,
    /// The MAC of the values, as computed.
    pub(crate) mac: MacText,
    /// The plaintext, parsed again and checked.
    pub(crate) plain: Document,
}

impl OpenedFile {
    /// The replacements that gave the plaintext of this file.
    pub(crate) fn plain_edits(&self, file: &EncryptedFile) -> Edits {
        spelling::plain_edits(file, &self.values, &self.notes)
    }
}

/// Whether the MAC and the tree tag are held against the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verify {
    /// A wrong MAC and a broken seal are errors.
    Yes,
    /// They are not looked at (`--ignore-mac`, `reseal`).
    No,
}

/// Opens every value, checks the MAC and the tags, and writes the plaintext.
pub(crate) fn open(
    file: &EncryptedFile,
    keys: &FileKeys,
    verify: Verify,
) -> Result<OpenedFile, FileError> {
    let doc = &file.doc;
    let policy = file.metadata.policy();
    let lastmodified = file.metadata.lastmodified().seconds();
    let mut tally = Tally::new(&keys.seal, policy, &lastmodified);
    let mut values = Values::of(doc);
    let mut list_comments = false;
    let mut bare = true;
    let mut straight = Straight::new(file);
    let source = Source { doc, policy, skip: Some(&file.skip) };
    let prepare = |found: &Found<'_>, plain: &mut Vec<u8>| {
        if !found.holds_secret() {
            return Ok(None);
        }
        let start = plain.len();
        let kind = open_leaf(doc, found, keys, plain).map_err(Box::new)?;
        let style = doc.node(found.place.node).style();
        let source = doc.source(found.place.node);
        let alone = found.scalar().text().is_some_and(|token| stray::is_bare(token, style, source));
        Ok(kind.map(|(kind, moved)| (kind, moved, start..plain.len(), alone)))
    };
    type Prepared = Result<Option<(ScalarType, bool, Range<usize>, bool)>, Box<FileError>>;
    let documents = stream(source, prepare, |found, prepared: Prepared, plain| {
        let place = &found.place;
        let Some((kind, moved, range, alone)) = prepared.map_err(|error| *error)? else {
            tally.leaf(place, found.kind, found.bytes, false);
            return Ok(());
        };
        let plain = &plain[range];
        bare &= alone;
        // SOPS' own form of a comment in a list; anywhere else it is an attack.
        list_comments |= kind == ScalarType::Comment && place.leaf == Leaf::Scalar;
        tally.leaf(place, kind, plain, true);
        if place.alias.is_none() {
            values.push(place.node, kind, moved, plain);
            straight.push(place.node, &Scalar::new(kind, plain));
        }
        Ok(())
    })?;
    let (mac, tree) = tally.finish(documents);
    let nonce = check_mac(file, keys, &lastmodified, &mac, verify)?;
    let marked =
        nonce.filter(|nonce| nonce.is_marked(&keys.seal, &lastmodified, mac.as_str().as_bytes()));
    // Before the plaintext is written: what was tampered with need not have one.
    let intact = marked.is_none_or(|nonce| nonce.tags.tree.vouches_for(tree) && !list_comments);
    if verify == Verify::Yes && !intact {
        return Err(FileError::Broken);
    }
    let notes = spelling::read(file, keys);
    let as_written = bare && !notes.damaged && file.metadata.is_as_written() && !stray::any(file);
    // A key that stands twice splits a map unseen by the tree's tag: whoever seals refuses it.
    let tag = |plain: &str| {
        marked.map(|_| (text_tag(keys, policy, &lastmodified, plain), check_keys(doc).is_err()))
    };
    let written = spelling::write_plain(file, &values, notes, straight, tag)?;
    let spelling::Written { plain, notes, tag } = written;
    let doubled = tag.is_some_and(|(_, doubled)| doubled);
    if verify == Verify::Yes && doubled {
        return Err(FileError::Broken);
    }
    let mut outcome = judge(file, keys, tree, marked.zip(tag.map(|(tag, _)| tag)));
    // Whether they are errors or not: no next version is to vouch for either.
    outcome.tree &= !doubled && !list_comments;
    if outcome.text == Vouch::Good && !as_written {
        outcome.text = Vouch::Bad;
    }
    Ok(OpenedFile { values, notes, outcome, list_comments, nonce, mac, plain })
}

/// Whether any value of a file opens under this key. Nothing of it is kept.
pub(super) fn opens_a_value(file: &EncryptedFile, keys: &FileKeys) -> bool {
    let (doc, policy) = (&file.doc, file.metadata.policy());
    let source = Source { doc, policy, skip: Some(&file.skip) };
    let opens = |found: &Found<'_>, plain: &mut Vec<u8>| {
        found.holds_secret() && matches!(open_leaf(doc, found, keys, plain), Ok(Some(_)))
    };
    let mut any = false;
    let walked = stream(source, opens, |_, opened: bool, _| {
        any |= opened;
        Ok(())
    });
    // Of a text that cannot be walked to its end, what was met before counts.
    drop(walked);
    any
}

/// Opens the token of a leaf and appends it to `plain`; `None` for a comment that is none or does not
/// open. Also whether it was sealed under the path of a level above.
fn open_leaf(
    doc: &Document,
    found: &Found<'_>,
    keys: &FileKeys,
    plain: &mut Vec<u8>,
) -> Result<Option<(ScalarType, bool)>, FileError> {
    let (place, scalar) = (&found.place, found.scalar());
    let comment = place.leaf == Leaf::Comment;
    // A block scalar's token ends with a line break.
    let token = scalar.text().map(|text| text.trim_end_matches(['\n', '\r']));
    let token = token.filter(|token| token.starts_with("ENC["));
    // No token holds more than its own length.
    reserve(plain, token.map_or(0, str::len));
    let Some(token) = token.filter(|_| comment || scalar.kind == ScalarType::Str) else {
        if comment {
            return Ok(None);
        }
        let (position, path) = place_of(doc, place.node);
        return Err(FileError::NotSealed { position, path });
    };
    match encrypted_value::open(token, &keys.cipher, place.aad.as_bytes(), plain) {
        Ok(kind) if comment == (kind == ScalarType::Comment) => Ok(Some((kind, false))),
        Ok(ScalarType::Comment) if behind_dash(doc, place.node) => {
            Ok(Some((ScalarType::Comment, false)))
        }
        Ok(_) if comment => Ok(None),
        Ok(_) => {
            let (position, path) = place_of(doc, place.node);
            Err(FileError::CommentAsValue { position, path })
        }
        // SOPS keeps a comment that does not open, with a warning.
        Err(_) if comment => {
            Ok(open_moved_comment(doc, place, token, keys, plain).map(|kind| (kind, true)))
        }
        Err(source) => {
            let (position, path) = place_of(doc, place.node);
            Err(FileError::Open { position, path, source })
        }
    }
}

/// Whose a comment is depends on what stands around it, and an older version, or SOPS before its
/// metadata stood there, saw something else: the paths above are tried as well, and those of the value
/// before it, as many as [`MOVED_COMMENT_WORK`] allows.
fn open_moved_comment(
    doc: &Document,
    place: &Place<'_>,
    token: &str,
    keys: &FileKeys,
    plain: &mut Vec<u8>,
) -> Option<ScalarType> {
    let mut work = 0;
    open_above(place.aad, token, keys, plain, &mut work)
        .or_else(|| {
            let before = path_before(doc, place.node)?;
            let inner = encrypted_value::open(token, &keys.cipher, before.as_bytes(), plain).ok();
            inner.or_else(|| open_above(&before, token, keys, plain, &mut work))
        })
        .filter(|&kind| kind == ScalarType::Comment)
}

/// The path of the value that stands before a comment; `None` if that is far away or very deep.
fn path_before(doc: &Document, comment: NodeId) -> Option<String> {
    let near = (0..comment.index()).rev().take(NEAR).map(NodeId::new);
    let mut at = near
        .into_iter()
        .find(|&id| doc.node(id).is_value() || doc.node(id).kind() == NodeKind::Key)?;
    let mut keys = Vec::new();
    for _ in 0..DEEP {
        let node = doc.node(at);
        match node.kind() {
            NodeKind::Document => {
                keys.reverse();
                return (!keys.is_empty()).then(|| keys.concat());
            }
            NodeKind::Key => keys.push(format!("{}:", doc.key_text(at))),
            _ => {}
        }
        at = node.parent();
    }
    None
}

/// Nodes to look at for the value before a comment,
const NEAR: usize = 16;

/// and levels above it.
const DEEP: usize = 256;

fn open_above(
    path: &str,
    token: &str,
    keys: &FileKeys,
    plain: &mut Vec<u8>,
    work: &mut usize,
) -> Option<ScalarType> {
    let mut aad = path.trim_end_matches(':');
    while !aad.is_empty() {
        let colon = aad.rfind(':').map_or(0, |at| at + 1);
        let outer = if colon == 0 { ":" } else { &aad[..colon] };
        *work += outer.len() + token.len();
        if *work > MOVED_COMMENT_WORK.max(4 * token.len()) {
            return None;
        }
        if let Ok(kind) = encrypted_value::open(token, &keys.cipher, outer.as_bytes(), plain) {
            return Some(kind);
        }
        aad = aad[..colon].trim_end_matches(':');
    }
    None
}

/// Bytes that are authenticated in vain for one comment: enough for dozens of levels of usual keys.
/// Anybody can write comments that open nowhere.
const MOVED_COMMENT_WORK: usize = 16 << 10;

/// Whether a dash can go away together with the item: sops writes comments of lists so, by lines.
fn behind_dash(doc: &Document, id: NodeId) -> bool {
    let list = doc.node(doc.node(id).parent());
    let before = &doc.text()[..doc.node(id).span().start()];
    list.kind() == NodeKind::List
        && list.style() == Style::Block
        && before.trim_end_matches(' ').ends_with('-')
}

/// Opens the stored MAC and compares; gives the tags of its nonce, if it can hold some.
fn check_mac(
    file: &EncryptedFile,
    keys: &FileKeys,
    lastmodified: &str,
    mac: &MacText,
    verify: Verify,
) -> Result<Option<MacNonce>, FileError> {
    let checked = read_mac(file, keys, lastmodified, mac);
    match (checked, verify) {
        (Ok(nonce), _) => Ok(nonce),
        (Err(_), Verify::No) => Ok(None),
        (Err(error), Verify::Yes) => Err(error),
    }
}

fn read_mac(
    file: &EncryptedFile,
    keys: &FileKeys,
    lastmodified: &str,
    mac: &MacText,
) -> Result<Option<MacNonce>, FileError> {
    let token = file.metadata.mac();
    if token.is_empty() {
        return Err(FileError::MacMissing);
    }
    let mut stored = Vec::new();
    let kind = encrypted_value::open(token, &keys.cipher, lastmodified.as_bytes(), &mut stored)
        .map_err(|_| FileError::MacUnreadable)?;
    if kind != ScalarType::Str {
        return Err(FileError::MacUnreadable);
    }
    if !mac.matches(&stored) {
        return Err(FileError::MacMismatch);
    }
    Ok(EncryptedValue::parse(token).ok().and_then(|value| MacNonce::from_bytes(value.nonce())))
}

/// Compares the tags of a nonce that waxseal made, given the tag of the text as it is.
fn judge(
    file: &EncryptedFile,
    keys: &FileKeys,
    tree: SealTag,
    marked: Option<(MacNonce, SealTag)>,
) -> Outcome {
    let mac_only_encrypted = file.metadata.policy().mac_only_encrypted();
    let Some((nonce, text)) = marked else { return Outcome::sops(mac_only_encrypted) };
    let recipients = keys.seal.recipients_tag(&file.metadata.recipients_view());
    Outcome {
        marked: true,
        tree: nonce.tags.tree.vouches_for(tree),
        text: vouch(nonce.tags.text, text),
        recipients: vouch(nonce.tags.recipients, recipients),
        mac_only_encrypted,
    }
}

fn vouch(stored: SealTag, computed: SealTag) -> Vouch {
    if stored.is_none() {
        Vouch::Zero
    } else if stored.vouches_for(computed) {
        Vouch::Good
    } else {
        Vouch::Bad
    }
}

/// Tag S of what `decrypt` prints. Where comments decide what is sealed, CRLF and LF are not the same:
/// whose a comment is differs.
pub(crate) fn text_tag(
    keys: &FileKeys,
    policy: &Policy,
    lastmodified: &str,
    plain: &str,
) -> SealTag {
    let line_breaks = match policy.rule().subject() {
        RuleSubject::Comments => LineBreaks::Verbatim,
        RuleSubject::Keys => LineBreaks::AsLf,
    };
    let mut tag = TextTag::begin(&keys.seal, lastmodified, line_breaks);
    tag.feed(plain.as_bytes());
    tag.finish()
}

/// The index of each opened leaf, by its node.
pub(crate) fn by_node(values: &Values) -> HashMap<NodeId, usize> {
    values.opened.iter().enumerate().map(|(index, opened)| (opened.node, index)).collect()
}

/// The raw content of a binary file in its JSON envelope.
pub(crate) fn envelope_content(opened: &OpenedFile) -> Option<Vec<u8>> {
    if opened.plain.format() != Format::Json {
        return None;
    }
    let root = opened.plain.value_of(NodeId::new(0))?;
    let (_, data) = opened.plain.entry(root, "data")?;
    Some(opened.plain.scalar(data).ok()?.bytes.into_owned())
}

//! From a plaintext document to the tokens that take the place of its values.

use std::collections::HashMap;
use std::ops::Range;

use super::carry::Carry;
use super::encrypted::documents;
use super::error::{FileError, position_of};
use super::stream::{Found, Source, stream};
use super::tally::Tally;
use super::walk::{Leaf, Place};
use crate::crypto::cipher::{Cipher, NONCE_LEN};
use crate::crypto::encrypted_value;
use crate::crypto::mac::MacText;
use crate::crypto::seal::{SealKeys, SealTag};
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::policy::{Policy, RuleSubject};
use crate::secret::{DataKey, fill_random};
use crate::text::{Span, Splice};
use crate::value::{Scalar, ScalarType};

/// What a data key is used for, set up once per file.
pub(crate) struct FileKeys {
    pub(crate) cipher: Cipher,
    pub(crate) seal: SealKeys,
}

impl FileKeys {
    pub(crate) fn new(key: &DataKey) -> Self {
        Self { cipher: Cipher::new(key), seal: SealKeys::new(key) }
    }
}

/// Where the 32 bytes of a value's nonce come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Nonces {
    /// From the value and its place, under the data key: the same value stays the same ciphertext.
    #[default]
    Derived,
    /// From the operating system, anew for each value that is sealed.
    Random,
}

/// A leaf that became a token, or that is spelled in another way.
pub(crate) struct Site {
    pub(crate) node: NodeId,
    pub(crate) sealed: bool,
    /// What the owner wrote: the token's span, from its first property on if `widened`.
    pub(crate) source: Span,
    /// The tag would have forced a type on the token and was taken into the replaced span.
    pub(crate) widened: bool,
}

/// A document whose leaves are sealed, and its two hashes.
pub(crate) struct Body<'a> {
    /// The text with the tokens in it; the metadata is to follow.
    pub(crate) splice: Splice<'a>,
    pub(crate) sites: Vec<Site>,
    /// Comments that are in the text no more: a widened site covers them.
    pub(crate) taken_in: Vec<NodeId>,
    pub(crate) mac: MacText,
    pub(crate) tree: SealTag,
}

/// How a document is to be sealed.
pub(crate) struct Sealing<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) keys: &'a FileKeys,
    /// As SOPS renders it for the AAD.
    pub(crate) lastmodified: &'a str,
    pub(crate) nonces: Nonces,
}

/// Seals every leaf that the rule selects.
pub(crate) fn seal<'a>(
    doc: &'a Document,
    sealing: &Sealing<'_>,
    carry: Option<&mut Carry<'_>>,
) -> Result<Body<'a>, FileError> {
    let ahead = carry.is_none() && sealing.nonces == Nonces::Derived;
    let mut sealer = Sealer {
        doc,
        sealing,
        carry,
        tally: Tally::new(&sealing.keys.seal, sealing.policy, sealing.lastmodified),
        many_documents: documents(doc).nth(1).is_some(),
        seen: Seen::default(),
        token: String::new(),
        splice: Splice::new(doc.text(), sealed_len(doc)),
        sites: Vec::new(),
        taken_in: Vec::new(),
    };
    let source = Source { doc, policy: sealing.policy, skip: None };
    let prepare = |found: &Found<'_>, tokens: &mut String| sealing.prepare(found, ahead, tokens);
    let documents =
        stream(source, prepare, |found, prepared, tokens| sealer.leaf(found, prepared, tokens))?;
    let (mac, tree) = sealer.tally.finish(documents);
    let Sealer { splice, sites, taken_in, .. } = sealer;
    Ok(Body { splice, sites, taken_in, mac, tree })
}

/// About how long a text is once it is sealed, metadata included.
fn sealed_len(doc: &Document) -> usize {
    doc.text().len() + doc.nodes().len() / 2 * TOKEN_FRAME + METADATA_LEN
}

/// What a leaf is likely to become.
struct Prepared {
    /// The nonce if it is the first of its kind, which names path, type and plaintext.
    identity: [u8; NONCE_LEN],
    /// Where the token under that nonce stands, if it was made.
    token: Option<Range<usize>>,
}

impl Sealing<'_> {
    /// The nonce, and if `ahead` the token, of a leaf to be sealed. An alias is sealed where its
    /// anchor stands.
    fn prepare(&self, found: &Found<'_>, ahead: bool, tokens: &mut String) -> Option<Prepared> {
        if !found.holds_secret() || found.place.alias.is_some() {
            return None;
        }
        let components = found.place.components;
        let identity = self.keys.seal.value_nonce(found.kind, found.bytes, 0, components);
        let token = ahead.then(|| {
            let start = tokens.len();
            self.seal_value(found, &identity, tokens);
            start..tokens.len()
        });
        Some(Prepared { identity, token })
    }

    fn seal_value(&self, found: &Found<'_>, nonce: &[u8; NONCE_LEN], out: &mut String) {
        let aad = found.place.aad.as_bytes();
        encrypted_value::seal(&self.keys.cipher, found.kind, found.bytes, aad, nonce, out);
    }
}

struct Sealer<'a, 's, 'c, 'd> {
    doc: &'a Document,
    sealing: &'s Sealing<'s>,
    carry: Option<&'c mut Carry<'d>>,
    tally: Tally,
    many_documents: bool,
    seen: Seen,
    token: String,
    splice: Splice<'a>,
    sites: Vec<Site>,
    taken_in: Vec<NodeId>,
}

impl Sealer<'_, '_, '_, '_> {
    fn leaf(
        &mut self,
        found: &Found<'_>,
        prepared: Option<Prepared>,
        tokens: &str,
    ) -> Result<(), FileError> {
        let place = &found.place;
        let Some(prepared) = prepared else {
            self.tally.leaf(place, found.kind, found.bytes, false);
            self.keep_value(place);
            return Ok(());
        };
        let scalar = found.scalar();
        let earlier = if self.can_repeat(place) { self.seen.count(&prepared.identity) } else { 0 };
        let span = self.doc.node(place.node).span();
        let carried =
            self.carry.as_deref_mut().and_then(|carry| carry.take(&prepared.identity, span));
        let declared = carried.map_or(scalar.kind, |old| old.declared);
        self.tally.leaf(place, declared, &scalar.bytes, true);
        let token = match (&carried, prepared.token) {
            (Some(old), _) => old.token,
            (None, Some(token)) if earlier == 0 => &tokens[token],
            (None, _) => {
                let nonce = self.nonce(found, prepared.identity, earlier)?;
                self.token.clear();
                self.sealing.seal_value(found, &nonce, &mut self.token);
                &self.token
            }
        };
        if place.leaf == Leaf::Comment
            && self.sealing.policy.rule().subject() == RuleSubject::Comments
            && self.sealing.policy.rule().matches_comment(token)
        {
            return Err(FileError::CommentRule { position: position_of(self.doc, place.node) });
        }
        let site = site(self.doc, place.node, &scalar);
        let same = carried.filter(|old| {
            old.plain == site.source.of(self.doc.text())
                && old.flow == in_flow(self.doc, place.node)
        });
        if site.widened {
            // Comments between a tag and its value go where the tag goes: into the value's note.
            let is_inside = |span: Span| span.start() >= site.source.start();
            while self.sites.pop_if(|other| is_inside(other.source)).is_some() {}
            // Those without text as well, which are never sealed.
            let before = (0..place.node.index()).rev().map(NodeId::new);
            let covered = before.take_while(|&id| is_inside(self.doc.node(id).span()));
            let comments = covered.filter(|&id| self.doc.node(id).kind() == NodeKind::Comment);
            self.taken_in.extend(comments);
            self.splice.undo(site.source.start());
        }
        let doc = self.doc;
        self.splice.replace_with(site.source, |out| {
            if let Some(old) = same {
                out.push_str(old.source);
                return;
            }
            if site.widened
                && let Some(anchor) = doc.property(place.node, NodeKind::Anchor)
            {
                out.push_str(doc.source(anchor));
                out.push(' ');
            }
            doc.write_token(place.node, token, out);
        });
        self.sites.push(site);
        Ok(())
    }

    /// Whether an equal value can stand at the same path: keys stand once in a map, so only where the
    /// path leaves something out: list indices, the document, the place of a comment.
    fn can_repeat(&self, place: &Place<'_>) -> bool {
        self.many_documents
            || place.leaf == Leaf::Comment
            || place.tree_path.count != place.components.count
    }

    /// A value in the open at the end of the text, where the metadata goes.
    fn keep_value(&mut self, place: &Place<'_>) {
        if place.leaf != Leaf::Scalar || place.alias.is_some() || place.document > 0 {
            return;
        }
        let Some(spelled) = self.doc.with_more_behind(place.node) else { return };
        let start = self.doc.node(place.node).span().start();
        let source = Span::new(start, self.doc.text().len());
        self.splice.replace_with(source, |out| out.push_str(&spelled));
        self.sites.push(Site { node: place.node, sealed: false, source, widened: false });
    }

    /// The nonce of a value that `earlier` equal ones stand before.
    fn nonce(
        &self,
        found: &Found<'_>,
        identity: [u8; NONCE_LEN],
        earlier: u64,
    ) -> Result<[u8; NONCE_LEN], FileError> {
        let mut nonce = identity;
        match self.sealing.nonces {
            Nonces::Random => fill_random(&mut nonce).map_err(|_| FileError::Random)?,
            Nonces::Derived if earlier == 0 => {}
            Nonces::Derived => {
                let keys = &self.sealing.keys.seal;
                nonce = keys.value_nonce(found.kind, found.bytes, earlier, found.place.components);
            }
        }
        Ok(nonce)
    }
}

/// The bytes that the token replaces.
fn site(doc: &Document, node: NodeId, scalar: &Scalar<'_>) -> Site {
    let span = doc.node(node).span();
    let is_value = doc.node(node).kind() == NodeKind::Scalar;
    let tag = doc.property(node, NodeKind::Tag).filter(|_| is_value).filter(|&tag| {
        let tag = doc.source(tag);
        // A token is a string: a tag that makes it anything else cannot stay.
        tag != "!" && (scalar.kind != ScalarType::Str || tag.ends_with("binary"))
    });
    let Some(tag) = tag else {
        return Site { node, sealed: true, source: span, widened: false };
    };
    let start = doc.property(node, NodeKind::Anchor).map_or(tag, |anchor| anchor.min(tag));
    let start = doc.node(start).span().start();
    Site { node, sealed: true, source: Span::new(start, span.end()), widened: true }
}

/// The value of a scalar, or of a key that an alias names, or of a comment.
pub(crate) fn scalar_at(doc: &Document, id: NodeId) -> Result<Scalar<'_>, FileError> {
    if doc.node(id).kind() == NodeKind::Key {
        return Ok(Scalar::str(doc.key_text(id)));
    }
    Ok(doc.scalar(id)?)
}

/// The value that is sealed at a place: its own, but for a comment without text in a YAML list. Sops
/// leaves a bare `#` as it is and then reads it as an item of the list, an empty text; so that is
/// sealed as [`EMPTY_COMMENT`], with a note.
pub(crate) fn value_to_seal(doc: &Document, id: NodeId) -> Result<Scalar<'_>, FileError> {
    let scalar = scalar_at(doc, id)?;
    let in_list = || doc.node(doc.node(id).parent()).kind() == NodeKind::List;
    if scalar.kind == ScalarType::Comment
        && scalar.bytes.is_empty()
        && doc.format() == Format::Yaml
        && in_list()
    {
        return Ok(Scalar::new(ScalarType::Comment, EMPTY_COMMENT.as_bytes()));
    }
    Ok(scalar)
}

/// What a comment without text is sealed as.
pub(crate) const EMPTY_COMMENT: &str = " ";

/// Whether a value stands between brackets.
pub(crate) fn in_flow(doc: &Document, id: NodeId) -> bool {
    let mut at = doc.node(id).parent();
    if doc.node(at).kind() == NodeKind::Key {
        at = doc.node(at).parent();
    }
    doc.node(at).style() == crate::document::Style::Flow
}

/// How often each path, type and plaintext, named by its nonce of n = 0, was sealed.
#[derive(Default)]
pub(crate) struct Seen(HashMap<[u8; NONCE_LEN], u64>);

impl Seen {
    /// How often it was there before; counts it.
    pub(crate) fn count(&mut self, identity: &[u8; NONCE_LEN]) -> u64 {
        let count = self.0.entry(*identity).or_insert(0);
        *count += 1;
        *count - 1
    }
}

/// About what a token has beside its plaintext.
const TOKEN_FRAME: usize = 125;

/// Room for the metadata of a few recipients.
const METADATA_LEN: usize = 4096;

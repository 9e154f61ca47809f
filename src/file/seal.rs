//! From a plaintext document to the tokens that take the place of its values.

use std::collections::HashMap;

use super::carry::Carry;
use super::error::{FileError, position_of};
use super::tally::Tally;
use super::walk::{Leaf, Place, walk};
use crate::crypto::cipher::Cipher;
use crate::crypto::encrypted_value;
use crate::crypto::mac::MacText;
use crate::crypto::seal::{SealKeys, SealTag};
use crate::document::{Document, NodeId, NodeKind};
use crate::policy::{Policy, RuleSubject};
use crate::secret::DataKey;
use crate::text::{Edits, Span};
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

/// The sealed leaves of a document and its two hashes.
pub(crate) struct Body {
    pub(crate) edits: Edits,
    pub(crate) sites: Vec<Site>,
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
pub(crate) fn seal(
    doc: &Document,
    sealing: &Sealing<'_>,
    carry: Option<&mut Carry<'_>>,
) -> Result<Body, FileError> {
    let mut sealer = Sealer {
        doc,
        sealing,
        carry,
        tally: Tally::new(&sealing.keys.seal, sealing.policy, sealing.lastmodified),
        seen: HashMap::new(),
        token: String::new(),
        edits: Edits::new(),
        sites: Vec::new(),
    };
    let documents = walk(doc, sealing.policy, None, |place| sealer.leaf(place))?;
    let (mac, tree) = sealer.tally.finish(documents);
    Ok(Body { edits: sealer.edits, sites: sealer.sites, mac, tree })
}

struct Sealer<'a, 'c, 'd> {
    doc: &'a Document,
    sealing: &'a Sealing<'a>,
    carry: Option<&'c mut Carry<'d>>,
    tally: Tally,
    /// How often each (path, type, plaintext), named by its nonce of n = 0, was sealed.
    seen: HashMap<[u8; 32], u64>,
    token: String,
    edits: Edits,
    sites: Vec<Site>,
}

impl Sealer<'_, '_, '_> {
    fn leaf(&mut self, place: &Place<'_>) -> Result<(), FileError> {
        let scalar = match place.leaf {
            Leaf::Scalar | Leaf::Comment => scalar_at(self.doc, place.node)?,
            Leaf::EmptyMap | Leaf::EmptyList => Scalar::null(),
        };
        // SOPS leaves nulls and empty strings as they are.
        let sealed = place.selected
            && place.alias.is_none()
            && scalar.kind != ScalarType::Null
            && !scalar.bytes.is_empty();
        if !sealed {
            self.tally.leaf(place, scalar.kind, &scalar.bytes, false);
            self.keep_value(place);
            return Ok(());
        }
        let mut identity =
            self.sealing.keys.seal.value_nonce(scalar.kind, &scalar.bytes, 0, place.components);
        let before = self.seen.entry(identity).or_insert(0);
        let earlier = *before;
        *before += 1;
        let span = self.doc.node(place.node).span();
        let carried =
            self.carry.as_deref_mut().and_then(|carry| carry.take(&identity, &scalar, span));
        let declared = carried.map_or(scalar.kind, |old| old.declared);
        self.tally.leaf(place, declared, &scalar.bytes, true);
        self.token.clear();
        if let Some(old) = &carried {
            self.token.push_str(old.token);
        } else {
            if self.sealing.nonces == Nonces::Random {
                getrandom::fill(&mut identity).map_err(|_| FileError::Random)?;
            } else if earlier > 0 {
                identity = self.sealing.keys.seal.value_nonce(
                    scalar.kind,
                    &scalar.bytes,
                    earlier,
                    place.components,
                );
            }
            encrypted_value::seal(
                &self.sealing.keys.cipher,
                scalar.kind,
                &scalar.bytes,
                place.aad.as_bytes(),
                &identity,
                &mut self.token,
            );
        }
        if place.leaf == Leaf::Comment
            && self.sealing.policy.rule().subject() == RuleSubject::Comments
            && self.sealing.policy.rule().matches_comment(&self.token)
        {
            return Err(FileError::CommentRule { position: position_of(self.doc, place.node) });
        }
        let site = self.site(place.node, &scalar);
        let same = carried.filter(|old| {
            old.plain == site.source.of(self.doc.text())
                && old.flow == in_flow(self.doc, place.node)
        });
        let (doc, token) = (self.doc, &self.token);
        self.edits.push_with(site.source, |out| {
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

    /// A value in the open at the end of the text, where the metadata goes.
    fn keep_value(&mut self, place: &Place<'_>) {
        if place.leaf != Leaf::Scalar || place.alias.is_some() || place.document > 0 {
            return;
        }
        let Some(spelled) = self.doc.with_more_behind(place.node) else { return };
        let start = self.doc.node(place.node).span().start();
        let source = Span::new(start, self.doc.text().len());
        self.edits.push(source, &spelled);
        self.sites.push(Site { node: place.node, sealed: false, source, widened: false });
    }

    /// The bytes that the token replaces.
    fn site(&self, node: NodeId, scalar: &Scalar<'_>) -> Site {
        let span = self.doc.node(node).span();
        let is_value = self.doc.node(node).kind() == NodeKind::Scalar;
        let tag = self.doc.property(node, NodeKind::Tag).filter(|_| is_value).filter(|&tag| {
            let tag = self.doc.source(tag);
            // A token is a string: a tag that makes it anything else cannot stay.
            tag != "!" && (scalar.kind != ScalarType::Str || tag.ends_with("binary"))
        });
        let Some(tag) = tag else {
            return Site { node, sealed: true, source: span, widened: false };
        };
        let start = self.doc.property(node, NodeKind::Anchor).map_or(tag, |anchor| anchor.min(tag));
        let start = self.doc.node(start).span().start();
        Site { node, sealed: true, source: Span::new(start, span.end()), widened: true }
    }
}

/// The value of a scalar, or of a key that an alias names, or of a comment.
pub(crate) fn scalar_at(doc: &Document, id: NodeId) -> Result<Scalar<'_>, FileError> {
    if doc.node(id).kind() == NodeKind::Key {
        return Ok(Scalar::str(doc.key_text(id)));
    }
    Ok(doc.scalar(id)?)
}

/// Whether a value stands between brackets.
pub(crate) fn in_flow(doc: &Document, id: NodeId) -> bool {
    let mut at = doc.node(id).parent();
    if doc.node(at).kind() == NodeKind::Key {
        at = doc.node(at).parent();
    }
    doc.node(at).style() == crate::document::Style::Flow
}

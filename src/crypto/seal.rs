//! What the nonces hold: derived value nonces, and the four tags in the nonce of the MAC.
//!
//! `docs/format.md` publishes the encodings. Two rules hold throughout: integers are u64 big-endian,
//! and `str(x)` is the length of x and x, so that no two inputs encode alike.
//!
//! Invariants: every sub-key serves one purpose; tags are compared in constant time and never shown;
//! a tag of eight zero bytes vouches for nothing, whatever is compared with it.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cipher::{Cipher, NONCE_LEN};
use super::path::{EncodedPath, push_str};
use crate::secret::DataKey;
use crate::value::{Scalar, ScalarType, Tree};

/// The sub-keys of one data key, with the first HMAC block of each computed.
pub struct SealKeys {
    value_nonce: Hmac<Sha256>,
    text: Hmac<Sha256>,
    tree: Hmac<Sha256>,
    recipients: Hmac<Sha256>,
    mark: Hmac<Sha256>,
    pub(super) notes_nonce: Hmac<Sha256>,
    pub(super) notes_cipher: Cipher,
}

impl SealKeys {
    /// The sub-keys of this data key.
    #[must_use]
    pub fn new(key: &DataKey) -> Self {
        let master = Hkdf::<Sha256>::new(None, key.expose_secret());
        let sub_key = |label: &str| {
            let mut sub_key = Zeroizing::new([0; 32]);
            master
                .expand_multi_info(&[b"waxseal v1 ", label.as_bytes()], &mut *sub_key)
                .expect("32 bytes are one block of HKDF-SHA256");
            sub_key
        };
        let hmac = |label: &str| {
            Hmac::new_from_slice(&*sub_key(label)).expect("HMAC takes keys of any length")
        };
        Self {
            value_nonce: hmac("value-nonce"),
            text: hmac("text"),
            tree: hmac("tree"),
            recipients: hmac("recipients"),
            mark: hmac("mark"),
            notes_nonce: hmac("notes-nonce"),
            notes_cipher: Cipher::from_bytes(&sub_key("notes-key")),
        }
    }

    /// The nonce of a value: equal for equal values at one path, but for the count of those before.
    ///
    /// `earlier` is the number of earlier sealed leaves of equal path, type and plaintext in the
    /// whole file, comments and expanded aliases too. The path of a comment is that of its container.
    #[must_use]
    pub fn value_nonce(
        &self,
        kind: ScalarType,
        plaintext: &[u8],
        earlier: u64,
        path: EncodedPath<'_>,
    ) -> [u8; NONCE_LEN] {
        let mut hash = self.value_nonce.clone();
        feed_str(&mut hash, kind.name().as_bytes());
        feed_str(&mut hash, plaintext);
        let mut counts = [0; 16];
        counts[..8].copy_from_slice(&earlier.to_be_bytes());
        counts[8..].copy_from_slice(&path.count.to_be_bytes());
        hash.update(&counts);
        hash.update(path.steps);
        hash.finalize().into_bytes().into()
    }

    /// R: the tag of the recipients. `view` is the `sops` block without what others may change
    /// (`Metadata::recipients_view`).
    #[must_use]
    pub fn recipients_tag(&self, view: &Tree) -> SealTag {
        let mut bytes = Vec::new();
        encode_tree(view, &mut bytes);
        let mut hash = self.recipients.clone();
        hash.update(&bytes);
        SealTag::of(hash)
    }

    /// M: the tag over the other three, `lastmodified` (as in the AAD) and the MAC.
    #[must_use]
    pub fn mark(&self, tags: &Tags, lastmodified: &str, mac: &[u8]) -> SealTag {
        let mut hash = self.mark.clone();
        for tag in [tags.text, tags.tree, tags.recipients] {
            hash.update(&tag.0);
        }
        feed_str(&mut hash, lastmodified.as_bytes());
        feed_str(&mut hash, mac);
        SealTag::of(hash)
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys")
    }
}

/// Eight bytes that only a holder of the data key can make.
#[derive(Clone, Copy)]
pub struct SealTag([u8; TAG_LEN]);

impl SealTag {
    /// Nobody vouches.
    pub const NONE: Self = Self([0; TAG_LEN]);

    fn of(hash: Hmac<Sha256>) -> Self {
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&hash.finalize().into_bytes()[..TAG_LEN]);
        Self(tag)
    }

    /// Whether nobody vouches.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0.ct_eq(&[0; TAG_LEN]).into()
    }

    /// Whether this stored tag vouches for what `computed` was made of: equal, and not
    /// [`SealTag::NONE`].
    #[must_use]
    pub fn vouches_for(self, computed: Self) -> bool {
        (self.0.ct_eq(&computed.0) & !self.0.ct_eq(&[0; TAG_LEN])).into()
    }
}

impl fmt::Debug for SealTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealTag")
    }
}

/// S, T and R.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    /// S: the text that `decrypt` prints.
    pub text: SealTag,
    /// T: keys, values, types and structure.
    pub tree: SealTag,
    /// R: who can decrypt.
    pub recipients: SealTag,
}

/// The nonce of the MAC: S ‖ T ‖ R ‖ M.
#[derive(Clone, Copy, Debug)]
pub struct MacNonce {
    /// S, T and R.
    pub tags: Tags,
    mark: SealTag,
}

impl MacNonce {
    /// A nonce that seals these tags.
    #[must_use]
    pub fn seal(keys: &SealKeys, tags: Tags, lastmodified: &str, mac: &[u8]) -> Self {
        Self { tags, mark: keys.mark(&tags, lastmodified, mac) }
    }

    /// Takes the nonce of a stored MAC apart. `None` if it has another length: it is not ours.
    #[must_use]
    pub fn from_bytes(nonce: &[u8]) -> Option<Self> {
        let nonce: &[u8; NONCE_LEN] = nonce.try_into().ok()?;
        let tag = |at: usize| SealTag(std::array::from_fn(|byte| nonce[at * TAG_LEN + byte]));
        let tags = Tags { text: tag(0), tree: tag(1), recipients: tag(2) };
        Some(Self { tags, mark: tag(3) })
    }

    /// Whether a holder of the data key sealed these tags with this MAC; else the nonce says nothing.
    #[must_use]
    pub fn is_marked(&self, keys: &SealKeys, lastmodified: &str, mac: &[u8]) -> bool {
        self.mark.vouches_for(keys.mark(&self.tags, lastmodified, mac))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; NONCE_LEN] {
        let Tags { text, tree, recipients } = self.tags;
        let mut nonce = [0; NONCE_LEN];
        for (part, tag) in nonce.chunks_exact_mut(TAG_LEN).zip([text, tree, recipients, self.mark])
        {
            part.copy_from_slice(&tag.0);
        }
        nonce
    }
}

/// How the text tag counts a CRLF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineBreaks {
    /// As an LF: git may turn one into the other.
    AsLf,
    /// As it is: binary files.
    Verbatim,
}

/// S in the making: fed with what `decrypt` prints, in as many pieces as one likes.
pub struct TextTag {
    hash: Hmac<Sha256>,
    line_breaks: LineBreaks,
    /// A CR ended the last piece, and what follows it decides.
    pending_cr: bool,
}

impl TextTag {
    /// The tag of an empty text. `lastmodified` is rendered as in the AAD.
    #[must_use]
    pub fn begin(keys: &SealKeys, lastmodified: &str, line_breaks: LineBreaks) -> Self {
        let mut hash = keys.text.clone();
        feed_str(&mut hash, lastmodified.as_bytes());
        Self { hash, line_breaks, pending_cr: false }
    }

    /// Appends a piece of the text.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.line_breaks == LineBreaks::Verbatim {
            self.hash.update(piece);
            return;
        }
        let Some(&first) = piece.first() else { return };
        if std::mem::take(&mut self.pending_cr) && first != b'\n' {
            self.hash.update(b"\r");
        }
        let mut done = 0;
        for at in memchr::memchr_iter(b'\r', piece) {
            match piece.get(at + 1) {
                Some(b'\n') | None => {
                    self.hash.update(&piece[done..at]);
                    done = at + 1;
                    self.pending_cr = done == piece.len();
                }
                Some(_) => {}
            }
        }
        self.hash.update(&piece[done..]);
    }

    /// The tag of what was fed.
    #[must_use]
    pub fn finish(mut self) -> SealTag {
        if self.pending_cr {
            self.hash.update(b"\r");
        }
        SealTag::of(self.hash)
    }
}

impl fmt::Debug for TextTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextTag")
    }
}

/// What the tree tag counts at one place.
#[derive(Clone, Copy)]
pub enum TreeValue<'a> {
    /// A token, or a value about to become one: its declared type and its plaintext.
    Token(ScalarType, &'a [u8]),
    /// A value that stands in the open, an empty text under the rule included: its type and its
    /// canonical bytes. Integers and floats count alike, since sops writes `1` for `1.0`.
    Plain(ScalarType, &'a [u8]),
    /// A null. A null document counts as an empty map.
    Null,
    /// A map without entries.
    EmptyMap,
    /// A list without items.
    EmptyList,
}

impl<'a> TreeValue<'a> {
    /// A value that stands in the open.
    #[must_use]
    pub fn plain(value: &'a Scalar<'_>) -> Self {
        match value.kind {
            ScalarType::Null => Self::Null,
            kind => Self::Plain(kind, &value.bytes),
        }
    }

    fn parts(self) -> (&'static str, &'a [u8]) {
        match self {
            Self::Token(kind, plaintext) => (kind.name(), plaintext),
            Self::Plain(kind, bytes) => (kind.tree_name(), bytes),
            Self::Null => ("null", b""),
            Self::EmptyMap => ("map", b""),
            Self::EmptyList => ("list", b""),
        }
    }
}

impl fmt::Debug for TreeValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeValue({})", self.parts().0)
    }
}

/// T in the making: fed with every leaf, null and empty container in the order of the text, aliases
/// expanded, comment lines and the metadata left out.
pub struct TreeTag {
    hash: Hmac<Sha256>,
    mac_only_encrypted: bool,
}

impl TreeTag {
    /// The tag of no records. `rule` is the field and the text of the effective rule,
    /// `lastmodified` rendered as in the AAD.
    #[must_use]
    pub fn begin(
        keys: &SealKeys,
        rule: (&str, &str),
        mac_only_encrypted: bool,
        lastmodified: &str,
    ) -> Self {
        let mut hash = keys.tree.clone();
        feed_str(&mut hash, rule.0.as_bytes());
        feed_str(&mut hash, rule.1.as_bytes());
        hash.update(&[u8::from(mac_only_encrypted)]);
        feed_str(&mut hash, lastmodified.as_bytes());
        Self { hash, mac_only_encrypted }
    }

    /// Appends a record. `document` counts from 0; `selected`: the rule seals this place. Under
    /// `mac_only_encrypted` what is not selected is left out here.
    pub fn record(
        &mut self,
        document: u64,
        path: EncodedPath<'_>,
        selected: bool,
        value: TreeValue<'_>,
    ) {
        if self.mac_only_encrypted && !selected {
            return;
        }
        let mut head = [0; 17];
        head[0] = 1;
        head[1..9].copy_from_slice(&document.to_be_bytes());
        head[9..].copy_from_slice(&path.count.to_be_bytes());
        self.hash.update(&head);
        self.hash.update(path.steps);
        self.hash.update(&[u8::from(selected)]);
        let (kind, value) = value.parts();
        feed_str(&mut self.hash, kind.as_bytes());
        feed_str(&mut self.hash, value);
    }

    /// The tag of all records and the number of documents.
    #[must_use]
    pub fn finish(mut self, documents: u64) -> SealTag {
        self.hash.update(&[0]);
        let documents = if self.mac_only_encrypted { 0 } else { documents };
        feed_u64(&mut self.hash, documents);
        SealTag::of(self.hash)
    }
}

impl fmt::Debug for TreeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TreeTag")
    }
}

/// `enc` of a tree: nulls and empty containers are dropped from maps, bottom up, never from lists;
/// scalars count as text; maps are sorted by key.
fn encode_tree(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Map(entries) => {
            let mut kept: Vec<_> = entries.iter().filter(|(_, value)| !vanishes(value)).collect();
            kept.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
            out.push(1);
            out.extend((kept.len() as u64).to_be_bytes());
            for (key, value) in kept {
                push_str(out, key.as_bytes());
                encode_tree(value, out);
            }
        }
        Tree::List(items) => {
            out.push(2);
            out.extend((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| encode_tree(item, out));
        }
        Tree::Scalar(scalar) => {
            out.push(3);
            push_str(out, &scalar.bytes);
        }
    }
}

/// Whether a map drops this value.
fn vanishes(tree: &Tree) -> bool {
    match tree {
        Tree::Map(entries) => entries.iter().all(|(_, value)| vanishes(value)),
        Tree::List(items) => items.is_empty(),
        Tree::Scalar(scalar) => scalar.kind == ScalarType::Null,
    }
}

pub(super) fn feed_str(hash: &mut Hmac<Sha256>, bytes: &[u8]) {
    feed_u64(hash, bytes.len() as u64);
    hash.update(bytes);
}

fn feed_u64(hash: &mut Hmac<Sha256>, number: u64) {
    hash.update(&number.to_be_bytes());
}

/// Length of a tag.
const TAG_LEN: usize = 8;

#[cfg(test)]
mod tests;

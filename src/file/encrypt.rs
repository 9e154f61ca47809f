//! Plaintext in, encrypted file out.

use super::alias;
use super::beside::both;
use super::carry::Carry;
use super::encrypted::{EncryptedFile, METADATA_KEY, check_keys, check_shape};
use super::error::{FileError, position_of};
use super::metadata_text;
use super::open::{Verify, open, text_tag};
use super::seal::{FileKeys, Nonces, Sealing, seal};
use super::sealed_check;
use super::stream::WORTH_THREADS;
use crate::crypto::encrypted_value;
use crate::crypto::notes::{self, SpellingNote};
use crate::crypto::seal::{MacNonce, SealTag, Tags};
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::keys::KeyGroup;
use crate::metadata::Metadata;
use crate::policy::Policy;
use crate::secret::DataKey;
use crate::text::{Edits, Overlap, Span};
use crate::timestamp::Timestamp;
use crate::value::{ScalarType, Tree};

/// How a new file is to be encrypted.
#[derive(Debug)]
pub struct EncryptOptions<'a> {
    /// What is sealed.
    pub policy: &'a Policy,
    /// The key groups, each key with the data key wrapped for it.
    pub groups: Vec<KeyGroup>,
    /// As in SOPS' `shamir_threshold`; 0: none.
    pub shamir_threshold: usize,
    /// Where nonces come from.
    pub nonces: Nonces,
    /// Whether the file vouches for the groups: not if they were read from a file that does not.
    pub vouch_for_recipients: bool,
    /// Now. What is written as `lastmodified` is one second earlier (`docs/format.md`).
    pub now: Timestamp,
}

/// Encrypts a plaintext: the file vouches for its text, and for its recipients if the caller does.
///
/// # Errors
///
/// If the text is not valid or cannot be sealed; nothing is returned that was not read back and
/// compared.
pub fn encrypt(
    text: String,
    format: Format,
    data_key: &DataKey,
    options: &EncryptOptions<'_>,
) -> Result<String, FileError> {
    let mut doc = Document::parse(text, format)?;
    check_shape(&doc)?;
    Place::End.announce(&mut doc)?;
    let keys = FileKeys::new(data_key);
    let metadata = Metadata::new(
        options.policy.clone(),
        options.groups.clone(),
        options.shamir_threshold,
        sealing_time(options.now),
    );
    let recipients = match options.vouch_for_recipients {
        true => Recipients::Vouched,
        false => Recipients::Tag(SealTag::NONE),
    };
    let draft = Draft {
        metadata,
        keys: &keys,
        nonces: options.nonces,
        vouch: Vouching { text: true, recipients },
    };
    // The other work needs no answer.
    let large = doc.nodes().len() >= WORTH_THREADS;
    let (checked, sealed) =
        both(large, || check_keys(&doc), || draft.write(&doc, None, &Place::End));
    checked.and(sealed)
}

/// The time that is written: real sops keeps a `mac` nonce if time and MAC are the old ones, so its
/// `set` in the same second would look like tampering if we wrote the present second.
pub(crate) fn sealing_time(now: Timestamp) -> Timestamp {
    Timestamp::from_unix(now.unix() - 1).unwrap_or(now)
}

/// What the writer vouches for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vouching {
    pub(crate) text: bool,
    pub(crate) recipients: Recipients,
}

/// What the tag of the recipients becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipients {
    /// Computed: they are known to be right.
    Vouched,
    /// This one: what stood there before, good, bad or none.
    Tag(SealTag),
}

/// Where the metadata goes.
pub(crate) enum Place<'a> {
    /// At the end of the first document.
    End,
    /// This text, at this offset of the plaintext: the block as it stood in the version before.
    Kept {
        /// Offset in the plaintext.
        offset: usize,
        /// The block.
        text: &'a str,
    },
}

impl Place<'_> {
    /// Tells a document with comments what will stand between them: it counts for their owners.
    pub(crate) fn announce(&self, doc: &mut Document) -> Result<(), FileError> {
        if !has_comments(doc) {
            return Ok(());
        }
        let offset = match self {
            Self::Kept { offset, .. } => *offset,
            Self::End => insertion(doc, &Tree::Map(Vec::new()))?.get(0).0.start(),
        };
        doc.announce_entry(offset);
        Ok(())
    }
}

/// Whether there are comments whose owner depends on what stands around them.
fn has_comments(doc: &Document) -> bool {
    let is_comment = |id: NodeId| doc.node(id).kind() == NodeKind::Comment;
    doc.format() == Format::Yaml && doc.ids().any(is_comment)
}

/// A plaintext about to be sealed.
pub(crate) struct Draft<'a> {
    /// All but `mac` and the spelling notes.
    pub(crate) metadata: Metadata,
    pub(crate) keys: &'a FileKeys,
    pub(crate) nonces: Nonces,
    pub(crate) vouch: Vouching,
}

impl Draft<'_> {
    /// Seals, writes and checks.
    pub(crate) fn write(
        &self,
        doc: &Document,
        carry: Option<&mut Carry<'_>>,
        place: &Place<'_>,
    ) -> Result<String, FileError> {
        let expanded = alias::expand(doc, self.metadata.policy())?;
        let doc = expanded.doc();
        let owner_text = expanded.owner_text();
        let lastmodified = self.metadata.lastmodified().seconds();
        let sealing = Sealing {
            policy: self.metadata.policy(),
            keys: self.keys,
            lastmodified: &lastmodified,
            nonces: self.nonces,
        };
        let vouch_for_text = || match self.vouch.text {
            true => text_tag(self.keys, self.metadata.policy(), &lastmodified, owner_text),
            false => SealTag::NONE,
        };
        let large = doc.nodes().len() >= WORTH_THREADS;
        let (text, body) = both(large, vouch_for_text, || seal(doc, &sealing, carry));
        let body = body?;
        let tags = Tags {
            text,
            tree: body.tree,
            recipients: match self.vouch.recipients {
                Recipients::Vouched => {
                    self.keys.seal.recipients_tag(&self.metadata.recipients_view())
                }
                Recipients::Tag(tag) => tag,
            },
        };
        let mac = seal_mac(self.keys, tags, &lastmodified, body.mac.as_str());
        let metadata = self.metadata.with_mac(&mac).with_spelling(None);
        let tree = match place {
            Place::End => metadata.to_tree(),
            Place::Kept { .. } => metadata.to_tree_in_place(),
        };
        let metadata_edits = match place {
            Place::Kept { offset, text } => {
                let mut insertion = Edits::new();
                insertion.push(Span::at(expanded.moved(*offset)), text);
                insertion
            }
            Place::End => insertion(doc, &tree)?,
        };
        let text = body
            .splice
            .finish(&metadata_edits)
            .map_err(|Overlap| FileError::Check { position: position_of(doc, NodeId::FIRST) })?;
        let mut sealed = EncryptedFile::parse(text, doc.format())?;
        if matches!(place, Place::Kept { .. }) {
            sealed = metadata_text::update(sealed, &tree)?;
        }
        let mut notes =
            sealed_check::check(doc, &sealed.doc, &sealed.skip, &sealed.entries, &body.sites)?;
        expanded.add_notes(&sealed, &body.taken_in, &mut notes);
        let text = self.finish(sealed, &metadata, &notes)?;
        if expanded.any() || has_comments(doc) {
            self.check_restored(&text, doc.format(), owner_text)?;
        }
        Ok(text)
    }

    /// Adds the notes, if there are some, and looks at the metadata once more.
    fn finish(
        &self,
        sealed: EncryptedFile,
        metadata: &Metadata,
        notes: &[SpellingNote],
    ) -> Result<String, FileError> {
        let mut sealed = sealed;
        let mut tree = metadata.to_tree_in_place();
        if !notes.is_empty() {
            let text = notes::seal_spelling(&self.keys.seal, notes);
            tree = metadata.with_spelling(Some(&text)).to_tree_in_place();
            sealed = metadata_text::update(sealed, &tree)?;
        }
        if !metadata_text::same(&sealed.doc.tree(sealed.block)?, &tree) {
            return Err(FileError::Check { position: position_of(&sealed.doc, sealed.block) });
        }
        Ok(sealed.doc.into_text())
    }

    /// Aliases came back through notes, and comments belong to whatever stands around them: the whole
    /// way there and back is walked.
    fn check_restored(&self, text: &str, format: Format, owner: &str) -> Result<(), FileError> {
        let file = EncryptedFile::parse(text.to_owned(), format)?;
        let opened = open(&file, self.keys, Verify::Yes)?;
        if opened.plain.text() == owner {
            return Ok(());
        }
        Err(FileError::Check { position: position_of(&file.doc, file.block) })
    }
}

/// The `mac` token, with the tags in its nonce.
pub(crate) fn seal_mac(keys: &FileKeys, tags: Tags, lastmodified: &str, mac: &str) -> String {
    let nonce = MacNonce::seal(&keys.seal, tags, lastmodified, mac.as_bytes());
    let mut token = String::new();
    encrypted_value::seal(
        &keys.cipher,
        ScalarType::Str,
        mac.as_bytes(),
        lastmodified.as_bytes(),
        &nonce.to_bytes(),
        &mut token,
    );
    token
}

/// The edits that add the metadata at the end of the first document.
fn insertion(doc: &Document, metadata: &Tree) -> Result<Edits, FileError> {
    let document = NodeId::FIRST;
    let Some(root) = doc.value_of(document) else {
        return Ok(doc.insert(document, Some(METADATA_KEY), metadata)?);
    };
    if doc.node(root).kind() == NodeKind::List {
        let item = Tree::Map(vec![(METADATA_KEY.to_owned(), metadata.clone())]);
        return Ok(doc.insert(root, None, &item)?);
    }
    Ok(doc.insert(root, Some(METADATA_KEY), metadata)?)
}

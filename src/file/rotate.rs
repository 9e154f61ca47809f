//! A new data key under every value, in place; and new recipients around the same data key.

use super::decrypt::DecryptedFile;
use super::encrypt::{Draft, Place, Recipients, Vouching, seal_mac, sealing_time};
use super::encrypted::{EncryptedFile, check_keys};
use super::error::{FileError, position_of};
use super::metadata_text;
use super::open::{Verify, by_node, open, text_tag};
use super::outcome::Vouch;
use super::removal;
use super::seal::{FileKeys, Nonces, Seen, scalar_at};
use super::tally::Tally;
use super::walk::{Leaf, walk};
use crate::crypto::encrypted_value;
use crate::crypto::mac::MacText;
use crate::crypto::notes;
use crate::crypto::seal::{SealTag, Tags};
use crate::document::Document;
use crate::keys::KeyGroup;
use crate::metadata::Metadata;
use crate::secret::{DataKey, fill_random};
use crate::text::Edits;
use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType};

/// The new key and who may open it.
#[derive(Debug)]
pub struct RotateOptions {
    /// The groups, each key with the new data key wrapped for it.
    pub groups: Vec<KeyGroup>,
    /// Whether the recipients are known to be right: the seal says so, the creation rule names just
    /// these, or the user accepted them.
    pub recipients_are_known: bool,
    /// The caller has reviewed the text (`reseal`).
    pub text_is_reviewed: bool,
    /// Where nonces come from.
    pub nonces: Nonces,
    /// Now.
    pub now: Timestamp,
}

impl DecryptedFile {
    /// Seals every value anew under another data key. The layout stays as it is.
    ///
    /// # Errors
    ///
    /// If the result does not read back.
    pub fn rotate(&self, data_key: &DataKey, options: &RotateOptions) -> Result<String, FileError> {
        // What a key that stands twice holds is not sealed by the tag of the tree.
        check_keys(&self.file.doc)?;
        let keys = FileKeys::new(data_key);
        let metadata = self
            .file
            .metadata
            .with_lastmodified(sealing_time(options.now))
            .with_groups(options.groups.clone(), self.file.metadata.shamir_threshold());
        if self.opened.list_comments || self.file.entries.len() > 1 {
            return self.rewrite(metadata, &keys, options);
        }
        let lastmodified = metadata.lastmodified().seconds();
        let (edits, mac, tree) = self.reseal_tokens(&keys, &lastmodified, options.nonces)?;
        let text_known = options.text_is_reviewed || self.outcome().text_is_good();
        let tags = Tags {
            text: if text_known {
                text_tag(&keys, metadata.policy(), &lastmodified, self.opened.plain.text())
            } else {
                SealTag::NONE
            },
            tree,
            recipients: if options.recipients_are_known {
                keys.seal.recipients_tag(&metadata.recipients_view())
            } else {
                SealTag::NONE
            },
        };
        let mac = seal_mac(&keys, tags, &lastmodified, mac.as_str());
        let mut metadata = metadata.with_mac(&mac).with_spelling(None);
        if !self.opened.notes.list.is_empty() {
            let list = notes::seal_spelling(&keys.seal, &self.opened.notes.list);
            metadata = metadata.with_spelling(Some(&list));
        }
        let format = self.file.written_format();
        let edits = edits.merge(&removal::of_stray(&self.file));
        let rotated = EncryptedFile::parse(edits.apply(self.file.text()), format)?;
        let rotated = metadata_text::update(rotated, &metadata.to_tree_in_place())?;
        let text = rotated.text().to_owned();
        // The strongest check there is: open it.
        let reopened = rotated.decrypt(data_key)?;
        if reopened.document().text() != self.opened.plain.text() {
            return Err(FileError::Check {
                position: position_of(&self.file.doc, self.file.block),
            });
        }
        Ok(text)
    }

    /// A file by sops with comments as list items, which become comment lines, so that the items behind
    /// them get other indices; or with its metadata in later documents, which goes, so that the comments
    /// before it can belong elsewhere. The file is sealed anew from its plaintext.
    fn rewrite(
        &self,
        metadata: Metadata,
        keys: &FileKeys,
        options: &RotateOptions,
    ) -> Result<String, FileError> {
        let recipients = if options.recipients_are_known {
            Recipients::Vouched
        } else {
            Recipients::Tag(SealTag::NONE)
        };
        let text = options.text_is_reviewed || self.outcome().text_is_good();
        let vouch = Vouching { text, recipients };
        let draft = Draft { metadata, keys, nonces: options.nonces, vouch };
        let plain = self.opened.plain.text().to_owned();
        let mut doc = Document::parse(plain, self.file.format())?;
        Place::End.announce(&mut doc)?;
        draft.write(&doc, None, &Place::End)
    }

    fn reseal_tokens(
        &self,
        keys: &FileKeys,
        lastmodified: &str,
        nonces: Nonces,
    ) -> Result<(Edits, MacText, SealTag), FileError> {
        let doc = &self.file.doc;
        let values = &self.opened.values;
        let opened = by_node(values);
        let policy = self.file.metadata.policy();
        let mut tally = Tally::new(&keys.seal, policy, lastmodified);
        let mut seen = Seen::default();
        let mut edits = Edits::new();
        let mut token = String::new();
        let documents = walk(doc, policy, Some(&self.file.skip), |place| {
            let value = opened.get(&place.node).map(|&index| &values.opened[index]);
            let Some(value) = value else {
                let scalar = match place.leaf {
                    Leaf::Scalar | Leaf::Comment => scalar_at(doc, place.node)?,
                    Leaf::EmptyMap | Leaf::EmptyList => Scalar::null(),
                };
                tally.leaf(place, scalar.kind, &scalar.bytes, false);
                return Ok(());
            };
            let mut scalar = values.scalar(value);
            if scalar.kind == ScalarType::Bytes {
                // Read from old files, never written.
                scalar.kind = ScalarType::Str;
            }
            tally.leaf(place, scalar.kind, &scalar.bytes, true);
            if place.alias.is_some() {
                return Ok(());
            }
            let mut nonce = keys.seal.value_nonce(scalar.kind, &scalar.bytes, 0, place.components);
            let earlier = seen.count(&nonce);
            if earlier > 0 {
                nonce =
                    keys.seal.value_nonce(scalar.kind, &scalar.bytes, earlier, place.components);
            }
            if nonces == Nonces::Random {
                fill_random(&mut nonce).map_err(|_| FileError::Random)?;
            }
            token.clear();
            let aad = place.aad.as_bytes();
            encrypted_value::seal(
                &keys.cipher,
                scalar.kind,
                &scalar.bytes,
                aad,
                &nonce,
                &mut token,
            );
            edits.push_with(doc.node(place.node).span(), |out| {
                doc.write_token(place.node, &token, out);
            });
            Ok(())
        })?;
        let (mac, tree) = tally.finish(documents);
        Ok((edits, mac, tree))
    }

    /// The same data key, wrapped for other recipients, whom the caller knows to be right. Values, `mac`
    /// text and `lastmodified` stay; of the seal only the recipients' tag and the mark change.
    ///
    /// # Errors
    ///
    /// If the result does not read back.
    pub fn with_recipients(
        &self,
        groups: Vec<KeyGroup>,
        shamir_threshold: usize,
    ) -> Result<String, FileError> {
        let mut metadata = self.file.metadata.with_groups(groups, shamir_threshold);
        if let (Some(nonce), true) = (self.opened.nonce, self.outcome().marked) {
            let lastmodified = metadata.lastmodified().seconds();
            let recipients = self.keys.seal.recipients_tag(&metadata.recipients_view());
            let tags = Tags { recipients, ..nonce.tags };
            let mac = seal_mac(&self.keys, tags, &lastmodified, self.opened.mac.as_str());
            metadata = metadata.with_mac(&mac);
        }
        let text = removal::of_stray(&self.file).apply(self.file.text());
        let again = EncryptedFile::parse(text, self.file.written_format())?;
        let tree = metadata.to_tree_in_place();
        let updated = metadata_text::update(again, &tree)?;
        let same = metadata_text::same(&updated.doc.tree(updated.block)?, &tree);
        // What stood in the metadata went, and comments belong to whatever stands around them. The
        // MAC is held against the file where it was before.
        let reopened = open(&updated, &self.keys, Verify::No)?;
        let was = self.outcome();
        let vouched = !was.marked || reopened.outcome.recipients == Vouch::Good;
        if !same
            || !vouched
            || reopened.outcome.marked != was.marked
            || reopened.plain.text() != self.opened.plain.text()
        {
            return Err(FileError::Check { position: position_of(&updated.doc, updated.block) });
        }
        Ok(updated.doc.into_text())
    }

    /// Whether the recipients of the file may be trusted as they are.
    #[must_use]
    pub fn recipients_changed(&self) -> bool {
        self.outcome().marked && self.outcome().recipients == Vouch::Bad
    }
}

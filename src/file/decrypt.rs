//! A decrypted file: its plaintext, what its seal says, and the way to the next version.

use std::borrow::Cow;
use std::collections::HashMap;

use super::carry::{Alignment, Carry, OldToken};
use super::encrypt::{Draft, Place, Recipients, Vouching, sealing_time};
use super::encrypted::{EncryptedFile, check_plain};
use super::error::FileError;
use super::open::{OpenedFile, Verify, by_node, envelope_content, open};
use super::outcome::Outcome;
use super::seal::{FileKeys, Nonces, in_flow, scalar_at};
use super::stray::{self, is_bare};
use super::walk::walk;
use crate::crypto::seal::SealTag;
use crate::document::{Document, Format};
use crate::policy::RuleSubject;
use crate::secret::DataKey;
use crate::text::Edits;
use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType};

/// A file whose values are open. Its MAC and seal were verified, unless it was asked otherwise.
pub struct DecryptedFile {
    pub(crate) file: EncryptedFile,
    pub(crate) opened: OpenedFile,
    pub(crate) keys: FileKeys,
}

impl std::fmt::Debug for DecryptedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecryptedFile")
    }
}

impl EncryptedFile {
    /// Opens every value and verifies the MAC and the seal.
    ///
    /// # Errors
    ///
    /// If a value does not open, the MAC is missing or wrong, or the seal is broken.
    pub fn decrypt(self, data_key: &DataKey) -> Result<DecryptedFile, FileError> {
        DecryptedFile::open(self, data_key, Verify::Yes)
    }

    /// Opens every value without a look at the MAC or the seal: for `--ignore-mac` and for a review
    /// before `reseal`. Each value is still authenticated with its path.
    ///
    /// # Errors
    ///
    /// If a value does not open.
    pub fn decrypt_unverified(self, data_key: &DataKey) -> Result<DecryptedFile, FileError> {
        DecryptedFile::open(self, data_key, Verify::No)
    }
}

impl DecryptedFile {
    fn open(file: EncryptedFile, data_key: &DataKey, verify: Verify) -> Result<Self, FileError> {
        let keys = FileKeys::new(data_key);
        let opened = open(&file, &keys, verify)?;
        Ok(Self { file, opened, keys })
    }

    /// The encrypted file that this came from.
    #[must_use]
    pub fn encrypted(&self) -> &EncryptedFile {
        &self.file
    }

    /// The plaintext.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.opened.plain
    }

    /// The bytes that `decrypt` prints: the plaintext, or the content of a binary envelope.
    #[must_use]
    pub fn content(&self) -> Cow<'_, [u8]> {
        let content = if self.file.envelope { envelope_content(&self.opened) } else { None };
        content.map_or_else(|| Cow::Borrowed(self.opened.plain.text().as_bytes()), Cow::Owned)
    }

    /// As [`DecryptedFile::content`], moved: no copy of a plaintext is left behind.
    #[must_use]
    pub fn into_content(self) -> Vec<u8> {
        let content = if self.file.envelope { envelope_content(&self.opened) } else { None };
        content.unwrap_or_else(|| self.opened.plain.into_text().into_bytes())
    }

    /// What the seal says.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.opened.outcome
    }

    /// How many values and comments are sealed in it.
    #[must_use]
    pub fn sealed_values(&self) -> usize {
        self.opened.values.opened.len()
    }

    /// Seals a changed plaintext. What did not change keeps its ciphertext; an unchanged text gives
    /// back the encrypted file as it was.
    ///
    /// `consent`: the caller has reviewed text and recipients and vouches for both (`reseal`); without
    /// it the file vouches for what it vouched for before.
    ///
    /// # Errors
    ///
    /// If the text is not valid or cannot be sealed.
    pub fn reencrypt(
        &self,
        text: String,
        nonces: Nonces,
        now: Timestamp,
        consent: Consent,
    ) -> Result<String, FileError> {
        let old = self.opened.plain.text();
        if consent == Consent::AsBefore && text == old {
            return Ok(self.file.text().to_owned());
        }
        let mut doc = Document::parse(text.clone(), self.file.format())?;
        check_plain(&doc)?;
        let draft = Draft {
            metadata: self.file.metadata.with_lastmodified(sealing_time(now)),
            keys: &self.keys,
            nonces,
            vouch: self.vouching(consent),
        };
        let edits = self.opened.plain_edits(&self.file);
        // Where comments decide, the block must not stand between one and what it is for.
        let by_comments = self.file.metadata.policy().rule().subject() == RuleSubject::Comments;
        let kept = self.kept_block(&text, &edits);
        let kept = kept.filter(|(at, _)| !by_comments || text[*at..].trim().is_empty());
        if let Some((offset, block)) = kept {
            let place = Place::Kept { offset, text: block };
            place.announce(&mut doc)?;
            if let Ok(sealed) = draft.write(&doc, Some(&mut self.carry(&text, &edits)?), &place) {
                return Ok(sealed);
            }
        }
        // The block cannot stay where it was: it goes to the end, as in a new file.
        let mut carry = self.carry(&text, &edits)?;
        let mut doc = Document::parse(text, self.file.format())?;
        Place::End.announce(&mut doc)?;
        draft.write(&doc, Some(&mut carry), &Place::End)
    }

    /// A file vouches for what it vouched for before, unless a holder of the key looked.
    pub(crate) fn vouching(&self, consent: Consent) -> Vouching {
        let outcome = self.opened.outcome;
        match consent {
            Consent::Reviewed => Vouching { text: true, recipients: Recipients::Vouched },
            Consent::AsBefore => Vouching {
                text: outcome.text_is_good(),
                recipients: if outcome.recipients_are_good() {
                    Recipients::Vouched
                } else {
                    Recipients::Tag(self.recipients_tag())
                },
            },
        }
    }

    /// The stored tag R, good or bad; none if another tool wrote the MAC.
    fn recipients_tag(&self) -> SealTag {
        self.opened
            .nonce
            .filter(|_| self.opened.outcome.marked)
            .map_or(SealTag::NONE, |nonce| nonce.tags.recipients)
    }

    /// The metadata block as it stands, and where it belongs in a changed plaintext: where all before
    /// it, or all behind it, is as it was.
    fn kept_block(&self, text: &str, edits: &Edits) -> Option<(usize, &str)> {
        let &entry = self.file.entries.first()?;
        let removal = self.file.doc.remove(entry);
        if removal.len() != 1 || stray::any(&self.file) {
            return None;
        }
        let (span, left) = removal.get(0);
        if !left.is_empty() {
            return None;
        }
        let mut offset = span.start();
        for (before, new) in edits.iter().take_while(|(s, _)| s.end() <= span.start()) {
            offset = offset + new.len() - before.len();
        }
        let old = self.opened.plain.text();
        let behind = old.len().checked_sub(offset)?;
        let same_before = old.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        let same_behind =
            old.bytes().rev().zip(text.bytes().rev()).take_while(|(a, b)| a == b).count();
        let offset = if same_before >= offset {
            offset
        } else if same_behind >= behind {
            text.len() - behind
        } else {
            return None;
        };
        let source = self.file.text();
        let own_line = span.start() == 0 || source[..span.start()].ends_with(['\n', '\r']);
        let at_line = offset == 0 || text.get(..offset)?.ends_with(['\n', '\r']);
        (text.is_char_boundary(offset) && (!own_line || at_line)).then(|| (offset, span.of(source)))
    }

    /// The old tokens by what they stand for.
    fn carry<'a>(&'a self, text: &str, edits: &'a Edits) -> Result<Carry<'a>, FileError> {
        let doc = &self.file.doc;
        let opened = by_node(&self.opened.values);
        // Where each edit ends in the encrypted file: where it starts, what it writes, and where that
        // ends in the plaintext.
        let mut plain = HashMap::with_capacity(edits.len());
        let (mut removed, mut added) = (0, 0);
        for (span, text) in edits.iter() {
            removed += span.len();
            added += text.len();
            plain.insert(span.end(), (span.start(), text, span.end() + added - removed));
        }
        let mut last = 0;
        let mut carry = Carry::new(Alignment::of(self.opened.plain.text(), text));
        walk(doc, self.file.metadata.policy(), Some(&self.file.skip), |place| {
            let Some(&index) = opened.get(&place.node).filter(|_| place.alias.is_none()) else {
                return Ok(());
            };
            let opened = &self.opened.values.opened[index];
            // Its token is for another path.
            if opened.moved {
                return Ok(());
            }
            let scalar = self.opened.values.scalar(opened);
            let kind = printed_kind(doc.format(), scalar.kind, scalar.text().unwrap_or_default());
            let identity = self.keys.seal.value_nonce(kind, &scalar.bytes, 0, place.components);
            let source = doc.source(place.node);
            let token = source
                .find("ENC[")
                .and_then(|from| Some(&source[from..=from + source[from..].find(']')?]))
                // What has text behind it is sealed anew.
                .filter(|_| {
                    let scalar = scalar_at(doc, place.node).ok();
                    let text = scalar.as_ref().and_then(Scalar::text);
                    let style = doc.node(place.node).style();
                    text.is_some_and(|text| is_bare(text, style, source))
                });
            if let Some(token) = token {
                let span = doc.node(place.node).span();
                let (plain, end) = match plain.remove(&span.end()) {
                    Some((start, text, end)) if start == span.start() => (text, end),
                    // More goes than the token, whose source is not taken over: the dash of a comment
                    // that stands as a list item, as sops writes it; or a note brings a tag back.
                    Some((_, _, end)) => ("", end),
                    // An alias brings it back together with others.
                    None => ("", last),
                };
                last = end;
                let flow = in_flow(doc, place.node);
                let declared = scalar.kind;
                let old = OldToken { token, source, plain, end, flow, declared };
                carry.add(identity, old);
            }
            Ok(())
        })?;
        Ok(carry)
    }
}

/// What the caller of a write vouches for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    /// Only for what the file already vouched for.
    AsBefore,
    /// For its text and its recipients: a holder of the key has reviewed both.
    Reviewed,
}

/// The type that a value has once it is printed: SOPS and we print a float `5` as `5`.
fn printed_kind(format: Format, kind: ScalarType, text: &str) -> ScalarType {
    let whole = text != "-0" && text.parse::<i64>().is_ok();
    if kind == ScalarType::Float && format != Format::Toml && whole {
        return ScalarType::Int;
    }
    if kind == ScalarType::Bytes { ScalarType::Str } else { kind }
}

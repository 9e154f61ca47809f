//! AES-256-GCM with the key schedule computed once per data key.
//!
//! SOPS writes nonces of 32 bytes, the Python SOPS wrote 16, and reads any length but zero; here
//! `open` takes 1 to [`MAX_NONCE_LEN`] bytes.
//!
//! Invariant: `seal` never chooses a nonce, and no plaintext is left in a buffer that the
//! caller does not get.

use std::fmt;

use aes_gcm::aead::consts;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::cipher::{
    BlockCipherEncrypt, InnerIvInit, StreamCipher, StreamCipherCoreWrapper,
};
use aes_gcm::aes::{Aes256, Block};
use aes_gcm::{AeadInOut, AesGcm, KeyInit, Nonce, Tag};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;

use crate::secret::{DATA_KEY_LEN, DataKey};

/// Length of the nonces that are written.
pub const NONCE_LEN: usize = 32;

/// The longest nonce that is read.
pub const MAX_NONCE_LEN: usize = 64;

/// Length of the tag behind a ciphertext.
pub const TAG_LEN: usize = 16;

/// A data key, ready to seal and open values.
pub struct Cipher {
    /// For nonces of the usual length, whose GHASH key is worth keeping.
    usual: AesGcm<Aes256, consts::U32>,
    /// For all others.
    block: Aes256,
}

/// A ciphertext could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The nonce is empty or too long.
    #[error("the nonce has {len} bytes; 1 to {MAX_NONCE_LEN} are read")]
    NonceLength {
        /// Its length.
        len: usize,
    },
    /// There are fewer bytes than a tag has.
    #[error("the ciphertext and its tag have {len} bytes; a tag alone has {TAG_LEN}")]
    TooShort {
        /// The length of both.
        len: usize,
    },
    /// The tag does not fit: another key, another place, or changed bytes.
    #[error("it was sealed with another key, stood at another place, or was changed")]
    NotAuthentic,
}

impl Cipher {
    /// The cipher of this data key.
    #[must_use]
    pub fn new(key: &DataKey) -> Self {
        Self::from_bytes(key.expose_secret())
    }

    /// The cipher of a key that was derived from a data key.
    #[must_use]
    pub(super) fn from_bytes(key: &[u8; DATA_KEY_LEN]) -> Self {
        let block = Aes256::new(key.into());
        Self { usual: block.clone().into(), block }
    }

    /// Encrypts `plaintext` into `ciphertext`, which has the same length, and returns the tag.
    ///
    /// # Panics
    ///
    /// If the two lengths differ, or are beyond the 64 GiB that one nonce can serve.
    #[must_use]
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let buffer = InOutBuf::new(plaintext, ciphertext).expect("the caller gives equal lengths");
        self.usual
            .encrypt_inout_detached(nonce.into(), aad, buffer)
            .expect("a text is at most 4 GiB long")
            .into()
    }

    /// Decrypts the bytes of `buffer` from `start`, ciphertext and tag, in place; cuts the tag off.
    ///
    /// # Errors
    ///
    /// If they were not sealed with this key, nonce and AAD. `buffer` then ends at `start`.
    pub(super) fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), CipherError> {
        let opened = self.open_slice(nonce, aad, &mut buffer[start..]);
        // What fails to authenticate was never decrypted, so only ciphertext is cut off here.
        buffer.truncate(start + *opened.as_ref().unwrap_or(&0));
        opened.map(|_| ())
    }

    fn open_slice(
        &self,
        nonce: &[u8],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, CipherError> {
        let len = buffer.len();
        let (ciphertext, tag) =
            buffer.split_last_chunk_mut::<TAG_LEN>().ok_or(CipherError::TooShort { len })?;
        let tag = Tag::from(*tag);
        if let Ok(nonce) = <&Nonce<consts::U32>>::try_from(nonce) {
            self.usual
                .decrypt_inout_detached(nonce, aad, ciphertext.into(), &tag)
                .map_err(|aes_gcm::Error| CipherError::NotAuthentic)?;
        } else {
            self.open_any(nonce, aad, ciphertext, &tag)?;
        }
        Ok(len - TAG_LEN)
    }

    /// The library has the length of a nonce in its types: 64 ciphers for what nobody writes any more. So
    /// this one is put together of its parts (NIST SP 800-38D, section 7.2).
    fn open_any(
        &self,
        nonce: &[u8],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &Tag,
    ) -> Result<(), CipherError> {
        let len = nonce.len();
        if !(1..=MAX_NONCE_LEN).contains(&len) {
            return Err(CipherError::NonceLength { len });
        }
        let mut hash_key = Block::default();
        self.block.encrypt_block(&mut hash_key);
        let ghash = GHash::new(&hash_key);
        let mut counter = Block::default();
        if let Ok(nonce) = <[u8; 12]>::try_from(nonce) {
            counter[..12].copy_from_slice(&nonce);
            counter[15] = 1;
        } else {
            counter = hashed(ghash.clone(), &[nonce], [0, len]);
        }
        let core = CtrCore::<&Aes256, Ctr32BE>::inner_iv_init(&self.block, &counter);
        let mut stream = StreamCipherCoreWrapper::from_core(core);
        // The first block of the stream hides the hash, the others the text.
        let mut expected = hashed(ghash, &[aad, buffer], [aad.len(), buffer.len()]);
        stream.apply_keystream(&mut expected);
        if !bool::from(expected.ct_eq(tag)) {
            return Err(CipherError::NotAuthentic);
        }
        stream.apply_keystream(buffer);
        Ok(())
    }
}

/// GHASH of some texts, each padded to whole blocks, and of two lengths, which it takes in bits.
fn hashed(mut ghash: GHash, texts: &[&[u8]], lengths: [usize; 2]) -> Block {
    for text in texts {
        ghash.update_padded(text);
    }
    let mut block = Block::default();
    for (half, len) in block.chunks_exact_mut(8).zip(lengths) {
        half.copy_from_slice(&(len as u64 * 8).to_be_bytes());
    }
    ghash.update(&[block]);
    ghash.finalize()
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::array::ArraySize;

    use super::{AeadInOut, Aes256, AesGcm, Cipher, CipherError, KeyInit, Nonce, consts};
    use crate::secret::DataKey;

    fn cipher() -> Cipher {
        Cipher::new(&DataKey::from_bytes(&[b'f'; 32]).expect("32 bytes"))
    }

    /// Ciphertext and tag of `waxseal` under the AAD `a:` and a nonce of 0, 1, 2 …, made with
    /// Python's `cryptography` (OpenSSL).
    #[track_caller]
    fn check(nonce_len: u8, sealed: &str) {
        let nonce: Vec<u8> = (0..nonce_len).collect();
        let mut buffer = b"before".to_vec();
        buffer.extend(hex(sealed));
        assert_eq!(cipher().open(&nonce, b"a:", &mut buffer, 6), Ok(()));
        assert_eq!(buffer, b"beforewaxseal");
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn nonces_of_many_lengths_are_read() {
        check(8, "cee76465d9f64369b08f497f255e84289d0f9a6dddb73f");
        check(12, "9f3dd674fb69157712b2e7e9ba1e10f9a2e340a9d72480");
        check(16, "c4637ad91a9aab18881a30ff139103ad24f94c1fcbc53b");
        check(24, "382f2802a4584d5e2d46512e2b85e92db37621f5ecf3ff");
        check(32, "ccbd12fa31f434ec33505eae6db8f28d04734f23f6562a");
        check(33, "f6619202cf14fd624d4d1ebe8d95c24af1d152e174c7cf");
        check(64, "05bdd295ed23781027f942609fc0054ba1cb1ae826a43a");
    }

    /// What the library seals under a nonce of this length.
    fn sealed<N: ArraySize>(nonce: &[u8], aad: &[u8], text: &[u8]) -> Vec<u8> {
        let mut sealed = text.to_vec();
        let nonce = <&Nonce<N>>::try_from(nonce).expect("this length");
        let cipher = AesGcm::<Aes256, N>::new(&[b'f'; 32].into());
        let buffer = sealed.as_mut_slice().into();
        let tag = cipher.encrypt_inout_detached(nonce, aad, buffer).expect("short");
        sealed.extend(tag);
        sealed
    }

    #[test]
    fn the_parts_open_what_the_library_seals_and_nothing_that_was_changed() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600).collect();
        for (len, seal) in [
            (1, sealed::<consts::U1> as fn(&[u8], &[u8], &[u8]) -> Vec<u8>),
            (7, sealed::<consts::U7>),
            (12, sealed::<consts::U12>),
            (15, sealed::<consts::U15>),
            (16, sealed::<consts::U16>),
            (31, sealed::<consts::U31>),
            (48, sealed::<consts::U48>),
            (64, sealed::<consts::U64>),
        ] {
            for (aad, text) in [(0, 0), (0, 1), (3, 15), (16, 16), (17, 33), (100, 600)] {
                let (nonce, aad, text) = (&bytes[9..9 + len], &bytes[..aad], &bytes[..text]);
                let sealed = seal(nonce, aad, text);
                let mut opened = sealed.clone();
                assert_eq!(cipher().open(nonce, aad, &mut opened, 0), Ok(()));
                assert_eq!(opened, text, "{len}");
                for at in [0, sealed.len() / 2, sealed.len() - 1] {
                    let mut changed = sealed.clone();
                    changed[at] ^= 4;
                    let error = cipher().open(nonce, aad, &mut changed, 0);
                    assert_eq!(error, Err(CipherError::NotAuthentic));
                    assert!(changed.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_opened_leaves_nothing() {
        let cipher = cipher();
        let mut buffer = b"before".to_vec();
        let nonce = [7; 32];
        assert_eq!(cipher.open(&nonce, b"", &mut buffer, 6), Err(CipherError::TooShort { len: 0 }));
        buffer.extend([0; 20]);
        assert_eq!(cipher.open(&nonce, b"", &mut buffer, 6), Err(CipherError::NotAuthentic));
        assert_eq!(buffer, b"before");
        for len in [0, 65] {
            buffer.extend([0; 20]);
            let nonce = vec![0; len];
            let error = Err(CipherError::NonceLength { len });
            assert_eq!(cipher.open(&nonce, b"", &mut buffer, 6), error);
        }
    }
}

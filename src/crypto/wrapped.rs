//! Opens what keys outside of a file sealed: a transit key that was exported from its server.
//!
//! Invariants: a plaintext is given only if its tag is right; keys that are derived, and what is opened,
//! are overwritten.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, KeyInit};
use chacha20poly1305::aead::{AeadInPlace, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A cipher that notices changes. What it made is nonce, ciphertext, tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aead {
    /// AES-GCM with a key of 16 bytes.
    Aes128Gcm,
    /// AES-GCM with a key of 32 bytes.
    Aes256Gcm,
    /// ChaCha20-Poly1305, as in RFC 8439.
    ChaCha20Poly1305,
    /// The same with nonces of 24 bytes.
    XChaCha20Poly1305,
}

impl Aead {
    /// Length of the key in bytes.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::XChaCha20Poly1305 => 32,
        }
    }

    fn nonce_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305 => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }

    /// Opens nonce, ciphertext and tag, without associated data; `None`: another key made it, or it was
    /// changed, or the key has another length.
    #[must_use]
    pub fn open(self, key: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(self.nonce_len())?;
        let (ciphertext, tag) = rest.split_last_chunk::<16>()?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        match self {
            Self::Aes128Gcm => {
                let cipher = Aes128Gcm::new_from_slice(key).ok()?;
                let buffer = InOutBuf::from(text.as_mut_slice());
                let nonce: [u8; 12] = nonce.try_into().ok()?;
                cipher.decrypt_inout_detached(&nonce.into(), &[], buffer, tag.into()).ok()?;
            }
            Self::Aes256Gcm => {
                let cipher = Aes256Gcm::new_from_slice(key).ok()?;
                let buffer = InOutBuf::from(text.as_mut_slice());
                let nonce: [u8; 12] = nonce.try_into().ok()?;
                cipher.decrypt_inout_detached(&nonce.into(), &[], buffer, tag.into()).ok()?;
            }
            Self::ChaCha20Poly1305 => {
                let cipher = ChaCha20Poly1305::new_from_slice(key).ok()?;
                let nonce: [u8; 12] = nonce.try_into().ok()?;
                cipher.decrypt_in_place_detached(&nonce.into(), &[], &mut text, tag.into()).ok()?;
            }
            Self::XChaCha20Poly1305 => {
                let cipher = XChaCha20Poly1305::new_from_slice(key).ok()?;
                let nonce: [u8; 24] = nonce.try_into().ok()?;
                cipher.decrypt_in_place_detached(&nonce.into(), &[], &mut text, tag.into()).ok()?;
            }
        }
        Some(text)
    }
}

/// The key of so many bytes, at most 32, that HKDF-SHA256 without a salt derives by a context.
#[must_use]
pub fn derived(key: &[u8], context: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let mut derived = Zeroizing::new(vec![0; len.min(32)]);
    Hkdf::<Sha256>::new(None, key).expand(context, &mut derived).expect("one block of output");
    derived
}

/// The same by the way before HKDF: NIST SP 800-108 with a counter, HMAC-SHA256, one block of 256 bits.
#[must_use]
pub fn derived_by_counter(key: &[u8], context: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key);
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(&0_u32.to_be_bytes());
    mac.update(context);
    mac.update(&256_u32.to_be_bytes());
    let mut block = Zeroizing::new(mac.finalize().into_bytes().to_vec());
    block.truncate(len);
    block
}

#[cfg(test)]
mod tests {
    use super::{Aead, derived, derived_by_counter};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn keys_are_derived_as_rfc_5869_has_it() {
        // Its third test: no salt, no context; the first 32 of 42 bytes.
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(hex(&derived(&[0x0b; 22], b"", 32)), expected);
        assert_eq!(hex(&derived(&[0x0b; 22], b"", 16)), expected[..32]);
        assert_ne!(derived(&[1; 32], b"a", 32), derived(&[1; 32], b"b", 32));
        assert_ne!(derived_by_counter(&[1; 32], b"a", 32), derived(&[1; 32], b"a", 32));
        assert_eq!(derived_by_counter(&[1; 32], b"a", 16).len(), 16);
    }

    #[test]
    fn keys_of_before_are_derived_as_the_server_did() {
        // The one vector of OpenBao's own tests (`helper/kdf`).
        let key: Vec<u8> = (1..=16).collect();
        let expected = "db19ee06b9ecb440f898fb994f058dde42c8428f280365ddcea3665058ea579d";
        assert_eq!(hex(&derived_by_counter(&key, b"the quick brown fox", 32)), expected);
    }

    #[test]
    fn what_is_cut_or_changed_or_of_another_key_does_not_open() {
        for aead in
            [Aead::Aes128Gcm, Aead::Aes256Gcm, Aead::ChaCha20Poly1305, Aead::XChaCha20Poly1305]
        {
            let key = vec![7; aead.key_len()];
            for len in [0, 11, 12, 27, 28, 24, 39, 40, 60] {
                assert!(aead.open(&key, &vec![0; len]).is_none(), "{aead:?} {len}");
            }
            assert!(aead.open(&key[1..], &[0; 60]).is_none());
        }
    }
}

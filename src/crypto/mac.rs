//! The MAC of a file: SHA-512 over the plaintext of its leaves in document order.
//!
//! SOPS hashes the canonical bytes one after the other, without lengths or keys, and no comments,
//! nulls or containers. The caller leaves those out; under `mac_only_encrypted` it feeds encrypted
//! leaves only.

use std::fmt;

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// Which leaves are fed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MacScope {
    /// Every leaf.
    All,
    /// Those that are encrypted: `mac_only_encrypted`.
    EncryptedOnly,
}

/// The hash in the making.
#[derive(Clone)]
pub struct Mac(Sha512);

/// The finished MAC: 128 upper-case hexadecimal digits.
#[derive(Clone)]
pub struct MacText([u8; MAC_LEN]);

/// Length of a MAC's text.
pub const MAC_LEN: usize = 128;

impl Mac {
    /// The MAC of no leaves.
    #[must_use]
    pub fn new(scope: MacScope) -> Self {
        let mut hash = Sha512::new();
        match scope {
            MacScope::All => {}
            MacScope::EncryptedOnly => hash.update(ENCRYPTED_ONLY_PREFIX),
        }
        Self(hash)
    }

    /// Appends the canonical bytes of a leaf.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MAC of what was fed.
    #[must_use]
    pub fn finish(self) -> MacText {
        let mut text = [0; MAC_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0.finalize()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        MacText(text)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac")
    }
}

impl MacText {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// Whether these bytes are the same MAC; takes the same time wherever they differ.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.ct_eq(stored).into()
    }
}

impl fmt::Debug for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacText")
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// SHA-256 of `sops`, which SOPS hashes first under `mac_only_encrypted`.
const ENCRYPTED_ONLY_PREFIX: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

#[cfg(test)]
mod tests {
    use super::{Mac, MacScope};

    #[track_caller]
    fn check(scope: MacScope, leaves: &[&str], expect: &str) {
        let mut mac = Mac::new(scope);
        leaves.iter().for_each(|leaf| mac.feed(leaf.as_bytes()));
        let text = mac.finish();
        assert_eq!(text.as_str(), expect);
        assert!(text.matches(expect.as_bytes()));
        assert!(!text.matches(expect.to_lowercase().as_bytes()));
        assert!(!text.matches(b""));
    }

    #[test]
    fn the_mac_is_that_of_sops() {
        let leaves = ["hello", "42", "True", "False", "1.5", "2024-01-01T00:00:00Z"];
        check(
            MacScope::All,
            &leaves,
            "E9AF301F71A5604BA91F66EF43EB406A09C58A3AF91D2AE0979DAF8975DA2085\
             97753CF48336A457C785FC42015A2BF0AC3787798A5175385DC6C238D85749D3",
        );
        check(
            MacScope::EncryptedOnly,
            &leaves,
            "F1005AA8263A2A168EC5F9481F35E6E0CD83CF7CEAC464B040127B8642A1A952\
             51C5E7A3A999B88D056625F3618E3C2C938B172E3C69224D9BDC99B6E1732110",
        );
        check(
            MacScope::All,
            &[],
            "CF83E1357EEFB8BDF1542850D66D8007D620E4050B5715DC83F4A921D36CE9CE\
             47D0D13C5D85F2B0FF8318D2877EEC2F63B931BD47417A81A538327AF927DA3E",
        );
    }
}

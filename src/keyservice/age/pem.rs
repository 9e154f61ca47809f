//! SSH private keys as OpenSSL writes them: what `ssh-keygen -m PEM` and `-m PKCS8` make, and what
//! it made of itself before 2018. They are brought into the forms that the `age` crate reads.
//!
//! Invariant: no error shows any part of a key.

use aes::{Aes128, Aes192, Aes256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, KeyIvInit};
use md5::digest::generic_array::GenericArray;
use md5::{Digest, Md5};
use pkcs8::der::Decode;
use pkcs8::der::pem::{LineEnding, encode_string};
use pkcs8::{EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo, SecretDocument};
use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;
use zeroize::Zeroizing;

/// What a text holds.
pub(super) enum Pem {
    /// Nothing of these: the `age` crate reads it, or nobody.
    Other,
    /// A key, in a form that the `age` crate reads.
    Open(Zeroizing<String>),
    /// A key that a passphrase opens. It does not tell whose it is.
    Locked(Locked),
}

/// A key that a passphrase opens.
pub(super) enum Locked {
    /// PKCS#8: the whole structure is encrypted.
    Pkcs8(SecretDocument),
    /// The text of a PKCS#1 key is encrypted; two lines before it say how.
    Legacy { cipher: Cipher, iv: [u8; 16], body: Vec<u8> },
}

/// The cipher of a legacy key, with the length of its key.
#[derive(Clone, Copy)]
pub(super) enum Cipher {
    Aes128,
    Aes192,
    Aes256,
}

/// Looks what a text is.
pub(super) fn read(text: &str) -> Result<Pem, String> {
    let text = text.trim_start();
    if text.starts_with("-----BEGIN PRIVATE KEY-----") {
        let (_, key) = SecretDocument::from_pem(text).map_err(|_| DAMAGED)?;
        return convert(key.as_bytes()).map(Pem::Open);
    }
    if text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let (_, key) = SecretDocument::from_pem(text).map_err(|_| DAMAGED)?;
        return Ok(Pem::Locked(Locked::Pkcs8(key)));
    }
    if text.starts_with(RSA_BEGIN) && text.contains("Proc-Type: 4,ENCRYPTED") {
        return legacy(text).map(Pem::Locked);
    }
    Ok(Pem::Other)
}

impl Locked {
    /// The key in a form that the `age` crate reads.
    pub(super) fn open(&self, passphrase: &str) -> Result<Zeroizing<String>, String> {
        const WRONG: &str = "incorrect passphrase";
        match self {
            Self::Pkcs8(key) => {
                let info = EncryptedPrivateKeyInfo::from_der(key.as_bytes()).map_err(
                    |_| "locked in a way that is not supported: `ssh-keygen -p` converts it",
                )?;
                convert(info.decrypt(passphrase).map_err(|_| WRONG)?.as_bytes())
            }
            Self::Legacy { cipher, iv, body } => {
                let key = derive(passphrase.as_bytes(), iv);
                let opened = match cipher {
                    Cipher::Aes128 => decrypt::<Decryptor<Aes128>>(&key[..16], iv, body),
                    Cipher::Aes192 => decrypt::<Decryptor<Aes192>>(&key[..24], iv, body),
                    Cipher::Aes256 => decrypt::<Decryptor<Aes256>>(&key[..], iv, body),
                };
                // A padding that is right by accident still leaves no key.
                let opened = opened.filter(|der| der.starts_with(&[0x30, 0x82]));
                rsa_text(&opened.ok_or(WRONG)?)
            }
        }
    }
}

/// A PKCS#8 key in the form of its kind.
fn convert(der: &[u8]) -> Result<Zeroizing<String>, String> {
    let info = PrivateKeyInfo::from_der(der).map_err(|_| DAMAGED)?;
    match info.algorithm.oid {
        RSA => rsa_text(info.private_key),
        ED25519 => {
            // An octet string of 32 bytes.
            let seed: &[u8; 32] = info
                .private_key
                .strip_prefix(&[0x04, 0x20])
                .and_then(|seed| seed.try_into().ok())
                .ok_or(DAMAGED)?;
            let key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
            key.to_openssh(ssh_key::LineEnding::LF).map_err(|_| DAMAGED.to_owned())
        }
        _ => Err("an SSH key of a kind age cannot use".into()),
    }
}

fn rsa_text(der: &[u8]) -> Result<Zeroizing<String>, String> {
    let text = encode_string("RSA PRIVATE KEY", LineEnding::LF, der);
    text.map(Zeroizing::new).map_err(|_| DAMAGED.to_owned())
}

fn legacy(text: &str) -> Result<Locked, String> {
    let lines = text.lines().map(str::trim).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with("-----END"));
    let header = lines.by_ref().take_while(|line| !line.is_empty());
    let dek = header.filter_map(|line| line.strip_prefix("DEK-Info: ")).last().ok_or(DAMAGED)?;
    let (name, iv) = dek.split_once(',').ok_or(DAMAGED)?;
    let cipher = match name {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-192-CBC" => Cipher::Aes192,
        "AES-256-CBC" => Cipher::Aes256,
        _ => return Err("locked with an old cipher: `ssh-keygen -p` converts it".into()),
    };
    // The parser of numbers takes a sign, and any number of digits.
    let is_iv = iv.len() == 32 && iv.bytes().all(|byte| byte.is_ascii_hexdigit());
    let iv = u128::from_str_radix(Some(iv).filter(|_| is_iv).ok_or(DAMAGED)?, 16);
    let iv = iv.map_err(|_| DAMAGED)?.to_be_bytes();
    let body: String = lines.collect();
    let body = BASE64_STANDARD.decode(body).map_err(|_| DAMAGED)?;
    Ok(Locked::Legacy { cipher, iv, body })
}

/// OpenSSL's `EVP_BytesToKey`: MD5, one round, the first half of the IV as salt.
fn derive(passphrase: &[u8], iv: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    // Hashed into its place: no half of it stays elsewhere.
    let mut key = Zeroizing::new([0; 32]);
    let (first, second) = key.split_at_mut(16);
    let salted = |hash: Md5| hash.chain_update(passphrase).chain_update(&iv[..8]);
    salted(Md5::new()).finalize_into(GenericArray::from_mut_slice(first));
    salted(Md5::new_with_prefix(&*first)).finalize_into(GenericArray::from_mut_slice(second));
    key
}

/// `None`: the padding is wrong, so the passphrase is.
fn decrypt<D: BlockDecryptMut + KeyIvInit>(
    key: &[u8],
    iv: &[u8],
    body: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = D::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded_vec_mut::<Pkcs7>(body).ok().map(Zeroizing::new)
}

const RSA_BEGIN: &str = "-----BEGIN RSA PRIVATE KEY-----";

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const DAMAGED: &str = "a damaged SSH private key";

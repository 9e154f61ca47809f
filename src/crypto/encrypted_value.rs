//! `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`: one sealed value.
//!
//! Tokens are read as SOPS reads them: anchored at the start, greedy, whatever follows the last `]`
//! of the line is ignored, and base64 may hold carriage returns. They are written in one way only.
//!
//! Invariants: what [`open`] returns is the canonical rendering of its type, since two spellings of
//! one value could lead SOPS to use a nonce twice. The type is not authenticated: the MAC and the
//! tree tag judge it. An empty text has no token: it is written, and read by the caller, as nothing.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64_simd as fast;
use zeroize::Zeroize;

use super::cipher::{Cipher, CipherError, NONCE_LEN};
use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType};

/// What every token starts with.
pub const PREFIX: &str = "ENC[AES256_GCM,data:";

/// A token in its parts.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedValue {
    /// Ciphertext and tag; only the two together matter.
    sealed: Vec<u8>,
    nonce: Vec<u8>,
    kind: ScalarType,
}

/// Why a text is no token. Says nothing of what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It does not start as one.
    #[error("not an encrypted value (ENC[AES256_GCM,…])")]
    NotEncrypted,
    /// It starts as one and lacks a part.
    #[error("the encrypted value is cut off or lacks its {field}")]
    Cut {
        /// What is missing: `iv`, `tag`, `type` or the closing bracket.
        field: &'static str,
    },
    /// A part is no base64.
    #[error("the {field} of the encrypted value is not valid base64")]
    Base64 {
        /// Which part.
        field: &'static str,
    },
    /// The type is none that is known.
    #[error("the encrypted value has an unknown type")]
    UnknownType,
}

/// Why a value could not be opened. Says nothing of what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The cipher refuses it.
    #[error("the encrypted value cannot be decrypted: {0}")]
    Cipher(#[from] CipherError),
    /// What was sealed is not how its type is written.
    #[error(
        "the encrypted value holds no {} as SOPS writes it: its type was changed, or a faulty tool wrote it",
        kind.name()
    )]
    NotCanonical {
        /// The declared type.
        kind: ScalarType,
    },
}

/// Whether SOPS would take this text for an encrypted value (its parts can still be damaged).
#[must_use]
pub fn is_token(text: &str) -> bool {
    Parts::of(text).is_ok()
}

/// Decrypts a token and appends the plaintext to `out`.
///
/// # Errors
///
/// If it is no token, was not sealed with this key for this place, or holds something that is not the
/// canonical rendering of its type. `out` is then as it was.
pub fn open(
    token: &str,
    cipher: &Cipher,
    aad: &[u8],
    out: &mut Vec<u8>,
) -> Result<ScalarType, OpenError> {
    let start = out.len();
    let opened = open_parts(token, cipher, aad, out);
    if opened.is_err() {
        out[start..].zeroize();
        out.truncate(start);
    }
    opened
}

fn open_parts(
    token: &str,
    cipher: &Cipher,
    aad: &[u8],
    out: &mut Vec<u8>,
) -> Result<ScalarType, OpenError> {
    let start = out.len();
    let parts = Parts::of(token)?;
    let mut buffer = [0; MAX_SHORT_NONCE];
    let mut long = Vec::new();
    let nonce = match decode_short(parts.iv, &mut buffer) {
        Some(nonce) => nonce,
        None => {
            decode(parts.iv, "iv", &mut long)?;
            &long
        }
    };
    decode(parts.data, "data", out)?;
    decode(parts.tag, "tag", out)?;
    let kind = parts.kind()?;
    cipher.open(nonce, aad, out, start)?;
    if is_canonical(kind, &out[start..]) { Ok(kind) } else { Err(OpenError::NotCanonical { kind }) }
}

/// Encrypts a value and appends the token to `out`. Of an empty text it is nothing, as in SOPS.
///
/// `nonce` is one that is used for no other plaintext under this key: a derived one
/// ([`SealKeys::value_nonce`](super::seal::SealKeys::value_nonce)) or a random one.
pub fn seal(
    cipher: &Cipher,
    kind: ScalarType,
    plaintext: &[u8],
    aad: &[u8],
    nonce: &[u8; NONCE_LEN],
    out: &mut String,
) {
    debug_assert!(!matches!(kind, ScalarType::Null | ScalarType::Bytes), "never sealed");
    if plaintext.is_empty() {
        return;
    }
    let mut short = [0; SHORT_PLAINTEXT];
    let mut long = Vec::new();
    let ciphertext = if let Some(short) = short.get_mut(..plaintext.len()) {
        short
    } else {
        long.resize(plaintext.len(), 0);
        long.as_mut_slice()
    };
    let tag = cipher.seal(nonce, aad, plaintext, ciphertext);
    write(ciphertext, nonce, &tag, kind, out);
}

impl EncryptedValue {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(token: &str) -> Result<Self, TokenError> {
        let parts = Parts::of(token)?;
        let (mut sealed, mut nonce) = (Vec::new(), Vec::new());
        decode(parts.data, "data", &mut sealed)?;
        decode(parts.iv, "iv", &mut nonce)?;
        decode(parts.tag, "tag", &mut sealed)?;
        Ok(Self { sealed, nonce, kind: parts.kind()? })
    }

    /// The nonce, of whatever length it is.
    #[must_use]
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The declared type, which nothing authenticates.
    #[must_use]
    pub fn kind(&self) -> ScalarType {
        self.kind
    }

    /// Decrypts the value.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(&self, cipher: &Cipher, aad: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut out = self.sealed.clone();
        cipher.open(&self.nonce, aad, &mut out, 0)?;
        if is_canonical(self.kind, &out) {
            return Ok(out);
        }
        out.zeroize();
        Err(OpenError::NotCanonical { kind: self.kind })
    }
}

impl fmt::Display for EncryptedValue {
    /// The token, as it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let split = self.sealed.len().saturating_sub(super::cipher::TAG_LEN);
        let (data, tag) = self.sealed.split_at(split);
        let mut token = String::new();
        write(data, &self.nonce, tag, self.kind, &mut token);
        f.write_str(&token)
    }
}

impl fmt::Debug for EncryptedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedValue({})", self.kind.name())
    }
}

/// Whether these bytes are how SOPS renders a value of this type before it encrypts it.
#[must_use]
pub fn is_canonical(kind: ScalarType, bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    match kind {
        // An empty text has no token.
        ScalarType::Str | ScalarType::Bytes | ScalarType::Comment => !bytes.is_empty(),
        ScalarType::Int => text
            .ok()
            .and_then(|text| text.parse().ok())
            .is_some_and(|number| *Scalar::int(number).bytes == *bytes),
        ScalarType::Float => text
            .ok()
            .and_then(|text| text.parse().ok())
            .is_some_and(|number| *Scalar::float(number).bytes == *bytes),
        ScalarType::Bool => matches!(bytes, b"True" | b"False"),
        ScalarType::Time => text.is_ok_and(|text| is_time(text, text)),
        ScalarType::DatetimeLocal => text.is_ok_and(|text| {
            let text = &without_leap_second(text, 17);
            is_time(text, &format!("{text}Z"))
        }),
        ScalarType::DateLocal => text.is_ok_and(|text| is_time(text, &format!("{text}T00:00:00Z"))),
        ScalarType::TimeLocal => text.is_ok_and(|text| {
            let text = &without_leap_second(text, 6);
            is_time(text, &format!("2000-01-01T{text}Z"))
        }),
        ScalarType::Null => false,
    }
}

/// TOML has 23:59:60 as a time of day, which is no moment as long as the zone is open.
fn without_leap_second(text: &str, at: usize) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if text.get(at..at + 2) == Some("60") {
        text.to_mut().replace_range(at..at + 2, "59");
    }
    text
}

/// Whether `text`, filled up to a full time, is written as that time is rendered.
fn is_time(text: &str, full: &str) -> bool {
    let zoned = text.len() == full.len() || !text.contains(['Z', '+']);
    zoned && Timestamp::parse(full).is_ok_and(|time| time.nanos() == full)
}

/// The texts between the separators.
struct Parts<'a> {
    data: &'a str,
    iv: &'a str,
    tag: &'a str,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    /// `^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]`, as Go reads it: greedy, so that
    /// every separator is the last one that leaves a match, and `.` is no line break.
    fn of(token: &'a str) -> Result<Self, TokenError> {
        let rest = token.strip_prefix(PREFIX).ok_or(TokenError::NotEncrypted)?;
        let line = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest, |end| &rest[..end]);
        let end = memchr::memrchr(b']', line.as_bytes())
            .ok_or(TokenError::Cut { field: "closing bracket" })?;
        let (line, kind) = split_last(&line[..end], ",type:", "type")?;
        let (line, tag) = split_last(line, ",tag:", "tag")?;
        let (data, iv) = split_last(line, ",iv:", "iv")?;
        if data.is_empty() {
            return Err(TokenError::Cut { field: "data" });
        }
        Ok(Self { data, iv, tag, kind })
    }

    fn kind(&self) -> Result<ScalarType, TokenError> {
        ScalarType::from_name(self.kind).ok_or(TokenError::UnknownType)
    }
}

/// Splits at the last `separator` with something behind it.
fn split_last<'a>(
    text: &'a str,
    separator: &str,
    field: &'static str,
) -> Result<(&'a str, &'a str), TokenError> {
    let bytes = text.as_bytes();
    memchr::memrchr_iter(b',', bytes)
        .find(|&at| {
            bytes.len() > at + separator.len() && bytes[at..].starts_with(separator.as_bytes())
        })
        .map(|at| (&text[..at], &text[at + separator.len()..]))
        .ok_or(TokenError::Cut { field })
}

/// A nonce as long as those that are written, which needs no allocation.
fn decode_short<'a>(text: &str, buffer: &'a mut [u8; MAX_SHORT_NONCE]) -> Option<&'a [u8]> {
    if text.len() > MAX_SHORT_NONCE / 3 * 4 {
        return None;
    }
    let nonce = fast::STANDARD.decode(text.as_bytes(), fast::Out::from_slice(buffer)).ok()?;
    Some(nonce)
}

/// Appends what the base64 stands for.
fn decode(text: &str, field: &'static str, out: &mut Vec<u8>) -> Result<(), TokenError> {
    let start = out.len();
    if fast::STANDARD.decode_append(text, out).is_ok() {
        return Ok(());
    }
    // Go's decoder takes some more.
    out.truncate(start);
    let decoded = if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        READ.decode_vec(text, out)
    } else {
        READ.decode_vec(text.replace('\r', ""), out)
    };
    decoded.map_err(|_| TokenError::Base64 { field })
}

/// Appends the token of these parts.
fn write(data: &[u8], nonce: &[u8], tag: &[u8], kind: ScalarType, out: &mut String) {
    out.reserve(data.len().div_ceil(3) * 4 + 120);
    out.push_str(PREFIX);
    fast::STANDARD.encode_append(data, out);
    out.push_str(",iv:");
    fast::STANDARD.encode_append(nonce, out);
    out.push_str(",tag:");
    fast::STANDARD.encode_append(tag, out);
    out.push_str(",type:");
    out.push_str(kind.name());
    out.push(']');
}

/// Go's decoder takes any bits behind the last byte.
const READ: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Room for the nonces that are common.
const MAX_SHORT_NONCE: usize = 48;

/// Ciphertexts up to this length are made without an allocation.
const SHORT_PLAINTEXT: usize = 256;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::{
        EncryptedValue, OpenError, READ, TokenError, fast, is_canonical, is_token, open, seal,
    };
    use crate::crypto::cipher::{Cipher, CipherError};
    use crate::secret::DataKey;
    use crate::value::ScalarType;

    const NONCE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn cipher() -> Cipher {
        Cipher::new(&DataKey::from_bytes(&[b'f'; 32]).expect("32 bytes"))
    }

    fn token(data: &str, tag: &str, kind: &str) -> String {
        format!("ENC[AES256_GCM,data:{data},iv:{NONCE},tag:{tag},type:{kind}]")
    }

    #[track_caller]
    fn check_with(nonce: [u8; 32], kind: ScalarType, plaintext: &str, aad: &str, token: &str) {
        let mut sealed = String::from("before ");
        seal(&cipher(), kind, plaintext.as_bytes(), aad.as_bytes(), &nonce, &mut sealed);
        assert_eq!(sealed, format!("before {token}"));
        let mut opened = b"before ".to_vec();
        assert_eq!(open(token, &cipher(), aad.as_bytes(), &mut opened), Ok(kind));
        assert_eq!(opened, format!("before {plaintext}").as_bytes());
        let value = EncryptedValue::parse(token).expect("a token");
        assert_eq!((value.kind(), value.nonce()), (kind, &nonce[..]));
        assert_eq!(value.to_string(), token);
        assert_eq!(value.open(&cipher(), aad.as_bytes()).as_deref(), Ok(plaintext.as_bytes()));
    }

    #[track_caller]
    fn check(kind: ScalarType, plaintext: &str, aad: &str, data: &str, tag: &str) {
        let nonce = std::array::from_fn(|at| u8::try_from(at).expect("below 32"));
        check_with(nonce, kind, plaintext, aad, &token(data, tag, kind.name()));
    }

    #[test]
    fn the_fast_decoder_takes_nothing_that_the_other_refuses() {
        let characters = b"AQz+/=-_\r\n .";
        for start in [String::new(), "AQID".repeat(16)] {
            for number in 0..characters.len().pow(5) {
                let digit = |place| number / characters.len().pow(place) % characters.len();
                let end: Vec<u8> = (0..number % 6)
                    .filter_map(|place| u32::try_from(place).ok())
                    .map(|place| characters[digit(place)])
                    .collect();
                let text = [start.as_bytes(), &end].concat();
                if let Ok(bytes) = fast::STANDARD.decode_to_vec(&text) {
                    assert_eq!(READ.decode(&text), Ok(bytes));
                }
            }
        }
    }

    #[test]
    fn tokens_are_those_of_sops() {
        use ScalarType::{Bool, Comment, Float, Int, Str, Time};
        check(Str, "hello", "a:", "07kG5Ts=", "1GdLT+URkCKAV9khDXYONA==");
        check(Int, "42", "m:n:", "j+4=", "ox1Zt/M9z7UZ4zbsLVVcQA==");
        check(Float, "1.5", "f:", "ivJf", "jqQumx67eFDBukTH4SWziQ==");
        check(Bool, "True", "l:", "764f7A==", "Kn/1zUUPrpNAdU1wJL7ZTA==");
        let time = ("iexYvXmlaYgvPBMpb0EMYx6OUzY=", "fUCYLPPaYF1IaQ6qiK+X9g==");
        check(Time, "2024-01-01T00:00:00Z", "t:", time.0, time.1);
        check(Comment, " note", ":", "m7IF/TE=", "MWJxzBhTeH6rUF3B+xnaVQ==");
        check(Comment, " note", "m:", "m7IF/TE=", "VU+9CIindgM+0YsHgRWvMg==");
        check(
            Str,
            "E9AF301F71A5604BA91F66EF43EB406A09C58A3AF91D2AE0979DAF8975DA2085\
             97753CF48336A457C785FC42015A2BF0AC3787798A5175385DC6C238D85749D3",
            "2026-01-02T03:04:05Z",
            "/uUrz2elaeMoPAYsaUsIEWWHUioqoS4Pdob5MkI5jRaKeUCK+jgRVeXzHBfdirEQ6s1x0A9eaeftLA9zAJmveNgT\
             vQgRJ2eHoT9QTdYKVEom5KTMyxGSxbmZx5hiUYnIwM6G2LXN3GkbZhY0MVqk5PL1aUkfcAWGDtEeK/DbUq4=",
            "7O+uUPYL+J3AgoypFj6ybQ==",
        );
    }

    #[test]
    fn the_token_of_sops_own_test_is_made_and_read() {
        let nonce = STANDARD.decode("MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=");
        let nonce = nonce.expect("base64").try_into().expect("32 bytes");
        check_with(
            nonce,
            ScalarType::Str,
            "foo",
            "bar:",
            "ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,\
             tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]",
        );
    }

    #[test]
    fn an_empty_text_has_no_token() {
        let mut out = String::new();
        seal(&cipher(), ScalarType::Str, b"", b"a:", &[0; 32], &mut out);
        assert_eq!(out, "");
    }

    #[test]
    fn a_long_text_is_sealed_and_opened() {
        let text = vec![b'x'; 100_000];
        let (mut sealed, mut opened) = (String::new(), Vec::new());
        seal(&cipher(), ScalarType::Str, &text, b"a:", &[0; 32], &mut sealed);
        assert_eq!(open(&sealed, &cipher(), b"a:", &mut opened), Ok(ScalarType::Str));
        assert_eq!(opened, text);
    }

    #[track_caller]
    fn opens(token: &str, expect: Result<&str, OpenError>) {
        let mut out = b"-".to_vec();
        let opened = open(token, &cipher(), b"a:", &mut out).map(|_| &out[1..]);
        assert_eq!(opened, expect.map(str::as_bytes), "{token}");
        if expect.is_err() {
            assert_eq!(out, b"-", "{token}");
        }
    }

    #[test]
    fn tokens_are_read_as_sops_reads_them() {
        let hello = token("07kG5Ts=", "1GdLT+URkCKAV9khDXYONA==", "str");
        opens(&format!("{hello} and more"), Ok("hello"));
        opens(&format!("{hello}\n]"), Ok("hello"));
        opens(&token("07k\rG5Ts=\r", "1GdLT+URkCKAV9khDXYONA==", "str"), Ok("hello"));
        opens(&token("07kG5Tt=", "1GdLT+URkCKAV9khDXYONA==", "str"), Ok("hello"));
        // Only ciphertext and tag together matter.
        opens(&token("07kG5TvU", "Z0tP5RGQIoBX2SENdg40", "str"), Ok("hello"));
        opens(&format!(" {hello}"), Err(TokenError::NotEncrypted.into()));
        opens("", Err(TokenError::NotEncrypted.into()));
        opens("ENC[AES256_CBC,data:", Err(TokenError::NotEncrypted.into()));
        opens(&format!("{hello}]"), Err(TokenError::UnknownType.into()));
        opens(&hello.replace(']', ""), Err(TokenError::Cut { field: "closing bracket" }.into()));
        opens(&hello.replace("str", ""), Err(TokenError::Cut { field: "type" }.into()));
        opens(&hello.replace("tag", "Tag"), Err(TokenError::Cut { field: "tag" }.into()));
        opens(&hello.replace(NONCE, ""), Err(TokenError::Cut { field: "iv" }.into()));
        opens(&hello.replace("07kG5Ts=", ""), Err(TokenError::Cut { field: "data" }.into()));
        opens(&hello.replace("07kG5Ts=", "é"), Err(TokenError::Base64 { field: "data" }.into()));
        opens(
            &hello.replace("07kG5Ts=", "07kG5Ts"),
            Err(TokenError::Base64 { field: "data" }.into()),
        );
        opens(&hello.replace(NONCE, "AAE"), Err(TokenError::Base64 { field: "iv" }.into()));
        opens(&hello.replace("1Gd", "1G."), Err(TokenError::Base64 { field: "tag" }.into()));
        opens(&hello.replace("07kG", "17kG"), Err(CipherError::NotAuthentic.into()));
        opens(&hello.replace(NONCE, "AAA="), Err(CipherError::NotAuthentic.into()));
        opens(
            &hello.replace(NONCE, &"AAAA".repeat(22)),
            Err(CipherError::NonceLength { len: 66 }.into()),
        );
        opens(&token("07kG", "1GdL", "str"), Err(CipherError::TooShort { len: 6 }.into()));
        assert!(is_token(&hello) && !is_token("ENC[AES256_GCM,data:]"));
    }

    #[test]
    fn a_changed_type_is_noticed_where_the_text_does_not_fit_it() {
        for kind in [ScalarType::Int, ScalarType::Float, ScalarType::Bool, ScalarType::Time] {
            let hello = token("07kG5Ts=", "1GdLT+URkCKAV9khDXYONA==", kind.name());
            opens(&hello, Err(OpenError::NotCanonical { kind }));
            let value = EncryptedValue::parse(&hello).expect("a token");
            assert_eq!(value.open(&cipher(), b"a:"), Err(OpenError::NotCanonical { kind }));
        }
    }

    #[track_caller]
    fn canonical(kind: ScalarType, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(is_canonical(kind, text.as_bytes()), "{text}");
        }
        for text in no {
            assert!(!is_canonical(kind, text.as_bytes()), "{text}");
        }
        assert!(!is_canonical(kind, b"") && !is_canonical(ScalarType::Int, b"\xff"));
    }

    #[test]
    fn only_one_rendering_of_a_value_is_canonical() {
        canonical(
            ScalarType::Int,
            &["0", "-42", "9223372036854775807", "-9223372036854775808"],
            &["-0", "+1", "007", "1.0", "9223372036854775808", " 1", "0x1", "1_0"],
        );
        canonical(
            ScalarType::Float,
            &["0", "-0", "1", "1.5", "0.0000001", "NaN", "+Inf", "-Inf", "18446744073709552000"],
            &["1.0", "1e3", "Inf", "inf", "nan", "+1", ".5", "18446744073709551615"],
        );
        canonical(ScalarType::Bool, &["True", "False"], &["true", "1", "t"]);
        canonical(
            ScalarType::Time,
            &["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5+01:00"],
            &["2024-01-01", "2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00.50Z"],
        );
        canonical(
            ScalarType::DatetimeLocal,
            &["2024-01-01T00:00:00", "2024-01-01T00:00:00.5"],
            &["2024-01-01T00:00:00Z", "2024-01-01T00:00", "2024-01-01 00:00:00"],
        );
        canonical(ScalarType::DateLocal, &["2024-02-29"], &["2023-02-29", "2024-02-29T00:00:00"]);
        canonical(
            ScalarType::TimeLocal,
            &["07:32:00", "07:32:00.25", "23:59:60"],
            &["7:32:00", "07:32:00Z"],
        );
        canonical(ScalarType::Str, &["x"], &[]);
    }

    #[test]
    fn debug_shows_no_value() {
        let value = EncryptedValue::parse(&token("07kG5Ts=", "1Gd=", "str")).expect("a token");
        assert_eq!(format!("{value:?}"), "EncryptedValue(str)");
    }
}

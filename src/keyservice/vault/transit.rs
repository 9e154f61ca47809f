//! The transit engine's requests and answers, as bytes.
//!
//! Invariants: an answer is used only if it has one result for each item, each under the number that
//! the item was sent with; a result with an error is none, whatever the status; what it holds of
//! plaintext is overwritten.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::envelope::{flat, texts};
use super::json::{Json, wipe};
use crate::secret::SecretText;

/// What the server is asked to do with each item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
    /// Ciphertext to ciphertext of the newest version of the key.
    Rewrap,
}

impl Operation {
    /// Its name in the path of the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Rewrap => "rewrap",
        }
    }

    fn input(self) -> &'static str {
        match self {
            Self::Encrypt => "plaintext",
            Self::Decrypt | Self::Rewrap => "ciphertext",
        }
    }

    fn output(self) -> &'static str {
        match self {
            Self::Encrypt | Self::Rewrap => "ciphertext",
            Self::Decrypt => "plaintext",
        }
    }
}

/// One item of a batch.
pub struct Item {
    /// The plaintext in base64, or the ciphertext.
    pub text: SecretText,
    /// What a derived key is derived by, as bytes; all items of a batch have one, or none.
    pub context: Option<String>,
}

/// Why an answer as a whole is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is not JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// The server says what is wrong.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// Something else than results for these items.
    #[error("the answer holds something else than one result for each item")]
    Shape,
    /// What was asked was not done as asked.
    #[error("the server did not understand all of the request: {0}")]
    Ignored(String),
}

/// The body of a batch request.
///
/// `type` is one that does not exist: the server creates no key that is missing then, whatever the token
/// may do (OpenBao 2.4.0), and does not look at it if the key is there.
#[must_use]
pub fn body(operation: Operation, items: &[Item]) -> Zeroizing<Vec<u8>> {
    let length: usize = items
        .iter()
        .map(|item| {
            let context = item.context.as_ref().map_or(0, String::len);
            item.text.expose_secret().len() + 2 * context + 64
        })
        .sum();
    let mut body = Json::with_room(length + 64);
    body.put("{");
    if operation == Operation::Encrypt {
        body.put("\"type\":\"no-new-key\",");
    }
    body.put("\"batch_input\":[");
    for (index, item) in items.iter().enumerate() {
        body.put(if index == 0 { "{\"" } else { ",{\"" });
        body.put(operation.input());
        body.put("\":");
        body.put_text(item.text.expose_secret());
        if let Some(context) = &item.context {
            body.put(",\"context\":");
            body.put_text(&BASE64_STANDARD.encode(context));
        }
        body.put(&format!(",\"reference\":\"{index}\"}}"));
    }
    body.put("]}");
    body.into_bytes()
}

/// The results of a batch of so many items, in their order: what each gave, or the server's word on why
/// not. `answer` is overwritten.
///
/// # Errors
///
/// If it is no answer to such a batch.
pub fn results(
    operation: Operation,
    count: usize,
    answer: Zeroizing<Vec<u8>>,
) -> Result<Vec<Result<SecretText, String>>, AnswerError> {
    let mut value: Value = serde_json::from_slice(&answer).map_err(|_| AnswerError::NotJson)?;
    let results = taken(operation, count, &mut value);
    // What was not taken can be plaintext as well.
    wipe(value);
    results
}

fn taken(
    operation: Operation,
    count: usize,
    value: &mut Value,
) -> Result<Vec<Result<SecretText, String>>, AnswerError> {
    let results = value.pointer_mut("/data/batch_results").and_then(Value::as_array_mut);
    let Some(items) = results else { return Err(refusal(value)) };
    let mut results = Vec::with_capacity(items.len());
    for (index, item) in items.iter_mut().enumerate() {
        // Each comes back under its number; a result in the place of another is none.
        if item.get("reference").and_then(Value::as_str) != Some(&index.to_string()) {
            return Err(AnswerError::Shape);
        }
        let error = item.get("error").and_then(Value::as_str).unwrap_or("");
        if !error.is_empty() {
            results.push(Err(flat(error)));
            continue;
        }
        // An old server leaves an empty plaintext out.
        let output = match item.get_mut(operation.output()).map(Value::take) {
            Some(Value::String(text)) => SecretText::new(text),
            None | Some(Value::Null) => SecretText::new(String::new()),
            Some(_) => return Err(AnswerError::Shape),
        };
        results.push(Ok(output));
    }
    if results.len() != count {
        return Err(AnswerError::Shape);
    }
    if let Some(warning) = ignored(value) {
        return Err(AnswerError::Ignored(warning));
    }
    Ok(results)
}

/// What an answer without results says.
fn refusal(value: &Value) -> AnswerError {
    let texts = texts(value);
    if value.get("errors").is_none() && texts.is_empty() {
        return AnswerError::Shape;
    }
    AnswerError::Refused(texts)
}

/// A warning that a parameter was not taken into account. Of `type` that is what it is for.
fn ignored(value: &Value) -> Option<String> {
    let warnings = value.get("warnings").and_then(Value::as_array)?;
    let text = |warning: &Value| warning.as_str().map(flat);
    warnings.iter().filter_map(text).find(|text| text.contains("unrecognized parameters"))
}

/// Whether this is a ciphertext of the transit engine: `vault:v1:` and base64.
#[must_use]
pub fn is_ciphertext(text: &str) -> bool {
    version(text).is_some()
}

/// The version of the key that made a ciphertext; an ancient `v0` means 1.
#[must_use]
pub fn version(text: &str) -> Option<u64> {
    let (version, base64) = text.strip_prefix("vault:v")?.split_once(':')?;
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let body = base64.trim_end_matches('=');
    let base64_only =
        body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
    let padding = base64.len() - body.len();
    let valid = digits && !body.is_empty() && base64_only && padding <= 2;
    valid.then(|| version.parse().ok().map(|version: u64| version.max(1))).flatten()
}

/// The bytes of a ciphertext: what stands in base64 behind its version.
#[must_use]
pub fn ciphertext_bytes(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    version(text)?;
    let (_, base64) = text.rsplit_once(':')?;
    BASE64_STANDARD.decode(base64).ok().map(Zeroizing::new)
}

/// The bytes of a decrypted item.
///
/// # Errors
///
/// If the server sent something else than base64.
pub fn decoded(plaintext: &SecretText) -> Result<Zeroizing<Vec<u8>>, base64::DecodeError> {
    BASE64_STANDARD.decode(plaintext.expose_secret()).map(Zeroizing::new)
}

/// The base64 of what is to be encrypted.
#[must_use]
pub fn encoded(plaintext: &[u8]) -> SecretText {
    SecretText::new(BASE64_STANDARD.encode(plaintext))
}

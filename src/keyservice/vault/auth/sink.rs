//! What an Agent leaves in a file: a token, or a token that is wrapped.

use serde_json::Value;

use super::{Desk, LoginError, wrapping};
use crate::secret::SecretText;

/// Whether a file holds a wrapped token.
#[must_use]
pub fn is_wrapped(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Opens the wrapped token of a file. An Agent wraps the token itself (`sys/wrapping/wrap`), or has the
/// server wrap the answer to its login; the file says which, and what the server says must agree.
///
/// # Errors
///
/// If it is none, was opened before, or was made for something else.
pub fn open(desk: &Desk<'_>, place: &str, text: &SecretText) -> Result<SecretText, LoginError> {
    let error = |problem| wrapping::error(place, problem);
    let sink: Option<Value> = serde_json::from_str(text.expose_secret()).ok();
    let mut sink = sink.ok_or_else(|| error("neither a token nor a wrapped one"))?;
    let path = sink.get("creation_path").and_then(Value::as_str).unwrap_or_default().to_owned();
    let token = match sink.get_mut("token").map(Value::take) {
        Some(Value::String(token)) => SecretText::new(token),
        _ => return Err(error("it holds no wrapped token that can be opened here")),
    };
    let is_login = path.starts_with("auth/") && path.split('/').any(|part| part == "login");
    let is_sink = path == "sys/wrapping/wrap" || is_login;
    let mut answer =
        wrapping::unwrap(desk, place, &token, &|found| is_sink && found == path.as_str())?;
    let inside = wrapping::text(&mut answer, "auth", "client_token")
        .or_else(|| wrapping::text(&mut answer, "data", "token"));
    inside.ok_or_else(|| error("there was no token inside"))
}

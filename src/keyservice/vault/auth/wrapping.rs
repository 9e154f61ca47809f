//! Wrapping tokens: something for one reader, who can tell if another was there before.
//!
//! Invariants: a wrapping token is looked up before it is opened, opened only if it was made where it
//! should have been, and opened once, whatever the answer.

use serde_json::Value;

use super::{Desk, LoginError, body};
use crate::keyservice::vault::envelope::flat;
use crate::keyservice::vault::{Repeat, VaultToken};
use crate::secret::SecretText;

/// Opens a wrapping token from a place: the answer that was put inside.
///
/// # Errors
///
/// If it is not valid (any more), or was made for something else.
pub fn unwrap(
    desk: &Desk<'_>,
    place: &str,
    token: &SecretText,
    is_expected: &dyn Fn(&str) -> bool,
) -> Result<Value, LoginError> {
    let header = VaultToken::new(token).map_err(|problem| error(place, &problem.to_string()))?;
    let header = header.ok_or_else(|| error(place, "it is empty"))?;
    // This needs no token and uses nothing up (Vault API).
    let asked = body(&[("token", header.expose_secret())]);
    let found = desk
        .call("POST", "sys/wrapping/lookup", Some(&asked), None, Repeat::Freely)
        .map_err(|refusal| spent(place, refusal, GONE))?;
    let path = found.pointer("/data/creation_path").and_then(Value::as_str).unwrap_or_default();
    if !is_expected(path) {
        let problem = format!(
            "it was made at `{}`, which is not where this one comes from: somebody may have put it \
             there",
            flat(path)
        );
        return Err(error(place, &problem));
    }
    // The token stands in the header alone: in the body as well it would be burnt.
    desk.call("POST", "sys/wrapping/unwrap", None, Some(&header), Repeat::Unsent).map_err(
        |refusal| match refusal {
            LoginError::Call(cut) => {
                error(place, &format!("{cut}: it may be used up, so have another made"))
            }
            refusal => spent(place, refusal, JUST_GONE),
        },
    )
}

/// Whether a text has the form of a token that a server makes, as a wrapping token is one: a secret id has
/// another (Vault API: `hvs.`, before it and in OpenBao `s.`; a JWT, if asked for).
pub(super) fn is_token(text: &str) -> bool {
    ["hvs.", "s.", "eyJ"].iter().any(|start| text.starts_with(start))
}

/// A text of what was inside: `data.secret_id`.
pub fn text(answer: &mut Value, outer: &str, name: &str) -> Option<SecretText> {
    match answer.get_mut(outer)?.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Some(SecretText::new(text)),
        _ => None,
    }
}

pub(super) fn error(place: &str, problem: &str) -> LoginError {
    LoginError::Wrapping { place: place.to_owned(), problem: problem.to_owned() }
}

/// Used, expired and never valid are one answer.
const GONE: &str = "it has expired, was opened before, or never was a wrapping token of this server: have \
                    another made; if it cannot have expired and nobody of yours has opened it, somebody else \
                    has read what was inside: have that revoked";

/// The server had it a moment ago.
const JUST_GONE: &str = "somebody else has opened it at this very moment and read what was inside; have that \
                         revoked, and another made";

fn spent(place: &str, refusal: LoginError, meaning: &str) -> LoginError {
    match refusal {
        LoginError::Refused { refusal, .. } => error(place, &format!("{refusal}: {meaning}")),
        other => other,
    }
}

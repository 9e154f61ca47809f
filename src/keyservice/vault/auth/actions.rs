//! The identity token of a job of GitHub Actions.

use serde_json::Value;

use super::SourceError;
use crate::keyservice::vault::escape::escaped;
use crate::keyservice::vault::{Answer, envelope};
use crate::secret::SecretText;

/// Where to ask for a token for this audience: the address that the job was given has a query already.
#[must_use]
pub fn url(base: &str, audience: &str) -> String {
    let sign = if base.contains('?') { '&' } else { '?' };
    format!("{base}{sign}audience={}", escaped(audience))
}

/// The token in the answer.
///
/// # Errors
///
/// If there is none; says what came instead, which is no secret.
pub fn token(answer: &Answer) -> Result<SecretText, SourceError> {
    let mut value = envelope::read(answer).map_err(|refusal| refusal.to_string())?;
    match value.get_mut("value").map(Value::take) {
        Some(Value::String(token)) => Ok(SecretText::new(token)),
        _ => Err("the answer holds no token".into()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_audience_is_one_parameter() {
        let url = super::url("https://h/token?api-version=2", "https://v.example/a&b");
        assert_eq!(url, "https://h/token?api-version=2&audience=https%3A%2F%2Fv.example%2Fa%26b");
    }
}

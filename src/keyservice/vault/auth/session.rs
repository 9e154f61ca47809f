//! What a login gave.

use std::time::Duration;

use serde_json::Value;

use super::{Desk, LoginError};
use crate::secret::SecretText;

/// A token that was made for us, and how long it lives.
pub struct Session {
    /// The token.
    pub token: SecretText,
    /// From the moment of the login; `None`: for ever.
    pub lease: Option<Duration>,
    /// Whether the server takes `renew-self`.
    pub renewable: bool,
    /// A batch token can be neither renewed nor revoked.
    pub batch: bool,
}

impl Session {
    /// Reads `auth` of an answer, whose other fields are optional (Vault API).
    ///
    /// # Errors
    ///
    /// If it holds no token.
    pub fn read(desk: &Desk<'_>, mut answer: Value) -> Result<Self, LoginError> {
        let shape = || LoginError::Shape { path: desk.mount().path.clone() };
        let auth = answer.get_mut("auth").ok_or_else(shape)?;
        let Some(Value::String(token)) = auth.get_mut("client_token").map(Value::take) else {
            return Err(shape());
        };
        let token = SecretText::new(token);
        if token.expose_secret().is_empty() {
            return Err(shape());
        }
        let seconds = auth.get("lease_duration").and_then(Value::as_u64).unwrap_or(0);
        let is = |name: &str| auth.get(name).and_then(Value::as_bool).unwrap_or(false);
        let batch = auth.get("token_type").and_then(Value::as_str) == Some("batch");
        let lease = (seconds > 0).then(|| Duration::from_secs(seconds));
        Ok(Self { token, lease, renewable: is("renewable"), batch })
    }
}

//! What a login gave.

use std::time::Duration;

use serde_json::Value;

use super::{Desk, LoginError, mfa};
use crate::keyservice::vault::envelope::flat;
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
    /// What it may do.
    pub policies: Vec<String>,
    /// Whom the server sees in it, if it says so.
    pub name: Option<String>,
}

impl Session {
    /// Reads `auth` of an answer, whose other fields are optional (Vault API). If a second factor is
    /// asked for, that is done first.
    ///
    /// # Errors
    ///
    /// If it holds no token.
    pub fn read(desk: &Desk<'_>, mut answer: Value) -> Result<Self, LoginError> {
        let shape = || LoginError::Shape { path: desk.mount().path.clone() };
        let auth = answer.get("auth").ok_or_else(shape)?;
        if let Some(validated) = mfa::validated(desk, auth)? {
            answer = validated;
        }
        let auth = answer.get_mut("auth").ok_or_else(shape)?;
        let Some(Value::String(token)) = auth.get_mut("client_token").map(Value::take) else {
            return Err(shape());
        };
        let token = SecretText::new(token);
        if token.expose_secret().is_empty() {
            return Err(shape());
        }
        let is = |name: &str| auth.get(name).and_then(Value::as_bool).unwrap_or(false);
        let batch = auth.get("token_type").and_then(Value::as_str) == Some("batch");
        let policies = auth.get("policies").and_then(Value::as_array).into_iter().flatten();
        let policies = policies.filter_map(Value::as_str).map(flat).collect();
        let metadata = auth.get("metadata");
        let name = NAMES.iter().find_map(|name| metadata?.get(name)?.as_str()).map(flat);
        Ok(Self { token, lease: lease(auth), renewable: is("renewable"), batch, policies, name })
    }
}

/// How long the token of an answer lives; `None`: for ever.
pub(super) fn lease(auth: &Value) -> Option<Duration> {
    let seconds = auth.get("lease_duration").and_then(Value::as_u64).unwrap_or(0);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Where methods write who logged in.
const NAMES: [&str; 5] = ["username", "service_account_name", "role_name", "common_name", "role"];

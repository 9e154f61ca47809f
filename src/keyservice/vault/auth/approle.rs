//! AppRole: a role id, and a secret id unless the role does without one.

use super::{Desk, LoginError, Session, body};
use crate::secret::SecretText;

/// The credentials of a role.
pub struct AppRole {
    /// Not a secret by itself.
    pub role_id: String,
    /// `None`: the role has `bind_secret_id=false`.
    pub secret_id: Option<SecretText>,
}

impl AppRole {
    /// Logs in (Vault API: `auth/approle/login`).
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        if self.role_id.is_empty() {
            return Err(LoginError::Setting("the role id is empty".to_owned()));
        }
        let mut fields = vec![("role_id", self.role_id.as_str())];
        if let Some(secret_id) = &self.secret_id {
            fields.push(("secret_id", secret_id.expose_secret()));
        }
        let answer = desk.post("login", &body(&fields), &[])?;
        Session::read(desk, answer)
    }
}

//! GitHub: a personal access token; the server asks GitHub whose it is (Vault API: `auth/github/login`).

use super::{Desk, LoginError, Session, body};
use crate::secret::SecretText;

/// Somebody of an organisation.
pub struct GitHub {
    /// A personal access token.
    pub token: SecretText,
}

impl GitHub {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        let token = self.token.expose_secret().trim();
        if token.is_empty() {
            return Err(LoginError::Setting("the access token for GitHub is empty".to_owned()));
        }
        desk.log_in("login", &body(&[("token", token)]), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, MADE, REFUSED, told};
    use super::GitHub;
    use crate::secret::SecretText;

    fn token() -> GitHub {
        GitHub { token: SecretText::new("ghp_abc\n".to_owned()) }
    }

    const REQUEST: &str = "POST https://vault.example/v1/auth/org/github/login\n\n\
                           {\"token\":\"ghp_abc\"}";

    #[test]
    fn an_access_token_is_sent_as_documented() {
        let fake = Fake::new(|_| MADE.into());
        let session = fake.desk("org/github", |desk| token().login(desk));
        assert_eq!(told(session), Ok("s.made"));
        assert_eq!(fake.seen(), [REQUEST]);
    }

    #[test]
    fn a_refused_access_token_is_not_sent_again() {
        let fake = Fake::new(|_| REFUSED.into());
        let error = fake.desk("org/github", |desk| told(token().login(desk)).expect_err("refused"));
        assert!(error.starts_with("permission denied (403): "), "{error}");
        assert!(!error.contains("ghp"), "{error}");
        assert_eq!(fake.seen(), [REQUEST]);
    }
}

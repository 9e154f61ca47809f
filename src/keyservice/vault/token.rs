//! The token that a request carries, and where it comes from.

use std::fmt;

use super::address::Address;
use crate::secret::SecretText;

/// A Vault token.
pub struct VaultToken(SecretText);

/// A text is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the token holds a blank, a line break or another character that no token has")]
pub struct TokenError;

impl VaultToken {
    /// Takes a token over, without the blanks and line breaks around it; `None`: there is nothing else.
    ///
    /// # Errors
    ///
    /// If it holds what cannot stand in the header of a request.
    pub fn new(text: &SecretText) -> Result<Option<Self>, TokenError> {
        let text = text.expose_secret().trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError);
        }
        Ok(Some(Self(SecretText::new(text.to_owned()))))
    }

    /// The token.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for VaultToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultToken")
    }
}

/// Headers of a request, their names in small letters.
pub type Headers = Vec<(&'static str, SecretText)>;

/// Where tokens come from.
pub trait TokenSource: Send + Sync {
    /// The token for a server; `None`: there is none, which an Agent need not mind.
    ///
    /// # Errors
    ///
    /// If a place that should hold one cannot be read; says which.
    fn token(&self, server: &Address) -> Result<Option<VaultToken>, String>;

    /// The token for a server that refused this one: read once more, where that can give another.
    ///
    /// # Errors
    ///
    /// As [`TokenSource::token`].
    fn renewed(
        &self,
        server: &Address,
        refused: Option<&VaultToken>,
    ) -> Result<Option<VaultToken>, String>;

    /// The token for a server that `from` sends a request on to: the token for that server, and no other.
    ///
    /// # Errors
    ///
    /// As [`TokenSource::token`], and if a token of `from` may not go there.
    fn behind(&self, server: &Address, _from: &Address) -> Result<Option<VaultToken>, String> {
        self.token(server)
    }

    /// What a request carries in the place of a token: the login itself, in headers. `None`: tokens are used.
    ///
    /// # Errors
    ///
    /// If the login was refused before, or cannot be made.
    fn inline(&self, _server: &Address) -> Result<Option<Headers>, String> {
        Ok(None)
    }

    /// The login in a request was refused: no other may carry it.
    fn refused(&self, _server: &Address, _problem: &str) {}

    /// What the token for a server came from, for messages: `VAULT_TOKEN`; `None`: there is none.
    fn origin(&self, server: &Address) -> Option<String>;

    /// Why there is no token, where more is known than that there is none: a variable that hides another.
    fn absent(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{SecretText, TokenError, VaultToken};

    #[test]
    fn a_token_is_one_printable_word() {
        let token = |text: &str| {
            let token = VaultToken::new(&SecretText::new(text.to_owned()))?;
            Ok(token.map(|token| token.expose_secret().to_owned()))
        };
        assert_eq!(token(" s.abc\n"), Ok(Some("s.abc".to_owned())));
        assert_eq!(token(" \n"), Ok(None));
        assert_eq!(token("s.abc\nX-Evil: 1"), Err(TokenError));
        assert_eq!(token("s.\u{e4}"), Err(TokenError));
    }
}

//! Why a call gave no answer.

use super::super::address::Address;
use super::super::http::TransportError;
use super::redirect::RedirectError;

/// Why a call gave no answer of the server.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The user did not name this server.
    #[error(
        "{server} is named by the file or its rule and not by you, so no token goes there; {advice}"
    )]
    NotTrusted {
        /// Which.
        server: Address,
        /// What the user can do.
        advice: String,
    },
    /// The user named the host with TLS.
    #[error(
        "{server} gets no token: {}, and over http everybody on the way can read it and answer in the \
         server's place; the file or its rule has to say {named}",
        differs(server, named)
    )]
    Plain {
        /// What the file names.
        server: Address,
        /// What the user named.
        named: Address,
    },
    /// The user forbade every server, those that he named too.
    #[error(
        "{server} gets no token: SOPS_HC_VAULT_ALLOWLIST is `none`, which forbids every server"
    )]
    Forbidden {
        /// Which.
        server: Address,
    },
    /// A place that should hold the token.
    #[error("{0}")]
    Token(String),
    /// The server sends the request elsewhere.
    #[error("the server sends the request on to {to}, {problem}")]
    Redirect {
        /// Where to; only what a URL begins with.
        to: String,
        /// Why it does not go there, or does not arrive.
        problem: RedirectError,
    },
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl CallError {
    /// Whether nobody was there to answer: another attempt may find somebody.
    #[must_use]
    pub fn is_nobody_there(&self) -> bool {
        match self {
            Self::Transport(error) => matches!(error, TransportError::Connect(_)),
            Self::Redirect { problem, .. } => {
                matches!(problem, RedirectError::Again | RedirectError::Unreachable(_))
            }
            Self::NotTrusted { .. }
            | Self::Plain { .. }
            | Self::Forbidden { .. }
            | Self::Token(_) => false,
        }
    }
}

fn differs(server: &Address, named: &Address) -> String {
    let rest = |it: &Address| it.to_string().split_once("://").map(|(_, rest)| rest.to_owned());
    if rest(server) == rest(named) {
        format!("you name {named}, only the scheme differs")
    } else {
        format!("you name its host with TLS, as {named}")
    }
}

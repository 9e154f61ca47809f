//! Where an answer sends a request: a server that stands by names its leader (Vault API).
//!
//! Invariants: a request goes on to the same path, at a server that the user named, and never from where
//! nobody can read it to where everybody can; a login goes on only to who was named one by one.

use super::super::address::Address;
use super::super::escape::unescaped;
use super::super::http::Answer;
use super::super::trust::Trust;
use super::{Call, CallError};

/// Why a redirect is not followed, or leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The user did not name that server.
    #[error("which you did not name; if it is yours, name it in SOPS_HC_VAULT_ALLOWLIST")]
    NotTrusted,
    /// Once is enough for a cluster whose standby sends to its leader.
    #[error("which sends it on again; set VAULT_ADDR to an address that answers itself")]
    Again,
    /// The token would go where everybody can read it.
    #[error("from https to http")]
    Readable,
    /// A standby sends the same request on, and nothing else.
    #[error("which is not where that request belongs: is VAULT_ADDR the address of a server?")]
    Elsewhere,
    /// A token for the one that sends on is none for where it sends to.
    #[error(
        "for which there is no token: let your token helper give one for that address too, or set \
         VAULT_ADDR to it"
    )]
    NoToken,
    /// Servers know one another by names that not everybody knows.
    #[error(
        "which this machine does not reach ({0}): set VAULT_ADDR to an address of the leader that it \
         reaches"
    )]
    Unreachable(String),
}

/// Whether an answer sends the request elsewhere.
pub(super) fn is_one(answer: &Answer) -> bool {
    matches!(answer.status, 301 | 302 | 307 | 308)
}

/// Where an answer sends a call that was made at `server`: an address, and the URL there.
pub(super) fn target(
    trust: &Trust,
    server: &Address,
    call: &Call<'_>,
    answer: &Answer,
) -> Result<(Address, String), CallError> {
    let refused = |to: String, problem| CallError::Redirect { to, problem };
    let location = answer.location.as_deref().unwrap_or_default();
    // A server writes the path in its own way: `@` for `%40`. What is asked for there is ours.
    let is_same = |path: &str| unescaped(path).is_some_and(|it| Some(it) == unescaped(call.path));
    let Some((origin, _)) = location.split_once("/v1/").filter(|(_, path)| is_same(path)) else {
        return Err(refused("another path".to_owned(), RedirectError::Elsewhere));
    };
    let to = match Address::of_file(origin) {
        Ok(to @ Address::Http(_)) => to,
        Ok(Address::Unix(_)) | Err(_) => {
            return Err(refused("what is no address".to_owned(), RedirectError::Elsewhere));
        }
    };
    let login = call.headers.iter().any(|(name, _)| name.starts_with("x-vault-inline-auth-"));
    if !(if login { trust.names(&to) } else { trust.allows(&to) }) {
        return Err(refused(to.to_string(), RedirectError::NotTrusted));
    }
    if server.is_secure() && !to.is_secure() {
        return Err(refused(to.to_string(), RedirectError::Readable));
    }
    let next = to.url(&format!("/v1/{}", call.path));
    Ok((to, next))
}

//! Logins: a token for who the user is.
//!
//! A method turns credentials into the requests that the server documents, and their answers into a
//! [`Session`]. Where credentials are kept, and who is asked for them, is known above: here they are
//! values, and the person at the terminal is a [`Person`].
//!
//! Invariants: a credential is sent once, whatever the answer (five refusals lock its name); a login
//! carries no other token; no error holds a credential.

mod approle;
mod aws;
pub mod aws_keys;
mod azure;
mod escape;
#[cfg(test)]
mod fake;
mod gcp;
mod github;
mod kerberos;
mod machine;
mod oidc;
mod okta;
mod saml;
mod session;
mod sigv4;

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

pub use self::approle::AppRole;
pub use self::aws::{AwsEc2, AwsIam};
pub use self::azure::{Azure, AzurePlace, azure_place, azure_token};
pub use self::gcp::{Gcp, gce_token, iam_token};
pub use self::github::GitHub;
pub use self::kerberos::{Kerberos, service_name};
pub use self::machine::{Machine, Way};
pub use self::oidc::{Door, Oidc, OidcBack, Page, Visit};
pub use self::okta::{Okta, OktaProvider};
pub use self::saml::Saml;
pub use self::session::Session;

use super::envelope::{self, Refusal};
use super::{Address, Call, CallError, Client, Repeat};
use crate::secret::{SecretText, fill_random, reserve};

/// Where to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// The server.
    pub server: Address,
    /// The namespace of the method, which need not be that of the keys.
    pub namespace: Option<String>,
    /// The path behind `auth/`: the method's name, if nothing else was chosen.
    pub path: String,
}

/// The person who logs in.
pub trait Person: Send + Sync {
    /// Asks for what is not shown while it is typed: a passcode, a password.
    ///
    /// # Errors
    ///
    /// If there is nobody to ask; says how else it can be given.
    fn secret(&self, prompt: &str) -> Result<SecretText, String>;

    /// Shows a line: a number to type on a phone, where to go with a browser.
    fn tell(&self, line: &str);

    /// Opens a page in the browser, if there is one.
    fn browse(&self, url: &str);
}

/// Why a login gave no session.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// What was configured cannot be sent.
    #[error("{0}")]
    Setting(String),
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server says no. The credential is not sent again.
    #[error("{refusal}: {hint}")]
    Refused {
        /// What it says.
        refusal: Refusal,
        /// What that can mean, and what to do.
        hint: String,
    },
    /// Something else than what the method answers.
    #[error("the answer to the login at auth/{path} holds no token")]
    Shape {
        /// The mount.
        path: String,
    },
    /// The person, or who stands for it, has not given what was asked.
    #[error("{0}")]
    Person(String),
}

/// A method with its mount, ready to be asked.
pub struct Desk<'a> {
    client: &'a Client,
    mount: &'a Mount,
}

impl<'a> Desk<'a> {
    /// The method that is mounted there.
    #[must_use]
    pub fn new(client: &'a Client, mount: &'a Mount) -> Self {
        Self { client, mount }
    }

    /// The mount.
    #[must_use]
    pub fn mount(&self) -> &Mount {
        self.mount
    }

    /// Where waits and time come from.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.client
    }

    /// Sends a credential: `auth/MOUNT/PATH`, in the place of which the namespace's header stands.
    ///
    /// # Errors
    ///
    /// If there is no answer, or it refuses.
    pub fn post(
        &self,
        path: &str,
        body: &[u8],
        headers: &[(&'static str, SecretText)],
    ) -> Result<Value, LoginError> {
        let time = self.client.options().timeout;
        self.send("POST", path, Some(body), headers, Repeat::Unsent, time)
    }

    /// As [`Desk::post`], of a login that somebody has to agree to elsewhere, which takes time.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn post_within(
        &self,
        path: &str,
        body: &[u8],
        headers: &[(&'static str, SecretText)],
        time: Duration,
    ) -> Result<Value, LoginError> {
        let time = time.max(self.client.options().timeout);
        self.send("POST", path, Some(body), headers, Repeat::Unsent, time)
    }

    /// Reads what the method says of a login under way.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn get(&self, path: &str) -> Result<Value, LoginError> {
        self.send("GET", path, None, &[], Repeat::Freely, self.client.options().timeout)
    }

    /// Reads with what is good for one time: a code in the query.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn get_once(&self, path: &str) -> Result<Value, LoginError> {
        self.send("GET", path, None, &[], Repeat::Unsent, self.client.options().timeout)
    }

    fn send(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&'static str, SecretText)],
        repeat: Repeat,
        time: Duration,
    ) -> Result<Value, LoginError> {
        let path = format!("auth/{}/{path}", self.mount.path);
        let call = Call {
            server: &self.mount.server,
            method,
            path: &path,
            body: body.filter(|body| !body.is_empty()),
            headers,
            namespace: self.mount.namespace.as_deref(),
            repeat,
        };
        let answer = self.client.call_within(&call, None, time)?;
        envelope::read(&answer).map_err(|refusal| {
            let hint = self.hint(&refusal);
            LoginError::Refused { refusal, hint }
        })
    }

    /// What a refusal can mean; servers say little.
    fn hint(&self, refusal: &Refusal) -> String {
        match refusal.status {
            // A mount that does not exist, a locked name and a wrong role are the same to the server.
            403 => format!(
                "is a method mounted at auth/{} in this namespace? After five refusals a name is \
                 locked for some minutes",
                self.mount.path
            ),
            _ => "it was not tried a second time".to_owned(),
        }
    }
}

/// A JSON object of texts, in a buffer that is overwritten.
#[must_use]
pub fn body(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::new());
    let mut put = |text: &str| {
        reserve(&mut body, text.len());
        body.extend_from_slice(text.as_bytes());
    };
    put("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        put(if at == 0 { "\"" } else { ",\"" });
        put(name);
        put("\":");
        put(&Zeroizing::new(Value::from(*value).to_string()));
    }
    put("}");
    body
}

/// Twenty letters and digits that nobody can guess.
///
/// # Errors
///
/// If the system has no random numbers.
pub(crate) fn nonce() -> Result<String, LoginError> {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut nonce = String::new();
    while nonce.len() < 20 {
        let mut random = [0; 32];
        fill_random(&mut random)
            .map_err(|_| LoginError::Setting("the system has no random numbers".to_owned()))?;
        // Those above the last multiple of 62 would favour some.
        let fair = random.iter().filter(|byte| **byte < 248);
        let digits = fair.map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]));
        nonce.extend(digits.take(20 - nonce.len()));
    }
    Ok(nonce)
}

/// How long a server may take to be asked again while a person does something elsewhere.
pub const PATIENCE: Duration = Duration::from_secs(120);

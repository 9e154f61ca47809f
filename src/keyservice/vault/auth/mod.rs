//! Logins: a token for who the user is.
//!
//! A method turns credentials into the requests that the server documents, and their answers into a
//! [`Session`]. Where credentials are kept, and who is asked for them, is known above: here they are
//! values, and the person at the terminal is a [`Person`].
//!
//! Invariants: a credential is sent once, whatever the answer (five refusals lock its name); a login
//! carries no other token; no error holds a credential.

pub mod actions;
mod approle;
mod aws;
pub mod aws_keys;
mod azure;
#[cfg(test)]
mod fake;
mod gcp;
mod github;
mod inline;
mod kerberos;
pub mod login;
mod machine;
mod mfa;
mod oidc;
mod okta;
pub mod place;
mod saml;
mod session;
pub mod sessions;
pub mod settings;
mod sigv4;
pub mod sink;
mod vouched;
pub mod wrapping;

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

pub use self::approle::AppRole;
pub use self::aws::{AwsEc2, AwsIam};
pub use self::azure::{Azure, AzurePlace, azure_place, azure_token};
pub use self::gcp::{Gcp, gce_token, iam_token};
pub use self::github::GitHub;
pub use self::kerberos::{Kerberos, service_name};
pub use self::login::{Form, Login, Plan};
pub use self::machine::{Machine, Way};
pub use self::oidc::{Door, DoorSettings, Oidc, OidcBack, Page, Visit};
pub use self::okta::{Okta, OktaProvider};
pub use self::place::{Place, Places, SourceError};
pub use self::saml::Saml;
pub use self::session::Session;
pub use self::sessions::Sessions;
pub use self::settings::{PlanError, Settings};
pub use self::vouched::Vouched;

use super::envelope::{self, Refusal};
use super::json::Json;
use super::{Address, Call, CallError, Client, Repeat, VaultToken};
use crate::secret::{SecretText, fill_random};

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
    fn secret(&self, prompt: &str) -> Result<SecretText, SourceError>;

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
    /// What should be sent is not to be had.
    #[error(transparent)]
    Source(#[from] SourceError),
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
    /// What should be for us alone may not have been.
    #[error("{place}: {problem}")]
    Wrapping {
        /// Where the wrapping token was.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The person, or who stands for it, has not given what was asked.
    #[error("{0}")]
    Person(String),
}

/// A method with its mount, ready to be asked.
pub struct Desk<'a> {
    client: &'a Client,
    mount: &'a Mount,
    person: Option<&'a dyn Person>,
    mfa: &'a [SecretText],
}

impl<'a> Desk<'a> {
    /// The method that is mounted there.
    #[must_use]
    pub fn new(client: &'a Client, mount: &'a Mount) -> Self {
        Self { client, mount, person: None, mfa: &[] }
    }

    /// With somebody who can be asked.
    #[must_use]
    pub fn with_person(self, person: &'a dyn Person) -> Self {
        Self { person: Some(person), ..self }
    }

    /// With second factors that are sent with the first (Vault API: `X-Vault-MFA`).
    #[must_use]
    pub fn with_mfa(self, mfa: &'a [SecretText]) -> Self {
        Self { mfa, ..self }
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

    /// Who can be asked.
    ///
    /// # Errors
    ///
    /// If there is nobody.
    pub fn person(&self) -> Result<&'a dyn Person, LoginError> {
        self.person.ok_or_else(|| LoginError::Person("there is nobody to ask".to_owned()))
    }

    /// Sends what a method needs in one request, and reads what it gave.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`], and if the answer holds no token.
    pub fn submit(&self, form: &Form) -> Result<Session, LoginError> {
        self.log_in(&form.path(), &form.body(), &[])
    }

    /// As [`Desk::post`], for the request that gives the token.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`], and if the answer holds no token.
    pub fn log_in(
        &self,
        path: &str,
        body: &[u8],
        headers: &[(&'static str, SecretText)],
    ) -> Result<Session, LoginError> {
        Session::read(self, self.post(path, body, headers)?)
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
        self.post_within(path, body, headers, self.client.options().timeout)
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
        let mut all: Vec<_> = headers.iter().map(|(name, text)| (*name, text.copy())).collect();
        all.extend(self.mfa.iter().map(|text| ("x-vault-mfa", text.copy())));
        let path = format!("auth/{}/{path}", self.mount.path);
        let body = Some(body).filter(|body| !body.is_empty());
        let call = self.line("POST", &path, body, &all, Repeat::Unsent);
        self.send(&call, None, time)
    }

    /// Reads what the method says of a login under way.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn get(&self, path: &str) -> Result<Value, LoginError> {
        let path = format!("auth/{}/{path}", self.mount.path);
        self.send_soon(&self.line("GET", &path, None, &[], Repeat::Freely), None)
    }

    /// Reads with what is good for one time: a code in the query.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn get_once(&self, path: &str) -> Result<Value, LoginError> {
        let path = format!("auth/{}/{path}", self.mount.path);
        self.send_soon(&self.line("GET", &path, None, &[], Repeat::Unsent), None)
    }

    /// Makes a call to another path of the server, in the namespace of the mount.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&[u8]>,
        token: Option<&VaultToken>,
        repeat: Repeat,
    ) -> Result<Value, LoginError> {
        self.send_soon(&self.line(method, path, body, &[], repeat), token)
    }

    /// Asks who the login in these headers is.
    ///
    /// # Errors
    ///
    /// As [`Desk::post`].
    pub fn look(&self, headers: &[(&'static str, SecretText)]) -> Result<Value, LoginError> {
        let path = "auth/token/lookup-self";
        self.send_soon(&self.line("GET", path, None, headers, Repeat::Unsent), None)
    }

    fn line<'c>(
        &'c self,
        method: &'static str,
        path: &'c str,
        body: Option<&'c [u8]>,
        headers: &'c [(&'static str, SecretText)],
        repeat: Repeat,
    ) -> Call<'c> {
        let (server, namespace) = (&self.mount.server, self.mount.namespace.as_deref());
        Call { server, method, path, body, headers, namespace, repeat }
    }

    fn send_soon(&self, call: &Call<'_>, token: Option<&VaultToken>) -> Result<Value, LoginError> {
        self.send(call, token, self.client.options().timeout)
    }

    fn send(
        &self,
        call: &Call<'_>,
        token: Option<&VaultToken>,
        time: Duration,
    ) -> Result<Value, LoginError> {
        let answer = self.client.call_within(call, token, time)?;
        envelope::read(&answer).map_err(|refusal| {
            let hint = self.hint(&refusal);
            LoginError::Refused { refusal, hint }
        })
    }

    /// What a refusal can mean; servers say little.
    fn hint(&self, refusal: &Refusal) -> String {
        match refusal.status {
            // A mount that does not exist, a locked name and a wrong role are the same to the server.
            403 if says_no_more(refusal) => format!(
                "is a method mounted at auth/{} in this namespace? After five refusals a name is \
                 locked, for 15 minutes if nothing else is set",
                self.mount.path
            ),
            _ => "it was not tried a second time".to_owned(),
        }
    }
}

/// Whether a refusal gives no reason.
fn says_no_more(refusal: &Refusal) -> bool {
    refusal.texts.iter().all(|text| text == "permission denied")
}

/// A JSON object of texts, in a buffer that is overwritten.
#[must_use]
pub fn body(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let mut body = Json::default();
    body.put("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        body.put(if at == 0 { "\"" } else { ",\"" });
        body.put(name);
        body.put("\":");
        body.put_text(value);
    }
    body.put("}");
    body.into_bytes()
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

/// How long a person may take to do something elsewhere.
pub const PATIENCE: Duration = Duration::from_secs(120);

//! What a method asks of the machine that it runs on: its environment, files, and the services that tell
//! a machine of a cloud who it is.
//!
//! Invariants: no error here holds a header, a body or the query of a URL.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::super::json::wipe;
use super::super::{Answer, Request, TransportError};
use super::SourceError;
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

/// The machine.
pub trait Machine: Send + Sync {
    /// A variable of the environment; one that is empty is none.
    fn variable(&self, name: &'static str) -> Option<String>;

    /// The text of a file, `~/` being the user's home; `None`: there is no such file.
    ///
    /// # Errors
    ///
    /// If it cannot be read; says which file.
    fn file(&self, path: &str) -> Result<Option<SecretText>, SourceError>;

    /// What a command prints, run without a shell, without the blanks around it.
    ///
    /// # Errors
    ///
    /// If it cannot be run, or fails; nothing of what it prints is in the error.
    fn command(&self, line: &str) -> Result<SecretText, SourceError>;

    /// Asks a service that is no Vault server.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    fn fetch(&self, way: Way, request: &Request<'_>) -> Result<Answer, TransportError>;

    /// The time of day.
    fn time(&self) -> Timestamp;
}

/// How a service is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// On this machine or its link: without a proxy, and it answers at once or is not there.
    Link,
    /// Somewhere in the world: over the user's proxy.
    World,
}

impl Way {
    fn patience(self) -> Duration {
        match self {
            Self::Link => Duration::from_secs(2),
            Self::World => Duration::from_secs(30),
        }
    }
}

/// One question to a service.
pub(super) struct Question<'a> {
    pub(super) way: Way,
    pub(super) method: &'static str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, SecretText)],
    pub(super) body: Option<&'a [u8]>,
}

/// Why a service gave nothing.
pub(super) enum Silence {
    /// Nobody is there.
    Away(String),
    /// It says no: the status, and what can be said of it.
    No(u16, String),
}

impl Silence {
    pub(super) fn text(self) -> String {
        match self {
            Self::Away(text) | Self::No(_, text) => text,
        }
    }
}

impl Question<'_> {
    /// Asks; the answer as text.
    pub(super) fn ask(&self, machine: &dyn Machine) -> Result<SecretText, Silence> {
        let headers: Vec<_> = self.headers.iter().map(|(name, text)| (*name, text)).collect();
        let request = Request {
            method: self.method,
            url: self.url,
            socket: None,
            token: None,
            namespace: None,
            headers: &headers,
            body: self.body,
            timeout: self.way.patience(),
        };
        let place = place(self.url);
        let answer = machine
            .fetch(self.way, &request)
            .map_err(|error| Silence::Away(format!("{place}: {error}")))?;
        if answer.status != 200 {
            let text = format!("{place} answers with status {}", answer.status);
            return Err(Silence::No(answer.status, text));
        }
        match std::str::from_utf8(&answer.body) {
            Ok(text) => Ok(SecretText::new(text.to_owned())),
            Err(_) => Err(Silence::No(answer.status, format!("{place} answers with no text"))),
        }
    }
}

/// Whether a secret may go where a variable says: over TLS, to this machine, or to a service of its cloud
/// that `is_known`. Names but `localhost` are asked of a resolver, which may be anybody's.
pub(super) fn is_near(url: &str, is_known: fn(IpAddr) -> bool) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let known = host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || is_known(ip));
    !authority.contains(['@', '\\']) && (host == "localhost" || known)
}

/// The service of a URL, for messages: what stands behind its host is left out.
fn place(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    &url[..end]
}

/// A text of a JSON object.
pub(super) fn text_of(json: &SecretText, names: &[&str]) -> Option<SecretText> {
    let mut value: Value = serde_json::from_str(json.expose_secret()).ok()?;
    let found = names.iter().try_fold(&mut value, |value, name| value.get_mut(name))?.take();
    // The other texts may be secrets as well.
    wipe(value);
    match found {
        Value::String(text) => Some(SecretText::new(text)),
        _ => None,
    }
}

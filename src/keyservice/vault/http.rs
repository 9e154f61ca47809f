//! What a request and an answer are, and who carries them.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::token::VaultToken;
use crate::secret::SecretText;

/// A request, on its way to one server.
pub struct Request<'a> {
    /// `GET`, `POST`, `LIST`, `DELETE`.
    pub method: &'static str,
    /// All of it.
    pub url: &'a str,
    /// The socket to connect to, in the place of the URL's host.
    pub socket: Option<&'a str>,
    /// `X-Vault-Token`.
    pub token: Option<&'a VaultToken>,
    /// `X-Vault-Namespace`.
    pub namespace: Option<&'a str>,
    /// Other headers.
    pub headers: &'a [(&'a str, &'a SecretText)],
    /// JSON, unless a header says otherwise.
    pub body: Option<&'a [u8]>,
    /// For all of it, until the last byte of the answer.
    pub timeout: Duration,
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`: as it stands there.
    pub retry_after: Option<String>,
    /// `Location`: where to go instead.
    pub location: Option<String>,
    /// At most [`LARGEST`] bytes.
    pub body: Zeroizing<Vec<u8>>,
}

/// Bytes of an answer that are read: no answer to a batch of data keys is that large.
pub const LARGEST: usize = 8 << 20;

/// Why no answer came.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Nobody was reached: nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// Who answers is not who was asked for.
    #[error("{0}")]
    Tls(String),
    /// The connection ended before the answer did.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The login that a request carried was refused (OpenBao: `X-Vault-Inline-Auth-Failed`).
    #[error("{0}")]
    Login(String),
    /// More than [`LARGEST`] bytes.
    #[error("the answer is too long")]
    TooLong,
    /// It cannot be tried at all, whatever the server.
    #[error("{0}")]
    Setting(String),
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: &Request<'_>) -> Result<Answer, TransportError> {
        (**self).send(request)
    }

    fn now(&self) -> Duration {
        (**self).now()
    }

    fn pause(&self, time: Duration) {
        (**self).pause(time);
    }
}

/// Carries requests: over a network, or as a test says. It follows no redirect and repeats nothing.
pub trait Transport: Send + Sync {
    /// Sends a request and reads the answer.
    ///
    /// # Errors
    ///
    /// If there is no answer; a status of 400 and above is one.
    fn send(&self, request: &Request<'_>) -> Result<Answer, TransportError>;

    /// The time since some moment of this process.
    fn now(&self) -> Duration;

    /// Waits.
    fn pause(&self, time: Duration);
}

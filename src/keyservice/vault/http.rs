//! What a request and an answer are, and who carries them.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::token::VaultToken;
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

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
    /// `Retry-After`: how long to wait before the request is made again.
    pub retry_after: Option<Duration>,
    /// `Location`: where to go instead.
    pub location: Option<String>,
    /// At most [`LARGEST`] bytes.
    pub body: Zeroizing<Vec<u8>>,
}

/// The time that a header `Retry-After` asks for: whole seconds, or a date (RFC 9110, 10.2.3 and 5.6.7), from
/// that of the answer on, so that nobody's clock needs to be right. One that is over is no time; `None`: it is
/// neither.
#[must_use]
pub fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let seconds = unix(text)?.checked_sub(unix(date?)?)?;
            Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn unix(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let (day, word, year) = (words.next()?, words.next()?, words.next()?);
    let mut time = words.next()?.split(':').map(|text| text.parse::<u8>().ok());
    let time = (time.next()??, time.next()??, time.next()??, 0);
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(word);
    let month = month.filter(|at| at % 3 == 0 && word.len() == 3)?;
    let month = u8::try_from(month / 3 + 1).ok()?;
    let date = (year.parse().ok()?, month, day.parse().ok()?);
    Timestamp::from_parts(date, time, 0).map(Timestamp::unix)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::retry_after;

    #[test]
    fn a_time_to_wait_is_seconds_or_a_date() {
        let date = Some("Sat, 28 Feb 2026 23:59:50 GMT");
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 01 Mar 2026 00:00:05 GMT", Some(15)),
            ("Sat, 28 Feb 2026 23:59:49 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("Sun, 31 Feb 2026 00:00:05 GMT", None),
            ("Sun, 01 arA 2026 00:00:05 GMT", None),
            ("Sun, 01 Mar 2026 00:00", None),
        ] {
            assert_eq!(retry_after(text, date), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after("Sun, 01 Mar 2026 00:00:05 GMT", None), None);
    }
}

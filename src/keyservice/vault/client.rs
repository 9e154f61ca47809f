//! One call of a Vault API: the token, the namespace, what is repeated, and how often.
//!
//! Invariants: no request leaves for a server that is not trusted, be it a file or a redirect that names
//! it; a call ends within its time, however often it is repeated.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::address::Address;
use super::http::{Answer, Request, Transport, TransportError};
use super::rate::{Pace, Rate};
use super::token::{Headers, TokenSource, VaultToken};
use super::trust::{Asker, Trust};
use crate::secret::{SecretText, fill_random};

/// How a call is made.
pub struct Client {
    transport: Box<dyn Transport>,
    tokens: Box<dyn TokenSource>,
    trust: Trust,
    asker: Option<Box<dyn Asker>>,
    options: ClientOptions,
    pace: Mutex<Pace>,
    /// What servers said of the user's token, if they were asked.
    alive: Mutex<Vec<(Address, bool)>>,
}

/// What can be chosen of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// An Agent or Proxy that stands in for every server.
    pub agent: Option<Address>,
    /// `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// For a call with all its repetitions.
    pub timeout: Duration,
    /// How often a call is repeated.
    pub retries: u32,
    /// Whether a redirect is followed, to a server that is trusted.
    pub redirects: bool,
    /// How fast requests may follow one another.
    pub rate: Option<Rate>,
    /// Headers of every request.
    pub headers: Arc<Vec<(String, SecretText)>>,
}

impl Default for ClientOptions {
    /// As the API library of Vault has it.
    fn default() -> Self {
        let timeout = Duration::from_secs(60);
        Self {
            agent: None,
            namespace: None,
            timeout,
            retries: 2,
            redirects: true,
            rate: None,
            headers: Arc::default(),
        }
    }
}

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
        /// Why it does not go there.
        problem: RedirectError,
    },
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
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
}

/// Where a call goes.
pub struct Call<'a> {
    /// The server that the file or the user names.
    pub server: &'a Address,
    /// `GET`, `POST`, `LIST`, `DELETE`.
    pub method: &'static str,
    /// Behind `/v1/`.
    pub path: &'a str,
    /// JSON.
    pub body: Option<&'a [u8]>,
    /// Other headers than those of every call, in small letters.
    pub headers: &'a [(&'static str, SecretText)],
    /// `X-Vault-Namespace`.
    pub namespace: Option<&'a str>,
    /// What happens to a call without an answer.
    pub repeat: Repeat,
}

/// Whether a call may be made twice (Vault API: what uses up a credential or makes a lease may not).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// What it does, it does again.
    Freely,
    /// Only if it was not sent: nobody was reached.
    Unsent,
}

impl Client {
    /// A client that sends with this transport, to those whom the user trusts.
    #[must_use]
    pub fn new(
        transport: Box<dyn Transport>,
        tokens: Box<dyn TokenSource>,
        trust: Trust,
        options: ClientOptions,
    ) -> Self {
        let trust = match &options.agent {
            Some(agent) => trust.with(agent.clone()),
            None => trust,
        };
        let (pace, alive) = (Mutex::default(), Mutex::default());
        Self { transport, tokens, trust, asker: None, options, pace, alive }
    }

    /// Asks about a server that nobody has named yet.
    #[must_use]
    pub fn asking(mut self, asker: Box<dyn Asker>) -> Self {
        self.asker = Some(asker);
        self
    }

    /// Where a token was looked for in vain, for messages.
    #[must_use]
    pub fn absent_token(&self) -> Option<String> {
        self.tokens.absent()
    }

    /// How calls are made.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Where the token for a server comes from, for messages.
    #[must_use]
    pub fn token_origin(&self, server: &Address) -> Option<String> {
        self.tokens.origin(self.options.agent.as_ref().unwrap_or(server))
    }

    /// Whether the server knows the user's token; `None`: it was not asked.
    pub(super) fn is_alive(&self, server: &Address) -> Option<bool> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.iter().find(|(it, _)| it == server).map(|(_, alive)| *alive)
    }

    /// Keeps what the server said of the user's token.
    pub(super) fn set_alive(&self, server: &Address, is_alive: bool) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.push((server.clone(), is_alive));
    }

    /// The time since some moment of this process.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.transport.now()
    }

    /// Waits.
    pub fn pause(&self, time: Duration) {
        self.transport.pause(time);
    }

    /// Makes a call with the user's token.
    ///
    /// # Errors
    ///
    /// If no answer came. An answer that refuses is one.
    pub fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let server = self.trusted(call)?;
        if let Some(inline) = self.tokens.inline(server).map_err(CallError::Token)? {
            return self.call_inline(server, call, inline);
        }
        let token = self.tokens.token(server).map_err(CallError::Token)?;
        let end = self.transport.now().saturating_add(self.options.timeout);
        let answer = self.repeated(server, call, token.as_ref(), end)?;
        if answer.status != 403 {
            return Ok(answer);
        }
        // The token may have been renewed since: by an Agent, by a login beside us.
        let renewed = self.tokens.renewed(server, token.as_ref()).map_err(CallError::Token)?;
        let same = |new: &VaultToken| {
            token.as_ref().is_some_and(|old| old.expose_secret() == new.expose_secret())
        };
        match renewed {
            Some(new) if !same(&new) => self.repeated(server, call, Some(&new), end),
            Some(_) | None => Ok(answer),
        }
    }

    /// Makes a call with this token, or with none, as a login does.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn call_with(
        &self,
        call: &Call<'_>,
        token: Option<&VaultToken>,
    ) -> Result<Answer, CallError> {
        self.call_within(call, token, self.options.timeout)
    }

    /// As [`Client::call_with`], in a time of its own: a person may have to do something first.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn call_within(
        &self,
        call: &Call<'_>,
        token: Option<&VaultToken>,
        time: Duration,
    ) -> Result<Answer, CallError> {
        let end = self.transport.now().saturating_add(time);
        self.repeated(self.trusted(call)?, call, token, end)
    }

    /// Makes a call that carries its login. There is no token beside it, which the server would refuse.
    fn call_inline(
        &self,
        server: &Address,
        call: &Call<'_>,
        mut headers: Headers,
    ) -> Result<Answer, CallError> {
        let copy = |text: &SecretText| SecretText::new(text.expose_secret().to_owned());
        headers.extend(call.headers.iter().map(|(name, text)| (*name, copy(text))));
        let Call { method, path, body, namespace, repeat, .. } = *call;
        let call = Call { server, method, path, body, headers: &headers, namespace, repeat };
        let end = self.transport.now().saturating_add(self.options.timeout);
        let answer = self.repeated(server, &call, None, end);
        if let Err(CallError::Transport(TransportError::Login(problem))) = &answer {
            self.tokens.refused(server, problem);
        }
        answer
    }

    /// The server that a call really goes to.
    fn trusted<'a>(&'a self, call: &Call<'a>) -> Result<&'a Address, CallError> {
        let server = self.options.agent.as_ref().unwrap_or(call.server);
        let asked = |asker: &dyn Asker| !self.trust.is_none() && asker.allows(server);
        if self.trust.allows(server) || self.asker.as_deref().is_some_and(asked) {
            return Ok(server);
        }
        let server = server.clone();
        Err(match self.trust.is_none() {
            true => CallError::Forbidden { server },
            false => CallError::NotTrusted { advice: self.trust.advice(&server), server },
        })
    }

    fn repeated(
        &self,
        server: &Address,
        call: &Call<'_>,
        token: Option<&VaultToken>,
        end: Duration,
    ) -> Result<Answer, CallError> {
        let mut attempt = 0;
        loop {
            self.keep_pace();
            let left = end.saturating_sub(self.transport.now());
            let result = self.sent(server, call, token, left);
            attempt += 1;
            let freely = call.repeat == Repeat::Freely;
            let wait = match &result {
                Err(CallError::Transport(TransportError::Connect(_))) => Some(pause(attempt)),
                Err(CallError::Transport(TransportError::Broken(_))) if freely => {
                    Some(pause(attempt))
                }
                Ok(answer) if freely => wait_after(answer, attempt),
                Ok(_) | Err(_) => None,
            };
            let left = end.saturating_sub(self.transport.now());
            match wait {
                Some(wait) if attempt <= self.options.retries && wait < left => {
                    self.transport.pause(wait);
                }
                Some(_) | None => return result,
            }
        }
    }

    /// Sends a call once, and once more where the server sends it.
    fn sent(
        &self,
        server: &Address,
        call: &Call<'_>,
        token: Option<&VaultToken>,
        time: Duration,
    ) -> Result<Answer, CallError> {
        let end = self.transport.now().saturating_add(time);
        let url = server.url(&format!("/v1/{}", call.path));
        let answer = self.send(server, &url, call, token, time)?;
        if !matches!(answer.status, 301 | 302 | 307 | 308) || !self.options.redirects {
            return Ok(answer);
        }
        let (to, next) = self.redirect(server, call, &answer)?;
        let time = end.saturating_sub(self.transport.now());
        // Each server has a token of its own, where there is more than one.
        let own = match token {
            Some(_) if to != *server => self.tokens.token(&to).map_err(CallError::Token)?,
            Some(_) | None => None,
        };
        let answer = self.send(&to, &next, call, own.as_ref().or(token), time)?;
        if matches!(answer.status, 301 | 302 | 307 | 308) {
            return Err(CallError::Redirect { to: to.to_string(), problem: RedirectError::Again });
        }
        Ok(answer)
    }

    /// Where an answer sends us: the same request at a server that the user named, or nowhere.
    fn redirect(
        &self,
        server: &Address,
        call: &Call<'_>,
        answer: &Answer,
    ) -> Result<(Address, String), CallError> {
        let refused = |to: String, problem| CallError::Redirect { to, problem };
        let location = answer.location.as_deref().unwrap_or_default();
        let path = format!("/v1/{}", call.path);
        let Some(origin) = location.strip_suffix(&path) else {
            return Err(refused("another path".to_owned(), RedirectError::Elsewhere));
        };
        let to = match Address::of_file(origin) {
            Ok(to @ Address::Http(_)) => to,
            Ok(Address::Unix(_)) | Err(_) => {
                return Err(refused("what is no address".to_owned(), RedirectError::Elsewhere));
            }
        };
        // A login goes to servers that were named one by one.
        let login = call.headers.iter().any(|(name, _)| name.starts_with("x-vault-inline-auth-"));
        let trust = if login { self.trust.clone().only_named() } else { self.trust.clone() };
        if !trust.allows(&to) {
            return Err(refused(to.to_string(), RedirectError::NotTrusted));
        }
        let is_secure = |it: &Address| it.to_string().starts_with("https://");
        if is_secure(server) && !is_secure(&to) {
            return Err(refused(to.to_string(), RedirectError::Readable));
        }
        let next = to.url(&path);
        Ok((to, next))
    }

    /// Waits until the next request may be sent.
    fn keep_pace(&self) {
        let Some(rate) = &self.options.rate else { return };
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = pace.next(rate, self.transport.now());
        drop(pace);
        if !wait.is_zero() {
            self.transport.pause(wait);
        }
    }

    fn send(
        &self,
        server: &Address,
        url: &str,
        call: &Call<'_>,
        token: Option<&VaultToken>,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let socket = match server {
            Address::Unix(path) => Some(path.as_str()),
            Address::Http(_) => None,
        };
        let extra = self.options.headers.iter().map(|(name, text)| (name.as_str(), text));
        let headers: Vec<_> =
            extra.chain(call.headers.iter().map(|(name, text)| (*name, text))).collect();
        let request = Request {
            method: call.method,
            url,
            socket,
            token,
            namespace: call.namespace,
            headers: &headers,
            body: call.body,
            timeout,
        };
        Ok(self.transport.send(&request)?)
    }
}

/// How long to wait before a call is repeated; `None`: it is not (vault.md 2.6).
fn wait_after(answer: &Answer, attempt: u32) -> Option<Duration> {
    // A batch that failed inside says so with a status, and would fail again.
    let holds_results = memchr::memmem::find(&answer.body, b"\"batch_results\"").is_some();
    let says = |text: &str| memchr::memmem::find(&answer.body, text.as_bytes()).is_some();
    let parsed = says("failed to parse") || says(super::RSA_FAULT);
    match answer.status {
        412 | 429 | 500 | 502..=599 if !holds_results && !parsed => {
            let seconds = answer.retry_after.as_deref().and_then(|text| text.trim().parse().ok());
            Some(seconds.map_or_else(|| pause(attempt), Duration::from_secs))
        }
        _ => None,
    }
}

/// One to one and a half seconds for each attempt, so that many runs do not come back at once.
fn pause(attempt: u32) -> Duration {
    let mut random = [0; 2];
    if fill_random(&mut random).is_err() {
        return Duration::from_secs(u64::from(attempt));
    }
    let jitter = u64::from(u16::from_le_bytes(random)) * 500 / u64::from(u16::MAX);
    Duration::from_millis((1_000 + jitter) * u64::from(attempt))
}

//! One call of a Vault API: the token, the namespace, what is repeated, and how often.
//!
//! Invariants: no request leaves for a server that is not trusted, be it a file or a redirect that names
//! it; a token of the user's goes to no other server than its source gives it for; a call ends within its
//! time, however often it is repeated; no text of an answer holds what was sent.

mod echo;
mod error;
mod redirect;
mod repeat;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::error::CallError;
pub use self::redirect::RedirectError;
pub use self::repeat::Repeat;

use self::repeat::Next;
use super::address::Address;
use super::http::{Answer, Request, Transport, TransportError};
use super::rate::{Pace, Rate};
use super::token::{Headers, TokenSource, VaultToken};
use super::trust::{Asker, Trust};
use crate::secret::SecretText;

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
    /// Servers that did what they were asked.
    serving: Mutex<Vec<Address>>,
}

/// Whose token a request carries.
#[derive(Clone, Copy)]
enum Bearer<'a> {
    /// The user's for the server of the call, if there is one. For another server its source is asked.
    User(Option<&'a VaultToken>),
    /// This one, or none, wherever the request goes.
    Given(Option<&'a VaultToken>),
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
        let (pace, alive, serving) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { transport, tokens, trust, asker: None, options, pace, alive, serving }
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

    /// Whether the user named a server, or the Agent that stands in for it, so that nobody has to be asked.
    #[must_use]
    pub fn is_named(&self, server: &Address) -> bool {
        self.trust.allows(self.options.agent.as_ref().unwrap_or(server))
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
        // That wait may be longer than a token lives.
        self.keep_pace();
        let token = self.tokens.token(server).map_err(CallError::Token)?;
        let end = self.transport.now().saturating_add(self.options.timeout);
        let answer = self.repeated(server, call, Bearer::User(token.as_ref()), end)?;
        if answer.status != 403 {
            return Ok(answer);
        }
        // The token may have been renewed since: by an Agent, by a login beside us.
        let renewed = self.tokens.renewed(server, token.as_ref()).map_err(CallError::Token)?;
        let same = |new: &VaultToken| {
            token.as_ref().is_some_and(|old| old.expose_secret() == new.expose_secret())
        };
        match renewed {
            Some(new) if !same(&new) => {
                self.keep_pace();
                self.repeated(server, call, Bearer::User(Some(&new)), end)
            }
            Some(_) | None => Ok(answer),
        }
    }

    /// Makes a call with this token, or with none, as a login does; behind a redirect too.
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
        self.repeated(self.trusted(call)?, call, Bearer::Given(token), end)
    }

    /// Makes a call that carries its login. There is no token beside it, which the server would refuse.
    fn call_inline(
        &self,
        server: &Address,
        call: &Call<'_>,
        mut headers: Headers,
    ) -> Result<Answer, CallError> {
        headers.extend(call.headers.iter().map(|(name, text)| (*name, text.copy())));
        let Call { method, path, body, namespace, repeat, .. } = *call;
        let call = Call { server, method, path, body, headers: &headers, namespace, repeat };
        let end = self.transport.now().saturating_add(self.options.timeout);
        let answer = self.repeated(server, &call, Bearer::Given(None), end);
        if let Err(CallError::Transport(TransportError::Login(problem))) = &answer {
            self.tokens.refused(server, problem);
        }
        answer
    }

    /// The server that a call really goes to.
    fn trusted<'a>(&'a self, call: &Call<'a>) -> Result<&'a Address, CallError> {
        let server = self.options.agent.as_ref().unwrap_or(call.server);
        if self.trust.allows(server) {
            return Ok(server);
        }
        if self.trust.is_none() {
            return Err(CallError::Forbidden { server: server.clone() });
        }
        // Whoever can write on the way to a file would have a token asked for in plain.
        let before = || self.asker.as_deref().and_then(|asker| asker.with_tls(server));
        if let Some(named) = self.trust.with_tls(server).cloned().or_else(before) {
            return Err(CallError::Plain { server: server.clone(), named });
        }
        let advice = self.trust.advice(server);
        let advice = match self.asker.as_deref().map(|asker| asker.allows(server)) {
            Some(Ok(true)) => return Ok(server),
            Some(Err(problem)) => format!("{problem}; {advice}"),
            Some(Ok(false)) | None => advice,
        };
        Err(CallError::NotTrusted { server: server.clone(), advice })
    }

    /// Makes a call until it is answered, its time is over, or it has failed often enough.
    fn repeated(
        &self,
        server: &Address,
        call: &Call<'_>,
        bearer: Bearer<'_>,
        end: Duration,
    ) -> Result<Answer, CallError> {
        let (mut attempt, mut looks) = (0, 0);
        let hope = self.transport.now().saturating_add(repeat::LONGEST);
        loop {
            // For the first request with a token of the user's that was done before it was fetched.
            if attempt + looks > 0 || matches!(bearer, Bearer::Given(_)) {
                self.keep_pace();
            }
            let left = end.saturating_sub(self.transport.now());
            let result = self.sent(server, call, bearer, left);
            let wait = match repeat::next(&result, call.repeat, self.serves(server)) {
                Next::Again(wait) if attempt < self.options.retries => {
                    attempt += 1;
                    wait.unwrap_or_else(|| repeat::pause(attempt))
                }
                // Who wants nothing repeated has that.
                Next::Leader if self.options.retries > 0 && self.transport.now() < hope => {
                    if let Some(asker) = self.asker.as_deref().filter(|_| looks == 0) {
                        asker.waits(server);
                    }
                    looks += 1;
                    repeat::pause(looks.min(repeat::PATIENT))
                }
                Next::End | Next::Again(_) | Next::Leader => {
                    self.note_service(server, &result);
                    return result;
                }
            };
            if wait >= end.saturating_sub(self.transport.now()) {
                return result;
            }
            self.transport.pause(wait);
        }
    }

    fn serves(&self, server: &Address) -> bool {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).contains(server)
    }

    fn note_service(&self, server: &Address, result: &Result<Answer, CallError>) {
        if result.as_ref().is_ok_and(|answer| answer.status < 300) && !self.serves(server) {
            let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
            serving.push(server.clone());
        }
    }

    /// Sends a call once, and once more where the server sends it.
    fn sent(
        &self,
        server: &Address,
        call: &Call<'_>,
        bearer: Bearer<'_>,
        time: Duration,
    ) -> Result<Answer, CallError> {
        let end = self.transport.now().saturating_add(time);
        let url = server.url(&format!("/v1/{}", call.path));
        let (Bearer::User(token) | Bearer::Given(token)) = bearer;
        let answer = self.send(server, &url, call, token, time)?;
        if !redirect::is_one(&answer) || !self.options.redirects {
            return Ok(answer);
        }
        let (to, next) = redirect::target(&self.trust, server, call, &answer)?;
        let failed = |problem| CallError::Redirect { to: to.to_string(), problem };
        let own = match bearer {
            Bearer::User(_) if to != *server => {
                self.tokens.behind(&to, server).map_err(CallError::Token)?
            }
            Bearer::User(_) | Bearer::Given(_) => None,
        };
        let token = match bearer {
            // Without one the answer would be that of a token that may not.
            Bearer::User(Some(_)) if to != *server && own.is_none() => {
                return Err(failed(RedirectError::NoToken));
            }
            Bearer::User(_) if to != *server => own.as_ref(),
            Bearer::User(token) | Bearer::Given(token) => token,
        };
        let time = end.saturating_sub(self.transport.now());
        let answer = self.send(&to, &next, call, token, time).map_err(|error| match error {
            TransportError::Connect(why) => failed(RedirectError::Unreachable(why)),
            error => error.into(),
        })?;
        if redirect::is_one(&answer) {
            return Err(failed(RedirectError::Again));
        }
        Ok(answer)
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
    ) -> Result<Answer, TransportError> {
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
        echo::hide(&request, call.path, self.transport.send(&request))
    }
}

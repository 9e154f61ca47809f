//! The tokens of a run that logs in by itself.
//!
//! Invariants: a server is logged in to once, however many ask for its token at a time; a login that
//! failed is not tried again in the run; no credential goes to a server that is trusted only because all
//! are; the server is asked to revoke a token that was made here when the [`Sessions`] end, also one that was
//! replaced. After [`Sessions::break_off`] nobody gets a token.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::session::{Session, lease};
use super::{Desk, LoginError, Mount, Person, Places, Plan, inline};
use crate::keyservice::vault::{
    Address, Client, ClientOptions, Headers, Repeat, TokenSource, Transport, Trust, VaultToken,
};
use crate::secret::SecretText;

/// The tokens of a plan, one for each server, and what a login needs.
pub struct Sessions {
    /// Without tokens: a login carries none.
    client: Client,
    /// For the last words, which nobody waits for.
    parting: Client,
    /// Who was named one by one.
    trust: Trust,
    plan: Plan,
    origin: String,
    places: Box<dyn Places>,
    person: Box<dyn Person>,
    mfa: Vec<SecretText>,
    servers: Mutex<HashMap<Address, Arc<Mutex<Server>>>>,
}

/// What is known of a server.
#[derive(Default)]
struct Server {
    state: State,
    /// Tokens that another took the place of, to be revoked.
    replaced: Vec<SecretText>,
    /// No other login follows: one did after a refusal, or could not.
    again: bool,
    /// Why it could not.
    why: Option<String>,
}

#[derive(Default)]
enum State {
    #[default]
    New,
    Live(Live),
    /// Each request carries this login.
    Inline(Headers),
    /// Why there is no token, for the rest of the run.
    Failed(String),
}

struct Live {
    session: Session,
    /// When its lease began.
    since: Duration,
    /// The first lease: what a renewal gives is held against it.
    first: Option<Duration>,
    /// Nothing more can be done for it than to use it.
    settled: bool,
}

/// What a server says of such a login that it refused. A header says it too, if nobody on the way drops it.
const NOT_LET_IN: &str = "failed to perform inline authentication";

/// How long the last words may take.
const PARTING: Duration = Duration::from_secs(5);

/// How long an interrupt waits for a login that is under way, and between two looks at it.
const UNDER_WAY: Duration = Duration::from_secs(2);
const MOMENT: Duration = Duration::from_millis(20);

impl Sessions {
    /// Logins by this plan, over this transport, at servers that the user named. `origin` is where the
    /// plan stands, for messages.
    #[must_use]
    pub fn new(
        plan: Plan,
        origin: &str,
        transport: &Arc<dyn Transport>,
        trust: &Trust,
        options: &ClientOptions,
        places: Box<dyn Places>,
        person: Box<dyn Person>,
    ) -> Self {
        let trust = trust.clone().only_named();
        let client = |options: ClientOptions| {
            let transport = Box::new(Arc::clone(transport));
            Client::new(transport, Box::new(NoTokens), trust.clone(), options)
        };
        let parting = ClientOptions { timeout: PARTING, retries: 0, ..options.clone() };
        let (client, parting) = (client(options.clone()), client(parting));
        let (origin, servers) = (origin.to_owned(), Mutex::default());
        Self { client, parting, trust, plan, origin, places, person, mfa: Vec::new(), servers }
    }

    /// With second factors that are sent with the first.
    #[must_use]
    pub fn with_mfa(mut self, mfa: Vec<SecretText>) -> Self {
        self.mfa = mfa;
        self
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Logs in, for somebody who keeps the token: until [`Sessions::kept`] it is one of a run.
    ///
    /// # Errors
    ///
    /// As [`super::Login::login`].
    pub fn login_to_keep(&self, server: &Address) -> Result<Session, LoginError> {
        let at = self.server(server);
        let mut at = locked(&at);
        let session = self.login(server)?;
        if !session.batch {
            at.replaced.push(SecretText::new(session.token.expose_secret().to_owned()));
        }
        Ok(session)
    }

    /// The tokens of a server are somebody's who keeps them: they are not revoked.
    pub fn kept(&self, server: &Address) {
        locked(&self.server(server)).replaced.clear();
    }

    /// Takes back a token that was made to be kept, and cannot be.
    ///
    /// # Errors
    ///
    /// If the server does not take it back: one that it does not store lives on.
    pub fn give_back(&self, server: &Address, session: &Session) -> Result<(), LoginError> {
        self.kept(server);
        let mount = self.mount(server);
        revoke(&Desk::new(&self.parting, &mount), &session.token)
    }

    fn login(&self, server: &Address) -> Result<Session, LoginError> {
        let mount = self.mount(server);
        let desk = Desk::new(&self.client, &mount);
        let desk = desk.with_person(&*self.person).with_mfa(&self.mfa);
        self.plan.login.login(&desk, &*self.places)
    }

    fn mount(&self, server: &Address) -> Mount {
        let namespace = self.plan.namespace.clone();
        let namespace = namespace.or_else(|| self.client.options().namespace.clone());
        let namespace = namespace.filter(|it| !it.is_empty());
        Mount { server: server.clone(), namespace, path: self.plan.mount.clone() }
    }

    fn server(&self, server: &Address) -> Arc<Mutex<Server>> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(server.clone()).or_default())
    }

    /// The token, of a login that is made or a lease that is renewed if it is time for that.
    fn current(&self, at: &mut Server, server: &Address) -> Result<VaultToken, String> {
        match &at.state {
            State::New => self.log_in(at, server),
            State::Live(live) if live.is_due(self.client.now()) => self.renew(at, server),
            State::Live(_) | State::Inline(_) | State::Failed(_) => {}
        }
        match &at.state {
            State::Live(live) => live.token().map_err(|problem| self.failed(&problem)),
            State::Failed(problem) => Err(problem.clone()),
            State::New | State::Inline(_) => Err(self.failed("there was no login")),
        }
    }

    fn log_in(&self, at: &mut Server, server: &Address) {
        let since = self.client.now();
        match self.login(server) {
            Ok(session) => Self::follow(at, session, since),
            Err(error) => {
                let problem = match at.again {
                    true => self.ended(&self.again_failed(&error)),
                    false => self.failed(&error.to_string()),
                };
                at.turn(State::Failed(problem));
            }
        }
    }

    fn failed(&self, problem: &str) -> String {
        let Plan { login, mount, .. } = &self.plan;
        format!("the login {} at auth/{mount} ({}) failed: {problem}", login.name(), self.origin)
    }

    fn again_failed(&self, error: &LoginError) -> String {
        let hint = self.plan.login.has_secret_id();
        let hint =
            if hint { "; if its secret id is good for one login, say single_use=true" } else { "" };
        format!("another login failed: {error}{hint}")
    }

    /// There is no token any more.
    fn ended(&self, why: &str) -> String {
        let Plan { login, mount, .. } = &self.plan;
        format!(
            "the token of the login {} at auth/{mount} ({}) has ended, and {why}; what helps is a longer \
             life or more uses of such a token (token_ttl, token_max_ttl, token_num_uses), or fewer files \
             in a run",
            login.name(),
            self.origin
        )
    }

    /// Two thirds of a lease are over: it is renewed, or another is begun.
    fn renew(&self, at: &mut Server, server: &Address) {
        let State::Live(live) = &mut at.state else { return };
        let now = self.client.now();
        if live.session.renewable && !live.session.batch {
            let mount = self.mount(server);
            let desk = Desk::new(&self.client, &mount);
            let answer = live.token().ok().and_then(|token| {
                let path = "auth/token/renew-self";
                desk.call("POST", path, Some(b"{}"), Some(&token), Repeat::Freely).ok()
            });
            if let Some(renewed) = answer.as_ref().and_then(|it| lease(it.get("auth")?)) {
                (live.session.lease, live.since) = (Some(renewed), now);
                // Near its longest life a token gets less and less.
                if live.first.is_none_or(|first| renewed > first / 5) {
                    return;
                }
            }
        }
        // What is left of the old one is used if there is no other.
        live.settled = true;
        if !at.again && self.can_repeat() {
            match self.login(server) {
                Ok(session) => Self::follow(at, session, now),
                Err(error) => {
                    at.again = true;
                    at.why = Some(self.again_failed(&error));
                }
            }
        }
    }

    /// Whether another login can work: a passcode, as a wrapped secret id, is good for one.
    fn can_repeat(&self) -> bool {
        self.plan.login.can_repeat() && self.mfa.is_empty()
    }

    /// Why another login cannot follow.
    fn spent(&self) -> &'static str {
        match (self.can_repeat(), self.mfa.is_empty()) {
            (true, _) => "so had the one before",
            (false, false) => "its passcode is good for one login",
            (false, true) if self.plan.login.has_secret_id() => {
                "its secret id is good for one login"
            }
            (false, true) => "another login needs somebody to be there",
        }
    }

    /// A token takes the place of what was there.
    fn follow(at: &mut Server, session: Session, since: Duration) {
        let (first, settled) = (session.lease, false);
        at.turn(State::Live(Live { session, since, first, settled }));
    }

    /// Has the server look at the login that every request will carry: many at a time would be as many
    /// refusals.
    fn begin_inline(&self, at: &mut Server, server: &Address) {
        let mount = self.mount(server);
        let desk = Desk::new(&self.client, &mount).with_person(&*self.person);
        let tried = self.plan.login.form(&desk, &*self.places).and_then(|form| {
            let headers = inline::headers(&mount, &form);
            match desk.look(&headers) {
                // There is no token to look at, which the server says after it has let us in.
                Err(LoginError::Refused { refusal, .. })
                    if !refusal.texts.iter().any(|text| text.contains(NOT_LET_IN)) =>
                {
                    Ok(headers)
                }
                Ok(_) => Ok(headers),
                Err(error) => Err(self.plan.login.explained(error, &form)),
            }
        });
        at.state = match tried {
            Ok(headers) => State::Inline(headers),
            Err(error) => State::Failed(self.failed(&error.to_string())),
        };
    }

    /// Whether the server still knows a token: what it refuses then is not the token.
    fn is_alive(&self, server: &Address, token: &VaultToken) -> bool {
        let mount = self.mount(server);
        let desk = Desk::new(&self.client, &mount);
        let path = "auth/token/lookup-self";
        match desk.call("GET", path, None, Some(token), Repeat::Freely) {
            Ok(_) => true,
            Err(LoginError::Refused { refusal, .. }) => refusal.status != 403,
            Err(_) => true,
        }
    }

    /// Takes back what was made here. That it fails is no harm that could be mended: leases end.
    pub fn end(&self) {
        // Held until the end, so that who breaks off meanwhile waits for it.
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        for (server, at) in servers.drain() {
            self.take_back(&server, &mut locked(&at));
        }
    }

    /// As [`Sessions::end`], of a program that is interrupted while others work: if `waits`, a login under
    /// way is waited for, for a moment; then whoever wants a token waits for the end of the program.
    pub fn break_off(&self, waits: bool) {
        // Nobody agrees to a login on a phone that they have just broken off.
        let waits = waits && !self.plan.login.waits_for_person();
        let end = self.client.now() + if waits { UNDER_WAY } else { Duration::ZERO };
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy: Vec<_> = servers.iter().collect();
        loop {
            busy.retain(|(server, at)| {
                let held = match at.try_lock() {
                    Ok(held) => held,
                    Err(TryLockError::Poisoned(held)) => held.into_inner(),
                    Err(TryLockError::WouldBlock) => return true,
                };
                self.take_back(server, &mut ManuallyDrop::new(held));
                false
            });
            if busy.is_empty() || self.client.now() >= end {
                break;
            }
            self.client.pause(MOMENT);
        }
        std::mem::forget(servers);
    }

    fn take_back(&self, server: &Address, at: &mut Server) {
        let mut tokens = std::mem::take(&mut at.replaced);
        if let State::Live(live) = std::mem::take(&mut at.state)
            && !live.session.batch
        {
            tokens.push(live.session.token);
        }
        let mount = self.mount(server);
        for token in tokens {
            let _ = revoke(&Desk::new(&self.parting, &mount), &token);
        }
    }
}

/// Makes an end of a token and of all leases that were read with it.
///
/// # Errors
///
/// If the server does not know it, or is not there.
pub fn revoke(desk: &Desk<'_>, token: &SecretText) -> Result<(), LoginError> {
    let token = VaultToken::new(token).map_err(|error| LoginError::Setting(error.to_string()))?;
    let path = "auth/token/revoke-self";
    desk.call("POST", path, None, token.as_ref(), Repeat::Unsent).map(|_| ())
}

impl Server {
    /// Another state; a token that was there is kept, to be revoked.
    fn turn(&mut self, state: State) {
        if let State::Live(old) = std::mem::replace(&mut self.state, state)
            && !old.session.batch
        {
            self.replaced.push(old.session.token);
        }
    }
}

impl Live {
    fn is_due(&self, now: Duration) -> bool {
        let Some(lease) = self.session.lease.filter(|_| !self.settled) else { return false };
        now.saturating_sub(self.since) >= lease / 3 * 2
    }

    fn token(&self) -> Result<VaultToken, String> {
        let token = VaultToken::new(&self.session.token).map_err(|error| error.to_string())?;
        token.ok_or_else(|| "the server gave no token".to_owned())
    }
}

fn locked(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TokenSource for Sessions {
    fn token(&self, server: &Address) -> Result<Option<VaultToken>, String> {
        let at = self.server(server);
        self.current(&mut locked(&at), server).map(Some)
    }

    /// One that stands by sends to its leader, who knows the session as well: nobody logs in twice, which
    /// would use a credential up.
    fn behind(&self, server: &Address, from: &Address) -> Result<Option<VaultToken>, String> {
        if self.trust.allows(server) {
            return self.token(from);
        }
        Err(format!(
            "{from} sends the request on to {server}, which was not named one by one: no token of the \
             login {} ({}) goes there; name it in SOPS_HC_VAULT_ALLOWLIST",
            self.plan.login.name(),
            self.origin
        ))
    }

    fn renewed(
        &self,
        server: &Address,
        refused: Option<&VaultToken>,
    ) -> Result<Option<VaultToken>, String> {
        let at = self.server(server);
        let mut at = locked(&at);
        let token = self.current(&mut at, server)?;
        let is_refused = |old: &VaultToken| old.expose_secret() == token.expose_secret();
        // Somebody beside us has a new one by now; or what was refused is not the token.
        if !refused.is_some_and(is_refused) || self.is_alive(server, &token) {
            return Ok(Some(token));
        }
        let may_repeat = self.can_repeat() && !at.again;
        at.again = true;
        if may_repeat {
            self.log_in(&mut at, server);
        } else {
            let why = at.why.take().unwrap_or_else(|| self.spent().to_owned());
            at.turn(State::Failed(self.ended(&why)));
        }
        self.current(&mut at, server).map(Some)
    }

    fn inline(&self, server: &Address) -> Result<Option<Headers>, String> {
        if !self.plan.inline {
            return Ok(None);
        }
        let at = self.server(server);
        let mut at = locked(&at);
        if matches!(at.state, State::New) {
            self.begin_inline(&mut at, server);
        }
        match &at.state {
            State::Inline(headers) => Ok(Some(inline::copy(headers))),
            State::Failed(problem) => Err(problem.clone()),
            State::New | State::Live(_) => Err(self.failed("there was no login")),
        }
    }

    fn refused(&self, server: &Address, problem: &str) {
        let at = self.server(server);
        locked(&at).state = State::Failed(self.failed(problem));
    }

    fn origin(&self, _server: &Address) -> Option<String> {
        Some(format!("the login {} ({})", self.plan.login.name(), self.origin))
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.end();
    }
}

/// For calls that carry a token of their own, or none.
pub struct NoTokens;

impl TokenSource for NoTokens {
    fn token(&self, _server: &Address) -> Result<Option<VaultToken>, String> {
        Ok(None)
    }

    fn renewed(
        &self,
        _server: &Address,
        _refused: Option<&VaultToken>,
    ) -> Result<Option<VaultToken>, String> {
        Ok(None)
    }

    fn origin(&self, _server: &Address) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests;

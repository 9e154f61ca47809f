//! OIDC: the user logs in with a browser somewhere else, and the server hears of it (Vault and OpenBao API:
//! `oidc/auth_url`, `oidc/callback`, `oidc/poll`).
//!
//! The browser comes back to a door of this machine, or straight to the server. Which of the two the server
//! wants, its answer shows: what holds a `state` is to be polled for (OpenBao's modes `direct` and `device`).
//!
//! Invariants: the door is open before anybody is sent away; a visitor without the `state` of this login is
//! sent away and changes nothing; a code is sent to one server, and changed for
//! a token once; nothing but a page of the web is opened.

use std::time::Duration;

use super::super::envelope::flat;
use super::super::escape::{escaped, field};
use super::{Desk, LoginError, PATIENCE, Person, Session, SourceError, body, nonce};
use crate::secret::SecretText;

/// Somebody with a browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Oidc {
    /// `None`: the mount's default role.
    pub role: Option<String>,
    /// Where the browser is sent afterwards.
    pub back: OidcBack,
    /// The page is told and not opened.
    pub skip_browser: bool,
}

/// Where the browser is sent afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OidcBack {
    /// To this machine, unless the server wants it otherwise.
    Here,
    /// To the server, or nowhere (`callback_mode` of the role: `direct`, `device`).
    Server,
}

/// Where the door is, under the names that `vault login -method=oidc` has for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoorSettings {
    /// `listenaddress`: a name or number of this machine.
    pub listen: String,
    /// `port`; 0 is any that is free.
    pub port: u16,
    /// `callbackhost`: in the address that the browser is sent to; of this machine too.
    pub host: String,
    /// `callbackport`: there, if it is another one.
    pub uri_port: Option<u16>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        let localhost = "localhost".to_owned();
        Self { listen: localhost.clone(), port: 8250, host: localhost, uri_port: None }
    }
}

/// Where the browser comes back to.
pub trait Door {
    /// The address that it is sent to.
    fn uri(&self) -> &str;

    /// Shows each visitor the page that `answer` chooses, until one is not [`Page::Other`].
    ///
    /// # Errors
    ///
    /// If nobody comes in time.
    fn receive(
        &self,
        patience: Duration,
        answer: &mut dyn FnMut(&Visit) -> Page,
    ) -> Result<(), SourceError>;
}

/// A browser at the door.
pub struct Visit {
    /// The fields came as a form (`form_post`).
    pub posted: bool,
    /// The query, or the form.
    pub fields: SecretText,
}

/// What a visitor sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// The login is done.
    Welcome,
    /// It failed.
    Failed,
    /// This visitor is not the one.
    Other,
}

impl Oidc {
    /// Logs in; `open` opens the door.
    ///
    /// # Errors
    ///
    /// If the server does not give a token, or the user has not logged in.
    pub fn login(
        &self,
        desk: &Desk<'_>,
        person: &dyn Person,
        open: &dyn Fn() -> Result<Box<dyn Door>, SourceError>,
    ) -> Result<Session, LoginError> {
        let nonce = nonce()?;
        let mut uri = String::new();
        if self.back == OidcBack::Here {
            let door = open()?;
            door.uri().clone_into(&mut uri);
            let start = self.start(desk, &uri, &nonce)?;
            match &start.poll {
                None if !start.page.is_empty() => {
                    return self.through(desk, person, &*door, &start, &nonce);
                }
                // A device's page knows nothing of a door.
                Some(poll) if !start.page.contains(&escaped(&uri)) => {
                    return self.polled(desk, person, &start, poll, &nonce);
                }
                // The door is not allowed, or the server wants to be come back to.
                None | Some(_) => {}
            }
        }
        let mount = desk.mount();
        let namespace = mount.namespace.as_ref().map(|it| format!("{it}/")).unwrap_or_default();
        let own = format!("/v1/{namespace}auth/{}/oidc/callback", mount.path);
        let own = mount.server.url(&own);
        let start = self.start(desk, &own, &nonce)?;
        match &start.poll {
            Some(poll) if !start.page.is_empty() => self.polled(desk, person, &start, poll, &nonce),
            Some(_) | None => {
                let uri = if uri.is_empty() { own } else { uri };
                Err(LoginError::Person(format!(
                    "the server names no page to log in at: the role does not exist, or its \
                     allowed_redirect_uris do not hold {uri}"
                )))
            }
        }
    }

    fn start(&self, desk: &Desk<'_>, uri: &str, nonce: &str) -> Result<Start, LoginError> {
        let mut fields = vec![("redirect_uri", uri), ("client_nonce", nonce)];
        if let Some(role) = &self.role {
            fields.insert(0, ("role", role.as_str()));
        }
        let answer = desk.post("oidc/auth_url", &body(&fields), &[])?;
        let text = |name: &str| answer["data"][name].as_str().unwrap_or_default().to_owned();
        let (page, state) = (text("auth_url"), text("state"));
        if !page.is_empty() && !is_page(&page) {
            return Err(LoginError::Person("the page to log in at is none of the web".to_owned()));
        }
        let interval = &answer["data"]["poll_interval"];
        let interval = interval.as_u64().or_else(|| interval.as_str()?.parse().ok()).unwrap_or(5);
        let poll = Poll { state, interval: Duration::from_secs(interval.clamp(1, 60)) };
        let poll = (!poll.state.is_empty()).then_some(poll);
        Ok(Start { page, user_code: flat(&text("user_code")), poll })
    }

    fn send_away(&self, person: &dyn Person, start: &Start) {
        person.tell(&format!("log in at {}", start.page));
        if !start.user_code.is_empty() {
            person.tell(&format!("and enter the code {}", start.user_code));
        }
        if !self.skip_browser {
            person.browse(&start.page);
        }
    }

    /// The browser comes back to the door.
    fn through(
        &self,
        desk: &Desk<'_>,
        person: &dyn Person,
        door: &dyn Door,
        start: &Start,
        nonce: &str,
    ) -> Result<Session, LoginError> {
        let query = start.page.split_once('?').map_or("", |(_, query)| query);
        let Some(state) = field(query, "state").filter(|state| !state.is_empty()) else {
            return Err(LoginError::Person("the page to log in at has no state".to_owned()));
        };
        self.send_away(person, start);
        let mut result = None;
        let received = door.receive(PATIENCE, &mut |visit| {
            if field(visit.fields.expose_secret(), "state").as_deref() != Some(state.as_str()) {
                return Page::Other;
            }
            let session = exchanged(desk, visit, &state, nonce);
            let page = if session.is_ok() { Page::Welcome } else { Page::Failed };
            result = Some(session);
            page
        });
        match result {
            Some(session) => session,
            None => {
                let error = received
                    .err()
                    .map_or_else(|| "nobody came back".to_owned(), |it| it.to_string());
                Err(LoginError::Person(error))
            }
        }
    }

    /// The server is asked until it knows.
    fn polled(
        &self,
        desk: &Desk<'_>,
        person: &dyn Person,
        start: &Start,
        poll: &Poll,
        nonce: &str,
    ) -> Result<Session, LoginError> {
        self.send_away(person, start);
        let fields = body(&[("state", &poll.state), ("client_nonce", nonce)]);
        let mut interval = poll.interval;
        // A code for a device is typed elsewhere: there is more time than for a page.
        let end = desk.client().now() + 5 * PATIENCE;
        while desk.client().now() < end {
            desk.client().pause(interval);
            match desk.post("oidc/poll", &fields, &[]) {
                Err(LoginError::Refused { refusal, .. }) if refusal.ends_in("slow_down") => {
                    interval = (interval * 2).min(Duration::from_secs(60));
                }
                Err(LoginError::Refused { refusal, .. })
                    if refusal.ends_in("authorization_pending") => {}
                // It asks for patience with a status of its own, or was not reached: it keeps the state.
                Err(LoginError::Refused { refusal, .. })
                    if matches!(refusal.status, 429 | 502..=504) => {}
                Err(LoginError::Call(error)) if error.is_nobody_there() => {}
                answer => return Session::read(desk, answer?),
            }
        }
        Err(LoginError::Person("nobody has logged in for ten minutes".to_owned()))
    }
}

/// What the server said first.
struct Start {
    /// Where to log in.
    page: String,
    /// What to type there; of a device.
    user_code: String,
    poll: Option<Poll>,
}

struct Poll {
    state: String,
    interval: Duration,
}

/// Gives the server what the browser brought.
fn exchanged(
    desk: &Desk<'_>,
    visit: &Visit,
    state: &str,
    nonce: &str,
) -> Result<Session, LoginError> {
    let secret = |name: &str| field(visit.fields.expose_secret(), name).map(SecretText::new);
    if let Some(error) = secret("error") {
        let more = secret("error_description").unwrap_or(error);
        let text = flat(more.expose_secret());
        return Err(LoginError::Person(format!("the provider says: {text}")));
    }
    let empty = || SecretText::new(String::new());
    let (code, id_token) = (secret("code").unwrap_or_else(empty), secret("id_token"));
    if code.expose_secret().is_empty() && id_token.is_none() {
        return Err(LoginError::Person("the browser brought no code".to_owned()));
    }
    if visit.posted {
        let mut fields = vec![("state", state), ("code", code.expose_secret())];
        if let Some(id_token) = &id_token {
            fields.push(("id_token", id_token.expose_secret()));
        }
        // It answers with a page, or complains that the door is not its own, and has it then.
        match desk.post("oidc/callback", &body(&fields), &[]) {
            Ok(_) | Err(LoginError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let code = SecretText::new(escaped(code.expose_secret()));
    let path = SecretText::new(format!(
        "oidc/callback?state={}&code={}&client_nonce={nonce}",
        escaped(state),
        code.expose_secret()
    ));
    Session::read(desk, desk.get_once(path.expose_secret())?)
}

/// Whether a browser may open it: what begins otherwise can be a program.
pub(super) fn is_page(url: &str) -> bool {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web && url.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;

//! A server, a machine and a person for the tests of the methods: what they were asked is written down
//! byte for byte, what they say is a function of that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zeroize::Zeroizing;

use super::super::{
    Address, Answer, Client, ClientOptions, Request, Transport, TransportError, Trust,
};
use super::machine::{Machine, Way};
use super::sessions::NoTokens;
use super::{Desk, LoginError, Mount, Person, Plan, PlanError, Session, Settings, SourceError};
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

/// A status and a body.
pub(super) type Said = (u16, &'static str);

/// A login that worked.
pub(super) const MADE: Said = (
    200,
    r#"{"auth":{"client_token":"s.made","lease_duration":3600,"renewable":true,"token_type":"service"}}"#,
);

/// A login that did not.
pub(super) const REFUSED: Said = (403, r#"{"errors":["permission denied"]}"#);

/// What is said to a request.
pub(super) struct Reply(u16, String);

impl From<Said> for Reply {
    fn from((status, body): Said) -> Self {
        Self(status, body.to_owned())
    }
}

impl From<(u16, String)> for Reply {
    fn from((status, body): (u16, String)) -> Self {
        Self(status, body)
    }
}

pub(super) struct Fake {
    seen: Mutex<Vec<String>>,
    answer: Box<dyn Fn(&str) -> Reply + Send + Sync>,
    clock: Mutex<Duration>,
    variables: Mutex<HashMap<&'static str, String>>,
    files: Mutex<HashMap<String, String>>,
}

impl Fake {
    /// Answers each request, which is given as `METHOD URL`, header lines, an empty line, the body.
    pub(super) fn new(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            answer: Box::new(answer),
            clock: Mutex::default(),
            variables: Mutex::default(),
            files: Mutex::default(),
        })
    }

    pub(super) fn with_variables(self: &Arc<Self>, pairs: &[(&'static str, &str)]) -> Arc<Self> {
        let pairs = pairs.iter().map(|(name, value)| (*name, (*value).to_owned()));
        self.variables.lock().expect("not poisoned").extend(pairs);
        Arc::clone(self)
    }

    pub(super) fn with_file(self: &Arc<Self>, path: &str, text: &str) -> Arc<Self> {
        self.files.lock().expect("not poisoned").insert(path.to_owned(), text.to_owned());
        Arc::clone(self)
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// How long was waited.
    pub(super) fn waited(&self) -> Duration {
        *self.clock.lock().expect("not poisoned")
    }

    /// Does something at a mount of `https://vault.example`.
    pub(super) fn desk<T>(self: &Arc<Self>, path: &str, work: impl FnOnce(&Desk<'_>) -> T) -> T {
        let server = Address::parse("https://vault.example").expect("an address");
        let trust = Trust::new().with(server.clone());
        let (transport, tokens) = (Box::new(Arc::clone(self)), Box::new(NoTokens));
        let client = Client::new(transport, tokens, trust, ClientOptions::default());
        let mount = Mount { server, namespace: None, path: path.to_owned() };
        work(&Desk::new(&client, &mount))
    }

    fn hear(&self, request: &Request<'_>, way: &str) -> Answer {
        let mut line = format!("{way}{} {}\n", request.method, request.url);
        assert!(request.token.is_none(), "a login carries no token");
        for (name, value) in request.headers {
            line += &format!("{name}: {}\n", value.expose_secret());
        }
        let body = request.body.unwrap_or_default();
        line += &format!("\n{}", std::str::from_utf8(body).expect("text"));
        let line = line.trim_end().to_owned();
        self.seen.lock().expect("not poisoned").push(line.clone());
        let Reply(status, body) = (self.answer)(&line);
        let body = Zeroizing::new(body.into_bytes());
        Answer { status, retry_after: None, location: None, body }
    }
}

impl Transport for Fake {
    fn send(&self, request: &Request<'_>) -> Result<Answer, TransportError> {
        Ok(self.hear(request, ""))
    }

    fn now(&self) -> Duration {
        *self.clock.lock().expect("not poisoned")
    }

    fn pause(&self, time: Duration) {
        *self.clock.lock().expect("not poisoned") += time;
    }
}

impl Machine for Fake {
    fn variable(&self, name: &'static str) -> Option<String> {
        self.variables.lock().expect("not poisoned").get(name).cloned()
    }

    fn file(&self, path: &str) -> Result<Option<SecretText>, SourceError> {
        let files = self.files.lock().expect("not poisoned");
        Ok(files.get(path).map(|text| SecretText::new(text.clone())))
    }

    /// A file whose name begins so is what a command prints.
    fn command(&self, line: &str) -> Result<SecretText, SourceError> {
        self.file(&format!("$ {line}"))?.ok_or_else(|| "failed".into())
    }

    /// A status of 0 is nobody there.
    fn fetch(&self, way: Way, request: &Request<'_>) -> Result<Answer, TransportError> {
        let way = match way {
            Way::Link => "link ",
            Way::World => "world ",
        };
        match self.hear(request, way) {
            Answer { status: 0, .. } => Err(TransportError::Connect("nobody".to_owned())),
            answer => Ok(answer),
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::parse("2026-01-02T03:04:05Z").expect("a time")
    }
}

/// Writes down what it is told.
#[derive(Default)]
pub(super) struct Listening(Mutex<Vec<String>>);

impl Listening {
    pub(super) fn heard(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl Person for Listening {
    fn secret(&self, _: &str) -> Result<SecretText, SourceError> {
        Err("nobody is asked".into())
    }

    fn tell(&self, line: &str) {
        self.0.lock().expect("not poisoned").push(line.to_owned());
    }

    fn browse(&self, url: &str) {
        self.0.lock().expect("not poisoned").push(format!("opens {url}"));
    }
}

/// A login as it is typed, with one blank between its words.
pub(super) fn plan(text: &str) -> Result<Plan, PlanError> {
    let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
    Plan::read(Settings::of_words(&words)?)
}

/// The token of a session, for comparisons.
pub(super) fn told(session: Result<Session, LoginError>) -> Result<&'static str, String> {
    match session.map_err(|error| error.to_string())?.token.expose_secret() {
        "s.made" => Ok("s.made"),
        _ => Ok("another token"),
    }
}

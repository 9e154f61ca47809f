//! Leases and refusals, on a clock of our own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Address, ClientOptions, Person, Places, Plan, Sessions, TokenSource, Transport, Trust,
};
use crate::keyservice::vault::auth::{Place, Settings, SourceError};
use crate::keyservice::vault::{
    Answer, Call, CallError, Client, Repeat, Request, TransportError, VaultToken,
};
use crate::secret::SecretText;

/// Answers in turn, and writes down what was asked.
#[derive(Default)]
struct Server {
    answers: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<String>>,
    now: Mutex<Duration>,
}

impl Server {
    fn says(&self, status: u16, body: &str) {
        self.answers.lock().expect("no panic").push_back((status, body.to_owned()));
    }

    fn gives(&self, token: &str, lease: u64) {
        let auth = format!(r#""client_token":"{token}","lease_duration":{lease},"renewable":true"#);
        self.says(200, &format!(r#"{{"auth":{{{auth}}}}}"#));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }

    fn wait(&self, seconds: u64) {
        *self.now.lock().expect("no panic") += Duration::from_secs(seconds);
    }
}

impl Transport for Server {
    fn send(&self, request: &Request<'_>) -> Result<Answer, TransportError> {
        let name = request.url.rsplit('/').next().unwrap_or_default();
        let token = request.token.map_or("-", VaultToken::expose_secret);
        let (host, path) = request.url.split_once("/v1/").expect("a URL of the API");
        let host = if host == "https://v" { "" } else { "w " };
        self.asked.lock().expect("no panic").push(format!("{host}{name} {token}"));
        let (status, body) =
            self.answers.lock().expect("no panic").pop_front().unwrap_or((204, String::new()));
        let location = (status == 307).then(|| format!("https://w/v1/{path}"));
        let body = Zeroizing::new(body.into_bytes());
        Ok(Answer { status, retry_after: None, location, body })
    }

    fn now(&self) -> Duration {
        *self.now.lock().expect("no panic")
    }

    fn pause(&self, _: Duration) {}
}

struct Anybody;

impl Person for Anybody {
    fn secret(&self, _: &str) -> Result<SecretText, SourceError> {
        Ok(SecretText::new("hunter2".into()))
    }

    fn tell(&self, _: &str) {}

    fn browse(&self, _: &str) {}
}

impl Places for Anybody {
    fn read(&self, _: &Place) -> Result<SecretText, SourceError> {
        Ok(SecretText::new("hunter2".into()))
    }
}

fn address() -> Address {
    Address::parse("https://v").expect("an address")
}

fn sessions(server: &Arc<Server>, password: &str) -> Sessions {
    trusting(server, password, &Trust::new().with(address()))
}

fn trusting(server: &Arc<Server>, password: &str, trust: &Trust) -> Sessions {
    let pairs = [("username", "me"), ("password", password)];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let plan = Plan::read(Settings::new("userpass", pairs.to_vec())).expect("valid");
    let transport: Arc<dyn Transport> = server.clone();
    let options = ClientOptions::default();
    let (places, person) = (Box::new(Anybody), Box::new(Anybody));
    Sessions::new(plan, "a test", &transport, trust, &options, places, person)
}

#[track_caller]
fn check(sessions: &Sessions, token: &str) {
    let found = sessions.token(&address()).expect("a token").expect("a token");
    assert_eq!(found.expose_secret(), token);
}

#[test]
fn a_lease_is_renewed_after_two_thirds_and_followed_near_its_longest_life() {
    let server = Arc::new(Server::default());
    let sessions = sessions(&server, "env:P");
    server.gives("one", 90);
    check(&sessions, "one");
    server.wait(59);
    check(&sessions, "one");
    assert_eq!(server.asked(), ["me -"]);
    server.wait(1);
    server.gives("one", 90);
    check(&sessions, "one");
    check(&sessions, "one");
    assert_eq!(server.asked(), ["renew-self one"]);
    // Less is given near the end; then a new one is better.
    server.wait(60);
    server.gives("one", 10);
    server.gives("two", 90);
    check(&sessions, "two");
    assert_eq!(server.asked(), ["renew-self one", "me -"]);
    drop(sessions);
    assert_eq!(server.asked(), ["revoke-self one", "revoke-self two"]);
}

#[test]
fn a_refused_successor_leaves_the_old_token_its_time_and_is_not_tried_again() {
    let server = Arc::new(Server::default());
    let sessions = sessions(&server, "env:P");
    server.gives("one", 90);
    check(&sessions, "one");
    server.wait(60);
    server.says(400, r#"{"errors":["lease is not renewable"]}"#);
    server.says(400, r#"{"errors":["invalid username or password"]}"#);
    check(&sessions, "one");
    let old = VaultToken::new(&SecretText::new("one".into())).expect("a token");
    let same = sessions.renewed(&address(), old.as_ref()).expect("no error").expect("a token");
    assert_eq!(same.expose_secret(), "one");
    assert_eq!(server.asked(), ["me -", "renew-self one", "me -", "lookup-self one"]);
    // When it has ended, it is said why there is no other.
    server.says(403, "{}");
    let error = sessions.renewed(&address(), old.as_ref()).expect_err("it is dead");
    let expected = "the token of the login userpass at auth/userpass (a test) has ended, and another \
                    login failed: invalid username or password (400)";
    assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
    assert_eq!(sessions.token(&address()).map(|_| ()), Err(error));
    assert_eq!(server.asked(), ["lookup-self one"]);
}

#[test]
fn nobody_is_asked_for_a_password_twice() {
    let server = Arc::new(Server::default());
    let sessions = sessions(&server, "terminal");
    server.gives("one", 90);
    check(&sessions, "one");
    server.wait(60);
    server.says(400, r#"{"errors":["lease is not renewable"]}"#);
    check(&sessions, "one");
    check(&sessions, "one");
    let old = VaultToken::new(&SecretText::new("one".into())).expect("a token");
    let same = sessions.renewed(&address(), old.as_ref()).expect("no error").expect("a token");
    assert_eq!(same.expose_secret(), "one");
    server.says(403, "{}");
    let error = sessions.renewed(&address(), old.as_ref()).expect_err("it is dead");
    assert!(error.contains("another login needs somebody to be there"), "{error}");
    let asked = ["me -", "renew-self one", "lookup-self one", "lookup-self one"];
    assert_eq!(server.asked(), asked);
}

#[test]
fn who_is_interrupted_takes_tokens_back_and_nobody_gets_another() {
    let server = Arc::new(Server::default());
    let sessions = Arc::new(sessions(&server, "env:P"));
    server.gives("one", 90);
    check(&sessions, "one");
    sessions.break_off(true);
    assert_eq!(server.asked(), ["me -", "revoke-self one"]);
    let (said, heard) = std::sync::mpsc::channel();
    let late = Arc::clone(&sessions);
    std::thread::spawn(move || said.send(late.token(&address()).is_ok()));
    // It waits for the end of the program, which here does not come.
    assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
    assert_eq!(server.asked(), [""; 0]);
    std::mem::forget(sessions);
}

#[test]
fn who_is_interrupted_while_they_are_asked_is_not_waited_for() {
    let server = Arc::new(Server::default());
    let sessions = sessions(&server, "terminal");
    let asking = sessions.server(&address());
    let asking = asking.lock().expect("no panic");
    // On this clock it would wait for ever.
    sessions.break_off(false);
    assert_eq!(server.asked(), [""; 0]);
    std::mem::forget((asking, sessions));
}

#[test]
fn a_refused_credential_is_never_sent_again() {
    let server = Arc::new(Server::default());
    let sessions = sessions(&server, "env:P");
    server.says(400, r#"{"errors":["invalid username or password"]}"#);
    for _ in 0..3 {
        let error = sessions.token(&address()).expect_err("refused");
        assert!(error.contains("invalid username or password (400)"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(sessions.renewed(&address(), None).is_err());
    assert_eq!(server.asked(), ["me -"]);
}

#[test]
fn threads_that_come_at_once_share_a_login_and_its_successor() {
    let server = Arc::new(Server::default());
    let sessions = sessions(&server, "env:P");
    server.gives("one", 90);
    let each = |work: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(work))));
    };
    each(&|| check(&sessions, "one"));
    server.says(403, "{}");
    server.gives("two", 90);
    let old = VaultToken::new(&SecretText::new("one".into())).expect("a token");
    each(&|| {
        let new = sessions.renewed(&address(), old.as_ref()).expect("no error").expect("a token");
        assert_eq!(new.expose_secret(), "two");
    });
    assert_eq!(server.asked(), ["me -", "lookup-self one", "me -"]);
}

/// A call with the token of a login, by whom this list trusts.
fn call_by(server: &Arc<Server>, list: &str) -> (Client, Result<Answer, CallError>) {
    let trust = Trust::new().with(address()).with_list(list).expect("valid");
    let tokens = Box::new(trusting(server, "env:P", &trust));
    let client = Client::new(Box::new(Arc::clone(server)), tokens, trust, ClientOptions::default());
    let (at, headers, repeat) = (address(), &[][..], Repeat::Freely);
    let (method, path, body, namespace) = ("POST", "transit/decrypt/app", None, None);
    let call = Call { server: &at, method, path, body, headers, namespace, repeat };
    let answer = client.call(&call);
    (client, answer)
}

#[test]
fn one_login_is_enough_for_a_server_and_the_leader_that_it_sends_to() {
    let server = Arc::new(Server::default());
    server.says(307, "");
    server.gives("one", 90);
    server.says(307, "");
    server.says(204, "");
    let (client, answer) = call_by(&server, "https://w");
    assert_eq!(answer.map(|it| it.status).ok(), Some(204));
    assert_eq!(server.asked(), ["me -", "w me -", "app one", "w app one"]);
    server.says(307, "");
    drop(client);
    assert_eq!(server.asked(), ["revoke-self one", "w revoke-self one"]);
}

#[test]
fn no_token_of_a_login_goes_to_a_server_that_is_trusted_only_because_all_are() {
    let server = Arc::new(Server::default());
    server.gives("one", 90);
    server.says(307, "");
    let (_client, answer) = call_by(&server, "all");
    let error = answer.err().expect("refused").to_string();
    assert!(error.contains("https://w, which was not named one by one"), "{error}");
    assert_eq!(server.asked(), ["me -", "app one"]);
}

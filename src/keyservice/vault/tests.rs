mod gone;
mod redirects;
mod repeats;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::{
    Address, Answer, Asker, Client, ClientOptions, Rate, Request, TokenSource, Transport,
    TransportError, Trust, VaultKeys, VaultToken,
};
use crate::keys::{MasterKey, WrappedKey};
use crate::keyservice::{Crew, KeyService};
use crate::secret::{DataKey, SecretText};
use crate::timestamp::Timestamp;

/// What a fake server saw.
#[derive(Default)]
struct Seen {
    requests: Vec<String>,
    pauses: Vec<Duration>,
}

/// Answers as told, one after the other; the last one again and again.
struct Fake {
    seen: Arc<Mutex<Seen>>,
    answers: Mutex<VecDeque<Reply>>,
}

type Reply = Box<dyn Fn(&str) -> Result<Answer, TransportError> + Send>;

impl Transport for Fake {
    fn send(&self, request: &Request<'_>) -> Result<Answer, TransportError> {
        let token = request.token.map_or("no token", VaultToken::expose_secret);
        let namespace = request.namespace.map(|it| format!(" [{it}]")).unwrap_or_default();
        let line = format!("{} {}{namespace} {token}", request.method, request.url);
        self.seen.lock().expect("not poisoned").requests.push(line);
        let body = String::from_utf8(request.body.unwrap_or_default().to_vec()).expect("text");
        let mut answers = self.answers.lock().expect("not poisoned");
        let reply = if answers.len() > 1 { answers.pop_front() } else { None };
        match reply {
            Some(reply) => reply(&body),
            None => answers.front().expect("an answer")(&body),
        }
    }

    fn now(&self) -> Duration {
        self.seen.lock().expect("not poisoned").pauses.iter().sum()
    }

    fn pause(&self, time: Duration) {
        self.seen.lock().expect("not poisoned").pauses.push(time);
    }
}

/// Gives one token after the other; `node2` has others, and for a stranger there is none.
struct Tokens(Mutex<VecDeque<&'static str>>);

impl TokenSource for Tokens {
    fn token(&self, server: &Address) -> Result<Option<VaultToken>, String> {
        let tokens = self.0.lock().expect("not poisoned");
        if server.to_string().ends_with("stranger") {
            return Ok(None);
        }
        let other = if server.to_string().ends_with("node2") { ".node2" } else { "" };
        let token = tokens.front().map(|text| SecretText::new(format!("{text}{other}")));
        token.map_or(Ok(None), |token| VaultToken::new(&token).map_err(|error| error.to_string()))
    }

    fn renewed(
        &self,
        server: &Address,
        _: Option<&VaultToken>,
    ) -> Result<Option<VaultToken>, String> {
        let mut tokens = self.0.lock().expect("not poisoned");
        if tokens.len() > 1 {
            tokens.pop_front();
        }
        drop(tokens);
        self.token(server)
    }

    fn origin(&self, _: &Address) -> Option<String> {
        (!self.0.lock().expect("not poisoned").is_empty()).then(|| "VAULT_TOKEN".to_owned())
    }
}

fn answer(status: u16, body: &str) -> Answer {
    let body = Zeroizing::new(body.as_bytes().to_vec());
    Answer { status, retry_after: None, location: None, body }
}

fn says(status: u16, body: &'static str) -> Reply {
    Box::new(move |_| Ok(answer(status, body)))
}

/// Turns bytes into others, and back.
fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// What a server makes of the base64 of a plaintext.
fn ciphertext(plaintext: &str) -> String {
    let plain = BASE64_STANDARD.decode(plaintext).expect("base64");
    let bytes = [vec![0; 28], turned(&plain)].concat();
    format!("vault:v1:{}", BASE64_STANDARD.encode(bytes))
}

fn plaintext(ciphertext: &str) -> String {
    let text = ciphertext.strip_prefix("vault:v1:").expect("ours");
    let bytes = BASE64_STANDARD.decode(text).expect("base64");
    BASE64_STANDARD.encode(turned(&bytes[28..]))
}

/// Does what the transit engine does, the key being `7` everywhere.
fn works() -> Reply {
    Box::new(|body| {
        let items: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let items = items["batch_input"].as_array().expect("a list").clone();
        let result = |item: serde_json::Value| {
            let mut item = item.as_object().expect("a map").clone();
            match item.remove("plaintext") {
                Some(text) => {
                    item.insert(
                        "ciphertext".into(),
                        ciphertext(text.as_str().expect("text")).into(),
                    );
                }
                None => {
                    let text = item.remove("ciphertext").expect("a ciphertext");
                    let text = plaintext(text.as_str().expect("a text"));
                    item.insert("plaintext".into(), text.into());
                }
            }
            serde_json::Value::from(item)
        };
        let results: Vec<_> = items.into_iter().map(result).collect();
        let body = serde_json::json!({ "data": { "batch_results": results } }).to_string();
        Ok(answer(200, &body))
    })
}

struct Setup {
    keys: VaultKeys,
    seen: Arc<Mutex<Seen>>,
    crew: Arc<Crew>,
}

impl Setup {
    fn new(answers: Vec<Reply>) -> Self {
        Self::with(answers, ClientOptions::default(), &["s.one"])
    }

    fn with(answers: Vec<Reply>, options: ClientOptions, tokens: &[&'static str]) -> Self {
        let trust = Trust::new().with(Address::parse("https://vault").expect("an address"));
        Self::trusting(trust, answers, options, tokens)
    }

    fn trusting(
        trust: Trust,
        answers: Vec<Reply>,
        options: ClientOptions,
        tokens: &[&'static str],
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let fake = Fake { seen: Arc::clone(&seen), answers: Mutex::new(answers.into()) };
        let tokens = Tokens(Mutex::new(tokens.iter().copied().collect()));
        let client = Client::new(Box::new(fake), Box::new(tokens), trust, options);
        let crew = Arc::new(Crew::default());
        Self { keys: VaultKeys::new(client, Arc::clone(&crew)), seen, crew }
    }

    fn unwrap(&self, key: MasterKey) -> Result<[u8; 32], String> {
        self.unwrap_enc(key, &ciphertext(&BASE64_STANDARD.encode([7; 32])))
    }

    fn unwrap_enc(&self, key: MasterKey, enc: &str) -> Result<[u8; 32], String> {
        let now = Timestamp::from_unix(0).expect("in range");
        let result = self.keys.unwrap(&WrappedKey::new(key, enc.to_owned(), now));
        let result = result.expect("a key of this service");
        result.map(|key| *key.expose_secret()).map_err(|error| error.to_string())
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").requests.clone()
    }
}

fn key_at(address: &str, engine_path: &str, key_name: &str) -> MasterKey {
    MasterKey::Vault {
        address: address.into(),
        engine_path: engine_path.into(),
        key_name: key_name.into(),
        context: None,
    }
}

fn key() -> MasterKey {
    key_at("https://vault", "transit", "app")
}

/// The error of a run over these answers.
#[track_caller]
fn refuses(answers: Vec<Reply>, expected: &str) {
    assert_eq!(Setup::new(answers).unwrap(key()), Err(expected.to_owned()));
}

#[test]
fn a_wrapped_key_comes_back() {
    let setup = Setup::new(vec![works()]);
    let data_key = DataKey::from_bytes(&[9; 32]).expect("32 bytes");
    let wrapped = setup.keys.wrap(&[&key()], &data_key).pop().flatten();
    let enc = wrapped.expect("a key of this service").expect("wrapped");
    assert_eq!(setup.unwrap_enc(key(), &enc), Ok([9; 32]));
    assert_eq!(
        setup.requests(),
        [
            "POST https://vault/v1/transit/encrypt/app s.one",
            "POST https://vault/v1/transit/decrypt/app s.one"
        ]
    );
}

#[test]
fn a_wrapped_key_that_shows_the_data_key_or_is_too_short_for_one_is_none() {
    let bytes: Vec<u8> = (0..32).map(|at| at * 5 + 1).collect();
    let data_key = DataKey::from_bytes(&bytes).expect("32 bytes");
    let around = |bytes: &[u8]| BASE64_STANDARD.encode([&[0; 29], bytes, &[0; 17]].concat());
    let base64 = BASE64_STANDARD.encode(&bytes);
    let gives = |text: String| {
        let item =
            serde_json::json!({ "ciphertext": format!("vault:v1:{text}"), "reference": "0" });
        let body = serde_json::json!({ "data": { "batch_results": [item] } }).to_string();
        let setup = Setup::new(vec![Box::new(move |_: &str| Ok(answer(200, &body)))]);
        setup.keys.wrap(&[&key()], &data_key).pop().flatten().expect("a key of this service")
    };
    for text in [
        base64.clone(),
        around(&bytes),
        around(base64.as_bytes()),
        format!("AAAAAA{base64}").replace('=', "A") + &"A".repeat(30),
        BASE64_STANDARD.encode([7; 59]),
    ] {
        let error = gives(text.clone()).expect_err(&text).to_string();
        assert_eq!(error, "the server's answer holds something else than the result", "{text}");
    }
    gives(around(&turned(&bytes))).expect("it is one");
    gives(BASE64_STANDARD.encode([7; 60])).expect("it may be one");
}

#[test]
fn a_namespace_is_sent_once() {
    let options = ClientOptions { namespace: Some("team".into()), ..ClientOptions::default() };
    let setup = Setup::with(vec![works()], options, &["s.one"]);
    for mount in ["transit", "team/transit", "teams/transit"] {
        setup.unwrap(key_at("https://vault", mount, "app")).expect("opens");
    }
    assert_eq!(
        setup.requests(),
        [
            "POST https://vault/v1/transit/decrypt/app [team] s.one",
            "POST https://vault/v1/team/transit/decrypt/app s.one",
            "POST https://vault/v1/teams/transit/decrypt/app [team] s.one"
        ]
    );
}

#[test]
fn what_a_file_says_leads_nowhere_but_to_its_key() {
    let setup = Setup::new(vec![works()]);
    let evil = "https://vault.evil is named by the file or its rule and not by you, so no token goes there; \
                if it is yours: export VAULT_ADDR=https://vault.evil";
    let path = "the path of the engine is none";
    for (key, expected) in [
        (key_at("https://vault.evil", "transit", "app"), evil),
        (key_at("https://vault", "transit/../../sys", "app"), path),
        (key_at("https://vault", "transit?x", "app"), path),
        (key_at("https://vault", "tran%2e%2e", "app"), path),
        (key_at("https://vault", "", "app"), path),
        (key_at("https://vault", "team/sys/raw", "app"), "no transit engine can be mounted there"),
        (key_at("https://vault", "transit", "../sys/seal"), "no transit key can have this name"),
        (key_at("https://vault", "transit", "app."), "no transit key can have this name"),
    ] {
        assert_eq!(setup.unwrap(key), Err(expected.to_owned()));
    }
    assert_eq!(setup.requests(), Vec::<String>::new());
}

#[test]
fn a_refusal_says_what_it_can_mean() {
    refuses(
        vec![says(403, r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#)],
        "permission denied (403): the token of VAULT_TOKEN may have expired, or lack `update` on \
         transit/decrypt/app, where a key that is missing is refused as well; `waxseal doctor` knows which",
    );
    refuses(
        vec![says(404, r#"{"errors":["no handler for route \"transit/decrypt/app\""]}"#)],
        "no handler for route \"transit/decrypt/app\" (404): is `transit` where the engine is \
         mounted, and the namespace the right one?",
    );
    refuses(
        vec![says(503, r#"{"errors":["Vault is sealed"]}"#)],
        "Vault is sealed (503): an operator has to unseal it",
    );
    refuses(vec![says(502, "<html>bad gateway</html>")], "the answer is not JSON (502)");
    refuses(
        vec![says(200, r#"{"data":{}}"#)],
        "the answer holds something else than one result for each item (200)",
    );
    let none = Setup::with(vec![says(403, r#"{"errors":["x"]}"#)], ClientOptions::default(), &[]);
    let expected = "x (403): there is no token: set VAULT_TOKEN, or `waxseal login`";
    assert_eq!(none.unwrap(key()), Err(expected.to_owned()));
}

#[test]
fn an_answer_that_is_not_to_the_question_is_none() {
    let shape = "the answer holds something else than one result for each item (200)";
    let other = "the server's answer holds something else than the result";
    for (results, expected) in [
        (r#"{"data":{"batch_results":[]}}"#, shape),
        (r#"{"data":{"batch_results":[{"plaintext":"QQ==","reference":"1"}]}}"#, shape),
        (r#"{"data":{"batch_results":[{"plaintext":"QQ=="}]}}"#, shape),
        (r#"{"data":{"batch_results":[{"plaintext":7,"reference":"0"}]}}"#, shape),
        (r#"{"data":{"batch_results":[{"plaintext":"~","reference":"0"}]}}"#, other),
        (
            r#"{"data":{"batch_results":[{"plaintext":"QQ==","reference":"0"}]}}"#,
            "what was wrapped is 1 bytes long, a data key has 32",
        ),
        (
            r#"{"data":{"batch_results":[{"plaintext":"","reference":"0"}]}}"#,
            "what was wrapped is 0 bytes long, a data key has 32",
        ),
        (
            r#"{"data":{"batch_results":[{"plaintext":"","reference":"0","error":"cipher: message authentication failed"}]}}"#,
            "cipher: message authentication failed: another key or another context made it, or it was changed",
        ),
        (
            r#"{"data":{"batch_results":[{"plaintext":"QQ==","reference":"0"}]},"warnings":["Endpoint ignored these unrecognized parameters: [batch_input]"]}"#,
            "the server did not understand all of the request: Endpoint ignored these unrecognized parameters: [batch_input] (200)",
        ),
    ] {
        refuses(vec![says(200, results)], expected);
    }
}

#[test]
fn a_token_that_was_renewed_is_tried_once() {
    let denied = || says(403, r#"{"errors":["permission denied"]}"#);
    let setup = Setup::with(vec![denied(), works()], ClientOptions::default(), &["s.old", "s.new"]);
    assert_eq!(setup.unwrap(key()), Ok([7; 32]));
    let tokens: Vec<String> =
        setup.requests().iter().filter_map(|it| Some(it.rsplit_once(' ')?.1.to_owned())).collect();
    assert_eq!(tokens, ["s.old", "s.new"]);
    let setup = Setup::with(vec![denied()], ClientOptions::default(), &["s.one"]);
    setup.unwrap(key()).expect_err("denied");
    assert_eq!(setup.requests().len(), 1);
}

#[test]
fn a_file_that_is_too_long_for_a_request_spoils_no_request() {
    let setup = Setup::new(vec![works()]);
    let long = format!("vault:v1:{}", "A".repeat(5_000));
    let error = setup.unwrap_enc(key(), &long).expect_err("refused");
    assert_eq!(error, "the wrapped key cannot be read: more than 4096 bytes");
    let mut derived = key();
    if let MasterKey::Vault { context, .. } = &mut derived {
        *context = Some("c".repeat(5_000));
    }
    setup.unwrap(derived).expect_err("refused");
    assert_eq!(setup.requests(), Vec::<String>::new());
}

#[test]
fn an_answer_that_is_too_long_is_asked_for_in_halves() {
    let too_long: Reply = Box::new(|_| Err(TransportError::TooLong));
    let setup = Setup::new(vec![too_long, works()]);
    let data_key = DataKey::from_bytes(&[9; 32]).expect("32 bytes");
    let wrapped = setup.keys.wrap(&[&key(), &key()], &data_key);
    assert!(wrapped.iter().flatten().all(Result::is_ok) && wrapped.len() == 2);
    assert_eq!(setup.requests().len(), 3);
}

/// Says yes to one server.
struct Yes(&'static str);

impl Asker for Yes {
    fn allows(&self, server: &Address) -> Result<bool, String> {
        Ok(server.to_string() == self.0)
    }
}

#[test]
fn a_yes_of_the_user_counts_for_that_server_and_not_against_none() {
    let run = |trust: Trust, server: &str| {
        let setup = Setup::trusting(trust, vec![works()], ClientOptions::default(), &["s.one"]);
        let setup = Setup { keys: setup.keys.asking(Box::new(Yes("https://other"))), ..setup };
        (setup.unwrap(key_at(server, "transit", "app")).is_ok(), setup.requests().len())
    };
    assert_eq!(run(Trust::new(), "https://other"), (true, 1));
    assert_eq!(run(Trust::new(), "https://third"), (false, 0));
    assert_eq!(run(Trust::new().with_list("none").expect("valid"), "https://other"), (false, 0));
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn who_waits_for_a_request_is_told_when_its_sender_is_gone() {
    let breaks: Reply = Box::new(|_| panic!("planted"));
    let setup = Setup::new(vec![breaks]);
    let crew = Arc::clone(&setup.crew);
    crew.work(2, 2);
    // One of the two sends for both and panics; the other comes back, or this test never ends.
    std::thread::scope(|scope| {
        while crew.place() {
            scope.spawn(|| {
                drop(setup.unwrap(key()));
                crew.leave();
            });
        }
    });
}

#[test]
fn an_agent_stands_in_for_every_server_and_needs_no_token() {
    let agent = Address::parse("unix:///run/agent.sock").expect("an address");
    let options = ClientOptions { agent: Some(agent), ..ClientOptions::default() };
    let setup = Setup::with(vec![works()], options, &[]);
    setup.unwrap(key_at("https://elsewhere", "transit", "app")).expect("opens");
    assert_eq!(setup.requests(), ["POST http://localhost/v1/transit/decrypt/app no token"]);
}

#[test]
fn what_is_too_much_for_a_server_is_sent_in_halves() {
    let too_much = || says(413, r#"{"errors":["error parsing JSON"]}"#);
    let setup = Setup::new(vec![too_much(), works()]);
    let data_key = DataKey::from_bytes(&[9; 32]).expect("32 bytes");
    let (key, again) = (key(), key());
    let wrapped = setup.keys.wrap(&[&key, &again], &data_key);
    assert!(wrapped.iter().flatten().all(Result::is_ok) && wrapped.len() == 2);
    assert_eq!(setup.requests().len(), 3);
    refuses(vec![too_much()], "error parsing JSON (413)");
}

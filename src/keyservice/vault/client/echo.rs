//! What a server, or a proxy before it, repeats of a request when it says why it refuses it.
//!
//! Invariants: every answer passes here before anybody reads it; a text that is meant to be shown, and holds
//! a token, a header or a value that was sent, is gone behind it. The rest of an answer stays as it is.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use memchr::memmem;
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::envelope::flat;
use super::super::http::{Answer, Request, TransportError};
use super::super::json::wipe;

/// In the place of such a text.
const HIDDEN: &str = "the server's text holds what was sent: not shown";

/// Takes out of an answer to this request what it repeats of it; `path` is that of the call.
pub(super) fn hide(
    request: &Request<'_>,
    path: &str,
    result: Result<Answer, TransportError>,
) -> Result<Answer, TransportError> {
    match result {
        Ok(mut answer) => {
            if says_something(&answer) {
                hide_in(&Sent::of(request, path), request.body.is_some(), &mut answer);
            }
            Ok(answer)
        }
        Err(TransportError::Login(text)) if Sent::of(request, path).is_in(&[&text]) => {
            Err(TransportError::Login(HIDDEN.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Whether there may be a text for people in an answer.
fn says_something(answer: &Answer) -> bool {
    let holds = |text: &str| memmem::find(&answer.body, text.as_bytes()).is_some();
    let warns = || holds("\"warnings\"") && !holds("\"warnings\":null");
    !answer.body.is_empty() && (answer.status >= 300 || holds("\"error") || warns())
}

fn hide_in(sent: &Sent, has_items: bool, answer: &mut Answer) {
    let Ok(mut value) = serde_json::from_slice::<Value>(&answer.body) else {
        if sent.is_in(&[&String::from_utf8_lossy(&answer.body)]) {
            answer.body = Zeroizing::new(HIDDEN.as_bytes().to_vec());
        }
        return;
    };
    let mut texts = texts(&mut value, has_items);
    let all: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
    let repeats = sent.is_in(&all);
    if repeats {
        for text in &mut texts {
            if sent.is_in(&[text.as_str()]) {
                drop(Zeroizing::new(std::mem::replace(&mut **text, HIDDEN.to_owned())));
            }
        }
        let body = serde_json::to_vec(&value).expect("memory takes every value");
        answer.body = Zeroizing::new(body);
    }
    wipe(value);
}

/// The texts for people: those of the envelope, and those of the items of a batch.
fn texts(value: &mut Value, has_items: bool) -> Vec<&mut String> {
    let Value::Object(answer) = value else { return Vec::new() };
    let mut found: Vec<&mut Value> = Vec::new();
    for (name, value) in answer {
        match (name.as_str(), value) {
            ("errors" | "warnings", Value::Array(list)) => found.extend(list.iter_mut()),
            ("data", data) if has_items => {
                let items = data.get_mut("batch_results").and_then(Value::as_array_mut);
                found.extend(items.into_iter().flatten().filter_map(|it| it.get_mut("error")));
            }
            _ => {}
        }
    }
    let text = |value| match value {
        &mut Value::String(ref mut text) => Some(text),
        _ => None,
    };
    found.into_iter().filter_map(text).collect()
}

/// What of a request is nobody else's business.
struct Sent(Vec<Zeroizing<String>>);

impl Sent {
    fn of(request: &Request<'_>, path: &str) -> Self {
        let mut sent = Self(Vec::new());
        if let Some(token) = request.token {
            sent.put(token.expose_secret());
        }
        for (name, text) in request.headers.iter().filter(|(name, _)| !OPEN_HEADERS.contains(name))
        {
            let text = text.expose_secret();
            sent.put(text);
            // A second factor: `METHOD:PASSCODE`.
            text.split(':').skip(1).for_each(|part| sent.put(part));
            if name.starts_with("x-vault-inline-auth-parameter") {
                let pair = BASE64_URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
                if let Ok(Value::Object(pair)) = serde_json::from_slice(&pair.unwrap_or_default()) {
                    let open = pair.get("key").and_then(Value::as_str).is_some_and(is_open);
                    sent.take(pair.into_iter().filter(|_| !open).map(|(_, value)| value).collect());
                }
            }
        }
        // Elsewhere the names in a body are those of the user's values.
        let named = path.starts_with("auth/") || path.starts_with("sys/");
        let body = request.body.unwrap_or_default();
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => {
                let fields = fields.into_iter().filter(|(name, _)| !(named && is_open(name)));
                sent.take(fields.map(|(_, value)| value).collect());
            }
            Ok(value) => sent.take(value),
            Err(_) => sent.put(&String::from_utf8_lossy(body)),
        }
        sent
    }

    /// All texts and numbers of a value.
    fn take(&mut self, value: Value) {
        match value {
            Value::String(text) => {
                let text = Zeroizing::new(text);
                // The name that no type has is ours (see the transit engine).
                if *text != "no-new-key" {
                    self.put(&text);
                }
            }
            Value::Array(list) => list.into_iter().for_each(|it| self.take(it)),
            Value::Object(map) => map.into_iter().for_each(|(_, it)| self.take(it)),
            Value::Number(number) => self.put(&number.to_string()),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A text, as it is and as it stands in JSON.
    fn put(&mut self, text: &str) {
        if text.len() < SHORTEST {
            return;
        }
        let json = Zeroizing::new(serde_json::to_string(text).expect("memory takes every text"));
        let inner = json.trim_matches('"');
        if inner != text && inner.len() >= SHORTEST {
            self.0.push(Zeroizing::new(inner.to_owned()));
        }
        self.0.push(Zeroizing::new(text.to_owned()));
    }

    /// Whether one of these texts holds something of it, as it came or as it would be shown.
    fn is_in(&self, texts: &[&str]) -> bool {
        let start =
            |text: &'_ str| text.char_indices().nth(LOOKED_AT).map_or(text.len(), |it| it.0);
        let room = texts.iter().map(|text| 2 * start(text) + 2).sum();
        let mut all = Zeroizing::new(String::with_capacity(room));
        for text in texts {
            let start = &text[..start(text)];
            all.push_str(start);
            all.push('\n');
            all.push_str(&flat(start));
            all.push('\n');
        }
        let pieces: HashSet<&[u8]> = all.as_bytes().windows(PIECE).collect();
        self.0.iter().any(|sent| match sent.len() {
            ..WORD => is_word_of(&all, sent),
            WORD..PIECE => all.contains(sent.as_str()),
            _ => sent.as_bytes().windows(PIECE).any(|piece| pieces.contains(piece)),
        })
    }
}

/// Whether a text holds this with no letter or digit on either side.
fn is_word_of(text: &str, word: &str) -> bool {
    let is_end = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        is_end(text[..at].chars().next_back()) && is_end(text[at + word.len()..].chars().next())
    })
}

fn is_open(name: &str) -> bool {
    OPEN.contains(&name)
}

/// Fields of logins and of the server's own paths that servers name in good faith.
const OPEN: [&str; 6] = ["acs_url", "paths", "policy", "redirect_uri", "role", "type"];

/// Headers that say where a login is.
const OPEN_HEADERS: [&str; 3] =
    ["x-vault-inline-auth-namespace", "x-vault-inline-auth-operation", "x-vault-inline-auth-path"];

/// Bytes of the shortest text that is looked for: shorter ones stand in every other sentence.
const SHORTEST: usize = 3;

/// Bytes from which on a text is found inside of a word.
const WORD: usize = 8;

/// Bytes of a longer text that say it is that one: who repeats may cut it.
const PIECE: usize = 12;

/// Characters of a text that are looked at, far more than are shown.
const LOOKED_AT: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::super::super::token::VaultToken;
    use super::{Answer, HIDDEN, Request, TransportError, hide};
    use crate::secret::SecretText;

    const BATCH: &str = r#"{"type":"no-new-key","batch_input":[{"plaintext":"ReNQ5mSdhwMnbcYe2aNNmbWQzT2k8A1Ym6bhPTnzp5I=","reference":"0"}]}"#;

    /// What is left of an answer to a request with the token `s.SECRETTOKEN`.
    fn left(path: &str, body: &str, headers: &[(&str, &str)], status: u16, answer: &str) -> String {
        let token = VaultToken::new(&SecretText::new("s.SECRETTOKEN".into())).expect("a token");
        let headers: Vec<_> =
            headers.iter().map(|(name, text)| (*name, SecretText::new((*text).into()))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, text)| (*name, text)).collect();
        let request = Request {
            method: "POST",
            url: "https://v",
            socket: None,
            token: token.as_ref(),
            namespace: None,
            headers: &headers,
            body: Some(body.as_bytes()),
            timeout: Duration::ZERO,
        };
        let body = Zeroizing::new(answer.as_bytes().to_vec());
        let answer = Answer { status, retry_after: None, location: None, body };
        let answer = hide(&request, path, Ok(answer)).expect("an answer");
        String::from_utf8(answer.body.to_vec()).expect("text")
    }

    #[track_caller]
    fn hidden(path: &str, body: &str, said: &str) {
        for (status, answer) in [
            (400, serde_json::json!({ "errors": ["fine", said] })),
            (200, serde_json::json!({ "warnings": [said], "data": null })),
            (200, serde_json::json!({ "data": { "batch_results": [{ "error": said }] } })),
        ] {
            let left = left(path, body, &[], status, &answer.to_string());
            assert_eq!(left.matches(HIDDEN).count(), 1, "{said}: {left}");
            assert_eq!(left.contains("fine"), status == 400, "{left}");
        }
        assert_eq!(left(path, body, &[], 502, said), HIDDEN, "{said}");
    }

    #[track_caller]
    fn kept(path: &str, body: &str, said: &str) {
        let answer = serde_json::json!({ "errors": [said] }).to_string();
        assert_eq!(left(path, body, &[], 400, &answer), answer);
        assert_eq!(left(path, body, &[], 400, said), said);
    }

    #[test]
    fn a_text_that_repeats_what_was_sent_is_not_kept() {
        let path = "transit/encrypt/app";
        hidden(path, BATCH, &format!("cannot parse: {BATCH}"));
        hidden(path, BATCH, "the token s.SECRETTOKEN may not");
        // Cut by whoever repeats it.
        hidden(path, BATCH, "near `ReNQ5mSdhwMn`");
        hidden(path, BATCH, "the token s.SECRETTOKE");
        // On several lines, which are one when they are shown.
        hidden("kv/data/t", r#"{"data":{"a":"one two\nthree"}}"#, "bad: one two\nthree");
        kept(path, BATCH, "unknown key type no-new-key");
        kept(path, BATCH, "plaintext in batch_input 0 is no base64");
    }

    #[test]
    fn a_value_of_the_user_s_is_looked_for_however_it_is_called() {
        hidden("kv/data/t", r#"{"data":{"role":"operator-7"}}"#, "what is operator-7?");
        hidden("kv/t", r#"{"type":"pa\"ss\"wo\"rd"}"#, r#"bad: {"type":"pa\"ss\"wo\"rd"}"#);
        hidden("kv/t", r#"{"pin":48151623}"#, "48151623 is no text");
        hidden("kv/t", "no JSON but a secret", "and what is `no JSON but a secret`");
    }

    #[test]
    fn a_short_password_is_one_as_a_word() {
        let path = "auth/userpass/login/me";
        hidden(path, r#"{"password":"hunter2"}"#, r#"invalid: {"password":"hunter2"}"#);
        kept(path, r#"{"password":"hunter2"}"#, "hunter23 and chunter2");
        kept(path, r#"{"password":"password1"}"#, "invalid username or password");
        // What a login asks for by name is no secret.
        kept("auth/jwt/login", r#"{"role":"deployer-of-all"}"#, "no role deployer-of-all");
    }

    #[test]
    fn headers_are_looked_for_as_they_came_and_as_they_are_meant() {
        let path = "transit/encrypt/app";
        let pair = "eyJrZXkiOiJzZWNyZXRfaWQiLCJ2YWx1ZSI6Im9wZW4tc2VzYW1lIn0";
        for (name, text, said) in [
            ("x-team", "blue-and-green", "no blue-and-green here"),
            ("x-vault-mfa", "totp:815162", "the passcode 815162 is used"),
            ("x-vault-inline-auth-parameter-0", pair, "bad header eyJrZXkiOiJz"),
            ("x-vault-inline-auth-parameter-0", pair, "invalid secret id open-sesame"),
        ] {
            let answer = left(path, BATCH, &[(name, text)], 400, said);
            assert_eq!(answer, HIDDEN, "{said}");
        }
        let said = "no login at auth/approle/login";
        let header = ("x-vault-inline-auth-path", "auth/approle/login");
        assert_eq!(left(path, BATCH, &[header], 400, said), said);
    }

    #[test]
    fn what_is_no_text_of_an_answer_stays_as_it_is() {
        let found = r#"{"data": {"id": "s.SECRETTOKEN", "error": "s.SECRETTOKEN"}}"#;
        assert_eq!(left("auth/token/lookup-self", "{}", &[], 200, found), found);
        assert_eq!(left("kv/t", "{}", &[], 200, ""), "");
    }

    #[test]
    fn why_a_login_in_a_request_failed_is_a_text_too() {
        let text = SecretText::new("open-sesame".into());
        let request = Request {
            method: "GET",
            url: "https://v",
            socket: None,
            token: None,
            namespace: None,
            headers: &[("x-secret", &text)],
            body: None,
            timeout: Duration::ZERO,
        };
        for (said, left) in [("no open-sesame (400)", HIDDEN), ("denied (403)", "denied (403)")] {
            let error = hide(&request, "kv/t", Err(TransportError::Login(said.into())));
            assert_eq!(error.err(), Some(TransportError::Login(left.into())));
        }
    }
}

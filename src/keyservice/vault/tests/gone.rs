//! Servers that do not answer, and files that name them again and again.

use base64::Engine as _;

use super::{
    BASE64_STANDARD, ClientOptions, Reply, Setup, TransportError, Trust, answer, key, key_at, says,
    works,
};
use crate::keys::{KeyGroup, WrappedKey};
use crate::keyservice::{DecryptionOrder, Keyring};
use crate::timestamp::Timestamp;

fn away() -> Reply {
    Box::new(|_| Err(TransportError::Connect("refused".into())))
}

/// With two servers that the user named.
fn setup(answers: Vec<Reply>) -> Setup {
    let trust = Trust::new().with_list("https://vault,https://other").expect("addresses");
    Setup::trusting(trust, answers, ClientOptions::default(), &["s.one"])
}

/// Opens what holds `good`.
fn opens_good() -> Reply {
    Box::new(|body| {
        let asked: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let result = |(index, item): (usize, &serde_json::Value)| {
            let text = item["ciphertext"].as_str().expect("a text");
            let reference = index.to_string();
            if text.ends_with("good") {
                let key = BASE64_STANDARD.encode([7; 32]);
                serde_json::json!({ "plaintext": key, "reference": reference })
            } else {
                let error = "cipher: message authentication failed";
                serde_json::json!({ "error": error, "reference": reference })
            }
        };
        let items = asked["batch_input"].as_array().expect("a list");
        let results: Vec<_> = items.iter().enumerate().map(result).collect();
        let body = serde_json::json!({ "data": { "batch_results": results } }).to_string();
        Ok(answer(400, &body))
    })
}

/// What comes of a file with these entries, and the requests that it took.
fn recover(answers: Vec<Reply>, entries: &[(&str, &str)]) -> (Result<(), String>, Vec<String>) {
    let Setup { keys, seen, crew } = setup(answers);
    let now = Timestamp::from_unix(0).expect("in range");
    let entry = |(at, enc): &(&str, &str)| {
        WrappedKey::new(key_at(at, "transit", "app"), format!("vault:v1:{enc}"), now)
    };
    let group = KeyGroup::new(entries.iter().map(entry).collect());
    let keyring = Keyring::new(vec![Box::new(keys)], DecryptionOrder::default()).for_crew(crew);
    let result = keyring.recover(&[group]).map(drop).map_err(|error| error.to_string());
    let requests = seen.lock().expect("not poisoned").requests.clone();
    (result, requests)
}

#[test]
fn a_server_that_nobody_reaches_is_not_asked_for_the_next_key() {
    for (reply, tries) in [
        (away as fn() -> Reply, 3),
        (|| says(503, r#"{"errors":["Vault is sealed"]}"#), 3),
        (|| says(502, "Bad gateway"), 3),
    ] {
        let setup = setup(vec![reply()]);
        let first = setup.unwrap(key()).expect_err("nobody answers");
        assert_eq!(setup.requests().len(), tries);
        let second = setup.unwrap(key_at("https://vault", "team/transit", "b"));
        assert_eq!((second, setup.requests().len()), (Err(first), tries));
        // Another one may be there.
        setup.unwrap(key_at("https://other", "transit", "app")).expect_err("nobody answers");
        assert_eq!(setup.requests().len(), 2 * tries);
    }
}

#[test]
fn a_server_that_fails_at_one_key_is_asked_for_another() {
    let fails = || says(500, r#"{"errors":["internal error"]}"#);
    let setup = setup(vec![fails(), fails(), fails(), works()]);
    let first = setup.unwrap(key());
    assert_eq!(first, Err("internal error (500)".to_owned()));
    assert_eq!((setup.unwrap(key()), setup.requests().len()), (first, 3));
    setup.unwrap(key_at("https://vault", "transit", "b")).expect("opens");
    // What is refused is no failure: another token, another file may do.
    let setup = super::gone::setup(vec![says(403, r#"{"errors":["denied"]}"#), works()]);
    setup.unwrap(key()).expect_err("refused");
    setup.unwrap(key()).expect("opens");
}

#[test]
fn a_file_with_many_entries_of_a_server_takes_two_requests() {
    let mut entries = vec![("https://vault", "AAA1"), ("https://vault", "AAA2")];
    entries.extend([("https://vault", "AAAA"); 50]);
    entries.extend([("https://vault", "good"), ("https://other", "AAA3")]);
    let (result, requests) = recover(vec![opens_good()], &entries);
    assert_eq!((result, requests.len()), (Ok(()), 2));
    // Without one that opens, the next server is asked, and each entry is named.
    entries.retain(|(_, enc)| *enc != "good");
    entries.extend([("https://other", "AAA4"), ("https://other", "AAA5")]);
    let (result, requests) = recover(vec![opens_good()], &entries);
    let error = result.expect_err("none opens");
    assert_eq!(error.lines().count(), 1 + entries.len(), "{error}");
    let other = requests.iter().filter(|it| it.contains("https://other")).count();
    assert_eq!((requests.len(), other), (4, 2), "{requests:?}");
}

#[test]
fn a_file_with_many_entries_of_a_server_that_is_away_waits_for_it_once() {
    let (result, requests) = recover(vec![away()], &[("https://vault", "AAAA"); 12]);
    let error = result.expect_err("nobody answers");
    assert_eq!(error.matches("cannot connect: refused").count(), 12, "{error}");
    assert_eq!(requests.len(), 3);
}

#[test]
fn the_first_entry_that_opens_counts_and_no_other_is_asked_for() {
    let entries = [("https://vault", "good"), ("https://vault", "AAA1"), ("https://other", "AAA2")];
    let (result, requests) = recover(vec![opens_good()], &entries);
    assert_eq!((result, requests.len()), (Ok(()), 1));
    let entries = [("https://vault", "AAA1"), ("https://other", "good"), ("https://vault", "AAA2")];
    let (result, requests) = recover(vec![opens_good()], &entries);
    assert_eq!((result, requests.len()), (Ok(()), 2));
}

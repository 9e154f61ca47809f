//! Answers that send a request on.

use super::{
    Address, Answer, ClientOptions, Reply, Setup, Trust, VaultToken, answer, key, says, works,
};
use crate::keyservice::vault::{Call, Repeat, TransportError};
use crate::secret::SecretText;

pub(super) fn to(location: &'static str) -> Reply {
    Box::new(move |_| Ok(Answer { location: Some(location.into()), ..answer(307, "") }))
}

/// Three servers of the user's.
fn setup(answers: Vec<Reply>, tokens: &[&'static str]) -> Setup {
    let trust = Trust::new().with_list("https://vault,https://node2,https://stranger");
    Setup::trusting(trust.expect("valid"), answers, ClientOptions::default(), tokens)
}

#[test]
fn a_redirect_leads_to_the_same_request_at_a_server_that_the_user_named_or_nowhere() {
    let setup = Setup::new(vec![to("https://vault/v1/transit/decrypt/app"), works()]);
    assert_eq!(setup.unwrap(key()), Ok([7; 32]));
    let elsewhere =
        "which is not where that request belongs: is VAULT_ADDR the address of a server?";
    for (location, expected) in [
        (
            "https://node2.evil:8200/v1/transit/decrypt/app",
            "https://node2.evil:8200, which you did not name; if it is yours, name it in \
             SOPS_HC_VAULT_ALLOWLIST"
                .to_owned(),
        ),
        ("https://vault/v1/sys/raw/x", format!("another path, {elsewhere}")),
        ("/v1/sys/raw/x", format!("another path, {elsewhere}")),
        ("https://a@b/v1/transit/decrypt/app", format!("what is no address, {elsewhere}")),
        ("unix:///a/v1/transit/decrypt/app", format!("what is no address, {elsewhere}")),
        ("/v1/transit/decrypt/app", format!("what is no address, {elsewhere}")),
    ] {
        let setup = Setup::new(vec![to(location)]);
        let expected = format!("the server sends the request on to {expected}");
        assert_eq!(setup.unwrap(key()), Err(expected));
        assert!(setup.requests().iter().all(|it| it.contains(" https://vault/")), "{location}");
    }
}

#[test]
fn a_server_that_a_redirect_leads_to_gets_its_own_token() {
    let setup = setup(vec![to("https://node2/v1/transit/decrypt/app"), works()], &["s.one"]);
    assert_eq!(setup.unwrap(key()), Ok([7; 32]));
    assert_eq!(
        setup.requests(),
        [
            "POST https://vault/v1/transit/decrypt/app s.one",
            "POST https://node2/v1/transit/decrypt/app s.one.node2"
        ]
    );
}

#[test]
fn a_server_may_write_the_path_of_a_redirect_in_its_own_way() {
    let answers = || vec![to("https://node2/v1/auth/ldap/login/a@b.example"), says(204, "")];
    let server = Address::parse("https://vault").expect("an address");
    let (body, headers, namespace, repeat) = (None, &[][..], None, Repeat::Unsent);
    let requests = |path: &str| {
        let setup = setup(answers(), &[]);
        let call = Call { server: &server, method: "POST", path, body, headers, namespace, repeat };
        let answer = setup.keys.client().call_with(&call, None);
        answer.map(|_| setup.requests()[1].clone()).map_err(|error| error.to_string())
    };
    let there = "POST https://node2/v1/auth/ldap/login/a%40b.example no token";
    assert_eq!(requests("auth/ldap/login/a%40b.example").as_deref(), Ok(there));
    for other in ["auth/ldap/login/a%4fb.example", "auth/ldap/login/a", "auth/ldap/login/%4"] {
        let error = requests(other).expect_err("another path");
        assert!(error.contains("another path, which is not where"), "{error}");
    }
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let trust = Trust::new().with_list("all").expect("valid");
    let answers = vec![to("http://vault/v1/transit/decrypt/app"), works()];
    let setup = Setup::trusting(trust, answers, ClientOptions::default(), &["s.one"]);
    let error = setup.unwrap(key()).expect_err("refused");
    assert_eq!(error, "the server sends the request on to http://vault, from https to http");
    assert_eq!(setup.requests().len(), 1);
}

#[test]
fn a_token_for_one_server_does_not_go_to_the_one_that_it_sends_on_to() {
    let setup = setup(vec![to("https://stranger/v1/transit/decrypt/app"), works()], &["s.one"]);
    let error = setup.unwrap(key()).expect_err("no token");
    assert_eq!(
        error,
        "the server sends the request on to https://stranger, for which there is no token: let your \
         token helper give one for that address too, or set VAULT_ADDR to it"
    );
    assert_eq!(setup.requests(), ["POST https://vault/v1/transit/decrypt/app s.one"]);
}

#[test]
fn a_token_that_was_renewed_is_that_of_the_server_that_refused_it() {
    let on = || to("https://node2/v1/transit/decrypt/app");
    let denied = says(403, r#"{"errors":["permission denied"]}"#);
    let setup = setup(vec![on(), denied, on(), works()], &["s.old", "s.new"]);
    assert_eq!(setup.unwrap(key()), Ok([7; 32]));
    assert_eq!(setup.requests()[3], "POST https://node2/v1/transit/decrypt/app s.new.node2");
}

#[test]
fn a_token_that_a_call_was_given_stays_with_it() {
    let setup =
        setup(vec![to("https://node2/v1/auth/token/renew-self"), says(204, "")], &["s.one"]);
    let token = VaultToken::new(&SecretText::new("s.given".to_owned())).expect("a token");
    let server = Address::parse("https://vault").expect("an address");
    let call = Call {
        server: &server,
        method: "POST",
        path: "auth/token/renew-self",
        body: None,
        headers: &[],
        namespace: None,
        repeat: Repeat::Unsent,
    };
    setup.keys.client().call_with(&call, token.as_ref()).expect("an answer");
    assert_eq!(
        setup.requests(),
        [
            "POST https://vault/v1/auth/token/renew-self s.given",
            "POST https://node2/v1/auth/token/renew-self s.given"
        ]
    );
}

#[test]
fn a_server_that_cannot_be_reached_where_a_redirect_leads_is_named() {
    let down: Reply = Box::new(|_| Err(TransportError::Connect("no such host".into())));
    let trust = Trust::new().with_list("https://vault,https://node2").expect("valid");
    let answers = vec![to("https://node2/v1/transit/decrypt/app"), down];
    let options = ClientOptions { retries: 0, ..ClientOptions::default() };
    let setup = Setup::trusting(trust, answers, options, &["s.one"]);
    let error = setup.unwrap(key()).expect_err("nobody is there");
    assert_eq!(
        error,
        "the server sends the request on to https://node2, which this machine does not reach (no such \
         host): set VAULT_ADDR to an address of the leader that it reaches"
    );
}

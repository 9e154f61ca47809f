//! Calls that are made again, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::redirects::to;
use super::{
    Address, Answer, Client, ClientOptions, Fake, Rate, Reply, SecretText, Seen, Setup,
    TokenSource, TransportError, Trust, VaultToken, answer, key, says, works,
};
use crate::keyservice::vault::{Call, Repeat};

#[test]
fn what_fails_for_a_while_is_repeated_and_what_is_refused_is_not() {
    let busy = || says(503, r#"{"errors":["Vault is sealed"]}"#);
    let down: Reply = Box::new(|_| Err(TransportError::Connect("refused".into())));
    let setup = Setup::new(vec![busy(), down, works()]);
    assert_eq!(setup.unwrap(key()), Ok([7; 32]));
    assert_eq!(setup.requests().len(), 3);

    // Twice, and no more.
    let setup = Setup::new(vec![busy()]);
    setup.unwrap(key()).expect_err("busy");
    assert_eq!(setup.requests().len(), 3);

    for once in [
        says(400, r#"{"errors":["x"]}"#),
        says(500, r#"{"errors":["failed to parse batch input: x"]}"#),
        says(500, r#"{"data":{"batch_results":[{"error":"x","reference":"0"}]}}"#),
        says(501, "{}"),
    ] {
        let setup = Setup::new(vec![once]);
        setup.unwrap(key()).expect_err("refused");
        assert_eq!(setup.requests().len(), 1);
    }
}

#[test]
fn a_server_that_names_a_time_is_asked_again_then_if_that_is_in_time() {
    let later = |seconds: u64| -> Reply {
        Box::new(move |_| {
            let body = r#"{"errors":["rate limit quota exceeded"]}"#;
            Ok(Answer { retry_after: Some(Duration::from_secs(seconds)), ..answer(429, body) })
        })
    };
    let setup = Setup::new(vec![later(7), works()]);
    setup.unwrap(key()).expect("opens");
    assert_eq!(setup.seen.lock().expect("not poisoned").pauses, [Duration::from_secs(7)]);
    let setup = Setup::new(vec![later(61), works()]);
    setup.unwrap(key()).expect_err("too late");
}

#[test]
fn requests_keep_to_the_rate_that_the_user_set() {
    let rate = Rate::parse("2:1").ok();
    let setup = Setup::with(vec![works()], ClientOptions { rate, ..ClientOptions::default() }, &[]);
    for _ in 0..3 {
        setup.unwrap(key()).expect("opens");
    }
    let pauses = setup.seen.lock().expect("not poisoned").pauses.clone();
    assert_eq!(pauses, [Duration::from_millis(500), Duration::from_millis(500)]);
}

/// Tokens that are called by the time at which they were fetched, in milliseconds.
struct Clocked(Arc<Mutex<Seen>>);

impl TokenSource for Clocked {
    fn token(&self, _: &Address) -> Result<Option<VaultToken>, String> {
        let now: Duration = self.0.lock().expect("not poisoned").pauses.iter().sum();
        let token = SecretText::new(format!("s.at{}", now.as_millis()));
        VaultToken::new(&token).map_err(|error| error.to_string())
    }

    fn renewed(
        &self,
        server: &Address,
        _: Option<&VaultToken>,
    ) -> Result<Option<VaultToken>, String> {
        self.token(server)
    }

    fn origin(&self, _: &Address) -> Option<String> {
        None
    }
}

#[test]
fn a_token_is_fetched_after_what_the_rate_makes_wait() {
    let server = Address::parse("https://vault").expect("an address");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let busy = || says(503, r#"{"errors":["Vault is sealed"]}"#);
    let answers = vec![says(204, ""), says(204, ""), busy(), says(204, "")];
    let fake = Fake { seen: Arc::clone(&seen), answers: Mutex::new(answers.into()) };
    let (rate, trust) = (Rate::parse("0.01").ok(), Trust::new().with(server.clone()));
    let options = ClientOptions { rate, timeout: Duration::MAX, ..ClientOptions::default() };
    let tokens = Box::new(Clocked(Arc::clone(&seen)));
    let client = Client::new(Box::new(fake), tokens, trust, options);
    let (method, path, repeat) = ("GET", "auth/token/lookup-self", Repeat::Freely);
    let (body, headers, namespace) = (None, &[][..], None);
    let call = Call { server: &server, method, path, body, headers, namespace, repeat };
    for _ in 0..3 {
        let answer = client.call(&call).expect("an answer");
        assert_eq!(answer.status, 204);
    }
    let seen = seen.lock().expect("not poisoned");
    let asked = |at: u32| format!("GET https://vault/v1/auth/token/lookup-self s.at{at}");
    // The last is a repetition, which keeps the pace too.
    assert_eq!(seen.requests, [asked(0), asked(100_000), asked(200_000), asked(200_000)]);
    assert_eq!(seen.pauses.iter().sum::<Duration>(), Duration::from_secs(300));
}

fn leaderless() -> Reply {
    says(500, r#"{"errors":["local node not active but active cluster node not found"]}"#)
}

fn pauses(setup: &Setup) -> Vec<Duration> {
    setup.seen.lock().expect("not poisoned").pauses.clone()
}

/// Ten times the same, and then what works.
fn ten(reply: impl Fn() -> Reply) -> Vec<Reply> {
    (0..10).map(|_| reply()).chain([works()]).collect()
}

#[test]
fn a_cluster_without_a_leader_is_waited_for_as_long_as_a_call_may_take() {
    let inactive = || says(503, r#"{"errors":["no active Vault instance found"]}"#);
    for answers in [ten(leaderless), ten(inactive)] {
        let setup = Setup::new(answers);
        assert_eq!(setup.unwrap(key()), Ok([7; 32]));
        assert_eq!(setup.requests().len(), 11);
        assert!(pauses(&setup).iter().all(|pause| *pause <= Duration::from_secs(3)));
    }
    let setup = Setup::new(vec![leaderless()]);
    let error = setup.unwrap(key()).expect_err("no leader");
    assert_eq!(
        error,
        "local node not active but active cluster node not found (500): no server of the cluster leads \
         at the moment; try again later"
    );
    let waited: Duration = pauses(&setup).iter().sum();
    assert!((50..60).contains(&waited.as_secs()), "{waited:?}");
    // A call without a limit does not hope for ever.
    let options = ClientOptions { timeout: Duration::MAX, ..ClientOptions::default() };
    let setup = Setup::with(vec![leaderless()], options, &["s.one"]);
    setup.unwrap(key()).expect_err("no leader");
    let waited: Duration = pauses(&setup).iter().sum();
    assert!((300..304).contains(&waited.as_secs()), "{waited:?}");
    // Who has switched repetitions off waits for nobody.
    let options = ClientOptions { retries: 0, ..ClientOptions::default() };
    let setup = Setup::with(ten(leaderless), options, &["s.one"]);
    setup.unwrap(key()).expect_err("no leader");
    assert_eq!(setup.requests().len(), 1);
}

#[test]
fn looking_for_a_leader_uses_up_no_repetition() {
    let down: fn() -> Reply = || Box::new(|_| Err(TransportError::Connect("refused".into())));
    let answers = vec![leaderless(), down(), leaderless(), leaderless(), down(), works()];
    assert_eq!(Setup::new(answers).unwrap(key()), Ok([7; 32]));
}

#[test]
fn what_uses_something_up_is_made_again_only_if_nobody_has_acted_on_it() {
    let server = Address::parse("https://vault").expect("an address");
    let (method, path) = ("POST", "auth/approle/login");
    let (body, headers, namespace, repeat) = (None, &[][..], None, Repeat::Unsent);
    let call = Call { server: &server, method, path, body, headers, namespace, repeat };
    let requests = |first: Reply| {
        let setup = Setup::new(vec![first, says(204, "")]);
        drop(setup.keys.client().call_with(&call, None));
        setup.requests().len()
    };
    // It is said before a request is passed on.
    assert_eq!(requests(leaderless()), 2);
    assert_eq!(requests(Box::new(|_| Err(TransportError::Connect("refused".into())))), 2);
    // And this, when it may have been.
    assert_eq!(requests(says(503, r#"{"errors":["no active Vault instance found"]}"#)), 1);
    assert_eq!(requests(Box::new(|_| Err(TransportError::Broken("reset".into())))), 1);
    assert_eq!(requests(says(500, r#"{"errors":["internal error"]}"#)), 1);
}

#[test]
fn a_server_that_has_served_may_send_to_a_leader_of_before_for_a_while() {
    let stranger = || to("https://node2.evil/v1/transit/decrypt/app");
    let setup = Setup::new([vec![works()], ten(stranger)].into_iter().flatten().collect());
    setup.unwrap(key()).expect("opens");
    assert_eq!(setup.unwrap(key()), Ok([7; 32]));
    assert!(setup.requests().iter().all(|request| !request.contains("evil")));
    // A redirect that stays is told.
    let setup = Setup::new(vec![works(), stranger()]);
    setup.unwrap(key()).expect("opens");
    let error = setup.unwrap(key()).expect_err("sent on");
    assert!(error.contains("https://node2.evil, which you did not name"), "{error}");
}

#[test]
fn a_redirect_to_one_who_sends_on_again_is_tried_again() {
    let on = || to("https://node2/v1/transit/decrypt/app");
    let trust = || Trust::new().with_list("https://vault,https://node2").expect("valid");
    let setup = |answers| Setup::trusting(trust(), answers, ClientOptions::default(), &["s.one"]);
    assert_eq!(setup(vec![on(), on(), on(), works()]).unwrap(key()), Ok([7; 32]));
    let lost = setup(vec![on()]);
    let error = lost.unwrap(key()).expect_err("sent on");
    assert!(error.contains("https://node2, which sends it on again"), "{error}");
    assert_eq!(lost.requests().len(), 6);
}

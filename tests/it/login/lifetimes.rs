//! Leases of a real server that end sooner than the run: requests are kept slow.

use serde_json::{Value, json};

use super::Site;

/// A run of ten requests, two in a second, so that it takes four seconds and a half at least, of somebody
/// whose tokens live so: what was asked.
#[track_caller]
fn slow_run(site: &Site, lifetime: Value) -> Vec<String> {
    let mut user = json!({ "password": "hunter2", "token_policies": site.policy });
    for (name, value) in lifetime.as_object().expect("an object") {
        user[name] = value.clone();
    }
    site.set("users/anna", user);
    let sandbox = site.user("userpass username=anna password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "hunter2").with("VAULT_RATE_LIMIT", "2:1");
    let names: Vec<_> = (0..1_000).map(|index| format!("{index}.yaml")).collect();
    for name in &names {
        sandbox.write(name, "a: one\n");
    }
    let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
    assert_eq!(sandbox.run(&words.collect::<Vec<_>>()).ok(), "");
    assert!(names.iter().all(|name| sandbox.read(name) != "a: one\n"));
    // None of its tokens is left.
    for request in site.server.requests() {
        if let Some(token) = request.header("x-vault-token") {
            assert!(!site.knows(token), "{}", request.path);
        }
    }
    site.asked(0)
}

fn count(asked: &[String], what: &str) -> usize {
    asked.iter().filter(|it| it.ends_with(what)).count()
}

#[test]
fn a_run_that_outlasts_its_token_renews_it() {
    let Some(site) = Site::new("userpass") else { return };
    let asked = slow_run(&site, json!({ "token_ttl": "3s" }));
    assert!(count(&asked, "renew-self") >= 1, "{asked:?}");
    let counts = (count(&asked, "login/anna"), count(&asked, "revoke-self"));
    assert_eq!(counts, (1, 1), "{asked:?}");
}

#[test]
fn a_run_that_outlasts_the_longest_life_of_a_token_logs_in_again() {
    let Some(site) = Site::new("userpass") else { return };
    let asked = slow_run(&site, json!({ "token_ttl": "3s", "token_max_ttl": "3s" }));
    let logins = count(&asked, "login/anna");
    assert!(logins >= 2, "{asked:?}");
    assert_eq!(count(&asked, "revoke-self"), logins, "each is taken back: {asked:?}");
    // Each token was of use before the next was asked for.
    let order = asked.iter().filter(|it| it.ends_with("login/anna") || it.ends_with("encrypt/a"));
    let order: Vec<_> = order.collect();
    assert!(!order.windows(2).any(|two| two[0] == two[1] && two[0].ends_with("anna")), "{asked:?}");
}

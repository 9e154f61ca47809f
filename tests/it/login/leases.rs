//! Tokens that end while a run goes on.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Answer, Sandbox, Script, Site, flat, role};

#[test]
fn a_token_that_died_in_a_run_is_followed_by_one_other() {
    let Some(site) = Site::new("approle") else { return };
    // Each token is good for two requests: lookups count.
    let (id, secret) = role(&site, json!({ "token_num_uses": 2 }));
    let sandbox = site.user(&format!("approle role_id={id} secret_id=env:SECRET"));
    let sandbox = sandbox.with("SECRET", &secret);
    let names: Vec<_> = (0..350).map(|index| format!("{index}.yaml")).collect();
    for name in &names {
        sandbox.write(name, "a: one\n");
    }
    let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
    let run = sandbox.run(&words.collect::<Vec<_>>());
    let asked = site.asked(0);
    let logins = asked.iter().filter(|it| *it == "POST auth/M/login").count();
    assert_eq!((logins, run.code), (2, Some(0)), "{asked:?} {}", run.stderr);
    assert!(asked.contains(&"GET auth/token/lookup-self".to_owned()), "{asked:?}");
}

#[test]
fn a_token_that_lacks_a_right_is_no_reason_to_log_in_again() {
    let Some(site) = Site::new("userpass") else { return };
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": "default" }));
    let sandbox = site.user("userpass username=anna password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "hunter2");
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    assert!(said.contains("the token of the login userpass (WAXSEAL_VAULT_AUTH)"), "{said}");
    let expected = [
        "POST auth/M/login/anna",
        "POST T/encrypt/a",
        "GET auth/token/lookup-self",
        "POST auth/token/revoke-self",
    ];
    assert_eq!(site.asked(0), expected);
}

/// A server whose tokens live for a second, and which has all the time of the world.
fn short_lived(renewable: bool) -> Script {
    let made = AtomicUsize::new(0);
    Script::start(move |request| {
        let auth = |token: &str| {
            let auth =
                json!({ "client_token": token, "lease_duration": 1, "renewable": renewable });
            Answer::json(200, &json!({ "auth": auth }))
        };
        let path = request.path.trim_start_matches("/v1/");
        match path {
            "auth/userpass/login/anna" => {
                auth(&format!("s.{}", made.fetch_add(1, Ordering::Relaxed)))
            }
            "auth/token/renew-self" => auth(request.header("x-vault-token").unwrap_or_default()),
            "auth/token/revoke-self" => Answer::new(204, ""),
            _ => {
                let body = request.json();
                let count = body["batch_input"].as_array().map_or(0, Vec::len);
                let text = format!("vault:v1:{}", "A".repeat(80));
                let one =
                    |index: usize| json!({ "ciphertext": text, "reference": index.to_string() });
                let results: Vec<Value> = (0..count).map(one).collect();
                // Longer than two thirds of the lease.
                Answer::json(200, &json!({ "data": { "batch_results": results } }))
                    .after(std::time::Duration::from_millis(800))
            }
        }
    })
}

#[test]
fn a_lease_that_nears_its_end_is_renewed_or_followed_by_another() {
    for renewable in [true, false] {
        let server = short_lived(renewable);
        let uri = format!("{}/v1/transit/keys/a", server.address());
        let sandbox = Sandbox::bare()
            .with("VAULT_ADDR", &server.address())
            .with("PASSWORD", "hunter2")
            .with("WAXSEAL_VAULT_AUTH", "userpass username=anna password=env:PASSWORD");
        sandbox.write(".sops.yaml", &format!("creation_rules:\n  - hc_vault_transit_uri: {uri}\n"));
        let names: Vec<_> = (0..900).map(|index| format!("{index}.yaml")).collect();
        for name in &names {
            sandbox.write(name, "a: one\n");
        }
        let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
        sandbox.run(&words.collect::<Vec<_>>()).ok();
        let paths: Vec<_> = server.requests().iter().map(|it| it.path.clone()).collect();
        let count = |end: &str| paths.iter().filter(|path| path.ends_with(end)).count();
        if renewable {
            assert!(count("renew-self") >= 1, "{paths:?}");
            assert_eq!((count("login/anna"), count("revoke-self")), (1, 1), "{paths:?}");
        } else {
            let logins = count("login/anna");
            assert!(logins >= 2, "{paths:?}");
            assert_eq!((count("renew-self"), count("revoke-self")), (0, logins), "{paths:?}");
        }
    }
}

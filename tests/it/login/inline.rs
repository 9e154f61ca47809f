//! Logins in the headers of the requests themselves: no token is made.

use serde_json::json;

use super::{Site, flat, role};

#[test]
fn a_request_that_carries_its_login_needs_no_token() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let login = format!("approle role_id={id} secret_id=env:SECRET inline=true");
    let sandbox = site.user(&login).with("SECRET", &secret);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert_eq!(site.asked(0), ["GET auth/token/lookup-self", "POST T/encrypt/a"]);
    for request in site.server.requests() {
        assert_eq!(request.header("x-vault-token"), None);
        let path = format!("auth/{}/login", site.auth);
        assert_eq!(request.header("x-vault-inline-auth-path"), Some(path.as_str()));
    }
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
}

#[test]
fn a_refused_login_in_a_request_is_the_only_one() {
    let Some(site) = Site::new("approle") else { return };
    let (id, _) = role(&site, json!({}));
    let login = format!("approle role_id={id} secret_id=env:SECRET inline=true");
    let sandbox = site.user(&login).with("SECRET", "1111-hunter2");
    let names: Vec<_> = (0..350).map(|index| format!("{index}.yaml")).collect();
    for name in &names {
        sandbox.write(name, "a: one\n");
    }
    let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
    let said = flat(&sandbox.run(&words.collect::<Vec<_>>()).fails(1));
    assert_eq!(site.asked(0), ["GET auth/token/lookup-self"]);
    assert!(said.contains("invalid role or secret ID") && !said.contains("hunter2"), "{said}");
}

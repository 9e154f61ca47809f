//! What is good for one login: it is not sent a second time, and it is said why a run cannot go on.

use serde_json::json;

use super::factors::{code, guarded};
use super::{Answer, Sandbox, Script, Site, flat, role_id};
use crate::openbao::wrapped;

/// A token is good for two requests, which is fewer than the files of the run need.
const USES: usize = 2;

/// Runs over more files than a token has uses: what is said, on one line.
#[track_caller]
fn runs_out(site: &Site, sandbox: &Sandbox) -> String {
    let names: Vec<_> = (0..450).map(|index| format!("{index}.yaml")).collect();
    for name in &names {
        sandbox.write(name, "a: one\n");
    }
    let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
    let said = flat(&sandbox.run(&words.collect::<Vec<_>>()).fails(1));
    let sealed = names.iter().filter(|name| sandbox.read(name) != "a: one\n").count();
    assert!((1..names.len()).contains(&sealed), "{sealed} of {}: {said}", names.len());
    let help = "what helps is a longer life or more uses of such a token (token_ttl, token_max_ttl, \
                token_num_uses), or fewer files in a run";
    assert!(said.contains(help), "{said}");
    let origin = format!("at auth/{} (WAXSEAL_VAULT_AUTH) has ended, and ", site.auth);
    assert!(said.contains(&origin), "{said}");
    said
}

fn logins(site: &Site) -> usize {
    site.asked(0).iter().filter(|it| it.starts_with("POST auth/M/login")).count()
}

/// A secret id that is good for one login.
fn single(site: &Site) -> (String, String) {
    let id = role_id(site, json!({ "token_num_uses": USES, "secret_id_num_uses": 1 }));
    let secret = site.set("role/app/secret-id", json!({}));
    (id, secret["data"]["secret_id"].as_str().expect("a text").to_owned())
}

#[test]
fn a_secret_id_for_one_login_is_sent_once() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = single(&site);
    let sandbox = site.user(&format!("approle role_id={id} secret_id=env:SECRET single_use=true"));
    let sandbox = sandbox.with("SECRET", &secret);
    let said = runs_out(&site, &sandbox);
    assert!(said.contains("its secret id is good for one login"), "{said}");
    assert!(!said.contains(&secret), "{said}");
    assert_eq!(logins(&site), 1);
}

#[test]
fn a_secret_id_that_is_used_up_unforeseen_is_refused_once_and_it_is_said_how_to_name_it() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = single(&site);
    let sandbox = site.user(&format!("approle role_id={id} secret_id=env:SECRET"));
    let sandbox = sandbox.with("SECRET", &secret);
    let said = runs_out(&site, &sandbox);
    assert!(said.contains("another login failed: invalid role or secret ID (400)"), "{said}");
    assert!(said.contains("say single_use=true") && !said.contains(&secret), "{said}");
    assert_eq!(logins(&site), 2);
}

#[test]
fn a_wrapped_secret_id_is_not_opened_for_a_second_login() {
    let Some(site) = Site::new("approle") else { return };
    let (id, _) = single(&site);
    let login = format!("approle role_id={id} secret_id=file:wrapped wrapped_for=app");
    let sandbox = site.user(&login);
    let path = format!("auth/{}/role/app/secret-id", site.auth);
    sandbox.write("wrapped", &wrapped(site.bao, &path, &json!({})));
    let said = runs_out(&site, &sandbox);
    assert!(said.contains("its secret id is good for one login"), "{said}");
    let opened = site.asked(0).iter().filter(|it| it.contains("sys/wrapping/")).count();
    assert_eq!((logins(&site), opened), (1, 2));
}

#[test]
fn a_passcode_in_a_variable_is_sent_once() {
    let Some(site) = Site::new("userpass") else { return };
    let (codes, method) = guarded(&site);
    site.set("users/anna", json!({ "token_num_uses": USES }));
    let given = format!("{method}:{}", code(&site, &codes));
    let sandbox = site.user("userpass username=anna password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "hunter2").with("VAULT_MFA", &given);
    let said = runs_out(&site, &sandbox);
    assert!(said.contains("its passcode is good for one login"), "{said}");
    assert!(!said.contains(&given), "{said}");
    assert_eq!(logins(&site), 1);
}

/// A user whose wrapped secret id is opened through a script, which answers to `unwrap`.
fn wrapped_user(
    site: &Site,
    answer: impl Fn(&crate::openbao::Request, &str) -> Answer + Send + Sync + 'static,
) -> (Script, Sandbox) {
    let id = role_id(site, json!({}));
    let server = site.bao.address().to_owned();
    let front = Script::start(move |request| match request.path.as_str() {
        "/v1/sys/wrapping/unwrap" => answer(request, &server),
        _ => Answer::from_server(&server, request),
    });
    let login = format!("approle role_id={id} secret_id=file:wrapped wrapped_for=app");
    let sandbox = site.user(&login).with("VAULT_ADDR", &front.address());
    let rule = sandbox.read(".sops.yaml").replace(&site.server.address(), &front.address());
    sandbox.write(".sops.yaml", &rule);
    let path = format!("auth/{}/role/app/secret-id", site.auth);
    sandbox.write("wrapped", &wrapped(site.bao, &path, &json!({})));
    (front, sandbox)
}

#[track_caller]
fn says_once(front: &Script, sandbox: &Sandbox, expected: &[&str]) {
    let token = sandbox.read("wrapped");
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    for expected in expected {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(said.contains("file:wrapped") && !said.contains(token.trim()), "{said}");
    let paths: Vec<_> = front.requests().iter().map(|it| it.path.clone()).collect();
    assert_eq!(paths, ["/v1/sys/wrapping/lookup", "/v1/sys/wrapping/unwrap"]);
    assert_eq!(sandbox.read("a.yaml"), "a: one\n");
}

#[test]
fn what_somebody_else_opens_at_the_same_moment_is_an_alarm() {
    let Some(site) = Site::new("approle") else { return };
    // Somebody else is a little faster.
    let (front, sandbox) = wrapped_user(&site, |request, server| {
        drop(Answer::from_server(server, request));
        Answer::from_server(server, request)
    });
    let expected = ["somebody else has opened it at this very moment", "have that revoked"];
    says_once(&front, &sandbox, &expected);
}

#[test]
fn what_may_have_been_opened_without_an_answer_is_not_opened_again() {
    let Some(site) = Site::new("approle") else { return };
    let (front, sandbox) = wrapped_user(&site, |request, server| {
        drop(Answer::from_server(server, request));
        Answer::hang_up()
    });
    says_once(&front, &sandbox, &["it may be used up, so have another made"]);
}

#[test]
fn a_spent_wrapping_token_says_what_that_means_and_what_to_do() {
    let Some(site) = Site::new("approle") else { return };
    let id = role_id(&site, json!({}));
    let sandbox =
        site.user(&format!("approle role_id={id} secret_id=file:wrapped wrapped_for=app"));
    sandbox.write("wrapped", "s.neverwasone");
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    for expected in
        ["file:wrapped: ", "it has expired, was opened before, or never was", "have that revoked"]
    {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(site.asked(0), ["POST sys/wrapping/lookup"]);
}

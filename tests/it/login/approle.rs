//! AppRole, and what every login has in common.

use serde_json::json;

use super::{Bao, Site, flat, role, role_id};
use crate::openbao::Listener;

#[test]
fn a_run_logs_in_once_and_takes_its_token_back() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let sandbox = site.user(&format!("approle role_id={id} secret_id=env:SECRET"));
    let sandbox = sandbox.with("SECRET", &format!("{secret}\n"));
    site.works(&sandbox, "POST auth/M/login");

    // However many files there are, and also when the run fails.
    for index in 0..300 {
        sandbox.write(&format!("many/{index}.yaml"), "a: one\n");
    }
    let names: Vec<_> = (0..300).map(|index| format!("many/{index}.yaml")).collect();
    let words = ["encrypt", "-i"].into_iter().chain(names.iter().map(String::as_str));
    let from = site.server.requests().len();
    sandbox.run(&words.collect::<Vec<_>>()).ok();
    let asked = site.asked(from);
    assert_eq!(asked.iter().filter(|it| *it == "POST auth/M/login").count(), 1, "{asked:?}");
    let from = site.server.requests().len();
    sandbox.write(".sops.yaml", &sandbox.read(".sops.yaml").replace("keys/a", "keys/missing"));
    sandbox.write("b.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "b.yaml"]).fails(1);
    assert_eq!(site.asked(from).last().map(String::as_str), Some("POST auth/token/revoke-self"));
}

#[test]
fn a_refused_secret_id_is_sent_once() {
    let Some(site) = Site::new("approle") else { return };
    let (id, _) = role(&site, json!({}));
    let sandbox = site.user(&format!("approle role_id={id} secret_id=file:secret"));
    sandbox.write("secret", "11111111-hunter2\n");
    let said = "invalid role or secret ID (400): it was not tried a second time";
    site.refuses(&sandbox, "POST auth/M/login", "hunter2", said);
}

#[test]
fn what_cannot_be_sent_is_not() {
    let Some(site) = Site::new("approle") else { return };
    for (login, expected) in [
        ("approle role_id=r secret_id=file:missing", "missing: no such file"),
        ("approle role_id=r secret_id=env:NOBODY", "NOBODY is not set"),
        ("approle role_id=r secret_id=command:false", "false failed"),
        ("approle role_id=r secret_id=file:empty", "file:empty is empty"),
        ("approle role_id=r secret_id=hunter2", "secret_id is where the secret is"),
        ("aprole role_id=r", "there is no method `aprole`, did you mean `approle`?"),
    ] {
        let sandbox = site.user(login);
        sandbox.write("empty", "\n");
        let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("WAXSEAL_VAULT_AUTH") && !said.contains("hunter2"), "{said}");
    }
    assert_eq!(site.server.connections(), 0);
}

#[test]
fn no_credential_goes_to_a_server_that_only_a_file_names() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let evil = Listener::start();
    let sandbox = site.user(&format!("approle role_id={id} secret_id=env:SECRET"));
    let sandbox = sandbox.with("SECRET", &secret);
    let rule = sandbox.read(".sops.yaml").replace(&site.server.address(), &evil.address());
    sandbox.write(".sops.yaml", &rule);
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    assert!(said.contains("no token goes there"), "{said}");
    assert_eq!((evil.connections(), site.server.connections()), (0, 0));
    // Who lets every server have a token has not given it a password.
    let sandbox = sandbox.with("SOPS_HC_VAULT_ALLOWLIST", "all");
    let said = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    assert!(said.contains("is named by the file"), "{said}");
    assert_eq!(evil.connections(), 0);
}

#[test]
fn a_role_without_a_secret_id_and_one_of_batch_tokens_work() {
    let Some(site) = Site::new("approle") else { return };
    let id = role_id(
        &site,
        json!({ "bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8",
        "token_type": "batch", "token_ttl": 60 }),
    );
    let sandbox = site.user(&format!("approle role_id={id}"));
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    // A batch token cannot be taken back.
    assert_eq!(site.asked(0), ["POST auth/M/login", "POST T/encrypt/a"]);
}

#[test]
fn the_method_may_be_in_another_namespace_than_that_of_the_environment() {
    let Some(bao) = Bao::start() else { return };
    let team = bao.namespace();
    let Some(site) = Site::within(format!("{team}/"), "approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let login = format!("approle role_id={id} secret_id=env:SECRET namespace={team}");
    let sandbox = site.user(&login).with("SECRET", &secret);
    site.works(&sandbox, "POST auth/M/login");
    let requests = site.server.requests();
    assert_eq!(requests[0].header("x-vault-namespace"), Some(team.as_str()));
    assert_eq!(requests[1].header("x-vault-namespace"), None);
    assert_eq!(requests[2].header("x-vault-namespace"), Some(team.as_str()));
}

#[test]
fn an_empty_namespace_is_the_root_whatever_the_environment_says() {
    let Some(site) = Site::new("approle") else { return };
    let team = site.bao.namespace();
    let (id, secret) = role(&site, json!({}));
    let mount = format!("mount={}", site.auth);
    let sandbox = site.anybody().with("SECRET", &secret).with("VAULT_NAMESPACE", &team);
    let login = ["login", "approle", &format!("role_id={id}"), "secret_id=env:SECRET", &mount];
    sandbox.run(&login).fails(1);
    for root in [&["namespace="][..], &["namespace=/"], &["--namespace", ""]] {
        let from = site.server.requests().len();
        sandbox.run(&[&login[..], root].concat()).ok();
        assert_eq!(site.server.requests()[from].header("x-vault-namespace"), None, "{root:?}");
    }
}

#[test]
fn a_login_at_the_root_is_named_in_each_request_that_carries_it() {
    let Some(bao) = Bao::start() else { return };
    let team = bao.namespace();
    let Some(site) = Site::within(format!("{team}/"), "approle") else { return };
    let mount = bao.auth("", "approle");
    let policy = format!("path \"{}/*\" {{ capabilities = [\"update\"] }}", site.transit);
    let options = json!({ "token_policies": bao.policy("", &policy) });
    let role = format!("auth/{mount}/role/app");
    bao.ask("POST", &role, Some(options));
    let id = bao.ask("GET", &format!("{role}/role-id"), None)["data"]["role_id"].take();
    let secret = bao.ask("POST", &format!("{role}/secret-id"), None)["data"]["secret_id"].take();
    let (id, secret) = (id.as_str().expect("a text"), secret.as_str().expect("a text"));
    let login = format!("approle role_id={id} secret_id=env:SECRET mount={mount} inline=true");
    let sandbox = site.anybody().with("SECRET", secret).with("VAULT_NAMESPACE", &team);
    sandbox.write("b.yaml", "a: one\n");
    let sandbox = sandbox.with("WAXSEAL_VAULT_AUTH", &format!("{login} namespace="));
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    // It is named, since the server would take that of a request, and requests have others.
    for request in site.server.requests() {
        assert_eq!(request.header("x-vault-inline-auth-namespace"), Some("/"));
    }
    let sandbox = sandbox.with("WAXSEAL_VAULT_AUTH", &login);
    sandbox.run(&["encrypt", "-i", "b.yaml"]).fails(1);
}

#[test]
fn a_word_that_is_nearly_right_is_told_with_the_right_one() {
    let sandbox = super::Sandbox::bare().with("VAULT_ADDR", "https://vault.example");
    for (words, expected) in [
        (&["login", "userpas"][..], "there is no method `userpas`, did you mean `userpass`?"),
        (&["login", "userpass", "user=anna"], "is that what `user` is meant to be?"),
        (
            &["login", "userpass", "--username", "anna"],
            "hint: what a method needs is typed without dashes: waxseal login METHOD username=…",
        ),
        (&["login", "--serve", "x"], "did you mean `--server`?"),
    ] {
        let said = sandbox.run(words).fails(1);
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.contains("--server"), words[1] == "--serve", "{said}");
    }
}

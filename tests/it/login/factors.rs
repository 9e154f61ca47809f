//! A second factor: asked for after the first, or sent with it.

use serde_json::json;

use super::{Answer, Script, Site, end, flat};

/// A user with a second factor: the path of the engine that tells the code of the moment, and the name of
/// the method.
pub(super) fn guarded(site: &Site) -> (String, String) {
    let (bao, unique) = (site.bao, &site.auth);
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": site.policy }));
    let auth = bao.ask("GET", &format!("sys/auth/{unique}"), None);
    let accessor = &auth["data"]["accessor"];
    let entity = bao.ask("POST", "identity/entity", Some(json!({ "name": unique })));
    let entity = &entity["data"]["id"];
    let alias = json!({ "name": "anna", "canonical_id": entity, "mount_accessor": accessor });
    bao.ask("POST", "identity/entity-alias", Some(alias));
    let method = json!({ "method_name": unique, "issuer": "test", "period": 30, "digits": 6 });
    let method = bao.ask("POST", "identity/mfa/method/totp", Some(method));
    let method = &method["data"]["method_id"];
    let body = json!({ "method_id": method, "entity_id": entity });
    let made = bao.ask("POST", "identity/mfa/method/totp/admin-generate", Some(body));
    let enforcement = json!({ "mfa_method_ids": [method], "auth_method_accessors": [accessor] });
    let path = format!("identity/mfa/login-enforcement/{unique}");
    bao.ask("POST", &path, Some(enforcement));
    let codes = format!("totp-{unique}");
    bao.ask("POST", &format!("sys/mounts/{codes}"), Some(json!({ "type": "totp" })));
    let key = json!({ "url": made["data"]["url"] });
    bao.ask("POST", &format!("{codes}/keys/anna"), Some(key));
    (format!("{codes}/code/anna"), method.as_str().expect("an id").to_owned())
}

pub(super) fn code(site: &Site, path: &str) -> String {
    let code = site.bao.ask("GET", path, None);
    code["data"]["code"].as_str().expect("a code").to_owned()
}

#[test]
fn a_passcode_is_asked_for_when_the_server_wants_one() {
    let Some(site) = Site::new("userpass") else { return };
    let (codes, _) = guarded(&site);
    let sandbox = site.anybody().with("PASSWORD", "hunter2");
    let words = format!("login userpass username=anna password=env:PASSWORD mount={}", site.auth);
    let mut session = sandbox.at_terminal(&words);
    session.exp_string("Passcode (totp, ").expect("the question");
    session.exp_string("): ").expect("the question");
    let code = code(&site, &codes);
    session.send_line(&code).expect("typed");
    let (shown, status) = end(session);
    assert_eq!(status, 0, "{shown}");
    assert!(!shown.contains(&code), "{shown}");
    assert_eq!(site.asked(0), ["POST auth/M/login/anna", "POST sys/mfa/validate"]);
    // Without anybody to ask, it is said what is missing.
    let words: Vec<_> = words.split(' ').collect();
    let said = flat(&sandbox.run(&words).fails(1));
    assert!(said.contains("there is no terminal to ask at"), "{said}");
}

#[test]
fn a_passcode_in_a_variable_goes_with_the_login() {
    let Some(site) = Site::new("userpass") else { return };
    let (codes, method) = guarded(&site);
    let sandbox = site.user("userpass username=anna password=env:PASSWORD");
    let sandbox = sandbox.with("PASSWORD", "hunter2");
    let given = format!("{method}:{}", code(&site, &codes));
    let sandbox = sandbox.with("VAULT_MFA", &given);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let expected = ["POST auth/M/login/anna", "POST T/encrypt/a", "POST auth/token/revoke-self"];
    assert_eq!(site.asked(0), expected);
    let requests = site.server.requests();
    assert_eq!(requests[0].header("x-vault-mfa"), Some(given.as_str()));
    assert_eq!(requests[1].header("x-vault-mfa"), None, "no other request has it");
    // A code is good once.
    let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
    assert!(!said.contains(&given), "{said}");
}

#[test]
fn a_push_needs_nobody_at_a_terminal() {
    let server = Script::start(|request| match request.path.as_str() {
        "/v1/auth/userpass/login/anna" => {
            let push = json!({ "type": "duo", "id": "d1", "uses_passcode": false });
            let code = json!({ "type": "totp", "id": "t1", "uses_passcode": true });
            let requirement = json!({ "mfa_request_id": "r1",
                "mfa_constraints": { "all": { "any": [code, push] } } });
            let auth = json!({ "client_token": "", "mfa_requirement": requirement });
            Answer::json(200, &json!({ "auth": auth }))
        }
        "/v1/sys/mfa/validate" => {
            Answer::json(200, &json!({ "auth": { "client_token": "s.pushed" } }))
        }
        _ => Answer::json(404, &json!({ "errors": [] })),
    });
    let sandbox = super::Sandbox::bare().with("VAULT_ADDR", &server.address());
    let sandbox = sandbox.with("PASSWORD", "hunter2");
    let words = ["login", "userpass", "username=anna", "password=env:PASSWORD", "--print"];
    let run = sandbox.run(&words);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "s.pushed\n"), "{}", run.stderr);
    assert_eq!(run.stderr, "confirm the login with duo\n");
    let validated = server.requests()[1].json();
    let expected = json!({ "mfa_request_id": "r1", "mfa_payload": { "d1": [""] } });
    assert_eq!(validated, expected);
}

//! A server that only a file names: the question at a terminal, and what is remembered of the answer.

use serde_json::json;

use super::Sandbox;
use super::terminal::end;
use crate::openbao::{Bao, Recorder};

/// A sealed file of this server, and a user with a token who has named no server.
fn stranger(bao: &Bao, address: &str) -> Sandbox {
    let mount = bao.mount();
    bao.create_key(&mount, "app", json!({}));
    let uri = format!("{}/v1/{mount}/keys/app", bao.address());
    let owner = Sandbox::bare()
        .with("VAULT_ADDR", bao.address())
        .with("VAULT_TOKEN", bao.root())
        .with("SOPS_VAULT_URIS", &uri);
    owner.write("a.yaml", "a: one\n");
    owner.run(&["encrypt", "-i", "a.yaml"]).ok();
    let sealed = owner.read("a.yaml").replace(bao.address(), address);
    let user = Sandbox::bare().with("VAULT_TOKEN", bao.root()).with("NO_COLOR", "1");
    user.write("a.yaml", &sealed);
    user
}

const QUESTION: &str = "Send your Vault token there, now and from now on? [y/N] ";

#[test]
fn a_yes_is_remembered_for_that_server() {
    let Some(bao) = Bao::start() else { return };
    let server = Recorder::before(bao.address());
    let user = stranger(bao, &server.address());
    let mut session = user.at_terminal("decrypt a.yaml");
    let shown = session.exp_string(QUESTION).expect("the question");
    assert!(shown.ends_with("is named by the file or its rule and not by you.\r\n"), "{shown}");
    assert!(shown.contains(&server.address()), "{shown}");
    assert_eq!(server.connections(), 0);
    session.send_line("y").expect("answered");
    let (shown, code) = end(session);
    assert!(shown.contains("note: remembered in ") && shown.contains("a: one"), "{shown}");
    assert_eq!(code, 0);
    // From now on without a terminal, for this server and no other.
    assert_eq!(user.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    let other = Recorder::before(bao.address());
    user.write("b.yaml", &user.read("a.yaml").replace(&server.address(), &other.address()));
    user.run(&["decrypt", "b.yaml"]).fails(128);
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_list_of_answers_that_cannot_be_read_is_told() {
    let Some(bao) = Bao::start() else { return };
    let server = Recorder::before(bao.address());
    let user = stranger(bao, &server.address());
    std::fs::create_dir_all(user.home().join(".config/waxseal/vault-servers")).expect("made");
    let said = user.run(&["decrypt", "a.yaml"]).fails(128);
    let flat = said.replace("\n      | ", " ");
    assert!(flat.contains("vault-servers: is a directory; if it is yours: export"), "{said}");
    assert_eq!(server.connections(), 0);
    let mut session = user.at_terminal("decrypt a.yaml");
    let shown = session.exp_string(QUESTION).expect("the question");
    assert!(shown.contains("what you said before is not known: "), "{shown}");
    session.send_line("n").expect("answered");
    end(session);
    assert_eq!(server.connections(), 0);
}

#[test]
fn without_a_yes_nothing_is_sent_and_nothing_remembered() {
    let Some(bao) = Bao::start() else { return };
    let server = Recorder::before(bao.address());
    let user = stranger(bao, &server.address());
    for answer in ["", "n", "maybe"] {
        let mut session = user.at_terminal("decrypt a.yaml");
        session.exp_string(QUESTION).expect("the question");
        session.send_line(answer).expect("answered");
        let (shown, code) = end(session);
        assert!(shown.contains("export VAULT_ADDR="), "{shown}");
        assert_eq!(code, 128);
    }
    user.run(&["decrypt", "a.yaml"]).fails(128);
    // Nor is anybody asked who has said that no server is good.
    let (shown, code) =
        end(user.with("SOPS_HC_VAULT_ALLOWLIST", "none").at_terminal("decrypt a.yaml"));
    assert!(!shown.contains(QUESTION), "{shown}");
    assert_eq!((server.connections(), code), (0, 128));
}

#[test]
fn a_terminal_is_told_what_weakens_the_connection() {
    let Some(bao) = Bao::start() else { return };
    let server = Recorder::before(bao.address());
    let user = stranger(bao, &server.address())
        .with("VAULT_ADDR", &server.address())
        .with("VAULT_SKIP_VERIFY", "1")
        .with("VAULT_WRAP_TTL", "60s")
        .with("VAULT_SRV_LOOKUP", "true")
        .with("VAULT_HEADERS", r#"{"x-team":"blue"}"#);
    let (shown, code) = end(user.at_terminal("decrypt a.yaml"));
    assert!(shown.contains("note: VAULT_SKIP_VERIFY: no certificate is checked"), "{shown}");
    assert!(shown.contains("note: VAULT_WRAP_TTL is not used"), "{shown}");
    assert!(shown.contains("note: VAULT_SRV_LOOKUP is not used"), "{shown}");
    assert_eq!(code, 0);
    let request = server.requests().pop().expect("one");
    assert_eq!(request.header("x-team"), Some("blue"));
    assert_eq!(request.header("x-vault-wrap-ttl"), None);
}

/// A file that somebody else wrote, which names these servers, in this order.
fn naming(bao: &Bao, servers: &[&str]) -> Sandbox {
    let user = stranger(bao, bao.address());
    let sealed = user.read("a.yaml");
    let start = sealed.find("        - created_at").expect("an entry");
    let end = sealed.find("    lastmodified").expect("behind the entries");
    let entries = servers.iter().map(|it| sealed[start..end].replace(bao.address(), it));
    let entries: String = entries.collect();
    user.write("a.yaml", &format!("{}{entries}{}", &sealed[..start], &sealed[end..]));
    user
}

#[test]
fn nobody_is_asked_for_a_host_without_tls_that_he_names_with_it() {
    let Some(bao) = Bao::start() else { return };
    let plain = "http://vault.corp.invalid:8200";
    let user = naming(bao, &[plain]).with("VAULT_ADDR", "https://vault.corp.invalid:8200");
    let (shown, code) = end(user.at_terminal("decrypt a.yaml"));
    assert!(!shown.contains("[y/N]") && !shown.contains("export "), "{shown}");
    assert!(shown.contains("only the scheme differs"), "{shown}");
    assert_eq!(code, 128);
    // A yes that was said before is such a name as well.
    let folder = user.home().join(".config/waxseal");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("vault-servers"), "https://vault.corp.invalid\n").expect("written");
    let user = user.with("VAULT_ADDR", "");
    let (shown, code) = end(user.at_terminal("decrypt a.yaml"));
    assert!(!shown.contains("[y/N]") && !shown.contains("export "), "{shown}");
    assert!(shown.contains("you name its host with TLS"), "{shown}");
    assert_eq!(code, 128);
    // Who names that address himself has been told, and is believed.
    let user = user.with("SOPS_HC_VAULT_ALLOWLIST", plain);
    let (shown, _) = end(user.at_terminal("decrypt a.yaml"));
    let told = format!("note: {plain}: it has no TLS: everybody on the way can read the token");
    assert!(shown.contains(&told) && !shown.contains("gets no token"), "{shown}");
}

#[test]
fn a_question_about_a_server_without_tls_says_who_can_read_the_token() {
    let Some(bao) = Bao::start() else { return };
    let user = naming(bao, &["http://vault.corp.invalid:8200"]);
    let mut session = user.at_terminal("decrypt a.yaml");
    let shown = session.exp_string(QUESTION).expect("the question");
    assert!(shown.contains("It has no TLS: everybody on the way can read the token"), "{shown}");
    session.send_line("n").expect("answered");
    let (shown, code) = end(session);
    let flat = shown.replace("\r\n      | ", " ");
    assert!(flat.contains("; it has no TLS: everybody on the way can read the token"), "{shown}");
    assert_eq!(code, 128);
}

#[test]
fn who_has_said_no_twice_is_asked_no_more() {
    let Some(bao) = Bao::start() else { return };
    let evil = |at: usize| format!("https://v{at}.invalid");
    let evil: Vec<String> = (0..6).map(evil).collect();
    let user = naming(bao, &evil.iter().map(String::as_str).collect::<Vec<_>>());
    let mut session = user.at_terminal("decrypt a.yaml");
    for _ in 0..2 {
        session.exp_string(QUESTION).expect("the question");
        session.send_line("n").expect("answered");
    }
    let (shown, code) = end(session);
    assert!(!shown.contains(QUESTION), "{shown}");
    assert!(shown.contains("note: no other server is asked about in this run"), "{shown}");
    for server in &evil {
        assert!(shown.contains(server), "{shown}");
    }
    assert_eq!(code, 128);
}

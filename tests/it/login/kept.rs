//! Where a token is kept and where it is not: folders that others write to, tokens of other servers.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use rustix::fs::{CWD, mkfifoat};
use serde_json::json;

use super::{Sandbox, Site, flat, role};
use crate::openbao::Own;

/// Somebody else.
const MALLORY: u32 = 2002;

/// Somebody whose token is to be kept at this place, and the words of their login.
fn keeps_at(site: &Site, place: &Path) -> (Sandbox, Vec<String>) {
    let (id, secret) = role(site, json!({}));
    let sandbox = site.anybody().with("SECRET", &secret);
    let sandbox = sandbox.with("VAULT_TOKEN_PATH", place.to_str().expect("UTF-8"));
    let words = ["login", "approle", "secret_id=env:SECRET"].map(str::to_owned).into_iter();
    let more = [format!("role_id={id}"), format!("mount={}", site.auth)];
    (sandbox, words.chain(more).collect())
}

#[test]
fn nothing_that_another_user_put_there_gets_a_token() {
    let Some(site) = Site::new("approle") else { return };
    let shared = tempfile::tempdir().expect("a folder");
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o1777)).expect("mode");
    let at = |name: &str| shared.path().join(name);
    let precious = at("precious");
    fs::write(&precious, "precious").expect("written");
    let fifo = |path: &Path| mkfifoat(CWD, path, 0o666.into()).expect("made");
    fifo(&at("fifo"));
    let mut places = vec![(at("fifo"), "fifo is no regular file")];
    let stdout = Path::new("/proc/self/fd/1").to_owned();
    places.push((stdout, "fd/1 is no regular file"));
    places.push((at("no/such/file"), "its directory does not exist"));
    places.push((shared.path().to_owned(), "is a directory"));
    if rustix::process::geteuid().is_root() {
        fifo(&at("other"));
        chown(at("other"), Some(MALLORY), None).expect("given away");
        fs::write(at("file"), "").expect("written");
        chown(at("file"), Some(MALLORY), None).expect("given away");
        for (name, to) in [("link", "precious"), ("dangling", "nothing")] {
            symlink(to, at(name)).expect("linked");
            lchown(at(name), Some(MALLORY), None).expect("given away");
        }
        // One of ours that leads to one of theirs.
        symlink("file", at("ours")).expect("linked");
        places.push((at("other"), "other belongs to another user"));
        places.push((at("file"), "file belongs to another user"));
        places.push((at("ours"), "file belongs to another user"));
        places.push((at("link"), "link belongs to another user"));
        places.push((at("dangling"), "dangling belongs to another user"));
    }
    for (place, expected) in places {
        let (sandbox, words) = keeps_at(&site, &place);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = flat(&sandbox.run(&words).fails(3));
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("hint: VAULT_TOKEN_PATH names another place"), "{said}");
        // No token was made for nothing.
        assert_eq!(site.server.connections(), 0);
    }
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
    assert!(!at("nothing").exists());
}

#[test]
fn what_is_the_users_own_is_replaced_behind_their_own_symlink() {
    let Some(site) = Site::new("approle") else { return };
    let shared = tempfile::tempdir().expect("a folder");
    let (file, link) = (shared.path().join("file"), shared.path().join("link"));
    fs::write(&file, "s.old").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("mode");
    symlink("file", &link).expect("linked");
    let (sandbox, words) = keeps_at(&site, &link);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(sandbox.run(&words).ok(), "");
    let token = fs::read_to_string(&file).expect("there");
    assert!(site.knows(&token));
    let now = fs::symlink_metadata(&file).expect("there");
    let me = rustix::process::geteuid().as_raw();
    assert_eq!((now.mode() & 0o7777, now.uid(), link.is_symlink()), (0o600, me, true));
}

#[test]
fn a_token_that_the_server_does_not_know_is_kept() {
    let Some(site) = Site::new("approle") else { return };
    let Some(other) = Own::start() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path().join("token");
    let (sandbox, words) = keeps_at(&site, &place);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sandbox.run(&words).ok();
    let token = fs::read_to_string(&place).expect("there");
    let said = flat(&sandbox.run(&["logout", "--server", other.address()]).fails(1));
    let expected = format!("{} does not know the token of {}", other.address(), place.display());
    assert!(said.contains(&expected) && !said.contains(&token), "{said}");
    let ways = format!(
        "hint: name its server in VAULT_ADDR or by --server; if it is dead, remove {}",
        place.display()
    );
    assert!(said.contains(&ways), "{said}");
    assert!(site.knows(&token) && fs::read_to_string(&place).expect("there") == token);
    assert_eq!(sandbox.run(&["logout"]).ok(), "");
    assert!(!site.knows(&token) && !place.exists());
}

#[test]
fn what_cannot_be_taken_back_is_kept_and_the_way_out_is_named() {
    let Some(site) = Site::new("approle") else { return };
    let sandbox = site.anybody();
    let file = sandbox.home().join(".vault-token");
    let (id, secret) = role(&site, json!({ "token_type": "batch" }));
    let body = json!({ "role_id": id, "secret_id": secret });
    let made = site.set("login", body);
    let batch = made["auth"]["client_token"].as_str().expect("a token");
    for (token, expected) in [
        (batch, "hint: if it may live until it expires, remove "),
        ("s.neverwas", "if it is dead, remove "),
        ("two words", "the token holds a blank"),
    ] {
        fs::write(&file, token).expect("written");
        let said = flat(&sandbox.run(&["logout"]).fails(1));
        assert!(said.contains(expected) && !said.contains(token), "{said}");
        assert!(said.contains(&format!("remove {}", file.display())), "{said}");
        assert_eq!(fs::read_to_string(&file).expect("there"), token);
    }
}

#[test]
fn who_has_no_home_is_told_what_helps_there() {
    for (word, hint) in [
        ("login", "hint: --print shows the token"),
        ("logout", "hint: VAULT_TOKEN_PATH names the file of the token"),
    ] {
        let sandbox = Sandbox::bare().with("VAULT_ADDR", "https://vault.example");
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
        command.arg(word).args((word == "login").then_some("cert")).env_remove("HOME");
        let output = command.output().expect("run");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("HOME is not set") && said.contains(hint), "{said}");
        assert_eq!(said.contains("--print"), word == "login", "{said}");
    }
}

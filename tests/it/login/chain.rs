//! Where a token comes from, and where `login` puts it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;

use super::{Sandbox, Site, end, flat, role};

#[test]
fn what_is_configured_counts_before_what_was_left_and_after_what_is_set() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let login = format!("approle role_id={id} secret_id=env:SECRET mount={}", site.auth);
    let leave = |sandbox: &Sandbox| {
        fs::write(sandbox.home().join(".vault-token"), "s.left\n").expect("written");
    };
    // A variable counts before all, so that nobody logs in, and nothing of it is even read.
    let sandbox = site.user("approle").with("VAULT_TOKEN", site.bao.root());
    leave(&sandbox);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert_eq!(site.asked(0), ["POST T/encrypt/a"]);
    // The login of the variable, of the user's own file, of the names that vals reads.
    let own = |text: &str| {
        let sandbox = site.anybody().with("SECRET", &secret);
        let folder = sandbox.home().join(".config/waxseal");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("config.yaml"), text).expect("written");
        sandbox
    };
    let map = format!(
        "auto_auth:\n  method: approle\n  role_id: {id}\n  secret_id: env:SECRET\n  mount: {}\n",
        site.auth
    );
    let vals = site
        .anybody()
        .with("VAULT_AUTH_METHOD", "approle")
        .with("VAULT_ROLE_ID", &id)
        .with("BAO_SECRET_ID", &secret)
        .with("VAULT_LOGIN_MOUNT_POINT", &format!("/{}", site.auth));
    let variable = site.anybody().with("WAXSEAL_VAULT_AUTH", &login).with("SECRET", &secret);
    for sandbox in [variable, own(&format!("auto_auth: {login}\n")), own(&map), vals] {
        leave(&sandbox);
        site.works(&sandbox, "POST auth/M/login");
    }
    let sandbox = own("autoauth: approle\n");
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    assert!(said.contains("waxseal/config.yaml: line 1"), "{said}");
}

#[test]
fn a_login_is_kept_where_the_other_programs_look_and_goes_with_logout() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let sandbox = site.anybody().with("SECRET", &secret);
    let (id, mount) = (format!("role-id={id}"), format!("--mount={}", site.auth));
    let login = ["login", "approle", &id, "secret_id=env:SECRET", &mount];
    let file = sandbox.home().join(".vault-token");
    // An old one that all could read becomes the owner's alone.
    fs::write(&file, "s.old").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("mode");
    assert_eq!(sandbox.run(&login).ok(), "");
    let token = fs::read_to_string(&file).expect("written");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(site.knows(&token), "it is kept");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert_eq!(site.asked(0), ["POST auth/M/login", "POST T/encrypt/a"]);
    assert_eq!(sandbox.run(&["logout"]).ok(), "");
    assert!(!site.knows(&token) && !file.exists());
    assert_eq!(sandbox.run(&["logout"]).ok(), "");

    let printed = sandbox.run(&[&login[..], &["--print"]].concat()).ok();
    assert!(site.knows(printed.trim()) && !file.exists());

    let helper = sandbox.home().join("helper");
    let script = "#!/bin/sh\ncase $1 in store) cat >\"$0.token\";; get) cat \"$0.token\";;\n\
                  erase) rm \"$0.token\";; esac\n";
    fs::write(&helper, script).expect("written");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("mode");
    let config = format!("token_helper = \"{}\"\n", helper.display());
    fs::write(sandbox.home().join(".vault"), config).expect("written");
    sandbox.run(&login).ok();
    let kept = sandbox.home().join("helper.token");
    assert!(site.knows(&fs::read_to_string(&kept).expect("stored")) && !file.exists());
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    sandbox.run(&["logout"]).ok();
    assert!(!kept.exists());
}

/// Somebody whose token helper keeps no token.
fn keeps_nothing(site: &Site, secret: &str) -> Sandbox {
    let sandbox = site.anybody().with("SECRET", secret);
    let config = "token_helper = \"/bin/false\"\n";
    fs::write(sandbox.home().join(".vault"), config).expect("written");
    sandbox
}

#[test]
fn a_token_that_cannot_be_kept_is_taken_back_or_told() {
    let Some(site) = Site::new("approle") else { return };
    for (kind, hint) in [("service", false), ("batch", true)] {
        let (id, secret) = role(&site, json!({ "token_type": kind }));
        let sandbox = keeps_nothing(&site, &secret);
        let (id, mount) = (format!("role_id={id}"), format!("--mount={}", site.auth));
        let words = ["login", "approle", &id, "secret_id=env:SECRET", &mount];
        let said = flat(&sandbox.run(&words).fails(3));
        assert!(said.contains("the token helper /bin/false, which "), "{said}");
        let told = said.contains("hint: the server did not take the token back, which lives for ");
        assert_eq!(told, hint, "{kind}: {said}");
        assert_eq!(site.asked(0).last().map(String::as_str), Some("POST auth/token/revoke-self"));
        let requests = site.server.requests();
        let token = requests.last().and_then(|it| it.header("x-vault-token")).expect("a token");
        assert_eq!(site.knows(token), hint, "{kind}");
        assert!(!said.contains(token), "{said}");
    }
}

#[test]
fn a_configuration_that_the_user_names_is_read_or_told() {
    let Some(site) = Site::new("approle") else { return };
    let leave = |sandbox: &Sandbox| {
        fs::write(sandbox.home().join(".vault-token"), site.bao.root()).expect("written");
    };
    for (name, path) in [("VAULT_CONFIG_PATH", "/"), ("BAO_CONFIG_PATH", "/bin/sh")] {
        let sandbox = site.anybody().with(name, path);
        leave(&sandbox);
        let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
        assert!(said.contains(&format!("{name}: {path}: is ")), "{said}");
    }
    assert_eq!(site.server.connections(), 0);
    // One that is not there names no helper, nor does what another program keeps at the usual place.
    let sandbox = site.anybody().with("VAULT_CONFIG_PATH", "/nowhere");
    let beside = site.anybody();
    fs::create_dir(beside.home().join(".vault")).expect("made");
    for sandbox in [sandbox, beside] {
        leave(&sandbox);
        sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    }
}

#[test]
fn a_token_that_nobody_reads_is_taken_back() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = role(&site, json!({}));
    let (id, mount) = (format!("role_id={id}"), format!("--mount={}", site.auth));
    let words = ["login", "approle", &id, "secret_id=env:SECRET", &mount];
    let gone = |from: usize| {
        assert_eq!(site.asked(from), ["POST auth/M/login", "POST auth/token/revoke-self"]);
        let requests = site.server.requests();
        let token = requests[from + 1].header("x-vault-token").expect("a token");
        assert!(!site.knows(token), "it was taken back");
    };
    let sandbox = keeps_nothing(&site, &secret);
    sandbox.run(&words).fails(3);
    gone(0);
    // Nobody reads what is printed.
    let from = site.server.requests().len();
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
    let mut child =
        command.args(words).arg("--print").stdout(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    gone(from);
}

#[test]
fn a_login_that_fails_says_where_and_why_and_keeps_nothing() {
    let Some(site) = Site::new("userpass") else { return };
    let sandbox = site.anybody().with("PASSWORD", "hunter2");
    for (words, expected) in [
        (&["login"][..], "no login is configured"),
        (&["login", "userpass"], "userpass needs username=…"),
        (&["login", "userpass", "hunter2"], "word 1 behind userpass is no key=value"),
        (&["login", "userpass", "username=a", "password=hunter2"], "password is where"),
        (&["login", "userpass", "username=a", "password=terminal"], "no terminal to ask at"),
        (&["login", "userpass", "username=a", "password=env:PASSWORD"], "(40"),
        (&["login", "cert", "inline=true"], "makes no token that could be kept"),
        (&["login", "cert", "--server", "vault"], "--server: an address begins with"),
    ] {
        let said = flat(&sandbox.run(words).fails(1));
        assert!(said.contains(expected) && !said.contains("hunter2"), "{words:?}: {said}");
    }
    assert_eq!(site.asked(0).len(), 1);
    assert!(!sandbox.home().join(".vault-token").exists());
    let said = Sandbox::bare().run(&["login", "cert"]).fails(1);
    assert!(said.contains("no server is named"), "{said}");
}

#[test]
fn who_logs_in_at_a_terminal_is_told_who_they_are() {
    let Some(site) = Site::new("userpass") else { return };
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": site.policy }));
    let sandbox = site.anybody();
    let words = format!("login userpass username=anna mount={}", site.auth);
    let mut session = sandbox.at_terminal(&words);
    session.exp_string("Password of anna (userpass): ").expect("the question");
    session.send_line("hunter2").expect("typed");
    let (shown, code) = end(session);
    assert_eq!(code, 0, "{shown}");
    let expected = format!("as anna: policies default, {}", site.policy);
    assert!(flat(&shown).contains(&expected) && !shown.contains("hunter2"), "{shown}");
}

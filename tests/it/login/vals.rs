//! The names that vals reads, each under both of its names: logins, token files, token helpers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::signed::{cluster, service_account};
use super::{Sandbox, Site, flat};

/// The two names of a variable.
fn both(name: &str) -> [String; 2] {
    ["VAULT", "BAO"].map(|prefix| format!("{prefix}_{name}"))
}

/// Somebody with these settings, the prefix of their names left out; those of OpenBao count first.
fn user(site: &Site, index: usize, pairs: &[(&str, &str)]) -> Sandbox {
    let set = |sandbox: Sandbox, (name, value): &(&str, &str)| {
        let names = both(name);
        let sandbox = sandbox.with(&names[index], value);
        match index {
            0 => sandbox,
            _ => sandbox.with(&names[0], "nonsense"),
        }
    };
    pairs.iter().fold(site.anybody(), set)
}

#[test]
fn a_name_and_a_password_are_read_where_vals_reads_them() {
    let Some(site) = Site::new("userpass") else { return };
    site.set("users/anna", json!({ "password": "hunter2", "token_policies": site.policy }));
    let mount = format!("/{}", site.auth);
    for index in 0..2 {
        for place in [("PASSWORD_ENV", "MY_SECRET"), ("PASSWORD_FILE", "password")] {
            let common = [
                ("AUTH_METHOD", "userpass"),
                ("USERNAME", "anna"),
                ("LOGIN_MOUNT_POINT", mount.as_str()),
                place,
            ];
            let sandbox = user(&site, index, &common).with("MY_SECRET", "hunter2");
            sandbox.write("password", "hunter2\n");
            site.works(&sandbox, "POST auth/M/login/anna");
        }
    }
    // What is said names the variable, and not what it holds.
    let common = [("AUTH_METHOD", "userpass"), ("USERNAME", "anna"), ("LOGIN_MOUNT_POINT", &mount)];
    let sandbox = user(&site, 0, &common).with("VAULT_PASSWORD_ENV", "MY_SECRET");
    let sandbox = sandbox.with("MY_SECRET", "wrong-hunter");
    site.refuses(&sandbox, "POST auth/M/login/anna", "wrong-hunter", "(VAULT_AUTH_METHOD)");
    let sandbox = user(&site, 0, &common[..1]);
    let said = flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    assert!(said.contains("VAULT_AUTH_METHOD: userpass needs username=…"), "{said}");
}

#[test]
fn a_pod_is_read_where_vals_reads_it() {
    let Some(site) = Site::new("kubernetes") else { return };
    let _cluster = cluster(&site);
    for index in 0..2 {
        let pairs = [
            ("AUTH_METHOD", "kubernetes"),
            ("ROLE_ID", "app"),
            ("KUBERNETES_MOUNT_POINT", &*site.auth),
            ("KUBERNETES_JWT_TOKEN_PATH", "token"),
        ];
        let sandbox = user(&site, index, &pairs);
        sandbox.write("token", &service_account("good"));
        site.works(&sandbox, "POST auth/M/login");
    }
}

#[test]
fn a_role_is_read_where_vals_reads_it() {
    let Some(site) = Site::new("approle") else { return };
    let (id, secret) = super::role(&site, json!({}));
    for index in 0..2 {
        let pairs = [
            ("AUTH_METHOD", "approle"),
            ("ROLE_ID", &*id),
            ("SECRET_ID", &*secret),
            ("LOGIN_MOUNT_POINT", &*site.auth),
        ];
        site.works(&user(&site, index, &pairs), "POST auth/M/login");
    }
}

#[test]
fn a_token_is_found_in_the_file_that_is_named() {
    let Some(site) = Site::new("approle") else { return };
    let policy = format!("path \"{}/*\" {{ capabilities = [\"update\"] }}", site.transit);
    let token = site.bao.token(&policy, json!({}));
    for name in ["TOKEN_FILE", "TOKEN_PATH"].into_iter().flat_map(both) {
        // `token` is no login, and the usual file is left alone.
        let sandbox = site.anybody().with("VAULT_AUTH_METHOD", "token").with(&name, "my-token");
        let usual = sandbox.home().join(".vault-token");
        fs::write(&usual, "s.usual").expect("written");
        sandbox.write("my-token", &format!("{token}\n"));
        let from = site.server.requests().len();
        assert_eq!(sandbox.run(&["encrypt", "-i", "a.yaml"]).ok(), "", "{name}");
        assert_eq!(site.asked(from), ["POST T/encrypt/a"]);
        let sent = site.server.requests()[from].header("x-vault-token").map(str::to_owned);
        assert_eq!(sent, Some(token.clone()), "{name}");
        // One that is not there is no reason to take the usual one.
        let sandbox = sandbox.with(&name, "missing");
        let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
        assert!(said.contains("missing does not exist"), "{name}: {said}");
        let sent =
            site.server.requests().last().expect("one").header("x-vault-token").map(str::to_owned);
        assert_ne!(sent.as_deref(), Some("s.usual"), "{name}");
    }
}

#[test]
fn a_token_helper_is_found_in_the_configuration_that_is_named() {
    let Some(site) = Site::new("approle") else { return };
    let policy = format!("path \"{}/*\" {{ capabilities = [\"update\"] }}", site.transit);
    let token = site.bao.token(&policy, json!({}));
    for name in both("CONFIG_PATH") {
        let sandbox = site.anybody().with(&name, "bao.hcl").with("THE_TOKEN", &token);
        let helper = sandbox.path("helper");
        let script =
            "#!/bin/sh\n[ \"$1\" = get ] && echo \"$THE_TOKEN\" && echo \"$VAULT_ADDR\" > asked\n";
        fs::write(&helper, script).expect("written");
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("mode");
        sandbox.write("bao.hcl", &format!("token_helper = \"{}\"\n", helper.display()));
        // That of the home is not looked at.
        fs::write(sandbox.home().join(".vault"), "token_helper = \"/no/such\"\n").expect("written");
        assert_eq!(sandbox.run(&["encrypt", "-i", "a.yaml"]).ok(), "", "{name}");
        assert_eq!(sandbox.read("asked").trim(), site.server.address(), "{name}");
        sandbox.write("bao.hcl", "token_helper = \"helper\"\n");
        let said = flat(&sandbox.run(&["decrypt", "a.yaml"]).fails(128));
        assert!(said.contains("bao.hcl: token_helper is no absolute path"), "{name}: {said}");
    }
}

//! Files that move from one key, mount, namespace or server to another: what it costs, and that nothing is
//! left behind.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::Sandbox;
use super::vault::{files, rule, run, user};
use crate::openbao::{Bao, Own, Recorder};

/// Items of each request from there on, by what is asked.
fn sent(server: &Recorder, from: usize) -> Vec<(String, usize)> {
    let one = |request: &crate::openbao::Request| {
        let action = request.path.rsplit('/').nth(1).expect("a path").to_owned();
        (action, request.json()["batch_input"].as_array().map_or(0, Vec::len))
    };
    let mut sent: Vec<_> = server.requests()[from..].iter().map(one).collect();
    sent.sort();
    sent
}

fn each(action: &str, count: usize) -> (String, usize) {
    (action.to_owned(), count)
}

#[test]
fn a_tree_moves_from_one_mount_to_another_in_a_request_for_each_group() {
    let Some(bao) = Bao::start() else { return };
    let (old, new) = (bao.mount(), bao.mount());
    bao.create_key(&old, "a", json!({}));
    bao.create_key(&new, "b", json!({}));
    let server = Recorder::before(bao.address());
    let sandbox = user(&server.address(), bao.root(), &[(&old, "a")]);
    let names = files(&sandbox, 120);
    let names: Vec<String> = names.iter().map(|name| format!("deep/er/{name}")).collect();
    for (index, name) in names.iter().enumerate() {
        sandbox.write(name, &format!("password: hunter{index}\n"));
    }
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    sandbox.write("deep/plain.yaml", "a: one\n");
    sandbox.write(".sops.yaml", &rule(&server.address(), &[(&new, "b")]));
    let (from, open) = (server.requests().len(), server.connections());
    assert_eq!(sandbox.run(&["updatekeys", "-y", "deep"]).code, Some(0));
    let expected =
        [each("decrypt", 20), each("decrypt", 100), each("encrypt", 20), each("encrypt", 100)];
    assert_eq!(sent(&server, from), expected);
    assert!(server.connections() - open <= 4);
    let from = server.requests().len();
    sandbox.run(&["rotate", "-i", "deep"]).ok();
    assert_eq!(sent(&server, from), expected);
    // Nothing is left of the old mount.
    bao.ask("DELETE", &format!("sys/mounts/{old}"), None);
    run(&sandbox, &["decrypt", "--output-dir", "plain"], &names).ok();
    for (index, name) in names.iter().enumerate() {
        assert!(!sandbox.read(name).contains(&old));
        assert_eq!(sandbox.read(&format!("plain/{name}")), format!("password: hunter{index}\n"));
    }
    assert_eq!(sandbox.read("deep/plain.yaml"), "a: one\n");
    assert_eq!(sandbox.run(&["verify", &names[0]]).ok(), format!("{}: sealed\n", names[0]));
}

#[test]
fn an_entry_that_moves_keeps_the_style_of_the_file() {
    let Some(bao) = Bao::start() else { return };
    let (old, new) = (bao.mount(), bao.mount());
    bao.create_key(&old, "a", json!({}));
    bao.create_key(&new, "a", json!({}));
    for (name, plain) in [("a.yaml", "a: one\n"), ("a.json", "{\"a\": 1}\n"), ("a.toml", "a = 1\n")]
    {
        let sandbox = user(bao.address(), bao.root(), &[(&old, "a")]);
        sandbox.write(name, plain);
        sandbox.run(&["encrypt", "-i", name]).ok();
        let before = sandbox.read(name);
        sandbox.write(".sops.yaml", &rule(bao.address(), &[(&new, "a")]));
        assert_eq!(sandbox.run(&["updatekeys", "-y", name]).code, Some(0));
        let after = sandbox.read(name);
        let lines = |text: &str| -> Vec<String> {
            let same = text.lines().filter(|line| !line.contains("mac") && !line.contains("ENC["));
            let of = |line: &str| line.split(['=', ':']).next().unwrap_or_default().to_owned();
            same.map(of).collect()
        };
        if name != "a.json" {
            assert_eq!(lines(&after), lines(&before), "{after}");
        }
        assert!(after.contains(&new) && !after.contains(&old), "{after}");
        assert_eq!(sandbox.run(&["verify", name]).ok(), format!("{name}: sealed\n"));
        assert_eq!(sandbox.run(&["decrypt", name]).ok(), plain);
    }
}

#[test]
fn a_tree_moves_into_a_namespace() {
    let Some(bao) = Bao::start() else { return };
    let team = bao.namespace();
    let (old, new) = (bao.mount(), bao.mount_in(&team));
    bao.create_key(&old, "a", json!({}));
    bao.create_key(&new, "a", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&old, "a")]);
    let names = files(&sandbox, 3);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    sandbox.write(".sops.yaml", &rule(bao.address(), &[(&new, "a")]));
    assert_eq!(sandbox.run(&["updatekeys", "-y", "."]).code, Some(0));
    for (index, name) in names.iter().enumerate() {
        assert!(sandbox.read(name).contains(&format!("engine_path: {new}\n")));
        assert_eq!(sandbox.run(&["decrypt", name]).ok(), format!("password: hunter{index}\n"));
    }
}

#[test]
fn files_move_from_one_server_to_another_in_one_run() {
    let (Some(bao), Some(mut own)) = (Bao::start(), Own::start()) else { return };
    let (old, new) = (own.mount(), bao.mount());
    own.create_key(&old, "a", json!({}));
    bao.create_key(&new, "b", json!({}));
    let (from, to) = (Recorder::before(own.address()), Recorder::before(bao.address()));
    // Each server has a token of its own.
    let sandbox = Sandbox::bare();
    let helper = sandbox.home().join("helper");
    let script = format!(
        "#!/bin/sh\ncase \"$VAULT_ADDR\" in\n{}) echo {} ;;\n{}) echo {} ;;\nesac\n",
        from.address(),
        own.root(),
        to.address(),
        bao.root(),
    );
    std::fs::write(&helper, script).expect("written");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let config = format!("token_helper = \"{}\"\n", helper.display());
    std::fs::write(sandbox.home().join(".vault"), config).expect("written");
    let sandbox = sandbox
        .with("VAULT_ADDR", &from.address())
        .with("SOPS_HC_VAULT_ALLOWLIST", &to.address())
        .with("VAULT_MAX_RETRIES", "0");
    sandbox.write(".sops.yaml", &rule(&from.address(), &[(&old, "a")]));
    let names = files(&sandbox, 30);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    let asked = from.requests().len();
    sandbox.write(".sops.yaml", &rule(&to.address(), &[(&new, "b")]));
    assert_eq!(sandbox.run(&["updatekeys", "-y", "."]).code, Some(0));
    assert_eq!(sent(&from, asked), [each("decrypt", 30)]);
    assert_eq!(sent(&to, 0), [each("encrypt", 30)]);
    let tokens = |server: &Recorder| -> Vec<String> {
        let token = |it: &crate::openbao::Request| it.header("x-vault-token").map(str::to_owned);
        server.requests().iter().filter_map(token).collect()
    };
    assert!(tokens(&from).iter().all(|token| token == own.root()));
    assert!(tokens(&to).iter().all(|token| token == bao.root()));
    own.stop();
    for (index, name) in names.iter().enumerate() {
        let verified = sandbox.run(&["verify", name]);
        assert_eq!(verified.ok(), format!("{name}: sealed\n"));
        assert_eq!(sandbox.run(&["decrypt", name]).ok(), format!("password: hunter{index}\n"));
    }
}

#[test]
fn without_the_old_server_no_file_moves_and_all_stay_whole() {
    let (Some(bao), Some(mut own)) = (Bao::start(), Own::start()) else { return };
    let (old, new) = (own.mount(), bao.mount());
    own.create_key(&old, "a", json!({}));
    bao.create_key(&new, "b", json!({}));
    let sandbox = user(own.address(), own.root(), &[(&old, "a")]);
    let sandbox = sandbox.with("SOPS_HC_VAULT_ALLOWLIST", bao.address());
    let names = files(&sandbox, 3);
    run(&sandbox, &["encrypt", "-i"], &names).ok();
    let before: Vec<_> = names.iter().map(|name| sandbox.read(name)).collect();
    sandbox.write(".sops.yaml", &rule(bao.address(), &[(&new, "b")]));
    own.stop();
    let said = sandbox.run(&["updatekeys", "-y", "."]).fails(1);
    assert!(said.contains("3 of 3 files failed") && said.contains("cannot connect"), "{said}");
    assert!(names.iter().zip(before).all(|(name, text)| sandbox.read(name) == text));
}

//! What `pull` takes from a key-value engine of a real OpenBao.

use serde_json::{Value, json};

use super::kv::{held, rule, user, version};
use super::terminal::end;
use super::tokens;
use crate::openbao::Bao;

#[test]
fn bytes_go_as_base64_and_come_back_as_bytes() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    sandbox.sealed("a.yaml", "k: !!binary /wD+\nt: !!binary aGk=\n");
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    assert_eq!(held(bao, &format!("{mount}/data/app/a")), "{\"k\":\"/wD+\",\"t\":\"hi\"}");
    let sealed = sandbox.read("a.yaml");
    sandbox.run(&["pull", "a.yaml", "--from", &format!("{mount}/app/a")]).ok();
    assert_eq!(sandbox.read("a.yaml"), sealed);
    let other = json!({ "data": { "k": "/wD/", "t": "hi" } });
    bao.ask("POST", &format!("{mount}/data/app/a"), Some(other));
    sandbox.run(&["pull", "a.yaml", "--from", &format!("{mount}/app/a")]).ok();
    let plain = sandbox.run(&["decrypt", "a.yaml"]).ok();
    assert_eq!(plain, "k: !!binary /wD/\nt: !!binary aGk=\n");
}

#[test]
fn a_deleted_secret_is_told_and_can_be_published_anew() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "2"]).ok();
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    bao.ask("DELETE", &format!("{mount}/data/app/a"), None);
    let sealed = sandbox.read("a.yaml");
    let pull = |words: &[&str]| {
        let from = format!("{mount}/app/a");
        sandbox.run(&[&["pull", "a.yaml", "--from", &from], words].concat())
    };
    let said = pull(&[]).fails(1);
    assert!(said.contains("version 2 was deleted") && said.contains("--version"), "{said}");
    bao.ask("PUT", &format!("{mount}/destroy/app/a"), Some(json!({ "versions": [2] })));
    let said = pull(&["--version", "2"]).fails(1);
    assert!(said.contains("version 2 was destroyed"), "{said}");
    let said = pull(&["--version", "7"]).fails(1);
    assert!(said.contains("there is no version 7"), "{said}");
    assert_eq!(sandbox.read("a.yaml"), sealed);
    pull(&["--version", "0"]).fails(1);
    pull(&["--version", "1"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: 1\n");
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    assert_eq!(version(bao, &mount, "app/a"), 3);
}

#[test]
fn a_pull_keeps_the_shape_of_the_file() {
    let Some(bao) = Bao::start() else { return };
    for kind in [1, 2] {
        let mount = bao.kv_in("", kind);
        let sandbox = user(bao.address(), &rule(&mount, kind));
        let plain =
            "# who\nuser: 'me' # why\nold: x\nlist:\n  - one\n  # second\n  - two\nd: 2020-01-02\n";
        sandbox.sealed("a.yaml", plain);
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        let sealed = sandbox.read("a.yaml");
        sandbox.run(&["pull", "a.yaml"]).ok();
        let from = format!("{mount}/app/a");
        sandbox.run(&["pull", "a.yaml", "--from", &from]).ok();
        assert_eq!(sandbox.read("a.yaml"), sealed, "nothing changed");

        let data = if kind == 2 { "data/" } else { "" };
        let values = json!({ "user": "me", "list": ["one", "2"], "new": { "k": [true] }, "d": "2020-01-02T00:00:00Z" });
        let body = if kind == 2 { json!({ "data": values }) } else { values };
        bao.ask("POST", &format!("{mount}/{data}app/a"), Some(body));
        sandbox.run(&["pull", "a.yaml", "--from", &from]).ok();
        let expected = plain.replace("two", "\"2\"") + "new:\n  k:\n    - true\n";
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), expected);
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
        let (before, now) = (sealed.clone(), sandbox.read("a.yaml"));
        let kept = tokens(&before).iter().filter(|it| tokens(&now).contains(it)).count();
        // All but the second item and the MAC.
        assert_eq!(kept, tokens(&before).len() - 2);
        sandbox.run(&["pull", "--prune", "a.yaml", "--from", &from]).ok();
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), expected.replace("old: x\n", ""));
    }
}

#[test]
fn a_pull_by_the_rule_makes_a_file_and_names_what_it_keeps() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let rules = format!("  - {{vault_path: app, vault_kv_mount_name: {mount}}}\n");
    let sandbox = user(bao.address(), &rules).with("NO_COLOR", "1");
    let body = json!({ "data": { "b": { "c": "x" }, "a": 5 } });
    for file in ["n.yaml", "n.json", "n.toml"] {
        bao.ask("POST", &format!("{mount}/data/app/{file}"), Some(body.clone()));
        sandbox.run(&["pull", file]).ok();
        assert_eq!(sandbox.run(&["verify", file]).ok(), format!("{file}: sealed\n"));
        let value = sandbox.run(&["decrypt", "--extract", "[\"b\"][\"c\"]", file]).ok();
        assert_eq!(value, "x");
    }
    sandbox.run(&["set", "n.yaml", "[\"b\"][\"mine\"]", "1"]).ok();
    let (said, code) = end(sandbox.at_terminal("pull n.yaml"));
    assert_eq!(code, 0);
    assert!(said.contains("does not have [\"b\"][\"mine\"]: kept"), "{said}");
    let said = sandbox.run(&["pull", "none.yaml"]).fails(1);
    assert!(said.contains("there is no such secret"), "{said}");
    assert!(!sandbox.path("none.yaml").exists());
}

#[test]
fn what_the_rule_would_leave_in_the_open_is_not_put_there() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    let config = sandbox.read(".sops.yaml");
    let config =
        config.replace("destination_rules", "      encrypted_regex: ^pass\ndestination_rules");
    sandbox.write(".sops.yaml", &config);
    sandbox.sealed("a.yaml", "password: a\nport: 1\n");
    let from = format!("{mount}/x");
    let put =
        |data: Value| bao.ask("POST", &format!("{mount}/data/x"), Some(json!({ "data": data })));
    put(json!({ "password": "b", "port": 2, "passphrase": "c" }));
    sandbox.run(&["pull", "a.yaml", "--from", &from]).ok();
    assert!(sandbox.read("a.yaml").contains("port: 2\n"));
    put(json!({ "password": "b", "port": 2, "passphrase": "c", "token": "hunter2" }));
    let before = sandbox.read("a.yaml");
    for file in ["a.yaml", "new.yaml"] {
        let said = sandbox.run(&["pull", file, "--from", &from]).fails(1);
        assert!(said.contains("is new and would stay in the open"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(sandbox.read("a.yaml"), before);
    assert!(!sandbox.path("new.yaml").exists());
}

#[test]
fn a_token_that_may_not_is_told_what_a_policy_has_to_say() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let nothing = bao.token("path \"other/*\" { capabilities = [\"read\"] }", json!({}));
    let stated = format!(
        "    vault_kv_version: 1\n    vault_path: team/one\n    vault_kv_mount_name: {mount}\n"
    );
    let rules = format!(
        "  - path_regex: one\n{stated}  - {{vault_path: team, vault_kv_mount_name: {mount}}}\n"
    );
    let sandbox = user(bao.address(), &rules).with("VAULT_TOKEN", &nothing);
    sandbox.sealed("a.yaml", "a: 1\n");
    let from = format!("{mount}/team/x");
    let either = format!("on {mount}/data/team/* (an engine of version 1: {mount}/team/*)");
    for (words, needed) in [
        (&["publish", "-y", "a.yaml"][..], format!("needs create, read, update {either}")),
        (&["pull", "a.yaml"], format!("needs read {either}")),
        (&["pull", "a.yaml", "--from", &from], format!("needs read {either}")),
    ] {
        let said = sandbox.run(words).fails(1);
        let refused = "permission denied (403): no key-value engine is mounted at ";
        assert!(said.contains(refused) && said.contains(&needed), "{said}");
        assert!(!said.contains("preflight") && !said.contains("the rule says"), "{said}");
    }
    // That is enough.
    let policy = format!(
        "path \"{mount}/data/team/*\" {{ capabilities = [\"create\", \"read\", \"update\"] }}"
    );
    let sandbox = sandbox.with("VAULT_TOKEN", &bao.token(&policy, json!({})));
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    sandbox.run(&["pull", "a.yaml"]).ok();
    let said = sandbox.with("VAULT_TOKEN", "").run(&["pull", "a.yaml"]).fails(1);
    assert!(said.contains("there is no token: set VAULT_TOKEN"), "{said}");
}

#[test]
fn what_is_no_file_or_no_path_is_told_as_that() {
    let sandbox = user("https://vault.example", &rule("kv", 2));
    sandbox.sealed("d/a.yaml", "a: 1\n");
    let url = "https://vault.example/v1/kv/data/x";
    for (words, exit, expected) in [
        (&["publish", "-y", "nosuch.yaml"][..], 1, "nosuch.yaml: no such file"),
        (&["pull", "d"], 1, "d: is a folder: --recursive pulls for the sealed files in it"),
        (&["pull", "d/a.yaml", "--from", url], 1, "--from takes mount and path, no address"),
        (&["pull"], 100, "pull takes FILE..."),
        (&["pull", "--from", "kv/x", "a.yaml", "b.yaml"], 8, "--from names the secret of one file"),
        (&["pull", "--recursive", ".", "d/a.yaml"], 8, "d/a.yaml: is named twice: it would take"),
    ] {
        let said = sandbox.run(words).fails(exit);
        assert!(said.contains(expected), "{said}");
    }
    assert!(sandbox.run(&["pull", "--help"]).ok().contains("waxseal pull [OPTIONS] [FILES]...\n"));
}

#[test]
fn of_hidden_files_only_sealed_ones_are_published() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    for name in ["a.yaml", ".hidden/b.yaml", ".c.yaml"] {
        sandbox.sealed(name, "a: 1\n");
    }
    for name in [".git/config", ".gitignore", ".hidden/d.yaml", ".e.txt"] {
        sandbox.write(name, "plain: hunter2\n");
    }
    sandbox.run(&["publish", "-y", "--recursive", "."]).ok();
    let all = |folder: &str| bao.ask("LIST", &format!("{mount}/metadata/{folder}"), None);
    assert_eq!(all("app")["data"]["keys"], json!([".c", ".hidden/", "a"]));
    assert_eq!(all("app/.hidden")["data"]["keys"], json!(["b"]));
}

#[test]
fn a_tree_takes_what_was_published_of_it() {
    let Some(bao) = Bao::start() else { return };
    let mounts = [bao.kv_in("", 2), bao.kv_in("", 1)];
    let rule = |(regex, mount): (&str, &String)| {
        format!("  - {{path_regex: {regex}, vault_path: app, vault_kv_mount_name: {mount}}}\n")
    };
    let rules: String = ["^t/one/", "^t/"].into_iter().zip(&mounts).map(rule).collect();
    let sandbox = user(bao.address(), &rules);
    let names = ["t/one/a.yaml", "t/one/b.json", "t/two/deep/c.toml", "t/two/d.yaml"];
    for name in names {
        let plain = match name.rsplit_once('.') {
            Some((_, "json")) => "{\"k\": \"old\"}\n",
            Some((_, "toml")) => "k = \"old\" # why\n",
            _ => "# why\nk: old\n",
        };
        sandbox.sealed(name, plain);
    }
    sandbox.run(&["publish", "-y", "--recursive", "--omit-extensions", "t"]).ok();
    let pull = ["pull", "--recursive", "--omit-extensions", "t"];
    let before = names.map(|name| sandbox.read(name));
    sandbox.run(&pull).ok();
    assert_eq!(names.map(|name| sandbox.read(name)), before, "nothing changed");

    let new = json!({ "k": "new" });
    bao.ask("POST", &format!("{}/data/app/one/a", mounts[0]), Some(json!({ "data": new })));
    bao.ask("POST", &format!("{}/app/two/deep/c", mounts[1]), Some(new));
    bao.ask("DELETE", &format!("{}/data/app/one/b", mounts[0]), None);
    sandbox.write("t/open.yaml", "k: mine\n");
    let said = sandbox.run(&pull).fails(1);
    assert!(said.contains("t/one/b.json: ") && said.contains("was deleted"), "{said}");
    assert!(said.ends_with("error: 1 of 4 files failed\n"), "{said}");
    let now = names.map(|name| sandbox.read(name));
    assert_eq!([now[0] == before[0], now[2] == before[2]], [false, false]);
    assert_eq!((&now[1], &now[3]), (&before[1], &before[3]));
    assert_eq!(sandbox.run(&["decrypt", names[0]]).ok(), "# why\nk: new\n");
    assert_eq!(sandbox.run(&["decrypt", names[2]]).ok(), "k = \"new\" # why\n");
    assert_eq!(sandbox.read("t/open.yaml"), "k: mine\n");
    // Files by name, each by its own rule.
    let rules = rule(("^x$", &mounts[0])) + &rule((".", &mounts[0]));
    let config = sandbox.read(".sops.yaml");
    let start = config.find("destination_rules:\n").expect("rules") + "destination_rules:\n".len();
    sandbox.write(".sops.yaml", &(config[..start].to_owned() + &rules));
    for name in ["a.yaml", "d.yaml"] {
        let data = json!({ "data": { "k": name } });
        bao.ask("POST", &format!("{}/data/app/{name}", mounts[0]), Some(data));
    }
    sandbox.run(&["pull", names[0], names[3]]).ok();
    assert_eq!(sandbox.run(&["decrypt", names[3]]).ok(), "# why\nk: d.yaml\n");
}

//! `init --vault`: what it writes and prints, and what a real server then holds.

use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::expect;
use serde_json::json;

use super::{Run, Sandbox, check};
use crate::openbao::{Answer, Bao, Listener, Own, Recorder, Script};

/// Somebody who may set up the server at this address.
fn operator(bao: &Bao) -> Sandbox {
    Sandbox::bare().with("VAULT_TOKEN", bao.root()).with("VAULT_MAX_RETRIES", "0")
}

/// `init --vault` for this key, with these words behind it.
fn init(sandbox: &Sandbox, address: &str, mount: &str, key: &str, words: &[&str]) -> Run {
    let words = ["init", "--vault", address, "--mount", mount, "--key", key]
        .into_iter()
        .chain(words.iter().copied());
    sandbox.run(&words.collect::<Vec<_>>())
}

#[test]
fn it_writes_a_rule_and_prints_what_somebody_else_can_type() {
    let evil = Listener::start();
    let sandbox = Sandbox::bare().with("VAULT_TOKEN", "s.secret");
    let sandbox = sandbox.with("VAULT_ADDR", &evil.address());
    check(
        &sandbox,
        &["init", "--vault", "https://vault.example:8200"],
        &expect![[r#"
        exit 0
        --- stdout
        # For somebody who may set up the server; with Vault, type `vault` for `bao`.
        export VAULT_ADDR=https://vault.example:8200
        bao secrets enable -path=transit transit
        bao write -f transit/keys/app
        # seals new files and opens none:
        bao policy write transit-app-writer - <<'END'
        path "transit/encrypt/app" { capabilities = ["update"] }
        END
        # opens files; with the first policy too, changes them:
        bao policy write transit-app-reader - <<'END'
        path "transit/decrypt/app" { capabilities = ["update"] }
        END
        # moves files to the newest version of the key and opens none:
        bao policy write transit-app-rotation - <<'END'
        path "transit/rewrap/app" { capabilities = ["update"] }
        path "transit/keys/app" { capabilities = ["read"] }
        END
    "#]],
    );
    expect![[r#"
        # Who can open which file, for waxseal and sops. The first rule that matches counts.
        creation_rules:
            # One rule for all files. A rule can be for some, by a regex on the path from here:
            # - path_regex: ^secrets/prod/
            # A token goes to this server only where VAULT_ADDR names it as well: this file is no permission.
            - hc_vault_transit_uri: https://vault.example:8200/v1/transit/keys/app
              # With a recipient of age beside it, files can be opened without the server, too:
              # age: age1...
              # Without a line like the next, every value is sealed. With it, only those whose key matches:
              # encrypted_regex: ^(data|stringData|password|token)$
              # Refuse files in which anything was changed without a key, comments included:
              # integrity: sealed
        # After a change of recipients: waxseal updatekeys FILE...; if somebody left: waxseal rotate -i FILE...
    "#]].assert_eq(&sandbox.read(".sops.yaml"));
    // Once more: what is there is left alone.
    let rule = sandbox.read(".sops.yaml") + "# mine\n";
    sandbox.write(".sops.yaml", &rule);
    sandbox.run(&["init", "--vault", "https://vault.example:8200"]).ok();
    assert_eq!(sandbox.read(".sops.yaml"), rule);
    let other = ["init", "--vault", "https://vault.example:8200", "--key", "other"];
    check(
        &sandbox,
        &other,
        &expect![[r#"
            exit 1
            --- stdout
            # For somebody who may set up the server; with Vault, type `vault` for `bao`.
            export VAULT_ADDR=https://vault.example:8200
            bao secrets enable -path=transit transit
            bao write -f transit/keys/other
            # seals new files and opens none:
            bao policy write transit-other-writer - <<'END'
            path "transit/encrypt/other" { capabilities = ["update"] }
            END
            # opens files; with the first policy too, changes them:
            bao policy write transit-other-reader - <<'END'
            path "transit/decrypt/other" { capabilities = ["update"] }
            END
            # moves files to the newest version of the key and opens none:
            bao policy write transit-other-rotation - <<'END'
            path "transit/rewrap/other" { capabilities = ["update"] }
            path "transit/keys/other" { capabilities = ["read"] }
            END
            --- stderr
            error: DIR/work/.sops.yaml: is there already, and does not name this key; nothing was changed
            hint: append `,https://vault.example:8200/v1/transit/keys/other` to the `hc_vault_transit_uri` of line 6, then try again;
                  or, for the key of this server that it does name: --mount transit --key app
        "#]],
    );
    assert_eq!((sandbox.read(".sops.yaml"), evil.connections()), (rule, 0));
}

#[test]
fn only_a_rule_that_names_the_whole_key_counts() {
    let server = "https://vault.example:8200";
    let at = |key: &str| format!("{server}/v1/transit/keys/{key}");
    let uri = at("app");
    let sandbox = Sandbox::bare();
    let said = |rules: &str| {
        sandbox.write(".sops.yaml", rules);
        let run = sandbox.run(&["init", "--vault", server]);
        // What the server needs is printed whatever the rules are, unless they cannot be read.
        let printed = run.stdout.contains("\nbao write -f transit/keys/app\n");
        assert_eq!(printed, !run.stderr.contains("line 2, column"), "{rules}{}", run.stderr);
        assert_eq!(sandbox.read(".sops.yaml"), rules);
        run
    };
    for rules in [
        format!("creation_rules:\n  - hc_vault_transit_uri: {},{uri}\n", at("app-prod")),
        format!("creation_rules:\n  - hc_vault_transit_uri:\n      - {uri}\n"),
        format!("creation_rules:\n  - age: a\n  - key_groups:\n      - hc_vault: [{uri}]\n"),
        "creation_rules:\n  - hc_vault_transit_uri: https://VAULT.example:8200/v1/transit/keys/app\n"
            .to_owned(),
    ] {
        said(&rules).ok();
    }
    let (prod, list) = (at("app-prod"), at("b/keys/app"));
    for (rules, hint) in [
        (
            format!(
                "creation_rules:\n  - age: a\n  - path_regex: x\n    hc_vault_transit_uri: {prod}\n"
            ),
            format!("append `,{uri}` to the `hc_vault_transit_uri` of line 4, then"),
        ),
        (
            format!("creation_rules:\n  - hc_vault_transit_uri: [{list}]\n"),
            format!("add `- {uri}` to the list `hc_vault_transit_uri` of line 2, then"),
        ),
        (
            format!("creation_rules:\n  - key_groups:\n      - hc_vault: [{prod}]\n"),
            format!(
                "add `- {uri}` to the list `hc_vault` of a key group of the rule at line 2, then"
            ),
        ),
        (
            format!("# {uri}\ncreation_rules:\n  - age: {uri}\n"),
            format!("add `hc_vault_transit_uri: {uri}` to the rule at line 3, then"),
        ),
        (
            format!("# {uri}\n"),
            format!("add a rule to `creation_rules:`, `- hc_vault_transit_uri: {uri}`, then"),
        ),
    ] {
        let said = said(&rules).fails(1);
        assert!(said.contains("does not name this key; nothing was changed"), "{said}");
        assert!(said.contains(&format!("hint: {hint} try again")), "{rules}{said}");
        // One key of this server was perhaps the one that was meant.
        let other =
            "for the key of this server that it does name: --mount transit --key app-prod\n";
        assert_eq!(said.ends_with(other), rules.contains("/app-prod"), "{said}");
    }
    for rules in [
        format!("# {uri}\n  : [\n"),
        format!("creation_rules:\n  - {{hc_vault_transit_uri: vault, path_regex: {uri}}}\n"),
    ] {
        let said = said(&rules).fails(1);
        assert!(said.contains("error: .sops.yaml: line 2, column "), "{said}");
    }
}

#[test]
fn what_was_typed_wrongly_is_told_with_what_to_type() {
    let Some(own) = Own::start() else { return };
    let sandbox = operator(&own);
    let whole = format!("{}/v1/transit/keys/app", own.address());
    let said = sandbox.run(&["init", "--vault", &whole]).fails(1);
    let hint = "hint: the path of the engine goes to --mount, the name of the key to --key\n";
    assert!(said.contains(hint), "{said}");
    let sandbox = sandbox.with("SOPS_HC_VAULT_ALLOWLIST", "none");
    let said = init(&sandbox, own.address(), "transit", "app", &["--apply"]).fails(1);
    assert!(said.contains("SOPS_HC_VAULT_ALLOWLIST is `none`, which forbids"), "{said}");
    assert!(!said.contains("not by you") && !sandbox.path(".sops.yaml").exists(), "{said}");
}

#[test]
fn names_that_a_shell_would_read_are_refused() {
    let sandbox = Sandbox::bare();
    let mut told = String::new();
    for words in [
        &["init", "--vault", "vault.example"][..],
        &["init", "--vault", "https://$(id).example"],
        &["init", "--vault", "https://vault.example/v1"],
        &["init", "--vault", "https://me:hunter2@vault.example"],
        &["init", "--vault", "https://vault.example", "--mount", "a;b"],
        &["init", "--vault", "https://vault.example", "--key", "a b"],
        &["init", "--key", "a"],
        &["init", "--vault", "https://vault.example", "--age", "age1"],
    ] {
        told += &sandbox.transcript(&sandbox.run(words));
    }
    assert!(!told.contains("hunter2") && !sandbox.path(".sops.yaml").exists());
    expect![[r#"
        exit 1
        --- stderr
        error: --vault: an address begins with https://, http:// or unix://
        exit 1
        --- stderr
        error: the address: it is scheme, host and port, as files name it
        exit 1
        --- stderr
        error: the address: it is scheme, host and port, as files name it
        exit 1
        --- stderr
        error: --vault: a user name, a query, a fragment or a blank in an address
        exit 1
        --- stderr
        error: the mount: no engine can be mounted there, or not be named
        exit 1
        --- stderr
        error: the key: no transit key can have this name
        exit 100
        --- stderr
        error: the following required arguments were not provided:
          --vault <ADDRESS>

        Usage: waxseal init --vault <ADDRESS> --key <NAME>

        For more information, try '--help'.
        exit 1
        --- stderr
        error: the argument '--vault <ADDRESS>' cannot be used with '--age <RECIPIENT>'

        Usage: waxseal init --vault <ADDRESS>

        For more information, try '--help'.
    "#]]
    .assert_eq(&told);
}

/// What each of the three policies allows, and nothing else.
fn policies_are_enough_and_no_more(bao: &Bao, namespace: &str, mount: &str, key: &str) {
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let at = |operation: &str| format!("{prefix}{mount}/{operation}/{key}");
    let token = |role: &str| {
        let body = json!({ "policies": [format!("{mount}-{key}-{role}")] });
        let made = bao.ask("POST", &format!("{prefix}auth/token/create"), Some(body));
        made["auth"]["client_token"].as_str().expect("a token").to_owned()
    };
    let plaintext = json!({ "plaintext": "aGVsbG8=" });
    let wrapped = bao.ask("POST", &at("encrypt"), Some(plaintext.clone()));
    let wrapped = json!({ "ciphertext": wrapped["data"]["ciphertext"] });
    for (role, allowed) in
        [("writer", &["encrypt"][..]), ("reader", &["decrypt"]), ("rotation", &["rewrap", "keys"])]
    {
        let token = token(role);
        for operation in ["encrypt", "decrypt", "rewrap", "keys"] {
            let (method, body) = match operation {
                "encrypt" => ("POST", Some(plaintext.clone())),
                "keys" => ("GET", None),
                _ => ("POST", Some(wrapped.clone())),
            };
            let (status, answer) = bao.call(method, &at(operation), Some(&token), body);
            let expected = if allowed.contains(&operation) { 200 } else { 403 };
            assert_eq!(status, expected, "{role} {operation}: {answer}");
        }
        // A writer makes no key, whatever name it types.
        let other = format!("{prefix}{mount}/encrypt/typo");
        let (status, _) = bao.call("POST", &other, Some(&token), Some(plaintext.clone()));
        assert_eq!(status, 403);
    }
}

/// By the rule that was written.
#[track_caller]
fn seals_and_opens(sandbox: &Sandbox) {
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
}

#[test]
fn what_it_prints_sets_up_a_server() {
    let Some(bao) = Bao::start() else { return };
    let peers = std::env::var("WAXSEAL_PEERS").expect("the server comes from there");
    let path = format!("{peers}:{}", std::env::var("PATH").expect("a path"));
    for namespace in [String::new(), bao.namespace()] {
        let sandbox = operator(bao).with("PATH", &path).with("VAULT_NAMESPACE", &namespace);
        let script = init(&sandbox, bao.address(), "printed", "app", &[]).ok();
        let run = sandbox.start("sh", &["-e"], &script);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
        policies_are_enough_and_no_more(bao, &namespace, "printed", "app");
        let sandbox = sandbox.with("VAULT_ADDR", bao.address());
        seals_and_opens(&sandbox);
    }
}

#[test]
fn apply_makes_what_is_missing_and_can_be_run_twice() {
    let Some(bao) = Bao::start() else { return };
    for namespace in [String::new(), bao.namespace()] {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let sandbox = operator(bao).with("VAULT_NAMESPACE", &namespace);
        let first = init(&sandbox, bao.address(), "applied", "app", &["--apply"]).ok();
        let lines = first.lines().filter(|line| line.ends_with(": made")).count();
        assert_eq!(lines, 5, "{first}");
        policies_are_enough_and_no_more(bao, &namespace, "applied", "app");
        let rule = sandbox.read(".sops.yaml");
        let key = bao.ask("GET", &format!("{prefix}applied/keys/app"), None)["data"].clone();
        let second = init(&sandbox, bao.address(), "applied", "app", &["--apply"]).ok();
        assert_eq!(second, first.replace(": made", ": was there"));
        assert_eq!(sandbox.read(".sops.yaml"), rule);
        let after = bao.ask("GET", &format!("{prefix}applied/keys/app"), None)["data"].clone();
        assert_eq!(after, key);
        // What it says last is what is needed next.
        let sandbox = sandbox.with("VAULT_ADDR", bao.address());
        assert!(first.contains(&format!("export VAULT_ADDR={}\n", bao.address())), "{first}");
        seals_and_opens(&sandbox);
    }
}

#[test]
fn apply_changes_nothing_that_is_there() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    let sandbox = operator(bao);
    let mine = json!({ "policy": "path \"mine\" { capabilities = [\"read\"] }" });
    let policy = format!("sys/policies/acl/{mount}-app-reader");
    bao.ask("POST", &policy, Some(mine.clone()));
    let run = init(&sandbox, bao.address(), &mount, "app", &["--apply"]);
    assert!(run.stdout.contains("another one, left as it is\n"), "{}", run.stdout);
    let said = run.fails(1);
    assert!(said.contains(&format!("other policies of these names: {mount}-app-reader")), "{said}");
    assert_eq!(bao.ask("GET", &policy, None)["data"]["policy"], mine["policy"]);
}

#[test]
fn a_key_that_cannot_be_used_is_refused_before_the_rule_is_written() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    for (key, body) in [
        ("signs", json!({ "type": "ed25519" })),
        ("mac", json!({ "type": "hmac", "key_size": 32 })),
        ("derived", json!({ "derived": true })),
    ] {
        bao.create_key(&mount, key, body);
    }
    let sandbox = operator(bao);
    for (key, kind) in [("signs", "ed25519"), ("mac", "hmac")] {
        let said = init(&sandbox, bao.address(), &mount, key, &["--apply"]).fails(1);
        let expected = format!("the key {key} in {mount} is of type {kind}, which cannot encrypt");
        assert!(said.contains(&expected) && said.contains(bao.address()), "{said}");
        assert!(!sandbox.path(".sops.yaml").exists());
        let policy = format!("sys/policies/acl/{mount}-{key}-writer");
        assert_eq!(bao.call("GET", &policy, Some(bao.root()), None).0, 404);
    }
    let said = init(&sandbox, bao.address(), "sys/policies", "a", &["--apply"]).fails(1);
    assert!(said.contains("the mount: no engine can be mounted there"), "{said}");
    let said = init(&sandbox, bao.address(), "secret", "a", &["--apply"]).fails(1);
    assert!(said.contains("an engine of type kv at secret, and no transit engine"), "{said}");
    let told = init(&sandbox, bao.address(), &mount, "derived", &["--apply"]).ok();
    assert!(told.contains("its rule needs a line `hc_vault_context: TEXT`\n"), "{told}");
}

#[test]
fn the_token_goes_to_the_server_that_was_typed_and_is_not_shown() {
    let Some(bao) = Bao::start() else { return };
    let (server, other) = (Recorder::before(bao.address()), Listener::start());
    let mount = bao.mount();
    let key = format!("path \"{mount}/keys/app\" {{ capabilities = [\"read\", \"update\"] }}");
    let little = bao.token(&key, json!({}));
    // This one may make keys, and nothing else.
    let sandbox = Sandbox::bare().with("VAULT_TOKEN", &little).with("VAULT_MAX_RETRIES", "0");
    let sandbox = sandbox.with("VAULT_ADDR", &other.address());
    let run = init(&sandbox, &server.address(), &mount, "app", &["--apply"]);
    let said = run.fails(1);
    let expected = format!("refuses GET sys/policies/acl/{mount}-app-writer: ");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("the token of VAULT_TOKEN may not do this"), "{said}");
    assert!(!said.contains(&little) && said.contains(&server.address()), "{said}");
    let sent = server.requests().iter().all(|it| it.header("x-vault-token") == Some(&little));
    assert!(sent && other.connections() == 0);
    assert!(!sandbox.path(".sops.yaml").exists());

    let nobody = Sandbox::bare();
    let said = init(&nobody, &server.address(), &mount, "app", &["--apply"]).fails(1);
    assert!(said.contains("there is no token: set VAULT_TOKEN"), "{said}");

    // Where a rule is there that does not name the key, the server is not asked at all.
    let asked = server.requests().len();
    nobody.write(".sops.yaml", "creation_rules:\n  - age: age1\n");
    let said = init(&nobody, &server.address(), &mount, "app", &["--apply"]).fails(1);
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_server_that_cannot_answer_is_named() {
    let Some(mut own) = Own::start() else { return };
    let address = own.address().to_owned();
    let sandbox = operator(&own);
    own.seal();
    let said = init(&sandbox, &address, "transit", "app", &["--apply"]).fails(1);
    assert!(said.contains(&address) && said.contains("is sealed (503)"), "{said}");
    own.kill();
    let said = init(&sandbox, &address, "transit", "app", &["--apply"]).fails(1);
    assert!(said.contains(&address) && said.contains("cannot connect"), "{said}");
    own.start_again();
    own.unseal();
    init(&sandbox, &address, "transit", "app", &["--apply"]).ok();
}

#[test]
fn what_was_made_before_a_refusal_is_told() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount() + "-new";
    let policy = format!(
        "path \"sys/mounts/{mount}\" {{ capabilities = [\"create\", \"update\", \"read\"] }}"
    );
    let token = bao.token(&policy, json!({}));
    let sandbox = operator(bao).with("VAULT_TOKEN", &token);
    let run = init(&sandbox, bao.address(), &mount, "k", &["--apply"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (Some(1), format!("engine {mount}: made\n").as_str())
    );
    assert!(run.stderr.contains(&format!("refuses GET {mount}/keys/k")), "{}", run.stderr);
}

#[test]
fn what_was_cut_is_finished_by_a_second_run() {
    let Some(bao) = Bao::start() else { return };
    // Each request is done by the server, and its answer is lost.
    for number in 0.. {
        assert!(number < 20, "it asks for ever");
        let asked = AtomicUsize::new(0);
        let real = bao.address().to_owned();
        let server = Script::start(move |request| {
            let answer = Answer::from_server(&real, request);
            match asked.fetch_add(1, Ordering::SeqCst) == number {
                true => Answer::hang_up(),
                false => answer,
            }
        });
        let (sandbox, mount) = (operator(bao), format!("cut-{number}"));
        let first = init(&sandbox, &server.address(), &mount, "app", &["--apply"]);
        if first.code == Some(0) {
            // Mount, key and three policies: each is looked at and made, and the key looked at again.
            assert_eq!(number, 11);
            break;
        }
        assert!(!sandbox.path(".sops.yaml").exists(), "{number}");
        assert!(first.stderr.contains(&server.address()), "{number}: {}", first.stderr);
        init(&sandbox, &server.address(), &mount, "app", &["--apply"]).ok();
        assert!(sandbox.read(".sops.yaml").contains(&mount));
        policies_are_enough_and_no_more(bao, "", &mount, "app");
    }
}

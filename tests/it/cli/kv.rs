//! Key-value engines of a real OpenBao: what `publish` writes there, and what stops it.

use serde_json::{Value, json};

use super::Sandbox;
use super::peers::sops;
use super::terminal::end;
use crate::openbao::{Answer, Bao, Listener, Recorder, Script};

/// A user of the server at this address with an age identity and these destination rules.
pub(super) fn user(address: &str, rules: &str) -> Sandbox {
    let sandbox = Sandbox::new()
        .with("VAULT_ADDR", address)
        .with("VAULT_TOKEN", "root")
        .with("VAULT_MAX_RETRIES", "0");
    let config = sandbox.read(".sops.yaml") + "destination_rules:\n" + rules;
    sandbox.write(".sops.yaml", &config);
    sandbox
}

pub(super) fn rule(mount: &str, version: u8) -> String {
    format!(
        "  - vault_path: app\n    vault_kv_mount_name: {mount}\n    vault_kv_version: {version}\n    omit_extensions: true\n"
    )
}

/// What a secret holds, byte for byte.
#[track_caller]
pub(super) fn held(bao: &Bao, path: &str) -> String {
    let raw = bao.raw(path);
    let data = raw.split_once("\"data\":").expect("data").1;
    let data = data.strip_prefix("{\"data\":").unwrap_or(data);
    let end = data.find(",\"wrap_info\"").expect("an envelope");
    let end = data.find(",\"metadata\":{\"created_time\"").unwrap_or(end);
    data[..end].to_owned()
}

pub(super) fn version(bao: &Bao, mount: &str, secret: &str) -> Value {
    bao.ask("GET", &format!("{mount}/metadata/{secret}"), None)["data"]["current_version"].clone()
}

/// Everything that a file can hold and a float holds as well.
const PLAIN: &str = "# who
user: \"a\\\"b\\n\\té\u{1F511}<&>\"
clé: {\u{65e5}\u{672c}: [1, -2.5, true, null, 'true', {deep: {er: []}}]}
'': empty
num: 1e3
";

const HELD: &str = "{\"\":\"empty\",\"clé\":{\"\u{65e5}\u{672c}\":[1,-2.5,true,null,\"true\",{\"deep\":{\"er\":[]}}]},\"num\":1000,\"user\":\"a\\\"b\\n\\té\u{1F511}\\u003c\\u0026\\u003e\"}";

#[test]
fn what_is_published_is_what_others_read() {
    let Some(bao) = Bao::start() else { return };
    for kind in [1, 2] {
        let mount = bao.kv_in("", kind);
        let sandbox = user(bao.address(), &rule(&mount, kind));
        sandbox.sealed("a.yaml", PLAIN);
        assert_eq!(sandbox.run(&["publish", "-y", "a.yaml"]).ok(), "");
        let data = if kind == 2 { "data/" } else { "" };
        let expected = if kind == 2 { HELD.to_owned() } else { HELD.replace("1000", "1e3") };
        assert_eq!(held(bao, &format!("{mount}/{data}app/a")), expected, "version {kind}");
    }
}

#[test]
fn the_engine_is_found_where_no_rule_says_which() {
    let Some(bao) = Bao::start() else { return };
    for kind in [1, 2] {
        let mount = bao.kv_in("", kind);
        let rules = format!("  - {{vault_path: /x/y/, vault_kv_mount_name: /{mount}/}}\n");
        let sandbox = user(bao.address(), &rules);
        sandbox.sealed("a.yaml", "a: 1\n");
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        let data = if kind == 2 { "data/" } else { "" };
        assert_eq!(held(bao, &format!("{mount}/{data}x/y/a.yaml")), "{\"a\":1}");
        // A rule that says the other one would write it to another place.
        let sandbox = user(bao.address(), &rule(&mount, 3 - kind));
        sandbox.sealed("a.yaml", "a: 1\n");
        let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(1);
        assert!(said.contains(&format!("key-value engine of version {kind}")), "{said}");
    }
    let transit = bao.mount();
    for (mount, expected) in [
        (transit.as_str(), "an engine of type transit, no key-value engine"),
        ("nowhere", "no key-value engine is mounted at nowhere"),
    ] {
        let rules = format!("  - {{vault_path: x, vault_kv_mount_name: {mount}}}\n");
        let sandbox = user(bao.address(), &rules);
        sandbox.sealed("a.yaml", "a: 1\n");
        let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(1);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn sops_writes_the_same_to_the_same_place() {
    let Some(bao) = Bao::start() else { return };
    for kind in [1, 2] {
        let mount = bao.kv_in("", kind);
        let sandbox = user(bao.address(), &rule(&mount, kind));
        let data = if kind == 2 { "data/" } else { "" };
        let path = format!("{mount}/{data}app/a");
        // Lists of maps are what sops writes wrongly, as its own `Key` and `Value`.
        let plain = PLAIN.replace(", {deep: {er: []}}", "");
        sandbox.sealed("a.yaml", &plain);
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        let ours = held(bao, &path);
        bao.ask("DELETE", &path, None);
        sops(&sandbox, &["publish", "-y", "a.yaml"]).expect("sops is brought");
        let theirs = held(bao, &path);
        // It reads numbers as floats before the server does.
        assert_eq!(ours.replace("1e3", "1000"), theirs, "version {kind}");
        // And what it wrote is not written again.
        let before = bao.raw(&path);
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        let without_id = |text: &str| text.split_once("lease_id").expect("one").1.to_owned();
        assert_eq!(without_id(&bao.raw(&path)), without_id(&before));
    }
}

#[test]
fn sops_and_waxseal_read_files_as_the_same_values() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    let path = format!("{mount}/data/app/a");
    for plain in [
        "x: &x {k: 1}\ny:\n    <<: *x\n    l: 2\n",
        "t: 2020-01-02T03:04:05.123456789+02:00\nd: 2020-01-02\ns: '2020-01-02'\n",
        "a: 1\n---\nb: 2\n",
        "n: ~\nf: 1.0\ng: 1e100\nb: !!binary aGVsbG8=\nl: 1234567.891\ny: yes\no: 0777\nh: 0x1F\n",
        // Of an empty list in a list sops makes null.
        "open_unencrypted: 1\nempty: ''\nlist: [[1, [2]], x]\n",
        "k: |\n    two\n    lines\nf: >\n    folded\n    text\n",
    ] {
        sandbox.sealed("a.yaml", plain);
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        let ours = held(bao, &path);
        bao.ask("DELETE", &path, None);
        assert_eq!(sops(&sandbox, &["publish", "-y", "a.yaml"]).expect("there").code, Some(0));
        assert_eq!(ours, held(bao, &path), "{plain}");
    }
}

#[test]
fn numbers_keep_their_digits_or_are_not_written() {
    let Some(bao) = Bao::start() else { return };
    let digits = "123456789012345678901234567890";
    let plain = format!("a: {digits}\nb: [1.10, {{c: -0.{digits}}}]\n");
    let (one, two) = (bao.kv_in("", 1), bao.kv_in("", 2));
    let sandbox = user(bao.address(), &rule(&one, 1));
    sandbox.sealed("a.yaml", &plain);
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    let json = format!("{{\"a\":{digits},\"b\":[1.10,{{\"c\":-0.{digits}}}]}}");
    assert_eq!(held(bao, &format!("{one}/app/a")), json);
    // And back: into a file that has others, and into none.
    sandbox.sealed("b.yaml", "a: 1 # one\n");
    for file in ["b.yaml", "c.yaml", "d.json"] {
        let run = ["pull", "--from", &format!("{one}/app/a"), file];
        sandbox.run(&run).ok();
    }
    let back = sandbox.run(&["decrypt", "b.yaml"]).ok();
    assert_eq!(back, format!("a: {digits} # one\nb:\n    - 1.10\n    - c: -0.{digits}\n"));
    let new = sandbox.run(&["decrypt", "c.yaml"]).ok();
    assert_eq!(new, format!("a: {digits}\nb:\n    - 1.10\n    - c: -0.{digits}\n"));
    let json = sandbox.run(&["decrypt", "d.json"]).ok();
    assert!(json.contains(&format!("\"a\": {digits},")), "{json}");

    let sandbox = user(bao.address(), &rule(&two, 2));
    sandbox.sealed("a.yaml", &plain);
    let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(4);
    assert!(said.contains("[\"a\"] is a number that a key-value engine of version 2"), "{said}");
    assert_eq!(bao.call("GET", &format!("{two}/data/app/a"), Some("root"), None).0, 404);
}

#[test]
fn equal_values_are_not_written_again() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    sandbox.sealed("a.yaml", "f: 1.10\ng: 1e3\nz: [x]\n");
    for (text, expected) in [("[\"z\"][0] \"x\"", 1), ("[\"z\"][0] \"y\"", 2), ("[\"f\"] 1.1", 2)] {
        let (path, value) = text.split_once(' ').expect("two words");
        sandbox.run(&["set", "--idempotent", "a.yaml", path, value]).ok();
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        sandbox.run(&["publish", "-y", "a.yaml"]).ok();
        assert_eq!(version(bao, &mount, "app/a"), expected, "{text}");
    }
}

#[test]
fn nobody_is_written_over() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let path = format!("{mount}/data/app/a");
    // Somebody writes between the look and the write.
    let script = Script::start({
        let path = path.clone();
        move |request| {
            if request.method == "POST" {
                bao.ask("POST", &path, Some(json!({ "data": { "theirs": 1 } })));
            }
            Answer::from_server(bao.address(), request)
        }
    });
    let sandbox = user(&script.address(), &rule(&mount, 2));
    sandbox.sealed("a.yaml", "ours: 1\n");
    for version in [1, 2] {
        let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(1);
        assert!(said.contains(&format!("somebody wrote version {version} meanwhile")), "{said}");
        assert_eq!(held(bao, &path), "{\"theirs\":1}");
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_made_once() {
    let Some(bao) = Bao::start() else { return };
    for (kind, code) in [(2, 0), (1, 1)] {
        let mount = bao.kv_in("", kind);
        let writes = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let script = Script::start({
            let writes = std::sync::Arc::clone(&writes);
            move |request| {
                let answer = Answer::from_server(bao.address(), request);
                let is_write = request.method == "POST";
                let first =
                    is_write && writes.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
                if first { Answer::hang_up() } else { answer }
            }
        });
        let sandbox = user(&script.address(), &rule(&mount, kind)).with("VAULT_MAX_RETRIES", "1");
        sandbox.sealed("a.yaml", "ours: 1\n");
        let run = sandbox.run(&["publish", "-y", "a.yaml"]);
        assert_eq!(run.code, Some(code), "version {kind}: {}", run.stderr);
        let sent = writes.load(std::sync::atomic::Ordering::SeqCst);
        if kind == 2 {
            assert_eq!((sent, version(bao, &mount, "app/a")), (2, json!(1)));
        } else {
            assert_eq!(sent, 1);
        }
    }
}

#[test]
fn namespaces_are_named_by_the_variable_or_the_path() {
    let Some(bao) = Bao::start() else { return };
    let team = bao.namespace();
    let mount = bao.kv_in(&team, 2);
    let inside = mount.strip_prefix(&format!("{team}/")).expect("below it");
    for (name, namespace, file) in
        [(inside, Some(&team), "a.yaml"), (&mount, Some(&team), "b.yaml"), (&mount, None, "c.yaml")]
    {
        let sandbox = user(bao.address(), &rule(name, 2));
        let sandbox = match namespace {
            Some(namespace) => sandbox.with("VAULT_NAMESPACE", namespace),
            None => sandbox,
        };
        sandbox.sealed(file, "a: 1\n");
        sandbox.run(&["publish", "-y", file]).ok();
        let secret = file.strip_suffix(".yaml").expect("above");
        assert_eq!(held(bao, &format!("{mount}/data/app/{secret}")), "{\"a\":1}");
        sandbox.run(&["set", file, "[\"a\"]", "2"]).ok();
        sandbox.run(&["pull", file, "--from", &format!("{name}/app/{secret}")]).ok();
        assert_eq!(sandbox.run(&["decrypt", file]).ok(), "a: 1\n");
    }
}

#[test]
fn no_token_goes_to_a_server_that_only_the_rule_names() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let (server, evil) = (Recorder::before(bao.address()), Listener::start());
    let at = |address: &str| rule(&mount, 2) + &format!("    vault_address: {address}\n");
    let sandbox = user(&server.address(), &at(&evil.address()));
    sandbox.sealed("a.yaml", "a: 1\n");
    for words in [&["publish", "-y", "a.yaml"][..], &["pull", "a.yaml"]] {
        let said = sandbox.run(words).fails(1);
        assert!(
            said.contains(&format!("export SOPS_HC_VAULT_ALLOWLIST={}", evil.address())),
            "{said}"
        );
        assert!(said.contains("a.yaml"), "{said}");
    }
    assert_eq!((evil.connections(), server.connections()), (0, 0));
    let sandbox = sandbox.with("SOPS_HC_VAULT_ALLOWLIST", &server.address());
    let config = sandbox.read(".sops.yaml").replace(&evil.address(), &server.address());
    sandbox.write(".sops.yaml", &config);
    sandbox.run(&["publish", "-y", "a.yaml"]).ok();
    let paths: Vec<String> =
        server.requests().iter().map(|it| format!("{} {}", it.method, it.path)).collect();
    assert_eq!(
        paths,
        [
            format!("GET /v1/sys/internal/ui/mounts/{mount}/app/a"),
            format!("GET /v1/{mount}/data/app/a"),
            format!("POST /v1/{mount}/data/app/a"),
        ]
    );
    assert!(server.requests().iter().all(|it| it.header("x-vault-token") == Some("root")));
    assert_eq!((server.connections(), evil.connections()), (1, 0));
}

#[test]
fn a_token_that_may_too_little_is_told_what_it_lacks() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let policy = |capabilities: &str| {
        format!("path \"{mount}/data/app/*\" {{ capabilities = [{capabilities}] }}")
    };
    let (reader, writer) = (
        bao.token(&policy("\"read\""), json!({})),
        bao.token(&policy("\"create\", \"update\""), json!({})),
    );
    for (token, lacks) in [(&reader, "`create` and `update`"), (&writer, "`read`")] {
        let sandbox = user(bao.address(), &rule(&mount, 2)).with("BAO_TOKEN", token);
        sandbox.sealed("a.yaml", "a: 1\n");
        let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(1).replace("\n      | ", " ");
        assert!(said.contains(&format!("lack {lacks} on {mount}/data/app/a")), "{said}");
        assert!(!said.contains(token.as_str()), "{said}");
    }
}

#[test]
fn folders_are_published_under_the_names_that_files_have_there() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let rules = format!("  - {{path_regex: ^other, vault_path: no}}\n{}", rule(&mount, 2));
    let sandbox = user(bao.address(), &rules);
    sandbox.sealed("d/a b.yaml", "a: 1\n");
    sandbox.sealed("d/e/ü.json", "{\"a\": 2}");
    let said = sandbox.run(&["publish", "-y", "d"]).fails(1);
    assert!(said.contains("is a folder: --recursive"), "{said}");
    sandbox.run(&["publish", "-y", "--recursive", "./d"]).ok();
    assert_eq!(held(bao, &format!("{mount}/data/app/a%20b")), "{\"a\":1}");
    assert_eq!(held(bao, &format!("{mount}/data/app/e/%C3%BC")), "{\"a\":2}");
    // A file with two names would be two secrets, two files with one name would be one.
    let said = sandbox.run(&["publish", "-y", "--recursive", "d", "d/e/ü.json"]).fails(8);
    assert!(said.contains("is named twice: it would be e/ü.json and ü.json"), "{said}");
    sandbox.sealed("d/a b.json", "{\"a\": 3}");
    let said = sandbox.run(&["publish", "-y", "--recursive", "d"]).fails(8);
    assert!(said.contains("would be written to"), "{said}");
    // One that is not sealed fails, and the others do not.
    std::fs::remove_file(sandbox.path("d/a b.json")).expect("there");
    sandbox.write("d/0.yaml", "a: plain\n");
    sandbox.run(&["set", "d/a b.yaml", "[\"a\"]", "7"]).ok();
    let said = sandbox.run(&["publish", "-y", "--recursive", "d"]).fails(1);
    assert!(said.contains("d/0.yaml: sops metadata not found"), "{said}");
    assert_eq!(held(bao, &format!("{mount}/data/app/a%20b")), "{\"a\":7}");
}

#[test]
fn the_question_is_the_one_of_sops() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    sandbox.sealed("a.yaml", "a: 1\n");
    let path = sandbox.path("a.yaml").canonicalize().expect("there");
    let question = format!(
        "uploading {} to {}/v1/{mount}/data/app/a ? (y/n): ",
        path.display(),
        bao.address()
    );
    let run = sandbox.run_with(&["publish", "a.yaml"], "what\nn\n");
    assert_eq!((run.code, run.stdout), (Some(1), question.repeat(2)));
    assert!(run.stderr.contains("canceled"), "{}", run.stderr);
    assert_eq!(sandbox.run(&["publish", "a.yaml"]).code, Some(1));
    assert_eq!(bao.call("GET", &format!("{mount}/data/app/a"), Some("root"), None).0, 404);
    let run = sandbox.run_with(&["publish", "a.yaml"], "y\n");
    assert_eq!((run.code, run.stdout), (Some(0), question));
    assert_eq!(held(bao, &format!("{mount}/data/app/a")), "{\"a\":1}");
    // What is there already is not asked about.
    assert_eq!(sandbox.run(&["publish", "a.yaml"]).ok(), "");
}

#[test]
fn what_was_done_is_told_to_a_terminal_only() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2)).with("NO_COLOR", "1");
    sandbox.sealed("a.yaml", "a: 1\n");
    let place = format!("{}/v1/{mount}/data/app/a", bao.address());
    for expected in [
        format!("note: a.yaml: written to {place}, version 1\r\n"),
        format!("note: a.yaml: {place} holds these values already\r\n"),
    ] {
        assert_eq!(end(sandbox.at_terminal("publish -y a.yaml")), (expected, 0));
    }
    let said = end(sandbox.at_terminal("pull a.yaml"));
    assert_eq!(said, ("note: a.yaml: holds these values already\r\n".to_owned(), 0));
}

#[test]
fn a_binary_envelope_of_sops_is_published_as_its_content() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    let sandbox = user(bao.address(), &rule(&mount, 2));
    sandbox.write("a.toml", "a = 1 # one\n");
    sops(&sandbox, &["encrypt", "-i", "a.toml"]).expect("sops is brought").ok();
    let path = format!("{mount}/data/app/a");
    sandbox.run(&["publish", "-y", "a.toml"]).ok();
    let ours = held(bao, &path);
    assert_eq!(ours, "{\"data\":\"a = 1 # one\\n\"}");
    bao.ask("DELETE", &path, None);
    assert_eq!(sops(&sandbox, &["publish", "-y", "a.toml"]).expect("there").code, Some(0));
    assert_eq!(held(bao, &path), ours);
    let sealed = sandbox.read("a.toml");
    sandbox.run(&["pull", "a.toml"]).fails(1);
    assert_eq!(sandbox.read("a.toml"), sealed);
}

#[test]
fn answers_that_are_wrong_write_nothing_anywhere() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.kv_in("", 2);
    type Wrong = fn(&crate::openbao::Request) -> Answer;
    let cases: [(Wrong, &str); 7] = [
        (|_| Answer::new(200, "<html>"), "the answer holds something else than a secret"),
        (|_| Answer::json(200, &json!({ "data": {} })), "something else than a secret"),
        (
            |_| {
                Answer::json(200, &json!({ "data": { "data": [1], "metadata": { "version": 1 } } }))
            },
            "something else than a secret",
        ),
        (|_| Answer::new(404, "<html>"), "the answer is not JSON (404)"),
        (|_| Answer::json(404, &json!({ "errors": ["no handler"] })), "no handler (404)"),
        (|_| Answer::json(503, &json!({ "errors": ["Vault is sealed"] })), "sealed (503)"),
        (|_| Answer::hang_up(), "the connection broke"),
    ];
    for (wrong, expected) in cases {
        let script = Script::start(move |request| match request.path.contains("/data/") {
            true => wrong(request),
            false => Answer::from_server(bao.address(), request),
        });
        let sandbox = user(&script.address(), &rule(&mount, 2));
        sandbox.sealed("a.yaml", "a: 1\n");
        let sealed = sandbox.read("a.yaml");
        for words in [&["publish", "-y", "a.yaml"][..], &["pull", "a.yaml"], &["pull", "b.yaml"]] {
            let said = sandbox.run(words).fails(1).replace("\n      | ", " ");
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert_eq!(sandbox.read("a.yaml"), sealed);
        assert!(!sandbox.path("b.yaml").exists());
        assert_eq!(bao.call("GET", &format!("{mount}/data/app/a"), Some("root"), None).0, 404);
    }
}

#[test]
fn a_file_without_a_destination_is_told_where_one_is_named() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    let rule = sandbox.read(".sops.yaml");
    for (rules, expected) in [
        ("", "no matching destination rules found in .sops.yaml"),
        ("- {path_regex: ^/, vault_path: x}", "whose path_regex matches \"a.yaml\""),
        ("- s3_bucket: b", "names s3_bucket, which is not supported yet"),
        (
            "- {vault_path: x, vault_address: 'https://v/p'}",
            "vault_address of its destination rule",
        ),
        ("- vault_path: x", "nothing names a server: set VAULT_ADDR"),
        (
            "- {vault_path: x, recreation_rule: {age: a}}",
            "line 4, column 19: recreation_rule is for",
        ),
    ] {
        sandbox.write(".sops.yaml", &format!("{rule}destination_rules:\n{rules}\n"));
        let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(1);
        assert!(said.contains(expected), "{rules}: {said}");
    }
    std::fs::remove_file(sandbox.path(".sops.yaml")).expect("there");
    let said = sandbox.run(&["publish", "-y", "a.yaml"]).fails(1);
    assert!(said.contains("config file not found"), "{said}");
    sandbox.run(&["publish"]).fails(100);
    sandbox.run(&["pull"]).fails(100);
}

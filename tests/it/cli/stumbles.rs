//! What nearly went wrong without a word, and messages that sent people the wrong way.

use expect_test::{Expect, expect};

use super::Sandbox;

const PLAIN: &str = "a: one\nb: two\n";

#[track_caller]
fn check(sandbox: &Sandbox, words: &[&str], expected: &Expect) {
    expected.assert_eq(&sandbox.transcript(&sandbox.run(words)));
}

#[test]
fn a_secret_is_not_emptied_by_a_program_that_failed() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    sandbox.write("nothing", "");
    let sealed = sandbox.read("a.yaml");
    check(
        &sandbox,
        &["set", "--value-stdin", "--value-text", "a.yaml", "[\"a\"]"],
        &expect![[r#"
        exit 7
        --- stderr
        error: the value is empty: whatever should have written it failed?
        hint: an empty text, if one is meant, is the JSON '""'
    "#]],
    );
    sandbox.run(&["set", "--value-file", "--value-text", "a.yaml", "[\"a\"]", "nothing"]).fails(7);
    assert_eq!(sandbox.read("a.yaml"), sealed);
    sandbox.run(&["set", "--value-text", "a.yaml", "[\"a\"]", ""]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: \"\"\nb: two\n");
}

#[test]
fn an_identity_in_the_wrong_place_is_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    std::fs::remove_file(keys).expect("removed");
    let key = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
    for (variable, value) in [
        ("SOPS_AGE_KEY_FILE", key.to_owned()),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", key.to_owned()),
        ("SOPS_AGE_KEY_CMD", format!("echo {key}")),
        ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", key.to_owned()),
        ("SOPS_CONFIG", key.to_owned()),
    ] {
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
        let output = command.args(["decrypt", "a.yaml"]).env(variable, value).output();
        let output = output.expect("ran");
        let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success() && !stderr.contains("1qqqq"), "{stderr}");
    }
    let sandbox = sandbox.with("SOPS_AGE_KEY_FILE", key);
    let stderr = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
    let line = stderr.lines().find(|line| line.contains("SOPS_AGE_KEY_FILE (")).expect("told");
    expect!["    SOPS_AGE_KEY_FILE (<a private key>): a path is expected here; SOPS_AGE_KEY takes the key itself"]
        .assert_eq(line);
    assert!(!sandbox.run(&["decrypt", key]).fails(100).contains("1QQQQ"));
    assert!(!sandbox.run(&["decrypt", "--config", key, "a.yaml"]).fails(1).contains("1QQQQ"));
}

#[test]
fn a_value_that_looks_like_a_flag_is_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    check(
        &sandbox,
        &["set", "a.yaml", "[\"a\"]", "--value-text", "--hunter2"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a word that begins with a dash is no flag of `set`
        hint: a value that begins with one goes behind `--`: waxseal set -- FILE INDEX VALUE
    "#]],
    );
    sandbox.run(&["set", "--value-text", "--", "a.yaml", "[\"a\"]", "--hunter2"]).ok();
    // A slip of the finger is.
    assert!(sandbox.run(&["set", "--value-txt", "a.yaml"]).fails(1).contains("--value-text"));
}

#[test]
fn a_name_cannot_fake_a_line() {
    let sandbox = Sandbox::new();
    let name = "x.yaml: sealed\n\u{1b}[31my.yaml";
    sandbox.sealed(name, PLAIN);
    let run = sandbox.run(&["verify", name]);
    assert_eq!(run.ok(), "x.yaml: sealed\\u{a}\\u{1b}[31my.yaml: sealed\n");
    let listed = sandbox.run(&["recipients", name]).ok();
    assert!(listed.starts_with("x.yaml: sealed\\u{a}"), "{listed}");
    let stderr = sandbox.run(&["decrypt", "\u{1b}[31m.yaml"]).fails(100);
    assert!(stderr.starts_with("error: \\u{1b}[31m.yaml: "), "{stderr}");
}

#[test]
fn an_editor_that_removes_the_text_changes_nothing() {
    let sandbox = Sandbox::new().editor("rm \"$1\"");
    sandbox.sealed("a.yaml", PLAIN);
    let sealed = sandbox.read("a.yaml");
    check(
        &sandbox,
        &["edit", "a.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: a.yaml: the editor left no text behind: nothing was changed
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), sealed);
}

#[test]
fn a_dash_is_no_name_for_a_result() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    check(
        &sandbox,
        &["decrypt", "--output", "-", "a.yaml"],
        &expect![[r#"
        exit 8
        --- stderr
        error: --output - would make a file called `-`: leave it out for standard output, or write ./-
    "#]],
    );
    sandbox.run(&["decrypt", "--output", "./-", "a.yaml"]).ok();
    assert_eq!(sandbox.read("-"), PLAIN);
    check(
        &sandbox,
        &["encrypt", "-i"],
        &expect![[r#"
        exit 8
        --- stderr
        error: no file is named, and standard input cannot be replaced: --in-place FILE
    "#]],
    );
}

#[test]
fn words_that_set_cannot_place_are_counted_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    check(
        &sandbox,
        &["set", "a.yaml", "[\"a\"]", "hunter2", "hunter3"],
        &expect![[r#"
        exit 7
        --- stderr
        error: too many words behind the key path: set takes FILE INDEX VALUE; with --value-stdin, FILE INDEX
        hint: a value of several words stands in quotes: '"two words"'
    "#]],
    );
    check(
        &sandbox,
        &["set", "a.yaml", "\"hunter2\"", "[\"a\"]"],
        &expect![[r#"
        exit 7
        --- stderr
        error: the key path: a piece of the path does not end with ']'; write ["key"][0]
        hint: in single quotes for the shell, and before the value: '["key"][0]'
    "#]],
    );
}

#[test]
fn hints_name_what_helps() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let sealed = sandbox.read("a.yaml");
    sandbox.write("b.yaml", sealed.split("sops:").next().expect("a start"));
    check(
        &sandbox,
        &["decrypt", "b.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: b.yaml: sops metadata not found
        hint: its values are encrypted, but the `sops` entry that opens them is gone: take it back from an earlier version, git log -p shows it
    "#]],
    );
    check(
        &sandbox,
        &["decrypt", ".sops.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: .sops.yaml: sops metadata not found
        hint: this is the configuration: it says who can open which file, and is not encrypted
    "#]],
    );
    check(
        &sandbox,
        &["set", "a.yaml", "[\"sops\"]", "1"],
        &expect![[r#"
        exit 203
        --- stderr
        error: a.yaml: line 3, column 1: the file already has a top-level entry called 'sops'
        hint: `sops` at the top of a file is where its metadata stands: give that entry another name; what is encrypted already is changed with `waxseal edit`, `set` or `rotate`
    "#]],
    );
    check(
        &sandbox,
        &["rotate", "-i", "--add-age", "bob", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: --add-age, age recipient 1: unknown recipient type: an age recipient begins with age1, ssh-ed25519 or ssh-rsa
    "#]],
    );
    check(
        &sandbox,
        &["decrypt", "--verbose", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: unexpected argument '--verbose' found
        hint: there is nothing of that kind in waxseal: leave it out
    "#]],
    );
    check(
        &sandbox,
        &["decrypt", "--hunter2", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: unexpected argument '--hunter2' found

        Usage: waxseal decrypt [OPTIONS] [FILES]...

        For more information, try '--help'.
    "#]],
    );
}

//! Bad input: codes, words, and never a secret.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use expect_test::{Expect, expect};

use super::{Run, Sandbox};

const SECRET: &str = "hunter2-planted";

#[track_caller]
fn check(sandbox: &Sandbox, words: &[&str], expected: &Expect) {
    let run = sandbox.run(words);
    assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{words:?}");
    expected.assert_eq(&sandbox.transcript(&run));
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.yaml", &format!("pw: {SECRET}\n"));
    sandbox.write("broken.yaml", &format!("pw: [{SECRET}\n"));
    sandbox.write("twice.yaml", &format!("pw: {SECRET}\npw: {SECRET}\n"));
    sandbox.write("empty.yaml", "");
    sandbox.write("empty.toml", "");
    sandbox.write("lone.yaml", &format!("{SECRET}\n"));
    sandbox.write("sops.yaml", &format!("pw: {SECRET}\nsops: 1\n"));
    sandbox.write("a.env", &format!("PW={SECRET}\n"));
    sandbox.write("a.ini", &format!("[x]\npw = {SECRET}\n"));
    sandbox.write("a.bin", SECRET);
    std::fs::write(sandbox.path("latin.yaml"), b"pw: \xe9t\xe9\n").expect("written");
    std::fs::create_dir(sandbox.path("dir.yaml")).expect("made");

    check(
        &sandbox,
        &["decrypt", "plain.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: plain.yaml: sops metadata not found
        hint: the file is not encrypted: `waxseal encrypt --in-place` does that
    "#]],
    );
    check(
        &sandbox,
        &["decrypt", "broken.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: broken.yaml: line 1, column 5: a bracket that is never closed
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "broken.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: broken.yaml: line 1, column 5: a bracket that is never closed
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "twice.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: twice.yaml: line 2, column 1: the key ["pw"] stands twice (first at line 1, column 1); rename or remove one of them
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "empty.yaml"],
        &expect![[r#"
            exit 92
            --- stderr
            error: empty.yaml: there is nothing to encrypt: the file holds no document
            hint: the file is empty: a shell that sends output into the file that is read empties it first; --in-place replaces it
        "#]],
    );
    // Valid TOML, but hardly what was meant.
    check(
        &sandbox,
        &["encrypt", "empty.toml"],
        &expect![[r#"
            exit 2
            --- stderr
            error: empty.toml: there is nothing to seal
            hint: the file is empty: a shell that sends output into the file that is read empties it first; --in-place replaces it
        "#]],
    );
    check(
        &sandbox,
        &["encrypt", "lone.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: lone.yaml: line 1, column 1: a document that is a single value cannot be sealed; put it under a key
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "sops.yaml"],
        &expect![[r#"
        exit 203
        --- stderr
        error: sops.yaml: line 2, column 1: the file already has a top-level entry called 'sops'
        hint: an encrypted file is changed with `waxseal edit`, `set` or `rotate`; in a plaintext, give that entry another name
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "missing.yaml"],
        &expect![[r#"
        exit 100
        --- stderr
        error: missing.yaml: no such file
    "#]],
    );
    check(
        &sandbox,
        &["decrypt", "missing.env"],
        &expect![[r#"
        exit 100
        --- stderr
        error: missing.env: no such file
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "dir.yaml"],
        &expect![[r#"
            exit 2
            --- stderr
            error: dir.yaml: is a directory
            hint: name the files in it: `git ls-files '*.yaml'` lists those of a repository
        "#]],
    );
    check(
        &sandbox,
        &["encrypt", "latin.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: latin.yaml: is not UTF-8: line 1, column 5
    "#]],
    );
    for (name, kind) in [("a.env", "dotenv"), ("a.ini", "ini"), ("a.bin", "binary")] {
        let before = sandbox.read(name);
        for words in [
            &["encrypt", "-i", name][..],
            &["decrypt", name],
            &["rotate", "-i", name],
            &["edit", name],
        ] {
            let stderr = sandbox.run(words).fails(1);
            let line =
                format!("error: {name}: {kind} files are not supported yet; nothing was changed");
            assert_eq!(stderr.lines().next(), Some(line.as_str()));
        }
        assert_eq!(sandbox.read(name), before);
    }
}

#[test]
fn sealed_files_that_were_damaged() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", &format!("pw: {SECRET}\nuser: me\n"));
    let file = sandbox.read("a.yaml");
    let line = |start: &str| {
        let at = file.find(start).expect("there");
        file[at..].split_inclusive('\n').next().expect("a line").to_owned()
    };
    let cases: [(&str, String, Expect); 6] = [
        (
            "plain value",
            file.replace(&line("user: "), &format!("user: {SECRET}\n")),
            expect![[r#"
                exit 25
                --- stderr
                error: a.yaml: line 2, column 7: ["user"] should be encrypted and is not
                hint: if you typed it into the encrypted file: take the line back, then `waxseal set`
                hint: compare it with an earlier version: git log -p shows who changed what
            "#]],
        ),
        (
            "value gone",
            file.replace(&line("user: "), ""),
            expect![[r#"
                exit 51
                --- stderr
                error: a.yaml: the MAC does not match: values were added, removed, reordered or changed without the key
                hint: compare it with an earlier version: git log -p shows who changed what
                hint: if the change was meant, or a merge of two branches brought it, `waxseal reseal` vouches for the file after a review
            "#]],
        ),
        (
            "no MAC",
            file.replace(&line("    mac: "), ""),
            expect![[r#"
                exit 51
                --- stderr
                error: a.yaml: the file has no MAC: somebody removed it, or a broken tool wrote the file
                hint: compare it with an earlier version: git log -p shows who changed what
                hint: if the change was meant, or a merge of two branches brought it, `waxseal reseal` vouches for the file after a review
            "#]],
        ),
        (
            "another time",
            file.replace(
                &line("    lastmodified: "),
                "    lastmodified: \"2020-01-01T00:00:00Z\"\n",
            ),
            expect![[r#"
                exit 51
                --- stderr
                error: a.yaml: the MAC does not open: it, or lastmodified, was changed without the key
                hint: compare it with an earlier version: git log -p shows who changed what
                hint: if the change was meant, or a merge of two branches brought it, `waxseal reseal` vouches for the file after a review
            "#]],
        ),
        (
            "no version",
            file.replace(&line("    version: "), ""),
            expect![[r#"
            exit 1
            --- stderr
            error: a.yaml: version in the metadata is not a version such as 3.13.3
        "#]],
        ),
        (
            "metadata twice",
            format!("{file}sops: {{}}\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: a.yaml: line LAST, column 1: there is a second entry called 'sops' (first at line 3, column 1)
        "#]],
        ),
    ];
    for (name, text, expected) in cases {
        assert_ne!(text, file, "{name}");
        sandbox.write("a.yaml", &text);
        let run = sandbox.run(&["decrypt", "a.yaml"]);
        assert!(!run.stderr.contains(SECRET) && run.stdout.is_empty(), "{name}");
        let last = format!("line {},", text.lines().count());
        expected.assert_eq(&sandbox.transcript(&run).replace(&last, "line LAST,"));
        let code = run.code.expect("a code");
        for words in [
            &["decrypt", "-i", "a.yaml"][..],
            &["rotate", "-i", "a.yaml"],
            &["set", "a.yaml", "[\"x\"]", "1"],
            &["decrypt", "--output", "target", "a.yaml"],
        ] {
            let stderr = sandbox.run(words).fails(code);
            assert!(!stderr.contains(SECRET) && !stderr.contains("ignore"), "{stderr}");
            assert_eq!(sandbox.read("a.yaml"), text, "{name}");
            assert!(!sandbox.path("target").exists());
        }
    }
}

#[test]
fn a_damaged_configuration_fails_every_command_that_reads_one() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.write(".sops.yaml", "creation_rules:\n  - age: [x\n");
    for words in [
        &["decrypt", "a.yaml"][..],
        &["encrypt", "a.yaml"],
        &["set", "a.yaml", "[\"a\"]", "1"],
        &["updatekeys", "a.yaml"],
    ] {
        let stderr = sandbox.run(words).fails(1);
        assert!(stderr.starts_with("error: .sops.yaml: line 2, column 10: "), "{stderr}");
    }
    let stderr = sandbox.run(&["decrypt", "--config", "nowhere.yaml", "a.yaml"]).fails(1);
    assert_eq!(stderr, "error: nowhere.yaml: no such file\n");
    sandbox.run(&["decrypt", "--config", "", "--decryption-order", "age,age", "a.yaml"]).fails(112);
}

#[test]
fn keys_of_kinds_that_are_not_built_in_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: 1\n");
    sandbox.write(".sops.yaml", "creation_rules:\n  - pgp: ABCD\n");
    check(
        &sandbox,
        &["encrypt", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: cannot wrap the data key
          ABCD: pgp keys are not supported yet
    "#]],
    );
    let sandbox = sandbox.with("SOPS_PGP_FP", "EF01");
    let stderr = sandbox.run(&["encrypt", "a.yaml"]).fails(1);
    assert!(stderr.contains("EF01: pgp keys are not supported yet"), "{stderr}");
}

#[test]
fn recipients_that_are_none() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: 1\n");
    check(
        &sandbox,
        &["encrypt", "--age", "me@example.org", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: --age or SOPS_AGE_RECIPIENTS, age recipient 1: unknown recipient type: an age recipient begins with age1, ssh-ed25519 or ssh-rsa
    "#]],
    );
    sandbox.write(".sops.yaml", "creation_rules:\n  - age: [age1nonsense]\n");
    check(
        &sandbox,
        &["encrypt", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: the rule at line 2 of .sops.yaml, age recipient 1: not a valid age recipient: invalid Bech32 encoding
    "#]],
    );
    sandbox.write(".sops.yaml", "creation_rules:\n  - age: AGE-SECRET-KEY-1HUNTER2-PLANTED\n");
    check(
        &sandbox,
        &["encrypt", "-i", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: the rule at line 2 of .sops.yaml, age recipient 1: this is an age identity (a secret), not a recipient: `age-keygen -y` shows the recipient
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), "a: 1\n");
}

#[test]
fn a_rule_that_selects_in_two_ways() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: 1\n");
    let rule = format!(
        "creation_rules:\n  - age: {}\n    encrypted_regex: ^a\n    unencrypted_suffix: _x\n",
        sandbox.recipient
    );
    sandbox.write(".sops.yaml", &rule);
    check(
        &sandbox,
        &["encrypt", "-i", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: .sops.yaml: line 4, column 5: a rule selects values in one way only: encrypted_regex and unencrypted_suffix exclude each other (first at line 3, column 5)
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), "a: 1\n");
}

#[test]
fn identity_files_that_are_none() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    std::fs::remove_dir_all(sandbox.home().join(".config")).expect("removed");
    sandbox.write("identity", &format!("# mine\n{SECRET}\n"));
    std::fs::create_dir(sandbox.path("folder")).expect("made");
    std::fs::write(sandbox.path("binary"), b"\xff\xfe\x00").expect("written");
    let sandbox = sandbox
        .with("SOPS_AGE_KEY_FILE", "identity")
        .with("SOPS_AGE_KEY", SECRET)
        .with("SOPS_AGE_KEY_CMD", "cat binary")
        .with("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "folder");
    let before = sandbox.read("a.yaml");
    check(
        &sandbox,
        &["rotate", "-i", "a.yaml"],
        &expect![[r#"
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            SOPS_AGE_SSH_PRIVATE_KEY_FILE (folder): is a directory
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY: line 1: not an age identity
            SOPS_AGE_KEY_FILE (identity): line 2: not an age identity
            SOPS_AGE_KEY_CMD (cat): cat printed something that is not UTF-8
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), before);
}

/// The program as a user who may not do everything, which root may.
fn unprivileged(sandbox: &Sandbox, words: &[&str]) -> Run {
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
    if rustix::process::geteuid().is_root() {
        // Where it was built nobody else may be able to go.
        let program = sandbox.dir.path().join("program");
        if !program.exists() {
            // By another process: a file that a fork of this one has open cannot be run.
            let mut copy = std::process::Command::new("cp");
            copy.arg(env!("CARGO_BIN_EXE_waxseal")).arg(&program);
            assert!(copy.status().expect("cp").success());
        }
        command = sandbox.command(program);
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.args(words).stdin(Stdio::null()).output().expect("run");
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code(), stdout: utf8(output.stdout), stderr: utf8(output.stderr) }
}

const NOBODY: u32 = 65_534;

#[test]
fn files_and_folders_without_rights() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.sealed("secret.yaml", "a: 1\n");
    sandbox.sealed("fixed.yaml", "a: 1\n");
    sandbox.sealed("closed/a.yaml", "a: 1\n");
    sandbox.write("plain.yaml", "a: 1\n");
    let mut paths = vec![sandbox.dir.path().to_owned()];
    while let Some(path) = paths.pop() {
        if rustix::process::geteuid().is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        if path.is_dir() {
            paths.extend(
                fs::read_dir(&path).expect("a folder").map(|it| it.expect("an entry").path()),
            );
        }
    }
    let mode = |name: &str, mode| {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).expect("mode");
    };
    mode("secret.yaml", 0o000);
    mode("fixed.yaml", 0o444);
    mode("closed", 0o555);
    let before = sandbox.read("fixed.yaml");
    let mut shown = String::new();
    for words in [
        &["decrypt", "secret.yaml"][..],
        &["encrypt", "-i", "secret.yaml"],
        &["set", "fixed.yaml", "[\"a\"]", "2"],
        &["set", "closed/a.yaml", "[\"a\"]", "2"],
        &["encrypt", "--output", "closed/new.yaml", "plain.yaml"],
        &["decrypt", "--output", "fixed.yaml", "a.yaml"],
        &["decrypt", "--config", "secret.yaml", "a.yaml"],
    ] {
        let run = unprivileged(&sandbox, words);
        shown.push_str(&format!("$ {}\n{}", words.join(" "), sandbox.transcript(&run)));
    }
    expect![[r#"
        $ decrypt secret.yaml
        exit 2
        --- stderr
        error: secret.yaml: no permission to read it
        $ encrypt -i secret.yaml
        exit 2
        --- stderr
        error: secret.yaml: no permission to read it
        $ set fixed.yaml ["a"] 2
        exit 3
        --- stderr
        error: fixed.yaml: no permission to write it
        $ set closed/a.yaml ["a"] 2
        exit 3
        --- stderr
        error: closed/a.yaml: cannot be written: its directory takes no new file
        $ encrypt --output closed/new.yaml plain.yaml
        exit 3
        --- stderr
        error: closed/new.yaml: cannot be written: its directory takes no new file
        $ decrypt --output fixed.yaml a.yaml
        exit 3
        --- stderr
        error: fixed.yaml: no permission to write it
        $ decrypt --config secret.yaml a.yaml
        exit 1
        --- stderr
        error: secret.yaml: no permission to read it
    "#]]
    .assert_eq(&shown);
    assert_eq!(sandbox.read("fixed.yaml"), before);
    mode("closed", 0o755);
    assert_eq!(fs::read_dir(sandbox.path("closed")).expect("a folder").count(), 1);
}

//! Where newcomers stumble: a secret lost or shown without a word, a message that sends one wrong.

use std::fs;

use expect_test::{Expect, expect};

use super::terminal::end;
use super::{Sandbox, check};

/// Each of these calls, as it is typed, and all that it says.
#[track_caller]
fn check_all(sandbox: &Sandbox, calls: &[&[&str]], expected: &Expect) {
    let told = calls.iter().map(|words| {
        format!("$ waxseal {}\n{}\n", words.join(" "), sandbox.transcript(&sandbox.run(words)))
    });
    expected.assert_eq(&told.collect::<String>());
}

/// The identity of the sandbox.
fn identity(sandbox: &Sandbox) -> String {
    let file = fs::read_to_string(sandbox.home().join(".config/sops/age/keys.txt"));
    file.expect("readable").lines().last().expect("an identity").to_owned()
}

#[test]
fn a_program_that_gave_nothing_does_not_empty_a_secret() {
    let sandbox = Sandbox::new();
    sandbox.sealed("db.yaml", "password: hunter2\n");
    let before = sandbox.read("db.yaml");
    let refused = expect![[r#"
        exit 7
        --- stderr
        error: the value is empty: nothing was changed
        hint: standard input gave no text: the program before the pipe may have failed, and with `set -o pipefail` a script ends with its error
        hint: an empty text is set as JSON: VALUE is '""', without --value-text
    "#]];
    for stdin in ["", "\n", "\r\n"] {
        let words = ["set", "--value-stdin", "--value-text", "db.yaml", "[\"password\"]"];
        let run = sandbox.run_with(&words, stdin);
        refused.assert_eq(&sandbox.transcript(&run));
    }
    sandbox.write("empty", "");
    check(
        &sandbox,
        &["set", "--value-file", "--value-text", "db.yaml", "[\"password\"]", "empty"],
        &expect![[r#"
            exit 7
            --- stderr
            error: the value is empty: nothing was changed
            hint: the file that was named holds no text
            hint: an empty text is set as JSON: VALUE is '""', without --value-text
        "#]],
    );
    assert_eq!(sandbox.read("db.yaml"), before);
    // Who means it can say so.
    let words = ["set", "--value-stdin", "db.yaml", "[\"password\"]"];
    sandbox.run_with(&words, "\"\"").ok();
    assert_eq!(sandbox.run(&["decrypt", "db.yaml"]).ok(), "password: \"\"\n");
    sandbox.run(&["set", "--value-text", "db.yaml", "[\"password\"]", ""]).ok();
}

#[test]
fn a_private_key_in_the_wrong_place_is_not_shown() {
    let other = Sandbox::new();
    let key = identity(&other);
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    fs::remove_file(sandbox.home().join(".config/sops/age/keys.txt")).expect("removed");
    let variables = [
        ("SOPS_AGE_KEY_CMD", format!("echo {key}")),
        ("SOPS_AGE_KEY_CMD", key.clone()),
        ("SOPS_AGE_KEY_CMD", format!("NAME={key} true")),
        ("SOPS_AGE_KEY_FILE", key.clone()),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", key.to_lowercase()),
        ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", format!("true {key}")),
        ("SOPS_CONFIG", key.clone()),
    ];
    let mut told = String::new();
    for (name, value) in variables {
        let run = Sandbox { vars: vec![(name.into(), value)], ..Sandbox::bare() };
        fs::copy(sandbox.path("a.yaml"), run.path("a.yaml")).expect("copied");
        let run = Sandbox { recipient: sandbox.recipient.clone(), ..run };
        told += &format!("{name}\n{}\n", run.transcript(&run.run(&["decrypt", "a.yaml"])));
    }
    let bare = Sandbox::bare().with("SOPS_AGE_KEY_FILE", &key);
    told += &format!("init\n{}\n", bare.transcript(&bare.run(&["init"])));
    for words in [&["decrypt", &key][..], &["--config", &key, "decrypt", "a.yaml"], &[&key]] {
        told += &format!("{}\n", sandbox.transcript(&sandbox.run(words)));
    }
    assert!(!told.to_uppercase().contains(&key[..20]), "{told}");
    expect![[r#"
        SOPS_AGE_KEY_CMD
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY_CMD (echo): one identity, which is not for this recipient
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`

        SOPS_AGE_KEY_CMD
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY_CMD: a private key stands where a command is expected: SOPS_AGE_KEY takes age identities themselves
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`

        SOPS_AGE_KEY_CMD
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY_CMD (NAME): a private key stands where a command is expected: SOPS_AGE_KEY takes age identities themselves
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`

        SOPS_AGE_KEY_FILE
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY_FILE: a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`

        SOPS_AGE_SSH_PRIVATE_KEY_FILE
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            SOPS_AGE_SSH_PRIVATE_KEY_FILE: a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`

        SOPS_AGE_SSH_PRIVATE_KEY_CMD
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            SOPS_AGE_SSH_PRIVATE_KEY_CMD (true): not an SSH private key in a format that age reads
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            DIR/home/.config/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`

        SOPS_CONFIG
        exit 1
        --- stderr
        error: (a private key): no such file
        hint: a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves

        init
        exit 1
        --- stderr
        error: SOPS_AGE_KEY_FILE: a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves

        exit 100
        --- stderr
        error: (a private key): no such file
        hint: a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves

        exit 1
        --- stderr
        error: (a private key): no such file
        hint: a private key stands where a path is expected: SOPS_AGE_KEY takes age identities themselves

        exit 1
        --- stderr
        error: unrecognized subcommand '(a private key)'
        hint: `waxseal help` lists the commands

    "#]].assert_eq(&told);
}

#[test]
fn the_value_of_set_is_not_shown_however_it_is_mistyped() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "password: x\n");
    let before = sandbox.read("a.yaml");
    let index = "[\"password\"]";
    let calls: [&[&str]; 12] = [
        &["set", "a.yaml", index, "--value-text", "--hunter2"],
        &["set", "a.yaml", index, "--hunter2", "-i"],
        &["set", "a.yaml", index, "-zhunter2"],
        &["set", "a.yaml", index, "x", "--idempotent=hunter2"],
        &["set", "a.yaml", index, "x", "--input-type", "hunter2"],
        &["set", "a.yaml", index, "correct", "hunter2", "battery"],
        &["set", "a.yaml", index, "hunter2", "[0]", "battery"],
        &["set", "--value-stdin", "a.yaml", index, "hunter2"],
        &["set", "a.yaml", "\"hunter2\"", index],
        &["set", "a.yaml", "hunter2", "\"x\""],
        &["set", "-i", "a.yaml", index, "\"x\""],
        &["set", "--value-stdn", "a.yaml", index],
    ];
    let mut told = String::new();
    for words in calls {
        let run = sandbox.run(words);
        assert!(!run.stderr.contains("hunter2") && run.stdout.is_empty(), "{}", run.stderr);
        told += &format!("$ waxseal {}\n{}\n", words.join(" "), sandbox.transcript(&run));
    }
    expect![[r#"
        $ waxseal set a.yaml ["password"] --value-text --hunter2
        exit 1
        --- stderr
        error: word 4 behind `set` is no flag of it; it is not shown, since it may be a part of the value
        hint: a value does not belong on the command line, where others can read it; one that begins with a dash comes through --value-stdin or --value-file

        $ waxseal set a.yaml ["password"] --hunter2 -i
        exit 1
        --- stderr
        error: word 3 behind `set` is no flag of it; it is not shown, since it may be a part of the value
        hint: a value does not belong on the command line, where others can read it; one that begins with a dash comes through --value-stdin or --value-file

        $ waxseal set a.yaml ["password"] -zhunter2
        exit 1
        --- stderr
        error: word 3 behind `set` is no flag of it; it is not shown, since it may be a part of the value
        hint: a value does not belong on the command line, where others can read it; one that begins with a dash comes through --value-stdin or --value-file

        $ waxseal set a.yaml ["password"] x --idempotent=hunter2
        exit 1
        --- stderr
        error: unexpected value for '--idempotent': it takes none

        $ waxseal set a.yaml ["password"] x --input-type hunter2
        exit 1
        --- stderr
        error: invalid value for '--input-type <TYPE>': none of yaml, json, toml, dotenv, ini, binary

        $ waxseal set a.yaml ["password"] correct hunter2 battery
        exit 100
        --- stderr
        error: too many words: the key path stands where a file is expected
        hint: a value of several words needs quotes: set takes FILE... INDEX VALUE

        $ waxseal set a.yaml ["password"] hunter2 [0] battery
        exit 100
        --- stderr
        error: too many words: the key path stands where a file is expected
        hint: a value of several words needs quotes: set takes FILE... INDEX VALUE

        $ waxseal set --value-stdin a.yaml ["password"] hunter2
        exit 100
        --- stderr
        error: too many words: the key path stands where a file is expected
        hint: standard input gives the value: VALUE is left out

        $ waxseal set a.yaml "hunter2" ["password"]
        exit 7
        --- stderr
        error: the last word is a key path and the one before is none: set takes FILE... INDEX VALUE, in this order

        $ waxseal set a.yaml hunter2 "x"
        exit 7
        --- stderr
        error: the last word but one, taken for the key path: a piece of the path does not end with ']'; write ["key"][0]
        hint: in single quotes for the shell: '["key"][0]'

        $ waxseal set -i a.yaml ["password"] "x"
        exit 1
        --- stderr
        error: unexpected argument '-i' found
        hint: the command always writes in place: leave it out

        $ waxseal set --value-stdn a.yaml ["password"]
        exit 1
        --- stderr
        error: word 1 behind `set` is no flag of it; it is not shown, since it may be a part of the value
        hint: did you mean `--value-stdin`?
        hint: a value does not belong on the command line, where others can read it; one that begins with a dash comes through --value-stdin or --value-file

    "#]].assert_eq(&told);
    assert_eq!(sandbox.read("a.yaml"), before);
}

#[test]
fn no_name_of_a_file_fakes_a_line_or_acts_on_the_terminal() {
    let sandbox = Sandbox::new().with("EDITOR", "true");
    let evil = "a.yaml: sealed\n\x1b[1A\r\u{202e}b.yaml";
    sandbox.sealed(evil, "a: 1\n");
    let gone = format!("gone {evil}");
    sandbox.write(&format!("x/{evil}"), "a: 1\n");
    let calls: [&[&str]; 12] = [
        &["verify", evil],
        &["verify", "--since", "HEAD", evil],
        &["recipients", evil],
        &["updatekeys", "--yes", evil],
        &["decrypt", &gone],
        &["encrypt", evil],
        &["rotate", "-i", "--add-age", "age1x", &gone],
        &["edit", evil],
        &["set", &gone, "[\"a\"]", "1"],
        &["--config", &gone, "decrypt", evil],
        &["decrypt", "--output-dir", "o", evil, &gone],
        &[&gone],
    ];
    for words in calls {
        let run = sandbox.run(words);
        let told = run.stdout + &run.stderr;
        assert!(!told.contains(['\x1b', '\r', '\u{202e}']), "{words:?}: {told}");
        assert!(!told.contains("sealed\n\x1b"), "{words:?}: {told}");
        for line in told.lines() {
            assert!(!line.starts_with("b.yaml") && !line.ends_with("a.yaml: sealed"), "{told}");
        }
    }
    check(
        &sandbox,
        &["verify", evil],
        &expect![[r#"
        exit 0
        --- stdout
        a.yaml: sealed\n\u{1b}[1A\r\u{202e}b.yaml: sealed
    "#]],
    );
    // And a recipient that a file names: here with a line of its own.
    let forged = sandbox.read(evil).replace("recipient: age1", "recipient: \"x\\n  age\\e[2K\" #");
    sandbox.write("forged.yaml", &forged);
    check(
        &sandbox,
        &["recipients", "forged.yaml"],
        &expect![[r#"
        exit 0
        --- stdout
        forged.yaml
          age x\n  age\u{1b}[2K  named by no creation rule
          age age1ME  named by the rule at line 2 of .sops.yaml, cannot open it
    "#]],
    );
}

#[test]
fn who_locks_himself_out_is_told_at_a_terminal_and_nowhere_else() {
    let others = Sandbox::new();
    let sandbox = Sandbox::new().with("NO_COLOR", "1");
    sandbox.write("a.yaml", "a: 1\n");
    let rule = format!("creation_rules:\n    - age: {}\n", others.recipient);
    sandbox.write(".sops.yaml", &rule);
    let shown = |words: &str| {
        let (shown, code) = end(sandbox.at_terminal(words));
        assert_eq!(code, 0, "{shown}");
        sandbox.masked(&shown.replace('\r', ""))
    };
    expect![[r#"
        note: a.yaml: the rule at line 2 of .sops.yaml names none of your identities: you will not be able to open the file
    "#]].assert_eq(&shown("encrypt --output b.yaml a.yaml"));
    expect![[r#"
        note: DIR/work/.sops.yaml is left as it is
        note: none of your identities stands in it: you cannot open what is sealed by it; add the recipient to its rule, or ask somebody whom it names
        age1ME
    "#]].assert_eq(&shown("init"));
    sandbox.run(&["encrypt", "--output", "c.yaml", "a.yaml"]).ok();
    // Flags are a choice of its own.
    let flag = format!("encrypt --age {} --output d.yaml a.yaml", others.recipient);
    assert_eq!(shown(&flag), "");
    // Nobody is asked, and nothing run, to find it out: where that would be needed, nothing is said.
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    let plugin = "AGE-PLUGIN-NOSUCH-1QQPZG9QNRNWT7F";
    let own = fs::read_to_string(&keys).expect("readable");
    fs::write(&keys, format!("{own}{plugin}\n")).expect("written");
    assert_eq!(shown("encrypt --output e.yaml a.yaml"), "");
    fs::write(&keys, own).expect("written");
    let asks = Sandbox { vars: sandbox.vars.clone(), ..Sandbox::bare() }
        .with("SOPS_AGE_KEY_CMD", "touch was-run");
    asks.write("a.yaml", "a: 1\n");
    asks.write(".sops.yaml", &rule);
    assert_eq!(end(asks.at_terminal("encrypt --output b.yaml a.yaml")), (String::new(), 0));
    assert!(!asks.path("was-run").exists());
    // One of several is enough.
    let both = format!("{}, {}", others.recipient, sandbox.recipient);
    sandbox.write(".sops.yaml", &rule.replace(&others.recipient, &both));
    assert_eq!(shown("encrypt --output f.yaml a.yaml"), "");
}

#[test]
fn an_editor_that_removes_the_text_changes_nothing() {
    let sandbox = Sandbox::new().with("EDITOR", "rm");
    sandbox.sealed("a.yaml", "a: 1\n");
    let before = sandbox.read("a.yaml");
    check(
        &sandbox,
        &["edit", "a.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: a.yaml: the editor removed the text: nothing was changed
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), before);
    assert_eq!(fs::read_dir(sandbox.path("")).expect("there").count(), 2, "nothing is kept");
}

#[test]
fn a_dash_is_no_file_to_write_plaintext_to() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    check(
        &sandbox,
        &["decrypt", "--output", "-", "a.yaml"],
        &expect![[r#"
        exit 8
        --- stderr
        error: --output -: nothing is written to a file of this name
        hint: leave out --output for standard output, or write ./-
    "#]],
    );
    for words in [&["encrypt", "-o", "-", ".sops.yaml"][..], &["rotate", "-o-", "a.yaml"]] {
        sandbox.run(words).fails(8);
    }
    sandbox.run(&["keygen", "-o", "-"]).fails(8);
    assert!(!sandbox.path("-").exists());
    sandbox.run(&["decrypt", "--output", "./-", "a.yaml"]).ok();
    assert_eq!(sandbox.read("-"), "a: 1\n");
}

#[test]
fn flags_of_sops_and_slips_are_answered_without_false_trails() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.write("-x.yaml", "a: 1\n");
    check_all(
        &sandbox,
        &[
            &["encrypt", "--encryption-context", "a:b", "a.yaml"],
            &["decrypt", "--verbose", "a.yaml"],
            &["decrypt", "--disable-version-check", "a.yaml"],
            &["--check-for-updates", "decrypt", "a.yaml"],
            &["encrypt", "--ignore-mac", "a.yaml"],
            &["decrypt", "-s", "a.yaml"],
            &["-p", "x", "-e", "a.yaml"],
            &["--kms", "x", "-e", "a.yaml"],
            &["keyservice"],
            &["decrypt", "-x.yaml"],
            &["decrypt", "--nonsense", "a.yaml"],
            &["encrypt", "--encrypted-sufix", "x", "a.yaml"],
            &["sett"],
            &["help", "set2"],
            &["decrypt", "--input-type", "xml", "a.yaml"],
            &["completion", "tcsh"],
        ],
        &expect![[r#"
            $ waxseal encrypt --encryption-context a:b a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--encryption-context' found
            hint: sops has it, for KMS keys; waxseal does not: age and SSH keys have no context

            $ waxseal decrypt --verbose a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--verbose' found
            hint: sops has it; waxseal does not: its errors say all that it knows

            $ waxseal decrypt --disable-version-check a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--disable-version-check' found
            hint: sops has it; waxseal does not: it never looks for newer versions

            $ waxseal --check-for-updates decrypt a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--check-for-updates' found
            hint: sops has it; waxseal does not: it never looks for newer versions

            $ waxseal encrypt --ignore-mac a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--ignore-mac' found
            hint: a plaintext has no MAC: leave it out

            $ waxseal decrypt -s a.yaml
            exit 1
            --- stderr
            error: unexpected argument '-s' found
            hint: `waxseal recipients FILE` lists who can open a file

            $ waxseal -p x -e a.yaml
            exit 1
            --- stderr
            error: unexpected argument '-p' found
            hint: keys of this kind (PGP, KMS) are not supported yet: age, SSH and Vault keys are

            $ waxseal --kms x -e a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--kms' found
            hint: keys of this kind (PGP, KMS) are not supported yet: age, SSH and Vault keys are

            $ waxseal keyservice
            exit 1
            --- stderr
            error: unrecognized subcommand 'keyservice'
            hint: sops has it; waxseal does not: it neither serves keys nor asks a service for them

            $ waxseal decrypt -x.yaml
            exit 1
            --- stderr
            error: unexpected argument '-x' found
            hint: a file whose name begins with a dash: ./-x.yaml

            $ waxseal decrypt --nonsense a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--nonsense' found
            hint: `waxseal help decrypt` lists what it takes

            $ waxseal encrypt --encrypted-sufix x a.yaml
            exit 1
            --- stderr
            error: unexpected argument '--encrypted-sufix' found
            hint: did you mean `--encrypted-suffix`?
            hint: `waxseal help encrypt` lists what it takes

            $ waxseal sett
            exit 1
            --- stderr
            error: unrecognized subcommand 'sett'
            hint: did you mean `set`?
            hint: `waxseal help` lists the commands

            $ waxseal help set2
            exit 3
            --- stderr
            error: unrecognized subcommand 'set2'
            hint: did you mean `help set`?
            hint: `waxseal help` lists the commands

            $ waxseal decrypt --input-type xml a.yaml
            exit 1
            --- stderr
            error: invalid value 'xml' for '--input-type <TYPE>': none of yaml, json, toml, dotenv, ini, binary

            $ waxseal completion tcsh
            exit 3
            --- stderr
            error: invalid value 'tcsh' for '<SHELL>' [possible: bash, zsh, fish]

        "#]],
    );
}

#[test]
fn hints_name_what_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "pw: hunter2\n");
    let values = sandbox.read("a.yaml").split("sops:").next().expect("a start").to_owned();
    sandbox.write("cut.yaml", &values);
    let sandbox = sandbox.editor("echo 'sops: 1' >> \"$1\"");
    check_all(
        &sandbox,
        &[
            &["decrypt", "cut.yaml"],
            &["recipients", "cut.yaml"],
            &["recipients", ".sops.yaml"],
            &["decrypt", ".sops.yaml"],
            &["updatekeys", "--yes", ".sops.yaml"],
            &["set", "a.yaml", "[\"sops\"]", "1"],
            &["rotate", "--add-age", "bob", "a.yaml"],
            &["encrypt", "-i"],
        ],
        &expect![[r#"
            $ waxseal decrypt cut.yaml
            exit 1
            --- stderr
            error: cut.yaml: sops metadata not found
            hint: its values are encrypted and the `sops` entry that opens them is gone: take it back from an earlier version, git log -p shows it

            $ waxseal recipients cut.yaml
            exit 1
            --- stderr
            error: cut.yaml: sops metadata not found
            hint: its values are encrypted and the `sops` entry that opens them is gone: take it back from an earlier version, git log -p shows it

            $ waxseal recipients .sops.yaml
            exit 1
            --- stderr
            error: .sops.yaml: sops metadata not found
            hint: it is the configuration, which says who can open which file and is not encrypted

            $ waxseal decrypt .sops.yaml
            exit 1
            --- stderr
            error: .sops.yaml: sops metadata not found
            hint: it is the configuration, which says who can open which file and is not encrypted

            $ waxseal updatekeys --yes .sops.yaml
            exit 1
            --- stderr
            error: .sops.yaml: sops metadata not found
            hint: it is the configuration, which says who can open which file and is not encrypted

            $ waxseal set a.yaml ["sops"] 1
            exit 203
            --- stderr
            error: a.yaml: line 2, column 1: a top-level entry called `sops` cannot be set
            hint: the name is reserved for the metadata: give the entry another one

            $ waxseal rotate --add-age bob a.yaml
            exit 1
            --- stderr
            error: a.yaml: --add-age, age recipient 1: unknown recipient type: an age recipient begins with age1, ssh-ed25519 or ssh-rsa

            $ waxseal encrypt -i
            exit 8
            --- stderr
            error: no file was named that --in-place could replace
            hint: a pattern that matches no file may have left none

        "#]],
    );
    let told = sandbox.run(&["edit", "a.yaml"]).fails(203);
    let hint = told.lines().take(2).collect::<Vec<_>>().join("\n");
    expect![[r#"
        error: a.yaml: line 2, column 1: a top-level entry called `sops` cannot be set
        hint: the name is reserved for the metadata: give the entry another one"#]]
    .assert_eq(&hint);
}

#[test]
fn keys_of_a_rule_that_mean_nothing_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "pw: hunter2\n");
    let me = sandbox.recipient.clone();
    let mut told = String::new();
    for key in ["path", "regex", "filename_regex", "encrypted", "encrypted_keys", "threshold"] {
        sandbox.write(".sops.yaml", &format!("creation_rules:\n  - age: {me}\n    {key}: 1\n"));
        told += &sandbox.run(&["encrypt", "a.yaml"]).fails(1);
    }
    for config in ["rules:\n  - age: x\n", "stores: {}\n"] {
        sandbox.write(".sops.yaml", config);
        told += &sandbox.run(&["encrypt", "a.yaml"]).fails(1);
    }
    expect![[r#"
        error: .sops.yaml: line 3, column 5: a creation rule has no key `path`: did you mean `path_regex`?
        error: .sops.yaml: line 3, column 5: a creation rule has no key `regex`: did you mean `path_regex` or `unencrypted_regex` or `encrypted_regex` or `unencrypted_comment_regex` or `encrypted_comment_regex`?
        error: .sops.yaml: line 3, column 5: a creation rule has no key `filename_regex`: did you mean `path_regex` or `unencrypted_regex` or `encrypted_regex` or `unencrypted_comment_regex` or `encrypted_comment_regex`?
        error: .sops.yaml: line 3, column 5: a creation rule has no key `encrypted`: did you mean `encrypted_suffix` or `encrypted_regex` or `encrypted_comment_regex` or `mac_only_encrypted`?
        error: .sops.yaml: line 3, column 5: a creation rule has no key `encrypted_keys`: did you mean `encrypted_suffix` or `encrypted_regex` or `encrypted_comment_regex` or `mac_only_encrypted`?
        error: .sops.yaml: line 3, column 5: a creation rule has no key `threshold`: did you mean `shamir_threshold`?
        error: .sops.yaml: line 1, column 1: the configuration has no key `rules`: did you mean `creation_rules` or `destination_rules`?
        error: a.yaml: config file not found, or has no creation rules, and no keys provided through command line options
        hint: .sops.yaml was found, and has no `creation_rules:`, a list of rules that name recipients
    "#]].assert_eq(&told);
    for key in ["x-path", "owner", "comment", "recipients", "note_on_age"] {
        sandbox.write(".sops.yaml", &format!("creation_rules:\n  - age: {me}\n    {key}: 1\n"));
        sandbox.run(&["encrypt", "--output", "b.yaml", "a.yaml"]).ok();
    }
}

#[test]
fn what_is_missing_on_the_machine_is_named() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    check(
        &sandbox,
        &["verify", "--since", "origin/main", "a.yaml"],
        &expect![[r#"
            exit 1
            --- stdout
            a.yaml: sealed; not compared with origin/main
            --- stderr
            error: a.yaml: git knows no commit origin/main here
            hint: a branch of another repository is there after `git fetch origin BRANCH`; CI often fetches one commit alone
        "#]],
    );
    let program = format!("env -u HOME {} decrypt a.yaml", env!("CARGO_BIN_EXE_waxseal"));
    let run = sandbox.start("sh", &["-c", &program], "");
    expect![[r#"
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            HOME: not set: no file of yours can be looked for
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`
    "#]].assert_eq(&sandbox.transcript(&run));
}

#[test]
fn an_interrupted_edit_says_so() {
    let sandbox = Sandbox::new().editor("kill -TERM $PPID; sleep 5");
    sandbox.sealed("a.yaml", "a: 1\n");
    let before = sandbox.read("a.yaml");
    check(
        &sandbox,
        &["edit", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        a.yaml: interrupted: the text is gone, nothing was changed
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), before);
}

/// The block of docs/recipes.md that CI is to run, as it stands there.
fn block_for_ci() -> String {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md");
    let page = fs::read_to_string(page).expect("a page");
    let lines = page.lines().skip_while(|line| *line != "    git fetch origin main");
    let block: Vec<_> = lines.take_while(|line| line.starts_with("    ")).collect();
    assert_eq!(block.len(), 4, "{block:?}");
    block.join("\n")
}

#[test]
fn the_check_for_ci_cannot_be_slipped_past() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_waxseal")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("a path");
    let sandbox = Sandbox::new()
        .with("PATH", &format!("{}:{path}", program.display()))
        .with("GIT_CONFIG_GLOBAL", "/dev/null");
    let sh = |script: &str| sandbox.start("bash", &["-ec", script], "");
    let (odd, gone) = ("a b/für *.yml", "gone.yaml");
    for name in ["c.yaml", gone] {
        sandbox.sealed(name, "pw: hunter2\n");
    }
    sandbox.write(odd, "pw: \"hunter2\"\nport: \"1\"\n");
    sandbox.run(&["encrypt", "-i", odd]).ok();
    sandbox.write("plain.yaml", "pw: ENC[no\n");
    let commit = "git -c user.name=A -c user.email=a@b commit --quiet --all --message x";
    let made =
        sh(&format!("git init --quiet -b main; git remote add origin .; git add .; {commit}"));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    sh(&format!("git checkout --quiet -b pull; git rm --quiet {gone}; {commit}")).ok();
    let script = format!("set -o pipefail\n{}", block_for_ci());
    let seen = sh(&script);
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    assert_eq!(seen.stdout, "a b/für *.yml: sealed\nc.yaml: sealed\n");
    // A value less, and no `ENC[` by which the file would be found.
    let forged = sandbox.read(odd).replace("ENC[AES256_GCM", "ENC\\u005bAES256_GCM");
    let lines = forged.split_inclusive('\n').filter(|line| !line.starts_with("port:"));
    let lines = lines.map(|line| match line.split_once("mac: ") {
        Some((indent, mac)) => format!("{indent}mac: \"{}\"\n", mac.trim_end().trim_matches('"')),
        None => line.to_owned(),
    });
    sandbox.write(odd, &lines.collect::<String>());
    assert!(!sandbox.read(odd).contains("ENC["));
    assert_eq!(sandbox.run(&["verify", odd]).code, Some(51));
    sh(commit).ok();
    let seen = sh(&script);
    assert_ne!(seen.code, Some(0), "{}", seen.stdout);
    assert!(seen.stdout.contains("a b/für *.yml: broken\n"), "{}", seen.stdout);
}

/// `-h` behind a value would print the help and succeed.
#[test]
fn a_value_that_begins_like_a_flag_for_help_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: one\n");
    for word in ["-hunter2", "-V2"] {
        let stderr = sandbox.run(&["set", "a.yaml", "[\"a\"]", word]).fails(1);
        assert!(!stderr.contains("unter2"), "{stderr}");
    }
    assert!(sandbox.run(&["set", "-h"]).ok().contains("Usage"));
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
}

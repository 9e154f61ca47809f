//! Slips that people make: what is refused, and what the message says to do about it.

use expect_test::expect;

use super::{Sandbox, check};

#[test]
fn a_template_is_not_taken_for_a_map() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "kind: Secret\ndata:\n  pw: {{ .Values.pw | quote }}\n");
    check(
        &sandbox,
        &["encrypt", "-i", "a.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: a.yaml: line 3, column 8: `{{ … }}` is a template; YAML reads a map in its place, and nothing in it would be sealed
        hint: seal what fills the template in, such as a chart's values, not the template; braces that are meant as text need quotes
    "#]],
    );
    assert!(sandbox.read("a.yaml").starts_with("kind: Secret\n"));
    sandbox.write("b.yaml", "{{- if .Values.on }}\na: 1\n{{- end }}\n");
    check(
        &sandbox,
        &["encrypt", "b.yaml"],
        &expect![[r#"
        exit 2
        --- stderr
        error: b.yaml: line 1, column 3: a list item with a dash inside of brackets
        hint: seal what fills the template in, such as a chart's values, not the template; braces that are meant as text need quotes
    "#]],
    );
    // What is a text, a map with values or a list is none.
    for plain in ["a: \"{{ .x }}\"\n", "a: {{b: 1}: 2}\n", "a: '{{'\nb: [{c: }]\n"] {
        sandbox.write("c.yaml", plain);
        assert_eq!(sandbox.run(&["encrypt", "c.yaml"]).code, Some(0), "{plain}");
    }
}

#[test]
fn values_whose_metadata_is_gone_are_not_encrypted_once_more() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "# mine\npw: hunter2\n");
    let values = sandbox.read("a.yaml").split("sops:").next().expect("a start").to_owned();
    sandbox.write("a.yaml", &values);
    check(
        &sandbox,
        &["encrypt", "-i", "a.yaml"],
        &expect![[r#"
        exit 203
        --- stderr
        error: a.yaml: line 1, column 1: a comment is encrypted already, and the `sops` entry that opens it is not there
        hint: take the entry back from an earlier version: git log -p shows it
        hint: --allow-encrypted seals what is encrypted once more, as a text
    "#]],
    );
    assert_eq!(sandbox.read("a.yaml"), values);
    sandbox.write("b.yaml", values.lines().nth(1).expect("a value"));
    check(
        &sandbox,
        &["encrypt", "-i", "b.yaml"],
        &expect![[r#"
        exit 203
        --- stderr
        error: b.yaml: line 1, column 5: ["pw"] is encrypted already, and the `sops` entry that opens it is not there
        hint: take the entry back from an earlier version: git log -p shows it
        hint: --allow-encrypted seals what is encrypted once more, as a text
    "#]],
    );
    sandbox.run(&["encrypt", "-i", "--allow-encrypted", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), values);
}

#[test]
fn a_misspelt_key_of_the_configuration_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "pw: hunter2\n");
    let me = sandbox.recipient.clone();
    for (config, expected) in [
        (
            format!("creation_rules:\n  - age: {me}\n    encypted_regex: ^pw$\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: .sops.yaml: line 3, column 5: a creation rule has no key `encypted_regex`: did you mean `encrypted_regex`?
        "#]],
        ),
        (
            format!("creation_rules:\n  - path-regex: b\n    age: {me}\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: .sops.yaml: line 2, column 5: a creation rule has no key `path-regex`: did you mean `path_regex`?
        "#]],
        ),
        (
            format!("creation_rule:\n  - age: {me}\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: .sops.yaml: line 1, column 1: the configuration has no key `creation_rule`: did you mean `creation_rules`?
        "#]],
        ),
        (
            format!("creation_rules:\n  - key_groups: [{{ages: [{me}]}}]\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: .sops.yaml: line 2, column 19: a key group has no key `ages`: did you mean `age`?
        "#]],
        ),
    ] {
        sandbox.write(".sops.yaml", &config);
        check(&sandbox, &["encrypt", "-i", "a.yaml"], &expected);
        assert_eq!(sandbox.read("a.yaml"), "pw: hunter2\n");
    }
    let config = format!("x-note: 1\ncreation_rules:\n  - age: {me}\n    owner: Ann\n");
    sandbox.write(".sops.yaml", &config);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
}

#[test]
fn words_of_sops_are_answered_with_those_of_waxseal() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    for (words, expected) in [
        (
            &["-d", "a.yaml"][..],
            expect![[r#"
            exit 1
            --- stderr
            error: unexpected argument '-d' found
            hint: `waxseal decrypt FILE`
        "#]],
        ),
        (
            &["--encrypt", "--in-place", "a.yaml"],
            expect![[r#"
            exit 1
            --- stderr
            error: unexpected argument '--encrypt' found
            hint: `waxseal encrypt --in-place FILE`
        "#]],
        ),
        (
            &["a.yaml"],
            expect![[r#"
            exit 1
            --- stderr
            error: unrecognized subcommand 'a.yaml'
            hint: `waxseal edit a.yaml` opens it in your editor
        "#]],
        ),
        (
            &["exec-env", "a.yaml", "true"],
            expect![[r#"
            exit 1
            --- stderr
            error: unrecognized subcommand 'exec-env'
            hint: not part of waxseal yet; `sops exec-env` works on the same YAML and JSON files
        "#]],
        ),
        (
            &["filestatus", "a.yaml"],
            expect![[r#"
            exit 1
            --- stderr
            error: unrecognized subcommand 'filestatus'
            hint: `waxseal verify FILE` says what a file proves, and fails if it is not encrypted
        "#]],
        ),
        (
            &["decrypt", "-d", "a.yaml"],
            expect![[r#"
            exit 1
            --- stderr
            error: unexpected argument '-d' found
            hint: the command says so already: leave it out
        "#]],
        ),
        (
            &["encrypt", "--pgp", "AB", "a.yaml"],
            expect![[r#"
                exit 1
                --- stderr
                error: unexpected argument '--pgp' found
                hint: keys of this kind (PGP, KMS) are not supported yet: age, SSH and Vault keys are
            "#]],
        ),
        (
            &["updatekeys", "-i", "a.yaml"],
            expect![[r#"
            exit 1
            --- stderr
            error: unexpected argument '-i' found
            hint: the command always writes in place: leave it out
        "#]],
        ),
    ] {
        check(&sandbox, words, &expected);
    }
    for words in [&["help", "nosuch"][..], &["completion", "tcsh"]] {
        assert!(sandbox.run(words).fails(3).starts_with("error: "), "{words:?}");
    }
}

#[test]
fn what_is_named_is_no_file() {
    let sandbox = Sandbox::new();
    check(
        &sandbox,
        &["decrypt", "-"],
        &expect![[r#"
        exit 100
        --- stderr
        error: -: no such file
        hint: `-` is a name like any other: `decrypt` and `encrypt` read standard input where no file is named
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "-i", "."],
        &expect![[r#"
        exit 2
        --- stderr
        error: .: is a directory
        hint: name the files in it: `git ls-files '*.yaml'` lists those of a repository
    "#]],
    );
    check(
        &sandbox,
        &["decrypt"],
        &expect![[r#"
        exit 1
        --- stderr
        error: standard input: nothing says what it is, and binary data is not supported yet
        hint: say --input-type yaml, json or toml
    "#]],
    );
    // Who says that it is binary is answered as for a file.
    let run = sandbox.run(&["decrypt", "--input-type", "binary"]);
    assert!(run.fails(1).contains("binary files are not supported yet"));
}

#[test]
fn what_an_alias_needs_is_not_unset() {
    let sandbox = Sandbox::new();
    let plain = "a: &x\n  b: &y 1\nc: *x\nd: [*y, 2]\ne: 3\n";
    sandbox.sealed("a.yaml", plain);
    check(
        &sandbox,
        &["unset", "a.yaml", "[\"a\"]"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: ["a"] cannot go: the alias at line 3, column 4 (["c"]) stands for a part of it; set or unset that first
    "#]],
    );
    check(
        &sandbox,
        &["unset", "a.yaml", "[\"a\"][\"b\"]"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: ["a"]["b"] cannot go: the alias at line 4, column 5 (["d"][0]) stands for a part of it; set or unset that first
    "#]],
    );
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), plain);
    for path in ["[\"e\"]", "[\"d\"][0]", "[\"c\"]", "[\"a\"]"] {
        sandbox.run(&["unset", "a.yaml", path]).ok();
    }
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "d: [2]\n");
}

#[test]
fn what_others_let_pass_for_json_is_named() {
    let sandbox = Sandbox::new();
    for (text, expected) in [
        (
            "{\n  // mine\n  \"a\": 1\n}\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 2, column 3: a comment, which JSON does not have
            hint: JSON has neither comments nor commas at the end: remove them all
        "#]],
        ),
        (
            "{\"a\": 1, /* mine */ \"b\": 2}\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 1, column 10: a comment, which JSON does not have
            hint: JSON has neither comments nor commas at the end: remove them all
        "#]],
        ),
        (
            "{\"a\": 1 // mine\n}\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 1, column 9: a comment, which JSON does not have
            hint: JSON has neither comments nor commas at the end: remove them all
        "#]],
        ),
        (
            "# mine\n{}\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 1, column 1: a comment, which JSON does not have
            hint: JSON has neither comments nor commas at the end: remove them all
        "#]],
        ),
        (
            "{\"a\": 1,\n}\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 2, column 1: a comma before the closing bracket, which JSON does not have
            hint: JSON has neither comments nor commas at the end: remove them all
        "#]],
        ),
        (
            "[1, 2,]\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 1, column 7: a comma before the closing bracket, which JSON does not have
            hint: JSON has neither comments nor commas at the end: remove them all
        "#]],
        ),
        (
            "{'a': 1}\n",
            expect![[r#"
            exit 2
            --- stderr
            error: a.json: line 1, column 2: single quotes, where JSON has double quotes
        "#]],
        ),
    ] {
        sandbox.write("a.json", text);
        check(&sandbox, &["encrypt", "a.json"], &expected);
    }
}

#[test]
fn a_rule_that_helps_nobody_says_which_and_what_to_write() {
    let sandbox = Sandbox::new();
    sandbox.write("sub/a.yaml", "a: 1\n");
    let me = sandbox.recipient.clone();
    for (config, expected) in [
        (
            "creation_rules:\n  - encrypted_regex: ^a$\n".to_owned(),
            expect![[r#"
                exit 1
                --- stderr
                error: sub/a.yaml: the rule at line 2 of .sops.yaml names nobody who could open the file
                hint: give it a line `age:` with recipients (age1…; `waxseal init` prints yours), or `hc_vault_transit_uri:` with the URL of a transit key
            "#]],
        ),
        (
            "creation_rules:\n  - recipients: [x]\n    age:\n".to_owned(),
            expect![[r#"
                exit 1
                --- stderr
                error: sub/a.yaml: the rule at line 2 of .sops.yaml names nobody who could open the file
                hint: give it a line `age:` with recipients (age1…; `waxseal init` prints yours), or `hc_vault_transit_uri:` with the URL of a transit key
            "#]],
        ),
        (
            format!("creation_rules:\n  - path_regex: ^a\n    age: {me}\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: sub/a.yaml: no matching creation rules found in .sops.yaml
            hint: add a rule whose path_regex matches "sub/a.yaml", or one without path_regex at the end
        "#]],
        ),
        (
            format!("creation_rules:\n  - age: {me} {me}\n"),
            expect![[r#"
            exit 1
            --- stderr
            error: sub/a.yaml: the rule at line 2 of .sops.yaml, age recipient 1: not a valid age recipient: there is a space in it; several recipients stand in a list, or with commas between them
        "#]],
        ),
    ] {
        sandbox.write(".sops.yaml", &config);
        check(&sandbox, &["encrypt", "sub/a.yaml"], &expected);
    }
}

#[test]
fn a_recipient_is_no_identity() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    let me = sandbox.recipient.clone();
    let sandbox = sandbox.with("SOPS_AGE_KEY", &me).with("XDG_CONFIG_HOME", "/nowhere");
    check(
        &sandbox,
        &["decrypt", "a.yaml"],
        &expect![[r#"
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1ME  no identity for this recipient
          looked for identities in:
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY: line 1: a recipient, where an identity (AGE-SECRET-KEY-1…) is needed
            /nowhere/sops/age/keys.txt: not there
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`
    "#]],
    );
}

#[test]
fn key_paths_are_shown_as_a_shell_takes_them() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    check(
        &sandbox,
        &["set", "a.yaml", "a", "2"],
        &expect![[r#"
        exit 7
        --- stderr
        error: the last word but one, taken for the key path: a piece of the path does not end with ']'; write ["key"][0]
        hint: in single quotes for the shell: '["key"][0]'
    "#]],
    );
    check(
        &sandbox,
        &["set", "a.yaml", "[a]", "2"],
        &expect![[r#"
        exit 7
        --- stderr
        error: the last word but one, taken for the key path: a piece of the path is neither a quoted key nor a number; write ["key"][0]
        hint: in single quotes for the shell: '["key"][0]'
    "#]],
    );
    check(
        &sandbox,
        &["decrypt", "--extract", ".a", "a.yaml"],
        &expect![[r#"
        exit 91
        --- stderr
        error: error parsing --extract path: a piece of the path does not end with ']'; write ["key"][0]
        hint: in single quotes for the shell: '["key"][0]'
    "#]],
    );
    check(
        &sandbox,
        &["set", "a.yaml", "[\"a\"]", "two"],
        &expect![[r#"
        exit 7
        --- stderr
        error: the value is not JSON: line 1, column 1: expected a JSON value
        hint: a string needs its quotes: '"text"'; --value-text takes it without
    "#]],
    );
}

#[test]
fn a_conflict_is_named_wherever_it_is_met() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\nb: 2\n");
    let sealed = sandbox.read("a.yaml");
    let line = sealed.lines().next().expect("a line");
    let both = format!("<<<<<<< HEAD\n{line}\n=======\n{line}\n>>>>>>> other\n");
    sandbox.write("a.yaml", &sealed.replacen(line, both.trim_end(), 1));
    for words in [&["decrypt"][..], &["verify"], &["recipients"], &["encrypt", "-i"]] {
        let words = [words, &["a.yaml"]].concat();
        let run = sandbox.run(&words);
        assert!(run.stderr.contains("a merge left its marks in the file"), "{}", run.stderr);
    }
}

#[test]
fn a_value_that_was_typed_into_the_sealed_file_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\nb: 2\n");
    let sealed = sandbox.read("a.yaml");
    let line = sealed.lines().next().expect("a line");
    sandbox.write("b.yaml", &sealed.replace(line, "a: 5"));
    check(
        &sandbox,
        &["decrypt", "b.yaml"],
        &expect![[r#"
        exit 25
        --- stderr
        error: b.yaml: line 1, column 4: ["a"] should be encrypted and is not
        hint: if you typed it into the encrypted file: take the line back, then `waxseal set`
        hint: compare it with an earlier version: git log -p shows who changed what
    "#]],
    );
    sandbox.write("c.yaml", &sealed.replacen("a: ", "c: ", 1));
    check(
        &sandbox,
        &["decrypt", "c.yaml"],
        &expect![[r#"
        exit 25
        --- stderr
        error: c.yaml: line 1, column 4: cannot decrypt ["c"]: the encrypted value cannot be decrypted: it was sealed with another key, stood at another place, or was changed
        hint: take the line back from a version that opens, then `waxseal set` or `edit`
        hint: compare it with an earlier version: git log -p shows who changed what
    "#]],
    );
    sandbox.write("d.yaml", &sealed.replacen(&format!("{line}\n"), "", 1));
    check(
        &sandbox,
        &["decrypt", "d.yaml"],
        &expect![[r#"
        exit 51
        --- stderr
        error: d.yaml: the MAC does not match: values were added, removed, reordered or changed without the key
        hint: compare it with an earlier version: git log -p shows who changed what
        hint: if the change was meant, or a merge of two branches brought it, `waxseal reseal` vouches for the file after a review
    "#]],
    );
}

#[test]
fn a_file_that_the_shell_emptied_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "");
    check(
        &sandbox,
        &["decrypt", "a.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: sops metadata not found
        hint: the file is empty: a shell that sends output into the file that is read empties it first; --in-place replaces it
    "#]],
    );
    check(
        &sandbox,
        &["encrypt", "a.yaml"],
        &expect![[r#"
        exit 92
        --- stderr
        error: a.yaml: there is nothing to encrypt: the file holds no document
        hint: the file is empty: a shell that sends output into the file that is read empties it first; --in-place replaces it
    "#]],
    );
    sandbox.write("a.json", "");
    check(
        &sandbox,
        &["encrypt", "a.json"],
        &expect![[r#"
        exit 2
        --- stderr
        error: a.json: line 1, column 1: expected a JSON value, but the text ends
        hint: the file is empty: a shell that sends output into the file that is read empties it first; --in-place replaces it
    "#]],
    );
}

#[test]
fn the_configuration_is_not_encrypted() {
    let sandbox = Sandbox::new();
    let config = sandbox.read(".sops.yaml");
    check(
        &sandbox,
        &["encrypt", "-i", ".sops.yaml"],
        &expect![[r#"
        exit 1
        --- stderr
        error: .sops.yaml: the configuration itself is not encrypted: it says who can open which file
        hint: recipients (age1…) are no secret; an identity, if one stands in it, has to go
    "#]],
    );
    assert_eq!(sandbox.read(".sops.yaml"), config);
}

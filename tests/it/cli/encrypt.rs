//! `encrypt`: by which rule, over which version.

use expect_test::expect;

use super::{Sandbox, tokens};

#[test]
fn every_format_comes_back_to_the_byte() {
    let sandbox = Sandbox::new();
    for (name, plain) in [
        ("a.yaml", "# c\r\na: 'x'\r\nb:   [1, 1.10]\r\n"),
        ("a.json", "{\"a\": \"x\",\n  \"b\" : [1, 1.10]}"),
        ("a.toml", "# c\na = 'x'\n[b]\nc = 0x1F # d\n"),
    ] {
        sandbox.sealed(name, plain);
        assert!(!sandbox.read(name).contains("'x'"), "{name}");
        assert_eq!(sandbox.run(&["decrypt", name]).ok(), plain);
        assert_eq!(sandbox.run(&["verify", name]).ok(), format!("{name}: sealed\n"));
    }
}

#[test]
fn standard_input_needs_a_name() {
    let sandbox = Sandbox::new();
    sandbox.run_with(&["encrypt"], "a: 1\n").fails(8);
    let named = &["encrypt", "--filename-override", "a.yaml"];
    let sealed = sandbox.run_with(named, "a: 1\n").ok();
    sandbox.write("b.yaml", &sealed);
    assert_eq!(sandbox.run(&["decrypt", "b.yaml"]).ok(), "a: 1\n");
}

#[test]
fn what_did_not_change_keeps_its_ciphertext() {
    let sandbox = Sandbox::new();
    sandbox.sealed("old.yaml", "a: one\nb: two\n");
    let old = sandbox.read("old.yaml");

    // The same again: not a byte.
    sandbox.write("plain.yaml", "a: one\nb: two\n");
    sandbox.run(&["encrypt", "--output", "old.yaml", "plain.yaml"]).ok();
    assert_eq!(sandbox.read("old.yaml"), old);

    sandbox.write("plain.yaml", "a: one\nb: three\n");
    sandbox.run(&["encrypt", "-i", "--like", "old.yaml", "plain.yaml"]).ok();
    let new = sandbox.read("plain.yaml");
    assert_eq!(tokens(&new)[0], tokens(&old)[0]);
    assert_ne!(tokens(&new)[1], tokens(&old)[1]);
    assert_eq!(sandbox.run(&["verify", "plain.yaml"]).ok(), "plain.yaml: sealed\n");

    // Other recipients: nothing of the old one is used.
    let other = sandbox.run(&["keygen", "-o", "other.txt"]).ok();
    let both = format!("{},{}", sandbox.recipient, other.trim());
    sandbox.write("plain.yaml", "a: one\nb: two\n");
    sandbox.run(&["encrypt", "--age", &both, "--output", "old.yaml", "plain.yaml"]).ok();
    assert_ne!(tokens(&sandbox.read("old.yaml"))[0], tokens(&old)[0]);
}

#[test]
fn an_unsealed_version_is_not_gone_on_from() {
    let sandbox = Sandbox::new();
    sandbox.sealed("old.yaml", "# c\na: one\nz_unencrypted: 1 # d\n");
    let old = sandbox.read("old.yaml").replace(" # d", "  # d");
    let old = if old == sandbox.read("old.yaml") { old.replace("a: ", "a:  ") } else { old };
    sandbox.write("old.yaml", &old);
    assert_eq!(sandbox.run(&["verify", "old.yaml"]).code, Some(53));
    sandbox.write("plain.yaml", "# c\na: one\nz_unencrypted: 1 # d\n");
    sandbox.run(&["encrypt", "--output", "old.yaml", "plain.yaml"]).ok();
    assert_ne!(tokens(&sandbox.read("old.yaml"))[0], tokens(&old)[0]);
    assert_eq!(sandbox.run(&["verify", "old.yaml"]).ok(), "old.yaml: sealed\n");
}

#[test]
fn a_rule_that_seals_nothing_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: hunter2\nb: 2\n");
    let words = ["encrypt", "-i", "--encrypted-regex", "^password$", "a.yaml"];
    let run = sandbox.run(&words);
    expect![[r#"
        exit 1
        --- stderr
        error: a.yaml: the rule seals none of the 2 values (encrypted_regex: ^password$); nothing was written
        hint: --allow-nothing writes the file all the same
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("a.yaml"), "a: hunter2\nb: 2\n");
    sandbox.run(&[&words[..], &["--allow-nothing"]].concat()).ok();
    assert!(sandbox.read("a.yaml").contains("hunter2"));
    sandbox.write("e.yaml", "a: null\nb: ''\n");
    sandbox.run(&["encrypt", "-i", "e.yaml"]).ok();
}

#[test]
fn rules_and_flags() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "password: x\nuser: y\n");
    let rule = format!(
        "creation_rules:\n  - path_regex: ^s/\n    age: {0}\n    encrypted_regex: pass\n  \
         - path_regex: a.yaml$\n    age: {0}\n    encrypted_suffix: word\n",
        sandbox.recipient
    );
    sandbox.write(".sops.yaml", &rule);
    let sealed = sandbox.run(&["encrypt", "a.yaml"]).ok();
    assert!(sealed.contains("user: y") && sealed.contains("encrypted_suffix: word"));
    let named = sandbox.run(&["encrypt", "--filename-override", "s/x.yaml", "a.yaml"]).ok();
    assert!(named.contains("encrypted_regex: pass"));
    sandbox.run(&["encrypt", "--encrypted-regex", "x", "a.yaml"]).fails(8);
    sandbox
        .run(&["encrypt", "--encrypted-regex", "(", "--filename-override", "s/x", "a.yaml"])
        .fails(1);
    // A rule is looked up even if keys are named.
    sandbox.write("b.yaml", "a: 1\n");
    let run = sandbox.run(&["encrypt", "--age", &sandbox.recipient, "b.yaml"]);
    expect![[r#"
        exit 1
        --- stderr
        error: b.yaml: no matching creation rules found in .sops.yaml
        hint: add a rule whose path_regex matches "b.yaml", or one without path_regex at the end
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    let words = ["encrypt", "--config", "/dev/null", "--age", &sandbox.recipient, "b.yaml"];
    sandbox.run(&words).ok();
}

#[test]
fn conversions_seal_the_target_s_canonical_form() {
    let sandbox = Sandbox::new();
    sandbox.write("a.json", "{\"a\": \"one\", \"list\": [1, 2.50]}\n");
    sandbox.run(&["encrypt", "--output-type", "yaml", "--output", "a.yaml", "a.json"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\nlist:\n    - 1\n    - 2.5\n");
}

#[test]
fn what_looks_like_a_token_is_no_sealed_value() {
    let sandbox = Sandbox::new();
    let rule = format!(
        "creation_rules:\n    - age: {}\n      encrypted_regex: ^none$\n",
        sandbox.recipient
    );
    sandbox.write(".sops.yaml", &rule);
    let plain = "# a sealed value looks like ENC[AES256_GCM,data:...]\npassword: hunter2\n";
    sandbox.write("a.yaml", plain);
    let stderr = sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1);
    assert!(!stderr.contains("hunter2"), "{stderr}");
    assert_eq!(sandbox.read("a.yaml"), plain);
}

//! `set` and `unset`.

use expect_test::expect;

use super::peers::sops;
use super::{Sandbox, tokens};

#[test]
fn one_value_changes_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "# top\na: 'one' # c\nb: [1, 2]\n");
    let before = sandbox.read("a.yaml");
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "\"two\""]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "# top\na: 'two' # c\nb: [1, 2]\n");
    let after = sandbox.read("a.yaml");
    let changed = tokens(&before).iter().zip(tokens(&after)).filter(|(a, b)| **a != *b).count();
    assert_eq!(changed, 2, "the value and the MAC");
    sandbox.run(&["set", "a.yaml", "[\"b\"][2]", "3"]).ok();
    sandbox.run(&["set", "a.yaml", "[\"new\"][\"deep\"]", "{\"x\": true, \"b\": null}"]).ok();
    sandbox.run(&["unset", "a.yaml", "[\"b\"][0]"]).ok();
    let json = sandbox.run(&["decrypt", "--output-type", "json", "a.yaml"]).ok();
    let tight: String = json.split_whitespace().collect();
    assert_eq!(tight, "{\"a\":\"two\",\"b\":[2,3],\"new\":{\"deep\":{\"x\":true,\"b\":null}}}");
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
}

#[test]
fn many_files_take_the_same_value() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.sealed("b.json", "{\"a\": 1}\n");
    sandbox.run(&["set", "a.yaml", "b.json", "[\"a\"]", "-7"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: -7\n");
    assert_eq!(sandbox.run(&["decrypt", "b.json"]).ok(), "{\"a\": -7}\n");
    sandbox.run(&["unset", "a.yaml", "b.json", "[\"a\"]", "--idempotent"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "b.json"]).ok(), "{}\n");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "{}\n");
}

#[test]
fn values_come_from_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.run_with(&["set", "--value-stdin", "a.yaml", "[\"a\"]"], "\"hunter2\"\n").ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: hunter2\n");
    sandbox.write("v.json", " 5 \n");
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "v.json", "--value-file"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: 5\n");
}

#[test]
fn a_text_is_taken_as_it_stands() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    let extract =
        |sandbox: &Sandbox| sandbox.run(&["decrypt", "--extract", "[\"a\"]", "a.yaml"]).ok();
    for value in ["5", "true", "\"quoted\"", "{\"a\"", "two words", " x ", ""] {
        sandbox.run(&["set", "--value-text", "a.yaml", "[\"a\"]", value]).ok();
        assert_eq!(extract(&sandbox), value);
        assert!(sandbox.read("a.yaml").contains(",type:str]") || value.is_empty());
    }
    let stdin = ["set", "--value-stdin", "--value-text", "a.yaml", "[\"a\"]"];
    // One line is meant without its end; a text of several is meant as it is.
    for (given, value) in [
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("hunter2", "hunter2"),
        ("-----\nx\n-----\n", "-----\nx\n-----\n"),
        ("\n\n", "\n\n"),
    ] {
        sandbox.run_with(&stdin, given).ok();
        assert_eq!(extract(&sandbox), value, "{given:?}");
    }
    sandbox.write("v.txt", "from a file\n");
    sandbox.run(&["set", "--value-file", "--value-text", "a.yaml", "[\"a\"]", "v.txt"]).ok();
    assert_eq!(extract(&sandbox), "from a file");
}

#[test]
fn idempotent_leaves_the_file_alone() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 5\nb:\n  - x\n");
    let before = sandbox.read("a.yaml");
    sandbox.run(&["set", "--idempotent", "a.yaml", "[\"a\"]", "5"]).ok();
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "5"]).ok();
    sandbox.run(&["unset", "--idempotent", "a.yaml", "[\"c\"]"]).ok();
    sandbox.run(&["unset", "--idempotent", "a.yaml", "[\"b\"][4]"]).ok();
    assert_eq!(sandbox.read("a.yaml"), before);
    sandbox.run(&["unset", "a.yaml", "[\"c\"]"]).fails(1);
    sandbox.run(&["unset", "--idempotent", "a.yaml", "[\"a\"][\"x\"]"]).fails(1);
    assert_eq!(sandbox.read("a.yaml"), before);
}

#[test]
fn codes_of_what_cannot_be_set() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 5\nm:\n  k: v\n");
    let before = sandbox.read("a.yaml");
    for (words, code) in [
        (&["set", "a.yaml", "[\"a\"]"][..], 100),
        (&["set", "a.yaml", "a", "1"], 7),
        (&["set", "a.yaml", "", "1"], 7),
        (&["set", "a.yaml", "[\"m\"][0]", "1"], 7),
        (&["set", "a.yaml", "[\"a\"]", "hunter2"], 7),
        (&["set", "a.yaml", "[\"a\"]", ""], 7),
        (&["set", "a.yaml", "[\"sops\"]", "1"], 203),
        (&["set", "--value-file", "--value-stdin", "a.yaml", "[\"a\"]"], 1),
        (&["set", "--value-file", "a.yaml", "[\"a\"]", "nowhere"], 1),
        (&["set", "missing.yaml", "[\"a\"]", "1"], 2),
        (&["unset", "a.yaml"], 100),
        (&["unset", "missing.yaml", "[\"a\"]"], 2),
    ] {
        let stderr = sandbox.run(words).fails(code);
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
    assert_eq!(sandbox.read("a.yaml"), before);
}

/// Under `mac_only_encrypted` the verdict is about values alone: it is no reason here.
#[test]
fn a_new_value_in_the_open_needs_comments_that_somebody_vouches_for() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "# seal this\na: 1\n# other\nb: 2\n");
    let rule = ["--encrypted-comment-regex", "seal this", "--mac-only-encrypted"];
    sandbox.run(&[&["encrypt", "-i"], &rule[..], &["a.yaml"]].concat()).ok();
    sandbox.write("a.yaml", &sandbox.read("a.yaml").replace("# other", "# another"));
    let run = sandbox.run(&["set", "a.yaml", "[\"c\"]", "\"new\""]);
    expect![[r#"
        exit 53
        --- stderr
        error: a.yaml: ["c"] would stay in the open, which a comment decides, and comments, quoting or spacing were changed without the key
        hint: review the file (`waxseal reseal --show` prints it), then `waxseal reseal` vouches for it
    "#]]
    .assert_eq(&sandbox.transcript(&run));
}

/// The metadata changes with every value, wherever it stands.
#[test]
fn in_a_list_as_root_a_sealed_place_stays_one() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "# seal this\n- a\n# other\n- b\n");
    let rule = ["--encrypted-comment-regex", "seal this"];
    sandbox.run(&[&["encrypt", "-i"], &rule[..], &["a.yaml"]].concat()).ok();
    sandbox.write("a.yaml", &sandbox.read("a.yaml").replace("# other", "# another"));
    sandbox.run(&["set", "a.yaml", "[0]", "\"new\""]).ok();
    let plain = sandbox.run(&["decrypt", "a.yaml"]).ok();
    assert_eq!(plain, "# seal this\n- new\n# another\n- b\n");
}

/// A file that sops sealed by this regex, in a repository whose rule names that one.
fn by_sops(named: &str, regex: &str) -> Option<Sandbox> {
    let sandbox = Sandbox::new();
    let config = sandbox.read(".sops.yaml");
    let with = |regex: &str| format!("{config}      encrypted_regex: {regex}\n");
    sandbox.write(".sops.yaml", &with(regex));
    sandbox.write("a.yaml", "password: hunter2\nport: 1\nhosts: [one]\nfree: null\n");
    sops(&sandbox, &["encrypt", "-i", "a.yaml"])?.ok();
    sandbox.write(".sops.yaml", &if named.is_empty() { config.clone() } else { with(named) });
    Some(sandbox)
}

#[test]
fn a_rule_that_somebody_planted_leaves_no_new_value_in_the_open() {
    let Some(sandbox) = by_sops("^(password|token)$", "^(password|token)$") else { return };
    let planted = sandbox.read("a.yaml").replace("^(password|token)$", "^password$");
    sandbox.write("a.yaml", &planted);
    let refused = |words: &[&str]| {
        let before = sandbox.read("a.yaml");
        let said = sandbox.run(words).fails(1);
        assert!(said.contains("is new and would stay in the open by the rule"), "{said}");
        assert!(said.contains("encrypted_regex: ^password$") && !said.contains("s3cret"), "{said}");
        assert_eq!(sandbox.read("a.yaml"), before);
    };
    let all = || {
        refused(&["set", "a.yaml", "[\"token\"]", "\"s3cret\""]);
        refused(&["set", "a.yaml", "[\"token\"][\"deep\"][0]", "\"s3cret\""]);
        refused(&["set", "a.yaml", "[\"free\"]", "\"s3cret\""]);
        refused(&["set", "--ignore-mac", "a.yaml", "[\"token\"]", "\"s3cret\""]);
    };
    all();
    // What was in the open under the MAC may go on to be, and what is sealed is.
    sandbox.run(&["set", "a.yaml", "[\"port\"]", "2"]).ok();
    sandbox.run(&["set", "a.yaml", "[\"hosts\"][1]", "\"two\""]).ok();
    sandbox.run(&["set", "a.yaml", "[\"password\"]", "\"other\""]).ok();
    let text = sandbox.read("a.yaml");
    assert!(
        text.contains("port: 2\n") && text.contains("two") && !text.contains("other"),
        "{text}"
    );
    // Neither makes the rule one that somebody vouches for.
    all();
    // Who has looked says so.
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    sandbox.run(&["set", "a.yaml", "[\"token\"]", "\"s3cret\""]).ok();
    assert!(sandbox.read("a.yaml").contains("token: s3cret\n"));
}

#[test]
fn a_rule_of_sops_that_the_creation_rule_names_leaves_open_what_it_says() {
    let Some(sandbox) = by_sops("^password$", "^password$") else { return };
    sandbox.run(&["set", "a.yaml", "[\"region\"]", "\"north\""]).ok();
    assert!(sandbox.read("a.yaml").contains("region: north\n"));
    let plain = sops(&sandbox, &["decrypt", "a.yaml"]).expect("sops is brought").ok();
    assert!(plain.contains("region: north\n"), "{plain}");
    let Some(sandbox) = by_sops("", "^password$") else { return };
    let said = sandbox.run(&["set", "a.yaml", "[\"region\"]", "\"north\""]).fails(1);
    assert!(said.contains("[\"region\"] is new") && said.contains("waxseal reseal"), "{said}");
}

#[test]
fn a_planted_rule_is_seen_in_the_editor_too() {
    let Some(sandbox) = by_sops("^(password|token)$", "^(password|token)$") else { return };
    let planted = sandbox.read("a.yaml").replace("^(password|token)$", "^password$");
    sandbox.write("a.yaml", &planted);
    let sandbox = sandbox.editor("echo 'token: s3cret' >> \"$1\"");
    let said = sandbox.run(&["edit", "a.yaml"]).fails(1);
    assert!(said.contains("[\"token\"] is new and would stay in the open"), "{said}");
    assert_eq!(sandbox.read("a.yaml"), planted);
}

//! What somebody with the key has to look at, and what `reseal` then vouches for.

use super::Sandbox;

/// The rule asks for more than the file proves, which no other command reads then.
#[test]
fn what_is_to_be_reviewed_can_be_read_whatever_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: one\nb: two # three\n");
    let rule = sandbox.read(".sops.yaml") + "      integrity: sealed\n";
    sandbox.write(".sops.yaml", &rule);
    let sealed = sandbox.read("a.yaml");
    let respelled = sealed.replacen("a: ", "a:   ", 1);
    let broken = sealed.replacen("\nb: ", "\nc: {}\nb: ", 1);
    for (tampered, code, plain) in [
        (respelled, 53, "a:   one\nb: two # three\n"),
        (broken, 51, "a: one\nc: {}\nb: two # three\n"),
    ] {
        sandbox.write("a.yaml", &tampered);
        sandbox.run(&["decrypt", "a.yaml"]).fails(code);
        sandbox.run(&["decrypt", "--ignore-mac", "a.yaml"]).fails(code);
        assert_eq!(sandbox.run(&["reseal", "--show", "a.yaml"]).ok(), plain);
        assert_eq!(sandbox.read("a.yaml"), tampered);
    }
    sandbox.run(&["reseal", "--show", "a.yaml", "a.yaml"]).fails(8);
    sandbox.run(&["reseal", "--show", "--yes", "a.yaml"]).fails(1);
}

/// As sops writes a comment of a list, and as no file that waxseal sealed has one.
#[test]
fn a_comment_that_became_an_item_stays_broken_until_a_review() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "list:\n    - a\n    - b\n    # c\n");
    let planted = sandbox.read("a.yaml").replacen("    #ENC[", "    - ENC[", 1);
    sandbox.write("a.yaml", &planted);
    for words in [
        &["verify", "a.yaml"][..],
        &["decrypt", "a.yaml"],
        &["set", "--ignore-mac", "a.yaml", "[\"x\"]", "1"],
        &["unset", "--ignore-mac", "a.yaml", "[\"list\"][0]"],
        &["edit", "--ignore-mac", "a.yaml"],
    ] {
        assert_eq!(sandbox.run(words).code, Some(51), "{words:?}");
    }
    assert_eq!(sandbox.read("a.yaml"), planted);
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    assert_ne!(sandbox.read("a.yaml"), planted);
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
}

/// Its verdict is about values alone, but a new value in the open waits for the comments.
#[test]
fn reseal_vouches_for_the_text_under_mac_only_encrypted_too() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "# seal this\na: 1\n# other\nb: 2\n");
    let rule = ["--encrypted-comment-regex", "seal this", "--mac-only-encrypted"];
    sandbox.run(&[&["encrypt", "-i"], &rule[..], &["a.yaml"]].concat()).ok();
    sandbox.write("a.yaml", &sandbox.read("a.yaml").replace("# other", "# another"));
    let set = ["set", "a.yaml", "[\"c\"]", "\"new\""];
    sandbox.run(&set).fails(53);
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    sandbox.run(&set).ok();
}

#[test]
fn a_value_that_only_holds_a_token_is_in_the_open() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "# seal this\na: 1\n# other\nb: 2\n");
    let rule = ["--encrypted-comment-regex", "seal this"];
    sandbox.run(&[&["encrypt", "-i"], &rule[..], &["a.yaml"]].concat()).ok();
    sandbox.write("a.yaml", &sandbox.read("a.yaml").replace("# other", "# another"));
    sandbox.run(&["set", "a.yaml", "[\"c\"]", "\"x ENC[AES256_GCM, y\""]).fails(53);
    let sandbox = sandbox.editor("printf '# hunter2\\nc: null\\n' >> \"$1\"");
    let stderr = sandbox.run(&["edit", "a.yaml"]).fails(53);
    assert!(stderr.contains("the comment in line") && !stderr.contains("hunter2"), "{stderr}");
    // What is never sealed shows nothing.
    sandbox.run(&["set", "a.yaml", "[\"c\"]", "null"]).ok();
    sandbox.run(&["set", "a.yaml", "[\"c\"]", "\"\""]).ok();
}

//! `verify`, `reseal`, `integrity`.

use expect_test::expect;

use super::Sandbox;
use super::keys::{somebody, with_planted_recipient};

const PLAIN: &str = "a: one\nb: two\nc_unencrypted: 3 # said\n";

#[test]
fn comments_and_spelling_are_reported() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let respelled = sandbox.read("a.yaml").replacen("a: ", "a:   ", 1);
    sandbox.write("a.yaml", &respelled);
    let run = sandbox.run(&["verify", "a.yaml"]);
    expect![[r#"
        exit 53
        --- stdout
        a.yaml: respelled
        --- stderr
        error: a.yaml: values and structure are authentic; comments, quoting or spacing were changed without the key
        hint: review the file (`waxseal reseal --show` prints it), then `waxseal reseal` vouches for it
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.run(&["verify", "--values", "a.yaml"]).ok(), "a.yaml: respelled\n");

    // A `set` vouches for nothing that it did not see.
    sandbox.run(&["set", "a.yaml", "[\"b\"]", "\"new\""]).ok();
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(53));
    sandbox.run(&["reseal", "a.yaml"]).fails(1);
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
}

#[test]
fn values_alone_forgive_no_changed_recipients() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let other = somebody(&sandbox, "other");
    with_planted_recipient(&sandbox, "a.yaml", &other);
    let verify = |found: &str| {
        let run = sandbox.run(&["verify", "--values", "a.yaml"]);
        assert_eq!(run.stdout, format!("a.yaml: {found}\n"), "{}", run.stderr);
        run.fails(54);
    };
    verify("recipients changed");
    // Nor where comments are let be beside them.
    let respelled = sandbox.read("a.yaml").replacen("a: ", "a:   ", 1);
    sandbox.write("a.yaml", &respelled);
    verify("recipients changed, respelled");
}

#[test]
fn integrity_is_the_strictest_of_all_who_ask() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    sandbox.run(&["decrypt", "--integrity", "sealed", "a.yaml"]).ok();
    let respelled = sandbox.read("a.yaml").replacen("a: ", "a:   ", 1);
    sandbox.write("a.yaml", &respelled);
    sandbox.run(&["decrypt", "--integrity", "values", "a.yaml"]).ok();
    let run = sandbox.run(&["decrypt", "--integrity", "sealed", "a.yaml"]);
    expect![[r#"
        exit 53
        --- stderr
        error: a.yaml: values and structure are authentic; comments, quoting or spacing were changed without the key (integrity: sealed is asked for)
        hint: review the file (`waxseal reseal --show` prints it), then `waxseal reseal` vouches for it
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    sandbox.run(&["set", "--integrity", "sealed", "a.yaml", "[\"a\"]", "1"]).fails(53);
    let rule = sandbox.read(".sops.yaml") + "      integrity: sealed\n";
    sandbox.write(".sops.yaml", &rule);
    sandbox.run(&["decrypt", "a.yaml"]).fails(53);
    sandbox.run(&["decrypt", "--integrity", "values", "a.yaml"]).fails(53);
    sandbox.run(&["decrypt", "--config", "/dev/null", "a.yaml"]).ok();
    let sandbox = sandbox.with("WAXSEAL_INTEGRITY", "sealed");
    sandbox.run(&["decrypt", "--config", "/dev/null", "a.yaml"]).fails(53);
}

#[test]
fn who_asks_for_more_than_the_mac_does_not_have_it_ignored() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    // Without the check of the MAC it would be that of another tool.
    let changed = sandbox.read("a.yaml").replacen("c_unencrypted: 3", "c_unencrypted: 4", 1);
    sandbox.write("a.yaml", &changed);
    let ignore = ["decrypt", "--ignore-mac", "a.yaml"];
    sandbox.run(&ignore).ok();
    sandbox.run(&[&ignore[..], &["--integrity", "mac"]].concat()).ok();
    for asked in ["values", "sealed"] {
        let stderr = sandbox.run(&[&ignore[..], &["--integrity", asked]].concat()).fails(51);
        assert!(stderr.contains("the MAC does not match"), "{stderr}");
    }
    let sandbox = sandbox.with("WAXSEAL_INTEGRITY", "values");
    let stderr = sandbox.run(&ignore).fails(51);
    assert!(stderr.contains("the MAC does not match"), "{stderr}");
}

#[test]
fn what_is_moved_or_added_is_broken_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let file = sandbox.read("a.yaml");
    for tampered in [
        file.replacen("c_unencrypted: 3", "c_unencrypted: 4", 1),
        file.replacen("\nb: ", "\nd: {}\nb: ", 1),
    ] {
        assert_ne!(tampered, file);
        sandbox.write("a.yaml", &tampered);
        for words in [
            &["decrypt", "a.yaml"][..],
            &["set", "a.yaml", "[\"a\"]", "1"],
            &["unset", "a.yaml", "[\"a\"]"],
            &["rotate", "-i", "a.yaml"],
            &["edit", "a.yaml"],
        ] {
            let stderr = sandbox.run(words).fails(51);
            assert!(!stderr.contains("ignore"), "{stderr}");
        }
        let run = sandbox.run(&["verify", "a.yaml"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(51), "a.yaml: broken\n"));
        assert_eq!(sandbox.read("a.yaml"), tampered);
        assert!(sandbox.run(&["decrypt", "--ignore-mac", "a.yaml"]).ok().starts_with("a: one\n"));
        sandbox.run(&["reseal", "-y", "a.yaml"]).ok();
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    }
    // An empty map is no value to the MAC of sops: only the seal sees it.
    sandbox.write("a.yaml", &file.replacen("\nb: ", "\nd: {}\nb: ", 1));
    sandbox.run(&["set", "--ignore-mac", "a.yaml", "[\"a\"]", "1"]).fails(51);
}

#[test]
fn swapped_values_do_not_open() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let file = sandbox.read("a.yaml");
    let swapped =
        file.replacen("a: ", "x: ", 1).replacen("b: ", "a: ", 1).replacen("x: ", "b: ", 1);
    sandbox.write("a.yaml", &swapped);
    let run = sandbox.run(&["decrypt", "a.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(25), ""));
    assert!(run.stderr.contains("cannot decrypt [\"b\"]"), "{}", run.stderr);
    assert_eq!(sandbox.run(&["verify", "--keys", "a.yaml"]).code, Some(25));
}

#[test]
fn every_wrapped_key_is_compared() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.sealed("b.yaml", "a: 1\n");
    assert_eq!(
        sandbox.masked(&sandbox.run(&["verify", "--keys", "a.yaml"]).ok()),
        "a.yaml: sealed\n  age1ME: opens\n"
    );
    // The wrapped key of another file is behind that of this one.
    let (a, b) = (sandbox.read("a.yaml"), sandbox.read("b.yaml"));
    let entry = |file: &str| {
        let from = file.find("        - enc: |").expect("an entry");
        let to = file.find("    lastmodified:").expect("its end");
        file[from..to].to_owned()
    };
    sandbox.write("a.yaml", &a.replace(&entry(&a), &format!("{}{}", entry(&a), entry(&b))));
    let run = sandbox.run(&["verify", "--keys", "a.yaml"]);
    assert_eq!(run.code, Some(54));
    assert!(run.stdout.contains("holds another key"), "{}", run.stdout);
    assert!(run.stderr.contains("is another data key"), "{}", run.stderr);
}

pub(super) fn git(sandbox: &Sandbox, words: &[&str]) {
    let status = sandbox
        .command("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(words)
        .output()
        .expect("git")
        .status;
    assert!(status.success(), "{words:?}");
}

#[test]
fn a_step_back_since_a_commit_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.sealed("s/a.yaml", PLAIN);
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "x"]);
    let old = sandbox.read("s/a.yaml");
    let since = |words: &[&str]| {
        let words = [&["verify", "--since", "HEAD", "s/a.yaml"], words].concat();
        sandbox.run(&words)
    };
    since(&[]).ok();
    sandbox.run(&["set", "s/a.yaml", "[\"a\"]", "1"]).ok();
    since(&[]).ok();
    sandbox.run(&["rotate", "-i", "s/a.yaml"]).ok();
    let run = since(&[]);
    assert_eq!(run.stdout, "s/a.yaml: sealed; fails against HEAD\n");
    let stderr = run.fails(51);
    assert!(stderr.contains("another data key than HEAD:s/a.yaml"), "{stderr}");
    since(&["--rotated"]).ok();

    // The file of three seconds ago is put back.
    sandbox.write("s/a.yaml", &old);
    std::thread::sleep(std::time::Duration::from_secs(4));
    sandbox.run(&["set", "s/a.yaml", "[\"a\"]", "2"]).ok();
    git(&sandbox, &["commit", "-qam", "y"]);
    sandbox.write("s/a.yaml", &old);
    let stderr = since(&[]).fails(51);
    assert!(stderr.contains("it is older"), "{stderr}");
    let run = sandbox.run(&["verify", "--since", "nowhere", "s/a.yaml"]);
    assert_eq!(run.stdout, "s/a.yaml: sealed; not compared with nowhere\n");
    let stderr = run.fails(1);
    assert!(stderr.contains("git knows no commit"), "{stderr}");
    sandbox.run(&["verify", "--since", "--help", "s/a.yaml"]).fails(1);
    sandbox.sealed("new.yaml", "a: 1\n");
    let new = sandbox.run(&["verify", "--since", "HEAD", "new.yaml"]).ok();
    assert_eq!(new, "new.yaml: sealed; not in HEAD\n");
}

#[test]
fn a_worse_outcome_than_in_a_commit_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "x"]);
    let values = ["verify", "--values", "a.yaml"];
    let since = ["verify", "--values", "--since", "HEAD", "a.yaml"];
    sandbox.run(&since).ok();
    // A comment that was written without the key: let be by itself, but worse than it was.
    let sealed = sandbox.read("a.yaml");
    sandbox.write("a.yaml", &format!("# planted\n{sealed}"));
    sandbox.run(&values).ok();
    let stderr = sandbox.run(&since).fails(53);
    assert!(stderr.contains("HEAD:a.yaml was better"), "{stderr}");
    git(&sandbox, &["commit", "-qam", "y"]);
    sandbox.run(&since).ok();
}

#[test]
fn updatekeys_vouches_for_the_recipients_of_its_rule() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let words = ["updatekeys", "-y", "a.yaml"];
    let sealed = sandbox.read("a.yaml");
    assert!(sandbox.run(&words).stderr.contains("already up to date"));
    assert_eq!(sandbox.read("a.yaml"), sealed);
    // A field that nobody with the key wrote.
    let planted = sealed.replace("    lastmodified:", "    planted: x\n    lastmodified:");
    sandbox.write("a.yaml", &planted);
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(54));
    let run = sandbox.run(&words);
    assert!(run.stdout.contains("nobody vouches for them yet"), "{}", run.stdout);
    sandbox.run(&["verify", "a.yaml"]).ok();
    assert!(sandbox.run(&words).stderr.contains("already up to date"));
}

#[test]
fn a_planted_comment_does_not_put_values_in_the_open() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "x: 0\n# seal\na: one\nb: two\n");
    sandbox.run(&["encrypt", "-i", "--encrypted-comment-regex", "seal", "a.yaml"]).ok();
    let file = sandbox.read("a.yaml");
    assert!(file.contains("# seal") && !file.contains("one"), "{file}");
    // The comment is changed: what is set next would stay plain.
    sandbox.write("a.yaml", &file.replace("\nb: two", "\nb:  two"));
    let before = sandbox.read("a.yaml");
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(53));
    let stderr = sandbox.run(&["set", "a.yaml", "[\"b\"]", "\"hunter2\""]).fails(53);
    assert!(!stderr.contains("hunter2"), "{stderr}");
    assert_eq!(sandbox.read("a.yaml"), before);
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "\"hunter2\""]).ok();
    assert!(!sandbox.read("a.yaml").contains("hunter2"));
}

/// A rule by which a comment decides.
fn by_comment(sandbox: &Sandbox, rule: &str) {
    let rule = format!("creation_rules:\n    - age: {}\n      {rule}\n", sandbox.recipient);
    sandbox.write(".sops.yaml", &rule);
}

#[test]
fn a_comment_before_the_metadata_is_for_what_is_put_behind_it() {
    for (rule, plain, added) in [
        ("encrypted_comment_regex: SECRET", "# SECRET\na: 1\n", "# SECRET\nn: hunter2\n"),
        ("unencrypted_comment_regex: PUBLIC", "a: 1\n", "# PUBLIC\nn: open\n"),
        ("encrypted_comment_regex: SECRET", "x: 0\n# SECRET\na: 1\n# SECRET\n", "b: hunter2\n"),
    ] {
        let sandbox = Sandbox::new();
        by_comment(&sandbox, rule);
        sandbox.sealed("a.yaml", plain);
        let sandbox = sandbox.with("ADD", added).editor("printf \"$ADD\" >> \"$1\"");
        sandbox.run(&["edit", "a.yaml"]).ok();
        let sealed = sandbox.read("a.yaml");
        assert!(!sealed.contains("hunter2"), "{sealed}");
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), format!("{plain}{added}"));
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    }
}

#[test]
fn moved_metadata_and_other_line_breaks_open_no_new_value() {
    let sandbox = Sandbox::new();
    by_comment(&sandbox, "encrypted_comment_regex: SECRET");
    let plain = "- # SECRET\n  a: 1\n# SECRET\n";
    sandbox.sealed("a.yaml", plain);
    let crlf = sandbox.read("a.yaml").replace('\n', "\r\n");
    sandbox.write("a.yaml", &crlf);
    let run = sandbox.run(&["set", "a.yaml", "[99]", "\"ZZQ9\""]);
    assert!(!sandbox.read("a.yaml").contains("ZZQ9"), "{:?}", run.code);
    if run.code == Some(0) {
        sandbox.run(&["decrypt", "a.yaml"]).ok();
    }
}

#[test]
fn a_key_that_was_doubled_without_the_data_key_is_broken() {
    for (name, plain, before, insert) in [
        ("a.json", "{\"p\": {\"d\": 1, \"e\": 2}, \"z\": 1}\n", ", \"e\"", "}, \"p\": {\"e\""),
        ("a.yaml", "a:\n  b: 1\n  c: 2\n", "  c:", "a:\n  c:"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.sealed(name, plain);
        let sealed = sandbox.read(name);
        let split = sealed.replacen(before, insert, 1);
        assert_ne!(sealed, split);
        sandbox.write(name, &split);
        assert_eq!(sandbox.run(&["verify", name]).code, Some(51));
        sandbox.run(&["decrypt", name]).fails(51);
        sandbox.run(&["rotate", "-i", name]).fails(51);
        assert_eq!(sandbox.read(name), split);
    }
}

#[test]
fn folders_are_searched_but_not_where_a_lost_seal_would_be_passed_over() {
    let sandbox = Sandbox::new();
    for name in ["x/a.yaml", "x/y/b.yaml"] {
        sandbox.sealed(name, "a: one\n");
    }
    sandbox.write("x/plain.yaml", "a: one\n");
    let all = sandbox.run(&["verify", "x"]).ok();
    assert_eq!(all, "x/a.yaml: sealed\nx/y/b.yaml: sealed\n");
    let listed = sandbox.run(&["recipients", "x"]).ok();
    let files: Vec<_> = listed.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(files, ["x/a.yaml", "x/y/b.yaml"]);
    // A file that was changed fails below a folder as it does by its name.
    sandbox.write("x/a.yaml", &sandbox.read("x/y/b.yaml").replace("a: ENC", "b: ENC"));
    let run = sandbox.run(&["verify", "x"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "x/y/b.yaml: sealed\n"));
    assert!(run.stderr.starts_with("error: x/a.yaml: "), "{}", run.stderr);
    std::fs::create_dir(sandbox.path("empty")).expect("made");
    for command in ["verify", "recipients"] {
        let said = sandbox.run(&[command, "empty"]).fails(100);
        assert!(said.contains("no sealed file is below this folder"), "{said}");
    }
    let said = sandbox.run(&["verify", "--since", "HEAD", "x"]).fails(2);
    assert!(said.starts_with("error: x: ") && said.contains("name the files in it"), "{said}");
}

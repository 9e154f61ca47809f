//! `rotate`, `updatekeys`, `recipients`.

use expect_test::expect;

use super::{Sandbox, short, text, tokens};

/// A recipient of somebody else; the identity is in `NAME.txt`.
pub(super) fn somebody(sandbox: &Sandbox, name: &str) -> String {
    sandbox.run(&["keygen", "-o", &format!("{name}.txt")]).ok().trim().to_owned()
}

#[test]
fn rotate_seals_everything_anew() {
    let sandbox = Sandbox::new();
    let plain = "# c\na: 0x1F\nb: 'two'\n";
    sandbox.sealed("a.yaml", plain);
    let before = sandbox.read("a.yaml");
    let printed = sandbox.run(&["rotate", "a.yaml"]).ok();
    assert_eq!(sandbox.read("a.yaml"), before);
    assert!(!tokens(&printed).iter().any(|token| before.contains(token)));
    sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), plain);
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
}

#[test]
fn rotate_adds_and_removes() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    let other = somebody(&sandbox, "other");
    sandbox.run(&["rotate", "-i", "--add-age", &other, "a.yaml"]).ok();
    let as_other = |sandbox: &Sandbox| {
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
        command.env("HOME", sandbox.path("")).env("SOPS_AGE_KEY_FILE", sandbox.path("other.txt"));
        command.args(["decrypt", "a.yaml"]).output().expect("run").status.code()
    };
    assert_eq!(as_other(&sandbox), Some(0));
    sandbox.run(&["rotate", "-i", "--rm-age", &other, "a.yaml"]).ok();
    assert_eq!(as_other(&sandbox), Some(128));
    sandbox.run(&["rotate", "-i", "--rm-age", &sandbox.recipient, "a.yaml"]).fails(1);
    sandbox.run(&["rotate", "-i", "--rm-age", &other, "missing.yaml"]).fails(49);
    sandbox.run(&["rotate", "-i", "missing.yaml"]).fails(2);
    sandbox.run(&["rotate"]).fails(100);
}

/// The file with one more recipient in its metadata, whose key somebody wrapped by himself.
pub(super) fn with_planted_recipient(sandbox: &Sandbox, name: &str, recipient: &str) {
    let file = sandbox.read(name);
    let line = format!("recipient: {}\n", sandbox.recipient);
    let (before, after) = file.split_once(&line).expect("the recipient");
    let entry = before.rfind("- enc: |").expect("an entry");
    let entry = before[entry..].to_owned();
    let indent = "        ";
    sandbox.write(name, &format!("{before}{line}{indent}{entry}recipient: {recipient}\n{after}"));
}

#[test]
fn rotate_refuses_recipients_that_somebody_planted() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    let other = somebody(&sandbox, "other");
    with_planted_recipient(&sandbox, "a.yaml", &other);
    let planted = sandbox.read("a.yaml");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: 1\n");
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(54));
    let run = sandbox.run(&["rotate", "-i", "a.yaml"]);
    expect![[r#"
        exit 54
        --- stderr
        error: a.yaml: values and structure are authentic; the recipients were changed without the key: rotating would give the new data key to whoever was added
        hint: `waxseal recipients` shows who can open it; `waxseal updatekeys` puts it under the recipients of its creation rule, `waxseal reseal` vouches for those that it has
        hint: --accept-recipients goes on with those that the file names
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("a.yaml"), planted);
    sandbox.run(&["rotate", "-i", "--accept-recipients", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");

    // Just those that the rule names.
    sandbox.sealed("b.yaml", "a: 1\n");
    with_planted_recipient(&sandbox, "b.yaml", &other);
    let both = format!("creation_rules:\n  - age: [{}, {other}]\n", sandbox.recipient);
    sandbox.write(".sops.yaml", &both);
    sandbox.run(&["rotate", "-i", "b.yaml"]).ok();
    assert_eq!(sandbox.run(&["verify", "b.yaml"]).ok(), "b.yaml: sealed\n");
}

#[test]
fn rotate_vouches_for_nothing_that_nobody_vouched_for() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\nb: 2\n");
    sandbox.write("a.yaml", &format!("# planted\n{}", sandbox.read("a.yaml")));
    sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(53));
    sandbox.run(&["verify", "--values", "a.yaml"]).ok();

    // Neither for the text nor for the recipients of another tool: here no rule names them. What
    // has its metadata in several documents is written anew.
    let sandbox = Sandbox::bare();
    sandbox.write("keys.txt", include_str!("../../../testdata/sops/keys.txt"));
    let keys = text(&sandbox.path("keys.txt"));
    let sandbox = sandbox.with("SOPS_AGE_KEY_FILE", &keys);
    for by_sops in [
        include_str!("../../../testdata/sops/encrypted-regex.yaml"),
        include_str!("../../../testdata/sops/documents.yaml"),
    ] {
        sandbox.write("a.yaml", by_sops);
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(55));
        sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
        assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(53), "the text");
        assert_eq!(sandbox.run(&["verify", "--values", "a.yaml"]).code, Some(54), "recipients");
    }
}

#[test]
fn updatekeys_shows_what_changes_and_keeps_every_value() {
    let sandbox = Sandbox::new();
    let other = somebody(&sandbox, "other");
    let gone = somebody(&sandbox, "gone");
    let rule = |keys: &[&str]| format!("creation_rules:\n  - age: [{}]\n", keys.join(", "));
    sandbox.write(".sops.yaml", &rule(&[&sandbox.recipient, &gone]));
    sandbox.sealed("a.yaml", "a: 1 # c\n");
    let before = sandbox.read("a.yaml");
    sandbox.write(".sops.yaml", &rule(&[&other, &sandbox.recipient]));
    let show = |sandbox: &Sandbox, run| {
        sandbox.transcript(&run).replace(&other, "age1OTHER").replace(&gone, "age1GONE")
    };
    let run = sandbox.run_with(&["updatekeys", "a.yaml"], "what\nn\n");
    expect![[r#"
        exit 0
        --- stdout
        The following changes will be made to the file's groups:
        Group 1
            age1ME
        +++ age1OTHER
        --- age1GONE
        Is this okay? (y/n):Is this okay? (y/n):\
        --- stderr
        DATE Syncing keys for file DIR/work/a.yaml
        DATE File DIR/work/a.yaml left unchanged
    "#]]
    .assert_eq(&show(&sandbox, run));
    sandbox.run_with(&["updatekeys", "a.yaml"], "").fails(1);
    assert_eq!(sandbox.read("a.yaml"), before);
    let run = sandbox.run(&["updatekeys", "-y", "a.yaml"]);
    expect![[r#"
        exit 0
        --- stdout
        The following changes will be made to the file's groups:
        Group 1
            age1ME
        +++ age1OTHER
        --- age1GONE
        --- stderr
        DATE Syncing keys for file DIR/work/a.yaml
        DATE File DIR/work/a.yaml synced with new keys
    "#]]
    .assert_eq(&show(&sandbox, run));
    let after = sandbox.read("a.yaml");
    assert_eq!(tokens(&after)[..2], tokens(&before)[..2]);
    assert!(after.contains(&other) && !after.contains(&gone));
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    let run = sandbox.run(&["updatekeys", "a.yaml"]);
    expect![[r#"
        exit 0
        --- stderr
        DATE Syncing keys for file DIR/work/a.yaml
        DATE File DIR/work/a.yaml already up to date
    "#]]
    .assert_eq(&show(&sandbox, run));
}

#[test]
fn updatekeys_needs_a_configuration() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.run(&["updatekeys", "-y"]).fails(100);
    sandbox.run(&["updatekeys", "-y", "missing.yaml"]).fails(1);
    sandbox.write(".sops.yaml", "creation_rules:\n  - path_regex: ^x$\n    age: age1x\n");
    let stderr = sandbox.run(&["updatekeys", "-y", "a.yaml"]).fails(1);
    assert!(stderr.contains("no matching creation rules found"), "{stderr}");
    std::fs::remove_file(sandbox.path(".sops.yaml")).expect("removed");
    let stderr = sandbox.run(&["updatekeys", "-y", "a.yaml"]).fails(1);
    assert!(stderr.contains("config file not found"), "{stderr}");
}

#[test]
fn a_link_in_one_project_does_not_say_who_can_read_another() {
    let sandbox = Sandbox::new();
    let other = somebody(&sandbox, "other");
    sandbox.write("theirs/.sops.yaml", &format!("creation_rules: [{{age: {other}}}]\n"));
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.write("b.yaml", "b: 2\n");
    std::os::unix::fs::symlink("../a.yaml", sandbox.path("theirs/a.yaml")).expect("linked");
    std::os::unix::fs::symlink("..", sandbox.path("theirs/up")).expect("linked");
    let before = (sandbox.read("a.yaml"), sandbox.read("b.yaml"));
    let theirs = |words: &[&str]| {
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_waxseal"));
        command
            .current_dir(sandbox.path("theirs"))
            .env("SOPS_AGE_KEY_FILE", sandbox.path("keys.txt"));
        let output = command.args(words).output().expect("run");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    for words in [
        &["updatekeys", "--yes", "a.yaml"][..],
        &["updatekeys", "--yes", "up/a.yaml"],
        &["encrypt", "-i", "up/b.yaml"],
        &["publish", "--yes", "a.yaml"],
    ] {
        let (code, said) = theirs(words);
        assert!(
            said.contains("a symlink leads out of the folder of .sops.yaml"),
            "{words:?} {said}"
        );
        assert_eq!(code, Some(1), "{words:?}");
    }
    assert_eq!((sandbox.read("a.yaml"), sandbox.read("b.yaml")), before);
    // Who names the rules means them.
    assert_eq!(
        theirs(&["--config", ".sops.yaml", "encrypt", "-i", "up/b.yaml"]),
        (Some(0), String::new())
    );
}

#[test]
fn recipients_are_listed_with_their_rules() {
    let sandbox = Sandbox::new();
    let other = somebody(&sandbox, "other");
    let both = format!("{},{other}", sandbox.recipient);
    sandbox.write("a.yaml", "a: 1\n");
    sandbox.run(&["encrypt", "-i", "--age", &other, "a.yaml"]).ok();
    sandbox.write("b.yaml", "a: 1\n");
    sandbox.run(&["encrypt", "-i", "--age", &both, "b.yaml"]).ok();
    let run = sandbox.run(&["recipients", "a.yaml", "b.yaml"]);
    expect![[r#"
        exit 0
        --- stdout
        a.yaml
          age age1OTHER  named by no creation rule
          age age1ME  named by the rule at line 2 of .sops.yaml, cannot open it
        b.yaml
          age age1ME  named by the rule at line 2 of .sops.yaml
          age age1OTHER  named by no creation rule
    "#]]
    .assert_eq(&sandbox.transcript(&run).replace(&other, "age1OTHER"));
}

#[test]
fn without_a_key_the_report_names_everyone() {
    let sandbox = Sandbox::new();
    let other = somebody(&sandbox, "other");
    sandbox.write("a.yaml", "a: 1\n");
    sandbox.run(&["encrypt", "-i", "--age", &other, "a.yaml"]).ok();
    let nowhere = text(&sandbox.path("nowhere.txt"));
    let sandbox = sandbox.with("SOPS_AGE_KEY_FILE", &nowhere);
    let run = sandbox.run(&["decrypt", "a.yaml"]);
    expect![[r#"
        exit 128
        --- stderr
        error: a.yaml: cannot recover the data key
          age1OTHER  no identity for this recipient
          looked for identities in:
            DIR/home/.ssh/id_ed25519: not there
            DIR/home/.ssh/id_rsa: not there
            SOPS_AGE_KEY_FILE (DIR/work/nowhere.txt): no such file
            DIR/home/.config/sops/age/keys.txt: one identity, which is not for this recipient
        hint: point SOPS_AGE_KEY_FILE at an identity for one of these recipients, or ask somebody who has one to add you with `waxseal updatekeys`
    "#]]
    .assert_eq(&sandbox.transcript(&run).replace(&short(&other), "age1OTHER"));
}

/// The recipient of a plugin that writes a file where it is run.
#[cfg(unix)]
#[test]
fn a_file_is_no_instruction_to_run_a_plugin() {
    use std::os::unix::fs::PermissionsExt;

    const PLUGIN: &str = "age1test1w3jhxaqsdwg9s";
    let sandbox = Sandbox::bare();
    let keys = include_str!("../../../testdata/sops/keys.txt");
    sandbox.write("keys.txt", keys);
    let by_sops = include_str!("../../../testdata/sops/every.yaml");
    let recipient = keys.lines().find_map(|line| line.strip_prefix("# public key: "));
    let sandbox = Sandbox { recipient: recipient.expect("a recipient").to_owned(), ..sandbox };
    sandbox.write("a.yaml", by_sops);
    with_planted_recipient(&sandbox, "a.yaml", PLUGIN);
    sandbox.write("bin/age-plugin-test", "#!/bin/sh\ntouch \"$MARK\"\n");
    let plugin = sandbox.path("bin/age-plugin-test");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let mark = sandbox.path("mark");
    let path = format!("{}:/usr/bin:/bin", text(&sandbox.path("bin")));
    let keys = text(&sandbox.path("keys.txt"));
    let sandbox =
        sandbox.with("PATH", &path).with("MARK", &text(&mark)).with("SOPS_AGE_KEY_FILE", &keys);
    let run = sandbox.run(&["rotate", "-i", "a.yaml"]);
    expect![[r#"
        exit 54
        --- stderr
        error: a.yaml: age1test…wg9s: age-plugin-test would run, and nothing but the file asks so
        hint: name the recipient in the creation rule, if it is one of yours
        hint: --accept-recipients goes on with those that the file names
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert!(!mark.exists());
    // It fails, but it was run.
    sandbox.run(&["rotate", "-i", "--add-age", PLUGIN, "a.yaml"]);
    assert!(mark.exists());
}

#[test]
fn updatekeys_keeps_the_style_of_the_list_wherever_the_new_one_stands() {
    for (name, plain) in [("a.toml", "a = 1\n"), ("a.yaml", "a: 1\n"), ("a.json", "{\"a\": 1}\n")] {
        let sandbox = Sandbox::new();
        let (me, other) = (sandbox.recipient.clone(), somebody(&sandbox, "other"));
        let (spare, last) = (somebody(&sandbox, "spare"), somebody(&sandbox, "last"));
        let rule = |keys: &[&str]| {
            let text = format!("creation_rules:\n  - age: [{}]\n", keys.join(", "));
            sandbox.write(".sops.yaml", &text);
        };
        rule(&[&me, &spare]);
        sandbox.sealed(name, plain);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let before = lines(&sandbox.read(name));
        for keys in [&[&me, &other, &spare][..], &[&last, &me, &other, &spare], &[&spare, &me]] {
            rule(&keys.iter().map(|key| key.as_str()).collect::<Vec<_>>());
            assert_eq!(sandbox.run(&["updatekeys", "-y", name]).code, Some(0));
            sandbox.run(&["verify", name]).ok();
            let text = sandbox.read(name);
            let at: Vec<_> =
                keys.iter().map(|key| text.find(key.as_str()).expect("there")).collect();
            assert!(at.is_sorted(), "{name} {keys:?} {at:?}");
            assert_eq!(
                text.matches("[[sops.age]]").count(),
                if name == "a.toml" { keys.len() } else { 0 }
            );
            assert_eq!(text.matches("AGE ENCRYPTED FILE-----").count(), 2 * keys.len(), "{text}");
        }
        assert_eq!(lines(&sandbox.read(name)).len(), before.len());
    }
}

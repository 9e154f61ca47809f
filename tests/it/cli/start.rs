//! `init`, `keygen`, help.

use std::os::unix::fs::PermissionsExt;

use expect_test::expect;

use super::{Sandbox, text};

#[test]
fn nothing_else_is_needed_to_start() {
    let sandbox = Sandbox::bare();
    let recipient = sandbox.run(&["init"]).ok();
    assert!(recipient.starts_with("age1") && recipient.ends_with('\n'));
    assert!(sandbox.read(".sops.yaml").contains(recipient.trim()));
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    let mode = std::fs::metadata(&keys).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A second time nothing is made anew.
    let config = sandbox.read(".sops.yaml");
    assert_eq!(sandbox.run(&["init"]).ok(), recipient);
    assert_eq!(sandbox.read(".sops.yaml"), config);

    sandbox.write("a.yaml", "pw: hunter2 # mine\n");
    assert_eq!(sandbox.run(&["encrypt", "-i", "a.yaml"]).ok(), "");
    assert!(!sandbox.read("a.yaml").contains("hunter2"));
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "pw: hunter2 # mine\n");
}

#[test]
fn init_takes_the_identity_that_is_there() {
    let sandbox = Sandbox::bare();
    let path = sandbox.path("my-key.txt");
    let recipient = sandbox.run(&["keygen", "-o", "my-key.txt"]).ok();
    let sandbox = sandbox.with("SOPS_AGE_KEY_FILE", &text(&path));
    assert_eq!(sandbox.run(&["init"]).ok(), recipient);
    assert!(!sandbox.home().join(".config").exists());
    let other = Sandbox::bare();
    assert_eq!(other.run(&["init", "--age", recipient.trim()]).ok(), recipient);
    assert!(!other.home().join(".config").exists());
}

#[test]
fn a_recipient_is_named_by_a_rule_and_not_by_a_comment() {
    let sandbox = Sandbox::new();
    let (own, config) = (sandbox.recipient.clone(), sandbox.read(".sops.yaml"));
    assert_eq!(sandbox.run(&["init", "--age", &own]).ok(), format!("{own}\n"));
    let other = sandbox.run(&["keygen"]).ok();
    let other = other.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("one");
    for planted in [format!("# was: {other}\n{config}"), format!("{config}# {other}\n")] {
        sandbox.write(".sops.yaml", &planted);
        let said = sandbox.run(&["init", "--age", other]).fails(1);
        assert!(said.contains("does not name this recipient"), "{said}");
        assert_eq!(sandbox.read(".sops.yaml"), planted);
    }
    sandbox.write(".sops.yaml", &config.replace(&own, &format!("{own},{other}")));
    sandbox.run(&["init", "--age", other]).ok();
    // One that cannot be read names nobody.
    sandbox.write(".sops.yaml", &format!("creation_rules: [{own}\n"));
    assert!(sandbox.run(&["init", "--age", &own]).fails(1).contains(".sops.yaml: "));
}

#[test]
fn init_writes_the_configuration_that_is_named() {
    let sandbox = Sandbox::bare();
    let recipient = sandbox.run(&["init", "--config", "rules.yaml"]).ok();
    assert!(sandbox.read("rules.yaml").contains(recipient.trim()));
    assert!(!sandbox.path(".sops.yaml").exists());
    // It is left as it is, and one above does not count.
    sandbox.write("rules.yaml", "{}\n");
    sandbox.write(".sops.yaml", "{}\n");
    sandbox.run(&["init", "--config", "rules.yaml"]).ok();
    assert_eq!(sandbox.read("rules.yaml"), "{}\n");
    let sandbox = sandbox.with("SOPS_CONFIG", "other.yaml");
    sandbox.run(&["init"]).ok();
    sandbox.write("a.yaml", "pw: hunter2\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    assert!(sandbox.read("other.yaml").contains(recipient.trim()));
}

#[test]
fn shells_get_what_they_need_to_complete() {
    let sandbox = Sandbox::bare();
    for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let script = sandbox.run(&["completion", shell]).ok();
        assert!(script.contains(mark) && script.contains("waxseal"), "{shell}");
        assert!(script.contains("updatekeys") && script.contains("filename-override"), "{shell}");
    }
}

#[test]
fn keygen_never_replaces_a_file() {
    let sandbox = Sandbox::bare();
    let printed = sandbox.run(&["keygen"]).ok();
    assert!(printed.contains("\nAGE-SECRET-KEY-1"));
    sandbox.write("k.txt", "mine");
    let run = sandbox.run(&["keygen", "-o", "k.txt"]);
    expect![[r#"
        exit 3
        --- stderr
        error: k.txt: exists already: an identity is never replaced
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("k.txt"), "mine");
}

#[test]
fn an_identity_is_no_recipient_and_is_not_shown() {
    let sandbox = Sandbox::bare();
    let identity = sandbox.run(&["keygen"]).ok();
    let secret = identity.lines().last().expect("a line");
    sandbox.write("a.yaml", "a: 1\n");
    sandbox.write(".sops.yaml", &format!("creation_rules:\n    - age: {secret}\n"));
    for words in [
        &["init", "--age", secret][..],
        &["encrypt", "a.yaml"],
        &["encrypt", "--age", secret, "a.yaml"],
    ] {
        let run = sandbox.run(words);
        let shown = format!("{}{}", run.stdout, run.stderr);
        assert!(run.code == Some(1) && !shown.contains(&secret[..24]), "{shown}");
        assert!(shown.contains("a secret"), "{shown}");
    }
}

#[test]
fn help_and_version_are_data() {
    let sandbox = Sandbox::bare();
    let version = format!("waxseal {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(sandbox.run(&["--version"]).ok(), version);
    let help = sandbox.run(&["--help"]).ok();
    for command in [
        "init",
        "keygen",
        "encrypt",
        "decrypt",
        "edit",
        "set",
        "unset",
        "rotate",
        "updatekeys",
        "verify",
        "reseal",
        "recipients",
        "completion",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        assert!(sandbox.run(&[command, "--help"]).ok().contains("Usage:"));
    }
}

#[test]
fn what_cannot_be_understood_is_no_data() {
    let sandbox = Sandbox::bare();
    for words in [&["--nonsense"][..], &["decrypt", "--nonsense", "a"], &["nonsense"], &[]] {
        let run = sandbox.run(words);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{words:?}");
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn no_file_of_the_memory_is_written_when_the_program_is_ended() {
    let sandbox = Sandbox::new().editor("ulimit -S -c > limit");
    sandbox.sealed("a.yaml", "a: one\n");
    let run = |line: &str| {
        let mut command = sandbox.command("sh");
        command.args(["-c", line]).env("WAXSEAL", env!("CARGO_BIN_EXE_waxseal"));
        let done = command.output().expect("runs");
        String::from_utf8(done.stdout).expect("text")
    };
    // As much as this machine allows anybody.
    let most = run("ulimit -S -c $(ulimit -H -c); ulimit -S -c; \"$WAXSEAL\" edit a.yaml");
    assert_eq!(sandbox.read("limit"), "0\n", "of {most}");
}

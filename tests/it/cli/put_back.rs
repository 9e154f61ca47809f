//! An attacker puts something older back: a `mac` by sops, metadata of before somebody was taken off.

use super::peers::sops;
use super::{Sandbox, tokens};
use crate::cli::verify::git;

const PLAIN: &str = "a: one\nb: two\n";

/// The value of a field of the `sops` block.
fn field<'a>(file: &'a str, name: &str) -> &'a str {
    let line = file.lines().find(|line| line.trim_start().starts_with(name)).expect("there");
    line.split_once(": ").expect("a value").1
}

/// A rule that names these recipients.
fn rule(recipients: &[&str], more: &str) -> String {
    format!("creation_rules:\n    - age: [{}]\n{more}", recipients.join(", "))
}

#[test]
fn a_mac_by_sops_is_worth_nothing_after_reseal() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: 12\nb: two\n");
    let Some(run) = sops(&sandbox, &["encrypt", "-i", "a.yaml"]) else { return };
    run.ok();
    let by_sops = sandbox.read("a.yaml");
    // The trace that sops leaves outlives a `set`, and an `updatekeys`.
    sandbox.run(&["set", "a.yaml", "[\"b\"]", "\"other\""]).ok();
    assert_eq!(
        sandbox.run(&["verify", "a.yaml"]).stdout,
        "a.yaml: respelled, recipients unvouched\n"
    );
    updatekeys(&sandbox);
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).stdout, "a.yaml: respelled\n");
    sandbox.run(&["reseal", "-y", "a.yaml"]).ok();
    sandbox.run(&["verify", "a.yaml"]).ok();

    // SOPS' MAC does not cover the key of a value: `a` and `b` change places, with their old `mac`.
    let resealed = sandbox.read("a.yaml");
    let mut put_back = resealed.clone();
    for name in ["mac", "lastmodified"] {
        put_back = put_back.replace(field(&resealed, name), field(&by_sops, name));
    }
    for (new, old) in tokens(&resealed).into_iter().zip(tokens(&by_sops)) {
        put_back = put_back.replace(new, old);
    }
    assert_ne!(put_back, resealed);
    sandbox.write("a.yaml", &put_back);
    sandbox.run(&["decrypt", "a.yaml"]).fails(25);
    sandbox.run(&["verify", "a.yaml"]).fails(25);
}

#[test]
fn a_comment_that_was_changed_costs_no_new_data_key() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    let sealed = sandbox.read("a.yaml");
    sandbox.write("a.yaml", &sealed.replacen("a: ", "a:   ", 1));
    sandbox.run(&["reseal", "-y", "a.yaml"]).ok();
    assert_eq!(tokens(&sandbox.read("a.yaml"))[..2], tokens(&sealed)[..2]);
}

#[test]
fn a_recipient_who_was_taken_off_and_put_back_is_seen() {
    let sandbox = Sandbox::new();
    let leaver = sandbox.run(&["keygen", "-o", "leaver.txt"]).ok();
    let (me, leaver) = (sandbox.recipient.as_str(), leaver.trim());
    sandbox.write(".sops.yaml", &rule(&[me, leaver], ""));
    sandbox.write("a.yaml", PLAIN);
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let with_him = sandbox.read("a.yaml");
    sandbox.write(".sops.yaml", &rule(&[me], ""));
    updatekeys(&sandbox);
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "he left"]);
    let since = ["verify", "--since", "HEAD", "a.yaml"];
    sandbox.run(&since).ok();

    // Each version verifies by itself: what was is authentic.
    sandbox.write("a.yaml", &with_him);
    sandbox.run(&["verify", "a.yaml"]).ok();
    let stderr = sandbox.run(&since).fails(54);
    assert!(stderr.contains("was added, and the creation rule does not name"), "{stderr}");

    // `rotate` is as careful as it is asked to be.
    for level in ["values", "sealed"] {
        let stderr = sandbox.run(&["rotate", "-i", "--integrity", level, "a.yaml"]).fails(54);
        assert!(stderr.contains("no creation rule names them"), "{stderr}");
        assert_eq!(sandbox.read("a.yaml"), with_him);
    }
    sandbox.write(".sops.yaml", &rule(&[me], "      integrity: values\n"));
    sandbox.run(&["rotate", "-i", "a.yaml"]).fails(54);
    sandbox.run(&["rotate", "-i", "--rm-age", leaver, "a.yaml"]).ok();
    assert!(!sandbox.read("a.yaml").contains(leaver));
    sandbox.write("a.yaml", &with_him);
    sandbox.run(&["rotate", "-i", "--accept-recipients", "a.yaml"]).ok();
    assert!(sandbox.read("a.yaml").contains(leaver));

    // A rule that names him makes it right.
    sandbox.write(".sops.yaml", &rule(&[leaver, me], ""));
    sandbox.write("a.yaml", &with_him);
    sandbox.run(&since).ok();
}

#[test]
fn recipients_in_other_groups_or_of_no_rule_are_a_step_back() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", PLAIN);
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "x"]);
    let other = sandbox.run(&["keygen", "-o", "other.txt"]).ok();
    let since = ["verify", "--since", "HEAD", "--rotated", "a.yaml"];
    sandbox.run(&["rotate", "-i", "--add-age", other.trim(), "a.yaml"]).ok();
    sandbox.run(&["verify", "a.yaml"]).ok();
    let stderr = sandbox.run(&since).fails(54);
    assert!(stderr.contains("was added"), "{stderr}");
    git(&sandbox, &["commit", "-qam", "y"]);
    sandbox.run(&since).ok();
    updatekeys(&sandbox);
    sandbox.run(&since).ok();
    sandbox.write(".sops.yaml", &rule(&[other.trim()], ""));
    let stderr = sandbox.run(&since).fails(54);
    assert!(stderr.contains("was taken off"), "{stderr}");
}

#[test]
fn nobody_vouches_for_recipients_however_the_text_is() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", PLAIN);
    let Some(run) = sops(&sandbox, &["encrypt", "-i", "a.yaml"]) else { return };
    run.ok();
    sandbox.run(&["set", "a.yaml", "[\"b\"]", "\"new\""]).ok();
    let unvouched = sandbox.read("a.yaml");
    let planted = sandbox.run(&["keygen", "-o", "planted.txt"]).ok();
    let planted = unvouched.replacen(&sandbox.recipient, planted.trim(), 1);
    let with_planted =
        unvouched.replace("    lastmodified:", &format!("{}    lastmodified:", entry(&planted)));
    sandbox.write("a.yaml", &with_planted);
    let run = sandbox.run(&["verify", "a.yaml"]);
    assert_eq!(run.code, Some(53));
    assert!(run.stdout.ends_with("respelled, recipients unvouched\n"), "{}", run.stdout);
    assert!(run.stderr.contains("nobody vouches for the recipients"), "{}", run.stderr);
    // As sops does, unless more is asked for.
    sandbox.run(&["rotate", "-i", "--integrity", "values", "a.yaml"]).fails(54);
    assert_eq!(sandbox.read("a.yaml"), with_planted);
    sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
}

/// `updatekeys` logs as sops does.
fn updatekeys(sandbox: &Sandbox) {
    assert_eq!(sandbox.run(&["updatekeys", "-y", "a.yaml"]).code, Some(0));
}

/// The first entry of `age`.
fn entry(file: &str) -> &str {
    let from = file.find("        - ").expect("an entry");
    let to = file.find("    lastmodified:").expect("its end");
    &file[from..to]
}

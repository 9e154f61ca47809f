//! Real sops joins in when `WAXSEAL_PEERS` names the folder that it is in.

use std::path::PathBuf;

use super::{Run, Sandbox};

/// The program of this name among the peers.
pub(super) fn peer(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("WAXSEAL_PEERS")?).join(name);
    path.is_file().then_some(path)
}

pub(super) fn sops(sandbox: &Sandbox, words: &[&str]) -> Option<Run> {
    Some(sandbox.start(peer("sops")?, words, ""))
}

#[test]
fn sops_reads_what_is_written_and_the_other_way_round() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "# c\na: one\nl:\n    - 1\n    - true\n");
    let Some(run) = sops(&sandbox, &["decrypt", "a.yaml"]) else { return };
    assert_eq!(run.ok(), "# c\na: one\nl:\n    - 1\n    - true\n");
    sandbox.run(&["set", "a.yaml", "[\"a\"]", "\"two\""]).ok();
    sandbox.run(&["rotate", "-i", "a.yaml"]).ok();
    let part = ["decrypt", "--extract", "[\"a\"]", "a.yaml"];
    assert_eq!(sops(&sandbox, &part).expect("there").ok(), "two");
    assert_eq!(sandbox.run(&part).ok(), "two");

    sandbox.write("b.json", "{\n\t\"a\": \"one\"\n}\n");
    sops(&sandbox, &["encrypt", "-i", "b.json"]).expect("there").ok();
    assert_eq!(sandbox.run(&["decrypt", "b.json"]).ok(), "{\n\t\"a\": \"one\"\n}\n");
}

#[test]
fn a_file_of_sops_has_no_seal_until_it_is_resealed() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: one\n");
    let Some(run) = sops(&sandbox, &["encrypt", "-i", "a.yaml"]) else { return };
    run.ok();
    let run = sandbox.run(&["verify", "a.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(55), "a.yaml: no seal\n"));
    sandbox.run(&["decrypt", "--integrity", "values", "a.yaml"]).fails(55);
    let before = sandbox.read("a.yaml");
    sandbox.run(&["reseal", "-y", "a.yaml"]).ok();
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    // Under a new data key.
    let wrapped = |file: &str| file.split("-----").nth(2).map(str::to_owned);
    assert_ne!(wrapped(&sandbox.read("a.yaml")), wrapped(&before));
    sops(&sandbox, &["set", "a.yaml", "[\"a\"]", "\"two\""]).expect("there").ok();
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(55));
}

#[test]
fn sops_and_waxseal_agree_on_updatekeys() {
    let sandbox = Sandbox::new();
    let other = sandbox.run(&["keygen", "-o", "other.txt"]).ok();
    sandbox.sealed("a.yaml", "a: one\n");
    let sealed = sandbox.read("a.yaml");
    let rule = format!("creation_rules:\n  - age: [{}, {}]\n", other.trim(), sandbox.recipient);
    sandbox.write(".sops.yaml", &rule);
    let words = ["updatekeys", "-y", "a.yaml"];
    let Some(theirs) = sops(&sandbox, &words) else { return };
    // What sops changed around the old MAC is authentic, and nobody vouches for the recipients.
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(54));
    sandbox.write("a.yaml", &sealed);
    let ours = sandbox.run(&words);
    let time = |text: &str| {
        text.lines().map(|line| line.get(20..).unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ours.stdout, theirs.stdout);
    assert_eq!(time(&ours.stderr), time(&theirs.stderr));
    assert_eq!(sops(&sandbox, &["decrypt", "a.yaml"]).expect("there").ok(), "a: one\n");
}

#[test]
fn codes_are_those_of_sops() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.yaml", "a: 1\n");
    sandbox.write("broken.yaml", "a: [1\n");
    sandbox.write("empty.yaml", "");
    sandbox.sealed("a.yaml", "a: one\nb: two\n");
    let moved = sandbox.read("a.yaml").replacen("\nb: ", "\nc: ", 1);
    sandbox.write("moved.yaml", &moved);
    let lines = sandbox.read("a.yaml");
    let gone: String = lines.split_inclusive('\n').filter(|it| !it.starts_with("b: ")).collect();
    sandbox.write("gone.yaml", &gone);
    for words in [
        &["decrypt", "plain.yaml"][..],
        &["decrypt", "broken.yaml"],
        &["decrypt", "missing.yaml"],
        &["decrypt", "moved.yaml"],
        &["decrypt", "gone.yaml"],
        &["decrypt", "--extract", "a", "a.yaml"],
        &["decrypt", "--extract", "[\"x\"]", "a.yaml"],
        &["encrypt", "broken.yaml"],
        &["encrypt", "missing.yaml"],
        &["encrypt", "empty.yaml"],
        &["encrypt", "a.yaml"],
        &["encrypt", "--encrypted-regex", "a", "--encrypted-suffix", "b", "plain.yaml"],
        &["set", "a.yaml", "[\"a\"]"],
        &["set", "a.yaml", "a", "1"],
        &["set", "a.yaml", "[\"a\"]", "x"],
        &["set", "missing.yaml", "[\"a\"]", "1"],
        &["unset", "a.yaml", "[\"x\"]"],
        &["rotate", "missing.yaml"],
        &["rotate", "--add-age", "age1x", "missing.yaml"],
        &["updatekeys", "-y", "missing.yaml"],
        &["decrypt", "-i", "--output", "x", "a.yaml"],
    ] {
        let Some(theirs) = sops(&sandbox, words) else { return };
        assert_eq!(sandbox.run(words).code, theirs.code, "{words:?}: {}", theirs.stderr);
    }
}

#[test]
fn metadata_of_sops_in_a_later_document_is_no_hindrance() {
    let sandbox = Sandbox::new();
    let plain = "z: 1\n---\na:\n    b:\n        c: 1\n    # s\n";
    sandbox.write("a.yaml", plain);
    let Some(run) = sops(&sandbox, &["encrypt", "-i", "a.yaml"]) else { return };
    run.ok();
    let by_sops = sandbox.read("a.yaml");
    for words in [&["rotate", "-i", "a.yaml"][..], &["reseal", "--yes", "a.yaml"]] {
        sandbox.write("a.yaml", &by_sops);
        sandbox.run(words).ok();
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), plain, "{words:?}");
        assert_eq!(sops(&sandbox, &["decrypt", "a.yaml"]).expect("there").ok(), plain);
    }
}

#[test]
fn a_comment_that_sops_sealed_elsewhere_is_sealed_anew_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "k:\n  l:\n    - v0\n    - v1\n  # e\n");
    let Some(run) = sops(&sandbox, &["encrypt", "-i", "a.yaml"]) else { return };
    run.ok();
    sandbox.run(&["set", "a.yaml", "[\"k\"][\"l\"][0]", "\"new\""]).ok();
    let read = sops(&sandbox, &["decrypt", "a.yaml"]).expect("there").ok();
    assert!(read.contains("# e") && !read.contains("ENC["), "{read}");
}

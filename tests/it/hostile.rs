//! Files by somebody without the key who wants to be noticed late, or to cost much.
//!
//! Time is not measured here: what took the square of its size would take minutes at these sizes.
//! `benches/` has the figures.

use waxseal::document::{Document, Format, NodeKind};
use waxseal::file::{EncryptedFile, FileError, Verdict};

use crate::support::{data_key, open, seal};

/// Many enough that steps for each pair of them would never end.
const MANY: usize = 200_000;

const SEALED: &str = "a: hunter2\nb:\n  - one\n  - 2\n";

/// A sealed file with this text before it.
fn with_head(head: &str) -> String {
    format!("{head}{}", seal(SEALED, Format::Yaml).expect("seals"))
}

/// What was added is seen: nothing but the seal stands against it.
#[track_caller]
fn check_broken(text: String) {
    let error = open(&text, Format::Yaml).err();
    assert!(matches!(error, Some(FileError::Broken | FileError::MacMismatch)), "{error:?}");
}

#[test]
fn many_aliases_of_one_anchor() {
    let aliases = "*w, ".repeat(MANY);
    check_broken(with_head(&format!("w_unencrypted: &w x\nl_unencrypted: [{aliases}]\n")));
    let merges = "{<<: *w}, ".repeat(MANY);
    check_broken(with_head(&format!("w_unencrypted: &w {{q: x}}\nl_unencrypted: [{merges}]\n")));
}

#[test]
fn many_anchors_of_one_name_and_of_many() {
    let again = "&w x, *w, ".repeat(MANY);
    check_broken(with_head(&format!("l_unencrypted: [{again}]\n")));
    let anchors: String = (0..MANY).map(|n| format!("&w{n} x, ")).collect();
    let aliases: String = (0..MANY).map(|n| format!("*w{n}, ")).collect();
    check_broken(with_head(&format!("l_unencrypted: [{anchors}{aliases}]\n")));
}

#[test]
fn many_comments_before_and_behind_what_an_alias_names() {
    let comments = "#\n".repeat(MANY);
    let aliases = "- *w\n".repeat(MANY);
    check_broken(with_head(&format!("l_unencrypted:\n{comments}- &w x\n{aliases}")));
    check_broken(with_head(&format!("l_unencrypted:\n- &w x\n{comments}{aliases}")));
    check_broken(with_head(&format!("l_unencrypted:\n- &w\n{comments}  x\n{aliases}")));
}

#[test]
fn many_comments_behind_a_deep_value() {
    let (open, close) = ("[".repeat(9_900), "]".repeat(9_900));
    let comments = "#\n".repeat(MANY);
    check_broken(with_head(&format!("d_unencrypted: {open}{close}\n{comments}")));
}

#[test]
fn many_tag_handles() {
    let lines: String = (0..MANY).map(|n| format!("%TAG !a{n}! tag:x,2000:\n")).collect();
    let tags: String = (0..MANY).map(|n| format!("!a{n}!x y, ")).collect();
    check_broken(with_head(&format!("{lines}---\nl_unencrypted: [{tags}]\n")));
}

#[test]
fn many_documents_with_metadata() {
    let documents = "---\nx_unencrypted: y\nsops: 1\n".repeat(MANY);
    check_broken(format!("{}{documents}", seal(SEALED, Format::Yaml).expect("seals")));
    let twice = "---\nsops: 1\nsops: 1\n";
    let error = open(&format!("{}{twice}", with_head("")), Format::Yaml).err();
    assert!(matches!(error, Some(FileError::DoubledMetadata { .. })), "{error:?}");
}

/// `NAME: [` for each level, and how it ends.
fn deep(levels: usize, inside: &str) -> String {
    format!("{}{inside}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Each leaf is hashed with its path: 10,000 leaves at 10,000 levels would be a gigabyte.
#[test]
fn deep_paths_over_many_leaves_are_refused() {
    let text = format!("d_unencrypted: {}\n", deep(9_900, &"~, ".repeat(10_000)));
    for error in [seal(&text, Format::Yaml).err(), open(&with_head(&text), Format::Yaml).err()] {
        assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
    }
    let json = format!("{{\"d\": {}}}", deep(9_900, &vec!["1"; 10_000].join(",")));
    let error = seal(&json, Format::Json).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
    let toml = format!("d = {}\n", deep(9_900, &"[1], ".repeat(10_000)));
    let error = seal(&toml, Format::Toml).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
}

#[test]
fn a_hundred_leaves_at_ten_thousand_levels_are_sealed() {
    let text = format!("d: {}\n", deep(9_990, &["x"; 100].join(", ")));
    let sealed = seal(&text, Format::Yaml).expect("seals");
    assert_eq!(open(&sealed, Format::Yaml).expect("opens").document().text(), text);
}

#[test]
fn long_values_under_many_aliases_are_refused() {
    let head = format!(
        "w_unencrypted: &w {}\nl_unencrypted: [{}]\n",
        "x".repeat(1 << 20),
        "*w, ".repeat(10_000)
    );
    let error = open(&with_head(&head), Format::Yaml).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
}

/// Such a comment is tried under the paths above, which sops may have moved it from.
#[test]
fn comments_that_open_nowhere_stay_as_they_are() {
    let key = format!("{{{}: ", "k".repeat(100));
    let token = "#ENC[AES256_GCM,data:AA==,iv:AAAAAAAAAAAAAAAAAAAAAA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:comment]\n";
    let text = format!(
        "d: {}[\n{}]{}\n",
        key.repeat(9_000),
        format!(" {token}").repeat(100),
        "}".repeat(9_000)
    );
    check_broken(with_head(&text));
}

#[test]
fn aliases_come_back_however_many_they_are() {
    let list = "- *w\n".repeat(20_000);
    let text = format!("w: &w hunter2\nl:\n{list}");
    let sealed = seal(&text, Format::Yaml).expect("seals");
    assert_eq!(open(&sealed, Format::Yaml).expect("opens").document().text(), text);
}

/// An alias names what the text says, whatever the tables say.
#[test]
fn targets_are_those_of_the_text() {
    let text = "a: &x 1\nb: *x\nc: &x # c\n  # d\n  [*x, &y k]\n? &x q\n: *x\n---\ne: &x !!str\n  f\ng: *x\n";
    let doc = Document::parse(text.into(), Format::Yaml);
    // An alias inside of what it names is a cycle; its target is the collection around it.
    let doc = doc.expect("valid");
    let targets: Vec<&str> = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Alias)
        .map(|id| doc.alias_target(id).map_or("none", |target| doc.source(target)))
        .collect();
    assert_eq!(targets, ["1", "[*x, &y k]", "q", "f"]);
}

/// One long name above many entries.
#[test]
fn long_names_in_the_metadata() {
    let name = "f".repeat(1 << 20);
    let entries = "{a: x, b: y}, ".repeat(MANY);
    let text = format!("{}  ? {name}\n  : [{entries}]\n", with_head(""));
    let metadata = EncryptedFile::parse(text, Format::Yaml);
    let opened = metadata.expect("metadata").decrypt(&data_key()).expect("opens");
    assert_eq!(opened.outcome().verdict(), Verdict::RecipientsChanged);
}

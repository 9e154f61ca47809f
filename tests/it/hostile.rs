//! Files by somebody without the key who wants to be noticed late, or to cost much.
//!
//! Time is not measured here: what took the square of its size would take minutes at these sizes.
//! `benches/` has the figures.

use waxseal::document::{Document, Format, NodeKind};
use waxseal::file::FileError;

use crate::support::{open, seal};

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
fn many_tag_handles() {
    let lines: String = (0..MANY).map(|n| format!("%TAG !a{n}! tag:x,2000:\n")).collect();
    let tags: String = (0..MANY).map(|n| format!("!a{n}!x y, ")).collect();
    check_broken(with_head(&format!("{lines}---\nl_unencrypted: [{tags}]\n")));
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

//! Tamper-evident: changes made without the key, thousands of them, each judged by what it did.
//!
//! The judge knows nothing of tags. It compares what two texts decrypt to, leaf by leaf, and holds
//! the verdict against that: changed data must be an error, a changed text *respelled*, changed
//! recipients *recipients changed*; and bytes that changed under the verdict *sealed* must have one of
//! the reasons of [`harmless::harmless`].

mod base;
mod harmless;
mod judge;
mod mutants;

use std::collections::BTreeMap;

use waxseal::document::Format;
use waxseal::file::Verdict;

use self::base::{Base, RULES};
use self::judge::{judge, word};
use self::mutants::mutants;
use crate::support::open;

#[test]
fn an_older_version_is_a_file() {
    let base = Base::new(Format::Yaml, RULES[0], false);
    let opened = open(&base.older, Format::Yaml).expect("opens");
    assert_eq!(opened.outcome().verdict(), Verdict::Sealed);
}

/// Its metadata under the values of now, or its values under the metadata of now.
#[test]
fn parts_of_an_older_version_are_no_file() {
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        for rule in RULES {
            let base = Base::new(format, rule, false);
            let at = |text: &str| text.find("sops").expect("the metadata");
            let (new, old) = (at(&base.sealed), at(&base.older));
            let mixed = [&base.sealed[..new], &base.older[old..]].concat();
            let error = open(&mixed, format).expect_err("a mix of two versions");
            assert_eq!(word(&error), "mac mismatch", "{rule:?}");
            let mixed = [&base.older[..old], &base.sealed[new..]].concat();
            let error = open(&mixed, format).expect_err("a mix of two versions");
            assert_eq!(word(&error), "mac mismatch", "{rule:?}");
        }
    }
}

/// Sops reads what stands behind a comment at the margin; so must the tag of the recipients.
#[test]
fn a_comment_at_the_margin_hides_no_recipient() {
    let base = Base::new(Format::Yaml, RULES[0], false);
    let planted = "# c\n  pgp:\n  - created_at: \"2026-01-02T03:04:05Z\"\n    enc: x\n    fp: AB\n";
    let line = base.sealed.find("  version:").expect("a version");
    let mutant = [&base.sealed[..line], planted, &base.sealed[line..]].concat();
    let verdict = open(&mutant, Format::Yaml).map(|opened| opened.outcome().verdict());
    assert_eq!(verdict.expect("opens"), Verdict::RecipientsChanged);
}

#[test]
fn a_comment_behind_a_key_hides_no_recipient() {
    let base = Base::new(Format::Yaml, RULES[0], false);
    let planted = "  pgp: # c\n  - created_at: \"2026-01-02T03:04:05Z\"\n    enc: x\n    fp: AB\n";
    let line = base.sealed.find("  version:").expect("a version");
    let mutant = [&base.sealed[..line], planted, &base.sealed[line..]].concat();
    let verdict = open(&mutant, Format::Yaml).map(|opened| opened.outcome().verdict());
    assert_eq!(verdict.expect("opens"), Verdict::RecipientsChanged);
}

/// Every mutant of every rule; the first wrong ones are the message.
#[expect(clippy::print_stdout, reason = "how many there were is what the test is about")]
#[track_caller]
fn sweep(format: Format, mac_only: bool) {
    let mut tally: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (salt, rule) in RULES.into_iter().enumerate() {
        let base = Base::new(format, rule, mac_only);
        for (name, mutant) in mutants(&base, salt) {
            count += 1;
            let judged = std::panic::catch_unwind(|| judge(&base, &mutant));
            match judged.unwrap_or_else(|_| Err("a panic".into())) {
                Ok(class) => {
                    let name = format!("{}: {name}", rule.0);
                    tally.entry(class).or_insert((0, name)).0 += 1;
                }
                Err(why) => wrong.push((why, format!("{}: {name}", rule.0), mutant)),
            }
        }
    }
    let table: String = tally
        .iter()
        .map(|(class, (count, example))| format!("  {count:6}  {class} (as: {example})\n"))
        .collect();
    let report = format!("{} mac_only={mac_only}: {count} mutants\n{table}", format.name());
    if let Some(path) = std::env::var_os("WAXSEAL_REPORT") {
        let name = format!("tamper-{}-{mac_only}.txt", format.name());
        std::fs::write(std::path::Path::new(&path).join(name), &report).expect("a report");
    }
    println!("{report}");
    if let Some(path) = std::env::var_os("WAXSEAL_REPORT") {
        let name = format!("tamper-{}-{mac_only}-wrong.txt", format.name());
        let list: String =
            wrong.iter().map(|(why, name, text)| format!("{why}\t{name}\t{text:?}\n")).collect();
        std::fs::write(std::path::Path::new(&path).join(name), list).expect("a report");
    }
    let mut kinds: BTreeMap<&str, (usize, &str, &str)> = BTreeMap::new();
    for (why, name, mutant) in &wrong {
        kinds.entry(why).or_insert((0, name, mutant)).0 += 1;
    }
    let first: String = kinds
        .iter()
        .map(|(why, (count, name, mutant))| format!("{count} x {why}\n  {name}\n{mutant}\n"))
        .collect();
    assert!(wrong.is_empty(), "{} of {count} wrong\n{first}", wrong.len());
    assert!(count > 10_000, "{report}");
}

#[test]
fn yaml_shows_each_change() {
    sweep(Format::Yaml, false);
}

#[test]
fn yaml_with_the_mac_of_the_sealed_only_shows_each_change_of_those() {
    sweep(Format::Yaml, true);
}

#[test]
fn json_shows_each_change() {
    sweep(Format::Json, false);
}

#[test]
fn json_with_the_mac_of_the_sealed_only_shows_each_change_of_those() {
    sweep(Format::Json, true);
}

#[test]
fn toml_shows_each_change() {
    sweep(Format::Toml, false);
}

#[test]
fn toml_with_the_mac_of_the_sealed_only_shows_each_change_of_those() {
    sweep(Format::Toml, true);
}

//! The YAML test suite and files that people wrote, against three other readings of them.

use std::fs;
use std::path::Path;

use super::differences::{self, Difference};
use super::{corpus, invariants, oracle, shape};

/// Name and text of every YAML file of a folder.
pub(super) fn texts(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("the corpus is readable");
    let mut texts: Vec<_> = entries
        .map(|entry| entry.expect("the corpus is readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml"))
        .filter_map(|path| {
            let name = path.file_stem()?.to_string_lossy().into_owned();
            Some((name, String::from_utf8(fs::read(&path).ok()?).ok()?))
        })
        .collect();
    texts.sort();
    assert!(!texts.is_empty(), "no YAML in {}", folder.display());
    texts
}

/// A text with other line breaks, and with a byte order mark.
fn variants(text: &str) -> [(&'static str, String); 3] {
    let crlf = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let mark = text.trim_start_matches('\u{feff}');
    [("as it is", text.to_owned()), ("CRLF", crlf), ("BOM", format!("\u{feff}{mark}"))]
}

/// Invalid cases that we accept, as libyaml and PyYAML do: lines of a quoted scalar or in brackets
/// that are indented by a tab or not at all.
const ACCEPTED: [&str; 3] = ["9C9N", "DK95-01", "QB6E"];

#[test]
fn suite_cases_are_accepted_and_refused() {
    let Some(folder) = corpus("yaml") else { return };
    for (name, text) in texts(&folder.join("valid")) {
        for (variant, text) in variants(&text) {
            let (_, document) = oracle::ours(&text)
                .unwrap_or_else(|error| panic!("{name} ({variant}) is refused: {error}"));
            if let Err(broken) = invariants::check(&document) {
                panic!("{name} ({variant}): {broken}");
            }
        }
        let cr = text.replace("\r\n", "\n").replace('\n', "\r");
        let of = |text: &str| oracle::ours(text).map(|(reading, _)| shape::of_reading(&reading));
        assert_eq!(of(&cr).ok(), of(&text).ok(), "{name} (CR)");
    }
    for (name, text) in texts(&folder.join("invalid")) {
        for (variant, text) in variants(&text) {
            let accepted = oracle::ours(&text).is_ok();
            assert_eq!(accepted, ACCEPTED.contains(&&*name), "{name} ({variant})");
        }
    }
}

#[test]
fn suite_structure_is_that_of_the_event_files() {
    let Some(folder) = corpus("yaml/valid") else { return };
    for (name, text) in texts(&folder) {
        let Ok(events) = fs::read_to_string(folder.join(format!("{name}.event"))) else { continue };
        let (reading, _) = oracle::ours(&text).expect("valid cases are accepted");
        let mut expected = shape::suite(&events);
        if expected.is_empty() {
            expected.push("document".to_owned());
        }
        assert_eq!(shape::of_reading(&reading), expected, "{name}");
    }
}

#[test]
fn suite_spans_are_those_of_granit() {
    let Some(folder) = corpus("yaml/valid") else { return };
    for (name, text) in texts(&folder) {
        for (variant, text) in variants(&text) {
            let difference = differences::with_granit(&text);
            assert!(difference.is_none(), "{name} ({variant}): {difference:?}");
        }
    }
}

#[test]
fn real_files_have_the_spans_of_granit() {
    let Some(folder) = corpus("real/yaml") else { return };
    for (name, text) in texts(&folder) {
        let difference = differences::with_granit(&text);
        assert!(difference.is_none(), "{name}: {difference:?}");
        if let Ok((_, document)) = oracle::ours(&text)
            && let Err(broken) = invariants::check(&document)
        {
            panic!("{name}: {broken}");
        }
    }
}

#[test]
fn saphyr_reads_the_same_shapes() {
    let mut new = Vec::new();
    for folder in ["yaml/valid", "real/yaml"] {
        let Some(folder) = corpus(folder) else { return };
        for (name, text) in texts(&folder) {
            if let Some(Difference::New(what)) = differences::with_saphyr(&text) {
                new.push(format!("{name}: {what}"));
            }
        }
    }
    assert!(new.is_empty(), "{}", new.join("\n"));
}

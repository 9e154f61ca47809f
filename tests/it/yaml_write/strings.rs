//! Strings of every kind at every kind of place: read back as they are, by us and by others.

use granit_parser::{Event as GranitEvent, Parser as GranitParser};
use saphyr_parser::{Event, Parser};
use waxseal::document::NodeKind;
use waxseal::value::{Scalar, ScalarType};

use super::{corpus, outline, parse, try_parse, with, write_scalar};

/// Strings that some writer of YAML has got wrong.
const NASTY: [&str; 103] = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "a",
    " a",
    "a ",
    "a\n",
    "\na",
    "a\n\n",
    "a\nb",
    "a\nb\n",
    "a\n\nb",
    "a\n b",
    " a\nb",
    "\n a",
    "  \na",
    "a\n  \nb",
    "a\n ",
    "a\n\t",
    "\ta",
    "a\tb",
    "a\t",
    "\n\ta",
    "a \nb",
    "a\r\nb",
    "a\rb",
    "\r",
    "yes",
    "No",
    "ON",
    "off",
    "y",
    "n",
    "Y",
    "true",
    "False",
    "null",
    "Null",
    "~",
    "NULL",
    "=",
    "<<",
    ".inf",
    "-.INF",
    ".nan",
    "inf",
    "NaN",
    "1",
    "-1",
    "+1",
    "0",
    "007",
    "0o7",
    "0x1F",
    "0b1",
    "1_000",
    "1.5",
    "1.",
    ".5",
    "1e3",
    "1:30",
    "12:30:45",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "2024-01-01 00:00:00",
    "-",
    "- a",
    "--",
    "---",
    "--- a",
    "...",
    "?",
    "? a",
    ":",
    ": a",
    "a:",
    "a: b",
    "a:b",
    "#",
    "# a",
    "a #b",
    "a#b",
    "&a",
    "*a",
    "!a",
    "!!str a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "'",
    "\"",
    "it's",
    "\\",
    "{a: b}",
    "[a]",
    "a,b",
    "\u{7f}\u{85}\u{a0}\u{feff}\u{2028}\u{2029}\u{fffe}",
    "é😀\u{1}\0",
];

#[track_caller]
fn check(text: &str, value: &Scalar<'_>, expect: &str) {
    let doc = parse(text);
    let id = doc.ids().rfind(|&id| doc.node(id).kind() == NodeKind::Scalar).expect("a scalar");
    assert_eq!(with(&doc, doc.node(id).span(), &write_scalar(&doc, id, value)), expect);
}

#[track_caller]
fn check_str(text: &str, value: &str, expect: &str) {
    check(text, &Scalar::str(value), expect);
}

#[test]
fn a_place_keeps_its_style() {
    check_str("k: x\n", "a b", "k: a b\n");
    check_str("k: x\n", "yes", "k: \"yes\"\n");
    check_str("k: x\n", "a: b", "k: 'a: b'\n");
    check_str("k: 'x'\n", "a b", "k: 'a b'\n");
    check_str("k: 'x'\n", "a\nb", "k: \"a\\nb\"\n");
    check_str("k: \"x\"\n", "it's \"a\"", "k: \"it's \\\"a\\\"\"\n");
    check_str("{k: x}", "a b", "{k: a b}");
    check_str("{k: x}", "a,b", "{k: \"a,b\"}");
    check_str("k: |\n   x\nl: !x", "", "k: |\n   x\nl: !x \"\"");
}

#[test]
fn a_block_keeps_its_header_where_it_can() {
    check_str("k: | # c\n   x\n", "a\n\nb\n", "k: | # c\n   a\n\n   b\n");
    check_str("k: | # c\n   x\n", "a", "k: |- # c\n   a\n");
    check_str("k: |\n   x\n", " a\n", "k: |3\n    a\n");
    check_str("k: |+\n  x\n\n\n", "a\n", "k: |+\n  a\n");
    check_str("k: |+\n  x\n", "\n\n", "k: |+\n\n\n");
    check_str("k: |-\n  x\n\n\n", "a\n\n\n", "k: |+\n  a\n\n\n");
    check_str("k: |-\n  x\n\n\n", "a\n\n", "k: \"a\\n\\n\"\n\n\n");
    check_str("k: >-\n  x\n", "one line", "k: >-\n  one line\n");
    check_str("k: >-\n  x\n", "a\nb", "k: |-\n  a\n  b\n");
    check_str("k: >2-\r\n  x\r\n", "a\nb", "k: |2-\r\n  a\r\n  b\r\n");
    check_str("k: | # c\n  x\n", "a\rb", "k: \"a\\rb\" # c\n");
    check("k: |\n  x\n", &Scalar::int(5), "k: 5\n");
}

#[test]
fn lines_at_a_plain_place_become_a_literal() {
    check_str("k: x\n", "a\nb\n", "k: |\n    a\n    b\n");
    check_str("a:\n  k: x\n", "a\nb", "a:\n  k: |-\n    a\n    b\n");
    check_str("k: x", "a\nb\n", "k: |\n    a\n    b\n");
    check_str("k: x # c\n", "a\nb\n", "k: \"a\\nb\\n\" # c\n");
    check_str("- x\n- y\n", "a\nb\n\n", "- x\n- |+\n    a\n    b\n\n");
    check_str("k: x\n", " a\nb", "k: |4-\n     a\n    b\n");
}

#[test]
fn values_that_are_no_strings() {
    check("k: x\n", &Scalar::bool(true), "k: true\n");
    check("{k: \"x\"}", &Scalar::float(f64::INFINITY), "{k: .inf}");
    check("k: 'x'\n", &Scalar::float(1e10), "k: 10000000000\n");
    check(
        "k: x\n",
        &Scalar::new(ScalarType::Time, &b"2024-01-02T00:00:00Z"[..]),
        "k: 2024-01-02T00:00:00Z\n",
    );
    check("k: 'x'\n", &Scalar::new(ScalarType::Str, &b"\xff"[..]), "k: !!binary /w==\n");
    check("k: ~\n", &Scalar::null(), "k: null\n");
    check("k:\n", &Scalar::null(), "k:\n");
    check("k: x\n", &Scalar::new(ScalarType::DateLocal, &b"2024-01-02"[..]), "k: \"2024-01-02\"\n");
}

#[test]
fn comments_are_written_behind_their_mark() {
    let doc = parse("a:\n  # x\n  b: 1 # y\n");
    let ids: Vec<_> = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Comment).collect();
    let comment = |text: &'static str| Scalar::new(ScalarType::Comment, text.as_bytes());
    assert_eq!(write_scalar(&doc, ids[0], &comment(" new")), "# new");
    assert_eq!(write_scalar(&doc, ids[0], &comment("a\nb")), "#a\n  #b");
    assert_eq!(write_scalar(&doc, ids[1], &comment("")), "#");
}

#[test]
fn every_string_reads_back_at_every_place() {
    let (mut count, mut wrong, mut skipped) = (0, Vec::new(), 0);
    let places = corpus::small();
    for (name, text) in &places {
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let Some(doc) = try_parse(&text) else { continue };
            for id in super::sealable(&doc) {
                for nasty in NASTY {
                    count += 1;
                    let value = Scalar::str(nasty);
                    let changed = with(&doc, doc.node(id).span(), &write_scalar(&doc, id, &value));
                    let Some(after) = try_parse(&changed) else {
                        wrong.push(format!("{name} {nasty:?}: {changed:?} does not parse"));
                        continue;
                    };
                    let (before, now) = (outline(&doc), outline(&after));
                    // The comment of a header is no node until the value stands on one line.
                    let others = |lines: &[String]| {
                        let mut lines = lines.to_vec();
                        lines.remove(id.index());
                        lines.retain(|line| !line.starts_with("Comment"));
                        lines
                    };
                    if after.scalar(id).ok() != Some(value) || others(&before) != others(&now) {
                        wrong.push(format!("{name} {nasty:?}: {changed:?}"));
                    }
                    match (saphyr(&text), saphyr(&changed)) {
                        (Some(before), Some(now)) if before.len() == now.len() => {
                            let differ: Vec<_> = before
                                .iter()
                                .zip(&now)
                                .filter(|(a, b)| a != b)
                                .map(|(_, b)| b)
                                .collect();
                            if differ.len() > 1 || differ.first().is_some_and(|now| *now != nasty) {
                                wrong.push(format!(
                                    "{name} {nasty:?} to saphyr: {changed:?} {differ:?}"
                                ));
                            }
                        }
                        (Some(_), _) if granit_reads(&changed) => skipped += 1,
                        (Some(_), _) => {
                            wrong.push(format!("{name} {nasty:?} to saphyr: {changed:?}"))
                        }
                        (None, _) => {}
                    }
                }
            }
        }
    }
    println!("{count} strings, {} wrong, {skipped} by granit only", wrong.len());
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(20)]);
}

fn saphyr(text: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    for event in Parser::new_from_str(text) {
        if let (Event::Scalar(value, ..), _) = event.ok()? {
            values.push(value.into_owned());
        }
    }
    Some(values)
}

fn granit_reads(text: &str) -> bool {
    let mut scalars = 0;
    for event in GranitParser::new_from_str(text) {
        match event {
            Ok((GranitEvent::Scalar(..), _)) => scalars += 1,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    scalars > 0
}

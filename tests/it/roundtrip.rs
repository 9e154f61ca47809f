//! Byte-exact: `decrypt(encrypt(x)) == x`, for every document that can be sealed.

use waxseal::document::Format;
use waxseal::file::{Consent, Nonces, Verdict};

use crate::support::{corpus, now, open, seal};

#[track_caller]
fn check(text: &str, format: Format) {
    let sealed =
        seal(text, format).unwrap_or_else(|error| panic!("does not seal: {error}\n{text}"));
    let opened =
        open(&sealed, format).unwrap_or_else(|error| panic!("does not open: {error}\n{sealed}"));
    assert_eq!(opened.document().text(), text, "sealed as\n{sealed}");
    assert_eq!(opened.outcome().verdict(), Verdict::Sealed, "{:?}\n{sealed}", opened.outcome());
}

#[test]
fn examples_come_back() {
    check(include_str!("../../testdata/examples/values.yaml"), Format::Yaml);
    check(include_str!("../../testdata/examples/package.json"), Format::Json);
    check(include_str!("../../testdata/examples/Cargo.toml"), Format::Toml);
}

#[test]
fn yaml_of_every_shape_comes_back() {
    for text in [
        "a: 1\n",
        "a: 1",
        "a: x\r\nb: y\r\n",
        "\u{feff}a: 1\n",
        "---\na: 1\n...\n",
        "---\na: 1\n---\nb: 2\n",
        "---\n---\na: 1\n",
        "{a: 1, b: [x, 'y', \"z\"]}\n",
        "{}\n",
        "{a: 1,}\n",
        "- a\n- b: 1\n  c: 2\n",
        "[a, b]\n",
        "[]\n",
        "a: |\n  x\n   y\n\n",
        "a: |+\n  x\n\n",
        "a: |\n  x",
        "a: >-\n  x\n  y\n",
        "a: 0x1F\nb: 1.10\nc: 1e3\nd: 2024-01-01\ne: True\nf: ~\ng:\n",
        "a: \"\\u00e9\"\nb: 'it''s'\nc: \"two\n  lines\"\n",
        "a: &x 1\nb: *x\n",
        "a: &x {p: q, r: [1, 2]}\nb: *x\nc:\n  <<: *x\n",
        "a: !!int \"3\"\nb: !!binary aGk=\nc: !custom 12\nd: ! 12\ne: !!str 5\n",
        // Comments with and without text between a tag and its value, and an alias behind them.
        "a: !!binary &a\n\n#\n##\n#\n  \"aGk=\"\nb:  *a\n",
        "# head\na: 1 # inline\n# between\nb:\n  # inner\n  c: 2\n  # tail\n# foot\n",
        "l:\n  # one\n  - a # two\n  # three\n  - b\n",
        "1: x\ntrue: y\n? [a, b]\n: z\n",
        "a: 12345678901234567890\nb: 1.12345678901234567890\n",
        "a: &p\n- {}\n- s\nb: *p\n",
        "a: &p {x: [], y: [{}, {z: s}], t: u}\nb: [[], *p, *p]\nc: {e: {}, f: *p}\n",
        "a:\n- x\n- y\n",
        "f:\n  - \"x\"\n\nc:\n  s:\n    p:\n      q: 1\n      r:\n  \n# P",
        "a:\n  b:\n  \n# P",
        "k: v\n\n\n# end",
        "%%\u{4a6} x\n---\n",
        "a: !!int # c\n  33\nb: 1\n",
        "l: [&x !!float 1.0, *x, {a: *x}]\n",
        "- !!int # c\n  33\n- !!float\n  # x\n  # y\n  5\n- # c\n  1\n",
        "[\n!!int # a\n33, &x !!int # b\n7, *x]\n",
        "# c\na: &x !!int # c\n  33\nb: *x\nc: [1, *x]\n",
    ] {
        check(text, Format::Yaml);
    }
}

#[test]
fn json_of_every_shape_comes_back() {
    for text in [
        "{\"a\": 1}\n",
        "{\"a\":1}",
        "{}",
        "[]",
        "[1, \"x\", null, {\"a\": []}]\n",
        "{\r\n\t\"a\": \"x\",\r\n\t\"b\": [1.0, 1e3, -0, 12345678901234567890]\r\n}\r\n",
        "\u{feff}{\"a\": \"\\u00e9\\/\"}",
    ] {
        check(text, Format::Json);
    }
}

#[test]
fn toml_of_every_shape_comes_back() {
    for text in [
        "",
        "a = 1",
        "\u{feff}a = 0x1F\r\n[b]\r\nc = '''x'''\r\n",
        "d = 1985-06-18 17:02:60\nt = 23:59:60.5\n",
    ] {
        check(text, Format::Toml);
    }
}

/// Each has a token of its own, and a tag that a note brings back stands before some of them.
#[test]
fn of_equal_values_those_that_stay_keep_their_lines() {
    for (text, gone) in [
        ("l:\n- 3\n- !!int \"3\"\n- !!int \"3\"\n- 3\nz: 1\n", "- 3\n"),
        ("l:\n- !!int \"3\"\n- 3\n- &x !!int \"3\"\n- 3\nz: 1\n", "- !!int \"3\"\n"),
        ("l:\n# c\n- 3\n# c\n- 3\n# c\n- 3\nz: 1\n", "# c\n"),
    ] {
        let opened = open(&seal(text, Format::Yaml).expect("seals"), Format::Yaml).expect("opens");
        let changed = text.replacen(gone, "", 1);
        let written = opened
            .reencrypt(changed.clone(), Nonces::Derived, now(), Consent::AsBefore)
            .expect("seals again");
        assert_eq!(open(&written, Format::Yaml).expect("opens").document().text(), changed);
        let lines = |text: &str| -> Vec<String> {
            let data = text.split("sops:").next().unwrap_or_default();
            data.lines().map(str::to_owned).collect()
        };
        let (mut old, new) = (lines(opened.encrypted().text()), lines(&written));
        old.remove(text.lines().position(|line| gone.trim_end() == line).expect("there"));
        assert_eq!(old, new, "{text}");
    }
}

/// Seals and opens each file of a folder whose name passes. At least so many come back byte for byte;
/// the rest is refused for one of the reasons. Gives how many of either.
fn sweep(files: &Files, least: usize, reasons: &[&str], change: fn(&str) -> String) -> [usize; 2] {
    let Some(corpus) = corpus() else { return [0, 0] };
    let (mut exact, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for path in crate::support::files(&corpus.join(files.folder), "") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if !(files.takes)(&name) {
            continue;
        }
        let Ok(text) = String::from_utf8(std::fs::read(&path).expect("readable")) else { continue };
        let text = change(&text);
        let sealed = match std::panic::catch_unwind(|| seal(&text, files.format)) {
            Err(_) => {
                wrong.push(format!("{name}: panicked"));
                continue;
            }
            Ok(Ok(sealed)) => sealed,
            Ok(Err(error)) => {
                let error = error.to_string();
                if !reasons.iter().any(|reason| error.contains(reason)) {
                    wrong.push(format!("{name}: {error}"));
                }
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        match open(&sealed, files.format) {
            Ok(opened) if opened.document().text() != text => wrong.push(format!("{name}: bytes")),
            Ok(opened) if opened.outcome().verdict() != Verdict::Sealed => {
                wrong.push(format!("{name}: {:?}", opened.outcome()));
            }
            Ok(_) => exact += 1,
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    let report = format!(
        "{}: {exact} exact, {} refused\n{}\nwrong:\n{}",
        files.folder,
        refused.len(),
        refused.join("\n"),
        wrong.join("\n")
    );
    if let Some(path) = std::env::var_os("WAXSEAL_REPORT") {
        let name = format!("{}-{}.txt", files.folder.replace('/', "-"), files.format.name());
        std::fs::write(std::path::Path::new(&path).join(name), &report).expect("a report");
    }
    assert!(wrong.is_empty(), "{report}");
    assert!(exact >= least, "{report}");
    [exact, refused.len()]
}

/// Files of the corpus.
struct Files {
    folder: &'static str,
    format: Format,
    takes: fn(&str) -> bool,
}

const YAML_SUITE: Files = Files { folder: "yaml/valid", format: Format::Yaml, takes: is_yaml };
const JSON_SUITE: Files = Files { folder: "json", format: Format::Json, takes: is_valid_json };
const TOML_SUITE: Files = Files { folder: "toml/valid", format: Format::Toml, takes: is_toml };

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml")
}

fn is_valid_json(name: &str) -> bool {
    name.starts_with("y_")
}

fn is_toml(name: &str) -> bool {
    name.ends_with(".toml")
}

/// What our format cannot carry, though the suites call it valid.
const NOT_CARRIED: [&str; 3] =
    ["a document that is a single value", "the file holds no document", "stands twice"];

fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

fn with_byte_order_mark(text: &str) -> String {
    format!("\u{feff}{}", text.trim_start_matches('\u{feff}'))
}

#[test]
fn the_yaml_suite_comes_back() {
    for change in [str::to_owned, with_crlf, with_byte_order_mark] {
        sweep(&YAML_SUITE, 220, &NOT_CARRIED, change);
    }
}

#[test]
fn the_json_suite_comes_back() {
    for change in [str::to_owned, with_crlf, with_byte_order_mark] {
        sweep(&JSON_SUITE, 80, &NOT_CARRIED, change);
    }
}

#[test]
fn the_toml_suite_comes_back() {
    for change in [str::to_owned, with_crlf, with_byte_order_mark] {
        sweep(&TOML_SUITE, 200, &NOT_CARRIED, change);
    }
}

/// Refusals of real files: each for a reason that is listed, below one in a hundred.
#[track_caller]
fn check_real(files: &Files, least: usize, reasons: &[&str]) {
    let reasons = [&NOT_CARRIED, reasons].concat();
    let [exact, refused] = sweep(files, least, &reasons, str::to_owned);
    assert!(refused * 100 <= exact, "{exact} exact, {refused} refused");
}

#[test]
fn real_yaml_comes_back() {
    let files = Files { folder: "real/yaml", format: Format::Yaml, takes: |_| true };
    // No YAML: every other parser refuses this one too.
    check_real(&files, 2_000, &["text behind a value that has ended"]);
}

#[test]
fn real_json_comes_back() {
    let files = Files { folder: "real/json", format: Format::Json, takes: |_| true };
    // JSON with comments, or with a comma too many.
    check_real(&files, 500, &["which JSON does not have"]);
}

#[test]
fn real_toml_comes_back() {
    let files = Files { folder: "real/toml", format: Format::Toml, takes: |_| true };
    check_real(&files, 500, &[]);
}

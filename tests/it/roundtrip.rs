//! Byte-exact: `decrypt(encrypt(x)) == x`, for every document that can be sealed.

use waxseal::document::Format;
use waxseal::file::Verdict;

use crate::support::{corpus, files, open, seal};

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
        "# head\na: 1 # inline\n# between\nb:\n  # inner\n  c: 2\n  # tail\n# foot\n",
        "l:\n  # one\n  - a # two\n  # three\n  - b\n",
        "1: x\ntrue: y\n? [a, b]\n: z\n",
        "a: 12345678901234567890\nb: 1.12345678901234567890\n",
        "a:\n- x\n- y\n",
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

/// Seals and opens each file of a folder; gives how many came back and what was refused.
fn sweep(folder: &str, suffix: &str, format: Format, change: fn(&str) -> String) {
    let Some(corpus) = corpus() else { return };
    let (mut exact, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for path in files(&corpus.join(folder), suffix) {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let Ok(text) = String::from_utf8(std::fs::read(&path).expect("readable")) else { continue };
        let text = change(&text);
        let sealed = match std::panic::catch_unwind(|| seal(&text, format)) {
            Err(_) => {
                wrong.push(format!("{name}: panicked"));
                continue;
            }
            Ok(Ok(sealed)) => sealed,
            Ok(Err(error)) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        match open(&sealed, format) {
            Ok(opened) if opened.document().text() != text => wrong.push(format!("{name}: bytes")),
            Ok(opened) if opened.outcome().verdict() != Verdict::Sealed => {
                wrong.push(format!("{name}: {:?}", opened.outcome()));
            }
            Ok(_) => exact += 1,
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    let report = format!(
        "{folder}: {exact} exact, {} refused\n{}\nwrong:\n{}",
        refused.len(),
        refused.join("\n"),
        wrong.join("\n")
    );
    if let Some(path) = std::env::var_os("WAXSEAL_REPORT") {
        let name = format!("{}-{suffix}.txt", folder.replace('/', "-"));
        std::fs::write(std::path::Path::new(&path).join(name), &report).expect("a report");
    }
    assert!(wrong.is_empty(), "{report}");
}

#[test]
fn the_yaml_suite_comes_back() {
    sweep("yaml/valid", ".yaml", Format::Yaml, str::to_owned);
}

#[test]
fn the_yaml_suite_comes_back_with_crlf() {
    sweep("yaml/valid", ".yaml", Format::Yaml, |text| text.replace('\n', "\r\n"));
}

#[test]
fn the_yaml_suite_comes_back_with_a_byte_order_mark() {
    sweep("yaml/valid", ".yaml", Format::Yaml, |text| format!("\u{feff}{text}"));
}

#[test]
fn real_yaml_comes_back() {
    sweep("real/yaml", "", Format::Yaml, str::to_owned);
}

#[test]
fn real_json_comes_back() {
    sweep("real/json", ".json", Format::Json, str::to_owned);
}

#[test]
fn real_toml_comes_back() {
    sweep("real/toml", ".toml", Format::Toml, str::to_owned);
}

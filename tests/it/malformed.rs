//! Bad input: one small file per fault in `testdata/malformed/`, named by the fault, and what is
//! said about it.
//!
//! No message holds a planted secret or text of the document, and none is the generic one of a text
//! that does not read back.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use waxseal::document::Format;
use waxseal::file::FileError;

use crate::support::{files, open, seal};

/// What is planted in every file: as a value, in a comment, as a part of a broken token.
const SECRETS: [&str; 3] = ["hunter2", "s3cr3t", "correct-horse"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/malformed")
}

/// Sealed files are opened, the others sealed.
fn verdict(name: &str, text: String) -> Result<String, FileError> {
    let format = Format::of_file_name(name);
    if name.starts_with("sealed-") {
        return open(&text, format).map(|opened| format!("{:?}", opened.outcome().verdict()));
    }
    seal(&text, format).map(|_| "seals".to_owned())
}

fn message(error: &FileError) -> String {
    let mut out = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        // Some messages hold that of their source already.
        if !out.ends_with(&error.to_string()) {
            out += &format!(": {error}");
        }
        source = error.source();
    }
    out
}

#[track_caller]
fn check_silent(name: &str, text: &str, message: &str) {
    for secret in SECRETS {
        assert!(!message.contains(secret), "{name}: {message}");
    }
    assert!(!message.contains("does not read back"), "{name}: {message}");
    let long = |word: &&str| word.len() > 11 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(long) {
        let known = ["lastmodified", "unencrypted"].contains(&word);
        assert!(known || !message.contains(word), "{name}: {message} holds {word}");
    }
}

#[test]
fn each_fault_has_its_message() {
    let mut table = String::new();
    for path in files(&folder(), "") {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name == "messages.txt" {
            continue;
        }
        let text = String::from_utf8(std::fs::read(&path).expect("readable")).expect("UTF-8");
        let said = match verdict(&name, text.clone()) {
            Ok(outcome) => format!("({outcome})"),
            Err(error) => message(&error),
        };
        check_silent(&name, &text, &said);
        table += &format!("{name}: {said}\n");
    }
    expect_file![folder().join("messages.txt")].assert_eq(&table);
}

/// Too large or too plain to be a file.
#[test]
fn depth_and_bombs_are_refused() {
    let deep = |open: &str, close: &str| open.repeat(10_001) + "1" + &close.repeat(10_001);
    let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let before = format!("*a{},", n - 1).repeat(9);
        format!("{text}a{n}: &a{n} [{before}]\n")
    });
    for (name, text, format) in [
        ("lists in YAML", format!("k: {}", deep("[", "]")), Format::Yaml),
        ("lists in JSON", format!("{{\"k\": {}}}", deep("[", "]")), Format::Json),
        ("maps in JSON", deep("{\"a\":", "}"), Format::Json),
        ("lists in TOML", format!("k = {}", deep("[", "]")), Format::Toml),
        ("dashes", format!("{}x\n", "- ".repeat(10_001)), Format::Yaml),
        ("aliases", bomb, Format::Yaml),
    ] {
        let error = seal(&text, format).expect_err(name);
        let said = message(&error).replace("10000", "10,000");
        let expected = if name == "aliases" { "1,000,000" } else { "10,000" };
        assert!(said.contains(expected), "{name}: {said}");
    }
}

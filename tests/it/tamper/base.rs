//! The files that are tampered with.

use waxseal::document::{Document, Format};
use waxseal::file::{Consent, EncryptOptions, Nonces, Verdict, encrypt};
use waxseal::policy::{Policy, Rule};
use waxseal::timestamp::Timestamp;

use super::judge::leaves;
use crate::support::{NOW, data_key, groups, now, open};

pub(super) const RULES: [(&str, &str); 6] = [
    ("unencrypted_suffix", "_unencrypted"),
    ("encrypted_suffix", "_secret"),
    ("unencrypted_regex", "^open"),
    ("encrypted_regex", "^(secret|db|list)"),
    ("unencrypted_comment_regex", "keep plain"),
    ("encrypted_comment_regex", "seal this"),
];

const YAML: &str = r#"# head
title_unencrypted: "open one"
secret: hunter2 # why
db_secret:
  user: admin
  # inner
  pass: 'it''s'
  port: 5432
  ratio: 1.50
  on: true
  since: 2024-01-02T03:04:05Z
open:
  level: 3
  flag: false
  name: plain
  none: null
  empty: ""
  bag: {}
  row: []
# seal this
marked: value
# keep plain
kept: value
list:
  # about a
  - a
  - b
  - {k: v, w: "x"}
  - [1, 2]
  - b
note: |
  two
  lines
hex: 0x1F
---
second: document
copy: &c {a: hunter2}
again: *c
"#;

const JSON: &str = r#"{
  "title_unencrypted": "open one",
  "secret": "hunter2",
  "db_secret": {
    "user": "admin",
    "pass": "it's \u00e9",
    "port": 5432,
    "ratio": 1.50,
    "on": true
  },
  "open": {
    "level": 3,
    "flag": false,
    "name": "plain",
    "none": null,
    "empty": "",
    "bag": {},
    "row": []
  },
  "list": ["a", "b", {"k": "v"}, [1, 2], "b"]
}
"#;

const TOML: &str = r#"# head
title_unencrypted = "open one"
secret = "hunter2" # why
list = ["a", "b", {k = "v"}, [1, 2], "b"]
# seal this
marked = 'value'
# keep plain
kept = "value"

[db_secret]
user = "admin"
# inner
port = 5432
ratio = 1.50
on = true
since = 2024-01-02T03:04:05Z
day = 2024-01-02

[open]
level = 3
flag = false
empty = ""
bag = {}
row = []

[[item]]
name = "one"

[[item]]
name = "two"
"#;

/// A sealed file, the version before it under the same key, and what it decrypts to.
pub(super) struct Base {
    pub(super) format: Format,
    pub(super) mac_only: bool,
    pub(super) rule: &'static str,
    pub(super) plain: String,
    pub(super) sealed: String,
    pub(super) older: String,
    pub(super) leaves: Vec<(String, String)>,
}

impl Base {
    pub(super) fn new(format: Format, rule: (&'static str, &str), mac_only: bool) -> Self {
        let field = rule.0;
        let plain = match format {
            Format::Yaml => YAML,
            Format::Json => JSON,
            _ => TOML,
        };
        let rule = Rule::from_config(rule.0, rule.1).expect("valid").expect("a rule");
        let policy = Policy::new(rule, mac_only);
        let before = plain
            .replace("hunter2", "hunter1")
            .replace("5432", "5433")
            .replace("open one", "open two")
            .replace("level: 3", "level: 2")
            .replace("0x1F", "0x2F")
            .replace("\"b\"", "\"c\"");
        let options = EncryptOptions {
            vouch_for_recipients: true,
            policy: &policy,
            groups: groups(),
            shamir_threshold: 0,
            nonces: Nonces::Derived,
            now: Timestamp::from_unix(NOW - 3600).expect("in range"),
        };
        let older = encrypt(before, format, &data_key(), &options).expect("seals");
        let opened = open(&older, format).expect("opens");
        let sealed = opened
            .reencrypt(plain.to_owned(), Nonces::Derived, now(), Consent::AsBefore)
            .expect("seals again");
        let mut base = Self {
            format,
            mac_only,
            rule: field,
            plain: plain.to_owned(),
            sealed,
            older,
            leaves: Vec::new(),
        };
        let opened = open(&base.sealed, format).expect("opens");
        assert_eq!(opened.document().text(), plain);
        assert_eq!(opened.outcome().verdict(), Verdict::Sealed);
        base.leaves = base.judged(&base.sealed, opened.document()).expect("leaves pair up");
        base
    }

    /// The leaves that must not change: all of them, or under `mac_only_encrypted` the sealed ones.
    pub(super) fn judged(
        &self,
        sealed: &str,
        plain: &Document,
    ) -> Result<Vec<(String, String)>, String> {
        let printed = leaves(plain);
        if !self.mac_only {
            return Ok(printed);
        }
        let sealed = Document::parse(sealed.to_owned(), self.format).map_err(|e| e.to_string())?;
        let sealed = leaves(&sealed);
        if sealed.len() != printed.len() {
            return Err(format!("{} leaves print as {}", sealed.len(), printed.len()));
        }
        Ok(sealed
            .into_iter()
            .zip(printed)
            .filter(|((_, token), (_, plain))| {
                token.starts_with("str ENC[") && !plain.starts_with("str ENC[")
            })
            .map(|(_, printed)| printed)
            .collect())
    }
}

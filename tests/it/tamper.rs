//! Tamper-evident: changes made without the key, thousands of them, each judged by what it did.
//!
//! The judge knows nothing of tags. It compares what two texts decrypt to, leaf by leaf, and holds
//! the verdict against that: changed data must be an error, a changed text *respelled*, changed
//! recipients *recipients changed*; and bytes that changed under the verdict *sealed* must have one of
//! the reasons of [`harmless`].

use std::collections::{BTreeMap, HashSet};

use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::file::{
    Consent, EncryptOptions, EncryptedFile, FileError, Nonces, Verdict, encrypt, unset,
};
use waxseal::path::{KeyPath, Step};
use waxseal::policy::{Policy, Rule};
use waxseal::timestamp::Timestamp;
use waxseal::value::{ScalarType, Tree};

use crate::support::{NOW, data_key, groups, now, open};

const RULES: [(&str, &str); 6] = [
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
struct Base {
    format: Format,
    mac_only: bool,
    rule: &'static str,
    plain: String,
    sealed: String,
    older: String,
    leaves: Vec<(String, String)>,
}

impl Base {
    fn new(format: Format, rule: (&'static str, &str), mac_only: bool) -> Self {
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
    fn judged(&self, sealed: &str, plain: &Document) -> Result<Vec<(String, String)>, String> {
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

/// Path and value of each leaf, null and empty container, in order; aliases followed, the metadata
/// left out.
fn leaves(doc: &Document) -> Vec<(String, String)> {
    // Not with `Document::entries`: what is judged here has its own eyes.
    let mut children: Vec<Vec<NodeId>> = vec![Vec::new(); doc.nodes().len()];
    for id in doc.ids().filter(|&id| doc.node(id).kind() != NodeKind::Document) {
        if doc.node(id).is_value() || doc.node(id).kind() == NodeKind::Key {
            children[doc.node(id).parent().index()].push(id);
        }
    }
    let mut out = Vec::new();
    let documents = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
    for (index, document) in documents.enumerate() {
        match children[document.index()].first() {
            Some(&root) => visit(doc, &children, root, &format!("{index}/"), &mut out),
            None => out.push((format!("{index}/"), "map".to_owned())),
        }
    }
    out
}

fn visit(
    doc: &Document,
    children: &[Vec<NodeId>],
    id: NodeId,
    path: &str,
    out: &mut Vec<(String, String)>,
) {
    let mut id = id;
    while doc.node(id).kind() == NodeKind::Alias {
        id = doc.alias_target(id).expect("an anchor");
    }
    let before = out.len();
    match doc.node(id).kind() {
        NodeKind::Map => {
            for &key in &children[id.index()] {
                let text = doc.key_text(key);
                if path.ends_with('/') && text == "sops" {
                    continue;
                }
                let kind = if doc.key_is_string(key) { "" } else { "~" };
                let path = format!("{path}{kind}{text:?}.");
                children[key.index()].iter().for_each(|&v| visit(doc, children, v, &path, out));
            }
            if out.len() == before {
                out.push((path.to_owned(), "map".to_owned()));
            }
        }
        NodeKind::List => {
            for (index, &item) in children[id.index()].iter().enumerate() {
                visit(doc, children, item, &format!("{path}{index}."), out);
            }
            if out.len() == before {
                out.push((path.to_owned(), "list".to_owned()));
            }
        }
        NodeKind::Key => out.push((path.to_owned(), format!("str {}", doc.key_text(id)))),
        _ => {
            let value = doc.scalar(id).map_or("error".to_owned(), |scalar| {
                let text = String::from_utf8_lossy(&scalar.bytes);
                format!("{} {}", scalar.kind.tree_name(), text.trim_end_matches('\n'))
            });
            out.push((path.to_owned(), value));
        }
    }
}

/// What an error is called in the tables.
pub(crate) fn word(error: &FileError) -> &'static str {
    match error {
        FileError::Parse(_) => "parse",
        FileError::NoMetadata => "no metadata",
        FileError::DoubledMetadata { .. } => "doubled metadata",
        FileError::ForbiddenInMetadata { .. } => "forbidden in metadata",
        FileError::Metadata(_) => "metadata",
        FileError::NotSealed { .. } => "not sealed",
        FileError::Open { .. } => "open",
        FileError::CommentAsValue { .. } => "comment as value",
        FileError::MacMissing => "mac missing",
        FileError::MacUnreadable => "mac unreadable",
        FileError::MacMismatch => "mac mismatch",
        FileError::Broken => "broken",
        FileError::AliasBudget { .. } => "alias budget",
        FileError::LengthBudget { .. } => "length budget",
        FileError::Check { .. } => "DOES NOT READ BACK",
        _ => "OTHER",
    }
}

/// What a mutant came to, or why that is wrong.
fn judge(base: &Base, mutant: &str) -> Result<String, String> {
    let toml = base.format == Format::Toml;
    let parsed = match EncryptedFile::parse(mutant.to_owned(), base.format) {
        Ok(file) => file,
        Err(error) => return refusal(&error, toml),
    };
    let metadata = parsed.metadata().clone();
    let opened = match parsed.decrypt(&data_key()) {
        Ok(opened) => opened,
        Err(error) => {
            false_alarm(base, mutant, &error)?;
            return refusal(&error, toml);
        }
    };
    let text = opened.document().text();
    let leaves = base.judged(mutant, opened.document())?;
    if leaves != base.leaves {
        let at = leaves.iter().zip(&base.leaves).position(|(a, b)| a != b).unwrap_or_default();
        let (got, was) = (leaves.get(at), base.leaves.get(at));
        return Err(format!("changed data was accepted: {got:?} was {was:?}"));
    }
    let original = EncryptedFile::parse(base.sealed.clone(), base.format).expect("parses");
    let same_recipients = recipients(&metadata.recipients_view())
        == recipients(&original.metadata().recipients_view());
    let same_text = lf(text) == lf(&base.plain);
    let outcome = opened.outcome();
    match outcome.verdict() {
        Verdict::Sealed if !same_recipients => Err("changed recipients count as sealed".into()),
        Verdict::Sealed if !same_text && !base.mac_only => {
            Err("a changed text counts as sealed".into())
        }
        Verdict::Sealed if !same_text => Ok("unjudged text".into()),
        Verdict::Sealed if planted(base, mutant) && !base.mac_only => {
            Err("what was planted counts as sealed".into())
        }
        Verdict::Sealed => match harmless(base, mutant) {
            Some(reason) => Ok(format!("sealed: {reason}")),
            None => Err("sealed, and no reason is listed".into()),
        },
        Verdict::Respelled if same_text && planted(base, mutant) => Ok("planted".into()),
        Verdict::Respelled if same_text => Err("the same text counts as respelled".into()),
        Verdict::Respelled => Ok("respelled".into()),
        Verdict::RecipientsChanged if same_recipients => {
            Err("the same recipients count as changed".into())
        }
        Verdict::RecipientsChanged => Ok("recipients changed".into()),
        verdict @ (Verdict::RecipientsUnvouched | Verdict::Broken | Verdict::Sops) => {
            Err(format!("no mutant can be {verdict:?}"))
        }
    }
}

fn refusal(error: &FileError, toml: bool) -> Result<String, String> {
    match word(error) {
        // A comment in the last table of the metadata is not taken out with it: to be fixed in
        // `document::toml`, and then a change of spelling or of nothing.
        "DOES NOT READ BACK" if toml => Ok("known: a comment in the metadata of TOML".into()),
        wrong @ ("DOES NOT READ BACK" | "OTHER") => Err(format!("{wrong}: {error}")),
        word => Ok(format!("refused: {word}")),
    }
}

/// An error about the seal must have a cause: data, the place of a token, or what the MAC is about.
fn false_alarm(base: &Base, mutant: &str, error: &FileError) -> Result<(), String> {
    if !matches!(error, FileError::Broken | FileError::MacMismatch) {
        return Ok(());
    }
    // Under a comment rule a comment says which values are sealed.
    let by_comments =
        base.rule.starts_with("unencrypted_comment") || base.rule.starts_with("encrypted_comment");
    if by_comments {
        return Ok(());
    }
    let parse = |text: &str| EncryptedFile::parse(text.to_owned(), base.format).expect("parses");
    let (file, original) = (parse(mutant), parse(&base.sealed));
    let same_metadata = file.metadata().mac() == original.metadata().mac()
        && file.metadata().policy() == original.metadata().policy()
        && file.metadata().lastmodified().seconds() == original.metadata().lastmodified().seconds();
    let Ok(opened) = file.decrypt_unverified(&data_key()) else { return Ok(()) };
    // Tokens by their declared type.
    let places = |text: &str| -> Vec<Option<String>> {
        let doc = Document::parse(text.to_owned(), base.format).expect("parses");
        leaves(&doc)
            .iter()
            .map(|(_, value)| {
                let token = value.strip_prefix("str ENC[")?;
                Some(token[token.rfind(",type:").unwrap_or_default()..].to_owned())
            })
            .collect()
    };
    let plain = Document::parse(base.plain.clone(), base.format).expect("parses");
    // A map that was split in two by its key has the same leaves, and is another one to a reader.
    let split = opened.document().duplicate_key().is_some();
    let same = same_metadata
        && !split
        && leaves(opened.document()) == leaves(&plain)
        && places(mutant) == places(&base.sealed);
    if same { Err(format!("false alarm: {error}")) } else { Ok(()) }
}

/// Recipients as text, what counts as nothing left out.
fn recipients(tree: &Tree) -> String {
    match tree {
        Tree::Scalar(scalar) if scalar.kind == ScalarType::Null => String::new(),
        Tree::Scalar(scalar) => format!("{:?}", String::from_utf8_lossy(&scalar.bytes)),
        Tree::List(items) if items.is_empty() => String::new(),
        Tree::List(items) => format!("{:?}", items.iter().map(recipients).collect::<Vec<_>>()),
        Tree::Map(entries) => {
            let entries: BTreeMap<&str, String> = entries
                .iter()
                .map(|(key, value)| (key.as_str(), recipients(value)))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            if entries.is_empty() { String::new() } else { format!("{entries:?}") }
        }
    }
}

fn lf(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Why other bytes can still be *sealed*: the whole list.
fn harmless(base: &Base, mutant: &str) -> Option<String> {
    let (was, is) = (
        Document::parse(base.sealed.clone(), base.format).ok()?,
        Document::parse(mutant.to_owned(), base.format).ok()?,
    );
    let (old, new) = (block(&was)?, block(&is)?);
    let older = Document::parse(base.older.clone(), base.format).ok()?;
    if base.mac_only && Some(&new) == block(&older).as_ref() {
        return Some("an older version, whose sealed values were the same".to_owned());
    }
    if outside(&was)? == outside(&is)? {
        return changed_fields(&old, &new);
    }
    if lf(&outside(&was)?) == lf(&outside(&is)?) {
        return Some("line breaks, which git may change".to_owned());
    }
    let spelled = |doc: &Document| -> Vec<String> {
        doc.ids()
            .filter(|&id| !doc.path_of(id).to_string().starts_with("[\"sops\"]"))
            .filter(|&id| matches!(doc.node(id).kind(), NodeKind::Scalar | NodeKind::Comment))
            .map(|id| {
                let text = doc.scalar(id).map(|s| s.text().unwrap_or_default().to_owned());
                token_bytes(&text.unwrap_or_default())
            })
            .collect()
    };
    let (was, is) = (spelled(&was), spelled(&is));
    if was == is {
        return Some("how a token is written: quotes, spare bits".to_owned());
    }
    let others: Vec<_> = is.iter().zip(&was).filter(|(new, old)| new != old).collect();
    (was.len() == is.len() && others.iter().all(|(new, _)| was.contains(new)))
        .then(|| "tokens of one value under the same keys, one for another".to_owned())
}

/// What changes nothing of what is printed, and that neither sops nor waxseal writes: text behind a
/// token, escapes in it or in the key `sops`, comments in the metadata, a `sops` in a later document, another spelling of the time, fields
/// that say nothing, notes that cannot be read.
fn planted(base: &Base, mutant: &str) -> bool {
    const KNOWN: [&str; 14] = [
        "age",
        "azure_kv",
        "gcp_kms",
        "hc_vault",
        "hckms",
        "key_groups",
        "kms",
        "lastmodified",
        "mac",
        "mac_only_encrypted",
        "pgp",
        "shamir_threshold",
        "version",
        "waxseal",
    ];
    let doc = Document::parse(mutant.to_owned(), base.format).expect("parses");
    let root = doc.value_of(NodeId::FIRST).expect("a root");
    let (key, block) = doc.entry(root, "sops").expect("the metadata");
    let inside = |id: NodeId| {
        std::iter::successors(Some(id), |&at| Some(doc.node(at).parent()))
            .take_while(|&at| doc.node(at).kind() != NodeKind::Document)
            .any(|at| at == key)
    };
    let behind_a_token = doc.ids().any(|id| {
        let is_text = matches!(doc.node(id).kind(), NodeKind::Scalar | NodeKind::Comment);
        let text = doc.scalar(id).ok().filter(|_| is_text);
        let text = text.as_ref().and_then(|text| text.text()).unwrap_or_default();
        let text = text.trim_end_matches('\n');
        let is_bare = text.find(|c| "] \n\t".contains(c)) == Some(text.len().wrapping_sub(1));
        text.starts_with("ENC[") && !(is_bare && (inside(id) || doc.source(id).contains(text)))
    });
    let last = doc.ids().rfind(|&id| inside(id)).expect("the block");
    let comment = doc.ids().any(|id| {
        let between = base.format != Format::Toml && key < id && id < last;
        doc.node(id).kind() == NodeKind::Comment && (inside(id) || between)
    });
    let later = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Document)
        .skip(1)
        .filter_map(|document| doc.value_of(document))
        .any(|root| doc.entry(root, "sops").is_some());
    let tree = doc.tree(block).expect("a tree");
    let original = Document::parse(base.sealed.clone(), base.format).ok();
    let original = original.and_then(|doc| self::block(&doc)).expect("the metadata");
    let fields =
        ["lastmodified", "waxseal"].iter().any(|name| tree.get(name) != original.get(name));
    let Tree::Map(entries) = &tree else { return true };
    let unknown = entries.iter().any(|(name, value)| {
        let known = KNOWN.contains(&name.as_str()) || Rule::FIELDS.contains(&name.as_str());
        !known && recipients(value).is_empty()
    });
    let named = doc.source(key).contains("sops");
    behind_a_token || !named || comment || later || fields || unknown
}

/// A token without what sops does not read either: text behind the bracket, spare bits of base64.
fn token_bytes(text: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = text.lines().next().unwrap_or_default();
    let (Some(end), true) = (text.rfind(']'), text.starts_with("ENC[")) else {
        return text.to_owned();
    };
    let part = |part: &str| {
        let digits = part.trim_end_matches('=');
        let Some((name, data)) = digits.split_once(':') else { return part.to_owned() };
        let mask = [64, 64, 48, 60][data.len() % 4];
        let last = data.chars().last().and_then(|last| DIGITS.find(last));
        match last {
            Some(last) if part.ends_with('=') => {
                format!("{name}:{}{}", &data[..data.len() - 1], last & mask)
            }
            _ => part.to_owned(),
        }
    };
    text[..end].split(',').map(part).collect::<Vec<_>>().join(",")
}

fn block(doc: &Document) -> Option<Tree> {
    let (_, value) = doc.entry(doc.value_of(NodeId::FIRST)?, "sops")?;
    doc.tree(value).ok()
}

fn outside(doc: &Document) -> Option<String> {
    unset(doc, &KeyPath(vec![Step::Key("sops".into())])).ok()
}

/// What differs between two blocks of equal recipients.
fn changed_fields(old: &Tree, new: &Tree) -> Option<String> {
    const FIELDS: [(&str, &str); 1] = [("version", "the version of sops, which is about no value")];
    let text = |tree: &Tree, name: &str| tree.get(name).map(recipients).unwrap_or_default();
    let mut reasons: Vec<&str> = FIELDS
        .into_iter()
        .filter(|(name, _)| text(old, name) != text(new, name))
        .map(|(_, reason)| reason)
        .collect();
    let mac = |tree: &Tree| {
        let Some(Tree::Scalar(mac)) = tree.get("mac") else { return None };
        Some(mac.text().unwrap_or_default().to_owned())
    };
    if mac(old) != mac(new) {
        if token_bytes(&mac(old)?) != token_bytes(&mac(new)?) {
            return None;
        }
        reasons.push("the same MAC token, written otherwise");
    }
    if Rule::FIELDS.iter().any(|name| text(old, name) != text(new, name)) {
        reasons.push("no rule named, where it is the one that counts anyway");
    }
    let rest = |tree: &Tree| -> Tree {
        let Tree::Map(entries) = tree else { return tree.clone() };
        let counted = |name: &str| {
            name != "mac"
                && FIELDS.iter().all(|field| field.0 != name)
                && !Rule::FIELDS.contains(&name)
        };
        Tree::Map(entries.iter().filter(|(name, _)| counted(name)).cloned().collect())
    };
    let (old, new) = (rest(old), rest(new));
    if recipients(&old) != recipients(&new) {
        reasons.push("a wrapped key: a bot that rewraps has no data key");
    } else if entries(&old) != entries(&new) {
        reasons.push("a field without content");
    }
    if reasons.is_empty() {
        reasons.push("how and where the metadata is written");
    }
    Some(reasons.join("; "))
}

fn entries(tree: &Tree) -> usize {
    match tree {
        Tree::Scalar(_) => 1,
        Tree::Map(map) => 1 + map.iter().map(|(_, value)| entries(value)).sum::<usize>(),
        Tree::List(items) => 1 + items.iter().map(entries).sum::<usize>(),
    }
}

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

/// Everything that is done to one base, each with a name.
fn mutants(base: &Base, salt: usize) -> Vec<(String, String)> {
    let mut out = Vec::new();
    lines(base, salt, &mut out);
    nodes(base, salt, &mut out);
    tokens(base, &mut out);
    bytes(base, salt, &mut out);
    let mut seen = HashSet::from([base.sealed.clone()]);
    out.retain(|(_, text)| seen.insert(text.clone()));
    out
}

fn lines(base: &Base, salt: usize, out: &mut Vec<(String, String)>) {
    let lines: Vec<&str> = base.sealed.split_inclusive('\n').collect();
    let older: Vec<&str> = base.older.split_inclusive('\n').collect();
    let mut with = |name: String, change: &dyn Fn(&mut Vec<String>)| {
        let mut changed: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        change(&mut changed);
        out.push((name, changed.concat()));
    };
    let comment = if base.format == Format::Json { "" } else { "# c\n" };
    for at in 0..lines.len() {
        with(format!("line {at} removed"), &|l| drop(l.remove(at)));
        with(format!("line {at} doubled"), &|l| l.insert(at, l[at].clone()));
        with(format!("comment before line {at}"), &|l| l.insert(at, comment.to_owned()));
        with(format!("blank line before {at}"), &|l| l.insert(at, "\n".to_owned()));
        with(format!("line {at} indented"), &|l| l[at] = format!("  {}", l[at]));
        with(format!("line {at} outdented"), &|l| {
            l[at] = l[at].strip_prefix("  ").unwrap_or(&l[at]).to_owned();
        });
        with(format!("line {at} with a comment"), &|l| l[at] = l[at].replace('\n', " # c\n"));
        with(format!("line {at} with a space"), &|l| l[at] = l[at].replace('\n', " \n"));
        with(format!("line {at} with CRLF"), &|l| l[at] = l[at].replace('\n', "\r\n"));
        with(format!("line {at} commented out"), &|l| l[at] = format!("# {}", l[at]));
        with(format!("line {at} with other spacing"), &|l| {
            l[at] = l[at].replace(": ", ":   ").replace(" = ", "=");
        });
        with(format!("cut after line {at}"), &|l| l.truncate(at));
        if let Some(old) = older.get(at) {
            with(format!("line {at} as before"), &|l| l[at] = (*old).to_owned());
        }
        for to in (0..lines.len()).filter(|to| (at * 31 + to + salt).is_multiple_of(5)) {
            with(format!("line {at} moved to {to}"), &|l| {
                let line = l.remove(at);
                l.insert(to.min(l.len()), line);
            });
            with(format!("line {at} copied over {to}"), &|l| l[to] = l[at].clone());
        }
    }
    let version = lines.iter().position(|line| line.contains("version")).expect("a version");
    for (field, value) in [
        ("mac_only_encrypted", "true"),
        ("mac_only_encrypted", "false"),
        ("Encrypted_Regex", "\"x\""),
        ("encrypted_regex", "\"x\""),
        ("encrypted_suffix", "\"_secret\""),
        ("unencrypted_suffix", "\"_unencrypted\""),
        ("unencrypted_suffix", "\"x\""),
        ("shamir_threshold", "2"),
        ("pgp", "[]"),
        ("hc_vault", "[\"x\"]"),
        ("key_groups", "[]"),
        ("unknown", "\"x\""),
        ("MAC", "\"x\""),
    ] {
        with(format!("{field} = {value} added"), &|l| {
            let line = match base.format {
                Format::Yaml => format!("  {field}: {value}\n"),
                Format::Json => format!("    \"{field}\": {value},\n"),
                _ => format!("{field} = {value}\n"),
            };
            l.insert(version, line);
        });
    }
    with("all CRLF".into(), &|l| l.iter_mut().for_each(|l| *l = l.replace('\n', "\r\n")));
    if base.format == Format::Yaml {
        with("a document more".into(), &|l| l.push("---\n".into()));
        with("a document with a value more".into(), &|l| l.push("---\nx: y\n".into()));
        with("a document before".into(), &|l| l.insert(0, "---\n---\n".into()));
        with("a marker before".into(), &|l| l.insert(0, "---\n".into()));
        with("a sops entry in the second document".into(), &|l| l.push("sops: x\n".into()));
        with("a directive".into(), &|l| l.insert(0, "%YAML 1.2\n---\n".into()));
        with("a document end".into(), &|l| l.push("...\n".into()));
    }
}

fn nodes(base: &Base, salt: usize, out: &mut Vec<(String, String)>) {
    let doc = Document::parse(base.sealed.clone(), base.format).expect("parses");
    let older = Document::parse(base.older.clone(), base.format).expect("parses");
    let text = &base.sealed;
    let spans: Vec<(std::ops::Range<usize>, String)> = doc
        .ids()
        .filter(|&id| doc.node(id).is_value() || doc.node(id).kind() == NodeKind::Comment)
        .filter(|&id| !doc.node(id).span().is_empty())
        .map(|id| (doc.node(id).span().range(), doc.path_of(id).to_string()))
        .collect();
    let replacements: &[&str] = match base.format {
        Format::Yaml => &[
            "null",
            "~",
            "''",
            "\"\"",
            "{}",
            "[]",
            "true",
            "3",
            "3.0",
            "x",
            "[x]",
            "{x: y}",
            "!!str x",
            "*c",
            "&a x",
            "!!null ''",
            "",
            "hunter2",
            "0x1F",
            "2024-01-02",
            "\"open one\"",
        ],
        Format::Json => {
            &["null", "\"\"", "{}", "[]", "true", "3", "3.0", "3e0", "\"x\"", "[3]", "\"hunter2\""]
        }
        _ => &["\"\"", "''", "{}", "[]", "true", "3", "3.0", "'x'", "[3]", "0x3", "2024-01-02"],
    };
    for (index, (span, path)) in spans.iter().enumerate() {
        let put = |new: &str| [&text[..span.start], new, &text[span.end..]].concat();
        for new in replacements {
            out.push((format!("{path} becomes {new}"), put(new)));
        }
        let own = &text[span.clone()];
        out.push((format!("{path} in a list"), put(&format!("[{}]", own.trim_end()))));
        if !own.starts_with(['"', '\'']) {
            out.push((format!("{path} quoted"), put(&format!("\"{own}\""))));
            out.push((format!("{path} quoted singly"), put(&format!("'{own}'"))));
        } else {
            out.push((format!("{path} unquoted"), put(&own[1..own.len() - 1])));
            out.push((
                format!("{path} in other quotes"),
                put(&if own.starts_with('"') {
                    own.replace('"', "'")
                } else {
                    own.replace('\'', "\"")
                }),
            ));
            out.push((format!("{path} escaped"), put(&own.replacen("E", "\\u0045", 1))));
        }
        // The whole of an older version is a file like any other: `an_older_version_is_a_file`.
        if !path.is_empty()
            && let Ok(path) = KeyPath::parse(path)
            && let Some(before) = older.find(&path)
        {
            out.push((format!("{path} as before"), put(older.source(before))));
        }
        for (to, (other, name)) in spans.iter().enumerate() {
            if !(index * 17 + to + salt).is_multiple_of(4) || index == to {
                continue;
            }
            out.push((format!("{name} copied to {path}"), put(&text[other.clone()])));
            if span.end <= other.start {
                let swapped = [
                    &text[..span.start],
                    &text[other.clone()],
                    &text[span.end..other.start],
                    own,
                    &text[other.end..],
                ];
                out.push((format!("{path} and {name} exchanged"), swapped.concat()));
            }
        }
    }
    let keys: Vec<NodeId> = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Key).collect();
    for &key in &keys {
        let span = doc.node(key).span().range();
        let name = doc.path_of(key);
        let put = |new: &str| [&text[..span.start], new, &text[span.end..]].concat();
        let own = doc.key_text(key).into_owned();
        let quoted = |text: &str| format!("\"{text}\"");
        let first = own.chars().next().map_or(0, u32::from);
        let escaped = format!("\"\\u{first:04x}{}\"", own.get(1..).unwrap_or_default());
        for new in [
            "\"x\"".to_owned(),
            quoted(&own),
            escaped,
            quoted(&own.to_uppercase()),
            quoted(&format!("{own}_unencrypted")),
            quoted(&format!("{own}_secret")),
            quoted(&format!("open{own}")),
            quoted(&format!("secret{own}")),
            quoted("sops"),
            "1".to_owned(),
            "? [a]\n".to_owned(),
            "!!str ".to_owned() + &own,
        ] {
            out.push((format!("key {name} becomes {new}"), put(&new)));
        }
        for &other in &keys {
            if (key.index() + other.index() + salt).is_multiple_of(3) {
                out.push((format!("key {name} becomes that of another"), put(doc.source(other))));
            }
        }
    }
}

fn tokens(base: &Base, out: &mut Vec<(String, String)>) {
    let text = &base.sealed;
    let found: Vec<(usize, &str)> = text
        .match_indices("ENC[")
        .filter_map(|(at, _)| Some((at, &text[at..=at + text[at..].find(']')?])))
        .collect();
    let part = |token: &'_ str, name: &str| -> Option<(usize, usize)> {
        let from = token.find(&format!("{name}:"))? + name.len() + 1;
        let end = token[from..].find([',', ']'])? + from;
        Some((from, end))
    };
    for (index, &(at, token)) in found.iter().enumerate() {
        let put = |new: &str| [&text[..at], new, &text[at + token.len()..]].concat();
        let (from, end) = part(token, "type").expect("a type");
        for kind in [
            "str",
            "int",
            "float",
            "bool",
            "time",
            "bytes",
            "comment",
            "null",
            "",
            "Str",
            "datetime-local",
            "date-local",
            "time-local",
        ] {
            let new = [&token[..from], kind, &token[end..]].concat();
            out.push((format!("token {index} of type {kind}"), put(&new)));
        }
        for name in ["data", "iv", "tag"] {
            let (from, end) = part(token, name).expect("a part");
            let own = &token[from..end];
            let with = |new: &str| put(&[&token[..from], new, &token[end..]].concat());
            out.push((format!("{name} of token {index} empty"), with("")));
            out.push((format!("{name} of token {index} cut"), with(&own[..own.len() / 2])));
            out.push((format!("{name} of token {index} longer"), with(&format!("{own}AAAA"))));
            out.push((
                format!("{name} of token {index} unpadded"),
                with(own.trim_end_matches('=')),
            ));
            out.push((format!("{name} of token {index} reversed"), {
                let other: String = own.chars().rev().collect();
                with(&other)
            }));
            // Bits behind the last byte: other text, the same bytes.
            if let Some(last) = own.trim_end_matches('=').chars().last()
                && own.ends_with('=')
            {
                let trimmed = own.trim_end_matches('=');
                let twisted = match last {
                    'A' => 'B',
                    'w' => 'x',
                    'Q' => 'R',
                    'g' => 'h',
                    other => char::from_u32(u32::from(other) + 1).unwrap_or('A'),
                };
                let padding = &own[trimmed.len()..];
                let new = format!("{}{twisted}{padding}", &trimmed[..trimmed.len() - 1]);
                out.push((format!("{name} of token {index} with other spare bits"), with(&new)));
            }
            for (other_index, &(_, other)) in found.iter().enumerate().step_by(3) {
                let (from, end) = part(other, name).expect("a part");
                let new = &other[from..end];
                out.push((format!("{name} of token {index} from {other_index}"), with(new)));
            }
        }
        for (name, new) in [
            ("lower case", token.to_lowercase()),
            ("cut", token[..token.len() - 1].to_owned()),
            ("cut in half", token[..token.len() / 2].to_owned()),
            ("with more behind", format!("{token}x")),
            ("with a space behind", format!("{token} ")),
            ("with a space before", format!(" {token}")),
            ("with more before", format!("x{token}")),
            ("twice", format!("{token}{token}")),
            ("without its type", token[..from - 6].to_owned() + "]"),
            ("with a field more", token.replace(",type", ",x:y,type")),
            ("of another cipher", token.replace("AES256_GCM", "AES128_GCM")),
        ] {
            out.push((format!("token {index} {name}"), put(&new)));
        }
    }
}

fn bytes(base: &Base, salt: usize, out: &mut Vec<(String, String)>) {
    let text = &base.sealed;
    for at in (salt % 3..text.len()).step_by(3).filter(|&at| text.is_char_boundary(at)) {
        let end = at + text[at..].chars().next().map_or(1, char::len_utf8);
        let put = |new: &str| [&text[..at], new, &text[end..]].concat();
        for new in ["", "x", " ", "\"", ":", "#", "\n", "A"] {
            out.push((format!("byte {at} becomes {new:?}"), put(new)));
        }
    }
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

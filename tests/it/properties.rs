//! Laws over documents that nobody wrote: trees, rendered in the styles of each format.
//!
//! `WAXSEAL_CASES` says how many documents each law is tried on (default 200).

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::test_runner::{Config, TestRunner};
use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::file::{
    Consent, DecryptedFile, EncryptedFile, Nonces, RotateOptions, Verdict, encrypt, set, unset,
};
use waxseal::keys::{KeyGroup, MasterKey, WrappedKey};
use waxseal::path::KeyPath;
use waxseal::secret::DataKey;
use waxseal::timestamp::Timestamp;
use waxseal::value::Tree;

use crate::support::{NOW, data_key, groups, now, open, seal};

/// A value as its owner would write it.
#[derive(Clone, Debug)]
enum Value {
    Text(String, u8),
    /// A number, a truth, a date: plain in every format.
    Plain(&'static str),
    Null,
    Map(Vec<Entry>, bool),
    List(Vec<Value>, bool),
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: Value,
    comment: Option<String>,
    inline: Option<String>,
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{1,8}",
        "[ -~]{0,12}",
        "[a-zäöü€😀 #:'\"\\\\]{0,10}",
        Just("true".to_owned()),
        Just("0x1F".to_owned()),
        Just("two\nlines".to_owned()),
        Just("ENC[x]".to_owned()),
    ];
    let leaf = prop_oneof![
        4 => (text, any::<u8>()).prop_map(|(text, style)| Value::Text(text, style)),
        2 => proptest::sample::select(
            &["1", "-7", "1.5", "1.50", "1e3", "true", "false", "9007199254740993", "0.1"][..]
        ).prop_map(Value::Plain),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            (entries(inner.clone(), 0), any::<bool>())
                .prop_map(|(map, flow)| Value::Map(map, flow)),
            (vec(inner, 0..5), any::<bool>()).prop_map(|(list, flow)| Value::List(list, flow)),
        ]
    })
}

fn entries(value: impl Strategy<Value = Value>, least: usize) -> impl Strategy<Value = Vec<Entry>> {
    let key = prop_oneof!["[a-z]{1,5}", "[a-z]{1,3}_unencrypted", "[a-z .]{1,6}"];
    let comment = || proptest::option::weighted(0.2, "[a-z :]{0,8}");
    let entry = (key, value, comment(), comment())
        .prop_map(|(key, value, comment, inline)| Entry { key, value, comment, inline });
    vec(entry, least..6).prop_map(|mut map: Vec<Entry>| {
        let mut seen = std::collections::HashSet::from(["sops".to_owned()]);
        map.retain(|entry| seen.insert(entry.key.clone()));
        map
    })
}

fn document() -> impl Strategy<Value = Vec<Entry>> {
    entries(value(), 1).prop_filter("an entry", |map| !map.is_empty())
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out + "\""
}

fn render(map: &[Entry], format: Format) -> String {
    let mut out = String::new();
    match format {
        Format::Yaml => yaml_map(map, 0, &mut out),
        Format::Json => {
            json(&Value::Map(map.to_vec(), false), 0, &mut out);
            out.push('\n');
        }
        _ => toml_entries(map, &mut out),
    }
    out
}

fn yaml_map(map: &[Entry], indent: usize, out: &mut String) {
    for entry in map {
        let pad = " ".repeat(indent);
        if let Some(comment) = &entry.comment {
            *out += &format!("{pad}# {comment}\n");
        }
        *out += &format!("{pad}{}:", quoted(&entry.key));
        yaml_value(&entry.value, indent, entry.inline.as_deref(), out);
    }
}

fn yaml_value(value: &Value, indent: usize, inline: Option<&str>, out: &mut String) {
    let end = inline.map_or("\n".to_owned(), |comment| format!(" # {comment}\n"));
    match value {
        // No comment behind `key:`: `Document::children` stops at it (reported; `today` below).
        Value::Map(map, false) if !map.is_empty() => {
            out.push('\n');
            yaml_map(map, indent + 2, out);
        }
        Value::List(list, false) if !list.is_empty() => {
            out.push('\n');
            for item in list {
                *out += &format!("{}-", " ".repeat(indent + 2));
                yaml_value(item, indent + 4, None, out);
            }
        }
        Value::Text(text, style) if style % 4 == 3 && text == "two\nlines" => {
            let pad = " ".repeat(indent + 2);
            *out += &format!(" |-\n{pad}two\n{pad}lines\n");
        }
        other => {
            out.push(' ');
            yaml_flow(other, out);
            *out += &end;
        }
    }
}

fn yaml_flow(value: &Value, out: &mut String) {
    match value {
        Value::Text(text, style) => match style % 4 {
            0 if text.chars().all(|c| c.is_ascii_lowercase()) && text.len() > 5 => *out += text,
            1 if !text.contains('\n') => *out += &format!("'{}'", text.replace('\'', "''")),
            _ => *out += &quoted(text),
        },
        Value::Plain(text) => *out += text,
        Value::Null => *out += "null",
        Value::Map(map, _) => {
            let entries = map.iter().map(|entry| {
                let mut text = quoted(&entry.key) + ": ";
                yaml_flow(&entry.value, &mut text);
                text
            });
            *out += &format!("{{{}}}", entries.collect::<Vec<_>>().join(", "));
        }
        Value::List(list, _) => {
            let items = list.iter().map(|item| {
                let mut text = String::new();
                yaml_flow(item, &mut text);
                text
            });
            *out += &format!("[{}]", items.collect::<Vec<_>>().join(", "));
        }
    }
}

fn json(value: &Value, indent: usize, out: &mut String) {
    let (pad, last) = ("  ".repeat(indent + 1), "  ".repeat(indent));
    let gap = |flow: bool| if flow { String::new() } else { format!("\n{pad}") };
    let end = |flow: bool| if flow { String::new() } else { format!("\n{last}") };
    match value {
        Value::Text(text, _) => *out += &quoted(text),
        Value::Plain(text) => *out += text,
        Value::Null => *out += "null",
        Value::Map(map, flow) => {
            out.push('{');
            for (index, entry) in map.iter().enumerate() {
                *out += if index > 0 { "," } else { "" };
                *out += &format!("{}{}: ", gap(*flow), quoted(&entry.key));
                json(&entry.value, indent + 1, out);
            }
            *out += &if map.is_empty() { String::new() } else { end(*flow) };
            out.push('}');
        }
        Value::List(list, flow) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                *out += if index > 0 { "," } else { "" };
                *out += &gap(*flow);
                json(item, indent + 1, out);
            }
            *out += &if list.is_empty() { String::new() } else { end(*flow) };
            out.push(']');
        }
    }
}

/// Tables last: what stands behind a header belongs to it.
fn toml_entries(map: &[Entry], out: &mut String) {
    let is_table = |entry: &&Entry| matches!(entry.value, Value::Map(_, false));
    for entry in map.iter().filter(|entry| !is_table(entry)) {
        if let Some(comment) = &entry.comment {
            *out += &format!("# {comment}\n");
        }
        *out += &format!("{} = ", quoted(&entry.key));
        toml_value(&entry.value, out);
        *out += &entry.inline.as_ref().map_or("\n".into(), |comment| format!(" # {comment}\n"));
    }
    for entry in map.iter().filter(is_table) {
        let Value::Map(inner, _) = &entry.value else { continue };
        *out += &format!("\n[{}]\n", quoted(&entry.key));
        for entry in inner {
            *out += &format!("{} = ", quoted(&entry.key));
            toml_value(&entry.value, out);
            out.push('\n');
        }
    }
}

fn toml_value(value: &Value, out: &mut String) {
    match value {
        Value::Text(text, style) if style % 3 == 0 && !text.contains(['\n', '\'']) => {
            *out += &format!("'{text}'");
        }
        Value::Text(text, _) => *out += &quoted(text),
        Value::Plain(text) => *out += text,
        Value::Null => *out += "\"\"",
        Value::Map(map, _) => {
            let entries = map.iter().map(|entry| {
                let mut text = quoted(&entry.key) + " = ";
                toml_value(&entry.value, &mut text);
                text
            });
            *out += &format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "));
        }
        Value::List(list, _) => {
            let items = list.iter().map(|item| {
                let mut text = String::new();
                toml_value(item, &mut text);
                text
            });
            *out += &format!("[{}]", items.collect::<Vec<_>>().join(", "));
        }
    }
}

/// Tries a law on documents of each format; it is given the text, its format and some number.
#[track_caller]
fn law(check: fn(&str, Format, usize)) {
    let cases = std::env::var("WAXSEAL_CASES").ok().and_then(|cases| cases.parse().ok());
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        let config = Config {
            cases: cases.unwrap_or(200),
            failure_persistence: None,
            max_shrink_iters: 2000,
            ..Config::default()
        };
        let result = TestRunner::new(config).run(&(document(), any::<u16>()), |(map, pick)| {
            check(&render(&map, format), format, usize::from(pick));
            Ok(())
        });
        if let Err(error) = result {
            panic!("{}: {error}", format.name());
        }
    }
}

/// Some of these documents, the same ones each time; another `seed`, other documents.
#[cfg(feature = "age")]
pub(crate) fn samples(count: usize, seed: u8, format: Format) -> Vec<String> {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{RngAlgorithm, TestRng};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = document();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).expect("a document").current())
        .map(|map| render(&map, format))
        .collect()
}

fn opened(text: &str, format: Format) -> (String, DecryptedFile) {
    let sealed = seal(text, format).unwrap_or_else(|error| panic!("seals: {error}\n{text}"));
    let opened = open(&sealed, format).unwrap_or_else(|error| panic!("opens: {error}\n{sealed}"));
    (sealed, opened)
}

fn later() -> Timestamp {
    Timestamp::from_unix(NOW + 60).expect("in range")
}

fn reencrypted(opened: &DecryptedFile, text: &str) -> String {
    let again = opened.reencrypt(text.to_owned(), Nonces::Derived, later(), Consent::AsBefore);
    again.unwrap_or_else(|error| panic!("seals again: {error}\n{text}"))
}

#[track_caller]
fn opens_as(sealed: &str, format: Format, text: &str) {
    let opened = open(sealed, format).unwrap_or_else(|error| panic!("opens: {error}\n{sealed}"));
    assert_eq!(opened.document().text(), text);
    assert_eq!(opened.outcome().verdict(), Verdict::Sealed);
}

/// The lines that are not in the other text, in order, without those of the metadata that change.
fn changed_lines(old: &str, new: &str) -> Vec<String> {
    // A comma comes or goes with the field behind.
    let bare = |line: &'_ str| line.trim_end_matches(',').to_owned();
    let theirs: Vec<String> = old.lines().map(bare).collect();
    new.lines()
        .filter(|line| !theirs.contains(&bare(line)))
        .filter(|line| {
            let field = line.trim_start().trim_start_matches('"');
            !["lastmodified", "mac", "spelling", "waxseal"]
                .iter()
                .any(|name| field.starts_with(name))
        })
        .map(str::to_owned)
        .collect()
}

/// The paths of all scalars with a value.
fn scalars(doc: &Document) -> Vec<NodeId> {
    doc.ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Scalar && !doc.source(id).is_empty())
        .collect()
}

fn tokens(text: &str) -> Vec<String> {
    text.match_indices("ENC[AES256_GCM,data:")
        .filter_map(|(at, _)| Some(text[at..=at + text[at..].find(']')?].to_owned()))
        .collect()
}

#[test]
fn decrypting_what_was_encrypted_gives_it_back() {
    law(|text, format, _| {
        let (sealed, opened) = opened(text, format);
        assert_eq!(opened.document().text(), text, "{sealed}");
        assert_eq!(opened.outcome().verdict(), Verdict::Sealed);
    });
}

#[test]
fn with_crlf_too() {
    law(|text, format, _| {
        let text = text.replace('\n', "\r\n");
        let (sealed, opened) = opened(&text, format);
        assert_eq!(opened.document().text(), text, "{sealed}");
    });
}

#[test]
fn no_change_changes_no_byte() {
    law(|text, format, _| {
        let (sealed, opened) = opened(text, format);
        assert_eq!(reencrypted(&opened, text), sealed);
    });
}

#[test]
fn encrypting_twice_gives_the_same_bytes() {
    law(|text, format, _| {
        assert_eq!(seal(text, format).expect("seals"), seal(text, format).expect("seals"));
    });
}

#[test]
fn a_changed_value_changes_its_own_line() {
    law(|text, format, pick| {
        let (sealed, opened) = opened(text, format);
        let doc = Document::parse(text.to_owned(), format).expect("parses");
        let scalars = scalars(&doc);
        let Some(&target) = scalars.get(pick % scalars.len().max(1)) else { return };
        let span = doc.node(target).span().range();
        // Of equal values under the same keys the first takes the first token, wherever it stood:
        // the lines of the others change with it (reported).
        let twin = |&id: &NodeId| id != target && doc.scalar(id).ok() == doc.scalar(target).ok();
        if text[span.clone()].contains('\n') || scalars.iter().any(twin) {
            return;
        }
        let changed = [&text[..span.start], "\"changed \u{e9}\"", &text[span.end..]].concat();
        let again = reencrypted(&opened, &changed);
        opens_as(&again, format, &changed);
        let lines = changed_lines(&sealed, &again);
        assert!(lines.len() <= 1, "{sealed}\nbecame\n{again}\nchanged {lines:#?}");
    });
}

#[test]
fn a_line_more_or_less_keeps_the_other_tokens() {
    law(|text, format, pick| {
        if format == Format::Json {
            return;
        }
        let (sealed, opened) = opened(text, format);
        let changed = format!("# a new comment\n{text}");
        let again = reencrypted(&opened, &changed);
        opens_as(&again, format, &changed);
        let old = tokens(&sealed);
        let new: Vec<_> = tokens(&again).into_iter().filter(|token| !old.contains(token)).collect();
        assert!(new.len() <= 2, "the comment and the MAC: {new:?}\n{sealed}\n{again}");
        // A line less, where the rest is still a document.
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.remove(pick % lines.len());
        let fewer = lines.concat();
        let sealable = seal(&fewer, format).is_ok();
        let again = opened.reencrypt(fewer.clone(), Nonces::Derived, later(), Consent::AsBefore);
        assert_eq!(again.is_ok(), sealable, "{:?}\n{fewer}", again.err());
        let Ok(again) = again else { return };
        opens_as(&again, format, &fewer);
    });
}

#[test]
fn set_is_an_edit_of_the_text() {
    law(|text, format, pick| {
        let (_, opened) = opened(text, format);
        let doc = opened.document();
        let scalars = scalars(doc);
        let Some(&target) = scalars.get(pick % scalars.len().max(1)) else { return };
        let (path, span) = (doc.path_of(target), doc.node(target).span().range());
        let changed = set(doc, &path, &Tree::str("new value"))
            .unwrap_or_else(|error| panic!("sets {path}: {error}\n{text}"));
        assert!(
            changed.starts_with(&text[..span.start]) && changed.ends_with(&text[span.end..]),
            "{path} in\n{text}\nbecame\n{changed}"
        );
        let again = reencrypted(&opened, &changed);
        opens_as(&again, format, &changed);
        let changed = Document::parse(changed, format).expect("parses");
        let value = changed.scalar(changed.find(&path).expect("there")).expect("a value");
        assert_eq!(value.text(), Some("new value"));
    });
}

#[test]
fn unset_takes_one_entry_and_nothing_else() {
    law(|text, format, pick| {
        let (_, opened) = opened(text, format);
        let doc = opened.document();
        let keys: Vec<NodeId> =
            doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Key).collect();
        let Some(&key) = keys.get(pick % keys.len().max(1)) else { return };
        let path = doc.path_of(key);
        // A dotted or implicit table of TOML may be in more than one place: found by its path.
        if doc.find(&path).is_none() {
            return;
        }
        let changed = unset(doc, &path).unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
        let again = Document::parse(changed.clone(), format)
            .unwrap_or_else(|error| panic!("{path}: {error}\n{text}\nbecame\n{changed}"));
        let gone = without(&doc.tree(root(doc)).expect("a tree"), &path);
        let left = again.value_of(NodeId::FIRST).map(|root| again.tree(root).expect("a tree"));
        let left = left.unwrap_or(Tree::Map(Vec::new()));
        assert!(left == gone, "{path} of\n{text}\nleft\n{changed}");
    });
}

fn root(doc: &Document) -> NodeId {
    doc.value_of(NodeId::FIRST).expect("a document")
}

fn without(tree: &Tree, path: &KeyPath) -> Tree {
    fn go(tree: &Tree, steps: &[waxseal::path::Step]) -> Tree {
        use waxseal::path::Step;
        match (tree, steps) {
            (Tree::Map(map), [Step::Key(key)]) => {
                Tree::Map(map.iter().filter(|(name, _)| name != key).cloned().collect())
            }
            (Tree::Map(map), [Step::Key(key), rest @ ..]) => Tree::Map(
                map.iter()
                    .map(|(name, value)| {
                        let value = if name == key { go(value, rest) } else { value.clone() };
                        (name.clone(), value)
                    })
                    .collect(),
            ),
            (Tree::List(list), [Step::Index(at), rest @ ..]) => Tree::List(
                list.iter()
                    .enumerate()
                    .map(|(index, item)| if index == *at { go(item, rest) } else { item.clone() })
                    .collect(),
            ),
            _ => tree.clone(),
        }
    }
    go(tree, &path.0)
}

#[test]
fn rotation_keeps_the_layout() {
    law(|text, format, _| {
        let (sealed, opened) = opened(text, format);
        let key = DataKey::from_bytes(&[0x77; 32]).expect("32 bytes");
        let options = RotateOptions {
            groups: groups(),
            recipients_are_known: true,
            text_is_reviewed: false,
            nonces: Nonces::Derived,
            now: later(),
        };
        let rotated = opened.rotate(&key, &options).expect("rotates");
        assert!(open(&rotated, format).is_err(), "it opens under the old key");
        let file = EncryptedFile::parse(rotated.clone(), format).expect("parses");
        let again = file.decrypt(&key).expect("opens under the new key");
        assert_eq!(again.document().text(), text);
        assert_eq!(again.outcome().verdict(), Verdict::Sealed);
        assert_eq!(sealed.lines().count(), rotated.lines().count());
        for (old, new) in sealed.lines().zip(rotated.lines()) {
            let field = new.trim_start().trim_start_matches('"');
            let metadata =
                ["lastmodified", "spelling", "waxseal"].iter().any(|name| field.starts_with(name));
            assert!(old == new || metadata || new.contains("ENC["), "{old}\nbecame\n{new}");
        }
        let old = tokens(&sealed);
        assert!(tokens(&rotated).iter().all(|token| !old.contains(token)));
    });
}

#[test]
fn other_recipients_change_the_recipients_only() {
    law(|text, format, _| {
        let (sealed, opened) = opened(text, format);
        let recipient = "age1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm";
        let key = MasterKey::Age { recipient: recipient.to_owned() };
        let more = WrappedKey::new(key, "wrapped\n".to_owned(), now());
        let mut keys: Vec<WrappedKey> =
            groups().iter().flat_map(|group| group.keys().to_vec()).collect();
        keys.push(more);
        let changed =
            opened.with_recipients(vec![KeyGroup::new(keys)], 0).expect("other recipients");
        opens_as(&changed, format, text);
        let (old, new) = (tokens(&sealed), tokens(&changed));
        assert_eq!(old.len(), new.len());
        let differ = old.iter().zip(&new).filter(|(old, new)| old != new).count();
        assert_eq!(differ, 1, "the token of the MAC");
        let at = sealed.bytes().zip(changed.bytes()).take_while(|(a, b)| a == b).count();
        assert!(sealed[..at].contains("sops"), "only below the values");
        assert!(changed.contains(recipient));
    });
}

#[test]
fn changed_bytes_never_panic() {
    law(|text, format, pick| {
        let sealed = seal(text, format).expect("seals");
        for (round, text) in [text, &sealed].into_iter().cycle().take(16).enumerate() {
            let mut bytes = text.as_bytes().to_vec();
            let at = (pick * 31 + round * 7919) % bytes.len();
            let junk = b"\n\r\t {}[]:,-?#&*!|>'\"%@`=.\\\0\xff0a~";
            match round % 4 {
                0 => bytes[at] = junk[(pick + round) % junk.len()],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, junk[(pick + round) % junk.len()]),
                _ => bytes.truncate(at),
            }
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let _ = Document::parse(text.clone(), format);
            if let Ok(file) = EncryptedFile::parse(text.clone(), format) {
                let _ = file.decrypt_unverified(&data_key());
            }
            let _ = seal(&text, format);
            let _ = open(&text, format);
        }
    });
}

#[test]
fn random_nonces_open_alike() {
    law(|text, format, _| {
        let options = waxseal::file::EncryptOptions {
            vouch_for_recipients: true,
            policy: &waxseal::policy::Policy::default(),
            groups: groups(),
            shamir_threshold: 0,
            nonces: Nonces::Random,
            now: now(),
        };
        let sealed = encrypt(text.to_owned(), format, &data_key(), &options).expect("seals");
        opens_as(&sealed, format, text);
    });
}

#[test]
fn a_comment_behind_a_key_hides_nothing() {
    let text = "a:\n  b: # c\n    d: 1\n";
    let doc = Document::parse(text.to_owned(), Format::Yaml).expect("parses");
    let path = KeyPath::parse("[\"a\"][\"b\"][\"d\"]").expect("a path");
    assert!(doc.find(&path).is_some());
    let (sealed, _) = opened("a: 1\n", Format::Yaml);
    let commented = sealed.replace("sops:\n", "sops: # c\n");
    let read = open(&commented, Format::Yaml).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.document().text(), "a: 1\n");
}

/// Of equal values under the same keys each keeps the token that stands in its place.
#[test]
fn a_change_keeps_the_tokens_of_equal_values() {
    let (sealed, file) = opened("l:\n  - a\n  - a\n", Format::Yaml);
    let again = reencrypted(&file, "l:\n  - b\n  - a\n");
    let (old, new) = (tokens(&sealed), tokens(&again));
    assert_eq!(new[1], old[1]);
}

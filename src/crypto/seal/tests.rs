//! Against `testdata/vectors/seal.json`, which an implementation in Python made.

use serde_json::Value;

use super::{LineBreaks, MacNonce, SealKeys, SealTag, Tags, TextTag, TreeTag, TreeValue};
use crate::crypto::notes::{NoteKind, NotesError, SpellingNote, open_spelling, seal_spelling};
use crate::crypto::path::{EncodedPath, push_component, push_index, push_key, push_other_key};
use crate::secret::DataKey;
use crate::value::{Scalar, ScalarType, Tree};

struct Vectors {
    json: Value,
    keys: SealKeys,
}

fn vectors() -> Vectors {
    let json: Value = serde_json::from_str(include_str!("../../../testdata/vectors/seal.json"))
        .expect("valid JSON");
    let key = unhex(text(&json["key"]));
    Vectors { keys: SealKeys::new(&DataKey::from_bytes(&key).expect("32 bytes")), json }
}

impl Vectors {
    fn list(&self, name: &str) -> &[Value] {
        self.json[name].as_array().expect("a list")
    }

    fn lastmodified(&self) -> &str {
        text(&self.json["lastmodified"])
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tag(value: &Value) -> SealTag {
    SealTag(unhex(text(value)).try_into().expect("8 bytes"))
}

/// The tree of JSON metadata.
fn tree(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Scalar(Scalar::null()),
        Value::Bool(value) => Tree::Scalar(Scalar::bool(*value)),
        Value::Number(number) => Tree::Scalar(Scalar::int(number.as_i64().expect("an integer"))),
        Value::String(text) => Tree::str(text),
        Value::Array(items) => Tree::List(items.iter().map(tree).collect()),
        Value::Object(entries) => {
            Tree::Map(entries.iter().map(|(key, value)| (key.clone(), tree(value))).collect())
        }
    }
}

#[test]
fn value_nonces() {
    let vectors = vectors();
    for case in vectors.list("value_nonces") {
        let keys = case["path"].as_array().expect("a list");
        let mut steps = Vec::new();
        keys.iter().for_each(|key| push_component(&mut steps, text(key)));
        let path = EncodedPath { count: keys.len() as u64, steps: &steps };
        let kind = ScalarType::from_name(text(&case["kind"])).expect("a type");
        let plaintext = text(&case["plaintext"]).as_bytes();
        let nonce = vectors.keys.value_nonce(kind, plaintext, number(&case["earlier"]), path);
        assert_eq!(hex(&nonce), text(&case["nonce"]), "{case}");
    }
}

#[test]
fn text_tags_do_not_depend_on_the_pieces() {
    let vectors = vectors();
    for case in vectors.list("texts") {
        let line_breaks =
            if case["binary"] == true { LineBreaks::Verbatim } else { LineBreaks::AsLf };
        let bytes = text(&case["text"]).as_bytes();
        for piece in [1, 2, 3, 1000] {
            let mut hash = TextTag::begin(&vectors.keys, vectors.lastmodified(), line_breaks);
            bytes.chunks(piece).for_each(|piece| hash.feed(piece));
            hash.feed(b"");
            assert!(tag(&case["tag"]).vouches_for(hash.finish()), "{case} in pieces of {piece}");
        }
    }
}

#[test]
fn tree_tags() {
    let vectors = vectors();
    for case in vectors.list("trees") {
        let rule = (text(&case["rule"][0]), text(&case["rule"][1]));
        let mac_only_encrypted = case["mac_only_encrypted"] == true;
        let mut hash =
            TreeTag::begin(&vectors.keys, rule, mac_only_encrypted, vectors.lastmodified());
        for record in vectors.list("records") {
            let path = record["path"].as_array().expect("a list");
            let mut steps = Vec::new();
            for step in path {
                match text(&step[0]) {
                    "key" => push_key(&mut steps, text(&step[1])),
                    "index" => push_index(&mut steps, number(&step[1])),
                    _ => push_other_key(&mut steps, text(&step[1])),
                }
            }
            let path = EncodedPath { count: path.len() as u64, steps: &steps };
            let kind = ScalarType::from_name(text(&record["kind"])).unwrap_or(ScalarType::Null);
            let bytes = text(&record["value"]).as_bytes();
            let value = match text(&record["class"]) {
                "token" => TreeValue::Token(kind, bytes),
                "plain" => TreeValue::Plain(kind, bytes),
                "map" => TreeValue::EmptyMap,
                "list" => TreeValue::EmptyList,
                _ => TreeValue::Null,
            };
            let document = number(&record["document"]);
            hash.record(document, path, record["selected"] == true, value);
        }
        let documents = number(&case["documents"]);
        assert!(tag(&case["tag"]).vouches_for(hash.finish(documents)), "{case}");
    }
}

#[test]
fn recipients_tags() {
    let vectors = vectors();
    for case in vectors.list("recipients") {
        let computed = vectors.keys.recipients_tag(&tree(&case["view"]));
        assert!(tag(&case["tag"]).vouches_for(computed), "{case}");
    }
}

#[test]
fn the_nonce_of_the_mac() {
    let vectors = vectors();
    let (lastmodified, mac) = (vectors.lastmodified(), text(&vectors.json["mac"]).as_bytes());
    let tags = Tags {
        text: tag(&vectors.json["texts"][1]["tag"]),
        tree: tag(&vectors.json["trees"][0]["tag"]),
        recipients: tag(&vectors.json["recipients"][0]["tag"]),
    };
    let unvouched = Tags { text: SealTag::NONE, recipients: SealTag::NONE, ..tags };
    for (tags, name) in [(tags, "mac_nonce"), (unvouched, "mac_nonce_unvouched")] {
        let nonce = MacNonce::seal(&vectors.keys, tags, lastmodified, mac);
        assert_eq!(hex(&nonce.to_bytes()), text(&vectors.json[name]));
        let read = MacNonce::from_bytes(&nonce.to_bytes()).expect("32 bytes");
        assert!(read.is_marked(&vectors.keys, lastmodified, mac));
        assert!(!read.is_marked(&vectors.keys, lastmodified, b"another MAC"));
        assert!(!read.is_marked(&vectors.keys, "2026-01-02T03:04:06Z", mac));
        for at in 0..32 {
            let mut bytes = nonce.to_bytes();
            bytes[at] ^= 1;
            let read = MacNonce::from_bytes(&bytes).expect("32 bytes");
            assert!(!read.is_marked(&vectors.keys, lastmodified, mac), "byte {at}");
        }
    }
    assert!(MacNonce::from_bytes(&[0; 16]).is_none());
}

#[test]
fn nobody_vouches_with_a_zero_tag() {
    assert!(SealTag::NONE.is_none() && !SealTag::NONE.vouches_for(SealTag::NONE));
    let some = SealTag([1; 8]);
    assert!(some.vouches_for(some) && !some.vouches_for(SealTag::NONE) && !some.is_none());
}

#[test]
fn spelling_notes() {
    let vectors = vectors();
    for case in vectors.list("spellings") {
        let notes: Vec<SpellingNote> = case["notes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|note| SpellingNote {
                kind: match number(&note["kind"]) {
                    1 => NoteKind::Token,
                    2 => NoteKind::Alias,
                    _ => NoteKind::EndOfFile,
                },
                index: number(&note["index"]),
                bytes: text(&note["text"]).as_bytes().to_vec().into(),
            })
            .collect();
        let sealed = text(&case["sealed"]);
        assert_eq!(seal_spelling(&vectors.keys, &notes), sealed);
        assert_eq!(open_spelling(&vectors.keys, sealed).as_deref(), Ok(notes.as_slice()));
        let other = SealKeys::new(&DataKey::from_bytes(&[0; 32]).expect("32 bytes"));
        assert!(matches!(open_spelling(&other, sealed), Err(NotesError::Cipher(_))));
        assert_eq!(open_spelling(&vectors.keys, &sealed[1..]), Err(NotesError::Damaged));
    }
    assert_eq!(open_spelling(&vectors.keys, "AAAA"), Err(NotesError::Damaged));
    let empty = seal_spelling(&vectors.keys, &[]);
    assert_eq!(open_spelling(&vectors.keys, &empty), Ok(Vec::new()));
}

#[test]
fn debug_shows_no_tag_and_no_bytes() {
    let vectors = vectors();
    assert_eq!(format!("{:?} {:?}", vectors.keys, SealTag([1; 8])), "SealKeys SealTag");
    let note = SpellingNote { kind: NoteKind::Alias, index: 3, bytes: b"*x".to_vec().into() };
    assert_eq!(format!("{note:?}"), "SpellingNote(Alias at 3)");
    let value = TreeValue::Plain(ScalarType::Str, b"hunter2");
    assert_eq!(format!("{value:?}"), "TreeValue(str)");
}

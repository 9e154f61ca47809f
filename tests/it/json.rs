//! JSON: the conformance suite, real files, and the laws of a document.

use crate::laws::{
    self, Random, Seen, check_insert, check_nodes, check_remove, check_replace, check_tokens, parse,
};
use waxseal::document::{Document, Format, NodeKind};
use waxseal::value::{Scalar, ScalarType, Tree};

const BITS: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u",
    "\\ud83d",
    "0",
    "-",
    "1e5",
    ".",
    "true",
    "null",
    "\r\n",
    "\u{feff}",
    "é",
    "\"k\": [1, {}],",
];

fn read(text: &str) -> Result<Document, String> {
    Document::parse(text.to_owned(), Format::Json).map_err(|error| error.to_string())
}

fn texts(folder: &str) -> Vec<(String, String)> {
    laws::corpus(folder)
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, String::from_utf8(bytes).ok()?)))
        .collect()
}

#[test]
fn the_suite_is_judged_right() {
    let mut counts = (0, 0, 0);
    for (name, bytes) in laws::corpus("json") {
        let file = name.rsplit('/').next().unwrap_or_default().to_owned();
        // A text is UTF-8 before it is a document.
        let parsed = String::from_utf8(bytes)
            .map_err(|_| "not UTF-8".to_owned())
            .and_then(|text| read(&text));
        if let Ok(doc) = &parsed {
            check_nodes(doc);
        }
        match file.as_bytes()[0] {
            b'y' => {
                counts.0 += 1;
                assert!(parsed.is_ok(), "{file}: {parsed:?}");
            }
            b'n' => {
                counts.1 += 1;
                assert!(parsed.is_err(), "{file}");
            }
            _ => counts.2 += 1,
        }
    }
    assert!(counts == (95, 188, 35) || counts == (0, 0, 0), "{counts:?}");
}

#[test]
fn suite_and_real_files_keep_the_laws() {
    let mut seen = Seen::default();
    let (mut files, mut other, mut all, mut removed) = (0, 0, 0, 0);
    for (name, text) in texts("json").into_iter().chain(texts("real/json")) {
        let Ok(doc) = read(&text) else {
            continue;
        };
        if doc.nodes().len() > 200_000 || text.contains(&"[".repeat(300)) {
            continue;
        }
        files += 1;
        check_nodes(&doc);
        let (other_here, all_here) = check_tokens(&doc);
        other += other_here;
        all += all_here;
        if doc.duplicate_key().is_some() {
            continue;
        }
        let every = 1 + doc.nodes().len() / 60;
        check_insert(&doc, every, &mut seen);
        check_replace(&doc, every);
        removed += check_remove(&doc, every);
        assert!(seen.other_bytes.is_empty(), "{name}: {:?}", seen.other_bytes);
    }
    // What a spelling note has to remember is the exception.
    assert!(other * 1_000 <= all, "{other} of {all} scalars respelled");
    assert!(files == 0 || seen.inserts > files && removed > files, "{files} files, {seen:?}");
}

#[test]
fn mutated_texts_do_no_harm() {
    let mut seeds: Vec<String> = [
        r#"{"a": [1, -0.5e+3, true, null, "x\u00e9\ud83d\ude00"], "b": {}, "c": {"d": []}}"#,
        "{\r\n\t\"a\" : 1,\r\n\t\"b\":{\r\n\t\t\"c\":[\r\n\t\t]\r\n\t}\r\n}\r\n",
        "\u{feff}[ {\"k\":\"v\"} , [ ], \"\" ]",
    ]
    .map(str::to_owned)
    .into();
    seeds.extend(texts("json").into_iter().map(|(_, text)| text).filter(|text| text.len() < 2_000));
    let mut random = Random(7);
    let mut accepted = 0;
    for round in 0..laws::fuzz_count() {
        let seed = random.below(seeds.len());
        let text = random.mutate(&seeds[seed], &BITS);
        let ours = read(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(
            text.strip_prefix("\u{feff}").unwrap_or(&text),
        );
        if let Ok(doc) = &ours {
            accepted += 1;
            check_nodes(doc);
            if round % 16 == 0 && doc.duplicate_key().is_none() {
                check_tokens(doc);
                check_insert(doc, 1, &mut Seen::default());
                check_remove(doc, 1);
            }
        }
        let bom = text.starts_with("\u{feff}\u{feff}");
        let surrogate = matches!(&ours, Err(error) if error.contains("surrogate"));
        // What we say of a value only when it is asked for.
        let value = theirs.as_ref().is_err_and(|error| {
            let error = error.to_string();
            ["out of range", "surrogate", "hex escape", "recursion"]
                .iter()
                .any(|what| error.contains(what))
        });
        assert!(ours.is_ok() == theirs.is_ok() || bom || surrogate || value, "{text}\n{ours:?}");
    }
    assert!(accepted > laws::fuzz_count() / 50, "{accepted} texts were valid");
}

#[track_caller]
fn check_value(text: &str, kind: ScalarType, want: &str) {
    let doc = parse(text, Format::Json);
    let value = doc.scalar(laws::root(&doc)).expect("a value");
    assert_eq!((value.kind, value.text()), (kind, Some(want)));
}

#[test]
fn values_follow_sops() {
    check_value("-0", ScalarType::Int, "0");
    check_value("9223372036854775807", ScalarType::Int, "9223372036854775807");
    check_value("9223372036854775808", ScalarType::Float, "9223372036854776000");
    check_value("1.50", ScalarType::Float, "1.5");
    check_value("1e3", ScalarType::Float, "1000");
    check_value("-0.0", ScalarType::Float, "-0");
    check_value("true", ScalarType::Bool, "True");
    check_value("null", ScalarType::Null, "");
    check_value(r#""\u00e9\ud83d\ude00\/""#, ScalarType::Str, "é😀/");
}

#[track_caller]
fn check_refused(text: &str, message: &str) {
    let doc = parse(text, Format::Json);
    let errors: Vec<String> = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Scalar)
        .filter_map(|id| doc.scalar(id).err())
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [message]);
}

#[test]
fn values_that_no_one_can_hold_are_refused() {
    check_refused("[1e999]", "line 1, column 2: the number is larger than a float can be");
    check_refused(
        "[\n\"a\\ud800\"]",
        "line 2, column 3: a string holds half of a surrogate pair, which is no character",
    );
    let error = read(r#"{"\ud800": 1}"#).expect_err("a key that is no text");
    assert_eq!(error, "line 1, column 3: a key holds half of a surrogate pair");
}

#[test]
fn nesting_ends_in_an_error() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&deep(10_000)).is_ok());
    let error = read(&deep(10_001)).expect_err("too deep");
    assert_eq!(error, "line 1, column 10001: values nested deeper than 10,000 levels");
    assert!(read(&"{\"a\":".repeat(1_000_000)).is_err());
}

fn sample() -> Tree {
    Tree::Map(vec![
        ("v".to_owned(), Tree::str("<1>")),
        ("l".to_owned(), Tree::List(vec![Tree::Scalar(Scalar::int(1)), Tree::Map(vec![])])),
    ])
}

#[track_caller]
fn check_inserted(text: &str, want: &str) {
    let doc = parse(text, Format::Json);
    let at = laws::root(&doc);
    let key = (doc.node(at).kind() == NodeKind::Map).then_some("k");
    assert_eq!(doc.insert(at, key, &sample()).expect("room").apply(text), want);
}

#[test]
fn entries_look_like_their_neighbours() {
    check_inserted(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2,"k":{"v":"<1>","l":[1,{}]}}"#);
    check_inserted(r#"{"a": 1}"#, r#"{"a": 1, "k": {"v": "<1>", "l": [1, {}]}}"#);
    check_inserted("[ 1 ]", r#"[ 1, {"v": "<1>", "l": [1, {}]} ]"#);
    check_inserted(
        "{\r\n  \"a\": 1\r\n}\r\n",
        "{\r\n  \"a\": 1,\r\n  \"k\": {\r\n    \"v\": \"<1>\",\r\n    \"l\": [\r\n      1,\r\n      {}\r\n    ]\r\n  }\r\n}\r\n",
    );
    check_inserted(
        "{}\n",
        "{\n\t\"k\": {\n\t\t\"v\": \"<1>\",\n\t\t\"l\": [\n\t\t\t1,\n\t\t\t{}\n\t\t]\n\t}\n}\n",
    );
}

#[test]
fn conversions_are_laid_out_as_sops_does() {
    let text = Document::emit(&sample(), Format::Json).expect("JSON holds it");
    assert_eq!(text, "{\n\t\"v\": \"\\u003c1\\u003e\",\n\t\"l\": [\n\t\t1,\n\t\t{}\n\t]\n}\n");
    assert!(Document::emit(&Tree::Scalar(Scalar::float(f64::NAN)), Format::Json).is_err());
}

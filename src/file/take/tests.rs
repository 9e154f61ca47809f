//! Values put into a plaintext: its shape, its digits, the time it takes.

use super::{Change, Found, Prune, put, take, write_values};
use crate::document::{Document, Format, Value};
use crate::file::set::unset;

#[track_caller]
fn check(format: Format, old: &str, json: &str, prune: Prune, expected: &str) {
    let doc = Document::parse(old.to_owned(), format).expect("valid");
    let values = Value::parse(json).expect("a map");
    match take(&doc, &values, prune) {
        Ok(taken) => assert_eq!(taken.text, expected),
        Err(error) => assert_eq!(format!("{}: {}", error.path, error.source), expected),
    }
}

fn yaml(old: &str, json: &str, expected: &str) {
    check(Format::Yaml, old, json, Prune::No, expected);
}

#[test]
fn the_shape_of_the_file_stays() {
    yaml(
        "# who\nuser: 'me' # why\nlist:\n  - 1\n  # two\n  - 2\nn: 0x1F\nd: 2020-01-02\nf: 1.10\n",
        r#"{"d":"2020-01-02T00:00:00Z","f":1.1,"list":[1,3],"n":31,"new":{"a":[null]},"user":"you"}"#,
        "# who\nuser: 'you' # why\nlist:\n  - 1\n  # two\n  - 3\nn: 0x1F\nd: 2020-01-02\nf: 1.10\nnew:\n  a:\n    - null\n",
    );
    yaml("a: [1, 2, 3]\n", r#"{"a":[1]}"#, "a: [1]\n");
    yaml("a: 1\n", r#"{"a":"1"}"#, "a: \"1\"\n");
    yaml("a: {b: 1}\n", r#"{"a":"x"}"#, "a: \"x\"\n");
    check(
        Format::Json,
        "{\n  \"a\": 1\n}\n",
        r#"{"a":2,"b":true}"#,
        Prune::No,
        "{\n  \"a\": 2,\n  \"b\": true\n}\n",
    );
    check(
        Format::Toml,
        "a = 1 # x\n[t]\nb = 'y'\n",
        r#"{"a":2,"t":{"b":"z"}}"#,
        Prune::No,
        "a = 2 # x\n[t]\nb = 'z'\n",
    );
}

#[test]
fn keys_that_were_not_given_go_only_if_asked_for() {
    let (old, json) = ("a: 1\nb:\n  c: 1\n  d: 2\ne: 3\n", r#"{"a":1,"b":{"c":1}}"#);
    yaml(old, json, old);
    check(Format::Yaml, old, json, Prune::Yes, "a: 1\nb:\n  c: 1\n");
    let doc = Document::parse(old.to_owned(), Format::Yaml).expect("valid");
    let values = Value::parse(json).expect("a map");
    let gone = take(&doc, &values, Prune::No).expect("fits").gone;
    let gone: Vec<_> = gone.iter().map(ToString::to_string).collect();
    assert_eq!(gone, ["[\"b\"][\"d\"]", "[\"e\"]"]);
}

#[test]
fn numbers_keep_their_digits_or_are_refused() {
    let digits = "123456789012345678901234567890";
    let json = format!("{{\"a\":{digits},\"b\":[1.50,{{\"c\":-{digits}.5}}]}}");
    yaml("a: 1\n", &json, &format!("a: {digits}\nb:\n    - 1.50\n    - c: -{digits}.5\n"));
    check(
        Format::Json,
        "{\"a\": 1}",
        &format!("{{\"a\":{digits}}}"),
        Prune::No,
        &format!("{{\"a\": {digits}}}"),
    );
    let no = "[\"a\"]: toml cannot hold a number of so many digits here";
    check(Format::Toml, "a = 1\n", &format!("{{\"a\":{digits}}}"), Prune::No, no);
    let values = Value::parse(&json).expect("a map");
    let new = write_values(&values, Format::Yaml).expect("fits");
    assert_eq!(new, format!("a: {digits}\nb:\n    - 1.50\n    - c: -{digits}.5\n"));
}

#[test]
fn many_values_change_in_little_time() {
    const MANY: usize = 20_000;
    let text = |value: &str| -> String {
        (0..MANY).map(|index| format!("k{index}: '{value}' # {index}\n")).collect()
    };
    let json: Vec<String> = (0..MANY).map(|index| format!("\"k{index}\":\"new\"")).collect();
    // A step for each takes minutes.
    yaml(&text("old"), &format!("{{{}}}", json.join(",")), &text("new"));
    // Beside those that are not that simple.
    yaml(
        "a: &x 1\nb: *x\nc: !!int 1\nd: |\n    t\ne: 1\nf: []\n",
        r#"{"a":2,"b":3,"c":"x","d":"u","e":1.50,"f":[1]}"#,
        "a: &x 2\nb: 3\nc: x\nd: |-\n    u\ne: 1.50\nf: [1]\n",
    );
}

#[test]
fn bytes_and_aliases_stay_what_they_are() {
    yaml("a: !!binary /w==\n", r#"{"a":"/w=="}"#, "a: !!binary /w==\n");
    yaml("a: !!binary /w==\n", r#"{"a":"/v8="}"#, "a: !!binary /v8=\n");
    yaml("a: &x 1\nb: *x\n", r#"{"a":1,"b":1}"#, "a: &x 1\nb: *x\n");
    yaml("a: &x 1\nb: *x\n", r#"{"a":2,"b":2}"#, "a: &x 2\nb: *x\n");
    yaml("a: &x 1\nb: *x\n", r#"{"a":2,"b":1}"#, "a: &x 2\nb: 1\n");
    yaml("", r#"{"a":{"b":1}}"#, "a:\n    b: 1\n");
}

/// What `take` gives, by a step for each change.
fn one_by_one(doc: &Document, values: &Value, prune: Prune) -> Option<String> {
    let mut text = doc.text().to_owned();
    for _ in 0..10 {
        let now = Document::parse(text.clone(), doc.format()).expect("valid");
        let found = Found::of(&now, values, prune).expect("values");
        if found.changes.is_empty() {
            return Some(text);
        }
        for change in found.changes {
            text = match change {
                Change::Set(path, value) | Change::Alias(path, value) => {
                    put(&text, &now, &path, value).ok()?
                }
                Change::Unset(path) => {
                    let now = Document::parse(text, doc.format()).expect("valid");
                    unset(&now, &path).ok()?
                }
            };
        }
    }
    None
}

/// Nothing is left to do.
#[track_caller]
fn holds(text: &str, format: Format, values: &Value, prune: Prune, what: &str) {
    let now = Document::parse(text.to_owned(), format).expect("valid");
    let found = Found::of(&now, values, prune).expect("values");
    assert!(found.changes.is_empty(), "{what}: {text}");
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    /// JSON of a map, with keys that the texts below have and others.
    fn map(&mut self, depth: u64) -> String {
        let mut keys: Vec<u64> = (0..8).filter(|_| self.below(2) == 0).collect();
        if self.below(2) == 0 {
            keys.reverse();
        }
        let entry = |key: &u64| format!("\"k{key}\":{}", self.value(depth));
        format!("{{{}}}", keys.iter().map(entry).collect::<Vec<_>>().join(","))
    }

    fn value(&mut self, depth: u64) -> String {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => self.below(9).to_string(),
            1 => "\"text: # 'it'\"".to_owned(),
            2 => "1.50".to_owned(),
            3 => "true".to_owned(),
            4 => "\"two\\nlines\\n\"".to_owned(),
            5 => {
                let items: Vec<String> = (0..self.below(5)).map(|_| self.value(0)).collect();
                format!("[{}]", items.join(","))
            }
            _ => self.map(depth - 1),
        }
    }
}

const TEXTS: [(Format, &str); 14] = [
    (Format::Yaml, ""),
    (Format::Yaml, "# only\n"),
    (
        Format::Yaml,
        "k0: 1 # c\n# above\nk1:\n  k0: x\n  # in\n  k2: [1, 2, {k3: 4}]\nk5: |\n  block\n# last\n",
    ),
    (Format::Yaml, "k1:\n    k2:\n        k3: 1\n"),
    (Format::Yaml, "k1:\n- 1\n- 2\n- 3\n- 4\nk2: {}\nk3: []\nk4:\n  k0: 1"),
    (Format::Yaml, "{k0: 1, k1: {k2: 3}, k4: [1, 2, 3]}"),
    (Format::Yaml, "k1: {\r\n  k0: 1,\r\n  k2: 2,\r\n}\r\nk2: null\r\n"),
    (Format::Json, "{}"),
    (Format::Json, "{\"k0\":1,\"k1\":{},\"k2\":[]}"),
    (
        Format::Json,
        "{\n  \"k0\": 1,\n  \"k1\": {\n    \"k2\": [1, 2, 3, 4, 5]\n  },\n  \"k5\": { \"k6\": 1 }\n}\n",
    ),
    (Format::Toml, ""),
    (Format::Toml, "k0 = 1 # c\nk1 = [1, 2]\n\n[k2]\nk3 = \"x\"\n# last\n[k2.k4]\nk5 = 1"),
    (Format::Toml, "k1 = { k2 = 1, k3 = { k4 = 2 } }\nk5.k6 = 1\nk5.k7 = 2\n"),
    (Format::Toml, "[[k1]]\nk2 = 1\n[[k1]]\nk3 = 1\n[k4.k5]\nk6 = 7\n"),
];

#[test]
fn many_steps_at_once_give_what_one_after_the_other_does() {
    let mut numbers = Numbers(1);
    let (mut same, mut refused) = (0, 0);
    for round in 0..150 {
        for (format, text) in TEXTS {
            let json = numbers.map(2);
            let values = Value::parse(&json).expect("a map");
            let prune = if round % 2 == 0 { Prune::No } else { Prune::Yes };
            let doc = Document::parse(text.to_owned(), format).expect("valid");
            let what = format!("{prune:?} {text:?} {json}");
            match (take(&doc, &values, prune), one_by_one(&doc, &values, prune)) {
                (Ok(taken), Some(slowly)) => {
                    let found = Found::of(&doc, &values, prune).expect("values");
                    if !found.places.is_empty() {
                        // What is new is laid out like what was there before that was replaced.
                        holds(&taken.text, format, &values, prune, &what);
                        continue;
                    }
                    // In TOML, what takes the place of a table stands where new keys do.
                    let lines = |text: &str| {
                        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                        if format == Format::Toml {
                            lines.sort();
                        }
                        lines
                    };
                    assert_eq!(lines(&taken.text), lines(&slowly), "{what}");
                    same += 1;
                }
                (Ok(taken), None) => holds(&taken.text, format, &values, prune, &what),
                (Err(_), None) => refused += 1,
                (Err(error), Some(_)) => panic!("{what}: {}", error.source),
            }
        }
    }
    assert!(same > 500 && refused < same / 2, "{same}, {refused}");
}

#[test]
fn many_keys_come_and_go_in_little_time() {
    const MANY: usize = 16_000;
    const GONE: usize = 4_000;
    let json = |from: usize, to: usize| -> String {
        let entry = |index: usize| format!("\"k{index}\":\"v{index}\"");
        let entries: Vec<String> = (from..to).map(entry).collect();
        format!("{{{}}}", entries.join(","))
    };
    let line = |format, index: usize| match format {
        Format::Yaml => format!("k{index}: v{index}\n"),
        Format::Json => format!("\"k{index}\":\"v{index}\""),
        _ => format!("k{index} = \"v{index}\"\n"),
    };
    let text = |format: Format, from: usize, to: usize| {
        let lines: Vec<String> = (from..to).map(|index| line(format, index)).collect();
        match format {
            Format::Json => format!("{{{}}}", lines.join(",")),
            _ => lines.concat(),
        }
    };
    // A step for each takes minutes.
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        let (one, all) = (text(format, 0, 1), text(format, 0, MANY));
        check(format, &one, &json(0, MANY), Prune::No, &all);
        check(format, &all, &json(MANY, 2 * MANY), Prune::No, &text(format, 0, 2 * MANY));
    }
    for format in [Format::Yaml, Format::Json] {
        let (old, new) = (text(format, 0, GONE), text(format, GONE / 2, 2 * GONE));
        check(format, &old, &json(GONE / 2, 2 * GONE), Prune::Yes, &new);
    }
    for (format, empty) in [(Format::Yaml, ""), (Format::Json, "{}"), (Format::Toml, "")] {
        let doc = Document::parse(empty.to_owned(), format).expect("valid");
        let values = Value::parse(&json(0, MANY)).expect("a map");
        let taken = take(&doc, &values, Prune::No).expect("fits");
        assert_eq!(taken.changed.len(), MANY);
    }
}

//! Values from elsewhere put into a plaintext, whose shape stays: order, comments, quoting.
//!
//! Invariants: a value that means the same is not touched; the result is parsed and holds just the
//! values that were given, and of others those that were to stay.

use std::collections::{HashMap, HashSet};

use super::error::{FileError, position_of};
use super::set::{set, unset};
use crate::document::{Document, EditError, NodeId, NodeKind, ParseError, Value, bytes_of};
use crate::path::{KeyPath, Step};
use crate::text::Edits;
use crate::value::{Scalar, ScalarType, Tree};

/// What came of it.
pub struct Taken {
    /// The plaintext.
    pub text: String,
    /// Where values are new or others.
    pub changed: Vec<KeyPath>,
    /// Keys that were not given: taken out, or left.
    pub gone: Vec<KeyPath>,
}

/// Whether keys that were not given go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prune {
    /// They go.
    Yes,
    /// They stay.
    No,
}

/// A value cannot stand in this file.
#[derive(Debug)]
pub struct TakeError {
    /// Which.
    pub path: KeyPath,
    /// Why not.
    pub source: FileError,
}

/// Puts a map of values into the one document of a plaintext.
///
/// # Errors
///
/// If the format cannot hold a value there, or something else depends on what is to change.
pub fn take(doc: &Document, values: &Value, prune: Prune) -> Result<Taken, TakeError> {
    let mut documents = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
    if let Some(second) = documents.nth(1) {
        let start = doc.node(second).span().start();
        let problem = "a second document begins here: values are put into files of one only";
        return Err(at_root(ParseError::at(doc.text(), start, problem).into()));
    }
    let mut taken = Taken { text: doc.text().to_owned(), changed: Vec::new(), gone: Vec::new() };
    let (mut stay, mut known) = (HashSet::new(), HashSet::new());
    // Who changes what has an anchor changes what aliases stand for: those that still differ are next.
    for _ in 0..ROUNDS {
        let doc = parse(&taken.text, doc)?;
        let found = Found::of(&doc, values, prune).map_err(at_root)?;
        for path in found.gone {
            if stay.insert(path.clone()) {
                taken.gone.push(path);
            }
        }
        if found.changes.is_empty() {
            return Ok(taken);
        }
        let mut simple = found.places;
        simple.retain(|(at, _, value)| is_simple(&doc, *at, value));
        if let Some(text) = scalars_at_once(&doc, &mut simple) {
            taken.text = text;
            let paths = simple.into_iter().map(|(_, path, _)| path);
            taken.changed.extend(paths.filter(|path| known.insert(path.clone())));
            continue;
        }
        let first = found.changes.iter().any(|change| !matches!(change, Change::Alias(..)));
        for change in found.changes {
            let (path, made) = match change {
                Change::Alias(..) if first => continue,
                Change::Set(path, value) | Change::Alias(path, value) => {
                    let made = put(&taken.text, &doc, &path, value);
                    (path, made)
                }
                Change::Unset(path) => {
                    let made = parse(&taken.text, &doc)?;
                    let made = unset(&made, &path);
                    (path, made)
                }
            };
            taken.text = made.map_err(|source| TakeError { path: path.clone(), source })?;
            if known.insert(path.clone()) {
                taken.changed.push(path);
            }
        }
    }
    let path = taken.changed.pop().unwrap_or_default();
    let position = position_of(doc, NodeId::FIRST);
    Err(TakeError { path, source: FileError::Check { position } })
}

/// Aliases within what aliases name take one each.
const ROUNDS: usize = 8;

fn at_root(source: FileError) -> TakeError {
    TakeError { path: KeyPath::default(), source }
}

fn parse(text: &str, like: &Document) -> Result<Document, TakeError> {
    Document::parse(text.to_owned(), like.format()).map_err(|error| at_root(error.into()))
}

/// The text with all these scalars in the place of others, in one step: a step for each takes a time that
/// grows with the square of their number. `None`: it is not that simple, or there is no need.
fn scalars_at_once(doc: &Document, places: &mut [(NodeId, KeyPath, &Value)]) -> Option<String> {
    if places.len() < 2 {
        return None;
    }
    let mut edits = Edits::new();
    let mut edited = HashSet::new();
    places.sort_by_key(|(at, _, _)| *at);
    for (at, _, value) in places.iter() {
        let Tree::Scalar(scalar) = value.to_tree() else { return None };
        edits.push_with(doc.node(*at).span(), |out| doc.write_scalar(*at, &scalar, out));
        edited.insert(*at);
    }
    let new = Document::parse(edits.apply(doc.text()), doc.format()).ok()?;
    let same = |id: NodeId| {
        let (old, now) = (doc.node(id), new.node(id));
        old.kind() == now.kind()
            && old.parent() == now.parent()
            && (old.kind() != NodeKind::Scalar
                || edited.contains(&id)
                || doc.source(id) == new.source(id))
    };
    let as_before = doc.nodes().len() == new.nodes().len() && doc.ids().all(same);
    let there = |(at, _, value): &(NodeId, KeyPath, &Value)| {
        Value::of_node(&new, *at).is_ok_and(|there| there.same(value))
    };
    (as_before && places.iter().all(there)).then(|| new.into_text())
}

/// Whether a value takes the place of a scalar as it is written canonically.
fn is_simple(doc: &Document, at: NodeId, value: &Value) -> bool {
    let scalar = |at| doc.scalar(at).ok();
    let old = Some(at).filter(|&at| doc.node(at).kind() == NodeKind::Scalar).and_then(scalar);
    let old = old.is_some_and(|old| old.kind != ScalarType::Null && old.text().is_some());
    old && match value {
        Value::Bool(_) | Value::Text(_) => true,
        Value::Number(number) => match value.to_tree() {
            Tree::Scalar(scalar) => scalar.text() == Some(number),
            Tree::Map(_) | Tree::List(_) => false,
        },
        Value::Null | Value::List(_) | Value::Map(_) => false,
    }
}

/// The text with this value at this place, its numbers with all their digits.
fn put(text: &str, like: &Document, path: &KeyPath, value: &Value) -> Result<String, FileError> {
    let doc = Document::parse(text.to_owned(), like.format())?;
    let text = set(&doc, path, &tree_for(&doc, path, value))?;
    let doc = Document::parse(text, like.format())?;
    let Some(at) = doc.find(path) else {
        return Err(FileError::Check { position: position_of(&doc, NodeId::FIRST) });
    };
    with_digits(doc, at, value)
}

/// A whole plaintext of these values, in the canonical form of a format.
///
/// # Errors
///
/// If the format cannot hold one of them.
pub fn write_values(values: &Value, format: crate::document::Format) -> Result<String, FileError> {
    let doc = Document::parse(Document::emit(&values.to_tree(), format)?, format)?;
    match doc.value_of(NodeId::FIRST) {
        Some(root) => with_digits(doc, root, values),
        None => Ok(doc.into_text()),
    }
}

/// The text with every number below a node spelled as it was given; it holds these values then.
fn with_digits(doc: Document, at: NodeId, value: &Value) -> Result<String, FileError> {
    let mut edits = Vec::new();
    respell(&doc, at, value, &mut edits);
    if edits.is_empty() {
        return Ok(doc.into_text());
    }
    let path = doc.path_of(at);
    edits.sort_by_key(|(id, _)| doc.node(*id).span().start());
    let mut all = Edits::new();
    for (id, number) in edits {
        all.push(doc.node(id).span(), number);
    }
    let what = "a number of so many digits";
    let inexpressible = || EditError::Inexpressible { format: doc.format().name(), what };
    let spelled = Document::parse(all.apply(doc.text()), doc.format()).ok();
    let spelled = spelled.ok_or_else(inexpressible)?;
    let there = spelled.find(&path).map(|at| Value::of_node(&spelled, at)).transpose()?;
    match there {
        Some(there) if there.same(value) => Ok(spelled.into_text()),
        Some(_) | None => Err(inexpressible().into()),
    }
}

/// The numbers that are spelled otherwise.
fn respell<'v>(doc: &Document, at: NodeId, value: &'v Value, out: &mut Vec<(NodeId, &'v str)>) {
    match (doc.node(at).kind(), value) {
        (NodeKind::Scalar, Value::Number(number)) if doc.source(at) != number.as_str() => {
            out.push((at, number));
        }
        (NodeKind::List, Value::List(items)) => {
            for (at, item) in doc.items(at).zip(items) {
                respell(doc, at, item, out);
            }
        }
        (NodeKind::Map, Value::Map(entries)) => {
            let values: HashMap<&str, &'v Value> =
                entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
            for (key, at) in doc.entries(at) {
                if let Some(value) = values.get(&*doc.key_text(key)) {
                    respell(doc, at, value, out);
                }
            }
        }
        _ => {}
    }
}

/// Where bytes stood that are no text, base64 of such bytes is bytes again.
fn tree_for(doc: &Document, path: &KeyPath, value: &Value) -> Tree {
    let old = doc.find(path).filter(|&at| doc.node(at).kind() == NodeKind::Scalar);
    let is_binary = old.is_some_and(|at| doc.scalar(at).is_ok_and(|it| it.text().is_none()));
    match value {
        Value::Text(text) if is_binary => match bytes_of(text) {
            Some(bytes) => Tree::Scalar(Scalar::new(ScalarType::Str, bytes)),
            None => value.to_tree(),
        },
        _ => value.to_tree(),
    }
}

enum Change<'v> {
    Set(KeyPath, &'v Value),
    /// In the place of an alias.
    Alias(KeyPath, &'v Value),
    Unset(KeyPath),
}

/// What differs.
struct Found<'v> {
    changes: Vec<Change<'v>>,
    /// The values that are there and become others.
    places: Vec<(NodeId, KeyPath, &'v Value)>,
    gone: Vec<KeyPath>,
    prune: Prune,
}

impl<'v> Found<'v> {
    fn of(doc: &Document, values: &'v Value, prune: Prune) -> Result<Self, FileError> {
        let (changes, places, gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = Self { changes, places, gone, prune };
        match (doc.value_of(NodeId::FIRST), values) {
            (Some(root), values) => found.compare(doc, root, values, &mut KeyPath::default())?,
            (None, Value::Map(entries)) => {
                let set = |(key, value): &'v (String, Value)| {
                    Change::Set(KeyPath(vec![Step::Key(key.clone())]), value)
                };
                found.changes.extend(entries.iter().map(set));
            }
            (None, _) => {}
        }
        Ok(found)
    }

    fn compare(
        &mut self,
        doc: &Document,
        at: NodeId,
        value: &'v Value,
        path: &mut KeyPath,
    ) -> Result<(), FileError> {
        // What has no value here, such as an infinity, is another one.
        if Value::of_node(doc, at).is_ok_and(|old| old.same(value)) {
            return Ok(());
        }
        match (doc.node(at).kind(), value) {
            (NodeKind::Map, Value::Map(entries)) => {
                let old = doc.entries(at).map(|(key, at)| (doc.key_text(key).into_owned(), at));
                let old: Vec<(String, NodeId)> = old.collect();
                let places: HashMap<&str, NodeId> =
                    old.iter().map(|(key, at)| (key.as_str(), *at)).collect();
                for (key, value) in entries {
                    path.0.push(Step::Key(key.clone()));
                    match places.get(key.as_str()) {
                        Some(&at) => self.compare(doc, at, value, path)?,
                        None => self.changes.push(Change::Set(path.clone(), value)),
                    }
                    path.0.pop();
                }
                let given: HashSet<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
                for (key, _) in old.iter().filter(|(key, _)| !given.contains(key.as_str())) {
                    path.0.push(Step::Key(key.clone()));
                    self.gone.push(path.clone());
                    if self.prune == Prune::Yes {
                        self.changes.push(Change::Unset(path.clone()));
                    }
                    path.0.pop();
                }
            }
            (NodeKind::List, Value::List(items)) => {
                let old: Vec<NodeId> = doc.items(at).collect();
                for (index, value) in items.iter().enumerate() {
                    path.0.push(Step::Index(index));
                    match old.get(index) {
                        Some(&at) => self.compare(doc, at, value, path)?,
                        None => self.changes.push(Change::Set(path.clone(), value)),
                    }
                    path.0.pop();
                }
                // A list is one value: what it no longer has is not one of its own.
                for index in (items.len()..old.len()).rev() {
                    path.0.push(Step::Index(index));
                    self.changes.push(Change::Unset(path.clone()));
                    path.0.pop();
                }
            }
            (NodeKind::Alias, value) => self.changes.push(Change::Alias(path.clone(), value)),
            (_, value) => {
                self.places.push((at, path.clone(), value));
                self.changes.push(Change::Set(path.clone(), value));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Prune, take, write_values};
    use crate::document::{Document, Format, Value};

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
}

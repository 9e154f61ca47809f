//! Entries put in, taken out, and replaced.

use waxseal::document::{Document, EditError, Format, NodeId, NodeKind, Style};
use waxseal::path::{KeyPath, Step};
use waxseal::value::{Scalar, Tree};

use super::{corpus, map, metadata, outline, parse, try_parse};

fn small() -> Tree {
    map(&[("v", Tree::List(vec![Tree::str("yes"), map(&[("w", Tree::str("a\nb\n"))])]))])
}

/// The root of the first document, or the document itself if it is empty.
fn root(doc: &Document) -> NodeId {
    let document = doc.ids().next().expect("a document");
    doc.value_of(document).unwrap_or(document)
}

/// The value at a key path. A comment may stand between a key and its value.
#[track_caller]
fn find(doc: &Document, path: &str) -> NodeId {
    let below = |parent: NodeId, kind: NodeKind| {
        doc.ids().filter(move |&id| {
            let node = doc.node(id);
            let is_one = if kind == NodeKind::Key { node.kind() == kind } else { node.is_value() };
            is_one && node.parent() == parent && id != parent
        })
    };
    let mut at = root(doc);
    for step in KeyPath::parse(path).expect("a path").0 {
        at = match step {
            Step::Index(index) => below(at, NodeKind::Scalar).nth(index),
            Step::Key(key) => below(at, NodeKind::Key)
                .find(|&id| doc.key_text(id) == key)
                .and_then(|key| below(key, NodeKind::Scalar).next()),
        }
        .expect("a value there");
    }
    at
}

fn insert_root(doc: &Document, value: &Tree) -> Result<String, EditError> {
    let root = root(doc);
    let edits = if doc.node(root).kind() == NodeKind::List {
        let item = Tree::Map(vec![("sops".to_owned(), value.clone())]);
        doc.insert(root, None, &item)
    } else {
        doc.insert(root, Some("sops"), value)
    };
    Ok(edits?.apply(doc.text()))
}

fn remove_root(doc: &Document) -> String {
    let root = root(doc);
    let last = if doc.node(root).kind() == NodeKind::List {
        doc.items(root).last()
    } else {
        doc.ids().rfind(|&id| doc.node(id).kind() == NodeKind::Key && doc.node(id).parent() == root)
    };
    doc.remove(last.expect("an entry")).apply(doc.text())
}

fn is_inverse(text: &str, back: &str) -> bool {
    let is_open = !text.trim_start_matches('\u{feff}').is_empty() && !text.ends_with(['\n', '\r']);
    let added = back.strip_prefix(text);
    added == Some("") || is_open && added.is_some_and(|added| ["\n", "\r\n", "\r"].contains(&added))
}

/// Inserts at the root, and removes again.
#[track_caller]
fn check_root(text: &str, expect: &str) {
    let inserted = insert_root(&parse(text), &small()).expect("a root that holds entries");
    assert_eq!(inserted, expect);
    let back = remove_root(&parse(&inserted));
    assert!(is_inverse(text, &back), "{back:?}");
}

#[test]
fn metadata_stands_at_the_end_of_the_first_document() {
    let lines = "sops:\n    v:\n        - \"yes\"\n        - w: |\n            a\n            b\n";
    for text in [
        "",
        "# c\n",
        "---\n",
        "a: 1\n",
        "a: 1\n\n# tail\n\n",
        "a: &x\n",
        "? a\n",
        "a: |+\n  x\n\n\n",
    ] {
        check_root(text, &format!("{text}{lines}"));
    }
    check_root("a: 1", &format!("a: 1\n{lines}"));
    check_root("---", &format!("---\n{lines}"));
    check_root("\u{feff}", &format!("\u{feff}{lines}"));
    check_root("a: 1\r\n", &format!("a: 1\r\n{}", lines.replace('\n', "\r\n")));
    check_root("a: 1\n# c\n...\n# d\n", &format!("a: 1\n# c\n{lines}...\n# d\n"));
    check_root("a: 1\n---\nb: 2\n", &format!("a: 1\n{lines}---\nb: 2\n"));
    check_root("---\n---\nb: 2\n", &format!("---\n{lines}---\nb: 2\n"));
    check_root(
        "a:\n  b: 1\n",
        "a:\n  b: 1\nsops:\n  v:\n    - \"yes\"\n    - w: |\n        a\n        b\n",
    );
    check_root(
        "  a: 1\n",
        "  a: 1\n  sops:\n    v:\n        - \"yes\"\n        - w: |\n            a\n            b\n",
    );
}

#[test]
fn metadata_of_a_list_is_its_last_item() {
    check_root(
        "- a\n- b: 1\n",
        "- a\n- b: 1\n- sops:\n    v:\n        - \"yes\"\n        - w: |\n            a\n            b\n",
    );
    check_root("[a]", "[a, {\"sops\": {\"v\": [\"yes\", {\"w\": \"a\\nb\\n\"}]}}]");
    check_root(
        "[\n  a,\n]\n",
        "[\n  a,\n  {\n    \"sops\": {\n      \"v\": [\n        \"yes\",\n        {\n          \"w\": \"a\\nb\\n\"\n        }\n      ]\n    }\n  },\n]\n",
    );
}

#[test]
fn brackets_get_members() {
    let value = "\"sops\": {\"v\": [\"yes\", {\"w\": \"a\\nb\\n\"}]}";
    check_root("{}\n", &format!("{{{value}}}\n"));
    check_root("{ }", &format!("{{ {value}}}"));
    check_root("{a: 1}", &format!("{{a: 1, {value}}}"));
    check_root("{a: 1,}", &format!("{{a: 1, {value},}}"));
    check_root("{a: 1, b, }", &format!("{{a: 1, b, {value}, }}"));
    check_root("{a: 1, b: , }", &format!("{{a: 1, b: , {value} , }}"));
    check_root("{ # c\n}\n", &format!("{{ # c\n{value}}}\n"));
    check_root("{a: 1 # c\n}\n", &format!("{{a: 1, {value} # c\n}}\n"));
    check_root(
        "{\n\t\"a\": 1\n}\n",
        "{\n\t\"a\": 1,\n\t\"sops\": {\n\t\t\"v\": [\n\t\t\t\"yes\",\n\t\t\t{\n\t\t\t\t\"w\": \"a\\nb\\n\"\n\t\t\t}\n\t\t]\n\t}\n}\n",
    );
}

#[track_caller]
fn check_insert(text: &str, path: &str, key: Option<&str>, value: &Tree, expect: &str) {
    let doc = parse(text);
    let at = find(&doc, path);
    assert_eq!(doc.insert(at, key, value).map(|edits| edits.apply(text)), Ok(expect.to_owned()));
}

#[test]
fn entries_of_nested_collections_follow_the_last_one() {
    let x = Tree::str("x");
    check_insert(
        "a:\n  b: 1 # c\n\n  # d\ne: 2\n",
        "[\"a\"]",
        Some("k"),
        &x,
        "a:\n  b: 1 # c\n  k: x\n\n  # d\ne: 2\n",
    );
    check_insert(
        "a:\n- b\n- c: |\n    t\nd: 1\n",
        "[\"a\"]",
        None,
        &x,
        "a:\n- b\n- c: |\n    t\n- x\nd: 1\n",
    );
    check_insert("- a: 1\n- b: 2", "[1]", Some("k"), &x, "- a: 1\n- b: 2\n  k: x\n");
    check_insert("a: {b: [1]}\n", "[\"a\"][\"b\"]", None, &x, "a: {b: [1, \"x\"]}\n");
    check_insert(
        "a:\n  b: 1\nc: 2\n",
        "[\"a\"]",
        Some("k"),
        &Tree::str("l\n\n"),
        "a:\n  b: 1\n  k: \"l\\n\\n\"\nc: 2\n",
    );
    let doc = parse("[a: 1]");
    let pair = find(&doc, "[0]");
    assert!(doc.insert(pair, Some("k"), &x).is_err());
}

#[track_caller]
fn check_remove(text: &str, path: &str, expect: &str) {
    let doc = parse(text);
    let value = find(&doc, path);
    let parent = doc.node(value).parent();
    let id = if doc.node(parent).kind() == NodeKind::Key { parent } else { value };
    assert_eq!(doc.remove(id).apply(text), expect);
}

#[test]
fn removed_entries_take_their_lines() {
    check_remove("a: 1\n", "[\"a\"]", "");
    check_remove("- a\n", "[0]", "[]\n");
    // The empty line would become a part of `a`.
    check_remove("a: |+\n  x\n\nb: 1\n\nc: 2\n", "[\"b\"]", "a: |+\n  x\n\nc: 2\n");
    check_remove("a: |+\n  x\nb: 1\n\n", "[\"b\"]", "a: |+\n  x\n");
    check_remove("--- &x\na: 1\n", "[\"a\"]", "--- &x\n{}\n");
    check_remove(
        "a: 1\n# above b\nb:\n  # in b\n  c: 2 # inline\n# above d\nd: 3\n",
        "[\"b\"]",
        "a: 1\n# above b\n# above d\nd: 3\n",
    );
    check_remove("a:\n  b: 1\n", "[\"a\"][\"b\"]", "a: {}\n");
    check_remove(
        "a: &x # c\n  # d\n  b: |\n    t\ne: 1\n",
        "[\"a\"][\"b\"]",
        "a: &x {} # c\n  # d\ne: 1\n",
    );
    check_remove("a:\n- b\nc: 1\n", "[\"a\"][0]", "a: []\nc: 1\n");
    check_remove("- a: 1\n  b: 2\n", "[0][\"a\"]", "- b: 2\n");
    check_remove("- a: 1\n  # c\n  b: 2\n", "[0][\"a\"]", "- # c\n  b: 2\n");
    check_remove("- a: 1\n- c\n", "[0][\"a\"]", "- {}\n- c\n");
    check_remove("- - a\n  - b\n- c\n", "[0][0]", "- - b\n- c\n");
    check_remove("- - a\n- c\n", "[0][0]", "- []\n- c\n");
    check_remove("-\n  &x a\n- c\n", "[0]", "- c\n");
    check_remove("? a\n: 1\n? b\n: 2\n", "[\"a\"]", "? b\n: 2\n");
    check_remove("- a\n-\n", "[1]", "- a\n");
    check_remove("a: 1\n", "[\"a\"]", "");
    check_remove("\u{feff}a: 1\n", "[\"a\"]", "\u{feff}");
}

/// What stands behind an entry that goes must not become a part of the block scalar above.
#[test]
fn nothing_behind_a_removed_entry_goes_into_a_block_scalar() {
    check_remove("- |\n x\n-\n #c\n-\n", "[1]", "- |\n x\n#c\n-\n");
    check_remove("a: |\n \t\nb: 1\n  ", "[\"b\"]", "a: |\n \t\n");
    check_remove("a: |+\n x\nb: 1\n\n  # c\n", "[\"b\"]", "a: |+\n x\n# c\n");
}

#[test]
fn a_removed_entry_leaves_its_neighbours_apart() {
    check_remove("? d\nb: 1\n: v\n", "[\"b\"]", "? d\n:\n: v\n");
    check_remove("- - b\n  -  # c\n     d\n", "[0][0]", "- -  # c\n     d\n");
    check_remove("{\na: 1,\n?\n}\n", "[\"a\"]", "{\n?\n}\n");
    check_remove("{ ? # c,\nb: 42\n}\n", "[\"b\"]", "{ \n}\n");
    check_remove("[\na, ---\n]\n", "[0]", "[\n ---\n]\n");
}

#[test]
fn removed_members_take_their_comma() {
    check_remove("[\n? ,b]", "[1]", "[\n? ]");
    check_remove("[a?, b]", "[1]", "[a?]");
    // A tab cannot indent.
    check_remove("- {\n  a: b,\t} #\n", "[0][\"a\"]", "- {\n  } #\n");
    check_remove("- {\n  a: b\t} #\n", "[0][\"a\"]", "- {\n  } #\n");
    check_remove("{a: 1, b: 2, c: 3}", "[\"a\"]", "{b: 2, c: 3}");
    check_remove("{a: 1, b: 2, c: 3}", "[\"b\"]", "{a: 1, c: 3}");
    check_remove("[1, &x 2,]", "[1]", "[1,]");
    check_remove("[1]", "[0]", "[]");
    check_remove("[a: 1, b]", "[0][\"a\"]", "[{}, b]");
    check_remove("{a: 1, # c\n b: 2}", "[\"b\"]", "{a: 1, # c\n }");
    check_remove("{a: 1, # c\n b: 2}", "[\"a\"]", "{ # c\n b: 2}");
    check_remove("{? a : 1, ? b : 2}", "[\"b\"]", "{? a : 1}");
}

#[track_caller]
fn check_replace(text: &str, path: &str, new: &Tree, expect: &str) {
    let doc = parse(text);
    let value = find(&doc, path);
    assert_eq!(doc.replace(value, new).map(|edits| edits.apply(text)), Ok(expect.to_owned()));
    try_parse(expect).expect("still YAML");
}

#[test]
fn values_are_replaced_by_values() {
    let x = Tree::str("x y");
    let one = Tree::Scalar(Scalar::int(1));
    let tree = map(&[("k", Tree::List(vec![one.clone()]))]);
    check_replace("a: 'b' # c\n", "[\"a\"]", &x, "a: 'x y' # c\n");
    check_replace("a: !!int &q 5\n", "[\"a\"]", &x, "a: &q x y\n");
    check_replace("a: !t 5\n", "[\"a\"]", &x, "a: !t x y\n");
    check_replace("a:\nb:\n", "[\"a\"]", &x, "a: x y\nb:\n");
    check_replace("{a, b: 1}", "[\"a\"]", &x, "{a: x y, b: 1}");
    check_replace("{a: [1, 2]}", "[\"a\"]", &tree, "{a: {\"k\": [1]}}");
    check_replace("a: b # c\nd: e\n", "[\"a\"]", &tree, "a: # c\n    k:\n        - 1\nd: e\n");
    check_replace("a: &q b\n", "[\"a\"]", &tree, "a:\n    k:\n        - 1\n");
    check_replace("a:\nb: 1", "[\"b\"]", &tree, "a:\nb:\n    k:\n        - 1\n");
    check_replace("a: |\n  t\nb: 1\n", "[\"a\"]", &tree, "a:\n    k:\n        - 1\nb: 1\n");
    check_replace("- a\n- b # c\n", "[1]", &tree, "- a\n- k:\n    - 1 # c\n");
    check_replace("a:\n  b: 1\n  c: 2\nd: 3\n", "[\"a\"]", &x, "a: x y\nd: 3\n");
    check_replace("a: &q\n  b: 1\n  c: 2\nd: 3\n", "[\"a\"]", &x, "a: x y\nd: 3\n");
    check_replace("a: &q\n  b: 1\nd: 3\n", "[\"a\"]", &tree, "a: &q\n  k:\n    - 1\nd: 3\n");
    check_replace("a:\n- b\n- c\nd: 3\n", "[\"a\"]", &tree, "a:\n    k:\n        - 1\nd: 3\n");
    check_replace("a: # c\n  b: 1\n", "[\"a\"]", &x, "a: x y # c\n");
    check_replace("- a: 1\n  b: 2\n- c\n", "[0]", &x, "- x y\n- c\n");
    check_replace("a: {}\n", "[\"a\"]", &tree, "a:\n    k:\n        - 1\n");
    check_replace("a: [1]\n", "[\"a\"]", &tree, "a: {\"k\": [1]}\n");
    check_replace("a: &q 1\nb: *q\n", "[\"b\"]", &x, "a: &q 1\nb: x y\n");
    check_replace("a: b\n", "[\"a\"]", &Tree::List(vec![]), "a: []\n");
    check_replace("- a\n", "", &Tree::List(vec![]), "[]\n");
}

#[test]
fn a_key_of_several_lines_in_brackets_is_marked_once_it_has_a_value() {
    let seven = Tree::Scalar(Scalar::int(7));
    check_replace(
        "k: {\nk\n !!int }\n",
        "[\"k\"][\"k !!int\"]",
        &seven,
        "k: {\n? k\n !!int: 7 }\n",
    );
    // Its tag stands on the first of them.
    check_replace("k: {\n!t\n a }\n", "[\"k\"][\"a\"]", &seven, "k: {\n? !t\n a: 7 }\n");
}

#[test]
fn a_comment_behind_a_tag_that_goes_keeps_its_space() {
    let text = Tree::Scalar(Scalar::str("x".to_owned()));
    check_replace("a: [!!int # c\n 7]\n", "[\"a\"][0]", &text, "a: [ # c\n x]\n");
}

/// The text of a block scalar at the end of such a key gets a line break behind it.
#[test]
fn a_key_that_ends_in_a_block_scalar_keeps_its_name_with_a_value() {
    let seven = Tree::Scalar(Scalar::int(7));
    check_replace("a:\n? - | # c", "[\"- | # c\"]", &seven, "a:\n? - | # c\n: 7\n");
}

/// A block scalar there would lose its last line break, or take in what follows.
#[test]
fn no_block_scalar_above_a_comment_that_it_would_take_in() {
    let new = map(&[("w", Tree::str("a\nb\n"))]);
    check_replace("k: v\n\n      # c\n", "[\"k\"]", &new, "k:\n    w: \"a\\nb\\n\"\n\n      # c\n");
}

#[test]
fn no_block_scalar_where_the_line_goes_on_or_the_text_ends() {
    let lines = map(&[("k", Tree::str("x\n"))]);
    check_replace("a:\n  b: 1\n", "[\"a\"]", &lines, "a:\n  k: |\n    x\n");
    check_replace("a:\n  b: 1", "[\"a\"]", &lines, "a:\n  k: \"x\\n\"");
    check_replace("- 1", "[0]", &lines, "- k: \"x\\n\"");
    check_replace("a:\n  b: \t\n", "[\"a\"]", &lines, "a:\n  k: \"x\\n\" \t\n");
}

#[test]
fn what_is_put_in_comes_out_again() {
    let (mut count, mut refused, mut wrong) = (0, 0, Vec::new());
    for (name, text) in corpus::texts() {
        let variants = if name.starts_with("real") { vec![text] } else { corpus::variants(&text) };
        for text in variants {
            let Some(doc) = try_parse(&text) else { continue };
            let Ok(inserted) = insert_root(&doc, &metadata()) else {
                refused += 1;
                continue;
            };
            count += 1;
            let Some(after) = try_parse(&inserted) else {
                wrong.push(format!("{name}: {inserted:?} does not parse"));
                continue;
            };
            let back = remove_root(&after);
            if !is_inverse(&text, &back) {
                wrong.push(format!("{name}: {text:?} came back as {back:?} from {inserted:?}"));
            }
            // All that was there reads as before, the value of a block scalar at an open end aside.
            let others = |doc: &Document| {
                outline(doc)
                    .into_iter()
                    .enumerate()
                    .take_while(|(index, line)| *index == 0 || !line.starts_with("Document"))
                    .map(|(_, line)| line)
                    .filter(|line| !line.starts_with("Comment"))
                    .collect::<Vec<_>>()
            };
            let (before, now) = (others(&doc), others(&after));
            let is_open = !text.ends_with(['\n', '\r']);
            let differ = now.iter().zip(&before).find(|(now, then)| now != then);
            if differ.is_some() && !is_open {
                wrong.push(format!("{name}: {differ:?} in {inserted:?}"));
            }
        }
    }
    println!("{count} texts, {refused} refused, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(10)]);
}

#[test]
fn every_collection_takes_an_entry_and_gives_it_back() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, text) in corpus::small() {
        for text in corpus::variants(&text) {
            let Some(doc) = try_parse(&text) else { continue };
            for id in doc.ids() {
                let key = match doc.node(id).kind() {
                    NodeKind::Map => Some("a new key"),
                    NodeKind::List => None,
                    _ => continue,
                };
                let Ok(edits) = doc.insert(id, key, &small()) else { continue };
                count += 1;
                let inserted = edits.apply(&text);
                let Some(after) = try_parse(&inserted) else {
                    wrong.push(format!("{name}: {inserted:?} does not parse"));
                    continue;
                };
                let at = edits.get(0).0.start();
                let mut added = after.ids().filter(|&id| {
                    let node = after.node(id);
                    let is_member = match key {
                        Some(key) => node.kind() == NodeKind::Key && after.key_text(id) == key,
                        None => {
                            after.node(node.parent()).kind() == NodeKind::List
                                && node.kind() == NodeKind::Map
                        }
                    };
                    is_member && node.span().start() >= at
                });
                let Some(added) = added.next() else {
                    wrong.push(format!("{name}: nothing new in {inserted:?}"));
                    continue;
                };
                let back = after.remove(added).apply(&inserted);
                if !is_inverse(&text, &back) {
                    wrong.push(format!("{name}: {text:?} came back as {back:?} from {inserted:?}"));
                }
            }
        }
    }
    println!("{count} collections, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(10)]);
}

#[test]
fn every_value_can_be_removed_and_replaced() {
    let (mut count, mut wrong) = (0, Vec::new());
    let news = [
        Tree::str("a b"),
        Tree::str("a\nb\n"),
        Tree::Map(vec![]),
        small(),
        Tree::List(vec![small()]),
    ];
    for (name, text) in corpus::small() {
        for text in corpus::variants(&text) {
            let Some(doc) = try_parse(&text) else { continue };
            // What an alias names must stay.
            if text.contains('*') {
                continue;
            }
            for id in doc.ids().filter(|&id| doc.node(id).is_value()) {
                let parent = doc.node(id).parent();
                if doc.node(parent).kind() != NodeKind::Document {
                    let entry = if doc.node(parent).kind() == NodeKind::Key { parent } else { id };
                    count += 1;
                    let removed = doc.remove(entry).apply(&text);
                    if try_parse(&removed).is_none() {
                        wrong.push(format!(
                            "{name}: remove {:?} of {text:?}: {removed:?}",
                            doc.source(entry)
                        ));
                    }
                }
                for new in &news {
                    count += 1;
                    let replaced = match doc.replace(id, new) {
                        Ok(edits) => edits.apply(&text),
                        Err(_) => continue,
                    };
                    if try_parse(&replaced).is_none() {
                        wrong.push(format!(
                            "{name}: replace {:?} of {text:?} by {new:?}: {replaced:?}",
                            doc.source(id)
                        ));
                    }
                }
            }
        }
    }
    println!("{count} edits, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(12)]);
}

#[test]
fn emitted_trees_read_back() {
    let tree = map(&[
        ("sops", metadata()),
        ("l", Tree::List(vec![small(), Tree::List(vec![small()])])),
        ("1", small()),
    ]);
    let text = Document::emit(&tree, Format::Yaml).expect("YAML holds every tree");
    let doc = parse(&text);
    assert_eq!(tree_of(&doc, root(&doc)), tree);
}

fn tree_of(doc: &Document, id: NodeId) -> Tree {
    match doc.node(id).kind() {
        NodeKind::Map => Tree::Map(
            doc.entries(id)
                .map(|(key, value)| (doc.key_text(key).into_owned(), tree_of(doc, value)))
                .collect(),
        ),
        NodeKind::List => Tree::List(doc.items(id).map(|item| tree_of(doc, item)).collect()),
        _ => {
            assert_ne!(doc.node(id).style(), Style::Folded);
            Tree::Scalar(doc.scalar(id).expect("a value").into_owned())
        }
    }
}

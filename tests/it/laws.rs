//! What holds for every document of every format, as functions over one document.

use std::path::{Path, PathBuf};

use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::text::Edits;
use waxseal::value::{Scalar, Tree};

/// The files under a folder of the corpus, by name; none where no corpus is set.
pub(crate) fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Some(root) = std::env::var_os("WAXSEAL_CORPUS") else {
        return Vec::new();
    };
    let mut files = Vec::new();
    collect(&PathBuf::from(root).join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} is in the corpus");
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the corpus").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
}

/// How many mutated inputs a room is shown.
pub(crate) fn fuzz_count() -> usize {
    std::env::var("WAXSEAL_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

/// Deterministic numbers (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("31 bits") % end.max(1)
    }

    /// A text that is nearly `text`: pieces cut out, doubled, moved, `bits` put in.
    pub(crate) fn mutate(&mut self, text: &str, bits: &[&str]) -> String {
        let mut text = text.to_owned();
        for _ in 0..=self.below(3) {
            let (a, b) = (self.boundary(&text), self.boundary(&text));
            let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
            let to = (to..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(from);
            match self.below(5) {
                0 => text.replace_range(from..to, ""),
                1 => text.insert_str(self.boundary(&text), &text.clone()[from..to]),
                2 => text.replace_range(from..to, bits[self.below(bits.len())]),
                _ => text.insert_str(from, bits[self.below(bits.len())]),
            }
        }
        text
    }

    fn boundary(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
    }
}

#[track_caller]
pub(crate) fn parse(text: &str, format: Format) -> Document {
    match Document::parse(text.to_owned(), format) {
        Ok(doc) => doc,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// The nodes keep the invariants of the module, and each one can be asked everything.
pub(crate) fn check_nodes(doc: &Document) {
    let mut last = 0;
    for id in doc.ids() {
        let node = doc.node(id);
        let span = node.span();
        assert!(doc.text().get(span.range()).is_some(), "a span in the text");
        // A YAML map starts at its first key, and may hold the comments above it.
        if node.kind() != NodeKind::Comment || doc.format() != Format::Yaml {
            assert!(span.start() >= last, "nodes in the order of the text");
            last = span.start();
        }
        match node.kind() {
            NodeKind::Document => assert_eq!(node.parent(), id),
            NodeKind::Key => {
                assert_eq!(doc.items(id).count(), 1, "a key has one value");
                let _ = doc.key_text(id);
            }
            NodeKind::Scalar | NodeKind::Comment => {
                let _ = doc.scalar(id);
            }
            _ => {}
        }
        assert!(node.parent() <= id);
        assert!(node.kind() == NodeKind::Document || node.parent() < id);
    }
}

/// The value with all that is in it; keys sorted, comments left out. `None`: a scalar has no value.
pub(crate) fn tree(doc: &Document, id: NodeId) -> Option<Tree> {
    match doc.node(id).kind() {
        NodeKind::Map => {
            let mut entries = Vec::new();
            for (key, value) in doc.entries(id) {
                entries.push((doc.key_text(key).into_owned(), tree(doc, value)?));
            }
            Some(sorted(Tree::Map(entries)))
        }
        NodeKind::List => {
            Some(Tree::List(doc.items(id).map(|item| tree(doc, item)).collect::<Option<_>>()?))
        }
        _ => doc.scalar(id).ok().map(|scalar| Tree::Scalar(scalar.into_owned())),
    }
}

pub(crate) fn sorted(tree: Tree) -> Tree {
    match tree {
        Tree::Map(mut entries) => {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Tree::Map(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Tree::List(items) => Tree::List(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

pub(crate) fn root(doc: &Document) -> NodeId {
    doc.ids().next().and_then(|id| doc.value_of(id)).expect("a root value")
}

/// Values to insert: a string of several lines, collections in collections, empty ones.
pub(crate) fn samples() -> Vec<Tree> {
    let map = |entries: Vec<(&str, Tree)>| {
        Tree::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let age = map(vec![
        ("recipient", Tree::str("age1")),
        ("enc", Tree::str("-----BEGIN-----\nYWdl\n-----END-----\n")),
    ]);
    vec![
        Tree::Scalar(Scalar::int(7)),
        Tree::str("it's \"one\"\\ é\ttab\r\u{1}"),
        Tree::Scalar(Scalar::bool(true)),
        Tree::Map(vec![]),
        Tree::List(vec![]),
        Tree::List(vec![Tree::str("a"), Tree::List(vec![Tree::Map(vec![])]), age.clone()]),
        map(vec![
            ("age", Tree::List(vec![age.clone(), age])),
            ("lastmodified", Tree::str("2026-01-02T03:04:05Z")),
            ("waxseal", map(vec![("v", Tree::Scalar(Scalar::int(1))), ("a b", Tree::Map(vec![]))])),
            ("version", Tree::str("3.13.3")),
        ]),
    ]
}

/// What [`check_insert`] saw.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub(crate) inserts: usize,
    pub(crate) refused: usize,
    pub(crate) other_bytes: Vec<String>,
}

/// Whatever is put into whichever container is read back there, and taking it out again gives
/// the same bytes.
pub(crate) fn check_insert(doc: &Document, every: usize, seen: &mut Seen) {
    let before = tree(doc, root(doc));
    let containers = doc
        .ids()
        .filter(|&id| matches!(doc.node(id).kind(), NodeKind::Map | NodeKind::List))
        .enumerate()
        .filter(|(index, _)| index % every == 0);
    for (_, container) in containers {
        let key = (doc.node(container).kind() == NodeKind::Map).then_some("new.key");
        // One more of the same name is no new entry.
        if key.is_some_and(|key| doc.entry(container, key).is_some()) {
            continue;
        }
        for value in samples() {
            let Ok(edits) = doc.insert(container, key, &value) else {
                seen.refused += 1;
                continue;
            };
            seen.inserts += 1;
            let text = edits.apply(doc.text());
            let with = parse(&text, doc.format());
            check_nodes(&with);
            let path = doc.path_of(container);
            let at = with.find(&path).expect("the container is still there");
            let added = match key {
                Some(key) => with.entry(at, key).map(|(key, _)| key),
                None => with.items(at).last(),
            };
            let added = added.unwrap_or_else(|| panic!("the new entry is there\n{text}"));
            let found = with.value_of(added).filter(|_| key.is_some()).unwrap_or(added);
            assert!(tree(&with, found) == Some(sorted(value.clone())), "read back\n{text}");
            let out = with.remove(added).apply(&text);
            if !matches!(out.strip_prefix(doc.text()), Some("" | "\n" | "\r\n" | "\r")) {
                let after = parse(&out, doc.format());
                assert!(tree(&after, root(&after)) == before, "only layout differs\n{text}\n{out}");
                seen.other_bytes.push(edits.iter().map(|(_, new)| new).collect());
            }
        }
    }
}

/// Taking out any entry takes out nothing else.
pub(crate) fn check_remove(doc: &Document, every: usize) -> usize {
    let mut count = 0;
    let entries = doc.ids().filter(|&id| {
        let node = doc.node(id);
        node.kind() == NodeKind::Key
            || node.is_value() && doc.node(node.parent()).kind() == NodeKind::List
    });
    for (index, id) in entries.enumerate() {
        if index % every != 0 {
            continue;
        }
        count += 1;
        let text = doc.remove(id).apply(doc.text());
        let after = parse(&text, doc.format());
        check_nodes(&after);
        // A YAML document that lost its last entry is empty.
        let now = after
            .value_of(NodeId::FIRST)
            .map_or(Some(Tree::Map(Vec::new())), |root| tree(&after, root));
        let want = tree_without(doc, root(doc), id);
        let without_parent = tree_without(doc, root(doc), emptied(doc, id));
        assert!(
            now == want || now == without_parent,
            "{}\n{}\n->\n{text}",
            doc.path_of(id),
            doc.text()
        );
    }
    count
}

/// What goes with the last table of an array of tables: its key.
fn emptied(doc: &Document, id: NodeId) -> NodeId {
    let parent = doc.node(id).parent();
    if doc.format() == Format::Toml && doc.node(parent).kind() == NodeKind::List {
        return doc.node(parent).parent();
    }
    id
}

fn tree_without(doc: &Document, id: NodeId, gone: NodeId) -> Option<Tree> {
    match doc.node(id).kind() {
        NodeKind::Map => {
            let mut entries = Vec::new();
            for (key, value) in doc.entries(id).filter(|&(key, _)| key != gone) {
                entries.push((doc.key_text(key).into_owned(), tree_without(doc, value, gone)?));
            }
            Some(sorted(Tree::Map(entries)))
        }
        NodeKind::List => Some(Tree::List(
            doc.items(id)
                .filter(|&item| item != gone)
                .map(|item| tree_without(doc, item, gone))
                .collect::<Option<_>>()?,
        )),
        _ => tree(doc, id),
    }
}

/// Replacing any value gives the new one there.
pub(crate) fn check_replace(doc: &Document, every: usize) {
    for id in doc.ids().filter(|&id| doc.node(id).is_value()).step_by(every) {
        for value in samples() {
            let Ok(edits) = doc.replace(id, &value) else {
                continue;
            };
            let text = edits.apply(doc.text());
            let after = parse(&text, doc.format());
            let at = after
                .find(&doc.path_of(id))
                .unwrap_or_else(|| panic!("nothing at {}\n{text}", doc.path_of(id)));
            assert!(tree(&after, at) == Some(sorted(value.clone())), "{}\n{text}", doc.path_of(id));
        }
    }
}

/// Sealing every scalar and comment and opening them again gives the same values at the same
/// places; how many of how many scalars come back in other bytes.
pub(crate) fn check_tokens(doc: &Document) -> (usize, usize) {
    const TOKEN: &str = "ENC[AES256_GCM,data:YQ==,iv:+/A=,tag:eA==,type:str]";
    let mut seal = Edits::new();
    let mut leaves = Vec::new();
    for id in doc.ids() {
        if matches!(doc.node(id).kind(), NodeKind::Scalar | NodeKind::Comment)
            && let Ok(value) = doc.scalar(id)
            && !value.bytes.is_empty()
        {
            leaves.push((id, value));
            seal.push_with(doc.node(id).span(), |out| doc.write_token(id, TOKEN, out));
        }
    }
    let sealed = parse(&seal.apply(doc.text()), doc.format());
    assert_eq!(sealed.nodes().len(), doc.nodes().len(), "{}", sealed.text());
    let mut open = Edits::new();
    for (id, value) in &leaves {
        let token = sealed.scalar(*id).expect("a token is a string");
        // A block scalar with `+` keeps the lines behind it; what follows a token is not read.
        assert_eq!(token.text().map(str::trim_end), Some(TOKEN));
        open.push_with(sealed.node(*id).span(), |out| sealed.write_scalar(*id, value, out));
    }
    let opened = parse(&open.apply(sealed.text()), doc.format());
    let mut other = 0;
    let mut places = opened.ids();
    for (id, value) in &leaves {
        // A block scalar that cannot be one any more leaves its header's comment as one of its own.
        let kind = doc.node(*id).kind();
        let (place, now) = places
            .by_ref()
            .filter(|&at| opened.node(at).kind() == kind)
            .filter_map(|at| Some((at, opened.scalar(at).ok()?)))
            .find(|(_, now)| !now.bytes.is_empty() && (kind == NodeKind::Scalar || now == value))
            .unwrap_or_else(|| panic!("lost\n{}", opened.text()));
        let (old, new) = (value.kind, now.kind);
        // SOPS writes a float 1.0 as 1: what a note is for.
        assert_eq!(old.tree_name(), new.tree_name());
        assert!(
            value.bytes == now.bytes || &*value.bytes == b"-0",
            "{:?} in\n{}",
            value.text(),
            opened.text()
        );
        other += usize::from(doc.source(*id) != opened.source(place));
    }
    (other, leaves.len())
}

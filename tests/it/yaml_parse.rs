//! YAML text to nodes: by hand, against the YAML test suite, against other parsers, and mutated.
//!
//! With `WAXSEAL_CORPUS` set, the suite and some thousand real files are read; with `WAXSEAL_FUZZ`,
//! so many mutated texts instead of 20,000, from the seed `WAXSEAL_FUZZ_SEED`.

use std::env;
use std::path::{Path, PathBuf};

use waxseal::document::{Document, Format, Node, NodeKind, Style};

mod corpora;
mod differences;
mod fuzz;
mod invariants;
mod oracle;
mod shape;

/// A folder of the corpora, if they are here.
fn corpus(name: &str) -> Option<PathBuf> {
    let root = env::var_os("WAXSEAL_CORPUS")?;
    Some(Path::new(&root).join(name))
}

/// Texts that hold a bit of everything.
const SAMPLES: [&str; 4] = [
    "# head\na: 1 # one\nb:\n  - 'x'\n  # c\n  - {k: \"v\", l: [1, 2]}\nc: |-\n  text\n\n  more\n",
    "%TAG !e! tag:e.com,2000:\n---\n&a !e!x\nk: &b v\nl: *b\n? [x, y]\n: - z\n...\n--- >+\n folded\n\n",
    "- - a\n  - b: c\n    d:\n    - e\n-\n  ? f\n  : g\n- \"multi\n  line\"\n- plain\n  text\n",
    "{\n  a: [b: c, ? d : e],\n  \"f\":g, # h\n  h\n}\n",
];

/// The nodes as one line: what nests in what, the source of each token, the column of each block
/// collection and block scalar.
fn render(document: &Document) -> String {
    let roots = document.ids().filter(|&id| document.node(id).kind() == NodeKind::Document);
    roots.map(|id| render_node(document, id.index())).collect::<Vec<_>>().join(" ")
}

fn render_node(document: &Document, index: usize) -> String {
    let nodes = document.nodes();
    let node = &nodes[index];
    let source = node.span().of(document.text());
    let children: Vec<String> = (index + 1..nodes.len())
        .filter(|&child| nodes[child].parent().index() == index)
        .filter(|&child| nodes[child].kind() != NodeKind::Document)
        .map(|child| render_node(document, child))
        .collect();
    let children = children.join(" ");
    match (node.kind(), node.style()) {
        (NodeKind::Document, _) => format!("doc({children})"),
        (NodeKind::Map, Style::Flow) => format!("{{{children}}}"),
        (NodeKind::List, Style::Flow) => format!("[{children}]"),
        (NodeKind::Map, _) => format!("map@{}({children})", node.indent()),
        (NodeKind::List, _) => format!("list@{}({children})", node.indent()),
        (NodeKind::Key, Style::Flow | Style::Block) => format!("<{source}>={children}"),
        (NodeKind::Key, _) => format!("{}={children}", show(node, source)),
        (NodeKind::Comment, Style::Inline) => format!("inline{source}"),
        (NodeKind::Comment, _) => format!("line{source}"),
        _ => show(node, source),
    }
}

fn show(node: &Node, source: &str) -> String {
    match node.style() {
        _ if source.is_empty() => format!("null@{}", node.span().start()),
        Style::Literal | Style::Folded => format!("{source:?}@{}", node.indent()),
        _ if source.contains(['\n', '\r']) => format!("{source:?}"),
        _ => source.to_owned(),
    }
}

#[track_caller]
fn check(text: &str, expect: &str) {
    match Document::parse(text.to_owned(), Format::Yaml) {
        Ok(document) => {
            assert_eq!(render(&document), expect);
            assert_eq!(invariants::check(&document), Ok(()));
        }
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn refuse(text: &str, expect: &str) {
    match Document::parse(text.to_owned(), Format::Yaml) {
        Ok(document) => panic!("accepted: {}", render(&document)),
        Err(error) => assert_eq!(error.to_string(), expect),
    }
}

#[test]
fn samples_have_the_nodes_of_the_contract() {
    for text in SAMPLES {
        let document = Document::parse(text.to_owned(), Format::Yaml).expect("samples are valid");
        assert_eq!(invariants::check(&document), Ok(()));
    }
}

#[test]
fn maps_and_lists_nest_by_indentation() {
    check("a: 1\nb:\n  c: x y\n", "doc(map@0(a=1 b=map@2(c=x y)))");
    check("a:\n- b\n-   c: d\n    e: f\ng: h", "doc(map@0(a=list@0(b map@4(c=d e=f)) g=h))");
    check("- - a\n  - b\n-\n - c", "doc(list@0(list@2(a b) list@1(c)))");
    check("? a\n: b\n? - c\n: - d\n", "doc(map@0(a=b <- c>=list@2(d)))");
    check("? |\n  k\n: v", "doc(map@0(\"|\\n  k\\n\"@2=v))");
    check("a: b\n  c\n\n  d # e\n", "doc(map@0(a=\"b\\n  c\\n\\n  d\" inline# e))");
    check("[a]: b\n{c: d} : e", "doc(map@0(<[a]>=b <{c: d}>=e))");
    check("a: 'b: c'\n\"d\" : \"e\"", "doc(map@0(a='b: c' \"d\"=\"e\"))");
}

#[test]
fn nulls_stand_behind_their_indicator() {
    check("a:\nb: \n", "doc(map@0(a=null@2 b=null@5))");
    check("- \n-\n- # c", "doc(list@0(null@1 null@4 null@6 inline# c))");
    check("a: &x\nb: !t # c\n", "doc(map@0(a=&x null@5 b=!t null@11 inline# c))");
    check("? a\n? b\n: c\n?", "doc(map@0(a=null@3 b=c null@13=null@13))");
    check("{a, b: , c: &x}", "doc({a=null@2 b=null@6 c=&x null@14})");
    check("[a: , : b]", "doc([{a=null@3} {null@6=b}])");
    check(": a", "doc(map@0(null@0=a))");
}

#[test]
fn documents_start_where_the_one_before_ends() {
    check("", "doc()");
    check("\u{feff}", "doc()");
    check("# c\n", "doc(line# c)");
    check("---", "doc()");
    check("---\n---\n", "doc() doc()");
    check("...\n", "doc()");
    check("--- !!null\n", "doc(!!null null@10)");
    check("a\n...\n# c\n---\nb\n... # d\n# e", "doc(a) doc(line# c b inline# d line# e)");
    check("%YAML 1.2\n---\na", "doc(a)");
    let text = "a: 1\n---\nb: 2\n...\n\nc: 3\n";
    let document = Document::parse(text.to_owned(), Format::Yaml).expect("it is valid");
    let documents = document.nodes().iter().filter(|node| node.kind() == NodeKind::Document);
    let spans: Vec<_> = documents.map(|node| node.span().range()).collect();
    assert_eq!(spans, [0..5, 5..18, 18..24]);
}

#[test]
fn properties_belong_to_what_is_behind_them() {
    check("&a k: &b !t v\n", "doc(map@0(&a k=&b !t v))");
    check("&a\n&b k: v\n", "doc(&a map@0(&b k=v))");
    check("a: !x\n  &b\n  k: v", "doc(map@0(a=!x &b map@2(k=v)))");
    check("a: !!seq\n- &b\n  c", "doc(map@0(a=!!seq list@0(&b c)))");
    check("- &a k: v\n- *a\n- *a : w", "doc(list@0(map@2(&a k=v) *a map@2(*a=w)))");
    check("? &a k\n: v", "doc(map@0(&a k=v))");
    check("[&a b, !t c: d, &e]", "doc([&a b {!t c=d} &e null@18])");
    check("{&a b: *a , &c [d]: e}", "doc({&a b=*a &c <[d]>=e})");
    check("&a [b]: c", "doc(map@0(&a <[b]>=c))");
}

#[test]
fn comments_belong_to_the_collection_with_their_indentation() {
    check("# a\nb: 1 # c\n# d\n", "doc(line# a map@0(b=1 inline# c line# d))");
    check("a: # b\n  # c\n  d: 1\n", "doc(map@0(a=map@2(line# c d=1) inline# b))");
    check("a:\n# b\n  c: 1\n", "doc(map@0(a=map@2(line# b c=1)))");
    check("a: # b\n# c\n  - d\n", "doc(map@0(a=list@2(line# c d) inline# b))");
    check("a:\n  b: 1\n  # c\n# d\ne: 2", "doc(map@0(a=map@2(b=1 line# c) line# d e=2))");
    check("a:\n  b: 1\n# c\n  # d\ne: 2", "doc(map@0(a=map@2(b=1) line# c line# d e=2))");
    check("a:\n  b: 1\n# c\n  d: 2", "doc(map@0(a=map@2(b=1 line# c d=2)))");
    check("a:\n- b\n# c\n- d\n# e\nf: 1", "doc(map@0(a=list@0(b line# c d) line# e f=1))");
    check("a:\n  - b # c\n  # d\n", "doc(map@0(a=list@2(b inline# c line# d)))");
    check("- # a\n  b: 1\n", "doc(list@0(inline# a map@2(b=1)))");
    check("a: | # b\n  c\n # d\n", "doc(map@0(a=\"| # b\\n  c\\n\"@2 line# d))");
    check("[a, # b\n # c\n {d: e # f\n}]", "doc([a inline# b line# c {d=e inline# f}])");
    check("a # b\n# c\n", "doc(a inline# b line# c)");
    check("a:\n  # b\nc: 1\n", "doc(map@0(a=null@2 line# b c=1))");
}

#[test]
fn block_scalars_end_behind_their_last_content_line() {
    check("a: |\n  b\n\n\nc: 1", "doc(map@0(a=\"|\\n  b\\n\"@2 c=1))");
    check("a: |+\n  b\n\n\nc: 1", "doc(map@0(a=\"|+\\n  b\\n\\n\\n\"@2 c=1))");
    check("- >1-\n   b\n  c", "doc(list@0(\">1-\\n   b\\n  c\"@1))");
    check("a: |\r\n  b\r\nc: 1", "doc(map@0(a=\"|\\r\\n  b\\r\\n\"@2 c=1))");
    check("a: |-\n\n\nb: 1", "doc(map@0(a=\"|-\\n\"@0 b=1))");
    check("--- |\na\n# b\n--- c", "doc(\"|\\na\\n# b\\n\"@0) doc(c)");
}

#[test]
fn every_line_break_ends_a_line() {
    for line_break in ["\n", "\r\n", "\r"] {
        let text = "a: 1 # b\n\nc:\n- 'd'\n".replace('\n', line_break);
        check(&text, "doc(map@0(a=1 inline# b c=list@0('d')))");
    }
    check("\u{feff}a: é\r\nb: ü", "doc(map@0(a=é b=ü))");
    check("a:\t1\t# b\n\t\nc: 1", "doc(map@0(a=1 inline# b c=1))");
}

#[test]
fn errors_say_where_and_what_to_do() {
    refuse(
        "a: b: c",
        "line 1, column 4: a map or list that starts behind something on its line; put it on a line of its own, or quote the value",
    );
    refuse(
        "a:\n   b: 1\n  c: 2",
        "line 3, column 3: a line that is indented like no line above it; indent it like its siblings",
    );
    refuse(
        "a:\n\tb: 1",
        "line 2, column 2: a tab as indentation of a key or list item; use spaces",
    );
    refuse(
        "a: 1\nb",
        "line 2, column 1: text where a key is expected, without a `:` behind it; indent it deeper if it continues the value above",
    );
    refuse("a: [b", "line 1, column 4: a bracket that is never closed");
    refuse("a: 'b", "line 1, column 4: a quote that is never closed");
    refuse(
        "a: \"\\q\"",
        "line 1, column 5: an escape that YAML does not know; write \\\\ for a backslash",
    );
    refuse(
        "a: *b",
        "line 1, column 4: an alias of an anchor that does not stand before it in the document; define the anchor first, or quote the value",
    );
    refuse(
        "&b a: 1\n--- *b",
        "line 2, column 5: an alias of an anchor that does not stand before it in the document; define the anchor first, or quote the value",
    );
    refuse(
        "a: !x!y z",
        "line 1, column 4: a tag with a handle that no %TAG line declares; quote the value",
    );
    refuse("a: @b", "line 1, column 4: a character that no value can start with; quote the value");
    refuse(
        "a: \u{1}",
        "line 1, column 4: the control character U+0001 cannot stand in YAML; write it as an escape in double quotes",
    );
    refuse(
        "a: b\0",
        "line 1, column 5: the control character U+0000 cannot stand in YAML; write it as an escape in double quotes",
    );
    refuse(
        "a: b\u{2028}c",
        "line 1, column 5: the character U+2028 outside of quotes, where YAML versions disagree whether a line ends; put the value in double quotes, or remove the character",
    );
    refuse(
        "a: 1\n\u{feff}b: 2",
        "line 2, column 1: a byte order mark (U+FEFF) inside of the text; remove it, or write it as \\uFEFF in double quotes",
    );
    check("a: '\u{2028}'\nb: |\n  \u{85}\n", "doc(map@0(a='\u{2028}' b=\"|\\n  \\u{85}\\n\"@2))");
}

#[test]
fn keys_are_short_and_nesting_is_limited() {
    let key = "k".repeat(1024);
    check(&format!("{key}: v"), &format!("doc(map@0({key}=v))"));
    let long = "line 1, column 1: a key of more than 1024 characters; put `? ` before it";
    refuse(&format!("{key}k: v"), long);
    check(&format!("? {key}k\n: v"), &format!("doc(map@0({key}k=v))"));
    // In braces a key may be of any length (YAML 1.2.2, 7.4.2), and so may the comments behind it.
    check(&format!("{{{key}k: v}}"), &format!("doc({{{key}k=v}})"));
    refuse(&format!("[{key}k: v]"), &long.replace("column 1", "column 2"));
    let accepted = |text: &str| Document::parse(text.to_owned(), Format::Yaml).is_ok();
    let brackets = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(accepted(&brackets(10_000)));
    assert!(accepted(&"- ".repeat(10_000)));
    assert!(accepted(&"? ".repeat(10_000)));
    refuse(&brackets(10_001), "line 1, column 10001: values nested deeper than 10,000 levels");
    refuse(&"- ".repeat(10_001), "line 1, column 20001: values nested deeper than 10,000 levels");
    refuse(&"[".repeat(1_000_000), "line 1, column 10001: values nested deeper than 10,000 levels");
}

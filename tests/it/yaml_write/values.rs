//! Scalars and keys: by hand, and equal to what another parser decodes.

use granit_parser::{Event, Parser, ScalarStyle};
use waxseal::document::NodeKind;

use super::{corpus, parse, spell, try_parse};

/// The value of every scalar of a text.
#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let doc = parse(text);
    let values: Vec<_> = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Scalar)
        .map(|id| doc.scalar(id).map_or_else(|error| error.to_string(), |scalar| spell(&scalar)))
        .collect();
    assert_eq!(values, expect);
}

#[test]
fn styles_decide_what_is_a_string() {
    check(
        "[1, '1', \"1\", true, yes, ~, 2024-01-02, 1.50]",
        &[
            "int 1",
            "str 1",
            "str 1",
            "bool True",
            "str yes",
            "null ",
            "time 2024-01-02T00:00:00Z",
            "float 1.5",
        ],
    );
    check("- |\n  1\n- >-\n  1\n-\n- a\n  b\n", &["str 1\n", "str 1", "null ", "str a b"]);
    check("k: |\r\n  a\r\n  b\r\nl: 'a\r\n\r\n  b'\r\n", &["str a\nb\n", "str a\nb"]);
    check("k: |\n  x", &["str x"]);
}

#[test]
fn tags_force_a_type() {
    check(
        "[!!str 1, !!int '0x1F', !!float 1, !!bool true, !!null ~, !!timestamp '2024-01-02', ! 12, ! '12']",
        &[
            "str 1",
            "int 31",
            "float 1",
            "bool True",
            "null ",
            "time 2024-01-02T00:00:00Z",
            "int 12",
            "str 12",
        ],
    );
    check(
        "[!!binary aGk=, !custom 12, !!custom 12, !!str , !<tag:yaml.org,2002:int> '7', !!set x]",
        &["str hi", "str 12", "str 12", "str ", "int 7", "str x"],
    );
    check(
        "%TAG !y! tag:yaml.org,2002:\n%TAG !! tag:x,2000:\n---\n- !y!str 1\n- !!str 1\n- !!int x\n",
        &["str 1", "str 1", "str x"],
    );
    check("k: !!int # c\n  '5'\n", &["int 5"]);
    check("k: !!int x\n", &["line 1, column 10: this value does not fit its tag"]);
    check(
        "- 1\n- !!int\n- !!int 18446744073709551615\n",
        &[
            "int 1",
            "line 2, column 8: this value does not fit its tag",
            "float 18446744073709552000",
        ],
    );
}

#[test]
fn keys_are_decoded() {
    let text = "a: 1\n'b''c': 1\n\"d\\te\": 1\n1: 1\n!!str 2: 1\n? [x,\r\n   y]\r\n: 1\n~: 1\n? |\n  z\n: 1\n&q on: 1\n*q : 1\n";
    let doc = parse(text);
    let keys: Vec<_> = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Key)
        .map(|id| (doc.key_text(id).into_owned(), doc.key_is_string(id)))
        .collect();
    let expect = [
        ("a", true),
        ("b'c", true),
        ("d\te", true),
        ("1", false),
        ("2", true),
        ("[x,\n   y]", false),
        ("~", false),
        ("z\n", true),
        ("on", true),
        ("*q", false),
    ];
    assert_eq!(keys, expect.map(|(key, is_string)| (key.to_owned(), is_string)));
}

#[test]
fn comments_are_what_stands_behind_the_mark() {
    let doc = parse("# a\n#b\n#\nk: v #  c \n");
    let comments: Vec<_> = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Comment)
        .filter_map(|id| doc.scalar(id).ok().map(|scalar| spell(&scalar)))
        .collect();
    assert_eq!(comments, ["comment  a", "comment b", "comment ", "comment   c "]);
}

/// The text of every scalar and key that is no collection, as granit decodes it.
fn granit(text: &str) -> Option<Vec<String>> {
    let options = granit_parser::options! {
        flow_nesting_limit: 1000,
        block_nesting_limit: 1000,
        block_scalar_eof_without_line_feed: true,
    };
    let mut values = Vec::new();
    let mut at_root = false;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.ok()?;
        let is_empty = span.byte_range().is_none_or(|range| range.is_empty());
        match event {
            Event::DocumentStart(..) => at_root = true,
            // A document without a value has no node of ours.
            Event::Scalar(_, ScalarStyle::Plain, 0, None) if at_root && is_empty => {}
            Event::Scalar(value, ..) => values.push(value.into_owned()),
            Event::MappingStart(..) | Event::SequenceStart(..) => at_root = false,
            _ => {}
        }
    }
    Some(values)
}

#[test]
fn another_parser_decodes_the_same() {
    let (mut files, mut count, mut wrong) = (0, 0, Vec::new());
    for (name, text) in corpus::texts() {
        let (Some(theirs), Some(doc)) = (granit(&text), try_parse(&text)) else { continue };
        let is_complex = doc.nodes().iter().any(|node| {
            let is_collection = matches!(node.style(), super::Style::Flow | super::Style::Block);
            node.kind() == NodeKind::Key && is_collection
        });
        if is_complex || text.contains("!!binary") {
            continue;
        }
        files += 1;
        let ours: Vec<_> = doc
            .ids()
            .filter(|&id| match doc.node(id).kind() {
                NodeKind::Scalar => true,
                NodeKind::Key => !doc.source(id).starts_with('*'),
                _ => false,
            })
            .map(|id| {
                let text = untyped(&doc, id);
                text.unwrap_or_default()
            })
            .collect();
        count += ours.len();
        if ours.len() != theirs.len() {
            wrong.push(format!("{name}: {} and {}", ours.len(), theirs.len()));
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let theirs = if theirs == "~" { "" } else { theirs };
            let ours = if ours == "~" { "" } else { ours };
            if ours != theirs {
                wrong.push(format!("{name}: {ours:?} and {theirs:?}"));
            }
        }
    }
    println!("{files} files, {count} scalars, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(20)]);
}

/// The text of a scalar before its type is found: through a document of the scalar as a string.
fn untyped(doc: &super::Document, id: super::NodeId) -> Option<String> {
    let source = doc.source(id);
    if doc.node(id).style() == super::Style::Plain {
        return Some(fold(source));
    }
    if doc.node(id).kind() == NodeKind::Key {
        return Some(doc.key_text(id).into_owned());
    }
    let scalar = doc.scalar(id).ok()?;
    scalar.text().map(str::to_owned)
}

/// Lines folded, the simple way.
fn fold(source: &str) -> String {
    let text = source.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<_> = text.split('\n').map(|line| line.trim_matches([' ', '\t'])).collect();
    let mut out = String::new();
    let mut breaks = 0;
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            breaks += 1;
        }
        if line.is_empty() {
            continue;
        }
        match breaks {
            0 => {}
            1 => out.push(' '),
            _ => out.push_str(&"\n".repeat(breaks - 1)),
        }
        breaks = 0;
        out.push_str(line);
    }
    out
}

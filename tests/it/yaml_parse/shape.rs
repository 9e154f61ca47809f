//! The shape of a text, as parsers without exact spans can tell it: what nests in what, the style of
//! each scalar, the number of properties. A collection that is a key is one token, as with us.

use saphyr_parser::{Event, ScalarStyle};

use super::oracle::Reading;

enum Token {
    Document,
    Open { is_map: bool, properties: usize },
    Close,
    Leaf { style: &'static str, properties: usize },
}

/// The shape of a reading with spans.
pub(super) fn of_reading(reading: &Reading) -> Vec<String> {
    let shape = |line: &String| {
        let word = line.split([' ', '0']).next().unwrap_or_default();
        match word {
            "document" => word.to_owned(),
            _ if word.starts_with('-') => "-".to_owned(),
            _ => format!("{word} {}", line.matches('(').count()),
        }
    };
    reading.lines.iter().map(shape).collect()
}

/// The shape that saphyr-parser reads, or its message.
pub(super) fn saphyr(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut depth = 0;
    for event in saphyr_parser::Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let count = |anchor: usize, tagged: bool| usize::from(anchor > 0) + usize::from(tagged);
        tokens.push(match event {
            Event::DocumentStart(_) => Token::Document,
            Event::MappingStart(anchor, tag) => {
                depth += 1;
                Token::Open { is_map: true, properties: count(anchor, tag.is_some()) }
            }
            Event::SequenceStart(anchor, tag) => {
                depth += 1;
                Token::Open { is_map: false, properties: count(anchor, tag.is_some()) }
            }
            Event::MappingEnd | Event::SequenceEnd => {
                depth -= 1;
                Token::Close
            }
            Event::Alias(_) => Token::Leaf { style: "alias", properties: 0 },
            Event::Scalar(value, style, anchor, tag) => {
                let properties = count(anchor, tag.is_some());
                // A root that is not written: its span may hold the `---`.
                let written = || text.chars().nth(span.start.index()) == Some('~');
                let bare = depth == 0 && properties == 0;
                let absent = bare && (value.is_empty() || value == "~" && !written());
                let style = match style {
                    ScalarStyle::Plain if absent => continue,
                    ScalarStyle::Plain => "plain",
                    ScalarStyle::SingleQuoted => "single",
                    ScalarStyle::DoubleQuoted => "double",
                    ScalarStyle::Literal => "literal",
                    ScalarStyle::Folded => "folded",
                };
                Token::Leaf { style, properties }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
        });
    }
    Ok(shape(tokens))
}

/// The shape in an `.event` file of the YAML test suite.
pub(super) fn suite(events: &str) -> Vec<String> {
    let mut depth = 0;
    let tokens = events.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut properties = 0;
        let mut value = "";
        for word in words {
            match word.as_bytes().first() {
                Some(b'&' | b'<') => properties += 1,
                Some(b'[' | b'{' | b'*') => {}
                _ => {
                    value = word;
                    break;
                }
            }
        }
        Some(match kind {
            "+DOC" => Token::Document,
            "+MAP" | "+SEQ" => {
                depth += 1;
                Token::Open { is_map: kind == "+MAP", properties }
            }
            "-MAP" | "-SEQ" => {
                depth -= 1;
                Token::Close
            }
            "=ALI" => Token::Leaf { style: "alias", properties: 0 },
            "=VAL" if depth == 0 && properties == 0 && line == "=VAL :" => return None,
            "=VAL" => {
                let style = match value.as_bytes().first() {
                    Some(b'\'') => "single",
                    Some(b'"') => "double",
                    Some(b'|') => "literal",
                    Some(b'>') => "folded",
                    _ => "plain",
                };
                Token::Leaf { style, properties }
            }
            _ => return None,
        })
    });
    shape(tokens.collect())
}

fn shape(tokens: Vec<Token>) -> Vec<String> {
    let mut shape = Vec::new();
    // Of each open collection: whether it is a map, and whether a key is next.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut key: Option<usize> = None;
    for token in tokens {
        let at_key = open.last().is_some_and(|&(is_map, key)| is_map && key);
        let hidden = key.is_some();
        let complete = !matches!(token, Token::Document | Token::Open { .. });
        let (word, properties) = match token {
            Token::Document => ("document".to_owned(), None),
            Token::Open { is_map, properties } => {
                open.push((is_map, true));
                let word = match (at_key && !hidden, is_map) {
                    (true, _) => "key",
                    (false, true) => "+map",
                    (false, false) => "+list",
                };
                if at_key && !hidden {
                    key = Some(open.len());
                }
                (word.to_owned(), Some(properties))
            }
            Token::Close => {
                open.pop();
                ("-".to_owned(), None)
            }
            Token::Leaf { style, properties } => (style.to_owned(), Some(properties)),
        };
        if !hidden {
            shape.push(match properties {
                Some(count) => format!("{word} {count}"),
                None => word,
            });
        }
        if key.is_some_and(|depth| open.len() < depth) {
            key = None;
        }
        if complete && let Some((_, key)) = open.last_mut() {
            *key = !*key;
        }
    }
    shape
}

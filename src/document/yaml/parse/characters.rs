//! Which characters a YAML text may hold.
//!
//! Invariant: what the rest of the scanner sees has no NUL and no control character but tab, LF, CR.

use crate::document::{Node, ParseError, Style};

/// Refuses control characters. Returns where the characters stand that are refused later if they
/// turn out to be outside of quotes and block scalars.
pub(super) fn check(text: &str) -> Result<Vec<usize>, ParseError> {
    const CHUNK: usize = 64;
    let mut odd = Vec::new();
    for (index, chunk) in text.as_bytes().chunks(CHUNK).enumerate() {
        let suspicious = chunk.iter().fold(false, |found, &byte| found | is_suspicious(byte));
        if !suspicious {
            continue;
        }
        for (offset, &byte) in chunk.iter().enumerate().filter(|&(_, &byte)| is_suspicious(byte)) {
            let at = index * CHUNK + offset;
            if byte >= 0x80 && !matches!(byte, 0xc2 | 0xe2 | 0xef) {
                continue;
            }
            match text[at..].chars().next() {
                Some('\u{feff}') if at == 0 => {}
                Some('\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => odd.push(at),
                Some(c @ ('\0'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')) => {
                    return Err(ParseError::at(
                        text,
                        at,
                        format!(
                            "the control character U+{:04X} cannot stand in YAML; \
                             write it as an escape in double quotes",
                            u32::from(c)
                        ),
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(odd)
}

/// Tells most printable ASCII and line breaks from all the rest, in a form that vectorises.
fn is_suspicious(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r') | (byte >= 0x7f)
}

/// Where a scalar's own text begins: of a block scalar behind its header, which can have a comment.
fn content_start(text: &str, node: &Node) -> usize {
    let span = node.span();
    let header = match node.style() {
        Style::Literal | Style::Folded => {
            memchr::memchr2(b'\n', b'\r', span.of(text).as_bytes()).unwrap_or(span.len())
        }
        Style::Plain
        | Style::Single
        | Style::Double
        | Style::MultiSingle
        | Style::MultiDouble
        | Style::Flow
        | Style::Block
        | Style::Line
        | Style::Inline => 0,
    };
    span.start() + header
}

/// Refuses those of the `odd` characters that no quoted or block scalar holds.
pub(super) fn refuse_odd(text: &str, odd: &[usize], nodes: &[Node]) -> Result<(), ParseError> {
    let mut holders = nodes.iter().filter(|node| {
        matches!(node.style(), Style::Single | Style::Double | Style::Literal | Style::Folded)
    });
    let mut holder = holders.next();
    for &at in odd {
        while holder.is_some_and(|node| node.span().end() <= at) {
            holder = holders.next();
        }
        if holder.is_some_and(|node| content_start(text, node) <= at) {
            continue;
        }
        let c = text[at..].chars().next().unwrap_or_default();
        let problem = if c == '\u{feff}' {
            "a byte order mark (U+FEFF) inside of the text; remove it, or write it as \\uFEFF in \
             double quotes"
                .to_owned()
        } else {
            format!(
                "the character U+{:04X} outside of quotes, where YAML versions disagree whether \
                 a line ends; put the value in double quotes, or remove the character",
                u32::from(c)
            )
        };
        return Err(ParseError::at(text, at, problem));
    }
    Ok(())
}

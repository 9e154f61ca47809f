//! A value on one line: what takes the place of an alias.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::document::{Document, NodeId, NodeKind, ParseError, Style, subtree_end};
use crate::value::{Scalar, ScalarType};

/// How many nodes may be written out for one alias.
const MAX_NODES: usize = 1_000_000;

/// What is left to write, innermost last.
enum Task {
    Value(NodeId),
    Text(&'static str),
    Key(NodeId),
}

/// Writes a value in flow style, aliases in it followed.
pub(in crate::document) fn flow_text(doc: &Document, root: NodeId) -> Result<String, ParseError> {
    let mut out = String::new();
    let mut tasks = vec![Task::Value(root)];
    let mut written = 0;
    while let Some(task) = tasks.pop() {
        written += 1;
        let id = match task {
            Task::Text(text) => {
                out.push_str(text);
                continue;
            }
            Task::Key(key) => {
                write_key(doc, key, &mut out)?;
                continue;
            }
            Task::Value(id) => id,
        };
        let error = |problem| ParseError::at(doc.text(), doc.node(id).span().start(), problem);
        if written > MAX_NODES {
            return Err(error("aliases add more than 1,000,000 nodes"));
        }
        match doc.node(id).kind() {
            NodeKind::Alias => {
                let target = doc.alias_target(id);
                tasks.push(Task::Value(
                    target.ok_or_else(|| error("the alias has no anchor before it"))?,
                ));
            }
            NodeKind::Key => write_string(&doc.key_text(id), &mut out),
            NodeKind::Map => {
                push_members(doc, id, &mut tasks, "{", "}");
            }
            NodeKind::List => {
                push_members(doc, id, &mut tasks, "[", "]");
            }
            _ => write_scalar(&doc.scalar(id)?, &mut out),
        }
    }
    Ok(out)
}

fn push_members(
    doc: &Document,
    id: NodeId,
    tasks: &mut Vec<Task>,
    open: &'static str,
    close: &'static str,
) {
    let at = tasks.len();
    tasks.push(Task::Text(open));
    let mut first = true;
    let end = subtree_end(doc, id);
    for child in (id.index() + 1..end).map(NodeId::new) {
        let node = doc.node(child);
        if node.parent() != id || !(node.is_value() || node.kind() == NodeKind::Key) {
            continue;
        }
        if !first {
            tasks.push(Task::Text(", "));
        }
        first = false;
        if node.kind() == NodeKind::Key {
            tasks.push(Task::Key(child));
            tasks.push(Task::Text(": "));
            if let Some(value) = doc.value_of(child) {
                tasks.push(Task::Value(value));
            }
        } else {
            tasks.push(Task::Value(child));
        }
    }
    tasks.push(Task::Text(close));
    tasks[at..].reverse();
}

fn write_key(doc: &Document, key: NodeId, out: &mut String) -> Result<(), ParseError> {
    if doc.key_is_string(key) {
        write_string(&doc.key_text(key), out);
        return Ok(());
    }
    let node = doc.node(key);
    if node.style() == Style::Block || doc.source(key).contains(['\n', '\r']) {
        let problem = "a key of several lines stands in what an alias to an encrypted value names";
        return Err(ParseError::at(doc.text(), node.span().start(), problem));
    }
    out.push_str(doc.source(key));
    Ok(())
}

fn write_scalar(scalar: &Scalar<'_>, out: &mut String) {
    match (scalar.kind, scalar.text()) {
        (ScalarType::Null, _) => out.push_str("null"),
        (ScalarType::Bool, Some(text)) => out.push_str(&text.to_ascii_lowercase()),
        (ScalarType::Float, Some("NaN")) => out.push_str(".nan"),
        (ScalarType::Float, Some("+Inf")) => out.push_str(".inf"),
        (ScalarType::Float, Some("-Inf")) => out.push_str("-.inf"),
        (ScalarType::Float, Some("-0")) => out.push_str("-0.0"),
        // Without a point it would be an integer.
        (ScalarType::Float, Some(text)) if !text.contains('.') => {
            out.push_str(text);
            out.push_str(".0");
        }
        (ScalarType::Int | ScalarType::Float | ScalarType::Time, Some(text)) => out.push_str(text),
        (_, Some(text)) => write_string(text, out),
        (_, None) => {
            out.push_str("!!binary \"");
            STANDARD.encode_string(&scalar.bytes, out);
            out.push('"');
        }
    }
}

/// Double quotes, with escapes that YAML and JSON share.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

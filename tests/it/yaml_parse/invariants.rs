//! What holds for the nodes of every text.

use waxseal::document::{Document, Node, NodeKind, Style};

/// Refuses nodes that break the contract of `document`, or that of `document::yaml::parse`.
pub(super) fn check(document: &Document) -> Result<(), String> {
    let (text, nodes) = (document.text(), document.nodes());
    if nodes.first().is_none_or(|node| node.kind() != NodeKind::Document) {
        return Err("no document".to_owned());
    }
    let mut chain: Vec<usize> = Vec::new();
    let mut values = vec![0; nodes.len()];
    let mut last_end = 0;
    let mut last_start = 0;
    for (index, node) in nodes.iter().enumerate() {
        let fail = |what: &str| Err(format!("{what}: node {index}, {}", describe(node)));
        let (start, end) = (node.span().start(), node.span().end());
        let parent = node.parent().index();
        if !(text.is_char_boundary(start) && text.is_char_boundary(end)) || start > end {
            return fail("span");
        }
        if node.kind() == NodeKind::Document {
            if parent != index || chain.first().is_some_and(|&d| nodes[d].span().end() != start) {
                return fail("document");
            }
            chain = vec![index];
            continue;
        }
        if parent >= index || !fits(node, &nodes[parent]) {
            return fail("parent");
        }
        // A comment between a key and its value leaves both open.
        let Some(at) = chain.iter().rposition(|&open| open == parent) else {
            return fail("not contiguous");
        };
        let key_waits = |&open: &usize| nodes[open].kind() == NodeKind::Key && values[open] == 0;
        let waits = chain[at + 1..].first().is_some_and(key_waits);
        if !(node.kind() == NodeKind::Comment && waits) {
            chain.truncate(at + 1);
        }
        if let Some(&outer) = chain.first()
            && (start < nodes[outer].span().start() || end > nodes[outer].span().end())
        {
            return fail("outside of its document");
        }
        match node.kind() {
            NodeKind::Comment => {
                if start < last_end || !text[start..end].starts_with('#') {
                    return fail("comment");
                }
                last_end = end;
                continue;
            }
            NodeKind::Map | NodeKind::List => {}
            _ => {
                if start < last_end {
                    return fail("overlaps");
                }
                last_end = end;
            }
        }
        if start < last_start {
            return fail("order");
        }
        last_start = start;
        if node.is_value() {
            values[parent] += 1;
        }
        chain.push(index);
    }
    for (index, node) in nodes.iter().enumerate() {
        let fail = |what: &str| Err(format!("{what}: node {index}, {}", describe(node)));
        let count = values[index];
        match node.kind() {
            NodeKind::Document if count > 1 => return fail("two values"),
            NodeKind::Key if count != 1 => return fail("no value"),
            NodeKind::Map | NodeKind::List => {
                let last = nodes[index + 1..]
                    .iter()
                    .filter(|child| child.parent().index() == index)
                    .rfind(|child| child.kind() != NodeKind::Comment);
                if last.is_some_and(|child| child.span().end() > node.span().end()) {
                    return fail("child outside");
                }
                if node.style() == Style::Block && last.is_none() {
                    return fail("empty block");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn describe(node: &Node) -> String {
    format!("{:?} {:?} {:?}", node.kind(), node.style(), node.span())
}

fn fits(node: &Node, parent: &Node) -> bool {
    use NodeKind::{Alias, Anchor, Comment, Document, Key, List, Map, Scalar, Tag};
    match node.kind() {
        Document => false,
        Key => parent.kind() == Map,
        Map | List | Scalar | Alias => matches!(parent.kind(), Document | Key | List),
        Comment => matches!(parent.kind(), Document | Map | List),
        Anchor | Tag => matches!(parent.kind(), Document | Key | List | Map),
    }
}

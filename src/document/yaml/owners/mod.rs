//! Who owns a comment to SOPS' YAML library.
//!
//! The library reads tokens ([`tokens`]) and, between them, groups of comment lines ([`groups`]): the
//! line of a token, the foot of what came before, the head of what follows. A group waits for the first
//! token at or behind its anchor. What has come together by then goes to the next key, value or end
//! that takes it ([`attach`]). One pass, a few tokens ahead; nothing is kept but the open maps.

use std::collections::VecDeque;

use crate::document::{Document, NodeId, NodeKind, Owner, Style};
use attach::Attach;
use tokens::Tokens;

mod attach;
mod groups;
mod tokens;

/// What the library reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TokenKind {
    /// `-`.
    Dash,
    /// `?`, or what it takes for one before a key.
    KeyMark,
    /// `:`.
    Colon,
    Comma,
    /// The first key or dash of a block collection.
    BlockStart,
    BlockEnd,
    /// An opening bracket, or a closing one.
    FlowStart,
    FlowEnd,
    /// A key, scalar or alias.
    Leaf,
    /// A key or value that is not written: no token, but it has its place.
    Unwritten,
    /// The key of the entry that is announced, or what it is inside of brackets.
    Announced,
    AnnouncedInBrackets,
    /// A tag or anchor.
    Property,
    /// `%`.
    Directive,
    /// `---`.
    DocumentStart,
    /// `...`.
    DocumentEnd,
    TextEnd,
}

#[derive(Clone, Copy)]
struct Token {
    kind: TokenKind,
    start: usize,
    /// The key, value or collection.
    node: Option<NodeId>,
}

/// Which part of a token a group of comments becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Head,
    Line,
    Foot,
}

/// Comment lines that stay together.
#[derive(Clone, Copy, Debug)]
struct Group {
    part: Part,
    /// It goes to no token before this offset.
    anchor: usize,
    /// Which comments, by their number in the text.
    first: usize,
    end: usize,
}

/// Every comment that the library keeps, with its owner, in the order of the text.
pub(in crate::document) fn owners(doc: &Document) -> Vec<(NodeId, Owner)> {
    let is_comment = |id: &NodeId| {
        doc.node(*id).kind() == NodeKind::Comment || header_comment(doc, *id).is_some()
    };
    let mut comments: Vec<NodeId> = doc.ids().filter(is_comment).collect();
    if comments.is_empty() {
        return Vec::new();
    }
    comments.sort_by_key(|&comment| doc.node(comment).span().start());
    let mut tokens = Tokens::new(doc, &comments);
    let mut attach = Attach::new(doc, &comments);
    let mut ahead = VecDeque::new();
    let mut written = 0;
    loop {
        // A group is read before the two tokens that can take it first have gone by.
        while written <= LOOKAHEAD && tokens.read(&mut ahead, attach.waiting()) {
            written = ahead.iter().filter(|token| token.kind != TokenKind::Unwritten).count();
        }
        let Some(token) = ahead.pop_front() else { return attach.into_owners() };
        written -= usize::from(token.kind != TokenKind::Unwritten);
        attach.token(token, ahead.front());
    }
}

const LOOKAHEAD: usize = 3;

/// The comment on the line of the `|` or `>` of a block scalar, `#` included.
pub(in crate::document) fn header_comment(doc: &Document, id: NodeId) -> Option<&str> {
    let is_block = matches!(doc.node(id).style(), Style::Literal | Style::Folded);
    if !is_block || doc.node(id).kind() != NodeKind::Scalar {
        return None;
    }
    let header = doc.source(id).lines().next()?;
    // A lone CR ends a line as well.
    let header = header.split('\r').next()?;
    header.find('#').map(|at| &header[at..])
}

#[cfg(test)]
mod tests {
    use crate::document::{Document, Format, NodeId, NodeKind, Owner};

    /// Each comment with its owner, `>` before, `<` behind, `(` first in, `)` last in.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let doc = Document::parse(text.to_owned(), Format::Yaml).expect("valid YAML");
        check_owners(&doc, expect);
    }

    #[track_caller]
    fn check_owners(doc: &Document, expect: &str) {
        let name = |id: NodeId| match doc.node(id).kind() {
            NodeKind::Document => "document".to_owned(),
            NodeKind::Map | NodeKind::List => doc.path_of(id).to_string(),
            _ => doc.source(id).to_owned(),
        };
        let shown = |(comment, owner): (NodeId, Owner)| {
            let (sign, id) = match owner {
                Owner::Before(id) => ('>', id),
                Owner::After(id) => ('<', id),
                Owner::First(id) => ('(', id),
                Owner::Last(id) => (')', id),
            };
            format!("{}{sign}{}", doc.comment_text(comment).trim(), name(id))
        };
        let owners: Vec<_> = doc.comment_owners().into_iter().map(shown).collect();
        assert_eq!(owners.join(" "), expect);
    }

    #[test]
    fn a_comment_above_a_key_is_its_head() {
        check("# 1\na: 1\n# 2\nb: 2\n", "1>a 2>b");
        check("a:\n  # 1\n  b: 1\n", "1>b");
    }

    #[test]
    fn a_comment_behind_a_directive_is_dropped() {
        check("%YAML 1.2 # 1\n# 2\n---\n# 3\na: 1 # 4\n", "2>a 3>a 4>a");
    }

    #[test]
    fn a_comment_behind_a_collection_that_is_a_key_is_part_of_it() {
        check("? r # 1\n? - d # part\n: 1 # 2\n", "1>r 2>- d");
    }

    #[test]
    fn a_comment_with_a_blank_line_behind_is_the_foot_of_what_is_above() {
        check("a: 1\nb: 2\n# 1\n\nc: 3\n", "1<b");
        check("a: 1\nb: 2\n\n# 1\n\nc: 3\n", "1>c");
        check("a:\n  b: 1\n# 1\n\nc: 3\n", "1<a");
    }

    #[test]
    fn what_is_further_out_takes_no_comment_of_a_block_above() {
        check("a:\n  b: 1\n  # 1\nc: 2\n", "1<b");
        check("a:\n  b: 1\n # 1\nc: 2\n", "1<b");
        check("a:\n  b: 1\n# 1\nc: 2\n", "1>c");
        check("a:\n  b:\n    c: 1\n  # 1\n", "1<b");
    }

    #[test]
    fn an_entry_to_come_counts() {
        let text = "a:\n  b:\n    c: 1\n  # 1\n";
        let mut doc = Document::parse(text.to_owned(), Format::Yaml).expect("valid YAML");
        doc.announce_entry(text.len());
        check_owners(&doc, "1<c");
        let text = "a:\n  b: 1\n# 1\n";
        let mut doc = Document::parse(text.to_owned(), Format::Yaml).expect("valid YAML");
        check_owners(&doc, "1<a");
        doc.announce_entry(text.len());
        check_owners(&doc, "1)");
    }

    #[test]
    fn a_comment_on_the_line_of_a_value_is_before_its_entry() {
        check("a: 1 # 1\nb: # 2\n  c: 1\n", "1>a 2>b");
        check("a: [1, # 1\n  2] # 2\n", "1>1 2([\"a\"]");
        check("a: | # 1\n  x\n", "1>a");
    }

    #[test]
    fn list_items_and_what_is_above_them() {
        check("# 1\n- # 2\n  a: 1\n# 3\n- b # 4\n# 5\n", "1>[0] 2>a 3>b 4>b 5<b");
    }

    #[test]
    fn documents_have_comments_of_their_own() {
        // Before the `...` it is lost: the end of the document takes one part only.
        check("a: 1\n---\n# 1\nb: 2\n# 2\n...\n# 3\n", "1>b 3)");
    }

    #[test]
    fn lines_by_crlf_are_as_if_a_blank_line_followed() {
        check("a: 1\r\n# 1\r\n# 2\r\nb: 2\r\n", "1<a 2>b");
    }
}

//! The scanner of JSON (RFC 8259): one pass, an explicit stack, nothing decoded.
//!
//! Invariants: what is accepted is exactly the grammar, with a leading byte order mark tolerated;
//! nesting ends in an error at [`MAX_DEPTH`], never in a stack overflow.

use super::super::{MAX_DEPTH, Node, NodeId, NodeKind, ParseError, Style};
use super::scalar::lone_surrogate;
use crate::text::Span;

/// Parses a text; see [`super::super::Document::parse`].
pub(super) fn parse(text: &str) -> Result<Vec<Node>, ParseError> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let document = NodeId::new(0);
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: start,
        nodes: Vec::with_capacity(text.len() / 12 + 4),
        open: Vec::new(),
    };
    scanner.push(Span::new(start, text.len()), document, NodeKind::Document, Style::Flow);
    scanner.value(document)?;
    scanner.skip_white();
    match scanner.peek() {
        None => Ok(scanner.nodes),
        Some(_) => Err(scanner.error("there is more after the end of the JSON value")),
    }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// The objects and arrays that are not closed yet.
    open: Vec<NodeId>,
}

impl Scanner<'_> {
    /// One value with all that is in it. `parent`: the key, array or document that it stands under.
    fn value(&mut self, mut parent: NodeId) -> Result<(), ParseError> {
        loop {
            self.skip_white();
            let byte = self.peek();
            let container = match byte {
                Some(b'{') => Some((NodeKind::Map, b'}')),
                Some(b'[') => Some((NodeKind::List, b']')),
                _ => None,
            };
            if let Some((kind, close)) = container {
                if self.open.len() >= MAX_DEPTH {
                    return Err(self.error(super::super::TOO_DEEP));
                }
                let id = self.push(Span::at(self.at), parent, kind, Style::Flow);
                self.open.push(id);
                self.at += 1;
                self.skip_white();
                if self.peek() != Some(close) {
                    parent = self.enter(id)?;
                    continue;
                }
            } else {
                self.scalar(parent, byte)?;
            }
            match self.next_place()? {
                Some(next) => parent = next,
                None => return Ok(()),
            }
        }
    }

    /// Behind a value: closes what is closed there, and gives the parent of the value that follows.
    fn next_place(&mut self) -> Result<Option<NodeId>, ParseError> {
        while let Some(&id) = self.open.last() {
            self.skip_white();
            let close = if self.nodes[id.index()].kind() == NodeKind::Map { b'}' } else { b']' };
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_white();
                    return self.enter(id).map(Some);
                }
                Some(byte) if byte == close => {
                    self.at += 1;
                    self.nodes[id.index()] = self.nodes[id.index()].with_end(self.at);
                    self.open.pop();
                }
                None if close == b'}' => return Err(self.error("the object is not closed")),
                None => return Err(self.error("the array is not closed")),
                Some(_) => {
                    let expected =
                        if close == b'}' { "expected ',' or '}'" } else { "expected ',' or ']'" };
                    return Err(self.error(self.not_json().unwrap_or(expected)));
                }
            }
        }
        Ok(None)
    }

    /// At the start of a member or item: the node that its value belongs to.
    fn enter(&mut self, id: NodeId) -> Result<NodeId, ParseError> {
        if self.nodes[id.index()].kind() == NodeKind::List {
            return Ok(id);
        }
        if self.peek() != Some(b'"') {
            let problem = self.not_json().unwrap_or("expected a key in double quotes");
            return Err(self.error(problem));
        }
        let start = self.at;
        let escaped = self.string()?;
        if escaped {
            // A key is a path, so it must be text; SOPS would rename it.
            let key = &self.text[start..self.at];
            if let Some(offset) = lone_surrogate(key) {
                self.at = start + offset;
                return Err(self.error("a key holds half of a surrogate pair"));
            }
        }
        let key = self.push(Span::new(start, self.at), id, NodeKind::Key, Style::Double);
        self.skip_white();
        if self.peek() != Some(b':') {
            return Err(self.error("expected ':' after the key"));
        }
        self.at += 1;
        Ok(key)
    }

    fn scalar(&mut self, parent: NodeId, byte: Option<u8>) -> Result<(), ParseError> {
        let start = self.at;
        let style = if byte == Some(b'"') { Style::Double } else { Style::Plain };
        match byte {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(_) => {
                return Err(self.error(self.not_json().unwrap_or("expected a JSON value")));
            }
            None => return Err(self.error("expected a JSON value, but the text ends")),
        }
        self.push(Span::new(start, self.at), parent, NodeKind::Scalar, style);
        Ok(())
    }

    /// What other readers let pass for JSON stands here.
    fn not_json(&self) -> Option<&'static str> {
        let comma = self.bytes[..self.at].trim_ascii_end().ends_with(b",");
        match self.peek()? {
            b'/' | b'#' => Some("a comment, which JSON does not have"),
            b'}' | b']' if comma => {
                Some("a comma before the closing bracket, which JSON does not have")
            }
            b'\'' => Some("single quotes, where JSON has double quotes"),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Result<(), ParseError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a JSON value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error("a number does not start with 0"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("expected a digit"));
        }
        Ok(())
    }

    /// Over a string, quotes included; whether it holds escapes.
    fn string(&mut self) -> Result<bool, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => {
                    return Err(self.error("a control character in a string must be escaped"));
                }
                None => {
                    self.at = start;
                    return Err(self.error("the string is not closed"));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.error("expected four hexadecimal digits after \\u"));
                }
                self.at += 6;
                Ok(())
            }
            _ => Err(self.error("an unknown escape in a string")),
        }
    }

    fn skip_white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn push(&mut self, span: Span, parent: NodeId, kind: NodeKind, style: Style) -> NodeId {
        let id = NodeId::new(self.nodes.len());
        self.nodes.push(Node::new(span, parent, kind, style));
        id
    }

    fn error(&self, problem: impl Into<std::borrow::Cow<'static, str>>) -> ParseError {
        ParseError::at(self.text, self.at, problem)
    }
}

/// How many bytes stand before the first quote, backslash or control character.
///
/// Strings are short, so that a search for each of the three would cost more. Long ones, such as
/// tokens, are gone through by blocks, for which the compiler has instructions.
fn plain_run(bytes: &[u8]) -> usize {
    let stops = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let (blocks, _) = bytes.as_chunks::<32>();
    let is_plain = |block: &&[u8; 32]| !block.iter().fold(false, |any, byte| any | stops(byte));
    let plain = blocks.iter().take_while(is_plain).count() * 32;
    plain + short_plain_run(&bytes[plain..])
}

/// As [`plain_run`], eight bytes at a time.
fn short_plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = (word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash);
        let found = found & HIGHS;
        if found != 0 {
            // The lowest hit is exact; a borrow can only add false ones above it.
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let done = bytes.len() - rest.len();
    done + rest.iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}

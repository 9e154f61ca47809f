//! The scanner of TOML 1.1 (and so of 1.0): one pass, an explicit stack.
//!
//! Invariants: what is accepted is valid TOML, the rules on tables ([`super::tables`]) included;
//! nesting ends in an error at [`super::super::MAX_DEPTH`], never in a stack overflow.

use super::super::{Node, NodeId, NodeKind, ParseError, Style};
use super::tables::{Tables, Through, Token};
use super::{plain, string};
use crate::text::Span;

/// A header or a pair, as edits need them. Comments and blank lines are none.
#[derive(Clone, Copy)]
pub(super) struct Statement {
    /// From the first bracket or key to the last bracket or the end of the value.
    pub(super) span: Span,
    /// Whether it is a header.
    pub(super) is_header: bool,
    /// Of a header its table, of a pair its last key.
    pub(super) target: NodeId,
    /// The table whose header stands last before or here; the root map before the first.
    pub(super) table: NodeId,
}

/// Parses a text; see [`super::super::Document::parse`].
pub(super) fn parse(text: &str) -> Result<Vec<Node>, ParseError> {
    let mut scanner = Scanner::new(text, None);
    scanner.document()?;
    Ok(scanner.tables.into_nodes())
}

/// The statements of a text that is valid, in the order of the text.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut scanner = Scanner::new(text, Some(Vec::new()));
    // A document exists only for text that parses.
    let _ = scanner.document();
    scanner.statements.unwrap_or_default()
}

/// The characters of a bare key.
const BARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        byte += 1;
    }
    table
};

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tables: Tables<'a>,
    statements: Option<Vec<Statement>>,
    /// The table of the last header, and its depth.
    table: NodeId,
    depth: usize,
}

/// An array or inline table that is not closed yet.
struct Open {
    id: NodeId,
    close: u8,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, statements: Option<Vec<Statement>>) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 },
            tables: Tables::new(text),
            statements,
            table: NodeId::new(0),
            depth: 1,
        }
    }

    fn document(&mut self) -> Result<(), ParseError> {
        self.table = self.tables.push_root(Span::new(self.at, self.text.len()));
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Ok(()),
                Some(b'#' | b'\n' | b'\r') => {}
                Some(b'[') => self.header()?,
                Some(_) => self.pair()?,
            }
            self.skip_blanks();
            if self.peek() == Some(b'#') {
                self.comment(self.table)?;
            }
            if self.peek().is_some() && !self.line_break() {
                return Err(self.error("expected the end of the line"));
            }
        }
    }

    fn header(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let is_item = self.bytes.get(start + 1) == Some(&b'[');
        self.at += if is_item { 2 } else { 1 };
        let mut map = NodeId::new(1);
        let mut depth = 1;
        self.skip_blanks();
        let mut key = self.key()?;
        self.skip_blanks();
        while self.peek() == Some(b'.') {
            self.at += 1;
            map = self.tables.descend(map, key, Through::Header, &mut depth)?;
            self.skip_blanks();
            key = self.key()?;
            self.skip_blanks();
        }
        let close: &[u8] = if is_item { b"]]" } else { b"]" };
        if !self.bytes[self.at..].starts_with(close) {
            return Err(self.error("the header is not closed on its line"));
        }
        self.at += close.len();
        self.table = if is_item {
            self.tables.item(map, key, &mut depth)?
        } else {
            self.tables.table(map, key, &mut depth)?
        };
        self.depth = depth;
        self.record(start, true, self.table);
        Ok(())
    }

    fn pair(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let key = self.dotted_key(self.table, self.depth)?;
        self.value(key.0, key.1)?;
        self.record(start, false, key.0);
        if self.at > self.tables.node(self.table).span().end() {
            self.tables.set_end(self.table, self.at);
        }
        Ok(())
    }

    fn record(&mut self, start: usize, is_header: bool, target: NodeId) {
        let (span, table) = (Span::new(start, self.at), self.table);
        if let Some(statements) = &mut self.statements {
            statements.push(Statement { span, is_header, target, table });
        }
    }

    /// A key with its `=`, and the depth that its value stands at.
    fn dotted_key(
        &mut self,
        mut map: NodeId,
        mut depth: usize,
    ) -> Result<(NodeId, usize), ParseError> {
        let mut key = self.key()?;
        self.skip_blanks();
        while self.peek() == Some(b'.') {
            self.at += 1;
            map = self.tables.descend(map, key, Through::DottedKey, &mut depth)?;
            self.skip_blanks();
            key = self.key()?;
            self.skip_blanks();
        }
        if self.peek() != Some(b'=') {
            return Err(self.error("expected '=' after the key"));
        }
        let id = self.tables.leaf(map, key)?;
        self.at += 1;
        self.skip_blanks();
        Ok((id, depth))
    }

    fn key(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let style = match self.peek() {
            Some(b'"' | b'\'') => self.string()?,
            _ => {
                while self.peek().is_some_and(|byte| BARE[usize::from(byte)]) {
                    self.at += 1;
                }
                Style::Plain
            }
        };
        if self.at == start {
            return Err(self.error("expected a key; one with other characters stands in quotes"));
        }
        if matches!(style, Style::MultiDouble | Style::MultiSingle) {
            self.at = start;
            return Err(self.error("a key cannot have triple quotes"));
        }
        Ok(Token { span: Span::new(start, self.at), style })
    }

    /// One value with all that is in it. `parent`: its key, at this depth.
    fn value(&mut self, mut parent: NodeId, mut depth: usize) -> Result<(), ParseError> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let container = match self.peek() {
                Some(b'[') => Some((NodeKind::List, b']')),
                Some(b'{') => Some((NodeKind::Map, b'}')),
                _ => None,
            };
            if let Some((kind, close)) = container {
                let span = Span::at(self.at);
                self.tables.deeper(&mut depth, span)?;
                let id = self.tables.push(span, parent, kind, Style::Flow);
                self.at += 1;
                open.push(Open { id, close, depth });
            } else {
                self.scalar(parent)?;
                if !self.separator(&mut open)? {
                    return Ok(());
                }
            }
            // At the start of an item or member, or at the end of what is open.
            while let Some(last) = open.last() {
                self.skip_lines(last.id)?;
                if self.peek() != Some(last.close) {
                    break;
                }
                if !self.close(&mut open) || !self.separator(&mut open)? {
                    return Ok(());
                }
            }
            let Some(last) = open.last() else {
                return Ok(());
            };
            (parent, depth) = (last.id, last.depth);
            if last.close == b'}' {
                (parent, depth) = self.dotted_key(parent, depth)?;
            }
        }
    }

    /// Behind a value: over the comma; whether one more item can follow, or a closing bracket.
    fn separator(&mut self, open: &mut Vec<Open>) -> Result<bool, ParseError> {
        while let Some(last) = open.last() {
            self.skip_lines(last.id)?;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(byte) if byte == last.close => {
                    self.close(open);
                }
                _ if last.close == b']' => return Err(self.error("expected ',' or ']'")),
                _ => return Err(self.error("expected ',' or '}'")),
            }
        }
        Ok(false)
    }

    /// Over the closing bracket; whether another one is still open.
    fn close(&mut self, open: &mut Vec<Open>) -> bool {
        self.at += 1;
        if let Some(last) = open.pop() {
            self.tables.set_end(last.id, self.at);
        }
        !open.is_empty()
    }

    fn scalar(&mut self, parent: NodeId) -> Result<(), ParseError> {
        let start = self.at;
        let style = match self.peek() {
            Some(b'"' | b'\'') => self.string()?,
            _ => {
                self.plain()?;
                Style::Plain
            }
        };
        self.tables.push(Span::new(start, self.at), parent, NodeKind::Scalar, style);
        Ok(())
    }

    fn string(&mut self) -> Result<Style, ParseError> {
        match string::scan(self.bytes, self.at) {
            Ok((end, style)) => {
                self.at = end;
                Ok(style)
            }
            Err((at, problem)) => Err(ParseError::at(self.text, at, problem)),
        }
    }

    fn plain(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let run = |from: usize| {
            from + self.bytes[from..]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || b"+-._:".contains(b))
                .count()
        };
        let mut end = run(start);
        let token = &self.bytes[start..end];
        let is_small = token.len() < 18 && token.iter().all(u8::is_ascii_digit);
        if is_small && token.first().is_some_and(|&digit| digit != b'0') {
            self.at = end;
            return Ok(());
        }
        // A blank can stand between a date and its time.
        let is_date = token.len() == 10 && token[4] == b'-';
        if is_date && matches!(self.bytes.get(end..end + 2), Some([b' ', b'0'..=b'9'])) {
            end = run(end + 1);
        }
        if end == start {
            return Err(self.error("expected a value"));
        }
        match plain::read(&self.text[start..end]) {
            Ok(_) => {
                self.at = end;
                Ok(())
            }
            Err(problem) => Err(self.error(problem)),
        }
    }

    /// A comment up to the line break, which stays.
    fn comment(&mut self, parent: NodeId) -> Result<(), ParseError> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let mut line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        if line.len() < rest.len() {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        let is_control = |&byte: &u8| byte < 0x20 && byte != b'\t' || byte == 0x7f;
        if line.iter().any(is_control) {
            self.at += line.iter().take_while(|byte| !is_control(byte)).count();
            return Err(self.error("a control character cannot stand in a comment"));
        }
        self.at += line.len();
        let before = self.bytes[..start].iter().rev().find(|&&b| b != b' ' && b != b'\t');
        // 0xbf: the last byte of the byte order mark, or of a character no comment stands behind.
        let is_line = matches!(before, None | Some(b'\n' | 0xbf));
        let style = if is_line { Style::Line } else { Style::Inline };
        self.tables.push(Span::new(start, self.at), parent, NodeKind::Comment, style);
        Ok(())
    }

    /// Over blanks, line breaks and comments inside brackets.
    fn skip_lines(&mut self, parent: NodeId) -> Result<(), ParseError> {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(b'#') => self.comment(parent)?,
                Some(b'\n' | b'\r') if self.line_break() => {}
                _ => return Ok(()),
            }
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn line_break(&mut self) -> bool {
        let width = match self.bytes.get(self.at..) {
            Some([b'\n', ..]) => 1,
            Some([b'\r', b'\n', ..]) => 2,
            _ => return false,
        };
        self.at += width;
        true
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn error(&self, problem: &'static str) -> ParseError {
        ParseError::at(self.text, self.at, problem)
    }
}

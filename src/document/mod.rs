//! A document: its text, and where in the text every key, value and comment stands.
//!
//! Each format has a room of its own (`yaml`, `json`, `toml`); no room knows another, and none
//! knows of encryption or of a key called `sops`. A room parses text to nodes, reads the value of a
//! node, and writes values as text for a given place. Nothing here re-emits a document.
//!
//! Invariants: nodes stand in the order of the text, a parent before its children; every span lies
//! in the text on character boundaries; a [`Document`] exists only for text that its format accepts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use crate::path::{KeyPath, Step};
use crate::text::{Edits, Position, Span};
use crate::value::{Scalar, Tree};

mod json;
mod links;
mod owners;
mod toml;
mod tree;
mod values;
mod yaml;

pub use owners::Owner;
pub use values::{Value, bytes_of};

/// The formats that have places of their own in this program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// YAML 1.2, with SOPS' rules for what a plain scalar means.
    Yaml,
    /// JSON (RFC 8259).
    Json,
    /// TOML 1.1.
    Toml,
    /// Lines of `KEY=value`. Named, not sealed yet.
    Dotenv,
    /// Sections of `key = value`. Named, not sealed yet.
    Ini,
    /// Anything else, as one value. Named, not sealed yet.
    Binary,
}

impl Format {
    /// The format that SOPS (and we: `.toml`) take for a file of this name, by its suffix.
    #[must_use]
    pub fn of_file_name(name: &str) -> Self {
        const SUFFIXES: [(&str, Format); 6] = [
            (".yaml", Format::Yaml),
            (".yml", Format::Yaml),
            (".json", Format::Json),
            (".toml", Format::Toml),
            (".env", Format::Dotenv),
            (".ini", Format::Ini),
        ];
        SUFFIXES
            .iter()
            .find(|(suffix, _)| name.ends_with(suffix))
            .map_or(Self::Binary, |&(_, format)| format)
    }

    /// The format of this name on the command line (`yaml json toml dotenv ini binary`).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Yaml, Self::Json, Self::Toml, Self::Dotenv, Self::Ini, Self::Binary]
            .into_iter()
            .find(|format| format.name() == name)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Toml => "toml",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

/// Index of a node in its document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(u32);

impl NodeId {
    /// The node of the first document, which every [`Document`] has.
    pub const FIRST: Self = Self(0);

    pub(crate) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// As an index into [`Document::nodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum NodeKind {
    /// The root of one document; its own parent. YAML has any number, other formats one.
    /// Children: properties, comments, and at most one value (none: an empty YAML document).
    Document,
    /// A map. Children: `Key` (each followed by its value) and comments.
    Map,
    /// A list. Children: values and comments.
    List,
    /// The key of a map entry; child of the map, parent of exactly one value. Its span is the key's
    /// own token, without `:` and without properties. A collection as key is one `Key` node with
    /// style [`Style::Flow`] or [`Style::Block`] and the whole collection as span.
    Key,
    /// A scalar value, null included. Span: the token, quotes and block header included.
    Scalar,
    /// A YAML alias as a value. Span: `*name`.
    Alias,
    /// A comment, one node per line. Span from the `#` to the last character before the line
    /// break. Its parent is the container (map, list, or document) whose path SOPS seals it under.
    Comment,
    /// `&name` before the key or value that it names; same parent as that node.
    Anchor,
    /// A tag before the key or value that it belongs to; same parent as that node.
    Tag,
}

/// How a node is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Style {
    /// Unquoted: YAML plain, JSON and TOML numbers, booleans, dates, null; TOML bare keys.
    /// A null that is not written has an empty span where a value would be put (behind `:` or `-`).
    Plain,
    /// `'…'` (YAML single-quoted, TOML literal).
    Single,
    /// `"…"` (YAML double-quoted, JSON string, TOML basic).
    Double,
    /// YAML `|`, with header, body and the line break that ends the last content line; the blank
    /// lines behind belong to it with keep chomping (`|+`) only.
    Literal,
    /// YAML `>`; span as `Literal`.
    Folded,
    /// TOML `'''…'''`.
    MultiSingle,
    /// TOML `"""…"""`.
    MultiDouble,
    /// A collection written with brackets: YAML flow, JSON, TOML inline table and array.
    Flow,
    /// A collection by lines: YAML block, TOML `[table]` and dotted keys.
    Block,
    /// A comment on a line of its own.
    Line,
    /// A comment behind something on its line.
    Inline,
}

/// One node: 16 bytes, nothing owned.
#[derive(Clone, Copy)]
pub struct Node {
    span: Span,
    parent: NodeId,
    /// kind: 4 bits, style: 4 bits, indent: 24 bits.
    bits: u32,
}

impl Node {
    pub(crate) fn new(span: Span, parent: NodeId, kind: NodeKind, style: Style) -> Self {
        Self { span, parent, bits: (kind as u32) | ((style as u32) << 4) }
    }

    pub(crate) fn with_indent(mut self, indent: usize) -> Self {
        let indent = u32::try_from(indent).unwrap_or(u32::MAX).min(0x00ff_ffff);
        self.bits = (self.bits & 0xff) | (indent << 8);
        self
    }

    pub(crate) fn with_end(mut self, end: usize) -> Self {
        self.span = Span::new(self.span.start(), end);
        self
    }

    /// The bytes of the node.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// The node that it belongs to; a document is its own parent.
    #[must_use]
    pub fn parent(&self) -> NodeId {
        self.parent
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        const KINDS: [NodeKind; 9] = [
            NodeKind::Document,
            NodeKind::Map,
            NodeKind::List,
            NodeKind::Key,
            NodeKind::Scalar,
            NodeKind::Alias,
            NodeKind::Comment,
            NodeKind::Anchor,
            NodeKind::Tag,
        ];
        KINDS[(self.bits & 0xf) as usize % KINDS.len()]
    }

    /// How it is written.
    #[must_use]
    pub fn style(&self) -> Style {
        const STYLES: [Style; 11] = [
            Style::Plain,
            Style::Single,
            Style::Double,
            Style::Literal,
            Style::Folded,
            Style::MultiSingle,
            Style::MultiDouble,
            Style::Flow,
            Style::Block,
            Style::Line,
            Style::Inline,
        ];
        STYLES[((self.bits >> 4) & 0xf) as usize % STYLES.len()]
    }

    /// Of a block map or list: the column (from 0) of its keys or dashes. Of a YAML block scalar: the
    /// column of its body, 0 if it has no content line. Else 0.
    #[must_use]
    pub fn indent(&self) -> usize {
        (self.bits >> 8) as usize
    }

    /// Whether this is a value: a scalar, a map, a list or an alias.
    #[must_use]
    pub fn is_value(&self) -> bool {
        matches!(self.kind(), NodeKind::Map | NodeKind::List | NodeKind::Scalar | NodeKind::Alias)
    }

    /// Whether this is what can become a token: a scalar or a comment.
    pub(crate) fn is_leaf(&self) -> bool {
        matches!(self.kind(), NodeKind::Scalar | NodeKind::Comment)
    }
}

/// Why a text is not a document. Says where, never what.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
#[error("{position}: {problem}{}", second.map_or(String::new(), |at| format!(" (first at {at})")))]
pub struct ParseError {
    /// Where.
    pub position: Position,
    /// What is wrong and, where it helps, what to do. Holds no value of the document; it may name
    /// a key.
    pub problem: Cow<'static, str>,
    /// The other place, of a duplicate.
    pub second: Option<Position>,
}

impl ParseError {
    pub(crate) fn at(text: &str, offset: usize, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { position: Position::of(text, offset), problem: problem.into(), second: None }
    }
}

/// A place where a value cannot be written or removed; says why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The format has no way to write such a value there.
    #[error("{format} cannot hold {what} here")]
    Inexpressible {
        /// The format's name.
        format: &'static str,
        /// What cannot be held: `a null`, `a list inside …`.
        what: &'static str,
    },
}

/// The deepest nesting that is read; SOPS-readable files end at about as much.
pub const MAX_DEPTH: usize = 10_000;

/// What is said of a deeper one.
const TOO_DEEP: &str = "values nested deeper than 10,000 levels";

/// What is put into a collection: under a key in a map, without one in a list.
pub type Entry<'a> = (Option<&'a str>, &'a Tree);

/// A text in one of the formats, and its nodes.
pub struct Document {
    format: Format,
    text: String,
    nodes: Vec<Node>,
    links: links::Links,
    /// See [`Document::announce_entry`].
    announced: Option<usize>,
}

impl fmt::Debug for Document {
    /// Format and size only: the text can be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, {} nodes)", self.format.name(), self.nodes.len())
    }
}

impl Document {
    /// Parses a text.
    ///
    /// Duplicate keys are not looked for: see [`Document::duplicate_key`]. A leading UTF-8 byte order
    /// mark is kept in the text and belongs to no node.
    ///
    /// # Errors
    ///
    /// If the text is not valid in its format, nests deeper than [`MAX_DEPTH`], is longer than
    /// [`crate::text::MAX_TEXT`], or its format is one that is not sealed yet.
    pub fn parse(text: String, format: Format) -> Result<Self, ParseError> {
        if text.len() > crate::text::MAX_TEXT {
            return Err(ParseError::at(&text, 0, "the file is larger than 4 GiB"));
        }
        let nodes = match format {
            Format::Yaml => yaml::parse(&text)?,
            Format::Json => json::parse(&text)?,
            Format::Toml => toml::parse(&text)?,
            Format::Dotenv | Format::Ini | Format::Binary => {
                let problem = format!("{} files are not supported yet", format.name());
                return Err(ParseError::at(&text, 0, problem));
            }
        };
        Ok(Self { format, text, nodes, links: links::Links::default(), announced: None })
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, given back.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Every node in the order of the text.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The text of a node, as written.
    #[must_use]
    pub fn source(&self, id: NodeId) -> &str {
        self.node(id).span().of(&self.text)
    }

    /// The ids of all nodes in the order of the text.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId::new)
    }

    /// The children of a node in the order of the text, properties and comments included.
    ///
    /// Costs the size of the subtree in YAML and JSON, the size of the document in TOML.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let contiguous = self.format != Format::Toml;
        self.nodes[id.index() + 1..]
            .iter()
            .enumerate()
            .take_while(move |(_, node)| {
                // A comment behind `key:` belongs to a container further out.
                let inside = node.parent() >= id || node.kind() == NodeKind::Comment;
                !contiguous || (inside && node.kind() != NodeKind::Document)
            })
            .filter(move |(_, node)| node.parent() == id && node.kind() != NodeKind::Document)
            .map(move |(offset, _)| NodeId::new(id.index() + 1 + offset))
    }

    /// The value under a `Key`, or of a `Document`.
    #[must_use]
    pub fn value_of(&self, id: NodeId) -> Option<NodeId> {
        self.children(id).find(|&child| self.node(child).is_value())
    }

    /// Every key of a map with its value, in the order of the text.
    pub fn entries(&self, map: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.children(map)
            .filter(|&child| self.node(child).kind() == NodeKind::Key)
            .filter_map(|key| Some((key, self.value_of(key)?)))
    }

    /// Every item of a list, in the order of the text.
    pub fn items(&self, list: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.children(list).filter(|&child| self.node(child).is_value())
    }

    /// The map entry with this (decoded) key: the first one.
    #[must_use]
    pub fn entry(&self, map: NodeId, key: &str) -> Option<(NodeId, NodeId)> {
        self.entries(map).find(|&(id, _)| self.key_text(id) == key)
    }

    /// The YAML tags and anchors before a key or value, the last one first.
    pub(crate) fn properties(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let parent = self.node(id).parent();
        // A comment in between can belong to a container further out.
        std::iter::successors(self.before_comments(id), |&at| self.before_comments(at)).take_while(
            move |&before| {
                let node = self.node(before);
                node.parent() == parent && matches!(node.kind(), NodeKind::Anchor | NodeKind::Tag)
            },
        )
    }

    /// Where a key or value starts: at its first tag or anchor, if it has one.
    pub(crate) fn properties_start(&self, id: NodeId) -> usize {
        self.node(self.properties(id).last().unwrap_or(id)).span().start()
    }

    /// The YAML tag or anchor right before a key or value, if it has one.
    #[must_use]
    pub fn property(&self, id: NodeId, kind: NodeKind) -> Option<NodeId> {
        self.properties(id).find(|&before| self.node(before).kind() == kind)
    }

    /// The text that a key stands for: escapes decoded, of a key that is no string as it is written.
    #[must_use]
    pub fn key_text(&self, key: NodeId) -> Cow<'_, str> {
        match self.format {
            Format::Yaml => yaml::key_text(self, key),
            Format::Json => json::key_text(self, key),
            Format::Toml => toml::key_text(self, key),
            Format::Dotenv | Format::Ini | Format::Binary => Cow::Borrowed(""),
        }
    }

    /// Whether a key is a string to SOPS; only YAML has others (`1: x`, `? [a]`).
    #[must_use]
    pub fn key_is_string(&self, key: NodeId) -> bool {
        self.format != Format::Yaml || yaml::key_is_string(self, key)
    }

    /// The value of a scalar or comment, by SOPS' rules.
    ///
    /// # Errors
    ///
    /// If the value is one that neither SOPS nor we can hold (a JSON number beyond a float, a YAML
    /// tag that the text does not fit, a lone surrogate escape).
    pub fn scalar(&self, id: NodeId) -> Result<Scalar<'_>, ParseError> {
        match self.format {
            Format::Yaml => yaml::scalar(self, id),
            Format::Json => json::scalar(self, id),
            Format::Toml => toml::scalar(self, id),
            Format::Dotenv | Format::Ini | Format::Binary => Ok(Scalar::null()),
        }
    }

    /// Appends the canonical spelling of `value` for the place of `id` to `out`: what takes the bytes
    /// of the node's span. `value` is no null unless the node is one.
    ///
    /// The place's style is kept where it can hold the value, else the next that can is taken. The
    /// result depends on the place (style, flow or block, indentation, line break), never on the
    /// value that stands there now, but for this: a YAML block scalar keeps its header if the value
    /// fits it. A string is written so that no YAML 1.1 reader takes it for another type. For a
    /// comment node: `#` and the text.
    pub fn write_scalar(&self, id: NodeId, value: &Scalar<'_>, out: &mut String) {
        match self.format {
            Format::Yaml => yaml::write_scalar(self, id, value, out),
            Format::Json => json::write_scalar(value, out),
            Format::Toml => toml::write_scalar(self, id, value, out),
            Format::Dotenv | Format::Ini | Format::Binary => {}
        }
    }

    /// Appends an encrypted token (`ENC[…]`: one line of ASCII without quotes or `#`) in the style
    /// of the place of `id`: plain stays plain (quoted in flow), quoted stays quoted, a block scalar
    /// keeps its header with the token as its one line; a comment is `#` and the token. Replaces the
    /// bytes of the node's span.
    pub fn write_token(&self, id: NodeId, token: &str, out: &mut String) {
        if self.node(id).kind() == NodeKind::Comment {
            out.push('#');
            out.push_str(token);
            return;
        }
        match self.format {
            Format::Yaml => yaml::write_token(self, id, token, out),
            Format::Json => json::write_token(token, out),
            Format::Toml => toml::write_token(self, id, token, out),
            Format::Dotenv | Format::Ini | Format::Binary => {}
        }
    }

    /// Puts an entry at the end of a map (`key` given) or an item at the end of a list (`key` none),
    /// in the style of its neighbours, or in an empty YAML document (id of the `Document` node, as
    /// the first entry of a block map).
    ///
    /// [`Document::remove`] of what was inserted gives back the same bytes, but for one thing: a text
    /// without a line break at its end may get one.
    ///
    /// # Errors
    ///
    /// If the format cannot hold the value there.
    pub fn insert(
        &self,
        container: NodeId,
        key: Option<&str>,
        value: &Tree,
    ) -> Result<Edits, EditError> {
        self.insert_all(container, &[(key, value)])
    }

    /// [`Document::insert`] of several, in one step: the text is that of one after the other.
    ///
    /// # Errors
    ///
    /// If the format cannot hold one of them there, or takes just one of them in a step, as JSON where there
    /// is none yet.
    pub fn insert_all(&self, container: NodeId, entries: &[Entry<'_>]) -> Result<Edits, EditError> {
        match self.format {
            Format::Yaml => yaml::insert(self, container, entries),
            Format::Json => json::insert(self, container, entries),
            Format::Toml => toml::insert(self, container, entries),
            Format::Dotenv | Format::Ini | Format::Binary => Ok(Edits::new()),
        }
    }

    /// A YAML value on one line, in flow style, aliases written out: what an alias to it stands for.
    ///
    /// # Errors
    ///
    /// If a scalar in it has no value, or a key is a block collection.
    pub fn flow_text(&self, id: NodeId) -> Result<String, ParseError> {
        yaml::flow_text(self, id)
    }

    /// Replaces a value, whatever it is, by another; properties (tag, anchor) before it go as well
    /// if the new value is not of the same kind.
    ///
    /// # Errors
    ///
    /// If the format cannot hold the value there.
    pub fn replace(&self, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
        match self.format {
            Format::Yaml => yaml::replace(self, value, new),
            Format::Json => json::replace(self, value, new),
            Format::Toml => toml::replace(self, value, new),
            Format::Dotenv | Format::Ini | Format::Binary => Ok(Edits::new()),
        }
    }

    /// The spelling by which a value at the very end of the text (it takes the place of all up to
    /// there) stays what it is once its line is ended and more follows; `None`: it does so as it is written. Only YAML's block scalars hang on their end.
    #[must_use]
    pub fn with_more_behind(&self, id: NodeId) -> Option<String> {
        if self.format == Format::Yaml { yaml::with_more_behind(self, id) } else { None }
    }

    /// Takes out a map entry (id of its `Key`) or a list item (id of the value), with its lines or its
    /// comma. Comments above stay, those inside go. A block container that would end up empty becomes
    /// `{}` or `[]`; in a YAML document root it leaves nothing.
    #[must_use]
    pub fn remove(&self, id: NodeId) -> Edits {
        match self.format {
            Format::Yaml => yaml::remove(self, id),
            Format::Json => json::remove(self, id),
            Format::Toml => toml::remove(self, id),
            Format::Dotenv | Format::Ini | Format::Binary => Edits::new(),
        }
    }

    /// A whole text in the canonical form of a format, as `sops` lays it out (YAML: indentation 4;
    /// JSON: tabs), for conversions and new files.
    ///
    /// # Errors
    ///
    /// If the format cannot hold the value.
    pub fn emit(tree: &Tree, format: Format) -> Result<String, EditError> {
        match format {
            Format::Yaml => Ok(yaml::emit(tree)),
            Format::Json => json::emit(tree),
            Format::Toml => toml::emit(tree),
            Format::Dotenv | Format::Ini | Format::Binary => {
                Err(EditError::Inexpressible { format: format.name(), what: "a sealed file yet" })
            }
        }
    }

    /// Two entries of one map with the same key (compared as [`Document::key_text`]): the later one
    /// as an error that names both places. `None`: every map has its keys once.
    #[must_use]
    pub fn duplicate_key(&self) -> Option<ParseError> {
        let keys = self.ids().filter(|&id| self.node(id).kind() == NodeKind::Key);
        let keys: Vec<(NodeId, NodeId)> = keys.map(|key| (self.node(key).parent(), key)).collect();
        // Most keys of a map stand side by side: few runs are to be sorted.
        let mut runs: Vec<&[(NodeId, NodeId)]> = keys.chunk_by(|a, b| a.0 == b.0).collect();
        runs.sort_by_key(|run| run[0].0);
        let mut seen = HashMap::new();
        let mut doubled: Option<(NodeId, NodeId)> = None;
        for map in runs.chunk_by(|a, b| a[0].0 == b[0].0) {
            seen.clear();
            for &(_, key) in map.iter().copied().flatten() {
                let first = *seen.entry(self.key_text(key)).or_insert(key);
                if first != key && doubled.is_none_or(|(_, second)| key < second) {
                    doubled = Some((first, key));
                }
            }
        }
        let (first, second) = doubled?;
        let start = |id| self.node(id).span().start();
        let problem = format!("the key {} stands twice", self.path_of(second));
        let mut error = ParseError::at(&self.text, start(second), problem);
        error.second = Some(Position::of(&self.text, start(first)));
        Some(error)
    }

    /// Where a node stands: the key path from the root of its document.
    #[must_use]
    pub fn path_of(&self, id: NodeId) -> KeyPath {
        let mut steps = Vec::new();
        let mut at = id;
        loop {
            let node = self.node(at);
            let parent = node.parent();
            match node.kind() {
                NodeKind::Document => break,
                NodeKind::Key => steps.push(Step::Key(self.key_text(at).into_owned())),
                _ if node.is_value() && self.node(parent).kind() == NodeKind::List => {
                    let index = self.items(parent).take_while(|&item| item != at).count();
                    steps.push(Step::Index(index));
                }
                _ => {}
            }
            at = parent;
        }
        steps.reverse();
        KeyPath(steps)
    }

    /// The value at a key path in the first document. Aliases are not followed.
    #[must_use]
    pub fn find(&self, path: &KeyPath) -> Option<NodeId> {
        let mut at = self.value_of(NodeId::new(0))?;
        for step in &path.0 {
            at = match (step, self.node(at).kind()) {
                (Step::Key(key), NodeKind::Map) => self.entry(at, key)?.1,
                (Step::Index(index), NodeKind::List) => self.items(at).nth(*index)?,
                _ => return None,
            };
        }
        Some(at)
    }
}

/// Index behind the last node of a subtree; a comment in between can belong to a container further
/// out. Not for TOML tables, which can be scattered.
pub(crate) fn subtree_end(doc: &Document, root: NodeId) -> usize {
    // Nearly all are small; the table is for those that are not, and for comments without end.
    const NEAR: usize = 64;
    let mut end = root.index() + 1;
    for (index, node) in doc.nodes().iter().enumerate().skip(end).take(NEAR) {
        if node.kind() == NodeKind::Document {
            return end;
        }
        if node.parent() >= root {
            end = index + 1;
        } else if node.kind() != NodeKind::Comment {
            return end;
        }
    }
    if root.index() + 1 + NEAR >= doc.nodes().len() { end } else { doc.end_in_table(root) }
}

//! What stands in brackets between the commas: items, keys, values, pairs.
//!
//! Invariants: every key gets a value before its entry ends; nulls that are not written come before
//! the comments behind them.

use crate::document::{Node, NodeId, NodeKind, Style};
use crate::text::Span;

use super::flow::{Form, NO_COMMA, State};
use super::properties::Properties;
use super::{Fault, Parsed, Parser};

impl Parser<'_> {
    /// Gives the comments that stand before a token, and behind all nodes, to the innermost collection.
    pub(super) fn push_flow_comments(&mut self) {
        if let Some(top) = self.flow.last() {
            let parent = top.node;
            self.push_comments_to(parent);
        }
    }

    /// A node or property starts at `pos`. Gives the parent that it has.
    pub(super) fn begin_node(&mut self, indent: isize) -> Parsed<usize> {
        self.push_flow_comments();
        let (pos, line, first) = (self.pos, self.line, self.nodes.len());
        let bare = self.properties.is_empty();
        let top = self.top()?;
        match top.state {
            State::Entry | State::ExplicitKey => {
                if bare {
                    (top.first, top.start, top.line) = (first, pos, line);
                    (top.json, top.shallow) = (false, false);
                    top.properties = Properties::default();
                }
                top.shallow |= (pos - line).cast_signed() <= indent;
                Ok(top.node)
            }
            State::Value => Ok(top.key),
            State::Colon | State::AfterItem | State::Comma => Fault::new(pos, NO_COMMA),
        }
    }

    pub(super) fn flow_property(&mut self, indent: isize) -> Parsed<()> {
        let parent = self.begin_node(indent)?;
        let (kind, span) = self.read_property()?;
        self.push_new(span, parent, kind, Style::Plain);
        let properties = self.properties;
        let top = self.top()?;
        top.null_at = span.end();
        top.properties = properties;
        Ok(())
    }

    /// A scalar or alias at `pos`.
    pub(super) fn put(
        &mut self,
        span: Span,
        kind: NodeKind,
        style: Style,
        indent: isize,
    ) -> Parsed<()> {
        let parent = self.begin_node(indent)?;
        self.line = self.source.last_line(self.line, span.start(), span.end());
        self.pos = span.end();
        self.put_node(span, parent, kind, style)
    }

    pub(super) fn put_node(
        &mut self,
        span: Span,
        parent: usize,
        kind: NodeKind,
        style: Style,
    ) -> Parsed<()> {
        let top = self.top()?;
        let is_key = top.form != Form::List && top.state != State::Value;
        let kind = if is_key { NodeKind::Key } else { kind };
        let node = self.push_new(span, parent, kind, style);
        self.end_of_node(node, matches!(style, Style::Single | Style::Double))
    }

    /// The node at hand is complete.
    pub(super) fn end_of_node(&mut self, node: usize, json: bool) -> Parsed<()> {
        self.properties = Properties::default();
        let end = self.last_end;
        let top = self.top()?;
        top.json = json;
        match (top.form, top.state) {
            (Form::List, _) => top.state = State::AfterItem,
            (Form::Map | Form::Pair, State::Value) => {
                top.state = State::Comma;
                if top.form == Form::Pair {
                    let pair = top.node;
                    self.end_node(pair, end);
                    self.flow.pop();
                    self.top()?.state = State::Comma;
                }
            }
            (Form::Map | Form::Pair, _) => {
                top.key = node;
                top.state = State::Colon;
            }
        }
        Ok(())
    }

    /// Puts the nulls that are not written, before a `,` or closing bracket.
    pub(super) fn end_of_entry(&mut self) -> Parsed<()> {
        let bare = self.properties.is_empty();
        let pos = self.pos;
        let top = self.top()?;
        let (form, node, key, null_at) = (top.form, top.node, top.key, top.null_at);
        match top.state {
            State::Entry if bare => Ok(()),
            State::Entry if form == Form::List => {
                self.put_node(Span::at(null_at), node, NodeKind::Scalar, Style::Plain)
            }
            State::Entry | State::ExplicitKey => {
                self.put_node(Span::at(null_at), node, NodeKind::Key, Style::Plain)?;
                self.end_of_entry()
            }
            State::Colon => {
                top.state = State::Value;
                let at = self.nodes[key].span().end();
                self.put_node(Span::at(at), key, NodeKind::Scalar, Style::Plain)
            }
            State::Value => {
                debug_assert!(null_at <= pos);
                self.put_node(Span::at(null_at), key, NodeKind::Scalar, Style::Plain)
            }
            State::AfterItem | State::Comma => Ok(()),
        }
    }

    pub(super) fn comma(&mut self) -> Parsed<()> {
        let bare = self.properties.is_empty();
        let at = self.pos;
        if self.top()?.state == State::Entry && bare {
            return Fault::new(at, "a `,` without a value before it; remove it");
        }
        self.end_of_entry()?;
        self.push_flow_comments();
        self.pos += 1;
        let top = self.top()?;
        (top.state, top.explicit) = (State::Entry, false);
        Ok(())
    }

    pub(super) fn flow_explicit_key(&mut self) -> Parsed<()> {
        let at = self.pos;
        if !self.properties.is_empty() {
            return Fault::new(at, "an anchor or tag before `?`; put it behind");
        }
        self.push_flow_comments();
        let top = self.top()?;
        let (state, form, list) = (top.state, top.form, top.node);
        if state != State::Entry {
            return Fault::new(at, NO_COMMA);
        }
        if form == Form::List {
            self.check_depth(at)?;
            let pair = self.push_new(Span::at(at), list, NodeKind::Map, Style::Flow);
            self.push_flow_frame(Form::Pair, State::ExplicitKey, pair);
        }
        self.pos = at + 1;
        let top = self.top()?;
        (top.state, top.explicit, top.null_at) = (State::ExplicitKey, true, at + 1);
        Ok(())
    }

    /// Whether the `:` at `pos` stands between a key and a value.
    pub(super) fn is_flow_colon(&self) -> bool {
        let next = self.pos + 1;
        let close = self
            .flow
            .last()
            .is_some_and(|top| top.json && matches!(top.state, State::Colon | State::AfterItem));
        close || self.source.is_separator(next) || self.source.is_flow_indicator(next)
    }

    pub(super) fn flow_colon(&mut self, indent: isize) -> Parsed<()> {
        let at = self.pos;
        let bare = self.properties.is_empty();
        if bare && self.top()?.state == State::Entry {
            self.push_flow_comments();
        }
        let (line, first) = (self.line, self.nodes.len());
        let top = self.top()?;
        if !top.json && matches!(self.source.byte(at + 1), b'[' | b'{') {
            return Fault::new(at + 1, "a space is missing behind the `:`");
        }
        let top = self.top()?;
        let (form, state, node) = (top.form, top.state, top.node);
        match (form, state) {
            (Form::List, State::Entry) => {
                if bare {
                    (top.first, top.start, top.line) = (first, at, line);
                    (top.properties, top.null_at) = (Properties::default(), at);
                }
                let null_at = top.null_at;
                self.put_node(Span::at(null_at), node, NodeKind::Scalar, Style::Plain)?;
                self.open_pair(indent)?;
            }
            (Form::List, State::AfterItem) => self.open_pair(indent)?,
            (Form::Map | Form::Pair, State::Entry | State::ExplicitKey) => {
                if bare && state == State::Entry {
                    (top.start, top.line, top.null_at) = (at, line, at);
                }
                let null_at = top.null_at;
                self.put_node(Span::at(null_at), node, NodeKind::Key, Style::Plain)?;
                self.check_flow_key(indent)?;
            }
            (Form::Map | Form::Pair, State::Colon) => self.check_flow_key(indent)?,
            _ => return Fault::new(at, NO_COMMA),
        }
        self.push_flow_comments();
        self.pos = at + 1;
        let top = self.top()?;
        (top.state, top.null_at, top.explicit) = (State::Value, at + 1, false);
        Ok(())
    }

    /// The item at hand of a list is the key of a pair.
    fn open_pair(&mut self, indent: isize) -> Parsed<()> {
        self.check_flow_key(indent)?;
        let (at, line) = (self.pos, self.line);
        self.check_depth(at)?;
        let top = self.top()?;
        if top.line != line {
            return Fault::new(at, "a key of a list in brackets on more than one line");
        }
        let (list, first, start, properties) = (top.node, top.first, top.start, top.properties);
        let item = self.nodes[first + properties.len()];
        let style = match item.kind() {
            NodeKind::Map | NodeKind::List => Style::Flow,
            _ => item.style(),
        };
        self.check_key_length(start, at)?;
        self.nodes.truncate(first);
        let pair = self.push_new(Span::at(start), list, NodeKind::Map, Style::Flow);
        for (kind, span) in properties.iter() {
            self.push_new(span, pair, kind, Style::Plain);
        }
        let key = self.push(Node::new(item.span(), NodeId::new(pair), NodeKind::Key, style));
        self.push_flow_frame(Form::Pair, State::Value, pair);
        self.top()?.key = key;
        Ok(())
    }

    /// Keys without `? ` must be indented if they go over more than one line. How long they may be is
    /// said of those in lists alone (YAML 1.2.2, 7.4.2).
    fn check_flow_key(&mut self, indent: isize) -> Parsed<()> {
        let (at, line) = (self.pos, self.line);
        let top = self.top()?;
        let (first_line, explicit) = (top.line, top.explicit);
        let shallow = top.shallow || (at - line).cast_signed() <= indent;
        if !explicit && first_line != line && shallow {
            return Fault::new(at, "a key on more than one line that is not indented");
        }
        Ok(())
    }
}

//! Block scalars: their header, and strings as the lines of a literal block.
//!
//! Invariant: a body written here reads back as the string to every reader of YAML, go-yaml and
//! libyaml included; a string for which that is in doubt is not held ([`holds`]).

use super::decode::{self, split_line};
use super::quote::{self, is_printable};

/// What ends the value of a block scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chomp {
    Strip,
    Clip,
    Keep,
}

/// The first line of a block scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header<'a> {
    /// As written, without the line break.
    pub(super) text: &'a str,
    pub(super) is_folded: bool,
    /// The indentation indicator.
    pub(super) indicator: Option<usize>,
    pub(super) chomp: Chomp,
    /// White space and comment behind the indicators.
    pub(super) tail: &'a str,
}

impl<'a> Header<'a> {
    /// The header of a block scalar, and the rest of its source.
    pub(super) fn split(source: &'a str) -> (Self, &'a str) {
        let (text, body) = split_line(source);
        let end = text.find([' ', '\t', '#']).unwrap_or(text.len());
        let (indicators, tail) = text.split_at(end);
        let chomp = match (indicators.contains('-'), indicators.contains('+')) {
            (true, _) => Chomp::Strip,
            (_, true) => Chomp::Keep,
            _ => Chomp::Clip,
        };
        let indicator = indicators.bytes().find(u8::is_ascii_digit).map(|b| usize::from(b - b'0'));
        (Self { text, is_folded: text.starts_with('>'), indicator, chomp, tail }, body)
    }

    /// This header if it says all of this already, else one that does, with the same comment.
    pub(super) fn push(
        &self,
        is_folded: bool,
        indicator: Option<usize>,
        chomp: Chomp,
        out: &mut String,
    ) {
        if (is_folded, indicator, chomp) == (self.is_folded, self.indicator, self.chomp) {
            out.push_str(self.text);
            return;
        }
        push_header(is_folded, indicator, chomp, out);
        out.push_str(self.tail);
    }
}

/// For the last block scalar of a text without a final line break: the spelling that keeps its value
/// once the line is ended and more follows. `None`: it keeps it as it is.
pub(super) fn with_more_behind(source: &str, indent: usize) -> Option<String> {
    if source.ends_with(['\n', '\r']) {
        return None;
    }
    let value = decode::block(source, indent);
    let (header, body) = Header::split(source);
    let line_break = &source[header.text.len()..source.len() - body.len()];
    // Spaces on a last line are no content, and would be one more line.
    let lines = Some(body.trim_end_matches(' ')).filter(|it| it.is_empty() || it.ends_with('\n'));
    for (chomp, body) in [
        (header.chomp, body),
        (Chomp::Strip, lines.unwrap_or(body)),
        (Chomp::Clip, lines.unwrap_or(body)),
    ] {
        let mut spelled = String::new();
        header.push(header.is_folded, header.indicator, chomp, &mut spelled);
        spelled.push_str(line_break);
        spelled.push_str(body);
        if decode::block(&format!("{spelled}\n"), indent) == value {
            return (spelled != source).then_some(spelled);
        }
    }
    let mut spelled = String::new();
    quote::push_double(&value, &mut spelled);
    Some(spelled)
}

/// Appends a header without a comment.
pub(super) fn push_header(
    is_folded: bool,
    indicator: Option<usize>,
    chomp: Chomp,
    out: &mut String,
) {
    out.push(if is_folded { '>' } else { '|' });
    if let Some(indicator) = indicator {
        out.push_str(&indicator.to_string());
    }
    match chomp {
        Chomp::Strip => out.push('-'),
        Chomp::Clip => {}
        Chomp::Keep => out.push('+'),
    }
}

/// Whether a literal block can hold `value`.
pub(super) fn holds(value: &str) -> bool {
    let content = content(value);
    let starts_with_tab = content
        .split('\n')
        .find(|line| !line.trim_matches(' ').is_empty())
        .is_none_or(|line| line.starts_with('\t'));
    let last = content.rsplit('\n').next().unwrap_or("");
    !starts_with_tab
        && !last.trim_matches([' ', '\t']).is_empty()
        && value.chars().all(is_printable)
}

/// Whether the column of the body must be named in the header: the first line does not show it.
pub(super) fn needs_indicator(value: &str) -> bool {
    value.split('\n').find(|line| !line.is_empty()).is_some_and(|line| line.starts_with(' '))
}

/// The text without the line breaks at its end.
pub(super) fn content(value: &str) -> &str {
    value.trim_end_matches('\n')
}

/// The chomping that the line breaks at the end of `value` ask for.
pub(super) fn chomp(value: &str) -> Chomp {
    match value.len() - content(value).len() {
        0 => Chomp::Strip,
        1 => Chomp::Clip,
        _ => Chomp::Keep,
    }
}

/// Appends the lines of `content` behind a header, each after a line break; empty ones stay empty.
pub(super) fn push_lines(content: &str, column: usize, line_break: &str, out: &mut String) {
    for line in content.split('\n') {
        out.push_str(line_break);
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', column));
            out.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chomp, Header, chomp, holds, needs_indicator};

    #[test]
    fn headers() {
        let (header, body) = Header::split("|2- # x\n  a\n");
        assert_eq!(
            (header.indicator, header.chomp, header.is_folded),
            (Some(2), Chomp::Strip, false)
        );
        assert_eq!((header.tail, body), (" # x", "  a\n"));
        let mut out = String::new();
        header.push(false, Some(2), Chomp::Strip, &mut out);
        header.push(false, None, Chomp::Keep, &mut out);
        assert_eq!(out, "|2- # x|+ # x");
        assert_eq!(Header::split(">+1\r\n a").0.indicator, Some(1));
    }

    #[test]
    fn what_a_literal_holds() {
        for value in
            ["a", "a\nb\n", "\na", " a\nb", "a\n  \nb", "a\n\n\n", "é😀", "a\tb", "#a", "---\n"]
        {
            assert!(holds(value), "{value:?}");
        }
        for value in
            ["", "\n", "\ta", "\n\ta", "a\n ", "a\rb", "a\u{85}", "a\u{feff}", "a\n\t\n", "  "]
        {
            assert!(!holds(value), "{value:?}");
        }
        assert_eq!(chomp("a\n\n"), Chomp::Keep);
        assert!(needs_indicator(" a") && needs_indicator("\n a") && !needs_indicator("\na\n b"));
    }
}

//! Directives: lines of `%` before a document.
//!
//! Invariant: `%YAML` stands once in a document, `%TAG` once for each handle; others are ignored.

use super::properties::{is_tag_byte, is_uri_byte, is_word_byte};
use super::{Fault, Parsed, Parser};

impl Parser<'_> {
    /// Reads the `%` line at `pos` up to its end.
    pub(super) fn read_directive(&mut self, versions: &mut usize) -> Parsed<()> {
        let start = self.pos;
        let word_end = |at: usize| {
            let mut end = at;
            while !self.source.is_separator(end) {
                end += 1;
            }
            end
        };
        let mut end = word_end(start + 1);
        match &self.source.text[start + 1..end] {
            "" => return Fault::new(start, "a % at the start of a line; quote the value"),
            "YAML" => {
                let at = self.source.skip_blanks(end);
                end = word_end(at);
                *versions += 1;
                if !is_version(&self.source.text[at..end]) || *versions > 1 {
                    let problem = "a %YAML line names one version such as 1.2, once in a document";
                    return Fault::new(start, problem);
                }
            }
            "TAG" => {
                let at = self.source.skip_blanks(end);
                end = word_end(at);
                let handle = &self.source.text[at..end];
                if !is_handle(handle) || !self.handles.insert(handle) {
                    let problem = "a %TAG line names a handle such as !a!, once in a document";
                    return Fault::new(start, problem);
                }
                let at = self.source.skip_blanks(end);
                end = self.uri_end(at, is_uri_byte)?;
                let starts = self.source.byte(at);
                if end == at || !(starts == b'!' || starts == b'%' || is_tag_byte(starts)) {
                    return Fault::new(start, "a %TAG line names a prefix behind the handle");
                }
                if !self.source.is_separator(end) {
                    return Fault::new(end, "a character that cannot stand in a tag prefix");
                }
            }
            _ => loop {
                // Reserved directives are to be ignored.
                let at = self.source.skip_blanks(end);
                if self.source.is_break_or_end(at) || self.source.byte(at) == b'#' {
                    break;
                }
                end = word_end(at);
            },
        }
        self.pos = end;
        self.fresh = false;
        self.expect_line_end()
    }
}

fn is_version(word: &str) -> bool {
    let digits = |part: &str| part.len() <= 9 && part.parse::<u32>().is_ok() && !part.contains('+');
    word.split_once('.').is_some_and(|(major, minor)| {
        digits(major) && digits(minor) && major.trim_start_matches('0') == "1"
    })
}

fn is_handle(word: &str) -> bool {
    match word.strip_prefix('!') {
        Some("") => true,
        Some(rest) => rest.strip_suffix('!').is_some_and(|name| name.bytes().all(is_word_byte)),
        None => false,
    }
}

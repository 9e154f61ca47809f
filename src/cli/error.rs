//! The one error of the program: an exit code, what happened, and what to do.
//!
//! Invariants: no value of a document, no identity and no data key is ever part of one; meaning
//! never rests on colour. `explain` turns the errors of the library into these.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::exit::{self, Exit};
use crate::keyservice::Looked;
use crate::keyservice::age::NOT_SET;
use crate::shown::{MISPLACED, Show, holds_private_key};

/// Why a command, or its work on one file, failed.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    exit: Exit,
    file: Option<PathBuf>,
    source: Source,
    hints: Vec<String>,
    /// What other files can fail by as well.
    shared: Option<Box<Shared>>,
    /// What stands first when the program is called `sops`: callers match on it.
    sops_headline: Option<&'static str>,
}

/// What happened.
#[derive(Clone, Debug)]
enum Source {
    /// In a line.
    Text(String),
    /// No key gives the data key.
    NoKey(Box<NoKey>),
    /// Whoever read standard output went away: nobody wants to hear of it.
    ClosedPipe,
}

/// Causes that are none of the file's own.
#[derive(Clone, Debug)]
struct Shared {
    /// What came of them, without why; empty, if the causes say it.
    headline: String,
    causes: Vec<Cause>,
    /// How many of the hints are about them.
    hints: usize,
    /// The files in whose errors they were told.
    told_for: Option<String>,
}

/// Where a cause lies, such as at a server or in a key, and what it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Cause {
    pub(crate) place: String,
    pub(crate) why: String,
}

/// Every key of a file, and why it did not give the data key.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoKey {
    /// The string form of a key, and why it did not work.
    pub(crate) keys: Vec<(String, String)>,
    /// Where identities were looked for.
    pub(crate) looked: Vec<Looked>,
}

/// By which name the program speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Voice {
    /// Its own.
    #[default]
    Waxseal,
    /// As `sops`: some first lines are those that callers look for. The legacy front sets it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the legacy front, which comes later"))]
    Sops,
}

impl Error {
    /// An error in one line.
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        let source = Source::Text(text.into());
        let (hints, shared) = (Vec::new(), None);
        Self { exit, file: None, source, hints, shared, sops_headline: None }
    }

    /// An error of the library, with all that caused it.
    pub(crate) fn of(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self::new(exit, chain(error))
    }

    /// No key of a file gives its data key.
    pub(crate) fn no_key(report: NoKey) -> Self {
        let source = Source::NoKey(Box::new(report));
        Self { source, ..Self::new(exit::NO_KEY, "") }
            .sops("Failed to get the data key required to decrypt the SOPS file.")
    }

    /// Standard output was closed by its reader.
    pub(crate) fn closed_pipe() -> Self {
        Self { source: Source::ClosedPipe, ..Self::new(exit::SUCCESS, "") }
    }

    /// The same error, about this file.
    pub(crate) fn about(mut self, file: &Path) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }

    /// The same error, with something to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error, with what SOPS says first.
    pub(crate) fn sops(mut self, headline: &'static str) -> Self {
        self.sops_headline = Some(headline);
        self
    }

    /// The same error, with what other files can fail by as well; hints until now are about that.
    pub(crate) fn because(mut self, headline: &str, causes: Vec<Cause>) -> Self {
        let (headline, hints) = (headline.to_owned(), self.hints.len());
        self.shared = Some(Box::new(Shared { headline, causes, hints, told_for: None }));
        self
    }

    /// What other files can fail by as well; nothing, if there is more to tell.
    pub(crate) fn causes(&self) -> &[Cause] {
        self.shared.as_ref().map_or(&[], |shared| &shared.causes)
    }

    /// The file that it is about.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The same error in a line, for its causes were told of these files.
    pub(crate) fn told_for(&self, files: &str) -> Self {
        let mut told = self.clone();
        if let Some(shared) = &mut told.shared {
            shared.told_for = Some(files.to_owned());
        }
        told
    }

    /// What the process ends with, if this is all that happened.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether it is about a reader that went away.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self.source, Source::ClosedPipe)
    }

    /// The whole message, with a line break at its end.
    pub(crate) fn render(&self, voice: Voice, colour: bool) -> String {
        let (red, bold, plain) =
            if colour { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let mut out = String::new();
        if let (Voice::Sops, Some(headline)) = (voice, self.sops_headline) {
            out.push_str(headline);
            out.push_str("\n\n");
        }
        let file = self.file.as_ref().map_or(String::new(), |it| format!("{}: ", it.shown()));
        let told = self.shared.as_ref().and_then(|it| Some((it, it.told_for.as_ref()?)));
        let text = match (&self.source, told) {
            (Source::ClosedPipe, _) => return String::new(),
            (_, Some((shared, files))) if shared.headline.is_empty() => &format!("as for {files}"),
            (_, Some((shared, files))) => &format!("{}: as for {files}", shared.headline),
            (Source::Text(text), None) => text,
            (Source::NoKey(_), None) => NO_DATA_KEY,
        };
        if self.exit == exit::NOT_CHANGED {
            // What the user wanted is no error.
            let _ = writeln!(out, "{file}{text}");
        } else {
            let _ = writeln!(out, "{red}error:{plain} {file}{text}");
        }
        if let (Source::NoKey(report), None) = (&self.source, told) {
            report.render(&mut out);
        }
        let hints = &self.hints[told.map_or(0, |(shared, _)| shared.hints)..];
        let is_key = |file: &PathBuf| holds_private_key(&file.to_string_lossy());
        let misplaced = self.file.as_ref().filter(|file| is_key(file)).map(|_| MISPLACED);
        for hint in hints.iter().map(String::as_str).chain(misplaced) {
            let _ = writeln!(out, "{bold}hint:{plain} {hint}");
        }
        out
    }
}

impl NoKey {
    fn render(&self, out: &mut String) {
        let shown: Vec<_> = self.keys.iter().map(|(key, why)| (shorten(key), why)).collect();
        let width = shown.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
        for (key, why) in shown {
            let _ = writeln!(out, "  {key:width$}  {why}");
        }
        let told: Vec<_> = self.looked.iter().filter(|place| place.outcome != NOT_SET).collect();
        if !told.is_empty() {
            let _ = writeln!(out, "  looked for identities in:");
        }
        for place in told {
            let location = match place.location.as_str() {
                "" => String::new(),
                location => format!(" ({location})"),
            };
            let _ = writeln!(out, "    {}{location}: {}", place.name, place.outcome);
        }
    }
}

/// What is said of a file that no key opens.
pub(crate) const NO_DATA_KEY: &str = "cannot recover the data key";

/// A recipient is told by its ends.
pub(crate) fn shorten(key: &str) -> String {
    let key = &key.shown().to_string();
    let chars: Vec<char> = key.chars().collect();
    let is_age = key.starts_with("age1") && chars.len() > 20;
    if !is_age {
        return match key.split_once(' ') {
            // An SSH key: the kind, the end, the comment is the reader's own.
            Some((kind, rest)) if kind.starts_with("ssh-") && chars.len() > 40 => {
                let body = rest.split(' ').next().unwrap_or(rest);
                format!("{kind} …{}", &body[body.len().saturating_sub(8)..])
            }
            _ => key.to_owned(),
        };
    }
    let head: String = chars[..8].iter().collect();
    let tail: String = chars[chars.len() - 4..].iter().collect();
    format!("{head}…{tail}")
}

/// An error and its causes in one line; a cause that the error shows already is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Error, NoKey, Voice, shorten};
    use crate::keyservice::Looked;

    fn looked(name: &str, location: &str, outcome: &str) -> Looked {
        Looked { name: name.into(), location: location.into(), outcome: outcome.into() }
    }

    #[test]
    fn the_report_names_keys_and_places() {
        let report = NoKey {
            keys: vec![("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq8f0v".into(), "no identity".into())],
            looked: vec![
                looked("SOPS_AGE_KEY", "", "not set"),
                looked("SOPS_AGE_KEY_FILE", "/k", "no such file"),
            ],
        };
        let error = Error::no_key(report).about(Path::new("a.yaml")).hint("do it");
        expect_test::expect![[r#"
            error: a.yaml: cannot recover the data key
              age1qqqq…8f0v  no identity
              looked for identities in:
                SOPS_AGE_KEY_FILE (/k): no such file
            hint: do it
        "#]]
        .assert_eq(&error.render(Voice::Waxseal, false));
        assert!(error.render(Voice::Sops, false).starts_with(
            "Failed to get the data key required to decrypt the SOPS file.\n\nerror: a.yaml"
        ));
    }

    #[test]
    fn what_is_short_stays() {
        assert_eq!(shorten("https://v/v1/transit/keys/k"), "https://v/v1/transit/keys/k");
        let ssh = format!("ssh-ed25519 {}ABCDEFGH me@here", "A".repeat(60));
        assert_eq!(shorten(&ssh), "ssh-ed25519 …ABCDEFGH");
    }
}

//! `waxseal set` and `waxseal unset`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::batch::{self, Done, Order};
use super::consent;
use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::{read_error, read_stdin};
use super::open::{self, MacArgs, Opened, ReadArgs};
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::file::{self, Consent, FileError, Verdict};
use crate::os::fs;
use crate::path::{KeyPath, Step};
use crate::shown::Show;
use crate::value::{Scalar, ScalarType, Tree};

/// Set a value in encrypted files, in place
///
/// INDEX is a key path such as ["servers"][0]["password"], VALUE is JSON. Missing keys are made, an
/// index at the end appends. A secret does not belong on the command line, where others can read
/// it: --value-stdin and --value-file take it from elsewhere.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "waxseal set [OPTIONS] <FILE>... <INDEX> <VALUE>\n       \
    waxseal set --value-stdin [OPTIONS] <FILE>... <INDEX>\n       \
    waxseal set --value-file [OPTIONS] <FILE>... <INDEX> <VALUE-FILE>")]
pub(crate) struct SetArgs {
    /// Files, the key path, and the value
    #[arg(required = true, value_name = "FILE... INDEX VALUE", allow_negative_numbers = true)]
    pub(crate) words: Vec<OsString>,
    /// VALUE names a file that holds the JSON
    #[arg(long)]
    pub(crate) value_file: bool,
    /// Read the JSON from standard input
    #[arg(long)]
    pub(crate) value_stdin: bool,
    /// The value is a text as it stands, not JSON; a text of one line loses its line break
    #[arg(long)]
    pub(crate) value_text: bool,
    /// Do nothing if the value is there already
    #[arg(long)]
    pub(crate) idempotent: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) mac: MacArgs,
}

/// Take a value out of encrypted files, in place
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "waxseal unset [OPTIONS] <FILE>... <INDEX>")]
pub(crate) struct UnsetArgs {
    /// Files and the key path
    #[arg(required = true, value_name = "FILE... INDEX")]
    pub(crate) words: Vec<OsString>,
    /// Do nothing if the value is not there
    #[arg(long)]
    pub(crate) idempotent: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) mac: MacArgs,
}

/// Runs `set`.
pub(crate) fn run_set(ctx: &Ctx, args: &SetArgs) -> Result<Exit, Error> {
    if args.value_file && args.value_stdin {
        let text = "--value-file and --value-stdin exclude each other";
        return Err(Error::new(exit::GENERIC, text));
    }
    let usage = Usage {
        index: if args.value_stdin { "the last word" } else { "the last word but one" },
        too_few: "set takes FILE INDEX VALUE; with --value-stdin, FILE INDEX",
        too_many: if args.value_stdin {
            "standard input gives the value: VALUE is left out"
        } else {
            "a value of several words needs quotes: set takes FILE... INDEX VALUE"
        },
    };
    let (value, words) = if args.value_stdin {
        (None, args.words.as_slice())
    } else {
        let (value, words) = args.words.split_last().ok_or_else(|| no_file(usage.too_few))?;
        (Some(value), words)
    };
    let (files, path) = files_and_path(words, &usage).map_err(|error| {
        let swapped = error.exit() == exit::INVALID_SET && value.is_some_and(is_key_path);
        if swapped { Error::new(exit::INVALID_SET, SWAPPED) } else { error }
    })?;
    ctx.rules()?;
    let value = read_value(args, value)?;
    Ok(batch::run(ctx, &files, Order::SideBySide, |file| {
        let opened = open::open_file(ctx, file, &args.read, args.mac.trust())?;
        opened.refuse_broken()?;
        let doc = opened.file.document();
        if args.idempotent && file::extract(doc, &path).is_ok_and(|old| same(&old, &value)) {
            return Ok(Done::default());
        }
        let text = file::set(doc, &path, &value).map_err(|error| match error {
            FileError::NotFound { .. } => {
                let text = format!("{path}: an index fits lists only, a key maps only");
                Error::new(exit::INVALID_SET, text)
            }
            error => explain::file(&error, Role::Changed),
        })?;
        finish(ctx, file, opened, text)
    }))
}

/// Runs `unset`.
pub(crate) fn run_unset(ctx: &Ctx, args: &UnsetArgs) -> Result<Exit, Error> {
    let usage = Usage {
        index: "the last word",
        too_few: "unset takes FILE INDEX",
        too_many: "one INDEX at a time, behind the files: unset takes FILE... INDEX",
    };
    let (files, path) = files_and_path(&args.words, &usage)?;
    ctx.rules()?;
    Ok(batch::run(ctx, &files, Order::SideBySide, |file| {
        let opened = open::open_file(ctx, file, &args.read, args.mac.trust())?;
        opened.refuse_broken()?;
        let doc = opened.file.document();
        match file::unset(doc, &path) {
            Ok(text) => finish(ctx, file, opened, text),
            Err(FileError::NotFound { .. }) if args.idempotent && is_missing(doc, &path) => {
                Ok(Done::default())
            }
            Err(error) => Err(explain::file(&error, Role::Encrypted)),
        }
    }))
}

/// The next version of a file, with this plaintext.
pub(crate) fn finish(ctx: &Ctx, path: &Path, opened: Opened, text: String) -> Result<Done, Error> {
    let is_sealed = opened.file.outcome().verdict() == Verdict::Sealed;
    let sealed = opened
        .file
        .reencrypt(text, opened.nonces(), ctx.now()?, Consent::AsBefore)
        .map_err(|error| explain::file(&error, Role::Changed))?;
    consent::check_new_plain_values(&opened, &sealed)?;
    let done = Done::replace(path, opened.text(), sealed.into_bytes());
    let note = format!(
        "{}: written, but not sealed: `waxseal verify` says why, `waxseal reseal` vouches for it",
        path.shown()
    );
    let notes = if is_sealed || done.write.is_none() { Vec::new() } else { vec![note] };
    Ok(Done { notes, ..done })
}

/// What to say of a wrong number of words.
struct Usage {
    /// Which word is the key path.
    index: &'static str,
    too_few: &'static str,
    too_many: &'static str,
}

/// No error shows a word: each may be a part of the value.
fn files_and_path(words: &[OsString], usage: &Usage) -> Result<(Vec<PathBuf>, KeyPath), Error> {
    let (path, files) = words.split_last().ok_or_else(|| no_file(usage.too_few))?;
    if files.is_empty() {
        return Err(no_file(usage.too_few));
    }
    // A word that was not meant as a part of the path, or the file, pushed it here.
    if files.iter().any(|word| is_key_path(word) && !Path::new(word).exists()) {
        let text = "too many words: the key path stands where a file is expected";
        return Err(Error::new(exit::NO_FILE, text).hint(usage.too_many));
    }
    let malformed = |text: String| Error::new(exit::INVALID_SET, text);
    let path = path.to_str().ok_or_else(|| malformed("the key path is not UTF-8".to_owned()))?;
    let path = KeyPath::parse(path).map_err(|error| {
        malformed(format!("{}, taken for the key path: {error}", usage.index))
            .hint("in single quotes for the shell: '[\"key\"][0]'")
    })?;
    if path.0.is_empty() {
        return Err(malformed("the key path is empty; write [\"key\"][0]".to_owned()));
    }
    Ok((files.iter().map(PathBuf::from).collect(), path))
}

/// Whether a word is a key path beyond doubt: `["key"]…`.
fn is_key_path(word: &OsString) -> bool {
    let text = word.to_str().filter(|text| ["[\"", "['"].iter().any(|it| text.starts_with(it)));
    text.is_some_and(|text| KeyPath::parse(text).is_ok())
}

const SWAPPED: &str = "the last word is a key path and the one before is none: set takes FILE... INDEX VALUE, in \
                       this order";

fn no_file(usage: &str) -> Error {
    Error::new(exit::NO_FILE, format!("too few words: {usage}"))
}

/// The JSON, wherever it is. No error shows a part of it.
fn read_value(args: &SetArgs, word: Option<&OsString>) -> Result<Tree, Error> {
    let json = match word {
        None => read_stdin().map_err(|it| it.about(Path::new("standard input")))?,
        Some(path) if args.value_file => fs::read(Path::new(path))
            .map_err(|error| read_error(&error, exit::GENERIC).about(Path::new(path)))?,
        Some(word) => word
            .to_str()
            .ok_or_else(|| Error::new(exit::INVALID_SET, "the value is not UTF-8"))?
            .to_owned(),
    };
    if args.value_text {
        // `echo`, `pass` and editors end a line that is meant without its end.
        let line = json.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let text = line.filter(|line| !line.contains('\n')).unwrap_or(&json);
        // What failed, or found nothing, gave nothing: nobody means that as the new secret.
        if text.is_empty() && (word.is_none() || args.value_file) {
            let text = "the value is empty: nothing was changed";
            return Err(Error::new(exit::INVALID_SET, text)
                .hint(if args.value_file { EMPTY_FILE } else { EMPTY_STDIN })
                .hint("an empty text is set as JSON: VALUE is '\"\"', without --value-text"));
        }
        return Ok(Tree::str(text));
    }
    let malformed = |problem: &dyn std::fmt::Display| {
        Error::new(exit::INVALID_SET, format!("the value is not JSON: {problem}"))
            .hint("a string needs its quotes: '\"text\"'; --value-text takes it without")
    };
    let doc = Document::parse(json, Format::Json).map_err(|error| malformed(&error))?;
    if let Some(error) = doc.duplicate_key() {
        return Err(malformed(&error));
    }
    let root = doc.value_of(NodeId::FIRST).ok_or_else(|| malformed(&"it is empty"))?;
    doc.tree(root).map_err(|error| malformed(&error))
}

const EMPTY_STDIN: &str = "standard input gave no text: the program before the pipe may have failed, \
                           and with `set -o pipefail` a script ends with its error";

const EMPTY_FILE: &str = "the file that was named holds no text";

/// Equal values; `5` is no other number than `5.0`.
fn same(old: &Tree, new: &Tree) -> bool {
    let number = |it: &Scalar<'_>| matches!(it.kind, ScalarType::Int | ScalarType::Float);
    match (old, new) {
        (Tree::Scalar(a), Tree::Scalar(b)) => {
            a == b || (number(a) && number(b) && a.bytes == b.bytes)
        }
        (Tree::Map(a), Tree::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k == l && same(v, w))
        }
        (Tree::List(a), Tree::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(v, w)| same(v, w))
        }
        (Tree::Scalar(_) | Tree::Map(_) | Tree::List(_), _) => false,
    }
}

/// Whether the path ends where a key or an item could be, and not in a scalar.
fn is_missing(doc: &Document, path: &KeyPath) -> bool {
    let mut at = doc.value_of(NodeId::FIRST);
    for step in &path.0 {
        let Some(here) = at else { return true };
        at = match (step, doc.node(here).kind()) {
            (Step::Key(key), NodeKind::Map) => doc.entry(here, key).map(|(_, value)| value),
            (Step::Index(index), NodeKind::List) => doc.items(here).nth(*index),
            _ => return false,
        };
    }
    at.is_none()
}

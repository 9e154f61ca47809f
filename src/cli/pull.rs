//! `waxseal pull`.
//!
//! Invariants: values go from the server into the sealed text and never to disk in between; what the rule
//! leaves in the open by default is not put there; an error leaves the file as it was.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::batch::{self, Done, Expected, Order, Write};
use super::context::Ctx;
use super::encrypt::{check_something_is_sealed, encrypt_anew};
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::{check_is_sealed_kind, format_of};
use super::kv::{self, Wanted};
use super::open::{self, ReadArgs, Trust};
use super::plain;
use super::sealing::SealArgs;
use super::{set, tree};
use crate::crypto::encrypted_value::is_token;
use crate::document::{Document, Format, NodeKind, Value};
use crate::file::{self, FileError, Prune, TakeError};
use crate::keyservice::vault::kv::{Engine, Secret};
use crate::metadata::BLOCK;
use crate::path::{KeyPath, Step};
use crate::policy;
use crate::shown::Show;
use crate::value::ScalarType;

/// Put the values of secrets in a key-value engine of Vault or OpenBao into sealed files
///
/// Which secret belongs to a file is said by the destination rules of .sops.yaml. A file keeps its shape:
/// order, comments, quoting, and the ciphertext of what did not change. One that is not there is sealed
/// by its creation rule.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PullArgs {
    /// The files
    pub(crate) files: Vec<PathBuf>,
    /// The secret of one file: where the engine is mounted, and the path in it; else the destination rule
    /// says it
    #[arg(long, value_name = "PATH", overrides_with = "from")]
    pub(crate) from: Option<String>,
    /// This version of the secret instead of the last one
    #[arg(long, value_name = "NUMBER", overrides_with = "version")]
    pub(crate) version: Option<u64>,
    /// Remove keys that the secret does not have
    #[arg(long)]
    pub(crate) prune: bool,
    /// Pull for every sealed file below folders, whose secrets have the names that the files have there
    #[arg(long, conflicts_with = "from")]
    pub(crate) recursive: bool,
    /// Leave the extensions out of the names
    #[arg(long)]
    pub(crate) omit_extensions: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Runs `pull`.
pub(crate) fn run(ctx: &Ctx, args: &PullArgs) -> Result<Exit, Error> {
    ctx.rules()?;
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: pull takes FILE..."));
    }
    if args.from.is_some() && args.files.len() > 1 {
        let text = "--from names the secret of one file, and several were named";
        return Err(Error::new(exit::CONFLICT, text)
            .hint("destination rules in .sops.yaml say which secret belongs to which file"));
    }
    let (files, names) = files(args)?;
    let work = |path: &Path| {
        let name = names.get(path).map_or(path, PathBuf::as_path);
        pull(ctx, args, path, name)
    };
    Ok(batch::run(ctx, &files, Order::SideBySide, work))
}

/// The files, and what the secret of each is called by.
fn files(args: &PullArgs) -> Result<(Vec<PathBuf>, HashMap<PathBuf, PathBuf>), Error> {
    let mut named: Vec<(PathBuf, PathBuf)> = Vec::new();
    for file in &args.files {
        if !file.is_dir() {
            named.push((file.clone(), file.file_name().map(PathBuf::from).unwrap_or_default()));
            continue;
        }
        if !args.recursive {
            let text = "is a folder: --recursive pulls for the sealed files in it";
            return Err(Error::new(exit::GENERIC, text).about(file));
        }
        let below = tree::sealed_below(file)?;
        if below.is_empty() {
            let text = "no sealed file is below this folder";
            return Err(Error::new(exit::NO_FILE, text).about(file));
        }
        let name = |path: &PathBuf| path.strip_prefix(file).unwrap_or(path).to_owned();
        named.extend(below.iter().map(|path| (kv::walked(path), name(path))));
    }
    let (mut files, mut names) = (Vec::new(), HashMap::new());
    for (path, name) in named {
        if let Some(other) = names.insert(path.clone(), name.clone()).filter(|it| *it != name) {
            let (other, name) = (other.shown(), name.shown());
            let text = format!("is named twice: it would take {other} and {name}");
            return Err(Error::new(exit::CONFLICT, text).about(&path));
        }
        files.push(path);
    }
    Ok((files, names))
}

fn pull(ctx: &Ctx, args: &PullArgs, path: &Path, name: &Path) -> Result<Done, Error> {
    let format = format_of(path, args.read.input_type);
    check_is_sealed_kind(format)?;
    if let Ok(false) = path.try_exists() {
        return new_file(ctx, args, path, name, format);
    }
    let opened = open::open_file(ctx, path, &args.read, Trust::Verified)?;
    if opened.file.encrypted().is_envelope() {
        let text = "a binary file of sops: such files are not supported yet; nothing was changed";
        return Err(Error::new(exit::GENERIC, text));
    }
    opened.refuse_broken()?;
    let (values, place) = secret(ctx, args, path, name)?;
    let doc = opened.file.document();
    let prune = if args.prune { Prune::Yes } else { Prune::No };
    let taken = file::take(doc, &values, prune).map_err(|error| refused(&error))?;
    let new: Vec<New<'_>> = taken.changed.iter().filter_map(|at| New::of(doc, at)).collect();
    let rule = opened.file.encrypted().metadata().policy().rule().clone();
    // Where nobody vouches for the rule, somebody without the key may have chosen what it leaves open.
    let usual = rule == *policy::Policy::unnamed(false).rule();
    let suspect = !usual && !opened.file.outcome().marked;
    let judged = suspect || names_what_is_sealed(&rule);
    let mut done = set::finish(ctx, path, opened, taken.text)?;
    if let Some(write) = &done.write {
        let sealed = String::from_utf8_lossy(&write.content);
        if judged {
            refuse_in_the_open(&sealed, format, &rule, &new)?;
        }
        done.notes.push(format!("{}: taken from {place}", path.shown()));
    } else {
        done.notes.push(format!("{}: holds these values already", path.shown()));
    }
    if !args.prune && !taken.gone.is_empty() {
        let gone: Vec<String> = taken.gone.iter().map(ToString::to_string).collect();
        done.notes.push(format!(
            "{}: the secret does not have {}: kept; --prune removes what it does not have",
            path.shown(),
            gone.join(", ")
        ));
    }
    Ok(done)
}

/// A file that is not there yet.
fn new_file(
    ctx: &Ctx,
    args: &PullArgs,
    path: &Path,
    name: &Path,
    format: Format,
) -> Result<Done, Error> {
    plain::refuse_configuration(path)?;
    let plan = SealArgs::default().plan(ctx, path)?;
    let (values, place) = secret(ctx, args, path, name)?;
    let text = file::write_values(&values, format)
        .map_err(|error| explain::file(&error, Role::Changed))?;
    let sealed = encrypt_anew(ctx, &plan, text, format)?;
    check_something_is_sealed(&sealed, format, &plan)?;
    if names_what_is_sealed(plan.policy.rule()) {
        let all = KeyPath::default();
        refuse_in_the_open(&sealed, format, plan.policy.rule(), &[New { at: &all, below: false }])?;
    }
    let mut notes: Vec<String> = plan.lockout(ctx).into_iter().collect();
    notes.push(format!("{}: taken from {place}", path.shown()));
    let write = Write { before: Expected::Nothing, ..Write::new(path, sealed.into_bytes()) };
    Ok(Done { write: Some(write), notes, ..Done::default() })
}

/// What the secret holds.
fn secret(ctx: &Ctx, args: &PullArgs, path: &Path, name: &Path) -> Result<(Value, String), Error> {
    let wanted = match &args.from {
        Some(from) => Wanted::at(ctx, from)?,
        None => Wanted::by_rule(ctx, path, name, args.omit_extensions)
            .map_err(|error| error.hint("--from PATH names the secret without a rule"))?,
    };
    let client = kv::client(ctx)?;
    let place = wanted.find(client, "read")?;
    let wrong = |text: String| Error::new(exit::GENERIC, format!("{place}: {text}"));
    if args.version == Some(0) {
        return Err(wrong("versions begin with 1".to_owned()));
    }
    if args.version.is_some() && place.engine() == Engine::One {
        return Err(wrong("an engine of version 1 has one version of each secret".to_owned()));
    }
    match place.read(client, args.version).map_err(|error| kv::explain(&error))? {
        Secret::There { json, .. } => {
            let value = Value::parse(json.expose_secret());
            let value = value.map_err(|error| wrong(error.problem.into_owned()))?;
            Ok((value, place.to_string()))
        }
        Secret::Gone { version, destroyed: true } => {
            Err(wrong(format!("version {version} was destroyed: nothing brings it back"))
                .hint("--version NUMBER takes another one"))
        }
        Secret::Gone { version, destroyed: false } => {
            Err(wrong(format!("version {version} was deleted"))
                .hint("an operator can undelete it; --version NUMBER takes another one"))
        }
        Secret::Missing => {
            let error = match args.version {
                Some(version) => wrong(format!("there is no version {version}, or no such secret")),
                None => wrong("there is no such secret".to_owned()),
            };
            let typed = args.from.as_ref().is_some_and(|from| from.contains("/data/"));
            Err(if typed {
                error.hint("a path is typed without the `data/` of the API")
            } else {
                error
            })
        }
    }
}

/// A value that the file cannot take.
fn refused(error: &TakeError) -> Error {
    let explained = explain::file(&error.source, Role::Changed);
    if error.path.0.is_empty() {
        return explained;
    }
    explained.hint(format!("it is about {} of the secret", error.path))
}

/// A place that the secret has and the file had not.
struct New<'a> {
    at: &'a KeyPath,
    /// There was one value, and now there are some below it.
    below: bool,
}

impl<'a> New<'a> {
    /// `None`: there was a value at this place, and there may be another one now.
    fn of(old: &Document, at: &'a KeyPath) -> Option<Self> {
        match old.find(at).map(|id| old.node(id).kind()) {
            None => Some(Self { at, below: false }),
            Some(NodeKind::Map | NodeKind::List) => None,
            Some(_) => Some(Self { at, below: true }),
        }
    }

    fn holds(&self, path: &KeyPath) -> bool {
        path.0.starts_with(&self.at.0) && !(self.below && path.0.len() == self.at.0.len())
    }
}

/// Such a rule leaves all else in the open: a new key of a secret is not meant to be there.
fn names_what_is_sealed(rule: &policy::Rule) -> bool {
    rule.field().starts_with("encrypted_")
}

/// Refuses new values that would stand in the open. What was there before is its owner's choice.
fn refuse_in_the_open(
    sealed: &str,
    format: Format,
    rule: &policy::Rule,
    new: &[New<'_>],
) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let unread = |error| explain::file(&FileError::from(error), Role::Changed);
    let doc = Document::parse(sealed.to_owned(), format).map_err(unread)?;
    for id in doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Scalar) {
        let value = doc.scalar(id).map_err(unread)?;
        let is_sealed = value.text().is_some_and(|text| is_token(text.trim_end()));
        if is_sealed || value.kind == ScalarType::Null || value.bytes.is_empty() {
            continue;
        }
        let path = doc.path_of(id);
        let metadata = matches!(path.0.first(), Some(Step::Key(key)) if key == BLOCK);
        if !metadata && new.iter().any(|new| new.holds(&path)) {
            let text = format!(
                "{path} is new and would stay in the open by the rule ({}: {}); nothing was changed",
                rule.field(),
                rule.text()
            );
            return Err(Error::new(exit::GENERIC, text)
                .hint("let the rule seal it, or put it there yourself with `waxseal set`"));
        }
    }
    Ok(())
}

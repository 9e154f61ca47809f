//! `waxseal decrypt`.

use std::path::{Path, PathBuf};

use super::batch::{self, Done, Write};
use super::context::{Ctx, any_path, given};
use super::convert;
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::{Input, check_is_sealed_kind};
use super::open::{self, MacArgs, Opened, ReadArgs, format_name};
use super::target::{Target, TargetArgs};
use super::tree;
use crate::document::Format;
use crate::file;
use crate::path::KeyPath;

/// Decrypt files, to standard output if nothing else is said
///
/// Without a file, standard input is decrypted; say with --input-type what it is.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DecryptArgs {
    /// Files to decrypt, or (with --output-dir) folders: every sealed file below
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Only the value at this key path, such as ["servers"][0]["password"]
    #[arg(long, value_name = "PATH", overrides_with = "extract")]
    pub(crate) extract: Option<String>,
    /// Write the result in this format
    #[arg(long, value_name = "TYPE", value_parser = format_name, overrides_with = "output_type")]
    pub(crate) output_type: Option<Format>,
    /// Choose types and creation rule as if the file had this name
    #[arg(long, value_name = "NAME", value_parser = any_path(), overrides_with = "filename_override")]
    pub(crate) filename_override: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) mac: MacArgs,
}

/// Runs `decrypt`.
pub(crate) fn run(ctx: &Ctx, args: &DecryptArgs) -> Result<Exit, Error> {
    // A tree in the open has a place of its own.
    if args.target.output_dir.is_some() {
        return run_on(ctx, args, &tree::files(&args.files)?);
    }
    run_on(ctx, args, &args.files)
}

/// Runs it on these files, which were named or stand below the folders that were.
pub(crate) fn run_on(ctx: &Ctx, args: &DecryptArgs, files: &[PathBuf]) -> Result<Exit, Error> {
    let target = args.target.resolve_below(files, &args.files)?;
    ctx.rules()?;
    let path = match args.extract.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => Some(KeyPath::parse(path).map_err(|error| {
            let text = format!("error parsing --extract path: {error}");
            Error::new(exit::INVALID_EXTRACT, text)
                .hint("in single quotes for the shell: '[\"key\"][0]'")
        })?),
        None => None,
    };
    let plan = Plan { args, target, path };
    if files.is_empty() {
        return Ok(batch::one(ctx, plan.stdin(ctx)));
    }
    Ok(plan.target.run(ctx, files, |path| plan.file(ctx, path)))
}

/// What was typed, as it is meant.
struct Plan<'a> {
    args: &'a DecryptArgs,
    target: Target,
    path: Option<KeyPath>,
}

impl Plan<'_> {
    fn stdin(&self, ctx: &Ctx) -> Result<Done, Error> {
        let name = given(self.args.filename_override.as_deref());
        self.decrypt(ctx, Input::stdin(name, self.args.read.input_type)?)
    }

    fn file(&self, ctx: &Ctx, path: &Path) -> Result<Done, Error> {
        let name = given(self.args.filename_override.as_deref());
        let input = Input::file(path, name, self.args.read.input_type, exit::NO_FILE);
        let input = input.map_err(|error| match path.is_dir() {
            true => error.hint("--output-dir DIR takes every sealed file below a folder"),
            false => error,
        })?;
        self.decrypt(ctx, input)
    }

    fn decrypt(&self, ctx: &Ctx, input: Input) -> Result<Done, Error> {
        let read = input.path.clone();
        let format = input.format;
        let opened = open::open(ctx, input, self.args.read.integrity, self.args.mac.trust())?;
        let to = self.args.output_type.unwrap_or(format);
        let old = (self.target == Target::InPlace).then(|| opened.text().to_owned());
        let (content, notes) = self.content(opened, to)?;
        let converted = (to != format).then_some(to);
        let Some(path) = self.target.path_for(read.as_deref(), converted) else {
            return Ok(Done { notes, ..Done::data(content) });
        };
        if let Some(old) = old {
            return Ok(Done { notes, ..Done::replace(&path, &old, content) });
        }
        let write = Write { below: self.target.folder(), ..Write::new(&path, content) };
        Ok(Done { write: Some(write), notes, ..Done::default() })
    }

    /// The bytes to write, and what they lost.
    fn content(&self, opened: Opened, to: Format) -> Result<(Vec<u8>, Vec<String>), Error> {
        let doc = opened.file.document();
        if let Some(path) = &self.path {
            let tree =
                file::extract(doc, path).map_err(|error| explain::file(&error, Role::Encrypted))?;
            check_is_sealed_kind(to)?;
            return Ok((convert::value(&tree, to)?, Vec::new()));
        }
        // What sops made of a TOML file: its content is TOML, the file is JSON.
        if to == doc.format() || opened.file.encrypted().is_envelope() {
            return Ok((opened.file.into_content(), Vec::new()));
        }
        check_is_sealed_kind(to)?;
        let converted = convert::convert(doc, to)?;
        Ok((converted.text.into_bytes(), converted.notes))
    }
}

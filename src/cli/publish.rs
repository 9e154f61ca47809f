//! `waxseal publish`.
//!
//! Invariants: a file is opened and its values are looked at before anything is sent; no secret is written
//! over another version than the one that was compared with it.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use super::batch::{self, Done, Order};
use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::input::{Input, read_error};
use super::kv::{self, Wanted, walked};
use super::open::{self, Opened, ReadArgs, Trust};
use super::tree::is_sealed;
use crate::document::Value;
use crate::keyservice::vault::kv::{Engine, KvError, Place, Secret};
use crate::os::fs;
use crate::shown::Show;

/// Write the values of files to a key-value engine of Vault or OpenBao, decrypted
///
/// Where they go is said by the destination rules of .sops.yaml. A secret that holds the same values
/// already is left alone; one that somebody else writes meanwhile is not written over. Asks, unless
/// --yes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PublishArgs {
    /// Files to publish
    pub(crate) files: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Publish every file below folders, under the names that they have there; of those whose name begins
    /// with a dot only sealed ones
    #[arg(long)]
    pub(crate) recursive: bool,
    /// Leave the extensions out of the names
    #[arg(long)]
    pub(crate) omit_extensions: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Runs `publish`.
pub(crate) fn run(ctx: &Ctx, args: &PublishArgs) -> Result<Exit, Error> {
    ctx.rules()?;
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: publish takes FILE..."));
    }
    let files = files(args)?;
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
    let names: HashMap<&PathBuf, &PathBuf> =
        files.iter().map(|(path, name)| (path, name)).collect();
    refuse_one_for_two(ctx, args, &files)?;
    let order = if args.yes { Order::SideBySide } else { Order::InTurn };
    Ok(batch::run_each_name(ctx, &paths, order, |path| {
        let name = names.get(&path.to_owned()).map_or(path, |name| name.as_path());
        publish(ctx, args, path, name)
    }))
}

/// The files, each with what its secret is called by.
fn files(args: &PublishArgs) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let mut files = Vec::new();
    for file in &args.files {
        if !file.is_dir() {
            let name = file.file_name().map(PathBuf::from).unwrap_or_default();
            files.push((file.clone(), name));
            continue;
        }
        if !args.recursive {
            let text = "is a folder: --recursive publishes the files in it";
            return Err(Error::new(exit::GENERIC, text).about(file));
        }
        let below = fs::files_below(file, |_| true)
            .map_err(|(folder, error)| read_error(&error, exit::GENERIC).about(&folder))?;
        let before = files.len();
        for path in below {
            let name = path.strip_prefix(file).unwrap_or(&path).to_owned();
            // The configuration, and what other programs keep for themselves; but no secret is left out.
            let is_hidden =
                |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
            if name.components().any(is_hidden) && !is_sealed(&path) {
                continue;
            }
            files.push((walked(&path), name));
        }
        if files.len() == before {
            let text = "no file to publish is below this folder";
            return Err(Error::new(exit::NO_FILE, text).about(file));
        }
    }
    Ok(files)
}

/// The second would be written over the first; and a file has one name.
fn refuse_one_for_two(
    ctx: &Ctx,
    args: &PublishArgs,
    files: &[(PathBuf, PathBuf)],
) -> Result<(), Error> {
    let mut seen: HashMap<String, &Path> = HashMap::new();
    let mut names: HashMap<&Path, &Path> = HashMap::new();
    for (path, name) in files {
        if let Some(other) = names.insert(path, name).filter(|other| *other != name) {
            let (other, name) = (other.shown(), name.shown());
            let text = format!("is named twice: it would be {other} and {name}");
            return Err(Error::new(exit::CONFLICT, text).about(path));
        }
        // What has no destination fails by itself.
        let Ok(wanted) = Wanted::by_rule(ctx, path, name, args.omit_extensions) else { continue };
        let secret = wanted.name();
        if let Some(first) = seen.get(&secret).filter(|first| **first != path) {
            let text = format!("would be written to {secret}, as {} would", first.shown());
            return Err(Error::new(exit::CONFLICT, text).about(path));
        }
        seen.insert(secret, path);
    }
    Ok(())
}

fn publish(ctx: &Ctx, args: &PublishArgs, path: &Path, name: &Path) -> Result<Done, Error> {
    ctx.rules()?.refuse_led_out(&ctx.absolute(path))?;
    let input = Input::file(path, None, args.read.input_type, exit::GENERIC)?;
    let wanted = Wanted::by_rule(ctx, path, name, args.omit_extensions)?;
    let values = values_of(&open::open(ctx, input, args.read.integrity, Trust::Verified)?)?;
    let client = kv::client(ctx)?;
    let place = wanted.find(client, "create, read, update")?;
    refuse_rounded(&place, &values)?;
    let read = || place.read(client, None).map_err(|error| kv::explain(&error));
    let before = read()?;
    if holds(&before, &values) {
        let note = format!("{}: {place} holds these values already", path.shown());
        return Ok(Done { notes: vec![note], ..Done::default() });
    }
    if !args.yes && !ask(ctx, path, &place)? {
        let text = format!("Publication of {} canceled", ctx.absolute(path).shown());
        if args.recursive {
            return Ok(Done::data(format!("{text}\n").into_bytes()));
        }
        return Err(Error::new(exit::GENERIC, text));
    }
    let version = match place.write(client, &values.to_json(), &before) {
        Ok(version) => version,
        // An answer that was lost: it was us.
        Err(error @ KvError::Conflict { .. }) => match read()? {
            now @ Secret::There { version, .. } if holds(&now, &values) => version,
            _ => return Err(kv::explain(&error)),
        },
        Err(error) => return Err(kv::explain(&error)),
    };
    let version = version.map_or(String::new(), |version| format!(", version {version}"));
    let note = format!("{}: written to {place}{version}", path.shown());
    Ok(Done { notes: vec![note], ..Done::default() })
}

/// What is published of a file.
fn values_of(opened: &Opened) -> Result<Value, Error> {
    if opened.file.encrypted().is_envelope() {
        return Ok(Value::of_content(&opened.file.content()));
    }
    Value::of(opened.file.document()).map_err(|error| Error::of(exit::CANNOT_EXPRESS, &error))
}

/// Engines of version 2 read numbers as floats and keep these; those of version 1 keep the digits (seen on
/// OpenBao 2.4.0).
fn refuse_rounded(place: &Place, values: &Value) -> Result<(), Error> {
    match values.first_rounded().filter(|_| place.engine() == Engine::Two) {
        Some(at) => {
            let text = format!("{at} is a number that a key-value engine of version 2 would round");
            Err(Error::new(exit::CANNOT_EXPRESS, text).hint(
                "as a text, in quotes, it keeps its digits; version 1 keeps those of numbers",
            ))
        }
        None => Ok(()),
    }
}

/// Whether a secret holds these values.
fn holds(secret: &Secret, values: &Value) -> bool {
    match secret {
        Secret::There { json, .. } => {
            Value::parse(json.expose_secret()).is_ok_and(|there| there.same(values))
        }
        Secret::Gone { .. } | Secret::Missing => false,
    }
}

/// Asks on standard output, as SOPS does; the end of the input or an empty line is an error.
fn ask(ctx: &Ctx, path: &Path, place: &Place) -> Result<bool, Error> {
    let question = format!("uploading {} to {place} ? (y/n): ", ctx.absolute(path).shown());
    loop {
        ctx.out.data(question.as_bytes())?;
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let answer = answer.trim();
        if read.is_err() || answer.is_empty() {
            let text = "no answer: nothing was written";
            return Err(Error::new(exit::GENERIC, text).hint("--yes answers for you"));
        }
        match answer {
            "y" => return Ok(true),
            "n" => return Ok(false),
            _ => {}
        }
    }
}

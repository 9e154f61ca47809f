//! `waxseal rewrap`.
//!
//! First all files are looked at and their keys are asked for their versions; then what is to be done is
//! known, told, and done file by file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;

use super::batch::{self, Counted, Done, Order};
use super::context::Ctx;
use super::error::{Cause, Error};
use super::exit::{self, Exit};
use super::explain::{self, Role, place};
use super::input::Input;
use super::key_diff::shown;
use super::open::{self, format_name};
use super::sealing::vault_keys;
use super::tree;
use crate::document::Format;
use crate::file::EncryptedFile;
use crate::keys::{KeyKind, MasterKey, WrappedKey};
use crate::keyservice::KeyError;
use crate::keyservice::vault::Versions;
use crate::keyservice::vault::transit::version;
use crate::os::threads::side_by_side;
use crate::shown::Show;

/// Have Vault wrap data keys anew with the newest version of their transit key
///
/// Neither a value nor a data key is opened: the server gives another wrapping, and nothing else of
/// the file changes. Of folders every sealed file below counts. What is current is left alone.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RewrapArgs {
    /// Files, or folders of files
    pub(crate) files: Vec<PathBuf>,
    /// Change nothing: print what is to be done, and fail (56) if there is something
    #[arg(long)]
    pub(crate) check: bool,
    /// Only what these transit keys wrapped: the rest is for who may rewrap with the others
    #[arg(long, value_name = "LIST")]
    pub(crate) hc_vault_transit: Option<String>,
    /// What the files are, whatever their names say
    #[arg(long, value_name = "TYPE", value_parser = format_name, overrides_with = "input_type")]
    pub(crate) input_type: Option<Format>,
}

/// Runs `rewrap`.
pub(crate) fn run(ctx: &Ctx, args: &RewrapArgs) -> Result<Exit, Error> {
    if args.files.is_empty() {
        let text = "no file specified: rewrap takes files or folders";
        return Err(Error::new(exit::NO_FILE, text));
    }
    ctx.rules()?;
    let files = tree::files(&args.files)?;
    let only = match &args.hc_vault_transit {
        Some(list) => vault_keys(ctx, list, "--hc-vault-transit")?,
        None => Vec::new(),
    };
    let wanted = Wanted { input_type: args.input_type, only };
    let plan = Plan::new(ctx, &wanted, &files)?;
    if plan.versions.is_empty() && !wanted.only.is_empty() {
        let text = "--hc-vault-transit: no file has what such a key wrapped";
        return Err(Error::new(exit::GENERIC, text));
    }
    if args.check {
        return Ok(batch::run_each_name(ctx, &files, Order::SideBySide, |path| {
            plan.check(ctx, path)
        }));
    }
    if ctx.out.stderr_is_terminal {
        for path in &files {
            // What cannot be read is told when its turn comes.
            let lines = wanted.look(ctx, path).map(|(_, wrapped)| plan.lines(path, &wrapped));
            lines.unwrap_or_default().iter().for_each(|line| ctx.out.note(line));
        }
    }
    Ok(batch::run(ctx, &files, Order::SideBySide, |path| plan.rewrap(ctx, path)))
}

/// What is looked at.
struct Wanted {
    input_type: Option<Format>,
    /// Nothing: all keys.
    only: Vec<MasterKey>,
}

/// What a file has from Vault: the key as it is to be asked for, and the entry.
type Wrapped = Vec<(MasterKey, WrappedKey)>;

impl Wanted {
    /// Reads a file, and what Vault wrapped for it.
    fn look(&self, ctx: &Ctx, path: &Path) -> Result<(EncryptedFile, Wrapped), Error> {
        let input = Input::file(path, None, self.input_type, exit::NO_FILE)?;
        let file = open::parse(input)?;
        let rule = ctx.rules()?.find(&ctx.absolute(path))?.rule();
        let groups = open::with_contexts(file.metadata().groups(), rule.as_ref());
        let asked = groups.iter().flat_map(|group| group.of_kind(KeyKind::Vault));
        let wrapped = asked.zip(file.vault_keys()).filter(|(_, entry)| self.has(entry.key()));
        let wrapped = wrapped.map(|(asked, entry)| (asked.key().clone(), entry.clone())).collect();
        Ok((file, wrapped))
    }

    fn has(&self, key: &MasterKey) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| shown(it) == shown(key))
    }
}

struct Plan<'w> {
    wanted: &'w Wanted,
    /// Of every key that is in use, or why they are not known; by the name of the key.
    versions: BTreeMap<String, Result<Versions, KeyError>>,
}

/// What is to be done with one wrapped key.
enum Step {
    /// Nothing.
    Current,
    /// Wrap it anew.
    Stale { from: u64, to: u64 },
    /// It cannot be.
    Fails(String),
}

impl<'w> Plan<'w> {
    fn new(ctx: &Ctx, wanted: &'w Wanted, files: &[PathBuf]) -> Result<Self, Error> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let wrapped = side_by_side(&ctx.crew, files, threads, |path: &PathBuf| {
            wanted.look(ctx, path).map_or(Vec::new(), |(_, wrapped)| wrapped)
        });
        let mut by_key: BTreeMap<String, Vec<(MasterKey, WrappedKey)>> = BTreeMap::new();
        for (key, entry) in wrapped.into_iter().flatten() {
            let samples = by_key.entry(key.to_string()).or_default();
            if samples.len() < SAMPLES {
                samples.push((key, entry));
            }
        }
        if by_key.is_empty() {
            return Ok(Self { wanted, versions: BTreeMap::new() });
        }
        let failed = |error: KeyError| Error::of(exit::GENERIC, &error);
        let service = ctx.vault().keys().map_err(failed)?;
        let versions = by_key.into_iter().map(|(name, samples)| {
            let samples: Vec<_> =
                samples.iter().map(|(key, entry)| (key.clone(), entry.enc())).collect();
            (name, service.versions(&samples))
        });
        Ok(Self { wanted, versions: versions.collect() })
    }

    fn step(&self, key: &MasterKey, entry: &WrappedKey) -> Step {
        let versions = match self.versions.get(&key.to_string()) {
            Some(Ok(versions)) => versions,
            Some(Err(error)) => return Step::Fails(error.to_string()),
            // It came while we were looking.
            None => return Step::Fails("the file was changed meanwhile".to_owned()),
        };
        let Some(from) = version(entry.enc().trim_end()) else {
            return Step::Fails("it is no ciphertext of a transit engine (vault:v1:…)".to_owned());
        };
        let Versions { kept, oldest, newest } = *versions;
        if from > newest {
            return Step::Fails(format!(
                "version {from} wrapped it and {newest} is the newest: another server did, or the key \
                 was restored since"
            ));
        }
        if from < kept {
            return Step::Fails(format!(
                "version {from} wrapped it, and the server has deleted all before {kept}: another key of \
                 the file opens it, or one that was exported (`waxseal recover`)"
            ));
        }
        if from < oldest {
            return Step::Fails(format!(
                "version {from} wrapped it and the key decrypts none before {oldest}: an operator has to \
                 lower min_decryption_version until this is done"
            ));
        }
        if from == newest { Step::Current } else { Step::Stale { from, to: newest } }
    }

    /// A line for each wrapped key that is to be made anew.
    fn lines(&self, path: &Path, wrapped: &Wrapped) -> Vec<String> {
        let line = |(key, entry): &(MasterKey, WrappedKey)| match self.step(key, entry) {
            Step::Stale { from, to } => {
                Some(format!("{}: {} from version {from} to {to}", path.shown(), shown(key)))
            }
            Step::Current | Step::Fails(_) => None,
        };
        wrapped.iter().filter_map(line).collect()
    }

    /// Says what is to be done, and whether that is something.
    fn check(&self, ctx: &Ctx, path: &Path) -> Result<Done, Error> {
        let (_, wrapped) = self.wanted.look(ctx, path)?;
        let lines = self.lines(path, &wrapped);
        let mut done =
            Done::data(lines.iter().map(|line| format!("{line}\n")).collect::<String>().into());
        let failures = self.failures(&wrapped);
        if !failures.is_empty() {
            done.finding = Some(failed(&failures).about(path));
        } else if !lines.is_empty() {
            done.counted = Some(STALE);
        }
        Ok(done)
    }

    fn failures(&self, wrapped: &Wrapped) -> Vec<(MasterKey, String)> {
        let failure = |(key, entry): &(MasterKey, WrappedKey)| match self.step(key, entry) {
            Step::Fails(why) => Some((key.clone(), why)),
            Step::Current | Step::Stale { .. } => None,
        };
        wrapped.iter().filter_map(failure).collect()
    }

    /// The file with new wrappings in the place of old ones: all of them, or none.
    fn rewrap(&self, ctx: &Ctx, path: &Path) -> Result<Done, Error> {
        let (file, wrapped) = self.wanted.look(ctx, path)?;
        let failures = self.failures(&wrapped);
        if !failures.is_empty() {
            return Err(failed(&failures));
        }
        let is_stale = |(key, entry): &&(MasterKey, WrappedKey)| {
            matches!(self.step(key, entry), Step::Stale { .. })
        };
        let stale: Vec<&(MasterKey, WrappedKey)> = wrapped.iter().filter(is_stale).collect();
        if stale.is_empty() {
            return Ok(Done::default());
        }
        let asked: Vec<_> = stale.iter().map(|(key, entry)| (key.clone(), entry.enc())).collect();
        let service = ctx.vault().keys().map_err(|error| Error::of(exit::GENERIC, &error))?;
        let (mut new, mut failures) = (Vec::new(), Vec::new());
        for ((key, entry), result) in stale.into_iter().zip(service.rewrap(&asked)) {
            match result {
                Ok(enc) => new.push((entry, enc)),
                Err(error) => failures.push((key.clone(), error.to_string())),
            }
        }
        if !failures.is_empty() {
            return Err(failed(&failures));
        }
        let text = file
            .rewrapped(|entry| Some(new.iter().find(|(old, _)| *old == entry)?.1.clone()))
            .map_err(|error| explain::file(&error, Role::Encrypted))?;
        Ok(Done::replace(path, file.text(), text.into_bytes()))
    }
}

/// Some wrapped keys of a file cannot be made anew: it stays as it is.
fn failed(failures: &[(MasterKey, String)]) -> Error {
    let headline = "cannot rewrap the data key";
    let mut text = headline.to_owned();
    for (key, why) in failures {
        let _ = write!(text, "\n  {}: {why}", shown(key));
    }
    let cause = |(key, why): &(MasterKey, String)| Cause { place: place(key), why: why.clone() };
    Error::new(exit::GENERIC, text).because(headline, failures.iter().map(cause).collect())
}

/// Of each key, what fits in one request: somebody can plant a few that are damaged.
const SAMPLES: usize = 100;

/// What `--check` finds.
const STALE: Counted = Counted {
    exit: exit::STALE,
    one: "has wrapped keys of older versions: waxseal rewrap",
    many: "have wrapped keys of older versions: waxseal rewrap",
};

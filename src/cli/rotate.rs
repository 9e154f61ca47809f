//! `waxseal rotate`.

use std::path::{Path, PathBuf};

use super::batch::{Done, Write};
use super::context::{Ctx, any_path, given};
use super::error::{Error, shorten};
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::Input;
use super::integrity::{Integrity, describe, with_hint};
use super::key_diff::{same_groups, same_key, shown};
use super::open::{self, Opened, ReadArgs, Trust};
use super::sealing;
use super::target::{Target, TargetArgs};
use super::tree;
use crate::config::parse_keys;
use crate::file::RotateOptions;
use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey};
use crate::shown::Show;

/// Give files a new data key and seal every value anew, to standard output if nothing else is said
///
/// Recipients stay, but for those added or removed here. Refused (exit code 54) if somebody changed
/// the recipients without the key, unless the creation rule names exactly these.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RotateArgs {
    /// Files to rotate, or folders: every sealed file below
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// age recipients to add to the first group, with commas
    #[arg(long, value_name = "LIST", overrides_with = "add_age")]
    pub(crate) add_age: Option<String>,
    /// age recipients to remove, with commas
    #[arg(long, value_name = "LIST", overrides_with = "rm_age")]
    pub(crate) rm_age: Option<String>,
    /// Transit keys to add to the first group, with commas
    #[arg(long, value_name = "LIST", overrides_with = "add_hc_vault_transit")]
    pub(crate) add_hc_vault_transit: Option<String>,
    /// Transit keys to remove, with commas
    #[arg(long, value_name = "LIST", overrides_with = "rm_hc_vault_transit")]
    pub(crate) rm_hc_vault_transit: Option<String>,
    /// Go on with the recipients that the file names, and vouch for them
    #[arg(long)]
    pub(crate) accept_recipients: bool,
    /// Choose types and creation rule as if the file had this name
    #[arg(long, value_name = "NAME", value_parser = any_path(), overrides_with = "filename_override")]
    pub(crate) filename_override: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Runs `rotate`.
pub(crate) fn run(ctx: &Ctx, args: &RotateArgs) -> Result<Exit, Error> {
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: rotate takes FILE"));
    }
    let files = tree::files(&args.files)?;
    let target = args.target.resolve_below(&files, &args.files)?;
    ctx.rules()?;
    let changes = Changes::new(ctx, args)?;
    let work = |path: &Path| rotate(ctx, args, &changes, &target, path);
    Ok(target.run(ctx, &files, work))
}

/// Keys to add and to remove.
struct Changes {
    add: Vec<MasterKey>,
    remove: Vec<MasterKey>,
}

impl Changes {
    fn new(ctx: &Ctx, args: &RotateArgs) -> Result<Self, Error> {
        let keys = |age: &Option<String>, transit: &Option<String>, flag: &str| {
            let mut keys = parse_keys(KeyKind::Age, age.as_deref().unwrap_or(""))
                .map_err(|error| Error::of(exit::GENERIC, &error))?;
            keys.extend(sealing::vault_keys(ctx, transit.as_deref().unwrap_or(""), flag)?);
            Ok::<_, Error>(keys)
        };
        Ok(Self {
            add: keys(&args.add_age, &args.add_hc_vault_transit, "--add-hc-vault-transit")?,
            remove: keys(&args.rm_age, &args.rm_hc_vault_transit, "--rm-hc-vault-transit")?,
        })
    }

    fn are_none(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Keys to remove that the file does not have, as after a slip of the finger.
    fn not_there(&self, groups: &[KeyGroup], path: &Path) -> Vec<String> {
        let has = |key: &MasterKey| {
            groups.iter().flat_map(KeyGroup::keys).any(|it| same_key(it.key(), key))
        };
        let missing = self.remove.iter().filter(|key| !has(key));
        missing
            .map(|key| format!("{}: {} was none of its keys", path.shown(), shorten(&shown(key))))
            .collect()
    }

    /// The groups with these changes. What is new has nothing wrapped yet.
    fn apply(&self, ctx: &Ctx, groups: &[KeyGroup]) -> Result<Vec<KeyGroup>, Error> {
        let now = ctx.now()?;
        let mut changed = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let mut keys: Vec<WrappedKey> = group.keys().to_vec();
            if index == 0 {
                for key in &self.add {
                    // The same key twice would be one too many to remove.
                    if !keys.iter().any(|it| same_key(it.key(), key)) {
                        keys.push(WrappedKey::new(key.clone(), String::new(), now));
                    }
                }
            }
            keys.retain(|it| !self.remove.iter().any(|gone| same_key(gone, it.key())));
            if keys.is_empty() {
                let text = "removing these keys would leave a key group empty";
                return Err(Error::new(exit::GENERIC, text));
            }
            changed.push(group.with_keys(keys));
        }
        Ok(changed)
    }
}

fn rotate(
    ctx: &Ctx,
    args: &RotateArgs,
    changes: &Changes,
    target: &Target,
    path: &Path,
) -> Result<Done, Error> {
    let missing =
        if changes.are_none() { exit::CANNOT_READ } else { exit::NO_FILE_TO_CHANGE_KEYS_OF };
    let name = given(args.filename_override.as_deref());
    let input = Input::file(path, name, args.read.input_type, missing)?;
    // Behind the file: sops looks for that first.
    sealing::check(std::slice::from_ref(&changes.add), "--add-age")?;
    let opened = open::open(ctx, input, args.read.integrity, Trust::Verified)?;
    let old_groups = &*opened.groups();
    let outcome = opened.file.outcome();
    let named = names_exactly(&opened, old_groups);
    let known = outcome.recipients_are_good() || named || args.accept_recipients;
    if opened.file.recipients_changed() && !known {
        let text = format!(
            "{}: rotating would give the new data key to whoever was added",
            describe(outcome)
        );
        let error = with_hint(Error::new(exit::RECIPIENTS, text), outcome);
        return Err(error.hint(ACCEPT));
    }
    let groups = changes.apply(ctx, old_groups)?;
    let unnamed =
        if args.accept_recipients { Vec::new() } else { unnamed(&opened, &groups, changes) };
    refuse_unnamed(ctx, args, &opened, &unnamed)?;
    let known = known || names_exactly(&opened, &groups);
    let named_one_by_one = |key: &MasterKey| {
        let by_rule = opened.rule.iter().flat_map(|rule| rule.groups.iter().flatten());
        by_rule.chain(&changes.add).any(|it| same_key(it, key))
    };
    let data_key = sealing::new_data_key()?;
    let options = RotateOptions {
        groups: sealing::rewrap(ctx, &groups, &data_key, |key| known || named_one_by_one(key))?,
        recipients_are_known: known,
        text_is_reviewed: false,
        nonces: opened.nonces(),
        now: ctx.now()?,
    };
    let sealed = opened
        .file
        .rotate(&data_key, &options)
        .map_err(|error| explain::file(&error, Role::Plain))?;
    let note = |key: &MasterKey| {
        let key = shorten(&shown(key));
        format!("{}: {key} can open it and no creation rule names it", path.shown())
    };
    let notes =
        unnamed.iter().map(|key| note(key)).chain(changes.not_there(old_groups, path)).collect();
    let Some(output) = target.path_for(Some(path), None) else {
        return Ok(Done { notes, ..Done::sealed(sealed) });
    };
    if *target == Target::InPlace {
        return Ok(Done { notes, ..Done::replace(&output, opened.text(), sealed.into_bytes()) });
    }
    let write = Write { below: target.folder(), ..Write::new(&output, sealed.into_bytes()) };
    Ok(Done { write: Some(write), notes, ..Done::default() })
}

/// Whether the creation rule of a file names just these keys.
fn names_exactly(opened: &Opened, groups: &[KeyGroup]) -> bool {
    opened.rule.as_ref().is_some_and(|rule| same_groups(groups, &rule.groups))
}

/// Recipients that get the new data key though no rule names them and nobody does who runs the
/// command. Without a rule: those that nobody vouches for.
fn unnamed<'a>(opened: &Opened, groups: &'a [KeyGroup], changes: &Changes) -> Vec<&'a MasterKey> {
    let wanted = match &opened.rule {
        Some(rule) => rule.groups.as_slice(),
        None if opened.file.outcome().recipients_are_good() => return Vec::new(),
        None => &[],
    };
    let named = wanted.iter().flatten().chain(&changes.add);
    let named: Vec<&MasterKey> = named.collect();
    let keys = groups.iter().flat_map(KeyGroup::keys).map(WrappedKey::key);
    keys.filter(|key| !named.iter().any(|it| same_key(it, key))).collect()
}

/// Where more than SOPS' own check is asked for, nobody gets the new data key whom no rule names:
/// metadata of before a recipient was taken off verifies by itself.
fn refuse_unnamed(
    ctx: &Ctx,
    args: &RotateArgs,
    opened: &Opened,
    unnamed: &[&MasterKey],
) -> Result<(), Error> {
    let rule = opened.rule.as_ref().and_then(|rule| rule.integrity);
    if unnamed.is_empty() || Integrity::strictest(ctx, args.read.integrity, rule)? == Integrity::Mac
    {
        return Ok(());
    }
    let names: Vec<_> = unnamed.iter().map(|key| shorten(&shown(key))).collect();
    let text = format!(
        "rotating would give the new data key to {}, and no creation rule names them (integrity is \
         asked for)",
        names.join(", ")
    );
    let error = Error::new(exit::RECIPIENTS, text);
    Err(error
        .hint("name them in the rule, or take them off with `waxseal updatekeys`, then rotate")
        .hint(ACCEPT))
}

/// The way to go on all the same.
const ACCEPT: &str = "--accept-recipients goes on with those that the file names";

//! `waxseal updatekeys`.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::batch::{self, Done, Order};
use super::context::Ctx;
use super::entries;
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::Input;
use super::key_diff;
use super::open::{self, Opened, ReadArgs, Trust};
use super::rules::{Lookup, Rule};
use super::sealing::{check, no_config, no_match, wrap};
use super::tree;
use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey};
use crate::metadata::Metadata;
use crate::shown::Show;

/// Put files under the recipients that their creation rules name
///
/// The data key and every value stay as they are. Shows what would change and asks, unless --yes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct UpdatekeysArgs {
    /// Files to update, or folders: every sealed file below
    pub(crate) files: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Runs `updatekeys`.
pub(crate) fn run(ctx: &Ctx, args: &UpdatekeysArgs) -> Result<Exit, Error> {
    if !ctx.rules()?.exist() {
        let text = "config file not found: updatekeys takes the recipients from a .sops.yaml";
        return Err(Error::new(exit::GENERIC, text).hint("`waxseal init` makes one"));
    }
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: updatekeys takes FILE..."));
    }
    let files = tree::files(&args.files)?;
    let order = if args.yes { Order::SideBySide } else { Order::InTurn };
    Ok(batch::run(ctx, &files, order, |path| update(ctx, args, path)))
}

fn update(ctx: &Ctx, args: &UpdatekeysArgs, path: &Path) -> Result<Done, Error> {
    let shown = ctx.absolute(path);
    let shown = shown.shown();
    let mut done = Done::default();
    // Without --yes everything is told before the question.
    let say = |done: &mut Done, line: String| {
        if args.yes { done.lines.push(line) } else { ctx.out.line(&line) }
    };
    let input = Input::file(path, None, args.read.input_type, exit::GENERIC)?;
    say(&mut done, log_line(ctx, &format!("Syncing keys for file {shown}"))?);
    let rule = match ctx.rules()?.find(&ctx.absolute(path))? {
        Lookup::Rule(rule) => rule,
        Lookup::NoRules => return Err(no_config(ctx.rules()?)),
        Lookup::NoMatch { config, subject } => return Err(no_match(&config, &subject)),
    };
    ctx.rules()?.refuse_led_out(&ctx.absolute(path))?;
    check(&rule.groups, &rule.name)?;
    let encrypted = open::parse(input.clone())?;
    let metadata = encrypted.metadata();
    let diffs = key_diff::diff(metadata.groups(), &rule.groups);
    let threshold = metadata.shamir_threshold().min(rule.groups.len());
    let thresholds = (metadata.shamir_threshold(), threshold);
    let changes = key_diff::is_change(&diffs) || thresholds.0 != thresholds.1;
    if !changes && !unvouched(ctx, &input)? {
        say(&mut done, log_line(ctx, &format!("File {shown} already up to date"))?);
        return Ok(done);
    }
    let text = if changes {
        key_diff::render(&ctx.out, &diffs, thresholds)
    } else {
        "The recipients are those of the creation rule, and nobody vouches for them yet.\n"
            .to_owned()
    };
    let text = text + &unknown_fields(metadata);
    if args.yes {
        done.data.extend_from_slice(text.as_bytes());
    } else {
        ctx.out.data(text.as_bytes())?;
        if !ask(ctx)? {
            ctx.out.line(&log_line(ctx, &format!("File {shown} left unchanged"))?);
            return Ok(done);
        }
    }
    drop(encrypted);
    let opened = if changes {
        open::open(ctx, input, args.read.integrity, Trust::Verified)?
    } else {
        // What integrity asks for is just what is to be mended here.
        open::open_for_review(ctx, input, Trust::Verified)?
    };
    let sealed = with_keys(ctx, &opened, &rule, threshold)?;
    let mut done = Done {
        lines: done.lines,
        data: done.data,
        ..Done::replace(path, opened.text(), sealed.into_bytes())
    };
    done.lines_after.push(log_line(ctx, &format!("File {shown} synced with new keys"))?);
    if diffs.iter().any(|diff| !diff.removed.is_empty()) {
        done.notes.push(format!(
            "{}: whoever was removed still knows the data key, and can read and forge versions \
             under it until `waxseal rotate`",
            path.shown()
        ));
    }
    Ok(done)
}

/// What the question is about as well: somebody may have planted it.
fn unknown_fields(metadata: &Metadata) -> String {
    let line = |field: &str| format!("{} is unknown to waxseal and stays\n", field.shown());
    metadata.unknown_fields().map(line).collect()
}

/// Whether nobody vouches for recipients that the creation rule names. It takes the data key to know;
/// without one there is nothing to do, as for SOPS.
fn unvouched(ctx: &Ctx, input: &Input) -> Result<bool, Error> {
    match open::open_for_review(ctx, input.clone(), Trust::Verified) {
        Ok(opened) => {
            let outcome = opened.file.outcome();
            Ok(outcome.marked && !outcome.recipients_are_good())
        }
        Err(error) if error.exit() == exit::NO_KEY => Ok(false),
        Err(error) => Err(error),
    }
}

/// The file under the keys of the rule. Keys that stay keep what is wrapped for them.
fn with_keys(ctx: &Ctx, opened: &Opened, rule: &Rule, threshold: usize) -> Result<String, Error> {
    let old = opened.file.encrypted().metadata().groups();
    let groups = match (old, rule.groups.as_slice()) {
        _ if !key_diff::is_change(&key_diff::diff(old, &rule.groups)) => old.to_vec(),
        ([old], [wanted]) => vec![changed_group(ctx, opened, old, wanted)?],
        _ => wrap(ctx, &rule.groups, &opened.data_key)?,
    };
    opened
        .file
        .with_recipients(groups, threshold)
        .map_err(|error| explain::file(&error, Role::Encrypted))
}

fn changed_group(
    ctx: &Ctx,
    opened: &Opened,
    old: &KeyGroup,
    wanted: &[MasterKey],
) -> Result<KeyGroup, Error> {
    // What stays is one more item for each server, if any. Keys of other kinds could ask for a passphrase.
    let groups = opened.groups();
    let stays = |it: &&WrappedKey| wanted.iter().any(|key| key_diff::same_key(it.key(), key));
    let of_vault = groups.iter().flat_map(|group| group.of_kind(KeyKind::Vault)).filter(stays);
    let lying = entries::lying(ctx, &opened.data_key, of_vault);
    let lies = |key: &WrappedKey| lying.iter().any(|it| it.enc() == key.enc());
    let kept = |key: &MasterKey| {
        old.keys().iter().find(|it| key_diff::same_key(it.key(), key) && !lies(it))
    };
    let new: Vec<MasterKey> = wanted.iter().filter(|key| kept(key).is_none()).cloned().collect();
    let mut wrapped = if new.is_empty() {
        Vec::new().into_iter()
    } else {
        let groups = wrap(ctx, &[new], &opened.data_key)?;
        groups.iter().flat_map(|group| group.keys().to_vec()).collect::<Vec<_>>().into_iter()
    };
    if wanted.is_empty() {
        let text = "the creation rule names no keys: nobody could open the file";
        return Err(Error::new(exit::GENERIC, text));
    }
    let keys = wanted.iter().filter_map(|key| kept(key).cloned().or_else(|| wrapped.next()));
    Ok(old.with_keys(keys.collect()))
}

/// Asks on standard output, as SOPS does; the end of the input or an empty line is an error.
fn ask(ctx: &Ctx) -> Result<bool, Error> {
    loop {
        ctx.out.data(b"Is this okay? (y/n):")?;
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let answer = answer.trim();
        if read.is_err() || answer.is_empty() {
            let text = "no answer: nothing was changed";
            return Err(Error::new(exit::GENERIC, text).hint("--yes answers for you"));
        }
        match answer {
            "y" => return Ok(true),
            "n" => return Ok(false),
            _ => {}
        }
    }
}

/// With the prefix that Go's logger puts before it. The time is UTC.
fn log_line(ctx: &Ctx, text: &str) -> Result<String, Error> {
    let now = ctx.now()?.seconds().replace('-', "/").replace('T', " ");
    Ok(format!("{} {text}", now.trim_end_matches('Z')))
}

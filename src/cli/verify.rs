//! `waxseal verify`.

use std::path::{Path, PathBuf};

use super::batch::{self, Done, Order};
use super::context::Ctx;
use super::entries::{self, Worth};
use super::error::{Error, shorten};
use super::exit::{self, Exit};
use super::explain;
use super::input::Input;
use super::integrity::{code, describe, with_hint, words};
use super::key_diff::{same_groups, same_key, shown};
use super::open::{self, Opened, ReadArgs, Trust};
use super::plain;
use super::sealing::keys_of;
use super::tree;
use crate::document::Format;
use crate::file::{Outcome, Vouch};
use crate::keys::{KeyGroup, MasterKey};
use crate::keyservice::RecoverError;
use crate::os::git;
use crate::shown::Show;

/// Say what files prove: who could have written them
///
/// Exit codes: 0 sealed, 51 broken, 53 comments or spelling were changed, 54 the recipients were
/// changed or nobody vouches for them, 55 another tool wrote the file. Of several files: 1 if one
/// is not 0.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct VerifyArgs {
    /// Files to verify, or (without --since) folders of files
    pub(crate) files: Vec<PathBuf>,
    /// Let comments and spelling be: 53 passes
    #[arg(long)]
    pub(crate) values: bool,
    /// Open every wrapped key within reach and compare
    #[arg(long)]
    pub(crate) keys: bool,
    /// Compare with the version in this git commit: another data key or an older time fails
    /// (51), so do a worse outcome, and recipients that neither it has nor the creation rule names
    #[arg(long, value_name = "REF", overrides_with = "since")]
    pub(crate) since: Option<String>,
    /// With --since: another data key is right, the file was rotated
    #[arg(long, requires = "since")]
    pub(crate) rotated: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Runs `verify`.
pub(crate) fn run(ctx: &Ctx, args: &VerifyArgs) -> Result<Exit, Error> {
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: verify takes FILE..."));
    }
    ctx.rules()?;
    let files = match args.since {
        None => tree::files(&args.files)?,
        // Below a folder, what was sealed then and is not any more would be passed over.
        Some(_) => args.files.clone(),
    };
    Ok(batch::run_each_name(ctx, &files, Order::SideBySide, |path| verify(ctx, args, path)))
}

fn verify(ctx: &Ctx, args: &VerifyArgs, path: &Path) -> Result<Done, Error> {
    let input = Input::file(path, None, args.read.input_type, exit::NO_FILE)?;
    let format = input.format;
    let again = args.keys.then(|| input.clone());
    let opened = match open::open_for_review(ctx, input, Trust::Verified) {
        Ok(opened) => opened,
        Err(error) if error.exit() == exit::CANNOT_DECRYPT => {
            return again.and_then(|input| misled(ctx, path, input)).unwrap_or(Err(error));
        }
        Err(error) if error.exit() == exit::BROKEN => {
            let line = format!("{}: broken\n", path.shown()).into_bytes();
            return Ok(Done { finding: Some(error), ..Done::data(line) });
        }
        Err(error) => return Err(error),
    };
    let mut keys = Done::default();
    let opening = if args.keys { compare_keys(ctx, &opened, &mut keys) } else { Ok(()) };
    let since = args.since.as_deref();
    let stepping = since.map_or(Ok(Compared::WithOld), |reference| {
        compare_versions(ctx, args, path, format, reference, &opened)
    });
    let differs = stepping.as_ref().err().zip(since);
    let mut line = found(&opened, opening.is_err(), differs);
    if let (Ok(Compared::New), Some(reference)) = (&stepping, since) {
        line = format!("{line}; not in {}", reference.shown());
    }
    let mut done = Done::data(format!("{}: {line}\n", path.shown()).into_bytes());
    done.data.extend_from_slice(&keys.data);
    if ctx.out.stderr_is_terminal {
        let note = plain::unread_by_sops(opened.text(), format);
        done.notes.extend(note.map(|note| format!("{}: {note}", path.shown())));
    }
    let finding = opening.and(stepping).and_then(|_| judge(args, &opened));
    done.finding = finding.err().map(|error| error.about(path));
    Ok(done)
}

/// What was found, in a line: whatever else fails stands beside the word, which alone would promise
/// too much.
fn found(opened: &Opened, keys_differ: bool, differs: Option<(&Error, &str)>) -> String {
    let mut line = words(opened.file.outcome());
    if keys_differ {
        line.push_str("; wrapped keys differ");
    }
    if let Some((error, reference)) = differs {
        let what = match error.exit() {
            exit::BROKEN | exit::RESPELLED | exit::RECIPIENTS | exit::NO_SEAL => "fails against",
            _ => "not compared with",
        };
        line = format!("{line}; {what} {}", reference.shown());
    }
    if opened.file.sealed_values() == 0 {
        line.push_str("; no value is encrypted");
    }
    line
}

fn judge(args: &VerifyArgs, opened: &Opened) -> Result<(), Error> {
    let outcome = opened.file.outcome();
    // With --values the spelling is let be.
    let outcome = if args.values { Outcome { text: Vouch::Good, ..outcome } } else { outcome };
    let verdict = outcome.verdict();
    match code(verdict) {
        exit::SUCCESS => Ok(()),
        code => Err(with_hint(Error::new(code, describe(outcome)), outcome)),
    }
}

/// Every wrapped key that somebody here can open holds the same data key.
fn compare_keys(ctx: &Ctx, opened: &Opened, done: &mut Done) -> Result<(), Error> {
    let groups = opened.groups();
    let mut wrong = Vec::new();
    for key in groups.iter().flat_map(KeyGroup::keys) {
        let name = shorten(&key.key().to_string());
        let word = match ctx.keyring().recover(&[KeyGroup::new(vec![key.clone()])]) {
            Ok(data_key) if data_key.expose_secret() == opened.data_key.expose_secret() => "opens",
            Ok(_) => {
                wrong.push(name.clone());
                "holds another key"
            }
            Err(RecoverError::NoKeyWorked { .. }) => "out of reach",
            Err(_) => "cannot be opened",
        };
        done.data.extend_from_slice(format!("  {name}: {word}\n").as_bytes());
    }
    if wrong.is_empty() { Ok(()) } else { Err(differ(&wrong, true)) }
}

/// Entries hold another data key than that of the file.
fn differ(wrong: &[String], others_open: bool) -> Error {
    let text = format!("what is wrapped for {} is another data key", wrong.join(", "));
    Error::new(exit::RECIPIENTS, text).hint(entries::mend(others_open))
}

/// What there is to say of a file that did not open by the first entry that gave a data key; `None`: it is
/// not the entry's fault.
fn misled(ctx: &Ctx, path: &Path, input: Input) -> Option<Result<Done, Error>> {
    let rule = ctx.rules().ok()?.find(&ctx.absolute(path)).ok()?.rule();
    let file = open::parse(input).ok()?;
    let groups = open::with_contexts(file.metadata().groups(), rule.as_ref());
    let judged = entries::judged(ctx, &file, &groups);
    let opens = judged.iter().any(|(_, worth)| matches!(worth, Worth::Opens));
    let (mut lines, mut wrong) = (String::new(), Vec::new());
    for (key, worth) in judged {
        let name = shorten(&key.key().to_string());
        let word = match worth {
            Worth::Opens => "opens",
            Worth::Another => {
                wrong.push(name.clone());
                "holds another key"
            }
            Worth::Damaged(why) => &format!("opens what was changed: {why}"),
            Worth::Closed(RecoverError::NoKeyWorked { .. }) => "out of reach",
            Worth::Closed(_) => "cannot be opened",
        };
        lines.push_str(&format!("  {name}: {word}\n"));
    }
    if wrong.is_empty() {
        return None;
    }
    let word = if opens { "wrapped keys differ" } else { "cannot be opened; wrapped keys differ" };
    let data = format!("{}: {word}\n{lines}", path.shown()).into_bytes();
    let finding = Some(differ(&wrong, opens).about(path));
    Some(Ok(Done { finding, ..Done::data(data) }))
}

/// What there was to compare with.
enum Compared {
    WithOld,
    /// Nothing: the commit does not have the file, or not under this name.
    New,
}

/// The file is no step back from its version in a commit.
fn compare_versions(
    ctx: &Ctx,
    args: &VerifyArgs,
    path: &Path,
    format: Format,
    reference: &str,
    new: &Opened,
) -> Result<Compared, Error> {
    let old = git::show(&ctx.absolute(path), reference).map_err(|error| explain::git(&error))?;
    // A new file has nothing to be compared with.
    let Some(text) = old else { return Ok(Compared::New) };
    let at = PathBuf::from(format!("{reference}:{}", path.shown()));
    let input = Input { path: Some(at.clone()), name: path.to_owned(), format, text };
    let old = match open::open_for_review(ctx, input, Trust::Verified) {
        Ok(old) => old,
        // It was in the open, or somebody else's: nothing can be worse.
        Err(error) if error.exit() == exit::GENERIC => return Ok(Compared::WithOld),
        Err(error) => return Err(error),
    };
    let failed = |text: String| Err(Error::new(exit::BROKEN, text));
    let same_key = old.data_key.expose_secret() == new.data_key.expose_secret();
    if !same_key && !args.rotated {
        return failed(format!("it has another data key than {}", at.shown()))
            .map_err(|error| error.hint("if it was rotated, say so with --rotated"));
    }
    let time = |opened: &Opened| opened.file.encrypted().metadata().lastmodified();
    if time(new).unix() + CLOCK_TOLERANCE < time(&old).unix() {
        return failed(format!(
            "it is older ({}) than {} ({})",
            time(new).seconds(),
            at.shown(),
            time(&old).seconds()
        ));
    }
    let outcome = new.file.outcome();
    if outcome.is_worse_than(old.file.outcome()) {
        let text = format!("{} was better: {}", at.shown(), describe(outcome));
        return Err(with_hint(Error::new(code(outcome.verdict()), text), outcome));
    }
    compare_recipients(new, &old, &at).map(|()| Compared::WithOld)
}

/// Who can open the file is who could, or whom the creation rule names: metadata of before a recipient
/// was taken off verifies by itself.
fn compare_recipients(new: &Opened, old: &Opened, at: &Path) -> Result<(), Error> {
    let groups = |opened: &Opened| -> Vec<Vec<MasterKey>> {
        opened.file.encrypted().metadata().groups().iter().map(keys_of).collect()
    };
    let (before, now) = (groups(old), new.file.encrypted().metadata().groups());
    let named = new.rule.as_ref().is_some_and(|rule| same_groups(now, &rule.groups));
    if named || same_groups(now, &before) {
        return Ok(());
    }
    let has = |keys: &[Vec<MasterKey>], key: &MasterKey| {
        keys.iter().flatten().any(|it| same_key(it, key))
    };
    let now = groups(new);
    let mut changes: Vec<String> = Vec::new();
    for key in now.iter().flatten().filter(|key| !has(&before, key)) {
        changes.push(format!("{} was added", shorten(&shown(key))));
    }
    for key in before.iter().flatten().filter(|key| !has(&now, key)) {
        changes.push(format!("{} was taken off", shorten(&shown(key))));
    }
    if changes.is_empty() {
        changes.push("its key groups were changed".to_owned());
    }
    let text = format!(
        "since {} {}, and the creation rule does not name just these recipients",
        at.shown(),
        changes.join(", ")
    );
    Err(Error::new(exit::RECIPIENTS, text).hint(
        "if it was meant, change the rule; `waxseal updatekeys` puts the file under the recipients \
         that it names",
    ))
}

/// Seconds by which two machines' clocks may differ.
const CLOCK_TOLERANCE: i64 = 2;

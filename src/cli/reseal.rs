//! `waxseal reseal`.

use std::path::{Path, PathBuf};

use super::batch::{self, Done, Order};
use super::context::Ctx;
use super::entries;
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::Input;
use super::integrity::describe;
use super::key_diff::shown;
use super::open::{self, Opened, ReadArgs, Trust};
use super::sealing;
use crate::file::{Consent, RotateOptions, Verdict};
use crate::keys::{KeyGroup, WrappedKey};
use crate::os::tty;
use crate::shown::Show;

/// Vouch for files as they are, after you have reviewed them
///
/// For files that another tool wrote, last or before a `set` (they get a new data key), and for files
/// whose comments, recipients or structure were changed without the key. Afterwards `verify` says
/// sealed.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ResealArgs {
    /// Files to vouch for
    pub(crate) files: Vec<PathBuf>,
    /// Print the text that would be vouched for, whatever integrity is asked for, and write nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) show: bool,
    /// Do not ask: text and recipients are reviewed
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// Runs `reseal`.
pub(crate) fn run(ctx: &Ctx, args: &ResealArgs) -> Result<Exit, Error> {
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: reseal takes FILE..."));
    }
    ctx.rules()?;
    if args.show {
        let [path] = args.files.as_slice() else {
            return Err(Error::new(exit::CONFLICT, "--show prints one file: name one"));
        };
        return Ok(batch::one(ctx, show(ctx, args, path)));
    }
    let order = if args.yes { Order::SideBySide } else { Order::InTurn };
    Ok(batch::run(ctx, &args.files, order, |path| reseal(ctx, args, path)))
}

/// Opens a file that others may refuse; whether its MAC or seal is wrong.
fn open(ctx: &Ctx, args: &ResealArgs, path: &Path) -> Result<(Opened, bool), Error> {
    let input = Input::file(path, None, args.read.input_type, exit::NO_FILE)?;
    let again = input.clone();
    // What is asked of other commands is just what is to be mended here.
    match open::open_for_review(ctx, input, Trust::Verified) {
        Err(error) if error.exit() == exit::BROKEN => {
            Ok((open::open_for_review(ctx, again, Trust::Unverified)?, true))
        }
        other => Ok((other?, false)),
    }
}

fn show(ctx: &Ctx, args: &ResealArgs, path: &Path) -> Result<Done, Error> {
    let (opened, _) = open(ctx, args, path)?;
    Ok(Done::data(opened.file.into_content()))
}

fn reseal(ctx: &Ctx, args: &ResealArgs, path: &Path) -> Result<Done, Error> {
    let (opened, broken) = open(ctx, args, path)?;
    let outcome = opened.file.outcome();
    // Not the verdict: with `mac_only_encrypted` it does not look at the text.
    let groups = opened.groups();
    let keys = groups.iter().flat_map(KeyGroup::keys);
    let lying = entries::lying(ctx, &opened.data_key, keys);
    if outcome.text_is_good() && outcome.recipients_are_good() && lying.is_empty() {
        return Ok(Done::default());
    }
    if !args.yes {
        ask(path, &opened, broken, &lying)?;
    }
    // Under the old data key an old `mac` of another tool could be put back. And where the wrapped key of
    // one entry was exchanged, those that are out of reach may be, too.
    let sealed = if outcome.another_tool_may_have_written()
        || outcome.verdict() == Verdict::Broken
        || !lying.is_empty()
    {
        under_a_new_key(ctx, &opened)?
    } else {
        under_the_same_key(ctx, &opened)?
    };
    Ok(Done::replace(path, opened.text(), sealed.into_bytes()))
}

fn under_the_same_key(ctx: &Ctx, opened: &Opened) -> Result<String, Error> {
    let text = opened.file.document().text().to_owned();
    opened
        .file
        .reencrypt(text, opened.nonces(), ctx.now()?, Consent::Reviewed)
        .map_err(|error| explain::file(&error, Role::Plain))
}

fn under_a_new_key(ctx: &Ctx, opened: &Opened) -> Result<String, Error> {
    let data_key = sealing::new_data_key()?;
    let options = RotateOptions {
        groups: sealing::rewrap(ctx, &opened.groups(), &data_key, |_| true)?,
        recipients_are_known: true,
        text_is_reviewed: true,
        nonces: opened.nonces(),
        now: ctx.now()?,
    };
    opened.file.rotate(&data_key, &options).map_err(|error| explain::file(&error, Role::Plain))
}

/// Shows what is vouched for, and asks at the terminal.
fn ask(path: &Path, opened: &Opened, broken: bool, lying: &[WrappedKey]) -> Result<(), Error> {
    let found = match broken {
        true => "the MAC or the seal is wrong: values, keys, order or structure are not as sealed"
            .into(),
        false => describe(opened.file.outcome()),
    };
    let mut question = format!("{}: {found}\n", path.shown());
    for key in opened.file.encrypted().metadata().wrapped_keys() {
        let lies = lying.iter().any(|it| it.enc() == key.enc());
        let what = if lies { "has another data key" } else { "can open it" };
        question.push_str(&format!("  {what}: {}\n", shown(key.key())));
    }
    for field in opened.file.encrypted().metadata().unknown_fields() {
        question.push_str(&format!("  unknown to waxseal: {}\n", field.shown()));
    }
    question.push_str("Have you reviewed its text and these recipients? (yes/no) ");
    match tty::line(&question) {
        Some(answer) if ["y", "yes"].contains(&&*answer.trim().to_ascii_lowercase()) => Ok(()),
        Some(_) => {
            Err(Error::new(exit::GENERIC, "left as it is: only `y` or `yes` vouches for it"))
        }
        None => {
            Err(Error::new(exit::GENERIC, "no terminal to ask whether it was reviewed")
                .hint(REVIEW))
        }
    }
}

/// How to look at a file that other commands may refuse.
const REVIEW: &str =
    "review it (`git diff`, and `waxseal reseal --show` prints its text), then say --yes";

//! `waxseal recipients`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::batch::{self, Done, Order};
use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::input::Input;
use super::key_diff::{same_key, shown};
use super::open::{self, format_name};
use super::rules::Lookup;
use super::tree;
use crate::document::Format;
use crate::shown::Show;

/// Say who can open files, by which key, named by which rule
///
/// No key is needed, and nothing is proved: `verify` says whether the recipients are those that were
/// sealed, `updatekeys` puts a file under those of its rule.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RecipientsArgs {
    /// Files to look at, or folders of files
    pub(crate) files: Vec<PathBuf>,
    /// What the files are, whatever their names say
    #[arg(long, value_name = "TYPE", value_parser = format_name, overrides_with = "input_type")]
    pub(crate) input_type: Option<Format>,
}

/// Runs `recipients`.
pub(crate) fn run(ctx: &Ctx, args: &RecipientsArgs) -> Result<Exit, Error> {
    if args.files.is_empty() {
        return Err(Error::new(exit::NO_FILE, "no file specified: recipients takes FILE..."));
    }
    ctx.rules()?;
    let files = tree::files(&args.files)?;
    Ok(batch::run_each_name(ctx, &files, Order::SideBySide, |path| list(ctx, args, path)))
}

fn list(ctx: &Ctx, args: &RecipientsArgs, path: &Path) -> Result<Done, Error> {
    let input = Input::file(path, None, args.input_type, exit::NO_FILE)?;
    let file = open::parse(input)?;
    let rule = match ctx.rules()?.find(&ctx.absolute(path))? {
        Lookup::Rule(rule) => Some(rule),
        Lookup::NoRules | Lookup::NoMatch { .. } => None,
    };
    let named = rule.as_ref().map_or(&[][..], |rule| rule.groups.as_slice());
    let by = rule.as_ref().map_or("", |rule| rule.name.as_str());
    let metadata = file.metadata();
    let several = metadata.groups().len() > 1;
    let mut text = format!("{}\n", path.shown());
    if several {
        let _ = writeln!(text, "  {} of the groups are needed", metadata.shamir_threshold());
    }
    for (index, group) in metadata.groups().iter().enumerate() {
        if several {
            let _ = writeln!(text, "  group {}", index + 1);
        }
        for key in group.keys() {
            let is_named = named.iter().flatten().any(|it| same_key(it, key.key()));
            let who = if is_named { by } else { "no creation rule" };
            let kind = key.key().kind().field();
            let _ = writeln!(text, "  {kind} {}  named by {who}", shown(key.key()));
        }
    }
    for field in metadata.unknown_fields() {
        let _ = writeln!(text, "  {}  unknown to waxseal, kept as it is", field.shown());
    }
    for key in named.iter().flatten() {
        if !metadata.wrapped_keys().any(|it| same_key(it.key(), key)) {
            let kind = key.kind().field();
            let _ = writeln!(text, "  {kind} {}  named by {by}, cannot open it", shown(key));
        }
    }
    Ok(Done::data(text.into_bytes()))
}

//! `waxseal encrypt`.

use std::path::{Path, PathBuf};

use super::batch::{self, Done, Write};
use super::context::{Ctx, any_path, given};
use super::convert;
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::{Input, check_is_sealed_kind, format_of};
use super::open::{self, Opened, Trust, format_name};
use super::plain;
use super::sealing::{self, Plan, SealArgs};
use super::target::{Target, TargetArgs};
use crate::crypto::encrypted_value;
use crate::document::{Document, Format};
use crate::file::{self, Consent, EncryptOptions, EncryptedFile, FileError, Verdict};
use crate::keys::MasterKey;
use crate::metadata::Metadata;
use crate::os::fs;
use crate::shown::Show;

/// Encrypt files, to standard output if nothing else is said
///
/// Recipients and what is sealed come from the first matching creation rule of .sops.yaml, or from
/// flags. Over a sealed version of the same file (--output to it, or --like) unchanged values keep
/// their ciphertext. Without a file, standard input is encrypted.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct EncryptArgs {
    /// Files to encrypt
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The sealed version before: values that did not change keep their ciphertext
    #[arg(long, value_name = "OLD", value_parser = any_path(), overrides_with = "like")]
    pub(crate) like: Option<PathBuf>,
    /// What the file is, whatever its name says
    #[arg(long, value_name = "TYPE", value_parser = format_name, overrides_with = "input_type")]
    pub(crate) input_type: Option<Format>,
    /// Write the result in this format
    #[arg(long, value_name = "TYPE", value_parser = format_name, overrides_with = "output_type")]
    pub(crate) output_type: Option<Format>,
    /// Choose types and creation rule as if the file had this name
    #[arg(long, value_name = "NAME", value_parser = any_path(), overrides_with = "filename_override")]
    pub(crate) filename_override: Option<PathBuf>,
    /// Write the file even if the rule selects no value at all
    #[arg(long)]
    pub(crate) allow_nothing: bool,
    /// Encrypt values once more that are encrypted already, in a file without its sops entry
    #[arg(long)]
    pub(crate) allow_encrypted: bool,
    #[command(flatten)]
    pub(crate) seal: SealArgs,
}

/// Runs `encrypt`.
pub(crate) fn run(ctx: &Ctx, args: &EncryptArgs) -> Result<Exit, Error> {
    let target = args.target.resolve(&args.files)?;
    let name = given(args.filename_override.as_deref());
    let like = given(args.like.as_deref());
    let conflict = |text: &str| Err(Error::new(exit::CONFLICT, text));
    if args.files.is_empty() && name.is_none() {
        return conflict(
            "standard input has no name: say with --filename-override NAME which rule and type \
             it is to be encrypted by",
        );
    }
    if args.files.len() > 1 && (like.is_some() || name.is_some()) {
        return conflict("--like and --filename-override are about one file");
    }
    if args.files.is_empty() {
        return Ok(batch::one(ctx, encrypt(ctx, args, &target, None)));
    }
    let work = |path: &Path| encrypt(ctx, args, &target, Some(path));
    Ok(target.run(ctx, &args.files, work))
}

fn encrypt(
    ctx: &Ctx,
    args: &EncryptArgs,
    target: &Target,
    path: Option<&Path>,
) -> Result<Done, Error> {
    let name = given(args.filename_override.as_deref());
    let input = match path {
        Some(path) => Input::file(path, name, args.input_type, exit::NO_FILE)?,
        None => Input::stdin(name, args.input_type)?,
    };
    let shown = input.shown().to_owned();
    if let Some(path) = path {
        refuse_torn(path, &input.text).map_err(|error| error.about(&shown))?;
    }
    encrypt_input(ctx, args, target, input).map_err(|error| error.about(&shown))
}

/// A MAC tells a torn file from a whole one; a plaintext has none.
fn refuse_torn(path: &Path, text: &str) -> Result<(), Error> {
    let Some(copy) = fs::interrupted_copy(path) else { return Ok(()) };
    // The writer had written all of it.
    if fs::read(&copy).is_ok_and(|whole| whole == text) {
        return Ok(());
    }
    let problem = "may hold parts of two versions: an interrupted write left a copy beside it";
    Err(Error::new(exit::CANNOT_READ, problem)
        .hint("if the file is right, remove the copy; if not, put the copy in its place"))
}

fn encrypt_input(
    ctx: &Ctx,
    args: &EncryptArgs,
    target: &Target,
    input: Input,
) -> Result<Done, Error> {
    let plan = args.seal.plan(ctx, &input.name)?;
    let shown = input.shown().to_owned();
    if *target == Target::InPlace
        && let Some(path) = &input.path
    {
        ctx.rules()?.refuse_led_out(&ctx.absolute(path))?;
    }
    let to = args.output_type.unwrap_or_else(|| format_of(&input.name, args.input_type));
    check_is_sealed_kind(to)?;
    let mut notes = Vec::new();
    let (mut text, format) = (input.text, input.format);
    plain::refuse_configuration(&input.name)?;
    plain::refuse_empty(&text, format)?;
    plain::refuse_template(&text, format)?;
    if !args.allow_encrypted {
        plain::refuse_tokens(&text, format)?;
    }
    // What must still be there when the file is replaced.
    let original = (*target == Target::InPlace).then(|| text.clone());
    if to != format {
        let doc = Document::parse(text, format)
            .map_err(|error| explain::file(&error.into(), Role::Plain))?;
        let converted = convert::convert(&doc, to)?;
        notes = converted.notes;
        text = converted.text;
    }
    let converted = (to != format).then_some(to);
    let path = target.path_for(input.path.as_deref(), converted);
    let before = before(args, target, path.as_deref());
    let old = match &before {
        Some(old) => previous(ctx, old, to, &plan, &mut notes)?,
        None => None,
    };
    let sealed = match &old {
        Some(old) => old
            .file
            .reencrypt(text, plan.nonces, ctx.now()?, Consent::AsBefore)
            .map_err(|error| explain::file(&error, Role::Plain))?,
        None => encrypt_anew(ctx, &plan, text, to)?,
    };
    if !args.allow_nothing {
        check_something_is_sealed(&sealed, to, &plan)?;
    }
    if ctx.out.stderr_is_terminal {
        notes.extend(notes_on(&sealed, to, &shown));
        notes.extend(plan.lockout(ctx).map(|note| format!("{}: {note}", shown.shown())));
    }
    let Some(path) = path else {
        return Ok(Done { notes, ..Done::sealed(sealed) });
    };
    let mut done = match (original, old) {
        (Some(original), _) => Done::replace(&path, &original, sealed.into_bytes()),
        (_, Some(old)) if given(args.like.as_deref()).is_none() => {
            Done::replace(&path, old.text(), sealed.into_bytes())
        }
        _ => {
            let write = Write::new(&path, sealed.into_bytes());
            Done { write: Some(write), ..Done::default() }
        }
    };
    if let Some(write) = &mut done.write {
        write.below = target.folder();
    }
    done.notes = notes;
    Ok(done)
}

/// Seals a text under a new data key.
pub(crate) fn encrypt_anew(
    ctx: &Ctx,
    plan: &Plan,
    text: String,
    format: Format,
) -> Result<String, Error> {
    let data_key = sealing::new_data_key()?;
    let options = EncryptOptions {
        vouch_for_recipients: true,
        policy: &plan.policy,
        groups: sealing::wrap(ctx, &plan.groups, &data_key)?,
        shamir_threshold: plan.threshold,
        nonces: plan.nonces,
        now: ctx.now()?,
    };
    let marks = plain::Marks::of(&text);
    file::encrypt(text, format, &data_key, &options).map_err(|error| {
        let explained = explain::file(&error, Role::Plain);
        match error {
            FileError::Parse(_) | FileError::NoDocument => marks.hint(explained),
            _ => explained,
        }
    })
}

/// The file that may hold the version before.
fn before(args: &EncryptArgs, target: &Target, path: Option<&Path>) -> Option<PathBuf> {
    if let Some(like) = given(args.like.as_deref()) {
        return Some(like.to_owned());
    }
    match target {
        Target::File(_) | Target::Folder(..) => {
            // A pipe or a terminal is written to, never read.
            path.filter(|path| path.is_file() && !path.starts_with("/dev")).map(Path::to_owned)
        }
        Target::Stdout | Target::InPlace => None,
    }
}

/// The version before, if its ciphertext may go on to be used: it is sealed, by the same rule and
/// for the same recipients.
fn previous(
    ctx: &Ctx,
    path: &Path,
    format: Format,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Option<Opened>, Error> {
    let input = Input::file(path, None, Some(format), exit::NO_FILE)?;
    let why = match open::open_for_review(ctx, input, Trust::Verified) {
        Ok(opened) if opened.file.outcome().verdict() != Verdict::Sealed => "it is not sealed",
        Ok(opened) if !is_for(opened.file.encrypted().metadata(), plan) => {
            "it has other recipients or another rule"
        }
        Ok(opened) => return Ok(Some(opened)),
        Err(_) => "it cannot be decrypted",
    };
    notes.push(format!("{}: {why}; every value is sealed anew", path.shown()));
    Ok(None)
}

fn is_for(metadata: &Metadata, plan: &Plan) -> bool {
    let sorted = |keys: Vec<MasterKey>| {
        let mut keys: Vec<_> = keys.iter().map(|key| (key.kind(), key.to_string())).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let of_file: Vec<_> =
        metadata.groups().iter().map(|group| sorted(sealing::keys_of(group))).collect();
    let of_plan: Vec<_> = plan.groups.iter().map(|group| sorted(group.clone())).collect();
    let same_threshold = plan.groups.len() < 2 || metadata.shamir_threshold() == plan.threshold;
    of_file == of_plan && same_threshold && *metadata.policy() == plan.policy
}

/// What somebody at a terminal should know of a file that was sealed.
fn notes_on(sealed: &str, format: Format, shown: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    if seals_nothing(sealed) {
        notes.push("no value in it is encrypted".to_owned());
    }
    notes.extend(plain::unread_by_sops(sealed, format));
    notes.iter().map(|note| format!("{}: {note}", shown.shown())).collect()
}

/// Whether no value and no comment is sealed.
fn seals_nothing(sealed: &str) -> bool {
    let tokens = sealed.match_indices(encrypted_value::PREFIX).filter(|(at, _)| {
        let rest = &sealed[*at..];
        rest.find(']').is_some_and(|end| encrypted_value::is_token(&rest[..=end]))
    });
    // The MAC is a token too.
    tokens.take(2).count() < 2
}

/// A rule that selects nothing is a mistake: the file would go to git as it is.
pub(crate) fn check_something_is_sealed(
    sealed: &str,
    format: Format,
    plan: &Plan,
) -> Result<(), Error> {
    if !seals_nothing(sealed) {
        return Ok(());
    }
    // What is not in the metadata is plaintext.
    let file = EncryptedFile::parse(sealed.to_owned(), format)
        .map_err(|error| explain::file(&error, Role::Encrypted))?;
    let values = file.plain_values();
    if values == 0 {
        return Ok(());
    }
    let rule = plan.policy.rule();
    let text = format!(
        "the rule seals none of the {values} values ({}: {}); nothing was written",
        rule.field(),
        rule.text()
    );
    Err(Error::new(exit::GENERIC, text).hint("--allow-nothing writes the file all the same"))
}

//! `waxseal init`.

use std::path::{Path, PathBuf};

use super::batch::{Expected, Write, write_error};
use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::keygen::create_error;
use crate::keyservice::age::{check_recipient, generate_identity, recipients_of};
use crate::os::discover::find_config;
use crate::os::fs;
use crate::os::new_identity::create;
use crate::secret::SecretText;
use crate::shown::{MISPLACED, Show, holds_private_key};

/// Make what is needed to start: an age identity if you have none, and a .sops.yaml
///
/// The identity goes where sops and waxseal look for one, the configuration here or where --config
/// says. Prints the recipient to share with those who are to seal files for you.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct InitArgs {
    /// Use this age recipient instead of an identity of this machine
    #[arg(short, long, value_name = "RECIPIENT")]
    pub(crate) age: Option<String>,
    #[cfg(feature = "vault")]
    #[command(flatten)]
    pub(crate) vault: super::init_vault::VaultArgs,
}

/// Runs `init`.
pub(crate) fn run(ctx: &Ctx, args: &InitArgs) -> Result<Exit, Error> {
    #[cfg(feature = "vault")]
    if let Some(address) = &args.vault.vault {
        return super::init_vault::run(ctx, &args.vault, address);
    }
    let recipient = match &args.age {
        Some(recipient) => {
            check_recipient(recipient)
                .map_err(|error| Error::new(exit::GENERIC, format!("--age: {error}")))?;
            recipient.clone()
        }
        None => match existing_recipient(ctx)? {
            Some(recipient) => recipient,
            None => new_recipient(ctx)?,
        },
    };
    write_config(ctx, &recipient, args.age.is_some())?;
    ctx.out.data(format!("{recipient}\n").as_bytes())?;
    Ok(exit::SUCCESS)
}

/// The recipient of an identity that the user has already.
fn existing_recipient(ctx: &Ctx) -> Result<Option<String>, Error> {
    if let Some(text) = ctx.env.text("SOPS_AGE_KEY") {
        return first_recipient(&SecretText::new(text), Path::new("SOPS_AGE_KEY")).map(Some);
    }
    if ctx.env.value("SOPS_AGE_KEY_CMD").is_some() {
        let text = "SOPS_AGE_KEY_CMD gives your identity: name its recipient with --age";
        return Err(Error::new(exit::GENERIC, text));
    }
    let path = identity_path(ctx)?;
    match fs::read(&path) {
        Ok(text) => first_recipient(&SecretText::new(text), &path).map(Some),
        Err(fs::ReadError::NotFound) => Ok(None),
        Err(error) => Err(Error::of(exit::CANNOT_READ, &error).about(&path)),
    }
}

fn first_recipient(text: &SecretText, place: &Path) -> Result<String, Error> {
    let recipients =
        recipients_of(text).map_err(|problem| Error::new(exit::GENERIC, problem).about(place))?;
    recipients.into_iter().next().ok_or_else(|| {
        let text = "holds no identity whose recipient could be told: name it with --age";
        Error::new(exit::GENERIC, text).about(place)
    })
}

/// Where sops looks for identities.
fn identity_path(ctx: &Ctx) -> Result<PathBuf, Error> {
    if let Some(path) = ctx.env.value("SOPS_AGE_KEY_FILE") {
        // No file is to be called like it.
        if holds_private_key(&path.to_string_lossy()) {
            return Err(Error::new(exit::GENERIC, format!("SOPS_AGE_KEY_FILE: {MISPLACED}")));
        }
        return Ok(PathBuf::from(path));
    }
    let folder = ctx.env.user_config_dir().ok_or_else(|| {
        let text = "there is no place for an identity: HOME is not set";
        Error::new(exit::GENERIC, text)
    })?;
    Ok(folder.join("sops/age/keys.txt"))
}

fn new_recipient(ctx: &Ctx) -> Result<String, Error> {
    let path = identity_path(ctx)?;
    let new = generate_identity(ctx.now()?);
    create(&path, &new.file).map_err(|error| create_error(&error).about(&path))?;
    ctx.out.note(&format!("your identity is in {}: keep a copy, and keep it secret", path.shown()));
    Ok(new.recipient)
}

/// Writes `.sops.yaml` unless there is one here or above, or the file that was named unless it is
/// there. One that does not name a recipient who was asked for is an error: nothing is sealed for
/// him.
fn write_config(ctx: &Ctx, recipient: &str, asked_for: bool) -> Result<(), Error> {
    if let Some(config) = existing_config(ctx) {
        // One that cannot be read is told by the first command that needs it.
        let rules = match ctx.rules() {
            Err(error) if asked_for => return Err(error),
            rules => rules.ok(),
        };
        let names = rules.is_some_and(|rules| rules.name_age(recipient));
        if asked_for && !names {
            let text = "is there already, and does not name this recipient; nothing was changed";
            let hint = "add the recipient to its rule, then: waxseal updatekeys FILE...";
            return Err(Error::new(exit::GENERIC, text).about(&config).hint(hint));
        }
        ctx.out.note(&format!("{} is left as it is", config.shown()));
        if let Some(rules) = rules
            && !names
            && ctx.locks_out(|own| rules.name_age(own))
        {
            ctx.out.note(
                "none of your identities stands in it: you cannot open what is sealed by it; add \
                 the recipient to its rule, or ask somebody whom it names",
            );
        }
        return Ok(());
    }
    new_config(ctx, &RECIPIENTS.replace("RECIPIENT", recipient))?;
    Ok(())
}

/// The configuration that is there already: here or above, or the one that was named.
pub(super) fn existing_config(ctx: &Ctx) -> Option<PathBuf> {
    match ctx.named_config() {
        Some(named) => named.exists().then(|| named.to_owned()),
        None => find_config(ctx.cwd()).config,
    }
}

/// Writes the first configuration, with these keys in its rule: where it is now.
pub(super) fn new_config(ctx: &Ctx, keys: &str) -> Result<PathBuf, Error> {
    let path = ctx.named_config().unwrap_or(Path::new(".sops.yaml")).to_owned();
    let content = CONFIG.replace("KEYS", keys.trim_end()).into_bytes();
    let write = Write { before: Expected::Nothing, ..Write::new(&path, content) };
    write.run().map(|_| ()).map_err(|error| write_error(&error, &path))?;
    ctx.out.note(&format!("{} says who can open which file", path.shown()));
    Ok(path)
}

/// Recipients in a rule.
const RECIPIENTS: &str = "    - age:
          # One recipient a line: you, and whoever else is to open the files.
          - RECIPIENT
";

/// A configuration to begin with.
const CONFIG: &str = "\
# Who can open which file, for waxseal and sops. The first rule that matches counts.
creation_rules:
    # One rule for all files. A rule can be for some, by a regex on the path from here:
    # - path_regex: ^secrets/prod/
KEYS
      # Without a line like the next, every value is sealed. With it, only those whose key matches:
      # encrypted_regex: ^(data|stringData|password|token)$
      # Refuse files in which anything was changed without a key, comments included:
      # integrity: sealed
# After a change of recipients: waxseal updatekeys FILE...; if somebody left: waxseal rotate -i FILE...
";

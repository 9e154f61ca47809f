//! The way that most commands begin: read, parse, recover the data key, decrypt, judge.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::Input;
use super::integrity::Integrity;
use super::key_diff::same_key;
use super::plain;
use super::rules::Rule;
use crate::crypto::encrypted_value;
use crate::document::Format;
use crate::file::{DecryptedFile, EncryptedFile, FileError, Nonces};
use crate::keys::{KeyGroup, MasterKey, WrappedKey};
use crate::secret::DataKey;
use crate::text::Position;

/// Flags of the commands that decrypt.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ReadArgs {
    /// What the file is, whatever its name says
    #[arg(long, value_name = "TYPE", value_parser = format_name, overrides_with = "input_type")]
    pub(crate) input_type: Option<Format>,
    /// What the file must prove; the strictest of this, the creation rule and WAXSEAL_INTEGRITY counts
    #[arg(long, value_name = "LEVEL")]
    pub(crate) integrity: Option<Integrity>,
}

/// Flags of the commands that need not believe the MAC.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct MacArgs {
    /// Read a file whose MAC or seal is wrong: its values may have been moved, removed or put back
    #[arg(long)]
    pub(crate) ignore_mac: bool,
}

/// A decrypted file, and what it takes to write its next version.
pub(crate) struct Opened {
    pub(crate) file: DecryptedFile,
    pub(crate) data_key: Arc<DataKey>,
    /// How it was read.
    pub(crate) trust: Trust,
    /// The creation rule for it, if there is one.
    pub(crate) rule: Option<Rule>,
}

/// Whether the MAC and the seal are held against the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// They must be right.
    Verified,
    /// They are not looked at.
    Unverified,
}

impl MacArgs {
    /// What the flag means.
    pub(crate) fn trust(&self) -> Trust {
        if self.ignore_mac { Trust::Unverified } else { Trust::Verified }
    }
}

impl Opened {
    /// Refuses to write a next version of a file whose seal is broken, MAC ignored or not: that
    /// would vouch for what somebody did to it.
    pub(crate) fn refuse_broken(&self) -> Result<(), Error> {
        let outcome = self.file.outcome();
        if outcome.marked && !outcome.tree {
            return Err(explain::file(&FileError::Broken, Role::Encrypted));
        }
        Ok(())
    }

    /// The encrypted text, as it was read.
    pub(crate) fn text(&self) -> &str {
        self.file.encrypted().text()
    }

    /// The key groups, with contexts as [`with_contexts`] has them.
    pub(crate) fn groups(&self) -> Vec<KeyGroup> {
        with_contexts(self.file.encrypted().metadata().groups(), self.rule.as_ref())
    }

    /// Where nonces come from.
    pub(crate) fn nonces(&self) -> Nonces {
        self.rule.as_ref().map_or(Nonces::Derived, |rule| rule.nonces)
    }
}

/// Opens a file that is to be changed or read. It is there, or the exit code is 2.
pub(crate) fn open_file(
    ctx: &Ctx,
    path: &Path,
    args: &ReadArgs,
    trust: Trust,
) -> Result<Opened, Error> {
    let input = Input::file(path, None, args.input_type, exit::CANNOT_READ)?;
    open(ctx, input, args.integrity, trust)
}

/// Opens what was read.
pub(crate) fn open(
    ctx: &Ctx,
    input: Input,
    integrity: Option<Integrity>,
    trust: Trust,
) -> Result<Opened, Error> {
    let shown: PathBuf = input.shown().to_owned();
    open_asked(ctx, input, integrity, trust).map_err(|error| error.about(&shown))
}

/// Opens what `verify` and `reseal` are to judge: whatever integrity is asked for elsewhere.
pub(crate) fn open_for_review(ctx: &Ctx, input: Input, trust: Trust) -> Result<Opened, Error> {
    let shown: PathBuf = input.shown().to_owned();
    open_any(ctx, input, trust).map_err(|error| error.about(&shown))
}

fn open_asked(
    ctx: &Ctx,
    input: Input,
    integrity: Option<Integrity>,
    trust: Trust,
) -> Result<Opened, Error> {
    let trust = match trust {
        // Who asks for more than the MAC does not want it ignored.
        Trust::Unverified if asked(ctx, &input, integrity)? > Integrity::Mac => Trust::Verified,
        trust => trust,
    };
    let opened = open_any(ctx, input, trust)?;
    let rule = opened.rule.as_ref().and_then(|rule| rule.integrity);
    Integrity::strictest(ctx, integrity, rule)?.check(opened.file.outcome())?;
    Ok(opened)
}

/// What a file must prove.
fn asked(ctx: &Ctx, input: &Input, flag: Option<Integrity>) -> Result<Integrity, Error> {
    let rule = ctx.rules()?.find(&ctx.absolute(&input.name))?.rule();
    Integrity::strictest(ctx, flag, rule.and_then(|rule| rule.integrity))
}

fn open_any(ctx: &Ctx, input: Input, trust: Trust) -> Result<Opened, Error> {
    // No rule is needed to read a file; what a matching one says counts.
    let rule = ctx.rules()?.find(&ctx.absolute(&input.name))?.rule();
    let encrypted = parse(input)?;
    encrypted.metadata().check_version().map_err(|error| Error::of(exit::GENERIC, &error))?;
    let data_key = ctx
        .keyring()
        .recover(&with_contexts(encrypted.metadata().groups(), rule.as_ref()))
        .map_err(|error| explain::recover(&error))?;
    let has_key = encrypted.has_mac_of(&data_key);
    let file = match trust {
        Trust::Verified => encrypted.decrypt(&data_key),
        Trust::Unverified => encrypted.decrypt_unverified(&data_key),
    }
    .map_err(|error| match error {
        FileError::Open { .. } if !has_key => {
            Error::of(exit::CANNOT_DECRYPT, &error).hint(OTHER_KEY)
        }
        error => explain::file(&error, Role::Encrypted),
    })?;
    Ok(Opened { file, data_key, trust, rule })
}

/// Key groups in which a transit key that has lost its context (sops drops fields that it does not know)
/// has the one that the creation rule gives this key.
pub(crate) fn with_contexts(groups: &[KeyGroup], rule: Option<&Rule>) -> Vec<KeyGroup> {
    let named = || rule.iter().flat_map(|rule| rule.groups.iter().flatten());
    let complete = |key: &WrappedKey| {
        let MasterKey::Vault { context: None, .. } = key.key() else { return key.clone() };
        let of_rule = named().find_map(|of_rule| match of_rule {
            MasterKey::Vault { context: Some(context), .. } => {
                let same = same_key(key.with_context(context).key(), of_rule);
                same.then_some(context)
            }
            MasterKey::Vault { .. } | MasterKey::Age { .. } | MasterKey::Foreign { .. } => None,
        });
        of_rule.map_or_else(|| key.clone(), |context| key.with_context(context))
    };
    groups
        .iter()
        .map(|group| group.with_keys(group.keys().iter().map(complete).collect()))
        .collect()
}

/// Parses what should be an encrypted file.
pub(crate) fn parse(input: Input) -> Result<EncryptedFile, Error> {
    let Input { name, text, format, .. } = input;
    let (conflict, empty) = (conflict(&text), text.is_empty());
    let locked =
        memchr::memmem::find(text.as_bytes(), encrypted_value::PREFIX.as_bytes()).is_some();
    EncryptedFile::parse(text, format).map_err(|error| {
        let plain = Error::of(exit::GENERIC, &error);
        match error {
            _ if empty => plain.hint(EMPTY),
            FileError::NoMetadata if plain::is_configuration(&name) => plain.hint(CONFIGURATION),
            FileError::NoMetadata if locked => plain.hint(plain::METADATA_GONE),
            error => match conflict {
                Some(line) => unmerged(exit::GENERIC, line),
                None => explain::file(&error, Role::Encrypted),
            },
        }
    })
}

/// The error about a text with the marks of a merge conflict: whatever the parser says of it leads astray.
pub(crate) fn unmerged(exit: Exit, line: usize) -> Error {
    Error::new(exit, format!("line {line}: a mark of a merge conflict (<<<<<<<)")).hint(UNMERGED)
}

/// The line, from 1, of the first of the marks that git leaves of a merge conflict.
pub(crate) fn conflict(text: &str) -> Option<usize> {
    let place = |mark: &str| {
        memchr::memmem::find_iter(text.as_bytes(), mark)
            .find(|&at| at == 0 || text[..at].ends_with(['\n', '\r']))
    };
    let at = place("<<<<<<< ")?;
    place(">>>>>>> ").map(|_| Position::of(text, at).line)
}

/// Of the name of a file that is no secret.
const CONFIGURATION: &str =
    "it is the configuration, which says who can open which file and is not encrypted";

/// What empties a file that is to be read.
pub(crate) const EMPTY: &str = "the file is empty: a shell that sends output into the file that is read \
                                empties it first; --in-place replaces it";

/// Of a file of which neither a value nor the MAC opens.
const OTHER_KEY: &str = "its MAC does not open either: the wrapped key may be that of another file, or both were changed; \
                         `waxseal verify --keys` tells, and earlier versions are in the history";

/// What to do about a conflict.
const UNMERGED: &str = "a merge left its marks in the file: settle it, `mac` and `lastmodified` from \
                        one side, then review the text and `waxseal reseal` it";

/// A format by its name on the command line.
pub(crate) fn format_name(name: &str) -> Result<Format, String> {
    Format::from_name(name)
        .ok_or_else(|| "none of yaml, json, toml, dotenv, ini, binary".to_owned())
}

//! `waxseal recover`.

use std::path::{Path, PathBuf};

use super::context::{Ctx, given};
use super::decrypt::{self, DecryptArgs};
use super::error::Error;
use super::exit::{self, Exit};
use super::input::read_error;
use super::tree;
use crate::keys::MasterKey;
use crate::keyservice::vault::{ExportedKey, ExportedKeys};
use crate::os::fs::read_bytes;
use crate::secret::Wiped;

/// Decrypt files without their server, by transit keys that were exported from it
///
/// KEYFILE is what `bao read -format=json transit/export/encryption-key/NAME` prints, or the answer
/// of the API. Everything else is as in decrypt; of folders every sealed file below counts.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RecoverArgs {
    /// The exported key, in JSON; may be given more than once
    #[arg(long, value_name = "KEYFILE", required = true)]
    pub(crate) exported: Vec<PathBuf>,
    /// What a derived key is derived by, if neither the file nor its creation rule says so
    #[arg(long, value_name = "TEXT", overrides_with = "context")]
    pub(crate) context: Option<String>,
    #[command(flatten)]
    pub(crate) decrypt: DecryptArgs,
}

/// Runs `recover`.
pub(crate) fn run(ctx: &Ctx, args: &RecoverArgs) -> Result<Exit, Error> {
    let keys: Vec<ExportedKey> =
        args.exported.iter().map(|path| exported(path)).collect::<Result<_, _>>()?;
    let files = tree::files(&args.decrypt.files)?;
    let mut contexts: Vec<String> = args.context.iter().cloned().collect();
    for context in contexts_of_rules(ctx, &args.decrypt, &files)? {
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    if contexts.len() > MOST_CONTEXTS {
        let text = format!("the creation rules name {} contexts for these files", contexts.len());
        return Err(Error::new(exit::GENERIC, text).hint("recover fewer files at a time"));
    }
    ctx.use_only(Box::new(ExportedKeys::new(keys, contexts)));
    decrypt::run_on(ctx, &args.decrypt, &files)
}

/// Each is tried on every wrapped key that no other opens.
const MOST_CONTEXTS: usize = 100;

fn exported(path: &Path) -> Result<ExportedKey, Error> {
    let json = read_bytes(path).map(Wiped::from);
    let json = json.map_err(|error| read_error(&error, exit::CANNOT_READ).about(path))?;
    ExportedKey::parse(&json).map_err(|error| Error::of(exit::GENERIC, &error).about(path))
}

/// The contexts that creation rules name for these files. sops drops them from the files.
fn contexts_of_rules(
    ctx: &Ctx,
    args: &DecryptArgs,
    files: &[PathBuf],
) -> Result<Vec<String>, Error> {
    let name = given(args.filename_override.as_deref());
    let mut contexts = Vec::new();
    for path in files.iter().map(|path| name.unwrap_or(path)).chain(name) {
        let rule = ctx.rules()?.find(&ctx.absolute(path))?.rule();
        let keys = rule.into_iter().flat_map(|rule| rule.groups.into_iter().flatten());
        contexts.extend(keys.filter_map(|key| match key {
            MasterKey::Vault { context, .. } => context,
            MasterKey::Age { .. } | MasterKey::Foreign { .. } => None,
        }));
    }
    Ok(contexts)
}

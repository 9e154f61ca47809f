//! `waxseal keygen`.

use std::path::PathBuf;

use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::target::refuse_dash;
use crate::keyservice::age::generate_identity;
use crate::os::new_identity::{CreateError, create};

/// Make an age identity: a key of your own
///
/// Printed as a file of age, or written to a new file that only you can read; then the recipient,
/// which others need to seal files for you, is printed.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct KeygenArgs {
    /// Write the identity to this file, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Runs `keygen`.
pub(crate) fn run(ctx: &Ctx, args: &KeygenArgs) -> Result<Exit, Error> {
    let new = generate_identity(ctx.now()?);
    match &args.output {
        None => ctx.out.data(new.file.expose_secret().as_bytes())?,
        Some(path) => {
            refuse_dash(path)?;
            create(path, &new.file).map_err(|error| create_error(&error).about(path))?;
            ctx.out.data(format!("{}\n", new.recipient).as_bytes())?;
        }
    }
    Ok(exit::SUCCESS)
}

/// An identity file could not be made.
pub(crate) fn create_error(error: &CreateError) -> Error {
    Error::of(exit::CANNOT_WRITE, error)
}

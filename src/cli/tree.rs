//! Folders among the files that were named: what is sealed below them.
//!
//! Invariants: a file that was named is worked on, and an error if it cannot be; one that was found below
//! a folder is passed over unless it holds metadata or looks as if it did.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::exit;
use super::input::{format_of, read_error};
use crate::crypto::encrypted_value;
use crate::document::Format;
use crate::file::{EncryptedFile, FileError};
use crate::os::fs::{files_below, read_bytes};
use crate::shown::Show;

/// The files that were named, and in the place of each folder the sealed ones below it.
pub(crate) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let below = sealed_below(path)?;
        if below.is_empty() {
            let text = format!("{}: no sealed file is below this folder", path.shown());
            return Err(Error::new(exit::NO_FILE, text));
        }
        files.extend(below);
    }
    Ok(files)
}

/// The sealed files below a folder.
pub(crate) fn sealed_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let wanted = |path: &Path| match format_of(path, None) {
        Format::Yaml | Format::Json | Format::Toml => true,
        Format::Dotenv | Format::Ini | Format::Binary => false,
    };
    let found = files_below(folder, wanted)
        .map_err(|(path, error)| read_error(&error, exit::CANNOT_READ).about(&path))?;
    Ok(found.into_iter().filter(|path| is_sealed(path)).collect())
}

/// Whether a file is one to work on; one that cannot be read is: an error about it is better than silence.
pub(crate) fn is_sealed(path: &Path) -> bool {
    let Ok(bytes) = read_bytes(path) else { return true };
    let holds = |part: &str| memchr::memmem::find(&bytes, part.as_bytes()).is_some();
    if !holds("sops") || !holds(encrypted_value::PREFIX) {
        return false;
    }
    let Ok(text) = String::from_utf8(bytes) else { return true };
    let parsed = EncryptedFile::parse(text, format_of(path, None));
    !matches!(parsed, Err(FileError::NoMetadata))
}

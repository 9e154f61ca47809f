//! Folders among the files that were named: what is sealed below them.
//!
//! Invariants: a file that was named is worked on, and an error if it cannot be; one that was found below
//! a folder is passed over unless it holds metadata or looks as if it did. What sops sealed under a name, or
//! in a format, that is not read here is found too: an error about it is better than the belief that all
//! was done.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::exit;
use super::input::{format_of, read_error};
use crate::crypto::encrypted_value;
use crate::document::Format;
use crate::file::{EncryptedFile, FileError};
use crate::os::fs::{self, files_below, read_bytes, read_end};

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
            let text = "no sealed file is below this folder";
            return Err(Error::new(exit::NO_FILE, text).about(path));
        }
        files.extend(below);
    }
    Ok(files)
}

/// The sealed files below a folder.
pub(crate) fn sealed_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let found = files_below(folder, |_| true)
        .map_err(|(path, error)| read_error(&error, exit::CANNOT_READ).about(&path))?;
    let wanted = |path: &PathBuf| match format_of(path, None) {
        Format::Yaml | Format::Json | Format::Toml => is_sealed(path),
        Format::Dotenv | Format::Ini | Format::Binary => is_sealed_otherwise(path),
    };
    Ok(found.into_iter().filter(wanted).collect())
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

/// Whether a file whose name is none of a format that is read here is a sealed one all the same.
fn is_sealed_otherwise(path: &Path) -> bool {
    // Pictures, programs and archives are not read to their beginning.
    let Ok(end) = read_end(path, END) else { return false };
    let holds = |part: &str| memchr::memmem::find(&end, part.as_bytes()).is_some();
    if !holds("sops") || !holds(encrypted_value::PREFIX) {
        return false;
    }
    let Ok(text) = fs::read(path) else { return false };
    is_dotenv(&text)
        || is_ini(&text)
        || [Format::Json, Format::Yaml, Format::Toml]
            .into_iter()
            .any(|format| EncryptedFile::parse(text.clone(), format).is_ok())
}

/// The end of a file in which sops has its metadata, in bytes: of some two hundred recipients.
const END: u64 = 256 * 1024;

/// Lines of a dotenv file that sops sealed. A page that shows some has other lines, too.
fn is_dotenv(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let has_mac = text.lines().any(|line| line.starts_with("sops_mac="));
    has_mac && lines.all(|line| line.contains('='))
}

/// Sections of an INI file that sops sealed: the last one is its own.
fn is_ini(text: &str) -> bool {
    let Some(section) = text.split("\n[sops]").nth(1) else { return false };
    let mut lines = section.lines().filter(|line| !line.trim().is_empty());
    let has_mac = section.lines().any(|line| line.starts_with("mac"));
    has_mac && lines.all(|line| line.contains('='))
}

#[cfg(test)]
mod tests {
    use super::{is_dotenv, is_ini};

    #[test]
    fn a_page_about_sealed_files_is_none() {
        let dotenv = "# c\nA=ENC[x]\n\nsops_mac=ENC[y]\nsops_version=3.13.3\n";
        assert!(is_dotenv(dotenv));
        assert!(!is_dotenv(&format!("A file looks like this:\n{dotenv}")));
        assert!(!is_dotenv("A=ENC[x]\n"));
        let ini = "[a]\nb = ENC[x]\n\n[sops]\nmac     = ENC[y]\nversion = 3.13.3\n";
        assert!(is_ini(ini));
        assert!(!is_ini(&format!("{ini}\nThat is all\n")));
        assert!(!is_ini("[a]\nb = ENC[x]\n"));
    }
}

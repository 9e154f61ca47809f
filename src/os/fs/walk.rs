//! The files below a folder.

use std::fs::read_dir;
use std::path::{Path, PathBuf};

use super::read::{ReadError, of_io};

/// Every regular file below a folder whose name says yes to `wanted`, in the order of their names. What git
/// keeps for itself (`.git`) is left out, and no symlink is followed: what it leads to is found where it
/// stands, or belongs to somebody else.
///
/// # Errors
///
/// If a folder cannot be read; says which.
pub fn files_below(
    folder: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, (PathBuf, ReadError)> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let failed = |error| (folder.clone(), of_io(error));
        for entry in read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
            } else if kind.is_file() && wanted(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

//! A new file with an identity in it.
//!
//! Invariants: only its owner can read it, from its first byte on; it stands there whole or not at
//! all; no file is ever replaced.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::fs::{WriteError, create_private};
use crate::secret::SecretText;

/// Why the file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There is one already.
    #[error("exists already: an identity is never replaced")]
    Exists,
    /// Its folder cannot be made.
    #[error("its folder cannot be created: {0}")]
    Folder(#[source] io::Error),
    /// It cannot be written.
    #[error(transparent)]
    Write(WriteError),
}

/// Writes an identity to a new file, in folders that are made as needed.
///
/// # Errors
///
/// If the file is there, or cannot be made.
pub fn create(path: &Path, identity: &SecretText) -> Result<(), CreateError> {
    // Nor is a pipe or a symlink to nowhere a place for it.
    if path.symlink_metadata().is_ok() {
        return Err(CreateError::Exists);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(CreateError::Folder)?;
    }
    match create_private(path, identity.expose_secret().as_bytes()) {
        Ok(_) => Ok(()),
        Err(WriteError::Exists | WriteError::LeadsNowhere) => Err(CreateError::Exists),
        Err(error) => Err(CreateError::Write(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{CreateError, create};
    use crate::secret::SecretText;

    #[test]
    fn an_identity_is_private_and_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b/keys.txt");
        let secret = SecretText::new("x\n".to_owned());
        create(&path, &secret).expect("created");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "x\n");
        assert!(matches!(create(&path, &secret), Err(CreateError::Exists)));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("linked");
        assert!(matches!(create(&link, &secret), Err(CreateError::Exists)));
        let file = dir.path().join("a/b/keys.txt/x");
        assert!(matches!(create(&file, &secret), Err(CreateError::Folder(_))));
    }
}

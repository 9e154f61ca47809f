//! A new file with an identity in it.
//!
//! Invariants: only its owner can read it, from its first byte on; no file is ever replaced.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::secret::SecretText;

/// Why the file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There is one already.
    #[error("exists already: an identity is never replaced")]
    Exists,
    /// Anything else.
    #[error("cannot be created: {0}")]
    Io(#[source] io::Error),
}

/// Writes an identity to a new file, in folders that are made as needed.
///
/// # Errors
///
/// If the file is there, or cannot be made.
pub fn create(path: &Path, identity: &SecretText) -> Result<(), CreateError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(CreateError::Io)?;
    }
    let opened = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CreateError::Exists,
        _ => CreateError::Io(error),
    })?;
    let written =
        file.write_all(identity.expose_secret().as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half an identity is none.
        let _ = std::fs::remove_file(path);
        CreateError::Io(error)
    })
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
        assert!(matches!(create(&path, &secret), Err(CreateError::Exists)));
    }
}

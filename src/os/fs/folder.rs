//! Folders below one that the user named.
//!
//! Invariant: below that folder no symlink is followed. Who can write to a repository can put one
//! there, to have plaintext written to a place of his choice.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::shown::Show;

/// Why a file cannot be written below a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A symlink is in the way.
    #[error("{} is a symlink: none is followed below the folder that you name", path.shown())]
    Symlink {
        /// Where.
        path: PathBuf,
    },
    /// Something that is no folder is in the way.
    #[error("{} is no folder", path.shown())]
    NoFolder {
        /// Where.
        path: PathBuf,
    },
    /// The path leads out of the folder.
    #[error("does not stay below the folder")]
    Outside,
    /// Anything else.
    #[error("cannot make the folder {}: {source}", path.shown())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Makes the folders that `file`, a path below `folder`, is to stand in.
///
/// # Errors
///
/// If they cannot be made, or one of them or the file is a symlink. Symlinks in `folder` itself are
/// the user's.
pub fn make_folders(folder: &Path, file: &Path) -> Result<(), FolderError> {
    let failed = |path: &Path, source| FolderError::Io { path: path.to_owned(), source };
    fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let below = file.strip_prefix(folder).map_err(|_| FolderError::Outside)?;
    let mut path = folder.to_owned();
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => continue,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(FolderError::Outside);
            }
        }
        let is_file = parts.peek().is_none();
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() => return Err(FolderError::Symlink { path }),
            Ok(there) if there.is_dir() || is_file => {}
            Ok(_) => return Err(FolderError::NoFolder { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_file => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::create_dir(&path) {
                // Another run makes the same folders.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(|source| failed(&path, source))?,
            },
            Err(source) => return Err(failed(&path, source)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{FolderError, make_folders};

    #[test]
    fn symlinks_are_followed_up_to_the_folder_and_not_below() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("real")).expect("made");
        fs::create_dir(dir.path().join("elsewhere")).expect("made");
        let out = dir.path().join("out");
        symlink("real", &out).expect("linked");
        make_folders(&out, &out.join("a/b/x.yaml")).expect("made");
        assert!(dir.path().join("real/a/b").is_dir());
        symlink("../elsewhere", out.join("link")).expect("linked");
        symlink("../elsewhere/none", out.join("a/x.yaml")).expect("linked");
        fs::write(out.join("file"), "").expect("written");
        let result = |name: &str| make_folders(&out, &out.join(name)).expect_err("refused");
        for name in ["link/x.yaml", "link/sub/x.yaml", "link", "a/x.yaml"] {
            assert!(matches!(result(name), FolderError::Symlink { .. }), "{name}");
        }
        assert!(matches!(result("file/x.yaml"), FolderError::NoFolder { .. }));
        assert!(matches!(result("../x.yaml"), FolderError::Outside));
        assert!(make_folders(&out, &dir.path().join("x.yaml")).is_err());
        assert!(fs::read_dir(dir.path().join("elsewhere")).expect("there").next().is_none());
        make_folders(&out, &out.join("file")).expect("a file may be there");
        let cause = make_folders(&out.join("file/no"), &out.join("file/no/x")).expect_err("no");
        assert!(cause.to_string().contains("Not a directory"), "{cause}");
    }
}

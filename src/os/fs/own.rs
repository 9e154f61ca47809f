//! A file for its owner alone, at a place where others may have been before.
//!
//! Invariants: what is written goes into no stream, and neither into a file nor behind a symlink of
//! another user; nothing of an old file is kept, be it owner, mode or access list. What another user
//! puts there between the look and the rename is replaced, and never written to.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::target::{SYMLINKS_MAX, is_descriptor, parent};
use super::write::{WriteError, failed};

/// Where a file of this user's own would be written that is named so: behind its symlinks.
///
/// # Errors
///
/// If what stands there is no regular file, or is another user's as a symlink on the way may be; if its
/// directory is not there, or takes no new file.
pub fn own_place(path: &Path) -> Result<PathBuf, WriteError> {
    place_of(path, rustix::process::geteuid().as_raw())
}

fn place_of(path: &Path, me: u32) -> Result<PathBuf, WriteError> {
    let mut path = path.to_owned();
    for _ in 0..SYMLINKS_MAX {
        if is_descriptor(&path) {
            return Err(WriteError::Irregular { path });
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.uid() != me => return Err(WriteError::Stranger { path }),
            Ok(found) if found.is_symlink() => {
                let link = fs::read_link(&path).map_err(failed("follow its symlinks"))?;
                path = parent(&path).join(link);
            }
            Ok(found) if found.is_dir() => return Err(WriteError::IsDirectory),
            Ok(found) if !found.is_file() => return Err(WriteError::Irregular { path }),
            Ok(_) => return in_directory(path),
            Err(error) if error.kind() == ErrorKind::NotFound => return in_directory(path),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(WriteError::NoDirectory);
            }
            Err(error) => return Err(failed("look at it")(error)),
        }
    }
    Err(failed("follow its symlinks")(std::io::Error::other("too many symlinks")))
}

/// The path, if its directory takes what is made beside it first.
fn in_directory(path: PathBuf) -> Result<PathBuf, WriteError> {
    let directory = parent(&path);
    if !directory.is_dir() {
        return Err(WriteError::NoDirectory);
    }
    match rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(path),
        Err(_) => Err(WriteError::DirectoryDenied),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::super::steps::Steps;
    use super::super::write::replace_all_by;
    use super::super::{Before, Job, replace_own};
    use super::{own_place, place_of};

    /// What comes of writing there, for a user whose files these are (or not).
    #[track_caller]
    fn check(path: &Path, mine: bool, expected: Result<&Path, &str>) {
        let me = rustix::process::geteuid().as_raw();
        let found = place_of(path, if mine { me } else { me + 1 });
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn only_what_is_the_users_own_is_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "old").expect("written");
        symlink("file", at("link")).expect("linked");
        symlink("nothing", at("dangling")).expect("linked");
        symlink("circle", at("circle")).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), 0o600.into()).expect("made");
        let of_another = |name: &str| {
            let at = at(name).display().to_string();
            format!("cannot be written: {at} belongs to another user")
        };
        for name in ["file", "link", "dangling", "fifo"] {
            check(&at(name), false, Err(&of_another(name)));
        }
        check(&at("new"), false, Ok(&at("new")));
        check(&at("file"), true, Ok(&at("file")));
        check(&at("link"), true, Ok(&at("file")));
        check(&at("dangling"), true, Ok(&at("nothing")));
        let irregular =
            |at: &Path| format!("cannot be written: {} is no regular file", at.display());
        check(&at("fifo"), true, Err(&irregular(&at("fifo"))));
        let open = Path::new("/proc/self/fd/1");
        check(open, true, Err(&irregular(open)));
        check(&at("circle"), true, Err("cannot follow its symlinks: too many symlinks"));
        check(dir.path(), true, Err("is a directory"));
        check(&at("no/such"), true, Err("its directory does not exist"));
        check(&at("file/x"), true, Err("its directory does not exist"));
    }

    /// Somebody who puts a pipe in the place of the file while it is written.
    struct Late<'a>(&'a Path);

    impl Steps for Late<'_> {
        fn sync(&self, file: &fs::File) -> std::io::Result<()> {
            rustix::fs::mkfifoat(rustix::fs::CWD, self.0, 0o666.into())?;
            file.sync_all()
        }
    }

    #[test]
    fn a_pipe_that_appears_meanwhile_is_replaced_and_not_written_to() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let job = Job { path: &path, content: b"new", before: Before::Own, private: true };
        let written = replace_all_by(&Late(&path), &[job]).pop().expect("one");
        let _ = written.expect("written");
        assert!(fs::symlink_metadata(&path).expect("there").is_file());
        assert_eq!(fs::read(&path).expect("there"), b"new");
    }

    #[test]
    fn nothing_of_the_old_file_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("mode");
        symlink("file", &link).expect("linked");
        let _ = replace_own(&link, b"new").expect("written");
        let now = fs::symlink_metadata(&file).expect("there");
        assert_eq!(
            (now.mode() & 0o7777, fs::read(&file).expect("there")),
            (0o600, b"new".to_vec())
        );
        assert!(link.is_symlink(), "who put it there had a reason");
        assert_eq!(own_place(&link).expect("its own"), file);
    }
}

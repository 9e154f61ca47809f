//! The temporary file beside the one that is written: its name, and who owns it.
//!
//! Each file has one name for its temporary, `.NAME.waxseal-part`. Its writer holds a lock on it
//! until it is renamed or removed; a temporary that nobody holds was left by a killed run, and the
//! next writer removes it. So the same lock also lets two writers of one file take turns. Those of
//! other files of the directory are removed as well, once something was written there: what a killed
//! `decrypt --in-place` left is plaintext, and that file may never be written again.

use std::collections::hash_map::DefaultHasher;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::steps::Steps;

/// What every temporary file's name ends with.
const SUFFIX: &str = ".waxseal-part";

/// Longest name that file systems take, in bytes.
const NAME_MAX: usize = 255;

/// How long another writer of the same file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where locks do not work, an unfinished file of this age was left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// A temporary file that this run created and holds; removed on drop.
pub(super) struct Temp {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Nothing is left to remove.
    done: AtomicBool,
}

/// Why there is no temporary file.
pub(super) enum Blocked {
    /// Another writer was not done in time.
    Busy,
    /// Something has its name and cannot be removed.
    Taken { path: PathBuf, source: io::Error },
    /// It cannot be created.
    Uncreated(io::Error),
}

impl Temp {
    /// Creates the temporary file for `target`, after any other writer of that file is done.
    pub(super) fn create(steps: &impl Steps, target: &Path, mode: u32) -> Result<Self, Blocked> {
        let path = path_for(target);
        let start = Instant::now();
        loop {
            match steps.create(&path, mode) {
                Ok(file) => {
                    let temp = Self { file, path: path.clone(), done: AtomicBool::new(false) };
                    if temp.hold().map_err(Blocked::Uncreated)? {
                        return Ok(temp);
                    }
                    // Someone took it for a left one between its creation and its lock.
                    temp.disarm();
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match remove_left(&path) {
                        Ok(true) => {}
                        Ok(false) if start.elapsed() > PATIENCE => return Err(Blocked::Busy),
                        Ok(false) => std::thread::sleep(Duration::from_millis(2)),
                        Err(source) => return Err(Blocked::Taken { path, source }),
                    }
                }
                Err(error) => return Err(Blocked::Uncreated(error)),
            }
        }
    }

    /// The file now stands under its own name, or is another's: nothing is left to remove.
    pub(super) fn disarm(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Takes the lock; `false` if the file is no longer ours.
    fn hold(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(self.file.metadata()?.nlink() > 0),
            Err(TryLockError::WouldBlock) => Ok(false),
            // No locks here: others will wait for the file to go away.
            Err(TryLockError::Error(_)) => Ok(true),
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.done.load(Ordering::Relaxed) {
            // An error that matters more is on its way up already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The name of the temporary file for `target`, in the same directory.
pub(super) fn path_for(target: &Path) -> PathBuf {
    name_beside(target, SUFFIX)
}

/// A hidden name in the directory of `target` that belongs to it alone, with this end.
pub(super) fn name_beside(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or(OsStr::new("")).as_bytes();
    let mut temp = OsString::from(".").into_vec();
    if name.len() + 1 + suffix.len() <= NAME_MAX {
        temp.extend_from_slice(name);
    } else {
        let mut hash = DefaultHasher::new();
        name.hash(&mut hash);
        temp.extend(name.iter().take(200).filter(|byte| byte.is_ascii()));
        temp.extend(format!("-{:016x}", hash.finish()).into_bytes());
    }
    temp.extend_from_slice(suffix.as_bytes());
    target.with_file_name(OsString::from_vec(temp))
}

/// Removes what killed runs of this user left in a directory, whatever file it was for.
pub(super) fn remove_all_left(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let me = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !(name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(SUFFIX.as_bytes())) {
            continue;
        }
        let path = entry.path();
        let ours = fs::symlink_metadata(&path).is_ok_and(|it| it.is_file() && it.uid() == me);
        if ours {
            // What was to be written stands; the next run tries again.
            let _ = remove_left(&path);
        }
    }
}

/// Removes the file if no writer holds it; `false` if one does.
fn remove_left(path: &Path) -> io::Result<bool> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(io::Error::new(error.kind(), "it is a symlink, which waxseal never makes"));
        }
        Err(error) => return Err(error),
    };
    let left = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => file
            .metadata()?
            .modified()
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok())
            .is_some_and(|age| age > LEFT_BEHIND),
    };
    if !left {
        return Ok(false);
    }
    // The name may stand for another file by now; whoever unlinks a file holds its lock.
    let (held, named) = (file.metadata()?, fs::symlink_metadata(path));
    match named {
        Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {
            fs::remove_file(path)?;
            Ok(true)
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

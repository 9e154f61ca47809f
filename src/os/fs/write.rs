//! The one writer of files.
//!
//! In order: resolve symlinks; create the temporary file beside (0600 if it takes an old file's
//! place); content; owner, mode, attributes; sync; look whether the old file is still the one that
//! was read; rename; sync the directory, and remove what killed runs left in it. A file that must be
//! new never takes another's place, even one that appears at the last moment. A file that is mounted
//! by itself is overwritten (`in_place`). What is no regular file (a pipe, a terminal, `/dev/null`,
//! `/dev/stdout`) is written to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::commit::{Placed, commit, sync_directory};
use super::prepare::{Prepared, Progress, prepare};
use super::steps::{Machine, Steps};
use super::target::parent;
use super::temp::remove_all_left;
use crate::keyservice::Crew;
use crate::os::threads::side_by_side;
use crate::shown::Show;

/// A file to write.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Its path; symlinks are followed.
    pub path: &'a Path,
    /// The whole new content.
    pub content: &'a [u8],
    /// What must stand there now.
    pub before: Before<'a>,
    /// A new file is for its owner alone, whatever the umask says. One that is replaced keeps its mode.
    pub private: bool,
}

/// What must stand at a path for it to be written.
#[derive(Clone, Copy)]
pub enum Before<'a> {
    /// Anything or nothing.
    Anything,
    /// Nothing.
    Nothing,
    /// A file with just this content: the one that was read.
    Content(&'a [u8]),
    /// Nothing, or a regular file of this user's own, of which nothing is kept.
    Own,
}

/// A file was written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Written {
    /// What could not be kept of the old file, if it matters.
    pub notes: Vec<Note>,
}

/// Something of the old file that the new one does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// It belongs to another user now.
    #[error("its owner could not be kept: it is yours now")]
    Owner,
    /// It belongs to another group now, and grants the group no more than it grants others.
    #[error("its group could not be kept")]
    Group,
    /// Its access control list is gone, and the group has no more rights than others.
    #[error("its access control list could not be kept")]
    AccessList,
    /// The file system did not take the mode.
    #[error("its mode could not be kept")]
    Mode,
    /// Its other names still have the old content.
    #[error("it had other names (hard links), which keep the old content")]
    HardLinks,
    /// It could not be replaced.
    #[error("it is mounted by itself: it was overwritten, not replaced")]
    InPlace,
}

/// Why a file was not written. The old file stands as it was, but for `NotDurable` and `Torn`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It is a directory.
    #[error("is a directory")]
    IsDirectory,
    /// The file is write-protected.
    #[error("no permission to write it")]
    Denied,
    /// What stands there is neither a file nor a symlink.
    #[error("cannot be written: {} is no regular file", path.shown())]
    Irregular {
        /// What that is.
        path: PathBuf,
    },
    /// A file or a symlink that another user made.
    #[error("cannot be written: {} belongs to another user", path.shown())]
    Stranger {
        /// Which.
        path: PathBuf,
    },
    /// There is no such directory.
    #[error("its directory does not exist")]
    NoDirectory,
    /// The directory takes no new file, so that the file cannot be replaced.
    #[error("cannot be written: its directory takes no new file")]
    DirectoryDenied,
    /// It is a mount point of its own, and no copy can be kept beside it while it is overwritten.
    #[error("cannot be replaced: it is mounted by itself, and its directory keeps no copy")]
    Mounted,
    /// It is a mount point of its own, and neither the new nor the old content could be written.
    #[error("is torn: overwriting it failed ({source}), and so did putting the old content back; {} holds the new content whole", copy.shown())]
    Torn {
        /// The whole new content.
        copy: PathBuf,
        /// Why it could not be overwritten.
        #[source]
        source: io::Error,
    },
    /// Another program wrote it since it was read.
    #[error("was changed by another program meanwhile")]
    Changed,
    /// There is a file already.
    #[error("exists already")]
    Exists,
    /// A new file would appear where somebody else's symlink leads.
    #[error("is a symlink to a file that does not exist: no new file is made through one")]
    LeadsNowhere,
    /// The name of the temporary file is taken by what cannot be removed.
    #[error("cannot be written: {} is in the way and cannot be removed: {source}", path.shown())]
    Blocked {
        /// What is in the way.
        path: PathBuf,
        /// Why it stays.
        #[source]
        source: io::Error,
    },
    /// Another waxseal is writing it and does not finish.
    #[error("is being written by another waxseal")]
    Busy,
    /// The new file is in place, but may not survive a power failure.
    #[error("was written, but its directory could not be synced: {0}")]
    NotDurable(#[source] io::Error),
    /// Anything else.
    #[error("cannot {step}: {source}")]
    Io {
        /// What was done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Writes one file, whole or not at all.
///
/// # Errors
///
/// If it could not be written; the old file stands.
pub fn replace(path: &Path, content: &[u8], before: Before<'_>) -> Result<Written, WriteError> {
    replace_one(Job { path, content, before, private: false })
}

/// Writes a new file that its owner alone can read, whole or not at all.
///
/// # Errors
///
/// If it could not be written, or something stands there already.
pub fn create_private(path: &Path, content: &[u8]) -> Result<Written, WriteError> {
    replace_one(Job { path, content, before: Before::Nothing, private: true })
}

/// Writes a file for its owner alone, whole or not at all; an old one gives nothing but its place.
///
/// # Errors
///
/// As [`own_place`](super::own_place), and if it could not be written.
pub fn replace_own(path: &Path, content: &[u8]) -> Result<Written, WriteError> {
    replace_one(Job { path, content, before: Before::Own, private: true })
}

fn replace_one(job: Job<'_>) -> Result<Written, WriteError> {
    replace_all_by(&Machine, &[job]).pop().expect("one job has one result")
}

/// Writes many files, each whole or not at all; one result per job, in their order.
///
/// All are written and synced before the first is renamed. Syncing waits for the disk, so that it
/// is done by several threads; each directory is synced once. The paths are of distinct files.
#[must_use]
pub fn replace_all(jobs: &[Job<'_>], swept: &mut Swept) -> Vec<Result<Written, WriteError>> {
    replace_chunks(&Machine, jobs, swept)
}

/// The directories where one run has removed what killed runs left: each is listed once.
#[derive(Debug, Default)]
pub struct Swept(BTreeSet<PathBuf>);

pub(super) fn replace_all_by(
    steps: &impl Steps,
    jobs: &[Job<'_>],
) -> Vec<Result<Written, WriteError>> {
    replace_chunks(steps, jobs, &mut Swept::default())
}

fn replace_chunks(
    steps: &impl Steps,
    jobs: &[Job<'_>],
    swept: &mut Swept,
) -> Vec<Result<Written, WriteError>> {
    jobs.chunks(OPEN_FILES).flat_map(|jobs| replace_some(steps, jobs, swept)).collect()
}

fn replace_some(
    steps: &impl Steps,
    jobs: &[Job<'_>],
    swept: &mut Swept,
) -> Vec<Result<Written, WriteError>> {
    let prepared = side_by_side(&Crew::default(), jobs, threads(jobs.len(), CPU_THREADS), |job| {
        let progress = prepare(steps, job).unwrap_or_else(|error| Progress::Done(Err(error)));
        if let Progress::Prepared(file) = &progress
            && jobs.len() > 1
        {
            steps.begin_sync(&file.temp.file);
        }
        progress
    });
    let synced =
        side_by_side(&Crew::default(), &prepared, threads(jobs.len(), SYNC_THREADS), |progress| {
            match progress {
                Progress::Prepared(file) => steps.sync(&file.temp.file).map_err(failed("sync it")),
                Progress::Done(_) => Ok(()),
            }
        });
    let ready: Vec<_> = jobs
        .iter()
        .zip(prepared)
        .zip(synced)
        .map(|((job, progress), synced)| match (progress, synced) {
            (Progress::Prepared(_), Err(error)) => (job, Progress::Done(Err(error))),
            (progress, _) => (job, progress),
        })
        .collect();
    // By one thread: the system makes one change to a directory at a time.
    let committed: Vec<_> = ready
        .iter()
        .map(|(job, progress)| match progress {
            Progress::Prepared(file) => commit(steps, file, job),
            Progress::Done(_) => Ok(Placed::Replaced),
        })
        .collect();
    let mut directories: BTreeMap<PathBuf, io::Result<()>> = BTreeMap::new();
    ready
        .into_iter()
        .zip(committed)
        .map(|((_, progress), committed)| {
            let Prepared { target, written, temp } = match progress {
                Progress::Prepared(file) => file,
                Progress::Done(result) => return result,
            };
            let written = match committed? {
                Placed::Replaced => written,
                Placed::Overwritten => Written { notes: vec![Note::InPlace] },
            };
            drop(temp);
            let directory = parent(&target).to_owned();
            let synced = directories.entry(directory).or_insert_with_key(|directory| {
                if swept.0.insert(directory.clone()) {
                    remove_all_left(directory);
                }
                sync_directory(steps, directory)
            });
            match synced {
                Ok(()) => Ok(written),
                Err(error) => Err(WriteError::NotDurable(error.kind().into())),
            }
        })
        .collect()
}

/// Why a step failed.
pub(super) fn failed(step: &'static str) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::Io { step, source }
}

/// Few files are written by one thread: starting others takes longer.
fn threads(files: usize, most: usize) -> usize {
    if files < THREADS_FROM { 1 } else { most }
}

/// Files that are open at once; systems allow 256 and more.
const OPEN_FILES: usize = 200;

/// Threads that create and write files.
const CPU_THREADS: usize = 2;

/// Threads that wait for the disk, which takes many requests at once, the more the better.
const SYNC_THREADS: usize = 32;

/// From how many files on threads pay off.
const THREADS_FROM: usize = 4;

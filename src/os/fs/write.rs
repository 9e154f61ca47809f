//! The one writer of files.
//!
//! In order: resolve symlinks; create the temporary file beside (0600 if it takes an old file's
//! place); owner, mode, attributes; content; sync; look whether the old file is still the one that
//! was read; rename; sync the directory. What is no regular file (a pipe, a terminal, `/dev/null`,
//! `/dev/stdout`) is written to.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Access, Gid, OFlags, Uid};

use super::temp::Temp;

/// A file to write.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Its path; symlinks are followed.
    pub path: &'a Path,
    /// The whole new content.
    pub content: &'a [u8],
    /// What must stand there now.
    pub before: Before<'a>,
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
    /// The file system did not take the mode.
    #[error("its mode could not be kept")]
    Mode,
    /// Its other names still have the old content.
    #[error("it had other names (hard links), which keep the old content")]
    HardLinks,
}

/// Why a file was not written. The old file stands as it was, but for `NotDurable`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It is a directory.
    #[error("is a directory")]
    IsDirectory,
    /// The file is write-protected.
    #[error("no permission to write it")]
    Denied,
    /// There is no such directory.
    #[error("its directory does not exist")]
    NoDirectory,
    /// The directory takes no new file, so that the file cannot be replaced.
    #[error("cannot be replaced: its directory takes no new file")]
    DirectoryDenied,
    /// It is a mount point of its own (a file bound into a container).
    #[error("cannot be replaced: it is mounted by itself")]
    Mounted,
    /// Another program wrote it since it was read.
    #[error("was changed by another program meanwhile")]
    Changed,
    /// There is a file already.
    #[error("exists already")]
    Exists,
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
    let mut results = replace_all_by(&Machine, &[Job { path, content, before }]);
    results.pop().unwrap_or(Err(WriteError::Busy))
}

/// Writes many files, each whole or not at all; one result per job, in their order.
///
/// All are written and synced before the first is renamed. Syncing waits for the disk, so that it
/// is done by several threads; each directory is synced once. The paths are of distinct files.
#[must_use]
pub fn replace_all(jobs: &[Job<'_>]) -> Vec<Result<Written, WriteError>> {
    replace_all_by(&Machine, jobs)
}

/// What is done to the machine, so that tests can let each fail.
pub(super) trait Steps: Sync {
    /// Creates a new file for writing; fails if there is one.
    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits();
        let flags = i32::try_from(flags).unwrap_or(0);
        File::options().write(true).create_new(true).mode(mode).custom_flags(flags).open(path)
    }

    /// Writes some of the bytes.
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    /// Sets the mode.
    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(mode))
    }

    /// Sets owner and group.
    fn set_owner(&self, file: &File, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(rustix::fs::fchown(file, uid, gid)?)
    }

    /// Waits until the content is on the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Puts the file in the place of the old one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Waits until the names in the directory are on the disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The machine as it is.
pub(super) struct Machine;

impl Steps for Machine {}

/// A file whose new content is written beside it.
struct Prepared {
    temp: Temp,
    target: PathBuf,
    written: Written,
}

/// How far one job is.
enum Progress {
    Prepared(Prepared),
    Done(Result<Written, WriteError>),
}

pub(super) fn replace_all_by(
    steps: &impl Steps,
    jobs: &[Job<'_>],
) -> Vec<Result<Written, WriteError>> {
    jobs.chunks(OPEN_FILES).flat_map(|jobs| replace_some(steps, jobs)).collect()
}

fn replace_some(steps: &impl Steps, jobs: &[Job<'_>]) -> Vec<Result<Written, WriteError>> {
    let prepared = side_by_side(jobs, CPU_THREADS, |job| {
        prepare(steps, job).unwrap_or_else(|error| Progress::Done(Err(error)))
    });
    let synced = side_by_side(&prepared, SYNC_THREADS, |progress| match progress {
        Progress::Prepared(file) => steps.sync(&file.temp.file).map_err(failed("sync it")),
        Progress::Done(_) => Ok(()),
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
    let committed = side_by_side(&ready, CPU_THREADS, |(job, progress)| match progress {
        Progress::Prepared(file) => commit(steps, file, job),
        Progress::Done(_) => Ok(()),
    });
    let mut directories: BTreeMap<PathBuf, io::Result<()>> = BTreeMap::new();
    ready
        .into_iter()
        .zip(committed)
        .map(|((_, progress), committed)| {
            let Prepared { target, written, .. } = match progress {
                Progress::Prepared(file) => file,
                Progress::Done(result) => return result,
            };
            committed?;
            let directory = parent(&target).to_owned();
            let synced = directories
                .entry(directory)
                .or_insert_with_key(|directory| sync_directory(steps, directory));
            match synced {
                Ok(()) => Ok(written),
                Err(error) => Err(WriteError::NotDurable(error.kind().into())),
            }
        })
        .collect()
}

/// Writes the new content beside the file, or to what is no regular file.
fn prepare(steps: &impl Steps, job: &Job<'_>) -> Result<Progress, WriteError> {
    if let Some(result) = write_to_standard_stream(job) {
        return Ok(Progress::Done(result));
    }
    let old = match fs::metadata(job.path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("look at it")(error)),
    };
    if old.as_ref().is_some_and(Metadata::is_dir) {
        return Err(WriteError::IsDirectory);
    }
    let target = resolve(job.path).map_err(failed("follow its symlinks"))?;
    if old.as_ref().is_some_and(|old| is_stream(old) || is_descriptor(&target)) {
        return write_through(job).map(|()| Progress::Done(Ok(Written::default())));
    }
    match (job.before, &old) {
        (Before::Nothing, Some(_)) => return Err(WriteError::Exists),
        (Before::Content(_), None) => return Err(WriteError::Changed),
        (Before::Anything | Before::Nothing | Before::Content(_), _) => {}
    }
    if old.is_some() && rustix::fs::access(&target, Access::WRITE_OK).is_err() {
        return Err(WriteError::Denied);
    }
    // A new file gets what the umask leaves; one that takes an old file's place is private until
    // it has that file's owner.
    let mode = if old.is_some() { 0o600 } else { 0o666 };
    let temp = Temp::create(steps, &target, mode)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => WriteError::NoDirectory,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                WriteError::DirectoryDenied
            }
            _ => failed("create a file beside it")(error),
        })?
        .ok_or(WriteError::Busy)?;
    write_all(steps, &temp.file, job.content).map_err(failed("write it"))?;
    let mut written = Written::default();
    if let Some(old) = &old {
        keep_owner_and_mode(steps, &temp.file, old, &mut written.notes)
            .map_err(failed("keep its owner and mode"))?;
        copy_attributes(&target, &temp.file);
        if old.nlink() > 1 {
            written.notes.push(Note::HardLinks);
        }
    }
    Ok(Progress::Prepared(Prepared { temp, target, written }))
}

/// Puts the new file in the old one's place, if that is still the one that was read.
fn commit(steps: &impl Steps, file: &Prepared, job: &Job<'_>) -> Result<(), WriteError> {
    let Prepared { temp, target, .. } = file;
    match job.before {
        Before::Anything => {}
        Before::Nothing if fs::symlink_metadata(target).is_ok() => return Err(WriteError::Exists),
        Before::Nothing => {}
        Before::Content(content) => {
            if !holds(target, content) {
                return Err(WriteError::Changed);
            }
        }
    }
    steps.rename(&temp.path, target).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => WriteError::Mounted,
        io::ErrorKind::PermissionDenied => WriteError::DirectoryDenied,
        _ => failed("put it in its place")(error),
    })?;
    temp.disarm();
    Ok(())
}

fn write_all(steps: &impl Steps, file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match steps.write(file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count.min(bytes.len())..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn keep_owner_and_mode(
    steps: &impl Steps,
    file: &File,
    old: &Metadata,
    notes: &mut Vec<Note>,
) -> io::Result<()> {
    let new = file.metadata()?;
    let mut mode = old.mode() & 0o7777;
    let owner = (new.uid() != old.uid()).then_some(old.uid());
    let group = (new.gid() != old.gid()).then_some(old.gid());
    if (owner, group) != (None, None) && steps.set_owner(file, owner, group).is_err() {
        if owner.is_some() {
            notes.push(Note::Owner);
            mode &= 0o1777;
        }
        if group.is_some() && steps.set_owner(file, None, group).is_err() {
            notes.push(Note::Group);
            // Our group is not the one that the owner meant: it gets what everybody has.
            mode = (mode & 0o1707) | (mode & ((mode & 0o007) << 3));
        }
    }
    if new.mode() & 0o7777 != mode
        && let Err(error) = steps.set_mode(file, mode)
    {
        // File systems without modes refuse; what they have is what the old file had.
        if !matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) {
            return Err(error);
        }
        notes.push(Note::Mode);
    }
    Ok(())
}

/// Access control lists, labels and the user's own attributes, as far as they can be kept.
#[cfg(target_os = "linux")]
fn copy_attributes(from: &Path, to: &File) {
    use rustix::fs::{XattrFlags, fsetxattr, getxattr, listxattr};

    let mut names = vec![0; 4096];
    let Ok(length) = listxattr(from, &mut names) else { return };
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        if let Ok(length) = getxattr(from, name, &mut value) {
            // Best effort: some belong to the system.
            let _ = fsetxattr(to, name, &value[..length], XattrFlags::empty());
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn copy_attributes(_from: &Path, _to: &File) {}

fn sync_directory(steps: &impl Steps, path: &Path) -> io::Result<()> {
    match steps.sync_directory(path) {
        // A directory that may be written but not listed, or a file system that has no such thing.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Whether a regular file has just this content.
fn holds(path: &Path, content: &[u8]) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let same_length = file.metadata().is_ok_and(|now| now.len() == content.len() as u64);
    let mut now = Vec::with_capacity(content.len() + 1);
    same_length
        && file.take(content.len() as u64 + 1).read_to_end(&mut now).is_ok()
        && now == content
}

/// `/dev/stdout` and `/dev/stderr` under any of their names: the open stream itself is written to,
/// since opening it anew would start at the front of a file that it is redirected to.
fn write_to_standard_stream(job: &Job<'_>) -> Option<Result<Written, WriteError>> {
    let result = match job.path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => {
            write_to(&mut io::stdout().lock(), job.content)
        }
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => {
            write_to(&mut io::stderr().lock(), job.content)
        }
        _ => return None,
    };
    Some(result.map(|()| Written::default()).map_err(failed("write to it")))
}

fn write_to(stream: &mut impl Write, content: &[u8]) -> io::Result<()> {
    stream.write_all(content)?;
    stream.flush()
}

fn write_through(job: &Job<'_>) -> Result<(), WriteError> {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
    let opened = File::options().write(true).custom_flags(flags).open(job.path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => WriteError::Denied,
        _ => failed("open it")(error),
    })?;
    write_to(&mut file, job.content).map_err(failed("write to it"))
}

fn is_stream(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_socket() || kind.is_block_device()
}

/// Whether the path names an open file, which a rename would not replace.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/proc") || path.starts_with("/dev/fd")
}

/// The path behind all symlinks of the last component; the last need not exist.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..SYMLINKS_MAX {
        match fs::read_link(&path) {
            // A link of `/proc` stands for an open file, whatever name that had.
            Ok(_) if is_descriptor(&path) => return Ok(path),
            Ok(link) => path = parent(&path).join(link),
            // No symlink, or nothing there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symlinks"))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

fn failed(step: &'static str) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::Io { step, source }
}

/// Applies `work` to each item, on up to `threads` threads; results in the order of the items.
fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if items.len() < THREADS_FROM {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Files that are open at once; systems allow 256 and more.
const OPEN_FILES: usize = 200;

/// Threads that create and write files.
const CPU_THREADS: usize = 2;

/// Threads that wait for the disk, which takes many requests at once.
const SYNC_THREADS: usize = 8;

/// From how many files on threads pay off.
const THREADS_FROM: usize = 4;

/// As the kernel.
const SYMLINKS_MAX: usize = 40;

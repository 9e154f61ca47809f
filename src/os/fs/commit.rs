//! The second half of a replacement: the new file in the place of the old one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::in_place::overwrite;
use super::prepare::Prepared;
use super::steps::Steps;
use super::temp::Temp;
use super::write::{Before, Job, WriteError, failed};

/// How the new content came to its place.
pub(super) enum Placed {
    /// By a rename.
    Replaced,
    /// Byte by byte: the file is mounted by itself.
    Overwritten,
}

/// Puts the new file in the old one's place, if that is still the one that was read.
pub(super) fn commit(
    steps: &impl Steps,
    file: &Prepared,
    job: &Job<'_>,
) -> Result<Placed, WriteError> {
    let Prepared { temp, target, .. } = file;
    let renamed = match job.before {
        Before::Anything | Before::Own => replace(steps, temp, target),
        Before::Nothing => place_new(steps, temp, target),
        Before::Content(content) if holds(target, content) => replace(steps, temp, target),
        Before::Content(_) => return Err(WriteError::Changed),
    };
    match (renamed, job.before) {
        (Ok(()), _) => Ok(Placed::Replaced),
        (Err(error), before) => match (error.kind(), before) {
            (io::ErrorKind::AlreadyExists, Before::Nothing) => Err(WriteError::Exists),
            // Another user can mount what only looks like a file of ours, so that no `Own` is overwritten.
            (
                io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices,
                Before::Anything | Before::Content(_),
            ) => overwrite(steps, file, job.content).map(|()| Placed::Overwritten),
            (io::ErrorKind::PermissionDenied, _) => Err(WriteError::DirectoryDenied),
            _ => Err(failed("put it in its place")(error)),
        },
    }
}

fn replace(steps: &impl Steps, temp: &Temp, target: &Path) -> io::Result<()> {
    steps.rename(&temp.path, target)?;
    temp.disarm();
    Ok(())
}

/// Never takes the place of another file, even of one that appeared a moment ago.
fn place_new(steps: &impl Steps, temp: &Temp, target: &Path) -> io::Result<()> {
    match steps.rename_new(&temp.path, target) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        result => return result.map(|()| temp.disarm()),
    }
    match steps.link(&temp.path, target) {
        // The first name goes when the temporary file is dropped.
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links either has no way that is better.
        Err(_) if fs::symlink_metadata(target).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => replace(steps, temp, target),
    }
}

pub(super) fn sync_directory(steps: &impl Steps, path: &Path) -> io::Result<()> {
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
    // It may be plaintext. One byte more, so that the end is seen without growing the buffer.
    let mut now = Zeroizing::new(Vec::with_capacity(content.len() + 1));
    same_length
        && file.take(content.len() as u64 + 1).read_to_end(&mut now).is_ok()
        && *now == content
}

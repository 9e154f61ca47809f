//! The second half of a replacement: the new file in the place of the old one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::in_place::overwrite;
use super::prepare::Prepared;
use super::steps::Steps;
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
    match steps.rename(&temp.path, target) {
        Ok(()) => {
            temp.disarm();
            Ok(Placed::Replaced)
        }
        Err(error) => match error.kind() {
            io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                overwrite(steps, file, job.content).map(|()| Placed::Overwritten)
            }
            io::ErrorKind::PermissionDenied => Err(WriteError::DirectoryDenied),
            _ => Err(failed("put it in its place")(error)),
        },
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
    let mut now = Vec::with_capacity(content.len() + 1);
    same_length
        && file.take(content.len() as u64 + 1).read_to_end(&mut now).is_ok()
        && now == content
}

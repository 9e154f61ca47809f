//! The first half of a replacement: the whole new content, beside the old file.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::Access;

use super::attributes;
use super::own::own_place;
use super::steps::Steps;
use super::target::{is_descriptor, is_stream, resolve, write_through, write_to_standard_stream};
use super::temp::{Blocked, Temp};
use super::write::{Before, Job, Note, WriteError, Written, failed};

/// A file whose new content is written beside it.
pub(super) struct Prepared {
    pub(super) temp: Temp,
    pub(super) target: PathBuf,
    pub(super) written: Written,
}

/// How far one job is.
pub(super) enum Progress {
    Prepared(Prepared),
    Done(Result<Written, WriteError>),
}

/// Writes the new content beside the file, or to what is no regular file.
pub(super) fn prepare(steps: &impl Steps, job: &Job<'_>) -> Result<Progress, WriteError> {
    if matches!(job.before, Before::Own) {
        let target = own_place(job.path)?;
        let temp = Temp::create(steps, &target, 0o600).map_err(blocked)?;
        attributes::remove_access_list(&temp.file);
        write_all(steps, &temp.file, job.content).map_err(failed("write it"))?;
        return Ok(Progress::Prepared(Prepared { temp, target, written: Written::default() }));
    }
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
        (Before::Nothing, None) if job.path.is_symlink() => return Err(WriteError::LeadsNowhere),
        (Before::Content(_), None) => return Err(WriteError::Changed),
        (Before::Anything | Before::Nothing | Before::Content(_) | Before::Own, _) => {}
    }
    if old.is_some() && rustix::fs::access(&target, Access::WRITE_OK).is_err() {
        return Err(WriteError::Denied);
    }
    // A new file gets what the umask leaves; one that takes an old file's place is private until
    // it has that file's owner.
    let mode = if old.is_some() || job.private { 0o600 } else { 0o666 };
    let temp = Temp::create(steps, &target, mode).map_err(blocked)?;
    write_all(steps, &temp.file, job.content).map_err(failed("write it"))?;
    let mut written = Written::default();
    if let Some(old) = &old {
        let list = attributes::access_list(&target);
        if list.is_none() {
            // The directory may give one to every new file.
            attributes::remove_access_list(&temp.file);
        }
        keep_owner_and_mode(steps, &temp.file, old, list.is_some(), &mut written.notes)
            .map_err(failed("keep its owner and mode"))?;
        attributes::copy(&target, &temp.file);
        if let Some(list) = list {
            // Of a list, what the owning group may do would be for our group.
            let kept = !written.notes.contains(&Note::Group)
                && attributes::set_access_list(&temp.file, &list);
            if !kept {
                written.notes.push(Note::AccessList);
            }
        }
        if old.nlink() > 1 {
            written.notes.push(Note::HardLinks);
        }
    }
    Ok(Progress::Prepared(Prepared { temp, target, written }))
}

fn blocked(why: Blocked) -> WriteError {
    match why {
        Blocked::Busy => WriteError::Busy,
        Blocked::Taken { path, source } => WriteError::Blocked { path, source },
        Blocked::Uncreated(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => WriteError::NoDirectory,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                WriteError::DirectoryDenied
            }
            _ => failed("create a file beside it")(error),
        },
    }
}

pub(super) fn write_all(steps: &impl Steps, file: &File, mut bytes: &[u8]) -> io::Result<()> {
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

/// `listed`: the old file has an access control list, which brings the rights of the group with it;
/// what its mode shows in their place is the most that anybody on the list may do.
fn keep_owner_and_mode(
    steps: &impl Steps,
    file: &File,
    old: &Metadata,
    listed: bool,
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
            mode &= 0o1777;
        }
    }
    if listed || notes.contains(&Note::Group) {
        // Our group is not the one that the owner meant: it gets what everybody has.
        mode = (mode & !0o070) | (mode & ((mode & 0o007) << 3));
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

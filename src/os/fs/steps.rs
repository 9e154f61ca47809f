//! What the writer does to the machine, one method per step, so that tests can let each fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

/// The steps, as the machine does them.
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
        fchown(file, uid, gid)
    }

    /// Has the disk begin to take the content, and waits for nothing.
    fn begin_sync(&self, file: &File) {
        begin_sync(file);
    }

    /// Waits until the content is on the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Puts the file in the place of the old one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Gives the file its name if nothing has that name; `Unsupported` where this is not one step.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename_new(from, to)
    }

    /// Opens a file for overwriting.
    fn open(&self, path: &Path) -> io::Result<File> {
        File::options().write(true).open(path)
    }

    /// Gives a file a second name; fails if that is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Reserves the space for this many bytes, if the file system can; the file stays as it is.
    fn reserve(&self, file: &File, length: usize) -> io::Result<()> {
        reserve(file, length)
    }

    /// Cuts the file to this many bytes.
    fn set_length(&self, file: &File, length: usize) -> io::Result<()> {
        file.set_len(length as u64)
    }

    /// Waits until the names in the directory are on the disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The machine as it is.
pub(super) struct Machine;

impl Steps for Machine {}

/// Linux writes out what it is told will not be read again.
#[cfg(target_os = "linux")]
fn begin_sync(file: &File) {
    // A hint: `sync` is what counts.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn begin_sync(_file: &File) {}

#[cfg(target_os = "linux")]
fn reserve(file: &File, length: usize) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, length as u64) {
        // Not on this file system, not in this kernel; and nothing can be reserved for no bytes.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _length: usize) -> io::Result<()> {
    Ok(())
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(|error| match error {
        // Not on this file system, not in this kernel.
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => io::ErrorKind::Unsupported.into(),
        error => error.into(),
    })
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_new(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

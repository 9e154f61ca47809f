//! What a path stands for: a file that can be replaced, or a stream that is written to.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::write::{Job, WriteError, Written, failed};

/// `/dev/stdout` and `/dev/stderr` under any of their names: the open stream itself is written to,
/// since opening it anew would start at the front of a file that it is redirected to.
pub(super) fn write_to_standard_stream(job: &Job<'_>) -> Option<Result<Written, WriteError>> {
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

pub(super) fn write_through(job: &Job<'_>) -> Result<(), WriteError> {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
    let opened = File::options().write(true).custom_flags(flags).open(job.path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => WriteError::Denied,
        _ => failed("open it")(error),
    })?;
    write_to(&mut file, job.content).map_err(failed("write to it"))
}

pub(super) fn is_stream(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_socket() || kind.is_block_device()
}

/// Whether the path names an open file, which a rename would not replace.
pub(super) fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/proc") || path.starts_with("/dev/fd")
}

/// The path behind all symlinks of the last component; the last need not exist.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
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

/// The one name of the file that a path leads to, so that two paths to one file are known as such:
/// every symlink is followed, also one that leads to no file yet.
#[must_use]
pub fn place(path: &Path) -> PathBuf {
    name(&resolve(path).unwrap_or_else(|_| path.to_owned()))
}

/// The one spelling of a path: symlinks of its folders are followed, one of its last component is not.
#[must_use]
pub fn name(path: &Path) -> PathBuf {
    let name = match path.file_name() {
        Some(name) => fs::canonicalize(parent(path)).map(|folder| folder.join(name)),
        None => fs::canonicalize(path),
    };
    // What is not there or not to be entered has no other name.
    name.unwrap_or_else(|_| path.to_owned())
}

/// Whether a path below a folder leads, by symlinks, to a file that is not below it.
#[must_use]
pub fn leads_out(folder: &Path, path: &Path) -> bool {
    match (fs::canonicalize(folder), fs::canonicalize(path)) {
        (Ok(real_folder), Ok(real)) => path.starts_with(folder) && !real.starts_with(real_folder),
        // What is not there leads nowhere.
        _ => false,
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// As the kernel.
pub(super) const SYMLINKS_MAX: usize = 40;

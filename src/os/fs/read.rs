//! Reading: regular files, pipes, `/dev/stdin`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::thread;

use crate::text::{MAX_TEXT, Position};

/// Why a file could not be read. Never says what stands in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// It is a directory.
    #[error("is a directory")]
    IsDirectory,
    /// The user may not read it.
    #[error("no permission to read it")]
    Denied,
    /// It is text, in an encoding that is not UTF-8.
    #[error("is encoded in UTF-16: convert it to UTF-8")]
    Utf16,
    /// It is no text at all, or in another encoding.
    #[error("is not UTF-8: {position}")]
    NotUtf8 {
        /// The first byte that is not.
        position: Position,
    },
    /// It is longer than 4 GiB.
    #[error("is larger than 4 GiB")]
    TooLarge,
    /// It is a device that gives bytes without end, `/dev/zero` for one.
    #[error("is a device, and no end of it was seen")]
    Endless,
    /// Anything else.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
}

/// Reads a file as text.
///
/// # Errors
///
/// If it cannot be read, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, ReadError> {
    decode(read_bytes(path)?)
}

/// Reads the end of a regular file, at most so many bytes.
///
/// # Errors
///
/// If it cannot be read.
pub fn read_end(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let mut file = File::open(path).map_err(of_io)?;
    let size = file.metadata().map_err(of_io)?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(most))).map_err(of_io)?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(of_io)?;
    Ok(bytes)
}

/// Reads a file as it is.
///
/// # Errors
///
/// If it cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut file = File::open(path).map_err(of_io)?;
    let metadata = file.metadata().map_err(of_io)?;
    if metadata.is_dir() {
        return Err(ReadError::IsDirectory);
    }
    if metadata.len() > MAX_TEXT as u64 {
        return Err(ReadError::TooLarge);
    }
    let size = usize::try_from(metadata.len()).unwrap_or(0);
    if size >= WORTH_A_THREAD
        && metadata.is_file()
        && let Some(bytes) = read_halves(&file, size)
    {
        return Ok(bytes);
    }
    // A repository can name one by a symlink. At a terminal a person types; `/dev/null` is empty.
    let device = metadata.file_type().is_char_device() && !file.is_terminal();
    let (most, error) =
        if device { (DEVICE_BYTES, ReadError::Endless) } else { (MAX_TEXT, ReadError::TooLarge) };
    // One byte more than the file holds, so that the end is seen without growing the buffer.
    let mut bytes = Vec::with_capacity(size + 1);
    (&mut file).take(most as u64 + 1).read_to_end(&mut bytes).map_err(of_io)?;
    if bytes.len() > most { Err(error) } else { Ok(bytes) }
}

/// Both halves of a large file at the same time: most of the time goes into getting the memory.
///
/// `None` if the file is not as long as it was said to be, or cannot be read.
fn read_halves(file: &File, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    let (front, back) = bytes.split_at_mut(size / 2);
    let offset = front.len() as u64;
    thread::scope(|scope| {
        let front =
            thread::Builder::new().spawn_scoped(scope, || file.read_exact_at(front, 0)).ok()?;
        file.read_exact_at(back, offset).ok()?;
        front.join().ok()?.ok()
    })?;
    // It has not grown meanwhile.
    (file.read_at(&mut [0], size as u64).ok()? == 0).then_some(bytes)
}

fn decode(bytes: Vec<u8>) -> Result<String, ReadError> {
    // A text cannot start with these in UTF-8, so that no valid file is refused.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(ReadError::Utf16);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let text = std::str::from_utf8(valid).unwrap_or("");
        ReadError::NotUtf8 { position: Position::of(text, text.len()) }
    })
}

pub(super) fn of_io(error: io::Error) -> ReadError {
    match error.kind() {
        // A path through a file (`file/x`) names nothing either.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::NotFound,
        io::ErrorKind::IsADirectory => ReadError::IsDirectory,
        io::ErrorKind::PermissionDenied => ReadError::Denied,
        _ => ReadError::Io(error),
    }
}

/// A device that gives more than this is not waited for.
const DEVICE_BYTES: usize = 1 << 20;

/// Smaller files are read before a thread would have started.
const WORTH_A_THREAD: usize = 1024 * 1024;

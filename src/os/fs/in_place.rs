//! The way out for a file that cannot be replaced because it is mounted by itself, as a single file
//! is that was bound into a container: it is overwritten.
//!
//! Other programs, `sops` among them, overwrite every file, so that users expect this to work. What
//! a rename gives for free is done here by hand. Invariants: before the first byte changes, the
//! whole new content is on the disk beside the file, as `.NAME.waxseal-copy`, and the space for it
//! is reserved where the file system can do that; it is removed when the file holds all of it. After
//! an error the old content is put back. After a kill in between the file may be torn, which every
//! command notices (it does not parse, its MAC does not match; `encrypt`, whose plaintext has no MAC,
//! looks for the copy) and says where the copy is ([`interrupted_copy`]). A program that reads
//! meanwhile may see a part of both.
//!
//! A file whose directory takes no new file is left alone: there is no place for the copy.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::commit::sync_directory;
use super::prepare::{Prepared, write_all};
use super::steps::Steps;
use super::target::{parent, resolve};
use super::temp::name_beside;
use super::write::{WriteError, failed};

/// Overwrites the file with the new content, which stands beside it already.
pub(super) fn overwrite(
    steps: &impl Steps,
    file: &Prepared,
    content: &[u8],
) -> Result<(), WriteError> {
    let Prepared { temp, target, .. } = file;
    let old = Zeroizing::new(fs::read(target).map_err(failed("read it"))?);
    let place = steps.open(target).map_err(failed("open it"))?;
    steps.reserve(&place, content.len()).map_err(failed("reserve the space for it"))?;
    let copy = copy_of(target);
    // Without a copy that outlives this run it stays as it is.
    keep(steps, &temp.path, &copy).map_err(|_| WriteError::Mounted)?;
    let result = sync_directory(steps, parent(target))
        .map_err(failed("sync its directory"))
        .and_then(|()| put_or_put_back(steps, &place, content, &old, &copy));
    if !matches!(result, Err(WriteError::Torn { .. })) {
        // It would be found again where it does no harm: beside a file that is whole.
        let _ = fs::remove_file(&copy);
    }
    result
}

fn put_or_put_back(
    steps: &impl Steps,
    place: &File,
    new: &[u8],
    old: &[u8],
    copy: &Path,
) -> Result<(), WriteError> {
    put(steps, place, new).map_err(|error| match put(steps, place, old) {
        Ok(()) => failed("overwrite it")(error),
        Err(_) => WriteError::Torn { copy: copy.to_owned(), source: error },
    })
}

/// The copy that an interrupted run left beside a file, which may be torn.
#[must_use]
pub fn interrupted_copy(path: &Path) -> Option<PathBuf> {
    let copy = copy_of(&resolve(path).ok()?);
    // It is the writer's temporary file under a second name, and locked as long as that runs.
    let left = File::open(&copy).is_ok_and(|file| file.try_lock().is_ok());
    left.then_some(copy)
}

fn copy_of(target: &Path) -> PathBuf {
    name_beside(target, ".waxseal-copy")
}

/// Gives the temporary file a second name, which is not taken for one that a killed run left.
fn keep(steps: &impl Steps, temp: &Path, copy: &Path) -> io::Result<()> {
    match steps.link(temp, copy) {
        // Of an earlier run. What reads the file found it whole since, or replaces all of it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(copy)?;
            steps.link(temp, copy)
        }
        other => other,
    }
}

fn put(steps: &impl Steps, mut place: &File, content: &[u8]) -> io::Result<()> {
    place.seek(SeekFrom::Start(0))?;
    write_all(steps, place, content)?;
    steps.set_length(place, content.len())?;
    steps.sync(place)
}

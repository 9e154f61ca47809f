//! Many files in one run: side by side, with a bar when it takes long, on after a failure.
//!
//! Invariants: what a file gives is told in the order of the files, whatever finished first; a file
//! that fails is left as it was and does not stop the others; the result of a run over one file is
//! the result of that file.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::bar::Bar;
use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use crate::os::fs::{Before, Job, WriteError, Written, interrupted_copy, replace, replace_all};
use crate::os::threads::side_by_side;
use crate::secret::Wiped;

/// What the work on one file gave.
#[derive(Default)]
pub(crate) struct Done {
    /// For standard output.
    pub(crate) data: Wiped<Vec<u8>>,
    /// For standard output, behind `data`: no secret, so that nothing is wiped.
    pub(crate) sealed: Vec<u8>,
    /// Lines that SOPS prints on standard error.
    pub(crate) lines: Vec<String>,
    /// A file to write.
    pub(crate) write: Option<Write>,
    /// Lines for standard error once that file is written.
    pub(crate) lines_after: Vec<String>,
    /// Good to know for somebody at a terminal.
    pub(crate) notes: Vec<String>,
    /// It was done, and what it found is not good (`verify`).
    pub(crate) finding: Option<Error>,
}

/// A file to write.
pub(crate) struct Write {
    pub(crate) path: PathBuf,
    pub(crate) content: Wiped<Vec<u8>>,
    pub(crate) before: Expected,
    /// Make the folders that it is to stand in.
    pub(crate) folders: bool,
}

/// What must stand at the place of a file for it to be written.
pub(crate) enum Expected {
    /// Anything or nothing.
    Anything,
    /// Nothing.
    Nothing,
    /// What was read.
    Content(Wiped<Vec<u8>>),
}

impl Done {
    /// Data for standard output.
    pub(crate) fn data(bytes: Vec<u8>) -> Self {
        Self { data: bytes.into(), ..Self::default() }
    }

    /// A sealed text for standard output.
    pub(crate) fn sealed(text: String) -> Self {
        Self { sealed: text.into_bytes(), ..Self::default() }
    }

    /// A file in the place of what was read; nothing, if it is the same.
    pub(crate) fn replace(path: &Path, old: &str, new: Vec<u8>) -> Self {
        let (old, new): (Wiped<_>, Wiped<_>) = (old.as_bytes().to_vec().into(), new.into());
        if *old == *new {
            return Self::default();
        }
        let write = Write { before: Expected::Content(old), ..Write::new(path, new) };
        Self { write: Some(write), ..Self::default() }
    }
}

/// Whether files may be worked on at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// On all cores.
    SideBySide,
    /// One after the other: the user is asked something.
    InTurn,
}

/// Works on every file.
///
/// The exit code: of one file, its own; of several, 1 if one failed.
pub(crate) fn run(
    ctx: &Ctx,
    files: &[PathBuf],
    order: Order,
    work: impl Fn(&Path) -> Result<Done, Error> + Sync,
) -> Exit {
    let files = &distinct(ctx, files);
    let bar = Bar::new(ctx, files.len());
    let (chunk, threads) = match order {
        Order::InTurn => (1, 1),
        // The number of cores is a question of its own to the system, a tenth of a short run.
        Order::SideBySide if files.len() < 2 => (1, 1),
        Order::SideBySide => (CHUNK, thread::available_parallelism().map_or(1, usize::from)),
    };
    let mut failures: Vec<Exit> = Vec::new();
    for files in files.chunks(chunk) {
        let results = side_by_side(files, threads, |path: &PathBuf| {
            let result = work(path).map_err(|error| with_copy(error.about(path), path));
            bar.tick();
            result
        });
        let written = write_all(&results);
        bar.clear();
        for (result, written) in results.iter().zip(written) {
            match tell(ctx, result, written) {
                Ok(exit::SUCCESS) => {}
                Ok(exit) => failures.push(exit),
                Err(error) => return finish_early(ctx, &error),
            }
        }
    }
    match (files.len(), failures.as_slice()) {
        (_, []) => exit::SUCCESS,
        (1, [exit, ..]) => *exit,
        (all, failures) => {
            let text = format!("{} of {all} files failed", failures.len());
            ctx.out.error(&Error::new(exit::GENERIC, text));
            exit::GENERIC
        }
    }
}

/// A file that cannot be used may be torn: it was mounted by itself, and its writer was killed.
fn with_copy(error: Error, path: &Path) -> Error {
    match interrupted_copy(path) {
        Some(copy) => error.hint(format!(
            "its last writer was interrupted: {} holds what it was to be, whole",
            copy.display()
        )),
        None => error,
    }
}

/// The files, each once.
fn distinct(ctx: &Ctx, files: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    files.iter().filter(|path| seen.insert(ctx.absolute(path))).cloned().collect()
}

/// Tells what came of standard input.
pub(crate) fn one(ctx: &Ctx, result: Result<Done, Error>) -> Exit {
    let results = [result];
    let written = write_all(&results);
    let told = results
        .iter()
        .zip(written)
        .try_fold(exit::SUCCESS, |_, (result, written)| tell(ctx, result, written));
    told.unwrap_or_else(|error| finish_early(ctx, &error))
}

/// Standard output cannot be written to: there is no use in going on.
fn finish_early(ctx: &Ctx, error: &Error) -> Exit {
    if !error.is_closed_pipe() {
        ctx.out.error(error);
    }
    error.exit()
}

/// Tells what came of one file. An error is one of standard output.
fn tell(
    ctx: &Ctx,
    result: &Result<Done, Error>,
    written: Result<Vec<String>, Error>,
) -> Result<Exit, Error> {
    let done = match result {
        Ok(done) => done,
        Err(error) => {
            ctx.out.error(error);
            return Ok(error.exit());
        }
    };
    for line in &done.lines {
        ctx.out.line(line);
    }
    ctx.out.data(&done.data)?;
    ctx.out.data(&done.sealed)?;
    match written {
        Ok(notes) => {
            for line in &done.lines_after {
                ctx.out.line(line);
            }
            for note in notes.iter().chain(&done.notes) {
                ctx.out.note(note);
            }
        }
        Err(error) => {
            ctx.out.error(&error);
            return Ok(error.exit());
        }
    }
    if let Some(finding) = &done.finding {
        ctx.out.error(finding);
        return Ok(finding.exit());
    }
    Ok(exit::SUCCESS)
}

/// Writes what is to be written; for each file what should be known, or why it was not written.
fn write_all(results: &[Result<Done, Error>]) -> Vec<Result<Vec<String>, Error>> {
    let writes: Vec<&Write> = results.iter().filter_map(to_write).collect();
    for write in writes.iter().filter(|write| write.folders) {
        // If it fails, the file is not written, which is told.
        let _ = write.path.parent().map(std::fs::create_dir_all);
    }
    let jobs: Vec<Job<'_>> = writes.iter().map(|it| it.job()).collect();
    let mut written = replace_all(&jobs).into_iter().zip(&writes);
    results
        .iter()
        .map(|result| {
            if to_write(result).is_none() {
                return Ok(Vec::new());
            }
            match written.next() {
                Some((Ok(written), write)) => Ok(written
                    .notes
                    .iter()
                    .map(|note| format!("{}: {note}", write.path.display()))
                    .collect()),
                Some((Err(error), write)) => Err(write_error(&error, &write.path)),
                None => Ok(Vec::new()),
            }
        })
        .collect()
}

fn to_write(result: &Result<Done, Error>) -> Option<&Write> {
    result.as_ref().ok()?.write.as_ref()
}

impl Write {
    /// This content, whatever stands there.
    pub(crate) fn new(path: &Path, content: impl Into<Wiped<Vec<u8>>>) -> Self {
        let (path, content) = (path.to_owned(), content.into());
        Self { path, content, before: Expected::Anything, folders: false }
    }

    /// Writes this file alone.
    pub(crate) fn run(&self) -> Result<Written, WriteError> {
        let job = self.job();
        replace(job.path, job.content, job.before)
    }

    /// As the writer of files takes it.
    fn job(&self) -> Job<'_> {
        let before = match &self.before {
            Expected::Anything => Before::Anything,
            Expected::Nothing => Before::Nothing,
            Expected::Content(content) => Before::Content(content),
        };
        Job { path: &self.path, content: &self.content, before }
    }
}

/// Why a file could not be written.
pub(crate) fn write_error(error: &WriteError, path: &Path) -> Error {
    if let WriteError::Io { source, .. } = error
        && source.kind() == io::ErrorKind::BrokenPipe
    {
        return Error::closed_pipe();
    }
    Error::of(exit::CANNOT_WRITE, error).about(path)
}

/// Files whose results are held in memory at once.
const CHUNK: usize = 256;

//! Many files in one run: side by side, with a bar when it takes long, on after a failure.
//!
//! Invariants: what a file gives is told in the order of the files, whatever finished first; a file
//! that fails is left as it was and does not stop the others; the result of a run over one file is
//! the result of that file; a cause that files have in common, such as a server that is away, is told in
//! the error of the first.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::bar::Bar;
use super::context::Ctx;
use super::error::{Cause, Error};
use super::exit::{self, Exit};
use crate::os::fs::{
    Before, Job, Swept, WriteError, Written, interrupted_copy, make_folders, name, place, replace,
    replace_all,
};
use crate::os::threads::side_by_side;
use crate::secret::Wiped;
use crate::shown::Show;

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
    /// It was done, and `data` says what is not good: a line at the end tells how many files that is.
    pub(crate) counted: Option<Counted>,
}

/// A finding that many files have in common, and that is no failure.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    /// What a run ends with that found nothing else.
    pub(crate) exit: Exit,
    /// What one file has, behind `1 file`.
    pub(crate) one: &'static str,
    /// What several files have, behind `2 files`.
    pub(crate) many: &'static str,
}

/// A file to write.
pub(crate) struct Write {
    pub(crate) path: PathBuf,
    pub(crate) content: Wiped<Vec<u8>>,
    pub(crate) before: Expected,
    /// The folder of `--output-dir`: folders are made below it, and no symlink there is followed.
    pub(crate) below: Option<PathBuf>,
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

/// Works on every file, to replace it: on one with several names once.
///
/// The exit code: of one file, its own; of several, 1 if one failed, else that of what was counted.
pub(crate) fn run(
    ctx: &Ctx,
    files: &[PathBuf],
    order: Order,
    work: impl Fn(&Path) -> Result<Done, Error> + Sync,
) -> Exit {
    run_distinct(ctx, &distinct(files, place), order, &work)
}

/// Works on every name, to read it: a symlink gives a result of its own.
pub(crate) fn run_each_name(
    ctx: &Ctx,
    files: &[PathBuf],
    order: Order,
    work: impl Fn(&Path) -> Result<Done, Error> + Sync,
) -> Exit {
    run_distinct(ctx, &distinct(files, name), order, &work)
}

fn run_distinct(
    ctx: &Ctx,
    files: &[PathBuf],
    order: Order,
    // One piece of machine code for all commands.
    work: &(dyn Fn(&Path) -> Result<Done, Error> + Sync),
) -> Exit {
    let bar = Bar::new(ctx, files.len());
    let (chunk, threads) = match order {
        Order::InTurn => (1, 1),
        // The number of cores is a question of its own to the system, a tenth of a short run.
        Order::SideBySide if files.len() < 2 => (1, 1),
        // Two at least: those who wait for a server leave their place to the next.
        Order::SideBySide => {
            (CHUNK, thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
        }
    };
    let mut told = Told::default();
    let mut places = Places::default();
    let mut done = 0;
    for files in files.chunks(chunk) {
        if told.unheard.is_some() {
            break;
        }
        let results = side_by_side(&ctx.crew, files, threads, |path: &PathBuf| {
            let result = work(path).map_err(|error| with_copy(error.about(path), path));
            bar.tick();
            result
        });
        let written = write_all(&results, &mut places);
        bar.clear();
        for (result, written) in results.iter().zip(written) {
            told.tell(ctx, result, written);
        }
        done += files.len();
    }
    told.exit(ctx, files.len(), done)
}

/// A file that cannot be used may be torn: it was mounted by itself, and its writer was killed.
fn with_copy(error: Error, path: &Path) -> Error {
    match interrupted_copy(path) {
        Some(copy) => error.hint(format!(
            "its last writer was interrupted: {} holds what it was to be, whole",
            copy.shown()
        )),
        None => error,
    }
}

/// The files, each once, by what its path stands for.
fn distinct(files: &[PathBuf], key: impl Fn(&Path) -> PathBuf) -> Vec<PathBuf> {
    if files.len() < 2 {
        return files.to_owned();
    }
    let mut seen = HashSet::new();
    files.iter().filter(|path| seen.insert(key(path))).cloned().collect()
}

/// Tells what came of standard input.
pub(crate) fn one(ctx: &Ctx, result: Result<Done, Error>) -> Exit {
    let results = [result];
    let written = write_all(&results, &mut Places::default());
    let mut told = Told::default();
    for (result, written) in results.iter().zip(written) {
        told.tell(ctx, result, written);
    }
    told.exit(ctx, 1, 1)
}

/// What the user was told of.
#[derive(Default)]
struct Told {
    /// The codes of the files that failed.
    failures: Vec<Exit>,
    /// Causes that were told, and of which file.
    causes: HashMap<Cause, PathBuf>,
    /// What was counted, all of one kind, and in how many files.
    counted: Option<(Counted, usize)>,
    /// Standard output takes no more: there is no use in going on. What was done is told all the
    /// same, since it may have failed.
    unheard: Option<Error>,
}

impl Told {
    /// Tells what came of one file.
    fn tell(
        &mut self,
        ctx: &Ctx,
        result: &Result<Done, Error>,
        written: Result<Vec<String>, Error>,
    ) {
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.fail(ctx, error),
        };
        for line in &done.lines {
            ctx.out.line(line);
        }
        if self.unheard.is_none() {
            let told = ctx.out.data(&done.data).and_then(|()| ctx.out.data(&done.sealed));
            self.unheard = told.err();
        }
        match written {
            Ok(notes) => {
                for line in &done.lines_after {
                    ctx.out.line(line);
                }
                for note in notes.iter().chain(&done.notes) {
                    ctx.out.note(note);
                }
            }
            Err(error) => return self.fail(ctx, &error),
        }
        if let Some(finding) = &done.finding {
            self.fail(ctx, finding);
        }
        if let Some(counted) = done.counted {
            self.counted.get_or_insert((counted, 0)).1 += 1;
        }
    }

    fn fail(&mut self, ctx: &Ctx, error: &Error) {
        if error.is_closed_pipe() {
            self.unheard.get_or_insert_with(Error::closed_pipe);
            return;
        }
        match self.told_of(error) {
            Some(files) => ctx.out.error(&error.told_for(&files)),
            None => ctx.out.error(error),
        }
        if error.exit() != exit::SUCCESS {
            self.failures.push(error.exit());
        }
    }

    /// The files in whose errors every cause of this one was told; else it will tell those that are new.
    fn told_of(&mut self, error: &Error) -> Option<String> {
        let mut files: Vec<String> = Vec::new();
        let mut all = !error.causes().is_empty();
        for cause in error.causes() {
            match self.causes.get(cause) {
                Some(file) => {
                    let file = file.shown().to_string();
                    if !files.contains(&file) {
                        files.push(file);
                    }
                }
                None => {
                    all = false;
                    if let Some(file) = error.file() {
                        self.causes.insert(cause.clone(), file.to_owned());
                    }
                }
            }
        }
        all.then(|| files.join(" and "))
    }

    /// The exit code of a run over `all` files, of which `done` were worked on.
    fn exit(self, ctx: &Ctx, all: usize, done: usize) -> Exit {
        if let Some(error) = self.unheard.as_ref().filter(|error| !error.is_closed_pipe()) {
            ctx.out.error(error);
            return error.exit();
        }
        let counted = self.counted.map(|(counted, count)| {
            let text = match count {
                1 => format!("1 file {}", counted.one),
                _ => format!("{count} files {}", counted.many),
            };
            ctx.out.error(&Error::new(counted.exit, text));
            counted.exit
        });
        match (all, self.failures.as_slice()) {
            // The reader had what it wanted, but what nobody looked at is not known to be good.
            (_, []) if done < all => exit::GENERIC,
            (_, []) => counted.unwrap_or(exit::SUCCESS),
            (1, [exit, ..]) => *exit,
            (_, failures) => {
                let text = format!("{} of {all} files failed", failures.len());
                ctx.out.error(&Error::new(exit::GENERIC, text));
                exit::GENERIC
            }
        }
    }
}

/// Where one run was.
#[derive(Default)]
struct Places {
    written: HashSet<PathBuf>,
    swept: Swept,
}

/// Writes what is to be written; for each file what should be known, or why it was not written.
///
/// Nothing is written twice: one result would be lost.
fn write_all(
    results: &[Result<Done, Error>],
    places: &mut Places,
) -> Vec<Result<Vec<String>, Error>> {
    let writes: Vec<Option<Result<&Write, Error>>> = results
        .iter()
        .map(|result| {
            let write = result.as_ref().ok()?.write.as_ref()?;
            Some(write.check_place(&mut places.written).map(|()| write))
        })
        .collect();
    let jobs: Vec<Job<'_>> = writes.iter().flatten().flatten().map(|write| write.job()).collect();
    let mut written = replace_all(&jobs, &mut places.swept).into_iter();
    writes
        .into_iter()
        .map(|write| {
            let Some(write) = write else { return Ok(Vec::new()) };
            let write = write?;
            match written.next() {
                Some(Ok(written)) => {
                    let path = write.path.shown();
                    Ok(written.notes.iter().map(|note| format!("{path}: {note}")).collect())
                }
                Some(Err(error)) => Err(write_error(&error, &write.path)),
                None => Ok(Vec::new()),
            }
        })
        .collect()
}

impl Write {
    /// This content, whatever stands there.
    pub(crate) fn new(path: &Path, content: impl Into<Wiped<Vec<u8>>>) -> Self {
        let (path, content) = (path.to_owned(), content.into());
        Self { path, content, before: Expected::Anything, below: None }
    }

    /// Writes this file alone.
    pub(crate) fn run(&self) -> Result<Written, WriteError> {
        let job = self.job();
        replace(job.path, job.content, job.before)
    }

    /// Whether the file may be written there; makes the folders that it is to stand in.
    fn check_place(&self, places: &mut HashSet<PathBuf>) -> Result<(), Error> {
        if let Some(folder) = &self.below {
            make_folders(folder, &self.path)
                .map_err(|error| Error::of(exit::CANNOT_WRITE, &error).about(&self.path))?;
        }
        if !places.insert(place(&self.path)) {
            let text = "another of the files was written there; the result of this one was not";
            return Err(Error::new(exit::CANNOT_WRITE, text).about(&self.path));
        }
        Ok(())
    }

    /// As the writer of files takes it.
    fn job(&self) -> Job<'_> {
        let before = match &self.before {
            Expected::Anything => Before::Anything,
            Expected::Nothing => Before::Nothing,
            Expected::Content(content) => Before::Content(content),
        };
        Job { path: &self.path, content: &self.content, before, private: false }
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

/// Files whose results are held in memory at once, and that share requests: full ones of Vault have 100
/// items.
const CHUNK: usize = 200;

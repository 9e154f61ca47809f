//! What git knows of a file.
//!
//! Invariant: a reference that a user typed is never taken for an option.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Why git did not tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// It cannot be run.
    #[error("git cannot be run: {0}")]
    Start(#[source] io::Error),
    /// No such commit, or no repository.
    #[error("git knows no commit {reference:?} here")]
    NoCommit {
        /// What was asked for.
        reference: String,
    },
    /// The file cannot be read out of the commit.
    #[error("git cannot read the file at {reference:?}")]
    NoBlob {
        /// Where.
        reference: String,
    },
    /// What it holds is no text.
    #[error("the file at {reference:?} is not UTF-8")]
    NotUtf8 {
        /// Where.
        reference: String,
    },
}

/// A file as a commit has it; `None`: the commit does not have it. The path is absolute.
///
/// # Errors
///
/// If git is not there, or there is no such commit.
pub fn show(file: &Path, reference: &str) -> Result<Option<String>, GitError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let name = file.file_name().unwrap_or_default();
    let commit = format!("{reference}^{{commit}}");
    let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let found = git(folder, &words.map(OsString::from))?;
    if !found.status.success() {
        return Err(GitError::NoCommit { reference: reference.to_owned() });
    }
    let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let mut blob = OsString::from(format!("{commit}:./"));
    blob.push(name);
    let there = git(folder, &["cat-file".into(), "-e".into(), blob.clone()])?;
    if !there.status.success() {
        return Ok(None);
    }
    let content = git(folder, &["cat-file".into(), "blob".into(), blob])?;
    if !content.status.success() {
        return Err(GitError::NoBlob { reference: reference.to_owned() });
    }
    String::from_utf8(content.stdout)
        .map(Some)
        .map_err(|_| GitError::NotUtf8 { reference: reference.to_owned() })
}

fn git(folder: &Path, words: &[OsString]) -> Result<Output, GitError> {
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(GitError::Start)
}

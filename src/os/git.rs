//! What git knows of a file.
//!
//! Invariants: a reference that a user typed is never taken for an option; git is started in a folder that
//! holds `.git`, which no commit can bring but as a submodule, whose configuration is not its own. In any
//! other folder a file `HEAD`, a file `config` and two folders, all committed as usual, would be a repository
//! to it, whose configuration names programs. The outermost repository is asked first: a folder that a commit
//! replaced by a submodule has no say about what it was.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::shown::Show;

/// Why git did not tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// It cannot be run.
    #[error("git cannot be run: {0}")]
    Start(#[source] io::Error),
    /// No such commit, or no repository.
    #[error("git knows no commit {} here", reference.shown())]
    NoCommit {
        /// What was asked for.
        reference: String,
    },
    /// The file cannot be read out of the commit.
    #[error("git cannot read the file at {}", reference.shown())]
    NoBlob {
        /// Where.
        reference: String,
    },
    /// A link in the commit leads out of the repository, or nowhere.
    #[error("the file at {} is behind a link that leads nowhere in the repository", reference.shown())]
    Link {
        /// Where.
        reference: String,
    },
    /// What it holds is no text.
    #[error("the file at {} is not UTF-8", reference.shown())]
    NotUtf8 {
        /// Where.
        reference: String,
    },
}

/// A file as a commit has it, by its name there and, if the commit does not know that, by the one that
/// symlinks lead to; `None`: it has neither. The path is absolute.
///
/// # Errors
///
/// If git is not there, there is no such commit, or the file cannot be read out of it.
pub fn show(file: &Path, reference: &str) -> Result<Option<String>, GitError> {
    let real = file.canonicalize().ok().filter(|real| real != file);
    // Whether the repository that is nearest to the file knows the commit.
    let mut is_known = false;
    for name in [Some(file), real.as_deref()].into_iter().flatten() {
        for root in roots(name) {
            is_known = false;
            let Some(commit) = commit(root, reference)? else { continue };
            is_known = true;
            let inside = name.strip_prefix(root).unwrap_or(name);
            if let Some(text) = blob(root, &commit, inside, reference)? {
                return Ok(Some(text));
            }
        }
    }
    if is_known { Ok(None) } else { Err(GitError::NoCommit { reference: reference.to_owned() }) }
}

/// The folders above a file that hold `.git` (a folder, or the file of a submodule or a linked work tree),
/// the outermost first.
fn roots(file: &Path) -> Vec<&Path> {
    let holds = |folder: &&Path| folder.join(".git").symlink_metadata().is_ok();
    let mut roots: Vec<&Path> = file.ancestors().skip(1).filter(holds).collect();
    roots.reverse();
    roots
}

fn commit(root: &Path, reference: &str) -> Result<Option<String>, GitError> {
    let commit = format!("{reference}^{{commit}}");
    let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let found = git(root, &words).output().map_err(GitError::Start)?;
    let id = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    Ok(found.status.success().then_some(id))
}

/// The content of a file of a commit; links in the commit are followed.
fn blob(
    root: &Path,
    commit: &str,
    inside: &Path,
    reference: &str,
) -> Result<Option<String>, GitError> {
    let reference = || reference.to_owned();
    let mut object = OsString::from(format!("{commit}:"));
    object.push(inside);
    if object.as_bytes().iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        // It would be two objects.
        return Err(GitError::NoBlob { reference: reference() });
    }
    let mut child = git(root, &["cat-file", "--batch", "--follow-symlinks"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(GitError::Start)?;
    let told = ask(&mut child, object.as_bytes());
    let output = child.wait_with_output().map_err(GitError::Start)?;
    if told.is_err() || !output.status.success() {
        return Err(GitError::NoBlob { reference: reference() });
    }
    let Output { stdout, .. } = output;
    let line = stdout.iter().position(|&byte| byte == b'\n').unwrap_or(stdout.len());
    let (head, content) = stdout.split_at(line);
    let words: Vec<&[u8]> = head.split(|&byte| byte == b' ').collect();
    match words.as_slice() {
        [.., b"missing"] => return Ok(None),
        [_, b"blob", _] => {}
        [b"symlink" | b"dangling" | b"loop" | b"notdir", _] => {
            return Err(GitError::Link { reference: reference() });
        }
        _ => return Err(GitError::NoBlob { reference: reference() }),
    }
    // A line break before and behind it.
    let content = content.get(1..content.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8(content.to_vec())
        .map(Some)
        .map_err(|_| GitError::NotUtf8 { reference: reference() })
}

fn ask(child: &mut Child, object: &[u8]) -> io::Result<()> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    stdin.write_all(object)?;
    stdin.write_all(b"\n")
}

fn git(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["-c", "safe.bareRepository=explicit"]).args(words);
    // git sets these for its hooks and aliases: there they name another repository than the file's.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

//! From the errors of the library to exit codes and hints: the one place. What a seal says of a file
//! that was read becomes words in [`super::integrity`].
//!
//! Invariant: a hint never suggests to ignore the MAC.

use std::fmt::Write as _;

use super::error::{Cause, Error, NO_DATA_KEY, NoKey};
use super::exit;
use crate::file::FileError;
use crate::keys::MasterKey;
use crate::keyservice::{KeyError, KeyFailure, Looked, RecoverError, WrapError};
use crate::os::git::GitError;

/// What a text was taken for when it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A plaintext on its way to being sealed.
    Plain,
    /// The plaintext of an encrypted file, as `edit` or `set` changed it.
    Changed,
    /// An encrypted file.
    Encrypted,
}

/// An error about a text.
pub(crate) fn file(error: &FileError, role: Role) -> Error {
    let parse = match role {
        Role::Plain | Role::Changed => exit::CANNOT_READ,
        Role::Encrypted => exit::GENERIC,
    };
    match error {
        FileError::Parse(problem) if problem.problem.ends_with("which JSON does not have") => {
            Error::of(parse, error)
                .hint("JSON has neither comments nor commas at the end: remove them all")
        }
        FileError::Parse(_)
        | FileError::DuplicateKey(_)
        | FileError::TopLevelScalar { .. }
        | FileError::AliasBudget { .. }
        | FileError::LengthBudget { .. } => Error::of(parse, error),
        FileError::NoDocument => Error::of(exit::NO_DOCUMENT, error),
        FileError::AlreadyEncrypted { position } if role == Role::Changed => {
            let text = format!("{position}: a top-level entry called `sops` cannot be set");
            Error::new(exit::ALREADY_ENCRYPTED, text)
                .sops("The file you have provided contains a top-level entry called 'sops'")
                .hint("the name is reserved for the metadata: give the entry another one")
        }
        FileError::AlreadyEncrypted { .. } => Error::of(exit::ALREADY_ENCRYPTED, error)
            .sops("The file you have provided contains a top-level entry called 'sops'")
            .hint(
                "an encrypted file is changed with `waxseal edit`, `set` or `rotate`; \
                 in a plaintext, give that entry another name",
            ),
        FileError::NoMetadata => Error::of(exit::GENERIC, error)
            .hint("the file is not encrypted: `waxseal encrypt --in-place` does that"),
        FileError::DoubledMetadata { .. }
        | FileError::ForbiddenInMetadata { .. }
        | FileError::Metadata(_)
        | FileError::NotFound { .. }
        | FileError::Anchored { .. }
        | FileError::Random => Error::of(exit::GENERIC, error),
        FileError::NotSealed { .. } => Error::of(exit::CANNOT_DECRYPT, error)
            .hint("if you typed it into the encrypted file: take the line back, then `waxseal set`")
            .hint(HISTORY),
        FileError::Open { .. } | FileError::CommentAsValue { .. } => {
            Error::of(exit::CANNOT_DECRYPT, error)
                .hint("take the line back from a version that opens, then `waxseal set` or `edit`")
                .hint(HISTORY)
        }
        FileError::MacMissing
        | FileError::MacUnreadable
        | FileError::MacMismatch
        | FileError::Broken => broken(error),
        FileError::CommentRule { .. } => Error::of(exit::CANNOT_ENCRYPT, error),
        FileError::Edit(_) | FileError::Check { .. } => Error::of(exit::CANNOT_EXPRESS, error),
    }
}

fn broken(error: &FileError) -> Error {
    Error::of(exit::BROKEN, error).hint(HISTORY).hint(
        "if the change was meant, or a merge of two branches brought it, `waxseal reseal` \
             vouches for the file after a review",
    )
}

/// Who did it.
const HISTORY: &str = "compare it with an earlier version: git log -p shows who changed what";

/// No key gave the data key of a file.
pub(crate) fn recover(error: &RecoverError) -> Error {
    match error {
        RecoverError::NoKeys | RecoverError::SeveralGroups { .. } => Error::of(exit::NO_KEY, error),
        RecoverError::NoKeyWorked { failures } => {
            let mut report = NoKey::default();
            for failure in failures {
                report.keys.push((failure.key.to_string(), reasons(failure)));
                for error in &failure.errors {
                    if let KeyError::NoIdentity { looked } = error {
                        let new = looked.iter().filter(|it| !report.looked.contains(it));
                        let new: Vec<_> = new.cloned().collect();
                        report.looked.extend(new);
                    }
                }
            }
            let no_identity = |error: &KeyError| matches!(error, KeyError::NoIdentity { .. });
            let hint = failures.iter().any(|failure| failure.errors.iter().any(no_identity));
            let mut error = Error::no_key(report);
            if hint {
                error = error.hint(
                    "point SOPS_AGE_KEY_FILE at an identity for one of these recipients, \
                     or ask somebody who has one to add you with `waxseal updatekeys`",
                );
            }
            error.because(NO_DATA_KEY, failures.iter().map(cause).collect())
        }
    }
}

/// Why a key failed, as other files can fail by it.
fn cause(failure: &KeyFailure) -> Cause {
    let mut why = reasons(failure);
    let mut looked: Vec<&Looked> = Vec::new();
    for error in &failure.errors {
        if let KeyError::NoIdentity { looked: places } = error {
            looked.extend(places);
        }
    }
    for Looked { name, location, outcome } in &looked {
        let _ = write!(why, "\n{name} {location} {outcome}");
    }
    // Who has no identity at all has none for anybody.
    let has_none = !looked.is_empty() && !looked.iter().any(|it| it.is_of_another());
    Cause { place: if has_none { String::new() } else { place(&failure.key) }, why }
}

/// Where a cause lies that concerns this key: at its server, or in the key alone.
pub(crate) fn place(key: &MasterKey) -> String {
    match key {
        MasterKey::Vault { address, .. } => address.clone(),
        MasterKey::Age { recipient } => recipient.clone(),
        MasterKey::Foreign { kind, .. } => kind.field().to_owned(),
    }
}

fn reasons(failure: &KeyFailure) -> String {
    let errors: Vec<_> = failure.errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

/// git did not tell what a file was.
pub(crate) fn git(error: &GitError) -> Error {
    let told = Error::of(exit::GENERIC, error);
    match error {
        GitError::NoCommit { .. } => told.hint(
            "a branch of another repository is there after `git fetch origin BRANCH`; CI often \
             fetches one commit alone",
        ),
        _ => told,
    }
}

/// A data key could not be wrapped.
pub(crate) fn wrap(error: &WrapError) -> Error {
    let told = Error::of(exit::GENERIC, error);
    match error {
        WrapError::KeysFailed { failures } => {
            told.because("cannot wrap the data key", failures.iter().map(cause).collect())
        }
        WrapError::EmptyGroup { .. } | WrapError::SeveralGroups { .. } => told,
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, file};
    use crate::document::{Document, Format};
    use crate::file::FileError;

    #[test]
    fn a_text_that_does_not_parse_has_a_code_of_its_own_as_plaintext() {
        let error = Document::parse("{".into(), Format::Json).expect_err("no JSON");
        let error = FileError::from(error);
        assert_eq!(file(&error, Role::Plain).exit(), 2);
        assert_eq!(file(&error, Role::Encrypted).exit(), 1);
    }

    #[test]
    fn a_broken_file_is_51_and_no_hint_ignores_it() {
        for error in [
            FileError::MacMissing,
            FileError::MacUnreadable,
            FileError::MacMismatch,
            FileError::Broken,
        ] {
            let error = file(&error, Role::Encrypted);
            assert_eq!(error.exit(), 51);
            let text = error.render(crate::cli::error::Voice::Waxseal, false);
            assert!(!text.contains("ignore"));
        }
    }
}

//! Which configuration file is meant.
//!
//! Invariant: a configuration that nobody named is a file of the repository at hand, or belongs to somebody
//! who could do as he likes here anyway: who owns it decides who can open what is sealed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// What was found on the way up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Discovery {
    /// The first `.sops.yaml`.
    pub config: Option<PathBuf>,
    /// Why it is not taken.
    pub problem: Option<DiscoveryError>,
    /// The first `.sops.yml` that was passed: it is not used, which the user should know.
    pub ignored: Option<PathBuf>,
}

/// A configuration that is not taken unless it is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A pipe or a device has no end, or not the same content twice.
    #[error("is no regular file")]
    NoFile,
    /// Somebody else's, above the repository.
    #[error("belongs to another user (uid {uid}), who would say who can open your files")]
    Foreign {
        /// The other user.
        uid: u32,
    },
}

/// Looks for `.sops.yaml` in a directory and those above it.
#[must_use]
pub fn find_config(start: &Path) -> Discovery {
    find(start, geteuid().as_raw())
}

fn find(start: &Path, user: u32) -> Discovery {
    let mut found = Discovery::default();
    // Whoever has a folder's files in his hands is whom its owner let do that.
    let mut is_inside = start.ancestors().any(is_root);
    for dir in start.ancestors().take(LEVELS) {
        let config = dir.join(".sops.yaml");
        if let Ok(metadata) = config.metadata() {
            let owners = [metadata.uid(), config.symlink_metadata().map_or(0, |link| link.uid())];
            let here = start.metadata().map_or(user, |it| it.uid());
            let foreign = owners.into_iter().find(|uid| ![0, user, here].contains(uid));
            found.problem = problem(&metadata, foreign.filter(|_| !is_inside));
            found.config = Some(config);
            break;
        }
        let other = dir.join(".sops.yml");
        if found.ignored.is_none() && other.metadata().is_ok() {
            found.ignored = Some(other);
        }
        is_inside = is_inside && !is_root(dir);
    }
    found
}

fn problem(config: &Metadata, foreign: Option<u32>) -> Option<DiscoveryError> {
    match foreign {
        Some(uid) => Some(DiscoveryError::Foreign { uid }),
        // Reading a folder says what it is.
        None if config.is_file() || config.is_dir() => None,
        None => Some(DiscoveryError::NoFile),
    }
}

/// Whether a folder is the root of a repository.
fn is_root(folder: &Path) -> bool {
    folder.join(".git").symlink_metadata().is_ok()
}

/// As SOPS.
const LEVELS: usize = 100;

#[cfg(test)]
mod tests {
    use std::fs;

    use std::os::unix::fs::{MetadataExt, symlink};

    use super::{DiscoveryError, find, find_config};

    #[test]
    fn the_nearest_config_above_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("a/b/c");
        fs::create_dir_all(&deep).expect("made");
        fs::write(dir.path().join(".sops.yaml"), "").expect("written");
        fs::write(dir.path().join("a/.sops.yml"), "").expect("written");
        let found = find_config(&deep);
        assert_eq!(found.config, Some(dir.path().join(".sops.yaml")));
        assert_eq!(found.ignored, Some(dir.path().join("a/.sops.yml")));
        fs::write(deep.join(".sops.yaml"), "").expect("written");
        let found = find_config(&deep);
        assert_eq!((found.config, found.ignored), (Some(deep.join(".sops.yaml")), None));
    }

    #[test]
    fn a_config_of_somebody_else_above_the_repository_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shared, deep) = (dir.path().join("shared"), dir.path().join("shared/a/b"));
        fs::create_dir_all(&deep).expect("made");
        let config = shared.join(".sops.yaml");
        fs::write(&config, "").expect("written");
        let uid = config.metadata().expect("there").uid();
        assert_eq!(find_config(&deep).problem, None);
        // As for another user, in a folder of root's.
        let foreign = Some(DiscoveryError::Foreign { uid });
        let of = |user: u32, start: &str| find(&shared.join(start), user).problem;
        if uid == 0 {
            std::os::unix::fs::chown(&config, Some(4711), None).expect("root may");
            assert_eq!(of(0, "a/b"), Some(DiscoveryError::Foreign { uid: 4711 }));
            assert_eq!(of(4711, "a/b"), None);
            fs::create_dir(shared.join("a/.git")).expect("made");
            assert_eq!(of(0, "a/b"), Some(DiscoveryError::Foreign { uid: 4711 }));
            fs::create_dir(shared.join(".git")).expect("made");
            fs::remove_dir(shared.join("a/.git")).expect("removed");
            assert_eq!(of(0, "a/b"), None);
        } else {
            // Nobody but root gives files away; the folder is of the same owner.
            assert_eq!((of(uid + 1, "a/b"), foreign.is_some()), (None, true));
        }
    }

    #[test]
    fn a_config_that_has_no_end_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        symlink("/dev/zero", dir.path().join(".sops.yaml")).expect("linked");
        assert_eq!(find_config(dir.path()).problem, Some(DiscoveryError::NoFile));
    }
}

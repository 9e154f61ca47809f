//! Which configuration file is meant.

use std::path::{Path, PathBuf};

/// What was found on the way up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Discovery {
    /// The first `.sops.yaml`.
    pub config: Option<PathBuf>,
    /// The first `.sops.yml` that was passed: it is not used, which the user should know.
    pub ignored: Option<PathBuf>,
}

/// Looks for `.sops.yaml` in a directory and those above it.
#[must_use]
pub fn find_config(start: &Path) -> Discovery {
    let mut found = Discovery::default();
    for dir in start.ancestors().take(LEVELS) {
        let config = dir.join(".sops.yaml");
        if config.metadata().is_ok() {
            found.config = Some(config);
            break;
        }
        let other = dir.join(".sops.yml");
        if found.ignored.is_none() && other.metadata().is_ok() {
            found.ignored = Some(other);
        }
    }
    found
}

/// As SOPS.
const LEVELS: usize = 100;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::find_config;

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
}

//! The servers that the user said yes to: a file in the user's own configuration, an address a line.
//!
//! Invariants: an entry allows the server that it names and no other; a line that is no address allows
//! none; what others wrote into the file is kept.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::env::Env;
use super::fs::{Before, ReadError, read_bytes, replace};
use crate::keyservice::vault::Address;
use crate::shown::Show;

/// The file of a user.
pub struct KnownServers {
    path: PathBuf,
}

impl KnownServers {
    /// That of this environment; `None`: the user has no place for configuration.
    #[must_use]
    pub fn new(env: &Env) -> Option<Self> {
        Some(Self { path: env.user_config_dir()?.join("waxseal/vault-servers") })
    }

    /// Those that the user said yes to.
    ///
    /// # Errors
    ///
    /// If there is a file that cannot be read; says why, with its path.
    pub fn all(&self) -> Result<Vec<Address>, String> {
        let bytes = match read_bytes(&self.path) {
            Ok(bytes) => bytes,
            Err(ReadError::NotFound) => return Ok(Vec::new()),
            Err(error) => return Err(format!("{}: {error}", self.path.shown())),
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().filter_map(|line| Address::parse(line.trim()).ok()).collect())
    }

    /// Remembers a yes; gives the place.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; says why, with its path.
    pub fn add(&self, server: &Address) -> Result<String, String> {
        let shown = self.path.shown().to_string();
        let problem = |error: &dyn std::fmt::Display| format!("{shown}: {error}");
        if let Some(folder) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| problem(&error))?;
        }
        let old = match read_bytes(&self.path) {
            Ok(bytes) => Some(bytes),
            Err(ReadError::NotFound) => None,
            Err(error) => return Err(problem(&error)),
        };
        let mut new = old.clone().unwrap_or_else(|| HEAD.as_bytes().to_vec());
        if new.last().is_some_and(|byte| *byte != b'\n') {
            new.push(b'\n');
        }
        new.extend_from_slice(format!("{server}\n").as_bytes());
        let before = old.as_deref().map_or(Before::Nothing, Before::Content);
        drop(replace(&self.path, &new, before).map_err(|error| problem(&error))?);
        Ok(shown)
    }
}

const HEAD: &str = "# Servers that may get your Vault token although only a file names them\n";

#[cfg(test)]
mod tests {
    use super::{Address, Env, KnownServers};

    #[test]
    fn a_yes_counts_for_one_server_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().to_str().expect("a text");
        let known = KnownServers::new(&Env::of(&[("XDG_CONFIG_HOME", config)])).expect("a place");
        let server = |text| Address::parse(text).expect("an address");
        let contains = |text| known.all().map(|known| known.contains(&server(text)));
        assert_eq!(contains("https://a"), Ok(false));
        known.add(&server("https://a")).expect("written");
        known.add(&server("https://b:8200")).expect("written");
        assert_eq!(contains("https://A:443/"), Ok(true));
        assert_eq!(contains("https://b:8200"), Ok(true));
        for other in ["https://b", "http://a", "https://a.evil", "https://a:8200"] {
            assert_eq!(contains(other), Ok(false), "{other}");
        }
        let text = std::fs::read_to_string(folder.path().join("waxseal/vault-servers"));
        assert_eq!(text.expect("text").lines().count(), 3);
    }
}

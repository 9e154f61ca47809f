//! Where the programs of Vault and OpenBao keep a token: with a token helper, or in a file.
//!
//! Invariants: a file is replaced whole and is its owner's alone, whoever could write beside it; nothing of
//! another user is written to; a token goes to a helper over its standard input, never as a word; no helper is
//! waited for longer than half a minute.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::env::Env;
use super::fs::{ReadError, WriteError, own_place, read, read_bytes, replace_own};
use crate::keyservice::vault::Address;
use crate::keyservice::vault::settings::{CONFIG_PATH, TOKEN_FILE, TOKEN_PATH};
use crate::secret::{SecretText, Wiped};
use crate::shown::Show;

/// Where a token is kept between runs.
pub enum TokenStore {
    /// A program that the configuration of `vault` or `bao` names.
    Helper {
        /// Its command line, for a shell.
        line: String,
        /// Where it is named.
        config: PathBuf,
    },
    /// A file.
    File(PathBuf),
}

/// Why a token is not read, kept or removed. Never says what it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The configuration that the user names cannot be read.
    #[error("{name}: {}: {source}", config.shown())]
    Config {
        /// The variable that names it.
        name: &'static str,
        /// Its path.
        config: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// It names a helper by what is no absolute path, as the servers' own programs refuse too.
    #[error("{}: token_helper is no absolute path", config.shown())]
    Relative {
        /// The path of the configuration.
        config: PathBuf,
    },
    /// The helper failed.
    #[error("the token helper {}, which {} names: {problem}", Path::new(line).shown(), config.shown())]
    Helper {
        /// Its command line.
        line: String,
        /// Where it is named.
        config: PathBuf,
        /// What it says, on one line.
        problem: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", path.shown())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The file cannot be written.
    #[error("{}: {source}", path.shown())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
    /// The file cannot be removed.
    #[error("{}: {source}", path.shown())]
    Remove {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is kept is no UTF-8.
    #[error("{place}: is not text")]
    NotText {
        /// Where.
        place: String,
    },
}

impl TokenStore {
    /// That of this user. `None`: it is not known where a file would be.
    ///
    /// # Errors
    ///
    /// If the configuration names a helper by what is no absolute path, or cannot be read although the user
    /// names it.
    pub fn of(env: &Env) -> Result<Option<Self>, StoreError> {
        let setting = |names| env.setting(names).map(|(_, path)| PathBuf::from(path));
        let named = env.setting(CONFIG_PATH);
        for config in configs(env) {
            let text = match (read(&config), &named) {
                (Ok(text), _) => text,
                // The programs of the servers take none for an empty one.
                (Err(ReadError::NotFound), _) => continue,
                (Err(source), Some((name, _))) => {
                    return Err(StoreError::Config { name, config, source });
                }
                // What else stands at its place (Ansible's folder of the same name) is passed over.
                (Err(_), None) => continue,
            };
            if let Some(line) = token_helper(&text) {
                if !Path::new(&line).is_absolute() {
                    return Err(StoreError::Relative { config });
                }
                return Ok(Some(Self::Helper { line, config }));
            }
        }
        let file = setting(TOKEN_PATH).or_else(|| setting(TOKEN_FILE));
        Ok(file.or_else(|| Some(env.home()?.join(".vault-token"))).map(Self::File))
    }

    /// What of the configurations of `vault` or `bao` is not read, if there is something.
    #[must_use]
    pub fn passed_over(env: &Env) -> Option<String> {
        for config in configs(env) {
            let Ok(text) = read(&config) else { continue };
            if let Some(line) = unread(&text) {
                let config = config.shown();
                return Some(format!(
                    "{config}: line {line} is passed over: only `token_helper = \"/PATH\"` is read there"
                ));
            }
            if token_helper(&text).is_some() {
                return None;
            }
        }
        None
    }

    /// Whether it is a file that is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Helper { .. } => false,
            Self::File(path) => !path.exists(),
        }
    }

    /// Whether the user chose it, and it is not the usual file.
    #[must_use]
    pub fn is_chosen(&self, env: &Env) -> bool {
        match self {
            Self::Helper { .. } => true,
            Self::File(path) => env.home().is_none_or(|home| *path != home.join(".vault-token")),
        }
    }

    /// Whether it is a file that other users of this machine can read.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        match self {
            Self::Helper { .. } => false,
            Self::File(path) => {
                std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o044 != 0)
            }
        }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Helper { line, .. } => format!("the token helper {}", Path::new(line).shown()),
            Self::File(path) => path.shown().to_string(),
        }
    }

    /// How the user removes what is kept, by hand.
    #[must_use]
    pub fn by_hand(&self) -> String {
        match self {
            Self::Helper { line, .. } => format!("run `{} erase`", Path::new(line).shown()),
            Self::File(path) => format!("remove {}", path.shown()),
        }
    }

    /// What is kept, without the blanks around it; `None`: nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn get(&self, server: &Address) -> Result<Option<SecretText>, StoreError> {
        let bytes = match self {
            Self::Helper { line, config } => helped(line, config, "get", server, None)?,
            Self::File(path) => match read_bytes(path).map(Wiped::from) {
                Ok(bytes) => bytes,
                Err(ReadError::NotFound) => return Ok(None),
                Err(source) => return Err(StoreError::Read { path: path.clone(), source }),
            },
        };
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| StoreError::NotText { place: self.shown() })?.trim();
        Ok((!text.is_empty()).then(|| SecretText::new(text.to_owned())))
    }

    /// Looks whether a token can be kept, before one is made.
    ///
    /// # Errors
    ///
    /// If it cannot, as far as can be seen without one: a helper is not asked.
    pub fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Helper { .. } => Ok(()),
            Self::File(path) => own_place(path).map(drop).map_err(unwritten(path)),
        }
    }

    /// Keeps a token.
    ///
    /// # Errors
    ///
    /// If it cannot be kept.
    pub fn store(&self, server: &Address, token: &SecretText) -> Result<(), StoreError> {
        match self {
            Self::Helper { line, config } => {
                helped(line, config, "store", server, Some(token)).map(drop)
            }
            Self::File(path) => {
                let written = replace_own(path, token.expose_secret().as_bytes());
                written.map(drop).map_err(unwritten(path))
            }
        }
    }

    /// Keeps none.
    ///
    /// # Errors
    ///
    /// If what is kept cannot be removed.
    pub fn erase(&self, server: &Address) -> Result<(), StoreError> {
        match self {
            Self::Helper { line, config } => helped(line, config, "erase", server, None).map(drop),
            Self::File(path) => match std::fs::remove_file(path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(StoreError::Remove { path: path.clone(), source })
                }
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }
}

fn unwritten(path: &Path) -> impl Fn(WriteError) -> StoreError {
    move |source| StoreError::Write { path: path.to_owned(), source }
}

/// What a helper prints.
fn helped(
    line: &str,
    config: &Path,
    word: &str,
    server: &Address,
    input: Option<&SecretText>,
) -> Result<Wiped<Vec<u8>>, StoreError> {
    run(line, word, server, input, PATIENCE).map_err(|problem| {
        let (line, config) = (line.to_owned(), config.to_owned());
        StoreError::Helper { line, config, problem }
    })
}

/// Where the configuration of `vault` and `bao` may be.
fn configs(env: &Env) -> Vec<PathBuf> {
    match env.setting(CONFIG_PATH) {
        Some((_, path)) => vec![PathBuf::from(path)],
        None => [".bao", ".vault"].iter().filter_map(|it| Some(env.home()?.join(it))).collect(),
    }
}

/// The first line that says something else than where the token helper is, or says that in another way.
fn unread(text: &str) -> Option<usize> {
    let says_nothing = |line: &str| {
        let line = line.trim().trim_start_matches(['{', '}']).trim();
        line.is_empty() || ["#", "//", "/*", "*"].iter().any(|it| line.starts_with(it))
    };
    let is_read = |line: &str| says_nothing(line) || token_helper(line).is_some();
    text.lines().position(|line| !is_read(line)).map(|at| at + 1)
}

/// The one key that such a configuration has, in HCL or JSON: `token_helper = "/path"`.
fn token_helper(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| {
        let line = line.trim().trim_start_matches('{').trim_start();
        line.strip_prefix("token_helper").or_else(|| line.strip_prefix("\"token_helper\""))
    })?;
    let value = line.trim_start().strip_prefix(['=', ':'])?.trim_start().strip_prefix('"')?;
    let (path, _) = value.split_once('"')?;
    Some(path.to_owned())
}

/// How long a helper is waited for: it may ask its own server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a token helper through the shell, the address in its environment: what it prints.
fn run(
    line: &str,
    word: &str,
    server: &Address,
    input: Option<&SecretText>,
    patience: Duration,
) -> Result<Wiped<Vec<u8>>, String> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{line} {word}")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    for name in ["BAO_ADDR", "VAULT_ADDR"] {
        command.env(name, server.to_string());
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (pipe, input) = (child.stdin.take(), input.map(SecretText::copy));
    let pid = Pid::from_child(&child);
    let (ended, end) = channel();
    let wait = move || {
        if let (Some(mut pipe), Some(input)) = (pipe, input) {
            // One that does not read says so by how it ends.
            let _ = pipe.write_all(input.expose_secret().as_bytes());
        }
        // Nobody hears it if it comes too late.
        let _ = ended.send(child.wait_with_output());
    };
    let thread = std::thread::Builder::new().spawn(wait).map_err(|error| error.to_string())?;
    let output: Output = match end.recv_timeout(patience) {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            if !thread.is_finished() {
                // It may have ended since, but nobody has waited for it.
                let _ = kill_process(pid, Signal::TERM);
            }
            return Err(format!("it does not end, {} seconds are over", patience.as_secs()));
        }
    };
    let printed = Wiped::from(output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default().trim().to_owned();
        return Err(format!("{}: {}", output.status, first.shown()));
    }
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Address, run, unread};

    #[test]
    fn a_helper_that_does_not_end_is_not_waited_for() {
        let server = Address::parse("https://vault").expect("an address");
        let none = run("exec sleep 1000 #", "get", &server, None, Duration::ZERO).err();
        assert_eq!(none.as_deref(), Some("it does not end, 0 seconds are over"));
        let text = run("echo $VAULT_ADDR", "get", &server, None, Duration::from_secs(60));
        assert_eq!(text.expect("it ends").as_slice(), b"https://vault get\n");
    }

    #[test]
    fn what_such_a_configuration_says_beside_its_one_key_is_known() {
        for (text, line) in [
            ("# a helper\n\ntoken_helper = \"/bin/helper\"\n", None),
            ("{\n  \"token_helper\": \"/bin/helper\"\n}\n", None),
            ("token_helper = /bin/helper\n", Some(1)),
            ("// x\ntoken_helpers = \"/bin/helper\"\n", Some(2)),
            ("", None),
        ] {
            assert_eq!(unread(text), line, "{text}");
        }
    }
}

//! Where the programs of Vault and OpenBao keep a token: with a token helper, or in a file.
//!
//! Invariants: no helper is waited for longer than [`PATIENCE`]; a file is replaced whole and is its owner's alone; a token goes to a helper over its
//! standard input, never as a word.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::env::Env;
use super::fs::{Before, Job, ReadError, Swept, read, read_bytes, replace_all};
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

impl TokenStore {
    /// That of this user. `None`: it is not known where a file would be.
    ///
    /// # Errors
    ///
    /// If the configuration names a helper by what is no absolute path, or cannot be read although the user
    /// names it.
    pub fn of(env: &Env) -> Result<Option<Self>, String> {
        let setting = |names| env.setting(names).map(|(_, path)| PathBuf::from(path));
        let named = env.setting(CONFIG_PATH);
        for config in configs(env) {
            let text = match (read(&config), &named) {
                (Ok(text), _) => text,
                // The programs of the servers take none for an empty one.
                (Err(ReadError::NotFound), _) => continue,
                (Err(error), Some((name, _))) => {
                    return Err(format!("{name}: {}: {error}", config.shown()));
                }
                // What else stands at its place (Ansible's folder of the same name) is passed over.
                (Err(_), None) => continue,
            };
            if let Some(line) = token_helper(&text) {
                if !Path::new(&line).is_absolute() {
                    return Err(format!("{}: token_helper is no absolute path", config.shown()));
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

    /// What it is called in messages.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Helper { line, .. } => format!("the token helper {}", Path::new(line).shown()),
            Self::File(path) => path.shown().to_string(),
        }
    }

    fn error(&self, problem: &str) -> String {
        match self {
            Self::Helper { config, .. } => {
                format!("{}, which {} names: {problem}", self.shown(), config.shown())
            }
            Self::File(_) => format!("{}: {problem}", self.shown()),
        }
    }

    /// What is kept, without the blanks around it; `None`: nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn get(&self, server: &Address) -> Result<Option<SecretText>, String> {
        let bytes = match self {
            Self::Helper { line, .. } => {
                run(line, "get", server, None, PATIENCE).map_err(|problem| self.error(&problem))?
            }
            Self::File(path) => match read_bytes(path).map(Wiped::from) {
                Ok(bytes) => bytes,
                Err(ReadError::NotFound) => return Ok(None),
                Err(error) => return Err(self.error(&error.to_string())),
            },
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| self.error("is not text"))?.trim();
        Ok((!text.is_empty()).then(|| SecretText::new(text.to_owned())))
    }

    /// Keeps a token.
    ///
    /// # Errors
    ///
    /// If it cannot be kept.
    pub fn store(&self, server: &Address, token: &SecretText) -> Result<(), String> {
        match self {
            Self::Helper { line, .. } => {
                run(line, "store", server, Some(token), PATIENCE)
                    .map_err(|problem| self.error(&problem))?;
            }
            Self::File(path) => {
                // An old one keeps its mode, so that this is mended first.
                if path.is_file() {
                    std::fs::set_permissions(path, Permissions::from_mode(0o600))
                        .map_err(|error| self.error(&error.to_string()))?;
                }
                let content = token.expose_secret().as_bytes();
                let job = Job { path, content, before: Before::Anything, private: true };
                let written = replace_all(&[job], &mut Swept::default()).pop();
                let written = written.expect("one job has one result");
                written.map(drop).map_err(|error| self.error(&error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Keeps none.
    ///
    /// # Errors
    ///
    /// If what is kept cannot be removed.
    pub fn erase(&self, server: &Address) -> Result<(), String> {
        match self {
            Self::Helper { line, .. } => run(line, "erase", server, None, PATIENCE)
                .map(drop)
                .map_err(|problem| self.error(&problem)),
            Self::File(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(self.error(&error.to_string()))
                }
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }
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

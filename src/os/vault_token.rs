//! Where the user's Vault token is: variables, a token helper, a file.
//!
//! Invariant: nothing is read and no helper is run before a request needs a token.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::env::Env;
use super::fs::{ReadError, read_bytes};
use crate::keyservice::vault::settings::{Names, TOKEN, TOKEN_PATH, find};
use crate::keyservice::vault::{Address, TokenSource, VaultToken};
use crate::secret::{SecretText, Wiped};
use crate::shown::Show;

/// The token of the environment, of the token helper, or of the token file, whichever comes first.
pub struct Tokens {
    env: Arc<Env>,
    /// What was found for each server, and where. A helper may know another token for each.
    found: Mutex<HashMap<Address, Option<Found>>>,
}

struct Found {
    token: Arc<SecretText>,
    origin: String,
}

impl Tokens {
    /// Those of this environment.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { env, found: Mutex::default() }
    }

    fn setting(&self, names: Names) -> Option<(&'static str, String)> {
        find(names, |name| Some(self.env.set(name)?.to_string_lossy().into_owned()))
    }

    /// Reads the token; an empty one is none.
    fn read(&self, server: &Address) -> Result<Option<Found>, String> {
        if let Some((name, token)) = self.setting(TOKEN) {
            return Ok(found(SecretText::new(token), name.to_owned()));
        }
        if let Some((config, helper)) = self.helper()? {
            let token = run(&helper, server).map_err(|error| {
                format!("the token helper {helper}, which {} names: {error}", config.shown())
            })?;
            return Ok(found(token, format!("the token helper {helper}")));
        }
        let file = match self.setting(TOKEN_PATH) {
            Some((_, path)) => PathBuf::from(path),
            None => match self.env.home() {
                Some(home) => home.join(".vault-token"),
                None => return Ok(None),
            },
        };
        let shown = file.shown();
        match read_bytes(&file).map(Wiped::from) {
            Ok(bytes) => {
                let text =
                    std::str::from_utf8(&bytes).map_err(|_| format!("{shown}: is not text"))?;
                if text.trim_start().starts_with('{') {
                    return Err(format!("{shown}: holds a wrapped token; unwrap it first"));
                }
                Ok(found(SecretText::new(text.trim().to_owned()), shown.to_string()))
            }
            Err(ReadError::NotFound) => Ok(None),
            Err(error) => Err(format!("{shown}: {error}")),
        }
    }

    /// The token helper that the configuration of `vault` or `bao` names. What else stands at its place
    /// (Ansible's folder of the same name) is passed over.
    fn helper(&self) -> Result<Option<(PathBuf, String)>, String> {
        let named = self.setting(CONFIG_PATH).map(|(_, path)| PathBuf::from(path));
        let home = |name: &str| Some(self.env.home()?.join(name));
        let places = match named {
            Some(path) => vec![path],
            None => [".bao", ".vault"].into_iter().filter_map(home).collect(),
        };
        for path in places {
            let Ok(bytes) = read_bytes(&path) else { continue };
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if let Some(helper) = token_helper(&text) {
                if !Path::new(&helper).is_absolute() {
                    return Err(format!("{}: token_helper is no absolute path", path.shown()));
                }
                return Ok(Some((path, helper)));
            }
        }
        Ok(None)
    }

    fn looked(&self, server: &Address, again: bool) -> Result<Option<VaultToken>, String> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if again || !found.contains_key(server) {
            found.insert(server.clone(), self.read(server)?);
        }
        let Some(Some(Found { token, origin })) = found.get(server) else { return Ok(None) };
        VaultToken::new(token).map_err(|error| format!("{origin}: {error}"))
    }
}

const CONFIG_PATH: Names = Names { bao: "BAO_CONFIG_PATH", vault: "VAULT_CONFIG_PATH" };

fn found(token: SecretText, origin: String) -> Option<Found> {
    let any = !token.expose_secret().trim().is_empty();
    any.then(|| Found { token: Arc::new(token), origin })
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

/// What a token helper prints: it is run through the shell with `get`, the address in its environment.
fn run(helper: &str, server: &Address) -> Result<SecretText, String> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{helper} get")).stdin(Stdio::null());
    for name in ["BAO_ADDR", "VAULT_ADDR"] {
        command.env(name, server.to_string());
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let printed = Wiped::from(output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default().trim().to_owned();
        return Err(format!("{}: {}", output.status, first.shown()));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| "it printed no text".to_owned())?;
    Ok(SecretText::new(text.trim().to_owned()))
}

impl TokenSource for Tokens {
    fn token(&self, server: &Address) -> Result<Option<VaultToken>, String> {
        self.looked(server, false)
    }

    fn renewed(&self, server: &Address) -> Result<Option<VaultToken>, String> {
        self.looked(server, true)
    }

    fn origin(&self, server: &Address) -> Option<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(server)?.as_ref().map(|found| found.origin.clone())
    }
}

//! The tokens of a run, in the order in which they are looked for: variables, a login that is configured,
//! a token helper, a file.
//!
//! Invariants: nothing is read, no helper is run and nobody is logged in before a request needs a token;
//! a wrapped token is opened once, whatever comes of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::env::Env;
use super::token_store::{StoreError, TokenStore};
use crate::keyservice::vault::auth::{Desk, Mount, Sessions, sink};
use crate::keyservice::vault::settings::TOKEN;
use crate::keyservice::vault::{Address, Client, Headers, TokenSource, VaultToken};
use crate::secret::SecretText;

/// The token of the environment, of a login, of the token helper or of the token file, whichever comes
/// first. What was configured counts before what was left by an earlier login.
pub struct Tokens {
    env: Arc<Env>,
    sessions: Option<Arc<Sessions>>,
    /// Opens wrapped tokens.
    bare: Client,
    /// What was found for each server, and where. A helper may know another token for each.
    found: Mutex<HashMap<Address, Looked>>,
    opened: Mutex<Option<Opened>>,
}

/// The last file with a wrapped token, and what came of it.
struct Opened {
    text: SecretText,
    result: Result<Arc<SecretText>, String>,
}

/// What came of looking for the token of a server.
struct Looked {
    found: Option<Found>,
    /// A token was refused since: this one may be no better.
    is_old: bool,
}

struct Found {
    token: Arc<SecretText>,
    origin: String,
}

/// The name of the variable that holds a token, and the token.
#[must_use]
pub fn of_variable(env: &Env) -> Option<(&'static str, SecretText)> {
    let (name, token) = env.setting(TOKEN)?;
    Some((name, SecretText::new(token)))
}

impl Tokens {
    /// Those of this environment; `sessions`, if a login is configured. `bare` has no tokens itself.
    #[must_use]
    pub fn new(env: Arc<Env>, sessions: Option<Arc<Sessions>>, bare: Client) -> Self {
        let (found, opened) = (Mutex::default(), Mutex::default());
        Self { env, sessions, bare, found, opened }
    }

    /// Reads the token; an empty one is none.
    fn read(&self, server: &Address) -> Result<Option<Found>, String> {
        if let Some((name, token)) = of_variable(&self.env) {
            return Ok(found(Arc::new(token), name.to_owned()));
        }
        let said = |error: StoreError| error.to_string();
        let Some(store) = TokenStore::of(&self.env).map_err(said)? else { return Ok(None) };
        let Some(text) = store.get(server).map_err(said)? else { return Ok(None) };
        let origin = store.shown();
        if sink::is_wrapped(text.expose_secret()) {
            let token = self.opened(server, &origin, text)?;
            return Ok(found(token, origin));
        }
        Ok(found(Arc::new(text), origin))
    }

    /// The token in a wrapped one, which is opened unless it was before.
    fn opened(
        &self,
        server: &Address,
        place: &str,
        text: SecretText,
    ) -> Result<Arc<SecretText>, String> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*opened
            && before.text.expose_secret() == text.expose_secret()
        {
            return before.result.clone();
        }
        let namespace = self.bare.options().namespace.clone();
        let mount = Mount { server: server.clone(), namespace, path: String::new() };
        let result = sink::open(&Desk::new(&self.bare, &mount), place, &text);
        let result = result.map(Arc::new).map_err(|error| error.to_string());
        *opened = Some(Opened { text, result: result.clone() });
        result
    }

    fn looked(&self, server: &Address, again: bool) -> Result<Option<VaultToken>, String> {
        let mut looked = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if again {
            looked.values_mut().for_each(|it| it.is_old = true);
        }
        if looked.get(server).is_none_or(|it| it.is_old) {
            let found = self.read(server)?;
            looked.insert(server.clone(), Looked { found, is_old: false });
        }
        let found = looked.get(server).and_then(|it| it.found.as_ref());
        let Some(Found { token, origin }) = found else { return Ok(None) };
        VaultToken::new(token).map_err(|error| format!("{origin}: {error}"))
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        // Whoever else knows of the sessions may be taking tokens back at this moment: that is waited for.
        if let Some(sessions) = &self.sessions {
            sessions.end();
        }
    }
}

fn found(token: Arc<SecretText>, origin: String) -> Option<Found> {
    let any = !token.expose_secret().trim().is_empty();
    any.then_some(Found { token, origin })
}

impl TokenSource for Tokens {
    fn token(&self, server: &Address) -> Result<Option<VaultToken>, String> {
        match &self.sessions {
            Some(sessions) => sessions.token(server),
            None => self.looked(server, false),
        }
    }

    fn behind(&self, server: &Address, from: &Address) -> Result<Option<VaultToken>, String> {
        match &self.sessions {
            Some(sessions) => sessions.behind(server, from),
            None => self.looked(server, false),
        }
    }

    fn renewed(
        &self,
        server: &Address,
        refused: Option<&VaultToken>,
    ) -> Result<Option<VaultToken>, String> {
        match &self.sessions {
            Some(sessions) => sessions.renewed(server, refused),
            None => self.looked(server, true),
        }
    }

    fn inline(&self, server: &Address) -> Result<Option<Headers>, String> {
        self.sessions.as_ref().map_or(Ok(None), |sessions| sessions.inline(server))
    }

    fn refused(&self, server: &Address, problem: &str) {
        if let Some(sessions) = &self.sessions {
            sessions.refused(server, problem);
        }
    }

    fn absent(&self) -> Option<String> {
        let set = |name| self.env.set(name).is_some_and(|value| !value.is_empty());
        if self.env.set(TOKEN.bao).is_some() && !set(TOKEN.bao) && set(TOKEN.vault) {
            return Some(format!("{} is set to nothing, which hides {}", TOKEN.bao, TOKEN.vault));
        }
        let store = match TokenStore::of(&self.env) {
            Ok(Some(store)) if store.is_chosen(&self.env) => {
                let what = if store.is_missing() { "does not exist" } else { "holds none" };
                Some(format!("{} {what}", store.shown()))
            }
            Ok(None) => Some("HOME is not set, so nothing is known of ~/.vault-token".to_owned()),
            Ok(Some(_)) | Err(_) => None,
        };
        match (store, TokenStore::passed_over(&self.env)) {
            (Some(store), Some(config)) => Some(format!("{store}; {config}")),
            (store, config) => store.or(config),
        }
    }

    fn origin(&self, server: &Address) -> Option<String> {
        if let Some(sessions) = &self.sessions {
            return sessions.origin(server);
        }
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(server)?.found.as_ref().map(|found| found.origin.clone())
    }
}

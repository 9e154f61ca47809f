//! What a server says of itself, of the user's token, and of what that may do: nothing is changed by asking.
//!
//! Invariants: without trust nothing is sent; the state of a server is asked for without a token; no answer
//! that is kept holds a token.

use serde_json::{Value, json};

use super::address::Address;
use super::client::{Call, CallError, Client, Repeat};
use super::envelope::{self, Refusal, flat};
use super::refusal::dead;
use super::{Target, transit::Operation};
use crate::keys::MasterKey;

/// The state of a server (`sys/health`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Whether keys can be asked for.
    pub is_usable: bool,
    /// In words: `active`, `sealed`.
    pub state: String,
    /// Of its program.
    pub version: Option<String>,
    /// The id of its cluster, which another one does not have, nor the same after a restore.
    pub cluster: Option<String>,
}

/// What a server says of a token (`auth/token/lookup-self`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenState {
    /// Seconds that it has left; `None`: it does not expire.
    pub ttl: Option<u64>,
    /// Uses that it has left after this; `None`: any number.
    pub uses: Option<u64>,
    /// The policies that it has.
    pub policies: Vec<String>,
    /// The namespace that it was made in; empty: the root.
    pub namespace: String,
    /// Whether its time can be renewed.
    pub renewable: bool,
}

/// Why nothing more is known of a token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenProblem {
    /// There is none.
    #[error("there is no token: set VAULT_TOKEN, or log in")]
    Missing,
    /// The server does not know it. In a sentence that names where it comes from.
    #[error("{0}")]
    Dead(String),
    /// It is alive, and may not ask about itself.
    #[error("it may not ask about itself (`read` on auth/token/lookup-self)")]
    Silent,
    /// None could be had, as a login failed; says what was tried.
    #[error("{0}")]
    Unavailable(String),
    /// The server does not say; in a sentence.
    #[error("{0}")]
    Failed(String),
}

/// What a token may do with a transit key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Each thing to do, and whether it may.
    pub allowed: Vec<(&'static str, bool)>,
}

impl Capabilities {
    /// Whether the token may do this: `encrypt`, `decrypt`, `rewrap`, or `keys`, which is to read the key.
    #[must_use]
    pub fn may(&self, action: &str) -> bool {
        self.allowed.iter().any(|(it, may)| *it == action && *may)
    }
}

/// What is done with a key, and what the token needs for it.
const ACTIONS: [(&str, &str); 4] =
    [("encrypt", "update"), ("decrypt", "update"), ("rewrap", "update"), ("keys", "read")];

impl Client {
    /// The state of a server.
    ///
    /// # Errors
    ///
    /// If it is not trusted, or gives no answer.
    pub fn health(&self, server: &Address) -> Result<Health, CallError> {
        // Not in a namespace: there it is refused. And once: its statuses that say to come back later are
        // what is asked for (Vault API).
        let (namespace, repeat) = (None, Repeat::Unsent);
        let question = self.question(server, "GET", "sys/health", None);
        let answer = self.call_with(&Call { namespace, repeat, ..question }, None)?;
        let state = match answer.status {
            200 => "active",
            429 => "standby",
            473 => "performance standby",
            472 => "secondary for disaster recovery",
            501 => "not initialised",
            503 => "sealed",
            _ => "not a server of this kind",
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(flat);
        let is_usable = matches!(answer.status, 200 | 429 | 473) && body.get("sealed").is_some();
        let state = match is_usable || matches!(answer.status, 472 | 501 | 503) {
            true => state.to_owned(),
            false => format!("no Vault or OpenBao: it answers {}", answer.status),
        };
        Ok(Health { is_usable, state, version: text("version"), cluster: text("cluster_id") })
    }

    /// What the server says of the user's token. A token with a number of uses has one less afterwards.
    ///
    /// # Errors
    ///
    /// If there is no token, or it is refused.
    pub fn token_state(&self, server: &Address) -> Result<TokenState, TokenProblem> {
        let call = self.question(server, "GET", "auth/token/lookup-self", None);
        let answer = self.call(&call).map_err(|error| match error {
            CallError::Token(problem) => TokenProblem::Unavailable(problem),
            error => TokenProblem::Failed(error.to_string()),
        })?;
        let read = match envelope::read(&answer) {
            Ok(read) => read,
            Err(refusal) => return Err(self.token_problem(server, &refusal)),
        };
        self.set_alive(server, true);
        let data = read.get("data").unwrap_or(&Value::Null);
        let number = |name: &str| data.get(name).and_then(Value::as_u64);
        let expires = data.get("expire_time").is_some_and(|time| !time.is_null());
        let policies = data.get("policies").and_then(Value::as_array).into_iter().flatten();
        let namespace = data.get("namespace_path").and_then(Value::as_str).map(flat);
        Ok(TokenState {
            ttl: if expires { number("ttl") } else { None },
            uses: number("num_uses").filter(|&uses| uses > 0),
            policies: policies.filter_map(Value::as_str).map(flat).collect(),
            namespace: namespace.unwrap_or_default().trim_matches('/').to_owned(),
            renewable: data.get("renewable").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// Why a server does not say what a token is. Policies decide what a token may ask about itself; the
    /// list of mounts that it sees is given to every token that is alive, if empty (Vault API).
    fn token_problem(&self, server: &Address, refusal: &Refusal) -> TokenProblem {
        let Some(origin) = self.token_origin(server) else {
            return match self.options().agent {
                Some(_) => TokenProblem::Failed(format!("the token of the Agent: {refusal}")),
                None => TokenProblem::Missing,
            };
        };
        let call = self.question(server, "GET", "sys/internal/ui/mounts", None);
        let seen = self.call(&call).ok().filter(|_| refusal.status == 403).map(|it| it.status);
        match seen {
            Some(200) => {
                self.set_alive(server, true);
                TokenProblem::Silent
            }
            Some(403) => {
                self.set_alive(server, false);
                TokenProblem::Dead(dead(&origin))
            }
            Some(_) | None => TokenProblem::Failed(format!("the token of {origin}: {refusal}")),
        }
    }

    /// What is wrong with a key that the user's token may read; `None`: nothing that is seen.
    #[must_use]
    pub fn key_problem(
        &self,
        server: &Address,
        key: &MasterKey,
        token: &TokenState,
    ) -> Option<String> {
        let target = target(key).ok()?;
        let namespace = self.namespace_of(token);
        let path = inside(&target, namespace, "keys");
        let call = Call { namespace, ..self.question(server, "GET", &path, None) };
        let refusal = match self.call(&call) {
            Ok(answer) => envelope::read(&answer).err()?,
            Err(error) => return Some(error.to_string()),
        };
        Some(match (refusal.status, refusal.texts.as_slice()) {
            // It is asked for with nothing but its name: 404 and not a word.
            (404, []) => "no such key".to_owned(),
            (404, [text]) if text.starts_with("no handler for route") => {
                "no engine is mounted there".to_owned()
            }
            _ => refusal.to_string(),
        })
    }

    /// A token of a namespace may ask there only, by paths as they are there.
    fn namespace_of<'a>(&'a self, token: &'a TokenState) -> Option<&'a str> {
        let own = Some(token.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        self.options().namespace.as_deref().or(own)
    }

    /// What the user's token may do with keys of a server, which are named by that server; in the same
    /// order. `token` is what the server said of it.
    ///
    /// # Errors
    ///
    /// In words, if the server does not say, or a key is none.
    pub fn capabilities(
        &self,
        server: &Address,
        keys: &[MasterKey],
        token: &TokenState,
    ) -> Result<Vec<Capabilities>, String> {
        let namespace = self.namespace_of(token);
        let mut paths = Vec::new();
        for key in keys {
            let target = target(key)?;
            paths.push(ACTIONS.map(|(action, _)| inside(&target, namespace, action)));
        }
        let body = json!({ "paths": paths.concat() }).to_string();
        let path = "sys/capabilities-self";
        let call = self.question(server, "POST", path, Some(body.as_bytes()));
        let answer = self.call(&Call { namespace, ..call }).map_err(|error| error.to_string())?;
        let answer = envelope::read(&answer).map_err(|error| error.to_string())?;
        let may = |path: &String, needed: &str| {
            let listed = answer.get("data").and_then(|data| data.get(path));
            let listed = listed.and_then(Value::as_array).into_iter().flatten();
            let mut words = listed.filter_map(Value::as_str);
            words.any(|word| word == needed || word == "root")
        };
        let of_key = |paths: &[String; 4]| Capabilities {
            allowed: ACTIONS
                .iter()
                .zip(paths)
                .map(|(&(action, needed), path)| (action, may(path, needed)))
                .collect(),
        };
        Ok(paths.iter().map(of_key).collect())
    }

    /// The server that an entry of a file names, if that is an address.
    #[must_use]
    pub fn server_of(key: &MasterKey) -> Option<Address> {
        target(key).ok().map(|target| target.server)
    }

    fn question<'a>(
        &'a self,
        server: &'a Address,
        method: &'static str,
        path: &'a str,
        body: Option<&'a [u8]>,
    ) -> Call<'a> {
        let namespace = self.options().namespace.as_deref();
        let repeat = Repeat::Freely;
        Call { server, method, path, body, headers: &[], namespace, repeat }
    }
}

/// The path of a key as it is in a namespace.
fn inside(target: &Target, namespace: Option<&str>, action: &str) -> String {
    let inside = namespace.filter(|namespace| target.is_below(namespace));
    let engine = &target.engine_path[inside.map_or(0, |inside| inside.len() + 1)..];
    format!("{engine}/{action}/{}", target.key_name)
}

fn target(key: &MasterKey) -> Result<Target, String> {
    let MasterKey::Vault { address, engine_path, key_name, .. } = key else {
        return Err("no transit key".to_owned());
    };
    Target::new(Operation::Decrypt, address, engine_path, key_name, false)
        .map_err(|error| error.to_string())
}

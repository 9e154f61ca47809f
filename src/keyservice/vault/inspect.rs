//! What a server says of itself, of the user's token, and of what that may do: nothing is changed by asking.
//!
//! Invariants: without trust nothing is sent; the state of a server is asked for without a token; no answer
//! that is kept holds a token.

use serde_json::{Value, json};

use super::address::Address;
use super::client::{Call, CallError, Client, Repeat};
use super::envelope::{self, flat};
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

/// What a token may do with a transit key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Each thing to do, and whether it may.
    pub allowed: Vec<(&'static str, bool)>,
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
        // Not in a namespace: there it is refused (Vault API).
        let call = Call { namespace: None, ..self.question(server, "GET", "sys/health", None) };
        let answer = self.call_with(&call, None)?;
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
    /// In words, if there is no token, or it is refused.
    pub fn token_state(&self, server: &Address) -> Result<TokenState, String> {
        let call = self.question(server, "GET", "auth/token/lookup-self", None);
        let answer = self.call(&call).map_err(|error| error.to_string())?;
        let read = envelope::read(&answer).map_err(|error| error.to_string())?;
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
        // A token of a namespace may ask there only, by paths as they are there.
        let own = Some(token.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let namespace = self.options().namespace.as_deref().or(own);
        let mut paths = Vec::new();
        for key in keys {
            let target = target(key)?;
            let inside = namespace.filter(|namespace| target.is_below(namespace));
            let engine = &target.engine_path[inside.map_or(0, |inside| inside.len() + 1)..];
            let path = |(action, _)| format!("{engine}/{action}/{}", target.key_name);
            paths.push(ACTIONS.map(path));
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
        let repeat = Repeat::Unsent;
        Call { server, method, path, body, headers: &[], namespace, repeat }
    }
}

fn target(key: &MasterKey) -> Result<Target, String> {
    let MasterKey::Vault { address, engine_path, key_name, .. } = key else {
        return Err("no transit key".to_owned());
    };
    Target::new(Operation::Decrypt, address, engine_path, key_name, false)
        .map_err(|error| error.to_string())
}

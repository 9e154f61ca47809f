//! The key-value engines: which one holds a secret, what it holds, and the next version of it.
//!
//! What a secret holds goes through here as text, so that no number loses a digit.
//!
//! Invariants: a path leads down only, and to the engine that the server names for it, if it does; an engine
//! of version 2 writes only where the version that was read before is still the last (`cas`), one of version 1
//! is asked once; nothing of a secret is part of an error.

use zeroize::Zeroizing;

use super::OF_THE_SERVER;
use super::address::Address;
use super::client::{Call, CallError, Client, Repeat};
use super::envelope::{self, Refusal};
use super::escape::escaped_path;
use super::http::Answer;
use super::is_below;
use super::json::Json;
use super::refusal::NO_TOKEN;
use crate::document::{Document, Format, NodeId, NodeKind};
use crate::path::{KeyPath, Step};
use crate::secret::SecretText;
use crate::shown::Show;

/// The two kinds of engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// A map at each path.
    One,
    /// The same with versions.
    Two,
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    server: Address,
    /// Without slashes around it; it may begin with a namespace.
    mount: String,
    /// Within the engine, as it is typed.
    path: String,
    engine: Engine,
}

/// What is there.
#[derive(Debug)]
pub enum Secret {
    /// A map, as JSON, and its version; engines of version 1 have none.
    There {
        /// The JSON.
        json: SecretText,
        /// From 1.
        version: Option<u64>,
    },
    /// This version was deleted.
    Gone {
        /// Which.
        version: u64,
        /// Whether for good.
        destroyed: bool,
    },
    /// Nothing.
    Missing,
}

/// Why a secret was not read or written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// A path that names none.
    #[error("{0}")]
    Path(String),
    /// No answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server refuses.
    #[error("{server}: {refusal}{}", if .hint.is_empty() { String::new() } else { format!(": {hint}") })]
    Refused {
        /// Which.
        server: Address,
        /// What it says.
        refusal: Refusal,
        /// What that may mean.
        hint: String,
    },
    /// Another engine, or another version of it.
    #[error("{mount} on {server} is {what}")]
    Mount {
        /// Which server.
        server: Address,
        /// Where it is mounted.
        mount: String,
        /// What it is, and what to do.
        what: String,
    },
    /// Somebody wrote meanwhile.
    #[error(
        "{place}: somebody wrote version {now} meanwhile, so that nothing was written over it; look at it, then run this again"
    )]
    Conflict {
        /// Where.
        place: String,
        /// The version that is there.
        now: u64,
    },
    /// Something else than an answer to what was asked.
    #[error("{server}: the answer holds something else than a secret")]
    Shape {
        /// Which server.
        server: Address,
    },
}

/// What the user or a rule says of a place.
pub struct Stated<'a> {
    /// The server.
    pub server: &'a Address,
    /// Where the engine is mounted, as far as that is known; counts if the server does not tell.
    pub mount: Option<&'a str>,
    /// Mount and path of the secret, with a slash between them.
    pub path: &'a str,
    /// The version of the engine, if it is said.
    pub engine: Option<Engine>,
    /// What the token must be allowed there, as a policy names it: `read`, or more with commas.
    pub capabilities: &'static str,
}

impl Place {
    /// Asks the server which engine a path is in (`sys/internal/ui/mounts`).
    ///
    /// # Errors
    ///
    /// If the path is none, no key-value engine is there, or one of another version than is said.
    pub fn find(client: &Client, stated: &Stated<'_>) -> Result<Self, KvError> {
        let (server, path) = (stated.server, stated.path.trim_matches('/'));
        check_path(path)?;
        let asked = format!("sys/internal/ui/mounts/{}", escaped_path(path));
        let answer = send(client, server, path, "GET", &asked, None, Repeat::Freely)?;
        let found = match envelope::read(&answer) {
            Ok(found) => found,
            // A server before there was this question, or a token that may not ask it.
            Err(refusal) if matches!(refusal.status, 403 | 404) => {
                // Then anything can be mounted there, and whoever wrote the rule chose the path.
                if path.split('/').any(|part| OF_THE_SERVER.contains(&part)) {
                    return Err(refused(server, refusal, UNKNOWN.to_owned()));
                }
                return match (stated.mount, stated.engine) {
                    (Some(mount), Some(engine)) => Self::within(server, mount, path, engine),
                    _ if refusal.status == 403 => Err(not_allowed(client, stated, path)),
                    _ => Err(refused(server, refusal, UNKNOWN.to_owned())),
                };
            }
            Err(refusal) => return Err(refused(server, refusal, String::new())),
        };
        let text = |pointer| found.pointer(pointer).and_then(serde_json::Value::as_str);
        let shape = || KvError::Shape { server: server.clone() };
        let mut mount = text("/data/path").ok_or_else(shape)?.trim_matches('/');
        // In a namespace it may begin with that.
        while !is_below(path, mount) && path != mount {
            mount = mount.split_once('/').ok_or_else(shape)?.1;
        }
        let other = |what: String| {
            let (server, mount) = (server.clone(), mount.to_owned());
            KvError::Mount { server, mount, what }
        };
        let kind = text("/data/type").unwrap_or_default();
        if !matches!(kind, "kv" | "generic") {
            return Err(other(format!(
                "an engine of type {}, no key-value engine",
                envelope::flat(kind)
            )));
        }
        let engine = match text("/data/options/version") {
            Some("2") => Engine::Two,
            Some("1" | "") | None => Engine::One,
            Some(_) => return Err(other("a key-value engine of an unknown version".to_owned())),
        };
        if stated.engine.is_some_and(|stated| stated != engine) {
            let number = if engine == Engine::One { 1 } else { 2 };
            return Err(other(format!(
                "a key-value engine of version {number}, and the rule says another: correct its vault_kv_version"
            )));
        }
        Self::within(server, mount, path, engine)
    }

    fn within(server: &Address, mount: &str, path: &str, engine: Engine) -> Result<Self, KvError> {
        let mount = mount.trim_matches('/');
        let inner = path.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/'));
        let Some(inner) = inner.filter(|inner| !inner.is_empty()) else {
            return Err(KvError::Path(format!("{path} names an engine and no secret in it")));
        };
        let (server, mount, path) = (server.clone(), mount.to_owned(), inner.to_owned());
        Ok(Self { server, mount, path, engine })
    }

    /// The kind of engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Behind `/v1/`.
    fn api(&self) -> String {
        let data = if self.engine == Engine::Two { "data/" } else { "" };
        format!("{}/{data}{}", escaped_path(&self.mount), escaped_path(&self.path))
    }

    /// Reads the last version, or this one.
    ///
    /// # Errors
    ///
    /// If the server refuses, or answers with something else.
    pub fn read(&self, client: &Client, version: Option<u64>) -> Result<Secret, KvError> {
        let path = match version {
            Some(version) => format!("{}?version={version}", self.api()),
            None => self.api(),
        };
        let answer = self.send(client, "GET", &path, None, Repeat::Freely)?;
        let status = answer.status;
        if !matches!(status, 200 | 404) {
            return Err(self.refused(client, &answer, "read"));
        }
        let shape = || KvError::Shape { server: self.server.clone() };
        let Some(doc) = json(&answer) else {
            return Err(if status == 200 {
                shape()
            } else {
                self.refused(client, &answer, "read")
            });
        };
        let said = self.said(&doc, status);
        drop(Zeroizing::new(doc.into_text()));
        match said {
            Some(secret) => Ok(secret),
            None if status == 200 => Err(shape()),
            // `errors` is empty where nothing is; else it says why.
            None => match envelope::read(&answer) {
                Err(refusal) if refusal.texts.is_empty() => Ok(Secret::Missing),
                _ => Err(self.refused(client, &answer, "read")),
            },
        }
    }

    /// What an answer says of the secret.
    fn said(&self, doc: &Document, status: u16) -> Option<Secret> {
        let at = |names: &[&str]| {
            let step = |name: &&str| Step::Key((*name).to_owned());
            doc.find(&KeyPath(names.iter().map(step).collect()))
        };
        let map = |at: NodeId| {
            let is_map = doc.node(at).kind() == NodeKind::Map;
            is_map.then(|| SecretText::new(doc.source(at).to_owned()))
        };
        if self.engine == Engine::One {
            let json = (status == 200).then(|| at(&["data"]).and_then(map)).flatten()?;
            return Some(Secret::There { json, version: None });
        }
        let version = doc.source(at(&["data", "metadata", "version"])?).parse().ok()?;
        let data = at(&["data", "data"])?;
        if status == 200 {
            return Some(Secret::There { json: map(data)?, version: Some(version) });
        }
        if doc.source(data) != "null" {
            return None;
        }
        let destroyed = at(&["data", "metadata", "destroyed"]);
        let destroyed = destroyed.is_some_and(|at| doc.source(at) == "true");
        Some(Secret::Gone { version, destroyed })
    }

    /// Writes a map, as JSON, behind what was read before. The version that it has now.
    ///
    /// # Errors
    ///
    /// If the server refuses; if somebody wrote meanwhile, which engines of version 1 do not tell.
    pub fn write(
        &self,
        client: &Client,
        json: &str,
        before: &Secret,
    ) -> Result<Option<u64>, KvError> {
        let cas = match before {
            Secret::There { version, .. } => version.unwrap_or(0),
            Secret::Gone { version, .. } => *version,
            Secret::Missing => 0,
        };
        let (start, end, repeat) = match self.engine {
            Engine::One => (String::new(), String::new(), Repeat::Unsent),
            // Sent twice it is refused the second time.
            Engine::Two => (
                "{\"data\":".to_owned(),
                format!(",\"options\":{{\"cas\":{cas}}}}}"),
                Repeat::Freely,
            ),
        };
        let mut body = Json::with_room(start.len() + json.len() + end.len());
        for part in [start.as_str(), json, end.as_str()] {
            body.put(part);
        }
        let body = body.into_bytes();
        let answer = self.send(client, "POST", &self.api(), Some(&body), repeat)?;
        match envelope::read(&answer) {
            Ok(said) => Ok(said.pointer("/data/version").and_then(serde_json::Value::as_u64)),
            Err(refusal) if self.engine == Engine::Two && refusal.status == 400 => {
                // Whatever it says: is the version another one now?
                let now = match self.read(client, None) {
                    Ok(Secret::There { version, .. }) => version.unwrap_or(0),
                    Ok(Secret::Gone { version, .. }) => version,
                    Ok(Secret::Missing) | Err(_) => 0,
                };
                if now == cas {
                    return Err(refused(&self.server, refusal, String::new()));
                }
                Err(KvError::Conflict { place: self.to_string(), now })
            }
            Err(_) => Err(self.refused(client, &answer, "create` and `update")),
        }
    }

    fn send(
        &self,
        client: &Client,
        method: &'static str,
        path: &str,
        body: Option<&[u8]>,
        repeat: Repeat,
    ) -> Result<Answer, KvError> {
        send(client, &self.server, &self.mount, method, path, body, repeat)
    }

    /// A refusal, with what it may mean.
    fn refused(&self, client: &Client, answer: &Answer, capability: &str) -> KvError {
        let refusal = match envelope::read(answer) {
            Err(refusal) => refusal,
            Ok(_) => Refusal { status: answer.status, texts: Vec::new() },
        };
        let hint = match (refusal.status, client.token_origin(&self.server)) {
            (403, Some(origin)) => format!(
                "the token of {origin} may have expired, or lack `{capability}` on {}",
                self.api()
            ),
            (403, None) => NO_TOKEN.to_owned(),
            (404, _) => format!("is `{}` where the engine is mounted?", self.mount),
            _ => String::new(),
        };
        refused(&self.server, refusal, hint)
    }
}

impl std::fmt::Display for Place {
    /// As SOPS shows a destination.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let data = if self.engine == Engine::Two { "data/" } else { "" };
        write!(f, "{}/v1/{}/{data}{}", self.server, self.mount.shown(), self.path.shown())
    }
}

const UNKNOWN: &str = "the server does not tell which engine that is; a rule says it with \
                       vault_kv_mount_name and vault_kv_version";

/// The server does not say which engine that is: there is none, or the token may do nothing there. What its
/// refusal speaks of is the question, and no path that a policy would name.
fn not_allowed(client: &Client, stated: &Stated<'_>, path: &str) -> KvError {
    let server = stated.server;
    let refusal = Refusal { status: 403, texts: vec!["permission denied".to_owned()] };
    if client.token_origin(server).is_none() && client.options().agent.is_none() {
        return refused(
            server,
            refusal,
            "there is no token: set VAULT_TOKEN, or log in".to_owned(),
        );
    }
    let first = path.split_once('/').map_or(path, |(mount, _)| mount);
    let mount = stated.mount.unwrap_or(first);
    let inner = path.strip_prefix(mount).unwrap_or_default();
    let (folder, _) = inner.rsplit_once('/').unwrap_or_default();
    let (mount, folder) = (mount.shown(), folder.shown());
    let two = format!("{mount}/data{folder}/*");
    let one = format!("{mount}{folder}/*");
    let needed = match stated.engine {
        Some(Engine::One) => one,
        Some(Engine::Two) => two,
        None => format!("{two} (an engine of version 1: {one})"),
    };
    let hint = format!(
        "no key-value engine is mounted at {mount}, or the token needs {} on {needed}",
        stated.capabilities
    );
    refused(server, refusal, hint)
}

fn refused(server: &Address, refusal: Refusal, hint: String) -> KvError {
    KvError::Refused { server: server.clone(), refusal, hint }
}

/// Sends one call. A path that begins with the namespace has it there already.
fn send(
    client: &Client,
    server: &Address,
    below: &str,
    method: &'static str,
    path: &str,
    body: Option<&[u8]>,
    repeat: Repeat,
) -> Result<Answer, KvError> {
    let namespace = client.options().namespace.as_deref();
    let namespace = namespace.filter(|namespace| !is_below(below, namespace));
    Ok(client.call(&Call { server, method, path, body, headers: &[], namespace, repeat })?)
}

/// The answer, if it is JSON.
fn json(answer: &Answer) -> Option<Document> {
    let text = std::str::from_utf8(&answer.body).ok()?;
    Document::parse(text.to_owned(), Format::Json).ok()
}

/// Whether a path leads down only, by names that can be seen.
fn check_path(path: &str) -> Result<(), KvError> {
    let name = |name: &str| {
        !matches!(name, "" | "." | "..") && !name.contains(|c: char| c.is_control() || c == '\\')
    };
    if path.split('/').all(name) {
        return Ok(());
    }
    let problem = "a path of a secret has names between its slashes, none empty, `.` or `..`";
    Err(KvError::Path(problem.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::check_path;

    #[test]
    fn a_path_leads_down_only() {
        for good in ["secret/a", "kv/team/ä b/c%2f", "a/..b"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "secret//a", "secret/../sys/seal", "secret/.", "a/b\n", "a\\..\\b"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}

//! What a server needs before the first file: an engine, a key, and policies that say who may do what.
//!
//! Invariants: what is there is not changed, be it an engine, a key or a policy; a key is taken only if
//! it encrypts; whatever a text here holds means nothing to a shell, to YAML or to a policy.

use serde_json::{Value, json};

use super::client::{Call, CallError, Client, Repeat};
use super::envelope::{self, Refusal};
use super::{Address, is_name, is_of_the_server};

/// A key on a server: where it is, or is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    server: Address,
    namespace: Option<String>,
    mount: String,
    key: String,
}

/// A policy of the three that are enough (Vault API: encrypting, decrypting and rewrapping are `update`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its name on the server.
    pub name: String,
    /// What whoever has it can do.
    pub purpose: &'static str,
    /// HCL, with a line break at its end.
    pub text: String,
}

/// Whether something was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Made {
    /// Now.
    New,
    /// It was there.
    Before,
    /// It was there, and is another one. It is left as it is.
    Other,
}

/// Why a server is not ready.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// What was named cannot be used.
    #[error("{what}: {problem}")]
    Name {
        /// The address, the mount, the key or the namespace.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer.
    #[error("{server}: {error}")]
    Call {
        /// Who was asked.
        server: Address,
        /// Why.
        error: CallError,
    },
    /// The server does not do it.
    #[error("{server} refuses {method} {path}: {refusal}")]
    Refused {
        /// Who was asked.
        server: Address,
        /// For what.
        method: &'static str,
        /// Behind `/v1/`.
        path: String,
        /// What it says.
        refusal: Refusal,
    },
    /// Another engine is mounted there.
    #[error("{server} has an engine of type {kind} at {mount}, and no transit engine")]
    Engine {
        /// The server.
        server: Address,
        /// The path.
        mount: String,
        /// What it is.
        kind: String,
    },
    /// The key cannot do what is needed.
    #[error("{server}: the key {key} in {mount} {problem}")]
    Key {
        /// The server.
        server: Address,
        /// The path of its engine.
        mount: String,
        /// Its name.
        key: String,
        /// Why not.
        problem: String,
    },
}

impl Setup {
    /// A key of this name, of the engine at this path, in the namespace.
    ///
    /// # Errors
    ///
    /// If the server would not take a name, or another program would read it differently.
    pub fn new(
        server: Address,
        namespace: Option<&str>,
        mount: &str,
        key: &str,
    ) -> Result<Self, SetupError> {
        let error = |what, problem: &str| SetupError::Name { what, problem: problem.to_owned() };
        if !is_server(&server) {
            return Err(error("the address", "it is scheme, host and port, as files name it"));
        }
        let mount = mount.trim_matches('/');
        if !is_plain(mount) || is_of_the_server(mount) {
            return Err(error("the mount", "no engine can be mounted there, or not be named"));
        }
        if !is_name(key) {
            return Err(error("the key", "no transit key can have this name"));
        }
        let namespace = namespace.map(|it| it.trim_matches('/')).filter(|it| !it.is_empty());
        if namespace.is_some_and(|it| !is_plain(it) || is_of_the_server(it)) {
            return Err(error("the namespace", "this cannot be the name of one"));
        }
        let (mount, key) = (mount.to_owned(), key.to_owned());
        Ok(Self { server, namespace: namespace.map(str::to_owned), mount, key })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Address {
        &self.server
    }

    /// The namespace, if it is not the root.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The path of the engine in its namespace.
    #[must_use]
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// The name of the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As a creation rule names the key, with its namespace: whoever has no variable finds it too.
    #[must_use]
    pub fn uri(&self) -> String {
        let namespace = self.namespace.iter().flat_map(|it| [it.as_str(), "/"]).collect::<String>();
        self.server.url(&format!("/v1/{namespace}{}/keys/{}", self.mount, self.key))
    }

    /// Who may do what: three policies, each with the least that is enough. Their paths begin below
    /// the namespace, where the policies are written too.
    #[must_use]
    pub fn policies(&self) -> [Policy; 3] {
        let (mount, key) = (&self.mount, &self.key);
        let line = |operation: &str, capability: &str| {
            format!("path \"{mount}/{operation}/{key}\" {{ capabilities = [\"{capability}\"] }}\n")
        };
        let policy = |role: &str, purpose, text| {
            // Servers keep names of policies in small letters.
            let name = format!("{}-{key}-{role}", mount.replace('/', "-")).to_ascii_lowercase();
            Policy { name, purpose, text }
        };
        [
            policy("writer", "seals new files and opens none", line("encrypt", "update")),
            policy("reader", "opens files; with the first policy too, changes them", {
                line("decrypt", "update")
            }),
            policy("rotation", "moves files to the newest version of the key and opens none", {
                line("rewrap", "update") + &line("keys", "read")
            }),
        ]
    }

    /// Mounts the engine if nothing is there. A token that may not look is believed to find it there.
    ///
    /// # Errors
    ///
    /// If the server does not let us, or another engine is there.
    pub fn make_mount(&self, client: &Client) -> Result<Made, SetupError> {
        let path = format!("sys/mounts/{}", self.mount);
        match self.ask(client, "GET", &path, None)? {
            Ok(value) => {
                let kind = envelope::flat(text(&value, "type"));
                if kind == "transit" {
                    return Ok(Made::Before);
                }
                let (server, mount) = (self.server.clone(), self.mount.clone());
                Err(SetupError::Engine { server, mount, kind })
            }
            Err(refusal) if matches!(refusal.status, 400 | 404) => {
                let body = json!({ "type": "transit" });
                let made = self.ask(client, "POST", &path, Some(&body))?;
                made.map(|_| Made::New).map_err(|refusal| self.refused("POST", path, refusal))
            }
            Err(refusal) if refusal.status == 403 => Ok(Made::Before),
            Err(refusal) => Err(self.refused("GET", path, refusal)),
        }
    }

    /// Makes the key if there is none of this name, and then looks at what is there: the server answers
    /// the same whether it made a key or kept one of another type. Says whether the key is derived, so
    /// that its rule needs a context.
    ///
    /// # Errors
    ///
    /// If the server does not let us, or the key cannot encrypt.
    pub fn make_key(&self, client: &Client) -> Result<(Made, bool), SetupError> {
        let path = format!("{}/keys/{}", self.mount, self.key);
        let mut made = Made::Before;
        let mut read = self.ask(client, "GET", &path, None)?;
        if read.as_ref().is_err_and(|refusal| refusal.status == 404) {
            let sent = self.ask(client, "POST", &path, Some(&json!({})))?;
            sent.map_err(|refusal| self.refused("POST", path.clone(), refusal))?;
            made = Made::New;
            read = self.ask(client, "GET", &path, None)?;
        }
        let value = read.map_err(|refusal| self.refused("GET", path, refusal))?;
        let is = |name: &str| value["data"][name] == Value::Bool(true);
        let kind = envelope::flat(text(&value, "type"));
        let problem = if !is("supports_encryption") || !is("supports_decryption") {
            format!("is of type {kind}, which cannot encrypt")
        } else if is("soft_deleted") {
            "was deleted and can be restored; so nothing is encrypted with it".to_owned()
        } else {
            return Ok((made, is("derived")));
        };
        let (server, mount, key) = (self.server.clone(), self.mount.clone(), self.key.clone());
        Err(SetupError::Key { server, mount, key, problem })
    }

    /// Writes a policy, unless one of its name is there.
    ///
    /// # Errors
    ///
    /// If the server does not let us.
    pub fn make_policy(&self, client: &Client, policy: &Policy) -> Result<Made, SetupError> {
        let path = format!("sys/policies/acl/{}", policy.name);
        match self.ask(client, "GET", &path, None)? {
            Ok(value) if text(&value, "policy").trim() == policy.text.trim() => Ok(Made::Before),
            Ok(_) => Ok(Made::Other),
            Err(refusal) if refusal.status == 404 => {
                let body = json!({ "policy": policy.text });
                let made = self.ask(client, "POST", &path, Some(&body))?;
                made.map(|_| Made::New).map_err(|refusal| self.refused("POST", path, refusal))
            }
            Err(refusal) => Err(self.refused("GET", path, refusal)),
        }
    }

    fn ask(
        &self,
        client: &Client,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Refusal>, SetupError> {
        let body = body.map(Value::to_string);
        let call = Call {
            server: &self.server,
            method,
            path,
            body: body.as_deref().map(str::as_bytes),
            headers: &[],
            namespace: self.namespace(),
            // A key that is there is not made anew, nor is a policy of the same text another one.
            repeat: Repeat::Freely,
        };
        let answer = client.call(&call);
        let answer =
            answer.map_err(|error| SetupError::Call { server: self.server.clone(), error })?;
        Ok(envelope::read(&answer))
    }

    fn refused(&self, method: &'static str, path: String, refusal: Refusal) -> SetupError {
        SetupError::Refused { server: self.server.clone(), method, path, refusal }
    }
}

/// Scheme, host and port in letters that no shell reads as something else.
fn is_server(server: &Address) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    match server {
        Address::Http(url) => {
            url.split_once("://").is_some_and(|(_, host)| host.chars().all(plain))
        }
        Address::Unix(_) => false,
    }
}

/// Names with slashes between them that mean nothing to a shell, to YAML, to a rule or to a policy.
fn is_plain(path: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |name: &str| name.starts_with(word) && name.chars().all(|c| word(c) || c == '-');
    path.split('/').all(name)
}

/// A text of an answer; of one that has none, nothing.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get("data").and_then(|data| data.get(name)).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Address, Setup, SetupError};

    fn setup(
        server: &str,
        namespace: Option<&str>,
        mount: &str,
        key: &str,
    ) -> Result<Setup, SetupError> {
        Setup::new(Address::parse(server).expect("an address"), namespace, mount, key)
    }

    #[test]
    fn a_namespace_is_in_the_rule_and_not_in_the_policies() {
        let setup = setup("https://v.example:8200", Some("/team/a/"), "kv/transit/", "App.1");
        let setup = setup.expect("valid");
        assert_eq!(setup.uri(), "https://v.example:8200/v1/team/a/kv/transit/keys/App.1");
        let policies = setup.policies().map(|policy| (policy.name, policy.text));
        let line = |path: &str, capability: &str| {
            format!("path \"kv/transit/{path}/App.1\" {{ capabilities = [\"{capability}\"] }}\n")
        };
        let name = |role: &str| format!("kv-transit-app.1-{role}");
        assert_eq!(
            policies,
            [
                (name("writer"), line("encrypt", "update")),
                (name("reader"), line("decrypt", "update")),
                (name("rotation"), line("rewrap", "update") + &line("keys", "read")),
            ]
        );
    }

    #[test]
    fn what_a_shell_a_rule_or_a_policy_reads_differently_is_refused() {
        let server = "https://v.example";
        assert!(setup("https://[::1]:8200", None, "a/b-c_1", "k").is_ok());
        for address in ["https://$(id).example", "https://v;id", "https://v/path", "unix:///v"] {
            let told = setup(address, None, "transit", "k").map_err(|error| error.to_string());
            let expected = "the address: it is scheme, host and port, as files name it";
            assert_eq!(told.err().as_deref(), Some(expected), "{address}");
        }
        for mount in [
            "", "/", "a//b", "..", "a/../b", "+", "a/*", "-a", "~a", "a b", "a,b", "sys", "auth/x",
            "x/auth",
        ] {
            let told = setup(server, None, mount, "k").map_err(|error| error.to_string());
            let expected = "the mount: no engine can be mounted there, or not be named";
            assert_eq!(told.err().as_deref(), Some(expected), "{mount}");
        }
        for key in ["", "a/b", "-a", "a b", "a\nb", "$a"] {
            assert!(setup(server, None, "transit", key).is_err(), "{key}");
        }
        for namespace in ["a b", "..", "a;b", "+", "sys"] {
            assert!(setup(server, Some(namespace), "transit", "k").is_err(), "{namespace}");
        }
    }
}

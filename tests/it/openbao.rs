//! Real OpenBao, where `tests/run` has brought it: one server for all tests, private ones for those that
//! seal or stop it, and servers of our own to record requests and to answer wrongly.

mod accept;
mod checks;
#[cfg(all(feature = "cli", feature = "vault"))]
mod cluster;
mod own;
mod process;
mod recorder;
mod script;
mod wire;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

#[cfg(all(feature = "cli", feature = "vault"))]
pub(crate) use cluster::Cluster;
pub(crate) use own::Own;
pub(crate) use process::{Process, free_pair};
pub(crate) use recorder::{Listener, Recorder};
pub(crate) use script::{Answer, Script};
#[cfg(all(feature = "cli", feature = "vault"))]
pub(crate) use wire::{Request, Response, send};

/// How often a server is started anew when somebody else had its ports first.
const TRIES: usize = 5;

/// A server that is up, without TLS.
// With TLS it would be a dev server too: `-dev-tls`, and `-dev-tls-cert-dir` to find its certificates.
pub(crate) struct Bao {
    address: String,
    root: String,
    process: Process,
}

impl Bao {
    /// The server that all tests of the process share, each with a mount or namespace of its own; its root
    /// token is `root`. `None` where the peers are not brought.
    pub(crate) fn start() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Bao>> = OnceLock::new();
        SHARED.get_or_init(|| Some(Self::dev(&program()?))).as_ref()
    }

    /// A server with TLS for one test; the folder has the certificate of its authority.
    #[cfg(all(feature = "cli", feature = "vault"))]
    pub(crate) fn with_tls() -> Option<(Self, PathBuf)> {
        let program = program()?;
        let mut said = String::new();
        for _ in 0..TRIES {
            let listen = format!("127.0.0.1:{}", free_pair());
            let args = [
                "server".to_owned(),
                "-dev-tls".to_owned(),
                "-dev-root-token-id=root".to_owned(),
                "-dev-no-store-token".to_owned(),
                format!("-dev-listen-address={listen}"),
            ];
            // The last that it says in its own words.
            match Process::start_until(&program, &args, &[], "ca.pem'") {
                Ok(process) => {
                    let log = process.log();
                    let ca = log.split_whitespace().find(|word| word.ends_with("ca.pem'"));
                    let ca =
                        ca.and_then(|word| word.split('\'').nth(1)).expect("a path in the log");
                    let ca = PathBuf::from(ca);
                    let (address, root) = (format!("https://{listen}"), "root".to_owned());
                    return Some((Self { address, root, process }, ca));
                }
                Err(log) => said = log,
            }
        }
        panic!("OpenBao does not start:\n{said}");
    }

    fn dev(program: &std::path::Path) -> Self {
        let mut said = String::new();
        for _ in 0..TRIES {
            let listen = format!("127.0.0.1:{}", free_pair());
            let args = [
                "server",
                "-dev",
                "-dev-root-token-id=root",
                "-dev-no-store-token",
                &format!("-dev-listen-address={listen}"),
            ];
            match Process::start(program, &args.map(str::to_owned)) {
                Ok(process) => {
                    let address = format!("http://{listen}");
                    let bao = Self { address, root: "root".to_owned(), process };
                    assert_eq!(bao.health(), 200, "{}", bao.process.log());
                    return bao;
                }
                Err(log) => said = log,
            }
        }
        panic!("OpenBao does not start:\n{said}");
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The token that may do everything.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The status that the server gives itself: 200 is up, 503 sealed, 501 not initialised.
    pub(crate) fn health(&self) -> u16 {
        self.call("GET", "sys/health", None, None).0
    }

    /// One request, on a connection of its own: the status, and the body, null where there is none. `path` is
    /// what follows `/v1/`, and may begin with a namespace.
    #[track_caller]
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let header = |token: &str| ("x-vault-token".to_owned(), token.to_owned());
        let headers: Vec<_> = token.map(header).into_iter().collect();
        let body = body.map(|it| it.to_string()).unwrap_or_default();
        let path = format!("/v1/{path}");
        let response = wire::send(&self.address, method, &path, &headers, body.as_bytes());
        let response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let body = match response.body.as_slice() {
            [] => Value::Null,
            body => serde_json::from_slice(body).expect("JSON"),
        };
        (response.status, body)
    }

    /// What the server says to the root token, byte for byte.
    #[cfg(all(feature = "cli", feature = "vault"))]
    #[track_caller]
    pub(crate) fn raw(&self, path: &str) -> String {
        let headers = [("x-vault-token".to_owned(), self.root.clone())];
        let response = wire::send(&self.address, "GET", &format!("/v1/{path}"), &headers, b"");
        String::from_utf8(response.expect("an answer").body).expect("UTF-8")
    }

    /// Does something with the root token, which must work: the body of the answer.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, body) = self.call(method, path, Some(&self.root), body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    /// A transit engine that nobody else uses: its path.
    pub(crate) fn mount(&self) -> String {
        self.mount_in("")
    }

    /// The same in a namespace, by which the path then begins.
    pub(crate) fn mount_in(&self, namespace: &str) -> String {
        let mount = unique("transit");
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let body = json!({ "type": "transit" });
        self.ask("POST", &format!("{prefix}sys/mounts/{mount}"), Some(body));
        prefix + &mount
    }

    /// A key-value engine of this version that nobody else uses, in this namespace, if it is one.
    #[cfg(all(feature = "cli", feature = "vault"))]
    pub(crate) fn kv_in(&self, namespace: &str, version: u8) -> String {
        let mount = unique("kv");
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let body = json!({ "type": "kv", "options": { "version": version.to_string() } });
        self.ask("POST", &format!("{prefix}sys/mounts/{mount}"), Some(body));
        prefix + &mount
    }

    /// `body` is what the server takes: `type`, `derived`, `exportable` and the like.
    pub(crate) fn create_key(&self, mount: &str, name: &str, body: Value) {
        self.ask("POST", &format!("{mount}/keys/{name}"), Some(body));
    }

    /// A namespace that nobody else uses.
    pub(crate) fn namespace(&self) -> String {
        let name = unique("team");
        self.ask("POST", &format!("sys/namespaces/{name}"), Some(json!({})));
        name
    }

    /// A method of logging in that nobody else uses: its mount.
    #[cfg(all(feature = "cli", feature = "vault"))]
    pub(crate) fn auth(&self, namespace: &str, method: &str) -> String {
        let mount = unique(method);
        let body = json!({ "type": method });
        self.ask("POST", &format!("{namespace}sys/auth/{mount}"), Some(body));
        mount
    }

    /// A policy in HCL: its name.
    #[cfg(all(feature = "cli", feature = "vault"))]
    pub(crate) fn policy(&self, namespace: &str, policy: &str) -> String {
        let name = unique("policy");
        let body = json!({ "policy": policy });
        self.ask("POST", &format!("{namespace}sys/policies/acl/{name}"), Some(body));
        name
    }

    /// A token with a policy in HCL, and with the default one; `options` are those of the server: `ttl`,
    /// `num_uses`, `type` and the like.
    pub(crate) fn token(&self, policy: &str, mut options: Value) -> String {
        let name = unique("policy");
        self.ask("POST", &format!("sys/policies/acl/{name}"), Some(json!({ "policy": policy })));
        options["policies"] = json!([name]);
        let made = self.ask("POST", "auth/token/create", Some(options));
        made["auth"]["client_token"].as_str().expect("a token").to_owned()
    }
}

/// A wrapping token for what the server answers to this.
#[cfg(all(feature = "cli", feature = "vault"))]
pub(crate) fn wrapped(bao: &Bao, path: &str, body: &Value) -> String {
    let headers = [("x-vault-token", bao.root()), ("x-vault-wrap-ttl", "60s")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (path, body) = (format!("/v1/{path}"), body.to_string());
    let answer = wire::send(&bao.address, "POST", &path, &headers, body.as_bytes());
    let answer: Value = serde_json::from_slice(&answer.expect("an answer").body).expect("JSON");
    answer["wrap_info"]["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Where OpenBao is, if the peers are brought.
fn program() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os("WAXSEAL_PEERS")?).join("bao");
    assert!(program.exists(), "WAXSEAL_PEERS is older than what tests/peers/fetch brings");
    Some(program)
}

fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

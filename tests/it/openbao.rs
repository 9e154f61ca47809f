//! Real OpenBao, where `tests/run` has brought it: one server for all tests, private ones for those that
//! seal or stop it, and servers of our own to record requests and to answer wrongly.

mod accept;
mod checks;
mod own;
mod process;
mod recorder;
mod script;
mod wire;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

pub(crate) use own::Own;
use process::{Process, free_pair};
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

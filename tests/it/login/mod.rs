//! Logins at a real OpenBao: what is sent, how often, and what becomes of the token.

mod approle;
pub(crate) mod backends;
mod certificates;
mod chain;
mod cloud;
mod factors;
mod inline;
mod kept;
mod leases;
mod lifetimes;
mod passwords;
mod scripted;
mod signals;
mod signed;
mod single_use;
mod vals;
mod wrapped;

use serde_json::{Value, json};

use super::Sandbox;
use super::terminal::end;
use crate::openbao::{Answer, Bao, Process, Recorder, Request, Script, free_pair};

/// A transit key that who logs in may use, and a method to log in by, on the shared server.
struct Site {
    bao: &'static Bao,
    server: Recorder,
    /// Empty, or with a slash at its end.
    namespace: String,
    transit: String,
    auth: String,
    policy: String,
}

impl Site {
    fn new(method: &str) -> Option<Self> {
        Self::within(String::new(), method)
    }

    fn within(namespace: String, method: &str) -> Option<Self> {
        let bao = Bao::start()?;
        let transit = bao.mount_in(namespace.trim_end_matches('/'));
        bao.create_key(&transit, "a", json!({}));
        let auth = bao.auth(&namespace, method);
        let inside = transit.strip_prefix(&namespace).expect("below it");
        let policy = format!("path \"{inside}/*\" {{ capabilities = [\"update\"] }}");
        let policy = bao.policy(&namespace, &policy);
        let server = Recorder::before(bao.address());
        Some(Self { bao, server, namespace, transit, auth, policy })
    }

    /// Writes below the mount of the method, as an operator.
    #[track_caller]
    fn set(&self, path: &str, body: Value) -> Value {
        let path = format!("{}auth/{}/{path}", self.namespace, self.auth);
        self.bao.ask("POST", &path, Some(body))
    }

    /// Somebody who logs in so, with a plain file and a rule for it.
    fn user(&self, login: &str) -> Sandbox {
        let login = format!("{login} mount={}", self.auth);
        self.anybody().with("WAXSEAL_VAULT_AUTH", &login)
    }

    /// Somebody without a login.
    fn anybody(&self) -> Sandbox {
        let address = self.server.address();
        let sandbox = Sandbox::bare().with("VAULT_ADDR", &address).with("VAULT_MAX_RETRIES", "0");
        let uri = format!("{address}/v1/{}/keys/a", self.transit);
        let rule = format!("creation_rules:\n  - hc_vault_transit_uri: {uri}\n");
        sandbox.write(".sops.yaml", &rule);
        sandbox.write("a.yaml", "a: one\n");
        sandbox
    }

    /// What was asked since: method and path behind `/v1/`, the mounts left out.
    fn asked(&self, from: usize) -> Vec<String> {
        let requests = self.server.requests();
        let short = |request: &Request| {
            let path = request.path.trim_start_matches("/v1/").to_owned();
            let path = path.replace(&self.auth, "M").replace(&self.transit, "T");
            format!("{} {path}", request.method)
        };
        requests[from..].iter().map(short).collect()
    }

    /// Whether the server knows a token.
    fn knows(&self, token: &str) -> bool {
        let path = format!("{}auth/token/lookup", self.namespace);
        let body = json!({ "token": token });
        self.bao.call("POST", &path, Some(self.bao.root()), Some(body)).0 == 200
    }

    /// A run that logs in, does its work, and takes the token back; nothing is said.
    #[track_caller]
    fn works(&self, sandbox: &Sandbox, login: &str) {
        let from = self.server.requests().len();
        assert_eq!(sandbox.run(&["encrypt", "-i", "a.yaml"]).ok(), "");
        let expected = [login, "POST T/encrypt/a", "POST auth/token/revoke-self"];
        assert_eq!(self.asked(from), expected);
        let requests = self.server.requests();
        assert_eq!(requests[from].header("x-vault-token"), None, "a login carries no token");
        let token = requests[from + 1].header("x-vault-token").expect("a token").to_owned();
        assert_eq!(requests[from + 2].header("x-vault-token"), Some(token.as_str()));
        assert!(!self.knows(&token), "it was taken back");
        assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), "a: one\n");
    }

    /// A run whose login is refused: it is asked once, for many files, and nothing of the credential is said.
    #[track_caller]
    fn refuses(&self, sandbox: &Sandbox, login: &str, secret: &str, expected: &str) {
        let from = self.server.requests().len();
        for name in ["b.yaml", "c.yaml", "d.yaml"] {
            sandbox.write(name, "a: one\n");
        }
        let said = sandbox.run(&["encrypt", "-i", "b.yaml", "c.yaml", "d.yaml"]).fails(1);
        let said = flat(&said);
        assert_eq!(self.asked(from), [login]);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains(secret), "{said}");
        assert_eq!(sandbox.read("b.yaml"), "a: one\n");
    }
}

/// A message on one line.
fn flat(said: &str) -> String {
    said.replace("\n      | ", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A role of AppRole with these options beside its policy: its role id.
fn role_id(site: &Site, mut options: Value) -> String {
    options["token_policies"] = json!(site.policy);
    site.set("role/app", options);
    let path = format!("{}auth/{}/role/app/role-id", site.namespace, site.auth);
    let id = site.bao.ask("GET", &path, None);
    id["data"]["role_id"].as_str().expect("a text").to_owned()
}

/// The same, and a secret id.
fn role(site: &Site, options: Value) -> (String, String) {
    let id = role_id(site, options);
    let secret = site.set("role/app/secret-id", json!({}));
    (id, secret["data"]["secret_id"].as_str().expect("a text").to_owned())
}

/// Where a PKI engine makes its own authority.
fn authority(mount: &str) -> String {
    [mount, "root", "generate", "internal"].join("/")
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

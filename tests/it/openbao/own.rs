//! A server for one test, which may seal, stop and start it: what it holds is in a folder.

use std::ops::Deref;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Process, free_pair};
use super::{Bao, TRIES, program};

/// How long the port of a server that was stopped may take to be free again.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Own {
    bao: Bao,
    /// By which the server opens what it holds.
    unseal_key: String,
    storage: tempfile::TempDir,
}

impl Deref for Own {
    type Target = Bao;

    fn deref(&self) -> &Bao {
        &self.bao
    }
}

impl Own {
    /// A server that is up. `None` where the peers are not brought.
    pub(crate) fn start() -> Option<Self> {
        Self::blank().map(Self::initialised)
    }

    /// The same, which listens with TLS too, with these settings each; and where.
    #[cfg(all(feature = "cli", feature = "vault"))]
    pub(crate) fn start_with(tls: &[Value]) -> Option<(Self, Vec<String>)> {
        let (own, addresses) = Self::listening(tls)?;
        Some((own.initialised(), addresses))
    }

    fn initialised(mut self) -> Self {
        let own = &mut self;
        let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let (status, made) = own.call("POST", "sys/init", None, Some(init));
        assert_eq!(status, 200, "{made}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        own.unseal_key = text(&made["keys_base64"][0]);
        own.bao.root = text(&made["root_token"]);
        own.unseal();
        self
    }

    /// A server that nobody has initialised.
    pub(crate) fn blank() -> Option<Self> {
        Self::listening(&[]).map(|(own, _)| own)
    }

    fn listening(tls: &[Value]) -> Option<(Self, Vec<String>)> {
        let program = program()?;
        let storage = tempfile::tempdir().expect("a folder");
        let mut said = String::new();
        for _ in 0..TRIES {
            let listen = format!("127.0.0.1:{}", free_pair());
            let mut listeners = vec![json!({ "tcp": { "address": listen, "tls_disable": true } })];
            let mut addresses = Vec::new();
            for settings in tls {
                let (mut settings, address) =
                    (settings.clone(), format!("127.0.0.1:{}", free_pair()));
                settings["address"] = address.clone().into();
                listeners.push(json!({ "tcp": settings }));
                addresses.push(format!("https://{address}"));
            }
            let config = json!({
                "storage": { "file": { "path": storage.path().join("data") } },
                "listener": listeners,
                "disable_mlock": true,
            });
            std::fs::write(config_of(&storage), config.to_string()).expect("written");
            match Process::start(&program, &args(&storage)) {
                Ok(process) => {
                    let (address, root) = (format!("http://{listen}"), String::new());
                    let bao = Bao { address, root, process };
                    return Some((Self { bao, unseal_key: String::new(), storage }, addresses));
                }
                Err(log) => said = log,
            }
        }
        panic!("OpenBao does not start:\n{said}");
    }

    pub(crate) fn seal(&self) {
        self.ask("POST", "sys/seal", None);
    }

    pub(crate) fn unseal(&self) {
        let body = json!({ "key": self.unseal_key });
        let (status, answer) = self.call("POST", "sys/unseal", None, Some(body));
        assert_eq!((status, &answer["sealed"]), (200, &Value::Bool(false)), "{answer}");
        let patience = Instant::now() + PATIENCE;
        while self.health() != 200 {
            assert!(Instant::now() < patience, "{}", self.process.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// As an operator stops it: what it is doing is finished.
    pub(crate) fn stop(&mut self) {
        self.bao.process.end("TERM");
    }

    /// As a failing machine stops it.
    pub(crate) fn kill(&mut self) {
        self.bao.process.end("KILL");
    }

    /// After `stop` or `kill`: at the same address, with what it held, and sealed.
    pub(crate) fn start_again(&mut self) {
        let program = program().expect("it was there");
        let patience = Instant::now() + PATIENCE;
        self.bao.process = loop {
            match Process::start(&program, &args(&self.storage)) {
                Ok(process) => break process,
                Err(log) => assert!(Instant::now() < patience, "OpenBao does not start:\n{log}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
    }
}

fn config_of(storage: &tempfile::TempDir) -> std::path::PathBuf {
    storage.path().join("config.json")
}

fn args(storage: &tempfile::TempDir) -> [String; 2] {
    ["server".to_owned(), format!("-config={}", config_of(storage).display())]
}

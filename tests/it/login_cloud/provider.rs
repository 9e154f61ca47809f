//! The OIDC provider: a process for one test, which ends with it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

pub(super) struct Provider {
    process: Child,
    /// Its end is the provider's.
    input: Option<ChildStdin>,
    address: String,
}

impl Provider {
    /// A provider that sends browsers back to these addresses. `None` where the peers are not brought.
    pub(super) fn start(back: &[&str]) -> Option<Self> {
        let modules = PathBuf::from(std::env::var_os("WAXSEAL_PEERS")?).join("oidc/node_modules");
        assert!(modules.exists(), "WAXSEAL_PEERS is older than what tests/peers/fetch brings");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/oidc/provider.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .arg(modules)
            .args(back)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let input = process.stdin.take();
        let mut address = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut address).expect("a line");
        let address = address.trim().to_owned();
        assert!(address.starts_with("http://"), "the provider has not started");
        Some(Self { process, input, address })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.input = None;
        // Nothing can be done about it here.
        let _ = self.process.wait();
    }
}

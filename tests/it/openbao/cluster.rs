//! Three servers that are one: a leader, and two that stand by.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Process, free_pair};
use super::{Bao, TRIES, program};

/// How long three servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    nodes: Vec<Bao>,
    /// What they hold, dropped after them.
    _storage: tempfile::TempDir,
}

impl Cluster {
    /// A cluster that is up. `None` where the peers are not brought.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let storage = tempfile::tempdir().expect("a folder");
        let start = |index| node(&program, storage.path(), index);
        let mut nodes: Vec<Bao> = (1..=3).map(start).collect();
        let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let (status, made) = nodes[0].call("POST", "sys/init", None, Some(init));
        assert_eq!(status, 200, "{made}");
        let leader = nodes[0].address.clone();
        for (index, node) in nodes.iter_mut().enumerate() {
            made["root_token"].as_str().expect("a token").clone_into(&mut node.root);
            if index > 0 {
                let body = json!({ "leader_api_addr": leader });
                let (status, answer) = node.call("POST", "sys/storage/raft/join", None, Some(body));
                assert_eq!(status, 200, "{answer}");
            }
            let body = json!({ "key": made["keys_base64"][0] });
            let (status, answer) = node.call("POST", "sys/unseal", None, Some(body));
            assert_eq!(status, 200, "{answer}");
            // One that stands by says 429.
            let up = if index == 0 { 200 } else { 429 };
            waits(|| node.health() == up, &node.process);
            if index == 0 {
                let body = json!({ "server_stabilization_time": "100ms" });
                node.ask("POST", "sys/storage/raft/autopilot/configuration", Some(body));
            }
        }
        // Until they vote, there is nobody else to lead.
        let voters = || {
            let config = nodes[0].ask("GET", "sys/storage/raft/configuration", None);
            let servers = config["data"]["config"]["servers"].as_array().expect("a list").clone();
            servers.iter().filter(|server| server["voter"] == true).count()
        };
        waits(|| voters() == nodes.len(), &nodes[0].process);
        Some(Self { nodes, _storage: storage })
    }

    pub(crate) fn nodes(&self) -> &[Bao] {
        &self.nodes
    }

    /// The one that answers, as soon as there is one.
    pub(crate) fn leader(&self) -> &Bao {
        let leads = |node: &&Bao| node.health() == 200;
        waits(|| self.nodes.iter().any(|node| leads(&node)), &self.nodes[0].process);
        self.nodes.iter().find(leads).expect("it led a moment ago")
    }

    /// One that passes on what it is asked.
    pub(crate) fn standby(&self) -> &Bao {
        let leader = self.leader().address();
        let other = self.nodes.iter().find(|node| node.address() != leader);
        other.expect("there are three")
    }

    /// The leader leads no more; nobody does for a moment. Twice within seconds it is more than a moment:
    /// who has stepped down does not stand again for ten.
    pub(crate) fn step_down(&self) {
        let leader = self.leader();
        let (status, answer) =
            leader.call("PUT", "sys/step-down", Some(leader.root()), Some(json!({})));
        assert_eq!((status, answer), (204, Value::Null));
    }
}

fn node(program: &std::path::Path, storage: &std::path::Path, index: usize) -> Bao {
    let mut said = String::new();
    for attempt in 0..TRIES {
        let port = free_pair();
        let (listen, cluster) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
        let folder = storage.join(format!("{index}-{attempt}"));
        std::fs::create_dir(&folder).expect("made");
        let config = json!({
            "storage": { "raft": { "path": folder, "node_id": format!("node-{index}"),
                // A second without the leader is enough for a new one.
                "performance_multiplier": "1",
                "autopilot_reconcile_interval": "200ms",
                "autopilot_update_interval": "200ms",
            } },
            "listener": { "tcp": {
                "address": listen, "cluster_address": cluster, "tls_disable": true,
            } },
            "api_addr": format!("http://{listen}"),
            "cluster_addr": format!("https://{cluster}"),
            "disable_mlock": true,
        });
        let path = storage.join(format!("{index}-{attempt}.json"));
        std::fs::write(&path, config.to_string()).expect("written");
        let args = ["server".to_owned(), format!("-config={}", path.display())];
        match Process::start(program, &args) {
            Ok(process) => {
                let (address, root) = (format!("http://{listen}"), String::new());
                return Bao { address, root, process };
            }
            Err(log) => said = log,
        }
    }
    panic!("OpenBao does not start:\n{said}");
}

fn waits(until: impl Fn() -> bool, process: &Process) {
    let patience = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < patience, "{}", process.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

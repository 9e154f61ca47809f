//! An Agent at a socket: it stands in for every server, and has the token.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use super::Sandbox;

/// Answers one request as the transit engine does: what it was asked.
fn agent(socket: &std::path::Path) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody");
        let mut heard = Vec::new();
        while !heard.ends_with(b"]}") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).expect("a request");
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&part[..read]);
        }
        // As long as what a server gives.
        let text = format!("vault:v1:{}", "A".repeat(80));
        let item = format!(r#"{{"ciphertext":"{text}","reference":"0"}}"#);
        let body = format!(r#"{{"data":{{"batch_results":[{item}]}}}}"#);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).expect("sent");
        String::from_utf8(heard).expect("text")
    })
}

#[test]
fn an_agent_at_a_socket_is_asked_without_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock");
    let agent = agent(&socket);
    let address = format!("unix://{}", socket.to_str().expect("text"));
    let sandbox = Sandbox::bare().with("VAULT_AGENT_ADDR", &address);
    let rule = "creation_rules:\n  - hc_vault_transit_uri: https://v.example/v1/transit/keys/a\n";
    sandbox.write(".sops.yaml", rule);
    sandbox.write("a.yaml", "a: one\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    let heard = agent.join().expect("no panic").to_ascii_lowercase();
    assert!(heard.starts_with("post /v1/transit/encrypt/a http/1.1\r\n"), "{heard}");
    assert!(heard.contains("x-vault-request: true") && !heard.contains("x-vault-token"), "{heard}");
    let sealed = sandbox.read("a.yaml");
    assert!(sealed.contains("vault_address: https://v.example"), "{sealed}");
    assert!(sealed.contains("enc: vault:v1:AAAAAAAA"), "{sealed}");
}

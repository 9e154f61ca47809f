//! That the servers of this folder do what tests take on trust.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wire::{Response, send};
use super::{Answer, Bao, Listener, Own, Recorder, Script};

/// "a secret", as the server takes it.
const PLAINTEXT: &str = "YSBzZWNyZXQ=";

fn encrypt(bao: &Bao, key: &str) -> String {
    let (mount, name) = key.rsplit_once('/').expect("mount and name");
    let body = json!({ "plaintext": PLAINTEXT });
    let answer = bao.ask("POST", &format!("{mount}/encrypt/{name}"), Some(body));
    answer["data"]["ciphertext"].as_str().expect("a text").to_owned()
}

#[track_caller]
fn assert_opens(bao: &Bao, key: &str, ciphertext: &str) {
    let (mount, name) = key.rsplit_once('/').expect("mount and name");
    let body = json!({ "ciphertext": ciphertext });
    let answer = bao.ask("POST", &format!("{mount}/decrypt/{name}"), Some(body));
    assert_eq!(answer["data"]["plaintext"], PLAINTEXT);
}

fn host(address: &str) -> &str {
    address.strip_prefix("http://").expect("an address with http")
}

fn get(address: &str, path: &str) -> std::io::Result<Response> {
    send(address, "GET", path, &[], b"")
}

#[test]
fn one_server_is_shared() {
    let (Some(bao), Some(again)) = (Bao::start(), Bao::start()) else { return };
    assert_eq!(bao.address(), again.address());
    assert_eq!(bao.root(), "root");
    assert_eq!(bao.call("GET", "sys/health", None, None).1["sealed"], false);
}

#[test]
fn a_mount_is_for_one_test() {
    let Some(bao) = Bao::start() else { return };
    let (mount, other) = (bao.mount(), bao.mount());
    bao.create_key(&mount, "k", json!({ "type": "chacha20-poly1305" }));
    assert_eq!(
        bao.ask("GET", &format!("{mount}/keys/k"), None)["data"]["type"],
        "chacha20-poly1305"
    );
    let ciphertext = encrypt(bao, &format!("{mount}/k"));
    assert!(ciphertext.starts_with("vault:v1:"), "{ciphertext}");
    assert_opens(bao, &format!("{mount}/k"), &ciphertext);
    let (status, body) = bao.call("GET", &format!("{other}/keys/k"), Some("root"), None);
    assert_eq!((status, body), (404, json!({ "errors": [] })));
}

#[test]
fn a_namespace_is_for_one_test() {
    let Some(bao) = Bao::start() else { return };
    let namespace = bao.namespace();
    let mount = bao.mount_in(&namespace);
    assert!(mount.starts_with(&format!("{namespace}/")), "{mount}");
    bao.create_key(&mount, "k", json!({}));
    assert_opens(bao, &format!("{mount}/k"), &encrypt(bao, &format!("{mount}/k")));
    let outside = mount.strip_prefix(&format!("{namespace}/")).expect("as above");
    assert_eq!(bao.call("GET", &format!("{outside}/keys/k"), Some("root"), None).0, 404);
}

#[test]
fn a_token_may_what_its_policy_says() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let policy = format!(r#"path "{mount}/encrypt/k" {{ capabilities = ["update"] }}"#);
    let token = bao.token(&policy, json!({ "ttl": "10m", "num_uses": 2 }));
    let ask = |path: &str, token| {
        let body = json!({ "plaintext": PLAINTEXT, "ciphertext": "vault:v1:AAAA" });
        bao.call("POST", &format!("{mount}/{path}/k"), token, Some(body)).0
    };
    assert_eq!(ask("encrypt", None), 403);
    assert_eq!(ask("encrypt", Some(&token)), 200);
    assert_eq!(ask("decrypt", Some(&token)), 403);
    assert_eq!(ask("encrypt", Some(&token)), 403, "it was for two uses");
}

#[test]
fn an_own_server_is_sealed_and_unsealed() {
    let Some(own) = Own::start() else { return };
    let mount = own.mount();
    own.create_key(&mount, "k", json!({}));
    let ciphertext = encrypt(&own, &format!("{mount}/k"));
    own.seal();
    assert_eq!(own.health(), 503);
    own.unseal();
    assert_opens(&own, &format!("{mount}/k"), &ciphertext);
}

#[test]
fn an_own_server_keeps_what_it_holds() {
    let Some(mut own) = Own::start() else { return };
    let (address, mount) = (own.address().to_owned(), own.mount());
    own.create_key(&mount, "k", json!({}));
    let ciphertext = encrypt(&own, &format!("{mount}/k"));
    for end in [Own::stop, Own::kill] {
        end(&mut own);
        assert!(TcpStream::connect(host(&address)).is_err(), "it is gone");
        own.start_again();
        assert_eq!((own.address(), own.health()), (address.as_str(), 503));
        own.unseal();
        assert_opens(&own, &format!("{mount}/k"), &ciphertext);
    }
}

#[test]
fn a_blank_server_is_not_initialised() {
    let Some(own) = Own::blank() else { return };
    assert_eq!(own.health(), 501);
}

/// Started once more, in a process that is killed, so that nothing in it can clean up.
#[test]
#[expect(clippy::print_stderr, reason = "how the two processes speak")]
fn servers_end_with_the_tests() {
    const VICTIM: &str = "WAXSEAL_TEST_IS_KILLED";
    if std::env::var_os(VICTIM).is_some() {
        let (bao, own) = (Bao::start().expect("brought"), Own::start().expect("brought"));
        for it in [bao, &*own] {
            eprintln!("server {} {}", it.address(), it.process.home().display());
        }
        loop {
            std::thread::park();
        }
    }
    if Bao::start().is_none() {
        return;
    }
    // What the victim cannot remove either.
    let folder = tempfile::tempdir().expect("a folder");
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture", "openbao::checks::servers_end_with_the_tests"])
        .env(VICTIM, "yes")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let said = BufReader::new(victim.stderr.take().expect("piped")).lines();
    let servers: Vec<String> = said
        .map(|line| line.expect("UTF-8"))
        .filter_map(|line| Some(line.strip_prefix("server ")?.to_owned()))
        .take(2)
        .collect();
    assert_eq!(servers.len(), 2);
    let is_left = |server: &String| {
        let (address, home) = server.split_once(' ').expect("two words");
        let listens = TcpStream::connect(host(address)).is_ok();
        (listens, std::path::Path::new(home).exists())
    };
    assert!(servers.iter().all(|it| is_left(it) == (true, true)));
    victim.kill().expect("killed");
    victim.wait().expect("a child");
    let patience = Instant::now() + Duration::from_secs(10);
    while servers.iter().any(|it| is_left(it) != (false, false)) {
        assert!(Instant::now() < patience, "{servers:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_recorder_counts_connections_and_requests() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let recorder = Recorder::before(bao.address());
    let mut stream = TcpStream::connect(host(&recorder.address())).expect("it listens");
    let body = json!({ "plaintext": PLAINTEXT }).to_string();
    let head =
        format!("POST /v1/{mount}/encrypt/k?x=1 HTTP/1.1\r\nhost: h\r\nX-Vault-Token: root\r\n");
    let (start, end) = body.split_at(10);
    let fixed = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\na\r\n{start}\r\n{:x};x=y\r\n{end}\r\n0\r\nx: y\r\n\r\n",
        end.len()
    );
    for request in [&fixed, &chunked] {
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        let mut some = [0; 4096];
        while !answer.contains("vault:v1:") {
            let count = stream.read(&mut some).expect("an answer");
            assert_ne!(count, 0, "{answer}");
            answer += &String::from_utf8_lossy(&some[..count]);
        }
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!((recorder.connections(), recorder.requests().len()), (1, 2));
    for request in recorder.requests() {
        assert_eq!(request.connection, 0);
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, format!("/v1/{mount}/encrypt/k?x=1"));
        assert_eq!(request.header("x-vault-token"), Some("root"));
        assert_eq!(request.body.len(), body.len());
        assert_eq!(request.json()["plaintext"], PLAINTEXT);
    }
    let second = get(&recorder.address(), "/v1/sys/health").expect("an answer");
    assert_eq!(second.status, 200);
    assert_eq!((recorder.connections(), recorder.requests()[2].connection), (2, 1));
    // A connection that says nothing counts, too.
    let _silent = TcpStream::connect(host(&recorder.address())).expect("it listens");
    assert_eq!((recorder.connections(), recorder.requests().len()), (3, 3));
}

/// A client that nobody here wrote.
#[cfg(feature = "age")]
#[test]
fn a_recorder_counts_what_sops_asks_for() {
    let (Some(bao), Some(sops)) = (Bao::start(), crate::sops::Sops::start()) else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let recorder = Recorder::before(bao.address());
    let key = format!("{}/v1/{mount}/keys/k", recorder.address());
    let plain = sops.write("plain.yaml", "a: b\n");
    let run = |args: &[&str], path: &std::path::Path| {
        let output = sops.command().env("VAULT_TOKEN", "root").args(args).arg(path).output();
        let output = output.expect("sops runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let sealed = sops.write("sealed.yaml", &run(&["encrypt", "--hc-vault-transit", &key], &plain));
    assert_eq!(run(&["decrypt"], &sealed), "a: b\n");
    let requests = recorder.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|it| (it.connection, it.path.as_str(), it.header("X-Vault-Token")))
        .collect();
    let path = |operation: &str| format!("/v1/{mount}/{operation}/k");
    let (encrypt, decrypt) = (path("encrypt"), path("decrypt"));
    assert_eq!(seen, [(0, &*encrypt, Some("root")), (1, &*decrypt, Some("root"))]);
    assert_eq!(recorder.connections(), 2);
}

#[test]
fn a_recorder_passes_on_the_end_of_a_connection() {
    let script = Script::start(|_| Answer::new(200, "whole").cut_at(2));
    let recorder = Recorder::before(&script.address());
    assert!(get(&recorder.address(), "/").is_err());
    let address = script.address();
    drop(script);
    let recorder_of_nobody = Recorder::before(&address);
    assert!(get(&recorder_of_nobody.address(), "/").is_err());
    assert_eq!(recorder_of_nobody.connections(), 1);
}

#[test]
fn a_listener_hears_and_says_nothing() {
    let listener = Listener::start();
    assert_eq!((listener.connections(), listener.heard().len()), (0, 0));
    let mut stream = TcpStream::connect(host(&listener.address())).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nX-Vault-Token: s.x\r\n\r\n").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half closed");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert_eq!(answer, b"");
    drop(TcpStream::connect(host(&listener.address())).expect("it listens"));
    let heard = listener.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard[0].ends_with(b"X-Vault-Token: s.x\r\n\r\n"));
    assert_eq!(heard[1], b"");
}

#[test]
fn a_script_answers_as_it_is_told() {
    let script = Script::start(|request| match request.path.as_str() {
        "/json" => Answer::json(418, &json!({ "method": request.method })),
        "/none" => Answer::new(204, ""),
        path => Answer::new(200, path).header("x-one", "1").header("retry-after", "7"),
    });
    let answer = send(&script.address(), "LIST", "/json", &[], b"body").expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (418, &br#"{"method":"LIST"}"#[..]));
    let answer = get(&script.address(), "/none").expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let answer = get(&script.address(), "/else").expect("an answer");
    assert!(answer.headers.contains(&("retry-after".to_owned(), "7".to_owned())));
    assert_eq!(answer.body, b"/else");
    assert_eq!(script.connections(), 3);
    assert_eq!(script.requests()[0].body, b"body");
}

#[test]
fn a_script_fails_as_it_is_told() {
    let body = "x".repeat(1000);
    let pause = Duration::from_millis(30);
    let script = Script::start(move |request| {
        let answer = Answer::new(200, body.clone());
        match request.path.as_str() {
            "/cut" => answer.cut_at(500),
            "/slow" => answer.slowly(300, pause),
            "/late" => answer.after(pause),
            "/hang-up" => Answer::hang_up(),
            _ => Answer::never(),
        }
    });
    let raw = |path: &str, patience| {
        let mut stream = TcpStream::connect(host(&script.address())).expect("it listens");
        stream.set_read_timeout(Some(patience)).expect("a time");
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).map_err(|error| error.kind());
        (end.is_ok(), String::from_utf8(answer).expect("UTF-8"))
    };
    let (ended, answer) = raw("/cut", Duration::from_secs(10));
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(ended && head.contains("content-length: 1000"), "{head}");
    assert_eq!(body.len(), 500);
    assert_eq!(raw("/hang-up", Duration::from_secs(10)), (true, String::new()));
    assert_eq!(raw("/never", Duration::from_millis(200)), (false, String::new()));
    for (path, pauses) in [("/slow", 4), ("/late", 1)] {
        let start = Instant::now();
        let answer = get(&script.address(), path).expect("an answer");
        assert_eq!(answer.body.len(), 1000);
        assert!(start.elapsed() >= pause * pauses, "{path}");
    }
}

#[test]
fn a_script_stands_before_a_real_server() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    let address = bao.address().to_owned();
    let script = Script::start(move |request| match request.method.as_str() {
        "POST" => Answer::from_server(&address, request).changed(|body| body["more"] = json!(1)),
        _ => Answer::json(503, &json!({ "errors": ["scripted"] })),
    });
    let token = [("x-vault-token".to_owned(), bao.root().to_owned())];
    let path = format!("/v1/{mount}/keys/k");
    let answer = send(&script.address(), "POST", &path, &token, b"{}").expect("an answer");
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &body["data"]["name"]), (200, &json!("k")));
    assert_eq!(body["more"], 1);
    let answer = send(&script.address(), "GET", &path, &token, b"").expect("an answer");
    assert_eq!(answer.status, 503);
    assert_eq!(bao.ask("GET", &format!("{mount}/keys/k"), None)["data"]["latest_version"], 1);
}

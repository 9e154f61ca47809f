//! Who asked for what: a proxy that writes down what passes, and a port that answers nothing.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::accept::Port;
use super::wire::{Request, read_request};

/// Stands before a server, passes everything on, and records it. One connection to it is one to the server. It
/// is a proxy as well, with that server behind every name; what goes through a tunnel is not recorded.
pub(crate) struct Recorder {
    port: Port,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Recorder {
    /// `address` is that of a server without TLS.
    pub(crate) fn before(address: &str) -> Self {
        let server = address.strip_prefix("http://").expect("an address with http").to_owned();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let port = Port::open({
            let requests = Arc::clone(&requests);
            move |connection, client| pass(connection, client, &server, &requests)
        });
        Self { port, requests }
    }

    pub(crate) fn address(&self) -> String {
        self.port.url()
    }

    pub(crate) fn connections(&self) -> usize {
        self.port.connections()
    }

    /// In the order that they came: each is here before the server has seen it.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

fn pass(connection: usize, client: TcpStream, server: &str, requests: &Mutex<Vec<Request>>) {
    // A server that is away is a connection that ends, as near as a proxy gets to it.
    let Ok(mut upstream) = TcpStream::connect(server) else { return };
    upstream.set_nodelay(true).expect("a connection");
    let answers = std::thread::spawn({
        let mut from = upstream.try_clone().expect("a second handle");
        let mut to = client.try_clone().expect("a second handle");
        move || {
            // Either end may be cut, by tests on purpose: then the other one is, too.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        }
    });
    let mut from = BufReader::new(client);
    while let Ok(Some(request)) = read_request(&mut from, connection) {
        let (raw, tunnel) = (request.raw.clone(), request.method == "CONNECT");
        requests.lock().expect("no panic").push(request);
        if tunnel {
            let mut to = from.get_ref().try_clone().expect("a second handle");
            if to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
                // Either end may be cut.
                let _ = std::io::copy(&mut from, &mut upstream);
            }
            break;
        }
        if upstream.write_all(&raw).is_err() {
            // It has answered without reading on: what it says is passed on by the other thread.
            break;
        }
    }
    let _ = upstream.shutdown(Shutdown::Write);
    let _ = answers.join();
}

/// For an address that must see nothing: takes connections, keeps what was said first, answers nothing.
pub(crate) struct Listener {
    port: Port,
    heard: Arc<Mutex<Vec<Heard>>>,
}

#[derive(Clone, Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

/// What is kept of a connection.
const MOST_HEARD: usize = 16 * 1024;
/// How long a connection that is still open may take to say something.
const QUIET: Duration = Duration::from_secs(1);

impl Listener {
    pub(crate) fn start() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let port = Port::open({
            let heard = Arc::clone(&heard);
            move |connection, stream| hear(connection, stream, &heard)
        });
        Self { port, heard }
    }

    pub(crate) fn address(&self) -> String {
        self.port.url()
    }

    pub(crate) fn connections(&self) -> usize {
        self.port.connections()
    }

    /// What was said over each connection, complete where the connection has ended.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        let count = self.port.connections();
        let patience = Instant::now() + QUIET;
        loop {
            let heard = self.heard.lock().expect("no panic").clone();
            let complete = heard.len() >= count && heard.iter().all(|it| it.ended);
            if complete || Instant::now() > patience {
                return heard.into_iter().map(|it| it.bytes).collect();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn hear(connection: usize, mut stream: TcpStream, heard: &Mutex<Vec<Heard>>) {
    let with = |change: &dyn Fn(&mut Heard)| {
        let mut heard = heard.lock().expect("no panic");
        // Threads of later connections may be here first.
        if heard.len() <= connection {
            heard.resize(connection + 1, Heard::default());
        }
        change(&mut heard[connection]);
    };
    with(&|_| {});
    let mut some = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut some) {
        with(&|it| {
            let room = MOST_HEARD.saturating_sub(it.bytes.len());
            it.bytes.extend_from_slice(&some[..count.min(room)]);
        });
    }
    with(&|it| it.ended = true);
}

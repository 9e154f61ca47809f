//! A server that does as it is told: for answers and faults that no real server gives when asked.

use std::io::{BufReader, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::accept::Port;
use super::wire::{Headers, Request, header, read_request, send};

/// Answers each request by a function of the test, and records it.
pub(crate) struct Script {
    port: Port,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Script {
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let port = Port::open({
            let requests = Arc::clone(&requests);
            move |connection, stream| serve(connection, stream, &requests, &answer)
        });
        Self { port, requests }
    }

    pub(crate) fn address(&self) -> String {
        self.port.url()
    }

    pub(crate) fn connections(&self) -> usize {
        self.port.connections()
    }

    /// In the order that they came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// What the server says, and how.
pub(crate) struct Answer {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
    delay: Duration,
    delivery: Delivery,
}

enum Delivery {
    Whole,
    /// The length is that of the whole, but the connection ends after so many bytes of the body.
    Cut(usize),
    /// So many bytes at a time, and a pause before each.
    Slow(usize, Duration),
    /// Nothing, and the connection ends.
    HangUp,
    /// Nothing, and the connection stays open.
    Never,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, delay) = (Headers::new(), Duration::ZERO);
        Self { status, headers, body: body.into(), delay, delivery: Delivery::Whole }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    /// What a real server says to this request: a script in front of it, for faults in some places.
    pub(crate) fn from_server(address: &str, request: &Request) -> Self {
        let headers = end_to_end(&request.headers);
        match send(address, &request.method, &request.path, &headers, &request.body) {
            Ok(response) => {
                let headers = end_to_end(&response.headers);
                Self { headers, ..Self::new(response.status, response.body) }
            }
            Err(_) => Self::hang_up(),
        }
    }

    pub(crate) fn hang_up() -> Self {
        Self { delivery: Delivery::HangUp, ..Self::new(0, "") }
    }

    pub(crate) fn never() -> Self {
        Self { delivery: Delivery::Never, ..Self::new(0, "") }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another body, of JSON.
    pub(crate) fn changed(mut self, change: impl Fn(&mut Value)) -> Self {
        let mut body = serde_json::from_slice(&self.body).expect("JSON");
        change(&mut body);
        self.body = body.to_string().into_bytes();
        self
    }

    /// Waits before the first byte.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Ends the connection after so many bytes of the body.
    pub(crate) fn cut_at(self, bytes: usize) -> Self {
        Self { delivery: Delivery::Cut(bytes), ..self }
    }

    /// So many bytes of the body at a time, a pause before each.
    pub(crate) fn slowly(self, bytes: usize, pause: Duration) -> Self {
        Self { delivery: Delivery::Slow(bytes, pause), ..self }
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let has_body = self.status >= 200 && self.status != 204 && self.status != 304;
        if has_body && header(&self.headers, "content-length").is_none() {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }
}

/// Without the fields that are about one connection alone.
fn end_to_end(headers: &[(String, String)]) -> Headers {
    let own = ["host", "connection", "keep-alive", "content-length", "transfer-encoding"];
    let is_own = |name: &str| own.iter().any(|it| it.eq_ignore_ascii_case(name));
    headers.iter().filter(|(name, _)| !is_own(name)).cloned().collect()
}

/// Keeps the connection for as long as the answers are whole.
fn serve(
    connection: usize,
    mut stream: TcpStream,
    requests: &Mutex<Vec<Request>>,
    answer: &(impl Fn(&Request) -> Answer + ?Sized),
) {
    let mut from = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Ok(Some(request)) = read_request(&mut from, connection) {
        requests.lock().expect("no panic").push(request.clone());
        let answer = answer(&request);
        std::thread::sleep(answer.delay);
        match deliver(&mut stream, &request, &answer) {
            Ok(true) => {}
            Ok(false) => break,
            // The client has gone, as it may.
            Err(_) => return,
        }
    }
}

/// Whether the connection can go on.
fn deliver(to: &mut TcpStream, request: &Request, answer: &Answer) -> Result<bool> {
    let body = if request.method == "HEAD" { &[][..] } else { &answer.body };
    match answer.delivery {
        Delivery::Whole => {
            to.write_all(answer.head().as_bytes())?;
            to.write_all(body)?;
        }
        Delivery::Cut(bytes) => {
            to.write_all(answer.head().as_bytes())?;
            to.write_all(&body[..bytes.min(body.len())])?;
            return Ok(false);
        }
        Delivery::Slow(bytes, pause) => {
            to.write_all(answer.head().as_bytes())?;
            for piece in body.chunks(bytes.max(1)) {
                std::thread::sleep(pause);
                to.write_all(piece)?;
            }
        }
        Delivery::HangUp => return Ok(false),
        // Until the client goes, or the script is dropped.
        Delivery::Never => {
            std::io::copy(to, &mut std::io::sink())?;
            return Ok(false);
        }
    }
    Ok(true)
}

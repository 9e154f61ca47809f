//! The door that a browser comes back to after a login.
//!
//! Invariants: it listens on this machine alone; nothing that a visitor sends is in a page, an error or a
//! log; a visitor who says nothing or too much keeps nobody else waiting. Of silent ones `MOST_GUESTS` are
//! borne, and then the oldest goes: a program of this machine that floods the door can keep a slow browser
//! out, which ends the login and gives that program nothing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::keyservice::vault::auth::{Door, DoorSettings, Page, SourceError, Visit};
use crate::secret::{SecretText, reserve};

/// The open door.
pub struct Callback {
    listener: TcpListener,
    uri: String,
}

impl Callback {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// If the place is not of this machine, or taken.
    pub fn open(settings: &DoorSettings) -> Result<Self, SourceError> {
        let address = loopback(&settings.listen)?;
        let host = loopback(&settings.host)?;
        let port = settings.port;
        let error = |error: std::io::Error| {
            format!("the browser cannot come back to {}:{port}: {error}", settings.listen)
        };
        let listener = TcpListener::bind((address, port)).map_err(error)?;
        listener.set_nonblocking(true).map_err(error)?;
        let bound = listener.local_addr().map_err(error)?.port();
        let port = settings.uri_port.unwrap_or(bound);
        let host = match host {
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(_) => settings.host.clone(),
        };
        Ok(Self { listener, uri: format!("http://{host}:{port}{PATH}") })
    }
}

const PATH: &str = "/oidc/callback";

/// The address of a name that can only be this machine's.
fn loopback(name: &str) -> Result<IpAddr, SourceError> {
    if name == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let ip = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    ip.filter(IpAddr::is_loopback).ok_or_else(|| {
        "the browser comes back to this machine only: localhost, 127.0.0.1 or ::1".into()
    })
}

impl Door for Callback {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn receive(
        &self,
        patience: Duration,
        answer: &mut dyn FnMut(&Visit) -> Page,
    ) -> Result<(), SourceError> {
        let end = Instant::now() + patience;
        let mut guests: Vec<Guest> = Vec::new();
        while Instant::now() < end {
            for _ in 0..MOST_GUESTS {
                match self.listener.accept() {
                    Ok((stream, _)) => guests.extend(Guest::new(stream)),
                    Err(_) => break,
                }
            }
            let mut later = Vec::new();
            for mut guest in guests {
                match guest.hear() {
                    Heard::Nothing if guest.since.elapsed() < SILENCE => later.push(guest),
                    Heard::Nothing | Heard::Gone => {}
                    Heard::Nonsense => guest.say(400, OTHER),
                    Heard::Elsewhere => guest.say(404, OTHER),
                    Heard::Visit(visit) => match answer(&visit) {
                        Page::Other => guest.say(400, OTHER),
                        Page::Welcome => {
                            guest.say(200, WELCOME);
                            return Ok(());
                        }
                        Page::Failed => {
                            guest.say(400, FAILED);
                            return Ok(());
                        }
                    },
                }
            }
            // Who has said nothing for longest goes first: a browser says at once what it wants.
            later.drain(..later.len().saturating_sub(MOST_GUESTS));
            guests = later;
            thread::sleep(TICK);
        }
        let minutes = patience.as_secs() / 60;
        Err(format!("the browser has not come back for {minutes} minutes").into())
    }
}

const TICK: Duration = Duration::from_millis(20);

/// Who may be silent at a time: browsers connect before they know what to ask for.
const MOST_GUESTS: usize = 16;
const SILENCE: Duration = Duration::from_secs(10);

/// Bytes of a request: an `id_token` in a form may be long.
const MOST: usize = 64 << 10;

const WELCOME: &str = "You are logged in, and can close this page.";
const FAILED: &str = "The login failed. The terminal says why; you can close this page.";
const OTHER: &str = "Nobody waits for this here.";

/// A connection, and what was heard of its request.
struct Guest {
    stream: TcpStream,
    since: Instant,
    heard: Zeroizing<Vec<u8>>,
}

enum Heard {
    /// Not all yet.
    Nothing,
    /// It has gone.
    Gone,
    /// No request that this door knows.
    Nonsense,
    /// For another path.
    Elsewhere,
    Visit(Visit),
}

impl Guest {
    fn new(stream: TcpStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, since: Instant::now(), heard: Zeroizing::default() })
    }

    fn hear(&mut self) -> Heard {
        let mut part = Zeroizing::new([0; 4096]);
        loop {
            match self.stream.read(part.as_mut_slice()) {
                Ok(0) => return Heard::Gone,
                Ok(read) => {
                    reserve(&mut self.heard, read);
                    self.heard.extend_from_slice(&part[..read]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Heard::Gone,
            }
            if self.heard.len() > MOST {
                return Heard::Nonsense;
            }
        }
        request(&self.heard)
    }

    /// Answers, and ends the connection.
    fn say(&mut self, status: u16, text: &str) {
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><title>waxseal</title>\
             <body style=\"font:1.2em sans-serif;margin:3em\">{text}"
        );
        let head = format!(
            "HTTP/1.1 {status} \r\ncontent-type: text/html; charset=utf-8\r\n\
             content-length: {}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\n\
             content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
             connection: close\r\n\r\n",
            page.len()
        );
        // Who has gone misses only the page.
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.set_write_timeout(Some(Duration::from_secs(1)));
        let _ = self.stream.write_all((head + &page).as_bytes());
    }
}

/// What these bytes ask for (HTTP/1.1).
fn request(bytes: &[u8]) -> Heard {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Heard::Nothing };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Heard::Nonsense };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Heard::Nonsense;
    };
    if !version.starts_with("HTTP/1.") {
        return Heard::Nonsense;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != PATH {
        return Heard::Elsewhere;
    }
    let fields = |text: &str| SecretText::new(text.to_owned());
    match method {
        "GET" => Heard::Visit(Visit { posted: false, fields: fields(query) }),
        "POST" => {
            let length = lines.find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let Some(length) = length.filter(|length: &usize| *length <= MOST) else {
                return Heard::Nonsense;
            };
            match bytes[end + 4..].get(..length).map(std::str::from_utf8) {
                None => Heard::Nothing,
                Some(Ok(form)) => Heard::Visit(Visit { posted: true, fields: fields(form) }),
                Some(Err(_)) => Heard::Nonsense,
            }
        }
        _ => Heard::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::{Callback, Door as _, DoorSettings, MOST_GUESTS, Page, SILENCE, loopback};

    fn open() -> (Callback, String) {
        let settings = DoorSettings { port: 0, ..DoorSettings::default() };
        let door = Callback::open(&settings).expect("a free port");
        let place = door.uri().split('/').nth(2).expect("a host").to_owned();
        (door, place)
    }

    /// The status and the end of what is answered.
    fn said(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    #[test]
    fn a_browser_is_heard_and_others_are_sent_away() {
        let (door, place) = open();
        let connect = || TcpStream::connect(&place).expect("it listens");
        let send = |text: &str| {
            let mut stream = connect();
            stream.write_all(text.as_bytes()).expect("sent");
            stream
        };
        // One that says nothing, one that wants an icon, one with another state, one that came.
        let silent = connect();
        let icon = send("GET /favicon.ico HTTP/1.1\r\nhost: x\r\n\r\n");
        let tls = send("\x16\x03\x01 \r\n\r\n");
        let other = send("GET /oidc/callback?state=2&code=a HTTP/1.1\r\n\r\n");
        let mut form = send("POST /oidc/callback HTTP/1.1\r\nContent-Length: 14\r\n\r\nstate=1");
        let mut heard = Vec::new();
        door.receive(Duration::from_secs(60), &mut |visit| {
            heard.push((visit.posted, visit.fields.expose_secret().to_owned()));
            if visit.posted {
                return Page::Welcome;
            }
            // The rest of the form comes later.
            form.write_all(b"&code=b").expect("sent");
            Page::Other
        })
        .expect("somebody came");
        let expected = [(false, "state=2&code=a"), (true, "state=1&code=b")];
        let heard: Vec<_> = heard.iter().map(|(posted, text)| (*posted, text.as_str())).collect();
        assert_eq!(heard, expected);
        assert!(said(icon).starts_with("HTTP/1.1 404"));
        assert!(said(tls).starts_with("HTTP/1.1 400"));
        assert!(said(other).starts_with("HTTP/1.1 400"));
        let welcome = said(form);
        assert!(welcome.starts_with("HTTP/1.1 200") && welcome.ends_with("can close this page."));
        drop(silent);
    }

    #[test]
    fn many_who_say_nothing_keep_no_browser_waiting() {
        let (door, place) = open();
        let connect = || TcpStream::connect(&place).expect("it listens");
        let silent: Vec<_> = (0..3 * MOST_GUESTS).map(|_| connect()).collect();
        let mut browser = connect();
        browser.write_all(b"GET /oidc/callback?state=1 HTTP/1.1\r\n\r\n").expect("sent");
        // Those that are silent would be heard out for longer.
        let heard = door.receive(SILENCE / 2, &mut |_| Page::Welcome);
        assert_eq!(heard, Ok(()));
        assert!(said(browser).starts_with("HTTP/1.1 200"));
        drop(silent);
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let (door, _) = open();
        let error = door.receive(Duration::ZERO, &mut |_| Page::Welcome).expect_err("nobody");
        assert_eq!(error.to_string(), "the browser has not come back for 0 minutes");
    }

    #[test]
    fn the_door_is_on_this_machine() {
        for name in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(loopback(name).is_ok(), "{name}");
        }
        for name in ["0.0.0.0", "::", "vault.example", "10.0.0.1", "localhost.example", ""] {
            let settings = DoorSettings { listen: name.to_owned(), ..Default::default() };
            assert!(Callback::open(&settings).is_err(), "{name}");
            let settings = DoorSettings { port: 0, host: name.to_owned(), ..Default::default() };
            assert!(Callback::open(&settings).is_err(), "{name}");
        }
    }
}

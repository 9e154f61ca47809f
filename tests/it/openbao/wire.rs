//! HTTP/1.1 as the tests speak and hear it: whole messages over a plain connection, and a client of one
//! function. Lengths are given by `content-length` or by chunks.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the client waits for a server that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_HEADERS: usize = 64;

pub(crate) type Headers = Vec<(String, String)>;

/// A request as a server of the tests heard it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Which of the connections it came over, from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Every byte of it, in the order that they came.
    pub(super) raw: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// The next request, or nothing where the client has closed the connection.
pub(super) fn read_request(
    from: &mut BufReader<TcpStream>,
    connection: usize,
) -> Result<Option<Request>> {
    let Some(mut raw) = read_head(from)? else { return Ok(None) };
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    head.parse(&raw).map_err(Error::other)?;
    let method = head.method.unwrap_or_default().to_owned();
    let path = head.path.unwrap_or_default().to_owned();
    let headers = owned(head.headers);
    let body = read_body(from, &headers, false, &mut raw)?;
    Ok(Some(Request { connection, method, path, headers, body, raw }))
}

/// Sends one request over a connection of its own.
pub(crate) fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Response> {
    let host = address.strip_prefix("http://").expect("an address with http");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes())?;
    // A server that refuses a body need not read it, and answers nevertheless.
    let sent = stream.write_all(body);
    match read_response(&mut BufReader::new(stream), method) {
        Err(_) if sent.is_err() => Err(sent.expect_err("an error, as asked")),
        response => response,
    }
}

fn read_response(from: &mut BufReader<TcpStream>, method: &str) -> Result<Response> {
    loop {
        let mut raw = read_head(from)?.ok_or(ErrorKind::UnexpectedEof)?;
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        head.parse(&raw).map_err(Error::other)?;
        let status = head.code.unwrap_or_default();
        let headers = owned(head.headers);
        if status < 200 {
            continue;
        }
        let empty = method == "HEAD" || status == 204 || status == 304;
        let body = if empty { Vec::new() } else { read_body(from, &headers, true, &mut raw)? };
        return Ok(Response { status, headers, body });
    }
}

pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name))?;
    Some(&found.1)
}

fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|it| (it.name.to_owned(), text(it.value))).collect()
}

/// The bytes up to the empty line, or nothing at the end of the connection.
fn read_head(from: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let line = from.read_until(b'\n', &mut head)?;
        match line {
            0 if head.is_empty() => return Ok(None),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ if head.ends_with(b"\r\n\r\n") => return Ok(Some(head)),
            _ => {}
        }
    }
}

/// The content of a message; `raw` gets every byte that stood for it.
fn read_body(
    from: &mut impl BufRead,
    headers: &[(String, String)],
    may_end_with_the_connection: bool,
    raw: &mut Vec<u8>,
) -> Result<Vec<u8>> {
    if header(headers, "transfer-encoding").is_some_and(|it| it.contains("chunked")) {
        return read_chunks(from, raw);
    }
    let start = raw.len();
    match header(headers, "content-length") {
        Some(length) => {
            let length = length.parse().map_err(Error::other)?;
            exactly(from, length, raw)?;
        }
        None if may_end_with_the_connection => {
            from.read_to_end(raw)?;
        }
        None => {}
    }
    Ok(raw[start..].to_vec())
}

fn read_chunks(from: &mut impl BufRead, raw: &mut Vec<u8>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = read_line(from, raw)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(Error::other)?;
        if size == 0 {
            break;
        }
        let start = raw.len();
        exactly(from, size, raw)?;
        body.extend_from_slice(&raw[start..]);
        read_line(from, raw)?;
    }
    // Fields may follow the last chunk.
    while !read_line(from, raw)?.trim().is_empty() {}
    Ok(body)
}

fn read_line(from: &mut impl BufRead, raw: &mut Vec<u8>) -> Result<String> {
    let start = raw.len();
    from.read_until(b'\n', raw)?;
    if raw.last() != Some(&b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&raw[start..]).into_owned())
}

fn exactly(from: &mut impl BufRead, length: u64, raw: &mut Vec<u8>) -> Result<()> {
    let read = from.take(length).read_to_end(raw)?;
    if read as u64 == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

//! The network: carries requests to Vault servers, and to what tells a machine of a cloud who it is.
//!
//! Invariants: no client is built before a request is sent; no redirect is followed and nothing is
//! repeated here; an address is connected to only when it is asked for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, ClientBuilder, Response};
use reqwest::header::{CONTENT_TYPE, DATE, HOST, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Identity, Method, Proxy, Url, redirect, retry, tls};
use zeroize::Zeroizing;

use super::fs::read_bytes;
use crate::keyservice::vault::auth::Way;
use crate::keyservice::vault::settings::{self, Given, Roots, Tls};
use crate::keyservice::vault::{
    Answer, LARGEST, Request, Transport, TransportError, envelope, retry_after,
};
use crate::secret::{SecretText, Wiped, reserve};
use crate::shown::Show;

/// Requests over the network.
pub struct Http {
    tls: Tls,
    proxy: Option<Arc<SecretText>>,
    others: Option<Way>,
    start: Instant,
    /// One for each socket, each server of a name that is not its own, and those of this machine.
    clients: Mutex<HashMap<String, Client>>,
    /// A file among those of certificates that cannot be read: for whom no certificate is enough.
    unread: Mutex<Option<String>>,
}

impl Http {
    /// A transport that secures connections so, over this proxy.
    #[must_use]
    pub fn new(tls: Tls, proxy: Option<Arc<SecretText>>) -> Self {
        let (clients, unread) = (Mutex::default(), Mutex::default());
        Self { tls, proxy, others: None, start: Instant::now(), clients, unread }
    }

    /// A transport to servers that are not Vault's: with what the system trusts, on this way.
    #[must_use]
    pub fn to_others(way: Way) -> Self {
        Self { others: Some(way), ..Self::new(Tls::default(), None) }
    }

    fn client(&self, request: &Request<'_>, url: &Url) -> Result<Client, TransportError> {
        let named = self.tls.server_name.as_deref().filter(|_| url.scheme() == "https");
        // As every Go program has it, the usual variables name no proxy for this machine.
        let local = self.proxy.is_none() && is_local(url);
        let key = match (request.socket, named) {
            (Some(path), _) => format!("unix://{path}"),
            (None, Some(_)) => url.authority().to_owned(),
            (None, None) => (if local { "local" } else { "" }).to_owned(),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let mut builder = self.builder()?;
        if local || named.is_some() {
            builder = builder.no_proxy();
        }
        if let Some(path) = request.socket {
            builder = builder.unix_socket(path);
        }
        if let Some(name) = named {
            let error = |error: std::io::Error| TransportError::Connect(error.to_string());
            let port = url.port_or_known_default().unwrap_or(443);
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            let places: Vec<_> = (host, port).to_socket_addrs().map_err(error)?.collect();
            builder = builder.resolve_to_addrs(name, &places);
        }
        let client = builder.build().map_err(|error| setting("the connection", &error))?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn builder(&self) -> Result<ClientBuilder, TransportError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Fails only if there is one already.
            drop(rustls::crypto::ring::default_provider().install_default());
        });
        let mut builder = Client::builder()
            .user_agent(concat!("waxseal/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .tls_version_min(tls::Version::TLS_1_2)
            .connect_timeout(CONNECT)
            .timeout(None);
        if self.others == Some(Way::Link) {
            builder = builder.no_proxy();
        }
        if let Some(proxy) = &self.proxy {
            let proxy =
                Proxy::all(proxy.expose_secret()).map_err(|error| setting("the proxy", &error))?;
            builder = builder.proxy(proxy);
        }
        if let Some(roots) = &self.tls.roots {
            let (certificates, unread) = certificates(roots)?;
            builder = builder.tls_certs_only(certificates);
            *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
        }
        if let Some(identity) = &self.tls.identity {
            let parts = match identity {
                settings::Identity::Files(certificate, key) => [file(key)?, file(certificate)?],
                settings::Identity::Text(certificate, key) => {
                    let bytes = |text: &str| Wiped::from(text.as_bytes().to_vec());
                    [bytes(key.expose_secret()), bytes(certificate)]
                }
            };
            let mut pem = Zeroizing::new(Vec::new());
            for part in parts {
                reserve(&mut pem, part.len() + 1);
                pem.extend_from_slice(&part);
                pem.push(b'\n');
            }
            let identity = Identity::from_pem(&pem)
                .map_err(|error| setting("the client certificate", &error))?;
            builder = builder.identity(identity);
        }
        if self.tls.skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        Ok(builder)
    }
}

fn is_local(url: &Url) -> bool {
    match url.host_str().unwrap_or_default().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

/// To connect and to agree on a cipher.
const CONNECT: Duration = Duration::from_secs(10);

fn setting(what: &str, error: &reqwest::Error) -> TransportError {
    TransportError::Setting(format!("{what}: {}", causes(error)))
}

fn file(named: &Given) -> Result<Wiped<Vec<u8>>, TransportError> {
    read_bytes(Path::new(&named.value)).map(Wiped::from).map_err(|error| unreadable(named, &error))
}

fn unreadable(Given { name, value }: &Given, error: &dyn std::fmt::Display) -> TransportError {
    TransportError::Setting(format!("{name}: {}: {error}", value.as_str().shown()))
}

/// The certificates to trust, and what of them cannot be read.
fn certificates(roots: &Roots) -> Result<(Vec<Certificate>, Option<String>), TransportError> {
    let mut unread = None;
    let place = |Given { name, value }: &Given| format!("{name}: {}", value.as_str().shown());
    let (place, found) = match roots {
        Roots::File(named) => {
            let pem = file(named)?;
            (place(named), Certificate::from_pem_bundle(&pem))
        }
        Roots::Text(Given { name, value }) => {
            ((*name).to_owned(), Certificate::from_pem_bundle(value.as_bytes()))
        }
        Roots::Folder(named) => {
            let (certificates, problem) = folder(named)?;
            unread = problem;
            (place(named), Ok(certificates))
        }
    };
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok((certificates, unread)),
        Ok(_) => {
            let unread = unread.map_or_else(String::new, |problem| format!("; {problem}"));
            let problem = format!("{place}: holds no certificate in PEM{unread}");
            Err(TransportError::Setting(problem))
        }
        Err(error) => Err(TransportError::Setting(format!("{place}: {}", causes(&error)))),
    }
}

/// Those of the files of a folder; what is no certificate is passed over. And a file that cannot be read, which
/// may be the key of a certificate beside it, and may be the one that is needed.
fn folder(named: &Given) -> Result<(Vec<Certificate>, Option<String>), TransportError> {
    let error = |error: std::io::Error| unreadable(named, &error);
    let entries = std::fs::read_dir(&named.value).map_err(error)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let (mut certificates, mut unread) = (Vec::new(), None);
    for path in paths.map_err(error)?.into_iter().filter(|path| path.is_file()) {
        match read_bytes(&path) {
            Ok(bytes) => {
                certificates.extend(Certificate::from_pem_bundle(&bytes).unwrap_or_default());
            }
            Err(error) => unread = Some(format!("{}: {error}", path.shown())),
        }
    }
    Ok((certificates, unread))
}

impl Transport for Http {
    fn send(&self, request: &Request<'_>) -> Result<Answer, TransportError> {
        let no_url = |error| TransportError::Setting(format!("not a URL: {error}"));
        let mut url = Url::parse(request.url).map_err(no_url)?;
        let client = self.client(request, &url)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| TransportError::Setting("not a method of HTTP".into()))?;
        let plain = url.scheme() == "http" && request.socket.is_none();
        let mut host = None;
        if let Some(name) = self.tls.server_name.as_deref().filter(|_| url.scheme() == "https") {
            host = Some(url[url::Position::BeforeHost..url::Position::AfterPort].to_owned());
            url.set_host(Some(name)).map_err(no_url)?;
        }
        let mut builder = client.request(method, url).timeout(request.timeout);
        if self.others.is_none() {
            builder = builder.header("X-Vault-Request", "true");
        }
        if let Some(host) = host {
            builder = builder.header(HOST, host);
        }
        if let Some(token) = request.token {
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
                TransportError::Setting("the token cannot stand in a header".into())
            })?;
            value.set_sensitive(true);
            builder = builder.header("X-Vault-Token", value);
        }
        if let Some(namespace) = request.namespace {
            builder = builder.header("X-Vault-Namespace", namespace);
        }
        for (name, text) in request.headers {
            let mut value = HeaderValue::from_str(text.expose_secret())
                .map_err(|_| TransportError::Setting(format!("{name} cannot stand in a header")))?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        if let Some(body) = request.body {
            let body = bytes::Bytes::from_owner(Zeroizing::new(body.to_vec()));
            let own = request.headers.iter().any(|(name, _)| *name == "content-type");
            if !own {
                builder = builder.header(CONTENT_TYPE, "application/json");
            }
            builder = builder.body(body);
        }
        answer(builder.send().map_err(|error| match failure(&error) {
            // Who is not there is the proxy, or the server behind it.
            TransportError::Connect(problem) if self.proxy.is_some() => {
                TransportError::Connect(format!("over the proxy of VAULT_PROXY_ADDR: {problem}"))
            }
            // What a port for TLS does with other requests.
            TransportError::Broken(problem) if plain && is_like_tls(&problem) => {
                TransportError::Broken(format!(
                    "{problem}: if the port is one for TLS, the address begins with https://"
                ))
            }
            TransportError::Tls(problem) => {
                let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
                let unread = unread.as_ref().map_or_else(String::new, |it| format!("; {it}"));
                TransportError::Tls(problem + &unread)
            }
            failure => failure,
        })?)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }
}

fn answer(response: Response) -> Result<Answer, TransportError> {
    let header = |name| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let location = header(LOCATION);
    let retry_after = header(RETRY_AFTER).and_then(|it| retry_after(&it, header(DATE).as_deref()));
    let inline_failed = response.headers().contains_key("X-Vault-Inline-Auth-Failed");
    let status = response.status().as_u16();
    let mut body = Zeroizing::new(Vec::new());
    let mut part = Zeroizing::new(vec![0; 16 << 10]);
    let mut response = response;
    loop {
        let read = response.read(&mut part).map_err(|error| {
            // What failed to come is in the error of the library.
            match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
                Some(inner) => failure(inner),
                None => TransportError::Broken(error.to_string()),
            }
        })?;
        if read == 0 {
            let answer = Answer { status, retry_after, location, body };
            return match (inline_failed, envelope::read(&answer)) {
                (true, Err(refusal)) => Err(TransportError::Login(refusal.to_string())),
                (_, Ok(_) | Err(_)) => Ok(answer),
            };
        }
        if body.len() + read > LARGEST {
            return Err(TransportError::TooLong);
        }
        reserve(&mut body, read);
        body.extend_from_slice(&part[..read]);
    }
}

/// Why a request got no answer. Nothing that was sent is in the text.
fn failure(error: &reqwest::Error) -> TransportError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        // An error of TLS stands in one of I/O, and that one in another, whose source passes over it.
        let mut inner = Some(cause);
        while let Some(error) = inner {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return TransportError::Tls(tls_problem(tls));
            }
            let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            inner = held.map(|held| held as &(dyn std::error::Error + 'static));
        }
        source = cause.source();
    }
    if error.is_builder() {
        return TransportError::Setting(format!("no request can be made of it: {}", causes(error)));
    }
    // Before the other: a connection has a time of its own, after which nothing was sent.
    if error.is_connect() {
        return TransportError::Connect(causes(error));
    }
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    TransportError::Broken(causes(error))
}

/// Whether a connection ended as with somebody who waits for TLS: reset, or with an alert of TLS.
fn is_like_tls(problem: &str) -> bool {
    ["reset by peer", "invalid HTTP"].iter().any(|text| problem.contains(text))
}

fn tls_problem(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};
    let hint = match error {
        Error::InvalidMessage(_) => {
            return "the server speaks no TLS there: does its address begin with http://?"
                .to_owned();
        }
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the server needs a new one"
        }
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "if it is the right server, set VAULT_TLS_SERVER_NAME to the name in its certificate",
        Error::InvalidCertificate(_) => "set VAULT_CACERT to the file of its certificate authority",
        Error::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
            "the server wants to see a certificate: set VAULT_CLIENT_CERT and VAULT_CLIENT_KEY"
        }
        Error::AlertReceived(Alert::UnknownCA | Alert::BadCertificate) => {
            "the server does not accept the certificate of VAULT_CLIENT_CERT"
        }
        _ => return error.to_string(),
    };
    format!("{error}: {hint}")
}

/// The causes of an error, without the URL, which its own text repeats.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Most name the next one as well.
        if cause.source().is_none() || text.is_empty() {
            let colon = if text.is_empty() { "" } else { ": " };
            if write!(text, "{colon}{cause_text}").is_err() {
                return text;
            }
        }
        source = cause.source();
    }
    if text.is_empty() { "no more is known".to_owned() } else { text }
}

//! Where a server is, and whether two texts name the same one.
//!
//! Invariants: an [`Address`] holds no user, no query and no fragment; two that name one origin and one
//! base path are equal, however they were written.

use std::fmt;

use url::Url;

/// What the URL of a request begins with: scheme, host and port, a path if there is one; or a socket.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Address {
    /// Without a slash at the end.
    Http(String),
    /// A socket of this machine, by its path.
    Unix(String),
}

/// A text is no address of a server.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Neither HTTP nor a socket.
    #[error("an address begins with https://, http:// or unix://")]
    Scheme,
    /// A URL that is none.
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    /// Who reads it may see another host than who connects.
    #[error("a user name, a query, a fragment or a blank in an address")]
    Ambiguous,
    /// What a shell or a terminal would act on, when the address stands in a message.
    #[error("an address in a file has letters, digits and .-_:/[] only")]
    Unsafe,
    /// In a file, where SOPS writes none.
    #[error("a path behind the host: in a file an address is scheme, host and port")]
    Path,
}

impl Address {
    /// Reads the address that a user names.
    ///
    /// # Errors
    ///
    /// If it is none, or holds a user, a query, a fragment or blanks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let clean = |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') && clean(path) {
                true => Ok(Self::Unix(path.to_owned())),
                false => Err(AddressError::Ambiguous),
            };
        }
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(AddressError::Scheme);
        }
        // Such texts are read differently: `https://good\@evil/`.
        let url = Url::parse(text)?;
        let named = !url.username().is_empty() || url.password().is_some();
        if named || text.contains(['@', '\\', '?', '#']) || !clean(text) {
            return Err(AddressError::Ambiguous);
        }
        Ok(Self::Http(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// Reads the address that a file names: without a path, and of letters that a user can paste into a
    /// shell as they stand in a message.
    ///
    /// # Errors
    ///
    /// As [`Address::parse`], and if there is a path or another letter.
    pub fn of_file(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:/[]".contains(&byte);
        if !text.bytes().all(plain) {
            return Err(AddressError::Unsafe);
        }
        let path = |url: &str| url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        // A path that a parser takes away (`/..`) is one too.
        match &address {
            Self::Http(url) if path(url) || path(text.trim_end_matches('/')) => {
                Err(AddressError::Path)
            }
            Self::Http(_) | Self::Unix(_) => Ok(address),
        }
    }

    /// Whether it is one of this machine: what is sent there leaves over no network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Http(url) => Url::parse(url).is_ok_and(|url| match url.host() {
                Some(url::Host::Domain(name)) => name == "localhost",
                Some(url::Host::Ipv4(address)) => address.is_loopback(),
                Some(url::Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            }),
            Self::Unix(_) => true,
        }
    }

    /// Whether everybody on the way can read what is sent there.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        matches!(self, Self::Http(url) if url.starts_with("http://")) && !self.is_local()
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Http(url) if url.starts_with("https://"))
    }

    /// The host, as a URL has it; none, of a socket.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Http(url) => Url::parse(url).ok()?.host_str().map(str::to_owned),
            Self::Unix(_) => None,
        }
    }

    /// The path in this address that the other has not, which is the same but for that.
    #[must_use]
    pub fn path_from(&self, other: &Self) -> Option<&str> {
        let (Self::Http(this), Self::Http(other)) = (self, other) else { return None };
        this.strip_prefix(other.as_str()).filter(|path| path.starts_with('/'))
    }

    /// The URL of a path of the API, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        match self {
            Self::Http(base) => format!("{base}{path}"),
            Self::Unix(_) => format!("http://localhost{path}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError};

    #[track_caller]
    fn check(text: &str, expected: Result<&str, AddressError>) {
        assert_eq!(Address::of_file(text).map(|it| it.to_string()), expected.map(str::to_owned));
    }

    #[test]
    fn one_server_has_one_address_however_it_is_written() {
        for text in
            ["https://vault.example", "https://VAULT.example:443/", "https://vault.example/"]
        {
            check(text, Ok("https://vault.example"));
        }
        check("http://vault.example:80", Ok("http://vault.example"));
        check("https://vault.example:8200", Ok("https://vault.example:8200"));
        check("https://[::1]:8200", Ok("https://[::1]:8200"));
        check("unix:///run/agent.sock", Ok("unix:///run/agent.sock"));
        let named =
            Address::parse("https://gate.example/vault/").map(|it| it.url("/v1/sys/health"));
        assert_eq!(named.as_deref(), Ok("https://gate.example/vault/v1/sys/health"));
    }

    #[test]
    fn a_text_that_two_programs_read_differently_is_no_address() {
        for text in [
            "https://good@evil",
            "https://good:80@evil",
            "https://good\\@evil",
            "https://good?@evil",
            "https://good#evil",
            "https://good\t.example",
            "https://good .example",
            "https://good\n",
        ] {
            assert!(Address::of_file(text).is_err(), "{text:?}");
        }
        check("https://good/../evil", Err(AddressError::Path));
        check("https://good/..", Err(AddressError::Path));
        check("https://good/prefix", Err(AddressError::Path));
        check("ftp://good", Err(AddressError::Scheme));
        for text in
            ["https://good$(id)", "https://a;id", "https://a'b", "https://a&b", "unix:///a`b`"]
        {
            check(text, Err(AddressError::Unsafe));
        }
        check("good:8200", Err(AddressError::Scheme));
        // Letters that look like others are another host.
        assert!(Address::of_file("https://v\u{430}ult.example").is_err());
        check("https://xn--vult-53d.example", Ok("https://xn--vult-53d.example"));
    }
}

//! Which servers a token may be sent to.
//!
//! The address of a server stands in the file, and whoever wrote the file chose it. A token goes to it
//! only if the user named it elsewhere: as `VAULT_ADDR`, in a list of allowed servers, or with a yes. `.sops.yaml`
//! travels with the files and is no such place. An address of this machine needs naming like any other:
//! other people have ports there too.
//!
//! Invariant: addresses are compared as parsed, never as text.

use super::address::{Address, AddressError};

/// The servers that the user named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    /// `all` was named.
    all: bool,
    /// `none` was named: not even the others.
    none: bool,
    servers: Vec<Address>,
    /// The variable that names a server, for messages.
    named: Option<(&'static str, Named)>,
    /// The list, as it was given.
    list: String,
    /// Who asks takes us for sops.
    as_sops: bool,
}

/// What the variable for the server's address holds.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Named {
    Server(Address),
    /// It is set to nothing, and so hides the other of its two names.
    Nothing,
}

/// The variable of the list.
const LIST: &str = "SOPS_HC_VAULT_ALLOWLIST";

/// Of an address that [`Address::is_readable`].
pub(super) const READABLE: &str = "it has no TLS: everybody on the way can read the token";

/// Who may know more than the environment does: what the user said before, or says now.
pub trait Asker: Send + Sync {
    /// Whether a token may be sent to a server that only a file, or its rule, names.
    ///
    /// # Errors
    ///
    /// If it cannot be read what the user said before, and there is nobody to ask.
    fn allows(&self, server: &Address) -> Result<bool, String>;

    /// As [`Trust::with_tls`], of what the user said before.
    fn with_tls(&self, _server: &Address) -> Option<Address> {
        None
    }

    /// A call waits, for minutes maybe, until a server of the cluster leads.
    fn waits(&self, _server: &Address) {}
}

/// An entry of the list of allowed servers is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrustError {
    /// As in SOPS.
    #[error("entry {position} is empty")]
    Empty {
        /// From 1.
        position: usize,
    },
    /// Something else.
    #[error("entry {position}: {problem}")]
    Address {
        /// From 1.
        position: usize,
        /// What is wrong with it.
        problem: AddressError,
    },
}

impl Trust {
    /// No server at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This one too.
    #[must_use]
    pub fn with(mut self, server: Address) -> Self {
        self.servers.push(server);
        self
    }

    /// This one too, which a variable names.
    #[must_use]
    pub fn with_named(mut self, variable: &'static str, server: Address) -> Self {
        self.named = Some((variable, Named::Server(server.clone())));
        self.with(server)
    }

    /// None, since a variable is set to nothing, which hides the other of its two names.
    #[must_use]
    pub fn with_hidden(mut self, variable: &'static str) -> Self {
        self.named = Some((variable, Named::Nothing));
        self
    }

    /// The same, told to somebody who called the program `sops`, to which no list means `all`.
    #[must_use]
    pub fn as_sops(self) -> Self {
        Self { as_sops: true, ..self }
    }

    /// What the user can do so that a token may be sent to this server.
    #[must_use]
    pub fn advice(&self, server: &Address) -> String {
        let (given, comma) = (&self.list, if self.list.is_empty() { "" } else { "," });
        let advice = match &self.named {
            Some((variable, Named::Nothing)) => {
                return format!("{variable} is set to nothing, which hides VAULT_ADDR: unset it");
            }
            Some((variable, Named::Server(named))) if named.path_from(server).is_some() => {
                let path = named.path_from(server).unwrap_or_default();
                return format!(
                    "{variable} names {named}, but scheme, host and port are enough: take `{path}` off"
                );
            }
            _ if self.as_sops => format!(
                "sops would have sent it, since no list means `all` there; here only what you named \
                 counts; if it is yours: export {LIST}={given}{comma}{server}"
            ),
            Some((variable, Named::Server(named))) if given.is_empty() => {
                format!("{variable} names {named}; if both are yours: export {LIST}={server}")
            }
            Some((variable, Named::Server(named))) => {
                format!("{variable} names {named}; add it to {LIST}")
            }
            None => format!("if it is yours: export VAULT_ADDR={server}"),
        };
        if server.is_readable() { format!("{advice}; {READABLE}") } else { advice }
    }

    /// A server of the user's with TLS, of whose host this is the address without it. That is no other server,
    /// and no token goes there unless it is named itself.
    #[must_use]
    pub fn with_tls(&self, server: &Address) -> Option<&Address> {
        let host = server.host().filter(|_| server.is_readable())?;
        let is_it = |it: &&Address| it.is_secure() && it.host().as_ref() == Some(&host);
        self.servers.iter().find(is_it)
    }

    /// The servers that were named one by one.
    #[must_use]
    pub fn servers(&self) -> &[Address] {
        &self.servers
    }

    /// Those of a comma list too: addresses, or `all` or `none` alone, as SOPS has it. An entry allows
    /// the server that it names; SOPS takes it for the beginning of a text.
    ///
    /// # Errors
    ///
    /// If an entry is empty or no address.
    pub fn with_list(mut self, list: &str) -> Result<Self, TrustError> {
        list.clone_into(&mut self.list);
        match list {
            "" => {}
            "all" => self.all = true,
            "none" => self.none = true,
            list => {
                for (at, entry) in list.split(',').map(str::trim).enumerate() {
                    let position = at + 1;
                    if entry.is_empty() {
                        return Err(TrustError::Empty { position });
                    }
                    let server = Address::parse(entry)
                        .map_err(|problem| TrustError::Address { position, problem })?;
                    self.servers.push(server);
                }
            }
        }
        Ok(self)
    }

    /// Whether nothing but this list counts.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.none
    }

    /// Those alone that were named one by one: who allows all servers a token has not given them a password.
    #[must_use]
    pub fn only_named(mut self) -> Self {
        self.all = false;
        self
    }

    /// Whether a token may be sent to this server.
    #[must_use]
    pub fn allows(&self, server: &Address) -> bool {
        self.names(server) || (self.all && !self.none)
    }

    /// Whether this server was named one by one.
    #[must_use]
    pub fn names(&self, server: &Address) -> bool {
        !self.none && self.servers.contains(server)
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Trust, TrustError};

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn a_server_is_allowed_by_its_parsed_origin_only() {
        let trust =
            Trust::new().with_list("https://vault.example, http://[::1]:8200/").expect("valid");
        for yes in ["https://VAULT.example:443", "http://[0:0::1]:8200"] {
            assert!(trust.allows(&address(yes)), "{yes}");
        }
        for no in [
            "https://vault.example.evil",
            "https://vault.example:8200",
            "http://vault.example",
            "https://vault.example/prefix",
            "http://127.0.0.1:8200",
        ] {
            assert!(!trust.allows(&address(no)), "{no}");
        }
    }

    #[test]
    fn all_and_none_mean_what_they_mean_to_sops() {
        let server = address("https://vault.example");
        let named = Trust::new().with(server.clone());
        let all = Trust::new().with_list("all").expect("valid");
        assert!(all.allows(&server) && !all.names(&server));
        assert!(!all.clone().only_named().allows(&server));
        let all = all.with(server.clone());
        assert!(all.names(&server) && all.only_named().allows(&server));
        let none = named.clone().with_list("none").expect("valid");
        assert!(!none.names(&server) && named.names(&server));
        assert!(!named.clone().with_list("none").expect("valid").allows(&server));
        assert!(named.with_list("").expect("valid").allows(&server));
        assert!(!Trust::new().allows(&server));
        let advice = |trust: Trust| trust.advice(&server);
        assert_eq!(advice(Trust::new()), "if it is yours: export VAULT_ADDR=https://vault.example");
        assert_eq!(
            advice(Trust::new().with_hidden("BAO_ADDR")),
            "BAO_ADDR is set to nothing, which hides VAULT_ADDR: unset it"
        );
        let near = Trust::new().with_named("VAULT_ADDR", address("http://vault.example"));
        assert_eq!(
            advice(near.clone()),
            "VAULT_ADDR names http://vault.example; if both are yours: export \
             SOPS_HC_VAULT_ALLOWLIST=https://vault.example"
        );
        assert_eq!(
            advice(near.with_list("https://other").expect("valid")),
            "VAULT_ADDR names http://vault.example; add it to SOPS_HC_VAULT_ALLOWLIST"
        );
        let sops = Trust::new().as_sops();
        assert_eq!(
            advice(sops.clone()),
            "sops would have sent it, since no list means `all` there; here only what you named counts; \
             if it is yours: export SOPS_HC_VAULT_ALLOWLIST=https://vault.example"
        );
        let sops = advice(sops.with_list("https://a").expect("valid"));
        assert!(sops.ends_with("ALLOWLIST=https://a,https://vault.example"), "{sops}");
        let path = Trust::new().with_named("VAULT_ADDR", address("https://vault.example/v1/"));
        assert_eq!(
            advice(path.clone()),
            "VAULT_ADDR names https://vault.example/v1, but scheme, host and port are enough: take `/v1` off"
        );
        let other = path.advice(&address("https://vault.exampl"));
        assert!(other.contains("if both are yours"), "{other}");
        assert_eq!(Trust::new().with_list("https://a,,"), Err(TrustError::Empty { position: 2 }));
        let error = Trust::new().with_list("https://a,vault").expect_err("no address");
        assert_eq!(
            error.to_string(),
            "entry 2: an address begins with https://, http:// or unix://"
        );
    }
    #[test]
    fn an_address_without_tls_is_none_of_a_host_that_is_named_with_it() {
        let trust = Trust::new()
            .with_named("VAULT_ADDR", address("https://vault.example:8200"))
            .with_list("https://[2001:db8::1],http://plain.example,https://localhost")
            .expect("valid");
        for (server, named) in [
            ("http://VAULT.example:8200", Some("https://vault.example:8200")),
            ("http://vault.example", Some("https://vault.example:8200")),
            ("http://[2001:db8:0::1]:8200", Some("https://[2001:db8::1]")),
            ("https://vault.example", None),
            ("http://vault.example.evil:8200", None),
            ("http://plain.example:8200", None),
            // Nobody is on the way.
            ("http://localhost", None),
        ] {
            let found = trust.with_tls(&address(server)).map(ToString::to_string);
            assert_eq!(found.as_deref(), named, "{server}");
        }
        let advice = trust.advice(&address("http://other.example"));
        assert!(
            advice.ends_with("; it has no TLS: everybody on the way can read the token"),
            "{advice}"
        );
        let advice = trust.advice(&address("http://127.0.0.1:8200"));
        assert!(!advice.contains("no TLS"), "{advice}");
    }
}

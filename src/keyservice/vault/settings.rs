//! What the environment says of servers, under the names that every Vault client knows.
//!
//! Of each setting `BAO_X` counts before `VAULT_X`; one that is set to nothing hides the other, as in
//! OpenBao. Reading is all that happens here: no file is opened.

mod values;

use std::sync::Arc;

use self::values::{go_bool, headers, host_name, limit, number};
use super::address::Address;
use super::client::ClientOptions;
use super::rate::Rate;
use super::trust::{READABLE, Trust};
use crate::secret::SecretText;

/// A setting, by its two names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Names {
    /// OpenBao's.
    pub bao: &'static str,
    /// Vault's.
    pub vault: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $bao:literal, $vault:literal;)*) => {
        $($(#[$doc])* pub const $name: Names = Names { bao: $bao, vault: $vault };)*
    };
}

names! {
    /// The method of logging in, as vals calls it.
    AUTH_METHOD = "BAO_AUTH_METHOD", "VAULT_AUTH_METHOD";
    /// The file of the token of a service account.
    KUBERNETES_JWT = "BAO_KUBERNETES_JWT_TOKEN_PATH", "VAULT_KUBERNETES_JWT_TOKEN_PATH";
    /// Where the method kubernetes is mounted.
    KUBERNETES_MOUNT = "BAO_KUBERNETES_MOUNT_POINT", "VAULT_KUBERNETES_MOUNT_POINT";
    /// Where another method is mounted.
    LOGIN_MOUNT = "BAO_LOGIN_MOUNT_POINT", "VAULT_LOGIN_MOUNT_POINT";
    /// Second factors that are sent with the first.
    MFA = "BAO_MFA", "VAULT_MFA";
    /// The name of the variable of the password.
    PASSWORD_ENV = "BAO_PASSWORD_ENV", "VAULT_PASSWORD_ENV";
    /// The file of the password.
    PASSWORD_FILE = "BAO_PASSWORD_FILE", "VAULT_PASSWORD_FILE";
    /// The role id, or the role.
    ROLE_ID = "BAO_ROLE_ID", "VAULT_ROLE_ID";
    /// The secret id.
    SECRET_ID = "BAO_SECRET_ID", "VAULT_SECRET_ID";
    /// The file of the token, as vals calls it.
    TOKEN_FILE = "BAO_TOKEN_FILE", "VAULT_TOKEN_FILE";
    /// Who logs in.
    USERNAME = "BAO_USERNAME", "VAULT_USERNAME";
    /// The server that the user names.
    ADDR = "BAO_ADDR", "VAULT_ADDR";
    /// An Agent that stands in for it.
    AGENT_ADDR = "BAO_AGENT_ADDR", "VAULT_AGENT_ADDR";
    /// A file of certificates to trust.
    CACERT = "BAO_CACERT", "VAULT_CACERT";
    /// The certificates themselves.
    CACERT_BYTES = "BAO_CACERT_BYTES", "VAULT_CACERT_BYTES";
    /// A folder of such files.
    CAPATH = "BAO_CAPATH", "VAULT_CAPATH";
    /// The certificate to show.
    CLIENT_CERT = "BAO_CLIENT_CERT", "VAULT_CLIENT_CERT";
    /// That certificate itself.
    CLIENT_CERT_BYTES = "BAO_CLIENT_CERT_BYTES", "VAULT_CLIENT_CERT_BYTES";
    /// The key of that.
    CLIENT_KEY = "BAO_CLIENT_KEY", "VAULT_CLIENT_KEY";
    /// That key itself.
    CLIENT_KEY_BYTES = "BAO_CLIENT_KEY_BYTES", "VAULT_CLIENT_KEY_BYTES";
    /// For a call with its repetitions.
    CLIENT_TIMEOUT = "BAO_CLIENT_TIMEOUT", "VAULT_CLIENT_TIMEOUT";
    /// The configuration of the server's own program, which names a token helper.
    CONFIG_PATH = "BAO_CONFIG_PATH", "VAULT_CONFIG_PATH";
    /// Follow no redirect.
    DISABLE_REDIRECTS = "BAO_DISABLE_REDIRECTS", "VAULT_DISABLE_REDIRECTS";
    /// Headers of every request, in JSON.
    HEADERS = "BAO_HEADERS", "VAULT_HEADERS";
    /// A proxy for everything.
    HTTP_PROXY = "BAO_HTTP_PROXY", "VAULT_HTTP_PROXY";
    /// How often a call is repeated.
    MAX_RETRIES = "BAO_MAX_RETRIES", "VAULT_MAX_RETRIES";
    /// The namespace.
    NAMESPACE = "BAO_NAMESPACE", "VAULT_NAMESPACE";
    /// A proxy for everything; before `HTTP_PROXY`.
    PROXY_ADDR = "BAO_PROXY_ADDR", "VAULT_PROXY_ADDR";
    /// How fast requests may follow one another.
    RATE_LIMIT = "BAO_RATE_LIMIT", "VAULT_RATE_LIMIT";
    /// Trust every certificate.
    SKIP_VERIFY = "BAO_SKIP_VERIFY", "VAULT_SKIP_VERIFY";
    /// Ask DNS for the server: not done, since DNS would say then who gets the token.
    SRV_LOOKUP = "BAO_SRV_LOOKUP", "VAULT_SRV_LOOKUP";
    /// The name that the certificate must have.
    TLS_SERVER_NAME = "BAO_TLS_SERVER_NAME", "VAULT_TLS_SERVER_NAME";
    /// The token.
    TOKEN = "BAO_TOKEN", "VAULT_TOKEN";
    /// The file of the token.
    TOKEN_PATH = "BAO_TOKEN_PATH", "VAULT_TOKEN_PATH";
    /// Answers are wrapped for somebody else: not for us, who need them.
    WRAP_TTL = "BAO_WRAP_TTL", "VAULT_WRAP_TTL";
}

/// What the environment says.
#[derive(Debug, Default)]
pub struct VaultSettings {
    /// The server that the user named: `VAULT_ADDR`.
    pub server: Option<Address>,
    /// Whom the user named.
    pub trust: Trust,
    /// How calls are made.
    pub client: ClientOptions,
    /// How servers and we show who we are.
    pub tls: Tls,
    /// A proxy for everything, in the place of the standard variables.
    /// Its URL may hold a password.
    pub proxy: Option<Arc<SecretText>>,
    /// What the user should know before a token is sent so.
    pub warnings: Vec<String>,
}

/// How a connection is secured.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates to trust in the place of those of the system.
    pub roots: Option<Roots>,
    /// The certificate to show, and its key.
    pub identity: Option<Identity>,
    /// The name that a server's certificate must have, if not that of its address. Never an IP address.
    pub server_name: Option<String>,
    /// Trust every certificate.
    pub skip_verify: bool,
}

/// Who the user is on the connection.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The certificate and its key, in PEM.
    Files(Given, Given),
    /// Both in PEM.
    Text(String, Arc<SecretText>),
}

/// Where certificates are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Roots {
    /// A file in PEM.
    File(Given),
    /// PEM.
    Text(Given),
    /// A folder of files; those that hold no certificate are passed over.
    Folder(Given),
}

/// A value, and what it was given as, for messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// The variable or setting.
    pub name: &'static str,
    /// A path, or the text itself.
    pub value: String,
}

impl Given {
    fn new((name, value): (&'static str, String)) -> Self {
        Self { name, value }
    }
}

/// A variable does not hold what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    /// The variable.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// The value of a setting and the name under which it was found; an empty one is none.
pub fn find(
    names: Names,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let found = variable(names.bao).map(|value| (names.bao, value));
    let found = found.or_else(|| variable(names.vault).map(|value| (names.vault, value)));
    found.filter(|(_, value)| !value.is_empty())
}

impl VaultSettings {
    /// Reads the variables; `allowed` is a comma list of servers (`SOPS_HC_VAULT_ALLOWLIST`).
    ///
    /// # Errors
    ///
    /// If one holds what it cannot.
    pub fn read(
        variable: impl Fn(&'static str) -> Option<String>,
        allowed: (&'static str, Option<String>),
    ) -> Result<Self, SettingError> {
        let text = |names| find(names, &variable).map(|(_, value)| value);
        let address = |names| parsed(find(names, &variable), Address::parse);
        let flag = |names| {
            Ok::<_, SettingError>(parsed(find(names, &variable), go_bool)?.unwrap_or(false))
        };
        let error = |name: &str, problem: String| SettingError { name: name.to_owned(), problem };
        let mut trust = Trust::new();
        let server = address(ADDR)?;
        if let (Some(server), Some((name, _))) = (&server, find(ADDR, &variable)) {
            trust = trust.with_named(name, server.clone());
        } else if variable(ADDR.bao).is_some()
            && variable(ADDR.vault).is_some_and(|it| !it.is_empty())
        {
            trust = trust.with_hidden(ADDR.bao);
        }
        let (name, list) = allowed;
        let trust = trust
            .with_list(list.as_deref().unwrap_or_default())
            .map_err(|problem| error(name, problem.to_string()))?;
        let default = ClientOptions::default();
        let client = ClientOptions {
            agent: address(AGENT_ADDR)?,
            namespace: text(NAMESPACE)
                .map(|it| it.trim_matches('/').to_owned())
                .filter(|namespace| !namespace.is_empty()),
            timeout: parsed(find(CLIENT_TIMEOUT, &variable), limit)?.unwrap_or(default.timeout),
            retries: parsed(find(MAX_RETRIES, &variable), number)?.unwrap_or(default.retries),
            redirects: !flag(DISABLE_REDIRECTS)?,
            rate: parsed(find(RATE_LIMIT, &variable), Rate::parse)?,
            headers: Arc::new(parsed(find(HEADERS, &variable), headers)?.unwrap_or_default()),
        };
        if let Some((name, namespace)) = find(NAMESPACE, &variable)
            && !namespace.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(error(name, "a blank or another letter that no header has".into()));
        }
        let pair = |certificate: Names, key: Names| match (
            find(certificate, &variable),
            find(key, &variable),
        ) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some((name, _)), None) => Err(error(name, format!("it needs {} as well", key.vault))),
            (None, Some((name, _))) => {
                Err(error(name, format!("it needs {} as well", certificate.vault)))
            }
        };
        let files = pair(CLIENT_CERT, CLIENT_KEY)?;
        let identity = match files {
            Some((certificate, key)) => {
                Some(Identity::Files(Given::new(certificate), Given::new(key)))
            }
            None => pair(CLIENT_CERT_BYTES, CLIENT_KEY_BYTES)?.map(|(certificate, key)| {
                Identity::Text(certificate.1, Arc::new(SecretText::new(key.1)))
            }),
        };
        let named = |names: Names| find(names, &variable).map(Given::new);
        let roots = named(CACERT)
            .map(Roots::File)
            .or_else(|| named(CACERT_BYTES).map(Roots::Text))
            .or_else(|| named(CAPATH).map(Roots::Folder));
        let skip_verify = flag(SKIP_VERIFY)?;
        let proxy = find(PROXY_ADDR, &variable).or_else(|| find(HTTP_PROXY, &variable));
        let server_name = find(TLS_SERVER_NAME, &variable);
        if let (Some((name, _)), Some((proxy, _))) = (&server_name, &proxy) {
            return Err(error(name, format!("cannot be used with {proxy}")));
        }
        let server_name = parsed(server_name, host_name)?;
        let mut warnings = Vec::new();
        if skip_verify {
            let text = "no certificate is checked: whoever is on the way can read the token";
            warnings.push(format!("VAULT_SKIP_VERIFY: {text}"));
        }
        let mut plain: Vec<_> = trust.servers().iter().chain(&client.agent).collect();
        plain.retain(|server| server.is_readable());
        plain.sort();
        plain.dedup();
        for server in plain {
            warnings.push(format!("{server}: {READABLE}"));
        }
        if let (Some((name, _)), Some(path)) = (find(ADDR, &variable), &server)
            && path.to_string().ends_with("/v1")
        {
            warnings
                .push(format!("{name} ends in /v1, which every request begins with: take it off"));
        }
        if let Some((name, _)) = find(WRAP_TTL, &variable) {
            warnings.push(format!("{name} is not used: wrapped answers open nothing"));
        }
        if let Some((name, _)) =
            find(SRV_LOOKUP, &variable).filter(|_| flag(SRV_LOOKUP) == Ok(true))
        {
            let text =
                "is not used: DNS would say who gets the token; name the server with its port";
            warnings.push(format!("{name} {text}"));
        }
        let tls = Tls { roots, identity, server_name, skip_verify };
        let proxy = proxy.map(|(_, proxy)| Arc::new(SecretText::new(proxy)));
        Ok(Self { server, trust, client, tls, proxy, warnings })
    }
}

fn parsed<T, E: std::fmt::Display>(
    found: Option<(&'static str, String)>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, SettingError> {
    let Some((name, value)) = found else { return Ok(None) };
    let error = |problem: E| SettingError { name: name.to_owned(), problem: problem.to_string() };
    parse(value.trim()).map(Some).map_err(error)
}

#[cfg(test)]
mod tests;

//! What the environment says of servers, under the names that every Vault client knows.
//!
//! Of each setting `BAO_X` counts before `VAULT_X`; one that is set to nothing hides the other, as in
//! OpenBao. Reading is all that happens here: no file is opened.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::Address;
use super::client::ClientOptions;
use super::rate::Rate;
use super::trust::Trust;
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
    /// Paths of the certificate and of its key, in PEM.
    Files(String, String),
    /// Both in PEM.
    Text(String, Arc<SecretText>),
}

/// Where certificates are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Roots {
    /// A file in PEM.
    File(String),
    /// PEM.
    Text(String),
    /// A folder of files; those that hold no certificate are passed over.
    Folder(String),
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
            (Some((_, certificate)), Some((_, key))) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some((name, _)), None) => Err(error(name, format!("it needs {} as well", key.vault))),
            (None, Some((name, _))) => {
                Err(error(name, format!("it needs {} as well", certificate.vault)))
            }
        };
        let files = pair(CLIENT_CERT, CLIENT_KEY)?;
        let identity = match files.map(|(certificate, key)| Identity::Files(certificate, key)) {
            Some(files) => Some(files),
            None => pair(CLIENT_CERT_BYTES, CLIENT_KEY_BYTES)?.map(|(certificate, key)| {
                Identity::Text(certificate, Arc::new(SecretText::new(key)))
            }),
        };
        let roots = text(CACERT)
            .map(Roots::File)
            .or_else(|| text(CACERT_BYTES).map(Roots::Text))
            .or_else(|| text(CAPATH).map(Roots::Folder));
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
        for server in server.iter().chain(&client.agent).filter(|server| server.is_readable()) {
            warnings.push(format!("{server}: everybody on the way can read the token"));
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

/// A name that no URL takes for an address.
fn host_name(text: &str) -> Result<String, &'static str> {
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(name),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => Err("a name, not an IP address"),
        Err(_) => Err("not a name of a server"),
    }
}

/// Headers that the user adds. What is Vault's own is set by other variables (Vault API library).
fn headers(text: &str) -> Result<Vec<(String, SecretText)>, &'static str> {
    let map: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "no JSON object of texts")?;
    let header = |(name, value): (String, Value)| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err("not the name of a header");
        }
        if name.to_ascii_lowercase().starts_with("x-vault-") {
            return Err("a header that begins with X-Vault- is none to add");
        }
        match value {
            Value::String(value) if value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) => {
                Ok((name, SecretText::new(value)))
            }
            Value::String(_) => Err("a text that cannot stand in a header"),
            _ => Err("no JSON object of texts"),
        }
    };
    map.into_iter().map(header).collect()
}

/// The spellings that Go takes.
fn go_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("neither true nor false"),
    }
}

fn number(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "not a number from 0 on")
}

/// The time for a call; 0 is no limit, as in the API library.
fn limit(text: &str) -> Result<Duration, &'static str> {
    let time = duration(text)?;
    Ok(if time.is_zero() { NO_LIMIT } else { time.min(NO_LIMIT) })
}

/// A year.
const NO_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// `90`, `1m30s`, `1.5h`: without a unit, seconds.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const PROBLEM: &str = "no duration, such as 60 or 1m30s";
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    if text.is_empty() {
        return Err(PROBLEM);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(PROBLEM)?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(PROBLEM),
        };
        total += digits.parse::<f64>().map_err(|_| PROBLEM)? * seconds;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).map_err(|_| PROBLEM)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Address, Roots, VaultSettings, duration};

    fn read(variables: &[(&str, &str)]) -> Result<VaultSettings, String> {
        let variable = |name: &'static str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let allowed = ("SOPS_HC_VAULT_ALLOWLIST", variable("SOPS_HC_VAULT_ALLOWLIST"));
        VaultSettings::read(variable, allowed).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_of_openbao_hides_that_of_vault_even_when_it_is_empty() {
        let both = read(&[("BAO_NAMESPACE", ""), ("VAULT_NAMESPACE", "team")]).expect("valid");
        assert_eq!(both.client.namespace, None);
        let one = read(&[("VAULT_NAMESPACE", "/team/a/")]).expect("valid");
        assert_eq!(one.client.namespace.as_deref(), Some("team/a"));
    }

    #[test]
    fn a_variable_that_holds_nonsense_is_named() {
        for (variables, message) in [
            (vec![("VAULT_SKIP_VERIFY", "yes")], "VAULT_SKIP_VERIFY: neither true nor false"),
            (
                vec![("BAO_CLIENT_TIMEOUT", "soon")],
                "BAO_CLIENT_TIMEOUT: no duration, such as 60 or 1m30s",
            ),
            (
                vec![("VAULT_CLIENT_CERT", "a.pem")],
                "VAULT_CLIENT_CERT: it needs VAULT_CLIENT_KEY as well",
            ),
            (
                vec![("VAULT_ADDR", "vault:8200")],
                "VAULT_ADDR: an address begins with https://, http:// or unix://",
            ),
            (
                vec![("SOPS_HC_VAULT_ALLOWLIST", "https://a,")],
                "SOPS_HC_VAULT_ALLOWLIST: entry 2 is empty",
            ),
            (
                vec![("VAULT_NAMESPACE", "a\nb")],
                "VAULT_NAMESPACE: a blank or another letter that no header has",
            ),
            (
                vec![("VAULT_TLS_SERVER_NAME", "0x7f.1")],
                "VAULT_TLS_SERVER_NAME: a name, not an IP address",
            ),
            (
                vec![("VAULT_TLS_SERVER_NAME", "a"), ("BAO_HTTP_PROXY", "http://p")],
                "VAULT_TLS_SERVER_NAME: cannot be used with BAO_HTTP_PROXY",
            ),
            (
                vec![("VAULT_HEADERS", r#"{"X-Vault-Token":"x"}"#)],
                "VAULT_HEADERS: a header that begins with X-Vault- is none to add",
            ),
            (vec![("VAULT_HEADERS", r#"{"a":1}"#)], "VAULT_HEADERS: no JSON object of texts"),
            (vec![("VAULT_MAX_RETRIES", "-1")], "VAULT_MAX_RETRIES: not a number from 0 on"),
        ] {
            assert_eq!(read(&variables).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn settings_are_those_of_every_client() {
        let settings = read(&[
            ("VAULT_ADDR", "https://vault.example:8200"),
            ("VAULT_CACERT_BYTES", "PEM"),
            ("VAULT_CAPATH", "/etc/ssl"),
            ("VAULT_CLIENT_TIMEOUT", "5"),
            ("VAULT_MAX_RETRIES", "0"),
            ("VAULT_DISABLE_REDIRECTS", "t"),
        ])
        .expect("valid");
        let named = Address::parse("https://vault.example:8200").expect("an address");
        assert!(settings.trust.allows(&named));
        assert_eq!(settings.tls.roots, Some(Roots::Text("PEM".into())));
        assert_eq!(settings.client.timeout, Duration::from_secs(5));
        assert_eq!((settings.client.retries, settings.client.redirects), (0, false));
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, seconds) in [("60", 60.0), ("1m30s", 90.0), ("1.5h", 5_400.0), ("250ms", 0.25)] {
            assert_eq!(duration(text).map(|it| it.as_secs_f64()), Ok(seconds), "{text}");
        }
        for text in ["", "-1", "1x", "s", "1e9h", "."] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

use std::time::Duration;

use super::{Address, Given, Roots, VaultSettings};

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
    assert_eq!(
        settings.tls.roots,
        Some(Roots::Text(Given { name: "VAULT_CACERT_BYTES", value: "PEM".into() }))
    );
    assert_eq!(settings.client.timeout, Duration::from_secs(5));
    assert_eq!((settings.client.retries, settings.client.redirects), (0, false));
}

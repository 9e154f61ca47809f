//! The environment: the one place that reads it.
//!
//! Invariants: no variable is read that [`VARIABLES`] does not name, but for those that the user names as
//! the place of a credential; a variable is read once, when the program starts. Children inherit the
//! environment as it is.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

#[cfg(feature = "vault")]
use crate::keyservice::vault::settings::{Names, find};

/// Every variable that the program reads, and what for.
pub const VARIABLES: &[(&str, &str)] = &[
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "by which a job of GitHub Actions gets its identity token"),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", "where it gets that"),
    ("AWS_ACCESS_KEY_ID", "credentials of AWS, for a login"),
    ("AWS_CONFIG_FILE", "file of profiles, instead of ~/.aws/config"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token for the credentials of a container"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "file of that token, before it"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "where a container gets its credentials"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "the same on ECS, before it"),
    ("AWS_DEFAULT_REGION", "AWS_REGION, after it"),
    ("AWS_EC2_METADATA_DISABLED", "do not ask the metadata service of EC2"),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "where that service is"),
    ("AWS_PROFILE", "the profile of AWS to log in with"),
    ("AWS_REGION", "the region of AWS, if a login asks for it"),
    ("AWS_ROLE_ARN", "the role of a web identity"),
    ("AWS_ROLE_SESSION_NAME", "the name of its session"),
    ("AWS_SECRET_ACCESS_KEY", "of AWS_ACCESS_KEY_ID"),
    ("AWS_SESSION_TOKEN", "of AWS_ACCESS_KEY_ID"),
    ("AWS_SHARED_CREDENTIALS_FILE", "file of credentials, instead of ~/.aws/credentials"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "file of a web identity's token"),
    ("BAO_ADDR", "VAULT_ADDR, before it"),
    ("BAO_AGENT_ADDR", "VAULT_AGENT_ADDR, before it"),
    ("BAO_AUTH_METHOD", "VAULT_AUTH_METHOD, before it"),
    ("BAO_CACERT", "VAULT_CACERT, before it"),
    ("BAO_CACERT_BYTES", "VAULT_CACERT_BYTES, before it"),
    ("BAO_CAPATH", "VAULT_CAPATH, before it"),
    ("BAO_CLIENT_CERT", "VAULT_CLIENT_CERT, before it"),
    ("BAO_CLIENT_CERT_BYTES", "VAULT_CLIENT_CERT_BYTES, before it"),
    ("BAO_CLIENT_KEY", "VAULT_CLIENT_KEY, before it"),
    ("BAO_CLIENT_KEY_BYTES", "VAULT_CLIENT_KEY_BYTES, before it"),
    ("BAO_CLIENT_TIMEOUT", "VAULT_CLIENT_TIMEOUT, before it"),
    ("BAO_CONFIG_PATH", "VAULT_CONFIG_PATH, before it"),
    ("BAO_DISABLE_REDIRECTS", "VAULT_DISABLE_REDIRECTS, before it"),
    ("BAO_HEADERS", "VAULT_HEADERS, before it"),
    ("BAO_HTTP_PROXY", "VAULT_HTTP_PROXY, before it"),
    ("BAO_KUBERNETES_JWT_TOKEN_PATH", "VAULT_KUBERNETES_JWT_TOKEN_PATH, before it"),
    ("BAO_KUBERNETES_MOUNT_POINT", "VAULT_KUBERNETES_MOUNT_POINT, before it"),
    ("BAO_LOGIN_MOUNT_POINT", "VAULT_LOGIN_MOUNT_POINT, before it"),
    ("BAO_MAX_RETRIES", "VAULT_MAX_RETRIES, before it"),
    ("BAO_MFA", "VAULT_MFA, before it"),
    ("BAO_NAMESPACE", "VAULT_NAMESPACE, before it"),
    ("BAO_PASSWORD_ENV", "VAULT_PASSWORD_ENV, before it"),
    ("BAO_PASSWORD_FILE", "VAULT_PASSWORD_FILE, before it"),
    ("BAO_PROXY_ADDR", "VAULT_PROXY_ADDR, before it"),
    ("BAO_RATE_LIMIT", "VAULT_RATE_LIMIT, before it"),
    ("BAO_ROLE_ID", "VAULT_ROLE_ID, before it"),
    ("BAO_SECRET_ID", "VAULT_SECRET_ID, before it"),
    ("BAO_SKIP_VERIFY", "VAULT_SKIP_VERIFY, before it"),
    ("BAO_SRV_LOOKUP", "VAULT_SRV_LOOKUP, before it"),
    ("BAO_TLS_SERVER_NAME", "VAULT_TLS_SERVER_NAME, before it"),
    ("BAO_TOKEN", "VAULT_TOKEN, before it"),
    ("BAO_TOKEN_FILE", "VAULT_TOKEN_FILE, before it"),
    ("BAO_TOKEN_PATH", "VAULT_TOKEN_PATH, before it"),
    ("BAO_USERNAME", "VAULT_USERNAME, before it"),
    ("BAO_WRAP_TTL", "VAULT_WRAP_TTL, before it"),
    ("EDITOR", "the editor that `edit` opens"),
    ("GCE_METADATA_HOST", "where the metadata service of Google Cloud is"),
    ("HOME", "where ~/.ssh and the user's configuration are"),
    ("IDENTITY_ENDPOINT", "where an app of Azure gets its token"),
    ("IDENTITY_HEADER", "what it shows there"),
    ("NO_COLOR", "no colours if not empty"),
    ("PATH", "where an editor is looked for"),
    ("SOPS_AGE_KEY", "age identities"),
    ("SOPS_AGE_KEY_CMD", "command that prints age identities"),
    ("SOPS_AGE_KEY_FILE", "file of age identities"),
    ("SOPS_AGE_RECIPIENTS", "--age"),
    ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "command that prints an SSH private key"),
    ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SSH private key"),
    ("SOPS_AZURE_KEYVAULT_URLS", "--azure-kv"),
    ("SOPS_CONFIG", "--config"),
    ("SOPS_DECRYPTION_ORDER", "--decryption-order"),
    ("SOPS_EDITOR", "the editor that `edit` opens, before EDITOR"),
    ("SOPS_GCP_KMS_IDS", "--gcp-kms"),
    ("SOPS_HC_VAULT_ALLOWLIST", "servers that files may name, with commas; `all` or `none`"),
    ("SOPS_HUAWEICLOUD_KMS_IDS", "--hckms"),
    ("SOPS_KMS_ARN", "--kms"),
    ("SOPS_PGP_FP", "--pgp"),
    ("SOPS_VAULT_URIS", "--hc-vault-transit"),
    ("TERM", "no colours if `dumb`"),
    ("TMPDIR", "where `edit` keeps its file if no memory file system can be used"),
    ("VAULT_ADDR", "the server that you name: files may name it too then"),
    ("VAULT_AGENT_ADDR", "Agent or Proxy that stands in for every server"),
    ("VAULT_AUTH_METHOD", "method of logging in: approle, kubernetes, userpass"),
    ("VAULT_CACERT", "file of certificates to trust"),
    ("VAULT_CACERT_BYTES", "certificates to trust, in PEM"),
    ("VAULT_CAPATH", "folder of certificates to trust"),
    ("VAULT_CLIENT_CERT", "file of the certificate to show"),
    ("VAULT_CLIENT_CERT_BYTES", "certificate to show, in PEM"),
    ("VAULT_CLIENT_KEY", "file of the key of that"),
    ("VAULT_CLIENT_KEY_BYTES", "key of that, in PEM"),
    ("VAULT_CLIENT_TIMEOUT", "time for a call to a server, with its repetitions"),
    ("VAULT_CONFIG_PATH", "configuration of the server's own program, which names a token helper"),
    ("VAULT_DISABLE_REDIRECTS", "follow no redirect of a server"),
    ("VAULT_HEADERS", "headers of every request to a server, in JSON"),
    ("VAULT_HTTP_PROXY", "proxy for servers"),
    ("VAULT_KUBERNETES_JWT_TOKEN_PATH", "file of the token of a service account"),
    ("VAULT_KUBERNETES_MOUNT_POINT", "where the method kubernetes is mounted"),
    ("VAULT_LOGIN_MOUNT_POINT", "where another method is mounted"),
    ("VAULT_MAX_RETRIES", "how often a call to a server is repeated"),
    ("VAULT_MFA", "second factors to log in with, with commas: METHOD:PASSCODE"),
    ("VAULT_NAMESPACE", "namespace on the server"),
    ("VAULT_PASSWORD_ENV", "name of the variable that holds the password"),
    ("VAULT_PASSWORD_FILE", "file of the password"),
    ("VAULT_PROXY_ADDR", "proxy for servers, before HTTP_PROXY"),
    ("VAULT_RATE_LIMIT", "requests to servers in a second"),
    ("VAULT_ROLE_ID", "role id of approle, role of kubernetes"),
    ("VAULT_SECRET_ID", "secret id of approle"),
    ("VAULT_SKIP_VERIFY", "trust every certificate of a server"),
    ("VAULT_SRV_LOOKUP", "not used: told so on a terminal"),
    ("VAULT_TLS_SERVER_NAME", "name that a server's certificate must have"),
    ("VAULT_TOKEN", "token for servers"),
    ("VAULT_TOKEN_FILE", "VAULT_TOKEN_PATH, behind it"),
    ("VAULT_TOKEN_PATH", "file of the token, instead of ~/.vault-token"),
    ("VAULT_USERNAME", "name to log in with"),
    ("VAULT_WRAP_TTL", "not used: told so on a terminal"),
    ("WAXSEAL_INTEGRITY", "--integrity"),
    ("WAXSEAL_VAULT_AUTH", "how to log in to servers: METHOD key=value ..."),
    ("XDG_CONFIG_HOME", "the user's configuration"),
    ("XDG_RUNTIME_DIR", "where `edit` keeps its file, if that is in memory"),
];

/// The variables of [`VARIABLES`] that are set.
#[derive(Default)]
pub struct Env {
    values: HashMap<&'static str, OsString>,
    /// What the program was called by.
    program: OsString,
}

impl Env {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let values = VARIABLES
            .iter()
            .filter_map(|&(name, _)| Some((name, std::env::var_os(name)?)))
            .collect();
        Self { values, program: std::env::args_os().next().unwrap_or_default() }
    }

    /// These and no others.
    ///
    /// # Panics
    ///
    /// If one is not in [`VARIABLES`].
    #[must_use]
    pub fn of(pairs: &[(&'static str, &str)]) -> Self {
        let values = pairs.iter().map(|&(name, value)| {
            assert!(is_known(name), "{name} is not in the list of variables");
            (name, value.into())
        });
        Self { values: values.collect(), program: OsString::new() }
    }

    /// The value of a variable, empty values included.
    ///
    /// # Panics
    ///
    /// If it is not in [`VARIABLES`].
    #[must_use]
    pub fn set(&self, name: &'static str) -> Option<&OsStr> {
        assert!(is_known(name), "{name} is not in the list of variables");
        self.values.get(name).map(OsString::as_os_str)
    }

    /// The value of a variable that the user names, whatever it is called.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<OsString> {
        self.values.get(name).cloned().or_else(|| std::env::var_os(name))
    }

    /// The value of a variable; an empty one counts as not set.
    ///
    /// # Panics
    ///
    /// If it is not in [`VARIABLES`].
    #[must_use]
    pub fn value(&self, name: &'static str) -> Option<&OsStr> {
        self.set(name).filter(|value| !value.is_empty())
    }

    /// As [`Env::value`], of a variable whose value is text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self, name: &'static str) -> Option<String> {
        self.set_text(name).filter(|value| !value.is_empty())
    }

    /// As [`Env::set`], of a variable whose value is text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn set_text(&self, name: &'static str) -> Option<String> {
        self.set(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// A setting that has two names: the one that counts, and its value.
    #[cfg(feature = "vault")]
    #[must_use]
    pub fn setting(&self, names: Names) -> Option<(&'static str, String)> {
        find(names, |name| self.set_text(name))
    }

    /// Whether the program was called `sops`, by a link of that name.
    #[must_use]
    pub fn is_called_sops(&self) -> bool {
        Path::new(&self.program).file_name() == Some(OsStr::new("sops"))
    }

    /// The configuration file that is to be used instead of the one that is found.
    #[must_use]
    pub fn config(&self) -> Option<&Path> {
        self.value("SOPS_CONFIG").map(Path::new)
    }

    /// The user's home directory; a relative one would be the folder that somebody is in.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.value("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    /// Where the user's configuration of all programs is.
    #[must_use]
    pub fn user_config_dir(&self) -> Option<PathBuf> {
        let xdg = self.value("XDG_CONFIG_HOME").map(PathBuf::from);
        if cfg!(target_os = "macos") {
            return xdg.or_else(|| Some(self.home()?.join("Library/Application Support")));
        }
        // Go refuses a relative one; so nothing is looked for then, as in SOPS.
        match xdg {
            Some(xdg) => xdg.is_absolute().then_some(xdg),
            None => Some(self.home()?.join(".config")),
        }
    }

    /// The directory for temporary files.
    #[must_use]
    pub fn temp_dir(&self) -> PathBuf {
        self.value("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
    }

    /// The directory for files of the user's session.
    #[must_use]
    pub fn runtime_dir(&self) -> Option<&Path> {
        self.value("XDG_RUNTIME_DIR").map(Path::new).filter(|path| path.is_absolute())
    }

    /// What the user calls the editor, a command line, and the variable that says so.
    #[must_use]
    pub fn editor(&self) -> Option<(&'static str, String)> {
        let named = |name| Some((name, self.text(name)?));
        named("SOPS_EDITOR").or_else(|| named("EDITOR"))
    }

    /// The file of this name in PATH that can be executed.
    #[must_use]
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.value("PATH")?).map(|dir| dir.join(name)).find(|path| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        })
    }

    /// Whether the user allows colours.
    #[must_use]
    pub fn allows_colour(&self) -> bool {
        self.value("NO_COLOR").is_none() && self.value("TERM") != Some(OsStr::new("dumb"))
    }
}

fn is_known(name: &str) -> bool {
    VARIABLES.iter().any(|&(known, _)| known == name)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Env, VARIABLES};

    #[test]
    fn the_list_is_sorted_and_unique() {
        assert!(VARIABLES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn an_empty_variable_is_not_set_but_for_those_who_ask() {
        let env = Env::of(&[("SOPS_CONFIG", ""), ("SOPS_AGE_KEY", "")]);
        assert_eq!(env.config(), None);
        assert!(env.set("SOPS_AGE_KEY").is_some());
        assert!(env.set("SOPS_AGE_KEY_FILE").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_user_s_configuration_is_where_go_finds_it() {
        let dir = |pairs: &[(&'static str, &str)]| Env::of(pairs).user_config_dir();
        assert_eq!(dir(&[("HOME", "/h")]), Some(PathBuf::from("/h/.config")));
        assert_eq!(dir(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Some(PathBuf::from("/x")));
        assert_eq!(dir(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]), None);
        assert_eq!(dir(&[]), None);
    }

    #[test]
    fn programs_are_found_in_path_only() {
        let env = Env::of(&[("PATH", "/nowhere:/bin:/usr/bin")]);
        assert!(env.find_program("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(env.find_program("no-such-editor"), None);
        assert_eq!(Env::of(&[]).find_program("sh"), None);
    }
}

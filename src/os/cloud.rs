//! This machine, as a login asks of it: its environment, its files, the services that tell it who it is in
//! its cloud, and a command for Kerberos.
//!
//! Invariants: nothing is read or asked for before a login needs it; what stands at the link of this machine
//! is asked without a proxy; no redirect is followed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::clock;
use super::env::Env;
use super::fs::{ReadError, read_bytes};
use super::http::Http;
use crate::keyservice::vault::auth::{Machine, Way};
use crate::keyservice::vault::{Answer, Request, Transport as _, TransportError};
use crate::secret::{SecretText, Wiped};
use crate::shown::Show as _;
use crate::timestamp::Timestamp;

/// The machine that we run on.
pub struct ThisMachine {
    env: Arc<Env>,
    link: Http,
    world: Http,
}

impl ThisMachine {
    /// With this environment.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { env, link: Http::to_others(Way::Link), world: Http::to_others(Way::World) }
    }
}

impl Machine for ThisMachine {
    fn variable(&self, name: &'static str) -> Option<String> {
        self.env.text(name)
    }

    fn file(&self, path: &str) -> Result<Option<SecretText>, String> {
        let path = match path.strip_prefix("~/") {
            None => PathBuf::from(path),
            Some(rest) => match self.env.home() {
                Some(home) => home.join(rest),
                None => return Ok(None),
            },
        };
        text(&path)
    }

    fn fetch(&self, way: Way, request: &Request<'_>) -> Result<Answer, TransportError> {
        match way {
            Way::Link => self.link.send(request),
            Way::World => self.world.send(request),
        }
    }

    fn time(&self) -> Timestamp {
        let epoch = Timestamp::from_unix(0).expect("1970 is before the year 9999");
        Timestamp::from_unix(clock::now()).unwrap_or(epoch)
    }
}

fn text(path: &Path) -> Result<Option<SecretText>, String> {
    let shown = path.shown();
    match read_bytes(path).map(Wiped::from) {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(SecretText::new(text.to_owned()))),
            Err(_) => Err(format!("{shown}: is not text")),
        },
        Err(ReadError::NotFound) => Ok(None),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// What a command prints that is given the name of a service, `HTTP/vault.example`: a SPNEGO token in base64.
/// The command is a line for the shell; the name is an argument more.
///
/// # Errors
///
/// If it cannot be run, fails, or prints no text. What it prints is in no error.
pub fn spnego_token(command: &str, service: &str) -> Result<SecretText, String> {
    let named = |problem: String| format!("the command for Kerberos: {problem}");
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{command} \"$@\""), "sh", service])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| named(error.to_string()))?;
    let printed = Wiped::from(output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default().trim().to_owned();
        return Err(named(format!("{}: {}", output.status, first.shown())));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| named("it printed no text".to_owned()))?;
    Ok(SecretText::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Env, Machine as _, ThisMachine, spnego_token};
    use crate::keyservice::vault::auth::aws_keys;

    #[test]
    fn credentials_are_found_in_the_environment_and_below_the_home() {
        let home = tempfile::tempdir().expect("a folder");
        let home_path = home.path().to_str().expect("text");
        let machine = |pairs: &[(&'static str, &str)]| ThisMachine::new(Arc::new(Env::of(pairs)));
        let alone = machine(&[("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", home_path)]);
        let error = aws_keys::find(&alone, None, None).map(|_| ()).expect_err("none");
        assert!(error.starts_with("no credentials of AWS"), "{error}");
        std::fs::create_dir(home.path().join(".aws")).expect("made");
        let text = "[default]\naws_access_key_id=AKI\naws_secret_access_key=sec\n";
        std::fs::write(home.path().join(".aws/credentials"), text).expect("written");
        let keys = aws_keys::find(&alone, None, None).expect("found");
        assert_eq!((keys.id.as_str(), keys.secret.expose_secret()), ("AKI", "sec"));
        let pairs = [("AWS_ACCESS_KEY_ID", "AKI2"), ("AWS_SECRET_ACCESS_KEY", "s2")];
        let keys = aws_keys::find(&machine(&pairs), None, None).expect("found");
        assert_eq!(keys.id, "AKI2");
        std::fs::write(home.path().join(".aws/credentials"), [0xff]).expect("written");
        let error = aws_keys::find(&alone, None, None).map(|_| ()).expect_err("no text");
        assert!(error.ends_with("credentials: is not text"), "{error}");
        assert!(alone.time().unix() > 1_700_000_000);
    }

    #[test]
    fn a_command_gets_the_name_of_the_service_and_prints_the_token() {
        let token = spnego_token("printf '%s\\n' token-for", "HTTP/a b;c").expect("printed");
        assert_eq!(token.expose_secret(), "token-for\nHTTP/a b;c");
        let error = spnego_token("echo secret; echo no ticket >&2; false", "HTTP/a");
        let error = error.map(|_| ()).expect_err("failed");
        assert_eq!(error, "the command for Kerberos: exit status: 1: no ticket");
    }
}

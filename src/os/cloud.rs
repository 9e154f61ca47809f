//! This machine, as a login asks of it: its environment, its files, and the services that tell it who it is
//! in its cloud.
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
use crate::keyservice::vault::auth::{Machine, SourceError, Way};
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

    pub(super) fn env(&self) -> &Env {
        &self.env
    }
}

impl Machine for ThisMachine {
    fn variable(&self, name: &'static str) -> Option<String> {
        self.env.text(name)
    }

    fn file(&self, path: &str) -> Result<Option<SecretText>, SourceError> {
        let path = match path.strip_prefix("~/") {
            None => PathBuf::from(path),
            Some(rest) => match self.env.home() {
                Some(home) => home.join(rest),
                None => return Ok(None),
            },
        };
        text(&path)
    }

    fn command(&self, line: &str) -> Result<SecretText, SourceError> {
        run(line)
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

fn text(path: &Path) -> Result<Option<SecretText>, SourceError> {
    let shown = path.shown();
    match read_bytes(path).map(Wiped::from) {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(SecretText::new(text.to_owned()))),
            Err(_) => Err(format!("{shown}: is not text").into()),
        },
        Err(ReadError::NotFound) => Ok(None),
        Err(error) => Err(format!("{shown}: {error}").into()),
    }
}

fn trimmed(bytes: &[u8]) -> Option<SecretText> {
    Some(SecretText::new(std::str::from_utf8(bytes).ok()?.trim().to_owned()))
}

/// What a command prints, run without a shell. It may ask the user, and tell why it fails.
fn run(line: &str) -> Result<SecretText, SourceError> {
    let words = shlex::split(line).ok_or("command: its quotes do not match")?;
    let (program, arguments) = words.split_first().ok_or("command: it is empty")?;
    let shown = Path::new(program).shown();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{shown} cannot be run: {error}"))?;
    let printed = Wiped::from(output.stdout);
    if !output.status.success() {
        return Err(format!("{shown} failed: {}", output.status).into());
    }
    trimmed(&printed).ok_or_else(|| format!("{shown} printed something that is not UTF-8").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Env, Machine as _, ThisMachine};
    use crate::keyservice::vault::auth::aws_keys;

    #[test]
    fn credentials_are_found_in_the_environment_and_below_the_home() {
        let home = tempfile::tempdir().expect("a folder");
        let home_path = home.path().to_str().expect("text");
        let machine = |pairs: &[(&'static str, &str)]| ThisMachine::new(Arc::new(Env::of(pairs)));
        let alone = machine(&[("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", home_path)]);
        let error = aws_keys::find(&alone, None, None).map(|_| ()).expect_err("none").to_string();
        assert!(error.starts_with("no credentials of AWS"), "{error}");
        std::fs::create_dir(home.path().join(".aws")).expect("made");
        let text = "[default]\naws_access_key_id=AKI\naws_secret_access_key=sec\n";
        std::fs::write(home.path().join(".aws/credentials"), text).expect("written");
        let keys = aws_keys::find(&alone, None, None).expect("found");
        assert_eq!((keys.id.as_str(), keys.secret.expose_secret()), ("AKI", "sec"));
        let pairs = [("AWS_ACCESS_KEY_ID", "AKI2"), ("AWS_SECRET_ACCESS_KEY", "s2")];
        let keys = aws_keys::find(&machine(&pairs), None, None).expect("found");
        assert_eq!(keys.id, "AKI2");
        let printed = home.path().join("printed");
        std::fs::write(&printed, r#"{"Version":1,"AccessKeyId":"AKI3","SecretAccessKey":"s3"}"#)
            .expect("written");
        let text = format!("[profile tool]\ncredential_process = cat '{}'\n", printed.display());
        std::fs::write(home.path().join(".aws/config"), text).expect("written");
        let keys = aws_keys::find(&alone, Some("tool"), None).expect("found");
        assert_eq!((keys.id.as_str(), keys.secret.expose_secret()), ("AKI3", "s3"));
        std::fs::remove_file(printed).expect("removed");
        let error =
            aws_keys::find(&alone, Some("tool"), None).map(|_| ()).expect_err("fails").to_string();
        assert!(error.starts_with("profile tool: credential_process: cat failed"), "{error}");
        std::fs::write(home.path().join(".aws/credentials"), [0xff]).expect("written");
        let error =
            aws_keys::find(&alone, None, None).map(|_| ()).expect_err("no text").to_string();
        assert!(error.ends_with("credentials: is not text"), "{error}");
        assert!(alone.time().unix() > 1_700_000_000);
    }
}

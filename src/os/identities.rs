//! Where the user's age identities are: variables, files, commands.
//!
//! Invariant: nothing is read and no command is run before a key needs it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::env::Env;
use super::fs::{ReadError, read, read_bytes};
use crate::keyservice::age::{
    IdentitySource, NOT_SET, ReadPublic, Reading, SourceKind, armor_identity_file,
};
use crate::secret::SecretText;
use crate::shown::{MISPLACED, Show, holds_private_key};

/// Every place where identities are looked for, in SOPS' order; those that are not set as well, so
/// that a report can name them.
#[must_use]
pub fn age_sources(env: &Env) -> Vec<IdentitySource> {
    use SourceKind::{Identities, IdentityWords, SshKey};

    let mut sources = vec![
        of_file_variable(env, SshKey, "SOPS_AGE_SSH_PRIVATE_KEY_FILE"),
        of_command_variable(env, SshKey, "SOPS_AGE_SSH_PRIVATE_KEY_CMD"),
    ];
    for name in ["id_ed25519", "id_rsa"] {
        if let Some(home) = env.home() {
            sources.push(of_path(SshKey, &home.join(".ssh").join(name)));
        }
    }
    sources.push(of_text_variable(env, IdentityWords, "SOPS_AGE_KEY"));
    sources.push(of_file_variable(env, Identities, "SOPS_AGE_KEY_FILE"));
    sources.push(of_command_variable(env, Identities, "SOPS_AGE_KEY_CMD"));
    match env.user_config_dir() {
        Some(config) => sources.push(of_path(Identities, &config.join("sops/age/keys.txt"))),
        None if env.home().is_none() => sources.push(no_home()),
        None => {}
    }
    sources
}

fn not_set(kind: SourceKind, name: &str) -> IdentitySource {
    let read = |_: &str| Err(NOT_SET.to_owned());
    IdentitySource::new(kind, Reading::Once, name, "", Box::new(read))
}

/// Where a user's files would be, if it were known where that is.
fn no_home() -> IdentitySource {
    let read = |_: &str| Err("not set: no file of yours can be looked for".to_owned());
    IdentitySource::new(SourceKind::Identities, Reading::Once, "HOME", "", Box::new(read))
}

fn of_text_variable(env: &Env, kind: SourceKind, name: &'static str) -> IdentitySource {
    match env.set(name) {
        None => not_set(kind, name),
        Some(value) => match value.to_str() {
            Some(text) => IdentitySource::of_text(kind, name, SecretText::new(text.to_owned())),
            None => {
                let read = |_: &str| Err("is not UTF-8".to_owned());
                IdentitySource::new(kind, Reading::Once, name, "", Box::new(read))
            }
        },
    }
}

fn of_file_variable(env: &Env, kind: SourceKind, name: &'static str) -> IdentitySource {
    let Some(value) = env.set(name) else { return not_set(kind, name) };
    let path = PathBuf::from(value);
    let is_key = holds_private_key(&path.to_string_lossy());
    let location = if is_key { String::new() } else { path.shown().to_string() };
    let public = public_beside(&path);
    let read = move |_: &str| {
        if path.as_os_str().is_empty() {
            return Err("set, but empty".to_owned());
        }
        read_identity(&path).map(Some).map_err(|error| match is_key {
            true => MISPLACED.to_owned(),
            false => error.to_string(),
        })
    };
    IdentitySource::new(kind, Reading::Once, name, location, Box::new(read)).with_public(public)
}

/// The public key that `ssh-keygen` puts beside a private one.
fn public_beside(path: &Path) -> ReadPublic {
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    Box::new(move || {
        read(&public).map_err(|error| {
            format!("locked, and its public key is needed: {}: {error}", public.shown())
        })
    })
}

/// A place that is looked at in any case.
fn of_path(kind: SourceKind, path: &Path) -> IdentitySource {
    let path = path.to_owned();
    let name = path.shown().to_string();
    let public = public_beside(&path);
    let read = move |_: &str| match read_identity(&path) {
        Ok(text) => Ok(Some(text)),
        Err(ReadError::NotFound) => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    IdentitySource::new(kind, Reading::Once, name, "", Box::new(read)).with_public(public)
}

fn of_command_variable(env: &Env, kind: SourceKind, name: &'static str) -> IdentitySource {
    let Some(value) = env.set(name) else { return not_set(kind, name) };
    let line = value.to_string_lossy().into_owned();
    // Its arguments may hold a secret, an identity itself for one.
    let location = program_of(&line).unwrap_or_default();
    let read = move |recipient: &str| run(&line, recipient).map(Some);
    IdentitySource::new(kind, Reading::PerRecipient, name, location, Box::new(read))
}

fn read_identity(path: &Path) -> Result<SecretText, ReadError> {
    let bytes = read_bytes(path)?;
    if let Some(armored) = armor_identity_file(&bytes) {
        return Ok(armored);
    }
    String::from_utf8(bytes).map(SecretText::new).map_err(|_| {
        ReadError::Io(io::Error::new(io::ErrorKind::InvalidData, "not a text of identities"))
    })
}

/// What messages say of a command line: the program.
fn program_of(line: &str) -> Option<String> {
    let program = shlex::split(line)?.into_iter().next()?;
    // `NAME=value program` is for a shell; here it is the program, and the value may be secret.
    let name = program.split('=').next().filter(|name| !holds_private_key(name))?;
    Some(name.shown().to_string())
}

/// Runs a command without a shell; what it prints is the identity.
fn run(line: &str, recipient: &str) -> Result<SecretText, String> {
    let words = shlex::split(line).ok_or("its quotes do not match")?;
    let (program, arguments) = words.split_first().ok_or("set, but empty")?;
    let shown = program_of(line).unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("SOPS_AGE_RECIPIENT", recipient)
        // It may ask the user, and tell why it fails.
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| match holds_private_key(program) {
            true => "a private key stands where a command is expected: SOPS_AGE_KEY takes age \
                     identities themselves"
                .to_owned(),
            false => format!("{shown} cannot be run: {error}"),
        })?;
    if !output.status.success() {
        return Err(format!("{shown} failed: {}", output.status));
    }
    if let Some(armored) = armor_identity_file(&output.stdout) {
        return Ok(armored);
    }
    String::from_utf8(output.stdout).map(SecretText::new).map_err(|error| {
        drop(SecretText::new(String::from_utf8_lossy(error.as_bytes()).into_owned()));
        format!("{shown} printed something that is not UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::age_sources;
    use crate::keyservice::KeyError;
    use crate::keyservice::age::{AgeIdentities, Nobody, generate_identity};
    use crate::os::env::Env;
    use crate::timestamp::Timestamp;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    /// An identity and its recipient.
    fn new_pair() -> (String, String) {
        let new = generate_identity(Timestamp::from_unix(0).expect("in range"));
        (new.file.expose_secret().to_owned(), new.recipient)
    }

    #[track_caller]
    fn check_unwraps(env: &Env, recipient: &str) {
        let service = AgeIdentities::new(age_sources(env), Arc::new(Nobody));
        let wrapped = service.wrap_bytes(recipient, KEY).expect("wrapped");
        assert_eq!(**service.unwrap_bytes(recipient, &wrapped).expect("unwrapped"), *KEY);
    }

    #[test]
    fn identities_are_found_in_every_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let (identity, recipient) = new_pair();
        let path = dir.path().join("my key's.txt");
        fs::write(&path, &identity).expect("written");
        let path = path.to_str().expect("UTF-8");
        let bare = identity.lines().last().expect("the identity");
        check_unwraps(&Env::of(&[("SOPS_AGE_KEY", bare)]), &recipient);
        check_unwraps(&Env::of(&[("SOPS_AGE_KEY_FILE", path)]), &recipient);
        let command = format!("cat \"{path}\"");
        check_unwraps(&Env::of(&[("SOPS_AGE_KEY_CMD", &command)]), &recipient);
        let config = dir.path().join("config");
        fs::create_dir_all(config.join("sops/age")).expect("made");
        fs::copy(path, config.join("sops/age/keys.txt")).expect("copied");
        let config = config.to_str().expect("UTF-8");
        check_unwraps(&Env::of(&[("XDG_CONFIG_HOME", config)]), &recipient);
    }

    #[test]
    fn ssh_keys_are_found_in_every_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/src/keyservice/age/testdata");
        let file = format!("{keys}/ed25519");
        let recipient = fs::read_to_string(format!("{file}.pub")).expect("read");
        check_unwraps(&Env::of(&[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", &file)]), &recipient);
        let command = format!("cat {file}");
        check_unwraps(&Env::of(&[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", &command)]), &recipient);
        fs::create_dir(dir.path().join(".ssh")).expect("made");
        for (name, public) in [("id_ed25519", "ed25519"), ("id_rsa", "rsa")] {
            fs::copy(format!("{keys}/{public}"), dir.path().join(".ssh").join(name))
                .expect("copied");
            let recipient = fs::read_to_string(format!("{keys}/{public}.pub")).expect("read");
            check_unwraps(&Env::of(&[("HOME", dir.path().to_str().expect("UTF-8"))]), &recipient);
        }
    }

    #[test]
    fn a_locked_ssh_key_needs_its_public_key() {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/src/keyservice/age/testdata");
        let file = dir.path().join("id_rsa");
        fs::copy(format!("{keys}/rsa-pem-locked"), &file).expect("copied");
        let recipient = fs::read_to_string(format!("{keys}/rsa.pub")).expect("read");
        let ssh = dir.path().join(".ssh");
        fs::create_dir(&ssh).expect("made");
        fs::copy(&file, ssh.join("id_rsa")).expect("copied");
        let home = dir.path().to_str().expect("UTF-8");
        let told = |env: &Env| {
            let service = AgeIdentities::new(age_sources(env), Arc::new(Nobody));
            let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
            match service.unwrap_bytes(&recipient, &wrapped) {
                Err(KeyError::NoIdentity { looked }) => {
                    let told = looked.into_iter().map(|place| place.outcome.replace(home, "HOME"));
                    told.filter(|outcome| !outcome.starts_with("not ")).collect::<Vec<_>>()
                }
                other => panic!("nobody knows the passphrase: {other:?}"),
            }
        };
        let envs = [
            Env::of(&[("HOME", home)]),
            Env::of(&[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", file.to_str().expect("UTF-8"))]),
        ];
        for (env, place) in envs.iter().zip(["HOME/.ssh/id_rsa", "HOME/id_rsa"]) {
            let why = format!("locked, and its public key is needed: {place}.pub: no such file");
            assert_eq!(told(env), [why]);
        }
        for folder in [dir.path(), &ssh] {
            fs::copy(format!("{keys}/rsa.pub"), folder.join("id_rsa.pub")).expect("copied");
        }
        for env in &envs {
            assert_eq!(told(env), ["nobody can be asked for its passphrase"]);
        }
    }

    #[test]
    fn a_command_is_told_the_recipient() {
        let (identity, recipient) = new_pair();
        let bare = identity.lines().last().expect("the identity");
        let command =
            format!("sh -c 'test \"$SOPS_AGE_RECIPIENT\" = {recipient} && echo {bare}' # comment");
        check_unwraps(&Env::of(&[("SOPS_AGE_KEY_CMD", &command)]), &recipient);
    }

    #[test]
    fn a_report_names_every_place() {
        let (_, recipient) = new_pair();
        let env = Env::of(&[
            ("HOME", "/nowhere"),
            ("SOPS_AGE_KEY", ""),
            ("SOPS_AGE_KEY_FILE", "/nowhere/keys"),
            ("SOPS_AGE_KEY_CMD", "sh -c 'exit 3'"),
            ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", ""),
            ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "'"),
        ]);
        let service = AgeIdentities::new(age_sources(&env), Arc::new(Nobody));
        let wrapped = service.wrap_bytes(&recipient, KEY).expect("wrapped");
        let Err(KeyError::NoIdentity { looked }) = service.unwrap_bytes(&recipient, &wrapped)
        else {
            panic!("no identity was expected to fit")
        };
        let told: Vec<_> = looked
            .iter()
            .map(|place| format!("{} ({}): {}", place.name, place.location, place.outcome))
            .collect();
        assert_eq!(
            told,
            [
                "SOPS_AGE_SSH_PRIVATE_KEY_FILE (): set, but empty",
                "SOPS_AGE_SSH_PRIVATE_KEY_CMD (): its quotes do not match",
                "/nowhere/.ssh/id_ed25519 (): not there",
                "/nowhere/.ssh/id_rsa (): not there",
                "SOPS_AGE_KEY (): no identity",
                "SOPS_AGE_KEY_FILE (/nowhere/keys): no such file",
                "SOPS_AGE_KEY_CMD (sh): sh failed: exit status: 3",
                "/nowhere/.config/sops/age/keys.txt (): not there",
            ]
        );
    }
}

//! Real sops, where `tests/run` has brought it: a key pair, a folder, and its commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::file::{DecryptedFile, EncryptOptions, EncryptedFile, Nonces, encrypt};
use waxseal::keys::{KeyGroup, MasterKey, WrappedKey};
use waxseal::keyservice::age::{
    AgeIdentities, IdentitySource, Nobody, SourceKind, generate_identity,
};
use waxseal::keyservice::{DecryptionOrder, Keyring};
use waxseal::policy::{Policy, Rule};
use waxseal::secret::{DataKey, SecretText};
use waxseal::value::Tree;

use crate::support::{corpus, files, now};

/// Real sops, with two identities that open everything.
pub(crate) struct Sops {
    folder: tempfile::TempDir,
    peers: PathBuf,
    keyring: Keyring,
    pub(crate) recipients: [String; 2],
    pub(crate) data_key: [u8; 32],
    pub(crate) groups: Vec<KeyGroup>,
}

impl Sops {
    /// `None` where the peers are not brought.
    pub(crate) fn start() -> Option<Self> {
        let peers = PathBuf::from(std::env::var_os("WAXSEAL_PEERS")?);
        let folder = tempfile::tempdir().expect("a folder");
        let made = [generate_identity(now()), generate_identity(now())];
        let texts: Vec<_> = made.iter().map(|it| it.file.expose_secret().to_owned()).collect();
        std::fs::write(folder.path().join("keys.txt"), texts.concat()).expect("written");
        let sources = vec![IdentitySource::of_text(
            SourceKind::Identities,
            "keys.txt",
            SecretText::new(texts.concat()),
        )];
        let age = AgeIdentities::new(sources, Arc::new(Nobody));
        let mut sops = Self {
            folder,
            peers,
            keyring: Keyring::new(vec![Box::new(age)], DecryptionOrder::default()),
            recipients: made.map(|it| it.recipient),
            data_key: [0x77; 32],
            groups: Vec::new(),
        };
        sops.groups = sops.wrap(&sops.key(), &sops.recipients[..1]);
        Some(sops)
    }

    /// The data key of a file with one key group.
    pub(crate) fn unwrap(&self, file: &EncryptedFile) -> DataKey {
        let key = self.keyring.recover(file.metadata().groups()).expect("a key opens it");
        DataKey::from_bytes(key.expose_secret()).expect("32 bytes")
    }

    /// One group of these recipients, the data key wrapped for each.
    pub(crate) fn wrap(&self, key: &DataKey, recipients: &[String]) -> Vec<KeyGroup> {
        let keys: Vec<_> =
            recipients.iter().map(|it| MasterKey::Age { recipient: it.clone() }).collect();
        let wrapped = self.keyring.wrap_all(std::slice::from_ref(&keys), key).expect("wraps");
        let group = keys.into_iter().zip(wrapped.into_iter().flatten());
        vec![KeyGroup::new(group.map(|(key, enc)| WrappedKey::new(key, enc, now())).collect())]
    }

    /// The data key that our own files have.
    pub(crate) fn key(&self) -> DataKey {
        DataKey::from_bytes(&self.data_key).expect("32 bytes")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.peers.join("sops"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("SOPS_AGE_KEY_FILE", self.folder.path().join("keys.txt"))
            .env("SOPS_DISABLE_VERSION_CHECK", "true")
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str], path: &Path) -> Output {
        self.command().args(args).arg(path).output().expect("sops runs")
    }

    pub(crate) fn encrypt(&self, text: &str, suffix: &str, flags: &[&str]) -> Option<String> {
        let path = self.write(&format!("plain.{suffix}"), text);
        // The rules by comments are flags of the old way of calling alone.
        let mut args = vec!["--encrypt", "--age", &self.recipients[0]];
        args.extend(flags);
        let output = self.run(&args, &path);
        output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
    }

    pub(crate) fn decrypt(&self, text: &str, suffix: &str, to: &str) -> Result<String, String> {
        let path = self.write(&format!("sealed.{suffix}"), text);
        let output = self.run(&["decrypt", "--output-type", to], &path);
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// A command that changes a file in place, with the words before and behind the path; the text
    /// afterwards, or what sops says.
    pub(crate) fn change(
        &self,
        text: &str,
        suffix: &str,
        before: &[&str],
        after: &[&str],
    ) -> Result<String, String> {
        let path = self.write(&format!("changed.{suffix}"), text);
        let mut command = self.command();
        command.args(before).arg(&path).args(after);
        self.finish(&mut command, &path)
    }

    /// `sops edit` with a shell script as editor; `$1` is the file.
    pub(crate) fn edit(&self, text: &str, suffix: &str, script: &str) -> Result<String, String> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(&format!("edited.{suffix}"), text);
        // sops asks for another try as long as the text is wrong, without an end: once is enough.
        let once = "[ -e ran ] && exit 1\n: > ran";
        let _ = std::fs::remove_file(self.folder.path().join("ran"));
        let editor = self.write("editor", &format!("#!/bin/sh\n{once}\n{script}\n"));
        std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).expect("mode");
        let mut command = self.command();
        command.env("EDITOR", &editor).args(["edit"]).arg(&path);
        self.finish(&mut command, &path)
    }

    #[expect(clippy::unused_self, reason = "reads as a part of the peer")]
    fn finish(&self, command: &mut Command, path: &Path) -> Result<String, String> {
        let output = command.stdin(Stdio::null()).output().expect("sops runs");
        if output.status.success() {
            return Ok(std::fs::read_to_string(path).expect("readable"));
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn seal(&self, text: &str, format: Format, policy: &Policy) -> Option<String> {
        let options = EncryptOptions {
            vouch_for_recipients: true,
            policy,
            groups: self.groups.clone(),
            shamir_threshold: 0,
            nonces: Nonces::Derived,
            now: now(),
        };
        encrypt(text.to_owned(), format, &self.key(), &options).ok()
    }

    /// Opens one of our own files, or one of sops' around our data key.
    pub(crate) fn open(&self, text: &str) -> Result<DecryptedFile, String> {
        EncryptedFile::parse(text.to_owned(), Format::Yaml)
            .and_then(|file| file.decrypt(&self.key()))
            .map_err(|error| format!("we refuse: {error}\n{text}"))
    }
}

/// The value of each document, an empty one as the empty map that SOPS makes of it.
pub(crate) fn roots(doc: &Document) -> Vec<Tree> {
    let root = |id: NodeId| match doc.value_of(id).map(|root| doc.tree(root)) {
        None => Tree::Map(Vec::new()),
        Some(tree) => match tree.expect("a tree") {
            Tree::Scalar(scalar) if scalar.kind == waxseal::value::ScalarType::Null => {
                Tree::Map(Vec::new())
            }
            tree => tree,
        },
    };
    doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document).map(root).collect()
}

/// Whether two files hold the same, numbers by their value.
pub(crate) fn same(a: &[Tree], b: &[Tree]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_tree(a, b))
}

fn same_tree(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::Scalar(a), Tree::Scalar(b)) => {
            a.kind.tree_name() == b.kind.tree_name() && a.bytes == b.bytes
        }
        (Tree::Map(a), Tree::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k == l && same_tree(v, w))
        }
        (Tree::List(a), Tree::List(b)) => same(a, b),
        _ => false,
    }
}

/// Rules, and the flags by which sops is told them.
pub(crate) fn policies() -> Vec<(Policy, Vec<&'static str>)> {
    let rule = |field: &str, text: &str| {
        Policy::new(Rule::from_config(field, text).expect("valid").expect("a rule"), false)
    };
    let default = Policy::default().rule().clone();
    vec![
        (Policy::default(), vec![]),
        (rule("unencrypted_suffix", "e"), vec!["--unencrypted-suffix", "e"]),
        (rule("encrypted_suffix", "e"), vec!["--encrypted-suffix", "e"]),
        (rule("unencrypted_regex", "^[a-m]"), vec!["--unencrypted-regex", "^[a-m]"]),
        (rule("encrypted_regex", "^[a-m]"), vec!["--encrypted-regex", "^[a-m]"]),
        (Policy::new(default, true), vec!["--mac-only-encrypted"]),
        (
            Policy::new(
                Rule::from_config("encrypted_suffix", "e").expect("valid").expect("a rule"),
                true,
            ),
            vec!["--encrypted-suffix", "e", "--mac-only-encrypted"],
        ),
    ]
}

/// The rules by comments.
pub(crate) fn comment_policies() -> Vec<(Policy, Vec<&'static str>)> {
    let rule = |field: &str, text: &str| {
        Policy::new(Rule::from_config(field, text).expect("valid").expect("a rule"), false)
    };
    vec![
        (rule("encrypted_comment_regex", "^ x$"), vec!["--encrypted-comment-regex", "^ x$"]),
        (
            rule("unencrypted_comment_regex", "^ [xy]$"),
            vec!["--unencrypted-comment-regex", "^ [xy]$"],
        ),
    ]
}

/// Documents of the corpus that are small enough to run some processes for each.
pub(crate) fn sample(folder: &str, suffix: &str, step: usize) -> Vec<(String, String)> {
    let Some(corpus) = corpus() else { return Vec::new() };
    files(&corpus.join(folder), suffix)
        .into_iter()
        .step_by(step)
        .filter_map(|path| Some((path.display().to_string(), std::fs::read_to_string(path).ok()?)))
        .filter(|(_, text)| text.len() < 20_000)
        .collect()
}

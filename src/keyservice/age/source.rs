//! Where identities come from: texts that the edge reads, parsed when they are needed.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret, SecretString};
use age::{Decryptor, ssh, x25519};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::ask::Interaction;
use super::errors;
use super::pem::{self, Pem};
use crate::secret::SecretText;

/// What a source holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// Age identities, one per line; or an age file with those, locked with a passphrase.
    Identities,
    /// As `Identities`, several in a line (`SOPS_AGE_KEY`).
    IdentityWords,
    /// One SSH private key.
    SshKey,
}

/// How often the text of a source is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Once: it is always the same.
    Once,
    /// Once for each recipient: a command is told the recipient. Asked after the cheap ones.
    PerRecipient,
}

/// What reads a source: the text, `None` if there is nothing at that place, or why it cannot be
/// read. It is given the recipient whose key is to be unwrapped.
pub type Read1 = Box<dyn Fn(&str) -> Result<Option<SecretText>, String> + Send + Sync>;

/// What reads the public key beside an SSH key, or says why it cannot.
pub type ReadPublic = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

/// One place where identities are looked for.
pub struct IdentitySource {
    kind: SourceKind,
    reading: Reading,
    /// What the user knows it by: the variable, or the path. It is in the passphrase prompt.
    name: String,
    /// Where it led: the path, the program; empty if the name says it all.
    location: String,
    read: Read1,
    /// Reads the public key that stands beside an SSH key.
    public: Option<ReadPublic>,
    parsed: Mutex<HashMap<String, Arc<Parsed>>>,
}

/// The content of a source.
pub(super) enum Parsed {
    /// Nothing is there.
    Absent,
    /// It cannot be read or used.
    Failed(String),
    Identities(Identities),
    Locked(Locked),
    Ssh(SshKey),
}

/// Identities of an identity file.
#[derive(Default)]
pub(super) struct Identities {
    pub(super) native: Vec<Native>,
    pub(super) plugins: Vec<age::plugin::Identity>,
    /// Number of post-quantum identities, which cannot be used yet.
    pub(super) unsupported: usize,
}

/// An X25519 identity and, once it is asked for, its recipient.
pub(super) struct Native {
    pub(super) identity: x25519::Identity,
    recipient: OnceLock<String>,
}

/// An identity file locked with a passphrase, and its content once that was asked for.
pub(super) struct Locked {
    file: Vec<u8>,
    opened: OnceLock<Result<Identities, String>>,
}

/// An SSH private key, and its unlocked form once its passphrase was asked for.
pub(super) struct SshKey {
    key: Key,
    /// The first argument of the stanzas that are for this key, if it is locked.
    fingerprint: Option<String>,
    opened: OnceLock<Result<ssh::Identity, String>>,
}

enum Key {
    /// As the `age` crate reads it.
    Age(ssh::Identity),
    /// In a form of OpenSSL's, locked.
    Pem(pem::Locked),
}

impl IdentitySource {
    /// A place whose text is read when it is needed.
    #[must_use]
    pub fn new(
        kind: SourceKind,
        reading: Reading,
        name: impl Into<String>,
        location: impl Into<String>,
        read: Read1,
    ) -> Self {
        let (name, location) = (name.into(), location.into());
        Self { kind, reading, name, location, read, public: None, parsed: Mutex::default() }
    }

    /// The same place, with a public key beside it: a locked SSH key need not tell whose it is.
    #[must_use]
    pub fn with_public(self, public: ReadPublic) -> Self {
        Self { public: Some(public), ..self }
    }

    /// A place whose text is known.
    #[must_use]
    pub fn of_text(kind: SourceKind, name: impl Into<String>, text: SecretText) -> Self {
        let read = Box::new(move |_: &str| Ok(Some(text.copy())));
        Self::new(kind, Reading::Once, name, "", read)
    }

    pub(super) fn kind(&self) -> SourceKind {
        self.kind
    }

    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// The content, read and parsed if it was not yet.
    pub(super) fn parsed(&self, recipient: &str) -> Arc<Parsed> {
        let about = match self.reading {
            Reading::Once => "",
            Reading::PerRecipient => recipient,
        };
        // Held while reading: a command is not run twice at once.
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parsed.get(about) {
            return Arc::clone(known);
        }
        let new = Arc::new(match (self.read)(recipient) {
            Ok(Some(text)) => self.parse(&text).unwrap_or_else(Parsed::Failed),
            Ok(None) => Parsed::Absent,
            Err(problem) => Parsed::Failed(problem),
        });
        parsed.insert(about.to_owned(), Arc::clone(&new));
        new
    }

    fn parse(&self, text: &SecretText) -> Result<Parsed, String> {
        let text = text.expose_secret();
        match self.kind {
            SourceKind::SshKey => SshKey::parse(text, self.public.as_ref()).map(Parsed::Ssh),
            SourceKind::Identities | SourceKind::IdentityWords if is_locked(text) => {
                // Armor or the binary form; the latter only if it happens to be text.
                Ok(Parsed::Locked(Locked { file: text.into(), opened: OnceLock::new() }))
            }
            SourceKind::Identities => Identities::parse(text, false).map(Parsed::Identities),
            SourceKind::IdentityWords => Identities::parse(text, true).map(Parsed::Identities),
        }
    }
}

/// As SOPS detects an age file in the place of identities.
fn is_locked(text: &str) -> bool {
    text.starts_with("age-encryption") || text.starts_with("-----BEGIN AGE")
}

impl Identities {
    /// One bad line voids the whole source, as in SOPS. No error shows a line.
    fn parse(text: &str, words: bool) -> Result<Self, String> {
        let mut identities = Self::default();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut add = |word: &str| {
                identities.add(word).map_err(|problem| format!("line {}: {problem}", number + 1))
            };
            if words {
                line.split_whitespace().try_for_each(add)?;
            } else {
                add(line)?;
            }
        }
        Ok(identities)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        if text.starts_with("AGE-PLUGIN-") {
            let identity = text.parse().map_err(|problem| format!("malformed: {problem}"))?;
            self.plugins.push(identity);
        } else if text.starts_with("AGE-SECRET-KEY-PQ-1") {
            self.unsupported += 1;
        } else if text.starts_with("AGE-SECRET-KEY-1") {
            let identity = text.parse().map_err(|problem| format!("malformed: {problem}"))?;
            self.native.push(Native { identity, recipient: OnceLock::new() });
        } else if text.starts_with("age1") {
            let problem = "a recipient, where an identity (AGE-SECRET-KEY-1…) is needed";
            return Err(problem.into());
        } else {
            return Err("not an age identity".into());
        }
        Ok(())
    }

    /// The recipients, if all of the identities tell theirs.
    pub(super) fn all_recipients(&self) -> Option<impl Iterator<Item = String>> {
        let all = self.plugins.is_empty() && self.unsupported == 0;
        all.then(|| self.native.iter().map(|native| native.recipient().to_owned()))
    }

    pub(super) fn summary(&self) -> String {
        let count = self.native.len() + self.plugins.len();
        let mut text = match count {
            0 => "no identity".to_owned(),
            1 => "one identity, which is not for this recipient".to_owned(),
            _ => format!("{count} identities, none for this recipient"),
        };
        if self.unsupported > 0 {
            text.push_str("; post-quantum identities are not supported yet");
        }
        text
    }
}

impl Native {
    pub(super) fn recipient(&self) -> &str {
        self.recipient.get_or_init(|| self.identity.to_public().to_string())
    }
}

impl Locked {
    /// The identities, after the user was asked for the passphrase once.
    pub(super) fn open(
        &self,
        name: &str,
        interaction: &dyn Interaction,
    ) -> Result<&Identities, String> {
        let opened = self.opened.get_or_init(|| {
            let decryptor = Decryptor::new_buffered(ArmoredReader::new(&self.file[..]))
                .map_err(|error| errors::decrypt(&error))?;
            if !decryptor.is_scrypt() {
                return Err("it is an age file, but not one with a passphrase".into());
            }
            let prompt = format!("Enter passphrase for identity '{name}': ");
            let passphrase = interaction.passphrase(&prompt)?;
            let passphrase = SecretString::from(passphrase.expose_secret().to_owned());
            let identity = age::scrypt::Identity::new(passphrase);
            let reader = decryptor
                .decrypt(std::iter::once(&identity as &dyn age::Identity))
                .map_err(|error| match error {
                    age::DecryptError::DecryptionFailed | age::DecryptError::NoMatchingKeys => {
                        "incorrect passphrase".into()
                    }
                    other => errors::decrypt(&other),
                })?;
            let mut text = zeroize::Zeroizing::new(String::with_capacity(LOCKED_CAPACITY));
            reader.take(LOCKED_MAX).read_to_string(&mut text).map_err(|error| error.to_string())?;
            Identities::parse(&text, false)
        });
        opened.as_ref().map_err(Clone::clone)
    }
}

impl SshKey {
    fn parse(text: &str, public: Option<&ReadPublic>) -> Result<Self, String> {
        let key = match pem::read(text)? {
            Pem::Other => age_key(text)?,
            Pem::Open(text) => age_key(&text)?,
            Pem::Locked(locked) => {
                let public = public.ok_or_else(|| {
                    "locked, and no public key is beside it: `ssh-keygen -p` converts it".to_owned()
                })?;
                let fingerprint = fingerprint(&public()?);
                let fingerprint = fingerprint.ok_or("the public key beside it is damaged")?;
                let (key, fingerprint) = (Key::Pem(locked), Some(fingerprint));
                return Ok(Self { key, fingerprint, opened: OnceLock::new() });
            }
        };
        let fingerprint = match &key {
            ssh::Identity::Unencrypted(_) => None,
            ssh::Identity::Encrypted(_) => ssh::Recipient::try_from(key.clone())
                .ok()
                .and_then(|recipient| fingerprint(&recipient.to_string())),
            ssh::Identity::Unsupported(_) => {
                return Err("an SSH key of a kind age cannot use".into());
            }
        };
        Ok(Self { key: Key::Age(key), fingerprint, opened: OnceLock::new() })
    }

    /// The recipient of a key that is not locked.
    pub(super) fn recipient(&self) -> Option<String> {
        match &self.key {
            Key::Age(key @ ssh::Identity::Unencrypted(_)) => {
                ssh::Recipient::try_from(key.clone()).ok().map(|recipient| recipient.to_string())
            }
            Key::Age(_) | Key::Pem(_) => None,
        }
    }

    /// The usable key. The passphrase is asked for once, and only if one of the stanzas is for it.
    ///
    /// `None`: it is locked, and no stanza is for it.
    pub(super) fn open(
        &self,
        name: &str,
        stanzas: &[Vec<&str>],
        interaction: &dyn Interaction,
    ) -> Option<Result<&ssh::Identity, String>> {
        if let Key::Age(key @ ssh::Identity::Unencrypted(_)) = &self.key {
            return Some(Ok(key));
        }
        let fits = |stanza: &Vec<&str>| {
            stanza.first().is_some_and(|kind| kind.starts_with("ssh-"))
                && self.fingerprint.as_deref() == stanza.get(1).copied()
        };
        if !stanzas.iter().any(fits) {
            return None;
        }
        let opened = self.opened.get_or_init(|| {
            let passphrase =
                interaction.passphrase(&format!("Enter passphrase for identity '{name}': "))?;
            let passphrase = SecretString::from(passphrase.expose_secret().to_owned());
            match &self.key {
                Key::Age(ssh::Identity::Encrypted(locked)) => locked
                    .decrypt(passphrase)
                    .map(ssh::Identity::from)
                    .map_err(|error| errors::decrypt(&error)),
                Key::Age(key) => Ok(key.clone()),
                Key::Pem(locked) => age_key(&locked.open(passphrase.expose_secret())?),
            }
        });
        Some(opened.as_ref().map_err(Clone::clone))
    }
}

fn age_key(text: &str) -> Result<ssh::Identity, String> {
    ssh::Identity::from_buffer(text.as_bytes(), None)
        .map_err(|_| "not an SSH private key in a format that age reads".to_owned())
}

/// The fingerprint that age puts in a stanza for an SSH key, of the line of its public key.
fn fingerprint(public: &str) -> Option<String> {
    let blob = BASE64_STANDARD.decode(public.split_whitespace().nth(1)?).ok()?;
    Some(BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(blob)[..4]))
}

/// A new identity, and the recipient that belongs to it.
pub(super) fn generate() -> (String, SecretText) {
    let identity = x25519::Identity::generate();
    let text = SecretText::new(identity.to_string().expose_secret().to_owned());
    (identity.to_public().to_string(), text)
}

/// The recipients of the X25519 identities in the text of an identity file.
pub(super) fn recipients(text: &SecretText) -> Result<Vec<String>, String> {
    let identities = Identities::parse(text.expose_secret(), true)?;
    Ok(identities.native.iter().map(|native| native.recipient().to_owned()).collect())
}

/// What a source says that its user did not set.
pub const NOT_SET: &str = "not set";

/// Most that is read of a locked identity file, as SOPS.
const LOCKED_MAX: u64 = 16 << 20;

/// So that the text of the usual file is not moved while it is read.
const LOCKED_CAPACITY: usize = 1 << 16;

//! Data keys wrapped for age recipients: X25519, SSH keys, plugins.
//!
//! Invariants: no source is read and nothing parsed before a key is to be unwrapped; sources are
//! tried from cheap to dear (texts, SSH keys, commands, locked files, plugins, plugins of locked
//! files) and no dearer one is touched once the key is found; one that fails hides no other; no error shows any part of an identity.

mod ask;
mod errors;
mod pem;
mod recipient;
mod source;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::Arc;

use age::armor::ArmoredReader;
use age::plugin::IdentityPluginV1;
use age::{DecryptError, Decryptor};
use zeroize::Zeroizing;

use self::ask::Asking;
pub use self::ask::{Interaction, Nobody};
pub use self::recipient::{RecipientError, check_recipient, plugin_program};
use self::source::{Identities, Parsed};
pub use self::source::{IdentitySource, NOT_SET, Read1, ReadPublic, Reading, SourceKind};
use super::{KeyError, KeyService, Looked};
use crate::keys::{MasterKey, WrappedKey};
use crate::secret::{DataKey, SecretText};
use crate::timestamp::Timestamp;

/// The key service for age: every identity of the user.
pub struct AgeIdentities {
    sources: Vec<IdentitySource>,
    interaction: Arc<dyn Interaction>,
}

/// A new identity, as `age-keygen` makes it.
pub struct NewIdentity {
    /// The recipient that belongs to it.
    pub recipient: String,
    /// The identity file: two comments and the identity.
    pub file: SecretText,
}

/// Makes a new X25519 identity.
#[must_use]
pub fn generate_identity(created: Timestamp) -> NewIdentity {
    let (recipient, identity) = source::generate();
    let file = SecretText::new(format!(
        "# created: {}\n# public key: {recipient}\n{}\n",
        created.seconds(),
        identity.expose_secret(),
    ));
    NewIdentity { recipient, file }
}

/// The recipients that belong to the X25519 identities of an identity file. Plugins' and locked
/// identities do not tell theirs.
///
/// # Errors
///
/// If it is no identity file; says where.
pub fn recipients_of(identities: &SecretText) -> Result<Vec<String>, String> {
    source::recipients(identities)
}

impl AgeIdentities {
    /// The identities of these sources. Nothing is read yet.
    #[must_use]
    pub fn new(sources: Vec<IdentitySource>, interaction: Arc<dyn Interaction>) -> Self {
        Self { sources, interaction }
    }

    /// The recipients that belong to the identities. Nobody is asked and no command or plugin is run:
    /// `None`, if one of the identities does not tell its recipient without that.
    #[must_use]
    pub fn own_recipients(&self) -> Option<Vec<String>> {
        let mut own = Vec::new();
        for source in &self.sources {
            match source.reading() {
                Reading::Once => {}
                Reading::PerRecipient => return None,
            }
            match &*source.parsed("") {
                Parsed::Absent => {}
                Parsed::Failed(problem) if problem == NOT_SET => {}
                Parsed::Identities(identities) => own.extend(identities.all_recipients()?),
                Parsed::Ssh(key) => own.push(key.recipient()?),
                Parsed::Failed(_) | Parsed::Locked(_) => return None,
            }
        }
        Some(own)
    }

    /// Every place where identities are looked for, and what is there. Nobody is asked and no command is
    /// run.
    #[must_use]
    pub fn places(&self) -> Vec<Looked> {
        let outcome = |source: &IdentitySource| match source.reading() {
            Reading::PerRecipient => "a command, run when it is needed".to_owned(),
            Reading::Once => match &*source.parsed("") {
                Parsed::Absent => "not there".to_owned(),
                Parsed::Failed(problem) => problem.clone(),
                Parsed::Identities(identities) => match identities.all_recipients() {
                    Some(recipients) => recipients.collect::<Vec<_>>().join(", "),
                    None => "identities that do not tell their recipients".to_owned(),
                },
                Parsed::Ssh(_) => "an SSH key".to_owned(),
                Parsed::Locked(_) => "locked with a passphrase".to_owned(),
            },
        };
        let place = |source: &IdentitySource| Looked {
            name: source.name().to_owned(),
            location: source.location().to_owned(),
            outcome: outcome(source),
        };
        self.sources.iter().map(place).collect()
    }

    /// Wraps a data key, or a share of one, for one recipient: an armored age file.
    ///
    /// # Errors
    ///
    /// If the recipient is none, or its plugin fails.
    pub fn wrap_bytes(&self, recipient: &str, key: &[u8]) -> Result<String, KeyError> {
        recipient::wrap(recipient, key, &self.interaction)
    }

    /// Unwraps what [`AgeIdentities::wrap_bytes`] made.
    ///
    /// # Errors
    ///
    /// If it is no age file, or no identity opens it.
    pub fn unwrap_bytes(
        &self,
        recipient: &str,
        wrapped: &str,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let file = dearmor(wrapped)?;
        let stanzas = stanzas(&file);
        let attempt = Attempt { file: &file, stanzas: &stanzas, recipient, service: self };
        let mut looked = Vec::new();
        for step in STEPS {
            if attempt.has_stanza_for(step)
                && let Some(key) = attempt.try_step(step, &mut looked)?
            {
                return Ok(key);
            }
        }
        let looked = self.in_order(looked, recipient);
        Err(KeyError::NoIdentity { looked })
    }

    /// The places of `looked` in the order of the sources, and those that were not read as well.
    fn in_order(&self, looked: Vec<(usize, String)>, recipient: &str) -> Vec<Looked> {
        let outcome = |index: usize, source: &IdentitySource| {
            let told: Vec<_> = looked
                .iter()
                .filter(|(at, _)| *at == index)
                .map(|(_, text)| text.as_str())
                .collect();
            if !told.is_empty() {
                return told.join("; ");
            }
            match &*source.parsed(recipient) {
                Parsed::Absent => "not there".into(),
                Parsed::Failed(problem) => problem.clone(),
                Parsed::Identities(identities) => identities.summary(),
                Parsed::Locked(_) | Parsed::Ssh(_) => "not for this recipient".into(),
            }
        };
        self.sources
            .iter()
            .enumerate()
            .map(|(index, source)| Looked {
                name: source.name().to_owned(),
                location: source.location().to_owned(),
                outcome: outcome(index, source),
            })
            .collect()
    }
}

impl KeyService for AgeIdentities {
    fn wrap(
        &self,
        keys: &[&MasterKey],
        data_key: &DataKey,
    ) -> Vec<Option<Result<String, KeyError>>> {
        let wrap = |key: &&MasterKey| match key {
            MasterKey::Age { recipient } => {
                Some(self.wrap_bytes(recipient, data_key.expose_secret()))
            }
            MasterKey::Vault { .. } | MasterKey::Foreign { .. } => None,
        };
        keys.iter().map(wrap).collect()
    }

    fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>> {
        match key.key() {
            MasterKey::Age { recipient } => Some(
                self.unwrap_bytes(recipient, key.enc())
                    .and_then(|bytes| Ok(DataKey::from_bytes(&bytes)?)),
            ),
            MasterKey::Vault { .. } | MasterKey::Foreign { .. } => None,
        }
    }
}

/// The ways to a key, from cheap to dear.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Texts,
    SshKeys,
    Commands,
    Locked,
    Plugins,
    LockedPlugins,
}

const STEPS: [Step; 6] =
    [Step::Texts, Step::SshKeys, Step::Commands, Step::Locked, Step::Plugins, Step::LockedPlugins];

/// One wrapped key on its way through the steps.
struct Attempt<'a> {
    file: &'a [u8],
    stanzas: &'a [Vec<&'a str>],
    recipient: &'a str,
    service: &'a AgeIdentities,
}

impl Attempt<'_> {
    /// Whether the step can open any stanza. A plugin may open those of every kind.
    fn has_stanza_for(&self, step: Step) -> bool {
        let has = |kind: &str| {
            self.stanzas.iter().any(|stanza| stanza.first().is_some_and(|it| it.starts_with(kind)))
        };
        match step {
            Step::Texts | Step::Locked => has("X25519"),
            Step::SshKeys => has("ssh-"),
            Step::Commands => has("X25519") || has("ssh-"),
            Step::Plugins => true,
            // Nobody is asked for a passphrase where only a key of another kind would do.
            Step::LockedPlugins => !["X25519", "ssh-", "mlkem768x25519"].into_iter().any(has),
        }
    }

    fn try_step(
        &self,
        step: Step,
        looked: &mut Vec<(usize, String)>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        for (index, source) in self.service.sources.iter().enumerate() {
            let command = source.reading() == Reading::PerRecipient;
            let wanted = match step {
                Step::Texts => !command && source.kind() != SourceKind::SshKey,
                Step::SshKeys => !command && source.kind() == SourceKind::SshKey,
                Step::Commands => command,
                Step::Locked | Step::Plugins | Step::LockedPlugins => {
                    source.kind() != SourceKind::SshKey
                }
            };
            if !wanted {
                continue;
            }
            let found = match self.try_source(step, source) {
                Ok(found) => found,
                Err(Failure::Identity(problem)) => {
                    looked.push((index, problem));
                    continue;
                }
                Err(Failure::File(problem)) => return Err(KeyError::Malformed { problem }),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn try_source(
        &self,
        step: Step,
        source: &IdentitySource,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let interaction = &self.service.interaction;
        match (&*source.parsed(self.recipient), step) {
            (Parsed::Identities(identities), Step::Texts | Step::Commands) => {
                self.try_natives(identities)
            }
            (Parsed::Identities(identities), Step::Plugins) => self.try_plugins(identities),
            (Parsed::Locked(locked), Step::Locked | Step::LockedPlugins) => {
                let opened = locked.open(source.name(), &**interaction);
                let identities = opened.map_err(Failure::Identity)?;
                let problem = match self.try_natives(identities) {
                    Ok(Some(key)) => return Ok(Some(key)),
                    Ok(None) => None,
                    Err(Failure::Identity(problem)) => Some(problem),
                    Err(file @ Failure::File(_)) => return Err(file),
                };
                match (self.try_plugins(identities), problem) {
                    (Ok(Some(key)), _) => Ok(Some(key)),
                    (Ok(None), None) => Err(Failure::Identity("not for this recipient".into())),
                    (Ok(None), Some(problem)) => Err(Failure::Identity(problem)),
                    (Err(Failure::Identity(other)), Some(problem)) => {
                        Err(Failure::Identity(format!("{problem}; {other}")))
                    }
                    (Err(failure), _) => Err(failure),
                }
            }
            (Parsed::Ssh(key), Step::SshKeys | Step::Commands) => {
                let shown =
                    if source.location().is_empty() { source.name() } else { source.location() };
                match key.open(shown, self.stanzas, &**interaction) {
                    Some(opened) => self.open(opened.map_err(Failure::Identity)?),
                    None => Ok(None),
                }
            }
            (
                Parsed::Absent
                | Parsed::Failed(_)
                | Parsed::Identities(_)
                | Parsed::Locked(_)
                | Parsed::Ssh(_),
                _,
            ) => Ok(None),
        }
    }

    fn try_natives(&self, identities: &Identities) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let mut natives: Vec<_> = identities.native.iter().collect();
        if natives.len() > 1 {
            // Trying an identity costs more than knowing its recipient, which is kept.
            natives.sort_by_key(|native| native.recipient() != self.recipient);
        }
        let mut problems = Vec::new();
        for native in natives {
            match self.open(&native.identity) {
                Ok(Some(key)) => return Ok(Some(key)),
                Ok(None) => {}
                Err(Failure::Identity(problem)) => problems.push(problem),
                // An identity of ours opened the stanza, so that it is the file.
                Err(file @ Failure::File(_)) => return Err(file),
            }
        }
        if problems.is_empty() { Ok(None) } else { Err(Failure::Identity(problems.join("; "))) }
    }

    /// All are tried; what went wrong with each is told if none does it.
    fn try_plugins(&self, identities: &Identities) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let mut problems = Vec::new();
        for identity in &identities.plugins {
            let asking = Asking(Arc::clone(&self.service.interaction));
            let found =
                IdentityPluginV1::new(identity.plugin(), std::slice::from_ref(identity), asking)
                    .map_err(|error| Failure::Identity(errors::resolve(&error)))
                    .and_then(|plugin| self.open(&plugin));
            match found {
                Ok(Some(key)) => return Ok(Some(key)),
                Ok(None) => {}
                // A key that does not fit the file may be the plugin's fault.
                Err(Failure::Identity(problem) | Failure::File(problem)) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(None) } else { Err(Failure::Identity(problems.join("; "))) }
    }

    fn open(&self, identity: &dyn age::Identity) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let decryptor =
            Decryptor::new_buffered(self.file).map_err(|error| Failure::file(&error))?;
        let reader = match decryptor.decrypt(std::iter::once(identity)) {
            Ok(reader) => reader,
            Err(DecryptError::NoMatchingKeys) => return Ok(None),
            Err(error @ (DecryptError::InvalidHeader | DecryptError::InvalidMac)) => {
                return Err(Failure::file(&error));
            }
            Err(error) => return Err(Failure::Identity(errors::decrypt(&error))),
        };
        let mut key = Zeroizing::new(Vec::with_capacity(KEY_CAPACITY));
        match reader.take(KEY_CAPACITY as u64).read_to_end(&mut key) {
            Ok(_) => Ok(Some(key)),
            Err(_) => Err(Failure::File("its content does not decrypt: it is damaged".into())),
        }
    }
}

/// Whose fault it is.
enum Failure {
    /// The identity's: others may do.
    Identity(String),
    /// The wrapped key's: no identity will do.
    File(String),
}

impl Failure {
    fn file(error: &DecryptError) -> Self {
        Self::File(errors::decrypt(error))
    }
}

fn dearmor(wrapped: &str) -> Result<Vec<u8>, KeyError> {
    let mut file = Vec::with_capacity(wrapped.len());
    let malformed = |problem: String| KeyError::Malformed { problem };
    let armored = ArmoredReader::new(wrapped.trim_start().as_bytes());
    armored
        .take(FILE_MAX)
        .read_to_end(&mut file)
        .map_err(|_| malformed("its armor is damaged".into()))?;
    if stanzas(&file).len() > STANZAS_MAX {
        return Err(malformed(format!("it has more than {STANZAS_MAX} recipients")));
    }
    // The errors of a damaged file come before any question for a passphrase.
    Decryptor::new_buffered(&file[..]).map_err(|error| malformed(errors::decrypt(&error)))?;
    Ok(file)
}

/// The words of every stanza line of an age header: kind and arguments.
fn stanzas(file: &[u8]) -> Vec<Vec<&str>> {
    file.split(|&byte| byte == b'\n')
        .take_while(|line| !line.starts_with(b"---"))
        .filter_map(|line| std::str::from_utf8(line.strip_prefix(b"-> ")?).ok())
        .map(|line| line.split(' ').collect())
        .collect()
}

/// More than a data key or a share of one.
const KEY_CAPACITY: usize = 64;

/// More recipients than anybody wraps one key for; sops wraps it once for each. Every stanza costs
/// some work per identity, and the time to read them grows faster than their number.
const STANZAS_MAX: usize = 1_000;

/// Far more than any wrapped key: an RSA or post-quantum stanza is some thousand bytes.
const FILE_MAX: u64 = 1 << 20;

/// An identity file in age's binary form, locked with a passphrase, as text. `None`: it is none.
#[must_use]
pub fn armor_identity_file(bytes: &[u8]) -> Option<SecretText> {
    bytes.starts_with(b"age-encryption").then(|| recipient::armor(bytes)).flatten()
}

//! Data keys wrapped by the transit engine of Vault or OpenBao.
//!
//! What a run needs of a server goes there together: [`VaultKeys`] collects what the files at hand need
//! and asks for up to a hundred of them in one request. The protocol is here, the network is a
//! [`Transport`].
//!
//! Invariants: nothing is sent to a server that the user did not name; what stands in a file leads a
//! request to `MOUNT/OPERATION/NAME` only, where `OPERATION` is one of [`Operation`] or, to read its versions,
//! `keys`, and `MOUNT` is none of the server's own paths; no message holds a token or a key.

mod address;
pub mod auth;
mod client;
pub mod envelope;
mod escape;
mod exported;
mod http;
mod inspect;
mod json;
pub mod kv;
mod queue;
mod rate;
mod refusal;
mod rewrap;
pub mod settings;
pub mod setup;
mod token;
pub mod transit;
mod trust;

use std::sync::{Arc, Mutex, PoisonError};

pub use self::address::{Address, AddressError};
pub use self::client::{Call, CallError, Client, ClientOptions, RedirectError, Repeat};
pub use self::exported::{ExportError, ExportedKey, ExportedKeys};
pub use self::http::{Answer, LARGEST, Request, Transport, TransportError, retry_after};
pub use self::inspect::{Capabilities, Health, TokenProblem, TokenState};
pub use self::rate::{Rate, RateError};
pub use self::refusal::NO_TOKEN;
pub use self::rewrap::Versions;
pub use self::token::{Headers, TokenError, TokenSource, VaultToken};
pub use self::trust::{Asker, Trust, TrustError};

use self::queue::Queue;
use self::transit::{AnswerError, Item, Operation};
use super::{Crew, KeyError, KeyService};
use crate::keys::{MasterKey, WrappedKey};
use crate::secret::{DATA_KEY_LEN, DataKey, SecretText};

/// The transit keys of a run.
pub struct VaultKeys {
    client: Client,
    queue: Queue<Target, Result<SecretText, KeyError>>,
    /// What gave no answer however often it was asked, and why.
    gone: Mutex<Vec<(Gone, KeyError)>>,
}

/// What is not asked any more in this run.
#[derive(PartialEq, Eq)]
enum Gone {
    /// Nobody is there, or somebody who says that the server is not.
    Server(Address),
    /// The server fails at this.
    Target(Target),
}

/// Items with the same one go in one request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Target {
    server: Address,
    engine_path: String,
    key_name: String,
    operation: Operation,
    /// The server wants one with every item, or with none.
    context: bool,
}

impl VaultKeys {
    /// The keys that this client reaches, for those who work side by side in this crew.
    #[must_use]
    pub fn new(client: Client, crew: Arc<Crew>) -> Self {
        Self { client, queue: Queue::new(crew), gone: Mutex::default() }
    }

    /// Asks about a server that nobody has named yet.
    #[must_use]
    pub fn asking(mut self, asker: Box<dyn Asker>) -> Self {
        self.client = self.client.asking(asker);
        self
    }

    /// The client that they are reached with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for items, each of its key; the results in the same order.
    fn ask(
        &self,
        asked: Vec<Result<(Target, Item), KeyError>>,
    ) -> Vec<Result<SecretText, KeyError>> {
        let (mut items, mut places) = (Vec::new(), Vec::new());
        for item in asked {
            places.push(item.map(|item| items.push(item)));
        }
        let mut results =
            self.queue.ask(items, |target, items| self.send(target, items)).into_iter();
        let result = |place| match place {
            Ok(()) => results.next().flatten().unwrap_or_else(|| Err(refusal::no_result())),
            Err(error) => Err(error),
        };
        places.into_iter().map(result).collect()
    }

    /// A result for each item.
    fn send(&self, target: &Target, items: &[Item]) -> Vec<Result<SecretText, KeyError>> {
        // What is too much for the server is sent in halves.
        let mut parts: Vec<&[Item]> = vec![items];
        let mut results = Vec::with_capacity(items.len());
        while let Some(part) = parts.pop() {
            // What a fault in one item stops is looked for by halves, not by patience.
            let halved = part.len() < items.len() && target.operation == Operation::Rewrap;
            let repeat = if halved { Repeat::Unsent } else { Repeat::Freely };
            let sent = match self.gone_for(target) {
                Some(error) => Err(Failed::Error(error)),
                None => self.send_part(target, part, repeat),
            };
            match sent {
                Ok(part) => {
                    let explained = |text: String| refusal::of_item(&self.client, target, &text);
                    results.extend(part.into_iter().map(|it| it.map_err(explained)));
                }
                Err(Failed::TooMuch(_)) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Failed::TooMuch(error) | Failed::Error(error)) => {
                    results.extend(part.iter().map(|_| Err(error.clone())));
                }
            }
        }
        results
    }

    fn send_part(
        &self,
        target: &Target,
        items: &[Item],
        repeat: Repeat,
    ) -> Result<Vec<Result<SecretText, String>>, Failed> {
        let body = transit::body(target.operation, items);
        let answer =
            self.call(target, "POST", &target.path(), Some(&body), repeat).map_err(|error| {
                let failed = refusal::of_call(&self.client, &error);
                match error {
                    CallError::Transport(TransportError::TooLong) => {
                        return Failed::TooMuch(failed);
                    }
                    error if error.is_nobody_there() => {
                        self.note_gone(Gone::Server(target.server.clone()), &failed);
                    }
                    // One request may be more than the server can do in the time.
                    CallError::Transport(TransportError::Timeout | TransportError::Broken(_))
                        if repeat == Repeat::Freely =>
                    {
                        self.note_gone(Gone::Target(target.clone()), &failed);
                    }
                    _ => {}
                }
                Failed::Error(failed)
            })?;
        let status = answer.status;
        // Where no server of the API answers, it is a text that says most.
        let said = envelope::read(&answer).err().filter(|_| status >= 400);
        let results = transit::results(target.operation, items.len(), answer.body);
        let results = results.map_err(|error| match (error, said) {
            (AnswerError::NotJson, Some(said)) => AnswerError::Refused(said.texts),
            (error, _) => error,
        });
        match results {
            Ok(results) => Ok(results),
            Err(error) => {
                let why = refusal::of_answer(&self.client, target, status, &error);
                if is_too_much(status, &error) || is_of_one(target.operation, &error) {
                    return Err(Failed::TooMuch(why));
                }
                match status {
                    500 if repeat == Repeat::Freely => {
                        self.note_gone(Gone::Target(target.clone()), &why);
                    }
                    502..=504 => self.note_gone(Gone::Server(target.server.clone()), &why),
                    _ => {}
                }
                Err(Failed::Error(why))
            }
        }
    }

    /// Why this is not asked any more.
    fn gone_for(&self, target: &Target) -> Option<KeyError> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |gone: &Gone| match gone {
            Gone::Server(server) => *server == target.server,
            Gone::Target(gone) => gone == target,
        };
        gone.iter().find(|(gone, _)| is_it(gone)).map(|(_, error)| error.clone())
    }

    fn note_gone(&self, what: Gone, why: &KeyError) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).push((what, why.clone()));
    }

    fn call(
        &self,
        target: &Target,
        method: &'static str,
        path: &str,
        body: Option<&[u8]>,
        repeat: Repeat,
    ) -> Result<Answer, CallError> {
        // SOPS has the namespace in the path; then it is not sent a second time.
        let namespace = self.client.options().namespace.as_deref();
        let namespace = namespace.filter(|namespace| !target.is_below(namespace));
        let call =
            Call { server: &target.server, method, path, body, headers: &[], namespace, repeat };
        self.client.call(&call)
    }
}

/// Why a request gave no results.
enum Failed {
    /// It was too large.
    TooMuch(KeyError),
    /// Something else.
    Error(KeyError),
}

/// A limit of the server's: of bytes, of strings, of memory (vault.md 1.8).
fn is_too_much(status: u16, error: &AnswerError) -> bool {
    let of_json = |text: &String| {
        ["exceeded maximum", "high complexity"].iter().any(|limit| text.contains(limit))
    };
    match error {
        AnswerError::Refused(texts) => status == 413 || texts.iter().any(of_json),
        AnswerError::NotJson => status == 413,
        AnswerError::Shape | AnswerError::Ignored(_) => false,
    }
}

/// One item that fails inside the server takes a batch to rewrap down with it (Vault API).
fn is_of_one(operation: Operation, error: &AnswerError) -> bool {
    let fails = |text: &String| text.contains(RSA_FAULT);
    operation == Operation::Rewrap
        && matches!(error, AnswerError::Refused(texts) if texts.iter().any(fails))
}

/// Part of what a server says with a status of 500, and would say again.
const RSA_FAULT: &str = "RSA decrypt";

impl Target {
    /// Where items of a key go; nothing, if what names the key is none.
    fn new(
        operation: Operation,
        address: &str,
        engine_path: &str,
        key_name: &str,
        context: bool,
    ) -> Result<Self, KeyError> {
        let problem = |problem: String| KeyError::Recipient { problem };
        let server = Address::of_file(address)
            .map_err(|error| problem(format!("the address of the server is none: {error}")))?;
        let engine_path = engine_path.trim_matches('/');
        if !is_path(engine_path) {
            return Err(problem("the path of the engine is none".to_owned()));
        }
        if is_of_the_server(engine_path) {
            return Err(problem("no transit engine can be mounted there".to_owned()));
        }
        if !is_name(key_name) {
            return Err(problem("no transit key can have this name".to_owned()));
        }
        let (engine_path, key_name) = (engine_path.to_owned(), key_name.to_owned());
        Ok(Self { server, engine_path, key_name, operation, context })
    }

    /// Behind `/v1/`.
    fn path(&self) -> String {
        format!("{}/{}/{}", self.engine_path, self.operation.name(), self.key_name)
    }

    /// Whether the engine's path begins with the namespace, as SOPS needs it in a file.
    fn is_below(&self, namespace: &str) -> bool {
        is_below(&self.engine_path, namespace)
    }
}

/// Paths of the server's own, where other things than keys are written. None can be a mount, and a
/// namespace may stand before them.
const OF_THE_SERVER: [&str; 4] = ["auth", "cubbyhole", "identity", "sys"];

fn is_of_the_server(path: &str) -> bool {
    path.split('/').any(|name| OF_THE_SERVER.contains(&name))
}

/// Whether a path leads below another, name by name.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a path leads down only, by names that stay as they are in a URL.
fn is_path(path: &str) -> bool {
    let name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+@:,=".contains(&byte);
        !matches!(name, "" | "." | "..") && name.bytes().all(plain)
    };
    path.split('/').all(name)
}

/// The names that the transit engine takes (vault.md 1).
fn is_name(name: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let ends = |byte: Option<&u8>| byte.is_some_and(word);
    let bytes = name.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| word(byte) || b"-.".contains(byte))
}

impl KeyService for VaultKeys {
    fn wrap(
        &self,
        keys: &[&MasterKey],
        data_key: &DataKey,
    ) -> Vec<Option<Result<String, KeyError>>> {
        let item = |key: &&MasterKey| match key {
            MasterKey::Vault { address, engine_path, key_name, context } => {
                let has_context = context.is_some();
                let target =
                    Target::new(Operation::Encrypt, address, engine_path, key_name, has_context);
                let text = transit::encoded(data_key.expose_secret());
                Some(target.map(|it| (it, Item { text, context: context.clone() })))
            }
            MasterKey::Age { .. } | MasterKey::Foreign { .. } => None,
        };
        let items: Vec<_> = keys.iter().map(item).collect();
        let mine: Vec<bool> = items.iter().map(Option::is_some).collect();
        let mut results = self.ask(items.into_iter().flatten().collect()).into_iter();
        let wrapped = |result| wrapped(result, data_key);
        let result = |mine: bool| mine.then(|| results.next()).flatten().map(wrapped);
        mine.into_iter().map(result).collect()
    }

    fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>> {
        self.unwrap_all(&[key]).pop().flatten()
    }

    fn unwrap_all(&self, keys: &[&WrappedKey]) -> Vec<Option<Result<DataKey, KeyError>>> {
        let items: Vec<_> = keys.iter().map(|key| to_unwrap(key)).collect();
        let mine: Vec<bool> = items.iter().map(Option::is_some).collect();
        let mut results = self.ask(items.into_iter().flatten().collect()).into_iter();
        let result = |mine: bool| {
            let result = mine.then(|| results.next()).flatten();
            result.map(|result| result.and_then(|text| unwrapped(&text)))
        };
        mine.into_iter().map(result).collect()
    }
}

/// What is asked of the server for a wrapped key; `None`: it is none of a transit engine.
fn to_unwrap(key: &WrappedKey) -> Option<Result<(Target, Item), KeyError>> {
    let MasterKey::Vault { address, engine_path, key_name, context } = key.key() else {
        return None;
    };
    // A literal block ends with a line break, which the server passes over as well.
    let enc = key.enc().trim_end();
    if let Some(problem) = damage(enc, context.as_deref()) {
        return Some(Err(KeyError::Malformed { problem }));
    }
    let target = Target::new(Operation::Decrypt, address, engine_path, key_name, context.is_some());
    let text = SecretText::new(enc.to_owned());
    Some(target.map(|target| (target, Item { text, context: context.clone() })))
}

/// Bytes of a ciphertext or a context: six times what an RSA key of 4,096 bits makes of a data key.
const LONGEST: usize = 4_096;

/// What is wrong with a wrapped key before any server sees it. One file must not make a request that all
/// files share too large.
fn damage(enc: &str, context: Option<&str>) -> Option<String> {
    if enc.len() > LONGEST || context.is_some_and(|context| context.len() > LONGEST) {
        return Some(format!("more than {LONGEST} bytes"));
    }
    let is_none = !transit::is_ciphertext(enc);
    is_none.then(|| "it is no ciphertext of a transit engine (vault:v1:…)".to_owned())
}

/// The wrapped key that the server gave for this data key.
fn wrapped(result: Result<SecretText, KeyError>, data_key: &DataKey) -> Result<String, KeyError> {
    let text = result?.expose_secret().to_owned();
    if is_wrapping(&text) && !shows(&text, data_key) { Ok(text) } else { Err(refusal::no_result()) }
}

/// Bytes of a wrapped data key: at least a nonce of 12 and a tag of 16 stand around it.
const SHORTEST: usize = 12 + DATA_KEY_LEN + 16;

/// Whether this can be a wrapped data key, and one that is read again.
fn is_wrapping(enc: &str) -> bool {
    damage(enc, None).is_none()
        && transit::ciphertext_bytes(enc).is_some_and(|bytes| bytes.len() >= SHORTEST)
}

/// Whether the data key stands in the open in what the server made of it, or its base64 does.
fn shows(enc: &str, data_key: &DataKey) -> bool {
    let Some(bytes) = transit::ciphertext_bytes(enc) else { return true };
    let base64 = transit::encoded(data_key.expose_secret());
    // The last letter and the padding depend on what stands behind.
    let base64 = &base64.expose_secret().as_bytes()[..DATA_KEY_LEN * 8 / 6];
    let holds = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|it| it == part);
    holds(&bytes, data_key.expose_secret())
        || holds(&bytes, base64)
        || holds(enc.as_bytes(), base64)
}

/// The data key that the server gave.
fn unwrapped(plaintext: &SecretText) -> Result<DataKey, KeyError> {
    let bytes = transit::decoded(plaintext).map_err(|_| refusal::no_result())?;
    Ok(DataKey::from_bytes(&bytes)?)
}

#[cfg(test)]
mod tests;

//! The transit keys of a run, made of the environment when the first is needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::output::Output;
use crate::keys::{MasterKey, WrappedKey};
use crate::keyservice::vault::settings::{NAMESPACE, VaultSettings, find};
use crate::keyservice::vault::{Address, Asker, Client, VaultKeys};
use crate::keyservice::{Crew, KeyError, KeyService};
use crate::os::env::Env;
use crate::os::http::Http;
use crate::os::known_servers::KnownServers;
use crate::os::tty;
use crate::os::vault_token::Tokens;
use crate::secret::DataKey;

/// The transit keys; nothing is read before one is asked for.
pub(crate) struct Vault {
    env: Arc<Env>,
    out: Output,
    crew: Arc<Crew>,
    keys: OnceLock<Result<VaultKeys, KeyError>>,
}

impl Vault {
    pub(crate) fn new(env: Arc<Env>, out: Output, crew: Arc<Crew>) -> Self {
        Self { env, out, crew, keys: OnceLock::new() }
    }

    /// The client of this run, for calls that are not about data keys.
    pub(crate) fn client(&self) -> Result<&Client, KeyError> {
        Ok(self.keys()?.client())
    }

    /// The transit keys; their settings are read now.
    pub(crate) fn keys(&self) -> Result<&VaultKeys, KeyError> {
        let keys = self.keys.get_or_init(|| {
            let name = "SOPS_HC_VAULT_ALLOWLIST";
            let variable = |name| {
                let value = self.env.set(name)?;
                Some(value.to_string_lossy().into_owned())
            };
            let settings = VaultSettings::read(variable, (name, self.env.text(name)))
                .map_err(|error| KeyError::Failed { problem: error.to_string() })?;
            for warning in &settings.warnings {
                self.out.note(warning);
            }
            let transport = Http::new(settings.tls, settings.proxy);
            let tokens = Tokens::new(Arc::clone(&self.env));
            let client =
                Client::new(Box::new(transport), Box::new(tokens), settings.trust, settings.client)
                    .asking(Box::new(Strangers::new(&self.env, self.out)));
            Ok(VaultKeys::new(client, Arc::clone(&self.crew)))
        });
        keys.as_ref().map_err(Clone::clone)
    }
}

/// Servers that only a file names: what the user said of them before, or says at the terminal.
struct Strangers {
    known: Option<KnownServers>,
    out: Output,
    /// Each is asked about once in a run.
    answers: Mutex<HashMap<Address, bool>>,
}

impl Strangers {
    fn new(env: &Env, out: Output) -> Self {
        Self { known: KnownServers::new(env), out, answers: Mutex::default() }
    }

    fn ask(&self, server: &Address) -> bool {
        if self.known.as_ref().is_some_and(|known| known.contains(server)) {
            return true;
        }
        // In a pipeline nobody would see the question.
        if !self.out.stderr_is_terminal {
            return false;
        }
        let question = format!(
            "{server} is named by the file or its rule and not by you.\n\
             Send your Vault token there, now and from now on? [y/N] "
        );
        let answer = tty::line(&question).unwrap_or_default();
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return false;
        }
        match self.known.as_ref().map(|known| known.add(server)) {
            Some(Ok(place)) => self.out.note(&format!("remembered in {place}")),
            Some(Err(error)) => self.out.note(&format!("not remembered: {error}")),
            None => {}
        }
        true
    }
}

impl Asker for Strangers {
    fn allows(&self, server: &Address) -> bool {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(server) {
            return *answer;
        }
        let answer = self.ask(server);
        answers.insert(server.clone(), answer);
        answer
    }
}

/// The namespace that the environment names.
pub(crate) fn namespace(env: &Env) -> Option<String> {
    let variable = |name| Some(env.set(name)?.to_string_lossy().into_owned());
    let (_, namespace) = find(NAMESPACE, variable)?;
    Some(namespace.trim_matches('/').to_owned()).filter(|namespace| !namespace.is_empty())
}

impl KeyService for Vault {
    fn wrap(
        &self,
        keys: &[&MasterKey],
        data_key: &DataKey,
    ) -> Vec<Option<Result<String, KeyError>>> {
        let is_mine = |key: &&MasterKey| matches!(key, MasterKey::Vault { .. });
        if !keys.iter().any(is_mine) {
            return keys.iter().map(|_| None).collect();
        }
        match self.keys() {
            Ok(service) => service.wrap(keys, data_key),
            Err(error) => {
                let refuse = |key| is_mine(key).then(|| Err(error.clone()));
                keys.iter().map(refuse).collect()
            }
        }
    }

    fn unwrap(&self, key: &WrappedKey) -> Option<Result<DataKey, KeyError>> {
        match key.key() {
            MasterKey::Vault { .. } => match self.keys() {
                Ok(service) => service.unwrap(key),
                Err(error) => Some(Err(error)),
            },
            MasterKey::Age { .. } | MasterKey::Foreign { .. } => None,
        }
    }
}

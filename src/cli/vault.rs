//! The transit keys of a run, made of the environment when the first is needed.

use std::sync::{Arc, OnceLock};

use super::output::Output;
use super::strangers::Strangers;
use crate::keys::{MasterKey, WrappedKey};
use crate::keyservice::vault::settings::{NAMESPACE, SettingError, VaultSettings, find};
use crate::keyservice::vault::{Address, Client, VaultKeys};
use crate::keyservice::{Crew, KeyError, KeyService};
use crate::os::env::Env;
use crate::os::http::Http;
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
            let client = client(&self.env, self.out, None)
                .map_err(|error| KeyError::Failed { problem: error.to_string() })?;
            Ok(VaultKeys::new(client, Arc::clone(&self.crew)))
        });
        keys.as_ref().map_err(Clone::clone)
    }
}

/// A client as the environment says, for the servers that it names, and for the one that was typed.
pub(crate) fn client(
    env: &Arc<Env>,
    out: Output,
    typed: Option<&Address>,
) -> Result<Client, SettingError> {
    let name = "SOPS_HC_VAULT_ALLOWLIST";
    let variable = |name| Some(env.set(name)?.to_string_lossy().into_owned());
    let settings = VaultSettings::read(variable, (name, env.text(name)))?;
    for warning in &settings.warnings {
        out.note(warning);
    }
    let transport = Http::new(settings.tls, settings.proxy);
    let tokens = Tokens::new(Arc::clone(env));
    let trust = match typed {
        Some(server) => settings.trust.with(server.clone()),
        None => settings.trust,
    };
    let client = Client::new(Box::new(transport), Box::new(tokens), trust, settings.client);
    Ok(client.asking(Box::new(Strangers::new(env, out))))
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

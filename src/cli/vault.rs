//! The transit keys of a run, made of the environment when the first is needed.

use std::sync::{Arc, OnceLock};

use super::output::Output;
use super::person::User;
use super::strangers::Strangers;
use crate::keys::{MasterKey, WrappedKey};
use crate::keyservice::vault::auth::sessions::NoTokens;
use crate::keyservice::vault::auth::{Plan, Sessions};
use crate::keyservice::vault::settings::{Given, Identity, MFA, NAMESPACE, Tls, VaultSettings};
use crate::keyservice::vault::{Address, Client, TokenSource, Transport, VaultKeys};
use crate::keyservice::{Crew, KeyError, KeyService};
use crate::os::auto_auth::configured;
use crate::os::cloud::ThisMachine;
use crate::os::env::Env;
use crate::os::http::Http;
use crate::os::interrupt;
use crate::os::token_store::TokenStore;
use crate::os::vault_token::{Tokens, of_variable};
use crate::secret::{DataKey, SecretText};

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
            let problem = |problem| KeyError::Failed { problem };
            let client = client(&self.env, self.out, None).map_err(problem)?;
            Ok(VaultKeys::new(client, Arc::clone(&self.crew)))
        });
        keys.as_ref().map_err(Clone::clone)
    }
}

/// How servers are reached, before anybody is.
pub(crate) struct Reach {
    pub(crate) settings: VaultSettings,
    transport: Arc<dyn Transport>,
}

impl Reach {
    /// That of this environment.
    pub(crate) fn of(env: &Env, out: Output) -> Result<Self, String> {
        let settings = settings(env)?;
        for warning in &settings.warnings {
            out.note(warning);
        }
        let transport: Arc<dyn Transport> =
            Arc::new(Http::new(settings.tls.clone(), settings.proxy.clone()));
        Ok(Self { settings, transport })
    }

    /// A client with these tokens.
    pub(crate) fn client(&self, tokens: Box<dyn TokenSource>) -> Client {
        let VaultSettings { trust, client, .. } = &self.settings;
        Client::new(Box::new(Arc::clone(&self.transport)), tokens, trust.clone(), client.clone())
    }

    /// The logins of a plan, which stands at `origin`. Also who interrupts the program has their tokens
    /// taken back.
    pub(crate) fn sessions(
        &self,
        plan: Plan,
        origin: &str,
        env: &Arc<Env>,
        out: Output,
    ) -> Arc<Sessions> {
        let VaultSettings { trust, client, tls, proxy, .. } = &self.settings;
        let transport = match plan.login.identity() {
            // A connection shows one certificate; the other stays out of it.
            Some((certificate, key)) => {
                let named = |name, value: &String| Given { name, value: value.clone() };
                let identity = Identity::Files(named("cert", certificate), named("key", key));
                let tls = Tls { identity: Some(identity), ..tls.clone() };
                Arc::new(Http::new(tls, proxy.clone()))
            }
            None => Arc::clone(&self.transport),
        };
        let machine = ThisMachine::new(Arc::clone(env));
        let user = User { env: Arc::clone(env), out };
        let sessions = Sessions::new(
            plan,
            origin,
            &transport,
            trust,
            client,
            Box::new(machine),
            Box::new(user),
        );
        let sessions = Arc::new(sessions.with_mfa(second_factors(env)));
        let known = Arc::downgrade(&sessions);
        interrupt::before_the_end(move |waits| {
            if let Some(sessions) = known.upgrade() {
                sessions.break_off(waits);
                // It stays as it is until the process has ended.
                std::mem::forget(sessions);
            }
        });
        sessions
    }
}

/// The client of a run. Only what a login would need is looked for: a token in a variable counts before.
///
/// `typed`: a server that was named on the command line.
pub(crate) fn client(
    env: &Arc<Env>,
    out: Output,
    typed: Option<&Address>,
) -> Result<Client, String> {
    let mut reach = Reach::of(env, out)?;
    if let Some(server) = typed {
        reach.settings.trust = reach.settings.trust.with(server.clone());
    }
    let plan = match of_variable(env) {
        Some(_) => None,
        None => configured(env)?,
    };
    if plan.is_none()
        && of_variable(env).is_none()
        && out.stderr_is_terminal
        && let Some(text) = TokenStore::passed_over(env)
    {
        out.note(&text);
    }
    let sessions = plan.map(|(plan, origin)| reach.sessions(plan, &origin, env, out));
    let bare = reach.client(Box::new(NoTokens));
    let client = reach.client(Box::new(Tokens::new(Arc::clone(env), sessions, bare)));
    Ok(client.asking(Box::new(Strangers::new(env, out))))
}

/// What the environment says of servers.
pub(crate) fn settings(env: &Env) -> Result<VaultSettings, String> {
    let list = "SOPS_HC_VAULT_ALLOWLIST";
    let settings = VaultSettings::read(|name| env.set_text(name), (list, env.text(list)));
    let mut settings = settings.map_err(|error| error.to_string())?;
    if env.is_called_sops() {
        settings.trust = settings.trust.as_sops();
    }
    Ok(settings)
}

/// What `VAULT_MFA` holds, with commas.
fn second_factors(env: &Env) -> Vec<SecretText> {
    let Some((_, text)) = env.setting(MFA) else { return Vec::new() };
    let text = SecretText::new(text);
    let factors = text.expose_secret().split(',').map(str::trim).filter(|it| !it.is_empty());
    factors.map(|it| SecretText::new(it.to_owned())).collect()
}

/// The namespace that the environment names.
pub(crate) fn namespace(env: &Env) -> Option<String> {
    let (_, namespace) = env.setting(NAMESPACE)?;
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
        self.unwrap_all(&[key]).pop().flatten()
    }

    fn unwrap_all(&self, keys: &[&WrappedKey]) -> Vec<Option<Result<DataKey, KeyError>>> {
        let is_mine = |key: &&WrappedKey| matches!(key.key(), MasterKey::Vault { .. });
        if !keys.iter().any(is_mine) {
            return keys.iter().map(|_| None).collect();
        }
        match self.keys() {
            Ok(service) => service.unwrap_all(keys),
            Err(error) => keys.iter().map(|key| is_mine(key).then(|| Err(error.clone()))).collect(),
        }
    }
}

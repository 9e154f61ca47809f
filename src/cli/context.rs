//! What every command has at hand: environment, rules, identities, streams, time.
//!
//! Invariant: nothing is read before a command needs it: no configuration for `keygen`, no identity
//! for `encrypt`.

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::error::{Error, Voice};
use super::exit;
use super::output::Output;
use super::rules::Rules;
use crate::keyservice::age::AgeIdentities;
use crate::keyservice::{Crew, DecryptionOrder, KeyService, Keyring};
use crate::os::clock;
use crate::os::env::Env;
use crate::os::identities::age_sources;
use crate::os::tty::Terminal;
use crate::timestamp::Timestamp;

/// Flags that every command takes, before or after its name.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct GlobalArgs {
    /// Use this configuration instead of the .sops.yaml found from here upwards [env: SOPS_CONFIG]
    #[arg(long, global = true, value_name = "FILE", value_parser = any_path(),
        overrides_with = "config")]
    pub(crate) config: Option<PathBuf>,
    /// Kinds of keys in the order in which they are tried, with commas [env: SOPS_DECRYPTION_ORDER]
    #[arg(long, global = true, value_name = "KINDS", overrides_with = "decryption_order")]
    pub(crate) decryption_order: Option<String>,
}

/// A path, or nothing: an empty one is as if the flag were not there, as in SOPS.
pub(crate) fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// What a path flag says.
pub(crate) fn given(flag: Option<&Path>) -> Option<&Path> {
    flag.filter(|path| !path.as_os_str().is_empty())
}

/// What a command works with; shared by the threads that work on many files.
pub(crate) struct Ctx {
    pub(crate) env: Arc<Env>,
    pub(crate) out: Output,
    /// Where the program was started.
    cwd: PathBuf,
    config: Option<PathBuf>,
    rules: OnceLock<Result<Rules, Error>>,
    order: DecryptionOrder,
    age: OnceLock<Arc<AgeIdentities>>,
    keyring: OnceLock<Keyring>,
    /// Those who work on the files of this run.
    pub(crate) crew: Arc<Crew>,
}

impl Ctx {
    /// The context of this process.
    pub(crate) fn new(env: Env, voice: Voice, globals: &GlobalArgs) -> Result<Self, Error> {
        let out = Output::new(&env, voice);
        // Without one, paths stay as they were given.
        let cwd = std::env::current_dir().unwrap_or_default();
        let config = given(globals.config.as_deref()).or_else(|| env.config()).map(Path::to_owned);
        let order = globals
            .decryption_order
            .clone()
            .filter(|order| !order.is_empty())
            .or_else(|| env.text("SOPS_DECRYPTION_ORDER"));
        let order = match order {
            Some(order) => DecryptionOrder::parse(&order)
                .map_err(|error| Error::of(exit::DUPLICATE_KIND, &error))?,
            None => DecryptionOrder::default(),
        };
        let (rules, age, keyring) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (env, crew) = (Arc::new(env), Arc::default());
        Ok(Self { env, out, cwd, config, rules, order, age, keyring, crew })
    }

    /// The creation rules.
    ///
    /// Every command that reads a file asks, so that a damaged configuration is an error even where
    /// no rule is needed, as in SOPS.
    pub(crate) fn rules(&self) -> Result<&Rules, Error> {
        self.rules
            .get_or_init(|| {
                Rules::load(&self.out, self.config.as_deref(), &self.cwd, self.namespace())
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// All who can wrap and unwrap data keys.
    pub(crate) fn keyring(&self) -> &Keyring {
        self.keyring.get_or_init(|| {
            let services: Vec<Box<dyn KeyService>> = vec![
                Box::new(Arc::clone(self.age())),
                #[cfg(feature = "vault")]
                Box::new(super::vault::Vault::new(
                    Arc::clone(&self.env),
                    self.out,
                    Arc::clone(&self.crew),
                )),
            ];
            Keyring::new(services, self.order.clone()).for_crew(Arc::clone(&self.crew))
        })
    }

    /// The namespace on servers, which files record.
    pub(crate) fn namespace(&self) -> Option<String> {
        #[cfg(feature = "vault")]
        return super::vault::namespace(&self.env);
        #[cfg(not(feature = "vault"))]
        return None;
    }

    fn age(&self) -> &Arc<AgeIdentities> {
        let new = || AgeIdentities::new(age_sources(&self.env), Arc::new(Terminal));
        self.age.get_or_init(|| Arc::new(new()))
    }

    /// Whether the user has identities and none of them is one that `names` says yes to; no, if that
    /// cannot be told without asking anybody.
    pub(crate) fn locks_out(&self, names: impl Fn(&str) -> bool) -> bool {
        let own = self.age().own_recipients();
        own.is_some_and(|own| !own.is_empty() && !own.iter().any(|recipient| names(recipient)))
    }

    /// Now.
    pub(crate) fn now(&self) -> Result<Timestamp, Error> {
        Timestamp::from_unix(clock::now())
            .ok_or_else(|| Error::new(exit::GENERIC, "the clock is beyond the year 9999"))
    }

    /// The configuration that was named, by flag or variable.
    pub(crate) fn named_config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Where the program was started.
    pub(crate) fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// An absolute path without `.` and `..`, symlinks left as they are: what rules match.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        let mut clean = PathBuf::new();
        for part in self.cwd.join(path).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    clean.pop();
                }
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                    clean.push(part);
                }
            }
        }
        clean
    }
}

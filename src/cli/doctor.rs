//! `waxseal doctor`.
//!
//! Invariants: nothing is changed; a server that the user did not name is not asked; what fails does not
//! stop the rest, and is in the exit code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use super::context::Ctx;
use super::diagnosis::{Diagnosis, File, Server};
use super::error::Error;
use super::exit::{self, Exit};
use super::input::Input;
use super::key_diff::shown;
use super::{open, tree};
use crate::keys::{KeyGroup, MasterKey};
use crate::keyservice::vault::settings::{ADDR, AGENT_ADDR, VaultSettings};
use crate::keyservice::vault::{Address, CallError, Client, NO_TOKEN};
use crate::keyservice::{KeyError, RecoverError};
use crate::os::env::VARIABLES;
use crate::os::threads::side_by_side;
use crate::shown::Show;

/// Say what is configured, what servers and identities there are, and which files can be opened
///
/// Looks at the files that are named, below folders, or in the git repository that you are in.
/// Exit code 1 if something does not work.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DoctorArgs {
    /// Files or folders to look at
    pub(crate) files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `doctor`.
pub(crate) fn run(ctx: &Ctx, args: &DoctorArgs) -> Result<Exit, Error> {
    let mut found = Diagnosis { settings: settings(ctx), ..Diagnosis::default() };
    match ctx.rules() {
        Ok(rules) => {
            let from = match ctx.named_config() {
                Some(path) if Some(path) == ctx.env.config() => "SOPS_CONFIG",
                Some(_) => "--config",
                None => "found from here upwards",
            };
            let path = rules.configuration().map(|path| path.shown().to_string());
            found.configuration = path.map(|path| (path, from));
        }
        Err(error) => found.problems.push(one_line(&error)),
    }
    let files = files(ctx, args, &mut found)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let looked = side_by_side(&ctx.crew, &files, threads, |path: &PathBuf| look(ctx, path));
    let mut keys = Vec::new();
    for (file, of_file) in looked {
        if !file.opens() {
            let why = file.problem.as_deref().unwrap_or("no key opens it");
            found.problems.push(format!("{}: {why}", file.name));
        }
        keys.extend(of_file.into_iter().map(|key| (file.name.clone(), key)));
        found.files.push(file);
    }
    for path in files.iter().map(PathBuf::as_path).chain([Path::new("new.yaml")]) {
        let Ok(rules) = ctx.rules() else { break };
        let rule = rules.find(&ctx.absolute(path)).ok().and_then(|lookup| lookup.rule());
        if let Some(rule) = rule {
            let named = rule.groups.into_iter().flatten();
            keys.extend(named.map(|key| (rule.name.clone(), key)));
        }
    }
    found.identities = ctx.age().places();
    servers(ctx, keys, &mut found);
    let out = if args.json { found.json()? } else { found.text() };
    ctx.out.data(out.as_bytes())?;
    if found.problems.is_empty() {
        return Ok(exit::SUCCESS);
    }
    for problem in &found.problems {
        ctx.out.error(&Error::new(exit::GENERIC, problem.clone()));
    }
    Ok(exit::GENERIC)
}

fn one_line(error: &Error) -> String {
    let text = error.render(super::error::Voice::Waxseal, false);
    let text = text.trim_start_matches("error: ").lines().next().unwrap_or_default();
    text.to_owned()
}

/// The files to look at.
fn files(ctx: &Ctx, args: &DoctorArgs, found: &mut Diagnosis) -> Result<Vec<PathBuf>, Error> {
    if !args.files.is_empty() {
        return tree::files(&args.files);
    }
    let is_root = |folder: &&Path| folder.join(".git").symlink_metadata().is_ok();
    let root = ctx.cwd().ancestors().find(is_root).unwrap_or(ctx.cwd());
    let mut files = tree::sealed_below(root)?;
    if files.len() > MOST {
        let text =
            format!("{} files are sealed here; the first {MOST} were looked at", files.len());
        found.problems.push(text);
        files.truncate(MOST);
    }
    let near = |path: PathBuf| path.strip_prefix(ctx.cwd()).map(Path::to_owned).unwrap_or(path);
    Ok(files.into_iter().map(near).collect())
}

/// Which entries open a file, and the keys that it names.
fn look(ctx: &Ctx, path: &Path) -> (File, Vec<MasterKey>) {
    let name = path.shown().to_string();
    let input = Input::file(path, None, None, exit::NO_FILE).and_then(open::parse);
    let file = match input {
        Ok(file) => file,
        Err(error) => {
            let problem = one_line(&error);
            let problem = problem.strip_prefix(&format!("{name}: ")).unwrap_or(&problem).to_owned();
            return (File { name, entries: Vec::new(), problem: Some(problem) }, Vec::new());
        }
    };
    let groups = file.metadata().groups().len();
    let problem = (groups > 1).then(|| RecoverError::SeveralGroups { count: groups }.to_string());
    let mut entries = Vec::new();
    let mut keys = Vec::new();
    for entry in file.metadata().wrapped_keys() {
        let opened = ctx.keyring().recover(&[KeyGroup::new(vec![entry.clone()])]);
        let problem = opened.err().map(|error| reason(&error));
        entries.push((entry.key().kind().field(), shown(entry.key()), problem));
        keys.push(entry.key().clone());
    }
    (File { name, entries, problem }, keys)
}

fn reason(error: &RecoverError) -> String {
    match error {
        RecoverError::NoKeyWorked { failures } => {
            let errors = failures.iter().flat_map(|failure| &failure.errors);
            errors.map(KeyError::to_string).collect::<Vec<_>>().join("; ")
        }
        error => error.to_string(),
    }
}

/// The servers that variables, rules and files name.
fn servers(ctx: &Ctx, keys: Vec<(String, MasterKey)>, found: &mut Diagnosis) {
    let mut named: BTreeMap<Address, (Vec<String>, Vec<MasterKey>)> = BTreeMap::new();
    let settings = match super::vault::settings(&ctx.env) {
        Ok(settings) => settings,
        Err(problem) => return found.problems.push(problem),
    };
    for (address, names) in [(&settings.server, ADDR), (&settings.client.agent, AGENT_ADDR)] {
        if let (Some(address), Some((name, _))) = (address, ctx.env.setting(names)) {
            named.entry(address.clone()).or_default().0.push(name.to_owned());
        }
    }
    for (by, key) in keys {
        let Some(address) = Client::server_of(&key) else { continue };
        let (names, keys) = named.entry(address).or_default();
        if !names.contains(&by) {
            names.push(by);
        }
        if !keys.iter().any(|it| it.to_string() == key.to_string()) {
            keys.push(key);
        }
    }
    if named.is_empty() {
        return;
    }
    let client = match ctx.vault().client() {
        Ok(client) => client,
        Err(error) => return found.problems.push(error.to_string()),
    };
    for (address, (names, keys)) in named {
        let server = ask(client, &settings, &address, names, &keys, &mut found.problems);
        found.servers.push(server);
    }
}

fn ask(
    client: &Client,
    settings: &VaultSettings,
    address: &Address,
    mut named_by: Vec<String>,
    keys: &[MasterKey],
    problems: &mut Vec<String>,
) -> Server {
    if named_by.len() > MOST_NAMES {
        let more = named_by.len() - MOST_NAMES;
        named_by.truncate(MOST_NAMES);
        named_by.push(format!("{more} more"));
    }
    let tls = match address {
        Address::Unix(_) => "a socket",
        Address::Http(url) if url.starts_with("http://") => "no TLS",
        Address::Http(_) if settings.tls.skip_verify => "TLS without a check of the certificate",
        Address::Http(_) => "TLS",
    };
    let mut server = Server {
        address: address.to_string(),
        named_by,
        not_asked: None,
        tls,
        health: None,
        token_source: None,
        token: None,
        keys: keys.iter().map(|key| (shown(key), None)).collect(),
    };
    match client.health(address) {
        Ok(health) => {
            let is_usable = health.is_usable;
            if !is_usable {
                problems.push(format!("{address}: {}", health.state));
            }
            server.health = Some(health);
            if !is_usable {
                return server;
            }
        }
        Err(error) => {
            // A stranger's address is no fault of the user's.
            if !matches!(error, CallError::NotTrusted { .. } | CallError::Forbidden { .. }) {
                problems.push(format!("{address}: {error}"));
            }
            server.not_asked = Some(error.to_string());
            return server;
        }
    }
    let token = client.token_state(address);
    server.token_source = client.token_origin(address);
    match &token {
        Ok(token) if !keys.is_empty() => match client.capabilities(address, keys, token) {
            Ok(all) => {
                for ((_, slot), capabilities) in server.keys.iter_mut().zip(all) {
                    *slot = Some(capabilities);
                }
            }
            Err(why) => {
                problems.push(format!("{address}: what the token may do is not told: {why}"))
            }
        },
        Ok(_) => {}
        Err(why) => problems.push(match &server.token_source {
            Some(source) => format!("{address}: the token of {source}: {why}"),
            None => format!("{address}: {NO_TOKEN}"),
        }),
    }
    server.token = Some(token);
    server
}

/// The variables that are set. The value is shown of those that hold no secret.
fn settings(ctx: &Ctx) -> Vec<(&'static str, String)> {
    let set = |&(name, _): &(&'static str, &str)| {
        let ours = ["SOPS_", "VAULT_", "BAO_", "WAXSEAL_"].iter().any(|it| name.starts_with(it));
        let value = ctx.env.set(name).filter(|_| ours)?.to_string_lossy().into_owned();
        let plain = name.split_once('_').is_some_and(|(_, rest)| PLAIN.contains(&rest));
        let hidden = name.strip_prefix("VAULT_").and_then(|rest| {
            let (bao, _) =
                VARIABLES.iter().find(|(it, _)| it.strip_prefix("BAO_") == Some(rest))?;
            ctx.env.set(bao).map(|_| *bao)
        });
        let shown = match hidden {
            Some(bao) => format!("hidden by {bao}"),
            None if value.is_empty() => "set to nothing".to_owned(),
            // A user and a password stand before an @.
            None if plain && !value.contains('@') => value.shown().to_string(),
            None => "set".to_owned(),
        };
        Some((name, shown))
    };
    VARIABLES.iter().filter_map(set).collect()
}

/// Settings whose values are no secrets, without what their names begin with.
const PLAIN: [&str; 18] = [
    "ADDR",
    "AGENT_ADDR",
    "AGE_KEY_FILE",
    "AGE_RECIPIENTS",
    "AGE_SSH_PRIVATE_KEY_FILE",
    "CACERT",
    "CAPATH",
    "CLIENT_CERT",
    "CLIENT_TIMEOUT",
    "CONFIG",
    "CONFIG_PATH",
    "DECRYPTION_ORDER",
    "HC_VAULT_ALLOWLIST",
    "INTEGRITY",
    "MAX_RETRIES",
    "NAMESPACE",
    "SKIP_VERIFY",
    "TOKEN_PATH",
];

/// Files of a repository that are looked at, if none is named.
const MOST: usize = 1_000;

/// Files and rules that are told of a server.
const MOST_NAMES: usize = 4;

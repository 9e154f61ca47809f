//! `waxseal doctor`.
//!
//! Invariants: nothing is changed; a server that the user did not name is not asked; what fails does not
//! stop the rest, and is in the exit code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use super::context::Ctx;
use super::diagnosis::{Diagnosis, Entry, File, Key, Login, Server};
use super::entries::{self, Worth};
use super::error::Error;
use super::exit::{self, Exit};
use super::input::Input;
use super::key_diff::shown;
use super::{open, tree};
use crate::keys::{MasterKey, WrappedKey};
use crate::keyservice::vault::auth::Plan;
use crate::keyservice::vault::settings::{ADDR, AGENT_ADDR, VaultSettings};
use crate::keyservice::vault::{Address, CallError, Client, TokenProblem, TokenState};
use crate::keyservice::{KeyError, RecoverError};
use crate::os::auto_auth::configured;
use crate::os::env::VARIABLES;
use crate::os::threads::side_by_side;
use crate::os::token_store::TokenStore;
use crate::os::vault_token::of_variable;
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
    match login(ctx) {
        Ok(login) => found.login = login,
        Err(problem) => found.problems.push(problem),
    }
    let files = files(ctx, args, &mut found)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let read: Vec<Read> = side_by_side(&ctx.crew, &files, threads, |path: &PathBuf| look(path));
    let mut keys = Vec::new();
    for Read { file, wrapped, .. } in &read {
        let named = |entry: &WrappedKey| Named::new(&file.name, false, entry.key().clone());
        keys.extend(wrapped.iter().map(named));
    }
    for path in files.iter().map(PathBuf::as_path).chain([Path::new("new.yaml")]) {
        let Ok(rules) = ctx.rules() else { break };
        let rule = rules.find(&ctx.absolute(path)).ok().and_then(|lookup| lookup.rule());
        if let Some(rule) = rule {
            let of_rule = rule.groups.into_iter().flatten();
            keys.extend(of_rule.map(|key| Named::new(&rule.name, true, key)));
        }
    }
    found.identities = ctx.age().places();
    // Before the files are opened: what servers say of the token explains what they refuse.
    let of_servers = servers(ctx, keys, &mut found);
    found.files = side_by_side(&ctx.crew, &read, threads, |read: &Read| opened(ctx, read));
    for (file, read) in found.files.iter_mut().zip(&read) {
        file.rewraps = read.wrapped.iter().any(|entry| is_rewrapped(&found.servers, entry));
    }
    for (address, problems) in of_servers {
        if !is_spare(&address, &read, &found.files) {
            found.problems.extend(problems);
        }
    }
    for file in found.files.iter().filter(|file| !file.is_well()) {
        found.problems.push(format!("{}: {}", file.name, file.why()));
    }
    found.warnings.extend(open_to_others(ctx, &found.servers));
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

/// The login that is configured; no server is asked for it.
fn login(ctx: &Ctx) -> Result<Option<Login>, String> {
    let hidden_by = of_variable(&ctx.env).map(|(name, _)| name);
    let (plan, source) = match configured(&ctx.env) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(None),
        // Nothing needs it.
        Err(_) if hidden_by.is_some() => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let who = plan.login.who().map(|(kind, name)| (kind, name.to_owned()));
    let Plan { login, mount, namespace, inline } = plan;
    Ok(Some(Login { source, method: login.name(), who, mount, namespace, inline, hidden_by }))
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

/// A key, and what names it.
struct Named {
    by: String,
    /// New files get it.
    by_rule: bool,
    key: MasterKey,
}

impl Named {
    fn new(by: &str, by_rule: bool, key: MasterKey) -> Self {
        Self { by: by.to_owned(), by_rule, key }
    }
}

/// A file, and what is wrapped in it.
struct Read {
    path: PathBuf,
    file: File,
    wrapped: Vec<WrappedKey>,
}

/// Reads a file.
fn look(path: &Path) -> Read {
    let name = path.shown().to_string();
    let input = Input::file(path, None, None, exit::NO_FILE).and_then(open::parse);
    let file = match input {
        Ok(file) => file,
        Err(error) => {
            let problem = one_line(&error);
            let problem = problem.strip_prefix(&format!("{name}: ")).unwrap_or(&problem).to_owned();
            let file = File { name, entries: Vec::new(), problem: Some(problem), rewraps: false };
            return Read { path: path.to_owned(), file, wrapped: Vec::new() };
        }
    };
    let groups = file.metadata().groups().len();
    let problem = (groups > 1).then(|| RecoverError::SeveralGroups { count: groups }.to_string());
    let wrapped = file.metadata().wrapped_keys().cloned().collect();
    let file = File { name, entries: Vec::new(), problem, rewraps: false };
    Read { path: path.to_owned(), file, wrapped }
}

/// Which entries open a file: that a wrapped key can be unwrapped does not say that it is this file's.
fn opened(ctx: &Ctx, read: &Read) -> File {
    let (name, mut problem) = (read.file.name.clone(), read.file.problem.clone());
    let judged = match judge(ctx, read) {
        Ok(judged) => judged,
        Err(error) => {
            problem.get_or_insert_with(|| one_line(&error));
            Vec::new()
        }
    };
    let others_open = judged.iter().any(|(_, worth)| matches!(worth, Worth::Opens));
    let entry = |(key, worth): &(WrappedKey, Worth)| Entry {
        kind: key.key().kind().field(),
        key: shown(key.key()),
        problem: match worth {
            Worth::Opens => None,
            Worth::Another => Some(another(others_open)),
            Worth::Damaged(why) => Some(format!("the file was changed without the key: {why}")),
            Worth::Closed(error) => Some(reason(error)),
        },
        lies: matches!(worth, Worth::Another),
    };
    File { name, entries: judged.iter().map(entry).collect(), problem, rewraps: false }
}

/// What is wrong with an entry that gives another data key, and what to do.
fn another(others_open: bool) -> String {
    let mend = entries::mend(others_open);
    format!("what is wrapped for it is the data key of something else: {mend}")
}

/// The entries of a file, held against it. It is read once more: all of them at once may be many.
fn judge(ctx: &Ctx, read: &Read) -> Result<Vec<(WrappedKey, Worth)>, Error> {
    if read.wrapped.is_empty() {
        return Ok(Vec::new());
    }
    let file = Input::file(&read.path, None, None, exit::NO_FILE).and_then(open::parse)?;
    // What is wrong with the configuration is told once.
    let rule = ctx.rules().and_then(|rules| rules.find(&ctx.absolute(&read.path)));
    let rule = rule.ok().and_then(|lookup| lookup.rule());
    let groups = open::with_contexts(file.metadata().groups(), rule.as_ref());
    Ok(entries::judged(ctx, &file, &groups))
}

/// Whether the token is there to have this entry made anew, and for no more.
fn is_rewrapped(servers: &[Server], entry: &WrappedKey) -> bool {
    let name = shown(entry.key());
    let mut keys = servers.iter().flat_map(|server| &server.keys);
    let may = |key: &Key| {
        let may = key.may.as_ref().filter(|_| key.name == name && key.problem.is_none());
        may.is_some_and(|it| it.may("rewrap") && !it.may("decrypt"))
    };
    keys.any(may)
}

/// Whether all files that name a server, of which there are some, do without it.
fn is_spare(address: &Address, read: &[Read], files: &[File]) -> bool {
    let names = |read: &Read| {
        let mut servers = read.wrapped.iter().filter_map(|it| Client::server_of(it.key()));
        servers.any(|it| it == *address)
    };
    let mut of_it = read.iter().zip(files).filter(|(read, _)| names(read)).peekable();
    of_it.peek().is_some() && of_it.all(|(_, file)| file.is_well())
}

/// A token in a file that others can read.
fn open_to_others(ctx: &Ctx, servers: &[Server]) -> Option<String> {
    let store = TokenStore::of(&ctx.env).ok().flatten()?;
    let name = store.shown();
    let used = servers.iter().any(|it| it.token_source.as_ref() == Some(&name));
    (used && store.is_open_to_others())
        .then(|| format!("{name}: other users of this machine can read the token: chmod 600"))
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

/// The servers that variables, rules and files name. What is wrong with one that no variable names depends on
/// what the files have beside it, and is given back.
fn servers(ctx: &Ctx, all: Vec<Named>, found: &mut Diagnosis) -> Vec<(Address, Vec<String>)> {
    let mut of_servers = Vec::new();
    let mut named: BTreeMap<Address, (Vec<String>, Vec<Named>)> = BTreeMap::new();
    let settings = match super::vault::settings(&ctx.env) {
        Ok(settings) => settings,
        Err(problem) => {
            found.problems.push(problem);
            return of_servers;
        }
    };
    for (address, names) in [(&settings.server, ADDR), (&settings.client.agent, AGENT_ADDR)] {
        if let (Some(address), Some((name, _))) = (address, ctx.env.setting(names)) {
            named.entry(address.clone()).or_default().0.push(name.to_owned());
        }
    }
    for it in all {
        let Some(address) = Client::server_of(&it.key) else { continue };
        let (names, keys) = named.entry(address).or_default();
        if !names.contains(&it.by) {
            names.push(it.by.clone());
        }
        match keys.iter_mut().find(|key| key.key.to_string() == it.key.to_string()) {
            Some(key) => key.by_rule |= it.by_rule,
            None => keys.push(it),
        }
    }
    if named.is_empty() {
        return of_servers;
    }
    let client = match ctx.vault().client() {
        Ok(client) => client,
        Err(error) => {
            // The login may have been told.
            let problem = error.to_string();
            if !found.problems.contains(&problem) {
                found.problems.push(problem);
            }
            return of_servers;
        }
    };
    for (address, (names, keys)) in named {
        let mut problems = Vec::new();
        found.servers.push(ask(client, &settings, &address, names, &keys, &mut problems));
        if [&settings.server, &settings.client.agent].contains(&&Some(address.clone())) {
            found.problems.extend(problems);
        } else {
            of_servers.push((address, problems));
        }
    }
    of_servers
}

fn ask(
    client: &Client,
    settings: &VaultSettings,
    address: &Address,
    mut named_by: Vec<String>,
    keys: &[Named],
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
        asked: true,
        problem: None,
        tls,
        health: None,
        token_source: None,
        token: None,
        keys: keys
            .iter()
            .map(|it| Key { name: shown(&it.key), may: None, problem: None })
            .collect(),
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
            server.asked =
                !matches!(error, CallError::NotTrusted { .. } | CallError::Forbidden { .. });
            problems.push(match server.asked {
                true => format!("{address}: {error}"),
                // It names the server.
                false => error.to_string(),
            });
            server.problem = Some(error.to_string());
            return server;
        }
    }
    let token = client.token_state(address);
    server.token_source = client.token_origin(address);
    match &token {
        Ok(token) => may(client, address, keys, token, &mut server, problems),
        Err(TokenProblem::Silent) => {}
        Err(why) => problems.push(format!("{address}: {why}")),
    }
    server.token = Some(token);
    server
}

/// What the token may do with the keys, and whether they are there.
fn may(
    client: &Client,
    address: &Address,
    keys: &[Named],
    token: &TokenState,
    server: &mut Server,
    problems: &mut Vec<String>,
) {
    if keys.is_empty() {
        return;
    }
    let named: Vec<MasterKey> = keys.iter().map(|it| it.key.clone()).collect();
    let all = match client.capabilities(address, &named, token) {
        Ok(all) => all,
        Err(why) => {
            return problems.push(format!("{address}: what the token may do is not told: {why}"));
        }
    };
    for ((slot, it), may) in server.keys.iter_mut().zip(keys).zip(all) {
        // Every question is a use.
        if may.may("keys") && token.uses.is_none() {
            slot.problem = client.key_problem(address, &it.key, token);
        }
        if slot.problem.is_none()
            && it.by_rule
            && !["encrypt", "decrypt", "rewrap"].iter().any(|action| may.may(action))
            && let MasterKey::Vault { engine_path, key_name, .. } = &it.key
        {
            let source = server.token_source.as_deref().unwrap_or("the Agent");
            slot.problem = Some(format!(
                "the token of {source} may neither encrypt nor decrypt with it: its policies lack \
                 `update` on {0}/encrypt/{key_name} and {0}/decrypt/{key_name}",
                engine_path.trim_matches('/')
            ));
        }
        if let Some(problem) = &slot.problem {
            problems.push(format!("{}: {problem}", slot.name));
        }
        slot.may = Some(may);
    }
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

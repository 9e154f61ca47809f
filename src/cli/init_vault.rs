//! `waxseal init --vault`: a rule that names a transit key, and what the server needs for it.
//!
//! Invariants: no request is sent without `--apply`; with it, nothing that is on the server is changed.

use std::fmt::Write as _;

use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::init::{existing_config, new_config};
use super::vault::client;
use crate::keys::MasterKey;
use crate::keyservice::vault::setup::{Made, Setup, SetupError};
use crate::keyservice::vault::{Address, Client, NO_TOKEN};
use crate::shown::Show;

/// What is needed to start with a server.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct VaultArgs {
    /// Use a transit key of this Vault or OpenBao server, and print the commands that make it
    #[arg(long, value_name = "ADDRESS", conflicts_with = "age")]
    pub(crate) vault: Option<String>,
    /// Where the transit engine is mounted
    #[arg(long, value_name = "PATH", default_value = "transit", requires = "vault")]
    mount: String,
    /// The name of the key
    #[arg(long, value_name = "NAME", default_value = "app", requires = "vault")]
    key: String,
    /// Make engine, key and policies with your token instead, where they are missing
    #[arg(long, requires = "vault")]
    apply: bool,
}

/// Runs `init --vault`.
pub(super) fn run(ctx: &Ctx, args: &VaultArgs, address: &str) -> Result<Exit, Error> {
    let generic = |text: String| Error::new(exit::GENERIC, text);
    let server = Address::parse(address).map_err(|error| generic(format!("--vault: {error}")))?;
    let setup = Setup::new(server, ctx.namespace().as_deref(), &args.mount, &args.key).map_err(
        |error| {
            let told = Error::of(exit::GENERIC, &error);
            match address.contains("/v1/") {
                true => told
                    .hint("the path of the engine goes to --mount, the name of the key to --key"),
                false => told,
            }
        },
    )?;
    let uri = setup.uri();
    let existing = existing_config(ctx);
    if let Some(config) = &existing
        && let Some(hint) = ctx.rules()?.transit(|key| is_key(&setup, key), &uri)?
    {
        if !args.apply {
            ctx.out.data(commands(&setup).as_bytes())?;
        }
        let other = other_key(&setup, &ctx.rules()?.keys()).unwrap_or_default();
        let hint = format!("{hint}{other}");
        let text = "is there already, and does not name this key; nothing was changed";
        return Err(Error::new(exit::GENERIC, text).about(config).hint(hint));
    }
    let mut told = String::new();
    let other = if args.apply {
        let client = client(&ctx.env, ctx.out, Some(setup.server()))
            .map_err(|problem| Error::new(exit::GENERIC, problem))?;
        match apply(&setup, &client, &mut told) {
            Ok(other) => other,
            Err(error) => {
                // What was made before stays.
                ctx.out.data(told.as_bytes())?;
                return Err(explained(&setup, &client, &error));
            }
        }
    } else {
        told = commands(&setup);
        Vec::new()
    };
    let config = match existing {
        Some(config) => {
            ctx.out.note(&format!("{} is left as it is", config.shown()));
            config
        }
        None => new_config(ctx, &RULE.replace("URI", &uri))?,
    };
    ctx.out.data(told.as_bytes())?;
    if args.apply {
        let config = config.strip_prefix(ctx.cwd()).unwrap_or(&config).shown();
        let named = format!("{config} names it; where files are opened:\n");
        ctx.out.data((named + &variables(&setup)).as_bytes())?;
    }
    match other.as_slice() {
        [] => Ok(exit::SUCCESS),
        names => {
            let names = names.join(", ");
            let text = format!("the server has other policies of these names: {names}");
            let hint =
                "they were left as they are; compare them with what is printed without --apply";
            Err(generic(text).hint(hint))
        }
    }
}

/// Whether a key of a rule is the one of this setup.
fn is_key(setup: &Setup, key: &MasterKey) -> bool {
    let MasterKey::Vault { address, engine_path, key_name, .. } = key else { return false };
    let namespace = setup.namespace().map_or(String::new(), |it| format!("{it}/"));
    Address::of_file(address).is_ok_and(|server| server == *setup.server())
        && *engine_path == namespace + setup.mount()
        && key_name == setup.key()
}

/// What names the key of this server that the rules name in the place of this one.
fn other_key(setup: &Setup, named: &[MasterKey]) -> Option<String> {
    let on_server = |key: &&MasterKey| match key {
        MasterKey::Vault { address, .. } => {
            Address::of_file(address).is_ok_and(|server| server == *setup.server())
        }
        MasterKey::Age { .. } | MasterKey::Foreign { .. } => false,
    };
    let Some(MasterKey::Vault { engine_path, key_name, .. }) = named.iter().find(on_server) else {
        return None;
    };
    let below = |namespace: &str| engine_path.strip_prefix(namespace)?.strip_prefix('/');
    let mount = setup.namespace().and_then(below).unwrap_or(engine_path);
    // Whatever a file holds does not become a line for a shell.
    let named = Setup::new(setup.server().clone(), setup.namespace(), mount, key_name).ok()?;
    let (mount, key) = (named.mount(), named.key());
    Some(format!(
        ";\n      or, for the key of this server that it does name: --mount {mount} --key {key}"
    ))
}

/// Makes what is missing, and tells a line for each thing. Gives the policies that are there and are others.
fn apply(setup: &Setup, client: &Client, told: &mut String) -> Result<Vec<String>, SetupError> {
    let mut tell = |what: &str, made: Made| {
        let made = match made {
            Made::New => "made",
            Made::Before => "was there",
            Made::Other => "is another one, left as it is",
        };
        // A string takes every line.
        let _ = writeln!(told, "{what}: {made}");
    };
    tell(&format!("engine {}", setup.mount()), setup.make_mount(client)?);
    let (made, derived) = setup.make_key(client)?;
    tell(&format!("key {}", setup.key()), made);
    let mut other = Vec::new();
    for policy in setup.policies() {
        let made = setup.make_policy(client, &policy)?;
        tell(&format!("policy {} ({})", policy.name, policy.purpose), made);
        if made == Made::Other {
            other.push(policy.name);
        }
    }
    if derived {
        told.push_str("the key is derived: its rule needs a line `hc_vault_context: TEXT`\n");
    }
    Ok(other)
}

fn explained(setup: &Setup, client: &Client, error: &SetupError) -> Error {
    let told = Error::of(exit::GENERIC, error);
    let SetupError::Refused { refusal, .. } = error else { return told };
    if refusal.texts.iter().any(|text| text.contains("HTTP request to an HTTPS server")) {
        return told.hint("the address begins with https://");
    }
    match (refusal.status, client.token_origin(setup.server())) {
        (403, Some(origin)) => told.hint(format!(
            "the token of {origin} may not do this, or has expired; without --apply, the commands \
             are printed for somebody who may"
        )),
        (403, None) => told.hint(NO_TOKEN),
        _ => told,
    }
}

/// What somebody types who may set up a server.
fn commands(setup: &Setup) -> String {
    let (mount, key) = (setup.mount(), setup.key());
    let mut text = "# For somebody who may set up the server; with Vault, type `vault` for `bao`.\n"
        .to_owned() + &variables(setup);
    // A string takes every line.
    let _ = writeln!(text, "bao secrets enable -path={mount} transit");
    let _ = writeln!(text, "bao write -f {mount}/keys/{key}");
    for policy in setup.policies() {
        let _ = write!(
            text,
            "# {}:\nbao policy write {} - <<'END'\n{}END\n",
            policy.purpose, policy.name, policy.text
        );
    }
    text
}

/// What names the server to whoever speaks to it.
fn variables(setup: &Setup) -> String {
    let mut text = format!("export VAULT_ADDR={}\n", setup.server());
    if let Some(namespace) = setup.namespace() {
        // A string takes every line.
        let _ = writeln!(text, "export VAULT_NAMESPACE={namespace}");
    }
    text
}

/// A transit key in a rule.
const RULE: &str = "    # A token goes to this server only where VAULT_ADDR names it as well: this file is no permission.
    - hc_vault_transit_uri: URI
      # With a recipient of age beside it, files can be opened without the server, too:
      # age: age1...
";

//! `waxseal login` and `waxseal logout`.

use std::time::Duration;

use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};
use super::vault::Reach;
use crate::keyservice::vault::auth::sessions::{NoTokens, revoke};
use crate::keyservice::vault::auth::{Desk, LoginError, Mount, Plan, Session, Settings};
use crate::keyservice::vault::{Address, VaultToken};
use crate::os::auto_auth::configured;
use crate::os::token_store::{StoreError, TokenStore};
use crate::os::vault_token::of_variable;

/// Log in to a Vault or OpenBao server and keep the token
///
/// The token goes where the server's own programs keep theirs: to a token helper, or to
/// ~/.vault-token. Without a METHOD, the login is the one that is configured (WAXSEAL_VAULT_AUTH).
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LoginArgs {
    /// How: approle, userpass, ldap, radius, kubernetes, jwt, cert, oidc, saml, okta, github,
    /// kerberos, aws, gcp, azure
    #[arg(value_name = "METHOD")]
    method: Option<String>,
    /// Settings of the method: KEY=VALUE; for a secret, where it is: env:NAME, file:PATH,
    /// command:LINE, terminal
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The role to log in as: role=ROLE
    #[arg(long, value_name = "ROLE", requires = "method")]
    role: Option<String>,
    /// Where the method is mounted, if not at its own name: mount=PATH
    #[arg(long, value_name = "PATH", requires = "method")]
    mount: Option<String>,
    /// The namespace of the method [env: VAULT_NAMESPACE]
    #[arg(long, value_name = "NAMESPACE", requires = "method")]
    namespace: Option<String>,
    /// The server [env: VAULT_ADDR]
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
    /// Print the token instead of keeping it
    #[arg(long)]
    print: bool,
}

/// Make an end of the token that `login` kept
///
/// The server forgets it, and it is removed from where it was kept. A token in a variable is left alone.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LogoutArgs {
    /// The server [env: VAULT_ADDR]
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
}

/// Runs `login`.
pub(crate) fn run(ctx: &Ctx, args: &LoginArgs) -> Result<Exit, Error> {
    let (plan, origin) = plan(ctx, args)?;
    if plan.inline {
        return Err(failed("a login with inline=true makes no token that could be kept"));
    }
    let (reach, server) = reach(ctx, args.server.as_deref())?;
    let store = match args.print {
        true => None,
        false => Some(store(ctx, "--print shows the token")?),
    };
    if let Some(store) = &store {
        store.check().map_err(|problem| {
            unwritten(&problem)
                .hint("VAULT_TOKEN_PATH names another place for the token; --print shows it")
        })?;
    }
    let sessions = reach.sessions(plan, &origin, &ctx.env, ctx.out);
    let session = sessions.login_to_keep(&server).map_err(|error| {
        let (login, mount) = (sessions.plan().login.name(), &sessions.plan().mount);
        failed(format!("{login} at {server}, auth/{mount}: {error}"))
    })?;
    // A server's answer is not to be trusted with what a header takes.
    let token = VaultToken::new(&session.token).map_err(|error| failed(error.to_string()))?;
    let token = token.ok_or_else(|| failed("the server gave no token"))?;
    // If it cannot be kept, it is taken back: nobody could use it any more.
    match &store {
        None => ctx.out.data(format!("{}\n", token.expose_secret()).as_bytes())?,
        Some(store) => store.store(&server, &session.token).map_err(|problem| {
            let error = unwritten(&problem);
            match sessions.give_back(&server, &session) {
                Ok(()) => error,
                Err(problem) => error.hint(format!(
                    "the server did not take the token back, which lives {}: {problem}",
                    session.lease.map_or_else(|| "for ever".to_owned(), lifetime)
                )),
            }
        })?,
    }
    sessions.kept(&server);
    let Some(store) = store else { return Ok(exit::SUCCESS) };
    ctx.out.note(&told(&session, &server, &store));
    if let Some((name, _)) = of_variable(&ctx.env) {
        ctx.out.note(&format!("{name} is set, and counts before it"));
    }
    Ok(exit::SUCCESS)
}

fn failed(problem: impl Into<String>) -> Error {
    Error::new(exit::GENERIC, problem)
}

fn unwritten(problem: &StoreError) -> Error {
    Error::new(exit::CANNOT_WRITE, problem.to_string())
}

fn plan(ctx: &Ctx, args: &LoginArgs) -> Result<(Plan, String), Error> {
    let Some(method) = &args.method else {
        return configured(&ctx.env).map_err(failed)?.ok_or_else(|| {
            failed("no login is configured").hint("waxseal login METHOD KEY=VALUE...")
        });
    };
    let mut words = vec![method.clone()];
    words.extend(args.settings.iter().cloned());
    for (key, value) in
        [("role", &args.role), ("mount", &args.mount), ("namespace", &args.namespace)]
    {
        words.extend(value.iter().map(|value| format!("{key}={value}")));
    }
    let plan = Settings::of_words(&words).and_then(Plan::read);
    let plan = plan.map_err(|error| failed(error.to_string()))?;
    Ok((plan, "waxseal login".to_owned()))
}

/// How to reach the server that the user names, and that server. An Agent stands in for every one.
fn reach(ctx: &Ctx, named: Option<&str>) -> Result<(Reach, Address), Error> {
    let mut reach = Reach::of(&ctx.env, ctx.out).map_err(failed)?;
    let named = named.map(Address::parse).transpose();
    let named = named.map_err(|error| failed(format!("--server: {error}")))?;
    let server = named.or_else(|| reach.settings.server.clone());
    let agent = reach.settings.client.agent.clone();
    let server = agent.or(server).ok_or_else(|| {
        failed("no server is named").hint("set VAULT_ADDR, or name one with --server")
    })?;
    reach.settings.trust = std::mem::take(&mut reach.settings.trust).with(server.clone());
    Ok((reach, server))
}

fn store(ctx: &Ctx, hint: &str) -> Result<TokenStore, Error> {
    let store = TokenStore::of(&ctx.env).map_err(|problem| failed(problem.to_string()))?;
    store.ok_or_else(|| failed("there is no place for a token: HOME is not set").hint(hint))
}

/// Who somebody is now.
fn told(session: &Session, server: &Address, store: &TokenStore) -> String {
    let who = session.name.as_ref().map_or(String::new(), |name| format!(" as {name}"));
    let policies = session.policies.join(", ");
    let life = session.lease.map_or_else(|| "for ever".to_owned(), lifetime);
    format!("logged in at {server}{who}: policies {policies}; {life}; token in {}", store.shown())
}

fn lifetime(lease: Duration) -> String {
    match lease.as_secs() {
        seconds @ ..120 => format!("for {seconds} s"),
        seconds @ ..7_200 => format!("for {} min", seconds / 60),
        seconds => format!("for {} h", seconds / 3_600),
    }
}

/// Runs `logout`.
pub(crate) fn run_logout(ctx: &Ctx, args: &LogoutArgs) -> Result<Exit, Error> {
    let (reach, server) = reach(ctx, args.server.as_deref())?;
    let store = store(ctx, "VAULT_TOKEN_PATH names the file of the token")?;
    let Some(token) = store.get(&server).map_err(|problem| failed(problem.to_string()))? else {
        ctx.out.note("there was no token");
        return Ok(exit::SUCCESS);
    };
    let client = reach.client(Box::new(NoTokens));
    let namespace = reach.settings.client.namespace.clone();
    let mount = Mount { server: server.clone(), namespace, path: String::new() };
    // The only copy of a token that lives elsewhere would be lost with it, and nobody could revoke it.
    revoke(&Desk::new(&client, &mount), &token).map_err(|error| {
        let place = store.shown();
        match error {
            LoginError::Refused { refusal, .. } if refusal.status == 403 => failed(format!(
                "{server} does not know the token of {place}, which is kept: it has expired, or is of \
                 another server or namespace and may be alive there"
            ))
            .hint(format!("name its server in VAULT_ADDR or by --server; if it is dead, {}", store.by_hand())),
            LoginError::Refused { refusal, .. } => {
                failed(format!("{server}: the token of {place} is kept: {refusal}"))
                    .hint(format!("if it may live until it expires, {}", store.by_hand()))
            }
            LoginError::Setting(problem) => {
                failed(format!("{place}: {problem}")).hint(store.by_hand())
            }
            error => failed(format!("{server}: the token of {place} is kept: {error}")),
        }
    })?;
    store.erase(&server).map_err(|problem| unwritten(&problem))?;
    Ok(exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::LoginArgs;
    use crate::keyservice::vault::auth::Login;

    #[test]
    fn the_help_names_every_method() {
        let command = LoginArgs::augment_args(clap::Command::new("login"));
        let method = command.get_arguments().find(|it| it.get_id() == "method");
        let help = method.and_then(clap::Arg::get_help).expect("help").to_string();
        assert_eq!(help, format!("How: {}", Login::methods().collect::<Vec<_>>().join(", ")));
    }
}

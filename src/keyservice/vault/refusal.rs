//! What the user is told when a server did not do what it was asked for.

use super::client::{CallError, Client};
use super::envelope::NO_TEXT;
use super::transit::{AnswerError, Operation};
use super::{KeyError, Target};

fn failed(problem: String) -> KeyError {
    KeyError::Failed { problem }
}

/// The server gave something else than what was asked for.
pub(super) fn no_result() -> KeyError {
    failed("the server's answer holds something else than the result".to_owned())
}

/// One item of a batch.
pub(super) fn of_item(client: &Client, target: &Target, text: &str) -> KeyError {
    let hint = match target.operation {
        Operation::Rewrap if text.contains("message authentication failed") => Some(REWRAP),
        _ => HINTS.iter().find(|(part, _)| text.contains(part)).map(|(_, hint)| *hint),
    };
    let place = namespace(client, target);
    failed(match hint {
        // The same mount and the same name, but of another team.
        Some(hint) if !place.is_empty() && text.contains("message authentication failed") => {
            format!(
                "{text}{place}, which your environment names and the file does not: is it the right one? \
             If so, {hint}"
            )
        }
        Some(hint) => format!("{text}{place}: {hint}"),
        None => format!("{text}{place}"),
    })
}

/// The namespace, if it is one that no address in the file says.
fn namespace(client: &Client, target: &Target) -> String {
    let sent = client.options().namespace.as_deref().filter(|it| !target.is_below(it));
    sent.map_or_else(String::new, |namespace| format!(" in the namespace {namespace}"))
}

/// No answer came.
pub(super) fn of_call(client: &Client, error: &CallError) -> KeyError {
    match (&client.options().agent, error) {
        (Some(agent), CallError::Transport(_)) => failed(format!("the Agent {agent}: {error}")),
        _ => failed(error.to_string()),
    }
}

/// The answer as a whole is a refusal.
pub(super) fn of_answer(
    client: &Client,
    target: &Target,
    status: u16,
    error: &AnswerError,
) -> KeyError {
    let text = match error {
        AnswerError::Refused(texts) if texts.is_empty() => NO_TEXT.to_owned(),
        error => error.to_string(),
    };
    let hint = match status {
        403 => Some(denied(client, target)),
        404 => Some(format!(
            "is `{}` where the engine is mounted, and the namespace the right one?",
            target.engine_path
        )),
        _ => HINTS.iter().find(|(part, _)| text.contains(part)).map(|(_, hint)| (*hint).to_owned()),
    };
    let place = namespace(client, target);
    failed(match hint {
        Some(hint) => format!("{text} ({status}){place}: {hint}"),
        None => format!("{text} ({status}){place}"),
    })
}

/// What a 403 can mean; the server does not say.
fn denied(client: &Client, target: &Target) -> String {
    match client.token_origin(&target.server) {
        Some(origin) if client.is_alive(&target.server) == Some(true) => format!(
            "the token of {origin} lacks `update` on {}, where a key that is missing is refused as well",
            target.path()
        ),
        Some(origin) if client.is_alive(&target.server) == Some(false) => dead(&origin),
        Some(origin) => format!(
            "the token of {origin} may have expired, or lack `update` on {}, where a key that is \
             missing is refused as well; `waxseal doctor` knows which",
            target.path()
        ),
        None if client.options().agent.is_some() => {
            format!("the Agent may have no token, or one that lacks `update` on {}", target.path())
        }
        None => match client.absent_token() {
            Some(why) => format!("there is no token: {why}"),
            None => NO_TOKEN.to_owned(),
        },
    }
}

/// What to do where a server wants a token.
pub const NO_TOKEN: &str = "there is no token: set VAULT_TOKEN, or `waxseal login`";

/// A token that its server does not know.
pub(super) fn dead(origin: &str) -> String {
    format!(
        "the token of {origin} is not valid here (expired, revoked, or of another server or namespace)"
    )
}

/// Rewrap takes no associated data (Vault API).
const REWRAP: &str = "another key made it, it was changed, or it was wrapped with associated data, which \
                      cannot be rewrapped: `waxseal rotate` wraps anew";

/// Texts of servers that say too little. Texts are no API: they improve a message and decide nothing.
const HINTS: [(&str, &str); 12] = [
    ("message authentication failed", "another key or another context made it, or it was changed"),
    ("encryption key not found", "no such key; it is not created here"),
    ("unknown key type", "no such key; it is not created here"),
    ("version is too new", "it was made by another server, or by a key that was restored since"),
    (
        "too old",
        "the key decrypts this version no more: see its min_decryption_version, and whether the version was deleted",
    ),
    ("invalid ciphertext length", "it was cut off, or changed"),
    ("not supported for key type", "this key signs; it cannot encrypt"),
    ("missing 'context'", "the key is derived: its rule needs `hc_vault_context`"),
    ("Vault is sealed", "an operator has to unseal it"),
    ("no active Vault instance", "no server of the cluster leads at the moment; try again later"),
    (
        "active cluster node not found",
        "no server of the cluster leads at the moment; try again later",
    ),
    ("HTTP request to an HTTPS server", "the address begins with https://"),
];

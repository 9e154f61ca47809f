//! What `doctor` found, for people and for scripts.
//!
//! Invariants: both say the same; no token, no identity and no value of a file is in it; what a file or a
//! server chose moves no cursor.

use std::fmt::Write as _;

use super::error::{Error, shorten};
use super::exit;
use crate::document::{Document, Format};
use crate::keyservice::Looked;
use crate::keyservice::age::NOT_SET;
use crate::keyservice::vault::{Capabilities, Health, TokenProblem, TokenState};
use crate::shown::Show;
use crate::value::{Scalar, Tree};

/// Everything.
#[derive(Default)]
pub(crate) struct Diagnosis {
    /// The configuration, and what led to it.
    pub(crate) configuration: Option<(String, &'static str)>,
    /// Variables that are set, and what they say; secrets not.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// The login of runs that have no token.
    pub(crate) login: Option<Login>,
    pub(crate) servers: Vec<Server>,
    pub(crate) identities: Vec<Looked>,
    pub(crate) files: Vec<File>,
    /// What does not work.
    pub(crate) problems: Vec<String>,
    /// What works, and should be another way.
    pub(crate) warnings: Vec<String>,
}

/// A login that is configured, without its secrets.
pub(crate) struct Login {
    /// The variable, or the file.
    pub(crate) source: String,
    pub(crate) method: &'static str,
    /// What the one who logs in is called, and the name.
    pub(crate) who: Option<(&'static str, String)>,
    /// Behind `auth/`.
    pub(crate) mount: String,
    pub(crate) namespace: Option<String>,
    /// Without a token: in every request.
    pub(crate) inline: bool,
    /// The variable with a token, which counts before.
    pub(crate) hidden_by: Option<&'static str>,
}

/// A server that is named anywhere.
pub(crate) struct Server {
    pub(crate) address: String,
    /// Variables, rules and files.
    pub(crate) named_by: Vec<String>,
    /// Whether anything was sent to it.
    pub(crate) asked: bool,
    /// Why it gave no answer, or was not asked.
    pub(crate) problem: Option<String>,
    pub(crate) tls: &'static str,
    pub(crate) health: Option<Health>,
    /// Where the token comes from.
    pub(crate) token_source: Option<String>,
    pub(crate) token: Option<Result<TokenState, TokenProblem>>,
    /// The keys of the server that are named.
    pub(crate) keys: Vec<Key>,
}

/// A transit key that a rule or a file names.
pub(crate) struct Key {
    pub(crate) name: String,
    /// What the token may do with it, if that is known.
    pub(crate) may: Option<Capabilities>,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
}

/// A file, and who opens it.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) entries: Vec<Entry>,
    /// Why it could not be looked at.
    pub(crate) problem: Option<String>,
    /// Whether the token may have a wrapped key of it made anew, which opens nothing.
    pub(crate) rewraps: bool,
}

/// An entry of a file.
pub(crate) struct Entry {
    pub(crate) kind: &'static str,
    pub(crate) key: String,
    /// Why it does not open the file.
    pub(crate) problem: Option<String>,
    /// It gives a data key, which is another one.
    pub(crate) lies: bool,
}

impl File {
    pub(crate) fn opens(&self) -> bool {
        self.problem.is_none() && self.entries.iter().any(|it| it.problem.is_none())
    }

    /// Whether the user can do with it what the token is for.
    pub(crate) fn is_well(&self) -> bool {
        let lies = self.entries.iter().any(|it| it.lies);
        !lies && (self.opens() || (self.problem.is_none() && self.rewraps))
    }

    /// What is wrong with it.
    pub(crate) fn why(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let cause = |it: &Entry| {
            let problem = it.problem.as_deref().unwrap_or_default().replace('\n', " ");
            format!("{}: {problem}", shorten(&it.key))
        };
        if self.opens() {
            let lies = self.entries.iter().filter(|it| it.lies).map(cause);
            return lies.collect::<Vec<_>>().join("; ");
        }
        let causes: Vec<String> = self.entries.iter().map(cause).collect();
        match causes.is_empty() {
            true => "no key opens it: it names none".to_owned(),
            false => format!("no key opens it: {}", causes.join("; ")),
        }
    }
}

impl Diagnosis {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        line("configuration");
        match &self.configuration {
            Some((path, from)) => line(&format!("  {path} ({from})")),
            None => line("  no .sops.yaml here or above"),
        }
        for (name, value) in &self.settings {
            line(&format!("  {name}: {value}"));
        }
        if let Some(login) = &self.login {
            line(&login.text());
        }
        for server in &self.servers {
            server.text().lines().for_each(&mut line);
        }
        line("identities");
        let found: Vec<_> = self.identities.iter().filter(|it| it.outcome != NOT_SET).collect();
        for Looked { name, location, outcome } in found {
            let place = match location.as_str() {
                "" => name.clone(),
                location if location == name => name.clone(),
                location => format!("{name} ({location})"),
            };
            line(&format!("  {place}: {outcome}"));
        }
        line("files");
        for file in &self.files {
            let word = match (&file.problem, file.opens()) {
                (Some(problem), _) => problem.as_str(),
                (None, true) => "can be opened",
                (None, false) if file.rewraps => "cannot be opened, can be rewrapped",
                (None, false) => "cannot be opened",
            };
            line(&format!("  {}: {word}", file.name));
            for Entry { kind, key, problem, .. } in &file.entries {
                let word =
                    problem.as_deref().map_or("opens it".to_owned(), |it| it.replace('\n', " "));
                line(&format!("    {kind} {}: {word}", shorten(key)));
            }
        }
        if self.files.is_empty() {
            line("  none is sealed here");
        }
        if !self.warnings.is_empty() {
            line("warnings");
        }
        for warning in &self.warnings {
            line(&format!("  {warning}"));
        }
        out
    }

    /// For scripts.
    pub(crate) fn json(&self) -> Result<String, Error> {
        let configuration = match &self.configuration {
            Some((path, from)) => map(vec![("file", text(path)), ("from", text(from))]),
            None => null(),
        };
        let setting = |(name, value): &(&'static str, String)| {
            map(vec![("name", text(name)), ("value", text(value))])
        };
        let identity = |it: &Looked| {
            let fields = [("name", &it.name), ("location", &it.location), ("found", &it.outcome)];
            map(fields.map(|(name, value)| (name, text(value))).to_vec())
        };
        let tree = map(vec![
            ("ok", bool(self.problems.is_empty())),
            ("configuration", configuration),
            ("settings", list(&self.settings, setting)),
            ("login", self.login.as_ref().map_or_else(null, Login::tree)),
            ("servers", list(&self.servers, Server::tree)),
            ("identities", list(&self.identities, identity)),
            ("files", list(&self.files, File::tree)),
            ("problems", list(&self.problems, |it| text(it))),
            ("warnings", list(&self.warnings, |it| text(it))),
        ]);
        Document::emit(&tree, Format::Json).map_err(|error| Error::of(exit::CANNOT_EXPRESS, &error))
    }
}

impl Login {
    fn text(&self) -> String {
        let mut out = format!("  login: {}", self.method);
        if let Some((kind, name)) = &self.who {
            let _ = write!(out, ", {kind} {}", name.shown());
        }
        let _ = write!(out, ", at auth/{}", self.mount);
        if let Some(namespace) = &self.namespace {
            let _ = write!(out, ", namespace {}", namespace.shown());
        }
        if self.inline {
            out.push_str(", in every request");
        }
        let _ = write!(out, " ({})", self.source);
        if let Some(name) = self.hidden_by {
            let _ = write!(out, "; not used, {name} has a token");
        }
        out
    }

    fn tree(&self) -> Tree {
        let name = |wanted: &str| {
            let who = self.who.as_ref().filter(|(kind, _)| *kind == wanted);
            optional(who.map(|(_, name)| name.as_str()))
        };
        map(vec![
            ("source", text(&self.source)),
            ("method", text(self.method)),
            ("role", name("role")),
            ("role_id", name("role_id")),
            ("username", name("username")),
            ("mount", text(&self.mount)),
            ("namespace", optional(self.namespace.as_deref())),
            ("inline", bool(self.inline)),
            ("hidden_by", optional(self.hidden_by)),
        ])
    }
}

impl Server {
    fn text(&self) -> String {
        let mut out = format!("server {} ({})\n", self.address.shown(), self.named_by.join(", "));
        if let Some(why) = &self.problem {
            let not_asked = if self.asked { "" } else { "not asked: " };
            let _ = writeln!(out, "  {not_asked}{why}");
        }
        if let Some(health) = &self.health {
            let version =
                health.version.as_ref().map_or(String::new(), |it| format!(", version {it}"));
            let cluster =
                health.cluster.as_ref().map_or(String::new(), |it| format!(", cluster {it}"));
            let _ = writeln!(out, "  {}{version}{cluster}, {}", health.state, self.tls);
        }
        let source = self.token_source.as_deref().unwrap_or("the Agent");
        match &self.token {
            Some(Ok(token)) => {
                let _ = writeln!(out, "  token of {source}: {}", state(token));
            }
            Some(Err(why @ TokenProblem::Silent)) => {
                let _ = writeln!(out, "  token of {source}: alive; {why}");
            }
            // It says which token.
            Some(Err(why)) => {
                let _ = writeln!(out, "  {why}");
            }
            None => {}
        }
        for key in &self.keys {
            let _ = match (&key.problem, &key.may) {
                (Some(problem), _) => writeln!(out, "  {}: {problem}", key.name.shown()),
                (None, Some(may)) => writeln!(out, "  {}: {}", key.name.shown(), words(may)),
                (None, None) => {
                    writeln!(out, "  {}: what the token may do is not known", key.name.shown())
                }
            };
        }
        out
    }

    fn tree(&self) -> Tree {
        let health = self.health.as_ref();
        let token = self.token.as_ref().map_or_else(null, |token| {
            let (state, problem) = (token.as_ref().ok(), token.as_ref().err());
            let alive = match problem {
                None | Some(TokenProblem::Silent) => bool(true),
                Some(TokenProblem::Failed(_)) => null(),
                Some(_) => bool(false),
            };
            let of_state = |tree: &dyn Fn(&TokenState) -> Tree| state.map_or_else(null, tree);
            map(vec![
                ("source", optional(self.token_source.as_deref())),
                ("alive", alive),
                ("problem", optional(problem.map(TokenProblem::to_string).as_deref())),
                ("ttl", number(state.and_then(|it| it.ttl))),
                ("uses", number(state.and_then(|it| it.uses))),
                ("policies", of_state(&|it| list(&it.policies, |it| text(it)))),
                ("namespace", of_state(&|it| text(&it.namespace))),
                ("renewable", of_state(&|it| bool(it.renewable))),
            ])
        });
        let key = |key: &Key| {
            let may = |action| key.may.as_ref().map_or_else(null, |it| bool(it.may(action)));
            map(vec![
                ("key", text(&key.name)),
                ("encrypt", may("encrypt")),
                ("decrypt", may("decrypt")),
                ("rewrap", may("rewrap")),
                ("read", may("keys")),
                ("problem", optional(key.problem.as_deref())),
            ])
        };
        map(vec![
            ("address", text(&self.address)),
            ("named_by", list(&self.named_by, |it| text(it))),
            ("asked", bool(self.asked)),
            ("problem", optional(self.problem.as_deref())),
            ("usable", bool(health.is_some_and(|it| it.is_usable))),
            ("state", optional(health.map(|it| it.state.as_str()))),
            ("version", optional(health.and_then(|it| it.version.as_deref()))),
            ("cluster", optional(health.and_then(|it| it.cluster.as_deref()))),
            ("tls", text(self.tls)),
            ("token", token),
            ("keys", list(&self.keys, key)),
        ])
    }
}

impl File {
    fn tree(&self) -> Tree {
        let entry = |it: &Entry| {
            map(vec![
                ("kind", text(it.kind)),
                ("key", text(&it.key)),
                ("opens", bool(it.problem.is_none())),
                ("problem", optional(it.problem.as_deref())),
            ])
        };
        map(vec![
            ("file", text(&self.name)),
            ("opens", bool(self.opens())),
            ("rewraps", bool(self.rewraps)),
            ("problem", optional(self.problem.as_deref())),
            ("entries", list(&self.entries, entry)),
        ])
    }
}

/// `alive, 31 minutes left, policies app, default`.
fn state(token: &TokenState) -> String {
    let mut words = match token.ttl {
        None => "alive, does not expire".to_owned(),
        Some(seconds) => format!("alive, {} left", duration(seconds)),
    };
    if let Some(uses) = token.uses {
        let _ = write!(words, ", {uses} uses left");
    }
    if !token.namespace.is_empty() {
        let _ = write!(words, ", of namespace {}", token.namespace);
    }
    let _ = write!(words, ", policies {}", token.policies.join(", "));
    words
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn words(capabilities: &Capabilities) -> String {
    let listed = |wanted: bool| -> Vec<&str> {
        let word = |action: &'static str| if action == "keys" { "read the key" } else { action };
        let of = capabilities.allowed.iter().filter(|(_, may)| *may == wanted);
        of.map(|(action, _)| word(action)).collect()
    };
    match (listed(true), listed(false)) {
        (may, not) if may.is_empty() => format!("may not {}", not.join(", ")),
        (may, not) if not.is_empty() => format!("may {}", may.join(", ")),
        (may, not) => format!("may {}; may not {}", may.join(", "), not.join(", ")),
    }
}

fn map(fields: Vec<(&'static str, Tree)>) -> Tree {
    Tree::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn list<T>(items: &[T], tree: impl Fn(&T) -> Tree) -> Tree {
    Tree::List(items.iter().map(tree).collect())
}

fn text(text: &str) -> Tree {
    Tree::str(text)
}

fn optional(it: Option<&str>) -> Tree {
    it.map_or_else(null, text)
}

fn number(it: Option<u64>) -> Tree {
    let number = it.and_then(|it| i64::try_from(it).ok());
    number.map_or_else(null, |it| Tree::Scalar(Scalar::int(it)))
}

fn bool(value: bool) -> Tree {
    Tree::Scalar(Scalar::bool(value))
}

fn null() -> Tree {
    Tree::Scalar(Scalar::null())
}

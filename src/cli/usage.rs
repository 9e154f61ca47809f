//! What was typed and cannot be understood: clap's errors as ours.
//!
//! Invariants: help and version are data, an error is never on standard output; of the words behind
//! `set` none is shown that may be the value.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use super::error::Error;
use super::exit::{self, Exit};
use super::output::Output;
use super::{Cli, fail, former};
use crate::os::shell::word;
use crate::shown::Show;

/// Tells what clap has to say; the first of the words is the program.
pub(super) fn answer(out: &Output, error: &clap::Error, words: &[OsString]) -> Exit {
    let kind = error.kind();
    let asks =
        |word: &OsString| ["-h", "--help", "help", "-V", "--version"].iter().any(|it| word == it);
    let is_asked = words.iter().skip(1).any(asks);
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        if !is_asked {
            // `-hunter2` is no `-h`.
            let text = "a word that begins with -h or -V is no value";
            return fail(out, &Error::new(exit::GENERIC, text).hint(DASHED_VALUE));
        }
        let text = error.render().to_string();
        return out.data(text.as_bytes()).map_or_else(|it| fail(out, &it), |()| exit::SUCCESS);
    }
    let words: Vec<&str> = words.iter().skip(1).map(|word| word.to_str().unwrap_or("")).collect();
    let topic = words.first().is_some_and(|word| ["help", "completion"].contains(word));
    let exit = match kind {
        // As sops has it where there is no such help topic, or no such shell.
        ErrorKind::InvalidSubcommand | ErrorKind::InvalidValue if topic => exit::CANNOT_WRITE,
        // As sops has it where the file is missing.
        ErrorKind::MissingRequiredArgument => exit::NO_FILE,
        _ => exit::GENERIC,
    };
    let typed = Typed { error, command: command_of(&words), words };
    match typed.text() {
        Some(text) => fail(out, &typed.with_hints(Error::new(exit, text))),
        // None of the words is in it.
        None => {
            out.line(error.render().to_string().trim_end());
            exit
        }
    }
}

/// The first word that is a command.
fn command_of<'a>(words: &[&'a str]) -> Option<&'a str> {
    let cli = Cli::command();
    words.iter().copied().find(|word| cli.find_subcommand(word).is_some())
}

struct Typed<'a> {
    error: &'a clap::Error,
    command: Option<&'a str>,
    /// Without the program.
    words: Vec<&'a str>,
}

impl Typed<'_> {
    fn context(&self, kind: ContextKind) -> Option<&str> {
        match self.error.get(kind)? {
            ContextValue::String(text) => Some(text),
            ContextValue::Strings(texts) => texts.first().map(String::as_str),
            _ => None,
        }
    }

    /// What is wrong, if a word has to be shown for it.
    fn text(&self) -> Option<String> {
        let argument = || self.context(ContextKind::InvalidArg);
        let value = || self.context(ContextKind::InvalidValue).filter(|value| !value.is_empty());
        match self.error.kind() {
            ErrorKind::UnknownArgument => Some(self.unknown(argument()?)),
            ErrorKind::InvalidSubcommand => {
                let name = self.context(ContextKind::InvalidSubcommand)?;
                Some(format!("unrecognized subcommand '{}'", name.shown()))
            }
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let (value, why) = (self.quoted(value()?), self.why());
                Some(format!("invalid value{value} for '{}'{why}", argument()?))
            }
            ErrorKind::TooManyValues => {
                let value = self.quoted(value()?);
                Some(format!("unexpected value{value} for '{}': it takes none", argument()?))
            }
            _ => None,
        }
    }

    /// Whether one of the words may be a secret: `set` may also stand behind a flag with a value.
    fn is_set(&self) -> bool {
        self.words.contains(&"set")
    }

    fn unknown(&self, argument: &str) -> String {
        if !self.is_set() || self.word_of_sops().is_some() {
            return format!("unexpected argument '{}' found", argument.shown());
        }
        let behind = self.words.iter().skip_while(|word| **word != "set").skip(1);
        let number = behind.take_while(|word| !word.starts_with(argument)).count() + 1;
        format!(
            "word {number} behind `set` is no flag of it; it is not shown, since it may be a part of \
             the value"
        )
    }

    fn quoted(&self, value: &str) -> String {
        match self.is_set() {
            true => String::new(),
            false => format!(" '{}'", value.shown()),
        }
    }

    /// Why a value is not taken.
    fn why(&self) -> String {
        if let Some(source) = self.error.source() {
            return format!(": {source}");
        }
        match self.error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(values)) => format!(" [possible: {}]", values.join(", ")),
            _ => String::new(),
        }
    }

    fn with_hints(&self, error: Error) -> Error {
        if let Some(hint) = self.word_of_sops() {
            return error.hint(hint);
        }
        if let Some(name) = self.file_with_dash() {
            let name = format!("./{name}");
            let name = word(&name.shown());
            return error.hint(format!("a file whose name begins with a dash: {name}"));
        }
        if let Some(setting) = self.setting_of_login() {
            return error.hint(format!(
                "what a method needs is typed without dashes: waxseal login METHOD {setting}=…"
            ));
        }
        let error = match self.meant() {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error,
        };
        match (self.command, self.error.kind()) {
            (Some("set"), ErrorKind::UnknownArgument) => error.hint(DASHED_VALUE),
            (Some(command), ErrorKind::UnknownArgument) if command != "help" => {
                error.hint(format!("`waxseal help {command}` lists what it takes"))
            }
            (_, ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) => {
                error.hint("`waxseal help` lists the commands")
            }
            _ => error,
        }
    }

    fn word_of_sops(&self) -> Option<String> {
        let kinds = [ErrorKind::UnknownArgument, ErrorKind::InvalidSubcommand];
        // `help exec-env` is a question, and no help is there for an answer.
        let asks = self.words.first() == Some(&"help");
        if asks || !kinds.contains(&self.error.kind()) {
            return None;
        }
        match (self.is_set(), self.context(ContextKind::InvalidArg)) {
            // Another word may be the value.
            (true, Some(argument)) => former::instead(&["set", argument], self.command),
            _ => former::instead(&self.words, self.command),
        }
    }

    /// A flag that `login` does not have, which is a setting of its methods.
    fn setting_of_login(&self) -> Option<String> {
        let flag =
            self.context(ContextKind::InvalidArg).filter(|_| self.command == Some("login"))?;
        let name = flag.split('=').next()?.strip_prefix("--")?.replace('-', "_");
        let name = if name == "user" { "username" } else { &name };
        SETTINGS.contains(&name).then(|| name.to_owned())
    }

    /// What clap takes for meant. What it says of values behind `--` helps nobody: no command takes
    /// such a word but as a file.
    fn meant(&self) -> Option<String> {
        let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
        if let Some(meant) = kinds.iter().find_map(|kind| self.context(*kind)) {
            return Some(meant.to_owned());
        }
        // It has no suggestions for topics; they are commands.
        let ["help", topic] = *self.words else { return None };
        let asked = Cli::try_parse_from(["waxseal", topic]).err()?;
        match asked.get(ContextKind::SuggestedSubcommand)? {
            ContextValue::Strings(names) => names.first().map(|name| format!("help {name}")),
            _ => None,
        }
    }

    /// The word that was not understood, if there is a file of this name.
    fn file_with_dash(&self) -> Option<&str> {
        let argument = self.context(ContextKind::InvalidArg)?;
        let mut words = self.words.iter().copied();
        words.find(|word| {
            word.starts_with('-') && word.starts_with(argument) && Path::new(word).is_file()
        })
    }
}

/// Settings of logins that are taken for flags.
const SETTINGS: [&str; 7] =
    ["username", "password", "role_id", "secret_id", "jwt", "name", "inline"];

/// Of a value that looks like a flag.
const DASHED_VALUE: &str = "a value does not belong on the command line, where others can read it; one that \
                            begins with a dash comes through --value-stdin or --value-file";

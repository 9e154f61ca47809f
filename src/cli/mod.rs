//! The command line: what is typed, in one grammar; one file per command.
//!
//! [`main`] is the program. It parses, runs one command and gives the exit code. Only this room
//! prints, and only it knows exit codes.

#![expect(
    clippy::disallowed_methods,
    reason = "arguments, exit codes, progress: the program itself"
)]

mod bar;
mod batch;
mod completion;
mod consent;
mod context;
mod convert;
mod decrypt;
#[cfg(feature = "vault")]
mod diagnosis;
#[cfg(feature = "vault")]
mod doctor;
mod edit;
mod encrypt;
mod entries;
mod error;
mod exit;
mod explain;
mod former;
mod init;
#[cfg(feature = "vault")]
mod init_vault;
mod input;
mod integrity;
mod key_diff;
mod keygen;
#[cfg(feature = "vault")]
mod kv;
#[cfg(feature = "vault")]
mod login;
mod open;
mod output;
#[cfg(feature = "vault")]
mod person;
mod plain;
#[cfg(feature = "vault")]
mod publish;
#[cfg(feature = "vault")]
mod pull;
mod recipients;
#[cfg(feature = "vault")]
mod recover;
mod reseal;
#[cfg(feature = "vault")]
mod rewrap;
mod rotate;
mod rules;
mod sealing;
mod set;
#[cfg(feature = "vault")]
mod strangers;
mod target;
mod tree;
mod updatekeys;
mod usage;
#[cfg(feature = "vault")]
mod vault;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::context::{Ctx, GlobalArgs};
use self::error::{Error, Voice};
use self::exit::Exit;
use self::output::Output;
use crate::os::core_file;
use crate::os::env::Env;

/// Seals the values inside YAML, JSON and TOML files, byte for byte, in the SOPS file format
#[derive(clap::Parser, Debug)]
#[command(name = "waxseal", version, max_term_width = 100, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    globals: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(clap::Subcommand, Debug)]
enum Command {
    Init(init::InitArgs),
    Keygen(keygen::KeygenArgs),
    Encrypt(Box<encrypt::EncryptArgs>),
    Decrypt(Box<decrypt::DecryptArgs>),
    Edit(Box<edit::EditArgs>),
    Set(set::SetArgs),
    Unset(set::UnsetArgs),
    Rotate(rotate::RotateArgs),
    Updatekeys(updatekeys::UpdatekeysArgs),
    #[cfg(feature = "vault")]
    Recover(Box<recover::RecoverArgs>),
    #[cfg(feature = "vault")]
    Rewrap(rewrap::RewrapArgs),
    #[cfg(feature = "vault")]
    Publish(publish::PublishArgs),
    #[cfg(feature = "vault")]
    Pull(pull::PullArgs),
    Verify(verify::VerifyArgs),
    Reseal(reseal::ResealArgs),
    Recipients(recipients::RecipientsArgs),
    #[cfg(feature = "vault")]
    Doctor(doctor::DoctorArgs),
    #[cfg(feature = "vault")]
    Login(login::LoginArgs),
    #[cfg(feature = "vault")]
    Logout(login::LogoutArgs),
    Completion(completion::CompletionArgs),
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

fn run(words: impl Iterator<Item = OsString>) -> Exit {
    core_file::none();
    let env = Env::of_process();
    let out = Output::new(&env, Voice::Waxseal);
    let words: Vec<OsString> = words.collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&out, &error, &words),
    };
    let done =
        Ctx::new(env, Voice::Waxseal, &cli.globals).and_then(|ctx| dispatch(&ctx, &cli.command));
    done.unwrap_or_else(|error| fail(&out, &error))
}

/// Runs a command: a front with another grammar calls this as well.
fn dispatch(ctx: &Ctx, command: &Command) -> Result<Exit, Error> {
    match command {
        Command::Init(args) => init::run(ctx, args),
        Command::Keygen(args) => keygen::run(ctx, args),
        Command::Encrypt(args) => encrypt::run(ctx, args),
        Command::Decrypt(args) => decrypt::run(ctx, args),
        Command::Edit(args) => edit::run(ctx, args),
        Command::Set(args) => set::run_set(ctx, args),
        Command::Unset(args) => set::run_unset(ctx, args),
        Command::Rotate(args) => rotate::run(ctx, args),
        Command::Updatekeys(args) => updatekeys::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Recover(args) => recover::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Rewrap(args) => rewrap::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Publish(args) => publish::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Pull(args) => pull::run(ctx, args),
        Command::Verify(args) => verify::run(ctx, args),
        Command::Reseal(args) => reseal::run(ctx, args),
        Command::Recipients(args) => recipients::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Doctor(args) => doctor::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Login(args) => login::run(ctx, args),
        #[cfg(feature = "vault")]
        Command::Logout(args) => login::run_logout(ctx, args),
        Command::Completion(args) => completion::run(ctx, args, Cli::command()),
    }
}

fn fail(out: &Output, error: &Error) -> Exit {
    if !error.is_closed_pipe() {
        out.error(error);
    }
    error.exit()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_documentation_names_every_command_and_flag_and_no_other() {
        let page = include_str!("../../docs/commands.md");
        let mut cli = super::Cli::command();
        cli.build();
        let mut known = vec!["--help".to_owned()];
        for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            let heading = |line: &str| {
                line.strip_prefix("## ").is_some_and(|names| names.split(", ").any(|it| it == name))
            };
            assert!(page.lines().any(heading), "docs/commands.md has no section {name}");
            let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
            known.extend(flags.filter_map(|flag| Some(format!("--{}", flag.get_long()?))));
        }
        let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
        let words = |text: &'static str| text.split(move |c| !is_word(c));
        for flag in &known {
            let named = flag == "--help" || words(page).any(|word| word == flag);
            assert!(named, "docs/commands.md does not name {flag}");
        }
        for word in words(page).filter(|word| word.starts_with("--") && word.len() > 3) {
            assert!(known.iter().any(|flag| flag == word), "there is no {word}");
        }
    }
}

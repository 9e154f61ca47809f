//! `waxseal completion`.

use clap_complete::{generate, shells};

use super::context::Ctx;
use super::error::Error;
use super::exit::{self, Exit};

/// Print what a shell needs to complete commands, flags and files
///
/// bash: in ~/.bashrc, source <(waxseal completion bash). zsh: into a file _waxseal in a folder of
/// $fpath. fish: into ~/.config/fish/completions/waxseal.fish.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// A shell that can be helped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Shell {
    /// Bash
    Bash,
    /// Z shell
    Zsh,
    /// Fish
    Fish,
}

/// Runs `completion` for a grammar.
pub(crate) fn run(
    ctx: &Ctx,
    args: &CompletionArgs,
    mut grammar: clap::Command,
) -> Result<Exit, Error> {
    let name = grammar.get_name().to_owned();
    let mut script = Vec::new();
    match args.shell {
        Shell::Bash => generate(shells::Bash, &mut grammar, name, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut grammar, name, &mut script),
        Shell::Fish => generate(shells::Fish, &mut grammar, name, &mut script),
    }
    ctx.out.data(&script)?;
    Ok(exit::SUCCESS)
}

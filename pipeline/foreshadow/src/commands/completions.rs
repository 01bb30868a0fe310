//! `completions`: for a shell.

use std::io::Write;

use clap::{Args, CommandFactory};

use crate::cli::Cli;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell. For one session of bash: `source <(foreshadow completions bash)`.
    pub(crate) shell: clap_complete::Shell,
}

/// Prints the completions of every command.
///
/// # Errors
/// A closed output.
pub(crate) fn run(arguments: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "foreshadow", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

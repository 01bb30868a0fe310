//! `completions`: for a shell.

use clap::Args;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// `completions`: for a shell.
pub(crate) fn run(_arguments: &Completions) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

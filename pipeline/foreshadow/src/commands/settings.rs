//! `settings`: the documented reference of every setting.

use clap::Args;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Reference {
    /// Prints the settings in effect instead: file, environment and flags applied.
    #[arg(long)]
    pub(crate) effective: bool,
}

/// `settings`: the documented reference of every setting.
pub(crate) fn run(_arguments: &Reference, _common: &crate::cli::Common) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

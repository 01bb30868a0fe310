//! `validate`: every fault of a settings file at once.

use clap::Args;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Validate {
    /// The settings file.
    pub(crate) file: std::path::PathBuf,
}

/// `validate`: every fault of a settings file at once.
pub(crate) fn run(_arguments: &Validate) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

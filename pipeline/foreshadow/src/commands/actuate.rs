//! `actuate`: decisions carried out by an orchestrator's adapter.

use clap::Args;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Actuate {
    /// The orchestrator.
    #[arg(long)]
    pub(crate) orchestrator: String,
}

/// `actuate`: decisions carried out by an orchestrator's adapter.
pub(crate) fn run(_arguments: &Actuate, _settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

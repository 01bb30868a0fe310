//! `explain`: one decision with everything that led to it.

use clap::Args;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// A decision's id, or a workload for its newest decision.
    pub(crate) decision: String,
}

/// `explain`: one decision with everything that led to it.
pub(crate) fn run(_arguments: &Explain, _settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

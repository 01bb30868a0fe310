//! `run`: the pipeline between the topics.

use clap::Args;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Writes history as Parquet into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<std::path::PathBuf>,
    /// Timely workers; the number never changes a decision.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
}

/// `run`: the pipeline between the topics.
pub(crate) fn run(_arguments: &Run, _settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

//! `sql`: statements over the topics and the history, one-shot or interactive.

use clap::Args;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Sql {
    /// The statement; without it, an interactive prompt.
    pub(crate) statement: Option<String>,
}

/// `sql`: statements over the topics and the history, one-shot or interactive.
pub(crate) fn run(_arguments: &Sql, _settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

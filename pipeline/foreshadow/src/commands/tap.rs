//! `tap`: a topic, printed live.

use clap::Args;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Tap {
    /// The topic's short name, such as `decisions`.
    pub(crate) topic: String,
}

/// `tap`: a topic, printed live.
pub(crate) fn run(_arguments: &Tap, _settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

//! `profile`: this machine's readings, once or as a stream of samples.

use clap::Args;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Profile {
    /// Prints this machine's readings over one second and ends; no broker is needed.
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: one JSON array.
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Samples the machine itself too, as workload `host`.
    #[arg(long)]
    pub(crate) host: bool,
}

/// `profile`: this machine's readings, once or as a stream of samples.
pub(crate) fn run(_arguments: &Profile, _settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

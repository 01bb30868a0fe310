//! `actuate`: decisions carried out by an orchestrator's adapter, and the outcomes reported.

mod actuator;
#[cfg(test)]
mod fixtures;
mod fleet;
pub(crate) mod inventory;
pub(crate) mod local;
pub(crate) mod predecessor;

use clap::{Args, ValueEnum};

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Actuate {
    /// The orchestrator whose adapter carries decisions out.
    #[arg(long, value_enum)]
    pub(crate) orchestrator: Orchestrator,
    #[command(flatten)]
    pub(crate) fleet: fleet::Fleet,
    #[command(flatten)]
    pub(crate) local: local::Local,
}

/// The orchestrators that there are adapters for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Orchestrator {
    /// A fleet of six simulated workloads, which this command runs itself
    Simulated,
    /// Services on this machine in control groups, which this command starts from --services
    Cgroup,
    /// Containers of an engine on this machine, Docker or Podman, which somebody else has started
    Docker,
}

/// `actuate`: decisions carried out by an orchestrator's adapter, and the outcomes reported.
pub(crate) fn run(arguments: &Actuate, settings: &Settings) -> anyhow::Result<()> {
    match arguments.orchestrator {
        Orchestrator::Simulated => fleet::host(&arguments.fleet, settings),
        Orchestrator::Cgroup => local::cgroups(&arguments.local, settings),
        Orchestrator::Docker => local::docker(&arguments.local, settings),
    }
}

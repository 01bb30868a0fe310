//! Hosts the adapters of this machine: services in control groups, or the containers of an engine.
//!
//! At the end services are stopped, unless they are to be kept. Where this process fails or is killed, primaries run on and
//! the next one adopts them; shadows end by themselves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use orchestrators::{Adapter, Cgroups, Docker, HostLimits, Services};
use schemas::{EventTime, Outcome, Selector, ShadowSettings, Workload, WorkloadId};
use topics::Log;

use super::actuator::Actuator;
use super::inventory;
use super::predecessor::Predecessor;
use crate::connect::connect_with_topics;
use crate::instant;
use crate::pace::Pace;
use crate::settings::Settings;
use crate::stop::{self, Stop};

/// Until records are tried again that could not be written.
const RETRY: Duration = Duration::from_secs(30);

/// What the adapters of this machine take.
#[derive(Args, Debug)]
#[command(next_help_heading = "This machine's services")]
pub(crate) struct Local {
    /// The file of services: what runs, within which bounds, and who pays. Programs are started from here only.
    #[arg(long, value_name = "FILE", required_if_eq_any([("orchestrator", "cgroup"), ("orchestrator", "docker")]))]
    pub(crate) services: Option<PathBuf>,
    /// The socket of the containers' engine.
    #[arg(long, value_name = "PATH", default_value = "/var/run/docker.sock")]
    pub(crate) socket: PathBuf,
    /// Leaves services in control groups running at the end, for the next adapter to adopt. Without it they are asked to end,
    /// and killed after 10 s. Shadows end in any case; containers run on in any case.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Between two rounds: how late a decision is carried out at most.
const ROUND: Duration = Duration::from_millis(20);

/// Between two looks at whether records have to be put right, because a shadow came or went, or another program runs.
const RECORDS: Duration = Duration::from_secs(1);

/// A workload, what runs of it and where, and its shadow.
type Known = (WorkloadId, Option<String>, Selector, Option<ShadowSettings>);

/// Hosts services in control groups until it is asked to stop.
pub(crate) fn cgroups(arguments: &Local, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let services = services(arguments, "cgroup")?;
    let log = connect_with_topics(settings)?;
    let mut adapter = Cgroups::new(services, "", HostLimits::default())?;
    let predecessor = restored(log.as_ref(), &mut adapter, Cgroups::restore)?;
    adapter.start(instant::now())?;
    host(log.as_ref(), &mut adapter, predecessor, settings, &stop)?;
    adapter.end_shadows();
    if let Err(error) = inventory::publish(log.as_ref(), &adapter, instant::now()) {
        tracing::warn!(%error, "the records still name the shadows that have ended");
    }
    tracing::info!(counts = ?adapter.counts(), keep = arguments.keep, "ending");
    if arguments.keep {
        adapter.leave()
    } else {
        adapter.stop()
    }
    Ok(())
}

/// Hosts the containers of an engine until it is asked to stop; they run on.
pub(crate) fn docker(arguments: &Local, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let services = services(arguments, "docker")?;
    let log = connect_with_topics(settings)?;
    let mut adapter = Docker::connect(services, &arguments.socket)?;
    let predecessor = restored(log.as_ref(), &mut adapter, Docker::restore)?;
    host(log.as_ref(), &mut adapter, predecessor, settings, &stop)
}

fn services(arguments: &Local, orchestrator: &str) -> anyhow::Result<Services> {
    let file = arguments.services.as_ref().expect("required with these orchestrators");
    Ok(Services::read(file, orchestrator)?)
}

/// What was in force last goes to the adapter before it begins.
fn restored<A: Adapter>(
    log: &dyn Log,
    adapter: &mut A,
    restore: impl Fn(&mut A, &Outcome) -> bool,
) -> anyhow::Result<Predecessor> {
    let predecessor = Predecessor::read(log, adapter.name(), instant::now())?;
    let count = predecessor.in_force().filter(|outcome| restore(adapter, outcome)).count();
    tracing::info!(orchestrator = adapter.name(), restored = count, "carrying out");
    Ok(predecessor)
}

/// Carries decisions out until it is asked to stop, and keeps the records right.
pub(crate) fn host(
    log: &dyn Log,
    adapter: &mut dyn Adapter,
    predecessor: Predecessor,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut actuator = Actuator::start(log, predecessor, settings.engine.scaling.decision_ttl, instant::now())?;
    let mut rounds = Pace::new(ROUND, Instant::now());
    let mut records = Pace::new(RECORDS, Instant::now());
    let mut told = None;
    while !stop.wait(rounds.until_due(Instant::now())) {
        rounds.take(Instant::now());
        let now = instant::now();
        actuator.round(adapter, now)?;
        if records.take(Instant::now()) {
            let found = known_better(adapter, now);
            if told.as_ref() != Some(&found) {
                match inventory::publish(log, adapter, now) {
                    Ok(()) => told = Some(found),
                    // At the beginning it is a fault of the settings; later the log is away, and what runs is kept running.
                    Err(error) if told.is_some() => {
                        tracing::warn!(%error, "the records are put right later: another try in {RETRY:?}");
                        // Each try keeps what is looked after waiting.
                        records = Pace::new(RECORDS, Instant::now() + RETRY);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    tracing::info!(done = ?actuator.counts(), "carried out");
    actuator.finish()
}

/// What the adapter knows better of each workload, as far as it changes: a record that names a shadow which has failed would be
/// waited for.
fn known_better(adapter: &dyn Adapter, now: EventTime) -> Vec<Known> {
    let (workloads, _) = adapter.inventory(now);
    let known = |found: Workload| (found.workload, found.revision, found.selector, found.shadow);
    workloads.into_iter().map(known).collect()
}

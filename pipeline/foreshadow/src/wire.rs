//! Where things connect: log → intake → engine → publisher → log, with history beside them.
//!
//! ```text
//! log ─ Intake (merge) ─► Engine ─ commits ─► Publisher ─► log, one transaction per closed ticks
//!          └──────────── Archive ◄───────────────┘
//! ```
//!
//! One thread reads, one publishes, one archives; the engine has its own. Every channel between them is bounded, so a
//! slow end holds back the beginning. A fault that cannot be tried again ends all of them.

mod archive;
mod intake;
mod merge;
mod publish;

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use dataflow::{Engine, EngineSettings};
use query::History;
use schemas::{Progress, Topic};
use topics::{Delivery, Log, latest};

use crate::stop::Stop;
use archive::Archive;
use intake::{Intake, Sources};
use publish::Publisher;

/// A running pipeline.
pub(crate) struct Pipeline {
    stop: Stop,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    archive: Option<JoinHandle<()>>,
}

/// What a pipeline is made of, besides the log.
pub(crate) struct Parts<'a> {
    /// The worker group; it writes under this name, and a second pipeline of the same name takes over.
    pub(crate) group: &'a str,
    /// The dataflow's settings.
    pub(crate) engine: &'a EngineSettings,
    /// After how long a silent partition no longer counts.
    pub(crate) idle_after: Duration,
    /// Whether silence is also measured by the clock: not where the log's times are simulated.
    pub(crate) clocked: bool,
    /// Where history goes.
    pub(crate) history: Option<History>,
}

impl Pipeline {
    /// Takes the group over, reads how far its outputs reach, and starts.
    ///
    /// # Errors
    /// As [`Log::writer`], [`Log::reader`] and [`Engine::start`].
    pub(crate) fn start(log: &dyn Log, parts: Parts<'_>, stop: Stop) -> anyhow::Result<Self> {
        // Invariant: the progress is read after the predecessor has lost the right to write.
        let writer = log.writer(Delivery::Transactional { id: format!("foreshadow-{}", parts.group) })?;
        let settled = latest::<Progress>(log)?.nouns.remove(parts.group);
        if let Some(settled) = &settled {
            tracing::info!(frontier = %settled.frontier, commits = settled.sequence, "outputs reach up to here");
        }
        let partitions = log.partitions(Topic::Samples)?;
        let engine = Engine::start(parts.engine, usize::try_from(partitions).context("partitions")?)?;
        let commits = engine.commits().clone();
        let (archive, archiving) = parts.history.map(Archive::start).transpose()?.unzip();
        let progress =
            settled.clone().unwrap_or_else(|| Progress { group: parts.group.to_owned(), ..Progress::default() });
        let publisher = Publisher::new(writer, progress, archive.clone(), stop.clone());
        let idle_after = parts.idle_after;
        let sources = Sources { log, engine, partitions, idle_after, settled, archive, stop: stop.clone() };
        let (intake, clocked) = (Intake::new(sources)?, parts.clocked);
        let threads =
            vec![thread("publisher", move || publisher.run(&commits))?, thread("intake", move || intake.run(clocked))?];
        Ok(Self { stop, threads, archive: archiving })
    }

    /// Waits for its end, by the wish to stop or by a fault.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn join(self) -> anyhow::Result<()> {
        let ends: Vec<_> = self.threads.into_iter().map(end_of).collect();
        if let Some(archive) = self.archive {
            archive.join().map_err(|_| anyhow!("the archive's thread panicked"))?;
        }
        ends.into_iter().collect()
    }

    /// Stops it and waits.
    ///
    /// # Errors
    /// As [`Pipeline::join`].
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.stop.request();
        self.join()
    }
}

fn thread(
    name: &str,
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> std::io::Result<JoinHandle<anyhow::Result<()>>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

fn end_of(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    thread.join().map_err(|_| anyhow!("the {name}'s thread panicked"))?
}

#[cfg(test)]
mod tests {
    use schemas::{EventTime, Sample, SourceId, WorkloadId};
    use topics::{Embedded, EmbeddedSettings, Outgoing};

    use super::*;

    #[test]
    fn a_stop_in_the_midst_of_a_replay_ends_it() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(Topic::ALL, 1).expect("new topics");
        let record = |second: u64| {
            let time = EventTime::from_millis(second * 1000);
            let sample = Sample::new(time, WorkloadId::new("web").expect("a name"));
            Outgoing::samples(&SourceId::new("agent").expect("a name"), time, &[sample])
        };
        let records: Vec<_> = (1..5_000).map(record).collect();
        log.writer(Delivery::Idempotent).expect("a writer").append(&records).expect("room");
        // Everything is full at once, so that each end waits for the next.
        let engine =
            EngineSettings { deliveries_max: 1, commits_max: 1, ticks_in_flight_max: 8, ..EngineSettings::default() };
        let parts = Parts {
            group: "test",
            engine: &engine,
            idle_after: Duration::from_secs(60),
            clocked: false,
            history: None,
        };
        let pipeline = Pipeline::start(&log, parts, Stop::default()).expect("a log in memory");
        while latest::<Progress>(&log).expect("a log in memory").nouns.is_empty() {
            std::thread::yield_now();
        }
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(pipeline.stop().is_ok()));
        assert_eq!(ended.recv_timeout(Duration::from_secs(30)), Ok(true));
    }
}

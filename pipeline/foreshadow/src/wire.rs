//! Where things connect: log → intake → engine → publisher → log, with history beside them.
//!
//! ```text
//! log ─ Intake (merge) ─► Engine ─ commits ─► Publisher ─► log, one transaction per closed ticks
//!          │                └─ pieces ─► Keeper ─► Shelf
//!          └──────────── Archive ◄───────────────┘
//! ```
//!
//! One thread reads, one publishes, one archives, one keeps snapshots; the engine has its own. Every channel between them
//! is bounded, so a slow end holds back the beginning. A fault that cannot be tried again ends all of them.

mod archive;
mod intake;
mod keeper;
mod merge;
mod publish;
mod settled;
mod shelf;

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use dataflow::snapshot::Restore;
use dataflow::{Engine, EngineSettings, Start};
use query::History;
use schemas::{EventTime, Progress, Topic};
use topics::{Delivery, Log, latest};

use crate::stop::Stop;
use archive::Archive;
use intake::{Intake, Sources};
use keeper::{Keeper, Reached};
use publish::Publisher;
use settled::Settled;
pub(crate) use shelf::Shelf;

/// A running pipeline.
pub(crate) struct Pipeline {
    stop: Stop,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    /// Archive and keeper, which end with those who feed them.
    beside: Vec<(&'static str, JoinHandle<()>)>,
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
    /// Where snapshots are kept.
    pub(crate) shelf: Option<Shelf>,
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
        let (published, oldest) = (Reached::default(), Reached::default());
        let restore = restore(log, parts.shelf.as_ref(), settled.as_ref(), parts.history.as_ref())?;
        let resumes = restore.as_ref().map(Restore::resumes).unwrap_or_default();
        let mut beside = Vec::new();
        let mut snapshots = None;
        if let Some(shelf) = parts.shelf {
            let slot_ms = parts.history.as_ref().map(History::slot_ms);
            let keeper = Keeper::new(shelf, parts.engine.workers, slot_ms, published.clone(), oldest.clone());
            let (cuts, keeper) = keeper.start()?;
            snapshots = Some(cuts);
            beside.push(("keeper", keeper));
        }
        let partitions = log.partitions(Topic::Samples)?;
        let count = usize::try_from(partitions).context("partitions")?;
        let start = Start { partitions: count, snapshots, restore };
        let engine = Engine::start_with(parts.engine, start)?;
        let commits = engine.commits().clone();
        let (archive, archiving) = parts.history.map(Archive::start).transpose()?.unzip();
        beside.extend(archiving.map(|archive| ("archive", archive)));
        let progress =
            settled.clone().unwrap_or_else(|| Progress { group: parts.group.to_owned(), ..Progress::default() });
        let settled = Settled::of(settled.as_ref());
        let publisher = Publisher::new(writer, progress, (published, oldest), archive.clone(), stop.clone());
        let idle_after = parts.idle_after;
        let sources = Sources { log, engine, partitions, idle_after, settled, resumes, archive, stop: stop.clone() };
        let (intake, clocked) = (Intake::new(sources)?, parts.clocked);
        let threads =
            vec![thread("publisher", move || publisher.run(&commits))?, thread("intake", move || intake.run(clocked))?];
        Ok(Self { stop, threads, beside })
    }

    /// Waits for its end, by the wish to stop or by a fault.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn join(self) -> anyhow::Result<()> {
        let ends: Vec<_> = self.threads.into_iter().map(end_of).collect();
        for (name, thread) in self.beside {
            thread.join().map_err(|_| anyhow!("the {name}'s thread panicked"))?;
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

/// The snapshot to begin from: none later than the published outputs, than the history that is written, or than the log.
fn restore(
    log: &dyn Log,
    shelf: Option<&Shelf>,
    settled: Option<&Progress>,
    history: Option<&History>,
) -> anyhow::Result<Option<Restore>> {
    let (Some(shelf), Some(settled)) = (shelf, settled) else { return Ok(None) };
    let written = history.map(History::written).transpose()?.map_or(EventTime::MAX, Option::unwrap_or_default);
    let Some(restore) = shelf.newest(settled.frontier, written) else { return Ok(None) };
    for resume in restore.resumes() {
        let Some(topic) = Topic::of_noun(&resume.noun) else { continue };
        let (_, end) = log.watermarks(topic, resume.partition)?;
        if resume.offset > end {
            let (at, partition, offset) = (restore.at(), resume.partition, resume.offset);
            tracing::warn!(%at, topic = topic.name(), partition, offset, end, "the snapshot is of another log: it is passed over");
            return Ok(None);
        }
    }
    tracing::info!(at = %restore.at(), "begins from a snapshot");
    Ok(Some(restore))
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
            shelf: None,
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

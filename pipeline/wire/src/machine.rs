//! The parts of a pipeline, connected and at rest.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, bounded};
use dataflow::snapshot::{Cut, Restore};
use dataflow::{Cell, Commit, Commits, Engine, EngineSettings, Start};
use schemas::{EventTime, Progress, Topic};
use topics::{Delivery, Log, latest};

use crate::archive::Archived;
use crate::intake::{Intake, Sources};
use crate::keeper::Keeper;
use crate::marks::{Marks, Way};
use crate::publish::Publisher;
use crate::settled::Settled;
use crate::shelf::Shelf;

/// Pieces of snapshots that may wait for the disk: a worker that cuts waits beyond it.
const CUTS_MAX: usize = 256;

/// What a pipeline is made of, besides the log.
pub struct Parts<'a> {
    /// The worker group; it writes under this name, and a second pipeline of the same name takes over.
    pub group: &'a str,
    /// The dataflow's settings.
    pub engine: &'a EngineSettings,
    /// After how long a silent partition no longer counts.
    pub idle_after: Duration,
    /// Whether silence is also measured by the clock: not where the log's times are simulated.
    pub clocked: bool,
    /// Where history goes.
    pub history: Option<Archived>,
    /// Where snapshots are kept.
    pub shelf: Option<Shelf>,
    /// Whether workers step on command only, and pieces wait without bound: for a simulation, which drives all of it from one
    /// thread.
    pub stepped: bool,
    /// Its place, where the workers are those of a cell of several processes: the first, which alone is a pipeline.
    pub cell: Option<Cell>,
}

impl<'a> Parts<'a> {
    /// A pipeline by the clock, without history and snapshots.
    #[must_use]
    pub const fn new(group: &'a str, engine: &'a EngineSettings, idle_after: Duration) -> Self {
        Self { group, engine, idle_after, clocked: true, history: None, shelf: None, stepped: false, cell: None }
    }
}

/// Reader, workers, publishers and keeper: whoever holds them gives each its turns.
pub struct Machine {
    /// Reads and feeds the workers.
    pub intake: Intake,
    /// What is acted on: decisions, anomalies, dead letters.
    pub decisions: Outlet,
    /// What is read, which may come after: features, forecasts.
    pub features: Outlet,
    /// Keeps what the workers cut.
    pub keeper: Option<(Keeper, Receiver<Cut>)>,
    /// The snapshot that it has begun from.
    pub restored: Option<EventTime>,
}

/// One of the two ways out.
pub struct Outlet {
    /// What the workers have closed.
    pub commits: Receiver<Commit>,
    /// Publishes it.
    pub publisher: Publisher,
}

impl Machine {
    /// Takes the group over, reads how far its outputs reach, and starts the workers.
    ///
    /// # Errors
    /// As [`Log::writer`], [`Log::reader`] and [`Engine::start`].
    pub fn assemble(log: &dyn Log, parts: &mut Parts<'_>) -> anyhow::Result<Self> {
        let groups = [parts.group.to_owned(), Progress::of_features(parts.group)];
        // Invariant: the progress is read after the predecessor has lost the right to write.
        let writer = |group| log.writer(Delivery::Transactional { id: format!("foreshadow-{group}") });
        let writers = [writer(&groups[0])?, writer(&groups[1])?];
        let found = latest::<Progress>(log)?;
        let unread = found.undecodable.iter().find(|(record, _)| groups.contains(&record.source()));
        if let Some((record, error)) = unread {
            // Without it all outputs would be published a second time.
            bail!("the progress of {} cannot be read: run the version that wrote it: {error}", record.source());
        }
        let mut found = found.nouns;
        let settled = Settled::of(found.get(parts.group));
        let progress = groups.map(|group| found.remove(&group).unwrap_or(Progress { group, ..Progress::default() }));
        let frontiers = progress.each_ref().map(|progress| progress.frontier);
        tracing::info!(decisions = %frontiers[0], features = %frontiers[1], "outputs reach up to here");
        let restore = restore(log, parts, frontiers[0].min(frontiers[1]))?;
        let restored = restore.as_ref().map(Restore::at);
        let resumes = restore.as_ref().map(Restore::resumes).unwrap_or_default();
        let marks = Marks::default();
        let slot_ms = parts.history.as_ref().map(|history| history.slot_ms);
        let (snapshots, keeper) = parts
            .shelf
            .clone()
            .map(|shelf| {
                let (cut, cuts) = if parts.stepped { crossbeam_channel::unbounded() } else { bounded(CUTS_MAX) };
                let processes = parts.cell.as_ref().map_or(1, |cell| cell.sockets.len());
                let workers = processes * parts.engine.workers;
                let keeper = Keeper::new(shelf, workers, slot_ms, marks.clone());
                (cut, (keeper, cuts))
            })
            .unzip();
        let partitions = log.partitions(Topic::Samples)?;
        let count = usize::try_from(partitions).context("partitions")?;
        let (stepped, cell) = (parts.stepped, parts.cell.take());
        // History is written anew from where its slot begins, whatever was published.
        let told_before = if parts.history.is_some() { EventTime::default() } else { frontiers[1] };
        let mute_after = Some(parts.idle_after);
        let start = Start { partitions: count, snapshots, restore, told_before, mute_after, stepped, cell };
        let engine = Engine::start_with(parts.engine, start)?;
        let Commits { decisions, features } = engine.commits().clone();
        let archive = || parts.history.as_ref().map(|history| Arc::clone(&history.archive));
        let ([decides, describes], [decided, described]) = (writers, progress);
        let outlet = |way, commits, writer, progress| Outlet {
            commits,
            publisher: Publisher::new(writer, progress, (way, marks.clone()), archive()),
        };
        let decisions = outlet(Way::ActedOn, decisions, decides, decided);
        let features = outlet(Way::Read, features, describes, described);
        let idle_after = parts.idle_after;
        let sources = Sources { log, engine, partitions, idle_after, settled, resumes, archive: archive() };
        Ok(Self { intake: Intake::new(sources)?, decisions, features, keeper, restored })
    }
}

/// The snapshot to begin from: none later than the published outputs, than the history that is written, or than the log.
fn restore(log: &dyn Log, parts: &Parts<'_>, published: EventTime) -> anyhow::Result<Option<Restore>> {
    let Some(shelf) = &parts.shelf else { return Ok(None) };
    let written = parts.history.as_ref().map_or(EventTime::MAX, |history| history.written);
    let Some(restore) = shelf.newest(published, written) else { return Ok(None) };
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

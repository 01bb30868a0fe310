//! The engine: timely workers behind two bounded channels.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use schemas::{EventTime, Topic};
use timely::communication::WorkerGuards;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::execute::execute_from;
use timely::worker::Worker;
use timely::{CommunicationConfig, WorkerConfig};

use crate::cell::{Cell, Given, bring_cuts, hand_out};
use crate::egress::Outlets;
use crate::graph::build;
use crate::ingest::{Feed, Intakes, owner};
use crate::snapshot::{Cut, Restore, Snapshots};
use crate::watermarks::Watermarks;
use crate::{Commit, Delivery, EngineSettings, Rest};

/// How long a worker sleeps at most while nothing happens.
const PARK: Duration = Duration::from_millis(2);

/// How soon a source without deliveries looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Why the engine could not start, or takes nothing more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Settings that cannot be used: every fault, with its mend.
    #[error("settings cannot be used: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The workers could not be started.
    #[error("the workers could not be started: {0}")]
    Start(String),
    /// The workers have ended.
    #[error("the workers have ended")]
    Ended,
}

/// Running workers.
///
/// Deliveries go in by partition, in offset order; commits come out in order of their frontiers, decisions before the features
/// of their ticks. All ways are bounded: [`Engine::deliver`] waits while the workers are busy, and the workers wait while
/// nobody takes commits.
pub struct Engine {
    feeds: Option<Vec<Sender<Feed>>>,
    watermarks: Arc<Watermarks>,
    commits: Commits,
    stop: Arc<AtomicBool>,
    guards: Option<WorkerGuards<()>>,
    in_cell: bool,
    /// By worker, where they step on command only.
    batons: Vec<Baton>,
}

/// What comes out: each in order, and closed once the input has ended and all is handed out. Whoever leaves one of them alone
/// stops the workers.
#[derive(Clone, Debug)]
pub struct Commits {
    /// What is acted on: decisions, anomalies, dead letters, and what was taken in.
    pub decisions: Receiver<Commit>,
    /// What is read: features and forecasts.
    pub features: Receiver<Commit>,
}

impl Commits {
    /// The next of either; waits for it. None once both are closed.
    #[must_use]
    pub fn next(&self) -> Option<Commit> {
        select! {
            recv(self.decisions) -> commit => commit.or_else(|_| self.features.recv()).ok(),
            recv(self.features) -> commit => commit.or_else(|_| self.decisions.recv()).ok(),
        }
    }
}

/// One end of what passes between the engine and a worker that steps on command: the baton goes there for a step, and
/// back once it is done.
struct Baton {
    out: Sender<()>,
    back: Receiver<()>,
}

impl Baton {
    /// Both ends.
    fn pair() -> (Self, Self) {
        let ((out, there), (here, back)) = (bounded(1), bounded(1));
        (Self { out, back }, Self { out: here, back: there })
    }
}

/// What an engine is started with beside its settings.
#[derive(Default)]
pub struct Start {
    /// Partitions of the samples.
    pub partitions: usize,
    /// Where snapshots go; without it none are made.
    pub snapshots: Option<Sender<Cut>>,
    /// The snapshot to begin from.
    pub restore: Option<Restore>,
    /// Features of ticks before it have been published, and nobody needs them again: they are not made.
    pub told_before: EventTime,
    /// How long a partition of the samples may bring nothing but dead letters, by the log's times, before it no longer holds
    /// the frontier back; without it it does for ever.
    pub mute_after: Option<Duration>,
    /// Whether workers take a step only when [`Engine::step`] says so, one at a time, whatever the clock.
    pub stepped: bool,
    /// Its place, where the workers are those of a cell: the first process's, since the others [`serve`].
    pub cell: Option<Cell>,
}

impl Engine {
    /// Starts the workers for a number of partitions of the samples, with nothing known.
    ///
    /// # Errors
    /// [`EngineError::Settings`] or [`EngineError::Start`].
    pub fn start(settings: &EngineSettings, partitions: usize) -> Result<Self, EngineError> {
        Self::start_with(settings, Start { partitions, ..Start::default() })
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// [`EngineError::Settings`] or [`EngineError::Start`].
    pub fn start_with(settings: &EngineSettings, start: Start) -> Result<Self, EngineError> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(EngineError::Settings(faults));
        }
        let (feeds, feed_ends): (Vec<_>, Vec<_>) =
            (0..settings.workers).map(|_| bounded(settings.deliveries_max)).unzip();
        let (decisions_end, decisions) = bounded(settings.commits_max);
        let (features_end, features) = bounded(settings.commits_max);
        let commits = Commits { decisions, features };
        let stop = Arc::new(AtomicBool::new(false));
        let outlets = Outlets::new([decisions_end, features_end], start.stepped, &stop).map_err(EngineError::Start)?;
        let restored_at = start.restore.as_ref().map_or(0, |restore| restore.at().millis());
        let watermarks = Arc::new(Watermarks::new(start.partitions, restored_at));
        let in_cell = start.cell.is_some();
        let crew = Crew {
            settings: settings.clone(),
            in_cell,
            watermarks: Arc::clone(&watermarks),
            snapshots: start.snapshots,
            restored_at,
            told_before: start.told_before.millis(),
            mute_ms: start.mute_after.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        };
        // What a worker takes for itself is let go with it: the commits end with the workers, a snapshot with their start.
        let restore = start.restore.map(Arc::new);
        let mut batons = Vec::new();
        let own = feed_ends.into_iter().map(|feed| {
            let baton = start.stepped.then(|| {
                let (ours, theirs) = Baton::pair();
                batons.push(ours);
                theirs
            });
            Own { feed, outlets: outlets.clone(), stop: Arc::clone(&stop), restore: restore.clone(), baton }
        });
        let guards = crew.spawn(own.collect(), start.cell).map_err(EngineError::Start)?;
        // The first step finds all stages of all workers built.
        batons.iter().for_each(|baton| _ = baton.back.recv());
        Ok(Self { feeds: Some(feeds), watermarks, commits, stop, guards: Some(guards), in_cell, batons })
    }

    /// Lets a worker that steps on command take one step, and waits for it; false once it has ended.
    ///
    /// # Panics
    /// If there is no such worker, or the engine was not started so.
    #[must_use]
    pub fn step(&self, worker: usize) -> bool {
        let Baton { out, back } = &self.batons[worker];
        out.send(()).is_ok() && back.recv().is_ok()
    }

    /// Hands in a record; waits while the worker's channel is full. Records of one partition come in offset order.
    ///
    /// # Errors
    /// [`EngineError::Ended`] when the input was ended or the workers are gone.
    pub fn deliver(&self, delivery: Delivery) -> Result<(), EngineError> {
        let mut partition = 0;
        if delivery.topic == Topic::Samples {
            partition = delivery.partition;
            self.watermarks.wake(usize::try_from(partition).expect("partitions count from zero"));
        }
        self.feed(partition, Feed::Delivery(delivery))
    }

    /// Declares a partition of the samples idle: until its next record it holds the frontier back only as far as it may not
    /// rest.
    ///
    /// # Errors
    /// As [`Engine::deliver`].
    pub fn idle(&self, partition: i32, rest: Rest) -> Result<(), EngineError> {
        rest.until().map_or(Ok(()), |until| self.feed(partition, Feed::Idle(partition, until)))
    }

    /// What comes out.
    #[must_use]
    pub const fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Ends the input: every open tick closes, and the last commit reaches the end of time.
    pub fn finish(&mut self) {
        self.feeds = None;
    }

    /// Stops the workers where they are. Open ticks are dropped, not closed: what they would have said is not known.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.feeds = None;
        self.batons.clear();
        match self.guards.take() {
            // Those of another process would be waited for, and may be gone: the process is to end now.
            Some(guards) if self.in_cell => std::mem::forget(guards),
            guards => drop(guards),
        }
    }

    fn feed(&self, partition: i32, feed: Feed) -> Result<(), EngineError> {
        let feeds = self.feeds.as_ref().ok_or(EngineError::Ended)?;
        feeds[owner(partition, feeds.len())].send(feed).map_err(|_| EngineError::Ended)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the workers of a process of a cell that is not its first, until the cell ends.
///
/// # Errors
/// [`EngineError::Start`] when the others cannot be reached.
///
/// # Panics
/// In a thread of its own, when another process is gone: the whole cell has to begin again.
pub fn serve(cell: Cell, workers: usize) -> Result<(), EngineError> {
    let (builders, connections) = cell.builders(workers).map_err(EngineError::Start)?;
    let guards = execute_from(builders, connections, WorkerConfig::default(), |worker| {
        let given = hand_out(worker, Vec::new()).expect("the first process gives to every worker");
        let (cut, cuts) = crossbeam_channel::unbounded();
        let at = EventTime::from_millis(given.restored_at);
        let stop = Arc::new(AtomicBool::new(false));
        let snapshots = Rc::new(Snapshots {
            every_ms: given.settings.snapshot_every.millis(),
            worker: worker.index(),
            workers: worker.peers(),
            out: given.kept.then_some(cut),
            stop: Arc::clone(&stop),
            restored_at: given.restored_at,
            told_before: given.told_before,
            mute: 1,
            restore: RefCell::new((given.restored_at > 0).then(|| Arc::new(Restore::new(at, given.pieces)))),
            ..Snapshots::default()
        });
        bring_cuts(worker, Some(cuts), &snapshots);
        let watermarks = Arc::new(Watermarks::new(0, given.restored_at));
        let probe = Probe::new();
        let intakes = Intakes { feed: None, readers: 0, watermarks, probe, look_again: LOOK_AGAIN, mute_ms: None };
        // Nothing leaves the cell here: the first worker gathers it.
        let outlets = Outlets::new([bounded(0).0, bounded(0).0], true, &stop).expect("no thread is started");
        live(worker, (intakes, outlets), &given.settings, &snapshots, None);
        // What was cut last goes out, and then no more comes.
        stop.store(true, Ordering::Release);
    });
    guards.map_err(EngineError::Start)?.join().into_iter().try_for_each(|ended| ended.map_err(EngineError::Start))
}

/// What all workers of a process share.
struct Crew {
    settings: EngineSettings,
    in_cell: bool,
    watermarks: Arc<Watermarks>,
    snapshots: Option<Sender<Cut>>,
    restored_at: u64,
    told_before: u64,
    mute_ms: Option<u64>,
}

/// What each worker takes for itself.
struct Own {
    feed: Receiver<Feed>,
    outlets: Outlets,
    stop: Arc<AtomicBool>,
    restore: Option<Arc<Restore>>,
    baton: Option<Baton>,
}

impl Crew {
    fn spawn(self, own: Vec<Own>, cell: Option<Cell>) -> Result<WorkerGuards<()>, String> {
        let own: Vec<_> = own.into_iter().map(|own| Mutex::new(Some(own))).collect();
        let workers = self.settings.workers;
        let (builders, connections) = match cell {
            Some(cell) => cell.builders(workers)?,
            None => CommunicationConfig::Process(workers).try_build()?,
        };
        execute_from(builders, connections, WorkerConfig::default(), move |worker| {
            let own = own[worker.index()].lock().expect("no worker panics while it holds the lock").take();
            self.work(worker, own.expect("each worker takes its own once"));
        })
    }

    /// The life of a worker.
    fn work(&self, worker: &mut Worker, own: Own) {
        let Own { feed, outlets, stop, restore, baton } = own;
        let _alarm = Alarm(Arc::clone(&stop));
        let index = worker.index();
        let snapshots = Rc::new(Snapshots {
            every_ms: self.settings.snapshot_every.millis(),
            worker: index,
            workers: worker.peers(),
            out: self.snapshots.clone(),
            stop,
            restored_at: self.restored_at,
            told_before: self.told_before,
            restore: RefCell::new(restore),
            ..Snapshots::default()
        });
        if self.in_cell {
            let (own, all) = (self.settings.workers, worker.peers());
            let others = (own..all).filter(|_| index == 0);
            let giving = others.map(|other| (other as u64, Given::to(other, all, &self.settings, &snapshots)));
            hand_out(worker, giving.collect());
            bring_cuts(worker, None, &snapshots);
        }
        let look_again = if baton.is_some() { Duration::ZERO } else { LOOK_AGAIN };
        let (watermarks, readers) = (Arc::clone(&self.watermarks), self.settings.workers);
        let (feed, probe, mute_ms) = (Some(feed), Probe::new(), self.mute_ms);
        let intakes = Intakes { feed, readers, watermarks, probe, look_again, mute_ms };
        live(worker, (intakes, outlets), &self.settings, &snapshots, baton);
    }
}

/// Stops the other workers where one panics: they would wait for it.
struct Alarm(Arc<AtomicBool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Builds a worker's stages, and steps until they are done or it is to stop.
fn live(
    worker: &mut Worker,
    (intakes, outlets): (Intakes, Outlets),
    settings: &EngineSettings,
    snapshots: &Rc<Snapshots>,
    baton: Option<Baton>,
) {
    let probe = intakes.probe.clone();
    worker.dataflow::<u64, _, _>(|scope| build(scope, intakes, outlets, settings, snapshots));
    // The stages have taken what was theirs.
    snapshots.restore.take();
    let ended = || snapshots.stopped() || probe.done();
    match baton {
        None => {
            while !ended() {
                worker.step_or_park(Some(PARK));
            }
        }
        Some(Baton { out, back }) => {
            let _ = out.send(());
            for () in back.iter().take_while(|()| !ended()) {
                worker.step();
                // Where nobody takes it back, none will come again either.
                let _ = out.send(());
            }
        }
    }
    if !probe.done() {
        // Leaving with an open dataflow would make timely run it to its end.
        worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
    }
}

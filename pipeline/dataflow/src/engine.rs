//! The engine: timely workers behind two bounded channels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use schemas::Topic;
use timely::WorkerConfig;
use timely::communication::WorkerGuards;
use timely::dataflow::operators::probe::Handle as Probe;

use crate::egress::Outlet;
use crate::graph::build;
use crate::ingest::{Feed, Intakes};
use crate::watermarks::Watermarks;
use crate::{Commit, Delivery, EngineSettings};

/// How long a worker sleeps at most while nothing happens.
const PARK: Duration = Duration::from_millis(2);

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
/// Deliveries go in by partition, in offset order; commits come out in order of their frontiers. Both ways are bounded:
/// [`Engine::deliver`] waits while the workers are busy, and the workers wait while nobody takes commits.
pub struct Engine {
    feeds: Option<Vec<Sender<Feed>>>,
    watermarks: Arc<Watermarks>,
    commits: Receiver<Commit>,
    stop: Arc<AtomicBool>,
    guards: Option<WorkerGuards<()>>,
}

impl Engine {
    /// Starts the workers for a number of partitions of the samples.
    ///
    /// # Errors
    /// [`EngineError::Settings`] or [`EngineError::Start`].
    pub fn start(settings: &EngineSettings, partitions: usize) -> Result<Self, EngineError> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(EngineError::Settings(faults));
        }
        let (feeds, feed_ends): (Vec<_>, Vec<_>) =
            (0..settings.workers).map(|_| bounded(settings.deliveries_max)).unzip();
        let (commit_end, commits) = bounded(settings.commits_max);
        let stop = Arc::new(AtomicBool::new(false));
        let outlet = Outlet { commits: commit_end, stop: Arc::clone(&stop) };
        let watermarks = Arc::new(Watermarks::new(partitions));
        let guards = spawn(settings.clone(), feed_ends, outlet, Arc::clone(&watermarks)).map_err(EngineError::Start)?;
        Ok(Self { feeds: Some(feeds), watermarks, commits, stop, guards: Some(guards) })
    }

    /// Hands in a record; waits while the worker's channel is full. Records of one partition come in offset order.
    ///
    /// # Errors
    /// [`EngineError::Ended`] when the input was ended or the workers are gone.
    pub fn deliver(&self, delivery: Delivery) -> Result<(), EngineError> {
        // The control plane is read by worker 0: it is small, and every worker's frontier waits for it alike.
        let mut owner = 0;
        if delivery.topic == Topic::Samples {
            owner = delivery.partition;
            self.watermarks.wake(usize::try_from(owner).expect("partitions count from zero"));
        }
        self.feed(owner, Feed::Delivery(delivery))
    }

    /// Declares a partition of the samples idle: until its next record it does not hold the frontier back.
    ///
    /// # Errors
    /// As [`Engine::deliver`].
    pub fn idle(&self, partition: i32) -> Result<(), EngineError> {
        self.feed(partition, Feed::Idle(partition))
    }

    /// Commits, in order; closed once the input has ended and all is handed out.
    #[must_use]
    pub const fn commits(&self) -> &Receiver<Commit> {
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
        if let Some(guards) = self.guards.take() {
            drop(guards);
        }
    }

    fn feed(&self, partition: i32, feed: Feed) -> Result<(), EngineError> {
        let feeds = self.feeds.as_ref().ok_or(EngineError::Ended)?;
        let owner = usize::try_from(partition).unwrap_or(0) % feeds.len();
        feeds[owner].send(feed).map_err(|_| EngineError::Ended)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(
    settings: EngineSettings,
    feeds: Vec<Receiver<Feed>>,
    outlet: Outlet,
    watermarks: Arc<Watermarks>,
) -> Result<WorkerGuards<()>, String> {
    let feeds: Vec<Mutex<Option<Receiver<Feed>>>> = feeds.into_iter().map(|feed| Mutex::new(Some(feed))).collect();
    // The outlet lives in the workers alone, so that the commits end with them.
    let outlets: Vec<Mutex<Option<Outlet>>> = feeds.iter().map(|_| Mutex::new(Some(outlet.clone()))).collect();
    drop(outlet);
    let config = timely::Config { worker: WorkerConfig::default(), ..timely::Config::process(settings.workers) };
    timely::execute(config, move |worker| {
        let own = |slots: &Vec<Mutex<Option<Outlet>>>| slots[worker.index()].lock().ok()?.take();
        let outlet = own(&outlets).expect("each worker takes its outlet once");
        let feed = feeds[worker.index()].lock().expect("no worker panics while it holds the lock").take();
        let feed = feed.expect("each worker takes its feed once");
        let stop = Arc::clone(&outlet.stop);
        let intakes = Intakes { feed, watermarks: Arc::clone(&watermarks), probe: Probe::new() };
        let probe = intakes.probe.clone();
        worker.dataflow::<u64, _, _>(|scope| build(scope, intakes, outlet, &settings));
        while !stop.load(Ordering::Acquire) && !probe.done() {
            worker.step_or_park(Some(PARK));
        }
        if stop.load(Ordering::Acquire) {
            // Leaving with an open dataflow would make timely run it to its end.
            worker.drop_dataflow(worker.installed_dataflows().first().copied().unwrap_or_default());
        }
    })
    .map_err(|error| error.clone())
}

//! Snapshots: what every stage remembers at a tick, cut by key range, on its way out and back in.
//!
//! A snapshot *at* tick `t` holds what follows from all ticks before `t`, and nothing of `t` or later. Every stage folds
//! ticks in order, so each cuts by itself, at the multiples of `snapshot_every`, when it is about to pass one; no barrier
//! travels. A stage that passes several at once cuts the last of them. What all stages of all workers have cut at one tick
//! belongs together; what only some have cut is of no use and is dropped by whoever keeps the pieces.
//!
//! Pieces leave through a bounded channel: a keeper that cannot follow holds the workers back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use schemas::{EventTime, Topic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use timely::progress::frontier::MutableAntichain;

use crate::keys::RANGES;

/// The version of what the pieces hold: raised whenever a stage's state changes its form.
pub const FORMAT: u32 = 13;

/// How often a worker that waits for the keeper looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A stage that remembers something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Where each partition is read from, and how far it had come there.
    Ingest,
    /// The newest record of each key.
    Control,
    /// The champions.
    Models,
    /// Which workloads there are.
    Pair,
    /// Windows.
    Features,
    /// Detectors.
    Detect,
    /// Experts, and what the shadow has taught.
    Forecast,
    /// Ledgers and controllers.
    Decide,
}

/// How many stages there are.
const STAGES: usize = 8;

/// What one stage of one worker remembers of one key range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The stage.
    pub stage: Stage,
    /// The key range.
    pub range: u32,
    /// Its state.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// What comes out of the workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// A piece of the snapshot at a tick.
    Piece(EventTime, Piece),
    /// All pieces of one more worker at a tick have come.
    Whole(EventTime),
}

/// Where a partition of an input is read from after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The topic's short name.
    pub noun: String,
    /// The partition.
    pub partition: i32,
    /// The first record that had anything to say about the snapshot's tick or a later one.
    pub offset: i64,
    /// The newest sample before it, in milliseconds of event time.
    pub newest: Option<u64>,
    /// The first tick that it could still count in, by how far the others had come.
    pub floor: u64,
    /// The newest log time before it.
    pub handed_on: EventTime,
    /// The log's time of the last record that brought a sample.
    pub heard: EventTime,
    /// Whether the partition had been declared idle before it.
    pub idle: bool,
}

impl Resume {
    /// Whether it is about a partition of a topic.
    #[must_use]
    pub fn is_of(&self, topic: Topic, partition: i32) -> bool {
        self.noun == topic.noun() && self.partition == partition
    }
}

/// A snapshot to start from.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    at: EventTime,
    pieces: BTreeMap<(Stage, u32), Vec<Vec<u8>>>,
}

impl Restore {
    /// A snapshot at a tick, from pieces of all workers in any order.
    #[must_use]
    pub fn new(at: EventTime, pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut by_place = BTreeMap::<_, Vec<_>>::new();
        for Piece { stage, range, bytes } in pieces {
            by_place.entry((stage, range)).or_default().push(bytes);
        }
        Self { at, pieces: by_place }
    }

    /// The first tick that is not in it.
    #[must_use]
    pub const fn at(&self) -> EventTime {
        self.at
    }

    /// Where the inputs are read from.
    #[must_use]
    pub fn resumes(&self) -> Vec<Resume> {
        (0..RANGES as u32).flat_map(|range| self.entries(Stage::Ingest, range)).collect()
    }

    /// All pieces, as they were cut.
    pub(crate) fn pieces(&self) -> Vec<Piece> {
        let of = |(&(stage, range), pieces): (&(Stage, u32), &Vec<Vec<u8>>)| {
            pieces.iter().map(|bytes| Piece { stage, range, bytes: bytes.clone() }).collect::<Vec<_>>()
        };
        self.pieces.iter().flat_map(of).collect()
    }

    fn entries<T: DeserializeOwned>(&self, stage: Stage, range: u32) -> Vec<T> {
        let mut entries = Vec::new();
        for bytes in self.pieces.get(&(stage, range)).into_iter().flatten() {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                // The keeper has checked sums and FORMAT: what is left is a fault of ours, and must not become wrong state.
                let (entry, left) = postcard::take_from_bytes(rest)
                    .unwrap_or_else(|error| panic!("the snapshot's piece {stage:?} {range} cannot be read: {error}"));
                entries.push(entry);
                rest = left;
            }
        }
        entries
    }
}

/// What a worker's stages need to cut and to restore.
#[derive(Default)]
pub(crate) struct Snapshots {
    pub(crate) every_ms: u64,
    pub(crate) worker: usize,
    pub(crate) workers: usize,
    /// None where nobody keeps them.
    pub(crate) out: Option<Sender<Cut>>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Held only while the stages are built.
    pub(crate) restore: RefCell<Option<Arc<Restore>>>,
    /// The tick that was restored; zero without a snapshot.
    pub(crate) restored_at: u64,
    /// Features of ticks before it have been published, and nobody needs them again.
    pub(crate) told_before: u64,
    /// Stages that have nothing to remember in this worker: ingest, where it reads nothing.
    pub(crate) mute: usize,
    /// How many stages have cut at a tick.
    pub(crate) cut: RefCell<BTreeMap<u64, usize>>,
}

impl Snapshots {
    /// A stage's own way in and out.
    pub(crate) fn of(self: &Rc<Self>, stage: Stage) -> Cutter {
        Cutter { last: self.restored_at, stage, snapshots: Rc::clone(self) }
    }

    /// Whether the workers were told to end.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Hands a cut to the keeper; waits while it is busy.
    pub(crate) fn send(&self, mut cut: Cut) {
        let Some(out) = &self.out else { return };
        while !self.stopped() {
            match out.send_timeout(cut, LOOK_EVERY) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
                Err(SendTimeoutError::Timeout(back)) => cut = back,
            }
        }
    }
}

/// Cuts what one stage of a worker remembers.
pub(crate) struct Cutter {
    snapshots: Rc<Snapshots>,
    stage: Stage,
    /// The tick that was cut last.
    last: u64,
}

impl Cutter {
    /// Whether anybody keeps snapshots.
    pub(crate) fn keeps(&self) -> bool {
        self.snapshots.out.is_some() && self.snapshots.every_ms > 0
    }

    /// The tick to cut at before `next` is folded, if one is due.
    pub(crate) fn due(&mut self, next: u64) -> Option<u64> {
        let every_ms = self.snapshots.every_ms;
        if !self.keeps() {
            return None;
        }
        let at = next - next % every_ms;
        (at > self.last).then(|| {
            self.last = at;
            at
        })
    }

    /// The tick to cut at once nothing before the frontiers can come any more, if one is due.
    pub(crate) fn due_by(&mut self, frontiers: &[&MutableAntichain<u64>]) -> Option<u64> {
        let least = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied()).min()?;
        self.due(least)
    }

    /// Hands out what is remembered, range by range; called once for each tick that is due.
    pub(crate) fn cut(&self, at: u64, fill: impl FnOnce(&mut Pieces)) {
        let mut pieces = Pieces(BTreeMap::new());
        fill(&mut pieces);
        let time = EventTime::from_millis(at);
        for (range, bytes) in pieces.0 {
            let range = u32::try_from(range).expect("ranges are few");
            self.snapshots.send(Cut::Piece(time, Piece { stage: self.stage, range, bytes }));
        }
        let mut cut = self.snapshots.cut.borrow_mut();
        let stages = cut.entry(at).or_default();
        *stages += 1;
        if *stages + self.snapshots.mute == STAGES {
            // What some stage has passed over before will never be whole.
            *cut = cut.split_off(&(at + 1));
            drop(cut);
            self.snapshots.send(Cut::Whole(time));
        }
    }

    /// What the stage remembered of the worker's own ranges. The machine's cores share the work: after a crash everybody
    /// waits for it.
    pub(crate) fn restored<T: DeserializeOwned + Send>(&self) -> Vec<T> {
        let Snapshots { restore, worker, workers, .. } = &*self.snapshots;
        let Some(restore) = restore.borrow().clone() else { return Vec::new() };
        let own: Vec<u32> = (0..RANGES as u32).filter(|range| *range as usize % workers == *worker).collect();
        let threads = available_parallelism().map_or(1, |cores| cores.get().div_ceil(*workers));
        let (restore, stage) = (&*restore, self.stage);
        let read =
            |ranges: &[u32]| -> Vec<T> { ranges.iter().flat_map(|range| restore.entries(stage, *range)).collect() };
        std::thread::scope(|scope| {
            let shares = own.chunks(own.len().div_ceil(threads).max(1));
            let reading: Vec<_> = shares.map(|ranges| scope.spawn(move || read(ranges))).collect();
            reading.into_iter().flat_map(|share| share.join().expect("what cannot be read ends the start")).collect()
        })
    }

    /// What the stage remembered of all ranges.
    pub(crate) fn restored_of_all<T: DeserializeOwned>(&self) -> Vec<T> {
        let Some(restore) = self.snapshots.restore.borrow().clone() else { return Vec::new() };
        (0..RANGES).flat_map(|range| restore.entries(self.stage, range as u32)).collect()
    }

    /// Features of ticks before it need not be told again.
    pub(crate) fn told_before(&self) -> u64 {
        self.snapshots.told_before
    }

    /// The tick that was restored; zero without a snapshot.
    pub(crate) fn restored_at(&self) -> u64 {
        self.snapshots.restored_at
    }
}

/// A stage's pieces while they are filled.
pub(crate) struct Pieces(BTreeMap<u64, Vec<u8>>);

impl Pieces {
    /// Adds an entry to its range.
    pub(crate) fn add<T: Serialize>(&mut self, range: u64, entry: &T) {
        let bytes = self.0.remove(&range).unwrap_or_default();
        let bytes = postcard::to_extend(entry, bytes).expect("state is made of what the form knows, and memory grows");
        self.0.insert(range, bytes);
    }
}

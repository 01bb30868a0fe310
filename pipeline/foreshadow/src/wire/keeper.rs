//! From the workers onto the shelf: pieces as they are cut, the manifest once the outputs are published that far.
//!
//! A snapshot counts only when the outputs before its tick are on the log: a restart does not say them again. A disk that
//! fails costs snapshots and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use dataflow::snapshot::Cut;
use schemas::EventTime;

use super::shelf::{Draft, Place, Shelf};

/// Pieces that may wait for the disk: a worker that cuts waits beyond it.
const WAITING_MAX: usize = 256;

/// How often it is looked whether the outputs have come far enough.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How far something has come, shared between threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached(Arc<AtomicU64>);

impl Reached {
    pub(super) fn set(&self, frontier: EventTime) {
        self.0.store(frontier.millis(), Ordering::Release);
    }

    pub(super) fn get(&self) -> EventTime {
        EventTime::from_millis(self.0.load(Ordering::Acquire))
    }
}

/// Which snapshots are kept beside the newest: those that begin a slot of history, where history is written, since it has to
/// be written again from there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) slot_ms: Option<u64>,
}

/// Keeps snapshots.
pub(super) struct Keeper {
    shelf: Shelf,
    workers: usize,
    retention: Retention,
    /// How far the outputs are published.
    published: Reached,
    /// The oldest snapshot that a restart may begin from.
    oldest: Reached,
    /// Drafts under way, with how many workers have given all of theirs; none where the disk has failed.
    open: BTreeMap<EventTime, (Option<Draft>, usize)>,
    /// Written, and waiting for the outputs.
    waiting: Option<(EventTime, Vec<Place>)>,
}

/// What a keeper is told.
pub(super) struct Kept {
    pub(super) shelf: Shelf,
    /// Workers of the dataflow.
    pub(super) workers: usize,
    pub(super) retention: Retention,
    pub(super) published: Reached,
    pub(super) oldest: Reached,
}

impl Keeper {
    /// Starts the thread that writes; it ends with the last sender.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(kept: Kept) -> std::io::Result<(Sender<Cut>, JoinHandle<()>)> {
        let (cuts, waiting) = bounded(WAITING_MAX);
        let Kept { shelf, workers, retention, published, oldest } = kept;
        let keeper = Self { shelf, workers, retention, published, oldest, open: BTreeMap::new(), waiting: None };
        keeper.tidy();
        let body = move || keeper.run(&waiting);
        Ok((cuts, std::thread::Builder::new().name("keeper".to_owned()).spawn(body)?))
    }

    fn run(mut self, cuts: &Receiver<Cut>) {
        loop {
            match cuts.recv_timeout(LOOK_EVERY) {
                Ok(Cut::Piece(at, piece)) => self.write(at, |draft| draft.add(&piece)),
                Ok(Cut::Whole(at, _)) => self.whole(at),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.seal();
        }
    }

    /// Does something with a draft, and gives it up where that fails.
    fn write(&mut self, at: EventTime, act: impl FnOnce(&mut Draft) -> anyhow::Result<()>) {
        let shelf = &self.shelf;
        let (draft, _) = self.open.entry(at).or_insert_with(|| (told(at, shelf.begin(at)), 0));
        if let Some(open) = draft
            && told(at, act(open)).is_none()
        {
            *draft = None;
        }
    }

    /// A worker has given all of its pieces.
    fn whole(&mut self, at: EventTime) {
        self.write(at, |_| Ok(()));
        let Some((_, workers)) = self.open.get_mut(&at) else { return };
        *workers += 1;
        if *workers < self.workers {
            return;
        }
        // What some stage has passed over before will never be whole.
        let newer = self.open.split_off(&at.plus(1));
        let mut done = std::mem::replace(&mut self.open, newer);
        let draft = done.remove(&at).and_then(|(draft, _)| draft);
        if let Some(places) = draft.and_then(|draft| told(at, draft.finish())) {
            self.waiting = Some((at, places));
        }
    }

    /// Lets a snapshot count once it may.
    fn seal(&mut self) {
        let published = self.published.get();
        if let Some((at, places)) = self.waiting.take_if(|(at, _)| *at <= published)
            && told(at, self.shelf.seal(at, places)).is_some()
        {
            tracing::debug!(%at, "a snapshot is kept");
            self.tidy();
        }
    }

    /// Removes what no restart would begin from.
    fn tidy(&self) {
        let sealed = self.shelf.kept();
        let Some(newest) = sealed.last() else { return };
        let begins_slot = |at: &&EventTime| self.retention.slot_ms.is_some_and(|slot| at.millis().is_multiple_of(slot));
        // The last but one, in case the disk spoils the last; and the slots' last two, since the newer may not be written yet.
        let mut keep: Vec<EventTime> = sealed.iter().rev().take(2).copied().collect();
        keep.extend(sealed.iter().rev().filter(begins_slot).take(2));
        for at in self.shelf.ticks() {
            if at < *newest && !keep.contains(&at) {
                self.shelf.remove(at);
            }
        }
        self.oldest.set(keep.into_iter().min().unwrap_or_default());
    }
}

/// What came out well; a failure is told, and costs this snapshot.
fn told<T>(at: EventTime, outcome: anyhow::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%at, "a snapshot could not be kept; the next one is tried, and the pipeline goes on: {error:#}");
            None
        }
    }
}

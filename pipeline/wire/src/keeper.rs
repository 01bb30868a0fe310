//! From the workers onto the shelf: pieces as they are cut, the manifest once the outputs are published that far.
//!
//! A snapshot counts only when the outputs before its tick are on the log: a restart does not say them again. A disk that
//! fails costs snapshots and nothing else.

use std::collections::BTreeMap;

use dataflow::snapshot::Cut;
use schemas::EventTime;

use crate::marks::Marks;
use crate::shelf::{Draft, Place, Shelf};

/// Snapshots that are kept: the last but one too, in case the disk spoils the last.
const KEPT: usize = 2;

/// Keeps snapshots.
pub struct Keeper {
    shelf: Shelf,
    workers: usize,
    /// Length of a slot of history, where it is written: a restart begins where a slot does, to write it again.
    slot_ms: Option<u64>,
    marks: Marks,
    /// Drafts under way, with how many workers have given all of theirs; none where the disk has failed.
    open: BTreeMap<EventTime, (Option<Draft>, usize)>,
    /// Written, and waiting for the outputs.
    waiting: Option<(EventTime, Vec<Place>)>,
}

impl Keeper {
    /// A keeper for so many workers; what a crash has left unfinished is removed.
    pub(crate) fn new(shelf: Shelf, workers: usize, slot_ms: Option<u64>, marks: Marks) -> Self {
        let sealed = shelf.kept();
        shelf.ticks().into_iter().filter(|at| !sealed.contains(at)).for_each(|at| shelf.remove(at));
        let keeper = Self { shelf, workers, slot_ms, marks, open: BTreeMap::new(), waiting: None };
        keeper.tidy();
        keeper
    }

    /// Takes in what has been cut, if anything, and lets a snapshot count once it may.
    pub fn turn(&mut self, cut: Option<Cut>) {
        match cut {
            Some(Cut::Piece(at, piece)) => self.write(at, |draft| draft.add(&piece)),
            Some(Cut::Whole(at)) => self.whole(at),
            None => {}
        }
        self.seal();
    }

    /// Does something with a draft. Where that fails it is given up, and the disk gets its room back.
    fn write(&mut self, at: EventTime, act: impl FnOnce(&mut Draft) -> anyhow::Result<()>) {
        let shelf = &self.shelf;
        let (draft, _) = self.open.entry(at).or_insert_with(|| (told(at, shelf.begin(at)), 0));
        if let Some(open) = draft
            && told(at, act(open)).is_none()
        {
            *draft = None;
            shelf.remove(at);
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
        done.into_keys().for_each(|passed_over| self.shelf.remove(passed_over));
        let Some(draft) = draft else { return };
        match told(at, draft.finish()) {
            Some(places) => self.waiting = Some((at, places)),
            None => self.shelf.remove(at),
        }
    }

    /// Lets a snapshot count once it may.
    fn seal(&mut self) {
        let published = self.marks.published();
        if let Some((at, places)) = self.waiting.take_if(|(at, _)| *at <= published)
            && told(at, self.shelf.seal(at, places)).is_some()
        {
            tracing::debug!(%at, "a snapshot is kept");
            self.tidy();
        }
    }

    /// Removes what no restart would begin from.
    fn tidy(&self) {
        // Those of other settings may lie ahead of all that this run will keep for long; they are no use to it.
        let sealed = self.shelf.own();
        let Some(newest) = sealed.last() else { return };
        let begins_slot = |at: &&EventTime| self.slot_ms.is_some_and(|slot| at.millis().is_multiple_of(slot));
        // And the slots' last two, since the newer may not be written yet.
        let mut keep: Vec<EventTime> = sealed.iter().rev().take(KEPT).copied().collect();
        keep.extend(sealed.iter().rev().filter(begins_slot).take(KEPT));
        for at in self.shelf.ticks() {
            if at < *newest && !keep.contains(&at) {
                self.shelf.remove(at);
            }
        }
        // Until two slots have begun, a restart may have to write history from its beginning.
        let bound = self.slot_ms.is_none() || keep.len() == KEPT + KEPT;
        self.marks.keep_from(keep.into_iter().min().filter(|_| bound).unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dataflow::EngineSettings;
    use dataflow::snapshot::{Piece, Stage};

    use super::*;
    use crate::disk::LocalDisk;
    use crate::marks::Way;

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1000)
    }

    fn shelf(folder: &std::path::Path) -> Shelf {
        Shelf::open(Arc::new(LocalDisk), folder, "main", &EngineSettings::default()).expect("it can be written")
    }

    fn cuts(second: u64) -> [Cut; 2] {
        let piece = Piece { stage: Stage::Pair, range: 0, bytes: vec![1] };
        [Cut::Piece(at(second), piece), Cut::Whole(at(second))]
    }

    fn ticks(shelf: &Shelf) -> Vec<u64> {
        shelf.ticks().into_iter().map(|at| at.millis() / 1000).collect()
    }

    #[test]
    fn a_snapshot_counts_only_once_the_outputs_before_it_are_published() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        let marks = Marks::default();
        let mut keeper = Keeper::new(shelf.clone(), 1, None, marks.clone());
        cuts(30).into_iter().for_each(|cut| keeper.turn(Some(cut)));
        marks.publish(Way::ActedOn, at(40));
        marks.publish(Way::Read, at(30).minus(1));
        keeper.turn(None);
        assert_eq!(shelf.kept(), []);
        marks.publish(Way::Read, at(30));
        keeper.turn(None);
        assert_eq!(shelf.kept(), [at(30)]);
    }

    #[test]
    fn what_a_crash_left_unfinished_and_what_nobody_needs_is_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        for second in [10, 20, 30, 40, 50] {
            let draft = shelf.begin(at(second)).expect("room");
            let places = draft.finish().expect("room");
            if second < 50 {
                shelf.seal(at(second), places).expect("room");
            }
        }
        let marks = Marks::default();
        // A slot of history begins each 20 seconds.
        Keeper::new(shelf.clone(), 1, Some(20_000), marks.clone());
        assert_eq!(ticks(&shelf), [20, 30, 40]);
        assert_eq!(marks.oldest(), at(20));
        Keeper::new(shelf.clone(), 1, None, marks.clone());
        assert_eq!(ticks(&shelf), [30, 40]);
        assert_eq!(marks.oldest(), at(30));
    }
}

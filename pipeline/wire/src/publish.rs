//! From the engine onto the log: whole ticks, each once, with how far they reach.
//!
//! One append is one transaction of every record of some closed ticks and the progress beside them. After a restart
//! the engine says again what it had said; what the progress covers is not published again.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use crossbeam_channel::Receiver;
use dataflow::{Commit, OutputRecord, Receipt};
use schemas::{EventTime, LateChange, Progress, TakenIn, Topic};
use topics::{Action, Outgoing, Writer};

use crate::archive::Archive;
use crate::marks::{Marks, Way};

/// Bytes of values after which no further commit joins a transaction: it stays well below a broker's limits, and a
/// replay, which closes many ticks at once, needs few transactions.
const APPEND_BYTES_MAX: usize = 4 << 20;

/// What came late is remembered up to so many even where a snapshot holds it, for a restart that cannot believe any.
const LATE_SPARED: usize = 1_000;

/// Late changes that are remembered. A healthy log has a few a day; past this many the oldest are forgotten, and a
/// replay may count those from their own tick.
const LATE_MAX: usize = 10_000;

/// Publishes commits.
pub struct Publisher {
    writer: Box<dyn Writer>,
    progress: Progress,
    /// What is on its way to the log: tried again until the log takes it.
    pending: Option<Vec<Outgoing>>,
    /// A commit that may not be published yet.
    held: Option<Commit>,
    way: Way,
    marks: Marks,
    archive: Option<Arc<dyn Archive>>,
}

/// What a turn of the publisher has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// What there was.
    All {
        /// How many records.
        records: usize,
        /// How many of them decisions.
        decisions: usize,
    },
    /// Nothing yet: the log takes it only later.
    Later,
    /// Nothing yet: what goes before it is not published.
    Early,
}

impl Publisher {
    pub(crate) fn new(
        writer: Box<dyn Writer>,
        progress: Progress,
        (way, marks): (Way, Marks),
        archive: Option<Arc<dyn Archive>>,
    ) -> Self {
        marks.publish(way, progress.frontier);
        Self { writer, progress, pending: None, held: None, way, marks, archive }
    }

    /// What it publishes, by the name of its progress, and up to which tick, or is about to.
    #[must_use]
    pub fn reached(&self) -> (&str, EventTime) {
        (&self.progress.group, self.progress.frontier)
    }

    /// Whether the log has yet to take what was handed in.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.pending.is_some() || self.held.is_some()
    }

    /// Publishes a commit and those that wait behind it, as one; what waits goes before them.
    ///
    /// # Errors
    /// When the log takes nothing more from this writer, such as when another one took over.
    pub fn turn(&mut self, first: Option<Commit>, commits: &Receiver<Commit>) -> anyhow::Result<Published> {
        debug_assert!(first.is_none() || !self.waits(), "what waits goes first");
        if self.pending.is_none()
            && let Some(first) = first.or_else(|| self.held.take())
        {
            self.gather(first, commits);
        }
        let Some(pending) = &self.pending else {
            return Ok(if self.held.is_some() {
                Published::Early
            } else {
                Published::All { records: 0, decisions: 0 }
            });
        };
        match self.writer.append(pending) {
            Ok(()) => {}
            Err(error) if error.action() == Action::Retry => {
                tracing::warn!(%error, "publishing is tried again");
                return Ok(Published::Later);
            }
            Err(error) => return Err(error).context("the outputs cannot be published"),
        }
        self.marks.publish(self.way, self.progress.frontier);
        let decisions = pending.iter().filter(|record| record.topic == Topic::Decisions).count();
        let published = Published::All { records: pending.len(), decisions };
        self.pending = None;
        Ok(published)
    }

    /// Makes one transaction of a commit and those that wait behind it, as far as they may be published.
    fn gather(&mut self, first: Commit, commits: &Receiver<Commit>) {
        let (mut outgoing, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        let mut frontier = EventTime::default();
        while let Some(commit) = next {
            if commit.frontier > self.marks.allowed(self.way) {
                self.held = Some(commit);
                break;
            }
            frontier = commit.frontier;
            self.take_in(commit.receipts);
            for record in commit.records {
                bytes += record.value.len();
                outgoing.extend(self.unpublished(record));
            }
            next = if bytes < APPEND_BYTES_MAX { commits.try_recv().ok() } else { None };
        }
        // Even the first was early.
        if frontier == EventTime::default() {
            return;
        }
        let gathered = self.marks.gather(self.way, frontier);
        if let Some(archive) = &self.archive {
            archive.close(gathered);
        }
        if frontier <= self.progress.frontier {
            return;
        }
        self.progress.frontier = frontier;
        self.progress.sequence += 1;
        if self.progress.late.len() > LATE_SPARED {
            // No restart that believes a snapshot begins before the oldest: what had been late by then is in it.
            let oldest = self.marks.oldest();
            self.progress.late.retain(|late| late.counts_from >= oldest);
        }
        outgoing.push(Outgoing::of(&self.progress));
        self.pending = Some(outgoing);
    }

    /// A record as it goes onto the log; none when it went there before a restart. History gets it in any case, since
    /// what it had not written yet was lost.
    fn unpublished(&self, record: OutputRecord) -> Option<Outgoing> {
        let topic = Topic::of_noun(&record.noun).expect("the dataflow names its topics by their nouns");
        if let Some(archive) = &self.archive {
            archive.keep_output(topic, &record);
        }
        let time = EventTime::from_millis(record.tick);
        (time >= self.progress.frontier).then(|| Outgoing {
            topic,
            time,
            key: record.key.into_bytes(),
            value: Some(record.value),
            headers: record.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
        })
    }

    /// Notes what was taken in; after a restart also what had not been before it.
    fn take_in(&mut self, receipts: Vec<Receipt>) {
        if receipts.is_empty() {
            return;
        }
        let progress = &mut self.progress;
        let mut taken_in: BTreeMap<(String, i32), i64> =
            progress.taken_in.drain(..).map(|taken| ((taken.noun, taken.partition), taken.next_offset)).collect();
        for Receipt { noun, partition, offset, late } in receipts {
            let next_offset = taken_in.entry((noun.clone(), partition)).or_default();
            // After a restart everything is taken in again: only what lies beyond is news.
            if offset >= *next_offset {
                *next_offset = offset + 1;
                progress.late.extend(late.map(|counts_from| LateChange { noun, partition, offset, counts_from }));
            }
        }
        progress.taken_in = taken_in
            .into_iter()
            .map(|((noun, partition), next_offset)| TakenIn { noun, partition, next_offset })
            .collect();
        if progress.late.len() > LATE_MAX {
            tracing::error!(LATE_MAX, "too many changes came late: a replay may count the oldest from another tick");
            // Samples first: by them dead letters may move, by changes of the control plane decisions.
            let mut surplus = progress.late.len() - LATE_MAX;
            for samples_only in [true, false] {
                progress.late.retain(|late| {
                    let goes = surplus > 0 && (!samples_only || late.noun == Topic::Samples.noun());
                    surplus -= usize::from(goes);
                    !goes
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use topics::{Delivery, Embedded, EmbeddedSettings, Log, latest};

    use super::*;

    #[test]
    fn what_is_read_waits_until_what_is_acted_on_is_published() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(Topic::ALL, 1).expect("new topics");
        let writer = log.writer(Delivery::Transactional { id: "test".to_owned() }).expect("a writer");
        let progress = Progress { group: Progress::of_features("main"), ..Progress::default() };
        let marks = Marks::default();
        let mut publisher = Publisher::new(writer, progress, (Way::Read, marks.clone()), None);
        let at = |second: u64| EventTime::from_millis(second * 1000);
        let commit = |second| Commit { frontier: at(second), records: Vec::new(), receipts: Vec::new() };
        let (commits, waiting) = unbounded();
        commits.send(commit(20)).expect("room");
        let frontier = || latest::<Progress>(&log).expect("the log").nouns.remove("main/features").map(|p| p.frontier);

        marks.publish(Way::ActedOn, at(10));
        let all = Published::All { records: 1, decisions: 0 };
        assert_eq!(publisher.turn(Some(commit(10)), &waiting).expect("the log takes it"), all);
        assert_eq!((frontier(), publisher.waits()), (Some(at(10)), true), "the commit behind it is early");
        assert_eq!(publisher.turn(None, &waiting).expect("nothing is tried"), Published::Early);
        marks.publish(Way::ActedOn, at(20));
        assert_eq!(publisher.turn(None, &waiting).expect("the log takes it"), all);
        assert_eq!((frontier(), publisher.waits()), (Some(at(20)), false));
    }
}

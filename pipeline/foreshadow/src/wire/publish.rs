//! From the engine onto the log: whole ticks, each once, with how far they reach.
//!
//! One append is one transaction of every record of some closed ticks and the progress beside them. After a restart
//! the engine says again what it had said; what the progress covers is not published again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use dataflow::{Commit, OutputRecord, Receipt};
use schemas::{EventTime, LateChange, Progress, TakenIn, Topic};
use topics::{Action, Outgoing, Writer};

use super::archive::Archive;
use super::keeper::Reached;
use crate::stop::Stop;

/// Bytes of values after which no further commit joins a transaction: it stays well below a broker's limits, and a
/// replay, which closes many ticks at once, needs few transactions.
const APPEND_BYTES_MAX: usize = 4 << 20;

/// How often the publisher looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Pauses between attempts of one append: doubled from the first to the last.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How often the progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What came late is remembered up to so many even where a snapshot holds it, for a restart that cannot believe any.
const LATE_SPARED: usize = 1_000;

/// Late changes that are remembered. A healthy log has a few a day; past this many the oldest are forgotten, and a
/// replay may count those from their own tick.
const LATE_MAX: usize = 10_000;

/// Publishes commits until it is stopped or the engine ends.
pub(super) struct Publisher {
    writer: Box<dyn Writer>,
    progress: Progress,
    /// How far the outputs are published, for the keeper of snapshots, and the oldest snapshot that it keeps.
    published: Reached,
    oldest: Reached,
    archive: Option<Archive>,
    stop: Stop,
    told: Told,
}

/// What was published since the last line about it.
struct Told {
    at: Instant,
    records: u64,
    decisions: u64,
}

impl Publisher {
    pub(super) fn new(
        writer: Box<dyn Writer>,
        progress: Progress,
        (published, oldest): (Reached, Reached),
        archive: Option<Archive>,
        stop: Stop,
    ) -> Self {
        published.set(progress.frontier);
        Self {
            writer,
            progress,
            published,
            oldest,
            archive,
            stop,
            told: Told { at: Instant::now(), records: 0, decisions: 0 },
        }
    }

    /// Publishes.
    ///
    /// # Errors
    /// When the log takes nothing more from this writer, such as when another one took over.
    pub(super) fn run(mut self, commits: &Receiver<Commit>) -> anyhow::Result<()> {
        let outcome = loop {
            if self.stop.requested() {
                break Ok(());
            }
            match commits.recv_timeout(LOOK_EVERY) {
                Ok(first) => {
                    if let Err(error) = self.publish(first, commits) {
                        break Err(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
            self.tell();
        };
        self.stop.request();
        // The intake may wait for room in the engine, and the engine for room here: what still comes is dropped, a restart
        // says it again.
        commits.iter().for_each(drop);
        outcome
    }

    /// Publishes a commit and those that wait behind it, as one.
    fn publish(&mut self, first: Commit, commits: &Receiver<Commit>) -> anyhow::Result<()> {
        let (mut outgoing, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        let mut frontier = EventTime::default();
        while let Some(commit) = next {
            frontier = commit.frontier;
            self.take_in(commit.receipts);
            for record in commit.records {
                bytes += record.value.len();
                outgoing.extend(self.unpublished(record));
            }
            next = if bytes < APPEND_BYTES_MAX { commits.try_recv().ok() } else { None };
        }
        if let Some(archive) = &self.archive {
            archive.close(frontier);
        }
        if frontier <= self.progress.frontier {
            return Ok(());
        }
        self.progress.frontier = frontier;
        self.progress.sequence += 1;
        self.told.records += outgoing.len() as u64;
        self.told.decisions += outgoing.iter().filter(|record| record.topic == Topic::Decisions).count() as u64;
        if self.progress.late.len() > LATE_SPARED {
            // No restart that believes a snapshot begins before the oldest: what had been late by then is in it.
            let oldest = self.oldest.get();
            self.progress.late.retain(|late| late.counts_from >= oldest);
        }
        outgoing.push(Outgoing::of(&self.progress));
        if self.append(&outgoing)? {
            self.published.set(frontier);
        }
        Ok(())
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
            progress.late.drain(..progress.late.len() - LATE_MAX);
        }
    }

    /// Appends; false when it was stopped before it could.
    fn append(&mut self, records: &[Outgoing]) -> anyhow::Result<bool> {
        let mut pause = RETRY_MIN;
        loop {
            let Err(error) = self.writer.append(records) else { return Ok(true) };
            if error.action() != Action::Retry {
                return Err(error).context("the outputs cannot be published");
            }
            tracing::warn!(%error, "publishing is tried again in {pause:?}");
            if self.stop.wait(pause) {
                // Not published and not counted as such: the next run says it again.
                return Ok(false);
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn tell(&mut self) {
        if self.told.at.elapsed() >= TELL_EVERY {
            let Told { records, decisions, .. } = self.told;
            tracing::info!(frontier = %self.progress.frontier, records, decisions, "published");
            self.told = Told { at: Instant::now(), records: 0, decisions: 0 };
        }
    }
}

//! History: the rows of every topic as Parquet, one file a noun and slot of event time.
//!
//! Rows are buffered by slot until the frontier has passed the slot's end; then the file is written to a temporary
//! name, synced and renamed, so that a file is there whole or not at all. Name and bytes are a function of the rows and
//! their order alone, neither of batching nor of the clock.
//!
//! Exactly once: the files are the only state. After a crash the caller appends again from [`History::resume_from`],
//! the end of the newest whole slot; a slot whose file is there is not written again. Rows that come for a slot after
//! its file was written are dropped and counted with it.
//!
//! A disk that is full costs history alone: the slots stay buffered and are tried again each time the frontier has
//! moved by a tenth of a slot. Past `buffered_bytes_max` the oldest slot is dropped, whole, and counted.
//!
//! | rows a second | bytes a row | a slot of 10 min |
//! |---|---|---|
//! | 100 | 200 | 12 MB |
//! | 3 000 | 200 | 360 MB |
//! | 30 000 | 200 | 3.6 GB: use shorter slots |

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::TimestampMillisecondType;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use schemars::JsonSchema;
use schemas::{EventTime, Topic};
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::{Error, SourceError, schema_of};

/// Rows of a row group: a query for one minute of a large slot reads a few groups instead of all of it.
const ROW_GROUP_ROWS_MAX: usize = 131_072;

/// A slot that could not be written is tried again after this share of a slot: once a minute with slots of ten.
const RETRY_DIVISOR: u64 = 10;

/// How history is cut and how much of it may wait in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// Length of a slot in milliseconds: there is one file a topic and slot. Default 600000, ten minutes; whole seconds,
    /// and fixed for a folder once it is written to. Shorter slots need less memory and make more files.
    pub slot_ms: u64,
    /// Most bytes of rows that wait for their slot's end or for the disk; past it the oldest slot is dropped and counted.
    /// Default 536870912, 512 MiB: two slots of 1 500 rows a second.
    pub buffered_bytes_max: usize,
}

impl Default for HistorySettings {
    /// Slots of ten minutes; 512 MiB, two slots of 1 500 rows a second.
    fn default() -> Self {
        Self { slot_ms: 600_000, buffered_bytes_max: 512 << 20 }
    }
}

impl HistorySettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name, and its mend. Empty when they
    /// can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let whole_seconds = self.slot_ms > 0 && self.slot_ms.is_multiple_of(1000);
        let checks = [
            (whole_seconds, format!("slot_ms is {}: give a multiple of 1000 above zero", self.slot_ms)),
            (self.buffered_bytes_max > 0, "buffered_bytes_max must be above zero, such as 536870912".to_owned()),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// What became of the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCounts {
    /// Files written, whole or part.
    pub slots_written: u64,
    /// Slots whose file was there already.
    pub slots_present: u64,
    /// Slots dropped at `buffered_bytes_max`.
    pub slots_dropped: u64,
    /// Rows dropped with those slots.
    pub rows_dropped: u64,
}

/// Writes history. One writer a folder.
#[derive(Debug)]
pub struct History {
    folder: Folder,
    buffered_bytes_max: usize,
    buffered_bytes: usize,
    slots: BTreeMap<(EventTime, Topic), Slot>,
    frontier: EventTime,
    retry_at: EventTime,
    retry_ms: u64,
    counts: HistoryCounts,
}

/// Invariant: `bytes` is the size of `batches`, and a dropped slot holds none.
#[derive(Debug, Default)]
struct Slot {
    batches: Vec<RecordBatch>,
    bytes: usize,
    dropped: bool,
}

impl History {
    /// Opens a folder for writing; makes it if it is not there.
    ///
    /// # Errors
    /// [`Error::Slots`] for settings with faults or a length of slots that is not the folder's, [`Error::History`] when
    /// the folder cannot be written.
    pub fn open(folder: &Path, settings: &HistorySettings) -> Result<Self, Error> {
        if let Some(fault) = settings.faults().into_iter().next() {
            return Err(Error::Slots { path: folder.to_owned(), fault });
        }
        Ok(Self {
            folder: Folder::claim(folder, settings.slot_ms)?,
            buffered_bytes_max: settings.buffered_bytes_max,
            buffered_bytes: 0,
            slots: BTreeMap::new(),
            frontier: EventTime::default(),
            retry_at: EventTime::default(),
            retry_ms: settings.slot_ms / RETRY_DIVISOR,
            counts: HistoryCounts::default(),
        })
    }

    /// Where to append from after a start: the end of the topic's newest whole slot; none without one.
    ///
    /// # Errors
    /// [`Error::History`] when the folder cannot be read.
    pub fn resume_from(&self, topic: Topic) -> Result<Option<EventTime>, Error> {
        let files = self.folder.files(topic)?;
        Ok(files.iter().rev().find(|file| file.whole).map(|file| self.folder.end(file.start)))
    }

    /// Length of a slot in milliseconds.
    #[must_use]
    pub const fn slot_ms(&self) -> u64 {
        self.folder.slot_ms()
    }

    /// Up to where all topics are written: the start of the newest whole slot, whose last files may be missing; none without
    /// a slot.
    ///
    /// # Errors
    /// [`Error::History`] when the folder cannot be read.
    pub fn written(&self) -> Result<Option<EventTime>, Error> {
        let mut newest = None;
        for topic in Topic::ALL {
            newest = newest.max(self.resume_from(*topic)?);
        }
        Ok(newest.map(|end| end.minus(self.folder.slot_ms())))
    }

    /// Adds rows to the slots that hold their times. Rows keep the order in which they come, which the caller keeps
    /// canonical.
    ///
    /// # Panics
    /// When the batch does not have the topic's columns, or has no time.
    pub fn append(&mut self, topic: Topic, batch: &RecordBatch) {
        assert_eq!(batch.schema().fields(), schema_of(topic).fields(), "a batch of {}", topic.noun());
        // Progress has no time but its frontier.
        let times = batch.column_by_name("time").or_else(|| batch.column_by_name("frontier"));
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMillisecondType>());
        let times = times.expect("every topic has a time");
        let slot = |time: i64| self.folder.slot(EventTime::from_millis(u64::try_from(time).unwrap_or_default()));
        let slots: Vec<EventTime> = times.values().iter().map(|time| slot(*time)).collect();
        for start in slots.iter().copied().collect::<BTreeSet<_>>() {
            let within: BooleanArray = slots.iter().map(|slot| Some(*slot == start)).collect();
            let rows = filter_record_batch(batch, &within).expect("as long as the batch");
            self.keep(topic, start, rows);
        }
    }

    fn keep(&mut self, topic: Topic, start: EventTime, batch: RecordBatch) {
        let slot = self.slots.entry((start, topic)).or_default();
        if slot.dropped {
            self.counts.rows_dropped += batch.num_rows() as u64;
            return;
        }
        let bytes = batch.get_array_memory_size();
        slot.batches.push(batch);
        slot.bytes += bytes;
        self.buffered_bytes += bytes;
        while self.buffered_bytes > self.buffered_bytes_max {
            self.drop_one();
        }
    }

    /// Writes every slot that lies wholly before the frontier. Costs a comparison when there is none.
    ///
    /// # Errors
    /// [`Error::History`] for the first file that could not be written; its slot stays buffered, others are written.
    pub fn close(&mut self, frontier: EventTime) -> Result<(), Error> {
        self.frontier = self.frontier.max(frontier);
        if self.frontier < self.retry_at {
            return Ok(());
        }
        let due: Vec<_> =
            self.slots.keys().copied().take_while(|&(start, _)| self.folder.end(start) <= self.frontier).collect();
        let failed = self.write_all(&due);
        if failed.is_err() {
            self.retry_at = self.frontier.plus(self.retry_ms);
        }
        failed
    }

    /// Writes what is buffered: slots before the frontier whole, the others as parts, which the whole slot replaces
    /// once it is written. A query over history and log together reads such a slot from the log.
    ///
    /// # Errors
    /// [`Error::History`] for the first file that could not be written; its rows are lost to history, others are
    /// written.
    pub fn finish(mut self) -> Result<HistoryCounts, Error> {
        let all: Vec<_> = self.slots.keys().copied().filter(|(start, _)| !self.is_far(*start)).collect();
        self.write_all(&all).map(|()| self.counts)
    }

    /// Whether a slot lies ahead of the one after the frontier's: rows get there by a wrong clock, and the log has them too.
    fn is_far(&self, start: EventTime) -> bool {
        self.frontier > EventTime::default() && start > self.folder.end(self.folder.slot(self.frontier))
    }

    /// What became of the slots so far.
    #[must_use]
    pub fn counts(&self) -> HistoryCounts {
        self.counts
    }

    /// The newest of those that lie far ahead, lest a wrong clock cost what is true; else the oldest.
    fn drop_one(&mut self) {
        let holds = |(_, slot): &(&(EventTime, Topic), &Slot)| slot.bytes > 0;
        let far = self.slots.iter().rev().find(holds).map(|(key, _)| *key).filter(|(start, _)| self.is_far(*start));
        let key = far.or_else(|| self.slots.iter().find(holds).map(|(key, _)| *key));
        let slot = key.and_then(|key| self.slots.get_mut(&key)).expect("bytes are buffered, so some slot holds them");
        self.buffered_bytes -= slot.bytes;
        self.counts.slots_dropped += 1;
        self.counts.rows_dropped += slot.batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        // The empty slot stays until its end, so that later rows do not pass for the whole of it.
        *slot = Slot { dropped: true, ..Slot::default() };
    }

    fn write_all(&mut self, slots: &[(EventTime, Topic)]) -> Result<(), Error> {
        let mut outcome = Ok(());
        for &(start, topic) in slots {
            match self.write(start, topic) {
                Ok(()) => {
                    let slot = self.slots.remove(&(start, topic));
                    self.buffered_bytes -= slot.map_or(0, |slot| slot.bytes);
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    fn write(&mut self, start: EventTime, topic: Topic) -> Result<(), Error> {
        let slot = &self.slots[&(start, topic)];
        if slot.dropped {
            return Ok(());
        }
        let whole = self.folder.end(start) <= self.frontier;
        let path = self.folder.file(topic, start, true);
        let part = self.folder.file(topic, start, false);
        if path.try_exists().map_err(|error| Error::history(&path, error))? {
            self.counts.slots_present += 1;
        } else {
            let target = if whole { &path } else { &part };
            write_file(topic, target, &slot.batches).map_err(|error| Error::history(target, error))?;
            self.counts.slots_written += 1;
        }
        if whole && part.exists() {
            fs::remove_file(&part).map_err(|error| Error::history(&part, error))?;
        }
        Ok(())
    }
}

fn write_file(topic: Topic, path: &Path, batches: &[RecordBatch]) -> Result<(), SourceError> {
    let parent = path.parent().expect("a slot's file lies in a date folder");
    fs::create_dir_all(parent)?;
    let temporary = path.with_extension("parquet.tmp");
    let written = write_rows(topic, &temporary, batches).and_then(|()| Ok(fs::rename(&temporary, path)?));
    if written.is_err() {
        // Gives the space back to a full disk; where even that fails, the next attempt overwrites the file.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename is durable only with its folder.
    Ok(File::open(parent)?.sync_all()?)
}

fn write_rows(topic: Topic, path: &Path, batches: &[RecordBatch]) -> Result<(), SourceError> {
    let schema = schema_of(topic);
    // One batch: pages end with batches, so that the bytes would tell how the rows came.
    let rows = concat_batches(&schema, batches)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?;
    writer.write(&rows)?;
    Ok(writer.into_inner()?.sync_all()?)
}

#[cfg(test)]
mod tests;

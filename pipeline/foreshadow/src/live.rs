//! Live rows for SQL: a [`Source`] over a log.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use dataflow::EngineSettings;
use query::{Bounds, Source, SourceError, Value, batch_of};
use schemas::{Cleanup, EventTime, Topic};
use topics::{Log, Record, Start};

use crate::extent::Extent;

/// Bytes of the log that a read of a detail topic takes at most unless told otherwise: a quarter of what a statement may
/// hold, for rows take up about as much as their records; one or two seconds of reading.
const DETAIL_BYTES_MAX: usize = 256 << 20;
/// How many of the newest offsets of a partition tell how large a topic's records are.
const MEASURED_OFFSETS: usize = 64;

/// Rows as a log holds them now.
///
/// A read holds its rows, [`Live::bytes_max`] of them at most, and beside them one chunk of records, or the newest records
/// of a compacted topic.
pub(crate) struct Live {
    log: Arc<dyn Log>,
    /// Whether samples, features and forecasts are read whole; else the newest [`DETAIL_BYTES_MAX`].
    pub(crate) details_whole: bool,
    /// Most bytes of rows that a read holds.
    pub(crate) bytes_max: usize,
    /// How much newer than its record's time on the log a sample may be, in milliseconds.
    sample_ahead_ms: u64,
    /// How much older, in milliseconds.
    sample_behind_ms: u64,
}

impl Live {
    /// Rows of a log, from which the engine takes samples by these settings.
    pub(crate) fn new(log: Arc<dyn Log>, engine: &EngineSettings, bytes_max: usize) -> Self {
        Self {
            log,
            details_whole: false,
            bytes_max,
            sample_ahead_ms: engine.future_max.millis(),
            sample_behind_ms: engine.past_max.millis(),
        }
    }

    /// The records that can hold rows within the bounds.
    fn extent(&self, topic: Topic, bounds: &Bounds) -> anyhow::Result<Option<Extent>> {
        let log = self.log.as_ref();
        // A reject bears the time of what was refused on the log, which may be any.
        let timed = topic != Topic::Rejects;
        let (from, to) = (bounds.from.filter(|_| timed), bounds.to.filter(|_| timed));
        // What else the pipeline writes bears its own time; samples come in batches, early and late.
        let (ahead_ms, behind_ms) =
            if topic == Topic::Samples { (self.sample_ahead_ms, self.sample_behind_ms) } else { (0, 0) };
        let start = from.map_or(Start::Earliest, |from| Start::Time(from.minus(ahead_ms)));
        let Some(mut extent) = Extent::of(log, topic, start)? else { return Ok(None) };
        if let Some(to) = to {
            extent = extent.until(log, to.plus(behind_ms))?;
        }
        let records_max = match bounds.records_max {
            None if !self.details_whole && is_detail(topic) => detail_records(log, &extent)?,
            records_max => records_max,
        };
        if let Some(records_max) = records_max {
            let (newest, since) = extent.newest(log, records_max)?;
            extent = newest;
            if let Some(since) = since {
                warn_of_cut(topic, since);
            }
        }
        Ok(Some(extent))
    }

    fn records(&self, topic: Topic, extent: &Extent) -> anyhow::Result<Vec<RecordBatch>> {
        let mut rows = Rows { topic, batches: Vec::new(), bytes: 0, bytes_max: self.bytes_max, undecodable: 0 };
        extent.read(self.log.as_ref(), |records| rows.add(&records).map(ControlFlow::Continue))?;
        Ok(rows.told())
    }

    fn newest_of_each_key(&self, topic: Topic, extent: &Extent) -> anyhow::Result<Vec<RecordBatch>> {
        let mut newest: BTreeMap<Option<Vec<u8>>, Record> = BTreeMap::new();
        extent.read(self.log.as_ref(), |records| {
            for record in records {
                if newest.get(&record.key).is_none_or(|held| record.supersedes(held.partition, held.time)) {
                    newest.insert(record.key.clone(), record);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut rows = Rows { topic, batches: Vec::new(), bytes: 0, bytes_max: self.bytes_max, undecodable: 0 };
        let live: Vec<Record> = newest.into_values().filter(|record| record.value.is_some()).collect();
        rows.add(&live)?;
        Ok(rows.told())
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Source for Live {
    fn read(&self, topic: Topic, bounds: &Bounds) -> Result<Vec<RecordBatch>, SourceError> {
        let Some(extent) = self.extent(topic, bounds)? else { return Ok(Vec::new()) };
        Ok(match topic.cleanup() {
            Cleanup::Delete => self.records(topic, &extent)?,
            Cleanup::Compact => self.newest_of_each_key(topic, &extent)?,
        })
    }
}

/// Rows under their bound, and what could not be read.
struct Rows {
    topic: Topic,
    batches: Vec<RecordBatch>,
    bytes: usize,
    bytes_max: usize,
    undecodable: usize,
}

impl Rows {
    fn add(&mut self, records: &[Record]) -> anyhow::Result<()> {
        let values = records.iter().filter_map(|record| {
            let bytes = record.value.as_deref()?;
            Some(Value { bytes, content_type: record.header("content-type"), log_time: record.time })
        });
        let (batch, undecodable) = batch_of(self.topic, values);
        self.undecodable += undecodable + records.iter().filter(|record| record.value.is_none()).count();
        self.bytes += batch.get_array_memory_size();
        anyhow::ensure!(
            self.bytes <= self.bytes_max,
            "its rows need more than {} bytes: narrow them with --since, --from, --to or --records-max, or raise \
             --memory-bytes-max",
            self.bytes_max
        );
        self.batches.push(batch);
        Ok(())
    }

    fn told(self) -> Vec<RecordBatch> {
        if self.undecodable > 0 {
            tracing::warn!(
                topic = self.topic.noun(),
                undecodable = self.undecodable,
                "left out what cannot be read; `foreshadow tap {} --from earliest --json` shows why",
                self.topic.noun()
            );
        }
        self.batches
    }
}

/// Whether a topic holds a record a tick or more of every workload.
fn is_detail(topic: Topic) -> bool {
    matches!(topic, Topic::Samples | Topic::Features | Topic::Forecasts)
}

/// How many records of a detail topic are read by default; none for an empty one.
fn detail_records(log: &dyn Log, extent: &Extent) -> anyhow::Result<Option<usize>> {
    let newest = extent.clone().tail(MEASURED_OFFSETS);
    let mut bytes = 0;
    newest.read(log, |records| {
        bytes += records.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum::<usize>();
        Ok(ControlFlow::Continue(()))
    })?;
    // Bytes an offset: gaps count for nothing here and later.
    Ok(DETAIL_BYTES_MAX.saturating_mul(newest.offsets()).checked_div(bytes).map(|records| records.max(1)))
}

fn warn_of_cut(topic: Topic, since: EventTime) {
    tracing::warn!(
        topic = topic.noun(),
        "only what the log took in from {since} on is read; --since, --from or --records-max read more"
    );
}

#[cfg(test)]
mod tests;

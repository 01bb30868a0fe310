//! One partition in memory: records in the order of their offsets, bounded.
//!
//! A partition of a deleting topic drops its oldest records once it holds more than its bound, and its low watermark
//! moves with them. A partition of a compacted topic keeps the newest record of each key; offsets keep their numbers
//! and the low watermark stays. Costs: an append is O(1) amortised, a look-up by offset O(log records).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use schemas::{Cleanup, EventTime};

use crate::Record;

/// What a record costs beside its own bytes, so that empty records are bounded too: about the size of [`Record`], its
/// count and its place in the queue.
pub(super) const RECORD_OVERHEAD_BYTES: u64 = 160;
/// A reader at most this many offsets behind the end of a compacted partition sees every update and every tombstone.
/// Enough for a reader that polls each second while a thousand keys a second change.
const LAG_OFFSETS: i64 = 1024;

/// A partition.
pub(super) struct Partition {
    cleanup: Cleanup,
    bytes_max: u64,
    records: VecDeque<Arc<Record>>,
    bytes: u64,
    low: i64,
    next: i64,
    /// Number of records at which the next compaction runs.
    compact_at: usize,
}

impl Partition {
    pub(super) fn new(cleanup: Cleanup, bytes_max: u64) -> Self {
        let compact_at = 2 * LAG_OFFSETS as usize;
        Self { cleanup, bytes_max, records: VecDeque::new(), bytes: 0, low: 0, next: 0, compact_at }
    }

    /// The oldest offset that is left and the next one that is written.
    pub(super) const fn watermarks(&self) -> (i64, i64) {
        (self.low, self.next)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter()
    }

    /// The records at this offset and after it.
    pub(super) fn records_from(&self, offset: i64) -> impl Iterator<Item = &Arc<Record>> {
        self.records.range(self.records.partition_point(|record| record.offset < offset)..)
    }

    /// The offset of the first record at this time or later; the end if there is none. Looks at every record.
    pub(super) fn offset_at(&self, time: EventTime) -> i64 {
        self.records.iter().find(|record| record.time >= time).map_or(self.next, |record| record.offset)
    }

    /// Moves the watermarks on to where an earlier partition stood.
    pub(super) fn stand_at(&mut self, low: i64, next: i64) {
        (self.low, self.next) = (self.low.max(low), self.next.max(next));
    }

    /// Whether so many bytes more can be held; a deleting partition makes room by itself. At the bound a compacted
    /// partition gives up its lag first.
    pub(super) fn has_room(&mut self, bytes: u64) -> bool {
        if self.cleanup == Cleanup::Delete || self.bytes + bytes <= self.bytes_max {
            return true;
        }
        self.compact(0);
        self.bytes + bytes <= self.bytes_max
    }

    /// Adds the newest record.
    ///
    /// # Errors
    /// What is wrong, when its offset is not behind all others.
    pub(super) fn push(&mut self, record: Arc<Record>) -> Result<(), String> {
        if record.offset < self.next {
            return Err(format!("offset {} comes after {}", record.offset, self.next - 1));
        }
        self.next = record.offset + 1;
        self.bytes += cost(&record);
        self.records.push_back(record);
        match self.cleanup {
            Cleanup::Delete => self.drop_oldest(),
            Cleanup::Compact if self.records.len() >= self.compact_at => self.compact(LAG_OFFSETS),
            Cleanup::Compact => {}
        }
        Ok(())
    }

    /// The newest record stays whatever its size: a bound below one record must not make the topic a hole.
    fn drop_oldest(&mut self) {
        while self.bytes > self.bytes_max && self.records.len() > 1 {
            let oldest = self.records.pop_front().expect("more than one record");
            self.bytes -= cost(&oldest);
            self.low = oldest.offset + 1;
        }
    }

    fn compact(&mut self, lag: i64) {
        let newest: BTreeMap<_, _> = self.records.iter().map(|record| (record.key.clone(), record.offset)).collect();
        let tail = self.next - lag;
        self.records.retain(|record| {
            record.offset >= tail || (record.value.is_some() && newest.get(&record.key) == Some(&record.offset))
        });
        self.bytes = self.records.iter().map(|record| cost(record)).sum();
        self.compact_at = 2 * self.records.len().max(LAG_OFFSETS as usize);
    }
}

/// Bytes that a record takes up.
pub(super) fn cost(record: &Record) -> u64 {
    record.bytes() as u64 + RECORD_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use schemas::Topic;

    use super::*;

    fn record(offset: i64, key: &str, value: Option<&str>) -> Arc<Record> {
        Arc::new(Record {
            topic: Topic::Pools,
            partition: 0,
            offset,
            time: EventTime::from_millis(u64::try_from(offset).expect("from 0")),
            key: Some(key.into()),
            value: value.map(Into::into),
            headers: Vec::new(),
        })
    }

    fn push(partition: &mut Partition, key: &str, value: Option<&str>) {
        let (_, next) = partition.watermarks();
        partition.push(record(next, key, value)).expect("the next offset");
    }

    fn offsets(partition: &Partition) -> Vec<i64> {
        partition.records().map(|record| record.offset).collect()
    }

    #[test]
    fn the_oldest_go_when_the_bound_is_passed_and_the_low_watermark_follows() {
        // A record costs 160 + 1 (key) + 1 (value) = 162 bytes: three of them are 486, a fourth passes 500.
        let mut partition = Partition::new(Cleanup::Delete, 500);
        (0..4).for_each(|_| push(&mut partition, "k", Some("v")));
        assert_eq!((offsets(&partition), partition.watermarks(), partition.bytes), (vec![1, 2, 3], (1, 4), 486));
        push(&mut partition, "k", Some(&"v".repeat(1000)));
        assert_eq!(offsets(&partition), [4], "one record above the bound still stays");
    }

    #[test]
    fn compaction_keeps_the_newest_of_each_key_and_the_last_offsets_whole() {
        let mut partition = Partition::new(Cleanup::Compact, u64::MAX);
        push(&mut partition, "gone", Some("v"));
        push(&mut partition, "gone", None);
        push(&mut partition, "kept", Some("v"));
        // The 2048th record starts a compaction: of the offsets before 2048 - 1024 = 1024 only "kept" is a newest value.
        (3..2048).for_each(|_| push(&mut partition, "busy", Some("v")));
        let expected: Vec<i64> = std::iter::once(2).chain(1024..2048).collect();
        assert_eq!(offsets(&partition), expected);
        assert_eq!(partition.watermarks(), (0, 2048), "offsets keep their numbers");
        assert_eq!(partition.bytes, 165 + 1024 * 165, "160 + 4 + 1 bytes each");
    }

    #[test]
    fn at_the_bound_a_compacted_partition_gives_up_its_lag_and_then_refuses() {
        let mut partition = Partition::new(Cleanup::Compact, 330);
        push(&mut partition, "a", Some("1"));
        push(&mut partition, "a", Some("2"));
        assert!(partition.has_room(162), "the older of the two goes: 162 + 162 <= 330");
        assert_eq!(offsets(&partition), [1]);
        assert!(!partition.has_room(169), "162 + 169 = 331 bytes of live keys are one too many");
    }

    #[test]
    fn a_time_finds_the_first_record_at_or_after_it_though_times_are_out_of_order() {
        let mut partition = Partition::new(Cleanup::Delete, u64::MAX);
        for (offset, millis) in [(0, 10), (1, 30), (2, 20)] {
            let mut record = Arc::unwrap_or_clone(record(offset, "k", None));
            record.time = EventTime::from_millis(millis);
            partition.push(Arc::new(record)).expect("the next offset");
        }
        let at = |millis| partition.offset_at(EventTime::from_millis(millis));
        assert_eq!((at(0), at(11), at(20), at(31)), (0, 1, 1, 3));
    }
}

//! A stretch of a topic: from where to where each partition is read, in chunks, so that memory is that of a chunk.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use schemas::{EventTime, Topic};
use topics::{Action, Error, Log, Record, Start};

/// Most records of a chunk; [`topics::POLL_BYTES_MAX`] bounds its bytes. Enough to amortise a poll.
const CHUNK_RECORDS_MAX: usize = 512;
/// How long a poll waits. Short, since the marks that end transactions are read without a record to tell of them.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Empty polls in a row after which a read is called stalled: 10 s, twice what a broker takes to elect a leader.
const EMPTY_POLLS_MAX: u32 = 200;
/// How far the writers' clocks may differ, in milliseconds: an hour.
const DISORDER_MS: u64 = 3_600_000;
const ALL_TIMES: Range<EventTime> = EventTime::from_millis(0)..EventTime::from_millis(u64::MAX);

/// From where to where a topic is read. Offsets have gaps, so that a stretch holds at most as many records as offsets.
///
/// The offset that a log gives for a time is not behind that time's records, but it may lie far before them: the marks
/// that end transactions bear the broker's time, and in a replay all records an earlier one. So records are chosen by
/// their own times too, and an end that was looked up is held against the record there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    topic: Topic,
    parts: Vec<Part>,
    /// The records' times on the log.
    times: Range<EventTime>,
}

/// The offsets `start..end` of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    partition: i32,
    start: i64,
    end: i64,
}

impl Part {
    fn offsets(&self) -> usize {
        usize::try_from(self.end - self.start).unwrap_or(0)
    }
}

impl Extent {
    /// From a start to the end that the log has now; none for a topic that does not exist yet.
    ///
    /// # Errors
    /// As [`Log::watermarks`] and [`Log::reader`].
    pub(crate) fn of(log: &dyn Log, topic: Topic, start: Start) -> Result<Option<Self>, Error> {
        let partitions = match log.partitions(topic) {
            Err(Error::UnknownTopic { .. }) => return Ok(None),
            partitions => i32::try_from(partitions?).expect("partitions are numbered by an i32"),
        };
        let mut parts = Vec::new();
        for partition in 0..partitions {
            let (low, high) = log.watermarks(topic, partition)?;
            parts.push(Part { partition, start: low, end: high });
        }
        let mut extent = Self { topic, parts, times: ALL_TIMES };
        if start != Start::Earliest {
            let starts = extent.positions(log, start)?;
            extent.parts.iter_mut().zip(starts).for_each(|(part, start)| part.start = start);
        }
        if let Start::Time(time) = start {
            extent.times.start = time;
        }
        Ok(Some(extent))
    }

    /// The records before an instant. Those that came onto the log more than [`DISORDER_MS`] behind their time may be left
    /// out.
    ///
    /// # Errors
    /// As [`Extent::read`].
    pub(crate) fn until(mut self, log: &dyn Log, time: EventTime) -> anyhow::Result<Self> {
        let behind = time.plus(DISORDER_MS);
        let ends = self.positions(log, Start::Time(behind))?;
        self.times.end = self.times.end.min(time);
        for (index, end) in ends.into_iter().enumerate() {
            let part = self.parts[index];
            let rest = self.of_part(Part { start: end.max(part.start), ..part }, ALL_TIMES);
            let misled = rest.first(log)?.is_some_and(|record| record.time < behind);
            let end = if misled { self.of_part(part, self.times.clone()).last(log)? } else { end };
            self.parts[index].end = part.end.min(end);
        }
        Ok(self)
    }

    /// The newest records, at most so many; and the instant from which on they are, where older ones were cut off.
    ///
    /// Each partition gives its share; then all are cut at one instant, so that none reaches further back than another.
    ///
    /// # Errors
    /// As [`Extent::read`].
    pub(crate) fn newest(mut self, log: &dyn Log, records_max: usize) -> anyhow::Result<(Self, Option<EventTime>)> {
        let offsets = self.offsets();
        if offsets <= records_max {
            return Ok((self, None));
        }
        let mut since = EventTime::default();
        let shares = shares(&self.parts, records_max);
        for (index, share) in shares.into_iter().enumerate() {
            let part = &mut self.parts[index];
            if share < part.offsets() {
                part.start = part.end - i64::try_from(share).expect("less than the offsets");
                let first = self.of_part(self.parts[index], self.times.clone()).first(log)?;
                since = since.max(first.map(|record| record.time).unwrap_or_default());
            }
        }
        let starts = self.positions(log, Start::Time(since))?;
        self.parts.iter_mut().zip(starts).for_each(|(part, start)| part.start = part.start.max(start));
        self.times.start = self.times.start.max(since);
        Ok((self, Some(since)))
    }

    /// The last offsets of each partition, at most so many.
    pub(crate) fn tail(mut self, offsets: usize) -> Self {
        let offsets = i64::try_from(offsets).unwrap_or(i64::MAX);
        self.parts.iter_mut().for_each(|part| part.start = part.start.max(part.end.saturating_sub(offsets)));
        self
    }

    /// The partition on which a key lands.
    pub(crate) fn home(mut self, key: &str) -> Self {
        let partitions = u32::try_from(self.parts.len()).expect("partitions are numbered by an i32");
        let home = topics::partition_of(key.as_bytes(), partitions);
        self.parts.retain(|part| part.partition == home);
        self
    }

    /// How many offsets there are: at least as many as records.
    pub(crate) fn offsets(&self) -> usize {
        self.parts.iter().map(Part::offsets).sum()
    }

    /// Hands over the records chunk by chunk, each partition in its order, until all are read or `each` breaks off.
    ///
    /// Records that retention removes during the read are warned of and passed over.
    ///
    /// # Errors
    /// As [`topics::Reader::poll`]; [`Error::Stalled`] when the end does not come; what `each` gives.
    pub(crate) fn read(
        &self,
        log: &dyn Log,
        mut each: impl FnMut(Vec<Record>) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<()> {
        let topic = self.topic;
        let mut open: Vec<Part> = self.parts.iter().copied().filter(|part| part.offsets() > 0).collect();
        let starts: Vec<_> = open.iter().map(|part| (topic, part.partition, Start::Offset(part.start))).collect();
        let mut reader = log.reader(&starts)?;
        let mut empty_polls = 0;
        while let Some(&Part { partition, end, .. }) = open.first() {
            let mut records = match reader.poll(POLL_TIMEOUT, CHUNK_RECORDS_MAX) {
                Err(error) if error.action() == Action::Skip => {
                    tracing::warn!("{error}");
                    continue;
                }
                polled => polled?,
            };
            empty_polls = if records.is_empty() { empty_polls + 1 } else { 0 };
            records.retain(|record| self.holds(record));
            if !records.is_empty() && each(records)?.is_break() {
                return Ok(());
            }
            let done: Vec<Part> =
                open.extract_if(.., |part| reader.position(topic, part.partition) >= part.end).collect();
            done.iter().try_for_each(|part| reader.pause(topic, part.partition))?;
            if empty_polls > EMPTY_POLLS_MAX {
                let position = reader.position(topic, partition);
                return Err(Error::Stalled { topic: topic.name().to_owned(), partition, position, high: end }.into());
            }
        }
        Ok(())
    }

    fn first(&self, log: &dyn Log) -> anyhow::Result<Option<Record>> {
        let mut first = None;
        self.read(log, |records| {
            first = records.into_iter().next();
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// The offset behind the last record.
    fn last(&self, log: &dyn Log) -> anyhow::Result<i64> {
        let mut end = 0;
        self.read(log, |records| {
            end = records.last().map_or(end, |record| record.offset + 1);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(end)
    }

    fn of_part(&self, part: Part, times: Range<EventTime>) -> Self {
        Self { topic: self.topic, parts: vec![part], times }
    }

    fn holds(&self, record: &Record) -> bool {
        let mut ends = self.parts.iter().filter(|part| part.partition == record.partition).map(|part| part.end);
        self.times.contains(&record.time) && ends.any(|end| record.offset < end)
    }

    /// The offsets that a start stands for, partition by partition.
    fn positions(&self, log: &dyn Log, start: Start) -> Result<Vec<i64>, Error> {
        let starts: Vec<_> = self.parts.iter().map(|part| (self.topic, part.partition, start)).collect();
        let reader = log.reader(&starts)?;
        Ok(self.parts.iter().map(|part| reader.position(self.topic, part.partition)).collect())
    }
}

/// Shares of a number in proportion to the parts' offsets, which are more: whole numbers that add up to it.
fn shares(parts: &[Part], records_max: usize) -> Vec<usize> {
    let all: usize = parts.iter().map(Part::offsets).sum();
    let (mut offsets, mut given) = (0, 0);
    let share = |part: &Part| {
        offsets += part.offsets();
        let due = usize::try_from(records_max as u128 * offsets as u128 / all as u128).expect("at most records_max");
        due - std::mem::replace(&mut given, due)
    };
    parts.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing};

    use super::*;

    /// Partition 0 holds a record a second, partition 1 one in three seconds; keys tell when.
    fn log() -> Embedded {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Outcomes], 2).expect("a new topic");
        let key =
            |partition| (0..).map(|n| format!("k{n}")).find(|key| topics::partition_of(key.as_bytes(), 2) == partition);
        let (busy, calm) = (key(0).expect("some key"), key(1).expect("some key"));
        let record = |key: &str, second: u64| Outgoing {
            topic: Topic::Outcomes,
            time: EventTime::from_millis(second * 1000),
            key: key.as_bytes().to_vec(),
            value: Some(second.to_string().into_bytes()),
            headers: Vec::new(),
        };
        let records: Vec<_> = (0..30_u64)
            .flat_map(|second| {
                let calm = (second % 3 == 0).then(|| record(&calm, second));
                std::iter::once(record(&busy, second)).chain(calm)
            })
            .collect();
        log.writer(Delivery::Idempotent).expect("a writer").append(&records).expect("room");
        log
    }

    /// The seconds that a stretch holds, partition by partition.
    fn seconds(log: &Embedded, extent: &Extent) -> [Vec<u64>; 2] {
        let mut seconds = [Vec::new(), Vec::new()];
        let read = extent.read(log, |records| {
            for record in records {
                seconds[usize::from(record.partition == 1)].push(record.time.millis() / 1000);
            }
            Ok(ControlFlow::Continue(()))
        });
        read.expect("a log in memory");
        seconds
    }

    fn all(log: &Embedded) -> Extent {
        Extent::of(log, Topic::Outcomes, Start::Earliest).expect("a log in memory").expect("a topic")
    }

    #[test]
    fn a_stretch_begins_and_ends_by_time() {
        let log = log();
        let from = Start::Time(EventTime::from_millis(5_000));
        let extent = Extent::of(&log, Topic::Outcomes, from).expect("a log in memory").expect("a topic");
        let extent = extent.until(&log, EventTime::from_millis(8_000)).expect("a log in memory");
        assert_eq!(seconds(&log, &extent), [vec![5, 6, 7], vec![6]]);
    }

    /// A log that takes every time for that of its oldest record, as a replayed one on Kafka does.
    struct Misled(Embedded);

    impl Log for Misled {
        fn ensure(&self, topics: &[Topic], partitions: u32) -> Result<(), Error> {
            self.0.ensure(topics, partitions)
        }

        fn partitions(&self, topic: Topic) -> Result<u32, Error> {
            self.0.partitions(topic)
        }

        fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), Error> {
            self.0.watermarks(topic, partition)
        }

        fn reader(&self, assignment: &[(Topic, i32, Start)]) -> Result<Box<dyn topics::Reader>, Error> {
            let oldest = |&(topic, partition, start)| match start {
                Start::Time(_) => (topic, partition, Start::Earliest),
                start => (topic, partition, start),
            };
            self.0.reader(&assignment.iter().map(oldest).collect::<Vec<_>>())
        }

        fn writer(&self, delivery: Delivery) -> Result<Box<dyn topics::Writer>, Error> {
            self.0.writer(delivery)
        }
    }

    #[test]
    fn a_log_that_looks_times_up_wrongly_costs_no_record() {
        let log = Misled(log());
        let from = Start::Time(EventTime::from_millis(5_000));
        let extent = Extent::of(&log, Topic::Outcomes, from).expect("a log in memory").expect("a topic");
        let extent = extent.until(&log, EventTime::from_millis(8_000)).expect("a log in memory");
        assert_eq!(seconds(&log.0, &extent), [vec![5, 6, 7], vec![6]]);
        let (newest, _) = extent.newest(&log, 2).expect("a log in memory");
        // Offsets 0 to 7 and 0 to 2, since times before 5 s are not looked up; of 2 records floor(2 * 8 / 11) = 1 and 1.
        assert_eq!(seconds(&log.0, &newest), [vec![7], vec![]], "all are cut at second 7");
    }

    #[test]
    fn what_is_written_after_the_beginning_is_not_read() {
        let log = log();
        let extent = all(&log);
        let late = Outgoing {
            topic: Topic::Outcomes,
            time: EventTime::from_millis(99_000),
            key: b"k".to_vec(),
            value: None,
            headers: Vec::new(),
        };
        log.writer(Delivery::Idempotent).expect("a writer").append(&[late]).expect("room");
        assert_eq!(seconds(&log, &extent).concat().len(), 40);
    }

    #[test]
    fn the_newest_records_are_cut_at_one_instant() {
        // 30 and 10 offsets; of 8 records 6 and 2 are the shares: seconds 24 to 29 and 24, 27. All begin at 24.
        let log = log();
        let (extent, since) = all(&log).newest(&log, 8).expect("a log in memory");
        assert_eq!(seconds(&log, &extent), [(24..30).collect(), vec![24, 27]]);
        assert_eq!(since, Some(EventTime::from_millis(24_000)));
        // Of 5 records 3 and 2: seconds 27 to 29 and 24, 27. What is older than 27 goes.
        let (extent, since) = all(&log).newest(&log, 5).expect("a log in memory");
        assert_eq!(seconds(&log, &extent), [vec![27, 28, 29], vec![27]]);
        assert_eq!(since, Some(EventTime::from_millis(27_000)));
        let (extent, since) = all(&log).newest(&log, 40).expect("a log in memory");
        assert_eq!((extent, since), (all(&log), None), "nothing is cut");
    }

    #[test]
    fn a_read_breaks_off_when_it_is_told_to() {
        let log = log();
        let first = all(&log).home("k0").tail(2).first(&log).expect("a log in memory").expect("a record");
        let expected = if topics::partition_of(b"k0", 2) == 0 { 28 } else { 24 };
        assert_eq!(first.time.millis(), expected * 1000);
    }

    #[test]
    fn a_topic_that_is_not_there_has_no_stretch() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        assert_eq!(Extent::of(&log, Topic::Samples, Start::Earliest).expect("a log in memory"), None);
    }
}

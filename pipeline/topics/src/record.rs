//! Records as they are read and as they are written.

use std::borrow::Cow;

use schemas::decode::{ARROW_STREAM, MESSAGE_BYTES_MAX};
use schemas::{EventTime, Noun, Sample, SourceId, Topic, batch};

use crate::Error;

/// Largest record: key, value and header values together, in bytes. 16 MiB, the largest message that is decoded.
pub const RECORD_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// One poll stops at the first record past this many bytes, so that a poll of many large records fits in memory.
pub const POLL_BYTES_MAX: usize = 64 << 20;

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its topic.
    pub topic: Topic,
    /// Its partition, from 0.
    pub partition: i32,
    /// Its offset: grows along the partition, with gaps.
    pub offset: i64,
    /// The log's time of the record; [`EventTime::default`] when a foreign writer gave none.
    pub time: EventTime,
    /// Its key; none only from a foreign writer.
    pub key: Option<Vec<u8>>,
    /// Its value; none is a tombstone, which removes the key from a compacted topic.
    pub value: Option<Vec<u8>>,
    /// Its headers in the order of writing; a name may occur more than once.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The value of a header, if it is there and is text. The last of several with one name counts.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok()
    }

    /// The key as text, with a replacement character for every byte that is none; empty without a key.
    #[must_use]
    pub fn source(&self) -> String {
        self.key.as_deref().map_or(Cow::Borrowed(""), String::from_utf8_lossy).into_owned()
    }

    /// Whether the record, read later, takes the place of one of the same key that was read before, which lay on
    /// `partition` at `time`. Within a partition the later read counts; a key that moved to another one, as happens when
    /// partitions are added, counts by its later time.
    #[must_use]
    pub fn supersedes(&self, partition: i32, time: EventTime) -> bool {
        self.partition == partition || self.time >= time
    }

    /// Bytes that the record holds.
    pub(crate) fn bytes(&self) -> usize {
        size(self.key.as_deref().unwrap_or_default(), self.value.as_deref(), &self.headers)
    }
}

/// A record to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its topic.
    pub topic: Topic,
    /// Its time on the log. Kafka puts its own clock in place of the epoch, drops records that are older than the
    /// topic's retention soon after they were written, and refuses those more than an hour ahead of its clock.
    pub time: EventTime,
    /// Its key, which chooses the partition.
    pub key: Vec<u8>,
    /// Its value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Outgoing {
    /// A noun as JSON, under its own key, time and headers.
    #[must_use]
    pub fn of<N: Noun>(noun: &N) -> Self {
        Self {
            topic: N::TOPIC,
            time: noun.time(),
            key: noun.key().as_bytes().to_vec(),
            value: Some(noun.to_json()),
            headers: noun.headers().into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect(),
        }
    }

    /// Samples as one message of the native lane. Write only when there are samples: a reader refuses an empty batch.
    ///
    /// Headers: `content-type`, `foreshadow.version` (1) and `foreshadow.rows`, the number of samples, so that a
    /// reader can count without decoding.
    #[must_use]
    pub fn samples(source: &SourceId, time: EventTime, samples: &[Sample]) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        Self {
            topic: Topic::Samples,
            time,
            key: source.as_str().as_bytes().to_vec(),
            value: Some(batch::encode(samples)),
            headers: vec![
                header("content-type", ARROW_STREAM),
                header("foreshadow.version", "1"),
                header("foreshadow.rows", &samples.len().to_string()),
            ],
        }
    }

    /// The removal of a key from a noun's compacted topic.
    #[must_use]
    pub fn tombstone<N: Noun>(key: &str, time: EventTime) -> Self {
        Self { topic: N::TOPIC, time, key: key.as_bytes().to_vec(), value: None, headers: Vec::new() }
    }

    /// Refuses a record that is too large for either log, before any of its append is written.
    pub(crate) fn check(&self, place: &str) -> Result<(), Error> {
        let bytes = self.bytes();
        if bytes <= RECORD_BYTES_MAX {
            return Ok(());
        }
        Err(Error::TooLarge {
            topic: self.topic.name().to_owned(),
            source_id: self.source(),
            bytes,
            limit: format!("at most {RECORD_BYTES_MAX} bytes"),
            place: place.to_owned(),
        })
    }

    /// The key as text, lossy.
    pub(crate) fn source(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }

    /// Bytes that the record holds.
    pub(crate) fn bytes(&self) -> usize {
        size(&self.key, self.value.as_deref(), &self.headers)
    }
}

fn size(key: &[u8], value: Option<&[u8]>, headers: &[(String, Vec<u8>)]) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    key.len() + value.map_or(0, <[u8]>::len) + headers
}

#[cfg(test)]
mod tests {
    use schemas::{Progress, WorkloadId, decode};

    use super::*;

    #[test]
    fn a_noun_becomes_its_key_time_and_json() {
        let progress =
            Progress { group: "g".into(), frontier: EventTime::from_millis(7_000), sequence: 3, ..Progress::default() };
        let outgoing = Outgoing::of(&progress);
        assert_eq!(
            (outgoing.topic, outgoing.time.millis(), outgoing.key.as_slice()),
            (Topic::Progress, 7_000, &b"g"[..])
        );
        assert_eq!(Progress::from_json(&outgoing.value.expect("a value")).expect("its own JSON"), progress);
        assert_eq!(outgoing.headers, [("content-type".to_owned(), b"application/json".to_vec())]);
    }

    #[test]
    fn samples_travel_as_one_batch_that_decodes_by_its_own_headers() {
        let time = EventTime::from_millis(1_000);
        let samples = [Sample::new(time, WorkloadId::new("w").expect("a name"))];
        let outgoing = Outgoing::samples(&SourceId::new("agent").expect("a name"), time, &samples);
        let record = read(outgoing);
        assert_eq!(record.header("foreshadow.rows"), Some("1"));
        let rows = decode::samples(record.header("content-type"), record.value.as_deref().expect("a value"), time);
        let workload = rows.expect("a batch")[0].as_ref().expect("a row").workload.to_string();
        assert_eq!(workload, "w");
    }

    #[test]
    fn the_later_read_of_a_partition_counts_and_across_partitions_the_later_time() {
        let time = EventTime::from_millis(5);
        let record = read(Outgoing::tombstone::<Progress>("g", time)); // on partition 0
        assert!(record.supersedes(0, time.plus(1)), "clocks do not count within a partition");
        assert!(record.supersedes(1, time) && !record.supersedes(1, time.plus(1)));
    }

    #[test]
    fn the_last_header_of_a_name_counts_and_bytes_that_are_no_text_do_not() {
        let mut record = read(Outgoing::tombstone::<Progress>("g", EventTime::from_millis(1)));
        record.headers = vec![("a".into(), b"1".to_vec()), ("a".into(), b"2".to_vec()), ("b".into(), vec![0xff])];
        assert_eq!((record.header("a"), record.header("b"), record.header("c")), (Some("2"), None, None));
        record.key = Some(vec![b'k', 0xff]);
        assert_eq!(record.source(), "k\u{fffd}");
    }

    #[test]
    fn the_bound_counts_key_value_and_headers() {
        let mut outgoing = Outgoing::tombstone::<Progress>("key", EventTime::default());
        outgoing.headers = vec![("h".into(), vec![0; 6])];
        outgoing.value = Some(vec![0; RECORD_BYTES_MAX - 10]); // key 3 + name 1 + header 6 = 10 bytes beside it
        outgoing.check("memory").expect("exactly the bound");
        outgoing.headers[0].1.push(0);
        let error = outgoing.check("memory").expect_err("one byte more");
        assert!(error.to_string().contains("16777217 bytes for foreshadow.progress.v1 from \"key\""), "{error}");
    }

    fn read(outgoing: Outgoing) -> Record {
        let Outgoing { topic, time, key, value, headers } = outgoing;
        Record { topic, partition: 0, offset: 0, time, key: Some(key), value, headers }
    }
}

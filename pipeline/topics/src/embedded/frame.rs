//! The bytes of the embedded log's file: entries, gathered in frames.
//!
//! ```text
//! frame = length u32, crc32 of the payload u32, crc32 of the eight bytes before u32, payload
//! entry = 1, topic, partitions u32                                   a topic is created
//!       | 2, topic, partition u32, low i64, next i64                 where a partition stands
//!       | 3, topic, partition u32, offset i64, time u64, key, value, headers
//! ```
//!
//! Numbers are little-endian. A frame is whole or it is not there: it is the unit of atomicity. The header has a sum
//! of its own, so that a damaged length is never mistaken for a frame that a crash cut short.

use schemas::{EventTime, Topic};

use crate::Record;

/// Bytes of a frame before its payload.
pub(super) const HEADER_BYTES: usize = 12;
/// Largest payload, in bytes: 1 GiB, sixty-four of the largest records in one append.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 30;

const TOPIC: u8 = 1;
const MARK: u8 = 2;
const RECORD: u8 = 3;
/// Length of a key or value that is not there.
const NONE: u32 = u32::MAX;

/// One entry of a payload.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// A topic was created.
    Topic(Topic, u32),
    /// A partition stands at these watermarks, low and next.
    Mark(Topic, i32, i64, i64),
    /// A record was written.
    Record(Record),
}

/// The frame of a payload.
///
/// # Panics
/// When the payload is larger than [`PAYLOAD_BYTES_MAX`].
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "the caller bounds an append");
    let length = u32::try_from(payload.len()).expect("1 GiB fits in a u32");
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend(length.to_le_bytes());
    frame.extend(crc32fast::hash(payload).to_le_bytes());
    frame.extend(crc32fast::hash(&frame).to_le_bytes());
    frame.extend(payload);
    frame
}

/// Length and checksum of the payload after a header; none when the header is damaged.
pub(super) fn header(bytes: [u8; HEADER_BYTES]) -> Option<(usize, u32)> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (crc32fast::hash(&bytes[..8]) == word(8)).then(|| (word(0) as usize, word(4)))
}

pub(super) fn put_topic(payload: &mut Vec<u8>, topic: Topic, partitions: u32) {
    put_place(payload, TOPIC, topic, partitions);
}

pub(super) fn put_mark(payload: &mut Vec<u8>, topic: Topic, partition: i32, low: i64, next: i64) {
    put_place(payload, MARK, topic, partition.cast_unsigned());
    payload.extend(low.to_le_bytes());
    payload.extend(next.to_le_bytes());
}

pub(super) fn put_record(payload: &mut Vec<u8>, record: &Record) {
    put_place(payload, RECORD, record.topic, record.partition.cast_unsigned());
    payload.extend(record.offset.to_le_bytes());
    payload.extend(record.time.millis().to_le_bytes());
    put_bytes(payload, record.key.as_deref());
    put_bytes(payload, record.value.as_deref());
    payload.extend(u32::try_from(record.headers.len()).expect("headers fit in a record").to_le_bytes());
    for (name, value) in &record.headers {
        put_bytes(payload, Some(name.as_bytes()));
        put_bytes(payload, Some(value));
    }
}

/// The entries of a payload, or what is wrong with it.
pub(super) fn entries(payload: &[u8]) -> Result<Vec<Entry>, String> {
    let mut rest = Rest(payload);
    let mut entries = Vec::new();
    while !rest.0.is_empty() {
        entries.push(rest.entry()?);
    }
    Ok(entries)
}

fn put_place(payload: &mut Vec<u8>, kind: u8, topic: Topic, number: u32) {
    payload.push(kind);
    put_bytes(payload, Some(topic.noun().as_bytes()));
    payload.extend(number.to_le_bytes());
}

fn put_bytes(payload: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(NONE, |bytes| u32::try_from(bytes.len()).expect("a record is below 16 MiB"));
    payload.extend(length.to_le_bytes());
    payload.extend(bytes.unwrap_or_default());
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn entry(&mut self) -> Result<Entry, String> {
        let kind = self.take(1)?[0];
        let noun = self.text()?;
        let topic = Topic::of_noun(&noun).ok_or_else(|| format!("topic {noun} is unknown to this build"))?;
        let number = self.u32()?;
        match kind {
            TOPIC => Ok(Entry::Topic(topic, number)),
            MARK => Ok(Entry::Mark(topic, number.cast_signed(), self.i64()?, self.i64()?)),
            RECORD => self.record(topic, number.cast_signed()).map(Entry::Record),
            other => Err(format!("entry of kind {other} is unknown to this build")),
        }
    }

    fn record(&mut self, topic: Topic, partition: i32) -> Result<Record, String> {
        let offset = self.i64()?;
        let time = EventTime::from_millis(self.i64()?.cast_unsigned());
        let (key, value) = (self.bytes()?, self.bytes()?);
        let count = self.u32()?;
        let headers = (0..count).map(|_| Ok((self.text()?, self.bytes()?.unwrap_or_default())));
        let headers = headers.collect::<Result<_, String>>()?;
        Ok(Record { topic, partition, offset, time, key, value, headers })
    }

    fn text(&mut self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.unwrap_or_default()).map_err(|error| error.to_string())
    }

    fn bytes(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.u32()? {
            NONE => Ok(None),
            length => self.take(length as usize).map(|bytes| Some(bytes.to_vec())),
        }
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn i64(&mut self) -> Result<i64, String> {
        Ok(i64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self.0.split_at_checked(bytes).ok_or("an entry ends early")?;
        self.0 = tail;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..9);
        let headers = prop::collection::vec((".{0,3}", bytes()), 0..3);
        (any::<(i32, i64, u64)>(), prop::option::of(bytes()), prop::option::of(bytes()), headers).prop_map(
            |((partition, offset, time), key, value, headers)| Record {
                topic: Topic::Rejects,
                partition,
                offset,
                time: EventTime::from_millis(time),
                key,
                value,
                headers,
            },
        )
    }

    proptest! {
        #[test]
        fn entries_read_back_as_written(record in record(), low in any::<i64>(), next in any::<i64>()) {
            let mut payload = Vec::new();
            put_topic(&mut payload, Topic::Samples, 7);
            put_mark(&mut payload, Topic::Pools, 3, low, next);
            put_record(&mut payload, &record);
            let expected = [Entry::Topic(Topic::Samples, 7), Entry::Mark(Topic::Pools, 3, low, next), Entry::Record(record)];
            prop_assert_eq!(entries(&payload).expect("what was written"), expected);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = entries(&bytes);
        }
    }

    #[test]
    fn a_header_knows_its_own_damage() {
        let whole = frame(b"payload");
        let mut head: [u8; HEADER_BYTES] = whole[..HEADER_BYTES].try_into().expect("twelve bytes");
        assert_eq!(header(head), Some((7, crc32fast::hash(b"payload"))));
        head[0] ^= 1;
        assert_eq!(header(head), None, "another length");
    }
}

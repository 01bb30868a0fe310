//! A topic as it is now: all its records, or the newest of each key.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::{Noun, NounError, Topic};

use crate::{Error, Log, Reader, Record, Start};

/// Most records of one poll: enough to amortise the call, few enough to keep its memory small.
const POLL_RECORDS_MAX: usize = 4096;
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
/// Empty polls in a row after which a read is called stalled: 10 s, twice what a broker takes to elect a leader.
const EMPTY_POLLS_MAX: u32 = 20;

/// The newest state of a compacted topic.
#[derive(Debug)]
pub struct Latest<N> {
    /// The newest noun of each key; keys whose newest record is a tombstone are left out.
    pub nouns: BTreeMap<String, N>,
    /// Keys whose newest record is no such noun, in the order of keys. An older readable one is not put in its place.
    pub undecodable: Vec<(Record, NounError)>,
}

/// All records from `from` to the high watermarks at the call, ordered by partition and offset.
///
/// Memory grows with the topic: meant for compacted topics and tests.
///
/// # Errors
/// As [`Log::reader`] and [`Reader::poll`]; [`Error::Stalled`] when the end does not come.
pub fn read_all(log: &dyn Log, topic: Topic, from: Start) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    read(log, topic, from, |record| records.push(record))?;
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// Takes the records from `from` to the high watermarks at the call, those of a partition in order.
fn read(log: &dyn Log, topic: Topic, from: Start, take: impl FnMut(Record)) -> Result<(), Error> {
    let partitions = i32::try_from(log.partitions(topic)?).expect("partitions are numbered by an i32");
    let mut ends = Vec::new();
    for partition in 0..partitions {
        let (_, high) = log.watermarks(topic, partition)?;
        ends.push((partition, high));
    }
    let assignment: Vec<_> = ends.iter().map(|&(partition, _)| (topic, partition, from)).collect();
    let mut reader = log.reader(&assignment)?;
    read_to(reader.as_mut(), topic, &ends, take)
}

/// The newest record of each key, typed; which one that is, see [`Record::supersedes`].
///
/// # Errors
/// As [`read_all`].
pub fn latest<N: Noun>(log: &dyn Log) -> Result<Latest<N>, Error> {
    let mut newest: BTreeMap<String, Record> = BTreeMap::new();
    // One by one: much of the topic may not be compacted yet.
    read(log, N::TOPIC, Start::Earliest, |record| {
        let key = record.source();
        if newest.get(&key).is_none_or(|held| record.supersedes(held.partition, held.time)) {
            newest.insert(key, record);
        }
    })?;
    let mut view = Latest { nouns: BTreeMap::new(), undecodable: Vec::new() };
    for (key, record) in newest {
        match record.value.as_deref().map(N::from_json) {
            None => {}
            Some(Ok(noun)) => drop(view.nouns.insert(key, noun)),
            Some(Err(error)) => view.undecodable.push((record, error)),
        }
    }
    Ok(view)
}

fn read_to(
    reader: &mut dyn Reader,
    topic: Topic,
    ends: &[(i32, i64)],
    mut take: impl FnMut(Record),
) -> Result<(), Error> {
    let mut empty_polls = 0;
    while let Some(&(partition, high)) = ends.iter().find(|&&(p, high)| reader.position(topic, p) < high) {
        let polled = reader.poll(POLL_TIMEOUT, POLL_RECORDS_MAX)?;
        empty_polls = if polled.is_empty() { empty_polls + 1 } else { 0 };
        if empty_polls > EMPTY_POLLS_MAX {
            return Err(Error::Stalled {
                topic: topic.name().to_owned(),
                partition,
                position: reader.position(topic, partition),
                high,
            });
        }
        let polled = polled.into_iter().filter(|record| {
            ends.iter().any(|&(partition, high)| partition == record.partition && record.offset < high)
        });
        polled.for_each(&mut take);
    }
    Ok(())
}

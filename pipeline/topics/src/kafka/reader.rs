//! A reader of Kafka: partitions assigned by hand, each from a resolved offset.
//!
//! The markers that end a transaction take offsets but are no records. The client steps its own position over them
//! when they are polled, so the position is asked of the client and never computed from the last record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use schemas::{EventTime, Topic};

use super::context::Context;
use super::{Cluster, fault};
use crate::{Action, Error, POLL_BYTES_MAX, Reader, Record, Start};

/// Most events beside records that one poll passes over: a long outage leaves a few each second, and each must be taken
/// out of the way of the records behind it.
const EVENTS_MAX: usize = 10_000;

pub(super) struct KafkaReader {
    cluster: Arc<Cluster>,
    consumer: BaseConsumer<Context>,
    assigned: Vec<Assigned>,
    topics: BTreeMap<String, Topic>,
    /// Errors that are to be told before reading goes on, one a poll: at most one per partition, and one beside.
    pending: VecDeque<Error>,
}

struct Assigned {
    topic: Topic,
    name: String,
    partition: i32,
    /// Where reading starts: the position until the client has one.
    start: i64,
    paused: bool,
}

impl KafkaReader {
    pub(super) fn new(cluster: Arc<Cluster>, assignment: &[(Topic, i32, Start)]) -> Result<Self, Error> {
        let consumer = cluster.settings.create(&cluster.settings.reading(), Context::default())?;
        let mut reader =
            Self { cluster, consumer, assigned: Vec::new(), topics: BTreeMap::new(), pending: VecDeque::new() };
        let mut list = TopicPartitionList::new();
        for &(topic, partition, start) in assignment {
            let start = reader.resolve(topic, partition, start)?;
            let name = reader.cluster.name(topic);
            let added = list.add_partition_offset(&name, partition, Offset::Offset(start));
            reader.answer("assign partitions", added)?;
            reader.topics.insert(name.clone(), topic);
            reader.assigned.push(Assigned { topic, name, partition, start, paused: false });
        }
        reader.answer("assign partitions", reader.consumer.assign(&list))?;
        Ok(reader)
    }

    /// The offset of a start; one that retention has passed is told by the first poll.
    fn resolve(&mut self, topic: Topic, partition: i32, start: Start) -> Result<i64, Error> {
        let (low, high) = self.cluster.watermarks(topic, partition)?;
        match start {
            Start::Earliest => Ok(low),
            Start::Latest => Ok(high),
            Start::Time(time) => Ok(self.offset_at(topic, partition, time)?.unwrap_or(high)),
            Start::Offset(offset) if offset > high => Err(self.beyond(topic, partition, offset, high)),
            Start::Offset(offset) if offset < low => {
                self.pending.push_back(self.overrun(topic, partition, offset, low));
                Ok(low)
            }
            Start::Offset(offset) => Ok(offset),
        }
    }

    fn offset_at(&self, topic: Topic, partition: i32, time: EventTime) -> Result<Option<i64>, Error> {
        let millis = i64::try_from(time.millis().min(EventTime::MAX.millis())).expect("the maximum fits in an i64");
        let name = self.cluster.name(topic);
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&name, partition, Offset::Offset(millis));
        self.answer("find a time", added)?;
        let found = self.consumer.offsets_for_times(list, self.cluster.timeout());
        let found = self.answer(&format!("find a time in {name}"), found)?;
        Ok(match found.find_partition(&name, partition).map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    fn assigned(&mut self, topic: Topic, partition: i32) -> Result<(&mut Assigned, TopicPartitionList), Error> {
        let Some(one) = self.assigned.iter_mut().find(|one| (one.topic, one.partition) == (topic, partition)) else {
            let (topic, place) = (self.cluster.name(topic), self.cluster.place().to_owned());
            return Err(Error::UnknownPartition { topic, partition, place });
        };
        let mut list = TopicPartitionList::new();
        list.add_partition(&one.name, partition);
        Ok((one, list))
    }

    /// The client's own position, or the start until it has polled something of the partition.
    fn position_of(&self, one: &Assigned) -> i64 {
        let positions = self.consumer.position().ok();
        let found = positions.as_ref().and_then(|list| list.find_partition(&one.name, one.partition));
        match found.map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => one.start,
        }
    }

    /// Sorts an error of the client: a lost connection is told if nothing else came, all others before anything else.
    fn take_in(&mut self, error: &KafkaError, lost: &mut Option<Error>) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            if let Err(error) = self.pass_gaps() {
                self.pending.push_back(error);
            }
        } else if !fault::is_passing(error) {
            let error = self.cluster.fault("read", error, self.consumer.context());
            if error.action() == Action::Retry {
                *lost = Some(error);
            } else {
                self.pending.push_back(error);
            }
        }
    }

    /// Finds the partitions whose position is no longer there and goes on at their oldest record. A paused one finds
    /// out when it is taken up again.
    fn pass_gaps(&mut self) -> Result<(), Error> {
        for index in 0..self.assigned.len() {
            let one = &self.assigned[index];
            let (topic, partition, position) = (one.topic, one.partition, self.position_of(one));
            if one.paused {
                continue;
            }
            let (low, high) = self.cluster.watermarks(topic, partition)?;
            if position > high {
                return Err(self.beyond(topic, partition, position, high));
            }
            if position < low {
                self.assign_again(index, low)?;
                self.pending.push_back(self.overrun(topic, partition, position, low));
            }
        }
        Ok(())
    }

    /// The client refuses to seek in a partition that it gave up on: it must be taken away and given anew.
    fn assign_again(&mut self, index: usize, start: i64) -> Result<(), Error> {
        let one = &mut self.assigned[index];
        one.start = start;
        let mut list = TopicPartitionList::new();
        let again = list
            .add_partition_offset(&one.name, one.partition, Offset::Offset(start))
            .and_then(|()| self.consumer.incremental_unassign(&list))
            .and_then(|()| self.consumer.incremental_assign(&list));
        self.answer("assign a partition again", again)
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> Option<Record> {
        let millis = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
        Some(Record {
            topic: *self.topics.get(message.topic())?,
            partition: message.partition(),
            offset: message.offset(),
            time: EventTime::from_millis(millis.unwrap_or_default().min(EventTime::MAX.millis())),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers(message),
        })
    }

    fn answer<T>(&self, doing: &str, answer: Result<T, KafkaError>) -> Result<T, Error> {
        answer.map_err(|error| self.cluster.fault(doing, &error, self.consumer.context()))
    }

    fn beyond(&self, topic: Topic, partition: i32, offset: i64, high: i64) -> Error {
        let place = self.cluster.place().to_owned();
        Error::Beyond { topic: self.cluster.name(topic), partition, offset, high, place }
    }

    fn overrun(&self, topic: Topic, partition: i32, position: i64, low: i64) -> Error {
        Error::Overrun { topic: self.cluster.name(topic), partition, position, low }
    }
}

impl Reader for KafkaReader {
    fn poll(&mut self, timeout: Duration, records_max: usize) -> Result<Vec<Record>, Error> {
        let (mut records, mut bytes, mut wait, mut lost) = (Vec::new(), 0, timeout, None);
        for _ in 0..records_max.saturating_add(EVENTS_MAX) {
            if !self.pending.is_empty() || records.len() >= records_max || bytes >= POLL_BYTES_MAX {
                break;
            }
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = self.record(&message).expect("only assigned topics are fetched");
                    bytes += record.bytes();
                    records.push(record);
                }
                Some(Err(error)) => self.take_in(&error, &mut lost),
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            // A connection that was lost is back, or the next poll tells.
            return Ok(records);
        }
        self.pending.pop_front().or(lost).map_or(Ok(records), Err)
    }

    fn pause(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        let (one, list) = self.assigned(topic, partition)?;
        one.paused = true;
        self.answer("pause", self.consumer.pause(&list))
    }

    fn resume(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        let (one, list) = self.assigned(topic, partition)?;
        one.paused = false;
        self.answer("resume", self.consumer.resume(&list))
    }

    fn position(&self, topic: Topic, partition: i32) -> i64 {
        let found = self.assigned.iter().find(|one| (one.topic, one.partition) == (topic, partition));
        self.position_of(found.expect("the partition is assigned"))
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        self.cluster.partitions(topic)
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        for one in &self.assigned {
            let (_, high) = self.cluster.watermarks(one.topic, one.partition)?;
            if self.position_of(one) < high {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The headers; none when a foreign writer's header names are no text, on which the client's accessor panics.
fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Vec<u8>)> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let read = || headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
    schemas::caught(|| read().collect()).unwrap_or_else(|| {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        tracing::warn!(topic, partition, offset, "dropped the headers of a record: their names are no text");
        Vec::new()
    })
}

//! A reader of Kafka: partitions assigned by hand, each from a resolved offset.
//!
//! The markers that end a transaction take offsets but are no records. The client steps its own position over them
//! when they are polled, so the position is asked of the client and never computed from the last record.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use schemas::{EventTime, Topic};

use super::context::Context;
use super::{Cluster, fault};
use crate::{Error, POLL_BYTES_MAX, Reader, Record, Start};

pub(super) struct KafkaReader {
    cluster: Arc<Cluster>,
    consumer: BaseConsumer<Context>,
    assigned: Vec<Assigned>,
    topics: BTreeMap<String, Topic>,
    /// An error that came behind records of the same poll: the next poll returns it.
    pending: Option<Error>,
}

struct Assigned {
    topic: Topic,
    name: String,
    partition: i32,
    /// Where reading starts: the position until the client has one.
    start: i64,
}

impl KafkaReader {
    pub(super) fn new(cluster: Arc<Cluster>, assignment: &[(Topic, i32, Start)]) -> Result<Self, Error> {
        let consumer = cluster.settings.create(&cluster.settings.reading(), Context::default())?;
        let mut reader = Self { cluster, consumer, assigned: Vec::new(), topics: BTreeMap::new(), pending: None };
        let mut list = TopicPartitionList::new();
        for &(topic, partition, start) in assignment {
            let start = reader.resolve(topic, partition, start)?;
            let name = reader.cluster.name(topic);
            let added = list.add_partition_offset(&name, partition, Offset::Offset(start));
            reader.answer("assign partitions", added)?;
            reader.topics.insert(name.clone(), topic);
            reader.assigned.push(Assigned { topic, name, partition, start });
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
                self.pending.get_or_insert(self.overrun(topic, partition, offset, low));
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

    fn assigned(&self, topic: Topic, partition: i32) -> Option<&Assigned> {
        self.assigned.iter().find(|one| (one.topic, one.partition) == (topic, partition))
    }

    fn list(&self, topic: Topic, partition: i32) -> Result<TopicPartitionList, Error> {
        let Some(one) = self.assigned(topic, partition) else {
            let (topic, place) = (self.cluster.name(topic), self.cluster.place().to_owned());
            return Err(Error::UnknownPartition { topic, partition, place });
        };
        let mut list = TopicPartitionList::new();
        list.add_partition(&one.name, partition);
        Ok(list)
    }

    /// The client's own position; none until it has polled something of the partition.
    fn polled_to(&self, one: &Assigned) -> Option<i64> {
        let positions = self.consumer.position().ok()?;
        match positions.find_partition(&one.name, one.partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    fn fault(&mut self, error: &KafkaError) -> Option<Error> {
        if fault::is_passing(error) {
            return None;
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            return self.pass_gaps().unwrap_or_else(Some);
        }
        Some(self.cluster.fault("read", error, self.consumer.context()))
    }

    /// Finds the partitions whose position is no longer there and goes on at their oldest record.
    fn pass_gaps(&mut self) -> Result<Option<Error>, Error> {
        let mut first = None;
        for index in 0..self.assigned.len() {
            let (topic, partition) = (self.assigned[index].topic, self.assigned[index].partition);
            let position = self.position(topic, partition);
            let (low, high) = self.cluster.watermarks(topic, partition)?;
            if position > high {
                return Err(self.beyond(topic, partition, position, high));
            }
            if position < low {
                let timeout = self.cluster.timeout();
                let sought = self.consumer.seek(&self.assigned[index].name, partition, Offset::Offset(low), timeout);
                self.answer("seek", sought)?;
                self.assigned[index].start = low;
                first.get_or_insert(self.overrun(topic, partition, position, low));
            }
        }
        Ok(first)
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
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < records_max && bytes < POLL_BYTES_MAX {
            let wait = if records.is_empty() { timeout } else { Duration::ZERO };
            let error = match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = self.record(&message).expect("only assigned topics are fetched");
                    bytes += record.bytes();
                    records.push(record);
                    continue;
                }
                Some(Err(error)) => error,
            };
            self.pending = self.fault(&error);
            break;
        }
        match self.pending.take_if(|_| records.is_empty()) {
            Some(error) => Err(error),
            None => Ok(records),
        }
    }

    fn pause(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        let list = self.list(topic, partition)?;
        self.answer("pause", self.consumer.pause(&list))
    }

    fn resume(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        let list = self.list(topic, partition)?;
        self.answer("resume", self.consumer.resume(&list))
    }

    fn position(&self, topic: Topic, partition: i32) -> i64 {
        let one = self.assigned(topic, partition).expect("the partition is assigned");
        self.polled_to(one).unwrap_or(one.start)
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        for one in &self.assigned {
            let (_, high) = self.cluster.watermarks(one.topic, one.partition)?;
            if self.polled_to(one).unwrap_or(one.start) < high {
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
    catch_unwind(AssertUnwindSafe(|| read().collect())).unwrap_or_else(|_| {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        tracing::warn!(topic, partition, offset, "dropped the headers of a record: their names are no text");
        Vec::new()
    })
}

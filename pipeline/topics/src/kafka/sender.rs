//! Sends records through librdkafka's producer and waits for the broker's word on each.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use schemas::EventTime;

use super::reports::{Failure, Reports};
use super::{Cluster, fault};
use crate::{Error, Outgoing};

/// Between two tries to hand a record to a client whose queue is full.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at whether the client has freed its reports, and how many looks: 10 ms in all.
const FREEING_PAUSE: Duration = Duration::from_micros(50);
const FREEING_LOOKS_MAX: usize = 200;

/// A producer, and the words for its faults.
pub(super) struct Sender {
    pub(super) cluster: Arc<Cluster>,
    /// Serves its own events on a thread of its own, so that an append can wait for them.
    pub(super) producer: ThreadedProducer<Reports>,
    pub(super) transactional_id: Option<String>,
}

impl Sender {
    pub(super) fn new(cluster: Arc<Cluster>, transactional_id: Option<String>) -> Result<Self, Error> {
        let config = cluster.settings.writing(transactional_id.as_deref());
        let producer = cluster.settings.create(&config, Reports::default())?;
        Ok(Self { cluster, producer, transactional_id })
    }

    /// Sends all and waits for every report. The client reports each record it took, at the delivery timeout at the
    /// latest, so the wait ends.
    pub(super) fn deliver(&self, records: &[Outgoing]) -> Result<(), Error> {
        let reports = self.producer.client().context();
        let refused = records.iter().find_map(|record| {
            reports.expect();
            let error = self.enqueue(record).err()?;
            reports.withdraw();
            Some(Failure {
                error,
                topic: self.cluster.name(record.topic),
                source: record.source(),
                bytes: record.bytes(),
            })
        });
        let failed = reports.wait();
        refused.or(failed).map_or(Ok(()), |failure| Err(self.undelivered(failure)))
    }

    /// The client counts a record as unsent until its report is freed, a moment after it was given to us. A commit in
    /// that moment would wait 100 ms for the count; measured, every fifth did.
    pub(super) fn wait_for_freed_reports(&self) {
        for _ in 0..FREEING_LOOKS_MAX {
            if self.producer.in_flight_count() == 0 {
                return;
            }
            thread::sleep(FREEING_PAUSE);
        }
    }

    /// The error of a producer that cannot go on.
    pub(super) fn dead(&self, error: &KafkaError) -> Error {
        let (code, reason) = match self.producer.client().fatal_error() {
            Some((code, reason)) => (Some(code), reason),
            None => (error.rdkafka_error_code(), error.to_string()),
        };
        match (code, &self.transactional_id) {
            (Some(code), Some(id)) if fault::is_fenced(code) => {
                Error::Fenced { id: id.clone(), place: self.cluster.place().to_owned() }
            }
            _ => self.unsettled(&reason),
        }
    }

    pub(super) fn unsettled(&self, reason: &str) -> Error {
        let id = self.transactional_id.clone().unwrap_or_else(|| "idempotent".to_owned());
        Error::Unsettled { id, place: self.cluster.place().to_owned(), reason: reason.to_owned() }
    }

    /// The error of a call that may succeed later, with the client's last complaint.
    pub(super) fn broker(&self, doing: &str, error: &KafkaError) -> Error {
        fault::of(&self.cluster.settings, doing, error, self.producer.client().context().complaint())
    }

    fn enqueue(&self, record: &Outgoing) -> KafkaResult<()> {
        let topic = self.cluster.name(record.topic);
        let mut message = message(&topic, record);
        let tries = 1 + self.cluster.settings.delivery_timeout.millis() / PAUSE.as_millis() as u64;
        for _ in 0..tries {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => message = back,
                Err((error, _)) => return Err(error),
            }
            thread::sleep(PAUSE);
        }
        Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
    }

    fn undelivered(&self, failure: Failure) -> Error {
        let place = self.cluster.place().to_owned();
        match failure.error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Error::TooLarge {
                topic: failure.topic,
                source_id: failure.source,
                bytes: failure.bytes,
                limit: "no more than its max.message.bytes".to_owned(),
                place,
            },
            Some(RDKafkaErrorCode::InvalidTimestamp | RDKafkaErrorCode::InvalidRecord) => Error::Refused {
                topic: failure.topic,
                source_id: failure.source,
                place,
                reason: failure.error.to_string(),
            },
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Error::UnknownTopic { topic: failure.topic, place }
            }
            _ if self.producer.client().fatal_error().is_some() => self.dead(&failure.error),
            _ => self.broker(&format!("write to {}", failure.topic), &failure.error),
        }
    }
}

fn message<'a>(topic: &'a str, record: &'a Outgoing) -> BaseRecord<'a, [u8], [u8]> {
    let millis = record.time.millis().min(EventTime::MAX.millis());
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_slice()) })
    });
    BaseRecord {
        topic,
        partition: None,
        payload: record.value.as_deref(),
        key: Some(&record.key),
        timestamp: Some(i64::try_from(millis).expect("the maximum fits in an i64")),
        headers: Some(headers),
        delivery_opaque: (),
    }
}

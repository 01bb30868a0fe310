//! A writer of Kafka: idempotent, or one transaction per append.
//!
//! ```text
//! append = send all, wait for every report                            idempotent
//!        | begin, send all, wait for every report, commit             transactional
//! ```
//!
//! Errors of a transaction are of three kinds: those to call again for, a bounded number of times; those after which
//! the transaction is rolled back and its records may be appended again; and all others, after which the producer is
//! dead. No prepared transaction is ever resumed: a restart takes the id over, which rolls an unfinished one back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use schemas::{EventTime, Topic};

use super::reports::{Failure, Reports};
use super::{Cluster, fault};
use crate::{Action, Delivery, Error, Outgoing, Writer};

/// How often a step of a transaction is called again; each call waits for its own timeout.
const STEP_CALLS_MAX: usize = 3;
/// Between two tries to hand a record to a client whose queue is full.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) struct KafkaWriter {
    cluster: Arc<Cluster>,
    producer: ThreadedProducer<Reports>,
    transactional_id: Option<String>,
    /// Topics that were there when they were first written to.
    known: BTreeSet<Topic>,
}

/// How a step of a transaction failed.
enum Step {
    /// It did not come to an end, however often it was called.
    Unfinished(KafkaError),
    /// The transaction must be rolled back.
    Abortable(KafkaError),
    /// The producer is dead.
    Fatal(Error),
}

impl KafkaWriter {
    pub(super) fn new(cluster: Arc<Cluster>, delivery: Delivery) -> Result<Self, Error> {
        let transactional_id = match delivery {
            Delivery::Idempotent => None,
            Delivery::Transactional { id } => Some(id),
        };
        let config = cluster.settings.writing(transactional_id.as_deref());
        let producer = cluster.settings.create(&config, Reports::default())?;
        let writer = Self { cluster, producer, transactional_id, known: BTreeSet::new() };
        if writer.transactional_id.is_some() {
            let timeout = writer.cluster.timeout();
            writer.step(|| writer.producer.init_transactions(timeout)).map_err(|step| writer.not_begun(step))?;
        }
        Ok(writer)
    }

    /// A topic that does not exist is an error at once, not after the client's half minute of looking for it.
    fn check_topics(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        for record in records {
            if !self.known.contains(&record.topic) {
                self.cluster.partitions(record.topic)?;
                self.known.insert(record.topic);
            }
        }
        Ok(())
    }

    /// Sends all and waits for every report. The client reports each record it took, at the delivery timeout at the
    /// latest, so the wait ends.
    fn deliver(&self, records: &[Outgoing]) -> Result<(), Error> {
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

    fn enqueue(&self, record: &Outgoing) -> KafkaResult<()> {
        let topic = self.cluster.name(record.topic);
        let mut message = message(&topic, record);
        let tries = 1 + self.cluster.settings.delivery_timeout_ms / PAUSE.as_millis() as u64;
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

    fn transact(&self, id: &str, records: &[Outgoing]) -> Result<(), Error> {
        self.step(|| self.producer.begin_transaction()).map_err(|step| self.not_begun(step))?;
        if let Err(error) = self.deliver(records) {
            return Err(if error.action() == Action::Stop { error } else { self.roll_back(id, error) });
        }
        let timeout = Duration::from_millis(self.cluster.settings.delivery_timeout_ms);
        match self.step(|| self.producer.commit_transaction(timeout)) {
            Ok(()) => Ok(()),
            Err(Step::Abortable(error)) => Err(self.roll_back(id, self.broker("commit", &error))),
            Err(Step::Unfinished(error)) => Err(self.unsettled(&error.to_string())),
            Err(Step::Fatal(error)) => Err(error),
        }
    }

    /// Rolls the transaction back and says why.
    fn roll_back(&self, id: &str, why: Error) -> Error {
        let timeout = Duration::from_millis(self.cluster.settings.delivery_timeout_ms);
        match (self.step(|| self.producer.abort_transaction(timeout)), why) {
            (Ok(()), Error::Broker { place, reason, .. }) => Error::Aborted { id: id.to_owned(), place, reason },
            (Ok(()), why) => why,
            (Err(Step::Fatal(error)), _) => error,
            (Err(Step::Unfinished(error) | Step::Abortable(error)), _) => self.unsettled(&error.to_string()),
        }
    }

    fn step(&self, call: impl Fn() -> KafkaResult<()>) -> Result<(), Step> {
        let mut calls = 0;
        loop {
            let error = match call() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            calls += 1;
            match &error {
                KafkaError::Transaction(native) if native.is_retriable() && calls < STEP_CALLS_MAX => {
                    tracing::debug!(%error, calls, "calling a step of a transaction again");
                }
                KafkaError::Transaction(native) if native.is_retriable() => return Err(Step::Unfinished(error)),
                KafkaError::Transaction(native) if native.txn_requires_abort() => return Err(Step::Abortable(error)),
                _ => return Err(Step::Fatal(self.dead(&error))),
            }
        }
    }

    /// A failed step before the transaction began: nothing was written.
    fn not_begun(&self, step: Step) -> Error {
        match step {
            Step::Fatal(error) => error,
            Step::Unfinished(error) | Step::Abortable(error) => self.broker("begin a transaction", &error),
        }
    }

    fn undelivered(&self, failure: Failure) -> Error {
        let place = self.cluster.place().to_owned();
        match failure.error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Error::TooLarge {
                topic: failure.topic,
                source_id: failure.source,
                bytes: failure.bytes,
                limit: "the topic's max.message.bytes".to_owned(),
                place,
            },
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Error::UnknownTopic { topic: failure.topic, place }
            }
            _ if self.producer.client().fatal_error().is_some() => self.dead(&failure.error),
            _ => self.broker(&format!("write to {}", failure.topic), &failure.error),
        }
    }

    fn dead(&self, error: &KafkaError) -> Error {
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

    fn unsettled(&self, reason: &str) -> Error {
        let id = self.transactional_id.clone().unwrap_or_else(|| "idempotent".to_owned());
        Error::Unsettled { id, place: self.cluster.place().to_owned(), reason: reason.to_owned() }
    }

    fn broker(&self, doing: &str, error: &KafkaError) -> Error {
        let (place, reason) = (self.cluster.place().to_owned(), error.to_string());
        Error::Broker { place, doing: doing.to_owned(), reason }
    }
}

impl Writer for KafkaWriter {
    fn append(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        records.iter().try_for_each(|record| record.check(self.cluster.place()))?;
        self.check_topics(records)?;
        match &self.transactional_id {
            None => self.deliver(records),
            Some(id) => self.transact(id, records),
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

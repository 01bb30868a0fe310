//! A writer of Kafka: idempotent, or one transaction per append.
//!
//! ```text
//! append = send all, wait for every report                            idempotent
//!        | begin, send all, wait for every report, commit             transactional
//! ```
//!
//! Errors of a transaction are of three kinds: those to call again for, a bounded number of times; those after which
//! the transaction is rolled back and its records may be appended again; and all others, after which the producer is
//! dead. A record that the broker refuses leaves a gap in the client's numbering, so that the transaction after it may
//! be rolled back once more before the client starts numbering anew.
//!
//! No prepared transaction is ever resumed: a restart takes the id over, which rolls an unfinished one back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;
use schemas::Topic;

use super::Cluster;
use super::sender::Sender;
use crate::{Action, Delivery, Error, Outgoing, Writer};

/// How often a step of a transaction is called again. The calls share one timeout.
const STEP_CALLS_MAX: u32 = 3;

pub(super) struct KafkaWriter {
    sender: Sender,
    /// Topics that were there when they were first written to.
    known: BTreeSet<Topic>,
    /// Whether a transaction is begun and neither committed nor rolled back.
    open: bool,
    /// Why no append can follow: a commit did not come to an end.
    unsettled: Option<String>,
}

/// How a step of a transaction failed.
enum Step {
    /// It did not come to an end in time; it may be called again.
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
        let sender = Sender::new(cluster, transactional_id)?;
        let writer = Self { sender, known: BTreeSet::new(), open: false, unsettled: None };
        if writer.sender.transactional_id.is_some() {
            let taken = writer.step(|timeout| writer.sender.producer.init_transactions(timeout));
            taken.map_err(|step| writer.harmless("take the transactional id over", step))?;
        }
        Ok(writer)
    }

    /// A topic that does not exist is an error at once, not after the client's half minute of looking for it.
    fn check_topics(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        for record in records {
            if !self.known.contains(&record.topic) {
                self.sender.cluster.partitions(record.topic)?;
                self.known.insert(record.topic);
            }
        }
        Ok(())
    }

    fn transact(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        self.roll_back()?;
        let begun = self.step(|_| self.sender.producer.begin_transaction());
        begun.map_err(|step| self.harmless("begin a transaction", step))?;
        self.open = true;
        if let Err(error) = self.sender.deliver(records) {
            return Err(self.give_up(error));
        }
        self.sender.wait_for_freed_reports();
        match self.step(|timeout| self.sender.producer.commit_transaction(timeout)) {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            Err(Step::Abortable(error)) => Err(self.give_up(self.sender.broker("commit", &error))),
            Err(Step::Unfinished(error)) => {
                let reason = self.unsettled.insert(error.to_string());
                Err(self.sender.unsettled(reason))
            }
            Err(Step::Fatal(error)) => Err(error),
        }
    }

    /// Ends a transaction that was never asked to commit. Its records will not be seen even if the broker cannot be
    /// told so now: the next append tells it again before it begins.
    fn give_up(&mut self, why: Error) -> Error {
        match (self.roll_back(), why) {
            (Err(error), _) if error.action() == Action::Stop => error,
            (_, why) if why.action() == Action::Retry => {
                let id = self.sender.transactional_id.clone().unwrap_or_default();
                Error::Aborted { id, place: self.sender.cluster.place().to_owned(), reason: why.to_string() }
            }
            (_, why) => why,
        }
    }

    /// Rolls an open transaction back.
    fn roll_back(&mut self) -> Result<(), Error> {
        if self.open {
            let rolled_back = self.step(|timeout| self.sender.producer.abort_transaction(timeout));
            rolled_back.map_err(|step| self.harmless("roll a transaction back", step))?;
            self.open = false;
        }
        Ok(())
    }

    /// Calls a step with its share of the delivery timeout, again while the client says that this may help.
    fn step(&self, call: impl Fn(Duration) -> KafkaResult<()>) -> Result<(), Step> {
        let timeout = self.sender.cluster.settings.delivery_timeout.duration() / STEP_CALLS_MAX;
        let mut calls = 0;
        loop {
            let Err(error) = call(timeout) else { return Ok(()) };
            calls += 1;
            match &error {
                KafkaError::Transaction(native) if native.is_retriable() && calls < STEP_CALLS_MAX => {
                    tracing::debug!(%error, calls, "calling a step of a transaction again");
                }
                KafkaError::Transaction(native) if native.is_retriable() => return Err(Step::Unfinished(error)),
                KafkaError::Transaction(native) if native.txn_requires_abort() => return Err(Step::Abortable(error)),
                _ => return Err(Step::Fatal(self.sender.dead(&error))),
            }
        }
    }

    /// The error of a step that writes nothing.
    fn harmless(&self, doing: &str, step: Step) -> Error {
        match step {
            Step::Fatal(error) => error,
            Step::Unfinished(error) | Step::Abortable(error) => self.sender.broker(doing, &error),
        }
    }
}

impl Writer for KafkaWriter {
    fn append(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        if let Some(reason) = &self.unsettled {
            return Err(self.sender.unsettled(reason));
        }
        records.iter().try_for_each(|record| record.check(self.sender.cluster.place()))?;
        self.check_topics(records)?;
        if self.sender.transactional_id.is_some() { self.transact(records) } else { self.sender.deliver(records) }
    }
}

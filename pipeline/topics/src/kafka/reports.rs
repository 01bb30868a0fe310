//! The client's reports on the records of one append, counted until all are in.

use std::sync::{Condvar, Mutex, MutexGuard};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::context::{Complaint, Context};

/// Why a record was not delivered, and which.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: KafkaError,
    pub(super) topic: String,
    /// The record's key, lossy.
    pub(super) source: String,
    pub(super) bytes: usize,
}

/// The ears of one producer. Its appends follow one another, so all open reports are of one append.
#[derive(Default)]
pub(super) struct Reports {
    context: Context,
    open: Mutex<Open>,
    settled: Condvar,
}

#[derive(Default)]
struct Open {
    records: usize,
    first_failure: Option<Failure>,
}

impl Reports {
    /// Counts a record that is about to be handed to the client.
    pub(super) fn expect(&self) {
        self.lock().records += 1;
    }

    /// Takes back a record that the client refused.
    pub(super) fn withdraw(&self) {
        self.lock().records -= 1;
    }

    /// Waits until every record is reported on; the first failure, if there was one.
    pub(super) fn wait(&self) -> Option<Failure> {
        let mut open =
            self.settled.wait_while(self.lock(), |open| open.records > 0).expect("no holder of the lock panics");
        open.first_failure.take()
    }

    /// The client's last complaint, once.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        self.context.complaint()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no holder of the lock panics")
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, said: &str) {
        self.context.log(level, facility, said);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut open = self.lock();
        if let Err((error, message)) = result {
            open.first_failure.get_or_insert_with(|| Failure {
                error: error.clone(),
                topic: message.topic().to_owned(),
                source: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                bytes: message.payload_len(),
            });
        }
        open.records -= 1;
        if open.records == 0 {
            self.settled.notify_all();
        }
    }
}

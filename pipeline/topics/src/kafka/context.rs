//! Where librdkafka's own messages go: to tracing, and the last one into our errors.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What a client last complained of on its own, such as a refused connection or a failed handshake.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
}

/// The ears of one client.
#[derive(Debug, Default)]
pub(super) struct Context {
    complaint: Mutex<Option<Complaint>>,
}

impl Context {
    /// The last complaint, once.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Complaint>> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    /// Its errors are our warnings: a lost connection is retried, no data is lost with it.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, said: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, said, "librdkafka");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(facility, said, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, said, "librdkafka");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        // That all brokers are down follows each broker's own complaint, which says why.
        if let Some(code) = error.rdkafka_error_code().filter(|&code| code != RDKafkaErrorCode::AllBrokersDown) {
            *self.lock() = Some(Complaint { code, text: reason.to_owned() });
        }
    }
}

impl ConsumerContext for Context {}

//! The log of real brokers, through librdkafka.
//!
//! Readers assign their partitions by hand and see finished transactions only; there are no consumer groups, no
//! rebalancing and no committed offsets. Writers are idempotent or transactional, never less. A handle holds one
//! client for questions (metadata, watermarks), every reader and writer has its own.

mod context;
mod fault;
mod reader;
mod reports;
mod sender;
mod settings;
mod topics;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use schemas::Topic;

use crate::{Delivery, Error, Log, Reader, Start, Writer};
use context::Context;
use reader::KafkaReader;
pub use settings::KafkaSettings;
use writer::KafkaWriter;

/// Lines of librdkafka's log that one question passes on: more than a failed contact writes.
const LOG_LINES_MAX: usize = 64;

/// A handle of a cluster of brokers; clones share its client.
#[derive(Clone, Debug)]
pub struct Kafka {
    cluster: Arc<Cluster>,
}

impl Kafka {
    /// Makes contact with the brokers.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::Plaintext`] before any contact; [`Error::Unreachable`] when nobody answers within
    /// `contact_timeout`; [`Error::Plaintext`] again when a broker on this machine names one on another.
    pub fn connect(settings: KafkaSettings) -> Result<Self, Error> {
        settings.check()?;
        let client = settings.create(&settings.asking(), Context::default())?;
        let cluster = Cluster { settings, client };
        let metadata = cluster.metadata(None)?;
        for broker in metadata.brokers() {
            cluster.settings.check_host(broker.host())?;
        }
        Ok(Self { cluster: Arc::new(cluster) })
    }

    /// Removes topics with all that they hold; what is not there is as good as removed.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`], or the log's own refusal.
    pub fn remove(&self, topics: &[Topic]) -> Result<(), Error> {
        topics::remove(&self.cluster, topics)
    }
}

impl Log for Kafka {
    fn ensure(&self, topics: &[Topic], partitions: u32) -> Result<(), Error> {
        topics::ensure(&self.cluster, topics, partitions)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        self.cluster.partitions(topic)
    }

    fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), Error> {
        self.cluster.watermarks(topic, partition)
    }

    fn reader(&self, assignment: &[(Topic, i32, Start)]) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(KafkaReader::new(Arc::clone(&self.cluster), assignment)?))
    }

    fn writer(&self, delivery: Delivery) -> Result<Box<dyn Writer>, Error> {
        Ok(Box::new(KafkaWriter::new(Arc::clone(&self.cluster), delivery)?))
    }
}

/// What a handle, its readers and its writers share.
struct Cluster {
    settings: KafkaSettings,
    client: BaseConsumer<Context>,
}

impl Cluster {
    fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.settings.namespace, topic.name())
    }

    fn place(&self) -> &str {
        &self.settings.brokers
    }

    fn timeout(&self) -> Duration {
        self.settings.contact_timeout.duration()
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Error> {
        let asked = self.client.fetch_metadata(topic, self.timeout());
        self.answer("read the metadata", asked)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        let name = self.name(topic);
        let metadata = self.metadata(Some(&name))?;
        let found = metadata.topics().iter().find(|found| found.name() == name);
        match found.map(|found| (found.partitions().len(), found.error())) {
            Some((partitions @ 1.., None)) => Ok(u32::try_from(partitions).expect("numbered by an i32")),
            Some((_, Some(code))) if RDKafkaErrorCode::from(code) != RDKafkaErrorCode::UnknownTopicOrPartition => {
                self.answer(&format!("describe {name}"), Err(KafkaError::MetadataFetch(code.into())))
            }
            _ => Err(Error::UnknownTopic { topic: name, place: self.place().to_owned() }),
        }
    }

    /// The high watermark is that of finished transactions: the last stable offset.
    fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), Error> {
        let name = self.name(topic);
        match self.client.fetch_watermarks(&name, partition, self.timeout()) {
            Err(error) if fault::is_unknown(&error) => {
                self.check_partition(topic, partition)?;
                self.answer(&format!("find the leader of {name} partition {partition}"), Err(error))
            }
            asked => self.answer(&format!("read the watermarks of {name}"), asked),
        }
    }

    fn check_partition(&self, topic: Topic, partition: i32) -> Result<(), Error> {
        let partitions = self.partitions(topic)?;
        if u32::try_from(partition).is_ok_and(|partition| partition < partitions) {
            return Ok(());
        }
        Err(Error::UnknownPartition { topic: self.name(topic), partition, place: self.place().to_owned() })
    }

    /// Turns the client's answer into ours, and its log lines into trace events on the way.
    fn answer<T>(&self, doing: &str, answer: Result<T, KafkaError>) -> Result<T, Error> {
        for _ in 0..LOG_LINES_MAX {
            let _ = self.client.poll(Duration::ZERO);
        }
        answer.map_err(|error| self.fault(doing, &error, self.client.context()))
    }

    fn fault(&self, doing: &str, error: &KafkaError, context: &Context) -> Error {
        fault::of(&self.settings, doing, error, context.complaint())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

//! One typed producer and consumer face over two logs.
//!
//! [`Log`] is the face: topics of partitions, a [`Reader`] that is told where to start, a [`Writer`] whose
//! append is durable when it returns. [`Kafka`] stands behind it where processes are separate, [`Embedded`] where
//! they are one (the demo, the simulator, tests), in memory or on disk. Nothing above the face knows which.
//! [`Producer`] and [`Consumer`] add the noun's type, [`latest`] gives the newest record of each key.
//!
//! Both logs keep the same laws: a key always lands on the same partition ([`partition_of`]), a partition keeps its
//! order, offsets never change, one append of an embedded or transactional writer is seen whole or not at all, and
//! of two transactional writers with one id the older is refused. All calls block; none needs a runtime.
//!
//! Invariant: librdkafka is named in this crate only, and only below `kafka`.

#![allow(clippy::disallowed_methods, reason = "an edge crate: it waits for brokers between two looks at them")]

mod embedded;
mod error;
mod kafka;
mod log;
mod partitioner;
mod record;
mod snapshot;
mod typed;

pub use embedded::{Embedded, EmbeddedSettings};
pub use error::{Action, Error};
pub use kafka::{Kafka, KafkaSettings};
pub use log::{Delivery, Log, Reader, Start, Writer};
pub use partitioner::partition_of;
pub use record::{Outgoing, POLL_BYTES_MAX, RECORD_BYTES_MAX, Record};
pub use snapshot::{Latest, latest, read_all};
pub use typed::{Consumer, Producer, Typed};

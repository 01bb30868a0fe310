//! The face: what the two logs have in common.

use std::time::Duration;

use schemas::{EventTime, Topic};

use crate::{Error, Outgoing, Record};

/// Where a reader starts in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is left.
    Earliest,
    /// Behind the newest record: only what is written from now on.
    Latest,
    /// At this offset, as [`Reader::position`] gave it.
    Offset(i64),
    /// At the first record whose time is this or later, behind the newest if there is none. Times need not be in order:
    /// records before the start may be later still.
    Time(EventTime),
}

/// How a writer's records become visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Each record for itself: in order, once, though the writer retries. After a failed append some may be written.
    Idempotent,
    /// One append is one transaction: all of its records or none. The writer takes `id` over from its predecessor,
    /// whose unfinished transaction is rolled back and whose appends fail from then on.
    Transactional {
        /// The transactional id: one living writer each.
        id: String,
    },
}

/// A log: topics of partitions of records. Shared between threads; one process may hold several.
pub trait Log: Send + Sync {
    /// Creates the topics that are missing, with `partitions` each and their cleanup policy. What exists stays as it
    /// is, whatever its number of partitions.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`], or the log's own refusal.
    fn ensure(&self, topics: &[Topic], partitions: u32) -> Result<(), Error>;

    /// How many partitions a topic has: they are numbered from 0.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`].
    fn partitions(&self, topic: Topic) -> Result<u32, Error>;

    /// The oldest offset that is left and the offset behind the newest record that readers may see.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] or [`Error::UnknownPartition`].
    fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), Error>;

    /// A reader of these partitions, each from its own start. No other reader changes what it gets.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`], or [`Error::Beyond`] for an offset after the end.
    fn reader(&self, assignment: &[(Topic, i32, Start)]) -> Result<Box<dyn Reader>, Error>;

    /// A writer. A transactional one has taken its id over when this returns: read how far the predecessor came after
    /// this call, never before.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or the log's own refusal.
    fn writer(&self, delivery: Delivery) -> Result<Box<dyn Writer>, Error>;
}

/// Reads assigned partitions, each in its order; only finished transactions are seen.
pub trait Reader: Send {
    /// The next records, at most `records_max` and about [`crate::POLL_BYTES_MAX`] bytes. Waits up to `timeout` for the
    /// first one, and may come back empty earlier.
    ///
    /// # Errors
    /// [`Error::Overrun`] when records went before they were read: the next poll goes on behind the gap. A log that
    /// cannot be reached for now is [`Action::Retry`](crate::Action::Retry), and the next poll goes on where it was.
    fn poll(&mut self, timeout: Duration, records_max: usize) -> Result<Vec<Record>, Error>;

    /// Holds a partition back: polls leave it out.
    ///
    /// # Errors
    /// [`Error::UnknownPartition`] for a partition that was not assigned.
    fn pause(&mut self, topic: Topic, partition: i32) -> Result<(), Error>;

    /// Takes a partition up again, where it was.
    ///
    /// # Errors
    /// [`Error::UnknownPartition`] for a partition that was not assigned.
    fn resume(&mut self, topic: Topic, partition: i32) -> Result<(), Error>;

    /// The offset that is returned next or, behind a gap, one before it: never a record that a poll returned.
    ///
    /// # Panics
    /// For a partition that was not assigned.
    fn position(&self, topic: Topic, partition: i32) -> i64;

    /// How many partitions a topic has by now: those that were added since the reader was made are not read.
    ///
    /// # Errors
    /// As [`Log::partitions`].
    fn partitions(&self, topic: Topic) -> Result<u32, Error>;

    /// Whether every assigned partition, the paused ones too, is read up to the high watermark of now. Costs a round
    /// trip per partition on Kafka. Poll on while it is false: that also passes over offsets without records.
    ///
    /// # Errors
    /// As [`Log::watermarks`].
    fn caught_up(&mut self) -> Result<bool, Error>;
}

/// Writes records.
pub trait Writer: Send {
    /// Writes the records in order, over any topics. Durable on return. Whole or not at all when the writer is
    /// transactional or the log is embedded; else see [`Delivery::Idempotent`]. No records is no call to the log.
    ///
    /// On Kafka the marks that make a transaction visible follow its commit: readers see it some milliseconds after this
    /// returns, partition by partition. The next append of the same id, and a writer that takes the id over, wait for
    /// them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] and [`Error::UnknownTopic`] before anything is written; [`Error::Aborted`] when nothing was;
    /// [`Error::Fenced`] when a newer writer took over.
    fn append(&mut self, records: &[Outgoing]) -> Result<(), Error>;
}

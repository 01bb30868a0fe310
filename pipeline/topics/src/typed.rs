//! The typed face: nouns in, nouns out.

use std::marker::PhantomData;
use std::time::Duration;

use schemas::{EventTime, Noun, NounError};

use crate::{Delivery, Error, Log, Outgoing, Reader, Record, Start, Writer};

/// A record and what it holds: a noun, none for a tombstone, or why its bytes are no noun.
pub type Typed<N> = (Record, Result<Option<N>, NounError>);

/// Writes one kind of noun, as JSON, to its topic.
pub struct Producer<N: Noun> {
    writer: Box<dyn Writer>,
    noun: PhantomData<fn(N)>,
}

impl<N: Noun> Producer<N> {
    /// A producer of its own writer.
    ///
    /// # Errors
    /// As [`Log::writer`].
    pub fn new(log: &dyn Log, delivery: Delivery) -> Result<Self, Error> {
        Ok(Self { writer: log.writer(delivery)?, noun: PhantomData })
    }

    /// Writes the nouns in order; see [`Writer::append`].
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn send(&mut self, nouns: &[N]) -> Result<(), Error> {
        let records: Vec<_> = nouns.iter().map(Outgoing::of).collect();
        self.writer.append(&records)
    }

    /// Removes a key from the noun's compacted topic.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn remove(&mut self, key: &str, time: EventTime) -> Result<(), Error> {
        self.writer.append(&[Outgoing::tombstone::<N>(key, time)])
    }
}

/// Reads one kind of noun from every partition of its topic.
///
/// It reads the JSON form alone; samples in the native lane are read by a [`Reader`] and `schemas::decode`.
pub struct Consumer<N: Noun> {
    reader: Box<dyn Reader>,
    noun: PhantomData<fn() -> N>,
}

impl<N: Noun> Consumer<N> {
    /// A consumer of all partitions that the topic has now.
    ///
    /// # Errors
    /// As [`Log::reader`].
    pub fn new(log: &dyn Log, start: Start) -> Result<Self, Error> {
        let partitions = i32::try_from(log.partitions(N::TOPIC)?).expect("partitions are numbered by an i32");
        let assignment: Vec<_> = (0..partitions).map(|partition| (N::TOPIC, partition, start)).collect();
        Ok(Self { reader: log.reader(&assignment)?, noun: PhantomData })
    }

    /// The next records with their nouns; see [`Reader::poll`]. An undecodable record is a row of the answer, no error.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    pub fn poll(&mut self, timeout: Duration, records_max: usize) -> Result<Vec<Typed<N>>, Error> {
        let records = self.reader.poll(timeout, records_max)?;
        Ok(records.into_iter().map(typed).collect())
    }

    /// Whether everything written so far was read; see [`Reader::caught_up`].
    ///
    /// # Errors
    /// As [`Reader::caught_up`].
    pub fn caught_up(&mut self) -> Result<bool, Error> {
        self.reader.caught_up()
    }
}

fn typed<N: Noun>(record: Record) -> Typed<N> {
    let noun = record.value.as_deref().map(N::from_json).transpose();
    (record, noun)
}

//! The embedded log: in this process, bounded, in memory or on disk.
//!
//! One lock guards everything: an append over several topics is seen whole, and readers wait on a condition that every
//! append signals. On disk an append is one checksummed frame, flushed before it is seen, so that a crash at any
//! instant leaves whole appends; readers wait while it is flushed. All records also stay in memory: the file is for the
//! next start, not for size.

mod frame;
mod journal;
mod partition;
mod reader;
mod state;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use schemars::JsonSchema;
use schemas::Topic;
use serde::{Deserialize, Serialize};

use crate::{Delivery, Error, Log, Outgoing, RECORD_BYTES_MAX, Reader, Start, Writer};
use reader::EmbeddedReader;
use state::State;

/// Least bound of a partition: the largest record and what it costs to hold.
const PARTITION_BYTES_MIN: u64 = (RECORD_BYTES_MAX as u64) + (1 << 20);

/// What a user tunes of an embedded log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedSettings {
    /// Most bytes that one partition holds in memory. Default 33554432, 32 MiB, about fifteen thousand records of 2 kB;
    /// at least 17 MiB. Past it a deleting topic drops its oldest records, and a compacted topic refuses appends once its
    /// live keys alone are larger.
    pub partition_bytes_max: u64,
    /// Whether an append on disk waits until the disk has it. Default true; without it a process may crash and lose
    /// nothing, a machine may crash and lose the last seconds.
    pub sync: bool,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self { partition_bytes_max: 32 << 20, sync: true }
    }
}

impl EmbeddedSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name, and its mend. Empty when they
    /// can be used; a log made with them regardless refuses records that do not fit.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let bound = format!("partition_bytes_max must be at least {PARTITION_BYTES_MIN}, room for the largest record");
        (self.partition_bytes_max < PARTITION_BYTES_MIN).then_some(bound).into_iter().collect()
    }
}

/// A handle of an embedded log; clones are handles of the same log.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

impl Embedded {
    /// An empty log that is gone with its last handle, reader and writer.
    #[must_use]
    pub fn in_memory(settings: EmbeddedSettings) -> Self {
        Self::of(State::in_memory(settings))
    }

    /// Opens or creates the log in the folder `path`, applying retention and compaction. It stays locked against other
    /// processes until the last handle, reader and writer is dropped.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Corrupt`], [`Error::Io`] or [`Error::DiskFull`]. A tail torn by a crash is no error.
    pub fn on_disk(path: impl AsRef<Path>, settings: EmbeddedSettings) -> Result<Self, Error> {
        State::on_disk(path.as_ref(), settings).map(Self::of)
    }

    /// Bytes of an unfinished append that opening cut off; 0 after a clean stop and in memory.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.shared.lock().torn_bytes()
    }

    fn of(state: State) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(state), grown: Condvar::new() }) }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Embedded").field(&self.shared.lock().place()).finish()
    }
}

impl Log for Embedded {
    fn ensure(&self, topics: &[Topic], partitions: u32) -> Result<(), Error> {
        self.shared.lock().ensure(topics, partitions)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        self.shared.partitions(topic)
    }

    fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), Error> {
        Ok(self.shared.lock().partition(topic, partition)?.watermarks())
    }

    fn reader(&self, assignment: &[(Topic, i32, Start)]) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(EmbeddedReader::new(Arc::clone(&self.shared), assignment)?))
    }

    fn writer(&self, delivery: Delivery) -> Result<Box<dyn Writer>, Error> {
        let owner = match delivery {
            Delivery::Idempotent => None,
            Delivery::Transactional { id } => {
                let term = self.shared.lock().take_over(&id);
                Some((id, term))
            }
        };
        Ok(Box::new(EmbeddedWriter { shared: Arc::clone(&self.shared), owner }))
    }
}

/// The state, and the signal that it has grown.
struct Shared {
    state: Mutex<State>,
    grown: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        Ok(u32::try_from(self.lock().partitions(topic)?.len()).expect("counted by a u32"))
    }
}

struct EmbeddedWriter {
    shared: Arc<Shared>,
    /// The transactional id and the term in which this writer owns it.
    owner: Option<(String, u64)>,
}

impl Writer for EmbeddedWriter {
    fn append(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let mut state = self.shared.lock();
        if let Some((id, term)) = &self.owner
            && !state.owns(id, *term)
        {
            return Err(Error::Fenced { id: id.clone(), place: state.place().to_owned() });
        }
        state.append(records)?;
        self.shared.grown.notify_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

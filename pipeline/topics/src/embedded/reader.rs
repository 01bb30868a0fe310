//! A reader of the embedded log: positions, and turns among its partitions.

use std::sync::Arc;
use std::time::Duration;

use schemas::Topic;

use super::Shared;
use super::partition::Partition;
use super::state::State;
use crate::{Error, POLL_BYTES_MAX, Reader, Record, Start};

pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    assigned: Vec<Assigned>,
    /// The partition that the next poll looks at first, so that a busy one does not starve the others.
    turn: usize,
}

struct Assigned {
    topic: Topic,
    partition: i32,
    position: i64,
    paused: bool,
}

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>, assignment: &[(Topic, i32, Start)]) -> Result<Self, Error> {
        let state = shared.lock();
        let mut assigned = Vec::with_capacity(assignment.len());
        for &(topic, partition, start) in assignment {
            let position = position(&state, topic, partition, start)?;
            assigned.push(Assigned { topic, partition, position, paused: false });
        }
        drop(state);
        Ok(Self { shared, assigned, turn: 0 })
    }

    fn assigned(&mut self, topic: Topic, partition: i32) -> Result<&mut Assigned, Error> {
        let found = self.assigned.iter_mut().find(|a| (a.topic, a.partition) == (topic, partition));
        found.ok_or_else(|| Error::UnknownPartition {
            topic: topic.name().to_owned(),
            partition,
            place: self.shared.lock().place().to_owned(),
        })
    }
}

impl Reader for EmbeddedReader {
    fn poll(&mut self, timeout: Duration, records_max: usize) -> Result<Vec<Record>, Error> {
        let Self { shared, assigned, turn } = self;
        let starved = |state: &mut State| assigned.iter().all(|one| one.paused || one.is_at_end(state));
        let (state, _) =
            shared.grown.wait_timeout_while(shared.lock(), timeout, starved).expect("no holder of the lock panics");
        let mut batch = Batch { records: Vec::new(), records_max, bytes: 0 };
        *turn = (*turn + 1) % assigned.len().max(1);
        let (behind, ahead) = assigned.split_at_mut(*turn);
        for one in ahead.iter_mut().chain(behind).filter(|one| !one.paused) {
            if !one.is_overrun(&state) {
                one.take(&state, &mut batch);
            } else if batch.records.is_empty() {
                return Err(one.pass_gap(&state));
            }
        }
        drop(state);
        // The copying of large values happens outside the lock.
        Ok(batch.records.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    fn pause(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        self.assigned(topic, partition)?.paused = true;
        Ok(())
    }

    fn resume(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        self.assigned(topic, partition)?.paused = false;
        Ok(())
    }

    fn position(&self, topic: Topic, partition: i32) -> i64 {
        let found = self.assigned.iter().find(|one| (one.topic, one.partition) == (topic, partition));
        found.expect("the partition is assigned").position
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        self.shared.partitions(topic)
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        let state = self.shared.lock();
        Ok(self.assigned.iter().all(|one| one.is_at_end(&state)))
    }
}

impl Assigned {
    fn log<'a>(&self, state: &'a State) -> &'a Partition {
        state.partition(self.topic, self.partition).expect("partitions do not go away")
    }

    fn is_at_end(&self, state: &State) -> bool {
        self.position >= self.log(state).watermarks().1
    }

    fn is_overrun(&self, state: &State) -> bool {
        self.position < self.log(state).watermarks().0
    }

    /// Goes on at the oldest record that is left, and says what was missed.
    fn pass_gap(&mut self, state: &State) -> Error {
        let (low, _) = self.log(state).watermarks();
        let position = std::mem::replace(&mut self.position, low);
        Error::Overrun { topic: self.topic.name().to_owned(), partition: self.partition, position, low }
    }

    fn take(&mut self, state: &State, batch: &mut Batch) {
        let log = self.log(state);
        for record in log.records_from(self.position) {
            if batch.is_full() {
                return;
            }
            batch.push(record);
            self.position = record.offset + 1;
        }
        // Compaction may have emptied the last offsets: they are read too.
        self.position = log.watermarks().1;
    }
}

/// What one poll gathers.
struct Batch {
    records: Vec<Arc<Record>>,
    records_max: usize,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.records.len() >= self.records_max || self.bytes >= POLL_BYTES_MAX
    }

    fn push(&mut self, record: &Arc<Record>) {
        self.bytes += record.bytes();
        self.records.push(Arc::clone(record));
    }
}

/// The offset of a start; see [`Start`].
fn position(state: &State, topic: Topic, partition: i32, start: Start) -> Result<i64, Error> {
    let log = state.partition(topic, partition)?;
    let (low, high) = log.watermarks();
    match start {
        Start::Earliest => Ok(low),
        Start::Latest => Ok(high),
        Start::Time(time) => Ok(log.offset_at(time)),
        Start::Offset(offset) if offset <= high => Ok(offset),
        Start::Offset(offset) => Err(Error::Beyond {
            topic: topic.name().to_owned(),
            partition,
            offset,
            high,
            place: state.place().to_owned(),
        }),
    }
}

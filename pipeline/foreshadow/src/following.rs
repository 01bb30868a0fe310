//! A topic followed live.

use std::time::Duration;

use schemas::Noun;
use topics::{Action, Consumer, Error, Log, Record, Start};

/// Records that one poll gives at most: enough to amortise the call, few enough to keep its memory small.
const RECORDS_MAX: usize = 1024;

/// How long a poll waits for records while what is there already is read.
const CATCH_UP_WAIT: Duration = Duration::from_millis(500);

/// Empty polls in a row after which reading what is there is given up: 10 s, twice what a broker takes to elect a leader.
const EMPTY_POLLS_MAX: u32 = 20;

/// A record and its noun; none for a tombstone, and for bytes that are no such noun.
pub(crate) type Followed<N> = (Record, Option<N>);

/// The newest records of a noun's topic, as they come.
pub(crate) struct Following<N: Noun> {
    consumer: Consumer<N>,
    /// Whether an outage was told and nothing has come since.
    is_told: bool,
}

impl<N: Noun> Following<N> {
    /// Follows every partition of the topic from `start`.
    ///
    /// # Errors
    /// As [`Consumer::new`].
    pub(crate) fn new(log: &dyn Log, start: Start) -> Result<Self, Error> {
        Ok(Self { consumer: Consumer::new(log, start)?, is_told: false })
    }

    /// The next records; waits up to `timeout` for the first. Bytes that are no such noun, a gap, and an outage (once)
    /// are warned about.
    ///
    /// # Errors
    /// An [`Error`] that the caller can only stop at.
    pub(crate) fn poll(&mut self, timeout: Duration) -> Result<Vec<Followed<N>>, Error> {
        let records = match self.consumer.poll(timeout, RECORDS_MAX) {
            Ok(records) => records,
            Err(error) if error.action() == Action::Stop => return Err(error),
            Err(error) => {
                if error.action() == Action::Skip || !std::mem::replace(&mut self.is_told, true) {
                    tracing::warn!(%error, "cannot follow the {} for now", N::TOPIC.noun());
                }
                return Ok(Vec::new());
            }
        };
        self.is_told &= records.is_empty();
        let decoded = |(record, noun): (Record, Result<Option<N>, _>)| {
            let noun = noun.unwrap_or_else(|error| {
                let (partition, offset) = (record.partition, record.offset);
                tracing::warn!(%error, key = record.source(), partition, offset, "left out");
                None
            });
            (record, noun)
        };
        Ok(records.into_iter().map(decoded).collect())
    }

    /// Hands over everything that is on the topic already.
    ///
    /// # Errors
    /// As [`Following::poll`]; also when the end does not come, or cannot be asked for.
    pub(crate) fn catch_up(&mut self, mut take: impl FnMut(Followed<N>)) -> anyhow::Result<()> {
        let mut empty_polls = 0;
        while !self.consumer.caught_up()? {
            let records = self.poll(CATCH_UP_WAIT)?;
            empty_polls = if records.is_empty() { empty_polls + 1 } else { 0 };
            let topic = N::TOPIC.name();
            anyhow::ensure!(empty_polls <= EMPTY_POLLS_MAX, "reading {topic} stands still: is the broker overloaded?");
            records.into_iter().for_each(&mut take);
        }
        Ok(())
    }
}

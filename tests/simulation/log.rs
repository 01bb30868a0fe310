//! A log that is away at times and loses answers, takes no transaction apart, and lets no writer write beside its successor,
//! unless one of those bugs is planted.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schemas::{Span, Topic};
use topics::{Delivery, Embedded, Error, Log, Outgoing, Reader, Record, Start, Writer};

use crate::dice::Dice;
use crate::predecessor;
use crate::world::Bug;

/// What the log does to its next append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Append {
    /// Takes it.
    Takes,
    /// Rolls it back: it may be tried again.
    RollsBack,
    /// Takes it, and the answer is lost.
    LosesAnswer,
}

/// The log as the pipeline sees it; clones are the same one.
#[derive(Clone)]
pub(crate) struct ShakyLog {
    inner: Embedded,
    state: Arc<Mutex<State>>,
}

struct State {
    away: bool,
    append: Append,
    bug: Option<Bug>,
    dice: Dice,
}

impl ShakyLog {
    pub(crate) fn new(inner: Embedded, seed: u64, bug: Option<Bug>) -> Self {
        let state = State { away: false, append: Append::Takes, bug, dice: Dice::new(seed) };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    pub(crate) fn away(&self) -> bool {
        self.state().away
    }

    pub(crate) fn set_append(&self, append: Append) {
        self.state().append = append;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn answer(&self) -> Result<(), Error> {
        if self.away() {
            return Err(Error::Unreachable {
                place: "the simulated log".to_owned(),
                waited: Span::from_millis(0),
                reason: "it is away".to_owned(),
            });
        }
        Ok(())
    }
}

impl Log for ShakyLog {
    fn ensure(&self, topics: &[Topic], partitions: u32) -> Result<(), Error> {
        self.inner.ensure(topics, partitions)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        self.inner.partitions(topic)
    }

    fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), Error> {
        self.answer()?;
        self.inner.watermarks(topic, partition)
    }

    fn reader(&self, assignment: &[(Topic, i32, Start)]) -> Result<Box<dyn Reader>, Error> {
        predecessor::live_on();
        self.answer()?;
        Ok(Box::new(ShakyReader { inner: self.inner.reader(assignment)?, log: self.clone() }))
    }

    fn writer(&self, delivery: Delivery) -> Result<Box<dyn Writer>, Error> {
        predecessor::live_on();
        self.answer()?;
        let late = self.state().bug == Some(Bug::TakesOverLate);
        let inner = if late { None } else { Some(self.inner.writer(delivery.clone())?) };
        Ok(Box::new(ShakyWriter { inner, delivery, log: self.clone() }))
    }
}

struct ShakyReader {
    inner: Box<dyn Reader>,
    log: ShakyLog,
}

impl Reader for ShakyReader {
    fn poll(&mut self, _: Duration, records_max: usize) -> Result<Vec<Record>, Error> {
        self.log.answer()?;
        // Nobody waits in a simulation, and polls bring as much as chance will have it.
        let most = 1 + self.log.state().dice.below(64) as usize;
        self.inner.poll(Duration::ZERO, records_max.min(most))
    }

    fn pause(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        self.inner.pause(topic, partition)
    }

    fn resume(&mut self, topic: Topic, partition: i32) -> Result<(), Error> {
        self.inner.resume(topic, partition)
    }

    fn position(&self, topic: Topic, partition: i32) -> i64 {
        self.inner.position(topic, partition)
    }

    fn partitions(&self, topic: Topic) -> Result<u32, Error> {
        self.log.partitions(topic)
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        self.log.answer()?;
        self.inner.caught_up()
    }
}

struct ShakyWriter {
    /// None before the first append, where it takes over only then.
    inner: Option<Box<dyn Writer>>,
    delivery: Delivery,
    log: ShakyLog,
}

impl Writer for ShakyWriter {
    fn append(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        self.log.answer()?;
        let (append, bug) = {
            let mut state = self.log.state();
            (std::mem::replace(&mut state.append, Append::Takes), state.bug)
        };
        let inner = match &mut self.inner {
            Some(inner) => inner,
            late => late.insert(self.log.inner.writer(self.delivery.clone())?),
        };
        let (id, place) = ("foreshadow-main".to_owned(), "the simulated log".to_owned());
        match append {
            Append::Takes => inner.append(records),
            Append::RollsBack => Err(Error::Aborted { id, place, reason: "chance".to_owned() }),
            Append::LosesAnswer => {
                let parts = bug == Some(Bug::PartsTransactions);
                let taken = if parts { records.len() - 1 } else { records.len() };
                inner.append(&records[..taken])?;
                Err(Error::Unsettled { id, place, reason: "the answer is lost".to_owned() })
            }
        }
    }
}

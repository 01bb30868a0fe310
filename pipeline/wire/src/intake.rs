//! From the log into the engine: the control plane first, then samples beside its changes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dataflow::snapshot::Resume;
use dataflow::{Delivery, Engine, Rest};
use schemas::Topic;
use topics::{Action, Error, Log, Reader, Record, Start};

use crate::archive::Archive;
use crate::merge::{Merge, Step};
use crate::settled::Settled;

/// The topics that say what runs, what pays for it, what was done and which model serves.
const CONTROL: [Topic; 4] = [Topic::Workloads, Topic::Pools, Topic::Outcomes, Topic::Models];

/// How long one poll waits for samples: as late as a change of the control plane is seen at most.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Most records of one poll: bounds how long the control plane waits for its turn.
const POLL_RECORDS_MAX: usize = 1024;

/// The most of the time between two turns that counts as silence: in more this thread has listened to nobody.
const LISTENED_MAX: Duration = Duration::from_secs(1);

/// Between two looks at whether a topic has more partitions than at the start.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// How long to rest after the log could not be read.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Reads the inputs and hands them to the engine.
pub struct Intake {
    engine: Engine,
    control: Box<dyn Reader>,
    samples: Box<dyn Reader>,
    /// How many partitions of each topic are read, and how long ago it was looked whether there are more.
    partitions: Vec<(Topic, u32)>,
    uncounted: Duration,
    /// Partitions of the samples that are behind the end that they had at the start, with that end.
    behind: Vec<(i32, i64)>,
    merge: Merge,
    /// Whether the control plane was read to its end: decisions must not depend on whether a workload or its samples are
    /// read first.
    control_known: bool,
    /// What had been taken in before a restart.
    settled: Settled,
    archive: Option<Arc<dyn Archive>>,
}

/// What an intake needs.
pub(crate) struct Sources<'a> {
    pub(crate) log: &'a dyn Log,
    pub(crate) engine: Engine,
    pub(crate) partitions: u32,
    pub(crate) idle_after: Duration,
    pub(crate) settled: Settled,
    /// Where a snapshot says that partitions are read from; the others are read from their oldest record.
    pub(crate) resumes: Vec<Resume>,
    pub(crate) archive: Option<Arc<dyn Archive>>,
}

impl Intake {
    /// Readers of all inputs, from where the snapshot says or from the oldest record on.
    ///
    /// # Errors
    /// As [`Log::reader`]; when the engine is gone.
    pub(crate) fn new(sources: Sources<'_>) -> anyhow::Result<Self> {
        let partitions = i32::try_from(sources.partitions).expect("partitions are numbered by an i32");
        let resume = |topic, partition| sources.resumes.iter().find(|resume| resume.is_of(topic, partition));
        let start = |topic, partition| {
            let start = resume(topic, partition).map_or(Start::Earliest, |resume| Start::Offset(resume.offset));
            (topic, partition, start)
        };
        let (mut control, mut counts) = (Vec::new(), vec![(Topic::Samples, sources.partitions)]);
        for topic in CONTROL {
            let count = sources.log.partitions(topic)?;
            counts.push((topic, count));
            let count = i32::try_from(count).expect("likewise");
            control.extend((0..count).map(|partition| start(topic, partition)));
        }
        let mut behind = Vec::new();
        let mut merge = Merge::new(partitions, sources.idle_after);
        for partition in 0..partitions {
            behind.push((partition, sources.log.watermarks(Topic::Samples, partition)?.1));
            let Some(resume) = resume(Topic::Samples, partition) else { continue };
            // The record at that offset may be no record: where a run before says nothing of it, neither does this one before
            // it knows the next.
            let rest = sources.settled.rest(partition, resume.offset);
            merge.resume(partition, resume.handed_on, resume.idle && rest != Rest::Never);
            if resume.idle {
                sources.engine.idle(partition, rest)?;
            }
        }
        let samples: Vec<_> = (0..partitions).map(|partition| start(Topic::Samples, partition)).collect();
        Ok(Self {
            engine: sources.engine,
            control: sources.log.reader(&control)?,
            samples: sources.log.reader(&samples)?,
            partitions: counts,
            uncounted: Duration::ZERO,
            behind,
            merge,
            control_known: false,
            settled: sources.settled,
            archive: sources.archive,
        })
    }

    /// The engine that it feeds.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Stops the engine. What is in flight is dropped: a restart reads it again.
    pub fn stop(&mut self) {
        self.engine.stop();
    }

    /// Reads what has come and hands it on: the control plane first, then samples beside its changes. `elapsed` is how long
    /// ago the turn before was, where silence is measured by the clock. How long to rest before the next.
    ///
    /// # Errors
    /// When the log or the engine is gone for good, or there are partitions that are not read.
    pub fn turn(&mut self, elapsed: Option<Duration>) -> anyhow::Result<Duration> {
        self.count(elapsed.unwrap_or_default())?;
        let read_all = if self.control_known { self.read_on(elapsed)? } else { self.catch_up_with_control()? };
        Ok(if read_all { Duration::ZERO } else { RETRY_AFTER })
    }

    /// Looks now and then whether a topic has got partitions since: whoever writes to those would not be heard.
    fn count(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        self.uncounted += elapsed;
        if self.uncounted < COUNT_EVERY {
            return Ok(());
        }
        self.uncounted = Duration::ZERO;
        for &(topic, read) in &self.partitions {
            let Some(there) = answered(self.samples.partitions(topic))? else { return Ok(()) };
            let name = topic.name();
            anyhow::ensure!(there <= read, "{name} has {there} partitions by now, and {read} are read: start it again");
        }
        Ok(())
    }

    /// Reads the control plane to its end; false where the log did not answer.
    fn catch_up_with_control(&mut self) -> anyhow::Result<bool> {
        let Some(records) = read(self.control.as_mut(), POLL_TIMEOUT)? else { return Ok(false) };
        if records.is_empty() {
            let Some(ended) = answered(self.control.caught_up())? else { return Ok(false) };
            self.control_known = ended;
        }
        records.into_iter().try_for_each(|record| self.deliver(record))?;
        Ok(true)
    }

    /// Reads samples and the control plane's changes; false where the log did not answer.
    fn read_on(&mut self, elapsed: Option<Duration>) -> anyhow::Result<bool> {
        let samples = read(self.samples.as_mut(), POLL_TIMEOUT)?;
        // Changes that were written before the samples count before them.
        let changes = read(self.control.as_mut(), Duration::ZERO)?;
        let read_all = samples.is_some() && changes.is_some();
        changes.into_iter().flatten().try_for_each(|record| self.deliver(record))?;
        // Where the log has not answered nobody was silent, nor while this thread was held up elsewhere.
        if let Some(elapsed) = elapsed.filter(|_| samples.is_some()) {
            self.merge.pass(elapsed.min(LISTENED_MAX));
        }
        self.merge.take_in(samples.unwrap_or_default());
        self.catch_up();
        while let Some(step) = self.merge.next() {
            self.take(step)?;
        }
        if self.merge.has_silent() {
            // A log that has gone looks like one to which nobody writes.
            if answered(self.samples.caught_up())?.is_none() {
                self.merge.listen_anew();
                return Ok(false);
            }
            self.merge.silent().into_iter().try_for_each(|step| self.take(step))?;
        }
        self.hold_back()?;
        Ok(read_all)
    }

    fn take(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Idle(partition) => {
                let position = || self.samples.position(Topic::Samples, partition);
                let next = self.merge.head(partition).map_or_else(position, |record| record.offset);
                Ok(self.engine.idle(partition, self.settled.rest(partition, next))?)
            }
            Step::Deliver(record) => self.deliver(record),
        }
    }

    fn deliver(&mut self, record: Record) -> anyhow::Result<()> {
        if let Some(archive) = &self.archive {
            archive.keep_input(&record);
        }
        let (key, content_type) = (record.source(), record.header("content-type").map(str::to_owned));
        let Record { topic, partition, offset, time, value, .. } = record;
        let settled = self.settled.holds(topic, partition, offset);
        let counts_from = self.settled.counts_from(topic, partition, offset);
        let rest = if topic == Topic::Samples { self.settled.rest(partition, offset + 1) } else { Rest::Free };
        let delivery =
            Delivery { topic, partition, offset, time, key, content_type, value, counts_from, settled, rest };
        Ok(self.engine.deliver(delivery)?)
    }

    /// Notes which partitions have reached the end that they had at the start.
    fn catch_up(&mut self) {
        if self.behind.is_empty() {
            return;
        }
        let (samples, merge) = (&self.samples, &mut self.merge);
        self.behind.retain(|&(partition, end)| {
            let behind = samples.position(Topic::Samples, partition) < end;
            if !behind {
                merge.reach_end(partition);
            }
            behind
        });
        if self.behind.is_empty() {
            tracing::info!("the samples are read up to where they ended at the start");
        }
    }

    /// Pauses the partitions whose lanes have become full, and takes up those that have room again.
    fn hold_back(&mut self) -> anyhow::Result<()> {
        for (partition, full) in self.merge.hold_back() {
            if full {
                self.samples.pause(Topic::Samples, partition)?;
            } else {
                self.samples.resume(Topic::Samples, partition)?;
            }
        }
        Ok(())
    }
}

/// The next records; none after an error that a later poll may not meet.
fn read(reader: &mut dyn Reader, timeout: Duration) -> anyhow::Result<Option<Vec<Record>>> {
    answered(reader.poll(timeout, POLL_RECORDS_MAX))
}

/// An answer of the log; none after an error that a later call may not meet.
fn answered<T>(answer: Result<T, Error>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.action() {
            Action::Retry => {
                tracing::warn!(%error, "reading is tried again");
                Ok(None)
            }
            Action::Skip => {
                tracing::error!(%error, "records are left out");
                Ok(None)
            }
            Action::Stop => Err(error).context("the inputs cannot be read"),
        },
    }
}

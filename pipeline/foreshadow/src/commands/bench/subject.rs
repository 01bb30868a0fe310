//! What is measured: the running pipeline, or the null baseline, which reads, decodes, counts and drops.
//!
//! Both tell up to which event time they are done, so that both have a backlog in seconds, and one law says of both
//! whether they keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use schemas::samples::Builder;
use schemas::{Progress, Topic};
use topics::{Log, Reader, Start};
use wire::{Parts, Pipeline};

use super::ground::Ground;
use super::produce::now_ms;
use crate::following::Following;
use crate::settings::Settings;
use crate::stop::Stop;

/// A running pipeline or a running baseline.
pub(super) struct Subject {
    done_ms: Arc<AtomicU64>,
    /// By how much it is behind the newest sample by its own settings.
    inherent_ms: u64,
    stop: Stop,
    pipeline: Option<Pipeline>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// When a tick counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Once its decisions are published.
    Decisions,
    /// Once its features and forecasts are, too.
    Everything,
}

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(20);

/// Most records of one poll, as the pipeline's intake has it.
const POLL_RECORDS_MAX: usize = 1024;

impl Subject {
    /// Starts the pipeline.
    ///
    /// # Errors
    /// As [`Pipeline::start`].
    pub(super) fn pipeline(ground: &Ground, settings: &Settings, of: Done) -> anyhow::Result<Self> {
        let stop = Stop::default();
        let parts = Parts::new("bench", &settings.engine, settings.idle_after.duration());
        let progress = Following::new(&ground.log, Start::Latest)?;
        let pipeline = Pipeline::start(&ground.log, parts, stop.clone())?;
        let done_ms = Arc::new(AtomicU64::new(0));
        let (done, ended) = (Arc::clone(&done_ms), stop.clone());
        let thread = std::thread::spawn(move || follow(progress, of, &done, &ended));
        let inherent_ms = settings.engine.lateness.millis() + settings.engine.tick.millis();
        Ok(Self { done_ms, inherent_ms, stop, pipeline: Some(pipeline), thread })
    }

    /// Starts the baseline.
    ///
    /// # Errors
    /// As [`topics::Log::reader`].
    pub(super) fn null(ground: &Ground) -> anyhow::Result<Self> {
        let reader = samples(ground)?;
        let (done_ms, stop) = (Arc::new(AtomicU64::new(0)), Stop::default());
        let (done, ended, partitions) = (Arc::clone(&done_ms), stop.clone(), ground.partitions as usize);
        let thread = std::thread::spawn(move || drop_all(reader, partitions, &done, &ended));
        Ok(Self { done_ms, inherent_ms: 0, stop, pipeline: None, thread })
    }

    /// How far it is behind, beyond what its settings ask for; endless before its first word.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn backlog_seconds(&self) -> anyhow::Result<f64> {
        anyhow::ensure!(!self.thread.is_finished() && !self.stop.requested(), "what is measured has ended by itself");
        let done_ms = self.done_ms.load(Ordering::Relaxed) + self.inherent_ms;
        Ok((now_ms() - done_ms as f64).max(0.0) / 1_000.0)
    }

    /// Up to which event time it is done.
    pub(super) fn done_ms(&self) -> u64 {
        self.done_ms.load(Ordering::Relaxed)
    }

    /// Ends it.
    ///
    /// # Errors
    /// What went wrong in it.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.stop.request();
        let followed = self.thread.join().map_err(|_| anyhow::anyhow!("a thread of the bench panicked"))?;
        self.pipeline.map_or(Ok(()), Pipeline::stop)?;
        followed
    }
}

/// A reader of all samples from now on.
pub(super) fn samples(ground: &Ground) -> anyhow::Result<Box<dyn Reader>> {
    let partitions: Vec<_> =
        (0..ground.partitions as i32).map(|partition| (Topic::Samples, partition, Start::Latest)).collect();
    Ok(ground.log.reader(&partitions)?)
}

fn follow(mut progress: Following<Progress>, of: Done, done_ms: &AtomicU64, stop: &Stop) -> anyhow::Result<()> {
    let (mut decisions, mut features) = (0, if of == Done::Everything { 0 } else { u64::MAX });
    while !stop.requested() {
        for progress in progress.poll(POLL)?.into_iter().filter_map(|(_, progress)| progress) {
            match (progress.is_of_features(), of) {
                (false, _) => decisions = progress.frontier.millis(),
                (true, Done::Everything) => features = progress.frontier.millis(),
                (true, Done::Decisions) => {}
            }
        }
        done_ms.fetch_max(decisions.min(features), Ordering::Relaxed);
    }
    Ok(())
}

fn drop_all(mut reader: Box<dyn Reader>, partitions: usize, done_ms: &AtomicU64, stop: &Stop) -> anyhow::Result<()> {
    let (mut builder, mut newest) = (Builder::default(), vec![0; partitions]);
    while !stop.requested() {
        for record in reader.poll(POLL, POLL_RECORDS_MAX)? {
            let value = record.value.as_deref().unwrap_or_default();
            let read = schemas::decode::append(record.header("content-type"), value, record.time, &mut builder);
            let read = read.map_err(|fault| anyhow::anyhow!(fault.detail))?;
            anyhow::ensure!(read.faults.is_empty(), "a sample of the bench cannot be read: {:?}", read.faults);
            let time_ms = builder.time_ms(builder.len() - 1);
            newest[record.partition as usize] = time_ms.max(newest[record.partition as usize]);
        }
        std::hint::black_box(builder.take());
        done_ms.fetch_max(newest.iter().copied().min().unwrap_or_default(), Ordering::Relaxed);
    }
    Ok(())
}

//! How late decisions reach a consumer of their topic.
//!
//! A decision of a tick is due once the tick is over and the lateness that the settings allow has passed: at that instant
//! the last sample that it needs was due. What comes later is latency, whoever caused it: generator, broker, pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;
use schemas::Topic;
use topics::{Delivery, Log, Outgoing, Reader, Start};

use super::ground::Ground;
use super::produce::now_ms;
use super::subject::samples;
use crate::stop::Stop;

/// A consumer of decisions.
pub(super) struct Arrivals {
    stop: Stop,
    thread: JoinHandle<anyhow::Result<Vec<Arrival>>>,
}

/// A decision that came: when it was due, and how much later it was there.
struct Arrival {
    due_ms: u64,
    late_micros: u64,
}

/// How long one poll waits; a record ends the wait.
const POLL: Duration = Duration::from_millis(20);

/// Records of one poll: few, since the first of them waits for the last.
const POLL_RECORDS_MAX: usize = 64;

/// Least and largest latency that is told apart, and to how many digits.
const MICROS_MIN: u64 = 1;
const MICROS_MAX: u64 = 600_000_000;
const DIGITS: u8 = 3;

impl Arrivals {
    /// Follows the decisions; one of time t is due at t and `after_ms`.
    ///
    /// # Errors
    /// As [`topics::Log::reader`].
    pub(super) fn follow(ground: &Ground, after_ms: u64) -> anyhow::Result<Self> {
        let partitions: Vec<_> =
            (0..ground.partitions as i32).map(|partition| (Topic::Decisions, partition, Start::Latest)).collect();
        let reader = ground.log.reader(&partitions)?;
        let stop = Stop::default();
        let ended = stop.clone();
        let thread = std::thread::spawn(move || note(reader, after_ms, &ended));
        Ok(Self { stop, thread })
    }

    /// The latencies, in microseconds, of what was due in a span.
    ///
    /// # Errors
    /// What went wrong in reading.
    pub(super) fn end(self, from_ms: f64, until_ms: f64) -> anyhow::Result<Histogram<u64>> {
        self.stop.request();
        let arrivals = self.thread.join().map_err(|_| anyhow::anyhow!("the consumer of decisions panicked"))??;
        let mut histogram = Histogram::new_with_bounds(MICROS_MIN, MICROS_MAX, DIGITS)?;
        for arrival in arrivals.iter().filter(|arrival| (from_ms..until_ms).contains(&(arrival.due_ms as f64))) {
            histogram.saturating_record(arrival.late_micros);
        }
        Ok(histogram)
    }
}

fn note(mut reader: Box<dyn Reader>, after_ms: u64, stop: &Stop) -> anyhow::Result<Vec<Arrival>> {
    let mut arrivals = Vec::new();
    while !stop.requested() {
        let records = reader.poll(POLL, POLL_RECORDS_MAX)?;
        let now_ms = now_ms();
        arrivals.extend(records.iter().map(|record| {
            let due_ms = record.time.millis() + after_ms;
            Arrival { due_ms, late_micros: ((now_ms - due_ms as f64).max(0.0) * 1_000.0) as u64 }
        }));
    }
    Ok(arrivals)
}

/// The null baseline: says one word in place of a tick's decisions as soon as samples of all partitions are past it.
pub(super) struct Echo {
    done_ms: Arc<AtomicU64>,
    stop: Stop,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// Length of the baseline's ticks: short, so that a span has enough of them for a percentile.
pub(super) const ECHO_TICK_MS: u64 = 50;

impl Echo {
    /// Starts it, on the same log and with the same kind of writer as the pipeline.
    ///
    /// # Errors
    /// As [`topics::Log::reader`] and [`topics::Log::writer`].
    pub(super) fn start(ground: &Ground) -> anyhow::Result<Self> {
        let mut reader = samples(ground)?;
        let mut writer = ground.log.writer(Delivery::Transactional { id: "foreshadow-echo".to_owned() })?;
        let (done_ms, stop) = (Arc::new(AtomicU64::new(0)), Stop::default());
        let (done, ended) = (Arc::clone(&done_ms), stop.clone());
        let mut newest = vec![schemas::EventTime::default(); ground.partitions as usize];
        let thread = std::thread::spawn(move || {
            let mut said = schemas::EventTime::default();
            while !ended.requested() {
                for record in reader.poll(POLL, POLL_RECORDS_MAX)? {
                    let newest = &mut newest[record.partition as usize];
                    *newest = record.time.max(*newest);
                }
                // A log's time is that of the message's last row.
                let open = newest.iter().min().copied().unwrap_or_default().tick(ECHO_TICK_MS);
                if open > said {
                    said = open;
                    let time = open.minus(ECHO_TICK_MS);
                    let (topic, key, value) = (Topic::Decisions, b"echo".to_vec(), Some(b"{}".to_vec()));
                    writer.append(&[Outgoing { topic, time, key, value, headers: Vec::new() }])?;
                    done.store(open.millis(), Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { done_ms, stop, thread })
    }

    /// Up to which instant it has said what there was to say.
    pub(super) fn done_ms(&self) -> u64 {
        self.done_ms.load(Ordering::Relaxed)
    }

    /// Ends it.
    ///
    /// # Errors
    /// What went wrong in it.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.stop.request();
        self.thread.join().map_err(|_| anyhow::anyhow!("the baseline panicked"))?
    }
}

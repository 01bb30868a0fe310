//! The highest rate at which the backlog does not grow.
//!
//! Short trials double the rate while it is kept up with, and halve it while it is not; then the gap is narrowed, and the
//! highest rate that was kept up with must prove itself for the whole span.

use std::time::{Duration, Instant};

use super::cpu_seconds;
use super::ground::BrokerProcess;
use super::produce::Producer;
use super::subject::Subject;
use crate::stop::Stop;

/// A generator, what it feeds, and the broker between.
pub(super) struct Stand<'a> {
    pub(super) producer: Producer,
    pub(super) subject: &'a Subject,
    pub(super) broker: Option<BrokerProcess>,
    /// Samples a second at which everything keeps up, and at which partitions are not idle.
    pub(super) easy: f64,
    pub(super) stop: &'a Stop,
}

/// What a span has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) sustained: bool,
    /// Samples a second that went through.
    pub(super) samples_per_second: f64,
    /// The mean of the last third of the span.
    pub(super) backlog_seconds: f64,
    pub(super) samples: f64,
    /// Of this process, the generator's and the broker's.
    pub(super) cpu_seconds: f64,
    pub(super) producer_cpu_seconds: f64,
    pub(super) broker_cpu_seconds: Option<f64>,
}

/// Before a span counts: a new rate has reached the end of the pipeline.
pub(super) const WARM_UP: Duration = Duration::from_secs(4);

/// Length of a trial.
const TRIAL: Duration = Duration::from_secs(10);

/// Between two looks at the backlog.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// From this backlog on a rate is given up at once.
const BACKLOG_MAX_SECONDS: f64 = 4.0;

/// By how much the backlog may have grown from the first third of a span to the last: a twentieth of a trial, which is
/// what a burst of one tick's outputs makes. It is the same for longer spans, where it is less than a hundredth.
const GROWTH_MAX_SECONDS: f64 = 0.4;

/// A backlog that counts as none, for how long there must be none before another trial begins, and how long all of that
/// may take.
const DRAINED_SECONDS: f64 = 1.0;
const QUIET: Duration = Duration::from_secs(3);
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Narrowings of the gap: from a factor of 2 to one of 1.19.
const NARROWINGS: usize = 2;

/// How much slower the next attempt is where a rate does not prove itself, and how many attempts there are.
const STEP_BACK: f64 = 0.85;
const ATTEMPTS: usize = 5;

/// Bounds on the search, in samples a second.
const RATE_MIN: f64 = 1_000.0;
const RATE_MAX: f64 = 4_000_000.0;

impl Stand<'_> {
    /// The highest rate that is kept up with, found from `first` on and proven over `span`.
    ///
    /// # Errors
    /// When a part of the stand ends, or nothing is kept up with.
    pub(super) fn highest(&mut self, first: f64, span: Duration) -> anyhow::Result<Measured> {
        self.settle()?;
        let (mut kept, mut missed) = (None, None);
        let mut rate = first;
        while kept.is_none() || missed.is_none() {
            anyhow::ensure!(rate >= RATE_MIN, "not even {RATE_MIN} samples a second are kept up with");
            if self.trial(rate)? {
                kept = Some(rate);
                rate *= 2.0;
                if rate > RATE_MAX {
                    break;
                }
            } else {
                missed = Some(rate);
                rate /= 2.0;
            }
        }
        let (mut kept, mut missed) = (kept.unwrap_or(first), missed.unwrap_or(RATE_MAX));
        for _ in 0..NARROWINGS {
            let between = (kept * missed).sqrt();
            if self.trial(between)? { kept = between } else { missed = between }
        }
        self.prove(kept, span)
    }

    /// Holds a rate for the whole span, or the next lower one that can be held.
    ///
    /// # Errors
    /// As [`Stand::highest`].
    fn prove(&mut self, mut rate: f64, span: Duration) -> anyhow::Result<Measured> {
        for _ in 0..ATTEMPTS {
            let measured = self.measure(rate, span)?;
            self.settle()?;
            if measured.sustained {
                return Ok(measured);
            }
            rate *= STEP_BACK;
        }
        anyhow::bail!("no rate above {rate:.0} samples a second is kept up with for {span:?}: is the machine busy?")
    }

    fn trial(&mut self, rate: f64) -> anyhow::Result<bool> {
        let measured = self.measure(rate, TRIAL)?;
        if !measured.sustained {
            self.settle()?;
        }
        Ok(measured.sustained)
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.drain()?, "a backlog is not worked off within {DRAIN_MAX:?}");
        Ok(())
    }

    /// Offers a rate for a span.
    ///
    /// # Errors
    /// When a part of the stand ends, or the user wishes it.
    pub(super) fn measure(&mut self, rate: f64, span: Duration) -> anyhow::Result<Measured> {
        self.producer.go(rate)?;
        let mut overrun = self.watch(WARM_UP, &mut Vec::new())?;
        let before = self.mark()?;
        let mut backlogs = Vec::new();
        overrun = overrun || self.watch(span, &mut backlogs)?;
        let after = self.mark()?;
        let third = (backlogs.len() / 3).max(1);
        let mean = |backlogs: &[f64]| backlogs.iter().sum::<f64>() / backlogs.len().max(1) as f64;
        let first = mean(&backlogs[..third.min(backlogs.len())]);
        let last = mean(&backlogs[backlogs.len().saturating_sub(third)..]);
        let seconds = (after.at - before.at).as_secs_f64().max(1e-3);
        let samples = (after.samples - before.samples) as f64;
        let measured = Measured {
            sustained: !overrun && last - first <= GROWTH_MAX_SECONDS,
            samples_per_second: samples / seconds,
            backlog_seconds: last,
            samples,
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            producer_cpu_seconds: after.producer_cpu_seconds - before.producer_cpu_seconds,
            broker_cpu_seconds: after.broker_cpu_seconds.zip(before.broker_cpu_seconds).map(|(a, b)| a - b),
        };
        let late_ms = self.producer.told()?.late_ms;
        tracing::info!(rate, late_ms, first, last, seconds, ?measured, "offered");
        Ok(measured)
    }

    /// Notes the backlog for a while; true as soon as it is too large.
    fn watch(&mut self, span: Duration, backlogs: &mut Vec<f64>) -> anyhow::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < span {
            anyhow::ensure!(!self.stop.wait(LOOK_EVERY), "stopped");
            let backlog = self.subject.backlog_seconds()?;
            backlogs.push(backlog);
            if backlog > BACKLOG_MAX_SECONDS {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes slowly until what waits is worked off; false when that takes too long.
    ///
    /// # Errors
    /// When a part of the stand ends, or the user wishes it.
    pub(super) fn drain(&mut self) -> anyhow::Result<bool> {
        self.producer.go(self.easy)?;
        let begun = Instant::now();
        let mut quiet_since = begun;
        while quiet_since.elapsed() < QUIET {
            anyhow::ensure!(!self.stop.wait(LOOK_EVERY), "stopped");
            if self.subject.backlog_seconds()? > DRAINED_SECONDS {
                quiet_since = Instant::now();
            }
            if begun.elapsed() > DRAIN_MAX {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn mark(&mut self) -> anyhow::Result<Mark> {
        let told = self.producer.told()?;
        Ok(Mark {
            at: Instant::now(),
            samples: told.samples,
            cpu_seconds: cpu_seconds(),
            producer_cpu_seconds: told.cpu_seconds,
            broker_cpu_seconds: self.broker.and_then(BrokerProcess::cpu_seconds),
        })
    }
}

struct Mark {
    at: Instant,
    samples: u64,
    cpu_seconds: f64,
    producer_cpu_seconds: f64,
    broker_cpu_seconds: Option<f64>,
}

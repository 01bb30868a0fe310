//! What was due, sent, answered, and how long it took.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency that is told apart, in microseconds; beyond it a minute is a minute.
const LATENCY_MAX_US: u64 = 60_000_000;

/// A stretch of a load: a second as it ends, or the whole. Answers count where they arrive.
#[derive(Clone, Debug)]
pub struct Second {
    /// Requests that were due.
    pub due: u64,
    /// Requests that were answered with success.
    pub answered: u64,
    /// Requests that failed, whatever the reason.
    pub failed: u64,
    /// How long the stretch was.
    pub lasted: Duration,
    latency_us: Histogram<u64>,
}

/// Why requests failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Not sent, as too many were under way.
    pub unsent: u64,
    /// No answer within the time.
    pub timed_out: u64,
    /// No connection, or one that broke.
    pub broken: u64,
    /// An answer other than a success.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Unsent,
    TimedOut,
    Broken,
    Refused,
}

/// What is counted while a load runs.
pub(super) struct Tally(Mutex<Counts>);

struct Counts {
    second: Second,
    whole: Second,
    failures: Failures,
    sent_late_max: Duration,
}

impl Second {
    fn new(lasted: Duration) -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds are in order");
        Self { due: 0, answered: 0, failed: 0, lasted, latency_us }
    }

    /// The latency that a share of the answers met, from when the request was due; none without answers.
    ///
    /// Exact to 0.1 %. What failed has no latency: look at `failed` first.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        let some = !self.latency_us.is_empty();
        some.then(|| Duration::from_micros(self.latency_us.value_at_quantile(quantile)))
    }

    /// How many answers took longer; exact to 0.1 % of the latency.
    #[must_use]
    pub fn slower_than(&self, latency: Duration) -> u64 {
        let most_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).min(LATENCY_MAX_US);
        self.latency_us.len() - self.latency_us.count_between(0, most_us)
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { due, answered, failed, .. } = self;
        write!(f, "due {due:>6}  answered {answered:>6}  failed {failed:>5}  latency")?;
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            match self.latency(quantile) {
                Some(latency) => write!(f, "  {name} {:.2} ms", latency.as_secs_f64() * 1e3)?,
                None => write!(f, "  {name} -")?,
            }
        }
        Ok(())
    }
}

impl Failures {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.unsent + self.timed_out + self.broken + self.refused
    }
}

impl Default for Tally {
    fn default() -> Self {
        let second = Second::new(Duration::from_secs(1));
        let counts =
            Counts { whole: second.clone(), second, failures: Failures::default(), sent_late_max: Duration::ZERO };
        Self(Mutex::new(counts))
    }
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no holder of the lock panics")
    }

    pub(super) fn due(&self) {
        self.lock().each(|second| second.due += 1);
    }

    pub(super) fn sent(&self, late: Duration) {
        let mut counts = self.lock();
        counts.sent_late_max = counts.sent_late_max.max(late);
    }

    pub(super) fn answered(&self, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.lock().each(|second| {
            second.answered += 1;
            second.latency_us.saturating_record(latency_us);
        });
    }

    pub(super) fn failed(&self, failure: Failure) {
        let mut counts = self.lock();
        counts.each(|second| second.failed += 1);
        let failures = &mut counts.failures;
        *match failure {
            Failure::Unsent => &mut failures.unsent,
            Failure::TimedOut => &mut failures.timed_out,
            Failure::Broken => &mut failures.broken,
            Failure::Refused => &mut failures.refused,
        } += 1;
    }

    /// The second that ends now.
    pub(super) fn end_second(&self) -> Second {
        std::mem::replace(&mut self.lock().second, Second::new(Duration::from_secs(1)))
    }

    pub(super) fn outcome(&self, lasted: Duration) -> super::Outcome {
        let counts = self.lock();
        let whole = Second { lasted, ..counts.whole.clone() };
        super::Outcome { whole, failures: counts.failures, sent_late_max: counts.sent_late_max }
    }
}

impl Counts {
    fn each(&mut self, count: impl Fn(&mut Second)) {
        count(&mut self.second);
        count(&mut self.whole);
    }
}

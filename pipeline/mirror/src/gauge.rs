//! Requests, errors, lateness and latency of one role, interval by interval.
//!
//! Requests of the primary count when they come: that is its load, also while it falls behind. Copies count when they end.
//!
//! Latency runs until the head of the answer is there, for every role alike: so it does not depend on how fast a client
//! reads, and a copy, whose answer nobody reads, can be compared. An error is an answer of 5xx, or none.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use schemas::{PerSecond, Sample, Seconds};

/// Longest latency that is told apart, in microseconds: longer than any timeout by default. Beyond it, it is this.
const LATENCY_MAX_US: u64 = 120_000_000;

/// One role's readings of the interval that runs.
#[derive(Debug)]
pub(crate) struct Gauge(Mutex<Reading>);

#[derive(Debug)]
struct Reading {
    requests: u64,
    mirrorable: u64,
    errors: u64,
    latency_us: Histogram<u64>,
}

impl Reading {
    fn slower_than(&self, promise: Duration) -> u64 {
        let promise_us = u64::try_from(promise.as_micros()).unwrap_or(u64::MAX);
        // From the first value that the histogram tells from the promise.
        let late_us = self.latency_us.next_non_equivalent(promise_us);
        self.latency_us.count_between(late_us, LATENCY_MAX_US)
    }
}

impl Gauge {
    pub(crate) fn new() -> Self {
        // Three digits: p99 to 0.1 %, 150 kB.
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds are in order");
        Self(Mutex::new(Reading { requests: 0, mirrorable: 0, errors: 0, latency_us }))
    }

    /// Takes in a request that has come.
    pub(crate) fn count(&self) {
        self.lock().requests += 1;
    }

    /// Takes in that it might be mirrored.
    pub(crate) fn count_mirrorable(&self) {
        self.lock().mirrorable += 1;
    }

    /// The requests a second that might have been mirrored in an interval of this length, which they begin anew.
    pub(crate) fn take_mirrorable(&self, interval: Duration) -> PerSecond {
        PerSecond::new(std::mem::take(&mut self.lock().mirrorable) as f64 / interval.as_secs_f64())
    }

    /// Takes in how one ended that was counted; without a latency where no answer came.
    pub(crate) fn record(&self, latency: Option<Duration>, error: bool) {
        let mut reading = self.lock();
        reading.errors += u64::from(error);
        if let Some(latency) = latency {
            reading.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Writes the readings of an interval of this length into a sample, and begins the next; whether there were requests. Late
    /// is what took longer than the promise, to the three digits of the histogram; missing where nothing is promised.
    ///
    /// No request is a reading of zero. A latency without answers is missing, not zero.
    pub(crate) fn take(&self, interval: Duration, promise: Option<Duration>, into: &mut Sample) -> bool {
        let mut reading = self.lock();
        let per_second = |count: u64| Some(PerSecond::new(count as f64 / interval.as_secs_f64()));
        into.requests_per_second = per_second(reading.requests);
        into.errors_per_second = per_second(reading.errors);
        into.late_per_second = promise.and_then(|promise| per_second(reading.slower_than(promise)));
        let p99_us = || reading.latency_us.value_at_quantile(0.99);
        into.latency_p99_seconds = (!reading.latency_us.is_empty()).then(|| Seconds::new(p99_us() as f64 / 1e6));
        let some = reading.requests > 0;
        reading.latency_us.reset();
        (reading.requests, reading.errors) = (0, 0);
        some
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reading> {
        // At worst one request of an interval is counted by half.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use schemas::{EventTime, WorkloadId};

    use super::*;

    fn take(gauge: &Gauge) -> (Option<f64>, Option<f64>, Option<f64>) {
        let mut sample = Sample::new(EventTime::default(), WorkloadId::new("web").expect("a name"));
        gauge.take(Duration::from_millis(500), None, &mut sample);
        assert_eq!(sample.late_per_second, None, "nothing is promised");
        let get = |rate: Option<PerSecond>| rate.map(PerSecond::get);
        (get(sample.requests_per_second), get(sample.errors_per_second), sample.latency_p99_seconds.map(Seconds::get))
    }

    #[test]
    fn an_interval_tells_of_its_own_requests_only() {
        let gauge = Gauge::new();
        // 98 requests of 1 ms and two of 10 ms: the 99th of 100 in order is one of 10 ms. Without an answer: one more.
        (0..101).for_each(|_| gauge.count());
        (0..98).for_each(|_| gauge.record(Some(Duration::from_millis(1)), false));
        (0..2).for_each(|_| gauge.record(Some(Duration::from_millis(10)), true));
        gauge.record(None, true);
        let (requests, errors, p99) = take(&gauge);
        // Over half a second.
        assert_eq!((requests, errors), (Some(202.0), Some(6.0)));
        // Three digits of the histogram.
        assert!((p99.expect("answers") - 0.010).abs() < 0.000_01);
        assert_eq!(take(&gauge), (Some(0.0), Some(0.0), None), "missing is not zero");
    }

    #[test]
    fn a_request_without_its_answer_is_load_and_nothing_else() {
        let gauge = Gauge::new();
        gauge.count();
        assert_eq!(take(&gauge), (Some(2.0), Some(0.0), None));
        gauge.record(Some(Duration::from_millis(600)), false);
        let (requests, _, p99) = take(&gauge);
        assert!(requests == Some(0.0) && p99.is_some_and(|p99| (p99 - 0.6).abs() < 1e-3), "{requests:?} {p99:?}");
    }

    #[test]
    fn late_is_what_takes_longer_than_the_promise() {
        let gauge = Gauge::new();
        let late = |promise_ms| {
            [1, 79, 81, 200].into_iter().for_each(|ms| gauge.record(Some(Duration::from_millis(ms)), false));
            let mut sample = Sample::new(EventTime::default(), WorkloadId::new("web").expect("a name"));
            gauge.take(Duration::from_millis(500), Some(Duration::from_millis(promise_ms)), &mut sample);
            sample.late_per_second.map(PerSecond::get)
        };
        assert_eq!([late(80), late(200), late(10_000_000)], [Some(4.0), Some(0.0), Some(0.0)]);
        let mut none = Sample::new(EventTime::default(), WorkloadId::new("web").expect("a name"));
        gauge.take(Duration::from_millis(500), Some(Duration::from_millis(80)), &mut none);
        assert_eq!(none.late_per_second.map(PerSecond::get), Some(0.0));
    }
}

//! When a process that ended is started again: at once, then ever later, up to half a minute.
//!
//! | failures in a row | delay |
//! |---|---|
//! | 1 | 0.1 s |
//! | 2 | 0.2 s |
//! | 5 | 1.6 s |
//! | 10 and more | 30 s |

use schemas::EventTime;

/// The failures of one process, and when it may be started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    started: EventTime,
    due: EventTime,
}

const FIRST_MS: u64 = 100;

/// A program that fails at once costs at most two starts a minute.
const MOST_MS: u64 = 30_000;

/// A process that ran for that long begins anew: what it died of is something else.
const STEADY_MS: u64 = 60_000;

impl Backoff {
    /// It was started.
    pub(super) fn start(&mut self, now: EventTime) {
        self.started = now;
    }

    /// It ended, or could not be started. Returns how long it waits, in milliseconds.
    pub(super) fn fail(&mut self, now: EventTime) -> u64 {
        let ran_ms = now.millis().saturating_sub(self.started.millis());
        self.failures = if ran_ms >= STEADY_MS { 1 } else { self.failures.saturating_add(1) };
        let doublings = (self.failures - 1).min(MOST_MS.ilog2());
        let delay_ms = (FIRST_MS << doublings).min(MOST_MS);
        self.due = now.plus(delay_ms);
        // Counted from here where it cannot be started, too.
        self.started = now;
        delay_ms
    }

    /// Whether it may be started.
    pub(super) fn is_due(&self, now: EventTime) -> bool {
        // Or the clock was put back.
        now >= self.due || now.plus(MOST_MS) < self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_and_a_steady_run_forgets() {
        let mut backoff = Backoff::default();
        let now = EventTime::from_millis(1_000_000);
        backoff.start(now);
        let delays: Vec<u64> = (0..11).map(|_| backoff.fail(now)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        assert!(!backoff.is_due(now.plus(29_999)) && backoff.is_due(now.plus(30_000)));
        for _ in 0..100 {
            assert_eq!(backoff.fail(now), 30_000);
        }
        backoff.start(now);
        assert_eq!(backoff.fail(now.plus(60_000)), 100);
    }
}

//! Ticks on time.

use std::time::{Duration, Instant};

/// Ticks without drift: each is due a whole number of intervals after the first, however long the work between took.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    due: Instant,
    missed: u64,
}

impl Pace {
    /// Ticks each `interval`, which is not zero; the first is due at `first`.
    pub(crate) fn new(interval: Duration, first: Instant) -> Self {
        Self { interval, due: first, missed: 0 }
    }

    /// Whether a tick is due at `now`; if so, it is taken.
    ///
    /// What is late by whole intervals is left out and counted: readings in haste would tell of no time at all.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some(late) = now.checked_duration_since(self.due) else { return false };
        let missed = u32::try_from(late.as_nanos() / self.interval.as_nanos()).unwrap_or(u32::MAX - 1);
        self.missed += u64::from(missed);
        self.due += self.interval * (missed + 1);
        true
    }

    /// How long it is from `now` until a tick is due; zero when one is.
    pub(crate) fn until_due(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// Ticks that were left out so far.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn work_between_ticks_does_not_make_them_drift() {
        let first = Instant::now();
        let mut pace = Pace::new(ms(100), first);
        // Each tick's work takes 30 ms, so 70 ms are left: the hundredth comes after 9.9 s, not after 12.87 s.
        for tick in 0..100 {
            assert!(pace.take(first + ms(tick * 100)), "tick {tick}");
            assert_eq!(pace.until_due(first + ms(tick * 100 + 30)), ms(70));
            assert!(!pace.take(first + ms(tick * 100 + 30)));
        }
        assert_eq!(pace.missed(), 0);
    }

    #[test]
    fn a_late_tick_comes_at_once_and_the_next_on_time() {
        let first = Instant::now();
        let mut pace = Pace::new(ms(100), first);
        assert!(pace.take(first));
        assert_eq!(pace.until_due(first + ms(150)), ms(0), "due at 100");
        assert!(pace.take(first + ms(150)));
        assert_eq!(pace.until_due(first + ms(160)), ms(40), "due at 200");
        assert_eq!(pace.missed(), 0);
    }

    #[test]
    fn whole_intervals_that_were_slept_through_are_left_out_and_counted() {
        let first = Instant::now();
        let mut pace = Pace::new(ms(100), first);
        assert!(pace.take(first));
        // Of the ticks at 100, 200, 300 and 400, three are gone and the last is late.
        assert!(pace.take(first + ms(450)));
        assert_eq!(pace.missed(), 3);
        assert_eq!(pace.until_due(first + ms(460)), ms(40), "due at 500");
    }
}

//! Cumulative counters to rates.
//!
//! ```text
//! rate  = (value − value before) / (time − time before)      a counter over time
//! share = (part − part before) / (whole − whole before)      a counter over a counter
//! ```
//!
//! Invariant: a first reading, a missing one and a counter that fell give no rate. A fall means that whoever counted
//! started anew, so what was counted in between is unknown; the next rate starts at the fallen value. After a missing
//! reading the next rate spans the longer interval.

const NS_PER_SECOND: f64 = 1e9;

/// A counter over time. Memory: two numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    before: Option<(u64, u64)>,
}

impl Counter {
    /// The rate per second since the reading before, from `value` as read at `at_ns`; a fall is added to `resets`.
    ///
    /// | readings (time, value) | rates |
    /// |---|---|
    /// | (1 s, 5), (3 s, 9) | none, 2 |
    /// | (1 s, 5), (2 s, 3), (3 s, 4) | none, none, 1 |
    pub(crate) fn rate(&mut self, at_ns: u64, value: Option<u64>, resets: &mut u64) -> Option<f64> {
        let value = value?;
        let (before_ns, before) = self.before.replace((at_ns, value))?;
        let grown = growth(value, before, resets)?;
        let span_ns = at_ns.checked_sub(before_ns).filter(|&span_ns| span_ns > 0)?;
        Some(grown as f64 / span_ns as f64 * NS_PER_SECOND)
    }
}

/// A part that grows with its whole. Memory: two numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    before: Option<(u64, u64)>,
}

impl Share {
    /// The share of the part in the whole since the reading before, at most 1; none while the whole stands still.
    pub(crate) fn share(&mut self, now: Option<(u64, u64)>, resets: &mut u64) -> Option<f64> {
        let (part, whole) = now?;
        let (part_before, whole_before) = self.before.replace((part, whole))?;
        let whole_grown = growth(whole, whole_before, resets)?;
        let part_grown = part.checked_sub(part_before)?;
        (whole_grown > 0).then(|| (part_grown as f64 / whole_grown as f64).min(1.0))
    }
}

fn growth(value: u64, before: u64, resets: &mut u64) -> Option<u64> {
    let grown = value.checked_sub(before);
    *resets += u64::from(grown.is_none());
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rates(readings: &[(u64, Option<u64>)]) -> (Vec<Option<f64>>, u64) {
        let (mut counter, mut resets) = (Counter::default(), 0);
        let rates = readings.iter().map(|&(at_ns, value)| counter.rate(at_ns, value, &mut resets)).collect();
        (rates, resets)
    }

    #[test]
    fn a_first_reading_has_no_rate() {
        // 4 in 2 s are 2 per second.
        assert_eq!(rates(&[(SECOND, Some(5)), (3 * SECOND, Some(9))]), (vec![None, Some(2.0)], 0));
    }

    #[test]
    fn a_counter_that_stands_still_has_a_rate_of_zero() {
        assert_eq!(rates(&[(SECOND, Some(5)), (2 * SECOND, Some(5))]), (vec![None, Some(0.0)], 0));
    }

    #[test]
    fn a_fall_is_counted_and_gives_no_rate() {
        let readings = [(SECOND, Some(5)), (2 * SECOND, Some(3)), (3 * SECOND, Some(4))];
        assert_eq!(rates(&readings), (vec![None, None, Some(1.0)], 1));
    }

    #[test]
    fn the_rate_after_a_missing_reading_spans_the_gap() {
        // 6 in 3 s, of which the middle was not seen.
        let readings = [(SECOND, Some(0)), (2 * SECOND, None), (4 * SECOND, Some(6))];
        assert_eq!(rates(&readings), (vec![None, None, Some(2.0)], 0));
    }

    #[test]
    fn two_readings_at_one_instant_have_no_rate() {
        assert_eq!(rates(&[(SECOND, Some(1)), (SECOND, Some(9))]), (vec![None, None], 0));
    }

    #[test]
    fn a_share_is_of_what_was_added() {
        let (mut share, mut resets) = (Share::default(), 0);
        assert_eq!(share.share(Some((5, 100)), &mut resets), None, "the first");
        // 3 of 10 new periods.
        assert_eq!(share.share(Some((8, 110)), &mut resets), Some(0.3));
        assert_eq!(share.share(Some((8, 110)), &mut resets), None, "no new period");
        assert_eq!(share.share(Some((0, 0)), &mut resets), None, "a reset");
        assert_eq!(share.share(Some((0, 4)), &mut resets), Some(0.0));
        assert_eq!(resets, 1);
    }
}

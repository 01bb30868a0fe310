//! Ticks taken together until their 99th percentile of latency is one.
//!
//! A tick tells the 99th percentile of its own requests. Of three that is the slowest of three, far below what the slowest
//! hundredth of all have to wait; to learn from it is to believe in headroom that is not there. So ticks are taken together
//! until they hold [`REQUESTS`], or are [`TICKS_MAX`]: the largest of their percentiles is then nearly the slowest of a hundred.
//! Above a hundred a tick, each stands for itself. What holds fewer than [`REQUESTS_MIN`] proves that a role suffers, and no
//! health.
//!
//! State: seven numbers a role.

use serde::{Deserialize, Serialize};

/// Requests that have a 99th percentile.
const REQUESTS: f64 = 100.0;

/// Requests whose slowest is near enough to it: of an exponential tail that of thirty is some six sevenths of the way.
const REQUESTS_MIN: f64 = 30.0;

/// Ticks that are taken together at most. The slowest of many is that of the busiest tick, and would be held against the mean
/// load of all.
const TICKS_MAX: u32 = 3;

/// The longest time that one tick stands for, in milliseconds: what came before it was missed.
const TICK_MAX_MS: u64 = 10_000;

/// Ticks that do not hold enough requests yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gathering {
    seen_ms: u64,
    /// Of the load, under which they were.
    share: f64,
    sum: Gathered,
}

/// What ticks have shown together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pub(crate) ticks: u32,
    /// Infinitely many where nobody counts them.
    pub(crate) requests: f64,
    /// CPU limit, cores.
    pub(crate) limit: f64,
    /// Mean usage, cores.
    pub(crate) cores: f64,
    /// The largest, seconds.
    pub(crate) latency: f64,
}

impl Gathering {
    /// Takes in a tick under a share of the load: limit, usage and latency, where it shows them. What the ticks since the last
    /// answer have shown, once they hold enough; of a load that nobody counts each tick stands for itself.
    pub(crate) fn add(
        &mut self,
        now_ms: u64,
        (share_of_load, requests_per_second): (f64, Option<f64>),
        shown: Option<(f64, f64, f64)>,
    ) -> Option<Gathered> {
        let Self { seen_ms, share, sum } = *self;
        let elapsed_ms = now_ms.saturating_sub(seen_ms).min(TICK_MAX_MS);
        // What does not show them, such as a backlog, ends what was begun.
        let Some((limit, cores, latency)) = shown else {
            *self = Self { seen_ms: now_ms, ..Self::default() };
            return None;
        };
        // Another size, or share, begins anew.
        let sum = if (limit, share_of_load) == (sum.limit, share) { sum } else { Gathered::default() };
        let ticks = sum.ticks + 1;
        let requests = requests_per_second.map_or(f64::INFINITY, |rate| rate * elapsed_ms as f64 / 1e3);
        let sum = Gathered {
            ticks,
            requests: sum.requests + requests,
            limit,
            cores: sum.cores + (cores - sum.cores) / f64::from(ticks),
            latency: sum.latency.max(latency),
        };
        let whole = sum.requests >= REQUESTS || ticks >= TICKS_MAX;
        let left = if whole { Gathered::default() } else { sum };
        *self = Self { seen_ms: now_ms, share: share_of_load, sum: left };
        whole.then_some(sum)
    }
}

impl Gathered {
    pub(crate) fn utilisation(&self) -> f64 {
        self.cores / self.limit
    }

    /// Whether the latency is nearly a 99th percentile.
    pub(crate) fn is_percentile(&self) -> bool {
        self.requests >= REQUESTS_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What seconds of so many requests gather, each with a latency of its own: seconds of an answer, latency, and whether it is
    /// one.
    fn gathered(rate: Option<f64>, seconds: u64) -> Vec<(u32, f64, bool)> {
        let mut gathering = Gathering { seen_ms: 1_000, ..Gathering::default() };
        let shown = |second: u64| Some((2.0, 1.0, (second % 7) as f64));
        let answers = (2..2 + seconds).filter_map(|second| gathering.add(second * 1_000, (1.0, rate), shown(second)));
        answers.map(|answer| (answer.ticks, answer.latency, answer.is_percentile())).collect()
    }

    #[test]
    fn ticks_are_taken_together_until_a_hundred_requests() {
        // Seconds 2 and 3, whose latencies are 2 and 3; then 4 and 5.
        assert_eq!(gathered(Some(50.0), 4), [(2, 3.0, true), (2, 5.0, true)]);
        assert_eq!(gathered(Some(100.0), 2), [(1, 2.0, true), (1, 3.0, true)]);
        assert_eq!(gathered(None, 2), [(1, 2.0, true), (1, 3.0, true)]);
        // Three seconds of nine requests, whose slowest proves nothing.
        assert_eq!(gathered(Some(9.0), 4), [(3, 4.0, false)]);
    }

    #[test]
    fn what_shows_nothing_ends_what_was_begun() {
        let mut gathering = Gathering { seen_ms: 1_000, ..Gathering::default() };
        assert_eq!(gathering.add(2_000, (1.0, Some(60.0)), Some((2.0, 1.0, 9.0))), None);
        assert_eq!(gathering.add(3_000, (1.0, Some(60.0)), None), None);
        assert_eq!(gathering.add(4_000, (1.0, Some(60.0)), Some((2.0, 1.0, 1.0))), None);
        let answer = gathering.add(5_000, (1.0, Some(60.0)), Some((2.0, 0.5, 2.0))).expect("120 requests");
        assert_eq!((answer.ticks, answer.utilisation(), answer.latency), (2, 0.375, 2.0));
        assert_eq!(gathering.add(6_000, (1.0, Some(60.0)), Some((2.0, 1.0, 9.0))), None);
        assert_eq!(gathering.add(7_000, (1.0, Some(60.0)), Some((3.0, 1.0, 1.0))), None, "of another size");
        assert_eq!(gathering.add(8_000, (0.5, Some(60.0)), Some((3.0, 1.0, 1.0))), None, "of another share");
    }
}

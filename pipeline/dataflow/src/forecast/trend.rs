//! Where a steady climb of the last seconds leads until a decision takes effect.
//!
//! What is needed now is decided on once its tick has closed, and in force some time later. Under a load that climbs, an
//! allocation that follows the ticks is behind by as much, all the way up. So a line is laid through the last [`SPAN_MS`] of
//! work, and where its slope is clearly above zero it is carried ahead, by at most half of what it was seen over.
//!
//! State: a tick's work for each tick of the span. Cost: some ten operations for each of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Fifteen seconds: shorter is noise, longer is what forecasts are for.
const SPAN_MS: u64 = 15_000;

/// Ticks from which a line may be laid.
const TICKS_MIN: usize = 8;

/// Standard errors by which a slope must exceed zero.
const CLEARLY: f64 = 3.0;

/// The last ticks' work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Trend {
    ticks: VecDeque<(u64, f64)>,
}

impl Trend {
    /// Takes in a tick's work; none where it was not read, or is a guess, which ends what was seen before.
    pub(super) fn observe(&mut self, tick: u64, work: Option<f64>) {
        let Some(work) = work else { return self.ticks.clear() };
        self.ticks.push_back((tick, work));
        while self.ticks.front().is_some_and(|(at, _)| at + SPAN_MS <= tick) {
            self.ticks.pop_front();
        }
    }

    /// The work so long after the last tick; none unless it climbs steadily.
    pub(super) fn after(&self, ahead_ms: u64) -> Option<f64> {
        let count = self.ticks.len();
        let (newest, _) = *self.ticks.back().filter(|_| count >= TICKS_MIN)?;
        let seconds = |tick: u64| (newest - tick) as f64 / -1e3;
        let mean = |of: &dyn Fn(&(u64, f64)) -> f64| self.ticks.iter().map(of).sum::<f64>() / count as f64;
        let (at, work) = (mean(&|tick| seconds(tick.0)), mean(&|tick| tick.1));
        let times = mean(&|tick| (seconds(tick.0) - at) * (seconds(tick.0) - at));
        let slope = mean(&|tick| (seconds(tick.0) - at) * (tick.1 - work)) / times;
        let scatter = mean(&|tick| (tick.1 - work) * (tick.1 - work)) - slope * slope * times;
        let error = (scatter.max(0.0) / times / (count - 2) as f64).sqrt();
        let ahead = ahead_ms.min(SPAN_MS / 2) as f64 / 1e3;
        (slope > CLEARLY * error).then_some(work + slope * (ahead - at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ahead_ms: u64, work: impl Fn(u64) -> f64) -> Option<f64> {
        let mut trend = Trend::default();
        (0..60).for_each(|second| trend.observe(1_000 * second, Some(work(second))));
        trend.after(ahead_ms)
    }

    /// Work that swings by a tenth.
    fn swing(second: u64) -> f64 {
        0.1 * [0.0, 1.0, -1.0, 0.5, -0.5, -1.0, 1.0][second as usize % 7]
    }

    #[test]
    fn a_steady_climb_is_carried_ahead() {
        // 0.05 cores a second, 2.95 at the last tick; 0.15 in three seconds, and no more than 0.375 however far is asked for.
        let climb = |ahead_ms| after(ahead_ms, |second| 0.05 * second as f64).expect("it climbs");
        assert!((climb(3_000) - 3.1).abs() < 1e-9 && (climb(60_000) - 3.325).abs() < 1e-9);
        let swinging = after(3_000, |second| 0.05 * second as f64 + swing(second)).expect("by far more than it swings");
        assert!((swinging - 3.1).abs() < 0.1, "{swinging}");
    }

    #[test]
    fn what_swings_falls_or_was_hardly_seen_leads_nowhere() {
        assert_eq!(after(3_000, |second| 1.0 + swing(second)), None);
        assert_eq!(after(3_000, |second| 9.0 - 0.05 * second as f64), None);
        assert_eq!(after(3_000, |_| 1.0), None);
        let mut trend = Trend::default();
        (0..20).for_each(|second| trend.observe(1_000 * second, Some(second as f64)));
        assert!(trend.after(0).is_some() && trend.ticks.len() == 15);
        trend.observe(20_000, None);
        (21..28).for_each(|second| trend.observe(1_000 * second, Some(second as f64)));
        assert_eq!(trend.after(0), None, "seven ticks");
    }
}

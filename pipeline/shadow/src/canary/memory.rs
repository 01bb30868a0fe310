//! Memory: how much faster the canary's grows, as a share of the baseline's level per hour.
//!
//! What matters is the slope, not the level: a new version may take more, and the size of an instance says how much. A
//! minute's score is the rise of the lowest value from its first half to its second, canary less baseline. The lowest value,
//! because a garbage collector makes memory a sawtooth; minutes that share no reading, because a process's memory hangs
//! together, and only whole minutes change places fairly.
//!
//! State: a ladder and five numbers.

use serde::{Deserialize, Serialize};

use super::ladder::Ladder;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// Growth of memory, minute by minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Growth {
    pub(super) ladder: Ladder,
    ticks_per_half: u32,
    ticks: u32,
    /// Lowest values of baseline and canary in each half, bytes.
    halves: [Option<(f64, f64)>; 2],
}

impl Growth {
    /// Ticks of so many milliseconds; the ladder's unit is a share per hour.
    pub(super) fn new(tick_ms: u64, ladder: Ladder) -> Self {
        let ticks_per_half = (MINUTE_MS / 2 / tick_ms).max(1) as u32;
        Self { ladder, ticks_per_half, ticks: 0, halves: [None; 2] }
    }

    /// Takes in a tick's working sets of baseline and canary, bytes; none when one was not read.
    pub(super) fn close(&mut self, working_sets: Option<(f64, f64)>) {
        let half = &mut self.halves[usize::from(self.ticks >= self.ticks_per_half)];
        if let Some((baseline, canary)) = working_sets {
            let (least_baseline, least_canary) = half.unwrap_or((baseline, canary));
            *half = Some((least_baseline.min(baseline), least_canary.min(canary)));
        }
        self.ticks += 1;
        if self.ticks == 2 * self.ticks_per_half {
            if let [Some(first), Some(second)] = self.halves {
                self.settle(first, second);
            }
            self.ticks = 0;
            self.halves = [None; 2];
        }
    }

    fn settle(&mut self, first: (f64, f64), second: (f64, f64)) {
        let rise = (second.1 - first.1) - (second.0 - first.0);
        let per_hour = HOUR_MS as f64 / (MINUTE_MS / 2) as f64;
        if first.0 > 0.0 {
            self.ladder.settle_difference(rise / first.0 * per_hour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth_of(canary: impl Fn(u32) -> f64) -> Growth {
        let mut growth = Growth::new(1_000, Ladder::new(0.2));
        (0..1_800).for_each(|second| growth.close(Some((1e9, canary(second)))));
        growth
    }

    #[test]
    fn a_leak_is_told_and_its_slope_is_right() {
        // 100 kB/s of 1 GB are 36 % an hour: between the rungs 1.5 and 2 of the margin of 20 %.
        let leak = growth_of(|second| 1e9 + 1e5 * f64::from(second));
        assert!(leak.ladder.ln_worse() > 20f64.ln());
        assert_eq!(leak.ladder.interval(20f64.ln()), (Some(1.5 * 0.2), Some(2.0 * 0.2)));
    }

    #[test]
    fn a_higher_level_and_a_sawtooth_are_no_leak() {
        // Teeth of ten seconds: their lowest value is the same in each half minute.
        let teeth = growth_of(|second| 2e9 + 1e7 * f64::from(second % 10));
        assert!(teeth.ladder.ln_worse() < 0.1 && teeth.ladder.ln_within() > 3.0);
    }

    #[test]
    fn a_minute_with_a_half_unread_says_nothing() {
        let mut growth = Growth::new(1_000, Ladder::new(0.2));
        let unread = growth.clone().ladder;
        (0..600).for_each(|second| growth.close((second % 60 < 30).then_some((1e9, 1e9 + f64::from(second)))));
        assert_eq!(growth.ladder, unread);
    }
}

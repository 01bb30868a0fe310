//! A flash crowd: a link goes round, the load multiplies within minutes and fades over tens of minutes.
//!
//! The multiple climbs linearly from 1 to its peak, stays, then decays: 1 + (peak - 1) · exp(-t / decay).

use elementary::exp;
use serde::{Deserialize, Serialize};

use super::{day_of_start, minutes_since};
use crate::noise;

/// When, how high and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashCrowd {
    /// Minute of the day at which it begins, 0..1440.
    pub start_minute: f64,
    /// From its start to its peak, minutes.
    pub ramp_minutes: f64,
    /// At the peak, minutes.
    pub hold_minutes: f64,
    /// Time in which the excess falls to 1/e, minutes.
    pub decay_minutes: f64,
    /// Load at the peak over the load without the crowd.
    pub peak_multiple: f64,
    /// Chance that a day has it: 1 is every day, and then it is no surprise on the second.
    pub chance_per_day: f64,
}

impl FlashCrowd {
    pub(super) fn multiple(&self, time_ms: u64, seed: u64) -> f64 {
        let minutes = minutes_since(self.start_minute, time_ms);
        let day = day_of_start(time_ms, minutes);
        if noise::uniform(seed, noise::FLASH_CROWD, day) >= self.chance_per_day {
            return 1.0;
        }
        1.0 + (self.peak_multiple - 1.0) * self.height(minutes)
    }

    fn height(&self, minutes: f64) -> f64 {
        let fading_minutes = minutes - self.ramp_minutes - self.hold_minutes;
        if minutes < self.ramp_minutes {
            minutes / self.ramp_minutes
        } else if fading_minutes <= 0.0 {
            1.0
        } else {
            exp(-fading_minutes / self.decay_minutes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{DAY_MS, MINUTE_MS};

    #[test]
    fn ramps_holds_and_decays_past_midnight() {
        let crowd = FlashCrowd {
            start_minute: 1_430.0,
            ramp_minutes: 4.0,
            hold_minutes: 6.0,
            decay_minutes: 10.0,
            peak_multiple: 3.0,
            chance_per_day: 1.0,
        };
        let at = |minutes: u64| crowd.multiple(DAY_MS + 1_430 * MINUTE_MS + minutes * MINUTE_MS, 1);
        assert_eq!(at(0), 1.0);
        assert_eq!(at(2), 2.0);
        assert_eq!(at(10), 3.0);
        // Ten minutes into the decay and so ten past midnight: 1 + 2/e.
        assert!((at(20) - 1.735_76).abs() < 1e-5);
        let never = FlashCrowd { chance_per_day: 0.0, ..crowd };
        assert_eq!(never.multiple(1_436 * MINUTE_MS, 1), 1.0);
    }
}

//! A queue that fills up over the day: a slow climb, a plateau, a fall.

use serde::{Deserialize, Serialize};

use super::minutes_since;

/// A trapezium over the day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Outside the ramp, requests/s.
    pub low_requests_per_second: f64,
    /// On the plateau, requests/s.
    pub high_requests_per_second: f64,
    /// Minute of the day at which the climb begins, 0..1440.
    pub start_minute: f64,
    /// Length of the climb, minutes; above zero.
    pub rise_minutes: f64,
    /// Length of the plateau, minutes.
    pub hold_minutes: f64,
    /// Length of the fall, minutes; above zero. The three together are at most a day.
    pub fall_minutes: f64,
}

impl Ramp {
    pub(super) fn load(&self, time_ms: u64) -> f64 {
        let minutes = minutes_since(self.start_minute, time_ms);
        let climbed = minutes / self.rise_minutes;
        let left = (self.rise_minutes + self.hold_minutes + self.fall_minutes - minutes) / self.fall_minutes;
        let height = climbed.min(left).clamp(0.0, 1.0);
        self.low_requests_per_second + (self.high_requests_per_second - self.low_requests_per_second) * height
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::MINUTE_MS;

    #[test]
    fn climbs_stays_and_falls() {
        let ramp = Ramp {
            low_requests_per_second: 2.0,
            high_requests_per_second: 12.0,
            start_minute: 100.0,
            rise_minutes: 50.0,
            hold_minutes: 10.0,
            fall_minutes: 20.0,
        };
        let expected =
            [(99, 2.0), (100, 2.0), (125, 7.0), (150, 12.0), (160, 12.0), (170, 7.0), (180, 2.0), (900, 2.0)];
        for (minute, load) in expected {
            assert_eq!(ramp.load(minute * MINUTE_MS), load, "minute {minute}");
        }
    }
}

//! A web service's day: a trough at night, a peak at lunch, a higher one in the evening, quieter weekends.
//!
//! Two bell curves over the clock, lunch at 12:30 and evening at 20:00, each 2.2 h wide (standard deviation), so
//! that the afternoon dips between them. With trough 80, peak 400 and lunch ratio 0.75 on a working day:
//!
//! | hour | 4 | 9 | 12:30 | 16:15 | 20 |
//! |---|---|---|---|---|---|
//! | requests/s | 81 | 148 | 321 | 211 | 401 |

use elementary::exp;
use serde::{Deserialize, Serialize};

use super::{DAY_MINUTES, DAY_MS, minute_of_day};

const LUNCH_MINUTE: f64 = 750.0;
const EVENING_MINUTE: f64 = 1_200.0;
const WIDTH_MINUTES: f64 = 132.0;

/// Day 0, 1 January 1970, was a Thursday: days 2 and 3 of each week that starts there are its weekend.
const WEEKEND_DAYS: [u64; 2] = [2, 3];

/// Parameters of the daily course.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Daily {
    /// At night, requests/s.
    pub trough_requests_per_second: f64,
    /// At the evening peak, requests/s.
    pub peak_requests_per_second: f64,
    /// Height of the lunch peak over the trough as a share of the evening's.
    pub lunch_ratio: f64,
    /// Load on Saturday and Sunday as a share of a working day's.
    pub weekend_ratio: f64,
}

impl Daily {
    pub(super) fn load(&self, time_ms: u64) -> f64 {
        let minute = minute_of_day(time_ms);
        let height = self.lunch_ratio * bell(minute, LUNCH_MINUTE) + bell(minute, EVENING_MINUTE);
        let swing = self.peak_requests_per_second - self.trough_requests_per_second;
        let is_weekend = WEEKEND_DAYS.contains(&(time_ms / DAY_MS % 7));
        let week = if is_weekend { self.weekend_ratio } else { 1.0 };
        week * (self.trough_requests_per_second + swing * height)
    }
}

/// exp(-d² / 2w²) of the distance around the clock.
fn bell(minute: f64, centre: f64) -> f64 {
    let apart = (minute - centre).abs();
    let distance = apart.min(DAY_MINUTES - apart) / WIDTH_MINUTES;
    exp(-distance * distance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::MINUTE_MS;

    #[test]
    fn the_day_has_its_worked_values() {
        let daily = Daily {
            trough_requests_per_second: 80.0,
            peak_requests_per_second: 400.0,
            lunch_ratio: 0.75,
            weekend_ratio: 0.5,
        };
        for (minute, expected) in [(240, 81.0), (540, 148.0), (750, 321.0), (975, 211.0), (1_200, 401.0)] {
            let load = daily.load(minute * MINUTE_MS);
            assert!((load - expected).abs() < 0.5, "minute {minute}: {load}");
            // Day 2 is a Saturday.
            assert_eq!(daily.load(2 * DAY_MS + minute * MINUTE_MS), load / 2.0);
        }
    }
}

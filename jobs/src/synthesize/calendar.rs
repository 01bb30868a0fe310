//! Days and weeks: the course that people give a load, no day quite like the other.

use plant::noise;

use super::dice::Dice;

pub(super) const DAY_MS: u64 = 86_400_000;
const HOUR_MS: f64 = 3_600_000.0;

/// Courses of a day by the hour, 0 at its least and 1 at its most; each is bent at random before it is used.
const COURSES: [[f64; 24]; 5] = [
    // An office: nobody at night, a dip at lunch.
    [
        0.02, 0.02, 0.01, 0.01, 0.02, 0.05, 0.15, 0.40, 0.75, 0.95, 1.00, 0.97, 0.72, 0.85, 0.98, 0.95, 0.85, 0.60,
        0.35, 0.20, 0.12, 0.08, 0.05, 0.03,
    ],
    // People at home: lunch, and a higher evening.
    [
        0.35, 0.20, 0.10, 0.04, 0.00, 0.02, 0.08, 0.18, 0.30, 0.40, 0.48, 0.58, 0.66, 0.60, 0.52, 0.50, 0.55, 0.65,
        0.80, 0.93, 1.00, 0.95, 0.80, 0.55,
    ],
    // All the world: never idle, a broad hill.
    [
        0.35, 0.28, 0.20, 0.12, 0.05, 0.00, 0.04, 0.15, 0.30, 0.50, 0.65, 0.78, 0.86, 0.94, 1.00, 1.00, 0.97, 0.92,
        0.86, 0.78, 0.72, 0.64, 0.55, 0.45,
    ],
    // Work that is put off to the night.
    [
        0.90, 1.00, 0.95, 0.80, 0.60, 0.40, 0.25, 0.12, 0.05, 0.02, 0.00, 0.02, 0.04, 0.03, 0.02, 0.03, 0.05, 0.08,
        0.10, 0.15, 0.22, 0.35, 0.55, 0.75,
    ],
    // A morning and an evening.
    [
        0.05, 0.03, 0.02, 0.02, 0.04, 0.15, 0.45, 0.85, 1.00, 0.80, 0.55, 0.45, 0.42, 0.40, 0.40, 0.45, 0.60, 0.82,
        0.95, 0.88, 0.60, 0.35, 0.18, 0.10,
    ],
];

/// The course of one workload.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    seed: u64,
    hours: [f64; 24],
    /// Its time zone and habits, milliseconds.
    shift_ms: u64,
    /// What a Saturday and a Sunday are beside a working day.
    weekend: f64,
    /// How much a day's height differs from another's, as a share.
    unlike: f64,
    /// How much earlier or later a day may be, milliseconds.
    late_ms: f64,
}

impl Calendar {
    pub(super) fn drawn(dice: &mut Dice) -> Self {
        let course = dice.one_of(&COURSES);
        let bend = dice.between(0.05, 0.25);
        let hours = course.map(|hour| (hour + bend * dice.normal() * hour.max(0.1)).max(0.0));
        Self {
            seed: (dice.uniform() * 2f64.powi(53)) as u64,
            hours,
            shift_ms: (dice.uniform() * DAY_MS as f64) as u64,
            weekend: if dice.chance(0.5) { dice.between(0.3, 0.9) } else { dice.between(0.9, 1.1) },
            unlike: dice.octaves(0.01, 4.0),
            late_ms: dice.between(0.0, 0.4 * HOUR_MS),
        }
    }

    /// The course at an instant: about 0 to 1, rarely more.
    pub(super) fn at(&self, time_ms: u64) -> f64 {
        let local_ms = time_ms + self.shift_ms;
        let day = local_ms / DAY_MS;
        let late_ms = self.late_ms * noise::normal(self.seed, 0, day) / 2.0;
        let hour = ((local_ms % DAY_MS) as f64 + late_ms) / HOUR_MS;
        let (whole, part) = (hour.floor(), hour - hour.floor());
        let knot = |at: f64| self.hours[(at as i64).rem_euclid(24) as usize];
        // Smooth between the knots: no corner tells a network what the hour is.
        let eased = part * part * (3.0 - 2.0 * part);
        let course = knot(whole) + (knot(whole + 1.0) - knot(whole)) * eased;
        // Day 0 was a Thursday.
        let week = if matches!(day % 7, 2 | 3) { self.weekend } else { 1.0 };
        course * week * (1.0 + self.unlike * noise::normal(self.seed, 1, day)).max(0.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_alike_and_weekends_are_not() {
        let calendar = Calendar { seed: 1, hours: COURSES[0], shift_ms: 0, weekend: 0.5, unlike: 0.0, late_ms: 0.0 };
        let ten = |day: u64| calendar.at(day * DAY_MS + 10 * HOUR_MS as u64);
        // The knot of 10 o'clock is 1; day 2 is a Saturday.
        assert_eq!([ten(0), ten(2), ten(3), ten(4)], [1.0, 0.5, 0.5, 1.0]);
        let half = calendar.at(10 * HOUR_MS as u64 + HOUR_MS as u64 / 2);
        // Midway between 1.00 and 0.97.
        assert!((half - 0.985).abs() < 1e-12, "{half}");
    }
}

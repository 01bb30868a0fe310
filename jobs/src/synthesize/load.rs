//! Loads: how much work comes, step after step, beside a level of about 1.
//!
//! | load | is | hard because |
//! |---|---|---|
//! | [`People`] | people's days, moods of hours and minutes, crowds, deploys | noise grows with the level |
//! | [`Cluster`] | the mean of very many | only the slow moves can be known |
//! | [`Machine`] | idle for hours, busy for a while, each time at another level | when it wakes cannot be known |
//! | [`Scheduled`] | jobs by the clock that take longer or shorter | the window shows it only from within |
//! | [`Walk`] | goes anywhere, at any pace | the last value is all there is |
//! | [`Trickle`] | nothing, then something, at random heights | most steps are zero or nearly so |
//! | [`Bursty`] | a level with leaps of a heavy tail | quantiles, not the mean, matter |

use super::calendar::{Calendar, DAY_MS};
use super::dice::{Dice, Drift, exp2};
use super::events::{Bursts, Crowds, Deploys, chance_per_step};

const MINUTE_MS: f64 = 60_000.0;

/// How much work comes.
pub(super) trait Load {
    /// At the next step, which begins at `time_ms`; never negative.
    fn next(&mut self, time_ms: u64, dice: &mut Dice) -> f64;
}

/// A service for people.
pub(super) struct People {
    calendar: Calendar,
    /// What it is at its least, beside a day's height.
    floor: f64,
    mood: Drift,
    wobble: Drift,
    white: f64,
    crowds: Crowds,
    deploys: Deploys,
}

impl People {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let steps = |minutes: f64| minutes * MINUTE_MS / step_ms as f64;
        let crowds_a_day = if dice.chance(0.4) { dice.octaves(0.1, 5.0) } else { 0.02 };
        Self {
            calendar: Calendar::drawn(dice),
            floor: dice.octaves(0.03, 5.0),
            mood: Drift::new(steps(dice.octaves(60.0, 3.0)), dice.octaves(0.02, 3.5), dice),
            wobble: Drift::new(steps(dice.octaves(2.0, 3.0)), dice.octaves(0.01, 3.5), dice),
            white: dice.octaves(0.004, 5.5),
            crowds: Crowds::drawn(crowds_a_day, step_ms, dice),
            deploys: Deploys::drawn(step_ms, dice),
        }
    }
}

impl Load for People {
    fn next(&mut self, time_ms: u64, dice: &mut Dice) -> f64 {
        let course = self.floor + self.calendar.at(time_ms);
        let noise = 1.0 + self.mood.next(dice) + self.wobble.next(dice) + self.white * dice.normal();
        course * noise.max(0.05) * self.crowds.next(dice) * self.deploys.next(dice)
    }
}

/// The mean of a whole cluster.
pub(super) struct Cluster {
    calendar: Calendar,
    swing: f64,
    drifts: [Drift; 3],
    white: f64,
    bursts: Bursts,
}

impl Cluster {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let steps = |minutes: f64| minutes * MINUTE_MS / step_ms as f64;
        let drifts = [(1.0, 0.004), (8.0, 0.01), (60.0, 0.02)];
        Self {
            calendar: Calendar::drawn(dice),
            swing: dice.octaves(0.05, 4.0),
            drifts: drifts.map(|(minutes, spread)| {
                Drift::new(steps(dice.octaves(minutes, 2.0)), dice.octaves(spread, 2.5), dice)
            }),
            white: dice.octaves(0.001, 4.0),
            bursts: Bursts::drawn(dice.octaves(0.5, 5.0), step_ms, dice),
        }
    }
}

impl Load for Cluster {
    fn next(&mut self, time_ms: u64, dice: &mut Dice) -> f64 {
        let drifts: f64 = self.drifts.iter_mut().map(|drift| drift.next(dice)).sum();
        let course = 1.0 + self.swing * (self.calendar.at(time_ms) - 0.5);
        course * (1.0 + drifts + self.white * dice.normal() + 0.05 * self.bursts.next(dice)).max(0.05)
    }
}

/// A machine of somebody's own: idle, busy, hot.
pub(super) struct Machine {
    calendar: Calendar,
    /// How much of its waking follows the clock.
    clocked: f64,
    state: usize,
    level: f64,
    left_steps: f64,
    /// Level by state, mean stay in steps, and how unlike one stay's level is another's, in octaves.
    states: [(f64, f64, f64); 3],
    wobble: Drift,
    white: f64,
    bursts: Bursts,
}

impl Machine {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let steps = |minutes: f64| (minutes * MINUTE_MS / step_ms as f64).max(1.0);
        let idle = dice.octaves(0.01, 5.0);
        let busy = idle * dice.octaves(1.3, 4.0);
        Self {
            calendar: Calendar::drawn(dice),
            clocked: dice.uniform(),
            state: 0,
            level: idle,
            left_steps: 0.0,
            states: [
                (idle, steps(dice.octaves(30.0, 5.0)), dice.between(0.0, 0.3)),
                (busy, steps(dice.octaves(5.0, 5.0)), dice.between(0.05, 0.6)),
                (busy * dice.octaves(1.2, 2.0), steps(dice.octaves(2.0, 5.0)), dice.between(0.05, 0.8)),
            ],
            wobble: Drift::new(dice.octaves(2.0, 5.0), dice.octaves(0.01, 4.5), dice),
            white: dice.octaves(0.005, 6.0),
            bursts: Bursts::drawn(dice.octaves(0.5, 7.0), step_ms, dice),
        }
    }

    fn wake(&mut self, time_ms: u64, dice: &mut Dice) {
        let awake = 1.0 - self.clocked + self.clocked * 2.0 * self.calendar.at(time_ms);
        self.state = match self.state {
            0 if dice.chance(0.7 * awake) => 1,
            0 => 0,
            1 if dice.chance(0.25) => 2,
            1 => 0,
            _ => dice.one_of(&[0, 1]),
        };
        let (level, stay, unlike) = self.states[self.state];
        self.level = level * exp2(unlike * dice.normal());
        // The tail's mean is 2.
        self.left_steps = stay * dice.pareto().min(20.0) / 2.0;
    }
}

impl Load for Machine {
    fn next(&mut self, time_ms: u64, dice: &mut Dice) -> f64 {
        self.left_steps -= 1.0;
        if self.left_steps <= 0.0 {
            self.wake(time_ms, dice);
        }
        let noise = 1.0 + self.wobble.next(dice) + self.white * dice.normal() + self.bursts.next(dice);
        self.level * noise.max(0.1)
    }
}

/// Jobs by the clock.
pub(super) struct Scheduled {
    idle: f64,
    jobs: Vec<Job>,
    wobble: Drift,
    white: f64,
    seed: u64,
    step_ms: u64,
}

struct Job {
    every_ms: u64,
    begins_ms: u64,
    lasts_ms: f64,
    unlike: f64,
    height: f64,
    skipped: f64,
}

/// Periods that people write into a crontab, minutes.
const PERIODS: [f64; 10] = [5.0, 10.0, 15.0, 30.0, 60.0, 60.0, 180.0, 360.0, 1_440.0, 1_440.0];

/// Most jobs of one workload.
const JOBS_MAX: f64 = 4.0;

impl Scheduled {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let idle = dice.octaves(0.02, 4.0);
        let count = 1 + (dice.uniform() * JOBS_MAX) as usize;
        Self {
            idle,
            jobs: (0..count).map(|_| Job::drawn(step_ms, dice)).collect(),
            wobble: Drift::new(dice.octaves(2.0, 5.0), dice.octaves(0.01, 4.0), dice),
            white: dice.octaves(0.005, 5.0),
            seed: (dice.uniform() * 2f64.powi(53)) as u64,
            step_ms,
        }
    }
}

impl Job {
    fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let every_ms = (dice.one_of(&PERIODS) * MINUTE_MS).max(4.0 * step_ms as f64);
        Self {
            every_ms: every_ms as u64,
            begins_ms: (dice.uniform() * every_ms) as u64,
            lasts_ms: every_ms * dice.octaves(0.04, 3.5),
            unlike: dice.between(0.02, 0.4),
            height: dice.octaves(0.1, 3.5),
            skipped: if dice.chance(0.3) { dice.between(0.05, 0.4) } else { 0.0 },
        }
    }

    /// The share of a step in which it runs, times its height.
    fn over(&self, time_ms: u64, step_ms: u64, seed: u64) -> f64 {
        let run = (time_ms + self.begins_ms) / self.every_ms;
        let since_ms = ((time_ms + self.begins_ms) % self.every_ms) as f64;
        let mut dice = Dice::new(seed ^ run.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.begins_ms);
        if dice.chance(self.skipped) {
            return 0.0;
        }
        let lasts_ms = self.lasts_ms * (1.0 + self.unlike * dice.normal()).max(0.2);
        let height = self.height * (1.0 + 0.5 * self.unlike * dice.normal()).max(0.2);
        height * ((lasts_ms - since_ms) / step_ms as f64).clamp(0.0, 1.0)
    }
}

impl Load for Scheduled {
    fn next(&mut self, time_ms: u64, dice: &mut Dice) -> f64 {
        let jobs: f64 = self.jobs.iter().map(|job| job.over(time_ms, self.step_ms, self.seed)).sum();
        (self.idle + jobs) * (1.0 + self.wobble.next(dice) + self.white * dice.normal()).max(0.05)
    }
}

/// Goes anywhere.
pub(super) struct Walk {
    octaves: f64,
    pace: f64,
    home: f64,
    leap_chance: f64,
    white: f64,
}

impl Walk {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        // What an hour brings, in octaves, spread over its steps.
        let steps_an_hour = 60.0 * MINUTE_MS / step_ms as f64;
        Self {
            octaves: dice.normal(),
            pace: dice.octaves(0.02, 4.5) / steps_an_hour.sqrt(),
            home: 1.0 / (steps_an_hour * dice.octaves(4.0, 5.0)),
            leap_chance: chance_per_step(dice.octaves(0.2, 5.0), step_ms),
            white: dice.octaves(0.001, 6.0),
        }
    }
}

impl Load for Walk {
    fn next(&mut self, _time_ms: u64, dice: &mut Dice) -> f64 {
        let leap = if dice.chance(self.leap_chance) { 0.6 * dice.normal() } else { 0.0 };
        self.octaves += self.pace * dice.normal() + leap - self.home * self.octaves;
        exp2(self.octaves) * (1.0 + self.white * dice.normal()).max(0.05)
    }
}

/// Nothing, then something.
pub(super) struct Trickle {
    calendar: Calendar,
    clocked: f64,
    floor: f64,
    begins: f64,
    ends: f64,
    flows: bool,
    /// Heights vary by so many octaves from step to step.
    unlike: f64,
}

impl Trickle {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let steps = |minutes: f64| (minutes * MINUTE_MS / step_ms as f64).max(1.0);
        Self {
            calendar: Calendar::drawn(dice),
            clocked: dice.uniform(),
            floor: if dice.chance(0.4) { 0.0 } else { dice.octaves(0.001, 7.0) },
            begins: 1.0 / steps(dice.octaves(3.0, 6.0)),
            ends: 1.0 / steps(dice.octaves(2.0, 5.0)),
            flows: false,
            unlike: dice.between(0.1, 2.2),
        }
    }
}

impl Load for Trickle {
    fn next(&mut self, time_ms: u64, dice: &mut Dice) -> f64 {
        let often = 1.0 - self.clocked + self.clocked * 2.0 * self.calendar.at(time_ms);
        let turns = if self.flows { self.ends } else { self.begins * often };
        self.flows ^= dice.chance(turns);
        if self.flows { exp2(self.unlike * dice.normal()) } else { self.floor * dice.between(0.5, 1.5) }
    }
}

/// A level with leaps.
pub(super) struct Bursty {
    level: Drift,
    deploys: Deploys,
    bursts: Bursts,
    white: f64,
}

impl Bursty {
    pub(super) fn drawn(step_ms: u64, dice: &mut Dice) -> Self {
        let day_steps = DAY_MS as f64 / step_ms as f64;
        Self {
            level: Drift::new(day_steps * dice.octaves(0.05, 4.0), dice.octaves(0.02, 3.5), dice),
            deploys: Deploys::drawn(step_ms, dice),
            bursts: Bursts::drawn(dice.octaves(2.0, 7.0), step_ms, dice),
            white: dice.octaves(0.004, 6.2),
        }
    }
}

impl Load for Bursty {
    fn next(&mut self, _time_ms: u64, dice: &mut Dice) -> f64 {
        let level = self.deploys.next(dice) * exp2(self.level.next(dice));
        level * (1.0 + self.white * dice.normal() + self.bursts.next(dice)).max(0.05)
    }
}

//! A probe moves the amplification on purpose, until the shadow meets its knee, and then leaves it alone.
//!
//! With the mirrored share p and the size f the shadow's utilisation is p / f times the primary's. A probe sets f once,
//! as large as the share's cap lets it be useful, and climbs a ladder of utilisations by p: from [`FIRST`] up by [`STEP`]
//! a rung. The first breach ends the climb; the rungs after it halve the gap between the highest that was well and the
//! lowest that was not, until they differ by less than [`CLOSE`]. A rung breaches when its late requests break the promise, or where
//! they are not counted when [`BREACHES`] ticks in a row do. Each rung is held for a dwell, whose first part
//! ([`SETTLE_MS`]) is not judged: a backlog of the rung before drains in it.
//!
//! ```text
//! resting ──(rest over, primary read)──► climbing ──(breach)──► halving ──(close)──► resting
//!                                           └── primary or host suffers, blind, cap, time up ──┘
//! ```
//!
//! **Bounds.** The share never exceeds its cap, nor the size its own. A probe takes at most [`PROBE_MS_MAX`]. It costs f of
//! the primary's allocation while it lasts, and rests so long that its mean cost stays within
//! [`overhead_max`](ProbePolicy::overhead_max). Each setting expires: where nobody renews it, the shadow is over.
//!
//! State: some twenty numbers. Cost: a comparison or two a tick.

mod climb;

use std::fmt;

use schemas::{ProbePolicy, Ratio};
use serde::{Deserialize, Serialize};

use self::climb::Climb;
use crate::lateness::Lateness;

/// Utilisation of the first rung: so low that latency there is what the shadow's is at rest.
const FIRST: f64 = 0.3;

/// From rung to rung of the climb: the sixth is saturation.
const STEP: f64 = 1.3;

/// The ladder ends here: every queue grows.
const LAST: f64 = 1.1;

/// No rung is lower: below it the knee is not one of CPU.
const LEAST: f64 = 0.1;

/// Rungs whose quotient is below this are as close as latency can tell apart.
const CLOSE: f64 = 1.07;

/// Breaching ticks in a row that are no accident.
const BREACHES: u32 = 3;

/// Ten seconds of a rung that are not judged.
const SETTLE_MS: u64 = 10_000;

/// A rung that breaches is held until then all the same, so that ten judged seconds of it are learnt from.
const HELD_MS: u64 = 2 * SETTLE_MS;

/// No probe takes longer than ten minutes.
const PROBE_MS_MAX: u64 = 600_000;

/// Ticks whose mean is the primary's utilisation that a probe begins with: a single one's requests come by chance.
const BEFORE_TICKS: f64 = 30.0;

/// A probe that could not begin or was disturbed is tried again after a minute at the earliest.
const REST_MS_MIN: u64 = 60_000;

/// What was seen in a tick; none where it was not read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// The primary's utilisation.
    pub primary: Option<f64>,
    /// The shadow's utilisation.
    pub shadow: Option<f64>,
    /// Whether the shadow breaches by this tick alone; not where its late requests tell.
    pub breach: Option<bool>,
    /// Its requests, and the late ones among them, where the promise is within its reach: those of a rung tell together.
    pub counts: Option<[f64; 2]>,
    /// Whether the primary suffers or the host is pressed: then a probe is over at once.
    pub disturbed: bool,
}

/// What the shadow is to be until `until_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The mirrored share p; zero for none.
    pub mirrored_share: f64,
    /// The shadow's size f over the primary's; zero for no shadow.
    pub size_ratio: f64,
    /// Event time in milliseconds from which it no longer holds, unless it is renewed.
    pub until_ms: u64,
}

/// Why a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// The knee lies between two close rungs.
    Found,
    /// The shadow was well at the largest share that may be mirrored.
    Beyond,
    /// The primary suffered or the host was pressed.
    Disturbed,
    /// The shadow was not read.
    Blind,
    /// It took too long.
    TimeUp,
}

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bracket {
    /// The highest utilisation at which the shadow was well; none when it never was.
    pub low: Option<f64>,
    /// The lowest utilisation at which it was not; none when it always was well.
    pub high: Option<f64>,
    /// Why the probe ended.
    pub stop: Stop,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The state of a probe plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    policy: ProbePolicy,
    rest_until_ms: u64,
    climb: Option<Climb>,
    last: Option<Bracket>,
    began_ms: Option<u64>,
    seen_ms: u64,
    /// The primary's mean utilisation of late, and over how many ticks.
    primary: (f64, f64),
    /// Milliseconds of shadow, each times its size.
    spent: f64,
}

impl fmt::Display for Bracket {
    /// One sentence with figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |utilisation: Option<f64>| utilisation.map_or("none".to_owned(), |value| format!("{value:.2}"));
        let (low, high) = (figure(self.low), figure(self.high));
        match self.stop {
            Stop::Found => {
                write!(f, "the knee was found: the shadow was well at {low} of its limit, and not at {high}")
            }
            Stop::Beyond => write!(f, "the shadow was well at {low} of its limit, the most that may be asked of it"),
            Stop::Disturbed => write!(f, "the probe was ended: the primary suffers, or the machine has no room"),
            Stop::Blind => write!(f, "the probe was ended: the shadow was not read"),
            Stop::TimeUp => {
                write!(f, "the probe was ended after ten minutes: well at {low} of its limit, not at {high}")
            }
        }
    }
}

impl Probe {
    /// A plan that begins with its first tick, under a policy without [faults](ProbePolicy::faults).
    #[must_use]
    pub const fn new(policy: ProbePolicy) -> Self {
        Self {
            policy,
            rest_until_ms: 0,
            climb: None,
            last: None,
            began_ms: None,
            seen_ms: 0,
            primary: (0.0, 0.0),
            spent: 0.0,
        }
    }

    /// Begins anew under another policy, or with another program. What it has cost so far counts on, and a probe that is under
    /// way is over: it rests as long as it would have.
    pub fn begin_anew(&mut self, policy: ProbePolicy) {
        if let Some(climb) = self.climb {
            self.rest(&climb, self.seen_ms, Stop::Disturbed);
        }
        (self.policy, self.last) = (policy, None);
    }

    /// What it may take.
    #[must_use]
    pub const fn policy(&self) -> &ProbePolicy {
        &self.policy
    }

    /// Takes in a tick, and says what the shadow is to be from now on.
    pub fn next(&mut self, now_ms: u64, seen: Seen) -> Setting {
        self.began_ms.get_or_insert(now_ms);
        let past_ms = now_ms.saturating_sub(self.seen_ms);
        self.seen_ms = now_ms;
        if let Some(utilisation) = seen.primary {
            let (mean, ticks) = &mut self.primary;
            *ticks = (*ticks + 1.0).min(BEFORE_TICKS);
            *mean += (utilisation - *mean) / *ticks;
        }
        match self.climb {
            Some(climb) => {
                // A setting that nobody renewed has cost until it expired.
                self.spent += climb.size * past_ms.min(self.holds_ms()) as f64;
                self.go_on(climb, now_ms, seen);
            }
            None if now_ms >= self.rest_until_ms && !seen.disturbed => self.begin(now_ms, seen),
            None => {}
        }
        self.setting(now_ms)
    }

    /// What the last probe has found; none before the first has ended.
    #[must_use]
    pub const fn last(&self) -> Option<Bracket> {
        self.last
    }

    /// The shadow's mean cost since the plan began, as a share of the primary's allocation.
    #[must_use]
    pub fn overhead(&self) -> f64 {
        let lasted_ms = self.seen_ms.saturating_sub(self.began_ms.unwrap_or_default()).max(1);
        self.spent / lasted_ms as f64
    }

    /// How long a setting holds: twice its dwell, since the next one is told when it is over, and is in force some seconds
    /// later.
    const fn holds_ms(&self) -> u64 {
        2 * self.policy.dwell_ms
    }

    fn setting(&self, now_ms: u64) -> Setting {
        match self.climb {
            Some(climb) => Setting {
                mirrored_share: climb.share,
                size_ratio: climb.size,
                until_ms: climb.rung_ms + self.holds_ms(),
            },
            None => {
                Setting { mirrored_share: 0.0, size_ratio: 0.0, until_ms: self.rest_until_ms.max(now_ms + REST_MS_MIN) }
            }
        }
    }

    fn begin(&mut self, now_ms: u64, seen: Seen) {
        let (primary, ticks) = self.primary;
        if seen.primary.is_none() || ticks < BEFORE_TICKS || primary <= 0.0 {
            return;
        }
        let ProbePolicy { share_max, size_min, size_max, .. } = self.policy;
        let [share_max, size_min, size_max] = [share_max, size_min, size_max].map(Ratio::get);
        let size = (share_max * primary / LAST).clamp(size_min, size_max);
        self.climb = Some(Climb {
            began_ms: now_ms,
            spent_before: self.spent,
            size,
            share: (FIRST * size / primary).min(share_max),
            rung_ms: now_ms,
            breaching_ticks: 0,
            lateness: Lateness::default(),
            judged: 0,
            reached: 0.0,
            low: None,
            high: None,
        });
    }

    fn go_on(&mut self, mut climb: Climb, now_ms: u64, seen: Seen) {
        let on_rung_ms = now_ms.saturating_sub(climb.rung_ms);
        if on_rung_ms >= SETTLE_MS {
            climb.judge(seen);
        }
        let rung_over = on_rung_ms >= if climb.breaches() { HELD_MS } else { self.policy.dwell_ms };
        let stop = if seen.disturbed {
            Some(Stop::Disturbed)
        } else if rung_over {
            self.turn(&mut climb, now_ms)
        } else {
            None
        };
        let overdue = now_ms.saturating_sub(climb.began_ms) >= PROBE_MS_MAX;
        match stop.or(overdue.then_some(Stop::TimeUp)) {
            Some(stop) => self.rest(&climb, now_ms, stop),
            None => self.climb = Some(climb),
        }
    }

    /// The next rung, or why there is none.
    fn turn(&self, climb: &mut Climb, now_ms: u64) -> Option<Stop> {
        if climb.judged == 0 {
            return Some(Stop::Blind);
        }
        let reached = climb.reached / f64::from(climb.judged);
        if climb.breaches() {
            climb.high = Some(climb.high.map_or(reached, |high| high.min(reached)));
        } else {
            climb.low = Some(climb.low.map_or(reached, |low| low.max(reached)));
        }
        let next = match (climb.low, climb.high) {
            // What breaches now was well before, or the other way round: the knee is as near as it moves itself.
            (Some(low), Some(high)) if high <= CLOSE * low => return Some(Stop::Found),
            (Some(low), Some(high)) => f64::midpoint(low, high),
            (None, Some(high)) if high <= LEAST => return Some(Stop::Found),
            (None, Some(high)) => (high / STEP / STEP).max(LEAST),
            (_, None) if climb.share >= self.policy.share_max.get() || reached >= LAST => return Some(Stop::Beyond),
            (_, None) => STEP * reached,
        };
        climb.step_to(next, reached, now_ms, self.policy.share_max.get());
        None
    }

    /// Rests until the mean cost since the probe began is within the overhead.
    fn rest(&mut self, climb: &Climb, now_ms: u64, stop: Stop) {
        let cost_ms = self.spent - climb.spent_before;
        let cycle_ms = (cost_ms / self.policy.overhead_max.get()).ceil() as u64;
        self.rest_until_ms = (climb.began_ms + cycle_ms).max(now_ms + REST_MS_MIN);
        let took_ms = now_ms.saturating_sub(climb.began_ms);
        self.last = Some(Bracket { low: climb.low, high: climb.high, stop, took_ms });
        self.climb = None;
    }
}

#[cfg(test)]
mod tests;

//! Headroom: the idle cores that keep the 99th percentile of latency within its promise.
//!
//! In a queue that is busy but not saturated the tail of the wait falls off at the rate of the idle capacity: with work
//! of `a` cores under a limit of `c`, `P(wait > t) ≈ C exp(-t (c - a) / (v D))` (Kingman's heavy-traffic bound; v the
//! burstiness, D the CPU time of a request). So latency is a line in the *reciprocal of the headroom* h = c - a,
//!
//! ```text
//! p99 ≈ base + slope / h        slope = v D ln(100 C)
//! ```
//!
//! and the headroom that a promise takes is nearly the same number of cores at any load. A largest safe *utilisation* is
//! not: it is too high for a small allocation and too low for a large one.
//!
//! | D, v, promise less base | headroom | at 0.5 cores of work | at 4 cores of work |
//! |---|---|---|---|
//! | 4 ms, 3, 40 ms | 1.2 cores | 0.29 utilised | 0.77 utilised |
//! | 50 ms, 1.5, 1.7 s | 0.2 cores | 0.71 utilised | 0.95 utilised |
//!
//! The slope is learnt from both roles by least squares over their moves about their own recent means, so that a base
//! that differs (a quota below one core stretches every request) does no harm. The shadow has less headroom and shows
//! the steep part while the primary is well; the line then goes through the primary's recent point. The further the
//! promise lies from that point the less the line is trusted: see [`TRUST`].
//!
//! State: ten numbers. Cost: some twenty multiplications a tick and role.

/// Ticks that a role's recent point remembers: two minutes of seconds, longer than noise, shorter than a mood of the load.
const ANCHOR_MEMORY: f64 = 120.0;

/// Teaching ticks that the slope remembers: an hour of seconds at most, so that new code shows.
const SLOPE_MEMORY: f64 = 3_600.0;

/// Ticks before a point or a slope counts: half a minute of seconds.
const TICKS_MIN: f64 = 30.0;

/// A headroom is carried at most so many times beyond what the primary has lately shown, up or down. The line bends where
/// waiting is rare, so a far promise is approached in strides, each of which anchors it anew.
const TRUST: f64 = 2.0;

/// Relative move of the reciprocal headroom below which a tick says nothing of the slope: it is noise of the readings.
/// Such ticks are passed over, so that what was learnt is not forgotten in a calm.
const MOVE_MIN: f64 = 0.02;

/// Share of latency's variance that headroom must explain: below it something else makes the workload slow, and more CPU
/// would not mend it.
const EXPLAINED_MIN: f64 = 0.1;

/// Learns how latency falls with headroom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headroom {
    primary: Anchor,
    shadow: Anchor,
    slope: Slope,
}

/// A role's recent mean point.
#[derive(Clone, Debug, Default, PartialEq)]
struct Anchor {
    weight: f64,
    /// Reciprocal of the headroom, 1/cores.
    scarcity: f64,
    /// Seconds.
    latency: f64,
}

/// Decayed sums of the roles' moves about their anchors.
#[derive(Clone, Debug, Default, PartialEq)]
struct Slope {
    weight: f64,
    scarcity: f64,
    latency: f64,
    both: f64,
}

/// How latency answers to scarcity.
enum Answer {
    /// Too little was seen.
    Unknown,
    /// It does not.
    Flat,
    /// Seconds per unit of scarcity, above zero.
    Slope(f64),
}

impl Headroom {
    /// Takes in an unsaturated tick of the primary: headroom in cores (above zero), p99 latency in seconds.
    pub fn observe_primary(&mut self, headroom: f64, latency: f64) {
        self.slope.observe(&mut self.primary, headroom, latency);
    }

    /// Takes in an unsaturated tick of the shadow.
    pub fn observe_shadow(&mut self, headroom: f64, latency: f64) {
        self.slope.observe(&mut self.shadow, headroom, latency);
    }

    /// Cores of headroom at which the primary's latency is `slo` seconds; none while that is unknown, or when latency has
    /// been seen not to depend on headroom.
    #[must_use]
    pub fn cores(&self, slo: f64) -> Option<f64> {
        let anchor = &self.primary;
        if anchor.weight < TICKS_MIN {
            return None;
        }
        let (least, most) = (anchor.scarcity / TRUST, anchor.scarcity * TRUST);
        match self.slope.answer() {
            Answer::Slope(slope) => {
                let scarcity = anchor.scarcity + (slo - anchor.latency) / slope;
                Some(1.0 / scarcity.clamp(least, most))
            }
            // Too late, and nothing yet tells how much is missing: the stride that will tell.
            Answer::Unknown if anchor.latency > slo => Some(1.0 / least),
            Answer::Unknown | Answer::Flat => None,
        }
    }
}

impl Slope {
    fn observe(&mut self, anchor: &mut Anchor, headroom: f64, latency: f64) {
        let scarcity = 1.0 / headroom;
        let (dx, dy) = (scarcity - anchor.scarcity, latency - anchor.latency);
        if anchor.weight >= TICKS_MIN && dx.abs() > MOVE_MIN * anchor.scarcity {
            let keep = 1.0 - 1.0 / SLOPE_MEMORY;
            self.weight = self.weight * keep + 1.0;
            self.scarcity = self.scarcity * keep + dx * dx;
            self.latency = self.latency * keep + dy * dy;
            self.both = self.both * keep + dx * dy;
        }
        anchor.weight = anchor.weight * (1.0 - 1.0 / ANCHOR_MEMORY) + 1.0;
        anchor.scarcity += dx / anchor.weight;
        anchor.latency += dy / anchor.weight;
    }

    fn answer(&self) -> Answer {
        if self.weight < TICKS_MIN {
            return Answer::Unknown;
        }
        let explained = self.both * self.both >= EXPLAINED_MIN * self.scarcity * self.latency;
        if explained && self.both > 0.0 { Answer::Slope(self.both / self.scarcity) } else { Answer::Flat }
    }
}

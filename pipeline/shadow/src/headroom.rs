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
//! Each role's slope is learnt by least squares over its moves about its own recent mean, so that a base that differs (a
//! quota below one core stretches every request) does no harm. The line is bent: where waiting is rare it is flat. The
//! shadow has less headroom and shows the steep part while the primary is well, so while the promise is kept the steeper
//! slope of the two counts, which errs towards more headroom. The line goes through the primary's recent point, and the
//! further the promise lies from it the less it is trusted: see [`TRUST`].
//!
//! State: fifteen numbers. Cost: some twenty multiplications a tick and role.

/// Ticks that a role's recent point remembers: two minutes of seconds, longer than noise, shorter than a mood of the load.
const ANCHOR_MEMORY: f64 = 120.0;

/// Teaching ticks that the slope remembers: an hour of seconds at most, so that new code shows.
const SLOPE_MEMORY: f64 = 3_600.0;

/// Ticks before a point or a slope counts: half a minute of seconds.
const TICKS_MIN: f64 = 30.0;

/// A headroom is carried at most so many times beyond what the primary has lately shown, up or down. The line bends where
/// waiting is rare, so a far promise is approached in strides, each of which anchors it anew. There is no need of strides
/// down to what the primary has already done well with, or to where the shadow stands.
const TRUST: f64 = 2.0;

/// Relative move of the reciprocal headroom below which a tick says nothing of the slope: it is noise of the readings.
/// Such ticks are passed over, so that what was learnt is not forgotten in a calm.
const MOVE_MIN: f64 = 0.02;

/// Share of a role's variance of latency that headroom must explain: below it something else makes the workload slow, and more CPU
/// would not mend it.
const EXPLAINED_MIN: f64 = 0.1;

/// Learns how latency falls with headroom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headroom {
    primary: Line,
    shadow: Line,
    /// The greatest scarcity at which the primary has kept its promise, 1/cores; zero before it has.
    proven: f64,
}

/// What one role has shown: its recent mean point, and decayed sums of its moves about it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Line {
    ticks: f64,
    /// Reciprocal of the headroom, 1/cores.
    scarcity: f64,
    /// Seconds.
    latency: f64,
    moves: f64,
    scarcity_squares: f64,
    latency_squares: f64,
    products: f64,
}

impl Headroom {
    /// Takes in a tick of the primary without a backlog: headroom in cores (above zero), p99 latency and its promise in
    /// seconds.
    pub fn observe_primary(&mut self, headroom: f64, latency: f64, slo: Option<f64>) {
        self.primary.observe(1.0 / headroom, latency);
        if let (Some(scarcity), Some(slo)) = (self.primary.point(), slo) {
            let late = self.primary.latency > slo;
            self.proven = if late { self.proven.min(scarcity) } else { self.proven.max(scarcity) };
        }
    }

    /// Takes in a tick of the shadow without a backlog.
    pub fn observe_shadow(&mut self, headroom: f64, latency: f64) {
        self.shadow.observe(1.0 / headroom, latency);
    }

    /// Cores of headroom at which the primary's latency is `slo` seconds; none while that is unknown, or when latency has
    /// been seen not to depend on headroom.
    #[must_use]
    pub fn cores(&self, slo: f64) -> Option<f64> {
        let (primary, shadow) = (&self.primary, &self.shadow);
        let at = primary.point()?;
        let least = at / TRUST;
        let most = (at * TRUST).max(self.proven).max(shadow.point().unwrap_or_default());
        let late = primary.latency > slo;
        let slope = match (primary.slope(), shadow.slope()) {
            (Some(own), Some(steep)) if !late => own.max(steep),
            (own, steep) => match own.or(steep) {
                Some(slope) => slope,
                // Too late, and nothing yet tells how much is missing: the stride that will tell.
                None if late && !primary.has_moved() => return Some(1.0 / least),
                None => return None,
            },
        };
        let scarcity = at + (slo - primary.latency) / slope;
        Some(1.0 / scarcity.clamp(least, most))
    }
}

impl Line {
    fn observe(&mut self, scarcity: f64, latency: f64) {
        let (dx, dy) = (scarcity - self.scarcity, latency - self.latency);
        if self.ticks >= TICKS_MIN && dx.abs() > MOVE_MIN * self.scarcity {
            let keep = 1.0 - 1.0 / SLOPE_MEMORY;
            self.moves = self.moves * keep + 1.0;
            self.scarcity_squares = self.scarcity_squares * keep + dx * dx;
            self.latency_squares = self.latency_squares * keep + dy * dy;
            self.products = self.products * keep + dx * dy;
        }
        self.ticks = self.ticks * (1.0 - 1.0 / ANCHOR_MEMORY) + 1.0;
        self.scarcity += dx / self.ticks;
        self.latency += dy / self.ticks;
    }

    /// The recent scarcity, once enough ticks stand behind it.
    fn point(&self) -> Option<f64> {
        (self.ticks >= TICKS_MIN).then_some(self.scarcity)
    }

    /// Whether a slope would have shown.
    fn has_moved(&self) -> bool {
        self.moves >= TICKS_MIN
    }

    /// Seconds of latency per unit of scarcity, above zero; none when too little was seen or latency does not follow.
    fn slope(&self) -> Option<f64> {
        let explained = self.products * self.products >= EXPLAINED_MIN * self.scarcity_squares * self.latency_squares;
        (self.has_moved() && explained && self.products > 0.0).then(|| self.products / self.scarcity_squares)
    }
}

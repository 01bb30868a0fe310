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

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Headroom {
    primary: Line,
    shadow: Line,
    /// The greatest scarcity at which the primary has kept its promise, 1/cores; zero before it has.
    proven: f64,
}

/// What one role has shown: its recent mean point, and decayed sums of its moves about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

    /// Forgets what the shadow has shown.
    pub fn forget_shadow(&mut self) {
        self.shadow = Line::default();
    }

    /// Takes in a tick of the shadow without a backlog.
    pub fn observe_shadow(&mut self, headroom: f64, latency: f64) {
        self.shadow.observe(1.0 / headroom, latency);
    }

    /// Cores of headroom at which the primary's latency is `slo` seconds; none while that is unknown, or when latency has
    /// been seen not to depend on headroom.
    #[must_use]
    pub fn cores(&self, slo: f64) -> Option<f64> {
        self.beside(&self.shadow, slo)
    }

    /// [`Headroom::cores`] had there been no shadow.
    #[must_use]
    pub fn cores_alone(&self, slo: f64) -> Option<f64> {
        self.beside(&Line::default(), slo)
    }

    fn beside(&self, shadow: &Line, slo: f64) -> Option<f64> {
        let primary = &self.primary;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: f64 = 0.04;
    const SLOPE: f64 = 0.05;
    const SLO: f64 = 0.08;

    /// A queue whose latency is the line: 40 ms and 50 ms over the cores of headroom, so 80 ms take 1.25 cores.
    fn latency(headroom: f64) -> f64 {
        BASE + SLOPE / headroom
    }

    /// Two minutes of a primary about `headroom`, which wobbles by a twentieth, and of a shadow with a tenth of it.
    fn watched(learnt: &mut Headroom, headroom: f64, with_shadow: bool) {
        for tick in 0..120 {
            let cores = headroom * (1.0 + 0.05 * f64::from(tick % 3 - 1));
            learnt.observe_primary(cores, latency(cores), Some(SLO));
            if with_shadow {
                // A quota below one core stretches its requests by 30 ms.
                learnt.observe_shadow(cores / 10.0, latency(cores / 10.0) + 0.03);
            }
        }
    }

    #[test]
    fn the_promise_is_solved_for_headroom() {
        let mut learnt = Headroom::default();
        watched(&mut learnt, 2.0, true);
        let cores = learnt.cores(SLO).expect("both roles have shown it");
        // The anchor averages 1/h over a wobble of 5 %, which moves it by about a part in 600.
        assert!((cores - 1.25).abs() < 0.02, "{cores}");
    }

    #[test]
    fn a_far_promise_is_approached_in_strides_unless_the_shadow_stands_there() {
        let (mut alone, mut paired) = (Headroom::default(), Headroom::default());
        watched(&mut alone, 10.0, false);
        watched(&mut paired, 10.0, true);
        // Half of the ten cores' headroom, and all the way: the shadow's one core is beyond the 1.25 that it takes.
        let cores = |learnt: &Headroom| learnt.cores(SLO).expect("the line is known");
        assert!((cores(&alone) - 5.0).abs() < 0.02, "{}", cores(&alone));
        assert!((cores(&paired) - 1.25).abs() < 0.02, "{}", cores(&paired));
        // A primary that once did well with 1.3 cores goes back there at once.
        let mut proven = Headroom::default();
        watched(&mut proven, 1.3, false);
        (0..5).for_each(|_| watched(&mut proven, 10.0, false));
        assert!((cores(&proven) - 1.3).abs() < 0.05, "{}", cores(&proven));
    }

    #[test]
    fn a_late_workload_of_which_nothing_is_known_gets_the_stride_that_will_tell() {
        let mut learnt = Headroom::default();
        (0..60).for_each(|_| learnt.observe_primary(0.5, latency(0.5), Some(SLO)));
        assert_eq!(learnt.cores(SLO), Some(1.0));
        // One that keeps its promise is left to the knee.
        let mut well = Headroom::default();
        (0..60).for_each(|_| well.observe_primary(2.0, latency(2.0), Some(SLO)));
        assert_eq!(well.cores(SLO), None);
    }

    #[test]
    fn latency_that_does_not_follow_headroom_is_not_mended_with_cpu() {
        let mut learnt = Headroom::default();
        for tick in 0..300 {
            let cores = 1.0 + 0.1 * f64::from(tick % 3);
            learnt.observe_primary(cores, if tick % 2 == 0 { 0.2 } else { 0.21 }, Some(SLO));
        }
        assert_eq!(learnt.cores(SLO), None);
    }

    proptest! {
        #[test]
        fn a_stricter_promise_never_takes_less_and_strides_are_bounded(
            headroom in 0.2..5.0_f64, slo in 0.05..0.5_f64, stricter in 0.5..1.0_f64,
        ) {
            let mut learnt = Headroom::default();
            watched(&mut learnt, headroom, false);
            let (Some(loose), Some(strict)) = (learnt.cores(slo), learnt.cores(slo * stricter)) else { return Ok(()) };
            prop_assert!(strict >= loose - 1e-9, "{strict} for {stricter} of {slo}, {loose} for the whole");
            // The anchor lies within the wobble.
            prop_assert!(strict <= TRUST * headroom * 1.05 && loose >= headroom / TRUST * 0.95);
        }
    }
}

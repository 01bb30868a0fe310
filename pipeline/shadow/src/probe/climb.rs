//! One probe under way: the rung that it is on, and what was seen there.

use serde::{Deserialize, Serialize};

use super::{BREACHES, Seen};
use crate::lateness::Lateness;

/// One probe under way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Climb {
    pub(super) began_ms: u64,
    pub(super) spent_before: f64,
    pub(super) size: f64,
    pub(super) share: f64,
    pub(super) rung_ms: u64,
    /// Ticks in a row that breach by themselves.
    pub(super) breaching_ticks: u32,
    /// Late requests of this rung.
    pub(super) lateness: Lateness,
    /// Ticks that were judged, and the sum of the shadow's utilisations in them.
    pub(super) judged: u32,
    pub(super) reached: f64,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

impl Climb {
    /// Sets the share at which the shadow's utilisation should be `utilisation`: in proportion to what this one has `reached` on
    /// the average, as a single tick's requests come by chance, and a part of the shadow's CPU may be no request's.
    pub(super) fn step_to(&mut self, utilisation: f64, reached: f64, now_ms: u64, share_max: f64) {
        self.share = (self.share * utilisation / reached).min(share_max);
        (self.rung_ms, self.breaching_ticks, self.judged, self.reached) = (now_ms, 0, 0, 0.0);
        self.lateness = Lateness::default();
    }

    /// Whether the rung is beyond the knee.
    pub(super) fn breaches(&self) -> bool {
        self.lateness.is_broken() == Some(true) || self.breaching_ticks >= BREACHES
    }

    pub(super) fn judge(&mut self, seen: Seen) {
        let (Some(breach), Some(primary)) = (seen.breach, seen.primary.filter(|primary| *primary > 0.0)) else {
            return;
        };
        if let Some([requests, late]) = seen.counts {
            self.lateness.count(requests, late);
        }
        self.breaching_ticks = if breach { self.breaching_ticks + 1 } else { 0 };
        let amplified = self.share / self.size * primary;
        // A saturated shadow cannot show how much more it was asked for.
        let reached = seen
            .shadow
            .map_or(amplified, |shadow| if breach || self.breaches() { shadow.max(amplified) } else { shadow });
        if reached > 0.0 {
            self.judged += 1;
            self.reached += reached;
        }
    }
}

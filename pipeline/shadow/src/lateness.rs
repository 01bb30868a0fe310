//! Whether the promise of the 99th percentile is broken, by the requests of the last half minute.
//!
//! The slowest of a few requests is late now and then while the promise is kept, so a tick's own percentile tells little. Where
//! late requests are counted, the promise is broken once they are more than a hundredth of the recent ones by two standard errors
//! of a count, plus one request: at a hundred a second, with half of them late, within a tick; one alone never is.
//!
//! State: two numbers.

use serde::{Deserialize, Serialize};

use crate::RoleTick;

/// Ticks that the counts remember.
const MEMORY: f64 = 30.0;

/// The share of late requests that breaks a promise of the 99th percentile.
pub(crate) const SHARE: f64 = 0.01;

/// Standard errors of a count that are no accident.
const CLEARLY: f64 = 2.0;

/// Recent requests, and the late ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lateness {
    requests: f64,
    late: f64,
}

impl Lateness {
    /// Takes in a tick.
    pub(crate) fn observe(&mut self, role: &RoleTick) {
        let (requests, late) = role.requests.zip(role.late).unwrap_or_default();
        self.count(requests, late);
    }

    /// Takes in a tick's requests, and the late ones among them.
    pub(crate) fn count(&mut self, requests: f64, late: f64) {
        let keep = 1.0 - 1.0 / MEMORY;
        self.requests = self.requests * keep + requests;
        self.late = self.late * keep + late;
    }

    /// Whether the promise is broken; none while there was hardly a request that was counted.
    pub(crate) fn is_broken(&self) -> Option<bool> {
        let may_be = SHARE * self.requests;
        (self.requests >= 1.0).then(|| self.late > may_be + CLEARLY * may_be.sqrt() + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many ticks under so many requests, of which this share is late, break the promise; none within five minutes.
    fn breaks_after(requests: f64, share: f64) -> Option<u32> {
        let mut lateness = Lateness::default();
        let tick =
            |share: f64| RoleTick { requests: Some(requests), late: Some(share * requests), ..RoleTick::default() };
        (0..100).for_each(|_| lateness.observe(&tick(0.0)));
        (1..300).find(|_| {
            lateness.observe(&tick(share));
            lateness.is_broken() == Some(true)
        })
    }

    #[test]
    fn what_is_clearly_late_is_found_at_once_and_what_may_be_chance_is_waited_for() {
        assert_eq!(breaks_after(100.0, 0.5), Some(1));
        // Of some 3000 requests 30 may be late; with twelve more it is no accident. 2 more each tick, of which some fade.
        assert_eq!(breaks_after(100.0, 0.02), Some(35));
        assert_eq!(breaks_after(100.0, 0.01), None);
        // Ten of a hundred of three requests a second: 0.9 of 90 may be, and 2.9 more.
        assert_eq!(breaks_after(3.0, 0.1), Some(16));
    }

    #[test]
    fn without_counts_there_is_no_verdict() {
        let mut lateness = Lateness::default();
        lateness.observe(&RoleTick { requests: Some(100.0), ..RoleTick::default() });
        assert_eq!(lateness.is_broken(), None);
        lateness.observe(&RoleTick { late: Some(0.0), requests: Some(100.0), ..RoleTick::default() });
        assert_eq!(lateness.is_broken(), Some(false));
        // What was counted long ago is no longer recent.
        (0..200).for_each(|_| lateness.observe(&RoleTick::default()));
        assert_eq!(lateness.is_broken(), None);
    }
}

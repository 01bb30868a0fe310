//! Amplification k as read: the shadow's load per core over the primary's.
//!
//! State: two numbers.

use serde::{Deserialize, Serialize};

use crate::RoleTick;

/// Ticks that the mean remembers: a minute of seconds.
const MEMORY: f64 = 60.0;

/// A running mean of k.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Amplification {
    ticks: f64,
    mean: f64,
}

impl Amplification {
    /// Takes in a tick of both roles; one without requests or a limit says nothing.
    pub(crate) fn observe(&mut self, primary: &RoleTick, shadow: &RoleTick) {
        let per_core = |role: &RoleTick| {
            let load = role.requests.zip(role.limit_cores);
            load.filter(|(requests, limit)| *requests > 0.0 && *limit > 0.0).map(|(requests, limit)| requests / limit)
        };
        if let (Some(own), Some(amplified)) = (per_core(primary), per_core(shadow)) {
            self.ticks += 1.0;
            self.mean += (amplified / own - self.mean) / self.ticks.min(MEMORY);
        }
    }

    /// The mean; none before the first reading.
    pub(crate) fn known(&self) -> Option<f64> {
        (self.ticks > 0.0).then_some(self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_is_load_per_core_over_load_per_core() {
        let role =
            |requests: Option<f64>, limit: f64| RoleTick { requests, limit_cores: Some(limit), ..RoleTick::default() };
        let mut k = Amplification::default();
        k.observe(&role(None, 4.0), &role(Some(50.0), 1.0));
        assert_eq!(k.known(), None);
        // Half of 100 requests/s on a quarter of the cores.
        k.observe(&role(Some(100.0), 4.0), &role(Some(50.0), 1.0));
        assert_eq!(k.known(), Some(2.0));
    }
}

//! What was read of one role in one tick.

use serde::{Deserialize, Serialize};

/// Throttled share from which a role suffers.
const SUFFERING_THROTTLE: f64 = 0.15;

/// Utilisation from which usage may hide demand.
const SATURATED: f64 = 0.92;

/// Means of one role over one tick; what was not read is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleTick {
    /// CPU used, cores.
    pub cores: Option<f64>,
    /// CPU limit, cores.
    pub limit_cores: Option<f64>,
    /// Share of periods throttled.
    pub throttled: Option<f64>,
    /// Requests per second.
    pub requests: Option<f64>,
    /// The 99th percentile of latency, seconds.
    pub latency: Option<f64>,
}

impl RoleTick {
    /// Usage over limit; none while either is unknown.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        let limit = self.limit_cores.filter(|limit| *limit > 0.0)?;
        Some(self.cores? / limit)
    }

    /// Whether so many quota periods were cut short that it suffers.
    #[must_use]
    pub fn throttles(&self) -> bool {
        self.throttled.is_some_and(|share| share > SUFFERING_THROTTLE)
    }

    /// Whether usage may hide demand.
    #[must_use]
    pub fn saturated(&self) -> bool {
        self.utilisation().is_some_and(|utilisation| utilisation > SATURATED)
    }

    /// Whether anything that changes by itself was read: a limit alone is a setting.
    #[must_use]
    pub fn is_read(&self) -> bool {
        [self.cores, self.throttled, self.requests, self.latency].iter().any(Option::is_some)
    }
}

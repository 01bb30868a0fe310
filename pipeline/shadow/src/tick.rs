//! One tick: what was read of each role, and under which circumstances.

use serde::{Deserialize, Serialize};

use crate::Host;

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
    /// Errors per second: requests without an answer, and answers that tell of a failure.
    pub errors: Option<f64>,
    /// Requests per second that took longer than the promise.
    pub late: Option<f64>,
    /// Requests per second that might have been mirrored, whatever the share.
    pub mirrorable: Option<f64>,
    /// The 99th percentile of latency, seconds.
    pub latency: Option<f64>,
}

/// One tick of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairTick<'a> {
    /// Event time, in milliseconds.
    pub now_ms: u64,
    /// By how much its turns come before those of others, in milliseconds: what is done now and then is then not done for all
    /// workloads at once.
    pub phase_ms: u64,
    /// The primary; all none when it was not read.
    pub primary: RoleTick,
    /// The shadow; none when it was not read.
    pub shadow: Option<RoleTick>,
    /// The share p of requests that is mirrored in this tick; none without a shadow, or while it rests.
    pub mirrored_share: Option<f64>,
    /// The promise of the 99th percentile of latency, in seconds.
    pub slo_latency: Option<f64>,
    /// What the machine says of itself.
    pub host: Host,
    /// What runs and how: any text that another image or other settings change.
    pub generation: &'a str,
}

impl PairTick<'_> {
    /// Whether a shadow should be running, or is.
    pub(crate) const fn has_shadow(&self) -> bool {
        self.mirrored_share.is_some() || self.shadow.is_some()
    }
}

impl RoleTick {
    /// Usage over limit; none while either is unknown.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        let limit = self.limit_cores.filter(|limit| *limit > 0.0)?;
        Some(self.cores? / limit)
    }

    /// The share of its requests that took longer than the promise; none without requests.
    pub(crate) fn late_share(&self) -> Option<f64> {
        let requests = self.requests.filter(|requests| *requests > 0.0)?;
        Some((self.late? / requests).min(1.0))
    }

    /// The requests per second of which a share is mirrored: all, where nobody tells.
    pub(crate) fn offered(&self) -> Option<f64> {
        self.mirrorable.or(self.requests)
    }

    /// What part of its requests might have been mirrored; none where that is not told, or there were none.
    pub(crate) fn mirrorable_part(&self) -> Option<f64> {
        let part = self.mirrorable? / self.requests?;
        (part > 0.0).then(|| part.min(1.0))
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

    /// Whether anything was read that only what runs can give. Requests are no sign of life: who sends them counts them.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        [self.cores, self.throttled, self.latency].iter().any(Option::is_some)
    }

    /// Whether anything that changes by itself was read: a limit alone is a setting.
    #[must_use]
    pub fn is_read(&self) -> bool {
        [self.cores, self.throttled, self.requests, self.latency].iter().any(Option::is_some)
    }
}

//! What is done about a new version beside the running one, and what its canary has shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Ratio;

/// What a canary is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The median of latency, as a share of the baseline's.
    LatencyP50,
    /// The 95th percentile of latency, likewise.
    LatencyP95,
    /// The 99th percentile of latency, likewise.
    LatencyP99,
    /// The share of answers that fail: canary less baseline.
    Errors,
    /// CPU time per request, as a share of the baseline's.
    Cpu,
    /// How fast the working set grows: canary less baseline, as a share of the baseline's per hour.
    MemoryGrowth,
}

/// What is known of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven not to be worse by a margin, in all that is needed.
    Pass,
    /// Proven to be worse. Stays so.
    Regress,
    /// Neither yet.
    Continue,
    /// What is needed was not read of late.
    NoData,
}

/// What one criterion has shown. Effects are in the criterion's unit; above zero the canary is worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The criterion.
    pub criterion: Criterion,
    /// By how much the canary is worse; none while that is not known.
    pub effect: Option<f64>,
    /// What the effect is surely above, whenever one looks; none while there is no such bound.
    pub lower: Option<f64>,
    /// What it is surely below. Both bounds together are ever wrong with at most a chance of alpha.
    pub upper: Option<f64>,
    /// Logarithm of the evidence (an e-value) that the canary is worse at all.
    pub ln_worse: f64,
    /// Logarithm of the evidence that it is not worse by the margin.
    pub ln_within: f64,
}

/// What to do about a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutAction {
    /// Give it its first share of the requests, with a fresh canary.
    Start,
    /// Leave its share as it is.
    Hold,
    /// Give it the next share, with a fresh canary.
    Advance,
    /// All steps passed: it is the running version now.
    Finish,
    /// Give it no requests any more.
    RollBack,
    /// Not started: nothing changes.
    Refuse,
}

/// A turn of a roll-out: who sends requests gives the new version this share from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutTurn {
    /// What to do.
    pub action: RolloutAction,
    /// The new version's share of the requests.
    pub share: Ratio,
    /// Why, in one sentence with figures.
    pub because: String,
    /// What its canary has shown; none before it was asked.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Criterion by criterion, in the order of [`Criterion::ALL`]; empty before the canary was asked.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Criterion {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::LatencyP50, Self::LatencyP95, Self::LatencyP99, Self::Errors, Self::Cpu, Self::MemoryGrowth];

    /// The name in records and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP95 => "latency_p95",
            Self::LatencyP99 => "latency_p99",
            Self::Errors => "errors",
            Self::Cpu => "cpu",
            Self::MemoryGrowth => "memory_growth",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_criterion_is_named_as_it_is_written() {
        for criterion in Criterion::ALL {
            assert_eq!(serde_json::to_value(criterion).expect("a name"), criterion.name());
        }
    }
}

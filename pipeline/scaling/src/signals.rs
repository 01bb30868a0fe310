//! What is known of one workload at one tick: the law's input.

use std::borrow::Cow;
use std::sync::Arc;

use schemas::{EventTime, ProbeTurn, QuantileValue, Ratio, Remedy, Resource, RolloutTurn, ShadowEvidence, Workload};
use serde::{Deserialize, Serialize};

/// Quantiles of a forecast: three fixed levels and the target's.
pub const QUANTILES: usize = 4;

/// What is known of one resource. Amounts are in cores or bytes of *allocation*: demand is the least allocation that
/// would have met the SLO, so the knee's headroom is already in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Usage over the tick; none when it was not read.
    pub usage: Option<f64>,
    /// Demand over the tick, uncensored where usage hides it; none when unknown.
    pub demand: Option<f64>,
    /// Whether the primary was saturated.
    pub censored: bool,
    /// What is needed now: the recent peak of demand, or what a steady climb leads to until a decision takes effect.
    pub floor: Option<f64>,
    /// The calibrated forecast of demand over the horizon at the target quantile: of the time for CPU, of peaks for memory.
    pub forecast: Option<f64>,
    /// The forecast's quantiles.
    pub quantiles: Option<[QuantileValue; QUANTILES]>,
    /// The expert that leads, and its version.
    pub expert: Option<(Cow<'static, str>, Arc<str>)>,
}

/// What is known of one workload at one tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// The workload's record at that tick.
    #[serde(with = "schemas::as_json")]
    pub workload: Arc<Workload>,
    /// Time of the newest reading of the primary; none before the first.
    pub read_at: Option<EventTime>,
    /// How far the forecast looks, in milliseconds.
    pub horizon_ms: u64,
    /// The actuation delay that outcomes have shown, in milliseconds.
    pub actuation_delay_ms: Option<u64>,
    /// Largest safe utilisation.
    pub knee: Ratio,
    /// Whether the shadow has shown it.
    pub knee_from_shadow: bool,
    /// CPU.
    pub cpu: Signal,
    /// Memory.
    pub memory: Signal,
    /// What is in force against anomalies: at most one a remediation.
    pub remedies: Vec<Remedy>,
    /// What is done about a new version at this tick: told by a decision, once.
    pub rollout: Option<RolloutTurn>,
    /// What the shadow becomes at this tick, to find the knee: told by a decision, once.
    pub probe: Option<ProbeTurn>,
    /// What the shadow contributed; none without a shadow.
    pub shadow: Option<ShadowEvidence>,
}

impl Signals {
    /// The signal of one resource.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> &Signal {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
        }
    }

    /// Whether nothing may be lowered on them: a resource's floor or the reading itself is missing or too old.
    #[must_use]
    pub fn stale(&self, now: EventTime, stale_after_ms: u64) -> bool {
        self.read_at.is_none_or(|read_at| now.millis().saturating_sub(read_at.millis()) > stale_after_ms)
            || Resource::ALL.iter().any(|&resource| self.of(resource).floor.is_none())
    }
}

//! A decision: what a workload gets from the next moment on, and everything that led to it.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::noun::Header;
use crate::{
    Allocation, DecisionId, EventTime, Mode, Money, Noun, PoolId, ProbeTurn, QuantileValue, Ratio, Remedy, Resource,
    RolloutTurn, ShadowEvidence, TenantId, Topic, V1, WorkloadId,
};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// More of at least one resource, less of none.
    ScaleUp,
    /// Less of at least one resource, more of none.
    ScaleDown,
    /// More of one, less of the other.
    Reshape,
    /// Nothing changes; recorded when the reason changes.
    Hold,
}

/// The reason's code. The sentence beside it names the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// What is needed now is above the allocation.
    ReactiveFloor,
    /// The forecast at the target quantile is above the allocation.
    Forecast,
    /// The allocation lay outside the workload's bounds.
    Bounds,
    /// The allocation exceeds what is wanted by more than the threshold, long enough.
    Excess,
    /// The pool, the quota or the offers did not hold all that was wanted.
    Shortfall,
    /// Less is wanted, but the excess is within the threshold.
    WithinThreshold,
    /// Less is wanted, but not yet for the whole stabilisation window.
    Stabilising,
    /// Less is wanted, but the workload has changed too often of late.
    ChurnBudget,
    /// A signal is missing or stale: nothing is lowered.
    StaleSignals,
    /// The user has stopped this direction.
    Paused,
    /// An anomaly forbids scaling down for now.
    Quarantine,
    /// An adapter refused or failed the last decision: it is asked again after a while.
    BackingOff,
    /// Memory is about to run out or leaks fast: it is raised above the working set for a while.
    MemoryBump,
    /// More is forecast to be needed, but an anomaly forbids raising on a forecast for now.
    Freeze,
    /// An anomaly that a restart would end: somebody is asked for one.
    RestartSuggested,
    /// What was done about an anomaly is over.
    RemedyEnded,
    /// A new version gets another share of the requests.
    Rollout,
    /// The shadow becomes another one, to find the knee.
    Probe,
}

/// Capacity of a pool and what of it is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolLevel {
    /// All of it.
    pub capacity: Allocation,
    /// What is not granted.
    pub free: Allocation,
}

/// Why one resource was sized as it was. Amounts are in cores or bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceEvidence {
    /// The resource.
    pub resource: Resource,
    /// Usage at the tick; none when it was not read.
    pub usage: Option<f64>,
    /// Demand at the tick, uncensored where the primary is saturated; none when it is unknown.
    pub demand: Option<f64>,
    /// Whether the primary was saturated, so that usage hides demand.
    pub censored: bool,
    /// What is needed now.
    pub reactive_floor: Option<f64>,
    /// The calibrated forecast at the target quantile.
    pub forecast: Option<f64>,
    /// The forecast's quantiles.
    pub quantiles: Vec<QuantileValue>,
    /// The expert that leads, a space, and the experts' version, as forecasts name it.
    pub expert: Option<String>,
    /// What the law arrived at before bounds and rounding; none when nothing is known.
    pub raw: Option<f64>,
}

/// What a decision rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The target quantile q*, set by prices.
    pub target_level: f64,
    /// How far ahead the forecast looks, in milliseconds.
    pub horizon_ms: u64,
    /// The actuation delay that outcomes have shown; none before the first outcome.
    pub actuation_delay_ms: Option<u64>,
    /// Largest safe utilisation.
    pub knee: Ratio,
    /// Whether the shadow has shown the knee; otherwise the primary has, or it is the profile's prior.
    pub knee_from_shadow: bool,
    /// The shadow's amplification k; none without a shadow.
    pub amplification: Option<f64>,
    /// Resource by resource: CPU, then memory.
    pub resources: Vec<ResourceEvidence>,
    /// The pool before the decision.
    pub pool_before: PoolLevel,
    /// The pool after it.
    pub pool_after: PoolLevel,
    /// The workload's price per hour before.
    pub price_before: Money,
    /// The workload's price per hour after.
    pub price_after: Money,
    /// What its shadow costs an hour beside that: its size's share of the price; none while there is to be no shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_shadow: Option<Money>,
    /// What is in force against anomalies, or has just ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
    /// What the shadow contributed; none without a shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowEvidence>,
}

/// One decision. The actuator topic carries these, and only the pipeline writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// The decision: workload and tick.
    pub decision: DecisionId,
    /// Start of the tick that closed: the frontier that it rests on.
    pub time: EventTime,
    /// Rises with every decision of the workload; the tick in milliseconds, so that a replay gives the same one.
    pub sequence: u64,
    /// After this instant no adapter carries it out.
    pub expires: EventTime,
    /// Who owns the workload.
    pub tenant: TenantId,
    /// The workload.
    pub workload: WorkloadId,
    /// Which adapter it is for.
    pub orchestrator: String,
    /// The pool that pays.
    pub pool: PoolId,
    /// How far the adapter may go.
    pub mode: Mode,
    /// Which way.
    pub action: Action,
    /// The reason's code.
    pub reason: Reason,
    /// The reason as one sentence with figures.
    pub because: String,
    /// The allocation before.
    pub current: Allocation,
    /// The allocation that the law asks for.
    pub wanted: Allocation,
    /// The allocation that is granted from now on.
    pub granted: Allocation,
    /// What the pool could not give: wanted less granted, at least zero.
    pub shortfall: Allocation,
    /// The resource type that pays for the largest part.
    pub offer: Option<String>,
    /// What it rests on.
    pub evidence: Evidence,
    /// What is done about a new version in the same tick; none while there is nothing to do. An adapter that cannot share
    /// out requests leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutTurn>,
    /// What the shadow becomes in the same tick, to find the knee; none while it stays what it is. An adapter that cannot
    /// start shadows leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeTurn>,
}

impl Decision {
    /// The id of a workload's decision at a tick: a function of both, so that a replay gives the same one.
    ///
    /// # Errors
    /// [`crate::IdError`] when the workload's name leaves no room for the tick.
    pub fn id(workload: &WorkloadId, tick: EventTime) -> Result<DecisionId, crate::IdError> {
        DecisionId::new(&format!("{workload}@{}", tick.millis()))
    }

    /// Whether the pool could not give all.
    #[must_use]
    pub fn short(&self) -> bool {
        Resource::ALL.iter().any(|&resource| self.shortfall.get(resource) > 0.0)
    }

    /// Whether an adapter has something to do.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.action != Action::Hold
    }
}

impl Noun for Decision {
    const TOPIC: Topic = Topic::Decisions;

    fn key(&self) -> &str {
        self.workload.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema(Topic::Decisions, COLUMNS));
        Arc::clone(&SCHEMA)
    }

    /// A CloudEvent in binary mode; `sequence` and `expirytime` are extension attributes.
    fn headers(&self) -> Vec<Header> {
        vec![
            ("content-type", "application/json".into()),
            ("ce_specversion", "1.0".into()),
            ("ce_type", "dev.foreshadow.decision.v1".into()),
            ("ce_source", "/foreshadow/pipeline".into()),
            ("ce_id", self.decision.to_string()),
            ("ce_time", self.time.to_string()),
            ("ce_subject", format!("/{}/{}", self.tenant, self.workload)),
            ("ce_partitionkey", self.workload.to_string()),
            ("ce_sequence", format!("{:020}", self.sequence)),
            ("ce_expirytime", self.expires.to_string()),
        ]
    }
}

const COLUMNS: &[(&str, Column, bool)] = &[
    ("time", Column::Time, false),
    ("tenant", Column::Text, false),
    ("workload", Column::Text, false),
    ("decision", Column::Text, false),
    ("sequence", Column::Count, false),
    ("expires", Column::Time, false),
    ("orchestrator", Column::Text, false),
    ("pool", Column::Text, false),
    ("mode", Column::Text, false),
    ("action", Column::Text, false),
    ("reason", Column::Text, false),
    ("because", Column::Text, false),
    ("current_cpu_cores", Column::Number, false),
    ("current_memory_bytes", Column::Number, false),
    ("wanted_cpu_cores", Column::Number, false),
    ("wanted_memory_bytes", Column::Number, false),
    ("granted_cpu_cores", Column::Number, false),
    ("granted_memory_bytes", Column::Number, false),
    ("shortfall_cpu_cores", Column::Number, false),
    ("shortfall_memory_bytes", Column::Number, false),
    ("offer", Column::Text, true),
    ("evidence_target_level", Column::Number, false),
    ("evidence_horizon_ms", Column::Count, false),
    ("evidence_actuation_delay_ms", Column::Count, true),
    ("evidence_knee", Column::Number, false),
    ("evidence_knee_from_shadow", Column::Flag, false),
    ("evidence_amplification", Column::Number, true),
    ("evidence_resources", Column::Text, false),
    ("evidence_pool_before_capacity_cpu_cores", Column::Number, false),
    ("evidence_pool_before_capacity_memory_bytes", Column::Number, false),
    ("evidence_pool_before_free_cpu_cores", Column::Number, false),
    ("evidence_pool_before_free_memory_bytes", Column::Number, false),
    ("evidence_pool_after_capacity_cpu_cores", Column::Number, false),
    ("evidence_pool_after_capacity_memory_bytes", Column::Number, false),
    ("evidence_pool_after_free_cpu_cores", Column::Number, false),
    ("evidence_pool_after_free_memory_bytes", Column::Number, false),
    ("evidence_price_before", Column::Number, false),
    ("evidence_price_after", Column::Number, false),
    ("evidence_price_shadow", Column::Number, true),
    ("evidence_remedies", Column::Text, true),
    ("rollout_action", Column::Text, true),
    ("rollout_share", Column::Number, true),
    ("rollout_because", Column::Text, true),
    ("rollout_verdict", Column::Text, true),
    ("rollout_findings", Column::Text, true),
    ("probe_mirrored_share", Column::Number, true),
    ("probe_size_ratio", Column::Number, true),
    ("probe_until", Column::Time, true),
    ("probe_because", Column::Text, true),
    ("evidence_shadow_trust", Column::Text, true),
    ("evidence_shadow_amplification", Column::Number, true),
    ("evidence_shadow_knee_utilisation", Column::Number, true),
    ("evidence_shadow_knee_low", Column::Number, true),
    ("evidence_shadow_knee_high", Column::Number, true),
    ("evidence_shadow_knee_law", Column::Text, true),
    ("evidence_shadow_knee_error", Column::Number, true),
    ("evidence_shadow_knee_shown", Column::Flag, true),
    ("evidence_shadow_demand_source", Column::Text, true),
    ("evidence_shadow_demand_error", Column::Number, true),
    ("evidence_shadow_demand_without", Column::Number, true),
    ("evidence_shadow_lead_ms", Column::Count, true),
    ("evidence_shadow_discarded_ticks", Column::Count, true),
    ("version", Column::Count, false),
];

//! A workload: what runs, for whom, within which bounds and at what price.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{
    Allocation, EventTime, ID_BYTES_MAX, Money, Noun, PoolId, ProbePolicy, Ratio, RemediationPolicy, Seconds, TenantId,
    Topic, V1, WorkloadId,
};

/// How far Foreshadow may go with a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Read and forecast; decisions are recorded, none is for an adapter.
    #[default]
    Observe,
    /// Decisions are proposals: adapters report what they would do.
    Recommend,
    /// Adapters carry decisions out.
    Act,
}

/// What kind of program it is: which defaults fit it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Answers requests; latency counts.
    #[default]
    Service,
    /// Works off a heap of work; throughput counts.
    Batch,
    /// Consumes a stream; the backlog counts.
    Stream,
    /// Holds data in memory; the working set counts.
    Memory,
}

impl Profile {
    /// Largest utilisation that is taken as safe until the shadow has shown the knee.
    ///
    /// A service at 0.7 of its limit has a p99 near twice its idle one under Poisson arrivals; batch work has no
    /// latency to lose and may run at 0.9.
    #[must_use]
    pub const fn knee_prior(self) -> Ratio {
        Ratio::new(match self {
            Self::Service => 0.7,
            Self::Stream => 0.8,
            Self::Memory => 0.85,
            Self::Batch => 0.9,
        })
    }
}

/// Where the profiler finds a workload's instances. The first field that is given counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Pattern over cgroup paths below the controller's root: `system.slice/nginx*.service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// One process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Pattern over command lines: `*java*kafka.Kafka*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// How the shadow of a workload is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowSettings {
    /// The shadow's resources as a share f of the primary's.
    pub size_ratio: Ratio,
    /// The share p of requests that is mirrored to it.
    pub mirrored_share: Ratio,
}

impl ShadowSettings {
    /// Amplification k = p / f: how many times the primary's load per unit of resource the shadow runs at.
    #[must_use]
    pub fn amplification(&self) -> f64 {
        self.mirrored_share.get() / self.size_ratio.get()
    }
}

/// Whose readings a workload's forecasts rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// It teaches the model of all workloads, and is forecast with it.
    #[default]
    Shared,
    /// Its own alone: the model of all workloads is neither trained on it nor asked about it.
    Own,
}

/// Stops one direction of scaling, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// No scaling up.
    #[serde(default)]
    pub up: bool,
    /// No scaling down.
    #[serde(default)]
    pub down: bool,
}

/// What runs. The newest record of a key counts; a record without a value removes the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// When the record takes effect; the log's time where none is given.
    #[serde(default)]
    pub time: EventTime,
    /// The workload.
    pub workload: WorkloadId,
    /// Who owns it.
    #[serde(default)]
    pub tenant: TenantId,
    /// Which adapter carries its decisions out: `simulated`, `docker`, `cgroup`; any other name is left to an adapter of yours.
    pub orchestrator: String,
    /// The object that the adapter resizes, in its own terms.
    #[serde(default)]
    pub target: String,
    /// What runs: an image's digest, a release, a hash of settings. Another one is another program: what primary and shadow
    /// have taught of the one before is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where the profiler finds the instances.
    #[serde(default)]
    pub selector: Selector,
    /// The pool that pays.
    pub pool: PoolId,
    /// What kind of program it is.
    #[serde(default)]
    pub profile: Profile,
    /// The allocation in force when the record was written.
    pub allocation: Allocation,
    /// Least allocation.
    pub min: Allocation,
    /// Largest allocation.
    pub max: Allocation,
    /// Steps that the orchestrator can set: amounts are rounded up to multiples.
    pub step: Allocation,
    /// Latency that the 99th percentile must meet; none when latency is not what counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo_latency_p99: Option<Seconds>,
    /// Cu: what a core-hour of unmet demand costs.
    pub unmet_cost: Money,
    /// Co: what an idle core-hour costs.
    pub idle_cost: Money,
    /// Who is served first when the pool is short: the larger number.
    #[serde(default)]
    pub priority: u8,
    /// Whether it may run on capacity that can be taken away.
    #[serde(default)]
    pub interruptible: bool,
    /// Its shadow; none when it runs without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowSettings>,
    /// What probes may take, which look for its knee with a shadow that comes and goes; none when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbePolicy>,
    /// How far Foreshadow may go.
    #[serde(default)]
    pub mode: Mode,
    /// Directions that are stopped.
    #[serde(default)]
    pub pause: Pause,
    /// What may be done about its anomalies.
    #[serde(default)]
    pub remediation: RemediationPolicy,
    /// Whose readings its forecasts rest on.
    #[serde(default)]
    pub learning: Learning,
}

/// Longest name of a workload that is decided about: a decision's name has its tick behind an `@` too.
const WORKLOAD_BYTES_MAX: usize = ID_BYTES_MAX - 21;

impl Workload {
    /// The target quantile q* = Cu / (Cu + Co), the newsvendor's critical ratio.
    ///
    /// | Cu | Co | q* |
    /// |---|---|---|
    /// | 1 | 1 | 0.50 |
    /// | 9 | 1 | 0.90 |
    /// | 19 | 1 | 0.95 |
    #[must_use]
    pub fn target_quantile(&self) -> f64 {
        self.unmet_cost.get() / (self.unmet_cost.get() + self.idle_cost.get())
    }

    /// What is wrong with the record: every fault, each with its mend. Empty when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        let positive = |a: &Allocation| a.cpu_cores.get() > 0.0 && a.memory_bytes.get() > 0.0;
        let finite = [self.allocation, self.min, self.max, self.step]
            .iter()
            .all(|a| a.cpu_cores.get().is_finite() && a.memory_bytes.get().is_finite());
        demand(finite, "an amount is not finite: give plain numbers");
        demand(positive(&self.min), "min must be above zero in cpu_cores and memory_bytes");
        demand(positive(&self.step), "step must be above zero in cpu_cores and memory_bytes");
        demand(self.min.fits(&self.max), "min is above max: swap or widen them");
        demand(
            self.unmet_cost.get() > 0.0 && self.idle_cost.get() > 0.0,
            "unmet_cost and idle_cost must be above zero",
        );
        demand(
            self.target_quantile() < 1.0,
            "unmet_cost is too far above idle_cost: their quantile is 1 to the last bit",
        );
        demand(
            self.workload.as_str().len() <= WORKLOAD_BYTES_MAX,
            "its name has more than 232 bytes: the names of its decisions need the rest",
        );
        if let Some(shadow) = &self.shadow {
            let share = |r: Ratio| r.get() > 0.0 && r.get() <= 1.0;
            demand(share(shadow.size_ratio) && share(shadow.mirrored_share), "shadow ratios must lie in (0, 1]");
        }
        self.probe.iter().flat_map(ProbePolicy::faults).for_each(|fault| demand(false, fault));
        faults
    }
}

impl Noun for Workload {
    const TOPIC: Topic = Topic::Workloads;

    fn key(&self) -> &str {
        self.workload.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Workloads,
                &[
                    ("time", Column::Time, false),
                    ("tenant", Column::Text, false),
                    ("workload", Column::Text, false),
                    ("orchestrator", Column::Text, false),
                    ("target", Column::Text, false),
                    ("revision", Column::Text, true),
                    ("selector_cgroup", Column::Text, true),
                    ("selector_pid", Column::Count, true),
                    ("selector_process", Column::Text, true),
                    ("pool", Column::Text, false),
                    ("profile", Column::Text, false),
                    ("allocation_cpu_cores", Column::Number, false),
                    ("allocation_memory_bytes", Column::Number, false),
                    ("min_cpu_cores", Column::Number, false),
                    ("min_memory_bytes", Column::Number, false),
                    ("max_cpu_cores", Column::Number, false),
                    ("max_memory_bytes", Column::Number, false),
                    ("step_cpu_cores", Column::Number, false),
                    ("step_memory_bytes", Column::Number, false),
                    ("slo_latency_p99", Column::Number, true),
                    ("unmet_cost", Column::Number, false),
                    ("idle_cost", Column::Number, false),
                    ("priority", Column::Count, false),
                    ("interruptible", Column::Flag, false),
                    ("shadow_size_ratio", Column::Number, true),
                    ("shadow_mirrored_share", Column::Number, true),
                    ("probe_share_max", Column::Number, true),
                    ("probe_size_min", Column::Number, true),
                    ("probe_size_max", Column::Number, true),
                    ("probe_overhead_max", Column::Number, true),
                    ("probe_dwell_ms", Column::Count, true),
                    ("mode", Column::Text, false),
                    ("pause_up", Column::Flag, false),
                    ("pause_down", Column::Flag, false),
                    ("remediation_raise_memory", Column::Flag, false),
                    ("remediation_restart", Column::Flag, false),
                    ("remediation_hold_down", Column::Flag, false),
                    ("remediation_hold_up", Column::Flag, false),
                    // Not in history of before there was a choice.
                    ("learning", Column::Text, true),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }
}

//! What travels between stages.

use std::sync::Arc;

use schemas::{EventTime, Metric, Reject, Role, Sample, TenantId, Workload, WorkloadId};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use crate::Receipt;

/// A stream of `D` over event time in milliseconds.
pub(crate) type Stream<'scope, D> = StreamVec<'scope, u64, D>;

/// A change of a compacted topic, or an outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) noun: ControlNoun,
    pub(crate) key: String,
    /// Event time in milliseconds: the later of two changes of a key counts.
    pub(crate) time: u64,
    pub(crate) offset: i64,
    /// JSON; none removes the key.
    pub(crate) value: Option<String>,
}

/// The topics of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum ControlNoun {
    Workloads,
    Pools,
    Outcomes,
}

/// A workload with its pool and what its adapter last reported: JSON, so that it can be ordered and retracted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) pool: String,
    pub(crate) pool_record: String,
    pub(crate) workload: String,
    pub(crate) workload_record: String,
    pub(crate) outcome: Option<String>,
}

/// What ingest makes of a delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Intake {
    Sample(Box<Sample>),
    Change(Change),
    Error(Box<Reject>),
    Receipt(Receipt),
}

/// All readings of one role of a workload within a tick.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RoleTick {
    /// For each metric, the role's total (or mean, or maximum) as last known at each reading: (time, value).
    pub(crate) series: Vec<(Metric, Vec<(u64, f64)>)>,
}

/// Primary, shadow, canary and baseline of one workload within a tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PairTick {
    pub(crate) tenant: TenantId,
    pub(crate) workload: WorkloadId,
    /// The workload's record; none when nobody has written one.
    pub(crate) record: Option<Arc<Workload>>,
    /// The actuation delay that the workload's last raise has shown.
    pub(crate) delay_ms: Option<u64>,
    /// Time of the newest reading of the primary.
    pub(crate) read_at: Option<EventTime>,
    pub(crate) roles: Vec<(Role, RoleTick)>,
}

impl PairTick {
    /// The readings of a role.
    pub(crate) fn role(&self, role: Role) -> Option<&RoleTick> {
        self.roles.iter().find(|(other, _)| *other == role).map(|(_, tick)| tick)
    }
}

impl RoleTick {
    /// A metric's readings.
    pub(crate) fn values(&self, metric: Metric) -> &[(u64, f64)] {
        self.series.iter().find(|(other, _)| *other == metric).map_or(&[], |(_, values)| values)
    }

    /// A metric's mean over the tick; none when it was not read.
    pub(crate) fn mean(&self, metric: Metric) -> Option<f64> {
        let values = self.values(metric);
        (!values.is_empty()).then(|| values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64)
    }

    /// A metric's largest value within the tick.
    pub(crate) fn peak(&self, metric: Metric) -> Option<f64> {
        self.values(metric).iter().map(|(_, value)| *value).reduce(f64::max)
    }
}

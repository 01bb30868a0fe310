//! What an adapter did with a decision.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{Allocation, DecisionId, EventTime, Noun, Topic, V1, WorkloadId};

/// How far a decision got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Taken on; not usable yet.
    Accepted,
    /// Usable: the allocation is in force.
    InForce,
    /// The adapter's own policy, or the decision's mode, forbids it.
    Refused,
    /// The orchestrator could not do it.
    Failed,
    /// It came after its expiry time.
    Expired,
    /// Its sequence is not above the last one carried out.
    Stale,
}

impl Status {
    /// Whether the decision will never come into force.
    #[must_use]
    pub const fn lost(self) -> bool {
        matches!(self, Self::Refused | Self::Failed | Self::Expired | Self::Stale)
    }
}

/// What an adapter did with a decision, and what is in force now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// When the adapter saw it.
    pub time: EventTime,
    /// The decision.
    pub decision: DecisionId,
    /// When the decision was taken.
    pub decided: EventTime,
    /// The workload.
    pub workload: WorkloadId,
    /// Which adapter reports.
    pub adapter: String,
    /// How far it got.
    pub status: Status,
    /// The allocation in force at `time`.
    pub in_force: Allocation,
    /// The reason, where it did not come into force.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Noun for Outcome {
    const TOPIC: Topic = Topic::Outcomes;

    fn key(&self) -> &str {
        self.workload.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Outcomes,
                &[
                    ("time", Column::Time, false),
                    ("decision", Column::Text, false),
                    ("decided", Column::Time, false),
                    ("workload", Column::Text, false),
                    ("adapter", Column::Text, false),
                    ("status", Column::Text, false),
                    ("in_force_cpu_cores", Column::Number, false),
                    ("in_force_memory_bytes", Column::Number, false),
                    ("message", Column::Text, true),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }
}

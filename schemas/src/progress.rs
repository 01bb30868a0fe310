//! How far the outputs reach: written in the same transaction as the outputs.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{EventTime, Noun, Topic, V1};

/// The output frontier of a worker group: everything before `frontier` is published, nothing at or after it.
///
/// A group writes two of them: under its own name about what is acted on (decisions, anomalies, dead letters), and under its
/// name with `/features` behind about what is read (features, forecasts), which comes after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// The worker group.
    pub group: String,
    /// The first tick that is not published.
    pub frontier: EventTime,
    /// How many commits the group has made.
    pub sequence: u64,
    /// How much of the inputs had been taken in when the frontier was reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_in: Vec<TakenIn>,
    /// Records that count from a tick that depends on how far the others had come: changes of the control plane whose own tick
    /// had closed, and samples of a partition after it had rested, or after a restart. A replay counts them from the same tick.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateChange>,
}

/// How far a partition of an input was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakenIn {
    /// The topic's short name: `samples`, `workloads`, `pools`, `outcomes` or `models`.
    pub noun: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that had not been taken in.
    pub next_offset: i64,
}

/// A record that counts from a tick that is not its own alone to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LateChange {
    /// The topic's short name.
    pub noun: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The first tick in which it counted.
    pub counts_from: EventTime,
}

impl Progress {
    /// The name under which a group says how far its features and forecasts reach: no group's own, which has no slash.
    #[must_use]
    pub fn of_features(group: &str) -> String {
        format!("{group}/features")
    }

    /// Whether it says how far features and forecasts reach.
    #[must_use]
    pub fn is_of_features(&self) -> bool {
        self.group.contains('/')
    }
}

impl Noun for Progress {
    const TOPIC: Topic = Topic::Progress;

    fn key(&self) -> &str {
        &self.group
    }

    fn time(&self) -> EventTime {
        self.frontier
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Progress,
                &[
                    ("frontier", Column::Time, false),
                    ("group", Column::Text, false),
                    ("sequence", Column::Count, false),
                    ("taken_in", Column::Text, true),
                    ("late", Column::Text, true),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }
}

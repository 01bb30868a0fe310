//! Rolling features of one workload at one tick.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, flatten, schema};
use crate::{EventTime, Metric, Noun, NounError, Role, TenantId, Topic, V1, WorkloadId};

/// Statistics of one metric of one role over one window that ends with the tick.
///
/// All values are in the metric's unit, the variance in its square, the slope and the rate of change per second. They are
/// single floats: seven digits, more than a window's rounding leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureRow {
    /// The role.
    pub role: Role,
    /// The metric, summed over the role's instances.
    pub metric: Metric,
    /// The window's length in milliseconds.
    pub window_ms: u64,
    /// How many readings the window holds.
    pub count: u64,
    /// Mean.
    pub mean: f32,
    /// Least value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Population variance.
    pub variance: f32,
    /// Median.
    pub p50: f32,
    /// 95th percentile.
    pub p95: f32,
    /// 99th percentile.
    pub p99: f32,
    /// Least-squares slope per second; none below two distinct times.
    pub slope_per_second: Option<f32>,
    /// Exponentially weighted mean with the window as half-life.
    pub ewma: f32,
    /// Change from the window's oldest pane to its newest, per second; none below two panes.
    pub rate_of_change_per_second: Option<f32>,
}

/// The features of one workload at one tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureRecord {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// Start of the tick that closed the windows.
    pub time: EventTime,
    /// Who owns the workload.
    pub tenant: TenantId,
    /// The workload.
    pub workload: WorkloadId,
    /// One row a role, metric and window that hold readings.
    pub rows: Vec<FeatureRow>,
}

impl Noun for FeatureRecord {
    const TOPIC: Topic = Topic::Features;

    fn key(&self) -> &str {
        self.workload.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Features,
                &[
                    ("time", Column::Time, false),
                    ("tenant", Column::Text, false),
                    ("workload", Column::Text, false),
                    ("role", Column::Text, false),
                    ("metric", Column::Text, false),
                    ("window_ms", Column::Count, false),
                    ("count", Column::Count, false),
                    ("mean", Column::Single, false),
                    ("min", Column::Single, false),
                    ("max", Column::Single, false),
                    ("variance", Column::Single, false),
                    ("p50", Column::Single, false),
                    ("p95", Column::Single, false),
                    ("p99", Column::Single, false),
                    ("slope_per_second", Column::Single, true),
                    ("ewma", Column::Single, false),
                    ("rate_of_change_per_second", Column::Single, true),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }

    /// One row a role, metric and window.
    fn to_batch(records: &[Self]) -> Result<RecordBatch, NounError> {
        #[derive(Serialize)]
        struct Row<'a> {
            time: EventTime,
            tenant: &'a TenantId,
            workload: &'a WorkloadId,
            #[serde(flatten)]
            row: &'a FeatureRow,
            version: V1,
        }
        let rows: Vec<Row<'_>> = records
            .iter()
            .flat_map(|record| {
                let Self { time, tenant, workload, rows, .. } = record;
                rows.iter().map(move |row| Row { time: *time, tenant, workload, row, version: V1 })
            })
            .collect();
        flatten(Self::TOPIC, &Self::arrow_schema(), &rows)
    }
}

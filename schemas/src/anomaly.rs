//! An alert: what is out of the ordinary, how far, and what to do.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::noun::Header;
use crate::{EventTime, Metric, Noun, Remediation, Role, TenantId, Topic, V1, WorkloadId};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// Worth waking for.
    Critical,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// The tick that raised it.
    pub time: EventTime,
    /// Who owns the workload.
    pub tenant: TenantId,
    /// The workload.
    pub workload: WorkloadId,
    /// The role that was seen; none when it concerns the pair or the allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The metric that was seen; none when it concerns the allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Which detector raised it.
    pub detector: String,
    /// How bad it is.
    pub severity: Severity,
    /// The detector's score; above the threshold.
    pub score: f64,
    /// The threshold at that tick.
    pub threshold: f64,
    /// What was seen.
    pub observed: f64,
    /// What was expected; none where the detector expects no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// One sentence with figures.
    pub evidence: String,
    /// What would help.
    pub suggested: Remediation,
    /// What is done about it: what the workload's policy allows and the rate limit lets through. Decisions carry it out,
    /// as far as the pool goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Remediation>,
}

impl Noun for Anomaly {
    const TOPIC: Topic = Topic::Anomalies;

    fn key(&self) -> &str {
        self.workload.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Anomalies,
                &[
                    ("time", Column::Time, false),
                    ("tenant", Column::Text, false),
                    ("workload", Column::Text, false),
                    ("role", Column::Text, true),
                    ("metric", Column::Text, true),
                    ("detector", Column::Text, false),
                    ("severity", Column::Text, false),
                    ("score", Column::Number, false),
                    ("threshold", Column::Number, false),
                    ("observed", Column::Number, false),
                    ("expected", Column::Number, true),
                    ("evidence", Column::Text, false),
                    ("suggested", Column::Text, false),
                    ("taken", Column::Text, true),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }

    /// CloudEvents in binary mode.
    fn headers(&self) -> Vec<Header> {
        // One detector may look at several metrics.
        let metric = self.metric.map_or(String::new(), |metric| format!(":{}", metric.name()));
        let id = format!("{}@{}:{}{metric}", self.workload, self.time.millis(), self.detector);
        vec![
            ("content-type", "application/json".into()),
            ("ce_specversion", "1.0".into()),
            ("ce_type", "dev.foreshadow.anomaly.v1".into()),
            ("ce_source", "/foreshadow/pipeline".into()),
            ("ce_id", id),
            ("ce_time", self.time.to_string()),
            ("ce_subject", format!("/{}/{}", self.tenant, self.workload)),
        ]
    }
}

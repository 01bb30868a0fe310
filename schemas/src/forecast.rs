//! A forecast: quantiles of the peak of demand over a horizon.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{EventTime, Noun, Resource, TenantId, Topic, V1, WorkloadId};

/// One quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantileValue {
    /// The level, between 0 and 1.
    pub level: f64,
    /// The value, in cores or bytes.
    pub value: f64,
}

/// Quantiles of the peak of one workload's demand over the horizon that starts with the tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForecastRecord {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// The tick at which the forecast was made.
    pub time: EventTime,
    /// Who owns the workload.
    pub tenant: TenantId,
    /// The workload.
    pub workload: WorkloadId,
    /// The resource whose demand it is.
    pub resource: Resource,
    /// How far ahead the peak is taken, in milliseconds.
    pub horizon_ms: u64,
    /// The expert that leads.
    pub expert: String,
    /// The experts' version; where a model answered beside them, its id and the first digits of its artifact's hash:
    /// `experts-2+global-lstm@9f86d081`.
    pub model_version: String,
    /// The point forecast.
    pub base: f64,
    /// The quantiles, rising in level and value.
    pub quantiles: Vec<QuantileValue>,
    /// The target level q*, set by prices.
    pub target_level: f64,
    /// The value at q* after calibration: what a decision uses.
    pub calibrated: f64,
}

impl Noun for ForecastRecord {
    const TOPIC: Topic = Topic::Forecasts;

    fn key(&self) -> &str {
        self.workload.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Forecasts,
                &[
                    ("time", Column::Time, false),
                    ("tenant", Column::Text, false),
                    ("workload", Column::Text, false),
                    ("resource", Column::Text, false),
                    ("horizon_ms", Column::Count, false),
                    ("expert", Column::Text, false),
                    ("model_version", Column::Text, false),
                    ("base", Column::Number, false),
                    ("quantiles", Column::Text, false),
                    ("target_level", Column::Number, false),
                    ("calibrated", Column::Number, false),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }
}

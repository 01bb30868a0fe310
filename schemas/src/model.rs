//! A trained model in the registry.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{EventTime, ModelId, Noun, Topic, V1};

/// One model: where it lies, what it was trained on, how well it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// The tick from which it counts.
    pub time: EventTime,
    /// The model.
    pub model: ModelId,
    /// Where the artifact lies: a path or an object's address.
    pub artifact: String,
    /// SHA-256 of the artifact, in hexadecimal.
    pub sha256: String,
    /// Start of the data that it was trained on.
    pub trained_from: EventTime,
    /// End of the data that it was trained on.
    pub trained_to: EventTime,
    /// Scores on held-out data, by name.
    pub scores: BTreeMap<String, f64>,
    /// Whether it serves.
    pub champion: bool,
}

impl Noun for Model {
    const TOPIC: Topic = Topic::Models;

    fn key(&self) -> &str {
        self.model.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Models,
                &[
                    ("time", Column::Time, false),
                    ("model", Column::Text, false),
                    ("artifact", Column::Text, false),
                    ("sha256", Column::Text, false),
                    ("trained_from", Column::Time, false),
                    ("trained_to", Column::Time, false),
                    ("scores", Column::Text, false),
                    ("champion", Column::Flag, false),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }

    /// The scores' names differ from model to model: they are JSON text.
    fn to_batch(records: &[Self]) -> Result<arrow::record_batch::RecordBatch, crate::NounError> {
        let rows: Vec<_> = records
            .iter()
            .map(|model| {
                let mut row = crate::columns::row(model);
                row.retain(|name, _| !name.starts_with("scores_"));
                let scores = serde_json::to_string(&model.scores).expect("scores are finite numbers under text keys");
                row.insert("scores".to_owned(), scores.into());
                row
            })
            .collect();
        crate::columns::flatten(Self::TOPIC, &Self::arrow_schema(), &rows)
    }
}

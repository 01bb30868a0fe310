//! How far the outputs reach: written in the same transaction as the outputs.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{EventTime, Noun, Topic, V1};

/// The output frontier of a worker group: everything before `frontier` is published, nothing at or after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }
}

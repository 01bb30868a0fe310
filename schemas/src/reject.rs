//! A dead letter: what could not be used, where it came from and why.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use base64::Engine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{EventTime, Noun, Topic, V1};

/// Most bytes of the refused message that a dead letter keeps: enough to see what it was.
pub const EXCERPT_BYTES_MAX: usize = 4096;

/// Why a record or a row of it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// The bytes are neither JSON nor an Arrow IPC stream.
    Undecodable,
    /// The content type is not one that is read.
    ContentType,
    /// The record is of a version that this build does not read.
    UnknownVersion,
    /// A field or column is missing, unknown or of another type.
    Schema,
    /// A batch without rows.
    EmptyBatch,
    /// The message is larger than the bound.
    TooLarge,
    /// A reading is not finite, negative, or a ratio above one.
    Reading,
    /// The time lies too far ahead of the log's own time.
    Future,
    /// The time lies too far before the log's own time.
    Past,
    /// The tick was closed before the sample came.
    Late,
    /// No workload of that name is known.
    UnknownWorkload,
    /// A bound on distinct workloads or instances was reached.
    Bound,
    /// A model's artifact is missing or damaged, has another hash, or was made for other inputs.
    Artifact,
}

/// One refused record, or one refused row of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// The log's time of the refused record.
    pub time: EventTime,
    /// The refused record's key: who wrote it; empty when it had none.
    pub source: String,
    /// Topic of the refused record.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The row in a batch; none when the whole message was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The reason's code.
    pub reason: RejectReason,
    /// What is wrong, where, and the mend.
    pub detail: String,
    /// Length of the refused message in bytes.
    pub length_bytes: u64,
    /// Its first [`EXCERPT_BYTES_MAX`] bytes, in base64; empty for a row of a batch.
    pub excerpt_base64: String,
}

impl Reject {
    /// The bounded excerpt of a message.
    #[must_use]
    pub fn excerpt(bytes: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(&bytes[..bytes.len().min(EXCERPT_BYTES_MAX)])
    }
}

impl Noun for Reject {
    const TOPIC: Topic = Topic::Rejects;

    fn key(&self) -> &str {
        &self.source
    }

    fn time(&self) -> EventTime {
        self.time
    }

    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Rejects,
                &[
                    ("time", Column::Time, false),
                    ("source", Column::Text, false),
                    ("topic", Column::Text, false),
                    ("partition", Column::Count, false),
                    ("offset", Column::Count, false),
                    ("row", Column::Count, true),
                    ("reason", Column::Text, false),
                    ("detail", Column::Text, false),
                    ("length_bytes", Column::Count, false),
                    ("excerpt_base64", Column::Text, false),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }
}

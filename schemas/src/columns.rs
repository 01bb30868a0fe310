//! Records as Arrow columns: nested fields become `outer_inner`, lists stay JSON text.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{NounError, Topic};

/// Time columns: milliseconds, UTC.
#[must_use]
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A schema from a table of (name, type, may be null); the version stands in its metadata.
#[must_use]
pub fn schema(topic: Topic, columns: &[(&str, Column, bool)]) -> SchemaRef {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column, null)| Field::new(*name, column.data_type(), *null)).collect();
    let metadata = HashMap::from([
        ("foreshadow.noun".to_owned(), topic.noun().to_owned()),
        ("foreshadow.version".to_owned(), "1".to_owned()),
    ]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// The column types that the nouns use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Milliseconds since the epoch, UTC.
    Time,
    /// Text; lists and maps as JSON.
    Text,
    /// A double.
    Number,
    /// A single float.
    Single,
    /// A count or a sequence.
    Count,
    /// Yes or no.
    Flag,
}

impl Column {
    fn data_type(self) -> DataType {
        match self {
            Self::Time => time_type(),
            Self::Text => DataType::Utf8,
            Self::Number => DataType::Float64,
            Self::Single => DataType::Float32,
            Self::Count => DataType::UInt64,
            Self::Flag => DataType::Boolean,
        }
    }
}

/// Rows from records, through their JSON form.
///
/// # Errors
/// [`NounError::Columns`] when a value does not fit its column.
pub fn flatten<T: Serialize>(topic: Topic, schema: &SchemaRef, records: &[T]) -> Result<RecordBatch, NounError> {
    let rows: Vec<Map<String, Value>> = records.iter().map(|record| row(record)).collect();
    encode(schema, &rows).map_err(|source| NounError::Columns { topic: topic.name(), source })
}

/// One record as a flat row.
pub fn row<T: Serialize>(record: &T) -> Map<String, Value> {
    let mut flat = Map::new();
    let value = serde_json::to_value(record).expect("a noun holds only maps with text keys");
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            spread(&mut flat, name, value);
        }
    }
    flat
}

fn encode(schema: &SchemaRef, rows: &[Map<String, Value>]) -> Result<RecordBatch, arrow::error::ArrowError> {
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::clone(schema)));
    }
    let mut decoder = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(rows.len()).build_decoder()?;
    decoder.serialize(rows)?;
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

fn spread(flat: &mut Map<String, Value>, name: String, value: Value) {
    match value {
        Value::Object(fields) => {
            for (inner, value) in fields {
                spread(flat, format!("{name}_{inner}"), value);
            }
        }
        Value::Array(items) => {
            flat.insert(name, Value::String(Value::Array(items).to_string()));
        }
        other => {
            flat.insert(name, other);
        }
    }
}

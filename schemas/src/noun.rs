//! What all records share: a topic, a key, a time, a JSON form and columns.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{EventTime, Topic};

/// A header of a record on the log: name and value.
pub type Header = (&'static str, String);

/// Why a record could not be read or turned into columns.
#[derive(Debug, thiserror::Error)]
pub enum NounError {
    /// The bytes are not the noun's JSON form.
    #[error("not a record of {topic}: {source}")]
    Json {
        /// The topic that the record was read as.
        topic: &'static str,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// Rows did not fit the noun's columns.
    #[error("rows of {topic} do not fit its columns: {source}")]
    Columns {
        /// The topic of the rows.
        topic: &'static str,
        /// Arrow's reason.
        source: arrow::error::ArrowError,
    },
}

/// A kind of record on one topic.
pub trait Noun: Serialize + DeserializeOwned + Sized {
    /// The topic that carries it.
    const TOPIC: Topic;

    /// The record's key on the log.
    fn key(&self) -> &str;

    /// When the record takes effect.
    fn time(&self) -> EventTime;

    /// Columns of the noun's SQL table.
    fn arrow_schema() -> SchemaRef;

    /// The records as rows of [`Noun::arrow_schema`].
    ///
    /// # Errors
    /// [`NounError::Columns`] when a value does not fit its column, which is a bug of this crate.
    fn to_batch(records: &[Self]) -> Result<RecordBatch, NounError> {
        crate::columns::flatten(Self::TOPIC, &Self::arrow_schema(), records)
    }

    /// The headers that go with the record: content type and version, and CloudEvents attributes where it is one.
    fn headers(&self) -> Vec<Header> {
        vec![("content-type", "application/json".into())]
    }

    /// The JSON form.
    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a noun holds only maps with text keys and finite numbers")
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`NounError::Json`] for text that is no JSON, misses a field, has an unknown one or an unknown version.
    fn from_json(bytes: &[u8]) -> Result<Self, NounError> {
        serde_json::from_slice(bytes).map_err(|source| NounError::Json { topic: Self::TOPIC.name(), source })
    }
}

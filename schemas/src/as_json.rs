//! A record within a binary form: as its JSON, since a record leaves out fields and a binary form cannot.
//!
//! For `#[serde(with = "schemas::as_json")]`.

use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Noun;

/// Writes a record.
///
/// # Errors
/// The serializer's.
pub fn serialize<N: Noun, S: Serializer>(record: &Arc<N>, serializer: S) -> Result<S::Ok, S::Error> {
    record.to_json().serialize(serializer)
}

/// Reads a record.
///
/// # Errors
/// When it is none.
pub fn deserialize<'de, N: Noun, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<N>, D::Error> {
    let json = Vec::<u8>::deserialize(deserializer)?;
    N::from_json(&json).map(Arc::new).map_err(D::Error::custom)
}

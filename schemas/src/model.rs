//! A trained model in the registry.
//!
//! A record carries the artifact itself, not only its place: what serves from a tick on is then a function of the log, and a
//! replay in a year needs no file that may be gone. An artifact of 48 units is 70 kB and its record 100 kB, well
//! below the 1 MB that Kafka takes by default; [`ARTIFACT_BYTES_MAX`] keeps it there.
//!
//! Of all records whose `champion` is true, the one with the latest `time` serves, from that tick on; of equal times the later
//! offset. So a model is promoted by a record with `champion: true` and the tick of the swap, taken back by writing an older
//! model again with a newer `time` (rollback), and withdrawn by a tombstone or `champion: false`: then the newest champion
//! that is left serves, in the end the shipped one. The key is the model's id: give every training an id of its own, since a
//! record replaces the one before it of the same id.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::columns::{Column, schema};
use crate::{EventTime, ModelId, Noun, Topic, V1};

/// Largest artifact that a record carries: in base64, and with all else, it stays within the 1 MB of a Kafka message.
pub const ARTIFACT_BYTES_MAX: usize = 512 << 10;

/// Digits of the hash that tell one artifact of a model from another in records and tables.
const SHORT_HASH: usize = 8;

/// One model: what it is, what it was trained on, how well it did.
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
    /// The name that people know the artifact by: a path or an object's address. Nothing is read from there.
    pub artifact: String,
    /// SHA-256 of the artifact's bytes, in hexadecimal.
    pub sha256: String,
    /// The artifact's bytes, in base64, at most 512 KiB before it. A champion carries them; a challenger that lost need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_base64: Option<String>,
    /// Version of the model's inputs that it was trained for; the artifact's own word counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_version: Option<u32>,
    /// Start of the data that it was trained on.
    pub trained_from: EventTime,
    /// End of the data that it was trained on.
    pub trained_to: EventTime,
    /// SHA-256 of the data that it was trained on, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<String>,
    /// The settings of its training, by name: with the same data they make the same artifact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Scores on held-out data, by name.
    pub scores: BTreeMap<String, f64>,
    /// Why it was, or was not, put before the champion of its day: one sentence with figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Whether it serves.
    pub champion: bool,
}

/// Why a record's artifact is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactFault {
    /// The record carries none.
    #[error("the champion carries no artifact: put its bytes into artifact_base64")]
    Absent,
    /// It is larger than a record may be.
    #[error("the artifact has {0} bytes: at most {ARTIFACT_BYTES_MAX} are taken, train a smaller network")]
    TooLarge(usize),
    /// It is not base64.
    #[error("artifact_base64 is no base64: {0}")]
    Base64(String),
    /// It is another one than the record says.
    #[error("the artifact's SHA-256 is {found}, and the record says {told}: it was damaged, publish it again")]
    Hash {
        /// Of the bytes that came.
        found: String,
        /// Of the record.
        told: String,
    },
}

impl Model {
    /// Puts an artifact and its hash into the record.
    ///
    /// # Errors
    /// [`ArtifactFault::TooLarge`].
    pub fn carry(&mut self, artifact: &[u8]) -> Result<(), ArtifactFault> {
        if artifact.len() > ARTIFACT_BYTES_MAX {
            return Err(ArtifactFault::TooLarge(artifact.len()));
        }
        self.sha256 = sha256(artifact);
        self.artifact_base64 = Some(STANDARD.encode(artifact));
        Ok(())
    }

    /// The artifact that the record carries, once it is what the record says.
    ///
    /// # Errors
    /// [`ArtifactFault`].
    pub fn carried(&self) -> Result<Vec<u8>, ArtifactFault> {
        let text = self.artifact_base64.as_ref().ok_or(ArtifactFault::Absent)?;
        // Four characters hold three bytes: what is surely too large is not decoded.
        if text.len() > ARTIFACT_BYTES_MAX.div_ceil(3) * 4 {
            return Err(ArtifactFault::TooLarge(text.len() / 4 * 3));
        }
        let artifact = STANDARD.decode(text).map_err(|error| ArtifactFault::Base64(error.to_string()))?;
        if artifact.len() > ARTIFACT_BYTES_MAX {
            return Err(ArtifactFault::TooLarge(artifact.len()));
        }
        let found = sha256(&artifact);
        if !found.eq_ignore_ascii_case(&self.sha256) {
            return Err(ArtifactFault::Hash { found, told: self.sha256.clone() });
        }
        Ok(artifact)
    }

    /// How forecasts and decisions name it.
    #[must_use]
    pub fn name(&self) -> String {
        model_name(self.model.as_str(), &self.sha256)
    }
}

/// How forecasts and decisions name a model: its id and the first digits of its artifact's hash, `global-lstm@9f86d081`.
#[must_use]
pub fn model_name(model: &str, sha256: &str) -> String {
    let digits: String = sha256.chars().take(SHORT_HASH).collect();
    format!("{model}@{}", digits.to_ascii_lowercase())
}

/// SHA-256 of bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
                    ("input_version", Column::Count, true),
                    ("trained_from", Column::Time, false),
                    ("trained_to", Column::Time, false),
                    ("data_sha256", Column::Text, true),
                    ("settings", Column::Text, true),
                    ("scores", Column::Text, false),
                    ("verdict", Column::Text, true),
                    ("champion", Column::Flag, false),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }

    /// Names of settings and scores differ from model to model: they are JSON text. The artifact's bytes are no column: no
    /// table wants them.
    fn to_batch(records: &[Self]) -> Result<arrow::record_batch::RecordBatch, crate::NounError> {
        let rows: Vec<_> = records
            .iter()
            .map(|model| {
                let bare =
                    Self { artifact_base64: None, settings: BTreeMap::new(), scores: BTreeMap::new(), ..model.clone() };
                let mut row = crate::columns::row(&bare);
                let scores = serde_json::to_string(&model.scores).expect("scores are finite numbers under text keys");
                let settings = serde_json::to_string(&model.settings).expect("settings are JSON under text keys");
                row.insert("scores".to_owned(), scores.into());
                row.insert("settings".to_owned(), settings.into());
                row
            })
            .collect();
        crate::columns::flatten(Self::TOPIC, &Self::arrow_schema(), &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Model {
        Model::from_json(include_bytes!("../golden/models.v1.json")).expect("the example is a record")
    }

    #[test]
    fn an_artifact_travels_with_its_record() {
        let mut model = example();
        model.carry(b"abc").expect("three bytes fit");
        // The first test vector of FIPS 180-4.
        assert_eq!(model.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(model.artifact_base64.as_deref(), Some("YWJj"));
        let model = Model::from_json(&model.to_json()).expect("it reads what it writes");
        assert_eq!(model.carried(), Ok(b"abc".to_vec()));
        assert_eq!(model.name(), "global-lstm@ba7816bf");
    }

    #[test]
    fn what_an_artifact_is_not_is_told() {
        let absent = Model { artifact_base64: None, ..example() };
        assert_eq!(absent.carried(), Err(ArtifactFault::Absent));
        let garbage = Model { artifact_base64: Some("no base64!".to_owned()), ..example() };
        assert!(matches!(garbage.carried(), Err(ArtifactFault::Base64(_))));
        let mut other = example();
        other.carry(b"abc").expect("three bytes fit");
        other.artifact_base64 = Some(STANDARD.encode(b"abd"));
        assert!(matches!(other.carried(), Err(ArtifactFault::Hash { .. })));
    }

    #[test]
    fn an_artifact_is_bounded_on_both_ways() {
        let mut model = example();
        model.carry(&vec![7; ARTIFACT_BYTES_MAX]).expect("the bound itself fits");
        assert!(model.to_json().len() < 1_000_000, "a record fits Kafka's default: {}", model.to_json().len());
        assert_eq!(model.carried().map(|bytes| bytes.len()), Ok(ARTIFACT_BYTES_MAX));
        let larger = vec![7; ARTIFACT_BYTES_MAX + 1];
        assert_eq!(model.carry(&larger), Err(ArtifactFault::TooLarge(larger.len())));
        model.artifact_base64 = Some(STANDARD.encode(&larger));
        assert_eq!(model.carried(), Err(ArtifactFault::TooLarge(larger.len())));
        model.artifact_base64 = Some(STANDARD.encode(vec![7; 2 * ARTIFACT_BYTES_MAX]));
        assert!(matches!(model.carried(), Err(ArtifactFault::TooLarge(_))), "without being decoded");
    }
}

//! What a training leaves beside its artifact: enough to do it again, and what came of it.

use std::collections::BTreeMap;

use forecast::lstm::Data;
use serde::{Deserialize, Serialize};

use super::RetrainSettings;
use super::verdict::Verdict;
use crate::synthesize::Synthesis;

/// The record of one training: the JSON beside its artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// SHA-256 of the artifact, in hexadecimal.
    pub sha256: String,
    /// What it was trained on, if that can be made again from a seed.
    pub synthetic: Option<Synthesis>,
    /// Files and folders that it was trained on, as they were named.
    pub read: Vec<String>,
    /// How.
    pub settings: RetrainSettings,
    /// The data that came of it.
    pub data: Data,
    /// Scores on held-out data, by name.
    pub scores: BTreeMap<String, f64>,
    /// Whom it was judged beside.
    pub against: String,
    /// The verdict.
    pub verdict: Verdict,
}

//! The global model that serves, and its answers to what was asked of it together.

use std::sync::Arc;

use ::forecast::lstm::{self, ArtifactError, Batch, LEVELS, Model, Weights};

use crate::models::{Champion, Swap};

/// Version of the cheap experts' code: a decision names what it rests on.
const EXPERTS_VERSION: &str = "experts-2";

/// What the shipped champion is called, before the digits of its hash.
const SHIPPED: &str = "shipped";

/// Who answers for the seat of the global model, if anybody.
pub(super) struct Serving {
    model: Option<Model>,
    versions: Versions,
    /// Whether anybody may.
    on: bool,
}

/// What forecasts and decisions call those who made them: the cheap experts alone, or with the model, since what leads is
/// blended with the others.
#[derive(Clone)]
pub(super) struct Versions {
    pub(super) experts: Arc<str>,
    pub(super) with_model: Arc<str>,
}

/// Answers, in the order of the questions.
pub(super) struct Answers {
    quantiles: Vec<[f64; LEVELS.len()]>,
    taken: usize,
    pub(super) versions: Versions,
}

impl Serving {
    /// The shipped champion, or nobody where the global model is off.
    pub(super) fn new(on: bool) -> Self {
        let versions = Versions { experts: EXPERTS_VERSION.into(), with_model: EXPERTS_VERSION.into() };
        let mut serving = Self { model: None, versions, on };
        serving.swap(None);
        serving
    }

    /// Lets another one serve. One that cannot be read leaves the seat as it is: ingest has tried every record, so only a shipped
    /// one of another build can be meant.
    pub(super) fn swap(&mut self, swap: Swap) {
        if !self.on {
            return;
        }
        let Champion { name, artifact } = swap.unwrap_or_else(shipped);
        match ready(&artifact) {
            Ok(model) => {
                self.model = Some(model);
                self.versions.with_model = format!("{EXPERTS_VERSION}+{name}").into();
            }
            Err(error) => tracing::error!(model = name, %error, "the model cannot be read and does not serve"),
        }
    }

    /// Where questions are gathered; none where nobody would answer.
    pub(super) fn questions(&self, step_ms: u64) -> Option<Batch> {
        self.model.as_ref().map(|_| Batch::new(step_ms))
    }

    /// Answers all at once.
    pub(super) fn answer(&self, questions: Option<Batch>) -> Answers {
        let asked = questions.filter(|questions| !questions.is_empty());
        let answered = self.model.as_ref().zip(asked).map(|(model, questions)| model.answer(&questions));
        Answers { quantiles: answered.unwrap_or_default(), taken: 0, versions: self.versions.clone() }
    }
}

impl Answers {
    /// The answers to the next questions.
    pub(super) fn next(&mut self, questions: usize) -> &[[f64; LEVELS.len()]] {
        let first = self.taken;
        self.taken += questions;
        &self.quantiles[first..self.taken]
    }
}

/// The champion that serves before any record does.
fn shipped() -> Champion {
    let name = schemas::model_name(SHIPPED, &schemas::sha256(lstm::SHIPPED));
    Champion { name, artifact: lstm::SHIPPED.to_vec() }
}

fn ready(artifact: &[u8]) -> Result<Model, ArtifactError> {
    Weights::from_bytes(artifact).map(|(weights, _)| Model::new(&weights))
}

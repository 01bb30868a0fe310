//! Retraining of the global model: series in; an artifact, its record and a verdict out.
//!
//! ```text
//! series ─► without opted-out tenants ─► split by time and workload ─► walk, asking questions ─┬─► training ─┐
//!                                                                                              ├─► validation ─► train ─► challenger
//!                                                                                              └─► held out ──────────────► verdict ◄─ champion
//! ```
//!
//! - [`split`]: what is never trained on. [`gather`]: examples. [`verdict`]: who wins.
//! - Tenants are not trusted: see [`forecast::lstm::train`]'s council for how much one of them may move.
//! - The same series, settings and champion give the same artifact to the byte, on processors of one kind.
//!
//! **Cost** on one of two busy cores: 20 µs a step of the series to walk them, then about 0.5 ms an example and step of training
//! at 48 units, and 40 µs a held-out example for each model that is scored.

pub mod gather;
pub mod record;
pub mod split;
pub mod verdict;

use std::collections::BTreeMap;

use forecast::lstm::input::INPUT_VERSION;
use forecast::lstm::{Card, Data, LEVELS, Look, Model, Score, TrainSettings, Weights, train};
use serde::{Deserialize, Serialize};

use crate::synthesize::Synthesis;
use crate::traces::Series;
use gather::{Gathered, Sizes, gather};
use record::Record;
use split::{Split, span_ms};
use verdict::Verdict;

/// How to retrain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrainSettings {
    /// The training itself.
    pub train: TrainSettings,
    /// How many examples.
    pub sizes: Sizes,
    /// Tenants who have opted out: nothing of theirs is trained on or judged by. They keep the experts that learn from their
    /// own series alone.
    pub without_tenants: Vec<String>,
}

/// Where the series come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// Made from a seed.
    pub synthetic: Option<Synthesis>,
    /// Files and folders.
    pub read: Vec<String>,
}

/// The model that serves now.
#[derive(Clone, Debug)]
pub struct Champion {
    /// How people know it.
    pub name: String,
    /// Its weights.
    pub weights: Weights,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Retrained {
    /// The artifact's bytes.
    pub artifact: Vec<u8>,
    /// Its record.
    pub record: Record,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// So many series were walked, of so many.
    Walked(usize, usize),
    /// A look at the validation examples.
    Looked(Look),
}

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// No examples of a part.
    #[error(
        "{series} series gave no {part} examples: a history of some days with several workloads is needed, or --synthetic SEED"
    )]
    NoExamples {
        /// Which.
        part: &'static str,
        /// How many series there were, without those of tenants who have opted out.
        series: usize,
    },
    /// Steps that the experts cannot use.
    #[error("a series cannot be walked: {0}")]
    Steps(#[from] forecast::SettingsError),
}

/// Trains a challenger and judges it beside the champion or, where there is none, the blend of the other experts.
///
/// # Errors
/// [`RetrainError`] when the series give nothing to train on or to judge by.
pub fn retrain(
    series: Vec<Series>,
    origin: &Origin,
    champion: Option<&Champion>,
    settings: &RetrainSettings,
    mut progress: impl FnMut(Progress),
) -> Result<Retrained, RetrainError> {
    let mut series = series;
    series.retain(|series| !settings.without_tenants.contains(&series.tenant));
    let split = Split::of(&series);
    let gathered = gather(&series, &split, &settings.sizes, settings.train.seed, |walked| {
        progress(Progress::Walked(walked, series.len()));
    })?;
    check(&gathered, series.len())?;
    let weights = train(&gathered.training, &gathered.validation, &settings.train, None, |look| {
        progress(Progress::Looked(*look));
        true
    });
    let data = data(&series, &gathered);
    let (scores, against, verdict) = judge(&gathered, &weights, champion);
    let card = Card {
        input_version: INPUT_VERSION,
        hidden: weights.hidden(),
        trained_on: trained_on(origin, &data),
        seed: settings.train.seed,
        settings: settings.train.clone(),
        data: data.clone(),
        scores: scores.clone(),
    };
    let artifact = weights.to_bytes(&card);
    let record = Record {
        sha256: schemas::sha256(&artifact),
        synthetic: origin.synthetic,
        read: origin.read.clone(),
        settings: settings.clone(),
        data,
        scores,
        against,
        verdict,
    };
    Ok(Retrained { artifact, record })
}

fn check(gathered: &Gathered, series: usize) -> Result<(), RetrainError> {
    let parts =
        [("training", &gathered.training), ("validation", &gathered.validation), ("held-out", &gathered.held_out)];
    match parts.into_iter().find(|(_, examples)| examples.is_empty()) {
        Some((part, _)) => Err(RetrainError::NoExamples { part, series }),
        None => Ok(()),
    }
}

/// Scores of the challenger by name, whom it is judged beside, and the verdict. The scores do not depend on the champion, so
/// that the artifact, which carries them, does not either.
fn judge(
    gathered: &Gathered,
    weights: &Weights,
    champion: Option<&Champion>,
) -> (BTreeMap<String, f64>, String, Verdict) {
    let held_out = &gathered.held_out;
    let challenger = held_out.scores(&Model::new(weights));
    let blend = held_out.scores_of_the_blend();
    let (against, holder) = match champion {
        Some(champion) => (champion.name.clone(), held_out.scores(&Model::new(&champion.weights))),
        None => ("the blend of the other experts".to_owned(), blend.clone()),
    };
    let verdict = Verdict::of(&gathered.about, &challenger, &holder, &against);
    let beside_blend = Verdict::of(&gathered.about, &challenger, &blend, "the blend");
    let mut scores = BTreeMap::from([
        ("loss".to_owned(), verdict.all.challenger),
        ("loss_of_blend".to_owned(), beside_blend.all.champion),
    ]);
    for (at, level) in LEVELS.iter().enumerate() {
        scores.insert(format!("coverage_{:.0}", 100.0 * level), coverage(&challenger, at));
    }
    (scores, against, verdict)
}

/// The share of truths at or below the quantile of this level.
fn coverage(scores: &[Score], level: usize) -> f64 {
    scores.iter().filter(|score| score.covered[level]).count() as f64 / scores.len() as f64
}

fn data(series: &[Series], gathered: &Gathered) -> Data {
    let spans = series.iter().map(span_ms);
    let [from_ms, to_ms] = spans.fold([u64::MAX, 0], |[from, to], span| [from.min(span[0]), to.max(span[1])]);
    Data {
        from_ms,
        to_ms,
        sha256: hash(series),
        series: series.len(),
        examples: gathered.training.len(),
        validation: gathered.validation.len(),
        held_out: gathered.held_out.len(),
    }
}

/// SHA-256 over the series in the order of their names: every value by its bits, a missing one by bits that no reading has.
fn hash(series: &[Series]) -> String {
    let mut ordered: Vec<&Series> = series.iter().collect();
    ordered.sort_by(|a, b| (&a.trace, &a.name).cmp(&(&b.trace, &b.name)));
    let bits = |value: &Option<f64>| value.map_or(u64::MAX, f64::to_bits).to_le_bytes();
    let mut digests = String::new();
    for one in ordered {
        let head = format!("{}\0{}\0{}\0{}\0", one.trace, one.tenant, one.name, one.step_ms);
        let mut bytes = head.into_bytes();
        bytes.extend(one.first_step.to_le_bytes());
        bytes.extend(one.values.iter().chain(&one.shadow).flat_map(bits));
        bytes.extend(bits(&one.limit));
        digests.push_str(&schemas::sha256(&bytes));
    }
    schemas::sha256(digests.as_bytes())
}

fn trained_on(origin: &Origin, data: &Data) -> String {
    let source = match &origin.synthetic {
        Some(made) => format!("{} synthetic workloads of seed {}", made.workloads, made.seed),
        None => origin.read.join(", "),
    };
    format!("{} series, {} examples: {source}", data.series, data.examples)
}

#[cfg(test)]
mod tests;

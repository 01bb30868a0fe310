//! The Numenta Anomaly Benchmark: every file of a checkout streamed once through the product's detector, scored by the
//! benchmark's rule.
//!
//! The detector is [`anomaly::JointNovelty`] with its defaults. It is told what the benchmark tells every detector: which
//! first rows are probation, and those are its learning period. It sees no label, and nothing is chosen per file; the one
//! threshold of a profile is the best over the whole corpus, as the benchmark's own optimizer picks it.

mod corpus;
mod results;
mod rule;

use std::path::Path;

use anomaly::{JointNovelty, NoveltySettings};
use anyhow::Context;
use serde::Serialize;

pub use corpus::{Corpus, File, Row, Window};
pub use results::DETECTOR;
pub use rule::{Operating, PROFILES, Profile, Scored, probation, score_at, sweep};

/// The least learning period of the detector.
const LEARNING_STEPS_MIN: u32 = 10;

/// Scores are told in steps of a billionth: readers of CSV that are not exact to the last bit read these as they are.
const SCORE_STEPS: f64 = 1e9;

/// One line of the verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// `all` files, or only those of `cloud` resources.
    pub set: &'static str,
    /// The profile of costs: `standard`, `reward_low_fp` or `reward_low_fn`.
    pub profile: &'static str,
    /// 100 for a perfect detector, 0 for one that says nothing.
    pub score: f64,
    /// What a score has to reach to be a detection: the best for the profile over all files.
    pub threshold: f64,
    /// Files of the set.
    pub files: usize,
    /// Rows of those files that reach the threshold, probation left out.
    pub detections: usize,
}

/// Streams a corpus, writes its result files below `results`, and says how it scored.
///
/// # Errors
/// If the corpus cannot be read, a file of it is not as it should be, or a result cannot be written.
pub fn evaluate(nab: &Path, results: &Path) -> anyhow::Result<Vec<Verdict>> {
    let corpus = Corpus::read(nab)?;
    let mut scored = Vec::with_capacity(corpus.files.len());
    for file in &corpus.files {
        let scores = stream(file);
        results::write(results, file, &scores).with_context(|| format!("the results of {}", file.name))?;
        scored.push(Scored::new(file, &scores));
    }
    Ok(verdicts(&scored))
}

/// The scores of a file's rows, in 0 to 1, each from what came before it alone.
#[must_use]
pub fn stream(file: &File) -> Vec<f64> {
    let learning_steps = (probation(file.rows.len()) as u32).max(LEARNING_STEPS_MIN);
    let mut detector = JointNovelty::new(NoveltySettings { learning_steps, ..NoveltySettings::default() }, &[0]);
    let score = |row: &Row| {
        let score = detector.observe(&[Some(row.value)]).score;
        (SCORE_STEPS * score / (1.0 + score)).round() / SCORE_STEPS
    };
    file.rows.iter().map(score).collect()
}

fn verdicts(scored: &[Scored]) -> Vec<Verdict> {
    let all: Vec<&Scored> = scored.iter().collect();
    let cloud: Vec<&Scored> = scored.iter().filter(|file| file.cloud).collect();
    let both = |profile: &Profile| {
        let threshold = sweep(&all, profile).threshold;
        [("all", &all), ("cloud", &cloud)].map(|(set, files)| {
            let Operating { score, detections, .. } = score_at(files, profile, threshold);
            Verdict { set, profile: profile.name, score, threshold, files: files.len(), detections }
        })
    };
    PROFILES.iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests;

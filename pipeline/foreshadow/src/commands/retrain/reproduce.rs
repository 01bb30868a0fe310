//! Training once more what a record says, and what differs.

use std::path::Path;

use jobs::retrain::Origin;
use jobs::retrain::record::Record;
use jobs::synthesize::synthesize;

use super::{record_of, train};
use crate::output;

/// Trains again and compares.
///
/// # Errors
/// A record of data that no seed makes, and a training that ends elsewhere.
pub(super) fn run(artifact: &Path) -> anyhow::Result<()> {
    let record = record_of(artifact)?;
    let Some(made) = record.synthetic else {
        anyhow::bail!(
            "{} was trained on {}: what no seed makes is trained again with the command that trained it",
            artifact.display(),
            record.read.join(", ")
        );
    };
    let origin = Origin { synthetic: Some(made), read: Vec::new() };
    let again = train(synthesize(&made), &origin, None, &record.settings)?.record;
    let told = compare(&record, &again);
    match told {
        Ok(same) => output::to_stdout(|out| Ok(writeln!(out, "{same}")?)),
        Err(differs) => anyhow::bail!("{differs}"),
    }
}

/// What is the same, or what is not.
fn compare(before: &Record, again: &Record) -> Result<String, String> {
    let scores: Vec<String> = before.scores.iter().map(|(name, score)| format!("{name} {score:.6}")).collect();
    if before.sha256 == again.sha256 {
        return Ok(format!("reproduced, byte for byte: {}\n{}", before.sha256, scores.join(", ")));
    }
    if before.data.sha256 != again.data.sha256 {
        return Err(format!("the data differ: {} before, {} now", before.data.sha256, again.data.sha256));
    }
    let differ = |(name, score): (&String, &f64)| {
        let now = again.scores.get(name).copied().unwrap_or(f64::NAN);
        (format!("{now:.6}") != format!("{score:.6}")).then(|| format!("{name} was {score:.6} and is {now:.6}"))
    };
    let differences: Vec<String> = before.scores.iter().filter_map(differ).collect();
    if differences.is_empty() {
        return Ok(format!("reproduced with the same scores, other bytes: {}", scores.join(", ")));
    }
    Err(format!(
        "the same data gave other scores: {}; this processor's sums are rounded otherwise, or the training has changed",
        differences.join(", ")
    ))
}

//! A walk over series: each is told to an ensemble step by step, as the pipeline would, and whoever walks along may look at what is
//! said before the next step is known.

use forecast::lstm::{About, Batch, Model};
use forecast::{Ensemble, EnsembleSettings, SettingsError};

use crate::traces::Series;

/// Series that walk abreast, so that the network answers for many at once: two tiles of the widest vectors.
pub const ABREAST: usize = 64;

/// What is seen on the way.
pub struct Sight<'a> {
    /// Number of the series among those that walk.
    pub series: usize,
    /// The step from its beginning; everything up to it is known.
    pub at: usize,
    /// The series' ensemble, which has observed the step and heard the network about it.
    pub ensemble: &'a Ensemble,
}

/// Walks over all series, [`ABREAST`] at a time. They must have steps of one length.
///
/// # Errors
/// Settings that are out of range.
pub fn walk(
    series: &[&Series],
    settings: &EnsembleSettings,
    model: Option<&Model>,
    mut look: impl FnMut(Sight<'_>),
) -> Result<(), SettingsError> {
    for (chunk, abreast) in series.chunks(ABREAST).enumerate() {
        let mut ensembles = Vec::new();
        for series in abreast {
            let first_bucket = series.first_bucket();
            ensembles.push(Ensemble::new(EnsembleSettings { first_bucket, ..settings.clone() })?);
        }
        let steps = abreast.iter().map(|series| series.values.len()).max().unwrap_or_default();
        for at in 0..steps {
            step(abreast, &mut ensembles, at, model);
            for (number, (series, ensemble)) in abreast.iter().zip(&ensembles).enumerate() {
                if at < series.values.len() {
                    look(Sight { series: chunk * ABREAST + number, at, ensemble });
                }
            }
        }
    }
    Ok(())
}

fn step(series: &[&Series], ensembles: &mut [Ensemble], at: usize, model: Option<&Model>) {
    let mut batch = Batch::new(series[0].step_ms);
    let mut asked = Vec::with_capacity(series.len());
    for (series, ensemble) in series.iter().zip(&mut *ensembles) {
        let Some(value) = series.values.get(at) else {
            asked.push(0);
            continue;
        };
        let shadow = series.shadow.get(at).copied().flatten();
        ensemble.observe_beside(series.first_step + at as u64, *value, shadow);
        let about = About { measure: series.measure, limit: series.limit };
        asked.push(if model.is_some() { ensemble.ask(&mut batch, &about) } else { 0 });
    }
    let Some(model) = model.filter(|_| !batch.is_empty()) else { return };
    let answers = model.answer(&batch);
    let mut answers = answers.as_slice();
    for (ensemble, asked) in ensembles.iter_mut().zip(asked) {
        let (own, rest) = answers.split_at(asked);
        ensemble.hear(own);
        answers = rest;
    }
}

#[cfg(test)]
mod tests {
    use forecast::lstm::Weights;

    use super::*;
    use crate::fixtures;

    const STEPS: usize = 400;

    fn series(first_step: u64, changed_from: usize) -> Series {
        let value = |step: usize| (step * 7 % 11) as f64 + if step < changed_from { 0.0 } else { 50.0 };
        let values = (0..STEPS).map(|step| Some(value(step))).collect();
        Series { first_step, ..fixtures::series(300_000, values) }
    }

    /// What is said at each step, by series.
    fn said(series: &[&Series]) -> Vec<Vec<f64>> {
        let model = Model::new(&Weights::random(8, 1));
        let settings = EnsembleSettings { step_ms: 300_000, horizons_steps: vec![3], ..EnsembleSettings::default() };
        let mut said = vec![Vec::new(); series.len()];
        walk(series, &settings, Some(&model), |sight| {
            let prediction = sight.ensemble.forecast(3, 0.95).expect("demand is known from the first step on");
            said[sight.series].push(prediction.calibrated);
        })
        .expect("settings are in range");
        said
    }

    #[test]
    fn nothing_of_the_future_is_known() {
        let (plain, changed) = (series(5, STEPS), series(5, 300));
        let said = said(&[&plain, &changed]);
        assert_eq!(said[0][..300], said[1][..300]);
        assert_ne!(said[0][300], said[1][300]);
    }

    #[test]
    fn who_walks_beside_does_not_matter() {
        let (one, other) = (series(5, 300), series(77, 200));
        let beside = said(&[&other, &one]);
        assert_eq!(said(&[&one])[0], beside[1]);
    }
}

//! How well forecasts do on traces: rolling origin, the last part of each series as the test.
//!
//! Each series is told to an [`Ensemble`] from its first step on, as the pipeline would; from the start of the test on, what is said at
//! every few steps about the value at each horizon is held to the value that came. Nothing but the past is ever known. A
//! series is left out, and counted, if its first part idles, hardly varies, or the series has too many gaps.
//!
//! | row | what answers |
//! |---|---|
//! | `ensemble` | the gated, calibrated blend: what the pipeline uses |
//! | `ensemble.uncalibrated` | the same without conformal calibration |
//! | `ensemble.leader` | the leading voice alone, without blending |
//! | `ensemble.even` | the mean of all voices, whatever they have lost: without the gate |
//! | `persistence`, `linear`, … | one expert with quantiles of its own recent misses; `.volatility` where these are told in units of the series' recent changes |
//! | `percentile` | no forecast: the 0.9 and 0.95 quantiles of a decaying histogram and 15 %, as the Kubernetes VPA recommends |
//! | `lstm` | the network as it stands |

use std::borrow::Cow;
use std::num::NonZero;
use std::thread;

use forecast::histogram::HALF_LIFE_MS;
use forecast::lstm::Model;
use forecast::{Aim, DecayingHistogram, Ensemble, EnsembleSettings, SettingsError};
use serde::Serialize;

use super::scores::{Errors, SCORED, Scored, Scores};
use crate::traces::Series;
use crate::walk::{ABREAST, Sight, walk};

/// Horizons that are looked at, where the step is not longer: 1, 5, 15, 60 min.
pub const HORIZONS_MS: [u64; 4] = [60_000, 300_000, 900_000, 3_600_000];

/// Tenths of a series before its test.
const FIRST_TENTHS: usize = 7;

/// A series with more missing steps is left out.
const GAPS_MAX: f64 = 0.1;

/// A series whose first part varies less, beside its mean, is left out.
const VARIATION_LEAST: f64 = 0.02;

/// Width of a histogram's first bucket beside the largest value: its last bucket begins there.
const FINEST: f64 = 1e-5;

/// A day, the season of the scale of errors, and how far shifts of the level that are put in lie apart.
const DAY_MS: u64 = 86_400_000;

/// Steps after a shift of the level at which it should be got over; as many are looked at.
const RECOVERY_STEPS: usize = 28;

/// What is evaluated.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// At most so many origins of a series are scored at each horizon, evenly spread.
    pub origins_max: usize,
    /// The quantile that experts are chosen and calibrated at.
    pub target: f64,
    /// Only rows whose expert is named here; all where empty.
    pub experts: Vec<String>,
    /// A factor by which each series' level shifts at the start of its test and every day from then on, up and back in turn.
    pub level_shift: Option<f64>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { origins_max: 400, target: 0.95, experts: Vec::new(), level_shift: None }
    }
}

/// The scores of an expert at a horizon of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The trace, with the reading where it has several.
    pub trace: String,
    /// Who answered.
    pub expert: String,
    /// How far ahead, in seconds.
    pub horizon_s: f64,
    /// Length of a step, in seconds.
    pub step_s: f64,
    /// Series that were scored.
    pub series: usize,
    /// Series that were left out.
    pub series_left_out: usize,
    /// The scores.
    #[serde(flatten)]
    pub scored: Scored,
}

/// Evaluates the series of one trace, which have steps of one length.
///
/// # Errors
/// Settings that are out of range.
pub fn evaluate(series: &[Series], evaluation: &Evaluation, model: Option<&Model>) -> Result<Vec<Row>, SettingsError> {
    let Some(first) = series.first() else { return Ok(Vec::new()) };
    let step_ms = first.step_ms;
    let horizons: Vec<u32> =
        HORIZONS_MS.iter().filter(|horizon| **horizon >= step_ms).map(|horizon| (horizon / step_ms) as u32).collect();
    let usable: Vec<Cow<'_, Series>> = series
        .iter()
        .filter(|series| is_usable(series))
        .map(|series| {
            evaluation.level_shift.map_or(Cow::Borrowed(series), |factor| Cow::Owned(shifted(series, factor)))
        })
        .collect();
    let usable: Vec<&Series> = usable.iter().map(AsRef::as_ref).collect();
    let settings = EnsembleSettings {
        horizons_steps: horizons.clone(),
        aim: Aim::Value,
        target: evaluation.target,
        step_ms,
        ..EnsembleSettings::default()
    };
    let tables = shared_out(&usable, |share| {
        let mut table = Table::new(share, &horizons, evaluation);
        walk(share, &settings, model, |sight| table.see(&sight))?;
        Ok(table.closed())
    })?;
    let mut table: Vec<(String, Vec<Scores>)> = Vec::new();
    tables.into_iter().for_each(|other| merge(&mut table, other));
    let left_out = series.len() - usable.len();
    let row = |expert: &str, at: usize, scores: Scores| {
        scores.scored().map(|scored| Row {
            trace: first.trace.clone(),
            expert: expert.to_owned(),
            horizon_s: f64::from(horizons[at]) * step_ms as f64 / 1000.0,
            step_s: step_ms as f64 / 1000.0,
            series: usable.len(),
            series_left_out: left_out,
            scored,
        })
    };
    let rows = table.into_iter().flat_map(|(expert, scores)| {
        scores.into_iter().enumerate().filter_map(|(at, scores)| row(&expert, at, scores)).collect::<Vec<_>>()
    });
    Ok(rows.collect())
}

/// Whether a series is worth a forecast.
fn is_usable(series: &Series) -> bool {
    let observed = series.values.iter().flatten().count();
    let known: Vec<f64> = series.values[..first_part(series)].iter().flatten().copied().collect();
    let count = known.len() as f64;
    let mean = known.iter().sum::<f64>() / count;
    let variance = known.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    let gaps = 1.0 - observed as f64 / series.values.len() as f64;
    gaps <= GAPS_MAX && mean > 0.0 && variance.sqrt() >= VARIATION_LEAST * mean
}

fn first_part(series: &Series) -> usize {
    series.values.len() * FIRST_TENTHS / 10
}

/// The series with a level that shifts every day of its test, by a factor and back.
fn shifted(series: &Series, factor: f64) -> Series {
    let (from, day) = (first_part(series), (DAY_MS / series.step_ms) as usize);
    let mut series = series.clone();
    // The shadow has its share of the same load.
    for values in [&mut series.values, &mut series.shadow] {
        let after = values.get_mut(from..).unwrap_or_default();
        after.chunks_mut(day.max(1)).step_by(2).flatten().flatten().for_each(|value| *value *= factor);
    }
    series
}

/// Walks shares of the series on a thread each; results come in the order of the series, whatever the number of threads.
fn shared_out<T: Send>(
    series: &[&Series],
    job: impl Fn(&[&Series]) -> Result<T, SettingsError> + Sync,
) -> Result<Vec<T>, SettingsError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = series.len().div_ceil(threads).next_multiple_of(ABREAST).max(1);
    thread::scope(|scope| {
        let shares: Vec<_> = series.chunks(share).map(|share| scope.spawn(|| job(share))).collect();
        shares.into_iter().map(|share| share.join().expect("a job does not panic")).collect()
    })
}

/// Scores by expert, then by horizon, in the order in which experts first spoke.
struct Table<'a> {
    series: &'a [&'a Series],
    horizons: &'a [u32],
    evaluation: &'a Evaluation,
    scores: Vec<(String, Vec<Scores>)>,
    /// By series: what has been seen of it.
    histograms: Vec<DecayingHistogram>,
    /// By series, then as `scores`.
    errors: Vec<Vec<Vec<Errors>>>,
}

impl<'a> Table<'a> {
    fn new(series: &'a [&'a Series], horizons: &'a [u32], evaluation: &'a Evaluation) -> Self {
        let histograms = series.iter().map(|series| histogram(series)).collect();
        Self { series, horizons, evaluation, scores: Vec::new(), histograms, errors: vec![Vec::new(); series.len()] }
    }

    fn see(&mut self, sight: &Sight<'_>) {
        let series = self.series[sight.series];
        if let Some(value) = series.values[sight.at] {
            self.histograms[sight.series].add(sight.at as u64, value, 1.0);
        }
        let from = first_part(series);
        let every = (series.values.len() - from).div_ceil(self.evaluation.origins_max).max(1);
        if sight.at < from || !(sight.at - from).is_multiple_of(every) || series.values[sight.at].is_none() {
            return;
        }
        for (at, &horizon) in self.horizons.iter().enumerate() {
            let Some(truth) = series.values.get(sight.at + horizon as usize).copied().flatten() else { continue };
            let recovered = self.has_recovered(sight, horizon);
            let percentiles = percentiles(&self.histograms[sight.series]).map(|quantiles| ("percentile", quantiles));
            for (expert, quantiles) in said(sight.ensemble, horizon).into_iter().chain(percentiles) {
                self.score((expert, at), sight.series, (quantiles, truth), recovered);
            }
        }
    }

    /// Whether a shift of the level lies as far behind an origin as it should take to be got over, and none ahead of it.
    fn has_recovered(&self, sight: &Sight<'_>, horizon: u32) -> bool {
        let series = self.series[sight.series];
        let day = (DAY_MS / series.step_ms) as usize;
        let age = (sight.at - first_part(series)) % day.max(1);
        let recovers = (RECOVERY_STEPS..2 * RECOVERY_STEPS).contains(&age) && age + (horizon as usize) < day;
        self.evaluation.level_shift.is_some() && recovers
    }

    /// Scores what an expert said about a horizon of a series, beside what came.
    fn score(
        &mut self,
        (expert, at): (&str, usize),
        series: usize,
        (quantiles, truth): ([f64; SCORED.len()], f64),
        recovered: bool,
    ) {
        let named = &self.evaluation.experts;
        if !named.is_empty() && !named.iter().any(|name| name == expert) {
            return;
        }
        let row = self.scores.iter().position(|(known, _)| known == expert).unwrap_or_else(|| {
            self.scores.push((expert.to_owned(), vec![Scores::default(); self.horizons.len()]));
            self.scores.len() - 1
        });
        let errors = &mut self.errors[series];
        errors.resize(errors.len().max(row + 1), vec![Errors::default(); self.horizons.len()]);
        let scores = &mut self.scores[row].1[at];
        scores.add(quantiles, truth, &mut errors[row][at]);
        if recovered {
            scores.note_recovered(quantiles, truth);
        }
    }

    fn closed(mut self) -> Vec<(String, Vec<Scores>)> {
        for (series, errors) in self.series.iter().zip(&self.errors) {
            let scale = scale(series);
            for (row, errors) in errors.iter().enumerate() {
                errors.iter().enumerate().for_each(|(at, errors)| self.scores[row].1[at].close(errors, scale));
            }
        }
        self.scores
    }
}

fn merge(table: &mut Vec<(String, Vec<Scores>)>, other: Vec<(String, Vec<Scores>)>) {
    for (expert, scores) in other {
        match table.iter_mut().find(|(known, _)| *known == expert) {
            Some((_, known)) => known.iter_mut().zip(scores).for_each(|(known, scores)| known.merge(scores)),
            None => table.push((expert, scores)),
        }
    }
}

/// What everybody says about a horizon, at the levels that are scored.
fn said(ensemble: &Ensemble, horizon: u32) -> Vec<(&'static str, [f64; SCORED.len()])> {
    let each = |answer: &dyn Fn(f64) -> Option<f64>| {
        let mut quantiles = [0.0; SCORED.len()];
        for (quantile, level) in quantiles.iter_mut().zip(SCORED) {
            *quantile = answer(level)?;
        }
        Some(quantiles)
    };
    let voices = SCORED.map(|level| ensemble.voices(horizon, level));
    let leader = ensemble.leading_voice(horizon);
    let mut all = Vec::with_capacity(voices[0].len() + 4);
    let even = |level: &Vec<(&str, f64)>| {
        (!level.is_empty()).then(|| level.iter().map(|(_, quantile)| quantile).sum::<f64>() / level.len() as f64)
    };
    let answers = [
        ("ensemble", each(&|level| ensemble.forecast(horizon, level).map(|prediction| prediction.calibrated))),
        ("ensemble.uncalibrated", each(&|level| ensemble.uncalibrated(horizon, level))),
        ("ensemble.even", {
            let [median, high, highest] = voices.each_ref().map(even);
            median.zip(high).zip(highest).map(|((median, high), highest)| [median, high, highest])
        }),
    ];
    all.extend(answers.into_iter().filter_map(|(expert, quantiles)| Some((expert, quantiles?))));
    for (at, (voice, _)) in voices[0].iter().enumerate() {
        let quantiles = std::array::from_fn(|level| voices[level][at].1);
        all.push((voice, quantiles));
        if leader == Some(voice) {
            all.push(("ensemble.leader", quantiles));
        }
    }
    all
}

/// The decaying histogram of a series' values, fine enough for its largest: the recommender knows the scale of what it watches.
fn histogram(series: &Series) -> DecayingHistogram {
    let largest = series.values.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let half_life_steps = (HALF_LIFE_MS / series.step_ms).max(1);
    DecayingHistogram::new(largest * FINEST, half_life_steps)
}

/// What the Kubernetes VPA makes of a percentile: 15 % more, but of the median, which is no capacity.
fn percentiles(histogram: &DecayingHistogram) -> Option<[f64; SCORED.len()]> {
    const MARGIN: f64 = 1.15;
    let [median, high, highest] = SCORED.map(|level| histogram.percentile(level));
    Some([median?, MARGIN * high?, MARGIN * highest?])
}

/// The scale of a series' errors: the mean change over a day in its first part where that has two, else over a step.
fn scale(series: &Series) -> Option<f64> {
    let known = &series.values[..first_part(series)];
    let day = (DAY_MS / series.step_ms) as usize;
    let lag = if known.len() >= 2 * day { day } else { 1 };
    let changes = known.iter().zip(known.get(lag..)?).filter_map(|(then, now)| Some(((*now)? - (*then)?).abs()));
    let (sum, count) = changes.fold((0.0, 0_u32), |(sum, count), change| (sum + change, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fixtures;

    fn series(values: Vec<Option<f64>>) -> Series {
        fixtures::series(300_000, values)
    }

    #[test]
    fn a_saw_is_known_to_whoever_knows_the_day() {
        // Ten days of a saw with a tooth of an hour, which persistence misses by 1 a step but once.
        let saw = series((0..2880).map(|step| Some(f64::from(step % 12))).collect());
        let every = Evaluation { origins_max: 10_000, ..Evaluation::default() };
        let rows = evaluate(&[saw], &every, None).expect("settings are in range");
        let wape = |expert: &str| {
            rows.iter().find(|row| row.expert == expert && row.horizon_s == 300.0).map(|row| row.scored.wape)
        };
        assert!(wape("seasonal_day").is_some_and(|wape| wape < 1e-9));
        // |y - last| is 1 eleven times in twelve and 11 once: 22 / 12; the mean is 5.5. The median of its misses, 1, is taken
        // off: 12 / 12 / 5.5.
        assert!(
            wape("persistence").is_some_and(|wape| (wape - 12.0 / 12.0 / 5.5).abs() < 0.02),
            "{:?}",
            wape("persistence")
        );
        assert!(wape("ensemble").is_some_and(|wape| wape < 1e-6));
    }

    #[test]
    fn a_level_shifts_every_other_day_of_the_test() {
        let shifted = shifted(&series(vec![Some(1.0); 2880]), 3.0);
        // The test begins at 2016, in the middle of nothing; a day has 288 steps.
        let level = |at: usize| shifted.values[at];
        assert_eq!([2015, 2016, 2303, 2304, 2591, 2592].map(level), [1.0, 3.0, 3.0, 1.0, 1.0, 3.0].map(Some));
    }

    #[test]
    fn what_is_said_once_a_shift_should_be_got_over_is_looked_at_apart() {
        // Nobody forecasts ten times the level, and from its third step on everybody knows it.
        let steady = || series((0..2880).map(|step| Some(10.0 + f64::from(step * 7 % 5))).collect());
        let rows = |level_shift: Option<f64>| {
            let evaluation = Evaluation { origins_max: 10_000, level_shift, ..Evaluation::default() };
            evaluate(&[steady()], &evaluation, None).expect("settings are in range")
        };
        assert!(rows(None).iter().all(|row| row.scored.coverage95_recovered.is_none()));
        let shifted = rows(Some(10.0));
        let row = shifted.iter().find(|row| row.expert == "persistence" && row.horizon_s == 300.0).expect("a row");
        let (whole, recovered) = (row.scored.coverage95, row.scored.coverage95_recovered.expect("some origins"));
        assert!(recovered > 0.9, "{recovered} of all {whole}");
    }

    #[test]
    fn a_row_has_the_names_that_others_read() {
        let saw = series((0..2880).map(|step| Some(f64::from(step % 12))).collect());
        let rows = evaluate(&[saw], &Evaluation::default(), None).expect("settings are in range");
        let row = rows.iter().find(|row| row.expert == "ensemble").expect("the whole is told");
        let row = serde_json::to_value(row).expect("a row is plain data");
        let names = [
            "trace",
            "expert",
            "horizon_s",
            "step_s",
            "series",
            "series_left_out",
            "origins",
            "mase_median",
            "wape",
            "wql50",
            "wql90",
            "wql95",
            "coverage90",
            "coverage95",
            "under_share",
            "slack",
            "slack_at_5",
            "slack_at_1",
        ];
        let found: BTreeSet<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(found, BTreeSet::from(names));
    }

    #[test]
    fn what_idles_or_stands_still_is_left_out() {
        assert!(!is_usable(&series(vec![Some(0.0); 100])));
        assert!(!is_usable(&series(vec![Some(5.0); 100])));
        let mut gaps = [Some(1.0), Some(2.0)].repeat(50);
        assert!(is_usable(&series(gaps.clone())));
        gaps[..11].fill(None);
        assert!(!is_usable(&series(gaps)));
    }
}

//! From series to examples: each series is walked once, as the pipeline would meet it, and questions are asked on the way.
//!
//! A question is asked with what was known by then and nothing else: the experts and their misses are those of an
//! [`Ensemble`] that has seen the steps before. Whether a series is asked for peaks or for values follows from the seed; so do
//! the two horizons that are asked about at an origin.
//!
//! Bounds: so many examples for each part of the split, [`Sizes`], dealt evenly over the series, and no more than
//! [`ORIGINS_MAX`] origins of one series in one part. **Cost**: 20 µs a step for the walk, 2 kB an example.

use forecast::lstm::{About as Told, Examples, Measure};
use forecast::settings::{MAX_HORIZON_STEPS, MAX_HORIZONS};
use forecast::{Aim, Ensemble, EnsembleSettings};
use plant::noise;
use serde::{Deserialize, Serialize};

use super::split::{Cuts, Part, Split};
use super::verdict::About;
use crate::traces::Series;

/// What is asked about, where the steps allow: the shortest decision, the usual one, a slow one, and the hour ahead.
const HORIZONS_MS: [u64; MAX_HORIZONS] = [60_000, 300_000, 900_000, 3_600_000];

/// Most origins of a series in one part: neighbours in time say nearly the same.
pub const ORIGINS_MAX: usize = 400;

/// Questions at an origin.
const QUESTIONS: usize = 2;

/// Stream of the toss that decides what a series is asked for.
const ASKED_FOR: u64 = 1 << 32;

/// No question before so many steps: a window with less in it is all mask.
const STEPS_LEAST: usize = 12;

/// How many examples are gathered at most, by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// To learn from.
    pub training: usize,
    /// To see when to stop: each look at them takes 40 µs an example.
    pub validation: usize,
    /// To be judged by.
    pub held_out: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { training: 60_000, validation: 8_000, held_out: 16_000 }
    }
}

/// The examples of all parts.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// To learn from.
    pub training: Examples,
    /// To see when to stop.
    pub validation: Examples,
    /// To be judged by.
    pub held_out: Examples,
    /// What each held-out example is about.
    pub about: Vec<About>,
}

/// Horizons in steps for a series of such steps: different ones, the shortest at least a step.
pub fn horizons(step_ms: u64) -> Vec<u32> {
    let steps = HORIZONS_MS.iter().filter_map(|horizon| u32::try_from(horizon / step_ms).ok());
    let mut steps: Vec<u32> = steps.map(|steps| steps.clamp(1, MAX_HORIZON_STEPS)).collect();
    steps.dedup();
    steps
}

/// Walks all series. `tenants` numbers them for the council; `walked` is told after each series.
///
/// # Errors
/// A series whose steps do not divide a day, by its name.
pub fn gather(
    series: &[Series],
    split: &Split,
    sizes: &Sizes,
    seed: u64,
    mut walked: impl FnMut(usize),
) -> Result<Gathered, forecast::SettingsError> {
    let mut gathered = Gathered::default();
    let mut tenants: Vec<&str> = series.iter().map(|series| series.tenant.as_str()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let cuts: Vec<Cuts> = series.iter().map(|series| split.cuts(series)).collect();
    let origins = origins(series, &cuts, sizes);
    for (at, one) in series.iter().enumerate() {
        let tenant = tenants.binary_search(&one.tenant.as_str()).expect("the list was made of all tenants");
        let seed = noise::workload_seed(seed, &format!("{} {}", one.trace, one.name));
        let walk = Walk { series: one, cuts: cuts[at], tenant: tenant as u32, seed };
        walk.go(&walk.plan(&origins), &mut gathered)?;
        walked(at + 1);
    }
    Ok(gathered)
}

/// Origins of a series in each part, at most: the examples are dealt over the series that have steps of it.
fn origins(series: &[Series], cuts: &[Cuts], sizes: &Sizes) -> [(Part, usize); 3] {
    let parts =
        [(Part::Training, sizes.training), (Part::Validation, sizes.validation), (Part::HeldOut, sizes.held_out)];
    parts.map(|(part, size)| {
        let has_some = |(series, cuts): &(&Series, &Cuts)| cuts.steps(part, steps(series)) > 0;
        let sharing = series.iter().zip(cuts).filter(has_some).count();
        (part, (size / (QUESTIONS * sharing.max(1))).clamp(1, ORIGINS_MAX))
    })
}

fn steps(series: &Series) -> std::ops::Range<u64> {
    series.first_step..series.first_step + series.values.len() as u64
}

struct Walk<'a> {
    series: &'a Series,
    cuts: Cuts,
    tenant: u32,
    seed: u64,
}

/// An origin is every so many steps, by part; none where a part has no steps.
type Plan = [(Part, Option<usize>); 3];

impl Walk<'_> {
    /// The origins of this series, spread over each part's steps.
    fn plan(&self, origins: &[(Part, usize); 3]) -> Plan {
        origins.map(|(part, origins)| {
            let steps = self.cuts.steps(part, steps(self.series)) as usize;
            (part, Some(steps.div_ceil(origins)).filter(|every| *every > 0))
        })
    }

    fn go(&self, plan: &Plan, gathered: &mut Gathered) -> Result<(), forecast::SettingsError> {
        let Series { values, shadow, step_ms, first_step, limit, measure, .. } = self.series;
        let horizons_steps = horizons(*step_ms);
        let settings = EnsembleSettings {
            horizons_steps: horizons_steps.clone(),
            aim: self.aim(),
            step_ms: *step_ms,
            first_bucket: self.series.first_bucket(),
            ..EnsembleSettings::default()
        };
        let mut ensemble = Ensemble::new(settings)?;
        let told = Told { measure: *measure, limit: *limit };
        for (at, value) in values.iter().enumerate() {
            let step = first_step + at as u64;
            ensemble.observe_beside(step, *value, shadow.get(at).copied().flatten());
            let due = |(_, every): &(Part, Option<usize>)| every.is_some_and(|every| self.is_origin(step, every));
            if at < STEPS_LEAST || value.is_none() || !plan.iter().any(due) {
                continue;
            }
            for question in 0..QUESTIONS {
                self.ask(&ensemble, (at, question), (plan, &horizons_steps), &told, gathered);
            }
        }
        Ok(())
    }

    /// Origins of a series begin where its seed says, so that not all series are asked at the same minute.
    fn is_origin(&self, step: u64, every: usize) -> bool {
        (step + self.seed % every as u64).is_multiple_of(every as u64)
    }

    fn ask(
        &self,
        ensemble: &Ensemble,
        (at, question): (usize, usize),
        (plan, horizons): (&Plan, &[u32]),
        told: &Told,
        gathered: &mut Gathered,
    ) {
        let step = self.series.first_step + at as u64;
        let toss = |stream: u64| noise::uniform(self.seed, stream + question as u64, step);
        let horizon = horizons[(toss(0) * horizons.len() as f64) as usize];
        let Some(truth) = truth(&self.series.values, at, horizon as usize, self.aim()) else { return };
        let Some(part) = self.cuts.part(step, step + u64::from(horizon)) else { return };
        let planned =
            plan.iter().any(|(of, every)| *of == part && every.is_some_and(|every| self.is_origin(step, every)));
        if !planned {
            return;
        }
        let examples = match part {
            Part::Training => &mut gathered.training,
            Part::Validation => &mut gathered.validation,
            Part::HeldOut => &mut gathered.held_out,
        };
        examples.belong_to(self.tenant);
        let Some(question) = ensemble.question(horizon, told) else { return };
        let taken = examples.push(ensemble.recent(), self.series.step_ms, &question, truth);
        if taken && part == Part::HeldOut {
            gathered.about.push(self.about());
        }
    }

    fn aim(&self) -> Aim {
        if noise::uniform(self.seed, ASKED_FOR, 0) < 0.5 { Aim::Peak } else { Aim::Value }
    }

    fn about(&self) -> About {
        About {
            tenant: self.series.tenant.clone(),
            profile: self.series.profile.clone(),
            measure: word(self.series.measure),
            step_ms: self.series.step_ms,
            unseen: self.cuts.kept,
        }
    }
}

fn word(measure: Measure) -> &'static str {
    match measure {
        Measure::Cpu => "cpu",
        Measure::Memory => "memory",
        Measure::Rate => "rate",
    }
}

/// What came: the value so many steps later, or the peak up to there; not known where a step of it is missing.
fn truth(values: &[Option<f64>], at: usize, horizon: usize, aim: Aim) -> Option<f64> {
    let ahead = values.get(at + 1..=at + horizon)?;
    if aim == Aim::Value {
        return *ahead.last()?;
    }
    ahead.iter().try_fold(0.0, |most, value| Some(f64::max(most, (*value)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::flat;

    #[test]
    fn horizons_fit_the_steps() {
        assert_eq!(horizons(10_000), [6, 30, 90, 360]);
        assert_eq!(horizons(60_000), [1, 5, 15, 60]);
        assert_eq!(horizons(300_000), [1, 3, 12]);
    }

    #[test]
    fn a_truth_is_the_peak_or_the_value_and_unknown_where_a_step_is() {
        let values = [Some(1.0), Some(5.0), Some(2.0), None, Some(3.0)];
        assert_eq!(truth(&values, 0, 2, Aim::Peak), Some(5.0));
        assert_eq!(truth(&values, 0, 2, Aim::Value), Some(2.0));
        assert_eq!(truth(&values, 0, 4, Aim::Peak), None);
        assert_eq!(truth(&values, 0, 4, Aim::Value), Some(3.0));
        assert_eq!(truth(&values, 2, 3, Aim::Value), None);
    }

    #[test]
    fn no_more_is_gathered_than_asked_for_and_every_held_out_example_has_its_name() {
        let series: Vec<Series> = (0..10).map(|at| flat(&format!("w{at}"), 2_000)).collect();
        let sizes = Sizes { training: 400, validation: 200, held_out: 300 };
        let split = Split::of(&series);
        let gathered = gather(&series, &split, &sizes, 1, |_| ()).expect("minutes divide a day");
        let Gathered { training, validation, held_out, about } = gathered;
        // Near the cuts some answers lie beyond them; strides are rounded up.
        assert!((300..=400).contains(&training.len()), "{}", training.len());
        assert!((130..=200).contains(&validation.len()), "{}", validation.len());
        assert!((220..=300).contains(&held_out.len()), "{}", held_out.len());
        assert_eq!(held_out.len(), about.len());
        let unseen = about.iter().filter(|about| about.unseen).count();
        assert!((20..=100).contains(&unseen), "{unseen}");
    }
}

//! What the network is told.
//!
//! Everything is told relative to the newest value, in units of how far the window's values lie from it on average, so
//! that one network serves a workload of a tenth of a core and one of a hundred. The unit is at least 1 % of the level, so
//! that a constant series does not turn rounding into news; how large it is beside the level is told, too.
//!
//! | rows | numbers |
//! |---|---|
//! | a step, [`CHANNELS`] | the value, whether it was observed, its ratio to the level; the shadow's value in its own unit, the shadow's ratio to the primary, whether the shadow was observed; time of day (sine, cosine) |
//! | a question, [`CONTEXT`] | what the other experts say and whether they do; how far apart the quantiles of their blend lie; horizon, step, peak or value; time of day and of week at the horizon's end; unit, newest value, limit; what is measured; whether there is a shadow |
//!
//! Missing is masked: a number that is not known is 0 and a mask beside it says so.

use std::collections::VecDeque;

use elementary::ln;
use serde::{Deserialize, Serialize};

use super::elementary::{exp, sin_cos, softplus, squeeze};
use crate::forecaster::{Aim, ExpertName};

/// Steps of the window: an hour of 1 min steps.
pub const STEPS: usize = 60;

/// Numbers a step.
pub const CHANNELS: usize = 8;

/// Numbers a question.
pub const CONTEXT: usize = 36;

/// Points to start from beside the newest value: what is heard of the other experts, the blend of all of them first.
const HEARD: [ExpertName; 7] = [
    ExpertName::MovingAverage,
    ExpertName::SeasonalHour,
    ExpertName::SeasonalDay,
    ExpertName::SeasonalWeek,
    ExpertName::ChangeOfDay,
    ExpertName::ChangeOfWeek,
    ExpertName::Linear,
];

/// Points to start from: the newest value, the blend, and the experts that are heard.
pub const BASES: usize = 2 + HEARD.len();

/// The quantiles that the network gives.
pub const LEVELS: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];

/// What the network says to a question: how much of each base, a shift of the median, and the widths between levels.
pub const OUTPUTS: usize = BASES + LEVELS.len();

/// Version of this page: weights that were trained for another are refused.
pub const INPUT_VERSION: u32 = 1;

/// Widths between levels before the experts have missed often enough, in units: those of a half-normal of deviation 1.
const WIDTHS_PRIOR: [f32; LEVELS.len() - 1] = [0.67, 0.61, 0.36, 0.69];

/// What a width is at least before it is scaled, in units: history without a miss proves little.
const WIDTH_LEAST: f32 = 0.02;

/// Added to what scales a width: `softplus(0.5413) = 1`, so that a network of zeros leaves the widths as history has them.
pub(super) const WIDTH_BIAS: f32 = 0.5413;

/// What an expert or the truth may lie away from the newest value, in units, to be told apart.
const FAR: f32 = 1e4;

/// The level forgets half in so many values: a day of 5 min steps.
const LEVEL_HALF_LIFE: f64 = 288.0;

/// The unit is at least this share of the level.
const UNIT_LEAST: f64 = 0.01;

/// The newest steps of one series, primary and shadow, and its level.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recent {
    newest: Option<u64>,
    values: VecDeque<Option<f32>>,
    shadow: VecDeque<Option<f32>>,
    level: f64,
    weight: f64,
}

impl Recent {
    /// Takes in a step of the primary and, where there is one, of the shadow. Steps may be skipped, which is a step that
    /// was not observed; one that is not later than the last is ignored.
    pub fn observe(&mut self, step: u64, value: Option<f64>, shadow: Option<f64>) {
        let skipped = match self.newest {
            Some(newest) if step <= newest => return,
            Some(newest) => (step - newest - 1).min(STEPS as u64),
            // What was never observed has no steps that are missing.
            None if value.is_none() && shadow.is_none() => return,
            None => 0,
        };
        self.newest = Some(step);
        for _ in 0..skipped {
            self.push(None, None);
        }
        self.push(value, shadow);
        if let Some(value) = value {
            let keep = crate::decay::half_power(1.0 / LEVEL_HALF_LIFE);
            self.level = self.level * keep + value.abs();
            self.weight = self.weight * keep + 1.0;
        }
    }

    fn push(&mut self, value: Option<f64>, shadow: Option<f64>) {
        for (ring, value) in [(&mut self.values, value), (&mut self.shadow, shadow)] {
            if ring.len() == STEPS {
                ring.pop_front();
            }
            ring.push_back(value.map(|value| value as f32));
        }
    }

    /// The newest value, where the newest step was observed and the series has a level.
    pub fn last(&self) -> Option<f64> {
        let last = (*self.values.back()?)?;
        // Of a level that has faded so far nothing is left in single floats: it has as good as only been zero.
        let has_level = self.weight > 0.0 && UNIT_LEAST * self.level() >= f64::from(f32::MIN_POSITIVE);
        has_level.then_some(f64::from(last))
    }

    fn level(&self) -> f64 {
        self.level / self.weight
    }
}

/// What is measured: the network may treat them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Cores, or another share of a processor.
    Cpu,
    /// Bytes held.
    Memory,
    /// Something a second: requests, bytes.
    Rate,
}

/// One series at its newest step.
#[derive(Clone, Debug)]
pub struct Scene {
    last: f64,
    unit: f64,
    level: f64,
    shadow: bool,
    step: u64,
    step_ms: u64,
}

/// What is asked about the time ahead of a scene.
#[derive(Clone, Debug)]
pub struct Question {
    /// How far ahead.
    pub horizon_steps: u32,
    /// The peak up to there, or the value there.
    pub peak: bool,
    /// What the others say: the median of the blend, and each expert that is heard.
    pub bases: [Option<f64>; BASES - 1],
    /// How far the blend's quantiles lie above its median, at [`LEVELS`].
    pub spread: Option<[f64; LEVELS.len()]>,
    /// The limit in force, in the unit of the values.
    pub limit: Option<f64>,
    /// What is measured.
    pub measure: Measure,
}

/// What is known of a series beside its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct About {
    /// What is measured.
    pub measure: Measure,
    /// The limit in force, in the unit of the values.
    pub limit: Option<f64>,
}

impl Question {
    /// From what the experts say, and the blend's quantiles at [`LEVELS`].
    pub(crate) fn new(
        horizon_steps: u32,
        aim: Aim,
        about: &About,
        base: impl Fn(ExpertName) -> Option<f64>,
        blend: Option<Vec<f64>>,
    ) -> Self {
        let median = blend.as_ref().map(|quantiles| quantiles[0]);
        let mut bases = [median; BASES - 1];
        bases[1..].iter_mut().zip(HEARD).for_each(|(slot, expert)| *slot = base(expert));
        let spread = blend.map(|quantiles| std::array::from_fn(|at| quantiles[at] - quantiles[0]));
        let About { measure, limit } = *about;
        Self { horizon_steps, peak: aim == Aim::Peak, bases, spread, limit, measure }
    }
}

/// What the answer is put together from, beside the network's outputs.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bases less the newest value, in units; `None` where an expert is silent.
    pub bases: [Option<f32>; BASES],
    /// The widths that the network scales, in units.
    pub widths: [f32; LEVELS.len() - 1],
}

impl Scene {
    /// The scene of a series with a newest value, and its rows, one a step, appended to `rows`.
    pub fn of(recent: &Recent, step_ms: u64, rows: &mut Vec<f32>) -> Option<Self> {
        let (last, step) = (recent.last()?, recent.newest?);
        let level = recent.level();
        let unit = spread(&recent.values, last as f32).max(UNIT_LEAST * level) as f32;
        let shadow_last = recent.shadow.iter().rev().flatten().next().copied();
        let shadow_unit =
            shadow_last.map_or(1.0, |last| spread(&recent.shadow, last).max(UNIT_LEAST * f64::from(last)) as f32);
        let ratio = ratio(recent);
        rows.resize(rows.len() + (STEPS - recent.values.len()) * CHANNELS, 0.0);
        let first = step + 1 - recent.values.len() as u64;
        for (at, (value, shadow)) in recent.values.iter().zip(&recent.shadow).enumerate() {
            let (sin, cos) = sin_cos((first + at as u64) as f64 * step_ms as f64 / DAY_MS);
            let of_value = value
                .map_or([0.0; 3], |value| [squeeze((value - last as f32) / unit), 1.0, squeeze(value / level as f32)]);
            let of_shadow = shadow.zip(shadow_last).map_or([0.0; 3], |(shadow, last)| {
                let beside = value.filter(|value| *value > 0.0).map_or(0.0, |value| shadow / value / ratio - 1.0);
                [squeeze((shadow - last) / shadow_unit.max(f32::MIN_POSITIVE)), squeeze(beside), 1.0]
            });
            rows.extend_from_slice(&of_value);
            rows.extend_from_slice(&of_shadow);
            rows.extend_from_slice(&[sin as f32, cos as f32]);
        }
        Some(Self { last, unit: f64::from(unit), level, shadow: shadow_last.is_some(), step, step_ms })
    }

    /// A question's row, appended to `row`, and what its answer is put together from.
    pub fn ask(&self, question: &Question, row: &mut Vec<f32>) -> Frame {
        let told = |value: f64| (((value - self.last) / self.unit) as f32).clamp(-FAR, FAR);
        let mut bases = [Some(0.0); BASES];
        for (base, expert) in bases[1..].iter_mut().zip(question.bases) {
            *base = expert.map(told);
            row.extend(base.map_or([0.0; 2], |base| [squeeze(base), 1.0]));
        }
        let widths = question.spread.map(|above| {
            std::array::from_fn(|at| ((above[at + 1] - above[at]).max(0.0) / self.unit).min(f64::from(FAR)) as f32)
        });
        row.push(f32::from(widths.is_some()));
        row.extend(widths.unwrap_or([0.0; LEVELS.len() - 1]).map(squeeze));

        let ahead_ms = f64::from(question.horizon_steps) * self.step_ms as f64;
        let end_ms = self.step as f64 * self.step_ms as f64 + ahead_ms;
        let (day, week) = (sin_cos(end_ms / DAY_MS), sin_cos(end_ms / (7.0 * DAY_MS)));
        let scaled = |x: f64| (ln(x) / 4.0) as f32;
        row.extend([scaled(f64::from(question.horizon_steps)), scaled(self.step_ms as f64 / 1_000.0) - 1.0]);
        row.extend([f32::from(question.peak), day.0 as f32, day.1 as f32, week.0 as f32, week.1 as f32]);
        row.extend([scaled(self.unit / self.level), squeeze((self.last / self.level) as f32)]);
        let limit = question.limit.filter(|limit| *limit > 0.0);
        row.extend(limit.map_or([0.0; 2], |limit| [squeeze((self.last / limit) as f32), 1.0]));
        row.extend([Measure::Cpu, Measure::Memory, Measure::Rate].map(|of| f32::from(of == question.measure)));
        row.push(f32::from(self.shadow));
        Frame { bases, widths: widths.unwrap_or(WIDTHS_PRIOR) }
    }

    /// A truth in units beside the newest value, as the network is trained on it.
    pub fn told(&self, truth: f64) -> f32 {
        (((truth - self.last) / self.unit) as f32).clamp(-FAR, FAR)
    }

    /// What an error of one unit counts, in levels, from a fiftieth up to three: a miss hurts by its share of the level, and no
    /// series that idles may outweigh the others.
    pub fn weight(&self) -> f32 {
        ((self.unit / self.level) as f32).clamp(0.02, 3.0)
    }

    /// The quantiles at [`LEVELS`] that the network's outputs stand for, at least 0.
    pub fn answer(&self, frame: &Frame, outputs: &[f32]) -> [f64; LEVELS.len()] {
        frame.quantiles(outputs).map(|told| (self.last + self.unit * told).clamp(0.0, f64::INFINITY))
    }
}

impl Frame {
    /// The quantiles at [`LEVELS`] in units beside the newest value: a mixture of the bases, shifted; then widths upon it.
    pub(super) fn quantiles(&self, outputs: &[f32]) -> [f64; LEVELS.len()] {
        let (mix, rest) = outputs.split_at(BASES);
        let heard = mix.iter().zip(self.bases).filter_map(|(score, base)| Some((f64::from(*score), f64::from(base?))));
        let most = heard.clone().fold(f64::NEG_INFINITY, |most, (score, _)| most.max(score));
        let mixed = heard.map(|(score, base)| (exp(score - most), base));
        let (weights, sum) = mixed.fold((0.0, 0.0), |(all, sum), (weight, base)| (all + weight, sum + weight * base));
        let mut quantiles = [sum / weights + f64::from(rest[0]); LEVELS.len()];
        for (at, (width, scale)) in self.scaled_widths().into_iter().zip(&rest[1..]).enumerate() {
            quantiles[at + 1] = quantiles[at] + softplus(f64::from(*scale + WIDTH_BIAS)) * f64::from(width);
        }
        quantiles
    }

    /// The widths as the network scales them.
    pub(super) fn scaled_widths(&self) -> [f32; LEVELS.len() - 1] {
        self.widths.map(|width| width + WIDTH_LEAST)
    }
}

const DAY_MS: f64 = 86_400_000.0;

/// How far values lie from the newest on average.
fn spread(values: &VecDeque<Option<f32>>, last: f32) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values.iter().flatten() {
        sum += f64::from((value - last).abs());
        count += 1.0;
    }
    sum / f64::max(count, 1.0)
}

/// The shadow's mean beside the primary's over the steps that both were observed in; 1 where there are none.
fn ratio(recent: &Recent) -> f32 {
    let both = recent.values.iter().zip(&recent.shadow).filter_map(|(value, shadow)| Some(((*value)?, (*shadow)?)));
    let (value, shadow) = both.fold((0.0, 0.0), |(a, b), (value, shadow)| (a + value, b + shadow));
    if value > 0.0 && shadow > 0.0 { shadow / value } else { 1.0 }
}

#[cfg(test)]
mod tests;

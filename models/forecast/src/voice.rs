//! The voices of the choir: an expert, and how far its truths lie from it.
//!
//! A voice's quantile is `base + scale · residual`, where the residual is a quantile of `(truth - base) / scale` as of late
//! ([`Residuals`]). What scales it is what is expected to tell a wide hour from a narrow one:
//!
//! | spread | scale |
//! |---|---|
//! | constant | 1: the margin is as it was |
//! | volatility | the series' recent change per step: the margin grows and shrinks with it |
//! | own | nothing: the expert has quantiles of its own, and is heard as it stands |
//!
//! The first two are normalised split conformal prediction (Papadopoulos et al. 2008). To hold an expert's own quantiles to residuals,
//! too, cost more by the noise of few residuals than it won. Each voice is judged by its pinball loss at the levels that count.

use serde::{Deserialize, Serialize};

use crate::decay::half_power;
use crate::experts::Answers;
use crate::forecaster::ExpertName;
use crate::pinball::pinball;
use crate::residuals::Residuals;

/// Losses count half after so many origins: an hour of 10 s steps at short horizons, 45 horizons at long ones.
const HALF_LIFE_ORIGINS: f64 = 360.0;

/// A mean of fewer losses is no ground for a word.
const MIN_LOSSES: u32 = 20;

/// Levels that voices are judged at, beside the target.
pub(crate) const JUDGED: [f64; 3] = [0.5, 0.9, 0.95];

/// A number for each of [`JUDGED`], and for the target.
pub(crate) type Judged = [f64; JUDGED.len() + 1];

/// What scales the residuals of a voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    Constant,
    Volatility,
    Own,
}

/// How many voices there are.
pub(crate) const VOICES: usize = 14;

/// Each with what was seen to serve its expert best; two of both where neither did always.
pub(crate) const CHOIR: [(ExpertName, Spread, &str); VOICES] = [
    (ExpertName::Persistence, Spread::Constant, "persistence"),
    (ExpertName::Persistence, Spread::Volatility, "persistence.volatility"),
    (ExpertName::MovingAverage, Spread::Volatility, "moving_average"),
    (ExpertName::Histogram, Spread::Own, "histogram"),
    (ExpertName::SeasonalDay, Spread::Constant, "seasonal_day"),
    (ExpertName::SeasonalWeek, Spread::Constant, "seasonal_week"),
    (ExpertName::Holt, Spread::Constant, "holt"),
    (ExpertName::Smoothing, Spread::Constant, "smoothing"),
    (ExpertName::SeasonalHour, Spread::Constant, "seasonal_hour"),
    (ExpertName::ChangeOfDay, Spread::Volatility, "change_of_day"),
    (ExpertName::ChangeOfWeek, Spread::Constant, "change_of_week"),
    (ExpertName::Linear, Spread::Constant, "linear"),
    (ExpertName::Linear, Spread::Volatility, "linear.volatility"),
    (ExpertName::Lstm, Spread::Own, "lstm"),
];

/// What a voice stands on at an origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guess {
    base: f64,
    scale: f64,
}

impl Guess {
    /// Of a voice; `None` where its expert is silent.
    pub(crate) fn of(voice: usize, answers: &Answers) -> Option<Self> {
        let (expert, spread, _) = CHOIR[voice];
        let scale = if spread == Spread::Volatility { answers.unit } else { 1.0 };
        Some(Self { base: answers.base(expert)?, scale })
    }
}

/// The record of a voice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    residuals: Residuals,
    losses: Judged,
    weight: f64,
    count: u32,
}

impl Record {
    pub(crate) fn new(window: usize) -> Self {
        Self { residuals: Residuals::new(window), losses: [0.0; JUDGED.len() + 1], weight: 0.0, count: 0 }
    }

    /// The voice's quantile, at least 0; `None` with too few residuals.
    pub(crate) fn quantile(&self, guess: Guess, level: f64) -> Option<f64> {
        Some((guess.base + guess.scale * self.residuals.quantile(level)?).max(0.0))
    }

    /// Learns what came: a loss of what was said, and a residual of a voice that lives off residuals.
    pub(crate) fn learn(&mut self, guess: Option<Guess>, said: Option<Judged>, target: f64, truth: f64) {
        if let Some(quantiles) = said {
            let keep = half_power(1.0 / HALF_LIFE_ORIGINS);
            for ((loss, quantile), level) in self.losses.iter_mut().zip(quantiles).zip(levels(target)) {
                *loss = *loss * keep + pinball(level, quantile, truth);
            }
            self.weight = self.weight * keep + 1.0;
            self.count = self.count.saturating_add(1);
        }
        if let Some(guess) = guess {
            self.residuals.push((truth - guess.base) / guess.scale);
        }
    }

    /// The recent mean loss at one of the judged levels, of whoever has been scored at all.
    pub(crate) fn loss(&self, judged: usize) -> Option<f64> {
        (self.count > 0).then(|| self.losses[judged] / self.weight)
    }

    /// The same, once it means something.
    pub(crate) fn standing(&self, judged: usize) -> Option<f64> {
        self.loss(judged).filter(|_| self.count >= MIN_LOSSES)
    }
}

/// The judged level that is nearest to another.
pub(crate) fn nearest(level: f64, target: f64) -> usize {
    let distances = levels(target).map(|judged| (judged - level).abs());
    (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or_default()
}

/// The judged levels, the target last.
pub(crate) fn levels(target: f64) -> Judged {
    [JUDGED[0], JUDGED[1], JUDGED[2], target]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_grows_with_its_scale() {
        let mut record = Record::new(100);
        // Residuals 1..=19 in units of 2.
        (1..=19).for_each(|miss| {
            record.learn(Some(Guess { base: 10.0, scale: 2.0 }), None, 0.95, 10.0 + 2.0 * f64::from(miss))
        });
        // Rank 20 · 0.95 = 19: base 5 and 19 units of 3.
        assert_eq!(record.quantile(Guess { base: 5.0, scale: 3.0 }, 0.95), Some(62.0));
        assert_eq!(record.standing(0), None);
    }

    #[test]
    fn the_nearest_judged_level_is_found() {
        assert_eq!([0.3, 0.8, 0.93, 0.99].map(|level| nearest(level, 0.99)), [0, 1, 2, 3]);
    }
}

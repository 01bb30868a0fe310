//! The linear expert: what is to come, as a weighted sum of what is known now.
//!
//! The change from the newest value to the truth, in units of the series' [`Volatility`](crate::volatility), is regressed on
//! [`SIGNS`] signs: the last steps, averages of several lengths, and what came an hour, a day and a week ago at this time
//! and at the time ahead. Recursive least squares (Plackett 1950) with forgetting learns the weights of each horizon by itself:
//!
//! ```text
//! g = P z / (λ + zᵀ P z)      w += g (y - wᵀ z)      P = (P - g zᵀ P) / λ
//! ```
//!
//! It begins at no change at all, with a prior of deviation 1 on every weight (ridge regression), so that few outcomes
//! move it little. Signs and truths are held within ±[`FAR`] units: one outlier must not undo what was learned.
//!
//! State: 2.5 kB a horizon. Cost: some 1 000 multiplications an outcome, 17 an answer.

use serde::{Deserialize, Serialize};

use crate::decay::half_power;

/// How many signs there are, the constant among them.
pub const SIGNS: usize = 17;

/// Units beyond which a change counts no more.
const FAR: f64 = 20.0;

/// Outcomes count half after so many: a week of 5 min steps.
const HALF_LIFE_OUTCOMES: f64 = 2000.0;

/// A weight's variance is held below this: what has not been moved by anything for long would grow without bound.
const VARIANCE_MAX: f64 = 1e3;

/// What is known at a step, about a horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signs {
    last: f64,
    unit: f64,
    told: [f64; SIGNS],
}

impl Signs {
    /// Signs from values beside the newest one; what is not known is as the newest.
    pub fn new(last: f64, unit: f64, known: [Option<f64>; SIGNS - 1]) -> Self {
        let mut told = [1.0; SIGNS];
        for (told, known) in told[1..].iter_mut().zip(known) {
            *told = known.map_or(0.0, |value| ((value - last) / unit).clamp(-FAR, FAR));
        }
        Self { last, unit, told }
    }
}

/// Weights for one horizon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Linear {
    weights: Vec<f64>,
    /// The weights' covariance, row by row; symmetric.
    variance: Vec<f64>,
}

impl Default for Linear {
    fn default() -> Self {
        let mut variance = vec![0.0; SIGNS * SIGNS];
        variance.iter_mut().step_by(SIGNS + 1).for_each(|diagonal| *diagonal = 1.0);
        Self { weights: vec![0.0; SIGNS], variance }
    }
}

impl Linear {
    /// The value that the signs point to, at least 0.
    pub fn answer(&self, signs: &Signs) -> f64 {
        (signs.last + signs.unit * dot(&self.weights, &signs.told).clamp(-FAR, FAR)).max(0.0)
    }

    /// Learns what the signs came to.
    pub fn learn(&mut self, signs: &Signs, truth: f64) {
        let keep = half_power(1.0 / HALF_LIFE_OUTCOMES);
        let came = ((truth - signs.last) / signs.unit).clamp(-FAR, FAR);
        let surprise = came - dot(&self.weights, &signs.told);
        let mut pull = [0.0; SIGNS];
        for (pull, row) in pull.iter_mut().zip(self.variance.chunks_exact(SIGNS)) {
            *pull = dot(row, &signs.told);
        }
        let spread = keep + dot(&pull, &signs.told);
        for (weight, pull) in self.weights.iter_mut().zip(pull) {
            *weight += pull / spread * surprise;
        }
        for (row, of_row) in self.variance.chunks_exact_mut(SIGNS).zip(pull) {
            for (variance, of_column) in row.iter_mut().zip(pull) {
                *variance = (*variance - of_row * of_column / spread) / keep;
            }
        }
        self.bound();
    }

    /// Scales down rows and columns whose variance has grown too large: what was learned of the others stays.
    fn bound(&mut self) {
        for at in 0..SIGNS {
            let variance = self.variance[at * SIGNS + at];
            if variance > VARIANCE_MAX {
                let scale = (VARIANCE_MAX / variance).sqrt();
                (0..SIGNS).for_each(|other| {
                    self.variance[at * SIGNS + other] *= scale;
                    self.variance[other * SIGNS + at] *= scale;
                });
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    fn signs(last: f64, first: f64) -> Signs {
        let mut known = [None; SIGNS - 1];
        known[0] = Some(first);
        Signs::new(last, 1.0, known)
    }

    #[test]
    fn nothing_learned_is_no_change() {
        assert_eq!(Linear::default().answer(&signs(5.0, 9.0)), 5.0);
    }

    #[test]
    fn it_finds_the_law_behind_the_signs() {
        let mut linear = Linear::default();
        let mut noise = Noise::new(5);
        for _ in 0..3000 {
            let (last, first) = (10.0 + noise.uniform(), 8.0 + 4.0 * noise.uniform());
            linear.learn(&signs(last, first), last + 0.5 * (first - last) + 1.0 + 0.1 * noise.normal());
        }
        // 10 + half of 2, and 1. A weight errs by 0.1 / √(2000 · 1.4 · 1.2) = 0.002 per unit of its sign.
        assert!((linear.answer(&signs(10.0, 12.0)) - 12.0).abs() < 0.02, "{}", linear.answer(&signs(10.0, 12.0)));
    }

    #[test]
    fn what_never_moves_stays_bounded() {
        let mut linear = Linear::default();
        for _ in 0..100_000 {
            linear.learn(&signs(5.0, 5.0), 5.0);
        }
        assert!(linear.variance.iter().all(|variance| variance.abs() <= VARIANCE_MAX * 1.001));
        assert!(linear.answer(&signs(5.0, 6.0)).is_finite());
    }
}

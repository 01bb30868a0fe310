//! A threshold for any score, set by how often noise alone may pass it.
//!
//! Peaks over threshold, as SPOT does it (Siffer et al., KDD 2017): whatever the distribution of a score, what exceeds a
//! high level of it follows a generalised Pareto distribution, the more closely the higher the level. So
//!
//! ```text
//! threshold = level + σ/ξ ((share/rate)^ξ - 1)        where a share of the newest scores lies above the level
//! ```
//!
//! is passed by one score in 1/rate, also where so great a score has never been seen. σ and ξ come from the
//! probability-weighted moments of the excesses (Hosking and Wallis, 1987), a closed form that needs no search and holds
//! up with few peaks:
//!
//! ```text
//! a₀ = mean excess, a₁ = mean of (1 - pᵢ) · i-th smallest excess, pᵢ = (i - 0.35)/m
//! ξ = 2 - a₀/(a₀ - 2a₁), drawn towards 0.2 as if by ten more peaks, within 0 and 0.5;      σ = a₀ (1 - ξ)
//! ```
//!
//! What raised an alarm teaches the tail as if it were the threshold: left out, it would make every tail look light, and a
//! heavy one would give four alarms for each that was stated; in full, an incident would hide the next.
//!
//! On independent noise with a rate of 10⁻³ the tests hold the alarms within 0.7 to 1.8 times what was stated for an
//! exponential tail, 0.3 to 1.2 for the size of normal noise, whose tail is lighter than any that ξ ≥ 0 describes, and 0.7
//! to 2.2 for Student's t with 3 degrees of freedom. Scores that hang together make alarms in clusters.
//!
//! Time: steps. State: the newest [`WINDOW`] scores, 16 kB. Cost, by estimate: 0.2 µs a score.

use elementary::{exp, ln};
use serde::{Deserialize, Serialize};

use crate::ranked_window::RankedWindow;

/// Scores that the tail is read from: a thousand, so that a tenth of them gives a hundred peaks, and a change of regime
/// is forgotten in a day of minutes.
const WINDOW: usize = 1000;

/// Part of the scores that lies above the level.
const SHARE: f64 = 0.1;

/// No threshold before the window is full: of fewer peaks the tail is a guess.
const SCORES_MIN: usize = WINDOW;

/// The tail index that ten peaks of prior experience say: between an exponential tail (0) and a heavy one (0.33).
const PRIOR_INDEX: f64 = 0.2;
const PRIOR_PEAKS: f64 = 10.0;

/// At 0.5 the variance is infinite; an index beyond it comes from too few peaks.
const INDEX_MAX: f64 = 0.5;

/// Turns a stream of scores into a threshold with a stated rate of false alarms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TailThreshold {
    rate: f64,
    scores: RankedWindow,
}

impl TailThreshold {
    /// A threshold that noise passes at `rate` a score, above 0 and below 0.1.
    pub fn new(rate: f64) -> Self {
        Self { rate, scores: RankedWindow::new(WINDOW) }
    }

    /// What the next score has to exceed; `None` until enough were seen.
    pub fn threshold(&self) -> Option<f64> {
        let scores = self.scores.ranked();
        if scores.len() < SCORES_MIN {
            return None;
        }
        let peaks = (SHARE * scores.len() as f64) as usize;
        let (below, above) = scores.split_at(scores.len() - peaks);
        let level = *below.last().expect("nine tenths of a full window");
        let (mean, index) = moments(level, above);
        let growth = ln(SHARE / self.rate);
        let reach = if index < 1e-6 { growth } else { (exp(index * growth) - 1.0) / index };
        Some(level + mean * (1.0 - index) * reach)
    }

    /// Takes the next finite score and says whether it is an alarm.
    pub fn observe(&mut self, score: f64) -> bool {
        let threshold = self.threshold().unwrap_or(f64::INFINITY);
        let alarm = score > threshold;
        self.scores.push(score.min(threshold));
        alarm
    }
}

/// Mean and tail index of ascending peaks above a level.
fn moments(level: f64, peaks: &[f64]) -> (f64, f64) {
    let count = peaks.len() as f64;
    let (mut plain, mut weighted) = (0.0, 0.0);
    for (rank, peak) in (1u32..).zip(peaks) {
        plain += peak - level;
        weighted += (1.0 - (f64::from(rank) - 0.35) / count) * (peak - level);
    }
    let (plain, weighted) = (plain / count, weighted / count);
    let spread = plain - 2.0 * weighted;
    let index = if spread > 0.0 { 2.0 - plain / spread } else { 0.0 };
    let drawn = (count * index + PRIOR_PEAKS * PRIOR_INDEX) / (count + PRIOR_PEAKS);
    (plain, drawn.clamp(0.0, INDEX_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// Alarms for each that the rate states, in 200 000 scores.
    fn alarms_per_stated(mut score: impl FnMut() -> f64) -> f64 {
        let (rate, steps) = (1e-3, 200_000);
        let mut tail = TailThreshold::new(rate);
        let alarms = (0..steps).filter(|_| tail.observe(score())).count();
        alarms as f64 / (rate * f64::from(steps))
    }

    /// 200 alarms are stated; by chance alone they scatter by √200 = 14, 7 %. The estimate from a hundred peaks adds a
    /// bias: the threshold's error is right as often as wrong, but a low one lets in more than a high one keeps out.
    #[test]
    fn the_stated_rate_holds_on_light_and_heavy_tails() {
        for seed in 0..3 {
            let mut noise = Noise(seed);
            let exponential = alarms_per_stated(|| -noise.uniform().ln());
            assert!((0.7..1.8).contains(&exponential), "exponential {exponential}");
            let normal = alarms_per_stated(|| noise.normal().abs());
            assert!((0.3..1.2).contains(&normal), "normal {normal}");
            let heavy = alarms_per_stated(|| noise.heavy_tailed().abs());
            assert!((0.7..2.2).contains(&heavy), "heavy {heavy}");
        }
    }

    #[test]
    fn extrapolates_an_exponential_tail() {
        let mut noise = Noise(5);
        let mut tail = TailThreshold::new(1e-4);
        (0..100_000).for_each(|_| {
            tail.observe(-noise.uniform().ln());
        });
        // P(X > x) = e^-x = 10⁻⁴ at x = 9.2. The level's error is √(0.9/(0.1 · 1000)) = 0.1, the mean excess is known to
        // 10 %, which is multiplied by ln 1000 = 6.9: 0.7; an index that is off by 0.1 adds 6.9²/2 · 0.1 = 2.4.
        let threshold = tail.threshold().expect("enough scores");
        assert!((threshold - 9.2).abs() < 3.0, "{threshold}");
    }

    #[test]
    fn moments_of_known_samples() {
        // Excesses 1, 2, 3, 4 over 0: a₀ = 2.5; weights 1 - 0.65/4 … = 0.8375, 0.5875, 0.3375, 0.0875, so
        // a₁ = (0.8375 + 1.175 + 1.0125 + 0.35)/4 = 0.84375; ξ = 2 - 2.5/(2.5 - 1.6875) = -1.077, which with ten peaks of
        // 0.2 is (4 · -1.077 + 2)/14 = -0.165, held at 0.
        assert_eq!(moments(0.0, &[1.0, 2.0, 3.0, 4.0]), (2.5, 0.0));
        // All excesses 0: nothing is known of the tail but the prior, (0 + 2)/14.
        let (mean, index) = moments(1.0, &[1.0; 4]);
        assert!(mean == 0.0 && (index - 2.0 / 14.0).abs() < 1e-12);
    }

    #[test]
    fn silent_until_it_knows_the_tail() {
        let mut tail = TailThreshold::new(1e-3);
        assert!((0..SCORES_MIN).all(|_| !tail.observe(1e9)));
        // Equal scores have no tail: the least more is an alarm.
        assert_eq!(tail.threshold(), Some(1e9));
        assert!(tail.observe(1.1e9) && !tail.observe(1e9));
    }
}

//! Scores of quantile forecasts, and of what it would be to provision by them.
//!
//! With truth `y`, quantiles `q50`, `q90`, `q95` and sums over all origins of all series of a trace:
//!
//! | score | is |
//! |---|---|
//! | WAPE | Σ\|y - q50\| / Σ\|y\| |
//! | wQL | 2 Σ pinball / Σ\|y\|, by level |
//! | coverage | share of y ≤ quantile; recovered, only of forecasts made within some steps of a shift of the level |
//! | MASE | mean \|y - q50\| of a series over the mean \|yₜ - yₜ₋ₘ\| of its first part, m a day where that has two, else a step; the median over series |
//! | under-provisioned | share of y > q95 |
//! | slack | Σ max(q95 - y, 0) / Σ y |
//! | slack at 5 % | the same once all capacities are scaled by the one factor at which exactly 5 % are short |
//!
//! Sums before ratios: a mean of ratios explodes on a series that idles.

use forecast::pinball::pinball;
use serde::Serialize;

/// Levels that are scored.
pub const SCORED: [f64; 3] = [0.5, 0.9, 0.95];

/// A shortfall of less than a millionth is rounding.
const TOLERANCE: f64 = 1e-6;

/// What is known of one expert's forecasts at one horizon.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    losses: [f64; SCORED.len()],
    covered: [u64; SCORED.len()],
    /// Of forecasts made when a shift of the level should be got over: how many there are, and how many of their highest
    /// quantiles covered.
    recovered: [u64; 2],
    truths: f64,
    /// Truth and capacity, for the slack at equal violation.
    pairs: Vec<(f32, f32)>,
    /// Of each series: the mean error beside its scale.
    mase: Vec<f64>,
}

/// One series' errors, until it ends.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    sum: f64,
    count: u64,
}

/// The scores of a trace, expert and horizon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// Origins that were scored.
    pub origins: u64,
    /// Median over series of the mean absolute scaled error.
    pub mase_median: Option<f64>,
    /// Weighted absolute percentage error of the median.
    pub wape: f64,
    /// Weighted quantile loss at 0.5.
    pub wql50: f64,
    /// Weighted quantile loss at 0.9.
    pub wql90: f64,
    /// Weighted quantile loss at 0.95.
    pub wql95: f64,
    /// Share of truths that the 0.9 quantile covered.
    pub coverage90: f64,
    /// Share of truths that the 0.95 quantile covered.
    pub coverage95: f64,
    /// The same of forecasts made when a shift of the level that was put in should be got over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage95_recovered: Option<f64>,
    /// Share of steps that a capacity of the 0.95 quantile would have left short.
    pub under_share: f64,
    /// What that capacity would have idled, over the demand.
    pub slack: f64,
    /// The slack at exactly 5 % of steps short.
    pub slack_at_5: Option<f64>,
    /// The slack at exactly 1 % of steps short.
    pub slack_at_1: Option<f64>,
}

impl Scores {
    /// Adds a forecast that came true, or did not.
    pub fn add(&mut self, quantiles: [f64; SCORED.len()], truth: f64, errors: &mut Errors) {
        for (at, (quantile, level)) in quantiles.into_iter().zip(SCORED).enumerate() {
            self.losses[at] += pinball(level, quantile, truth);
            self.covered[at] += u64::from(covers(quantile, truth));
        }
        self.truths += truth.abs();
        self.pairs.push((truth as f32, quantiles[2] as f32));
        errors.sum += (truth - quantiles[0]).abs();
        errors.count += 1;
    }

    /// Notes of a forecast that was added that a shift of the level should be got over by then.
    pub fn note_recovered(&mut self, quantiles: [f64; SCORED.len()], truth: f64) {
        let [.., highest] = quantiles;
        self.recovered[0] += 1;
        self.recovered[1] += u64::from(covers(highest, truth));
    }

    /// Closes a series whose scale is known.
    pub fn close(&mut self, errors: &Errors, scale: Option<f64>) {
        if let Some(scale) = scale.filter(|scale| *scale > 0.0 && errors.count > 0) {
            self.mase.push(errors.sum / errors.count as f64 / scale);
        }
    }

    /// Adds what was scored elsewhere, of other series.
    pub fn merge(&mut self, other: Self) {
        for at in 0..SCORED.len() {
            self.losses[at] += other.losses[at];
            self.covered[at] += other.covered[at];
        }
        self.recovered.iter_mut().zip(other.recovered).for_each(|(own, other)| *own += other);
        self.truths += other.truths;
        self.pairs.extend(other.pairs);
        self.mase.extend(other.mase);
    }

    /// The scores; `None` where nothing was scored or all truths were zero.
    #[must_use]
    pub fn scored(mut self) -> Option<Scored> {
        if self.pairs.is_empty() || self.truths <= 0.0 {
            return None;
        }
        let origins = self.pairs.len() as u64;
        let wql = self.losses.map(|loss| 2.0 * loss / self.truths);
        let covered = self.covered.map(|covered| covered as f64 / origins as f64);
        self.mase.sort_by(f64::total_cmp);
        Some(Scored {
            origins,
            mase_median: median(&self.mase),
            wape: wql[0],
            wql50: wql[0],
            wql90: wql[1],
            wql95: wql[2],
            coverage90: covered[1],
            coverage95: covered[2],
            coverage95_recovered: (self.recovered[0] > 0).then(|| self.recovered[1] as f64 / self.recovered[0] as f64),
            under_share: 1.0 - covered[2],
            slack: slack(&self.pairs, 1.0),
            slack_at_5: slack_at(&self.pairs, 0.05),
            slack_at_1: slack_at(&self.pairs, 0.01),
        })
    }
}

fn covers(quantile: f64, truth: f64) -> bool {
    truth - quantile <= TOLERANCE * truth.abs()
}

/// What capacities scaled by a factor idle, over the demand.
fn slack(pairs: &[(f32, f32)], factor: f64) -> f64 {
    let idle = |(truth, capacity): &(f32, f32)| (factor * f64::from(*capacity) - f64::from(*truth)).max(0.0);
    let demand: f64 = pairs.iter().map(|(truth, _)| f64::from(*truth)).sum();
    pairs.iter().map(idle).sum::<f64>() / demand
}

/// The slack at which just a share of steps is short; `None` where no factor brings that about, since capacities of zero
/// stay short.
fn slack_at(pairs: &[(f32, f32)], share: f64) -> Option<f64> {
    let mut needed: Vec<f64> = pairs.iter().map(|(truth, capacity)| needed(*truth, *capacity)).collect();
    needed.sort_by(f64::total_cmp);
    let kept = ((1.0 - share) * needed.len() as f64).ceil() as usize;
    let factor = *needed.get(kept.checked_sub(1)?)?;
    factor.is_finite().then(|| slack(pairs, factor))
}

/// The factor that makes a capacity just enough.
fn needed(truth: f32, capacity: f32) -> f64 {
    if truth <= 0.0 { 0.0 } else { f64::from(truth) / f64::from(capacity) }
}

/// The middle of ascending values, or the mean of the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let is_between = sorted.len().is_multiple_of(2);
    Some(if is_between { f64::midpoint(sorted[middle - 1], upper) } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(forecasts: &[([f64; 3], f64)]) -> Scored {
        let (mut scores, mut errors) = (Scores::default(), Errors::default());
        forecasts.iter().for_each(|(quantiles, truth)| scores.add(*quantiles, *truth, &mut errors));
        scores.close(&errors, Some(2.0));
        scores.scored().expect("something was scored")
    }

    #[test]
    fn scores_are_ratios_of_sums() {
        let scored = scored(&[([8.0, 12.0, 14.0], 10.0), ([8.0, 9.0, 9.0], 10.0)]);
        // Errors 2 and 2 over 20; pinball at 0.9: 0.1 · 2 and 0.9 · 1; at 0.95: 0.05 · 4 and 0.95 · 1.
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        near(scored.wape, 0.2);
        near(scored.wql90, 2.0 * 1.1 / 20.0);
        near(scored.wql95, 2.0 * 1.15 / 20.0);
        near(scored.coverage95, 0.5);
        near(scored.slack, 4.0 / 20.0);
        // The mean error is 2, the scale 2.
        near(scored.mase_median.expect("a series was closed"), 1.0);
    }

    #[test]
    fn slack_at_a_share_scales_all_capacities_alike() {
        // Truth 1 to 100 under a capacity of 50: 95 of 100 are met at a factor of 1.9, with Σ(95 - y) = 4465 over 5050.
        let pairs: Vec<(f32, f32)> = (1..=100_u8).map(|truth| (f32::from(truth), 50.0)).collect();
        let slack = slack_at(&pairs, 0.05).expect("all capacities are above zero");
        assert!((slack - 4465.0 / 5050.0).abs() < 1e-6, "{slack}");
        assert_eq!(slack_at(&[(1.0, 0.0), (1.0, 1.0)], 0.05), None);
    }
}

//! Errors: how many more of the canary's answers fail, in points of all answers.
//!
//! That the canary is worse at all is a wager on each tick's errors of both sides, so a burst within a second is one
//! event. How much worse has no symmetry to bet on: against "worse by m" stands capital on each request's
//!
//! ```text
//! y = plus if the canary failed, -minus if the baseline did, else 0        capital × (1 ± λ (y - m))
//! ```
//!
//! whose mean under the hypothesis is m. Mirrored requests have plus = minus = 1; of those that are split, each side sees
//! every second one, so plus = minus = 2. Three counts tell the capital for every λ and m, so the interval is exact for any m.
//! A canary without a single error passes a margin of m after about (ln(1/α) + ln 5) / m requests; the capital is divided
//! over five stakes, and ln 5 is what that costs:
//!
//! | margin | requests at α = 5 % |
//! |---|---|
//! | 0.5 points | 1 000 |
//! | 0.1 points | 5 000 |
//!
//! State: a wager and five counts.

use elementary::{ln, ln_1p};
use serde::{Deserialize, Serialize};

use super::wager::{Wager, ln_sum_exp};

/// Stakes, as parts of the one that a single request could ruin, with equal parts of the capital: the smallest is for
/// error rates of dozens of margins, the largest for none at all.
const STAKES: [f64; 5] = [0.01, 0.04, 0.16, 0.5, 0.9];

/// Halvings of an interval of two: bounds to a millionth.
const HALVINGS: u32 = 21;

/// Errors of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Errors {
    wager: Wager,
    /// What a failed answer counts: plus for the canary, minus for the baseline.
    weight: f64,
    requests: u64,
    canary: u64,
    baseline: u64,
}

impl Errors {
    /// Requests that both sides get.
    pub(super) fn mirrored() -> Self {
        Self::weighing(1.0)
    }

    /// Requests of which each side gets every second one, at random.
    pub(super) fn split() -> Self {
        Self::weighing(2.0)
    }

    /// Settles a tick of so many requests, of which these failed; `weigh` is what an answer of either side counts.
    pub(super) fn close(&mut self, requests: u64, canary: u64, baseline: u64, weigh: (f64, f64)) {
        self.wager.settle(canary as f64 * weigh.0 - baseline as f64 * weigh.1);
        self.requests += requests;
        self.canary += canary;
        self.baseline += baseline;
    }

    /// Logarithm of the evidence that the canary fails more often at all.
    pub(super) fn ln_worse(&self) -> f64 {
        self.wager.ln_worse()
    }

    /// Logarithm of the evidence that it fails more often by less than `margin`, if at all.
    pub(super) fn ln_within(&self, margin: f64) -> f64 {
        let ruin = 1.0 / (self.weight - margin);
        self.ln_mixture(ruin, |stake| (-stake, margin))
    }

    /// How much more often the canary fails; none before the first request.
    pub(super) fn effect(&self) -> Option<f64> {
        let excess = self.weight * (self.canary as f64 - self.baseline as f64);
        (self.requests > 0).then(|| excess / self.requests as f64)
    }

    /// Bounds of the effect, each with at most a chance of exp(-`ln_sure`) of ever being wrong; none before the first
    /// request.
    pub(super) fn interval(&self, ln_sure: f64) -> (Option<f64>, Option<f64>) {
        if self.requests == 0 {
            return (None, None);
        }
        let lower = turn(|effect| self.ln_above(effect) >= ln_sure);
        let upper = turn(|effect| self.ln_within(effect) < ln_sure);
        // A burst of errors counts request by request above; unless ticks bear it out, it is no harm.
        let borne_out = self.ln_worse() >= ln_sure;
        (Some(if borne_out { lower } else { lower.min(0.0) }), Some(upper))
    }

    fn weighing(weight: f64) -> Self {
        Self { wager: Wager::default(), weight, requests: 0, canary: 0, baseline: 0 }
    }

    fn ln_above(&self, effect: f64) -> f64 {
        let ruin = 1.0 / (self.weight + effect);
        self.ln_mixture(ruin, |stake| (stake, effect))
    }

    /// Capital over all stakes; a signed stake and the hypothesis come of each part of the ruinous one.
    fn ln_mixture(&self, ruin: f64, wager: impl Fn(f64) -> (f64, f64) + Copy) -> f64 {
        // Where both sides fail on one request its two errors count as two requests: that only lowers the capital.
        let clean = self.requests.saturating_sub(self.canary + self.baseline) as f64;
        let terms = STAKES.iter().map(move |part| {
            let (stake, mean) = wager(part * ruin);
            clean * ln_1p(-stake * mean)
                + self.canary as f64 * ln_1p(stake * (self.weight - mean))
                + self.baseline as f64 * ln_1p(-stake * (self.weight + mean))
        });
        ln_sum_exp(terms) - ln(STAKES.len() as f64)
    }
}

/// Where a condition that holds for small effects and not for large ones turns, between -1 and 1.
fn turn(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (-1.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if holds(middle) { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One hundred requests a tick, with an error of the canary every so many ticks.
    fn erring_every(ticks_per_error: u64, ticks: u64) -> Errors {
        let mut errors = Errors::mirrored();
        (1..=ticks).for_each(|tick| errors.close(100, u64::from(tick % ticks_per_error == 0), 0, (1.0, 1.0)));
        errors
    }

    #[test]
    fn a_canary_without_errors_passes_after_the_stated_requests() {
        // 900 requests grow the stakes 0.9, 0.5, 0.16, 0.04 and 0.01 of ruin to e^(900 × 0.005 × stake) or so: 57.9, 9.6, 2.1,
        // 1.2 and 1.0, whose mean is 14.4, e^2.67. It takes 20.
        let within = |ticks| erring_every(u64::MAX, ticks).ln_within(0.005);
        assert!((within(9) - 2.67).abs() < 0.01, "{}", within(9));
        assert!(within(9) < 20f64.ln() && within(10) > 20f64.ln());
    }

    #[test]
    fn the_interval_holds_the_rate_and_excludes_none() {
        // 0.5 points over 40 000 requests: 200 errors, all of the canary.
        let errors = erring_every(2, 400);
        assert_eq!(errors.effect(), Some(0.005));
        let (lower, upper) = errors.interval(40f64.ln());
        let (lower, upper) = (lower.expect("errors have bounds"), upper.expect("errors have bounds"));
        // Three standard errors: 3 × √(0.005 / 40 000) = 0.001.
        assert!(lower > 0.0035 && lower < 0.005 && upper > 0.005 && upper < 0.0065, "{lower} {upper}");
    }

    #[test]
    fn one_burst_is_no_evidence_of_harm() {
        let mut errors = erring_every(u64::MAX, 50);
        errors.close(100, 60, 0, (1.0, 1.0));
        assert!(errors.ln_worse() < 2f64.ln() + 1e-9);
        assert_eq!(errors.interval(40f64.ln()).0, Some(0.0));
    }

    #[test]
    fn a_split_counts_points_of_each_sides_own_answers() {
        let mut errors = Errors::split();
        // 3 of 500 answers of the canary fail and 1 of 500 of the baseline: 0.6 % less 0.2 %.
        errors.close(1_000, 3, 1, (1.0, 1.0));
        assert!((errors.effect().expect("requests were seen") - 0.004).abs() < 1e-12);
    }
}

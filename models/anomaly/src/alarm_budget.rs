//! A threshold that bounds its own alarms: it doubles with each finding and sinks while nothing is found.
//!
//! It falls by the factor 1 - α ln 2 with each quiet tick, which halves it in 1/α of them, but never under its least
//! value. It settles where findings come at the rate α, if the scores have so heavy a tail; on tamer scores it rests on
//! the least value, and the rate is far under α.
//!
//! *Guarantee.* For every series of scores whatever, with no assumption on its distribution or dependence, N ticks give
//! at most about αN + 9 findings. (log₂ threshold starts at its least value, gains 1 a finding and loses α a quiet
//! tick. Scores are capped at [`CAP_RATIO`] times the least threshold, so above that nothing is found, and it cannot
//! climb by more than log₂ 512 = 9. The exact rate of loss is -log₂(1 - α ln 2), above α by less than 1 % for α up to
//! 0.01.)

use serde::{Deserialize, Serialize};

/// Scores stop here, as a multiple of the least threshold: beyond it "how far" says nothing more.
pub(crate) const CAP_RATIO: f64 = 256.0;

/// The largest rate of findings for which the guarantee's figures hold.
pub(crate) const RATE_MAX: f64 = 0.01;

/// The threshold of one detector.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AlarmBudget {
    least: f64,
    rate: f64,
    // Invariant: least <= threshold <= 2 * CAP_RATIO * least, the second because a score at the cap exceeds no higher one.
    threshold: f64,
}

impl AlarmBudget {
    /// A threshold of at least `least`, above 0, with findings at the rate `rate` a tick at most, above 0 up to
    /// [`RATE_MAX`].
    pub(crate) fn new(least: f64, rate: f64) -> Self {
        Self { least, rate, threshold: least }
    }

    /// What a score has to exceed now.
    pub(crate) fn threshold(&self) -> f64 {
        self.threshold
    }

    /// A score, at most [`CAP_RATIO`] times the least threshold.
    pub(crate) fn capped(&self, score: f64) -> f64 {
        score.min(CAP_RATIO * self.least)
    }

    /// Takes in whether something was found at a tick at which something could have been.
    pub(crate) fn note(&mut self, found: bool) {
        let quiet = 1.0 - self.rate * std::f64::consts::LN_2;
        self.threshold = (self.threshold * if found { 2.0 } else { quiet }).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scores_beat_the_guarantee() {
        for rate in [0.01, 1e-3] {
            let mut budget = AlarmBudget::new(3.0, rate);
            let mut findings = 0;
            for _ in 0..100_000 {
                // The worst that scores can do: exceed the threshold whenever the cap lets them.
                let found = budget.capped(f64::INFINITY) > budget.threshold();
                budget.note(found);
                findings += u32::from(found);
            }
            let bound = 1.01 * rate * 100_000.0 + 9.0;
            assert!(f64::from(findings) <= bound, "{findings} at {rate}");
            assert!(
                f64::from(findings) > 0.95 * bound,
                "the worst should nearly reach the bound: {findings} at {rate}"
            );
        }
    }

    #[test]
    fn quiet_halves_the_threshold_down_to_the_least() {
        let mut budget = AlarmBudget::new(3.0, 0.01);
        budget.note(true);
        budget.note(true);
        assert!((budget.threshold() - 12.0).abs() < 1e-12);
        (0..100).for_each(|_| budget.note(false));
        // (1 - 0.00693)^100 = 0.4988
        assert!((budget.threshold() - 6.0).abs() < 0.02, "{}", budget.threshold());
        (0..200).for_each(|_| budget.note(false));
        assert_eq!(budget.threshold(), 3.0);
    }
}

//! A wager: capital that grows only against a hypothesis, and so is evidence at any time.
//!
//! Each tick, money is staked against "the canary is no worse than this". If that is true, no stake gains on average,
//! whatever was seen before; the capital is then a nonnegative supermartingale, and by Ville's inequality it *ever* reaches
//! 1/α with a chance of at most α. One may look each second and stop whenever one likes. Capitals are kept as logarithms.
//!
//! The tick's score x is a difference between canary and baseline that changes its sign when the two change places. If they
//! are alike, x and -x are equally likely, given its size and all that was before: no matter how heavy its tails are, how
//! requests hang together within the tick, or what mood both were in. So
//!
//! ```text
//! capital × exp(λ z) / cosh(λ z)      z = x / mean |x| so far, at most 3
//! ```
//!
//! is fair. It at most doubles, so a burst within one tick proves little by itself; the price is that no verdict comes before
//! the seventh tick or so. λ is not guessed: the capital is divided over a few, and the best one soon carries it, at the price
//! of its part (ln 7 at most).
//!
//! State: 7 numbers. Cost: some 30 ns a tick.

use elementary::{exp, ln, ln_1p};
use serde::{Deserialize, Serialize};

/// Stakes and the parts of the capital on them. For a score of unit spread and mean μ the best stake is μ: from 1/16, a
/// drift that shows within an hour of seconds, to 3, which wins each tick. A stake off by a factor of two still gains
/// three quarters of what the best would. The stake 1 has most: it is the best for rare errors that become ten times as many.
const STAKES: [(f64, f64); 4] = [(0.0625, 0.15), (0.25, 0.2), (1.0, 0.45), (3.0, 0.2)];

/// Largest score of a tick, in mean sizes: one outlier must not ruin what many ticks have shown.
const SCORE_MAX: f64 = 3.0;

/// Evidence that the canary is worse than some hypothesis, and that it is better.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wager {
    ticks: u64,
    sizes: f64,
    lean: f64,
    /// Σ ln cosh(λ z), per stake.
    costs: [f64; STAKES.len()],
}

impl Wager {
    /// Settles a tick's score; above zero the canary was worse than the hypothesis. A tie, or what is no number, is no bet.
    pub(super) fn settle(&mut self, score: f64) {
        if score == 0.0 || !score.is_finite() {
            return;
        }
        self.ticks += 1;
        // The size of this very score may count: its sign stays fair.
        self.sizes += score.abs();
        let z = (score * self.ticks as f64 / self.sizes).clamp(-SCORE_MAX, SCORE_MAX);
        self.lean += z;
        for (cost, (stake, _)) in self.costs.iter_mut().zip(STAKES) {
            *cost += ln_cosh(stake * z);
        }
    }

    /// Logarithm of the evidence that the canary is worse.
    pub(super) fn ln_worse(&self) -> f64 {
        self.ln_capital(self.lean)
    }

    /// Logarithm of the evidence that the canary is better.
    pub(super) fn ln_better(&self) -> f64 {
        self.ln_capital(-self.lean)
    }

    /// Which way it leans so far: above zero the canary looks worse.
    pub(super) const fn lean(&self) -> f64 {
        self.lean
    }

    fn ln_capital(&self, lean: f64) -> f64 {
        let terms = self.costs.iter().zip(STAKES).map(|(cost, (stake, part))| stake * lean - cost + ln(part));
        ln_sum_exp(terms)
    }
}

/// ln Σ exp(term), without overflow; minus infinity for no terms.
pub(super) fn ln_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + ln(terms.map(|term| exp(term - largest)).sum())
}

/// ln cosh y, also where cosh y overflows.
fn ln_cosh(y: f64) -> f64 {
    y.abs() + ln_1p(exp(-2.0 * y.abs())) - std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(scores: impl IntoIterator<Item = f64>) -> Wager {
        let mut wager = Wager::default();
        scores.into_iter().for_each(|score| wager.settle(score));
        wager
    }

    #[test]
    fn a_tick_at_most_doubles_the_capital() {
        // Ten ticks, all for "worse": at most 2^10; at least the part 0.45 of the stake 1, (e / cosh 1)^10 = 287.8.
        let capital = settled([4.0; 10]).ln_worse().exp();
        assert!(capital < 1024.0 && capital > 0.45 * 287.0, "{capital}");
    }

    #[test]
    fn ties_and_what_is_no_number_are_no_bet() {
        assert_eq!(settled([0.0, f64::NAN, f64::INFINITY]), Wager::default());
        assert!(Wager::default().ln_worse().abs() < 1e-12, "the parts make a whole");
    }

    #[test]
    fn one_outlier_does_not_ruin_what_many_ticks_have_shown() {
        // A hundred ticks grow the stake 1 to 0.45 (e / cosh 1)^100: 55.8 in the logarithm. A score of -3 takes
        // 3 + ln cosh 3 = 5.3 of that; without the cap it would take a hundred.
        let hit = settled([1.0; 100].into_iter().chain([-1e9]));
        assert!(hit.ln_worse() > 55.8 - 5.4, "{}", hit.ln_worse());
    }

    proptest! {
        // Fairness itself: over both signs of the next score the mean of the capital is what it was.
        #[test]
        fn the_mean_capital_does_not_change(past in prop::collection::vec(-9.0..9.0f64, 0..20), next in 0.01..99.0f64) {
            let after = |score: f64| settled(past.iter().copied().chain([score]));
            let mean = (after(next).ln_worse().exp() + after(-next).ln_worse().exp()) / 2.0;
            prop_assert!((mean / settled(past.iter().copied()).ln_worse().exp() - 1.0).abs() < 1e-9);
        }
    }
}

//! A wager: capital that grows only against a hypothesis, and so is evidence at any time.
//!
//! Each tick, money is staked against "the canary is no worse than this". If that is true, no stake gains on average,
//! whatever was seen before; the capital is then a nonnegative supermartingale, and by Ville's inequality it *ever* reaches
//! 1/α with a chance of at most α. One may look each second and stop whenever one likes. Capitals are kept as logarithms.
//!
//! **Signs**, for mirrored requests. A tick's score x is a difference between canary and baseline that changes its sign
//! when the two change places. If they are alike, x and -x are equally likely, given its size and all that was before: no
//! matter how heavy its tails are, how requests hang together within the tick, or what mood both were in. So
//!
//! ```text
//! capital × exp(λ z) / cosh(λ z)      z = x / mean |x| so far, at most 3
//! ```
//!
//! is fair. It at most doubles, so a burst within one tick proves little by itself. λ is not guessed: the capital is divided
//! over a few, and the best one soon carries it, at the price of its share (ln 5 at most).
//!
//! **Shares**, for requests that are split at random. Of a tick's events (slow answers, errors) the canary's part y has the
//! mean π, its share of the requests, if the event does not depend on where a request went. The capital × (1 + λ (y - π))
//! is fair for any λ that was fixed before the tick; it is the stake that would have been best so far,
//! λ = Σ (y - π) / Σ (y - π)², within what cannot ruin.
//!
//! State: 7 numbers. Cost: some 30 ns a tick.

use serde::{Deserialize, Serialize};

/// Stakes and the parts of the capital on them. For a score of unit spread and mean μ the best stake is μ: from 1/16, a
/// drift that shows within an hour of seconds, to 3, which wins each tick. A stake off by a factor of two still gains
/// three quarters of what the best would.
const STAKES: [(f64, f64); 4] = [(0.0625, 0.2), (0.25, 0.25), (1.0, 0.35), (3.0, 0.2)];

/// Largest score of a tick, in mean sizes: one outlier must not ruin what many ticks have shown.
const SCORE_MAX: f64 = 3.0;

/// Part of the capital that a tick may take from a wager on shares.
const LOSS_MAX: f64 = 0.9;

/// Evidence that the canary is worse than some hypothesis, and that it is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Wager {
    /// On the sign of a difference.
    Signs(Signs),
    /// On the canary's part of the events.
    Shares(Shares),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Signs {
    ticks: u64,
    sizes: f64,
    lean: f64,
    /// Σ ln cosh(λ z), per stake.
    costs: [f64; STAKES.len()],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shares {
    share: f64,
    lean: f64,
    squares: f64,
    ln_worse: f64,
    ln_better: f64,
}

impl Wager {
    /// On signs: canary and baseline had the same requests.
    pub(super) fn signs() -> Self {
        Self::Signs(Signs::default())
    }

    /// On shares: a request went to the canary with this chance.
    pub(super) const fn shares(share: f64) -> Self {
        // One pseudo-tick of the spread of a single event: the first stakes are small.
        Self::Shares(Shares { share, lean: 0.0, squares: share * (1.0 - share), ln_worse: 0.0, ln_better: 0.0 })
    }

    /// Settles a tick: what the canary showed, and what the baseline did.
    pub(super) fn settle(&mut self, canary: f64, baseline: f64) {
        match self {
            Self::Signs(signs) => signs.settle(canary - baseline),
            Self::Shares(shares) if canary + baseline > 0.0 => shares.settle(canary / (canary + baseline)),
            Self::Shares(_) => {}
        }
    }

    /// Logarithm of the evidence that the canary is worse.
    pub(super) fn ln_worse(&self) -> f64 {
        match self {
            Self::Signs(signs) => signs.ln_capital(signs.lean),
            Self::Shares(shares) => shares.ln_worse,
        }
    }

    /// Logarithm of the evidence that the canary is better.
    pub(super) fn ln_better(&self) -> f64 {
        match self {
            Self::Signs(signs) => signs.ln_capital(-signs.lean),
            Self::Shares(shares) => shares.ln_better,
        }
    }

    /// Which way it leans so far: above zero the canary looks worse.
    pub(super) const fn lean(&self) -> f64 {
        match self {
            Self::Signs(signs) => signs.lean,
            Self::Shares(shares) => shares.lean,
        }
    }
}

impl Signs {
    fn settle(&mut self, score: f64) {
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

    fn ln_capital(&self, lean: f64) -> f64 {
        let terms = self.costs.iter().zip(STAKES).map(|(cost, (stake, part))| stake * lean - cost + part.ln());
        ln_sum_exp(terms)
    }
}

impl Shares {
    fn settle(&mut self, part: f64) {
        let gain = part - self.share;
        let stake = self.lean / self.squares;
        let worse = stake.clamp(0.0, LOSS_MAX / self.share);
        let better = (-stake).clamp(0.0, LOSS_MAX / (1.0 - self.share));
        self.ln_worse += (worse * gain).ln_1p();
        self.ln_better += (-better * gain).ln_1p();
        self.lean += gain;
        self.squares += gain * gain;
    }
}

/// ln Σ exp(term), without overflow; minus infinity for no terms.
pub(super) fn ln_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}

/// ln cosh y, also where cosh y overflows.
fn ln_cosh(y: f64) -> f64 {
    y.abs() + (-2.0 * y.abs()).exp().ln_1p() - std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(mut wager: Wager, ticks: impl IntoIterator<Item = (f64, f64)>) -> Wager {
        ticks.into_iter().for_each(|(canary, baseline)| wager.settle(canary, baseline));
        wager
    }

    #[test]
    fn a_tick_at_most_doubles_the_capital() {
        // Ten ticks, all for "worse": at most 2^10; at least the part 0.35 of the stake 1, (e / cosh 1)^10 = 287.
        let capital = settled(Wager::signs(), (0..10).map(|_| (5.0, 1.0))).ln_worse().exp();
        assert!(capital < 1024.0 && capital > 0.35 * 287.0, "{capital}");
    }

    #[test]
    fn ties_and_what_is_no_number_are_no_evidence() {
        let wager = settled(Wager::signs(), [(3.0, 3.0), (f64::NAN, 1.0)]);
        assert!(wager.ln_worse().abs() < 1e-12 && wager.lean() == 0.0);
        assert_eq!(settled(Wager::shares(0.5), [(0.0, 0.0)]), Wager::shares(0.5));
    }

    #[test]
    fn a_share_above_its_due_is_evidence_and_its_due_is_none() {
        // 9 of 10 events at a due of half: per event at most ln 2 - H(0.1) = 0.37; 0.25 leaves room for learning the stake.
        let worse = settled(Wager::shares(0.5), (0..100).map(|i| if i % 10 == 0 { (0.0, 1.0) } else { (1.0, 0.0) }));
        assert!(worse.ln_worse() > 25.0 && worse.ln_worse() < 37.0, "{}", worse.ln_worse());
        let fair = settled(Wager::shares(0.5), (0..100).map(|i| if i % 2 == 0 { (0.0, 1.0) } else { (1.0, 0.0) }));
        assert!(fair.ln_worse() <= 0.0 && fair.ln_better() <= 0.0);
    }

    proptest! {
        // Fairness itself: over both signs of the next score, or the two outcomes of an event weighed by their chance, the
        // mean of the capital is what it was.
        #[test]
        fn the_mean_capital_does_not_change(past in prop::collection::vec(-9.0..9.0f64, 0..20), next in 0.01..99.0f64,
                                            share in 0.05..0.95f64) {
            let signs = settled(Wager::signs(), past.iter().map(|score| (*score, 0.0)));
            let after = |score: f64| settled(signs.clone(), [(score, 0.0)]);
            let mean = (after(next).ln_worse().exp() + after(-next).ln_worse().exp()) / 2.0;
            prop_assert!((mean / signs.ln_worse().exp() - 1.0).abs() < 1e-9);

            let shares = settled(Wager::shares(share), past.iter().map(|score| (score.max(0.0), (-score).max(0.0))));
            let after = |canary: f64| settled(shares.clone(), [(canary, 1.0 - canary)]);
            let mean = share * after(1.0).ln_better().exp() + (1.0 - share) * after(0.0).ln_better().exp();
            prop_assert!((mean / shares.ln_better().exp() - 1.0).abs() < 1e-9);
        }
    }
}

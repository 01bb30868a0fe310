//! The knee: the largest utilisation that is still safe.
//!
//! Ticks are counted in bins of five points of utilisation, and how much they suffered. The knee is the prior, or the upper edge
//! of the highest bin that was seen healthy, but not above the lower edge of the first bin in which more than a fifth of the
//! ticks suffered: of what lies between health and suffering nothing is known. Counts are halved at [`COUNT_MAX`], so that new
//! code shows. State: 40 numbers.

use schemas::Ratio;
use serde::{Deserialize, Serialize};

use crate::lateness;

/// Bins over utilisation 0 to 1.
const BINS: usize = 20;

/// Ticks of a bin from which it is believed.
const COUNT_MIN: u32 = 30;

/// Ticks of a bin at which its counts are halved: half an hour of seconds.
const COUNT_MAX: u32 = 1800;

/// Share of suffering ticks from which a bin counts as beyond the knee.
const SUFFERING: f64 = 0.2;

/// The knee stays within these multiples of the prior: a shadow on a tiny quota pools less randomness and suffers
/// somewhat before the primary would.
const AROUND_PRIOR: (f64, f64) = (0.85, 1.25);

/// Never planned above this utilisation, whatever was seen.
pub(crate) const CEILING: f64 = 0.95;

/// A safe utilisation and whether it was seen or assumed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Safe {
    /// The utilisation.
    pub utilisation: Ratio,
    /// Whether the pair has shown it.
    pub seen: bool,
}

/// Counts of suffering over utilisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    prior: f64,
    bins: [(u32, f64); BINS],
}

/// How much a role suffered in a tick in which this share of its requests was late: a bin's mean passes [`SUFFERING`] where more
/// than a hundredth of its requests are late, however they are spread over its ticks.
pub(crate) fn suffering(late_share: f64) -> f64 {
    SUFFERING / lateness::SHARE * late_share
}

impl Knee {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new(prior: Ratio) -> Self {
        Self { prior: prior.get(), bins: [(0, 0.0); BINS] }
    }

    /// Takes in one tick of one role, and how much it suffered in it: not at all at zero, as a whole at one.
    pub fn observe(&mut self, utilisation: f64, suffering: f64) {
        let bin = ((utilisation.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
        let (ticks, sum) = &mut self.bins[bin];
        *ticks += 1;
        *sum += suffering;
        if *ticks >= COUNT_MAX {
            *ticks /= 2;
            *sum /= 2.0;
        }
    }

    /// The largest safe utilisation.
    #[must_use]
    pub fn safe(&self) -> Safe {
        let believed = |(_, bin): &(usize, &(u32, f64))| bin.0 >= COUNT_MIN;
        let suffers = |bin: &(u32, f64)| bin.1 > SUFFERING * f64::from(bin.0);
        let bins = || self.bins.iter().enumerate().filter(believed);
        let first = bins().find(|(_, bin)| suffers(bin)).map(|(index, _)| index);
        let before = |index: &usize| first.is_none_or(|first| *index < first);
        let healthy = bins().map(|(index, _)| index).take_while(before).last();
        let edge = |index: usize| index as f64 / BINS as f64;
        let proven = healthy.map(|index| edge(index + 1)).filter(|proven| *proven > self.prior);
        let knee = proven.unwrap_or(self.prior).min(first.map_or(1.0, edge));
        let seen = first.is_some() || proven.is_some();
        let (least, most) = (AROUND_PRIOR.0 * self.prior, (AROUND_PRIOR.1 * self.prior).min(CEILING));
        Safe { utilisation: Ratio::new(knee.clamp(least, most)), seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knee_after(ticks: &[(f64, bool)]) -> Safe {
        let mut knee = Knee::new(Ratio::new(0.7));
        for (utilisation, suffers) in ticks {
            (0..COUNT_MIN).for_each(|_| knee.observe(*utilisation, f64::from(*suffers)));
        }
        knee.safe()
    }

    #[test]
    fn the_first_suffering_bin_is_the_knee() {
        let safe = knee_after(&[(0.52, false), (0.67, true), (0.92, true)]);
        assert_eq!((safe.utilisation.get(), safe.seen), (0.65, true));
        // It may lie anywhere below 0.9.
        let far = knee_after(&[(0.52, false), (0.92, true)]);
        assert_eq!((far.utilisation.get(), far.seen), (0.7, true));
        assert_eq!(knee_after(&[(0.78, false), (0.92, true)]).utilisation.get(), 0.8);
    }

    #[test]
    fn a_bin_suffers_where_more_than_a_hundredth_of_its_requests_are_late() {
        let after = |late_share_of_tenth: f64| {
            let mut knee = Knee::new(Ratio::new(0.7));
            (0..100)
                .for_each(|tick| knee.observe(0.62, suffering(if tick % 10 == 0 { late_share_of_tenth } else { 0.0 })));
            knee.safe().utilisation.get()
        };
        // In one tick of ten, 12 and 8 of a hundred: 1.2 and 0.8 of a hundred in all.
        assert_eq!([after(0.12), after(0.08)], [0.6, 0.7]);
    }

    #[test]
    fn without_suffering_the_prior_holds_until_more_was_seen_healthy() {
        assert_eq!(knee_after(&[(0.31, false)]), Safe { utilisation: Ratio::new(0.7), seen: false });
        assert_eq!(knee_after(&[(0.77, false)]).utilisation.get(), 0.8);
    }
}

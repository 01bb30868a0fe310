//! The knee: the largest utilisation that is still safe.
//!
//! Ticks are counted in bins of five points of utilisation, suffering and not. The knee is the lower edge of the
//! first bin in which a fifth of the ticks suffered; where none has, it is the prior, or the upper edge of the highest
//! bin that was seen healthy. Counts are halved at [`COUNT_MAX`], so that new code shows. State: 40 counts.

use schemas::Ratio;
use serde::{Deserialize, Serialize};

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
    bins: [(u32, u32); BINS],
}

impl Knee {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new(prior: Ratio) -> Self {
        Self { prior: prior.get(), bins: [(0, 0); BINS] }
    }

    /// Takes in one tick of one role.
    pub fn observe(&mut self, utilisation: f64, suffers: bool) {
        let bin = ((utilisation.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
        let (ticks, suffering) = &mut self.bins[bin];
        *ticks += 1;
        *suffering += u32::from(suffers);
        if *ticks >= COUNT_MAX {
            *ticks /= 2;
            *suffering /= 2;
        }
    }

    /// The largest safe utilisation.
    #[must_use]
    pub fn safe(&self) -> Safe {
        let believed = |(_, bin): &(usize, &(u32, u32))| bin.0 >= COUNT_MIN;
        let suffers = |bin: &(u32, u32)| f64::from(bin.1) > SUFFERING * f64::from(bin.0);
        let first = self.bins.iter().enumerate().filter(believed).find(|(_, bin)| suffers(bin));
        let highest = self.bins.iter().enumerate().filter(believed).map(|(index, _)| index).next_back();
        let edge = |index: usize| index as f64 / BINS as f64;
        let (knee, seen) = match (first, highest) {
            (Some((index, _)), _) => (edge(index), true),
            (None, Some(index)) if edge(index + 1) > self.prior => (edge(index + 1), true),
            (None, _) => (self.prior, false),
        };
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
            (0..COUNT_MIN).for_each(|_| knee.observe(*utilisation, *suffers));
        }
        knee.safe()
    }

    #[test]
    fn the_first_suffering_bin_is_the_knee() {
        let safe = knee_after(&[(0.52, false), (0.67, true), (0.92, true)]);
        assert_eq!((safe.utilisation.get(), safe.seen), (0.65, true));
    }

    #[test]
    fn without_suffering_the_prior_holds_until_more_was_seen_healthy() {
        assert_eq!(knee_after(&[(0.31, false)]), Safe { utilisation: Ratio::new(0.7), seen: false });
        assert_eq!(knee_after(&[(0.77, false)]).utilisation.get(), 0.8);
    }
}

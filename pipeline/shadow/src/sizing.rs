//! From work to demand: the least allocation that meets the target, with the shadow's lessons and without.
//!
//! The law of late requests tells best, and its band counts in the headroom, so that none is too wide; else a law of latency that
//! has been seen to cross the target, with a band that is narrow enough ([`BAND_MAX`]); else the headroom that the target takes;
//! else work over the knee.
//!
//! **A bad shadow never lowers an allocation.** Both figures are kept, with the shadow's lessons and without; a shadow that is
//! believed decides by the former, any other by the larger: what it taught that takes more stays until it is outdated, what
//! takes less is dropped.

use schemas::{KneeEvidence, LatencyLaw, Ratio};

use crate::Safe;
use crate::fit::Fitted;
use crate::knee::CEILING;

/// Widest band of a law of latency, over its knee, by which anything is sized.
const BAND_MAX: f64 = 0.3;

/// A law of latency whose knee lies lower says that CPU is not what latency waits for; the law of late requests has been held to
/// counts that idle cores change.
const KNEE_MIN: f64 = 0.15;
const TAIL_KNEE_MIN: f64 = 0.05;

/// From work to demand, as learnt so far: demand is the least allocation that meets the SLO.
///
/// Rises with the work, so the demand of a quantile, or of a peak, of work is that quantile, or peak, of demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    pub(crate) alone: Lessons,
    pub(crate) paired: Option<Lessons>,
    pub(crate) trusted: bool,
}

/// What was learnt of one workload, by its primary alone or by the pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lessons {
    pub(crate) knee: Safe,
    /// Cores; none without a target.
    pub(crate) headroom: Option<f64>,
    /// None without a target, or before it was seen.
    pub(crate) fitted: Option<Fitted>,
}

impl Sizing {
    /// The demand of `work` cores.
    #[must_use]
    pub fn demand(&self, work: f64) -> f64 {
        let alone = self.alone.demand(work);
        match &self.paired {
            Some(paired) if self.trusted => paired.demand(work),
            Some(paired) => paired.demand(work).max(alone),
            None => alone,
        }
    }

    /// The demand of `work` cores had there been no shadow.
    #[must_use]
    pub fn demand_alone(&self, work: f64) -> f64 {
        self.alone.demand(work)
    }

    /// The largest safe utilisation at `work` cores.
    #[must_use]
    pub fn safe(&self, work: f64) -> Safe {
        let lessons = self.paired.as_ref().unwrap_or(&self.alone);
        let by_latency = lessons.headroom.is_some() || lessons.confident().is_some();
        let alone_counts = self.paired.is_some() && !self.trusted;
        if work <= 0.0 || !(by_latency || alone_counts) {
            return self.paired.as_ref().filter(|_| self.trusted).unwrap_or(&self.alone).knee;
        }
        Safe { utilisation: Ratio::new(work / self.demand(work)), seen: by_latency || lessons.knee.seen }
    }

    /// The knee that was found, with its band; without the shadow's lessons where it is not believed.
    #[must_use]
    pub fn knee(&self) -> Option<KneeEvidence> {
        let lessons = self.paired.as_ref().filter(|_| self.trusted).unwrap_or(&self.alone);
        lessons.fitted.map(|fitted| fitted.knee)
    }
}

impl Lessons {
    fn demand(&self, work: f64) -> f64 {
        match (self.confident(), self.headroom) {
            (Some(fitted), _) => (work + fitted.headroom(work)).max(work / CEILING),
            (None, Some(headroom)) => (work + headroom).max(work / CEILING),
            (None, None) => work / self.knee.utilisation.get(),
        }
    }

    fn confident(&self) -> Option<&Fitted> {
        self.fitted.as_ref().filter(|fitted| {
            let KneeEvidence { utilisation, low, high, law, shown, .. } = fitted.knee;
            let [knee, low, high] = [utilisation, low, high].map(Ratio::get);
            match law {
                LatencyLaw::Tail => knee >= TAIL_KNEE_MIN,
                _ => shown && low >= KNEE_MIN && high - low <= BAND_MAX * knee,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lessons(knee: f64, headroom: Option<f64>) -> Lessons {
        Lessons { knee: Safe { utilisation: Ratio::new(knee), seen: true }, headroom, fitted: None }
    }

    #[test]
    fn a_distrusted_shadow_raises_and_never_lowers() {
        let of = |paired: f64, trusted: bool| Sizing {
            alone: lessons(0.7, Some(1.0)),
            paired: Some(lessons(0.7, Some(paired))),
            trusted,
        };
        // Two cores of work: with a headroom of 1 core 3, of 0.5 2.5, of 2 4.
        assert_eq!([of(0.5, true).demand(2.0), of(0.5, false).demand(2.0)], [2.5, 3.0]);
        assert_eq!([of(2.0, true).demand(2.0), of(2.0, false).demand(2.0)], [4.0, 4.0]);
        assert_eq!(of(0.5, true).demand_alone(2.0), 3.0);
    }

    #[test]
    fn without_a_target_it_is_work_over_the_knee() {
        let sizing = Sizing { alone: lessons(0.5, None), paired: None, trusted: false };
        assert_eq!((sizing.demand(2.0), sizing.safe(2.0).utilisation.get()), (4.0, 0.5));
    }
}

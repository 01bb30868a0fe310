//! Probes: a shadow that comes now and then, takes ever more of the load until it suffers, and goes.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventTime, Ratio, ShadowSettings};

/// What probes of a workload may take. They look for its knee: while there is one, decisions say what its shadow is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbePolicy {
    /// The largest share p of requests that may be mirrored. Default 1.
    pub share_max: Ratio,
    /// The least size f, as a share of the primary, at which the program starts. Default 0.05.
    pub size_min: Ratio,
    /// The largest size f. Default 0.25.
    pub size_max: Ratio,
    /// The shadow's mean cost, as a share of the primary's allocation; at least 0.001. Default 0.05: a probe of four minutes at
    /// a quarter of the primary every twenty minutes.
    pub overhead_max: Ratio,
    /// How long one load is held, in milliseconds. Default 30 s; at least 20 s, ten of which are not judged, and at most two
    /// minutes, for a probe takes ten.
    pub dwell_ms: u64,
}

/// A turn of a probe: what the shadow is from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeTurn {
    /// The share p of requests that is mirrored to it; zero without a shadow.
    pub mirrored_share: Ratio,
    /// Its size f, as a share of the primary; zero for no shadow.
    pub size_ratio: Ratio,
    /// From then on there is no shadow, unless another turn came.
    pub until: EventTime,
    /// Why, in one sentence with figures.
    pub because: String,
}

impl Default for ProbePolicy {
    fn default() -> Self {
        Self {
            share_max: Ratio::new(1.0),
            size_min: Ratio::new(0.05),
            size_max: Ratio::new(0.25),
            overhead_max: Ratio::new(0.05),
            dwell_ms: 30_000,
        }
    }
}

impl ProbePolicy {
    /// How long one load is held.
    const DWELL_MS: RangeInclusive<u64> = 20_000..=120_000;

    /// Least mean cost: a probe would come once a week.
    const OVERHEAD_MIN: f64 = 0.001;

    /// What is wrong, each with its mend; empty when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let share = |ratio: Ratio| ratio.get() > 0.0 && ratio.get() <= 1.0;
        let rules = [
            (share(self.share_max), "probe.share_max must be above 0 and at most 1"),
            (share(self.size_min), "probe.size_min must be above 0 and at most 1"),
            (
                share(self.size_max) && self.size_min.get() <= self.size_max.get(),
                "probe.size_max must be between size_min and 1",
            ),
            (
                (Self::OVERHEAD_MIN..=1.0).contains(&self.overhead_max.get()),
                "probe.overhead_max must lie in 0.001 to 1, such as 0.05",
            ),
            (
                Self::DWELL_MS.contains(&self.dwell_ms),
                "probe.dwell_ms must lie in 20000 to 120000: ten seconds of it are not judged, and a probe takes ten minutes",
            ),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }

    /// Why a turn is not allowed; none where it is. To have no shadow is always allowed.
    #[must_use]
    pub fn objection(&self, turn: &ProbeTurn) -> Option<String> {
        let ShadowSettings { size_ratio, mirrored_share } = turn.shadow()?;
        let [size, share] = [size_ratio, mirrored_share].map(Ratio::get);
        if !(size >= self.size_min.get() && size <= self.size_max.get()) {
            let (least, most) = (self.size_min.get(), self.size_max.get());
            Some(format!("a shadow of {size} of its primary is not between {least} and {most}"))
        } else if !(share > 0.0 && share <= self.share_max.get()) {
            Some(format!("{share} of the requests is not above 0 and at most {}", self.share_max.get()))
        } else {
            None
        }
    }
}

impl ProbeTurn {
    /// The shadow that there is to be; none for none.
    #[must_use]
    pub fn shadow(&self) -> Option<ShadowSettings> {
        let Self { size_ratio, mirrored_share, .. } = *self;
        (size_ratio.get() != 0.0).then_some(ShadowSettings { size_ratio, mirrored_share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_policy_is_told() {
        assert_eq!(ProbePolicy::default().faults(), [""; 0]);
        let wrong = ProbePolicy {
            share_max: Ratio::new(0.0),
            size_min: Ratio::new(0.5),
            overhead_max: Ratio::new(f64::NAN),
            dwell_ms: 19_000,
            ..ProbePolicy::default()
        };
        assert_eq!(wrong.faults().len(), 4);
        // What would make a probe begin again beyond the end of time.
        let endless = ProbePolicy { overhead_max: Ratio::new(1e-17), dwell_ms: u64::MAX, ..ProbePolicy::default() };
        assert_eq!(endless.faults().len(), 2);
    }

    #[test]
    fn a_turn_beyond_the_policy_is_objected_to() {
        let turn = |size, share| ProbeTurn {
            mirrored_share: Ratio::new(share),
            size_ratio: Ratio::new(size),
            until: EventTime::default(),
            because: String::new(),
        };
        let objection = |size, share| ProbePolicy::default().objection(&turn(size, share));
        for (size, share) in [(0.05, 0.01), (0.25, 1.0), (0.0, 0.0)] {
            assert_eq!(objection(size, share), None, "{size} and {share}");
        }
        for (size, share) in [(0.04, 0.5), (0.3, 0.5), (f64::NAN, 0.5), (0.1, 0.0), (0.1, 1.5), (-0.1, 0.5)] {
            assert!(objection(size, share).is_some(), "{size} and {share}");
        }
    }
}

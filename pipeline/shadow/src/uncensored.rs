//! Work behind a saturated limit: what the load takes, where usage shows only the limit.
//!
//! | source | cores | its error |
//! |---|---|---|
//! | requests | the demand curve at the primary's requests | the curve's |
//! | mirrored requests | the demand curve at the shadow's requests / p | the curve's, and 1/√n of the requests sampled |
//! | shadow's usage | the fixed part and (shadow's usage - fixed part) / p, at the shadow's usual cost | 1/√n and [`SCALING_ERROR`] |
//!
//! The source with the least error counts. A saturated primary may count only what it completes; the mirror samples what
//! arrives. So where the mirrored requests say clearly more than the primary's, the primary's say nothing. The shadow's usage
//! counts only while the shadow is itself not saturated. Readings of the shadow are means over the last [`MEMORY`] ticks, for
//! a small share of few requests is noisy; they begin anew with a tick whose requests chance does not explain.
//!
//! State: eight numbers, and how long ago they were read; requests are forgotten by themselves.

use schemas::DemandSource;
use serde::{Deserialize, Serialize};

use crate::{Curve, RoleTick};

/// Ticks that the means of the shadow remember.
const MEMORY: f64 = 10.0;

/// Independent ticks in such a mean: 2 × memory - 1.
const SAMPLES: f64 = 19.0;

/// Error of scaling a small copy's usage up when its usual cost is known, and when it is not.
const SCALING_ERROR: [f64; 2] = [0.05, 0.15];

/// Standard errors by which the mirrored requests must exceed the primary's to put them aside, or a tick's those before.
const CLEARLY: f64 = 3.0;

/// A figure of the work, and where it is from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Cores.
    pub cores: f64,
    /// Where it is from.
    pub source: DemandSource,
    /// Relative standard error.
    pub error: f64,
}

/// What the shadow has lately carried of the primary's load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Carried {
    requests: Recent,
    cores: Recent,
    share: f64,
    /// The part of the primary's requests that might have been mirrored.
    part: Recent,
    /// Ticks since it was read, and since its requests were.
    unread: f64,
    unasked: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Recent {
    ticks: f64,
    mean: f64,
}

impl Carried {
    /// A tick begins. What was read longer ago than the means remember is no longer the load.
    pub(crate) fn pass(&mut self) {
        self.unread += 1.0;
        if self.unread > MEMORY {
            *self = Self::default();
        }
    }

    /// Takes in a tick of the shadow under the mirrored share `share`.
    pub(crate) fn observe(&mut self, shadow: &RoleTick, share: f64) {
        if share != self.share {
            *self = Self { share, ..Self::default() };
        }
        self.unread = 0.0;
        self.unasked = if shadow.requests.is_some() { 0.0 } else { self.unasked + 1.0 };
        if let Some(requests) = shadow.requests {
            if self.requests.is_left_by(requests) {
                (self.requests, self.cores) = (Recent::default(), Recent::default());
            }
            self.requests.observe(requests);
        } else if self.unasked > MEMORY {
            // It may be mirrored to no longer: what it uses is then no share of anything.
            self.requests = Recent::default();
        }
        match shadow.cores.filter(|_| !shadow.saturated()) {
            Some(cores) => self.cores.observe(cores),
            // What it uses now is its limit, and what it used before is no longer the load.
            None => self.cores = Recent::default(),
        }
    }

    /// Takes in what part of the primary's requests might have been mirrored in the same tick.
    pub(crate) fn observe_part(&mut self, part: f64) {
        self.part.observe(part);
    }

    /// The share of all requests that is mirrored.
    fn share_of_all(&self) -> f64 {
        self.share * self.part.known().unwrap_or(1.0)
    }

    /// The best figure of the work under `requests` requests/s; `cost` is what a request usually costs the shadow, over what
    /// the curve says.
    pub(crate) fn estimate(&self, curve: &Curve, requests: Option<f64>, cost: Option<f64>) -> Option<Estimate> {
        let mirrored = self.mirrored(curve);
        let chance = self.chance().unwrap_or_default();
        let offered = self.requests.known().map(|sampled| sampled / self.share_of_all());
        let told = requests.filter(|told| offered.is_none_or(|offered| offered <= told * (1.0 + CLEARLY * chance)));
        let own = told.and_then(|requests| curve.cost(requests)).map(|cost| Estimate {
            cores: cost.cores,
            source: DemandSource::Requests,
            error: cost.error,
        });
        let all = [own, mirrored, self.scaled(curve, cost)];
        all.into_iter().flatten().min_by(|a, b| a.error.total_cmp(&b.error))
    }

    fn mirrored(&self, curve: &Curve) -> Option<Estimate> {
        let cost = curve.cost(self.requests.known()? / self.share_of_all())?;
        let error = (cost.error * cost.error + self.chance()? * self.chance()?).sqrt();
        Some(Estimate { cores: cost.cores, source: DemandSource::MirroredRequests, error })
    }

    fn scaled(&self, curve: &Curve, cost: Option<f64>) -> Option<Estimate> {
        let used = self.cores.known()? / cost.unwrap_or(1.0);
        let fixed = curve.fixed().unwrap_or(0.0).min(used);
        let scaling = SCALING_ERROR[usize::from(cost.is_none())];
        let error = (scaling * scaling + self.chance()? * self.chance()?).sqrt();
        Some(Estimate { cores: fixed + (used - fixed) / self.share_of_all(), source: DemandSource::ShadowUsage, error })
    }

    /// Relative error of a count of the requests sampled, as arrivals by chance have it.
    fn chance(&self) -> Option<f64> {
        let sampled = self.requests.known().filter(|requests| *requests > 0.0)?;
        Some(1.0 / (sampled * SAMPLES.min(self.requests.ticks)).sqrt())
    }
}

impl Recent {
    fn observe(&mut self, value: f64) {
        self.ticks += 1.0;
        self.mean += (value - self.mean) / self.ticks.min(MEMORY);
    }

    /// Whether a count is clearly another one than the mean has it, as arrivals by chance have it.
    fn is_left_by(&self, count: f64) -> bool {
        let off = count - self.mean;
        let variance = self.mean.max(1.0) * (1.0 + 1.0 / self.ticks.clamp(1.0, MEMORY));
        self.ticks > 0.0 && off * off > CLEARLY * CLEARLY * variance
    }

    fn known(&self) -> Option<f64> {
        (self.ticks > 0.0).then_some(self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0.1 cores fixed and 10 ms a request.
    fn curve() -> Curve {
        let mut curve = Curve::default();
        for tick in 0..200 {
            let load = f64::from(tick % 50);
            curve.observe(load, 0.1 + 0.01 * load);
        }
        curve
    }

    fn carried(requests: f64, cores: f64, limit: f64, share: f64) -> Carried {
        let mut carried = Carried::default();
        let tick =
            RoleTick { requests: Some(requests), cores: Some(cores), limit_cores: Some(limit), ..RoleTick::default() };
        (0..30).for_each(|_| carried.observe(&tick, share));
        carried
    }

    #[test]
    fn the_source_with_the_least_error_counts() {
        // 500 requests/s are 5.1 cores; the primary counts them itself, so no sampling error.
        let all = carried(50.0, 0.6, 1.0, 0.1).estimate(&curve(), Some(500.0), Some(1.0)).expect("known");
        assert_eq!(all.source, DemandSource::Requests);
        assert!((all.cores - 5.1).abs() < 1e-6);
        // It counts what it completes, 200 of 500: the mirror's 50 of a tenth are 500.
        let mirrored = carried(50.0, 0.6, 1.0, 0.1).estimate(&curve(), Some(200.0), None).expect("known");
        assert_eq!(mirrored.source, DemandSource::MirroredRequests);
        assert!((mirrored.cores - 5.1).abs() < 1e-6);
    }

    #[test]
    fn without_a_curve_the_shadow_is_scaled_up_unless_it_is_saturated() {
        let unknown = Curve::default();
        // 0.6 cores of a tenth of the requests: 6 cores, of which the fixed 0.1 is not known to be one.
        let scaled = carried(50.0, 0.6, 1.0, 0.1).estimate(&unknown, Some(500.0), None).expect("known");
        assert_eq!(scaled.source, DemandSource::ShadowUsage);
        assert!((scaled.cores - 6.0).abs() < 1e-9, "{}", scaled.cores);
        // 15 % of scaling and 1/√950 of chance: 15.3 %.
        assert!((scaled.error - 0.1534).abs() < 1e-3, "{}", scaled.error);
        assert_eq!(carried(50.0, 0.99, 1.0, 0.1).estimate(&unknown, Some(500.0), None), None);
    }

    #[test]
    fn a_load_that_leaps_is_told_at_once() {
        // Of a tenth of 500 requests/s come 50, and then of a thousand 100: 7 in a tick, or 1 in 44, are chance.
        let mut carried = carried(50.0, 0.6, 2.0, 0.1);
        let told = |carried: &Carried| carried.mirrored(&curve()).expect("known").cores;
        let tick = |requests: f64| RoleTick { requests: Some(requests), cores: Some(1.1), ..RoleTick::default() };
        carried.observe(&tick(57.0), 0.1);
        assert!((told(&carried) - 5.17).abs() < 1e-6, "{}", told(&carried));
        carried.observe(&tick(100.0), 0.1);
        assert!((told(&carried) - 10.1).abs() < 1e-6, "{}", told(&carried));
    }

    #[test]
    fn requests_that_may_not_be_mirrored_are_load_too() {
        // A tenth of the 400 requests/s that may be is 40; with the 100 that may not, the load is 500.
        let mut carried = carried(40.0, 0.5, 1.0, 0.1);
        (0..30).for_each(|_| carried.observe_part(0.8));
        let told = carried.mirrored(&curve()).expect("known").cores;
        assert!((told - 5.1).abs() < 1e-6, "{told}");
        // The primary counts all of them, which is no less than the mirror says.
        let best = carried.estimate(&curve(), Some(500.0), None).expect("known");
        assert_eq!(best.source, DemandSource::Requests);
    }

    #[test]
    fn what_is_no_longer_mirrored_to_tells_nothing() {
        let mut carried = carried(50.0, 0.6, 1.0, 0.1);
        let idle = RoleTick { cores: Some(0.01), limit_cores: Some(1.0), ..RoleTick::default() };
        (0..=MEMORY as u32).for_each(|_| carried.observe(&idle, 0.1));
        let told = carried.estimate(&curve(), Some(500.0), Some(1.0)).expect("the primary counts");
        assert_eq!(told.source, DemandSource::Requests);
        assert_eq!(carried.estimate(&Curve::default(), Some(500.0), Some(1.0)), None);
    }

    #[test]
    fn the_fixed_part_and_the_usual_cost_are_not_scaled() {
        // A fifth of 500 requests/s at 13 ms, and 0.13 fixed: 1.43 cores, at 1.3 times the usual cost.
        let carried = carried(100.0, 1.43, 3.0, 0.2);
        let scaled = carried.scaled(&curve(), Some(1.3)).expect("known");
        assert!((scaled.cores - 5.1).abs() < 1e-6, "{}", scaled.cores);
    }
}

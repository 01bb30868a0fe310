//! One workload's pair: usage in, work and what it takes to serve it out.

use schemas::Ratio;
use serde::{Deserialize, Serialize};

use crate::knee::CEILING;
use crate::{Curve, Headroom, Knee, Safe};

/// Throttled share from which a role suffers.
const SUFFERING_THROTTLE: f64 = 0.15;

/// Utilisation from which usage may hide demand.
const SATURATED: f64 = 0.92;

/// Unsaturated ticks after which no backlog is left to speak of.
const CALM_AFTER: u32 = 5;

/// Growth per tick that is tried while demand is hidden and nothing tells how much there is: a quarter more each
/// time doubles the allocation in about three decisions.
const PROBE: f64 = 1.25;

/// Means of one role over one tick; what was not read is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoleTick {
    /// CPU used, cores.
    pub cores: Option<f64>,
    /// CPU limit, cores.
    pub limit_cores: Option<f64>,
    /// Share of periods throttled.
    pub throttled: Option<f64>,
    /// Requests per second.
    pub requests: Option<f64>,
    /// The 99th percentile of latency, seconds.
    pub latency: Option<f64>,
}

/// The work of a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// CPU that the tick's load takes, cores; none when it cannot be told.
    pub cores: Option<f64>,
    /// Whether usage hid it.
    pub censored: bool,
}

/// From work to demand, as learnt so far: demand is the least allocation that meets the SLO.
///
/// Rises with the work, so the demand of a quantile, or of a peak, of work is that quantile, or peak, of demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    knee: Safe,
    headroom: Option<f64>,
}

/// What one workload's pair has taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    knee: Knee,
    headroom: Headroom,
    primary_calm: Calm,
    shadow_calm: Calm,
    curve: Curve,
}

/// Ticks since a role was last saturated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Calm(u32);

impl Learner {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new(knee_prior: Ratio) -> Self {
        Self {
            knee: Knee::new(knee_prior),
            headroom: Headroom::default(),
            primary_calm: Calm::default(),
            shadow_calm: Calm::default(),
            curve: Curve::default(),
        }
    }

    /// Takes in one tick of the pair.
    pub fn observe(&mut self, primary: &RoleTick, shadow: Option<&RoleTick>, slo_latency: Option<f64>) -> Work {
        let censored = primary.saturated();
        let late = slo_latency.zip(primary.latency).is_some_and(|(slo, latency)| latency > slo);
        if let Some(utilisation) = primary.utilisation() {
            self.knee.observe(utilisation, primary.throttles() || late);
        }
        // Here the shadow is judged by throttling alone: a small copy misses the latency target even in health.
        if let Some(utilisation) = shadow.and_then(RoleTick::utilisation) {
            self.knee.observe(utilisation, shadow.is_some_and(RoleTick::throttles));
        }
        if let Some((headroom, latency)) = self.primary_calm.point(primary) {
            self.headroom.observe_primary(headroom, latency, slo_latency);
        }
        if let Some((headroom, latency)) = shadow.and_then(|shadow| self.shadow_calm.point(shadow)) {
            self.headroom.observe_shadow(headroom, latency);
        }
        if let (false, Some(requests), Some(cores)) = (censored, primary.requests, primary.cores) {
            self.curve.observe(requests, cores);
        }
        Work { cores: if censored { self.hidden(primary) } else { primary.cores }, censored }
    }

    /// How work becomes demand under a latency target; by the knee where there is none or it has not been learnt.
    #[must_use]
    pub fn sizing(&self, slo_latency: Option<f64>) -> Sizing {
        Sizing { knee: self.knee.safe(), headroom: slo_latency.and_then(|slo| self.headroom.cores(slo)) }
    }

    /// Work behind a saturated limit: what the load takes by the curve, or a probe upwards.
    fn hidden(&self, primary: &RoleTick) -> Option<f64> {
        let used = primary.cores?;
        let by_load = primary.requests.and_then(|requests| self.curve.cores(requests));
        Some(by_load.unwrap_or(0.0).max(used * PROBE))
    }
}

impl Sizing {
    /// The demand of `work` cores.
    #[must_use]
    pub fn demand(&self, work: f64) -> f64 {
        match self.headroom {
            Some(headroom) => (work + headroom).max(work / CEILING),
            None => work / self.knee.utilisation.get(),
        }
    }

    /// The largest safe utilisation at `work` cores.
    #[must_use]
    pub fn safe(&self, work: f64) -> Safe {
        if self.headroom.is_none() || work <= 0.0 {
            return self.knee;
        }
        Safe { utilisation: Ratio::new(work / self.demand(work)), seen: true }
    }
}

impl Calm {
    /// Headroom and latency of a tick whose queue is in balance: while a backlog drains, latency is the backlog's.
    fn point(&mut self, tick: &RoleTick) -> Option<(f64, f64)> {
        self.0 = if tick.saturated() { 0 } else { self.0.saturating_add(1) };
        let headroom = tick.limit_cores? - tick.cores?;
        (self.0 > CALM_AFTER && headroom > 0.0).then_some((headroom, tick.latency?))
    }
}

impl RoleTick {
    fn utilisation(&self) -> Option<f64> {
        let limit = self.limit_cores.filter(|limit| *limit > 0.0)?;
        Some(self.cores? / limit)
    }

    fn throttles(&self) -> bool {
        self.throttled.is_some_and(|share| share > SUFFERING_THROTTLE)
    }

    fn saturated(&self) -> bool {
        self.utilisation().is_some_and(|utilisation| utilisation > SATURATED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(cores: f64, limit: f64, requests: f64) -> RoleTick {
        RoleTick { cores: Some(cores), limit_cores: Some(limit), requests: Some(requests), ..RoleTick::default() }
    }

    #[test]
    fn without_a_latency_demand_is_work_over_the_knee() {
        let mut learner = Learner::new(Ratio::new(0.7));
        let work = learner.observe(&tick(0.7, 2.0, 10.0), None, None);
        assert_eq!((work.cores, work.censored), (Some(0.7), false));
        assert_eq!(learner.sizing(None).demand(0.7), 1.0);
    }

    #[test]
    fn a_saturated_primary_shows_its_demand_through_the_load() {
        let mut learner = Learner::new(Ratio::new(0.8));
        for step in 0..100 {
            let requests = f64::from(step % 20);
            learner.observe(&tick(0.05 * requests, 2.0, requests), None, None);
        }
        // 80 requests/s × 0.05 = 4 cores of work; usage shows only the limit of 2.
        let work = learner.observe(&tick(1.99, 2.0, 80.0), None, None);
        assert!(work.censored);
        let cores = work.cores.expect("the curve tells it");
        assert!((cores - 4.0).abs() < 1e-6, "{cores}");
    }

    #[test]
    fn a_reading_that_is_missing_gives_no_demand() {
        let work = Learner::new(Ratio::new(0.7)).observe(&RoleTick::default(), None, None);
        assert_eq!(work.cores, None);
    }
}

//! One workload's pair: usage in, demand out.

use schemas::Ratio;

use crate::{Curve, Knee, Safe};

/// Throttled share from which a role suffers.
const SUFFERING_THROTTLE: f64 = 0.15;

/// Utilisation from which usage may hide demand.
const SATURATED: f64 = 0.92;

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

/// Demand at a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// The least allocation that would have met the SLO, cores; none when it cannot be told.
    pub cores: Option<f64>,
    /// Whether usage hid it.
    pub censored: bool,
    /// Largest safe utilisation.
    pub knee: Safe,
}

/// What one workload's pair has taught.
#[derive(Clone, Debug, PartialEq)]
pub struct Learner {
    knee: Knee,
    curve: Curve,
}

impl Learner {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new(knee_prior: Ratio) -> Self {
        Self { knee: Knee::new(knee_prior), curve: Curve::default() }
    }

    /// Takes in one tick of the pair.
    pub fn observe(&mut self, primary: &RoleTick, shadow: Option<&RoleTick>, slo_latency: Option<f64>) -> Demand {
        let censored = primary.saturated();
        let late = slo_latency.zip(primary.latency).is_some_and(|(slo, latency)| latency > slo);
        if let Some(utilisation) = primary.utilisation() {
            self.knee.observe(utilisation, primary.throttles() || late);
        }
        // The shadow is judged by throttling alone: a small copy misses the latency target even in health.
        if let Some(shadow) = shadow
            && let Some(utilisation) = shadow.utilisation()
        {
            self.knee.observe(utilisation, shadow.throttles());
        }
        if let (false, Some(requests), Some(cores)) = (censored, primary.requests, primary.cores) {
            self.curve.observe(requests, cores);
        }
        let knee = self.knee.safe();
        let work = if censored { self.hidden(primary) } else { primary.cores };
        Demand { cores: work.map(|cores| cores / knee.utilisation.get()), censored, knee }
    }

    /// Work behind a saturated limit: what the load takes by the curve, or a probe upwards.
    fn hidden(&self, primary: &RoleTick) -> Option<f64> {
        let used = primary.cores?;
        let by_load = primary.requests.and_then(|requests| self.curve.cores(requests));
        Some(by_load.unwrap_or(0.0).max(used * PROBE))
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
    fn demand_is_usage_over_the_knee_while_nothing_is_saturated() {
        let demand = Learner::new(Ratio::new(0.7)).observe(&tick(0.7, 2.0, 10.0), None, None);
        assert_eq!((demand.cores, demand.censored), (Some(1.0), false));
    }

    #[test]
    fn a_saturated_primary_shows_its_demand_through_the_load() {
        let mut learner = Learner::new(Ratio::new(0.8));
        for step in 0..100 {
            let requests = f64::from(step % 20);
            learner.observe(&tick(0.05 * requests, 2.0, requests), None, None);
        }
        // 80 requests/s × 0.05 = 4 cores of work; usage shows only the limit of 2.
        let demand = learner.observe(&tick(1.99, 2.0, 80.0), None, None);
        assert!(demand.censored);
        let cores = demand.cores.expect("the curve tells it");
        assert!((cores * demand.knee.utilisation.get() - 4.0).abs() < 1e-6, "{cores}");
    }

    #[test]
    fn a_reading_that_is_missing_gives_no_demand() {
        let demand = Learner::new(Ratio::new(0.7)).observe(&RoleTick::default(), None, None);
        assert_eq!(demand.cores, None);
    }
}

//! How much is wanted: the larger of what is needed now and what is forecast, in bounds and steps.

use schemas::{Allocation, Reason, Resource, Workload};

use crate::Signals;

/// What the law arrives at for one workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Want {
    /// In bounds and rounded up to steps; a resource about which nothing is known stays at `current`.
    pub wanted: Allocation,
    /// The part that is needed now, in bounds and steps: granted before any forecast.
    pub floor: Allocation,
    /// Before bounds and rounding, CPU then memory; none when nothing is known.
    pub raw: [Option<f64>; 2],
    /// What drives the largest relative rise.
    pub reason: Reason,
}

/// Sizes one workload.
///
/// `wanted = max(floor, forecast)`: the forecast may raise, never lower below the floor.
#[must_use]
pub fn want(signals: &Signals, current: Allocation) -> Want {
    let workload = &*signals.workload;
    let mut want = Want { wanted: current, floor: current, raw: [None, None], reason: Reason::ReactiveFloor };
    let mut steepest = 0.0;
    for (index, resource) in Resource::ALL.into_iter().enumerate() {
        let signal = signals.of(resource);
        let raw = larger(signal.floor, signal.forecast);
        want.raw[index] = raw;
        let held = current.get(resource);
        let wanted = raw.map_or_else(|| bounded(workload, resource, held), |raw| fit(workload, resource, raw));
        let floor = signal.floor.map_or(held.min(wanted), |floor| fit(workload, resource, floor));
        want.wanted = want.wanted.with(resource, wanted);
        want.floor = want.floor.with(resource, floor);
        let rise = wanted / held.max(f64::MIN_POSITIVE);
        if rise > steepest {
            steepest = rise;
            want.reason = driver(wanted, floor, held, raw);
        }
    }
    want
}

/// Rounds an amount up to the orchestrator's step and into the workload's bounds.
///
/// | amount | step | bounds | fitted |
/// |---|---|---|---|
/// | 1.01 | 0.25 | 0.5 to 4 | 1.25 |
/// | 0.10 | 0.25 | 0.5 to 4 | 0.50 |
/// | 9.00 | 0.25 | 0.5 to 4 | 4.00 |
#[must_use]
pub fn fit(workload: &Workload, resource: Resource, amount: f64) -> f64 {
    let step = workload.step.get(resource);
    // Rounding errors of a division must not cost a whole step: 0.3 / 0.1 is 2.9999….
    let steps = (amount / step - ROUNDING_SLACK).ceil().max(0.0);
    bounded(workload, resource, steps * step)
}

/// Part of a step that an amount may exceed it by without taking the next step.
const ROUNDING_SLACK: f64 = 1e-6;

fn bounded(workload: &Workload, resource: Resource, amount: f64) -> f64 {
    amount.max(workload.min.get(resource)).min(workload.max.get(resource))
}

fn larger(floor: Option<f64>, forecast: Option<f64>) -> Option<f64> {
    match (floor, forecast) {
        (Some(floor), Some(forecast)) => Some(floor.max(forecast)),
        (floor, forecast) => floor.or(forecast),
    }
}

fn driver(wanted: f64, floor: f64, held: f64, raw: Option<f64>) -> Reason {
    match raw {
        None => Reason::Bounds,
        Some(raw) if wanted > raw && held < wanted && held >= raw => Reason::Bounds,
        Some(_) if floor >= wanted => Reason::ReactiveFloor,
        Some(_) if floor > held => Reason::ReactiveFloor,
        Some(_) => Reason::Forecast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::tests::{signals, workload};

    #[test]
    fn amounts_are_rounded_up_into_bounds() {
        let workload = workload("web");
        assert_eq!(fit(&workload, Resource::Cpu, 1.01), 1.25);
        assert_eq!(fit(&workload, Resource::Cpu, 0.1), 0.5);
        assert_eq!(fit(&workload, Resource::Cpu, 99.0), 8.0);
        // 0.75 is three steps of 0.25 exactly, however the division rounds.
        assert_eq!(fit(&workload, Resource::Cpu, 0.75), 0.75);
    }

    #[test]
    fn a_forecast_raises_but_never_lowers_below_the_floor() {
        let current = Allocation::new(1.0, 1e9);
        let raised = want(&signals("web", Some(1.0), Some(2.0)), current);
        assert_eq!((raised.wanted.cpu_cores.get(), raised.reason), (2.0, Reason::Forecast));
        let floored = want(&signals("web", Some(3.0), Some(2.0)), current);
        assert_eq!((floored.wanted.cpu_cores.get(), floored.reason), (3.0, Reason::ReactiveFloor));
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        let current = Allocation::new(2.0, 1e9);
        let nothing = want(&signals("web", None, None), current);
        assert_eq!(nothing.wanted.cpu_cores.get(), 2.0);
        assert_eq!(nothing.raw[0], None);
    }
}

//! How much is wanted: the larger of what is needed now and what is forecast, in bounds and steps.

use schemas::{Allocation, Reason, Resource, Workload};

use crate::Signals;
use crate::ledger::whole;

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

/// When a raise is worth a change.
///
/// A need that creeps, floor or forecast, would cost a change at every step of the orchestrator. What is needed now is
/// granted at once, and then by `least` at least; a forecast alone must ask for more than `least`, and wait for a while
/// after the last raise, whose horizon has counted that while in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Raise {
    /// Share of the allocation.
    pub least: f64,
    /// Whether the last raise is long enough ago for a forecast to ask for another.
    pub rested: bool,
}

/// Sizes one workload.
///
/// `wanted = max(floor, forecast)`: the forecast may raise, never lower below the floor; see [`Raise`]. `least_memory_bytes` is
/// what an anomaly has memory kept at: it counts as needed now.
#[must_use]
pub fn want(signals: &Signals, current: Allocation, raise: Raise, least_memory_bytes: Option<f64>) -> Want {
    let workload = &*signals.workload;
    let mut want = Want { wanted: current, floor: current, raw: [None, None], reason: Reason::ReactiveFloor };
    let mut steepest = 0.0;
    for (index, resource) in Resource::ALL.into_iter().enumerate() {
        let signal = signals.of(resource);
        let bump = least_memory_bytes.filter(|_| resource == Resource::Memory);
        let needed_now = larger(signal.floor, bump);
        let raw = larger(needed_now, signal.forecast);
        want.raw[index] = raw;
        let held = current.get(resource);
        let wanted = raw.map_or_else(|| bounded(workload, resource, held), |raw| fit(workload, resource, raw));
        let floor = needed_now.map_or(held.min(wanted), |floor| fit(workload, resource, floor));
        let wanted = raise.worthwhile(held, floor, wanted).map_or(wanted, |worth| fit(workload, resource, worth));
        want.wanted = want.wanted.with(resource, wanted);
        want.floor = want.floor.with(resource, floor);
        let rise = wanted / held.max(f64::MIN_POSITIVE);
        if rise > steepest {
            steepest = rise;
            let bumps = bump.is_some() && bump > larger(signal.floor, signal.forecast) && wanted > held;
            want.reason = if bumps { Reason::MemoryBump } else { driver(wanted, floor, held, raw) };
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
    bounded(workload, resource, whole(resource, steps * step))
}

impl Want {
    /// The same without what only a forecast asks for: no more than `held`, or than what is needed now and the bounds take.
    /// None where that changes nothing.
    #[must_use]
    pub fn frozen(self, workload: &Workload, held: Allocation) -> Option<Self> {
        let wanted = self.wanted.min(self.floor.max(workload.min).max(held));
        let reason = if self.reason == Reason::Forecast { Reason::ReactiveFloor } else { self.reason };
        (wanted != self.wanted).then_some(Self { wanted, reason, ..self })
    }
}

impl Raise {
    /// What is to be wanted instead of `wanted`, before bounds and steps; none where that may stand.
    ///
    /// | least | rested | held | floor | wanted | worthwhile |
    /// |---|---|---|---|---|---|
    /// | 0.1 | yes | 4 | 3 | 4.25 | 4 |
    /// | 0.1 | yes | 4 | 3 | 4.5 | 4.5 |
    /// | 0.1 | no | 4 | 3 | 6 | 4 |
    /// | 0.1 | no | 4 | 4.25 | 4.25 | 4.4 |
    /// | 0.1 | yes | 4 | 3 | 3.25 | 3.25 |
    fn worthwhile(self, held: f64, floor: f64, wanted: f64) -> Option<f64> {
        let least = held * (1.0 + self.least);
        if floor > held {
            return (wanted < least).then_some(least);
        }
        (wanted > held && (wanted <= least || !self.rested)).then_some(held)
    }
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

    const AT_ONCE: Raise = Raise { least: 0.0, rested: true };

    #[test]
    fn amounts_are_rounded_up_into_bounds() {
        let workload = workload("web");
        assert_eq!(fit(&workload, Resource::Cpu, 1.01), 1.25);
        assert_eq!(fit(&workload, Resource::Cpu, 0.1), 0.5);
        assert_eq!(fit(&workload, Resource::Cpu, 99.0), 8.0);
        // 0.75 is three steps of 0.25 exactly, however the division rounds.
        assert_eq!(fit(&workload, Resource::Cpu, 0.75), 0.75);
        // Twelve steps of 0.05 are the 0.6 that the ledger grants; a rounding error more would be a shortfall.
        let fine = Workload { step: Allocation::new(0.05, 1.0), ..workload };
        assert_ne!(12.0 * 0.05, 0.6);
        assert_eq!(fit(&fine, Resource::Cpu, 0.58), 0.6);
    }

    #[test]
    fn a_forecast_raises_but_never_lowers_below_the_floor() {
        let current = Allocation::new(1.0, 1e9);
        let raised = want(&signals("web", Some(1.0), Some(2.0)), current, AT_ONCE, None);
        assert_eq!((raised.wanted.cpu_cores.get(), raised.reason), (2.0, Reason::Forecast));
        let floored = want(&signals("web", Some(3.0), Some(2.0)), current, AT_ONCE, None);
        assert_eq!((floored.wanted.cpu_cores.get(), floored.reason), (3.0, Reason::ReactiveFloor));
    }

    #[test]
    fn a_raise_is_worth_its_change() {
        let wanted = |floor, forecast, rested| {
            let raise = Raise { least: 0.1, rested };
            want(&signals("web", Some(floor), Some(forecast)), Allocation::new(4.0, 1e9), raise, None)
                .wanted
                .cpu_cores
                .get()
        };
        // In steps of a quarter: 4.25 is 6 % more than the 4 held, 4.5 is 12 %, and 10 % more are rounded up to 4.5.
        assert_eq!((wanted(3.0, 4.2, true), wanted(3.0, 4.5, true), wanted(3.0, 6.0, false)), (4.0, 4.5, 4.0));
        assert_eq!((wanted(4.2, 3.0, false), wanted(5.0, 3.0, false)), (4.5, 5.0));
        // Less is wanted as before.
        assert_eq!((wanted(3.0, 3.2, true), wanted(3.0, 3.2, false)), (3.25, 3.25));
    }

    #[test]
    fn a_bump_counts_as_needed_now_within_bounds() {
        let current = Allocation::new(1.0, 1e9);
        let bumped = |bytes| want(&signals("web", Some(1.0), None), current, AT_ONCE, Some(bytes));
        // In steps of 0.25 GB: 1.3 becomes 1.5; the bounds end at 8.
        assert_eq!((bumped(1.3e9).floor.memory_bytes.get(), bumped(1.3e9).reason), (1.5e9, Reason::MemoryBump));
        assert_eq!(bumped(99e9).wanted.memory_bytes.get(), 8e9);
        // Less than what is needed in any case changes nothing.
        assert_eq!(bumped(0.5e9), want(&signals("web", Some(1.0), None), current, AT_ONCE, None));
    }

    #[test]
    fn a_freeze_takes_the_forecasts_part_and_no_more() {
        let current = Allocation::new(1.0, 1e9);
        let frozen = |floor, forecast| {
            let signals = signals("web", Some(floor), Some(forecast));
            let want = want(&signals, current, AT_ONCE, None);
            want.frozen(&signals.workload, current).map(|want| (want.wanted.cpu_cores.get(), want.reason))
        };
        assert_eq!(frozen(0.5, 4.0), Some((1.0, Reason::ReactiveFloor)), "what is held stays");
        assert_eq!(frozen(2.0, 4.0), Some((2.0, Reason::ReactiveFloor)), "what is needed now is wanted");
        assert_eq!(frozen(2.0, 1.0), None, "no forecast asks for more");
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        let current = Allocation::new(2.0, 1e9);
        let nothing = want(&signals("web", None, None), current, AT_ONCE, None);
        assert_eq!(nothing.wanted.cpu_cores.get(), 2.0);
        assert_eq!(nothing.raw[0], None);
    }
}

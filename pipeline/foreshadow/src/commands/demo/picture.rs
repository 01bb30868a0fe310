//! What there is to see of the fleet: a day of demand and allocation, and the newest decisions.

use std::collections::{BTreeMap, VecDeque};

use orchestrators::{Adapter, Simulated};
use schemas::{Action, Allocation, Decision, EventTime, Pool, Resource};

use super::lockstep::{Counts, Lockstep};
use crate::amount::amount;

/// Points of a course: a day in steps of five minutes.
pub(super) const POINTS_MAX: usize = 288;
const POINT_MS: u64 = 300_000;

/// Lines of decisions that are kept: more than fit on a screen.
const LINES_MAX: usize = 100;

/// The state of the picture.
pub(super) struct Picture {
    pub(super) began: EventTime,
    pub(super) now: EventTime,
    pub(super) courses: BTreeMap<String, Course>,
    /// The newest decisions, newest first: (line, whether the pool was short).
    pub(super) lines: VecDeque<(String, bool)>,
    pub(super) pool: Option<Pool>,
    pub(super) counts: Counts,
}

/// One workload over the day.
#[derive(Default)]
pub(super) struct Course {
    /// Hours since the start, and the most cores that were needed until the next point.
    pub(super) demand: VecDeque<(f64, f64)>,
    /// Hours since the start, and the cores in force.
    pub(super) allocation: VecDeque<(f64, f64)>,
    pub(super) shadow_cores: f64,
    pub(super) violated: bool,
}

impl Picture {
    pub(super) fn new(began: EventTime) -> Self {
        let (courses, lines) = (BTreeMap::new(), VecDeque::new());
        Self { began, now: began, courses, lines, pool: None, counts: Counts::default() }
    }

    /// Adds a decision.
    pub(super) fn note(&mut self, decision: &Decision) {
        if decision.changes() || decision.short() {
            self.lines.push_front((line(decision), decision.short()));
            self.lines.truncate(LINES_MAX);
        }
    }

    /// Adds how the fleet stands.
    pub(super) fn observe(&mut self, lockstep: &Lockstep) {
        self.now = lockstep.now();
        self.counts = lockstep.counts();
        let slot = (self.now.millis() - self.began.millis()) / POINT_MS;
        let hour = (slot * POINT_MS) as f64 / 3_600_000.0;
        let fleet: &Simulated = lockstep.fleet();
        if self.pool.is_none() {
            self.pool = fleet.inventory(self.now).1.pop();
        }
        for truth in fleet.truth() {
            let course = self.courses.entry(truth.workload.to_string()).or_default();
            point(&mut course.demand, hour, truth.demand.cpu_cores.get(), f64::max);
            point(&mut course.allocation, hour, truth.in_force.cpu_cores.get(), |_, newer| newer);
            course.shadow_cores = truth.shadow.cpu_cores.get();
            course.violated = truth.violated;
        }
    }
}

/// A decision as a line: when, what, from where to where, and why.
pub(super) fn line(decision: &Decision) -> String {
    let cpu = decision.granted.cpu_cores != decision.current.cpu_cores || !decision.changes();
    let resource = if cpu { Resource::Cpu } else { Resource::Memory };
    let figure = |of: &Allocation| amount(resource, of.get(resource));
    let sign = match decision.action {
        Action::ScaleUp => "▲ up",
        Action::ScaleDown => "▼ down",
        Action::Reshape => "◆ reshape",
        Action::Hold => "■ hold",
    };
    let time = decision.time.to_string();
    let clock = time.get(11..19).unwrap_or(&time);
    let short = if decision.short() { "  POOL SHORT" } else { "" };
    let moved = format!("{} → {}", figure(&decision.current), figure(&decision.granted));
    format!("{clock}  {:<13} {sign:<9} {moved:<23}{short}  {}", decision.workload, decision.because)
}

fn point(course: &mut VecDeque<(f64, f64)>, hour: f64, value: f64, join: impl Fn(f64, f64) -> f64) {
    match course.back_mut() {
        Some((at, held)) if *at >= hour => *held = join(*held, value),
        _ => course.push_back((hour, value)),
    }
    if course.len() > POINTS_MAX {
        course.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_joins_what_falls_into_it_and_the_oldest_goes() {
        let mut course = VecDeque::new();
        point(&mut course, 0.0, 2.0, f64::max);
        point(&mut course, 0.0, 1.0, f64::max);
        point(&mut course, 0.1, 3.0, f64::max);
        assert_eq!(course, [(0.0, 2.0), (0.1, 3.0)]);
        (0..POINTS_MAX).for_each(|n| point(&mut course, 1.0 + n as f64, 0.0, f64::max));
        assert_eq!((course.len(), course[0].0), (POINTS_MAX, 1.0));
    }
}

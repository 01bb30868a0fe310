//! What every adapter checks before it acts: a decision is turned down rather than carried out late, twice, out of order
//! or beyond what the adapter's owner allows.
//!
//! State: the last sequences carried out, of allocations and of probes, one each a workload. Cost: O(log workloads).

use std::collections::BTreeMap;

use schemas::{Allocation, Decision, EventTime, Mode, ProbeTurn, Resource, Status, WorkloadId};

/// Largest step up that is carried out unless the owner says otherwise: from a quarter of a core, the smallest that is
/// given, to eight at once, as a batch job needs. More is a forged or broken decision.
const STEP_RATIO_MAX: f64 = 32.0;

const GIB: f64 = 1_073_741_824.0;

/// What the adapter's owner allows, whatever a decision says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalPolicy {
    /// Least allocation.
    pub min: Allocation,
    /// Largest allocation; none leaves it to the step.
    pub max: Option<Allocation>,
    /// Largest target as a multiple of the allocation in force.
    pub step_ratio_max: f64,
}

/// What is to be done with a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Carry it out.
    Act,
    /// It holds, or was carried out before.
    Nothing,
    /// Turn it down: what to report, and why.
    TurnDown(Status, String),
}

/// Lets each workload's decisions through once and in order.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    carried_out: BTreeMap<WorkloadId, u64>,
    probed: BTreeMap<WorkloadId, u64>,
}

impl Default for LocalPolicy {
    /// No bounds, and steps of at most ×32.
    fn default() -> Self {
        Self { min: Allocation::ZERO, max: None, step_ratio_max: STEP_RATIO_MAX }
    }
}

impl LocalPolicy {
    /// The objection to going from `in_force` to `target`, with its figures; none when it is allowed.
    #[must_use]
    pub fn objection(&self, in_force: &Allocation, target: &Allocation) -> Option<String> {
        Resource::ALL.into_iter().find_map(|resource| {
            let (held, asked) = (in_force.get(resource), target.get(resource));
            let least = self.min.get(resource);
            let most = self.max.map_or(f64::INFINITY, |max| max.get(resource));
            let show = |value| figure(resource, value);
            if !asked.is_finite() {
                Some(format!("{} is not an amount", resource.name()))
            } else if asked < least {
                Some(format!("{} is below the local minimum, {}", show(asked), show(least)))
            } else if asked > most {
                Some(format!("{} is above the local maximum, {}", show(asked), show(most)))
            } else if asked > held * self.step_ratio_max {
                Some(format!("from {} to {} is more than ×{}", show(held), show(asked), self.step_ratio_max))
            } else {
                None
            }
        })
    }
}

impl Gate {
    /// Judges a decision for a workload that has `in_force`. One that may be carried out counts as carried out.
    ///
    /// A decision's sequence is its tick, so the same sequence is the same decision.
    pub fn judge(
        &mut self,
        decision: &Decision,
        in_force: &Allocation,
        policy: &LocalPolicy,
        now: EventTime,
    ) -> Verdict {
        let last = self.carried_out.get(&decision.workload);
        if !decision.changes() || last == Some(&decision.sequence) {
            return Verdict::Nothing;
        }
        if let Some(last) = last.filter(|last| decision.sequence < **last) {
            return Verdict::TurnDown(Status::Stale, format!("sequence {} is below {last}", decision.sequence));
        }
        if now > decision.expires {
            return Verdict::TurnDown(Status::Expired, format!("it expired at {}", decision.expires));
        }
        if decision.mode != Mode::Act {
            return Verdict::TurnDown(Status::Refused, "recommend only: the workload's mode is not `act`".to_owned());
        }
        if let Some(objection) = policy.objection(in_force, &decision.granted) {
            return Verdict::TurnDown(Status::Refused, objection);
        }
        self.carried_out.insert(decision.workload.clone(), decision.sequence);
        Verdict::Act
    }

    /// The turn of a probe that is to be carried out, which then counts as carried out: in order, in time, and for a workload
    /// that is acted on. Whatever becomes of the allocation, a shadow is another matter.
    pub fn probe<'a>(&mut self, decision: &'a Decision, now: EventTime) -> Option<&'a ProbeTurn> {
        let turn = decision.probe.as_ref()?;
        let is_newer = self.probed.get(&decision.workload).is_none_or(|last| *last < decision.sequence);
        if !is_newer || now > decision.expires.min(turn.until) || decision.mode != Mode::Act {
            return None;
        }
        self.probed.insert(decision.workload.clone(), decision.sequence);
        Some(turn)
    }
}

fn figure(resource: Resource, amount: f64) -> String {
    match resource {
        Resource::Cpu => format!("{amount:.2} cores"),
        Resource::Memory => format!("{:.2} GiB", amount / GIB),
    }
}

#[cfg(test)]
pub(crate) mod tests;

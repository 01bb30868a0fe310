//! The simulated orchestrator: a plant for every primary and shadow, and decisions carried out on them.
//!
//! A primary and its shadow are resized by one request, so the shadow keeps its share of what the primary has at every
//! instant. Each request lands after the delay of the plant's specification, whatever is asked in between.
//!
//! Time is an argument and noise is a hash of seed and time: the same calls give the same samples.
//!
//! State: two plants a member, and at most [`plant::MAX_IN_FLIGHT`] decisions on their way to each primary.

mod inventory;

use std::collections::BTreeSet;

use plant::{FleetMember, MAX_IN_FLIGHT, Plant, Reading, ScaleDown};
use schemas::{
    Allocation, Decision, DecisionId, EventTime, IdError, InstanceId, Metric, Outcome, Pool, PoolId, Role, Sample,
    Status, TenantId, V1, Workload, WorkloadId,
};

use crate::answer::{outcome, stranger};
use crate::{Adapter, Gate, LocalPolicy, Verdict};

const NAME: &str = "simulated";

/// A fleet under load, its decisions and their outcomes.
pub struct Simulated {
    runs: Vec<Run>,
    gate: Gate,
}

/// The truth about one workload in the last step: what only a simulation knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The workload.
    pub workload: WorkloadId,
    /// The least allocation that met the SLO, within the workload's bounds.
    pub demand: Allocation,
    /// The allocation in force.
    pub in_force: Allocation,
    /// The shadow's allocation; zero without one.
    pub shadow: Allocation,
    /// Whether the SLO was missed.
    pub violated: bool,
    /// Whether it was killed for memory.
    pub oom: bool,
}

/// One member as it runs.
struct Run {
    member: FleetMember,
    /// The member's own seed in this run: of its load and its primary.
    seed: u64,
    names: Names,
    primary: Plant,
    shadow: Option<Plant>,
    /// The primary's allocation as of the last step, request or landing.
    in_force: Allocation,
    /// Invariant: ordered by `usable`, at most [`MAX_IN_FLIGHT`].
    landings: Vec<Landing>,
    truth: Truth,
}

/// The member's names, checked once.
struct Names {
    workload: WorkloadId,
    tenant: TenantId,
    pool: PoolId,
    primary: InstanceId,
    shadow: InstanceId,
}

/// A decision on its way.
struct Landing {
    decision: DecisionId,
    decided: EventTime,
    granted: Allocation,
    usable: EventTime,
}

impl Simulated {
    /// A fleet as it stands before any decision.
    ///
    /// # Errors
    /// [`IdError`] when a member's name is no identifier.
    pub fn new(members: Vec<FleetMember>, seed: u64) -> Result<Self, IdError> {
        let runs = members.into_iter().map(|member| Run::new(member, seed)).collect::<Result<_, _>>()?;
        Ok(Self { runs, gate: Gate::default() })
    }

    /// Runs every plant over [from, from + dt) and reads it at the end of the step.
    pub fn step(&mut self, from: EventTime, dt_ms: u64) -> Vec<Sample> {
        self.runs.iter_mut().flat_map(|run| run.step(from, dt_ms)).collect()
    }

    /// Starts a workload with what was last in force of it, before the first step. False when it does not run here, or
    /// has bounds that do not hold that.
    ///
    /// The instances are new: what they had queued and leaked is gone, as with any restart.
    pub fn restore(&mut self, outcome: &Outcome) -> bool {
        let run = self.runs.iter_mut().find(|run| run.names.workload == outcome.workload);
        run.is_some_and(|run| run.restore(&outcome.in_force))
    }

    /// The truth of the last step, in the fleet's order.
    pub fn truth(&self) -> impl Iterator<Item = &Truth> {
        self.runs.iter().map(|run| &run.truth)
    }
}

impl Adapter for Simulated {
    fn name(&self) -> &'static str {
        NAME
    }

    fn inventory(&self, now: EventTime) -> (Vec<Workload>, Vec<Pool>) {
        let pools: BTreeSet<&PoolId> = self.runs.iter().map(|run| &run.names.pool).collect();
        let workloads = self.runs.iter().map(|run| inventory::workload(&run.names, &run.member, run.in_force, now));
        (workloads.collect(), pools.into_iter().map(|pool| inventory::pool(pool.clone(), now)).collect())
    }

    fn apply(&mut self, decision: &Decision, now: EventTime) -> Option<Outcome> {
        if decision.orchestrator != NAME {
            return None;
        }
        let Some(run) = self.runs.iter_mut().find(|run| run.names.workload == decision.workload) else {
            return Some(stranger(NAME, decision, now));
        };
        let (status, message) = match self.gate.judge(decision, &run.in_force, &run.policy(), now) {
            Verdict::Nothing => return None,
            Verdict::TurnDown(status, message) => (status, message),
            Verdict::Act => run.request(decision, now),
        };
        Some(outcome(NAME, decision, now, status, run.in_force, message))
    }

    fn poll(&mut self, now: EventTime) -> Vec<Outcome> {
        self.runs.iter_mut().flat_map(|run| run.landed(now)).collect()
    }
}

impl Names {
    fn new(member: &FleetMember) -> Result<Self, IdError> {
        let instance = |role: Role| InstanceId::new(&format!("{}-{}", member.workload, role.name()));
        Ok(Self {
            workload: WorkloadId::new(member.workload)?,
            tenant: TenantId::new(member.tenant)?,
            pool: PoolId::new(member.pool)?,
            primary: instance(Role::Primary)?,
            shadow: instance(Role::Shadow)?,
        })
    }
}

impl Run {
    fn new(member: FleetMember, seed: u64) -> Result<Self, IdError> {
        let names = Names::new(&member)?;
        let own_seed = member.seed(seed);
        let (primary, shadow) = plants(&member, own_seed, member.initial);
        let truth = Truth {
            workload: names.workload.clone(),
            demand: Allocation::ZERO,
            in_force: amount(member.initial),
            shadow: shadow.as_ref().map_or(Allocation::ZERO, |shadow| amount(shadow.allocation())),
            violated: false,
            oom: false,
        };
        let in_force = amount(member.initial);
        Ok(Self { names, primary, seed: own_seed, shadow, in_force, landings: Vec::new(), truth, member })
    }

    fn restore(&mut self, in_force: &Allocation) -> bool {
        if self.policy().objection(in_force, in_force).is_some() {
            return false;
        }
        (self.primary, self.shadow) = plants(&self.member, self.seed, target(in_force));
        self.in_force = *in_force;
        true
    }

    /// The owner's bounds hold here too, whatever a decision says.
    fn policy(&self) -> LocalPolicy {
        LocalPolicy { min: amount(self.member.min), max: Some(amount(self.member.max)), ..LocalPolicy::default() }
    }

    fn step(&mut self, from: EventTime, dt_ms: u64) -> Vec<Sample> {
        let load = self.member.shape.load(from.millis(), self.seed);
        let reading = self.primary.step(from.millis(), dt_ms, 1.0, load);
        let demand = self.primary.demand(load).max(self.member.min).min(self.member.max);
        self.in_force = amount(self.primary.allocation());
        self.truth.demand = amount(demand);
        self.truth.in_force = self.in_force;
        (self.truth.violated, self.truth.oom) = (reading.violated, reading.oom);
        let at = from.plus(dt_ms - 1);
        let mut samples = vec![self.sample(Role::Primary, at, &reading)];
        if let (Some(shadow), Some(shape)) = (&mut self.shadow, self.member.shadow) {
            let reading = shadow.step(from.millis(), dt_ms, shape.mirrored_share, load);
            self.truth.shadow = amount(shadow.allocation());
            samples.push(self.sample(Role::Shadow, at, &reading));
        }
        samples
    }

    fn sample(&self, role: Role, at: EventTime, reading: &Reading) -> Sample {
        let mut sample = Sample::new(at, self.names.workload.clone());
        sample.tenant = self.names.tenant.clone();
        sample.role = role;
        sample.instance =
            Some(if role == Role::Shadow { self.names.shadow.clone() } else { self.names.primary.clone() });
        let readings = [
            (Metric::CpuUsed, Some(reading.cpu_used_cores)),
            (Metric::CpuLimit, Some(reading.cpu_limit_cores)),
            (Metric::CpuThrottled, Some(reading.throttled_ratio)),
            (Metric::MemoryWorkingSet, Some(reading.memory_working_set_bytes)),
            (Metric::MemoryLimit, Some(reading.memory_limit_bytes)),
            (Metric::DiskRead, Some(reading.disk_read_bytes_per_second)),
            (Metric::DiskWrite, Some(reading.disk_write_bytes_per_second)),
            (Metric::NetworkReceive, Some(reading.network_receive_bytes_per_second)),
            (Metric::NetworkTransmit, Some(reading.network_transmit_bytes_per_second)),
            (Metric::CpuPressure, Some(reading.cpu_pressure_ratio)),
            (Metric::MemoryPressure, Some(reading.memory_pressure_ratio)),
            (Metric::IoPressure, Some(reading.io_pressure_ratio)),
            (Metric::Requests, Some(reading.requests_per_second)),
            (Metric::Errors, Some(reading.errors_per_second)),
            (Metric::Late, Some(reading.late_per_second)),
            (Metric::LatencyP99, reading.latency_p99_seconds),
        ];
        readings.into_iter().for_each(|(metric, value)| sample.set(metric, value));
        sample
    }

    fn request(&mut self, decision: &Decision, now: EventTime) -> (Status, String) {
        let granted = decision.granted;
        let target = target(&granted);
        let usable =
            (self.landings.len() < MAX_IN_FLIGHT).then(|| self.primary.request(target, now.millis())).flatten();
        let Some(usable) = usable else {
            return (Status::Failed, format!("{MAX_IN_FLIGHT} resizes are on their way already"));
        };
        if let (Some(shadow), Some(shape)) = (&mut self.shadow, self.member.shadow) {
            // The shadow's queue is the primary's, request by request, so it has room where that had.
            shadow.request(shape.allocation(&self.member.spec, target), now.millis());
        }
        self.in_force = amount(self.primary.allocation());
        if self.member.spec.scale_down == ScaleDown::Immediate {
            // Raises above a lowered target were cut to it, and will never be in force as granted.
            self.landings.retain(|landing| landing.granted.fits(&granted));
        }
        self.landings.push(Landing {
            decision: decision.decision.clone(),
            decided: decision.time,
            granted,
            usable: EventTime::from_millis(usable),
        });
        (Status::Accepted, String::new())
    }

    fn landed(&mut self, now: EventTime) -> Vec<Outcome> {
        let due = self.landings.partition_point(|landing| landing.usable <= now);
        let landed: Vec<Landing> = self.landings.drain(..due).collect();
        if let Some(newest) = landed.last() {
            self.in_force = newest.granted;
        }
        landed.into_iter().map(|landing| self.in_force_outcome(landing)).collect()
    }

    fn in_force_outcome(&self, landing: Landing) -> Outcome {
        Outcome {
            version: V1,
            time: landing.usable,
            decision: landing.decision,
            decided: landing.decided,
            workload: self.names.workload.clone(),
            adapter: NAME.to_owned(),
            status: Status::InForce,
            in_force: landing.granted,
            message: String::new(),
        }
    }
}

/// A member's primary with `initial` in force, and its shadow beside it.
fn plants(member: &FleetMember, seed: u64, initial: plant::Allocation) -> (Plant, Option<Plant>) {
    let shadow =
        member.shadow.map(|shape| Plant::new(member.spec.clone(), seed ^ 1, shape.allocation(&member.spec, initial)));
    (Plant::new(member.spec.clone(), seed, initial), shadow)
}

fn target(amount: &Allocation) -> plant::Allocation {
    plant::Allocation { cpu_cores: amount.cpu_cores.get(), memory_bytes: amount.memory_bytes.get() }
}

fn amount(allocation: plant::Allocation) -> Allocation {
    Allocation::new(allocation.cpu_cores, allocation.memory_bytes)
}

#[cfg(test)]
mod tests;

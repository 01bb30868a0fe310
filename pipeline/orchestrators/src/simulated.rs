//! The simulated orchestrator: a plant for every primary and shadow, and decisions carried out on them.

use plant::{FleetMember, Plant, Reading};
use schemas::{
    Allocation, Decision, DecisionId, EventTime, InstanceId, Metric, Mode, Money, Offer, OfferKind, Outcome, Pool,
    PoolId, Profile, Ratio, Role, Sample, Seconds, ShadowSettings, Status, TenantId, V1, Workload, WorkloadId,
};

use crate::{Adapter, Gate};

/// Steps that the simulated orchestrator can set: a quarter of a core, a quarter of a GiB.
const STEP: Allocation = Allocation::new(0.25, 0.25 * GIB);

const GIB: f64 = 1_073_741_824.0;

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
    /// The least allocation that met the SLO.
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

struct Run {
    member: FleetMember,
    workload: WorkloadId,
    tenant: TenantId,
    primary: Plant,
    shadow: Option<Plant>,
    /// Decisions on their way, with the time at which they are usable.
    landing: Vec<(EventTime, DecisionId, EventTime)>,
    truth: Truth,
}

impl Simulated {
    /// A fleet as it stands before any decision.
    ///
    /// # Errors
    /// [`schemas::IdError`] when a member's name is no identifier.
    pub fn new(members: Vec<FleetMember>, seed: u64) -> Result<Self, schemas::IdError> {
        let runs = members.into_iter().map(|member| Run::new(member, seed)).collect::<Result<_, _>>()?;
        Ok(Self { runs, gate: Gate::default() })
    }

    /// Runs every plant over `[from, from + dt)` and reads it at the end of the step.
    pub fn step(&mut self, from: EventTime, dt_ms: u64, seed: u64) -> Vec<Sample> {
        self.runs.iter_mut().flat_map(|run| run.step(from, dt_ms, seed)).collect()
    }

    /// The truth of the last step, in the fleet's order.
    pub fn truth(&self) -> impl Iterator<Item = &Truth> {
        self.runs.iter().map(|run| &run.truth)
    }
}

impl Adapter for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn inventory(&self, now: EventTime) -> (Vec<Workload>, Vec<Pool>) {
        let mut pools: Vec<&str> = self.runs.iter().map(|run| run.member.pool).collect();
        pools.dedup();
        let pools = pools.into_iter().filter_map(|pool| Some(priced(PoolId::new(pool).ok()?, now)));
        (self.runs.iter().filter_map(|run| run.record(now)).collect(), pools.collect())
    }

    fn apply(&mut self, decision: &Decision, now: EventTime) -> Option<Outcome> {
        if !decision.changes() {
            return None;
        }
        let run = self.runs.iter_mut().find(|run| run.workload == decision.workload)?;
        let (status, message) = match self.gate.admit(decision, now) {
            Ok(()) => run.request(decision, now),
            Err(refusal) => refusal,
        };
        Some(run.outcome(decision.decision.clone(), decision.time, now, status, message))
    }

    fn poll(&mut self, now: EventTime) -> Vec<Outcome> {
        self.runs.iter_mut().flat_map(|run| run.landed(now)).collect()
    }
}

impl Run {
    fn new(member: FleetMember, seed: u64) -> Result<Self, schemas::IdError> {
        let workload = WorkloadId::new(member.workload)?;
        let own_seed = member.seed(seed);
        let shadow = member
            .shadow
            .map(|shape| Plant::new(member.spec.clone(), own_seed ^ 1, shape.allocation(&member.spec, member.initial)));
        let initial = amount(member.initial);
        let truth = Truth {
            workload: workload.clone(),
            demand: Allocation::ZERO,
            in_force: initial,
            shadow: Allocation::ZERO,
            violated: false,
            oom: false,
        };
        Ok(Self {
            tenant: TenantId::new(member.tenant)?,
            primary: Plant::new(member.spec.clone(), own_seed, member.initial),
            workload,
            shadow,
            landing: Vec::new(),
            truth,
            member,
        })
    }

    fn step(&mut self, from: EventTime, dt_ms: u64, seed: u64) -> Vec<Sample> {
        let load = self.member.shape.load(from.millis(), self.member.seed(seed));
        let reading = self.primary.step(from.millis(), dt_ms, 1.0, load);
        let demand = amount(self.primary.demand(load));
        self.truth.demand = demand.max(amount(self.member.min)).min(amount(self.member.max));
        self.truth.in_force = amount(self.primary.allocation());
        (self.truth.violated, self.truth.oom) = (reading.violated, reading.oom);
        let at = from.plus(dt_ms - 1);
        let mut samples = vec![self.sample(Role::Primary, at, &reading)];
        if let (Some(shadow), Some(shape)) = (&mut self.shadow, self.member.shadow) {
            let size = shape.allocation(&self.member.spec, self.primary.allocation());
            if shadow.allocation() != size {
                // The shadow follows the primary; it is resized with the same delay.
                shadow.request(size, from.millis());
            }
            let reading = shadow.step(from.millis(), dt_ms, shape.mirrored_share, load);
            self.truth.shadow = amount(shadow.allocation());
            samples.push(self.sample(Role::Shadow, at, &reading));
        }
        samples
    }

    fn sample(&self, role: Role, at: EventTime, reading: &Reading) -> Sample {
        let mut sample = Sample::new(at, self.workload.clone());
        sample.tenant = self.tenant.clone();
        sample.role = role;
        sample.instance = InstanceId::new(&format!("{}-{}", self.workload, role.name())).ok();
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
            (Metric::LatencyP99, reading.latency_p99_seconds),
        ];
        readings.into_iter().for_each(|(metric, value)| sample.set(metric, value));
        sample
    }

    fn request(&mut self, decision: &Decision, now: EventTime) -> (Status, String) {
        let granted = decision.granted;
        let target = plant::Allocation { cpu_cores: granted.cpu_cores.get(), memory_bytes: granted.memory_bytes.get() };
        match self.primary.request(target, now.millis()) {
            Some(usable) => {
                self.landing.push((EventTime::from_millis(usable), decision.decision.clone(), decision.time));
                (Status::Accepted, String::new())
            }
            None => (Status::Failed, "too many resizes are on their way already".to_owned()),
        }
    }

    fn landed(&mut self, now: EventTime) -> Vec<Outcome> {
        let (landed, waiting) = std::mem::take(&mut self.landing).into_iter().partition(|(usable, ..)| *usable <= now);
        self.landing = waiting;
        let report = |(usable, id, decided)| self.outcome(id, decided, usable, Status::InForce, String::new());
        Vec::into_iter(landed).map(report).collect()
    }

    fn outcome(&self, id: DecisionId, decided: EventTime, at: EventTime, status: Status, message: String) -> Outcome {
        Outcome {
            version: V1,
            time: at,
            decision: id,
            decided,
            workload: self.workload.clone(),
            adapter: "simulated".to_owned(),
            status,
            in_force: amount(self.primary.allocation()),
            message,
        }
    }

    fn record(&self, now: EventTime) -> Option<Workload> {
        let batch = self.member.profile == "batch";
        Some(Workload {
            version: V1,
            time: now,
            workload: self.workload.clone(),
            tenant: self.tenant.clone(),
            orchestrator: "simulated".to_owned(),
            target: self.member.workload.to_owned(),
            selector: schemas::Selector::default(),
            pool: PoolId::new(self.member.pool).ok()?,
            profile: if batch { Profile::Batch } else { Profile::Service },
            allocation: amount(self.primary.allocation()),
            min: amount(self.member.min),
            max: amount(self.member.max),
            step: STEP,
            slo_latency_p99: Some(Seconds::new(self.member.spec.slo_latency_seconds)),
            unmet_cost: Money::new(self.member.cost_of_unmet_per_core_hour),
            idle_cost: Money::new(self.member.cost_of_idle_per_core_hour),
            priority: u8::from(!batch),
            interruptible: batch,
            shadow: self.member.shadow.map(|shape| ShadowSettings {
                size_ratio: Ratio::new(shape.size_ratio),
                mirrored_share: Ratio::new(shape.mirrored_share),
            }),
            mode: Mode::Act,
            pause: schemas::Pause::default(),
        })
    }
}

/// The simulated fleet's pool: 24 cores and 64 GiB at the usual ratio of committed, on-demand and spot prices.
fn priced(pool: PoolId, now: EventTime) -> Pool {
    let offer = |name: &str, kind, cores: f64, gib: f64, price: f64| Offer {
        offer: name.to_owned(),
        kind,
        capacity: Allocation::new(cores, gib * GIB),
        core_hour: Money::new(price),
        gib_hour: Money::new(price / 8.0),
    };
    let offers = vec![
        offer("committed", OfferKind::Committed, 12.0, 32.0, 0.024),
        offer("on-demand", OfferKind::OnDemand, 8.0, 24.0, 0.04),
        offer("spot", OfferKind::Spot, 4.0, 8.0, 0.012),
    ];
    Pool { version: V1, time: now, pool, offers, quotas: std::collections::BTreeMap::new() }
}

fn amount(allocation: plant::Allocation) -> Allocation {
    Allocation::new(allocation.cpu_cores, allocation.memory_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Simulated {
        Simulated::new(plant::demo_fleet(), 1).expect("the fleet's names are identifiers")
    }

    #[test]
    fn the_same_seed_gives_the_same_samples_and_shadows_are_read_too() {
        let run = || {
            let mut fleet = fleet();
            (0..60).flat_map(|s| fleet.step(EventTime::from_millis(s * 1000), 1000, 1)).collect::<Vec<_>>()
        };
        let samples = run();
        assert_eq!(samples, run());
        assert!(samples.iter().any(|sample| sample.role == Role::Shadow));
    }

    #[test]
    fn the_inventory_can_be_used_as_it_is() {
        let (workloads, pools) = fleet().inventory(EventTime::default());
        assert!(workloads.iter().all(|workload| workload.faults().is_empty()));
        assert_eq!((workloads.len(), pools.len()), (6, 1));
        assert!(pools[0].faults().is_empty());
    }
}

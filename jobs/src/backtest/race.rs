//! The race: every law on its own copy of the fleet, under the same load.
//!
//! A step runs the plants of all laws, notes their scores and asks each law. What a law decides is handed to its plants
//! after the decision latency, and usable after the plant's own delay.
//!
//! Each law has a pool of its own, of the same capacity. A raise beyond what is free is granted in part, first come first
//! served in the fleet's order; the law may ask for the rest in a later round. A workload holds the larger of what is in
//! force and what it was last granted, resource by resource.
//!
//! Invariant: no law's workloads are granted more than the capacity, unless the fleet starts with more.
//!
//! State: three copies of the fleet, one pending decision a workload: a law is not asked while its last answer is on its
//! way. Cost: some 4 µs a workload, law and step, most of it the demand.

use std::collections::BTreeMap;

use plant::{Allocation, FleetMember, Plant};
use schemas::EventTime;

use super::{Hpa, HpaSettings, ListPrice, Peer, Scorecards, Static, Step, Vpa};

/// What is equal for all laws.
#[derive(Clone, Debug)]
pub struct RaceSettings {
    /// Seed of load and noise.
    pub seed: u64,
    /// From a reading to its decision's arrival at the plant, milliseconds: as long as Foreshadow takes.
    pub decision_latency_ms: u64,
    /// What all workloads of a law may hold together.
    pub capacity: schemas::Allocation,
    /// What all allocations are priced at.
    pub list_price: ListPrice,
}

/// Laws side by side.
pub struct Race {
    settings: RaceSettings,
    lanes: Vec<Lane>,
}

/// Sets a law up for one workload.
type Law = fn(&FleetMember) -> Box<dyn Peer>;

/// One law with its copy of the fleet.
struct Lane {
    name: &'static str,
    runs: Vec<Run>,
    scores: Scorecards,
}

/// One workload under one law.
struct Run {
    member: FleetMember,
    seed: u64,
    plant: Plant,
    peer: Box<dyn Peer>,
    /// The last grant, usable or on its way.
    desired: Allocation,
    /// What the law asked for, and when that arrives.
    pending: Option<(EventTime, Allocation)>,
}

impl Race {
    /// HPA, VPA and `static` at the start line. The members share one pool.
    #[must_use]
    pub fn new(members: &[FleetMember], settings: RaceSettings) -> Self {
        let laws: [Law; 3] = [
            |member| Box::new(Hpa::new(HpaSettings::of_member(member))),
            |member| Box::new(Vpa::new(member)),
            |_| Box::new(Static),
        ];
        let lanes = laws.into_iter().filter_map(|law| Lane::new(members, settings.seed, law)).collect();
        Self { settings, lanes }
    }

    /// Runs all laws over [from, from + dt); steps follow each other.
    pub fn step(&mut self, from: EventTime, dt_ms: u64) {
        for lane in &mut self.lanes {
            lane.hand_over(from, self.settings.capacity);
            lane.step(from, dt_ms, &self.settings);
        }
    }

    /// Each law's name and scores so far.
    #[must_use]
    pub fn scores(&self) -> BTreeMap<&'static str, Scorecards> {
        self.lanes.iter().map(|lane| (lane.name, lane.scores.clone())).collect()
    }
}

impl Lane {
    /// None for a fleet without members.
    fn new(members: &[FleetMember], seed: u64, law: Law) -> Option<Self> {
        let runs: Vec<Run> = members.iter().map(|member| Run::new(member, seed, law(member))).collect();
        let name = runs.first()?.peer.name();
        Some(Self { name, runs, scores: Scorecards::default() })
    }

    /// Grants what has arrived by `now`.
    fn hand_over(&mut self, now: EventTime, capacity: schemas::Allocation) {
        for index in 0..self.runs.len() {
            let Some((_, target)) = self.runs[index].pending.take_if(|(arrives, _)| *arrives <= now) else { continue };
            let held = self.runs.iter().fold(schemas::Allocation::ZERO, |sum, run| sum.plus(amount(run.held())));
            let free = capacity.minus(held).max(schemas::Allocation::ZERO);
            let changed = self.runs[index].grant(target, free, now);
            self.scores.of(self.runs[index].member.workload).changed(u64::from(changed));
        }
    }

    fn step(&mut self, from: EventTime, dt_ms: u64, settings: &RaceSettings) {
        for run in &mut self.runs {
            let step = run.step(from, dt_ms, settings.decision_latency_ms);
            self.scores.of(run.member.workload).note(&step, &settings.list_price);
        }
    }
}

impl Run {
    fn new(member: &FleetMember, seed: u64, peer: Box<dyn Peer>) -> Self {
        let seed = member.seed(seed);
        let plant = Plant::new(member.spec.clone(), seed, member.initial);
        Self { member: member.clone(), seed, plant, peer, desired: member.initial, pending: None }
    }

    fn held(&self) -> Allocation {
        self.desired.max(self.plant.allocation())
    }

    /// Asks the plant for what of `target` is held or free; whether that changes anything.
    fn grant(&mut self, target: Allocation, free: schemas::Allocation, now: EventTime) -> bool {
        let held = self.held();
        let granted = target.min(Allocation {
            cpu_cores: held.cpu_cores + free.cpu_cores.get(),
            memory_bytes: held.memory_bytes + free.memory_bytes.get(),
        });
        if granted == self.desired || self.plant.request(granted, now.millis()).is_none() {
            return false;
        }
        self.desired = granted;
        true
    }

    fn step(&mut self, from: EventTime, dt_ms: u64, decision_latency_ms: u64) -> Step {
        let load = self.member.shape.load(from.millis(), self.seed);
        let reading = self.plant.step(from.millis(), dt_ms, 1.0, load);
        let until = from.plus(dt_ms);
        self.peer.observe(until, &reading);
        if self.pending.is_none() {
            let target = self.peer.decide(until, self.desired);
            self.pending = target.map(|target| (until.plus(decision_latency_ms), target));
        }
        Step {
            dt_ms,
            demand: amount(self.plant.demand(load).max(self.member.min).min(self.member.max)),
            in_force: amount(self.plant.allocation()),
            shadow: schemas::Allocation::ZERO,
            violated: reading.violated,
            oom: reading.oom,
        }
    }
}

fn amount(allocation: Allocation) -> schemas::Allocation {
    schemas::Allocation::new(allocation.cpu_cores, allocation.memory_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::scorecard::tests::pool;
    use super::*;

    const STEP_MS: u64 = 5_000;
    const MONDAY_MS: u64 = 4 * 86_400_000;

    fn settings() -> RaceSettings {
        RaceSettings {
            seed: 1,
            decision_latency_ms: 1_000,
            capacity: pool().capacity(),
            list_price: ListPrice::of_pool(&pool()).expect("the pool has offers"),
        }
    }

    fn race(hours: std::ops::Range<u64>) -> Race {
        let mut race = Race::new(&plant::demo_fleet(), settings());
        for step in hours.start * 720..hours.end * 720 {
            race.step(EventTime::from_millis(MONDAY_MS + step * STEP_MS), STEP_MS);
            for lane in &race.lanes {
                let held: f64 = lane.runs.iter().map(|run| run.held().cpu_cores).sum();
                assert!(held <= 24.0 + 1e-9, "{} holds {held} cores", lane.name);
            }
        }
        race
    }

    #[test]
    fn the_same_race_has_the_same_scores() {
        let scores = race(11..14).scores();
        assert_eq!(scores, race(11..14).scores());
        assert_eq!(scores.keys().copied().collect::<Vec<_>>(), ["hpa", "static", "vpa"]);
    }

    #[test]
    fn over_lunch_the_reactive_law_misses_less_than_doing_nothing() {
        let scores = race(9..15).scores();
        let missed = |name: &str| scores[name].total().violation_share().expect("six hours were run");
        assert!(missed("hpa") < missed("static"), "{} against {}", missed("hpa"), missed("static"));
        assert!(missed("hpa") > 0.0, "a delay of up to two minutes must show in the crowd");
        assert_eq!(scores["static"].total().changes(), 0);
        assert!(scores["hpa"].total().changes() > 20);
    }

    /// Asks for eight cores, always.
    struct Greedy;

    impl Peer for Greedy {
        fn name(&self) -> &'static str {
            "greedy"
        }
        fn observe(&mut self, _now: EventTime, _reading: &plant::Reading) {}
        fn decide(&mut self, _now: EventTime, current: Allocation) -> Option<Allocation> {
            let target = Allocation { cpu_cores: 8.0, ..current };
            (target != current).then_some(target)
        }
    }

    #[test]
    fn a_short_pool_grants_in_part_in_the_fleets_order_after_latency_and_delay() {
        // 14.7 cores are held at the start. With 18.7 there are 4 free: web (5) gets 3 more, api (5) the last one.
        let mut lane = Lane::new(&plant::demo_fleet(), 1, |_| Box::new(Greedy)).expect("six members");
        let settings = RaceSettings { capacity: schemas::Allocation::new(18.7, 1e12), ..settings() };
        let mut usable_at = None;
        for second in 0..=70 {
            let now = EventTime::from_millis(second * 1_000);
            lane.hand_over(now, settings.capacity);
            lane.step(now, 1_000, &settings);
            if usable_at.is_none() && lane.runs[0].plant.allocation().cpu_cores == 8.0 {
                usable_at = Some(second);
            }
        }
        // Read at 1 s, decided on at 2 s, and web takes 60 s.
        assert_eq!(usable_at, Some(62));
        let desired: Vec<f64> = lane.runs.iter().map(|run| (run.desired.cpu_cores * 100.0).round() / 100.0).collect();
        assert_eq!(desired, [8.0, 6.0, 1.2, 0.5, 2.0, 1.0]);
        assert_eq!(lane.scores.total().changes(), 2);
    }
}

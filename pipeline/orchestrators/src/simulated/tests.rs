//! Tests of `simulated.rs`.

use schemas::batch;

use super::*;
use crate::gate::tests::decision;

const GIB: f64 = 1_073_741_824.0;
const SEED: u64 = 1;

fn at(second: u64) -> EventTime {
    EventTime::from_millis(second * 1_000)
}

fn fleet() -> Simulated {
    Simulated::new(plant::demo_fleet(), SEED).expect("the fleet's names are identifiers")
}

fn truth<'a>(fleet: &'a Simulated, workload: &str) -> &'a Truth {
    fleet.truth().find(|truth| truth.workload.as_str() == workload).expect("a member")
}

/// Applies `decisions`, each at its own time, over `seconds`; every outcome in order.
fn run(fleet: &mut Simulated, decisions: &[Decision], seconds: u64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for second in 0..seconds {
        fleet.step(at(second), 1_000);
        let now = at(second + 1);
        outcomes.extend(fleet.poll(now));
        outcomes.extend(
            decisions.iter().filter(|decision| decision.time == now).filter_map(|decision| fleet.apply(decision, now)),
        );
    }
    outcomes
}

fn landings(outcomes: &[Outcome]) -> Vec<(u64, f64)> {
    let landed = outcomes.iter().filter(|outcome| outcome.status == Status::InForce);
    landed.map(|outcome| (outcome.time.millis() / 1_000, outcome.in_force.cpu_cores.get())).collect()
}

#[test]
fn a_decision_is_in_force_after_exactly_the_delay() {
    // web takes 60 s.
    let mut fleet = fleet();
    let raise = Decision { granted: Allocation::new(7.0, 6.0 * GIB), ..decision("web", 5, 7.0) };
    let before = run(&mut fleet, std::slice::from_ref(&raise), 65);
    assert_eq!(before.iter().map(|outcome| outcome.status).collect::<Vec<_>>(), [Status::Accepted, Status::InForce]);
    assert_eq!(landings(&before), [(65, 7.0)]);
    assert_eq!(truth(&fleet, "web").in_force.cpu_cores.get(), 5.0, "the last step began at 64 s");
    fleet.step(at(65), 1_000);
    assert_eq!(truth(&fleet, "web").in_force, raise.granted);
}

#[test]
fn decisions_that_rise_every_ten_seconds_all_land() {
    let rising: Vec<Decision> = (1..=6).map(|n| decision("leaker", 10 * n, 1.25 + n as f64 * 0.25)).collect();
    // 30 s each, whatever comes after.
    let expected: Vec<(u64, f64)> = (1..=6).map(|n| (10 * n + 30, 1.25 + n as f64 * 0.25)).collect();
    assert_eq!(landings(&run(&mut fleet(), &rising, 120)), expected);
}

#[test]
fn a_raise_that_is_lowered_on_its_way_is_never_reported_in_force() {
    let lowered = [decision("leaker", 5, 2.5), decision("leaker", 10, 1.0)];
    // Lowering is immediate here.
    assert_eq!(landings(&run(&mut fleet(), &lowered, 60)), [(10, 1.0)]);
}

#[test]
fn what_comes_twice_is_carried_out_once() {
    let mut fleet = fleet();
    let raise = decision("leaker", 1, 2.0);
    assert_eq!(fleet.apply(&raise, at(1)).map(|outcome| outcome.status), Some(Status::Accepted));
    assert_eq!(fleet.apply(&raise, at(2)), None);
    assert_eq!(landings(&fleet.poll(at(31))), [(31, 2.0)]);
    assert_eq!(fleet.poll(at(100)), []);
}

#[test]
fn what_is_turned_down_changes_nothing() {
    let mut fleet = fleet();
    fleet.apply(&decision("leaker", 5, 2.0), at(5)).expect("taken on");
    let expired = decision("leaker", 6, 2.0);
    let cases = [
        (decision("leaker", 4, 2.5), at(6), Status::Stale),
        (expired.clone(), expired.expires.plus(1), Status::Expired),
        (Decision { mode: schemas::Mode::Observe, ..decision("leaker", 7, 2.5) }, at(7), Status::Refused),
        (decision("leaker", 8, 3.25), at(8), Status::Refused),
        (decision("stranger", 9, 2.0), at(9), Status::Refused),
    ];
    for (decision, now, expected) in cases {
        let outcome = fleet.apply(&decision, now).expect("reported");
        assert_eq!((outcome.status, outcome.message.is_empty()), (expected, false), "{outcome:?}");
    }
    let elsewhere = Decision { orchestrator: "kubernetes".to_owned(), ..decision("leaker", 10, 2.5) };
    assert_eq!(fleet.apply(&elsewhere, at(10)), None);
    assert_eq!(landings(&fleet.poll(at(100))), [(35, 2.0)]);
}

#[test]
fn the_shadow_keeps_its_share_at_every_step() {
    let mut fleet = fleet();
    let changes = [decision("web", 5, 8.0), decision("web", 15, 9.0), decision("web", 90, 4.0)];
    let member = &plant::demo_fleet()[0];
    let shape = member.shadow.expect("web has a shadow");
    let mut sizes = BTreeSet::new();
    for second in 0..180 {
        fleet.step(at(second), 1_000);
        if let Some(change) = changes.iter().find(|change| change.time == at(second + 1)) {
            fleet.apply(change, at(second + 1)).expect("taken on");
        }
        let web = truth(&fleet, "web");
        let primary = plant::Allocation {
            cpu_cores: web.in_force.cpu_cores.get(),
            memory_bytes: web.in_force.memory_bytes.get(),
        };
        assert_eq!(web.shadow, amount(shape.allocation(&member.spec, primary)), "at {second} s");
        sizes.insert(primary.cpu_cores as u64);
    }
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [4, 5, 8, 9]);
}

#[test]
fn a_restored_workload_runs_with_what_was_in_force_and_the_others_as_they_were() {
    let mut before = fleet();
    let raise = Decision { granted: Allocation::new(7.0, 6.0 * GIB), ..decision("web", 5, 7.0) };
    let outcomes = run(&mut before, &[raise], 65);
    let in_force = outcomes.last().expect("in force after 60 s");
    let mut after = fleet();
    assert!(after.restore(in_force));
    let samples = after.step(at(66), 1_000);
    assert_eq!(truth(&after, "web").in_force, Allocation::new(7.0, 6.0 * GIB));
    assert_eq!(truth(&after, "api").in_force, truth(&before, "api").in_force);
    // Web's shadow is the second sample: as large as it was beside the same allocation.
    let limit = |sample: &Sample| sample.cpu_limit_cores.expect("a plant tells its limit").get();
    before.step(at(66), 1_000);
    let shadow = truth(&before, "web").shadow.cpu_cores.get();
    assert_eq!((limit(&samples[0]), limit(&samples[1])), (7.0, shadow));
}

#[test]
fn what_cannot_be_in_force_here_is_not_restored() {
    let mut fleet = fleet();
    let raise = decision("leaker", 1, 2.0);
    let accepted = fleet.apply(&raise, at(1)).expect("taken on");
    let stranger = Outcome { workload: WorkloadId::new("stranger").expect("a plain name"), ..accepted.clone() };
    assert!(!fleet.restore(&stranger));
    let impossible = [Allocation::ZERO, Allocation::new(1_000.0, 2.0 * GIB), Allocation::new(f64::NAN, 2.0 * GIB)];
    assert!(impossible.iter().all(|&in_force| !fleet.restore(&Outcome { in_force, ..accepted.clone() })));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let samples = |seed| {
        let mut fleet = Simulated::new(plant::demo_fleet(), seed).expect("the fleet's names are identifiers");
        let samples: Vec<Sample> = (0..60).flat_map(|second| fleet.step(at(second), 1_000)).collect();
        batch::encode(&samples)
    };
    assert_eq!(samples(SEED), samples(SEED));
    assert_ne!(samples(SEED), samples(2));
}

#[test]
fn every_instance_reports_under_its_own_name() {
    let samples = fleet().step(at(0), 1_000);
    let names: BTreeSet<&str> = samples.iter().map(Sample::instance_name).collect();
    // Six primaries, and a shadow for each but batch.
    assert_eq!((samples.len(), names.len()), (11, 11));
    assert!(names.contains("web-primary") && names.contains("web-shadow") && !names.contains("batch-shadow"));
    assert!(samples.iter().all(|sample| sample.check().is_ok()));
}

#[test]
fn the_inventory_can_be_used_as_it_is() {
    let (workloads, pools) = fleet().inventory(at(0));
    assert!(workloads.iter().all(|workload| workload.faults().is_empty()));
    assert_eq!((workloads.len(), pools.len()), (6, 1));
    assert!(pools[0].faults().is_empty());
    assert_eq!(pools[0].capacity(), Allocation::new(24.0, 64.0 * GIB));
}

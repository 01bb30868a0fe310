//! Demand that a limit hides, on a real service: its load grows at once beyond what it can do, its usage shows only the limit,
//! and the decision that raises it says how much the load takes. The truth is the CPU that the same load uses once it has it.
//!
//! Two minutes a case, on a machine that does nothing else: `make saturated`, `make saturated LOADS=1.5`.

#![allow(clippy::print_stdout, reason = "it tells what was measured")]
#![allow(clippy::disallowed_methods, reason = "it measures real processes by the machine's clock")]

use std::thread;
use std::time::Duration;

use end_to_end::binary;
use end_to_end::stand::{Cast, Stand, arrivals, wait_for, work};
use schemas::{Decision, Resource};
use services::load;

/// What it begins with, and may be raised to.
const CORES: [f64; 2] = [0.2, 0.9];

/// Loads over the most that the service can do at first: before, and at once.
const CALM_LOAD: f64 = 0.5;
const LOADS: &str = "1.3,1.6,2";

/// For what a request costs to be learnt.
const CALM: Duration = Duration::from_secs(60);

/// From the growth on: the raises, until the backlog is gone, and then the truth.
const RAISING: Duration = Duration::from_secs(25);
const SETTLED: Duration = Duration::from_secs(20);

/// More than it can do, and for how long, to find the most.
const SATURATING: f64 = 1_500.0;
const SATURATED: Duration = Duration::from_secs(10);

/// All that wait until the raise: a load that is capped would hide itself.
const IN_FLIGHT_MAX: usize = 8_192;

#[test]
#[ignore = "two minutes a case, on a machine that does nothing else: make saturated"]
fn a_decision_knows_the_demand_that_a_limit_hides() {
    let loads = std::env::var("LOADS").ok().filter(|text| !text.is_empty()).unwrap_or(LOADS.to_owned());
    let mut errors: Vec<f64> =
        loads.split(',').flat_map(|load| measure(load.parse().expect("LOADS are numbers"))).collect();
    assert!(!errors.is_empty(), "no decision was about a saturated primary");
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    println!("{} decisions about a saturated primary, median error {:.1} %", errors.len(), 100.0 * median);
    assert!(median <= 0.2, "{errors:?}");
}

/// One case: the relative error of each decision that was taken while the limit hid the demand.
fn measure(load: f64) -> Vec<f64> {
    let stand = Stand::new(
        &format!("saturated-{load}"),
        &Cast {
            command: [&binary::path().display().to_string(), "service", "--rounds=300000"].map(str::to_owned).to_vec(),
            cores: CORES,
            slo_s: 0.08,
            shadow: "shadow = { size_ratio = 0.5, mirrored_share = 0.25 }",
        },
    );
    let _service = stand.adapter();
    wait_for(stand.primary);
    let saturated = stand.send(stand.primary, SATURATING, SATURATED, 0).whole;
    let most = saturated.answered as f64 / saturated.lasted.as_secs_f64();
    let _parts = [stand.start("run", &[]), stand.start("profile", &[]), stand.mirror(None)];
    wait_for(stand.front);
    let rate = |load: f64| format!("{:.1}", load * most);
    let growth = arrivals(&rate(load), RAISING + SETTLED, 2).map(|due| due + CALM);
    let due = arrivals(&rate(CALM_LOAD), CALM, 1).chain(growth);
    let mut asked = work(stand.front);
    asked.in_flight_max = IN_FLIGHT_MAX;
    let truth = thread::scope(|scope| {
        let sent = scope.spawn(|| load::run(&asked, due, |_| {}).expect("threads and sockets"));
        thread::sleep(CALM + RAISING);
        let before = stand.cpu_used(stand.primary);
        thread::sleep(SETTLED);
        let used = stand.cpu_used(stand.primary) - before;
        let failures = sent.join().expect("the load does not panic").failures;
        assert_eq!(failures.total(), 0, "{failures:?}");
        used.as_secs_f64() / SETTLED.as_secs_f64()
    });
    let decisions = stand.records::<Decision>();
    let hidden: Vec<_> = decisions.iter().filter_map(hidden).collect();
    let told: Vec<_> = hidden.iter().map(|(cores, source)| format!("{cores:.3} by {source}")).collect();
    println!("{load} times the most of {} cores takes {truth:.3}; told {}", CORES[0], told.join(", "));
    hidden.iter().map(|(cores, _)| (cores / truth - 1.0).abs()).collect()
}

/// The cores that the load takes, by a decision about a saturated primary, and where they are from.
fn hidden(decision: &Decision) -> Option<(f64, String)> {
    let evidence = &decision.evidence;
    let cpu = evidence.resources.iter().find(|of| of.resource == Resource::Cpu && of.censored)?;
    let source = evidence.shadow.as_ref()?.demand_source?;
    Some((evidence.knee.get() * cpu.demand?, source.to_string()))
}

//! The knee that probes find, against a load test of the primary at its full size: real services in control groups under an
//! open-loop load, every part of the pipeline in a process of its own, a real broker.
//!
//! Each service promises what it breaks well below saturation, where a knee says something.
//!
//! Some ten minutes a case, on a machine that does nothing else: `make knees`, `make knees KINDS=light CORES=0.35`.

#![allow(clippy::print_stdout, reason = "it tells what was measured")]
#![allow(clippy::disallowed_methods, reason = "it measures real processes by the machine's clock")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use end_to_end::binary;
use end_to_end::stand::{Cast, Stand, wait_for};
use schemas::{Decision, EventTime};
use services::Outcome;

/// A service, and what it promises.
struct Kind {
    name: &'static str,
    /// Of which binary, and with which arguments; its environment says where it listens.
    program: fn() -> PathBuf,
    arguments: &'static [&'static str],
    slo_s: f64,
}

const KINDS: [Kind; 3] = [
    Kind { name: "light", program: binary::path, arguments: &["service", "--rounds=300000"], slo_s: 0.08 },
    Kind { name: "heavy", program: binary::path, arguments: &["service", "--rounds=1000000"], slo_s: 0.15 },
    // A quarter of its reads are made anew.
    Kind {
        name: "memory",
        program: binary::services_path,
        arguments: &["memory", "--threads=4", "--data-mib=64", "--cache-mib=48"],
        slo_s: 0.05,
    },
];

const CORES: &str = "0.2,0.35,0.6";

/// Share of the most that the primary can do which its load takes while probes look for the knee.
const LOADED: f64 = 0.35;

/// One sending of the load while they do.
const TURN: Duration = Duration::from_secs(15);

/// What the load test measures at one rate: so many requests, of which ten may be late, or as many as there are in the time.
const REQUESTS: f64 = 1_000.0;
const STEP_S: [f64; 2] = [15.0, 60.0];

/// Rates at which it does so: the knee lies within a fiftieth of what it finds, but for the luck of ten late requests.
const STEPS: u32 = 5;

/// Rates between which it looks, over the most that was answered by a service that had only begun.
const BETWEEN: [f64; 2] = [0.2, 1.4];

/// Longest wait for a knee: a probe takes ten minutes at most, and begins within a minute.
const KNEE_MAX: Duration = Duration::from_secs(720);

#[test]
#[ignore = "some ten minutes a case, on a machine that does nothing else: make knees"]
fn probes_find_the_knee_of_a_load_test() {
    let asked = |name: &str, all: &str| std::env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or(all.into());
    let all: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let (kinds, sizes) = (asked("KINDS", &all.join(",")), asked("CORES", CORES));
    let mut errors = Vec::new();
    for kind in KINDS.iter().filter(|kind| kinds.split(',').any(|name| name == kind.name)) {
        for cores in sizes.split(',').map(|text| text.parse().expect("CORES are numbers")) {
            errors.push(measure(kind, cores));
        }
    }
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    println!("{} cases, median error {:.1} %", errors.len(), 100.0 * median);
    assert!(median <= 0.2, "{errors:?}");
}

/// One case: the relative error of the knee that was found.
fn measure(kind: &Kind, cores: f64) -> f64 {
    let mut command = vec![(kind.program)().display().to_string()];
    command.extend(kind.arguments.iter().map(|&argument| argument.to_owned()));
    let stand = Stand::new(
        &format!("knee-{}-{cores}", kind.name),
        &Cast {
            command,
            cores: [cores; 2],
            slo_s: kind.slo_s,
            shadow: "probe = { size_min = 0.1, size_max = 0.5, overhead_max = 0.1 }",
        },
    );
    let _services = stand.adapter();
    wait_for(stand.primary);
    let most = answered_per_second(&stand.send(stand.primary, saturating(cores), TURN, 0));
    let truth = load_test(&stand, cores, kind.slo_s, most);
    let _parts = [stand.start("run", &[]), stand.start("profile", &[]), stand.mirror(None)];
    wait_for(stand.front);
    let began = Instant::now();
    let found = loop {
        stand.send(stand.front, LOADED * most, TURN, 0);
        let turns = turns(&stand);
        if let Some(found) = turns.iter().find_map(Found::of) {
            break found;
        }
        assert!(began.elapsed() < KNEE_MAX, "no knee was found: {:#?}", because(&turns));
    };
    let turns = turns(&stand);
    let asked_at = turns[0].time;
    let error = (found.knee / truth - 1.0).abs();
    println!(
        "{} at {cores} cores: at most {most:.0}/s; the knee by load test {truth:.2}, by probe {:.2} (shadow well at {}), {:.1} % \
         off; {:.0} s to it, {} turns",
        kind.name,
        found.knee,
        found.between,
        100.0 * error,
        (found.at.millis() - asked_at.millis()) as f64 / 1e3,
        turns.len(),
    );
    error
}

/// What a decision says of a knee that a probe has found.
struct Found {
    at: EventTime,
    knee: f64,
    between: String,
}

impl Found {
    fn of(decision: &Decision) -> Option<Self> {
        let turn = decision.probe.as_ref()?;
        let between = turn.because.strip_prefix("the knee was found: the shadow was well at ")?.to_owned();
        let knee = decision.evidence.shadow.as_ref()?.knee?.utilisation.get();
        Some(Self { at: decision.time, knee, between })
    }
}

/// The utilisation of its limit at which a primary of full size just keeps its promise: by the CPU that it uses, since a request
/// costs less the more of them there are.
fn load_test(stand: &Stand, cores: f64, slo_s: f64, most: f64) -> f64 {
    let [mut low, mut high] = BETWEEN;
    let [mut well, mut broken] = [0.0, 1.0];
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        let rate = middle * most;
        let lasting = Duration::from_secs_f64((REQUESTS / rate).clamp(STEP_S[0], STEP_S[1]));
        let used = stand.cpu_used(stand.primary);
        let outcome = stand.send(stand.primary, rate, lasting, 0);
        let used = stand.cpu_used(stand.primary).saturating_sub(used);
        let utilisation = used.as_secs_f64() / outcome.whole.lasted.as_secs_f64() / cores;
        let latency = outcome.whole.latency(0.99).map_or(f64::INFINITY, |latency| latency.as_secs_f64());
        if outcome.failures.total() == 0 && latency <= slo_s {
            (low, well) = (middle, utilisation);
        } else {
            (high, broken) = (middle, utilisation);
        }
    }
    f64::midpoint(well, broken)
}

/// More than any of the services can do with so many cores.
fn saturating(cores: f64) -> f64 {
    6_000.0 * cores
}

fn answered_per_second(outcome: &Outcome) -> f64 {
    outcome.whole.answered as f64 / outcome.whole.lasted.as_secs_f64()
}

fn because(turns: &[Decision]) -> Vec<&str> {
    turns.iter().map(|decision| decision.because.as_str()).collect()
}

/// The decisions with which a shadow became another one.
fn turns(stand: &Stand) -> Vec<Decision> {
    stand.records().into_iter().filter(|decision: &Decision| decision.probe.is_some()).collect()
}

//! Ramps of a real load, with a shadow and without: whether enough is in force before the primary breaks its promise.
//!
//! The service's promise breaks at about half of its limit, as nobody expects who has not seen it: its requests take more than
//! a third of a period's quota. Before each ramp lies a calm, far below, which is all that there is to learn from: the primary alone
//! shows little in it, and its shadow, at twice its load, a good deal. Then the load climbs to eight times as much within twenty
//! seconds, of which three pass before a reading is decided on, and stays there. The same seed gives both ways the same arrivals;
//! each part is a process of its own, and latency is what the client sees.
//!
//! Some six minutes a ramp, on a machine that does nothing else: `make ramps`, `make ramps RAMPS=3 LASTING=60s`.

#![allow(clippy::print_stdout, reason = "it tells what was measured")]
#![allow(clippy::disallowed_methods, reason = "it measures real processes by the machine's clock")]

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use end_to_end::binary;
use end_to_end::stand::{Cast, Stand, arrivals, wait_for, work};
use schemas::{Allocation, Decision, EventTime, KneeEvidence, Ratio, Resource, Status};
use services::{Second, load};

/// What it begins with, and may be raised to.
const CORES: [f64; 2] = [0.12, 1.0];

const SLO: Duration = Duration::from_millis(40);

/// The load in the calm, step by step, and where the ramp begins and ends, over the most that the service can do at first.
const CALM_LOADS: [f64; 10] = [0.1, 0.25, 0.15, 0.25, 0.1, 0.2, 0.15, 0.25, 0.2, 0.15];
const RAMP_LOADS: [f64; 2] = [0.15, 1.2];

/// More than it can do, and for how long, to find the most.
const SATURATING: f64 = 1_000.0;
const SATURATED: Duration = Duration::from_secs(10);

/// The laws are fitted once a minute, and wait for enough late requests.
const CALM: Duration = Duration::from_secs(120);

/// How long the load stays where the ramp has led it.
const HELD: Duration = Duration::from_secs(20);

/// The promise is kept or broken by the last so many answers, of which five may be late: of a hundred it is a matter of luck.
const ANSWERS: u64 = 500;

/// One run: when the first raise was in force, when the promise was broken, and for how long; in seconds from the ramp's
/// beginning, before which a raise may lie.
struct Ramp {
    raised: Option<f64>,
    broke: Option<usize>,
    broken_seconds: usize,
    /// Of the ramp's requests.
    late_share: f64,
    /// Cores at the end.
    cores: f64,
    /// The knee that the first decision of the ramp rests on, and what it says.
    knee: Option<KneeEvidence>,
    because: String,
    /// What `explain` says of the ramp's first raise and the shadow.
    explained: Vec<String>,
}

#[test]
#[ignore = "some six minutes a ramp, on a machine that does nothing else: make ramps"]
fn more_ramps_are_met_with_a_shadow_than_without() {
    let asked =
        |name: &str, usual: &str| std::env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or(usual.into());
    let ramps = asked("RAMPS", "10").parse::<u64>().expect("RAMPS is a number");
    let lasting = humantime::parse_duration(&asked("LASTING", "20s")).expect("LASTING is a duration, such as 20s");
    let most = most();
    let mut met = [0, 0];
    for seed in 1..=ramps {
        // One after the other: a machine has one adapter for control groups.
        for (with, met) in met.iter_mut().enumerate() {
            let ramp = run(most, seed, lasting, with == 1);
            *met += u64::from(ramp.broke.is_none());
            println!("seed {seed}, {}: {ramp}", ["without a shadow", "with a shadow"][with]);
            ramp.explained.iter().for_each(|line| println!("    {line}"));
        }
    }
    println!("of {ramps} ramps over {lasting:?}: {} met without a shadow, {} with one", met[0], met[1]);
    assert!(met[1] * 10 >= ramps * 8 && met[1] > met[0], "{met:?} of {ramps}");
}

/// Requests a second that the service can do with what it begins with.
fn most() -> f64 {
    let stand = stand("most", "");
    let _service = stand.adapter();
    wait_for(stand.primary);
    let saturated = stand.send(stand.primary, SATURATING, SATURATED, 0).whole;
    let most = saturated.answered as f64 / saturated.lasted.as_secs_f64();
    println!("{} cores answer at most {most:.1} requests a second", CORES[0]);
    // Of such a size a request fits into a period or two of the quota of either.
    assert!((15.0..40.0).contains(&most), "{most:.1} requests a second: this machine takes another number of rounds");
    most
}

fn stand(name: &str, shadow: &'static str) -> Stand {
    let command = [&binary::path().display().to_string(), "service", "--rounds=1000000"].map(str::to_owned).to_vec();
    Stand::new(&format!("ramp-{name}"), &Cast { command, cores: CORES, slo_s: SLO.as_secs_f64(), shadow })
}

fn run(most: f64, seed: u64, lasting: Duration, shadow: bool) -> Ramp {
    // Its load on half of its size: on less, a lone request would take a period and more.
    let stand = match shadow {
        true => stand(&format!("{seed}-with"), "shadow = { size_ratio = 0.5, mirrored_share = 1.0 }"),
        false => stand(&format!("{seed}-without"), ""),
    };
    let _service = stand.adapter();
    wait_for(stand.primary);
    let _parts = [stand.start("run", &[]), stand.start("profile", &[]), stand.mirror(None)];
    wait_for(stand.front);
    let rates = |loads: &[f64]| loads.iter().map(|load| format!("{:.2}", load * most)).collect::<Vec<_>>();
    let [calm, ramp, held] =
        [rates(&CALM_LOADS).join(","), rates(&RAMP_LOADS).join(".."), rates(&RAMP_LOADS[1..]).concat()];
    let ramp = arrivals(&ramp, lasting, seed).map(|due| due + CALM);
    let held = arrivals(&held, HELD, seed).map(move |due| due + CALM + lasting);
    let due = arrivals(&calm, CALM, seed).chain(ramp).chain(held);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is no longer 1970") + CALM;
    let mut seconds = Vec::new();
    load::run(&work(stand.front), due, |second| seconds.push(second.clone())).expect("threads and sockets");
    let calm = CALM.as_secs() as usize;
    let broken: Vec<bool> = (calm..seconds.len()).map(|last| is_broken(&seconds[..=last])).collect();
    let decisions = stand.records::<Decision>();
    let raise = decisions.iter().find(|decision| is_raise(decision));
    let outcomes = stand.records::<schemas::Outcome>();
    let in_force = outcomes.iter().find(|outcome| {
        outcome.status == Status::InForce && raise.is_some_and(|raise| raise.decision == outcome.decision)
    });
    let began = EventTime::from_millis(began.as_millis() as u64);
    let mut of_ramp = decisions.iter().skip_while(|decision| decision.time < began);
    let raise_of_ramp = of_ramp.clone().find(|decision| shadow && is_raise(decision));
    let of_ramp = of_ramp.next();
    Ramp {
        raised: in_force.map(|outcome| (outcome.time.millis() as f64 - began.millis() as f64) / 1e3),
        broke: broken.iter().position(|broken| *broken),
        broken_seconds: broken.iter().filter(|broken| **broken).count(),
        late_share: late_share(&seconds[calm..]),
        cores: decisions.last().map_or(CORES[0], |decision| cores(&decision.granted)),
        knee: of_ramp.and_then(|decision| decision.evidence.shadow.as_ref()?.knee),
        because: of_ramp.map(|decision| decision.because.clone()).unwrap_or_default(),
        explained: raise_of_ramp.map(|raise| of_the_shadow(&stand, raise)).unwrap_or_default(),
    }
}

/// What `explain` says of the knee, k, and what would have been without the shadow.
fn of_the_shadow(stand: &Stand, raise: &Decision) -> Vec<String> {
    let page = stand.said("explain", &[&raise.decision.to_string()]);
    let lines = page.lines().map(str::trim).filter(|line| line.starts_with("knee ") || line.contains("the shadow "));
    lines.map(str::to_owned).collect()
}

/// Whether more than a hundredth of the last answers were late, or failed.
fn is_broken(seconds: &[Second]) -> bool {
    let mut answers = 0;
    let last = seconds.iter().rev().take_while(|second| {
        let wanted = answers < ANSWERS;
        answers += second.answered + second.failed;
        wanted
    });
    late_share(last) > 0.01
}

/// Share of the requests that were answered late, or failed.
fn late_share<'a>(seconds: impl IntoIterator<Item = &'a Second>) -> f64 {
    let counts = seconds.into_iter().fold([0, 0], |[late, all], second| {
        [late + second.slower_than(SLO) + second.failed, all + second.answered + second.failed]
    });
    counts[0] as f64 / counts[1].max(1) as f64
}

fn is_raise(decision: &Decision) -> bool {
    cores(&decision.granted) > cores(&decision.current)
}

fn cores(of: &Allocation) -> f64 {
    of.get(Resource::Cpu)
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after =
            |second: Option<f64>| second.map_or_else(|| "never".to_owned(), |second| format!("after {second:.1} s"));
        write!(
            f,
            "raised {}, promise broken {}, for {} s; {:.2} % late, {:.2} cores in the end; {}{}",
            after(self.raised),
            after(self.broke.map(|second| second as f64)),
            self.broken_seconds,
            100.0 * self.late_share,
            self.cores,
            self.knee
                .map(|KneeEvidence { utilisation, low, high, law, .. }| {
                    let [knee, low, high] = [utilisation, low, high].map(Ratio::get);
                    format!("knee {knee:.2} [{low:.2}, {high:.2}] by {law:?}; ")
                })
                .unwrap_or_default(),
            self.because
        )
    }
}

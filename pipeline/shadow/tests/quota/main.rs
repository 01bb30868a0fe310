//! What probes of a pair, and a calm beside a fixed shadow, teach of services under the kernel's CPU quota, request by request,
//! against load tests of full size: a world that follows no law that is fitted.

mod instance;

use elementary::ln;
use instance::{Instance, Request};
use plant::noise::uniform;
use schemas::{LatencyLaw, ProbePolicy, Ratio};
use shadow::{Host, Learner, PairTick, Probe, Setting, Stop};

/// A kind of service.
struct Kind {
    name: &'static str,
    /// CPU seconds of three requests in four, and of the fourth.
    work: [f64; 2],
    slo: f64,
}

const KINDS: [Kind; 3] = [
    Kind { name: "light", work: [0.001_7; 2], slo: 0.08 },
    Kind { name: "heavy", work: [0.005_5; 2], slo: 0.15 },
    // Most of its requests find in a cache what they ask for.
    Kind { name: "memory", work: [0.000_1, 0.001_1], slo: 0.05 },
];

const SIZES: [f64; 4] = [0.2, 0.35, 0.6, 1.0];
const SEEDS: u64 = 4;

/// Share of its limit that the primary's load takes.
const LOADED: f64 = 0.35;

/// Within so many seconds a probe ends, and a minute later the law has been fitted to all that it saw.
const PROBE_MAX: u64 = 640;
const FITTED_AFTER: u64 = 60;

/// What a load test measures at one utilisation, and in how many steps it finds the knee: to a hundredth.
const TESTED_REQUESTS: f64 = 100_000.0;
const TEST_STEPS: u32 = 7;

/// One that needs half of its limit idle, and its load in the calm, half a minute at each share of that.
const TIGHT: Kind = Kind { name: "tight", work: [0.003_6; 2], slo: 0.04 };
const TIGHT_CORES: f64 = 0.12;
const CALM_LOADS: [f64; 10] = [0.1, 0.25, 0.15, 0.25, 0.1, 0.2, 0.15, 0.25, 0.2, 0.15];
const CALM_STEP: u64 = 30;

/// From when on the calm has taught enough: a minute until the shadow is believed, and one more of it.
const TAUGHT_AFTER: u64 = 120;

impl Kind {
    fn rate(&self, work_cores: f64) -> f64 {
        work_cores / (0.75 * self.work[0] + 0.25 * self.work[1])
    }

    /// The requests of a second, at random instants, and those among them that are mirrored.
    fn second(&self, seed: u64, second: u64, rate: f64, share: f64) -> [Vec<Request>; 2] {
        let (mut all, mut mirrored, mut at) = (Vec::new(), Vec::new(), second as f64);
        for number in 0.. {
            let draw = |stream| uniform(seed, stream, 100_000 * second + number);
            at -= ln(1.0 - draw(1)) / rate;
            if at >= (second + 1) as f64 {
                break;
            }
            let request = Request { at, work: self.work[usize::from(draw(2) < 0.25)] };
            all.push(request);
            mirrored.extend((draw(3) < share).then_some(request));
        }
        [all, mirrored]
    }

    /// Whether no more than one request in a hundred is late.
    fn keeps(&self, cores: f64, work_cores: f64) -> bool {
        let rate = self.rate(work_cores);
        let mut instance = Instance::new(cores, self.slo, 0.0);
        let (mut late, mut requests) = (0.0, 0.0);
        for second in 0..(TESTED_REQUESTS / rate) as u64 {
            let [all, _] = self.second(0, second, rate, 0.0);
            let tick = instance.serve(&all, (second + 1) as f64);
            late += tick.late.expect("counted");
            requests += tick.requests.expect("counted");
        }
        100.0 * late <= requests
    }

    /// The largest utilisation that keeps the promise.
    fn knee(&self, cores: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..TEST_STEPS {
            let middle = f64::midpoint(low, high);
            (low, high) = if self.keeps(cores, middle * cores) { (middle, high) } else { (low, middle) };
        }
        f64::midpoint(low, high)
    }

    /// The least cores that do, over the work that they are for.
    fn least(&self, work_cores: f64) -> f64 {
        let (mut low, mut high) = (1.0, 4.0);
        for _ in 0..TEST_STEPS {
            let middle = f64::midpoint(low, high);
            (low, high) = if self.keeps(middle * work_cores, work_cores) { (low, middle) } else { (middle, high) };
        }
        f64::midpoint(low, high)
    }

    /// What a pair has learnt from one probe.
    fn probed(&self, cores: f64, seed: u64) -> Learner {
        let policy = ProbePolicy { size_min: Ratio::new(0.1), size_max: Ratio::new(0.5), ..ProbePolicy::default() };
        let (mut probe, mut learner) = (Probe::new(policy), Learner::new(Ratio::new(0.7)));
        let mut primary = Instance::new(cores, self.slo, 0.0);
        let (mut shadow, mut setting): (Option<Instance>, _) =
            (None, Setting { mirrored_share: 0.0, size_ratio: 0.0, until_ms: 0 });
        let mut ended = PROBE_MAX;
        for second in 0..PROBE_MAX + FITTED_AFTER {
            if second > ended + FITTED_AFTER {
                break;
            }
            let [all, mirrored] = self.second(seed, second, self.rate(LOADED * cores), setting.mirrored_share);
            let end = (second + 1) as f64;
            let tick = PairTick {
                now_ms: 1_000 * second,
                phase_ms: 0,
                primary: primary.serve(&all, end),
                shadow: shadow.as_mut().map(|shadow| shadow.serve(&mirrored, end)),
                mirrored_share: shadow.is_some().then_some(setting.mirrored_share),
                slo_latency: Some(self.slo),
                host: Host::default(),
                generation: "image",
            };
            learner.observe(&tick);
            let size = setting.size_ratio;
            setting = probe.next(tick.now_ms, learner.seen(&tick));
            if setting.size_ratio != size {
                let cores = setting.size_ratio * cores;
                shadow = (cores > 0.0).then(|| Instance::new(cores, self.slo, end));
            }
            if probe.last().is_some() {
                ended = ended.min(second);
            }
        }
        let stop = probe.last().map(|bracket| bracket.stop);
        assert!(matches!(stop, Some(Stop::Found | Stop::TimeUp)), "{} of {cores} cores: {stop:?}", self.name);
        learner
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "it tells what was measured")]
fn knees_under_a_quota_are_those_of_load_tests() {
    let (mut errors, mut too_much, mut covered, mut unknown) = (Vec::new(), Vec::new(), 0, 0);
    for kind in KINDS {
        for cores in SIZES {
            let truth = kind.knee(cores);
            for seed in 1..=SEEDS {
                let sizing = kind.probed(cores, seed).sizing(Some(kind.slo));
                let Some(knee) = sizing.knee() else {
                    unknown += 1;
                    continue;
                };
                let [found, low, high] = [knee.utilisation, knee.low, knee.high].map(Ratio::get);
                errors.push((found / truth - 1.0).abs());
                covered += usize::from((low..=high).contains(&truth));
                // At its knee it needs what it has.
                too_much.push(sizing.demand(truth * cores) / cores - 1.0);
            }
        }
    }
    let cases = errors.len();
    [&mut errors, &mut too_much].into_iter().for_each(|values| values.sort_by(f64::total_cmp));
    let of = |values: &[f64]| [values[0], values[cases / 2], values[cases * 9 / 10], values[cases - 1]];
    println!(
        "least, median, ninth tenth, most: errors {:.3?}, demand beyond the truth {:.3?}",
        of(&errors),
        of(&too_much)
    );
    println!("{covered} of {cases} covered, {unknown} unknown");
    // Where the shadow itself keeps its promise up to saturation, a probe may not see what would tell.
    assert!(unknown * 10 <= cases, "{unknown}");
    assert!(errors[cases / 2] <= 0.03 && errors[cases * 9 / 10] <= 0.1, "{errors:?}");
    // Late requests come in bursts, of which minutes see few: bands miss some of the truths, and hardly ever does an instance get less
    // than it needs.
    assert!(covered * 3 >= cases * 2, "{covered} of {cases}");
    assert!(too_much[0] >= -0.05 && too_much[cases / 2] <= 0.1, "{too_much:?}");
}

#[test]
#[allow(clippy::print_stdout, reason = "it tells what was measured")]
fn a_calm_beside_a_shadow_of_half_the_size_teaches_what_a_ramp_takes() {
    // Ten times the work of the calm's least, and none of it was seen.
    let work = 1.2 * TIGHT_CORES;
    let truth = TIGHT.least(work);
    let mut taken = Vec::new();
    for seed in 1..=10 {
        let mut learner = Learner::new(Ratio::new(0.7));
        let mut instances = [1.0, 0.5].map(|size| Instance::new(size * TIGHT_CORES, TIGHT.slo, 0.0));
        for second in 0..CALM_LOADS.len() as u64 * CALM_STEP {
            let load = CALM_LOADS[(second / CALM_STEP) as usize];
            let [all, _] = TIGHT.second(seed, second, TIGHT.rate(load * TIGHT_CORES), 0.0);
            let [primary, shadow] = instances.each_mut().map(|instance| instance.serve(&all, (second + 1) as f64));
            let tick = PairTick {
                now_ms: 1_000 * second,
                phase_ms: 6_000 * seed,
                primary,
                shadow: Some(shadow),
                mirrored_share: Some(1.0),
                slo_latency: Some(TIGHT.slo),
                host: Host::default(),
                generation: "image",
            };
            learner.observe(&tick);
            if second >= TAUGHT_AFTER {
                let sizing = learner.sizing(Some(TIGHT.slo));
                let law = sizing.knee().map(|knee| knee.law);
                assert_eq!(law, Some(LatencyLaw::Tail), "seed {seed}, after {second} s");
                taken.push(sizing.demand(work) / work);
            }
        }
    }
    taken.sort_by(f64::total_cmp);
    let [least, median, most] = [taken[0], taken[taken.len() / 2], taken[taken.len() - 1]];
    println!("cores for each of work: {truth:.2} by load test; {least:.2} to {most:.2}, median {median:.2}");
    // The tail of a small quota falls off faster than the law has it: it errs towards more.
    assert!(least >= 0.95 * truth && median <= 1.4 * truth && most <= 1.7 * truth, "{truth}: {least} {median} {most}");
}

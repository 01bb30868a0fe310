//! A seeded world in which a service and its new version answer.
//!
//! Requests weigh differently, with a heavy tail (Pareto, exponent 2.5: no third moment), and come in moods: a slow one of
//! minutes and a quick one of some twenty requests. What is mirrored shares all of that. Each side adds noise of its own, and
//! now and then stalls for a tenth to four tenths of a second, as a garbage collector would.

use schemas::Verdict;
use shadow::{Answer, Canary, CanarySettings, Design, Side, SideTick};

/// Requests per second.
pub(crate) const REQUESTS: u64 = 100;

/// How the new version differs, and how the load behaves; [`SAME`] is an A/A canary.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Spread of its own noise of latency; the mean stays.
    pub(crate) spread: f64,
    /// Share of answers that fail.
    pub(crate) errors: f64,
    /// CPU per request, as a factor.
    pub(crate) cpu: f64,
    /// Growth of memory per hour, as a share.
    pub(crate) leak: f64,
    /// How far the mix of requests moves CPU per request from one second to the next, on both sides.
    pub(crate) mix: f64,
}

/// No difference.
pub(crate) const SAME: Case = Case { spread: 0.2, errors: 0.001, cpu: 1.0, leak: 0.0, mix: 0.04 };

/// What one side did in a second.
#[derive(Default)]
pub(crate) struct Second {
    /// Its answers.
    pub(crate) answers: Vec<Answer>,
    /// What was read of it.
    pub(crate) tick: SideTick,
}

/// The two under load.
pub(crate) struct World {
    noise: Noise,
    case: Case,
    design: Design,
    mood: f64,
    flutter: f64,
    mix: f64,
    seconds: f64,
}

impl World {
    /// A world from its seed.
    pub(crate) fn new(seed: u64, case: Case, design: Design) -> Self {
        Self { noise: Noise(seed), case, design, mood: 0.0, flutter: 0.0, mix: 0.0, seconds: 0.0 }
    }

    /// Baseline and canary in the next second.
    pub(crate) fn second(&mut self) -> (Second, Second) {
        self.mood = 0.98 * self.mood + 0.08 * self.noise.normal();
        self.mix = 0.9 * self.mix + self.case.mix * self.noise.normal();
        let (mut baseline, mut canary) = (Second::default(), Second::default());
        let stalls = [self.stall(), self.stall()];
        let mut work = [0.0, 0.0];
        for request in 0..REQUESTS {
            self.flutter = 0.95 * self.flutter + 0.1 * self.noise.normal();
            let weight = self.noise.uniform().powf(-1.0 / 2.5);
            let shared = 0.01 * (self.mood + self.flutter).exp() * weight;
            let (to_baseline, to_canary) = self.route();
            for (side, second, goes) in [(0, &mut baseline, to_baseline), (1, &mut canary, to_canary)] {
                if goes {
                    let stalled = stalls[side].is_some_and(|(from, to)| (from..to).contains(&request));
                    second.answers.push(self.answer(side, shared, stalled));
                    work[side] += 0.5 + weight;
                }
            }
        }
        self.seconds += 1.0;
        baseline.tick = self.readings(work[0], 1.0, 0.0);
        canary.tick = self.readings(work[1], self.case.cpu, self.case.leak);
        (baseline, canary)
    }

    fn route(&mut self) -> (bool, bool) {
        match self.design {
            Design::Mirrored => (true, true),
            Design::Split => {
                let canary = self.noise.uniform() < 0.5;
                (!canary, canary)
            }
        }
    }

    /// The requests of a second in which a side stalls: once in twenty seconds.
    fn stall(&mut self) -> Option<(u64, u64)> {
        let (begins, from, length) = (self.noise.uniform() < 0.05, self.noise.uniform(), self.noise.uniform());
        let from = (60.0 * from) as u64;
        begins.then_some((from, from + 10 + (30.0 * length) as u64))
    }

    fn answer(&mut self, side: usize, shared: f64, stalled: bool) -> Answer {
        let (spread, errors) =
            if side == 0 { (SAME.spread, SAME.errors) } else { (self.case.spread, self.case.errors) };
        if self.noise.uniform() < errors {
            return Answer::Failed;
        }
        let own = (spread * self.noise.normal() - spread * spread / 2.0).exp();
        Answer::Served(shared * own * if stalled { 3.0 } else { 1.0 })
    }

    fn readings(&mut self, work: f64, cpu: f64, leak: f64) -> SideTick {
        let cores = 0.004 * work * cpu * self.mix.exp() * (1.0 + 0.05 * self.noise.normal()).max(0.1);
        let memory_bytes = 1e9 * (1.0 + leak * self.seconds / 3_600.0 + 0.01 * self.noise.uniform());
        SideTick { cores: Some(cores), memory_bytes: Some(memory_bytes), ..SideTick::default() }
    }
}

/// Feeds a canary with one second of the world.
pub(crate) fn step(canary: &mut Canary, world: &mut World) {
    let (baseline, new) = world.second();
    baseline.answers.iter().for_each(|answer| canary.observe(Side::Baseline, *answer));
    new.answers.iter().for_each(|answer| canary.observe(Side::Canary, *answer));
    canary.close(baseline.tick, new.tick);
}

/// The same where only samples are known, as in the pipeline: how many answered, how many failed, and the 99th percentile.
pub(crate) fn step_of_samples(canary: &mut Canary, world: &mut World) {
    let sides = world.second();
    let [baseline, new] = [sides.0, sides.1].map(|second| {
        let served = |answer: &Answer| if let Answer::Served(latency) = answer { Some(*latency) } else { None };
        let mut latencies: Vec<f64> = second.answers.iter().filter_map(served).collect();
        latencies.sort_by(f64::total_cmp);
        let (all, failed) = (second.answers.len(), second.answers.len() - latencies.len());
        let slowest = latencies.len().checked_sub(latencies.len() / 100 + 1);
        SideTick {
            requests: Some(all as f64),
            errors: Some(failed as f64),
            latency_p99: slowest.map(|at| latencies[at]),
            ..second.tick
        }
    });
    canary.close(baseline, new);
}

/// Seconds until a canary that is looked at each second says regress; none within so many.
pub(crate) fn seconds_to_regress(
    seed: u64,
    case: Case,
    (settings, step): (CanarySettings, Step),
    seconds: u64,
) -> Option<u64> {
    let mut world = World::new(seed, case, settings.design);
    let mut canary = Canary::new(settings);
    (1..=seconds).find(|_| {
        step(&mut canary, &mut world);
        canary.verdict() == Verdict::Regress
    })
}

/// Feeds a canary with one second of a world.
pub(crate) type Step = fn(&mut Canary, &mut World);

/// A stream of pseudo-random numbers (splitmix64).
struct Noise(u64);

impl Noise {
    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

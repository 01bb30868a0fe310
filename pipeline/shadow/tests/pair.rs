//! What a pair of plants teaches, against the plants' own truth: three kinds of service at three sizes each.

use plant::{Allocation, Plant, PlantSpec, demo_fleet, noise, queueing};
use schemas::{Ratio, ShadowTrust};
use shadow::{Host, Learner, PairTick, Probe, ProbeSettings, RoleTick, Seen, Setting, Work};

/// A kind of service: what a request costs, how uneven its load is, what is promised.
struct Kind {
    name: &'static str,
    spec: PlantSpec,
}

/// A pair of plants under a load, the plan that moves the shadow, and what has been learnt.
struct World {
    spec: PlantSpec,
    cores: f64,
    seed: u64,
    primary: Plant,
    shadow: Plant,
    shadow_cores: f64,
    setting: Setting,
    probe: Probe,
    learner: Learner,
}

fn kinds() -> [Kind; 3] {
    let base = demo_fleet()[0].spec.clone();
    let kind = |name, cpu_seconds, burstiness, base_seconds, slo_seconds, cpu_fixed_cores| Kind {
        name,
        spec: PlantSpec {
            cpu_seconds_per_request: cpu_seconds,
            burstiness,
            base_latency_seconds: base_seconds,
            slo_latency_seconds: slo_seconds,
            cpu_fixed_cores,
            memory_fixed_bytes: 1e6,
            max_parallelism: 64,
            ..base.clone()
        },
    };
    [
        kind("bursty web", 0.004, 3.0, 0.04, 0.08, 0.05),
        kind("tight api", 0.002, 1.0, 0.015, 0.03, 0.02),
        kind("coarse worker", 0.03, 1.5, 0.2, 0.5, 0.01),
    ]
}

const SIZES: [f64; 3] = [2.0, 4.0, 8.0];

/// The primary's utilisation of its whole limit at which its latency is the promise: what a full-size load test would find.
fn true_knee(spec: &PlantSpec, cores: f64) -> f64 {
    let service = queueing::service_cores(spec, cores);
    let (mut low, mut high) = (0.0, 0.98);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        let keeps = queueing::p99_latency_seconds(spec, service, middle) <= spec.slo_latency_seconds;
        (low, high) = if keeps { (middle, high) } else { (low, middle) };
    }
    (spec.cpu_fixed_cores + low * service) / cores
}

impl World {
    fn new(spec: &PlantSpec, cores: f64, seed: u64) -> Self {
        let allocation = |cores: f64| Allocation { cpu_cores: cores, memory_bytes: 1e12 };
        let settings = ProbeSettings { size_min: 0.1, ..ProbeSettings::default() };
        Self {
            spec: spec.clone(),
            cores,
            seed,
            primary: Plant::new(spec.clone(), seed, allocation(cores)),
            shadow: Plant::new(spec.clone(), seed + 1, allocation(0.1 * cores)),
            shadow_cores: 0.0,
            setting: Setting { mirrored_share: 0.0, size_ratio: 0.0, until_ms: 0 },
            probe: Probe::new(settings).expect("sound settings"),
            learner: Learner::new(Ratio::new(0.7)),
        }
    }

    /// One second at a primary's utilisation of about `utilisation`, with noise on the load and on latency.
    fn second(&mut self, second: u64, utilisation: f64) -> (RoleTick, Option<RoleTick>, Work) {
        let now_ms = 1_000 * second;
        let wobble = 1.0 + 0.05 * noise::smooth_normal(self.seed, 77, now_ms, 20_000);
        let load = utilisation * self.cores / self.spec.cpu_seconds_per_request * wobble;
        let primary = self.read(now_ms, Role::Primary, load);
        let shadow = (self.setting.size_ratio > 0.0).then(|| self.read(now_ms, Role::Shadow, load));
        let tick = PairTick {
            now_ms,
            primary,
            shadow,
            mirrored_share: Some(self.setting.mirrored_share).filter(|share| *share > 0.0),
            slo_latency: Some(self.spec.slo_latency_seconds),
            host: Host::default(),
            generation: "image",
        };
        let work = self.learner.observe(&tick);
        self.steer(now_ms, &tick);
        (primary, shadow, work)
    }

    fn read(&mut self, now_ms: u64, role: Role, load: f64) -> RoleTick {
        let (plant, share, stream) = match role {
            Role::Primary => (&mut self.primary, 1.0, 78),
            Role::Shadow => (&mut self.shadow, self.setting.mirrored_share, 79),
        };
        let reading = plant.step(now_ms, 1_000, share, load);
        // A p99 of one second's requests is read give or take a twentieth.
        let blur = 1.0 + 0.05 * noise::normal(self.seed, stream, now_ms);
        RoleTick {
            cores: Some(reading.cpu_used_cores),
            limit_cores: Some(reading.cpu_limit_cores),
            throttled: Some(reading.throttled_ratio),
            requests: Some(reading.requests_per_second),
            latency: reading.latency_p99_seconds.map(|latency| latency * blur),
        }
    }

    /// The plan's next setting; a shadow whose size changes is another one.
    fn steer(&mut self, now_ms: u64, tick: &PairTick<'_>) {
        // Twice the promise: a small quota misses the promise itself in health.
        let slow = |latency: f64| latency > 2.0 * self.spec.slo_latency_seconds;
        let seen = Seen {
            primary: tick.primary.utilisation(),
            shadow: tick.shadow.and_then(|shadow| shadow.utilisation()),
            breach: tick.shadow.map(|shadow| shadow.saturated() || shadow.latency.is_some_and(slow)),
            disturbed: tick.primary.saturated(),
        };
        self.setting = self.probe.next(now_ms, seen);
        let cores = self.setting.size_ratio * (self.cores - self.spec.cpu_fixed_cores) + self.spec.cpu_fixed_cores;
        if self.setting.size_ratio > 0.0 && (cores - self.shadow_cores).abs() > 1e-9 {
            self.shadow_cores = cores;
            let allocation = Allocation { cpu_cores: cores, memory_bytes: 1e12 };
            self.shadow = Plant::new(self.spec.clone(), self.seed + 1 + now_ms, allocation);
        }
    }
}

enum Role {
    Primary,
    Shadow,
}

#[test]
fn knees_are_within_a_tenth_and_their_bands_cover_the_truth() {
    let mut errors = Vec::new();
    let (mut covered, mut widths) = (0, Vec::new());
    for Kind { name, spec } in kinds() {
        for cores in SIZES {
            for seed in 1..=5 {
                let mut world = World::new(&spec, cores, 1_000 * seed);
                for second in 0..600 {
                    let (p, sh, _) = world.second(second, 0.35);
                    if seed == 1 && second % 10 == 0 && cores == 2.0 { eprintln!("{second} {:?} {:?} {:?} {:?} {:?}", world.setting, p.utilisation(), p.latency, sh.map(|s| (s.utilisation(), s.latency)), world.learner.trust()); }
                }
                let sizing = world.learner.sizing(Some(spec.slo_latency_seconds));
                let truth = true_knee(&spec, cores);
                let Some(knee) = sizing.knee() else { panic!("{name} of {cores}: no knee, {:?}", world.learner.trust()) };
                let [found, low, high] = [knee.utilisation, knee.low, knee.high].map(Ratio::get);
                eprintln!("{name} of {cores}, seed {seed}: {truth:.3}, found {found:.3} ({low:.3} to {high:.3}) {knee:?} {:?}", world.probe.last());
                errors.push((found / truth - 1.0).abs());
                covered += usize::from((low..=high).contains(&truth));
                widths.push((high - low) / found);
            }
        }
    }
    errors.sort_by(f64::total_cmp);
    widths.sort_by(f64::total_cmp);
    let median = |sorted: &[f64]| sorted[sorted.len() / 2];
    let worst = errors[errors.len() - 1];
    eprintln!("median error {:.3}, worst {worst:.3}; covered {covered} of {}; median width {:.3}", median(&errors), errors.len(), median(&widths));
    assert!(median(&errors) <= 0.1);
    assert!(covered * 10 >= errors.len() * 8);
    assert!(median(&widths) <= 0.3);
    let _ = ShadowTrust::Trusted;
}

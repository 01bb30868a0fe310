//! A primary and a shadow of the plant, second by second, with noise on their load.

use plant::{Allocation, Plant, PlantSpec, demo_fleet, noise, queueing};
use schemas::Ratio;
use shadow::{Host, Learner, PairTick, Probe, RoleTick, Setting, Work};

/// Standard deviation of a load about its course.
const NOISE: f64 = 0.05;

/// A kind of service.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) spec: PlantSpec,
}

/// What moves the shadow.
pub(crate) enum Plan {
    Held(Setting),
    Probed(Box<Probe>),
    None,
}

/// A pair of plants and what has been learnt of it.
pub(crate) struct World {
    pub(crate) spec: PlantSpec,
    pub(crate) cores: f64,
    pub(crate) learner: Learner,
    pub(crate) plan: Plan,
    /// Whether requests are counted when they are complete, rather than when they arrive.
    pub(crate) counts_completed: bool,
    seed: u64,
    primary: Plant,
    shadow: Option<Plant>,
    setting: Setting,
}

/// What was read in a second, and what was made of it.
pub(crate) struct Second {
    pub(crate) primary: RoleTick,
    pub(crate) shadow: Option<RoleTick>,
    pub(crate) work: Work,
    /// CPU that the load takes in truth, cores.
    pub(crate) truth: f64,
}

/// Three kinds: what a request costs, how uneven its load is, what is promised, what runs beside.
pub(crate) fn kinds() -> [Kind; 3] {
    let base = demo_fleet()[0].spec.clone();
    let kind =
        |name, cpu_seconds_per_request, burstiness, [base_seconds, slo_seconds]: [f64; 2], cpu_fixed_cores| Kind {
            name,
            spec: PlantSpec {
                cpu_seconds_per_request,
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
        kind("bursty web", 0.004, 3.0, [0.04, 0.08], 0.05),
        kind("tight api", 0.002, 1.0, [0.015, 0.03], 0.02),
        kind("coarse worker", 0.03, 1.5, [0.2, 0.5], 0.01),
    ]
}

/// The utilisation of the whole limit at which latency is the promise: what a load test of full size would find.
pub(crate) fn true_knee(spec: &PlantSpec, cores: f64) -> f64 {
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
    pub(crate) fn new(spec: &PlantSpec, cores: f64, seed: u64, plan: Plan) -> Self {
        Self {
            spec: spec.clone(),
            cores,
            learner: Learner::new(Ratio::new(0.7)),
            plan,
            counts_completed: false,
            seed,
            primary: Plant::new(spec.clone(), seed, allocation(cores)),
            shadow: None,
            setting: Setting { mirrored_share: 0.0, size_ratio: 0.0, until_ms: 0 },
        }
    }

    /// One second of a load that takes the share `utilisation` of the primary's limit, more or less.
    pub(crate) fn second(&mut self, second: u64, utilisation: f64) -> Second {
        let now_ms = 1_000 * second;
        let wobble = 1.0 + NOISE * noise::smooth_normal(self.seed, 77, now_ms, 20_000);
        let load = utilisation * self.cores / self.spec.cpu_seconds_per_request * wobble;
        let (spec, completed) = (&self.spec, self.counts_completed);
        let read = |plant: &mut Plant, share| {
            let reading = plant.step(now_ms, 1_000, share, load);
            let served = (reading.cpu_used_cores - spec.cpu_fixed_cores) / spec.cpu_seconds_per_request;
            RoleTick {
                cores: Some(reading.cpu_used_cores),
                limit_cores: Some(reading.cpu_limit_cores),
                throttled: Some(reading.throttled_ratio),
                requests: Some(if completed { served } else { reading.requests_per_second }),
                errors: None,
                late: Some(reading.late_per_second),
                mirrorable: None,
                latency: reading.latency_p99_seconds,
            }
        };
        let primary = read(&mut self.primary, 1.0);
        let shadow = self.shadow.as_mut().map(|shadow| read(shadow, self.setting.mirrored_share));
        let tick = PairTick {
            now_ms,
            phase_ms: 0,
            primary,
            shadow,
            mirrored_share: shadow.map(|_| self.setting.mirrored_share),
            slo_latency: Some(self.spec.slo_latency_seconds),
            host: Host::default(),
            generation: "image",
        };
        let work = self.learner.observe(&tick);
        self.steer(now_ms, &tick);
        Second { primary, shadow, work, truth: self.spec.cpu_fixed_cores + load * self.spec.cpu_seconds_per_request }
    }

    /// The plan's next setting; a shadow whose size changes is another one.
    fn steer(&mut self, now_ms: u64, tick: &PairTick<'_>) {
        let seen = self.learner.seen(tick);
        let before = self.setting.size_ratio;
        self.setting = match &mut self.plan {
            Plan::Held(setting) => *setting,
            Plan::Probed(probe) => probe.next(now_ms, seen),
            Plan::None => return,
        };
        if self.setting.size_ratio == 0.0 {
            self.shadow = None;
        } else if self.setting.size_ratio != before {
            let fixed = self.spec.cpu_fixed_cores;
            let cores = fixed + self.setting.size_ratio * (self.cores - fixed);
            self.shadow = Some(Plant::new(self.spec.clone(), self.seed + 1 + now_ms, allocation(cores)));
        }
    }
}

fn allocation(cpu_cores: f64) -> Allocation {
    Allocation { cpu_cores, memory_bytes: 1e12 }
}

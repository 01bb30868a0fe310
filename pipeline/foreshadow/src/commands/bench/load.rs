//! Made samples: many workloads, each a primary and a shadow of eight points a sample.

use std::sync::Arc;

use clap::ValueEnum;
use schemas::samples::Builder;
use schemas::{
    Allocation, EventTime, InstanceId, Learning, Metric, Mode, Money, Pause, PoolId, Profile, Ratio, RemediationPolicy,
    Role, Sample, Samples, Seconds, Selector, ShadowSettings, TenantId, V1, Workload, WorkloadId,
};
use serde::Serialize;

/// The points of a sample.
pub(super) const METRICS: [Metric; 8] = [
    Metric::CpuUsed,
    Metric::CpuLimit,
    Metric::MemoryWorkingSet,
    Metric::MemoryLimit,
    Metric::NetworkReceive,
    Metric::NetworkTransmit,
    Metric::Requests,
    Metric::LatencyP99,
];

/// Roles of a workload that are read.
const ROLES: [Role; 2] = [Role::Primary, Role::Shadow];

/// Series of a workload.
pub(super) const SERIES: usize = METRICS.len() * ROLES.len();

/// A reading a role each 100 ms: the profiler's default.
const STEP_MS: u64 = 100;

/// A tick.
pub(super) const TICK_MS: u64 = 1_000;

/// Ticks whose values differ; they are repeated at later times.
const DISTINCT: u64 = 8;

/// The first event time.
const START_MS: u64 = 1_767_225_600_000;

/// Most readings of a role in a tick, with skewed keys: 100 Hz.
const READINGS_MAX: u64 = 100;

/// How the samples of a tick lie in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shape {
    /// Ten batches a tick, each with one sample of every role.
    OneASeries,
    /// One batch a tick, with ten samples of every role, one after the other.
    TenASeries,
}

/// How often workloads are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Skew {
    /// All alike.
    Uniform,
    /// By Zipf's law with exponent 1: the second half as often as the first, the third a third as often.
    Zipf,
}

/// Made samples, again and again at later times.
pub(super) struct Load {
    /// The batches of each distinct tick.
    ticks: Vec<Vec<Arc<Samples>>>,
    next: u64,
}

impl Load {
    /// The samples of one of `parts` equal shares of the workloads.
    pub(super) fn new(workloads: usize, shape: Shape, skew: Skew, (part, parts): (usize, usize)) -> Self {
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15 ^ part as u64);
        let names: Vec<[Who; ROLES.len()]> = (part..workloads).step_by(parts).map(|w| who(w, &mut draw)).collect();
        let shares = shares(names.len(), skew);
        let mut builder = Builder::default();
        let ticks = (0..DISTINCT).map(|tick| {
            let (batches, readings) = match shape {
                Shape::OneASeries => (TICK_MS / STEP_MS, 1.0),
                Shape::TenASeries => (1, (TICK_MS / STEP_MS) as f64),
            };
            let span_ms = TICK_MS / batches;
            let batches = (0..batches).map(|batch| {
                let first_ms = START_MS + tick * TICK_MS + batch * span_ms;
                for (roles, share) in names.iter().zip(&shares) {
                    let readings = draw.round(readings * share).min(READINGS_MAX * span_ms / TICK_MS);
                    for who in roles {
                        (0..readings)
                            .for_each(|at| builder.push(&who.read(first_ms + at * span_ms / readings, &mut draw)));
                    }
                }
                Arc::new(builder.take())
            });
            batches.collect()
        });
        Self { ticks: ticks.collect(), next: 0 }
    }

    /// Batches of a tick.
    pub(super) fn batches(&self) -> u64 {
        self.ticks[0].len() as u64
    }

    /// Samples of a tick, on average.
    pub(super) fn rows_per_tick(&self) -> f64 {
        let rows: usize = self.ticks.iter().flatten().map(|samples| samples.len()).sum();
        rows as f64 / self.ticks.len() as f64
    }

    /// The next batch and its tick.
    pub(super) fn next(&mut self) -> (u64, Arc<Samples>) {
        let (tick, batch) = (self.next / self.batches(), self.next % self.batches());
        self.next += 1;
        let samples = &self.ticks[(tick % DISTINCT) as usize][batch as usize];
        let shift_ms = tick / DISTINCT * DISTINCT * TICK_MS;
        (START_MS + tick * TICK_MS, Arc::new(samples.later(shift_ms)))
    }
}

/// The workloads' records: the input of the decision law is made for registered workloads only.
pub(super) fn records(workloads: usize) -> Vec<Workload> {
    (0..workloads).map(record).collect()
}

fn record(workload: usize) -> Workload {
    Workload {
        version: V1,
        time: EventTime::from_millis(START_MS),
        workload: name(workload),
        tenant: TenantId::default(),
        orchestrator: "none".to_owned(),
        target: String::new(),
        revision: None,
        selector: Selector::default(),
        pool: PoolId::new("main").expect("a name"),
        profile: Profile::Service,
        allocation: Allocation::new(4.0, 8e9),
        min: Allocation::new(0.25, 0.25e9),
        max: Allocation::new(16.0, 16e9),
        step: Allocation::new(0.25, 0.25e9),
        slo_latency_p99: Some(Seconds::new(0.1)),
        unmet_cost: Money::new(19.0),
        idle_cost: Money::new(1.0),
        priority: 0,
        interruptible: false,
        shadow: Some(ShadowSettings { size_ratio: Ratio::new(0.25), mirrored_share: Ratio::new(0.25) }),
        probe: None,
        mode: Mode::Observe,
        pause: Pause::default(),
        remediation: RemediationPolicy::default(),
        learning: Learning::default(),
    }
}

/// Every instance: of each workload the primary, then the shadow.
pub(super) fn instances(workloads: usize, draw: &mut Draw) -> Vec<Who> {
    (0..workloads).flat_map(|workload| who(workload, draw)).collect()
}

/// An instance that is read.
pub(super) struct Who {
    workload: WorkloadId,
    instance: InstanceId,
    role: Role,
    /// The usual size of each point.
    levels: [f64; METRICS.len()],
}

fn name(workload: usize) -> WorkloadId {
    WorkloadId::new(&format!("workload-{workload:06}")).expect("a name")
}

fn who(workload: usize, draw: &mut Draw) -> [Who; ROLES.len()] {
    ROLES.map(|role| {
        let cores = 0.5 + 4.0 * draw.unit();
        let bytes = 1e8 + 4e9 * draw.unit();
        let requests = 200.0 * cores;
        Who {
            workload: name(workload),
            instance: InstanceId::new(&format!("workload-{workload:06}-{}-0", role.name())).expect("a name"),
            role,
            levels: [cores, 2.0 * cores, bytes, 2.0 * bytes, 2e3 * requests, 9e3 * requests, requests, 0.02],
        }
    })
}

impl Who {
    /// Limits stand; the rest varies by a fifth either way.
    fn read(&self, time_ms: u64, draw: &mut Draw) -> Sample {
        self.read_at(1.0, time_ms, draw)
    }

    /// The same where `load` times the usual is asked of it. Memory does not follow.
    pub(super) fn read_at(&self, load: f64, time_ms: u64, draw: &mut Draw) -> Sample {
        let mut sample = Sample::new(EventTime::from_millis(time_ms), self.workload.clone());
        (sample.instance, sample.role) = (Some(self.instance.clone()), self.role);
        for (metric, level) in METRICS.into_iter().zip(self.levels) {
            let steady = matches!(metric, Metric::CpuLimit | Metric::MemoryLimit);
            let load = if metric == Metric::MemoryWorkingSet { 1.0 } else { load };
            let value = if steady { level } else { level * load * (0.8 + 0.4 * draw.unit()) };
            sample.set(metric, Some(value));
        }
        sample
    }
}

/// How often each workload is read, with a mean of 1.
fn shares(workloads: usize, skew: Skew) -> Vec<f64> {
    match skew {
        Skew::Uniform => vec![1.0; workloads],
        Skew::Zipf => {
            let sum: f64 = (1..=workloads).map(|rank| 1.0 / rank as f64).sum();
            (1..=workloads).map(|rank| workloads as f64 / (rank as f64 * sum)).collect()
        }
    }
}

/// Numbers that look drawn, the same in each run: SplitMix64.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Up or down so that the mean is kept.
    fn round(&mut self, value: f64) -> u64 {
        value as u64 + u64::from(self.unit() < value.fract())
    }
}

//! The points, as decoded blocks in memory: the README beside these folders has the formula.

use std::sync::Arc;

use dataflow::Block;
use schemas::samples::Builder;
use schemas::{
    Allocation, EventTime, InstanceId, Learning, Metric, Mode, Money, Pause, PoolId, Profile, RemediationPolicy, Role,
    Sample, Samples, Selector, TenantId, V1, Workload, WorkloadId,
};

/// The first event time, a whole minute.
pub(crate) const START_MS: u64 = 1_767_225_600_000;

/// A tick.
pub(crate) const TICK_MS: u64 = 1_000;

/// Ticks whose values differ; they come again at later times.
const DISTINCT: u64 = 64;

/// What the profiler reads of an instance.
const METRICS: [Metric; 8] = [
    Metric::CpuUsed,
    Metric::CpuLimit,
    Metric::MemoryWorkingSet,
    Metric::MemoryLimit,
    Metric::NetworkReceive,
    Metric::NetworkTransmit,
    Metric::Requests,
    Metric::LatencyP99,
];

/// How series are shared out among workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One series a workload: CPU use of the primary.
    Alone,
    /// Sixteen: eight metrics of primary and shadow. The last workload may have fewer.
    Whole,
}

impl Layout {
    const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Alone => &[Metric::CpuUsed],
            Self::Whole => &METRICS,
        }
    }

    const fn roles(self) -> &'static [Role] {
        match self {
            Self::Alone => &[Role::Primary],
            Self::Whole => &[Role::Primary, Role::Shadow],
        }
    }

    fn workloads(self, series: u64) -> u64 {
        series.div_ceil((self.metrics().len() * self.roles().len()) as u64)
    }
}

/// Blocks of one tick each, every series in them with all its samples of the tick, one after the other.
pub(crate) struct Load {
    distinct: Vec<Samples>,
    ticks: u64,
    next: u64,
}

impl Load {
    pub(crate) fn new(series: u64, ticks: u64, samples: u64, layout: Layout) -> Self {
        let mut builder = Builder::default();
        let distinct = (0..DISTINCT.min(ticks)).map(|tick| block(&mut builder, (series, samples), layout, tick));
        Self { distinct: distinct.collect(), ticks, next: 0 }
    }

    pub(crate) fn next(&mut self) -> Option<Block> {
        let tick = self.next;
        self.next += 1;
        let samples = &self.distinct[(tick % DISTINCT) as usize];
        let shift_ms = tick / DISTINCT * DISTINCT * TICK_MS;
        (tick < self.ticks).then(|| (START_MS + tick * TICK_MS, Arc::new(samples.later(shift_ms))))
    }
}

fn block(builder: &mut Builder, (series, samples): (u64, u64), layout: Layout, tick: u64) -> Samples {
    let (metrics, roles) = (layout.metrics(), layout.roles());
    let mut first = 0;
    for workload in 0..layout.workloads(series) {
        for &role in roles {
            let held = metrics.len().min((series - first) as usize);
            for reading in (0..samples).filter(|_| held > 0) {
                let time_ms = START_MS + tick * TICK_MS + reading * TICK_MS / samples;
                let mut sample = Sample::new(EventTime::from_millis(time_ms), name(workload));
                (sample.role, sample.instance) = (role, Some(instance(workload, role)));
                for (&metric, one) in metrics[..held].iter().zip(first..) {
                    sample.set(metric, Some(value(one, tick * samples + reading)));
                }
                builder.push(&sample);
            }
            first += held as u64;
        }
    }
    builder.take()
}

/// Within 1 and 1.5, on a grid that single floats hold exactly: SplitMix64 of the series and the reading's number.
fn value(series: u64, index: u64) -> f64 {
    let mut z = ((series << 32) | index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    1.0 + (z >> 42) as f64 / 8_388_608.0
}

/// The workloads' records: decision input is made for registered workloads only.
pub(crate) fn records(series: u64, layout: Layout) -> Vec<Workload> {
    (0..layout.workloads(series)).map(record).collect()
}

fn record(workload: u64) -> Workload {
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
        slo_latency_p99: None,
        unmet_cost: Money::new(19.0),
        idle_cost: Money::new(1.0),
        priority: 0,
        interruptible: false,
        shadow: None,
        probe: None,
        mode: Mode::Observe,
        pause: Pause::default(),
        remediation: RemediationPolicy::default(),
        learning: Learning::default(),
    }
}

fn name(workload: u64) -> WorkloadId {
    WorkloadId::new(&format!("workload-{workload:06}")).expect("a name")
}

fn instance(workload: u64, role: Role) -> InstanceId {
    InstanceId::new(&format!("workload-{workload:06}-{}-0", role.name())).expect("a name")
}

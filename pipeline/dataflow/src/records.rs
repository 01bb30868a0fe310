//! What travels between stages.

use std::ops::Range;
use std::sync::Arc;

use schemas::{EventTime, Metric, Reject, Role, Samples, TenantId, Workload, WorkloadId};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use crate::Receipt;

/// A stream of `D` over event time in milliseconds.
pub(crate) type Stream<'scope, D> = StreamVec<'scope, u64, D>;

/// A change of a compacted topic, or an outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) noun: ControlNoun,
    pub(crate) key: String,
    /// Event time in milliseconds: the later of two changes of a key counts.
    pub(crate) time: u64,
    pub(crate) offset: i64,
    /// JSON; none removes the key. Of a model that is no champion it is none too: it does not serve.
    pub(crate) value: Option<String>,
}

/// The topics of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum ControlNoun {
    Workloads,
    Pools,
    Outcomes,
    Models,
}

/// A workload with its pool and what its adapter last reported: JSON, so that it can be ordered and retracted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) pool: String,
    pub(crate) pool_record: String,
    pub(crate) workload: String,
    pub(crate) workload_record: String,
    pub(crate) outcome: Option<String>,
}

/// What ingest makes of a delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Intake {
    Samples(Rows),
    Change(Change),
    Error(Box<Reject>),
    Receipt(Receipt),
}

/// Some rows of a block of samples: those of one tick that one worker wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) worker: u64,
    pub(crate) samples: Arc<Samples>,
    pub(crate) rows: Vec<u32>,
}

/// Workloads of a worker at one closed tick: columns, and who they belong to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) pairs: Vec<Pair>,
    series: Vec<Series>,
    times_ms: Vec<u64>,
    values: Vec<f64>,
}

/// Primary, shadow, canary and baseline of one workload within a tick.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The workload's number with its worker, see `slots`.
    pub(crate) slot: usize,
    /// Whether it is read for the first time since it got the slot: what stages hold at it is somebody else's.
    pub(crate) is_new: bool,
    pub(crate) tenant: TenantId,
    pub(crate) workload: WorkloadId,
    /// The workload's record; none when nobody has written one.
    pub(crate) record: Option<Arc<Workload>>,
    /// The actuation delay that the workload's last raise has shown.
    pub(crate) delay_ms: Option<u64>,
    /// Time of the newest reading of the primary.
    pub(crate) read_at: Option<EventTime>,
    series: Range<usize>,
}

/// A metric of a role within a tick: its total over the instances (or mean, or maximum) as last known at each reading.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) role: Role,
    pub(crate) metric: Metric,
    /// Mean over the tick's readings.
    pub(crate) mean: f64,
    /// Largest of the tick's readings.
    pub(crate) peak: f64,
    times_ms: Range<usize>,
    values: Range<usize>,
}

/// The metrics of one role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoleTick<'a>(&'a [Series]);

impl Pairs {
    /// Forgets everything but the room that it took.
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
        self.series.clear();
        self.times_ms.clear();
        self.values.clear();
    }

    /// Memory that it takes, but for the workloads' names.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.pairs.as_slice())
            + size_of_val(self.series.as_slice())
            + size_of_val(self.times_ms.as_slice())
            + size_of_val(self.values.as_slice())
    }

    /// How many readings there are.
    pub(crate) const fn readings_held(&self) -> usize {
        self.values.len()
    }

    /// Opens the next workload; its series follow.
    pub(crate) fn begin(&mut self, pair: Pair) {
        let next = self.series.len();
        self.pairs.push(Pair { series: next..next, ..pair });
    }

    /// Keeps the times of readings, for the series that were read at them.
    pub(crate) fn add_times(&mut self, times_ms: impl Iterator<Item = u64>) -> Range<usize> {
        let first = self.times_ms.len();
        self.times_ms.extend(times_ms);
        first..self.times_ms.len()
    }

    /// Adds a series to the workload opened last, in the order of roles and metrics: a value for each time, NaN where no
    /// reading was taken. Without readings it is no series.
    pub(crate) fn add(
        &mut self,
        role: Role,
        metric: Metric,
        mut times_ms: Range<usize>,
        values: impl Iterator<Item = f64>,
    ) {
        let first = self.values.len();
        self.values.extend(values);
        let (mut sum, mut peak) = total(&self.values[first..]);
        // Readings are finite and within bounds: a sum is NaN only where one was not taken.
        if sum.is_nan() {
            times_ms = self.keep_taken(first, times_ms);
            (sum, peak) = total(&self.values[first..]);
        }
        let values = first..self.values.len();
        debug_assert_eq!(values.len(), times_ms.len(), "a reading has a time");
        if values.is_empty() {
            return;
        }
        let mean = sum / values.len() as f64;
        self.series.push(Series { role, metric, mean, peak, times_ms, values });
        self.pairs.last_mut().expect("a workload was opened").series.end = self.series.len();
    }

    /// Keeps only the readings from `first` on that were taken, with times of their own.
    fn keep_taken(&mut self, first: usize, times_ms: Range<usize>) -> Range<usize> {
        let (own_times, mut kept) = (self.times_ms.len(), first);
        for (time, at) in times_ms.zip(first..self.values.len()) {
            if !self.values[at].is_nan() {
                self.times_ms.push(self.times_ms[time]);
                self.values[kept] = self.values[at];
                kept += 1;
            }
        }
        self.values.truncate(kept);
        own_times..self.times_ms.len()
    }

    /// The series of a workload, by role and metric.
    pub(crate) fn series(&self, pair: &Pair) -> &[Series] {
        &self.series[pair.series.clone()]
    }

    /// The readings of a series: when, and how much.
    pub(crate) fn readings(&self, series: &Series) -> (&[u64], &[f64]) {
        (&self.times_ms[series.times_ms.clone()], &self.values[series.values.clone()])
    }

    /// The metrics of a role; `None` when it was not read.
    pub(crate) fn role(&self, pair: &Pair, role: Role) -> Option<RoleTick<'_>> {
        let own = self.series(pair).chunk_by(|a, b| a.role == b.role).find(|own| own[0].role == role);
        own.map(RoleTick)
    }
}

/// Sum, in order, and greatest of readings.
fn total(readings: &[f64]) -> (f64, f64) {
    readings.iter().fold((0.0, f64::MIN), |(sum, peak), &value| (sum + value, if value > peak { value } else { peak }))
}

impl Pair {
    /// A workload without series.
    pub(crate) fn new(slot: usize, tenant: TenantId, workload: WorkloadId) -> Self {
        Self { slot, is_new: false, tenant, workload, record: None, delay_ms: None, read_at: None, series: 0..0 }
    }
}

impl<'a> RoleTick<'a> {
    /// A metric's mean over the tick; none when it was not read.
    pub(crate) fn mean(self, metric: Metric) -> Option<f64> {
        self.find(metric).map(|series| series.mean)
    }

    /// A metric's largest value within the tick.
    pub(crate) fn peak(self, metric: Metric) -> Option<f64> {
        self.find(metric).map(|series| series.peak)
    }

    fn find(self, metric: Metric) -> Option<&'a Series> {
        self.0.iter().find(|series| series.metric == metric)
    }
}

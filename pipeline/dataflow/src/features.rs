//! Features: rolling windows of every metric of every role.
//!
//! Key: workload; the pair has brought it here. Time: one record a tick in which the workload was read; none of ticks that
//! a run before this one has told for good. State: the panes of four windows a series, see `models/features`. Late data:
//! refused before. Cost: O(1) a reading.

use std::rc::Rc;

use features::{Bank, Features, WINDOWS_MS};
use schemas::{EventTime, FeatureRecord, FeatureRow, Metric, Role, V1, WorkloadId};
use serde_bytes::ByteBuf;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::records::{Pair, Pairs, Stream};
use crate::slots::Slots;
use crate::snapshot::{Cutter, Pieces};

/// Rolls every series one tick on.
pub(crate) fn features<'s>(
    pairs: Stream<'s, Rc<Pairs>>,
    settings: &EngineSettings,
    (slots, mut cutter): (Rc<Slots>, Cutter),
) -> Stream<'s, FeatureRecord> {
    let (tick_ms, every_ms) = (settings.tick.millis(), settings.features_every.millis());
    pairs.unary_frontier(Pipeline, "features", move |_, _| {
        let mut windows = Windows::new(tick_ms, &slots, &cutter);
        let told_before = cutter.told_before();
        move |(input, frontier),
              output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<FeatureRecord>>>| {
            input.for_each(|capability, data| {
                let Some(&tick) = capability.least() else { return };
                if let Some(at) = cutter.due(tick) {
                    cutter.cut(at, |pieces| windows.cut(&slots, pieces));
                }
                let mut session = output.session(&capability);
                let tells = tick.is_multiple_of(every_ms) && tick >= told_before;
                for pairs in data.drain(..) {
                    for pair in &pairs.pairs {
                        if tells {
                            session.give(windows.record(&pairs, pair, tick));
                        } else {
                            windows.roll(&pairs, pair, tick, None);
                        }
                    }
                }
            });
            if let Some(at) = cutter.due_by(&[frontier]) {
                cutter.cut(at, |pieces| windows.cut(&slots, pieces));
            }
        }
    })
}

/// The windows of every series, and which series are whose.
struct Windows {
    bank: Bank,
    /// By the workload's slot: its series, by role and metric, with their numbers in the bank.
    workloads: Vec<Vec<(Role, Metric, usize)>>,
}

/// The windows of a workload in a snapshot: its series, with how many bytes each takes, and the bytes of all, one after the
/// other.
type Kept = (WorkloadId, Vec<(Role, Metric, usize)>, ByteBuf);

impl Windows {
    fn new(tick_ms: u64, slots: &Slots, cutter: &Cutter) -> Self {
        let bank = Bank::new(tick_ms).expect("the settings were checked before the workers were started");
        let mut windows = Self { bank, workloads: Vec::new() };
        for (workload, series, bytes) in cutter.restored::<Kept>() {
            let (bank, mut left) = (&mut windows.bank, bytes.as_slice());
            let restored = series.into_iter().map(|(role, metric, length)| {
                // The keeper has checked sums, FORMAT and settings: what is left is a fault of ours.
                let saved = left.split_off(..length).expect("the bytes of all series were kept");
                (role, metric, bank.restore(saved).expect("a snapshot of other settings is not used"))
            });
            let restored = restored.collect();
            *at(&mut windows.workloads, slots.slot(&workload)) = restored;
        }
        windows
    }

    fn cut(&self, slots: &Slots, pieces: &mut Pieces) {
        for (slot, series) in self.workloads.iter().enumerate().filter(|(_, series)| !series.is_empty()) {
            let Some((workload, range)) = slots.workload(slot) else { continue };
            let mut bytes = ByteBuf::new();
            let saved = series.iter().map(|&(role, metric, number)| {
                let begin = bytes.len();
                self.bank.save(number, &mut bytes);
                (role, metric, bytes.len() - begin)
            });
            let saved = saved.collect();
            pieces.add::<Kept>(range, &(workload, saved, bytes));
        }
    }

    /// Rolls a workload one tick on, series that were not read as well, and tells `rows` of each while it is at hand.
    fn roll(&mut self, pairs: &Pairs, pair: &Pair, tick: u64, mut rows: Option<&mut Vec<FeatureRow>>) {
        let Self { bank, workloads } = self;
        let known = at(workloads, pair.slot);
        if pair.is_new {
            known.drain(..).for_each(|(_, _, number)| bank.remove(number));
        }
        bank.touch(known.iter().map(|&(_, _, number)| number), tick);
        let key = |&(role, metric, _): &(Role, Metric, usize)| (role, metric);
        let read = pairs.series(pair);
        if !known.iter().map(key).eq(read.iter().map(|series| (series.role, series.metric))) {
            for series in read {
                if let Err(place) = known.binary_search_by_key(&(series.role, series.metric), key) {
                    known.insert(place, (series.role, series.metric, bank.add()));
                }
            }
        }
        if let Some(rows) = &mut rows {
            rows.reserve_exact(known.len() * WINDOWS_MS.len());
        }
        let mut read = read.iter().peekable();
        for &(role, metric, number) in known.iter() {
            let own = read.next_if(|series| (series.role, series.metric) == (role, metric));
            let (times_ms, values) = own.map_or((&[][..], &[][..]), |series| pairs.readings(series));
            bank.fold(number, tick, times_ms, values);
            if let Some(rows) = &mut rows {
                let filled = WINDOWS_MS.into_iter().zip(bank.features(number));
                rows.extend(filled.filter_map(|(window_ms, features)| Some(row(role, metric, window_ms, &features?))));
            }
        }
    }

    /// Rolls a workload one tick on; its record.
    fn record(&mut self, pairs: &Pairs, pair: &Pair, tick: u64) -> FeatureRecord {
        let mut rows = Vec::new();
        self.roll(pairs, pair, tick, Some(&mut rows));
        FeatureRecord {
            version: V1,
            time: EventTime::from_millis(tick),
            tenant: pair.tenant.clone(),
            workload: pair.workload.clone(),
            rows,
        }
    }
}

/// What lies at a slot; room is made where there was none.
fn at<T>(known: &mut Vec<Vec<T>>, slot: usize) -> &mut Vec<T> {
    if known.len() <= slot {
        known.resize_with(slot + 1, Vec::new);
    }
    &mut known[slot]
}

fn row(role: Role, metric: Metric, window_ms: u64, features: &Features) -> FeatureRow {
    FeatureRow {
        role,
        metric,
        window_ms,
        count: u64::from(features.count),
        mean: features.mean,
        min: features.min,
        max: features.max,
        variance: features.variance,
        p50: features.p50,
        p95: features.p95,
        p99: features.p99,
        slope_per_second: features.slope_per_second,
        ewma: features.ewma,
        rate_of_change_per_second: features.rate_of_change_per_second,
    }
}

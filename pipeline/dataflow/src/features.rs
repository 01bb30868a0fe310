//! Features: rolling windows of every metric of every role.
//!
//! Key: workload; the pair has brought it here. Time: one record a tick in which the workload was read. State: the
//! panes of four windows a series, see `models/features`. Late data: refused before. Cost: O(1) a reading.

use std::collections::BTreeMap;

use features::{Features, SeriesWindows, WINDOWS_MS};
use schemas::{EventTime, FeatureRecord, FeatureRow, Metric, Role, V1, WorkloadId};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::records::{PairTick, Stream};

/// Series of one workload by role and metric.
type Series = BTreeMap<(Role, Metric), SeriesWindows>;

/// Rolls every series one tick on.
pub(crate) fn features<'s>(pairs: Stream<'s, PairTick>, settings: &EngineSettings) -> Stream<'s, FeatureRecord> {
    let (tick_ms, every_ms) = (settings.tick.millis(), settings.features_every.millis());
    pairs.unary(Pipeline, "features", move |_, _| {
        let mut workloads: BTreeMap<WorkloadId, Series> = BTreeMap::new();
        move |input, output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<FeatureRecord>>>| {
            input.for_each(|capability, data| {
                let Some(&tick) = capability.least() else { return };
                let mut session = output.session(&capability);
                for pair in data.drain(..) {
                    let series = workloads.entry(pair.workload.clone()).or_default();
                    fold(series, &pair, tick, tick_ms);
                    if tick % every_ms == 0 {
                        session.give(record(series, &pair, tick));
                    }
                }
            });
        }
    })
}

fn fold(series: &mut Series, pair: &PairTick, tick: u64, tick_ms: u64) {
    for (role, role_tick) in &pair.roles {
        for (metric, values) in &role_tick.series {
            let windows = series.entry((*role, *metric)).or_insert_with(|| {
                SeriesWindows::new(tick_ms).expect("the settings were checked before the workers were started")
            });
            windows.fold(tick, values);
        }
    }
}

fn record(series: &Series, pair: &PairTick, tick: u64) -> FeatureRecord {
    let rows = series.iter().flat_map(|((role, metric), windows)| {
        let filled = WINDOWS_MS.into_iter().zip(windows.features(tick));
        filled.filter_map(|(window_ms, features)| Some(row(*role, *metric, window_ms, &features?)))
    });
    FeatureRecord {
        version: V1,
        time: EventTime::from_millis(tick),
        tenant: pair.tenant.clone(),
        workload: pair.workload.clone(),
        rows: rows.collect(),
    }
}

fn row(role: Role, metric: Metric, window_ms: u64, features: &Features) -> FeatureRow {
    FeatureRow {
        role,
        metric,
        window_ms,
        count: features.count,
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

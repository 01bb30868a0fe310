//! The order of the stages, one line each.

use std::cell::RefCell;
use std::rc::Rc;

use scaling::Signals;
use schemas::{Anomaly, FeatureRecord, ForecastRecord, Reject};
use timely::dataflow::Scope;
use timely::dataflow::operators::core::{Concat, Concatenate, Map, OkErr};

use crate::control::control;
use crate::decide::decide;
use crate::detect::detect;
use crate::egress::{Leaving, Outlets, egress, outputs, receipts};
use crate::features::features;
use crate::forecast::{Ahead, News, Outlooks, forecast, look_ahead};
use crate::ingest::{Intakes, ingest};
use crate::models::{Swap, models};
use crate::pace::{Room, pace};
use crate::pair::{WorkloadUpdate, pair};
use crate::records::{Change, ControlNoun, Intake, Pairs, Rows, Stream};
use crate::slots::Slots;
use crate::snapshot::{Snapshots, Stage};
use crate::{EngineSettings, Receipt};

/// How many turns of pair, and how many records, are handed on between two looks for anything more urgent: a few
/// milliseconds of work.
const TURNS_AT_ONCE: usize = 1;
const RECORDS_AT_ONCE: usize = 512;

/// What a forecast's record takes, about.
const FORECAST_BYTES: usize = 1024;

/// Builds the dataflow of one worker.
///
/// ```text
///                                      ┌ pace ─ features ────────────┬ egress ─ commits of features
///                                      │        ┌ forecasts ─ pace ──┘
/// deliveries ─ ingest ┬ samples ─ pair ┼ forecast ┬ signals ─ decide ┬ egress ─ commits of decisions
///                     │             ▲  │  ▲       └ anomalies ──▲────┤
///                     │             │  └ detect ─ alerts        │    │
///                     ├ changes ─ control ──────────────────────┘    ├ look ahead
///                     │    └ models ─ swaps, to every worker's forecast
///                     └ errors, receipts ────────────────────────────┘
/// ```
pub(crate) fn build(
    scope: Scope<'_, u64>,
    intakes: Intakes,
    outlets: Outlets,
    settings: &EngineSettings,
    snapshots: &Rc<Snapshots>,
) {
    let probe = intakes.probe.clone();
    let (samples, changes, errors, taken_in) = split(ingest(scope, intakes, settings, snapshots.of(Stage::Ingest)));
    let (registry, changes) = of_models(changes);
    let control = control(changes, snapshots.of(Stage::Control));
    let swaps = models(registry, snapshots.of(Stage::Models));
    let stages = stages(samples, (control.workloads, swaps), settings, snapshots);
    let decisions = decide(stages.signals, control.standings, settings, snapshots.of(Stage::Decide));
    let rejects: Stream<'_, Box<Reject>> = scope.concatenate([errors, stages.strays]);
    let (anomalies, rejects) = (stages.anomalies.map(|anomaly| *anomaly), rejects.map(|reject| *reject));
    let acted_on = [outputs(decisions), outputs(anomalies), outputs(rejects), receipts(taken_in)];
    let left = egress(scope.concatenate(acted_on), outlets.decisions, &probe);
    look_ahead(left.clone(), stages.outlooks);
    let features = afterwards((stages.pairs, stages.slots), left.clone(), settings, snapshots);
    let room = Room { ticks: ticks_behind(settings), bytes_of: |_| FORECAST_BYTES, at_once: RECORDS_AT_ONCE };
    let forecasts = pace(stages.forecasts, left, room);
    let read = [features.map(Leaving::Features), forecasts.map(Leaving::Forecast)];
    egress(scope.concatenate(read), outlets.features, &probe);
}

/// What the stages between ingest and decide give.
pub(crate) struct Stages<'s> {
    pub(crate) slots: Rc<Slots>,
    pub(crate) pairs: Stream<'s, Rc<Pairs>>,
    pub(crate) anomalies: Stream<'s, Box<Anomaly>>,
    pub(crate) forecasts: Stream<'s, Box<ForecastRecord>>,
    pub(crate) signals: Stream<'s, Box<Signals>>,
    pub(crate) strays: Stream<'s, Box<Reject>>,
    /// What was forecast, for whoever looks ahead once decisions have left.
    pub(crate) outlooks: Rc<RefCell<Outlooks>>,
}

/// From samples to what decisions rest on.
pub(crate) fn stages<'s>(
    samples: Stream<'s, Rows>,
    (workloads, swaps): (Stream<'s, WorkloadUpdate>, Stream<'s, Swap>),
    settings: &EngineSettings,
    snapshots: &Rc<Snapshots>,
) -> Stages<'s> {
    let slots = Rc::new(Slots::default());
    let at = |stage| (Rc::clone(&slots), snapshots.of(stage));
    let (pairs, strays) = pair(samples, workloads, at(Stage::Pair)).ok_err(|paired| paired);
    let alerts = detect(pairs.clone(), settings, at(Stage::Detect));
    let news = alerts.map(News::Alert).concat(swaps.map(News::Swap));
    let cutter = snapshots.of(Stage::Forecast);
    let outlooks = Rc::new(RefCell::new(Outlooks::new(&slots, settings, &cutter)));
    let (forecasts, signals, anomalies) = part(forecast(pairs.clone(), news, Rc::clone(&outlooks), cutter));
    Stages { slots, pairs, anomalies, forecasts, signals, strays, outlooks }
}

/// Features, rolled while nothing that goes before them is on its way: what `left` passes has left.
pub(crate) fn afterwards<'s, L: Clone + 'static>(
    (pairs, slots): (Stream<'s, Rc<Pairs>>, Rc<Slots>),
    left: Stream<'s, L>,
    settings: &EngineSettings,
    snapshots: &Rc<Snapshots>,
) -> Stream<'s, FeatureRecord> {
    let room =
        Room { ticks: ticks_behind(settings), bytes_of: |pairs: &Rc<Pairs>| pairs.bytes(), at_once: TURNS_AT_ONCE };
    features(pace(pairs, left, room), settings, (slots, snapshots.of(Stage::Features)))
}

/// Ticks that what is read may lie behind what is acted on: so many that intake is not stopped by them.
const fn ticks_behind(settings: &EngineSettings) -> usize {
    settings.ticks_in_flight_max as usize / 2
}

type Parts<'s> = (Stream<'s, Box<ForecastRecord>>, Stream<'s, Box<Signals>>, Stream<'s, Box<Anomaly>>);

/// Parts what is published of the outlook from what is decided by: signals first, since they are nearly all of it.
fn part(ahead: Stream<'_, Ahead>) -> Parts<'_> {
    let (signals, rest): (Stream<'_, _>, Stream<'_, _>) = ahead.ok_err(|ahead| match ahead {
        Ahead::Signals(signals) => Ok(signals),
        other => Err(other),
    });
    let (forecasts, anomalies): (Stream<'_, _>, Stream<'_, _>) = rest.ok_err(|rest| match rest {
        Ahead::Forecast(record) => Ok(record),
        Ahead::Alert(anomaly) => Err(anomaly),
        Ahead::Signals(_) => unreachable!("they were parted off before"),
    });
    (forecasts, signals, anomalies)
}

/// Parts the registry's changes from those of the control plane.
fn of_models(changes: Stream<'_, Change>) -> (Stream<'_, Change>, Stream<'_, Change>) {
    changes.ok_err(|change| if change.noun == ControlNoun::Models { Ok(change) } else { Err(change) })
}

type Split<'s> = (Stream<'s, Rows>, Stream<'s, Change>, Stream<'s, Box<Reject>>, Stream<'s, Receipt>);

/// Parts the intake without a copy: samples first, since they are nearly all of it.
fn split(intake: Stream<'_, Intake>) -> Split<'_> {
    let (samples, rest): (Stream<'_, _>, Stream<'_, _>) = intake.ok_err(|intake| match intake {
        Intake::Samples(rows) => Ok(rows),
        other => Err(other),
    });
    let (changes, rest): (Stream<'_, _>, Stream<'_, _>) = rest.ok_err(|rest| match rest {
        Intake::Change(change) => Ok(change),
        other => Err(other),
    });
    let (errors, receipts): (Stream<'_, _>, Stream<'_, _>) = rest.ok_err(|rest| match rest {
        Intake::Error(reject) => Ok(reject),
        Intake::Receipt(receipt) => Err(receipt),
        Intake::Samples(_) | Intake::Change(_) => unreachable!("both were parted off before"),
    });
    (samples, changes, errors, receipts)
}

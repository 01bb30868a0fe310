//! The order of the stages, one line each.

use std::rc::Rc;

use scaling::Signals;
use schemas::{Anomaly, FeatureRecord, ForecastRecord, Reject};
use timely::dataflow::Scope;
use timely::dataflow::operators::core::{Concatenate, Map, OkErr};

use crate::control::control;
use crate::decide::decide;
use crate::detect::detect;
use crate::egress::{Outlet, egress, outputs, receipts};
use crate::features::features;
use crate::forecast::{Ahead, forecast};
use crate::ingest::{Intakes, ingest};
use crate::pair::{WorkloadUpdate, pair};
use crate::records::{Change, Intake, Rows, Stream};
use crate::slots::Slots;
use crate::snapshot::{Snapshots, Stage};
use crate::{EngineSettings, Receipt};

/// Builds the dataflow of one worker.
///
/// ```text
/// deliveries ─ ingest ┬ samples ─ pair ┬ features ───────────────────┐
///                     │             ▲  ├ detect ──┬ anomalies ───────┤
///                     │             │  └ forecast ┴ forecasts ───────┼ egress ─ commits
///                     ├ changes ─ control       └ signals ─ decide ──┤
///                     │             └────────────────────────▲       │
///                     └ errors, receipts ────────────────────────────┘
/// ```
pub(crate) fn build(
    scope: Scope<'_, u64>,
    intakes: Intakes,
    outlet: Outlet,
    settings: &EngineSettings,
    snapshots: &Rc<Snapshots>,
) {
    let probe = intakes.probe.clone();
    let (samples, changes, errors, taken_in) = split(ingest(scope, intakes, settings, snapshots.of(Stage::Ingest)));
    let control = control(changes, snapshots.of(Stage::Control));
    let stages = stages(samples, control.workloads, settings, snapshots);
    let signals = stages.signals.map(|signals| *signals);
    let decisions = decide(signals, control.standings, settings, snapshots.of(Stage::Decide));
    let rejects: Stream<'_, Box<Reject>> = scope.concatenate([errors, stages.strays]);
    let leaving = [
        outputs(stages.features),
        outputs(stages.forecasts.map(|record| *record)),
        outputs(stages.anomalies),
        outputs(decisions),
        outputs(rejects.map(|reject| *reject)),
        receipts(taken_in),
    ];
    egress(scope.concatenate(leaving), outlet, &probe);
}

/// What the stages between ingest and decide give.
pub(crate) struct Stages<'s> {
    pub(crate) features: Stream<'s, FeatureRecord>,
    pub(crate) anomalies: Stream<'s, Anomaly>,
    pub(crate) forecasts: Stream<'s, Box<ForecastRecord>>,
    pub(crate) signals: Stream<'s, Box<Signals>>,
    pub(crate) strays: Stream<'s, Box<Reject>>,
}

/// From samples to what decisions rest on.
pub(crate) fn stages<'s>(
    samples: Stream<'s, Rows>,
    workloads: Stream<'s, WorkloadUpdate>,
    settings: &EngineSettings,
    snapshots: &Rc<Snapshots>,
) -> Stages<'s> {
    let slots = Rc::new(Slots::default());
    let at = |stage| (Rc::clone(&slots), snapshots.of(stage));
    let (pairs, strays) = pair(samples, workloads, at(Stage::Pair)).ok_err(|paired| paired);
    let features = features(pairs.clone(), settings, at(Stage::Features));
    let anomalies = detect(pairs.clone(), settings, at(Stage::Detect));
    let (forecasts, signals) = part(forecast(pairs, anomalies.clone(), settings, at(Stage::Forecast)));
    Stages { features, anomalies, forecasts, signals, strays }
}

/// Parts what is published of the outlook from what is decided by.
fn part(ahead: Stream<'_, Ahead>) -> (Stream<'_, Box<ForecastRecord>>, Stream<'_, Box<Signals>>) {
    ahead.ok_err(|ahead| match ahead {
        Ahead::Forecast(record) => Ok(record),
        Ahead::Signals(signals) => Err(signals),
    })
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

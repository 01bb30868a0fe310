//! The order of the stages, one line each.

use scaling::Signals;
use schemas::{FeatureRecord, ForecastRecord, Reject, Sample};
use timely::dataflow::Scope;
use timely::dataflow::operators::core::{Concatenate, Map, OkErr};

use crate::control::control;
use crate::decide::decide;
use crate::detect::detect;
use crate::egress::{Outlet, egress, outputs, receipts};
use crate::features::features;
use crate::forecast::{Ahead, forecast};
use crate::ingest::{Intakes, ingest};
use crate::pair::pair;
use crate::records::{Change, Intake, Stream};
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
pub(crate) fn build(scope: Scope<'_, u64>, intakes: Intakes, outlet: Outlet, settings: &EngineSettings) {
    let probe = intakes.probe.clone();
    let (samples, changes, errors, taken_in) = split(ingest(scope, intakes, settings));
    let control = control(changes);
    let (pairs, strays) = pair(samples, control.workloads).ok_err(|paired| paired);
    let features: Stream<'_, FeatureRecord> = features(pairs.clone(), settings);
    let anomalies = detect(pairs.clone(), settings);
    let (forecasts, signals) = part(forecast(pairs, anomalies.clone(), settings));
    let decisions = decide(signals.map(|signals| *signals), control.standings, settings);
    let rejects: Stream<'_, Box<Reject>> = scope.concatenate([errors, strays]);
    let leaving = [
        outputs(features),
        outputs(forecasts.map(|record| *record)),
        outputs(anomalies),
        outputs(decisions),
        outputs(rejects.map(|reject| *reject)),
        receipts(taken_in),
    ];
    egress(scope.concatenate(leaving), outlet, &probe);
}

/// Parts what is published of the outlook from what is decided by.
fn part(ahead: Stream<'_, Ahead>) -> (Stream<'_, Box<ForecastRecord>>, Stream<'_, Box<Signals>>) {
    ahead.ok_err(|ahead| match ahead {
        Ahead::Forecast(record) => Ok(record),
        Ahead::Signals(signals) => Err(signals),
    })
}

type Split<'s> = (Stream<'s, Sample>, Stream<'s, Change>, Stream<'s, Box<Reject>>, Stream<'s, Receipt>);

/// Parts the intake without a copy: samples first, since they are nearly all of it.
fn split(intake: Stream<'_, Intake>) -> Split<'_> {
    let (samples, rest): (Stream<'_, _>, Stream<'_, _>) = intake.ok_err(|intake| match intake {
        Intake::Sample(sample) => Ok(*sample),
        other => Err(other),
    });
    let (changes, rest): (Stream<'_, _>, Stream<'_, _>) = rest.ok_err(|rest| match rest {
        Intake::Change(change) => Ok(change),
        other => Err(other),
    });
    let (errors, receipts): (Stream<'_, _>, Stream<'_, _>) = rest.ok_err(|rest| match rest {
        Intake::Error(reject) => Ok(reject),
        Intake::Receipt(receipt) => Err(receipt),
        Intake::Sample(_) | Intake::Change(_) => unreachable!("both were parted off before"),
    });
    (samples, changes, errors, receipts)
}

//! The order of the stages, one line each.

use schemas::{FeatureRecord, Reject};
use timely::dataflow::Scope;
use timely::dataflow::operators::core::{Concatenate, OkErr};

use crate::EngineSettings;
use crate::control::control;
use crate::decide::decide;
use crate::detect::detect;
use crate::egress::{Outlet, egress, outputs};
use crate::features::features;
use crate::forecast::{Ahead, forecast};
use crate::ingest::{Intakes, ingest};
use crate::pair::pair;
use crate::records::{Intake, Stream};

/// Builds the dataflow of one worker.
///
/// ```text
/// deliveries ─ ingest ┬ samples ─ pair ┬ features ───────────────────┐
///                     │             ▲  ├ detect ──┬ anomalies ───────┤
///                     │             │  └ forecast ┴ forecasts ───────┼ egress ─ commits
///                     ├ changes ─ control       └ signals ─ decide ──┤
///                     │             └────────────────────────▲       │
///                     └ errors ──────────────────────────────────────┘
/// ```
pub(crate) fn build(scope: Scope<'_, u64>, intakes: Intakes, outlet: Outlet, settings: &EngineSettings) {
    let (probe, tick_ms) = (intakes.probe.clone(), settings.tick.millis());
    let (samples, changes, errors) = split(ingest(scope, intakes, settings));
    let control = control(changes);
    let (pairs, strays) = pair(samples, control.workloads).ok_err(|paired| paired);
    let features: Stream<'_, FeatureRecord> = features(pairs.clone(), settings);
    let anomalies = detect(pairs.clone(), settings);
    let (forecasts, signals) = forecast(pairs, anomalies.clone(), settings).ok_err(|ahead| match ahead {
        Ahead::Forecast(record) => Ok(*record),
        Ahead::Signals(signals) => Err(*signals),
    });
    let decisions = decide(signals, control.standings, settings);
    let rejects: [Stream<'_, Reject>; 2] = [errors, strays];
    let leaving = [
        outputs(features, tick_ms),
        outputs(forecasts, tick_ms),
        outputs(anomalies, tick_ms),
        outputs(decisions, tick_ms),
        outputs(scope.concatenate(rejects), tick_ms),
    ];
    egress(scope.concatenate(leaving), outlet, &probe);
}

type Split<'s> = (Stream<'s, schemas::Sample>, Stream<'s, crate::records::Change>, Stream<'s, Reject>);

/// Parts the intake without a copy: samples first, since they are nearly all of it.
fn split(intake: Stream<'_, Intake>) -> Split<'_> {
    let (samples, rest): (Stream<'_, _>, Stream<'_, _>) = intake.ok_err(|intake| match intake {
        Intake::Sample(sample) => Ok(*sample),
        Intake::Change(change) => Err(Ok(change)),
        Intake::Error(reject) => Err(Err(*reject)),
    });
    let (changes, errors): (Stream<'_, _>, Stream<'_, _>) = rest.ok_err(|rest| rest);
    (samples, changes, errors)
}

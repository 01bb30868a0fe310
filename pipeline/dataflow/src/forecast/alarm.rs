//! Alarm: a forecast that was far off is an anomaly, and every anomaly of a workload is settled here.
//!
//! Settled is an alert once it is known what is done about it: what helps, the workload's policy allows and its rate limit
//! lets through. The decisions of the same tick already rest on it. State: what is in force, see `scaling::remedy`.

use ::forecast::Prediction;
use anomaly::Promise;
use scaling::Remedies;
use schemas::{Anomaly, EventTime, Remedy, Resource};

use crate::EngineSettings;
use crate::alert::Alert;

/// The quantile that a residual is judged against. Every prediction holds it, whatever the workload's prices.
const UPPER_LEVEL: f64 = 0.95;

/// The least spread of a forecast that an excess is measured in: a hundredth of a core, a MiB.
pub(super) const fn scale_floor(resource: Resource) -> f64 {
    match resource {
        Resource::Cpu => 0.01,
        Resource::Memory => 1_048_576.0,
    }
}

/// What a prediction promises of the peak over the steps from `first_step` on.
pub(super) fn promise(prediction: &Prediction, first_step: u64, steps: u32) -> Option<Promise> {
    let at = |level: f64| prediction.quantiles.iter().find(|(of, _)| *of >= level).map(|(_, value)| *value);
    Some(Promise { first_step, steps, median: at(0.5)?, upper: at(UPPER_LEVEL)?, level: UPPER_LEVEL })
}

/// Settles an alert of a workload whose remedies these are; none where nothing may be done about it.
pub(super) fn settled(alert: Alert, remedies: Option<&mut Remedies>, settings: &EngineSettings) -> Box<Anomaly> {
    let Alert { mut anomaly, helps, policy, .. } = alert;
    anomaly.taken = remedies.and_then(|remedies| {
        let alert = scaling::Alert { detector: &anomaly.detector, evidence: &anomaly.evidence, helps: &helps };
        remedies.take(anomaly.time, alert, &policy, settings.quarantine.millis(), &settings.scaling)
    });
    anomaly
}

/// What is in force at a tick.
pub(super) fn in_force(remedies: &mut Remedies, tick: u64) -> Vec<Remedy> {
    remedies.at(EventTime::from_millis(tick)).to_vec()
}

//! One resource's work: its recent peak, its experts and their newest answer.

use std::collections::VecDeque;
use std::sync::Arc;

use ::forecast::lstm::{About, Batch, LEVELS, Measure};
use ::forecast::{Ensemble, EnsembleSettings, Prediction};
use anomaly::{Finding, Residual};
use scaling::{QUANTILES, Signal};
use schemas::{EventTime, ForecastRecord, QuantileValue, Resource, V1, Workload};
use serde::{Deserialize, Serialize};

use super::alarm;
use super::serving::Versions;
use crate::EngineSettings;
use crate::records::Pair;

/// What is known of one resource of a workload.
#[derive(Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) resource: Resource,
    /// Peaks of the floor's window, falling.
    recent: VecDeque<(u64, f64)>,
    step: Option<Step>,
    /// The step that has closed, until the experts have heard of it.
    #[serde(skip)]
    closed: Option<Step>,
    pub(super) experts: Ensemble,
    newest: Option<Newest>,
    /// Whether what was forecast came.
    residual: Residual,
    /// What the step that closed last has shown of it, until it is told.
    missed: Option<Finding>,
}

/// A step, the peaks within it, and the limit at its end.
#[derive(Serialize, Deserialize)]
struct Step {
    number: u64,
    work: Option<f64>,
    shadow: Option<f64>,
    #[serde(skip)]
    limit: Option<f64>,
}

/// What was said at the end of the last step, and the version of those who said it.
#[derive(Serialize, Deserialize)]
struct Newest {
    prediction: Prediction,
    version: Arc<str>,
}

/// What a tick shows of a resource.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// The primary's work.
    pub(super) work: Option<f64>,
    /// The shadow's usage of the same.
    pub(super) shadow: Option<f64>,
    /// The primary's limit.
    pub(super) limit: Option<f64>,
}

/// What a series is forecast for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) horizon_steps: u32,
    /// The target quantile.
    pub(super) level: f64,
}

impl Series {
    pub(super) fn new(resource: Resource, record: &Workload, horizon_steps: u32, settings: &EngineSettings) -> Self {
        let first_bucket = match resource {
            Resource::Cpu => ::forecast::histogram::FIRST_BUCKET_CORES,
            Resource::Memory => ::forecast::histogram::FIRST_BUCKET_BYTES,
        };
        let experts = EnsembleSettings {
            horizons_steps: vec![horizon_steps],
            target: record.target_quantile(),
            step_ms: settings.step.millis(),
            first_bucket,
            ..EnsembleSettings::default()
        };
        let experts = Ensemble::new(experts).expect("prices are above zero and the step divides a day, both checked");
        let residual = Residual::new(settings.anomaly.residual, alarm::scale_floor(resource));
        Self {
            resource,
            recent: VecDeque::new(),
            step: None,
            closed: None,
            experts,
            newest: None,
            residual,
            missed: None,
        }
    }

    /// Takes in a tick of the step of that number; true when the step before it has closed.
    pub(super) fn observe(&mut self, tick: u64, step: u64, reading: Reading, floor_window_ms: u64) -> bool {
        if let Some(work) = reading.work {
            while self.recent.back().is_some_and(|(_, older)| *older <= work) {
                self.recent.pop_back();
            }
            self.recent.push_back((tick, work));
        }
        while self.recent.front().is_some_and(|(at, _)| at + floor_window_ms <= tick) {
            self.recent.pop_front();
        }
        let Reading { work, shadow, limit } = reading;
        match &mut self.step {
            Some(step_now) if step_now.number == step => {
                step_now.work = larger(step_now.work, work);
                step_now.shadow = larger(step_now.shadow, shadow);
                false
            }
            under_way => match under_way.replace(Step { number: step, work, shadow, limit: None }) {
                Some(closed) => {
                    self.missed = self.residual.observe(tick, closed.number, closed.work);
                    self.closed = Some(Step { limit, ..closed });
                    true
                }
                None => false,
            },
        }
    }

    /// Lets the experts hear of the step that has closed, and asks the global model about the time ahead; how many questions
    /// it took.
    pub(super) fn ask(&mut self, questions: Option<&mut Batch>) -> usize {
        let Some(Step { number, work, shadow, limit }) = self.closed.take() else { return 0 };
        self.experts.observe_beside(number, work, shadow);
        let Some(questions) = questions else { return 0 };
        let measure = match self.resource {
            Resource::Cpu => Measure::Cpu,
            Resource::Memory => Measure::Memory,
        };
        self.experts.ask(questions, &About { measure, limit })
    }

    /// Looks ahead from the end of a step, once the global model has answered; who led before and who leads now, where that
    /// is another expert.
    pub(super) fn look_ahead(
        &mut self,
        answers: &[[f64; LEVELS.len()]],
        aim: Aim,
        versions: &Versions,
    ) -> Option<[&'static str; 2]> {
        self.experts.hear(answers);
        let version = if answers.is_empty() { &versions.experts } else { &versions.with_model };
        let prediction = self.experts.forecast(aim.horizon_steps, aim.level);
        if let (Some(prediction), Some(step)) = (&prediction, &self.step)
            && self.residual.wants()
            && let Some(promise) = alarm::promise(prediction, step.number, aim.horizon_steps)
        {
            self.residual.promise(promise);
        }
        let newest = prediction.map(|prediction| Newest { prediction, version: Arc::clone(version) });
        let before = std::mem::replace(&mut self.newest, newest);
        let leaders = [before.as_ref()?, self.newest.as_ref()?].map(|newest| newest.prediction.expert.as_str());
        (leaders[0] != leaders[1]).then_some(leaders)
    }

    /// What the step that has just closed has shown of the forecast, if it was far off.
    pub(super) fn missed(&mut self) -> Option<Finding> {
        self.missed.take()
    }

    /// Floor and forecast as demand.
    pub(super) fn signal(&self, demand: impl Fn(f64) -> f64) -> Signal {
        let newest = self.newest.as_ref();
        Signal {
            floor: self.recent.front().map(|(_, peak)| demand(*peak)),
            forecast: newest.map(|newest| demand(self.answer(&newest.prediction))),
            quantiles: newest.map(|newest| quantiles(&newest.prediction, &demand)),
            expert: newest.map(|newest| (newest.prediction.expert.as_str().into(), Arc::clone(&newest.version))),
            ..Signal::default()
        }
    }

    /// What is published of the newest forecast; none before the first.
    pub(super) fn record(
        &self,
        (tick, pair): (u64, &Pair),
        aim: Aim,
        step_ms: u64,
        demand: impl Fn(f64) -> f64,
    ) -> Option<Box<ForecastRecord>> {
        let Newest { prediction, version } = self.newest.as_ref()?;
        Some(Box::new(ForecastRecord {
            version: V1,
            time: EventTime::from_millis(tick),
            tenant: pair.tenant.clone(),
            workload: pair.workload.clone(),
            resource: self.resource,
            horizon_ms: u64::from(aim.horizon_steps) * step_ms,
            expert: prediction.expert.as_str().to_owned(),
            model_version: version.to_string(),
            base: demand(prediction.base),
            quantiles: quantiles(prediction, &demand).into(),
            target_level: aim.level,
            calibrated: demand(self.answer(prediction)),
        }))
    }

    /// CPU that is short for a moment costs that moment, so its price is one of time; memory that is short kills, so it is
    /// the peak that must fit.
    fn answer(&self, prediction: &Prediction) -> f64 {
        match self.resource {
            Resource::Cpu => prediction.of_time,
            Resource::Memory => prediction.calibrated,
        }
    }
}

fn quantiles(prediction: &Prediction, demand: impl Fn(f64) -> f64) -> [QuantileValue; QUANTILES] {
    prediction.quantiles.map(|(level, value)| QuantileValue { level, value: demand(value) })
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

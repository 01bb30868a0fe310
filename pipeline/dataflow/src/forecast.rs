//! Forecast: demand of each resource, what is needed now, and quantiles of its peak over the horizon.
//!
//! What is forecast is *work* (cores that the load takes, bytes of working set), not demand: from one to the other leads
//! a rising map that is learnt on the way, so a peak's or a quantile's demand is the demand of that peak or quantile, and
//! a lesson about the map holds at once instead of looking like a turn of the load.
//!
//! Key: workload. Time: work is learnt every tick; the experts take one step in `step` (the peak of work within it)
//! and forecast at its end. The horizon is the actuation delay that outcomes have shown, plus the dwell. State: an
//! ensemble a resource, see `models/forecast`, and the floor's window. Missing steps are missing, never zero.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ::forecast::{Ensemble, EnsembleSettings, Prediction};
use scaling::{QUANTILES, Signal, Signals};
use schemas::{Anomaly, EventTime, ForecastRecord, Metric, QuantileValue, Resource, Role, Severity, V1, Workload};
use serde::{Deserialize, Serialize};
use shadow::Learner;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::records::{Pair, Pairs, RoleTick, Stream};
use crate::slots::{BySlot, Slots};
use crate::snapshot::Cutter;
use crate::stash::Stash;

/// Version of the experts' code: a decision names what it rests on.
const EXPERTS_VERSION: &str = "experts-1";

/// What the stage gives for each pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ahead {
    Forecast(Box<ForecastRecord>),
    Signals(Box<Signals>),
}

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Ahead>>>;

/// Learns every pair's demand and looks ahead; critical anomalies quarantine scaling down.
pub(crate) fn forecast<'s>(
    pairs: Stream<'s, Rc<Pairs>>,
    anomalies: Stream<'s, Anomaly>,
    settings: &EngineSettings,
    (slots, mut cutter): (Rc<Slots>, Cutter),
) -> Stream<'s, Ahead> {
    let settings = settings.clone();
    pairs.binary_frontier(anomalies, Pipeline, Pipeline, "forecast", move |_, _| {
        let (mut pairs, mut alerts) = (Stash::new(), Stash::new());
        let mut outlooks = Outlooks { of: BySlot::restored(&slots, &cutter), slots };
        move |(input, frontier), (anomalies, anomalies_frontier), output: &mut Output<'_>| {
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    pairs.keep(capability, data.drain(..));
                }
            });
            anomalies.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    alerts.keep(capability, data.drain(..));
                }
            });
            while let Some((capability, closed)) = pairs.pop_closed(&[frontier, anomalies_frontier]) {
                let tick = *capability.time();
                if let Some(at) = cutter.due(tick) {
                    cutter.cut(at, |pieces| outlooks.of.cut(&outlooks.slots, pieces));
                }
                while let Some((_, alerts)) = alerts.pop_until(tick) {
                    alerts.iter().for_each(|alert: &Anomaly| outlooks.quarantine(alert, &settings));
                }
                let mut session = output.session(&capability);
                for pairs in &closed {
                    for pair in &pairs.pairs {
                        let Some(record) = &pair.record else { continue };
                        let outlook = outlooks.of(pair, record, &settings);
                        outlook.tick(tick, (pairs, pair), record, &settings, |ahead| session.give(ahead));
                    }
                }
            }
            if let Some(at) = cutter.due_by(&[frontier, anomalies_frontier]) {
                cutter.cut(at, |pieces| outlooks.of.cut(&outlooks.slots, pieces));
            }
        }
    })
}

/// What is known of every registered workload's demand.
struct Outlooks {
    of: BySlot<Outlook>,
    slots: Rc<Slots>,
}

impl Outlooks {
    fn of(&mut self, pair: &Pair, record: &Workload, settings: &EngineSettings) -> &mut Outlook {
        self.of.of(pair.slot).get_or_insert_with(|| Outlook::new(record, settings))
    }

    fn quarantine(&mut self, alert: &Anomaly, settings: &EngineSettings) {
        if alert.severity == Severity::Critical
            && let Some(slot) = self.slots.find(&alert.workload)
            && let Some(outlook) = self.of.of(slot)
        {
            outlook.quarantined_until = Some(alert.time.plus(settings.quarantine.millis()));
        }
    }
}

/// What is known of one workload's demand.
#[derive(Serialize, Deserialize)]
struct Outlook {
    learner: Learner,
    cpu: Series,
    memory: Series,
    horizon_steps: u32,
    quarantined_until: Option<EventTime>,
}

/// One resource's work: its recent peak, its experts and their newest answer.
#[derive(Serialize, Deserialize)]
struct Series {
    resource: Resource,
    recent: VecDeque<(u64, f64)>,
    /// The step under way and the peak of work within it.
    step: Option<(u64, Option<f64>)>,
    experts: Ensemble,
    newest: Option<Prediction>,
}

impl Outlook {
    fn new(record: &Workload, settings: &EngineSettings) -> Self {
        let horizon_steps = steps(settings.horizon_prior.millis() + settings.dwell.millis(), settings);
        let series = |resource| Series::new(resource, record, horizon_steps, settings);
        Self {
            learner: Learner::new(record.profile.knee_prior()),
            cpu: series(Resource::Cpu),
            memory: series(Resource::Memory),
            horizon_steps,
            quarantined_until: None,
        }
    }

    fn tick(
        &mut self,
        tick: u64,
        (pairs, pair): (&Pairs, &Pair),
        record: &Arc<Workload>,
        settings: &EngineSettings,
        mut give: impl FnMut(Ahead),
    ) {
        self.follow_delay(pair.delay_ms, settings);
        let primary = pairs.role(pair, Role::Primary);
        let shadow = pairs.role(pair, Role::Shadow).map(role_tick);
        let slo = record.slo_latency_p99.map(schemas::Seconds::get);
        let work = self.learner.observe(&primary.map(role_tick).unwrap_or_default(), shadow.as_ref(), slo);
        let sizing = self.learner.sizing(slo);
        let working_set = primary.and_then(|role| role.peak(Metric::MemoryWorkingSet));
        let level = record.target_quantile();
        self.cpu.observe(tick, work.cores, self.horizon_steps, level, settings);
        self.memory.observe(tick, working_set, self.horizon_steps, level, settings);

        let cores = |work: f64| sizing.demand(work);
        let bytes = |used: f64| used * (1.0 + settings.scaling.memory_margin);
        let horizon_ms = u64::from(self.horizon_steps) * settings.step.millis();
        if tick.is_multiple_of(settings.forecasts_every.millis()) {
            self.cpu.record(tick, pair, level, horizon_ms, cores).map(&mut give);
            self.memory.record(tick, pair, level, horizon_ms, bytes).map(&mut give);
        }
        let usage = primary.and_then(|role| role.mean(Metric::CpuUsed));
        let safe = sizing.safe(work.cores.unwrap_or_default());
        give(Ahead::Signals(Box::new(Signals {
            workload: Arc::clone(record),
            read_at: pair.read_at,
            horizon_ms,
            actuation_delay_ms: pair.delay_ms,
            knee: safe.utilisation,
            knee_from_shadow: safe.seen,
            cpu: Signal { usage, demand: work.cores.map(cores), censored: work.censored, ..self.cpu.signal(cores) },
            memory: Signal { usage: working_set, demand: working_set.map(bytes), ..self.memory.signal(bytes) },
            quarantined_until: self.quarantined_until,
        })));
    }

    /// The horizon follows the actuation delay, in whole steps.
    fn follow_delay(&mut self, delay_ms: Option<u64>, settings: &EngineSettings) {
        let delay = delay_ms.unwrap_or(settings.horizon_prior.millis());
        let horizon = steps(delay + settings.dwell.millis(), settings);
        if horizon == self.horizon_steps {
            return;
        }
        let tracked =
            [&mut self.cpu, &mut self.memory].into_iter().all(|series| series.experts.track(&[horizon]).is_ok());
        if tracked {
            self.horizon_steps = horizon;
        }
    }
}

impl Series {
    fn new(resource: Resource, record: &Workload, horizon_steps: u32, settings: &EngineSettings) -> Self {
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
        Self { resource, recent: VecDeque::new(), step: None, experts, newest: None }
    }

    fn observe(&mut self, tick: u64, work: Option<f64>, horizon: u32, level: f64, settings: &EngineSettings) {
        if let Some(work) = work {
            while self.recent.back().is_some_and(|(_, older)| *older <= work) {
                self.recent.pop_back();
            }
            self.recent.push_back((tick, work));
        }
        while self.recent.front().is_some_and(|(at, _)| at + settings.floor_window.millis() <= tick) {
            self.recent.pop_front();
        }
        let step = tick / settings.step.millis();
        match &mut self.step {
            Some((current, peak)) if *current == step => *peak = larger(*peak, work),
            under_way => {
                if let Some((closed, peak)) = under_way.replace((step, work)) {
                    self.experts.observe(closed, peak);
                    self.newest = self.experts.forecast(horizon, level);
                }
            }
        }
    }

    /// Floor and forecast as demand.
    fn signal(&self, demand: impl Fn(f64) -> f64) -> Signal {
        let newest = self.newest.as_ref();
        Signal {
            floor: self.recent.front().map(|(_, peak)| demand(*peak)),
            forecast: newest.map(|prediction| demand(self.answer(prediction))),
            quantiles: newest.map(|prediction| quantiles(prediction, &demand)),
            expert: newest.map(|prediction| prediction.expert.as_str().into()),
            ..Signal::default()
        }
    }

    /// CPU that is short for a moment costs that moment, so its price is one of time; memory that is short kills, so it is
    /// the peak that must fit.
    fn answer(&self, prediction: &Prediction) -> f64 {
        match self.resource {
            Resource::Cpu => prediction.of_time,
            Resource::Memory => prediction.calibrated,
        }
    }

    fn record(
        &self,
        tick: u64,
        pair: &Pair,
        level: f64,
        horizon_ms: u64,
        demand: impl Fn(f64) -> f64,
    ) -> Option<Ahead> {
        let prediction = self.newest.as_ref()?;
        Some(Ahead::Forecast(Box::new(ForecastRecord {
            version: V1,
            time: EventTime::from_millis(tick),
            tenant: pair.tenant.clone(),
            workload: pair.workload.clone(),
            resource: self.resource,
            horizon_ms,
            expert: prediction.expert.as_str().to_owned(),
            model_version: EXPERTS_VERSION.to_owned(),
            base: demand(prediction.base),
            quantiles: quantiles(prediction, &demand).into(),
            target_level: level,
            calibrated: demand(self.answer(prediction)),
        })))
    }
}

fn quantiles(prediction: &Prediction, demand: impl Fn(f64) -> f64) -> [QuantileValue; QUANTILES] {
    prediction.quantiles.map(|(level, value)| QuantileValue { level, value: demand(value) })
}

fn steps(span_ms: u64, settings: &EngineSettings) -> u32 {
    let steps = span_ms.div_ceil(settings.step.millis()).max(1);
    u32::try_from(steps).unwrap_or(u32::MAX).min(::forecast::settings::MAX_HORIZON_STEPS)
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

fn role_tick(role: RoleTick<'_>) -> shadow::RoleTick {
    shadow::RoleTick {
        cores: role.mean(Metric::CpuUsed),
        limit_cores: role.mean(Metric::CpuLimit),
        throttled: role.mean(Metric::CpuThrottled),
        requests: role.mean(Metric::Requests),
        latency: role.mean(Metric::LatencyP99),
    }
}

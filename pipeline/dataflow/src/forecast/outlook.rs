//! What is known of one workload's demand, and what lies ahead of it.

use std::sync::Arc;

use ::forecast::lstm::Batch;
use scaling::{Remedies, Signal, Signals};
use schemas::{
    DemandSource, EventTime, Metric, Mode, ProbeTurn, Resource, Role, RolloutTurn, ShadowEvidence, ShadowTrust,
    Workload,
};
use serde::{Deserialize, Serialize};
use shadow::{Host, Learner, PairTick, Sizing, Work};

use super::probing::Probing;
use super::series::{Aim, Reading, Series};
use super::serving::Answers;
use super::trend::Trend;
use super::trial::Trial;
use super::{Ahead, alarm};
use crate::EngineSettings;
use crate::alert::Alert;
use crate::keys::phase_ms;
use crate::records::{Pair, Pairs, RoleTick};

/// Workloads' steps begin a tick apart, within a step of ten seconds as a rule; their fits, each a minute, six times as far.
const REFITS_APART: u64 = 6;

/// What is known of one workload's demand.
#[derive(Serialize, Deserialize)]
pub(super) struct Outlook {
    learner: Learner,
    cpu: Series,
    memory: Series,
    /// Of CPU alone: memory that was granted for a moment stays for a day.
    trend: Trend,
    horizon_steps: u32,
    /// By how much its steps begin before those of the clock.
    phase_ms: u64,
    /// What is in force against its anomalies.
    pub(super) remedies: Remedies,
    /// Its roll-outs; none before a new version was seen.
    trial: Option<Box<Trial>>,
    /// Its probes; none where none are wanted.
    probing: Option<Box<Probing>>,
}

/// What a tick has taught of a workload.
struct Learnt {
    work: Work,
    sizing: Sizing,
    /// What the shadow contributed; none without a shadow.
    shadow: Option<ShadowEvidence>,
    working_set: Option<f64>,
    /// What its shadow is to be, where that is something else than before.
    probe: Option<ProbeTurn>,
    seen: Seen,
}

/// What came of a tick beside what it gives.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// Whether a step has closed with it, of which the experts are yet to hear.
    pub(super) closed: bool,
    /// What the shadow is since it is not believed.
    pub(super) distrusted: Option<ShadowTrust>,
}

impl Outlook {
    pub(super) fn new(record: &Workload, settings: &EngineSettings) -> Self {
        let horizon_steps = steps(settings.horizon_prior.millis() + settings.dwell.millis(), settings);
        let series = |resource| Series::new(resource, record, horizon_steps, settings);
        Self {
            learner: Learner::new(record.profile.knee_prior()),
            cpu: series(Resource::Cpu),
            memory: series(Resource::Memory),
            trend: Trend::default(),
            horizon_steps,
            phase_ms: phase_ms(record.workload.as_str(), settings.step.millis(), settings.tick.millis()),
            remedies: Remedies::default(),
            trial: None,
            probing: None,
        }
    }

    /// Takes in a tick and says what is known at its end.
    pub(super) fn observe(
        &mut self,
        tick: u64,
        (pairs, pair, record): (&Pairs, &Pair, &Arc<Workload>),
        settings: &EngineSettings,
        mut give: impl FnMut(Ahead),
    ) -> Seen {
        let mut learnt = self.learn(tick, (pairs, pair, record), settings);
        self.tell_missed((tick, pair), settings, &mut give);
        self.tell(tick, (pairs, pair, record), &mut learnt, settings, give);
        learnt.seen
    }

    /// Lets the experts hear of the step that has closed, and asks the global model, where one serves; how many questions
    /// were asked of CPU and of memory.
    pub(super) fn ask(&mut self, mut questions: Option<&mut Batch>) -> [usize; 2] {
        [self.cpu.ask(questions.as_deref_mut()), self.memory.ask(questions)]
    }

    /// Looks ahead, once the global model has answered.
    pub(super) fn look_ahead(&mut self, record: &Workload, asked: [usize; 2], answers: &mut Answers) {
        let aim = Aim { horizon_steps: self.horizon_steps, level: record.target_quantile() };
        let versions = answers.versions.clone();
        for (series, asked) in [&mut self.cpu, &mut self.memory].into_iter().zip(asked) {
            if let Some([before, now]) = series.look_ahead(answers.next(asked), aim, &versions) {
                let (workload, resource) = (&record.workload, series.resource.name());
                tracing::debug!(%workload, resource, before, now, "another expert leads");
            }
        }
    }

    fn learn(
        &mut self,
        tick: u64,
        (pairs, pair, record): (&Pairs, &Pair, &Workload),
        settings: &EngineSettings,
    ) -> Learnt {
        self.follow_delay(pair.delay_ms, settings);
        self.follow_prices(record.target_quantile());
        let (primary, shadow) = (pairs.role(pair, Role::Primary), pairs.role(pair, Role::Shadow));
        let slo = record.slo_latency_p99.map(schemas::Seconds::get);
        let shown = PairTick {
            now_ms: tick,
            phase_ms: self.phase_ms * REFITS_APART,
            primary: primary.map(role_tick).unwrap_or_default(),
            shadow: shadow.map(role_tick),
            mirrored_share: record.shadow.map(|shadow| shadow.mirrored_share.get()),
            slo_latency: slo,
            host: host([primary, shadow]),
            // Where nothing is said of what runs, another object is another program, and new code shows by decay.
            generation: record.revision.as_ref().unwrap_or(&record.target),
        };
        let trust_before = self.learner.trust();
        let work = self.learner.observe(&shown);
        let trust = self.learner.trust();
        let is_believed = trust == ShadowTrust::Trusted;
        self.trend.observe(tick, work.cores.filter(|_| work.source != Some(DemandSource::Probe)));
        let probe = self.probe(&shown, record);
        if probe.is_some() {
            self.learner.fit(&shown);
        }
        let sizing = self.learner.sizing(slo);
        let peak = |role: Option<RoleTick<'_>>, metric| role.and_then(|role| role.peak(metric));
        let mean = |role: Option<RoleTick<'_>>, metric| role.and_then(|role| role.mean(metric));
        // A forecast must not hear of one that is not believed either.
        let believed = shadow.filter(|_| is_believed);
        let cpu = Reading {
            work: work.cores,
            shadow: mean(believed, Metric::CpuUsed),
            limit: mean(primary, Metric::CpuLimit),
        };
        let memory = Reading {
            work: peak(primary, Metric::MemoryWorkingSet),
            shadow: peak(believed, Metric::MemoryWorkingSet),
            limit: mean(primary, Metric::MemoryLimit),
        };
        let (step, window_ms) = ((tick + self.phase_ms) / settings.step.millis(), settings.floor_window.millis());
        // Both are shown every tick, so their steps close together.
        let closed = self.cpu.observe(tick, step, cpu, window_ms) & self.memory.observe(tick, step, memory, window_ms);
        let shadow = self.learner.evidence(&work, &sizing);
        let is_fault = !matches!(trust, ShadowTrust::Trusted | ShadowTrust::Unproven);
        let distrusted = (is_fault && trust != trust_before).then_some(trust);
        Learnt { work, sizing, shadow, working_set: memory.work, probe, seen: Seen { closed, distrusted } }
    }

    /// Says what is known: forecasts for those who read them, and the signals of the tick.
    fn tell(
        &mut self,
        tick: u64,
        (pairs, pair, record): (&Pairs, &Pair, &Arc<Workload>),
        learnt: &mut Learnt,
        settings: &EngineSettings,
        mut give: impl FnMut(Ahead),
    ) {
        let Learnt { work, sizing, shadow, working_set, probe, .. } = learnt;
        let aim = Aim { horizon_steps: self.horizon_steps, level: record.target_quantile() };
        let cores = |work: f64| sizing.demand(work);
        let bytes = |used: f64| used * (1.0 + settings.scaling.memory_margin);
        let step_ms = settings.step.millis();
        if tick.is_multiple_of(settings.forecasts_every.millis()) {
            self.cpu.record((tick, pair), aim, step_ms, cores).map(Ahead::Forecast).map(&mut give);
            self.memory.record((tick, pair), aim, step_ms, bytes).map(Ahead::Forecast).map(&mut give);
        }
        let usage = pairs.role(pair, Role::Primary).and_then(|role| role.mean(Metric::CpuUsed));
        let mut cpu =
            Signal { usage, demand: work.cores.map(cores), censored: work.censored, ..self.cpu.signal(cores) };
        // A decision of this tick waits for late readings first, and then for its adapter.
        let in_force_ms = settings.tick.millis() + settings.lateness.millis() + pair.delay_ms.unwrap_or_default();
        let climb = self.trend.after(in_force_ms).map(cores);
        cpu.floor = cpu.floor.map(|floor| climb.map_or(floor, |climb| floor.max(climb)));
        let safe = sizing.safe(work.cores.unwrap_or_default());
        give(Ahead::Signals(Box::new(Signals {
            workload: Arc::clone(record),
            read_at: pair.read_at,
            horizon_ms: u64::from(self.horizon_steps) * step_ms,
            actuation_delay_ms: pair.delay_ms,
            knee: safe.utilisation,
            knee_from_shadow: safe.seen && shadow.as_ref().is_some_and(|shadow| shadow.trust == ShadowTrust::Trusted),
            cpu,
            memory: Signal { usage: *working_set, demand: working_set.map(bytes), ..self.memory.signal(bytes) },
            remedies: alarm::in_force(&mut self.remedies, tick),
            rollout: self.try_out(tick, (pairs, pair, record), settings),
            probe: probe.take(),
            shadow: shadow.clone(),
        })));
    }

    /// Alerts of forecasts that were far off, settled before the tick's signals rest on them.
    fn tell_missed(&mut self, (tick, pair): (u64, &Pair), settings: &EngineSettings, mut give: impl FnMut(Ahead)) {
        let missed = [(anomaly::Signal::Demand, &mut self.cpu), (anomaly::Signal::Memory, &mut self.memory)];
        for (about, series) in missed {
            let Some(finding) = series.missed() else { continue };
            let alert = Alert::of(pair, tick, about, finding);
            give(Ahead::Alert(alarm::settled(alert, Some(&mut self.remedies), settings)));
        }
    }

    /// What is to be done about a new version, where one runs beside its baseline.
    fn try_out(
        &mut self,
        tick: u64,
        (pairs, pair, record): (&Pairs, &Pair, &Workload),
        settings: &EngineSettings,
    ) -> Option<RolloutTurn> {
        if record.mode != Mode::Act {
            return self.trial.take()?.end(EventTime::from_millis(tick));
        }
        let roles = (pairs.role(pair, Role::Canary), pairs.role(pair, Role::Baseline));
        if roles.0.is_some() && roles.1.is_some() {
            self.trial.get_or_insert_with(|| Box::new(Trial::new()));
        }
        self.trial.as_mut()?.observe(EventTime::from_millis(tick), settings.tick.millis(), roles)
    }

    /// What the shadow is to be, where the workload's knee may be looked for.
    fn probe(&mut self, shown: &PairTick<'_>, record: &Workload) -> Option<ProbeTurn> {
        let now = EventTime::from_millis(shown.now_ms);
        let Some(policy) = record.probe.filter(|_| record.mode == Mode::Act) else {
            return self.probing.take()?.end(now);
        };
        let probing = self.probing.get_or_insert_with(|| Box::new(Probing::new(policy, shown.generation)));
        probing.follow(policy, shown.generation);
        probing.observe(now, self.learner.seen(shown))
    }

    /// What is known of CPU, to the bit.
    #[cfg(test)]
    pub(super) fn cpu_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.cpu).expect("state is plain")
    }

    /// What calibration aims at.
    #[cfg(test)]
    pub(super) fn targets(&self) -> [f64; 2] {
        [&self.cpu, &self.memory].map(|series| series.experts.target())
    }

    /// Calibration follows the prices, which say what it aims at.
    fn follow_prices(&mut self, target: f64) {
        for series in [&mut self.cpu, &mut self.memory] {
            if series.experts.target() != target {
                series.experts.retarget(target).expect("a record whose prices give no quantile is refused");
            }
        }
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

fn steps(span_ms: u64, settings: &EngineSettings) -> u32 {
    let steps = span_ms.div_ceil(settings.step.millis()).max(1);
    u32::try_from(steps).unwrap_or(u32::MAX).min(::forecast::settings::MAX_HORIZON_STEPS)
}

/// What the roles' machines say of themselves; the worst of them counts.
fn host(roles: [Option<RoleTick<'_>>; 2]) -> Host {
    let worst = |metric| roles.iter().flatten().filter_map(|role| role.mean(metric)).reduce(f64::max);
    Host { used: worst(Metric::HostCpuUsed), stolen: worst(Metric::HostCpuStolen) }
}

fn role_tick(role: RoleTick<'_>) -> shadow::RoleTick {
    shadow::RoleTick {
        cores: role.mean(Metric::CpuUsed),
        limit_cores: role.mean(Metric::CpuLimit),
        throttled: role.mean(Metric::CpuThrottled),
        requests: role.mean(Metric::Requests),
        errors: role.mean(Metric::Errors),
        late: role.mean(Metric::Late),
        mirrorable: role.mean(Metric::Mirrorable),
        latency: role.mean(Metric::LatencyP99),
    }
}

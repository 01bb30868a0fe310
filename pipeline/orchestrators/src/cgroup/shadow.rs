//! The shadow of one workload: started, resized, watched, and gone in time.
//!
//! Invariant: nothing that goes wrong with a shadow is an error of its workload. It is told, counted, and there is no
//! shadow.

use std::time::Duration;

use schemas::{Allocation, EventTime, Role, ShadowSettings};

use super::hierarchy::Hierarchy;
use super::instance::Instance;
use super::pressure::Room;
use super::process::Part;
use super::schedule::{Health, Phase, Step, Turn, next};
use super::{Counts, Group};
use crate::Error;
use crate::limits::split;
use crate::services::ServiceSpec;

/// A shadow, there or not.
#[derive(Debug)]
pub(super) struct Shadow {
    instance: Instance,
    phase: Phase,
    watch: Option<Watch>,
}

/// CPU time of shadow and primary when they were last compared, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Watch {
    since: EventTime,
    shadow_ns: u64,
    primary_ns: u64,
}

/// How long a shadow may do nothing: requests that come one in a few seconds still show in a minute.
const SILENT_MS: u64 = 60_000;

/// Longest life of a probe's shadow whose adapter is gone: probes take ten minutes at most.
const PROBE_MS_MAX: u64 = 660_000;

/// What counts as nothing, and what its primary must have done meanwhile: 1 ms against 1 s of CPU time. A shadow that gets
/// a hundredth of the requests still has ten times as much.
const NOTHING_NS: u64 = 1_000_000;
const SOMETHING_NS: u64 = 1_000_000_000;

impl Shadow {
    /// The shadow of a workload, which begins at once where there is room for one.
    pub(super) fn new(hierarchy: &Hierarchy, service: &ServiceSpec) -> Self {
        let path = hierarchy.shadows().join(service.name()).join(format!("{}-shadow", service.name()));
        let phase = match service.workload.shadow {
            Some(_) => Phase::Rests { until: EventTime::default() },
            None => Phase::Off,
        };
        Self { instance: Instance::new(Group::new(hierarchy, &path)), phase, watch: None }
    }

    /// What there is of it for the workload's record: none while none runs, so that nobody waits for it or sends it requests.
    pub(super) fn settings(&self, service: &ServiceSpec) -> Option<ShadowSettings> {
        service.workload.shadow.filter(|_| matches!(self.phase, Phase::Lives { .. }))
    }

    /// Goes on until then, or begins anew for as long where none runs.
    pub(super) fn prolong(&mut self, until: EventTime) {
        self.phase = match self.phase {
            Phase::Lives { .. } => Phase::Lives { until },
            Phase::Off | Phase::Rests { .. } | Phase::Yields { .. } => Phase::Yields { until },
        };
    }

    /// Ends it before its time, for good.
    pub(super) fn dismiss(&mut self) {
        self.remove();
        self.phase = Phase::Off;
    }

    /// Takes the next step; `primary` is what its primary has, and `primary_ns` what that has used so far.
    pub(super) fn step(
        &mut self,
        service: &ServiceSpec,
        primary: &Primary,
        room: Room,
        now: EventTime,
        counts: &mut Counts,
    ) {
        let turn = turn(service);
        let health = self.health(primary.used_ns, now);
        let before = self.phase;
        let (phase, step) = next(before, turn, health, room, now);
        self.phase = phase;
        let workload = service.name();
        match step {
            Step::Stay => return,
            Step::Start => return self.begin(service, &primary.in_force, turn, now, counts),
            Step::Expire if matches!(before, Phase::Yields { .. }) => return,
            Step::Expire => counts.shadows_expired += 1,
            Step::Yield => counts.shadows_yielded += 1,
            Step::Fail => {
                counts.shadows_failed += 1;
                tracing::warn!(workload, ?health, "the shadow failed: there is none until its next turn");
            }
        }
        tracing::info!(workload, ?step, "the shadow ends");
        self.remove();
    }

    /// Gives it its share of what its primary has now. One that cannot be resized, because it holds more memory than that,
    /// is ended and begins anew, within its time.
    pub(super) fn resize(&mut self, service: &ServiceSpec, primary: &Allocation) {
        let Phase::Lives { until } = self.phase else { return };
        if let Err(error) = self.limit(service, primary) {
            tracing::warn!(workload = service.name(), %error, "the shadow cannot be resized, and begins anew");
            self.remove();
            self.phase = Phase::Yields { until };
        }
    }

    /// Ends what runs of it.
    pub(super) fn remove(&mut self) {
        self.watch = None;
        if self.instance.end() {
            self.instance.group.remove();
        } else {
            tracing::error!("a shadow cannot be killed: it stays in its group, with the lowest weight and its limits");
        }
    }

    fn begin(&mut self, service: &ServiceSpec, primary: &Allocation, turn: Turn, now: EventTime, counts: &mut Counts) {
        let Phase::Lives { until } = self.phase else { return };
        // A probe prolongs it turn by turn, which its process does not hear of.
        let lives_ms = service.workload.probe.map_or(until.millis().saturating_sub(now.millis()), |_| PROBE_MS_MAX);
        let lives = Duration::from_millis(lives_ms);
        let part = Part { role: Role::Shadow, index: 0, lives: Some(lives) };
        let group = &self.instance.group;
        let begun = group.create().and_then(|()| self.limit(service, primary));
        match begun.and_then(|()| self.instance.start(service, part, now)) {
            Ok(()) => {
                counts.shadows_started += 1;
                tracing::info!(workload = service.name(), ?lives, "a shadow begins");
            }
            Err(error) => {
                counts.shadows_failed += 1;
                self.phase = turn.rests(now);
                tracing::error!(workload = service.name(), %error, "no shadow can be started");
                self.remove();
            }
        }
    }

    fn limit(&self, service: &ServiceSpec, primary: &Allocation) -> Result<(), Error> {
        let Some(allocation) = service.shadow_allocation(primary) else { return Ok(()) };
        split(&allocation, 1).iter().try_for_each(|limits| self.instance.group.set(limits))
    }

    fn health(&mut self, primary_ns: Option<u64>, now: EventTime) -> Health {
        if !matches!(self.phase, Phase::Lives { .. }) {
            return Health::Well;
        }
        if !self.instance.is_running() {
            return Health::Dead;
        }
        let (Some(shadow_ns), Some(primary_ns)) = (self.instance.group.cpu_used_ns(), primary_ns) else {
            return Health::Well;
        };
        let last = *self.watch.get_or_insert(Watch { since: now, shadow_ns, primary_ns });
        if now < last.since.plus(SILENT_MS) {
            return Health::Well;
        }
        self.watch = Some(Watch { since: now, shadow_ns, primary_ns });
        let does_nothing = shadow_ns.saturating_sub(last.shadow_ns) < NOTHING_NS;
        let is_asked = primary_ns.saturating_sub(last.primary_ns) >= SOMETHING_NS;
        if does_nothing && is_asked { Health::Hung } else { Health::Well }
    }
}

/// A probe asks for each of its shadows; others come by turns.
fn turn(service: &ServiceSpec) -> Turn {
    let rests_ms = service.workload.probe.is_none().then(|| service.shadow_rests.millis());
    Turn { lives_ms: service.shadow_lives.millis(), rests_ms }
}

/// What a shadow is measured against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Primary {
    pub(super) in_force: Allocation,
    /// CPU time so far, in nanoseconds; none when it cannot be read.
    pub(super) used_ns: Option<u64>,
}

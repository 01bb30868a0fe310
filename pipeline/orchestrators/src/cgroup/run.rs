//! One workload as it runs: its primary's instances, and its shadow.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use schemas::{Allocation, EventTime, Outcome, ProbeTurn, Role, ShadowSettings, Status};

use super::hierarchy::Hierarchy;
use super::instance::Instance;
use super::pressure::Room;
use super::process::{Part, REVISION};
use super::shadow::{Primary, Shadow};
use super::{Counts, Group};
use crate::limits::{Limits, split, sum};
use crate::services::ServiceSpec;
use crate::{Error, LocalPolicy};

/// A workload, started or not.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) service: ServiceSpec,
    /// Invariant: one or more.
    primaries: Vec<Instance>,
    shadow: Shadow,
    pub(super) in_force: Allocation,
    /// The newest decision that came into force and was not reported yet: it overtook those before it.
    pub(super) landed: Option<Outcome>,
}

impl Run {
    /// The workload of a service, with what its predecessor left running.
    pub(super) fn new(hierarchy: &Hierarchy, service: ServiceSpec) -> Self {
        let instance = |index| Instance::new(Group::new(hierarchy, &path(hierarchy, &service, index)));
        let primaries = (0..service.instances).map(instance).collect();
        let shadow = Shadow::new(hierarchy, &service);
        Self { in_force: service.workload.allocation, service, primaries, shadow, landed: None }
    }

    /// Whether the group is one of its instances'.
    pub(super) fn owns(&self, hierarchy: &Hierarchy, group: &Path) -> bool {
        (0..self.service.instances).any(|index| path(hierarchy, &self.service, index) == group)
    }

    /// The owner's bounds, whatever a decision says.
    pub(super) fn policy(&self) -> LocalPolicy {
        let workload = &self.service.workload;
        LocalPolicy { min: workload.min, max: Some(workload.max), ..LocalPolicy::default() }
    }

    /// What runs: by what it says itself, since its file may be another one by now.
    pub(super) fn revision(&self) -> Option<String> {
        let says = self.primaries.iter().find_map(|instance| instance.group.variable(REVISION));
        says.or_else(|| self.service.revision())
    }

    /// Ends the shadow, for good.
    pub(super) fn end_shadow(&mut self) {
        self.shadow.dismiss();
    }

    /// What is there of the shadow.
    pub(super) fn shadow(&self) -> Option<ShadowSettings> {
        self.shadow.settings(&self.service)
    }

    /// Takes a turn of a probe. Only the share that is mirrored may differ between two turns of one shadow: another size is
    /// another shadow.
    ///
    /// # Errors
    /// Why the owner does not allow it.
    pub(super) fn probe(&mut self, turn: &ProbeTurn) -> Result<(), String> {
        let policy = self.service.workload.probe.ok_or("its service has no probe in the file of services")?;
        if let Some(objection) = policy.objection(turn) {
            return Err(objection);
        }
        let size = |shadow: Option<ShadowSettings>| shadow.map(|shadow| shadow.size_ratio);
        let before = std::mem::replace(&mut self.service.workload.shadow, turn.shadow());
        if size(before) != size(turn.shadow()) {
            self.shadow.dismiss();
        }
        if turn.shadow().is_some() {
            self.shadow.prolong(turn.until);
        }
        Ok(())
    }

    /// Adopts the instances that run, and starts the others. Returns how many were adopted. What runs as another program than
    /// the file's is ended and started anew.
    ///
    /// Where all run with limits, those are what is in force; else what was in force last is put in force again.
    pub(super) fn start(&mut self, now: EventTime) -> Result<usize, Error> {
        self.end_others();
        let running: Vec<bool> = self.primaries.iter_mut().map(Instance::is_running).collect();
        let found: Option<Vec<Limits>> = self.primaries.iter().map(|instance| instance.group.limits()).collect();
        let wanted = split(&self.in_force, self.primaries.len());
        let is_whole = running.iter().all(|runs| *runs);
        match found.filter(|_| is_whole) {
            Some(found) if found == wanted => {}
            Some(found) => self.in_force = sum(&found),
            None => self.set_up(&wanted)?,
        }
        for (index, instance) in self.primaries.iter_mut().enumerate().filter(|(index, _)| !running[*index]) {
            instance.start(&self.service, primary(index), now)?;
        }
        Ok(running.into_iter().filter(|runs| *runs).count())
    }

    /// Ends the instances of another program, command or environment. What does not say what it is, is left.
    fn end_others(&mut self) {
        let revision = self.service.revision();
        for instance in &mut self.primaries {
            if instance.group.variable(REVISION).is_some_and(|runs| Some(&runs) != revision.as_ref()) {
                tracing::warn!(
                    workload = self.service.name(),
                    "what runs is no longer what the file says: it is started anew"
                );
                instance.end();
            }
        }
    }

    /// Starts what has ended, and lets the shadow take its next step.
    pub(super) fn supervise(&mut self, room: Room, now: EventTime, counts: &mut Counts) {
        for (index, instance) in self.primaries.iter_mut().enumerate() {
            counts.restarts += u64::from(instance.keep_up(&self.service, primary(index), now));
        }
        let used = self.primaries.iter().map(|instance| instance.group.cpu_used_ns());
        let primary = Primary { in_force: self.in_force, used_ns: used.sum() };
        self.shadow.step(&self.service, &primary, room, now, counts);
    }

    /// Puts an allocation in force, and reads it back. All or nothing: where one instance cannot be resized, those before it
    /// get back what they had.
    ///
    /// # Errors
    /// What to report, and why.
    pub(super) fn resize(&mut self, granted: &Allocation) -> Result<(), (Status, String)> {
        let wanted = split(granted, self.primaries.len());
        let objection = |(instance, limits): (&Instance, &Limits)| instance.group.objection(limits);
        if let Some(objection) = self.primaries.iter().zip(&wanted).find_map(objection) {
            return Err((Status::Refused, objection));
        }
        let before = split(&self.in_force, self.primaries.len());
        let set = |limits: &[Limits]| {
            self.primaries.iter().zip(limits).try_for_each(|(instance, limits)| instance.group.set(limits))
        };
        if let Err(error) = set(&wanted) {
            let put_back = set(&before)
                .map_or_else(|error| format!("; nor could the old limits be put back: {error}"), |()| String::new());
            return Err((Status::Failed, format!("{error}{put_back}")));
        }
        self.in_force = *granted;
        self.shadow.resize(&self.service, granted);
        Ok(())
    }

    /// Ends the shadow, and asks the primary's instances to end.
    pub(super) fn terminate(&mut self) {
        self.shadow.remove();
        self.primaries.iter().for_each(|instance| instance.group.signal(Signal::TERM));
    }

    /// Whether any of the primary's instances runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.primaries.iter_mut().any(Instance::is_running)
    }

    /// Ends what still runs, and removes the groups.
    pub(super) fn end(&mut self) {
        for instance in &mut self.primaries {
            if instance.end() {
                instance.group.remove();
            } else {
                tracing::error!(workload = self.service.name(), "an instance cannot be killed: it stays in its group");
            }
        }
    }

    /// Ends the shadow and leaves the primary alone.
    pub(super) fn leave(&mut self) {
        self.shadow.remove();
    }

    /// Limits for those that are to start. What runs keeps its own where it holds more memory than that.
    fn set_up(&mut self, limits: &[Limits]) -> Result<(), Error> {
        for (instance, limits) in self.primaries.iter().zip(limits) {
            instance.group.create()?;
            let objection = if instance.group.is_empty() { None } else { instance.group.objection(limits) };
            match objection {
                Some(objection) => tracing::warn!(workload = self.service.name(), objection, "it keeps its limits"),
                None => instance.group.set(limits)?,
            }
        }
        let held: Option<Vec<Limits>> = self.primaries.iter().map(|instance| instance.group.limits()).collect();
        if let Some(held) = held.filter(|held| held != limits) {
            self.in_force = sum(&held);
        }
        Ok(())
    }
}

fn path(hierarchy: &Hierarchy, service: &ServiceSpec, index: usize) -> PathBuf {
    hierarchy.primaries().join(service.name()).join(format!("{}-{index}", service.name()))
}

fn primary(index: usize) -> Part {
    Part { role: Role::Primary, index, lives: None }
}

//! The orchestrator of containers on this machine, through the Docker Engine API: Docker's own, or Podman's.
//!
//! ```text
//! decisions ─► gate ─► containers with the workload's label ─► update ─► kernel's files read back ─► in force
//! ```
//!
//! A container belongs to a workload by its label `foreshadow.workload=<name>`, and is its shadow, its canary or that one's
//! baseline where it also has `foreshadow.role=shadow`, `canary` or `baseline`; the latter two keep their size. Whoever owns
//! containers starts them; this adapter resizes what runs. What is in force is read from the containers' control groups: engines
//! go on telling old limits, or none.
//!
//! Memory is not lowered below the working set and a tenth. A shadow gets its share and the lowest weight as soon as it is seen, and
//! keeps them; that it cannot is told, and harms nothing else. Containers are looked at every ten seconds: one that was made anew gets
//! what was in force, and its image is what runs from then on.
//!
//! Bound: every call ends after [`engine::CALL_MAX`]. A look takes a call and one a container, a resize two to three a container.

mod engine;
mod libpod;

use std::path::Path;

use schemas::{Allocation, Decision, EventTime, Outcome, Pool, Role, Status, Workload};

use crate::answer::{Standing, answer, stranger};
use crate::cgroup::hierarchy::Hierarchy;
use crate::limits::{Limits, split, sum};
use crate::{Adapter, Error, Gate, LocalPolicy, ServiceSpec, Services};
use engine::{Container, Engine, WORKLOAD_LABEL};

/// What workloads call this orchestrator.
pub(crate) const NAME: &str = "docker";

/// Between two looks at the containers of a workload.
const LOOK_EVERY_MS: u64 = 10_000;

/// The containers of an engine on this machine.
#[derive(Debug)]
pub struct Docker {
    engine: Engine,
    runs: Vec<Run>,
    pools: Vec<Pool>,
    gate: Gate,
}

#[derive(Debug)]
struct Run {
    service: ServiceSpec,
    in_force: Allocation,
    /// Whether the kernel told so.
    is_read: bool,
    /// Whether a decision has.
    is_decided: bool,
    /// When its containers were last looked at, and the ids of its primaries and its shadows by then.
    looked: Option<EventTime>,
    known: [Vec<String>; 2],
    /// The control group of its primary, where that is one container, and the image that it ran, when it was last looked at.
    group: Option<String>,
    image: Option<String>,
    /// The newest decision that came into force and was not reported yet: it overtook those before it.
    landed: Option<Outcome>,
}

impl Docker {
    /// Connects to the engine behind a socket, and looks at the containers of its services. One whose containers do not run
    /// is told; its decisions fail until they do.
    ///
    /// # Errors
    /// [`Error::Engine`] when nobody answers, [`Error::NoGroups`] when limits cannot be read on this machine.
    pub fn connect(services: Services, socket: &Path) -> Result<Self, Error> {
        let engine = Engine::connect(socket, Hierarchy::of_machine("")?)?;
        let runs: Result<Vec<Run>, Error> =
            services.services.into_iter().map(|service| Run::find(service, &engine)).collect();
        Ok(Self { engine, runs: runs?, pools: services.pools, gate: Gate::default() })
    }

    /// What was last in force of a workload, where its containers do not tell. False when they do, it does not run here, or has bounds that do not hold that.
    pub fn restore(&mut self, outcome: &Outcome) -> bool {
        let known = |run: &&mut Run| run.service.workload.workload == outcome.workload;
        let found = self.runs.iter_mut().find(known);
        let may_be =
            |run: &&mut Run| !run.is_read && run.policy().objection(&outcome.in_force, &outcome.in_force).is_none();
        found.filter(may_be).map(|run| (run.in_force, run.is_decided) = (outcome.in_force, true)).is_some()
    }
}

impl Adapter for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn inventory(&self, now: EventTime) -> (Vec<Workload>, Vec<Pool>) {
        let workloads = self.runs.iter().map(|run| run.record(now));
        (workloads.collect(), self.pools.iter().map(|pool| Pool { time: now, ..pool.clone() }).collect())
    }

    fn apply(&mut self, decision: &Decision, now: EventTime) -> Option<Outcome> {
        if decision.orchestrator != NAME {
            return None;
        }
        let Some(run) = self.runs.iter_mut().find(|run| run.service.workload.workload == decision.workload) else {
            return Some(stranger(NAME, decision, now));
        };
        let standing = Standing { adapter: NAME, in_force: run.in_force, policy: run.policy() };
        let answer = answer(&mut self.gate, standing, decision, now, |granted| run.resize(&self.engine, granted))?;
        run.landed = answer.landed.or(run.landed.take());
        Some(answer.told)
    }

    fn poll(&mut self, now: EventTime) -> Vec<Outcome> {
        // One at a time: decisions wait meanwhile.
        if let Some(run) = self.runs.iter_mut().find(|run| run.is_to_be_looked_at(now)) {
            run.look(&self.engine, now);
        }
        self.runs.iter_mut().filter_map(|run| run.landed.take()).collect()
    }
}

impl Run {
    /// A service, with the limits that its containers have; those of its file where they have none.
    fn find(service: ServiceSpec, engine: &Engine) -> Result<Self, Error> {
        let containers = engine.containers(service.name())?;
        let primaries = of_role(&containers, Role::Primary);
        if primaries.is_empty() {
            tracing::warn!(workload = service.name(), "no container with its label runs");
        }
        let limits: Option<Vec<Limits>> = primaries.iter().map(|container| container.group.limits()).collect();
        let found = limits.filter(|limits| !limits.is_empty()).map(|limits| sum(&limits));
        let is_read = found.is_some();
        let in_force = found.unwrap_or(service.workload.allocation);
        let (group, image) = (group(&primaries), image(&primaries));
        let (is_decided, looked, known) = (false, None, Default::default());
        Ok(Self { service, in_force, is_read, is_decided, looked, known, group, image, landed: None })
    }

    fn is_to_be_looked_at(&self, now: EventTime) -> bool {
        self.looked.is_none_or(|looked| looked.plus(LOOK_EVERY_MS) <= now)
    }

    /// Sees whether containers were made anew, and gives them what is theirs.
    fn look(&mut self, engine: &Engine, now: EventTime) {
        let is_first = self.looked.replace(now).is_none();
        let name = self.service.name();
        let containers = match engine.containers(name) {
            Ok(containers) => containers,
            Err(error) => return tracing::warn!(workload = name, %error, "its containers cannot be looked at"),
        };
        let of_roles = [Role::Primary, Role::Shadow].map(|role| of_role(&containers, role));
        let ids = of_roles.each_ref().map(|of_role| of_role.iter().map(|container| container.id.clone()).collect());
        let before = std::mem::replace(&mut self.known, ids);
        let [has_other_primaries, has_other_shadows] = [0, 1].map(|role| before[role] != self.known[role]);
        let [primaries, shadows] = of_roles;
        (self.group, self.image) = (group(&primaries), image(&primaries));
        if has_other_primaries && !is_first && self.is_decided && !primaries.is_empty() {
            let in_force = self.in_force;
            if let Err((_, reason)) = self.resize(engine, &in_force) {
                tracing::warn!(workload = self.service.name(), reason, "what was made anew keeps its own limits");
            }
        } else if has_other_shadows {
            self.resize_shadows(engine, &shadows, &self.in_force);
        }
    }

    fn policy(&self) -> LocalPolicy {
        let workload = &self.service.workload;
        LocalPolicy { min: workload.min, max: Some(workload.max), ..LocalPolicy::default() }
    }

    /// The profiler finds one container by its group; of several, the file says how.
    fn record(&self, now: EventTime) -> Workload {
        let mut workload = Workload { time: now, allocation: self.in_force, ..self.service.workload.clone() };
        workload.target = format!("{WORKLOAD_LABEL}={}", self.service.name());
        workload.revision = workload.revision.or_else(|| self.image.clone());
        workload.selector.cgroup = workload.selector.cgroup.or_else(|| self.group.clone());
        workload
    }

    /// All or nothing: where one container cannot be resized, those before it get back what they had.
    fn resize(&mut self, engine: &Engine, granted: &Allocation) -> Result<(), (Status, String)> {
        let failed = |error: Error| (Status::Failed, error.to_string());
        let containers = engine.containers(self.service.name()).map_err(failed)?;
        let (shadows, primaries) = (of_role(&containers, Role::Shadow), of_role(&containers, Role::Primary));
        if primaries.is_empty() {
            let label = format!("{WORKLOAD_LABEL}={}", self.service.name());
            return Err((Status::Failed, format!("no container with the label {label} runs: start one")));
        }
        (self.group, self.image) = (group(&primaries), image(&primaries));
        let wanted = split(granted, primaries.len());
        let objection = |(container, limits): (&&Container, &Limits)| container.group.objection(limits);
        if let Some(objection) = primaries.iter().zip(&wanted).find_map(objection) {
            return Err((Status::Refused, objection));
        }
        let before: Vec<Option<Limits>> = primaries.iter().map(|container| container.group.limits()).collect();
        let set = |(container, limits): (&&Container, &Limits)| engine.update(container, limits);
        if let Err(error) = primaries.iter().zip(&wanted).try_for_each(set) {
            let known =
                primaries.iter().zip(&before).filter_map(|(container, limits)| Some((container, limits.as_ref()?)));
            let put_back = known.map(set).filter_map(Result::err).map(|error| format!("; not put back: {error}"));
            return Err((Status::Failed, format!("{error}{}", put_back.collect::<String>())));
        }
        (self.in_force, self.is_decided) = (*granted, true);
        self.resize_shadows(engine, &shadows, granted);
        Ok(())
    }

    fn resize_shadows(&self, engine: &Engine, shadows: &[&Container], primary: &Allocation) {
        let Some(allocation) = self.service.shadow_allocation(primary) else { return };
        if shadows.is_empty() {
            return;
        }
        for (container, limits) in shadows.iter().zip(&split(&allocation, shadows.len())) {
            if let Err(error) = engine.update(container, limits) {
                tracing::warn!(workload = self.service.name(), %error, "a shadow keeps its old size");
            }
        }
    }
}

/// A canary and its baseline are neither: their size is their owner's.
fn of_role(containers: &[Container], role: Role) -> Vec<&Container> {
    containers.iter().filter(|container| container.role == role).collect()
}

/// The control group, where it is one.
fn group(primaries: &[&Container]) -> Option<String> {
    let [one] = primaries else { return None };
    Some(one.path.clone())
}

/// The image that runs; none where none runs, or several do, as in the midst of a roll-out.
fn image(primaries: &[&Container]) -> Option<String> {
    let (first, others) = primaries.split_first()?;
    first.image.clone().filter(|_| others.iter().all(|other| other.image == first.image))
}

#[cfg(test)]
mod tests;

//! The orchestrator of this machine: real processes in control groups, resized while they run.
//!
//! ```text
//! services file ─► start or adopt ─► processes, each in its group ◄─ restarted when they end, ever later
//! decisions ─► gate ─► memory ─► CPU ─► read back ─► in force; the shadow keeps its share
//! ```
//!
//! - What is started comes from a file of this adapter's owner, see [`crate::Services`]; a decision can only resize it.
//! - Decisions are in force when the kernel's files say so, which takes less than a millisecond: `examples/resize.rs`.
//! - Memory is not lowered below the working set and a tenth.
//! - A probe's turns start shadows and end them, within what the file allows a probe.
//! - A shadow has the lowest weight against everything on the machine, a memory ceiling of its own, and is the first that
//!   the kernel kills. It lives for a limited time, also when this adapter dies, and goes when the host has no room.
//! - An adapter that begins adopts the primaries that run, with the limits that they have, unless its file says another
//!   program by now; shadows it starts anew. Two
//!   adapters on the same groups are refused.
//!
//! Bound: one process an instance, one outcome a workload that waits to be reported. Cost: some ten small reads a
//! workload, five times a second.

mod backoff;
mod controls;
pub(crate) mod group;
pub(crate) mod hierarchy;
mod instance;
mod pressure;
mod process;
mod run;
mod schedule;
mod shadow;
mod v1;
mod v2;

use std::fs::File;
use std::time::{Duration, Instant};

use schemas::{Decision, EventTime, Outcome, Pool, Selector, Workload, WorkloadId};

use crate::answer::{Standing, answer, stranger};
use crate::{Adapter, Error, Gate, Services};
use group::Group;
use hierarchy::Hierarchy;
use pressure::Host;
use run::Run;

pub use pressure::HostLimits;

/// What workloads call this orchestrator.
pub(crate) const NAME: &str = "cgroup";

/// Between two looks at what runs: how long a crash goes unseen.
const LOOK_MS: u64 = 200;

/// How long programs have to end by themselves when the adapter stops.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Between two looks at whether they have.
const STOP_LOOK: Duration = Duration::from_millis(10);

/// The services of a file, as they run on this machine.
#[derive(Debug)]
pub struct Cgroups {
    hierarchy: Hierarchy,
    runs: Vec<Run>,
    pools: Vec<Pool>,
    gate: Gate,
    host: Host,
    looked: EventTime,
    counts: Counts,
    /// Held as long as the adapter is there.
    _only_one: File,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instances that were started at the beginning.
    pub started: u64,
    /// Instances that ran already.
    pub adopted: u64,
    /// Starts of instances that had ended.
    pub restarts: u64,
    /// Starts of shadows.
    pub shadows_started: u64,
    /// Shadows that went because their time was over.
    pub shadows_expired: u64,
    /// Shadows that went because the host had no room.
    pub shadows_yielded: u64,
    /// Shadows that died, hung or could not be started.
    pub shadows_failed: u64,
}

impl Cgroups {
    /// Takes the groups of this machine; nothing runs yet. `suffix` tells several adapters apart, which have groups of
    /// their own: "" or such as "-blue". Their workloads must have other names all the same: patterns do not tell them apart.
    ///
    /// # Errors
    /// [`Error::NoGroups`], [`Error::Taken`] when another adapter has them, [`Error::File`] when they cannot be written.
    pub fn new(services: Services, suffix: &str, host: HostLimits) -> Result<Self, Error> {
        let hierarchy = Hierarchy::of_machine(suffix)?;
        let only_one = take(&hierarchy)?;
        let shadows = Group::new(&hierarchy, &hierarchy.shadows());
        shadows.create()?;
        shadows.make_lowest()?;
        let runs = services.services.into_iter().map(|service| Run::new(&hierarchy, service)).collect();
        Ok(Self {
            hierarchy,
            runs,
            pools: services.pools,
            gate: Gate::default(),
            host: Host::new(host),
            looked: EventTime::default(),
            counts: Counts::default(),
            _only_one: only_one,
        })
    }

    /// Before the start: what was last in force of a workload, which its instances begin with where they do not run. False
    /// when it does not run here, or has bounds that do not hold that.
    pub fn restore(&mut self, outcome: &Outcome) -> bool {
        let Some(run) = self.find(&outcome.workload) else { return false };
        let may_be = run.policy().objection(&outcome.in_force, &outcome.in_force).is_none();
        if may_be {
            run.in_force = outcome.in_force;
        }
        may_be
    }

    /// Adopts what runs, starts what does not, and ends what nobody asked for: shadows, and instances beyond their number.
    ///
    /// # Errors
    /// The first that cannot be started; those before it run.
    pub fn start(&mut self, now: EventTime) -> Result<(), Error> {
        self.end_leftovers();
        for run in &mut self.runs {
            let adopted = run.start(now)?;
            self.counts.adopted += adopted as u64;
            self.counts.started += (run.service.instances - adopted) as u64;
        }
        Ok(())
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Ends everything that runs: asks first, and kills after ten seconds.
    pub fn stop(mut self) {
        self.runs.iter_mut().for_each(Run::terminate);
        let began = Instant::now();
        while self.runs.iter_mut().any(Run::is_running) && began.elapsed() < STOP_MAX {
            std::thread::sleep(STOP_LOOK);
        }
        self.runs.iter_mut().for_each(Run::end);
        self.remove_folders();
    }

    /// Ends the shadows, for good.
    pub fn end_shadows(&mut self) {
        self.runs.iter_mut().for_each(Run::end_shadow);
    }

    /// Ends the shadows and leaves the primaries running, for the next adapter to adopt.
    pub fn leave(mut self) {
        self.runs.iter_mut().for_each(Run::leave);
    }

    fn find(&mut self, workload: &WorkloadId) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.service.workload.workload == *workload)
    }

    fn look(&mut self, now: EventTime) {
        // Either way: a clock that was put back must not stop the looking.
        if now.millis().abs_diff(self.looked.millis()) < LOOK_MS {
            return;
        }
        self.looked = now;
        let shadows_ns = Group::new(&self.hierarchy, &self.hierarchy.shadows()).cpu_used_ns();
        let room = self.host.room(shadows_ns, now);
        self.runs.iter_mut().for_each(|run| run.supervise(room, now, &mut self.counts));
    }

    /// Shadows of a predecessor, whose end nobody knows any more, and instances beyond a smaller number.
    fn end_leftovers(&self) {
        let hierarchy = &self.hierarchy;
        let shadows = hierarchy.below(&hierarchy.shadows()).into_iter().flat_map(|workload| hierarchy.below(&workload));
        let surplus = self.runs.iter().flat_map(|run| {
            let folder = hierarchy.primaries().join(run.service.name());
            hierarchy.below(&folder).into_iter().filter(|group| !run.owns(hierarchy, group))
        });
        for path in shadows.chain(surplus) {
            let group = Group::new(hierarchy, &path);
            let ended = group.end();
            tracing::warn!(group = %path.display(), ended, "nobody asks for what a predecessor left here");
            group.remove();
        }
    }

    fn remove_folders(&self) {
        let (primaries, shadows) = (self.hierarchy.primaries(), self.hierarchy.shadows());
        let names = self.runs.iter().map(|run| run.service.name());
        let folders = names.flat_map(|name| [primaries.join(name), shadows.join(name)]);
        folders
            .chain([primaries.clone(), shadows.clone()])
            .for_each(|path| Group::new(&self.hierarchy, &path).remove());
    }
}

impl Adapter for Cgroups {
    fn name(&self) -> &'static str {
        NAME
    }

    fn inventory(&self, now: EventTime) -> (Vec<Workload>, Vec<Pool>) {
        let workload = |run: &Run| Workload {
            time: now,
            target: self.hierarchy.primaries().join(run.service.name()).display().to_string(),
            selector: Selector { cgroup: Some(self.hierarchy.pattern(run.service.name())), ..Selector::default() },
            revision: run.revision(),
            allocation: run.in_force,
            shadow: run.shadow(),
            ..run.service.workload.clone()
        };
        let pools = self.pools.iter().map(|pool| Pool { time: now, ..pool.clone() });
        (self.runs.iter().map(workload).collect(), pools.collect())
    }

    fn apply(&mut self, decision: &Decision, now: EventTime) -> Option<Outcome> {
        if decision.orchestrator != NAME {
            return None;
        }
        let Some(run) = self.runs.iter_mut().find(|run| run.service.workload.workload == decision.workload) else {
            return Some(stranger(NAME, decision, now));
        };
        if let Some(turn) = self.gate.probe(decision, now)
            && let Err(objection) = run.probe(turn)
        {
            tracing::warn!(workload = run.service.name(), objection, "a probe is not allowed, and left alone");
        }
        let standing = Standing { adapter: NAME, in_force: run.in_force, policy: run.policy() };
        let answer = answer(&mut self.gate, standing, decision, now, |granted| run.resize(granted))?;
        run.landed = answer.landed.or(run.landed.take());
        Some(answer.told)
    }

    fn poll(&mut self, now: EventTime) -> Vec<Outcome> {
        self.look(now);
        self.runs.iter_mut().filter_map(|run| run.landed.take()).collect()
    }
}

/// Takes the tree of primaries for this adapter alone, for as long as it holds the file; the kernel gives it back when the
/// process ends, however it does.
fn take(hierarchy: &Hierarchy) -> Result<File, Error> {
    let controls = hierarchy.controls(&hierarchy.primaries());
    controls.create()?;
    let folder = &controls.folders()[0];
    let file = File::open(folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    file.try_lock().map_err(|_| Error::Taken(folder.clone()))?;
    Ok(file)
}

#[cfg(test)]
mod tests;

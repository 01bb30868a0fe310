//! The profiler: discovers now and then, reads every instance at each tick, and keeps account of its own cost.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{EventTime, Sample, SourceId, Workload, WorkloadId};

use crate::clock::{monotonic_ns, thread_cpu_ns};
use crate::discover::{Place, Target, discover};
use crate::disk::Stacked;
use crate::host;
use crate::instance::{Instance, Machine, pid_of};
use crate::kernel_file::Buffer;
use crate::mounts::Mounts;
use crate::network::Namespace;
use crate::open_files::instances_that_fit;
use crate::surroundings::Surroundings;
use crate::{Cost, Error, ProfilerSettings};

/// Reads the instances of workloads on this machine.
///
/// The caller ticks: each [`Profiler::sample`] is one reading of every instance. Nothing runs between two calls.
pub struct Profiler {
    settings: ProfilerSettings,
    source: SourceId,
    machine: Machine,
    surroundings: Surroundings,
    targets: Vec<Target>,
    // Invariant: at most `instances_max`, and no more than there are open files for.
    instances: BTreeMap<(WorkloadId, Place), Instance>,
    instances_max: usize,
    discover_due_ns: u64,
    buffer: Buffer,
    started_ns: u64,
    cpu_ns: u64,
    cost: Cost,
}

impl Profiler {
    /// A profiler of the workloads' instances, and of the machine where the settings ask for it.
    ///
    /// Raises the limit of open files of this process as far as it may, as each instance keeps up to a dozen open.
    ///
    /// # Errors
    /// [`Error`] when the settings cannot be used or the machine's processes cannot be read.
    pub fn new(settings: ProfilerSettings, workloads: &[Workload]) -> Result<Self, Error> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(Error::Settings(faults));
        }
        let (mut buffer, proc_root) = (Buffer::new(), settings.proc_root.clone());
        let table = proc_root.join("self/mountinfo");
        let mounts = Mounts::of_machine(&table, &settings.cgroup_root)
            .map_err(|source| Error::Proc { path: table.clone(), source })?;
        if mounts.roots().is_empty() {
            tracing::warn!(root = %settings.cgroup_root.display(), "no control groups mounted, processes only");
        }
        let stacked = Stacked::of_machine(&proc_root, &mut buffer);
        let mut profiler = Self {
            source: source_of(&settings, &mut buffer),
            surroundings: Surroundings::open(&proc_root),
            machine: Machine { proc_root, mounts, stacked },
            targets: Vec::new(),
            instances: BTreeMap::new(),
            instances_max: settings.instances_max.min(instances_that_fit()),
            discover_due_ns: 0,
            buffer,
            started_ns: monotonic_ns(),
            cpu_ns: 0,
            cost: Cost::default(),
            settings,
        };
        profiler.set_workloads(workloads);
        Ok(profiler)
    }

    /// Under which name samples are published: the setting, or the machine's name.
    #[must_use]
    pub fn source(&self) -> &SourceId {
        &self.source
    }

    /// Replaces the workloads; their instances are looked for at the next sample.
    ///
    /// Instances that are found again keep their counters. A workload whose selector cannot be used is warned about
    /// and has no instances; one without a selector is not for the profiler.
    pub fn set_workloads(&mut self, workloads: &[Workload]) {
        let before = std::mem::take(&mut self.targets);
        self.targets.extend(self.settings.host.then(Target::host));
        for workload in workloads {
            match Target::of(workload) {
                Ok(target) => self.targets.extend(target),
                Err(fault) => tracing::warn!(workload = %workload.workload, fault, "selector not usable"),
            }
        }
        self.targets.iter_mut().for_each(|target| target.remember(&before));
        self.discover_due_ns = 0;
    }

    /// Reads every instance once. `wall` is the time of all samples; rates are by the monotonic clock, each since
    /// its instance's reading before.
    ///
    /// An instance's first sample has gauges and no rates. Limits, disk, network and pressure are read about once a second
    /// and stand in the samples between. An instance that ended gives no more samples, and is counted.
    pub fn sample(&mut self, wall: EventTime) -> Vec<Sample> {
        let cpu_started_ns = thread_cpu_ns();
        if monotonic_ns() >= self.discover_due_ns {
            self.discover();
            self.discover_due_ns = monotonic_ns() + self.settings.discover_every.millis() * 1_000_000;
        }
        let mut samples = Vec::with_capacity(self.instances.len());
        let Self { machine, surroundings, buffer, cost, .. } = self;
        let around = surroundings.look(monotonic_ns(), buffer);
        self.instances.retain(|_, instance| {
            let sampled = instance.sample(machine, around, wall, buffer);
            cost.resets += instance.take_resets();
            cost.vanished += u64::from(sampled.is_err());
            sampled.map(|sample| samples.push(sample)).is_ok()
        });
        self.cost.samples += samples.len() as u64;
        self.cpu_ns += thread_cpu_ns().saturating_sub(cpu_started_ns);
        samples
    }

    /// What the profiler has cost and done since it was made.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let wall_ns = monotonic_ns().saturating_sub(self.started_ns);
        Cost { cpu_seconds: seconds(self.cpu_ns), wall_seconds: seconds(wall_ns), ..self.cost }
    }

    fn discover(&mut self) {
        let mut found = discover(&self.machine, &mut self.targets, &mut self.buffer);
        let left_out = found.len().saturating_sub(self.instances_max);
        if left_out > self.cost.left_out {
            tracing::warn!(left_out, max = self.instances_max, "too many instances: raise instances_max and ulimit -n");
        }
        self.cost.left_out = left_out;
        found.truncate(self.instances_max);
        let mut before = std::mem::take(&mut self.instances);
        for (ordinal, found) in found.into_iter().enumerate() {
            let key = (found.workload.clone(), found.place.clone());
            let known = before.remove(&key).map(|mut instance| {
                instance.found_again(&self.machine, &found);
                instance
            });
            let instance = known.or_else(|| Instance::open(&self.machine, &found, ordinal));
            self.instances.extend(instance.map(|instance| (key, instance)));
        }
        self.attach_networks();
    }

    /// Gives each instance its network namespace, unless it is the machine's or our own. Of a workload's instances
    /// in one namespace, as processes of one container are, only the first has it: traffic is counted once.
    fn attach_networks(&mut self) {
        let Self { machine, buffer, instances, .. } = self;
        let of = |process: &str| Namespace::of(&machine.proc_root, process);
        // Without rights we cannot look at the first process; then our own namespace is taken for the machine's.
        let shared: Vec<Namespace> = [of("1"), of("self")].into_iter().flatten().collect();
        let mut taken = BTreeSet::new();
        for ((workload, place), instance) in instances {
            let attached = pid_of(machine, place, buffer).and_then(|pid| Some((pid, of(&pid.to_string())?)));
            let own = attached.filter(|(_, namespace)| !shared.is_empty() && !shared.contains(namespace));
            let first = own.filter(|(_, namespace)| taken.insert((workload.clone(), namespace.clone())));
            instance.attach_network(machine, first);
        }
    }
}

fn source_of(settings: &ProfilerSettings, buffer: &mut Buffer) -> SourceId {
    let named = || SourceId::new(&host::name(&settings.proc_root, buffer)?).ok();
    let source = settings.source.clone().or_else(named);
    source.unwrap_or_else(|| SourceId::new("profiler").expect("a plain name"))
}

#[cfg(test)]
mod tests;

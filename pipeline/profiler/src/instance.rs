//! One instance: where it is read, and what it was read as before.

use std::path::PathBuf;

use schemas::{EventTime, Sample};

use crate::cgroup::{self, Cgroup};
use crate::clock::monotonic_ns;
use crate::discover::{Found, Place};
use crate::disk::Stacked;
use crate::host::Host;
use crate::kernel_file::{Buffer, Vanished};
use crate::meter::Meter;
use crate::mounts::Mounts;
use crate::network::{Namespace, Network};
use crate::process::Process;
use crate::reading::{Often, Seldom};
use crate::surroundings::Around;

/// How long a seldom reading stands. A little below a second, so that whoever samples each second has new ones each
/// time although ticks are never quite even.
const SELDOM_NS: u64 = 900_000_000;

/// Over how many ticks the seldom readings of all instances are spread, so that each tick costs the same.
const SPREAD: u64 = 8;

/// What is the same for all instances of a machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) proc_root: PathBuf,
    pub(crate) mounts: Mounts,
    pub(crate) stacked: Stacked,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    source: Source,
    network: Option<Network>,
    meter: Meter,
    seldom_due_ns: u64,
    seldom_next_ns: u64,
}

#[derive(Debug)]
enum Source {
    Host(Host),
    Cgroup(Box<Cgroup>),
    Process(Process),
}

impl Instance {
    /// Opens what was found; none when it has ended since. `ordinal` is its place among all.
    pub(crate) fn open(machine: &Machine, found: &Found, ordinal: usize) -> Option<Self> {
        let source = Source::open(machine, &found.place)?;
        let seldom_next_ns = SELDOM_NS / SPREAD * (ordinal as u64 % SPREAD + 1);
        Some(Self { source, network: None, meter: Meter::new(found), seldom_due_ns: 0, seldom_next_ns })
    }

    /// Found again: its name may have changed, and files may be there that were not.
    pub(crate) fn found_again(&mut self, machine: &Machine, found: &Found) {
        self.meter.rename(found);
        if let Source::Cgroup(group) = &self.source
            && !group.is_whole(&machine.mounts)
            && let Some(source) = Source::open(machine, &found.place)
        {
            self.source = source;
        }
    }

    /// Attaches the network namespace of process `pid`, or none.
    pub(crate) fn attach_network(&mut self, machine: &Machine, attached: Option<(u32, Namespace)>) {
        let namespace = attached.as_ref().map(|(_, namespace)| namespace);
        if self.network.as_ref().map(|network| &network.namespace) == namespace {
            return;
        }
        self.meter.forget_network();
        self.network = attached.map(|(pid, namespace)| Network::open(&machine.proc_root, pid, namespace));
    }

    /// Reads the instance; `wall` is the sample's time, rates are by the monotonic clock.
    pub(crate) fn sample(
        &mut self,
        machine: &Machine,
        around: Around,
        wall: EventTime,
        buffer: &mut Buffer,
    ) -> Result<Sample, Vanished> {
        let now_ns = monotonic_ns();
        if now_ns >= self.seldom_due_ns {
            self.seldom_due_ns = now_ns + std::mem::replace(&mut self.seldom_next_ns, SELDOM_NS);
            let seldom = self.source.seldom(&machine.stacked, buffer)?;
            let network = self.network.as_ref().and_then(|network| network.read(buffer));
            self.meter.seldom(now_ns, &Seldom { network: network.or(seldom.network), ..seldom });
        }
        let now_ns = monotonic_ns();
        let often = self.source.often(buffer)?;
        self.meter.often(now_ns, &often);
        self.meter.around(around);
        Ok(self.meter.sample(wall))
    }

    /// How many counters fell since this was last asked.
    pub(crate) fn take_resets(&mut self) -> u64 {
        self.meter.take_resets()
    }
}

/// One process of an instance; none when it has none, and for the machine.
pub(crate) fn pid_of(machine: &Machine, place: &Place, buffer: &mut Buffer) -> Option<u32> {
    match place {
        Place::Host => None,
        Place::Cgroup(path) => cgroup::first_pid(&machine.mounts, path, buffer),
        Place::Process { pid, .. } => Some(*pid),
    }
}

impl Source {
    fn open(machine: &Machine, place: &Place) -> Option<Self> {
        match place {
            Place::Host => Some(Self::Host(Host::open(&machine.proc_root))),
            Place::Cgroup(path) => Cgroup::open(&machine.mounts, path).map(Box::new).map(Self::Cgroup),
            Place::Process { pid, start_ticks } => {
                Process::open(&machine.proc_root, *pid, *start_ticks).map(Self::Process)
            }
        }
    }

    fn often(&mut self, buffer: &mut Buffer) -> Result<Often, Vanished> {
        match self {
            Self::Host(host) => Ok(host.often(buffer)),
            Self::Cgroup(group) => group.often(buffer),
            Self::Process(process) => process.often(buffer),
        }
    }

    fn seldom(&mut self, stacked: &Stacked, buffer: &mut Buffer) -> Result<Seldom, Vanished> {
        match self {
            Self::Host(host) => Ok(host.seldom(stacked, buffer)),
            Self::Cgroup(group) => group.seldom(stacked, buffer),
            Self::Process(process) => process.seldom(buffer),
        }
    }
}

//! What the machine says of itself in the samples of its instances: how busy it is, and what a hypervisor took from it.
//!
//! Both are shares of the time of all CPUs, from `stat`. The kernel's pressure of the whole machine would not do: whoever is
//! throttled under a quota of its own waits, and the machine may be idle.

use std::path::Path;

use schemas::Ratio;

use crate::counter::Share;
use crate::host::CpuTime;
use crate::kernel_file::{Buffer, KernelFile};

/// How long a reading stands: about a second, in which a CPU has a hundred of the kernel's ticks.
const LOOK_NS: u64 = 900_000_000;

/// The machine around the instances. Memory: four numbers and an open file.
#[derive(Debug)]
pub(crate) struct Surroundings {
    stat: KernelFile,
    due_ns: u64,
    used: Share,
    stolen: Share,
    now: Around,
}

/// Shares of the machine's CPU time; none where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Around {
    pub(crate) used: Option<Ratio>,
    pub(crate) stolen: Option<Ratio>,
}

impl Surroundings {
    pub(crate) fn open(proc_root: &Path) -> Self {
        let stat = KernelFile::open_in(Some(proc_root), "stat");
        Self { stat, due_ns: 0, used: Share::default(), stolen: Share::default(), now: Around::default() }
    }

    /// What is around at `now_ns`.
    pub(crate) fn look(&mut self, now_ns: u64, buffer: &mut Buffer) -> Around {
        if now_ns >= self.due_ns {
            self.due_ns = now_ns + LOOK_NS;
            let time = self.stat.read(buffer).ok().flatten().and_then(CpuTime::read);
            // The kernel may take back time that it counted as waiting for disks: a fall is no news.
            let used = self.used.share(time.map(|time| (time.used, time.all)), &mut 0);
            let stolen = self.stolen.share(time.map(|time| (time.stolen, time.all)), &mut 0);
            self.now = Around { used: used.map(Ratio::new), stolen: stolen.map(Ratio::new) };
        }
        self.now
    }
}

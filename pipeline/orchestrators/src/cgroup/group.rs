//! One control group and the processes in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::controls::{Controls, read};
use super::hierarchy::Hierarchy;
use crate::Error;
use crate::limits::Limits;

/// A control group, there or not.
#[derive(Debug)]
pub(crate) struct Group {
    controls: Box<dyn Controls>,
}

/// How long killed processes may take to be gone: exits that free gigabytes take some 100 ms.
pub(super) const GONE_MAX: Duration = Duration::from_secs(2);

/// Between two looks at whether they are.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What an instance keeps beside its working set, as a share of it: as much as a request, or a collection of garbage, may
/// add at once.
const MEMORY_MARGIN: f64 = 0.1;

impl Group {
    /// The group `path` below the controllers' roots.
    pub(crate) fn new(hierarchy: &Hierarchy, path: &Path) -> Self {
        Self { controls: hierarchy.controls(path) }
    }

    /// Makes it, where it is not there.
    pub(crate) fn create(&self) -> Result<(), Error> {
        self.controls.create()
    }

    /// Gives it the lowest weight.
    pub(crate) fn make_lowest(&self) -> Result<(), Error> {
        self.controls.make_lowest()
    }

    /// The files to write one's own number to, to be in it.
    pub(crate) fn doors(&self) -> impl Iterator<Item = PathBuf> {
        self.controls.folders().iter().map(|folder| folder.join("cgroup.procs"))
    }

    /// Puts limits in force and reads them back. Memory goes first: it alone can be turned down.
    ///
    /// # Errors
    /// The kernel's reason; the group may then have part of the new limits.
    pub(crate) fn set(&self, limits: &Limits) -> Result<(), Error> {
        self.controls.set_memory(limits.memory_bytes)?;
        self.controls.set_cpu(limits)?;
        match self.controls.limits()? {
            Some(read) if read == *limits => Ok(()),
            read => Err(Error::Says {
                path: self.controls.folders()[0].clone(),
                text: format!("{read:?}"),
                expected: "the limits that were written are expected",
            }),
        }
    }

    /// The limits in force; none where it is unlimited, or not there.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.controls.limits().ok().flatten()
    }

    /// CPU time so far, in nanoseconds.
    pub(crate) fn cpu_used_ns(&self) -> Option<u64> {
        self.controls.cpu_used_ns()
    }

    /// Memory that the kernel cannot simply drop, in bytes.
    pub(crate) fn working_set_bytes(&self) -> Option<u64> {
        self.controls.working_set_bytes()
    }

    /// What speaks against these limits: memory is not lowered below the working set and a tenth. Version 2 would kill what
    /// does not fit. What cannot be read is not lowered.
    pub(crate) fn objection(&self, wanted: &Limits) -> Option<String> {
        if self.limits().is_some_and(|held| wanted.memory_bytes >= held.memory_bytes) {
            return None;
        }
        let Some(working_set) = self.working_set_bytes() else {
            return Some("the working set cannot be read, so memory is not lowered".to_owned());
        };
        let least = working_set as f64 * (1.0 + MEMORY_MARGIN);
        (least > wanted.memory_bytes as f64).then(|| {
            let [asked, used] = [wanted.memory_bytes, working_set].map(mib);
            format!("{asked:.1} MiB for an instance is less than its working set of {used:.1} MiB and a tenth")
        })
    }

    /// Whether no process is in it, or it is not there.
    pub(crate) fn is_empty(&self) -> bool {
        self.pids().is_empty()
    }

    /// Sends every process in it a signal. One that ends meanwhile is no fault.
    pub(crate) fn signal(&self, signal: Signal) {
        for pid in self.pids() {
            let _ended = kill_process(pid, signal);
        }
    }

    /// Kills what is in it, and waits until it is empty. False when it is not within two seconds.
    pub(crate) fn end(&self) -> bool {
        let began = Instant::now();
        while !self.is_empty() {
            if began.elapsed() > GONE_MAX {
                return false;
            }
            // Again each time: a process may have begun another one meanwhile.
            self.signal(Signal::KILL);
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }

    /// Removes it once it is empty; a group that is not there is no fault.
    pub(crate) fn remove(&self) {
        for folder in self.controls.folders() {
            if let Err(error) = std::fs::remove_dir(folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %folder.display(), %error, "an empty control group stays");
            }
        }
    }

    /// What an environment variable says to the first of its processes that has it.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let said = |pid: &Pid| {
            let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).ok()?;
            let mut variables = environment.split(|byte| *byte == 0).filter_map(|one| std::str::from_utf8(one).ok());
            variables.find_map(|one| one.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        self.pids().iter().find_map(said)
    }

    /// The processes in any of its folders: one that is being placed is in some of them.
    fn pids(&self) -> Vec<Pid> {
        let texts = self.doors().filter_map(|door| read(&door).ok());
        // A process of another process namespace stands as 0, which is no process.
        let mut pids: Vec<i32> =
            texts.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().filter_map(Pid::from_raw).collect()
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

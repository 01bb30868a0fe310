//! One control group of version 2: one folder for everything.
//!
//! | reading | file |
//! |---|---|
//! | CPU used | `usage_usec` of `cpu.stat` |
//! | CPU limit | `cpu.max`: quota and period; a quota of `max` is none |
//! | throttled | `nr_throttled` / `nr_periods` of `cpu.stat` |
//! | working set | `memory.current` − `inactive_file` of `memory.stat` |
//! | memory limit | `memory.max`; `max` is none |
//! | disk | `io.stat`, written pages that are written back later included |
//! | pressure | `cpu.pressure`, `memory.pressure`, `io.pressure` |
//!
//! All of them are of the group and what is below it. Limits are the group's own: a tighter one further up is not
//! seen. On a hybrid machine only pressure is here, and what controllers version 2 was given.

use std::path::Path;

use crate::cgroup_v1::{cores, throttled};
use crate::disk::{Stacked, io_stat};
use crate::kernel_file::{Buffer, KernelFile, Vanished};
use crate::parse::{fields, keyed, number, single};
use crate::pressure::Pressure;
use crate::reading::{Often, Seldom};
use crate::working_set::WorkingSet;

/// The open files of one group.
#[derive(Debug)]
pub(crate) struct CgroupV2 {
    cpu_stat: KernelFile,
    cpu_max: KernelFile,
    working_set: WorkingSet,
    memory_max: KernelFile,
    io_stat: KernelFile,
    pressure: Pressure,
}

impl CgroupV2 {
    /// Opens what there is of the group in `folder`; `with_cpu` is false where version 1 tells the CPU used.
    pub(crate) fn open(folder: &Path, with_cpu: bool) -> Self {
        let open = |name: &str| KernelFile::open_in(Some(folder), name);
        Self {
            // There in any case: the kernel counts the CPU used without the controller.
            cpu_stat: KernelFile::open_in(with_cpu.then_some(folder), "cpu.stat"),
            cpu_max: open("cpu.max"),
            working_set: WorkingSet::open(Some(folder), "memory.current", "inactive_file"),
            memory_max: open("memory.max"),
            io_stat: open("io.stat"),
            pressure: Pressure::open(folder, ".pressure"),
        }
    }

    /// Whether any file is there.
    pub(crate) fn is_there(&self) -> bool {
        self.cpu_stat.is_there() || self.pressure.is_there()
    }

    /// Whether the files of all controllers are there: a controller may be given to a group at any time.
    pub(crate) fn is_whole(&self) -> bool {
        self.working_set.is_whole()
            && [&self.cpu_stat, &self.cpu_max, &self.memory_max, &self.io_stat].iter().all(|file| file.is_there())
    }

    pub(crate) fn often(&mut self, buffer: &mut Buffer) -> Result<Often, Vanished> {
        let cpu_stat = self.cpu_stat.read(buffer)?;
        Ok(Often {
            cpu_used_ns: cpu_stat.and_then(|text| keyed(text, b"usage_usec")?.checked_mul(1_000)),
            cpu_throttled: cpu_stat.and_then(throttled),
            memory_working_set_bytes: self.working_set.read(buffer)?,
        })
    }

    pub(crate) fn seldom(&mut self, stacked: &Stacked, buffer: &mut Buffer) -> Result<Seldom, Vanished> {
        self.working_set.expire();
        Ok(Seldom {
            cpu_limit_cores: self.cpu_max.read(buffer)?.and_then(cpu_max_cores),
            memory_limit_bytes: self.memory_max.read(buffer)?.and_then(single),
            disk: self.io_stat.read(buffer)?.and_then(|text| io_stat(text, stacked)),
            stalls: self.pressure.read(buffer),
            ..Seldom::default()
        })
    }
}

/// The limit of `cpu.max`: `50000 100000` is half a core, `max 100000` none.
fn cpu_max_cores(text: &[u8]) -> Option<f64> {
    let mut fields = fields(text.strip_suffix(b"\n")?);
    cores(number(fields.next()?), number(fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_limit_in_cores() {
        assert_eq!(cpu_max_cores(b"50000 100000\n"), Some(0.5));
        assert_eq!(cpu_max_cores(b"max 100000\n"), None);
        assert_eq!(cpu_max_cores(b"50000 1000"), None, "torn");
        assert_eq!(cpu_max_cores(b"50000\n"), None);
        assert_eq!(cpu_max_cores(b""), None);
    }
}

//! One control group of version 1: a folder in the tree of each controller.
//!
//! | reading | file |
//! |---|---|
//! | CPU used | `cpuacct.usage`, nanoseconds |
//! | CPU limit | `cpu.cfs_quota_us` / `cpu.cfs_period_us`; a quota of −1 is none |
//! | throttled | `nr_throttled` / `nr_periods` of `cpu.stat` |
//! | working set | `memory.usage_in_bytes` − `total_inactive_file` of `memory.stat` |
//! | memory limit | `memory.limit_in_bytes` |
//! | disk | `blkio.throttle.io_service_bytes_recursive`, or without the ending on old kernels |
//!
//! All of them are of the group and what is below it. Limits are the group's own: a tighter one further up is not
//! seen. Written pages that the kernel writes back later are not in the group's disk writes; version 2 has them.

use std::path::{Path, PathBuf};

use crate::disk::{Stacked, io_service_bytes};
use crate::kernel_file::{Buffer, KernelFile, Vanished};
use crate::mounts::Mounts;
use crate::parse::{keyed, single};
use crate::reading::{Often, Seldom};
use crate::working_set::WorkingSet;

/// The open files of one group.
#[derive(Debug)]
pub(crate) struct CgroupV1 {
    cpu_usage: KernelFile,
    cpu_stat: KernelFile,
    cpu_quota: KernelFile,
    cpu_period: KernelFile,
    working_set: WorkingSet,
    memory_limit: KernelFile,
    disk: KernelFile,
    has_quota: bool,
}

impl CgroupV1 {
    /// Opens what there is of the group `path`, in each controller's tree.
    pub(crate) fn open(mounts: &Mounts, path: &Path) -> Self {
        let group = |root: &Option<PathBuf>| root.as_ref().map(|root| root.join(path));
        let (cpuacct, cpu) = (group(&mounts.v1_cpuacct), group(&mounts.v1_cpu));
        let (memory, blkio) = (group(&mounts.v1_memory), group(&mounts.v1_blkio));
        let open = |group: &Option<PathBuf>, name: &str| KernelFile::open_in(group.as_deref(), name);
        Self {
            cpu_usage: open(&cpuacct, "cpuacct.usage"),
            cpu_stat: open(&cpu, "cpu.stat"),
            cpu_quota: open(&cpu, "cpu.cfs_quota_us"),
            cpu_period: open(&cpu, "cpu.cfs_period_us"),
            working_set: WorkingSet::open(memory.as_deref(), "memory.usage_in_bytes", "total_inactive_file"),
            memory_limit: open(&memory, "memory.limit_in_bytes"),
            disk: open(&blkio, "blkio.throttle.io_service_bytes_recursive")
                .or_else(|| open(&blkio, "blkio.throttle.io_service_bytes")),
            // Until it is known: a group that is opened anew must not be without its throttling meanwhile.
            has_quota: true,
        }
    }

    /// Whether version 1 tells the CPU used.
    pub(crate) fn has_cpu(&self) -> bool {
        self.cpu_usage.is_there()
    }

    /// Whether any file is there.
    pub(crate) fn is_there(&self) -> bool {
        self.has_cpu() || self.cpu_stat.is_there() || self.working_set.is_whole() || self.disk.is_there()
    }

    /// Whether the files of every controller that version 1 has are there.
    pub(crate) fn is_whole(&self, mounts: &Mounts) -> bool {
        (self.has_cpu() || mounts.v1_cpuacct.is_none())
            && (self.cpu_stat.is_there() || mounts.v1_cpu.is_none())
            && (self.working_set.is_whole() || mounts.v1_memory.is_none())
            && (self.disk.is_there() || mounts.v1_blkio.is_none())
    }

    pub(crate) fn often(&mut self, buffer: &mut Buffer) -> Result<Often, Vanished> {
        let cpu_used_ns = self.cpu_usage.read(buffer)?.and_then(single);
        // No periods are counted without a quota: the file needs no reading.
        let cpu_stat = if self.has_quota { self.cpu_stat.read(buffer)? } else { None };
        let cpu_throttled = cpu_stat.and_then(throttled);
        Ok(Often { cpu_used_ns, cpu_throttled, memory_working_set_bytes: self.working_set.read(buffer)? })
    }

    pub(crate) fn seldom(&mut self, stacked: &Stacked, buffer: &mut Buffer) -> Result<Seldom, Vanished> {
        self.working_set.expire();
        let quota_us = self.cpu_quota.read(buffer)?.and_then(single);
        self.has_quota = quota_us.is_some();
        let period_us = if self.has_quota { self.cpu_period.read(buffer)?.and_then(single) } else { None };
        let memory_limit_bytes = self.memory_limit.read(buffer)?.and_then(single);
        Ok(Seldom {
            cpu_limit_cores: cores(quota_us, period_us),
            memory_limit_bytes: memory_limit_bytes.filter(|&bytes| bytes < UNLIMITED_BYTES),
            disk: self.disk.read(buffer)?.and_then(|text| io_service_bytes(text, stacked)),
            ..Seldom::default()
        })
    }
}

/// A group without a limit has the largest number of pages that the kernel can count, 2^63 bytes less one page; no
/// machine has half of it.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// Periods throttled and all periods, of the `cpu.stat` of either version.
pub(crate) fn throttled(text: &[u8]) -> Option<(u64, u64)> {
    Some((keyed(text, b"nr_throttled")?, keyed(text, b"nr_periods")?))
}

/// A quota of CPU time per period, in cores.
///
/// | quota | period | cores |
/// |---|---|---|
/// | 50,000 µs | 100,000 µs | 0.5 |
/// | none | 100,000 µs | none |
pub(crate) fn cores(quota_us: Option<u64>, period_us: Option<u64>) -> Option<f64> {
    period_us.filter(|&period_us| period_us > 0).and_then(|period_us| Some(quota_us? as f64 / period_us as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_read_from_either_version() {
        let v1 = b"nr_periods 120\nnr_throttled 7\nthrottled_time 41000000\nnr_bursts 0\nburst_time 0\n";
        assert_eq!(throttled(v1), Some((7, 120)));
        let v2_without_the_controller = b"usage_usec 5\nuser_usec 4\nsystem_usec 1\n";
        assert_eq!(throttled(v2_without_the_controller), None);
    }

    #[test]
    fn no_quota_is_no_limit() {
        assert_eq!(cores(Some(150_000), Some(100_000)), Some(1.5));
        assert_eq!(cores(single(b"-1\n"), Some(100_000)), None);
        assert_eq!(cores(Some(1), Some(0)), None);
        assert_eq!(cores(Some(1), None), None);
    }
}

//! A control group of version 1: a folder in the tree of each controller.
//!
//! | control | file |
//! |---|---|
//! | CPU limit | `cpu.cfs_quota_us` in each `cpu.cfs_period_us`; −1 is none |
//! | weight | `cpu.shares`, 2 is the least; `cpu.idle` where the kernel has it |
//! | memory limit | `memory.limit_in_bytes`, and `memory.memsw.limit_in_bytes` (with swap) where it is counted |

use std::path::{Path, PathBuf};

use super::controls::{Controls, keyed, make, number, read, says, write};
use crate::Error;
use crate::limits::Limits;

/// Where the controllers are; two may share one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Roots {
    pub(super) cpu: PathBuf,
    pub(super) cpuacct: PathBuf,
    pub(super) memory: PathBuf,
}

/// One group.
#[derive(Debug)]
pub(super) struct V1 {
    group: Roots,
    folders: Vec<PathBuf>,
}

impl V1 {
    /// The group `path` in each tree, there or not.
    pub(super) fn new(roots: &Roots, path: &Path) -> Self {
        let group =
            Roots { cpu: roots.cpu.join(path), cpuacct: roots.cpuacct.join(path), memory: roots.memory.join(path) };
        let mut folders = vec![group.cpu.clone(), group.cpuacct.clone(), group.memory.clone()];
        folders.dedup();
        Self { group, folders }
    }
}

impl Controls for V1 {
    fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    fn create(&self) -> Result<(), Error> {
        self.folders.iter().try_for_each(|folder| make(folder))
    }

    fn set_cpu(&self, limits: &Limits) -> Result<(), Error> {
        write(&self.group.cpu.join("cpu.cfs_period_us"), &limits.period_us.to_string())?;
        write(&self.group.cpu.join("cpu.cfs_quota_us"), &limits.quota_us.to_string())
    }

    /// The limit with swap is never below the one without: the larger is written first on the way up, last on the way
    /// down.
    fn set_memory(&self, bytes: u64) -> Result<(), Error> {
        let (plain, with_swap) =
            (self.group.memory.join("memory.limit_in_bytes"), self.group.memory.join("memory.memsw.limit_in_bytes"));
        let mut order = vec![&plain];
        if with_swap.exists() {
            let place = if bytes > number(&with_swap)? { 0 } else { 1 };
            order.insert(place, &with_swap);
        }
        order.into_iter().try_for_each(|path| write(path, &bytes.to_string()))
    }

    fn limits(&self) -> Result<Option<Limits>, Error> {
        let path = self.group.cpu.join("cpu.cfs_quota_us");
        let text = read(&path)?;
        let quota_us: i64 = text.trim().parse().map_err(|_| says(&path, &text, "a whole number is expected"))?;
        let period_us = number(&self.group.cpu.join("cpu.cfs_period_us"))?;
        let memory_bytes = number(&self.group.memory.join("memory.limit_in_bytes"))?;
        let limited = u64::try_from(quota_us).ok().filter(|_| memory_bytes < UNLIMITED_BYTES);
        Ok(limited.map(|quota_us| Limits { quota_us, period_us, memory_bytes }))
    }

    fn make_lowest(&self) -> Result<(), Error> {
        let idle = self.group.cpu.join("cpu.idle");
        let is_idle = idle.exists() && number(&idle)? == 1;
        if is_idle {
            return Ok(());
        }
        // In this order: an idle group takes no other weight.
        write(&self.group.cpu.join("cpu.shares"), SHARES_LEAST)?;
        if idle.exists() { write(&idle, "1") } else { Ok(()) }
    }

    fn cpu_used_ns(&self) -> Option<u64> {
        number(&self.group.cpuacct.join("cpuacct.usage")).ok()
    }

    fn working_set_bytes(&self) -> Option<u64> {
        let used = number(&self.group.memory.join("memory.usage_in_bytes")).ok()?;
        let inactive = keyed(&self.group.memory.join("memory.stat"), "total_inactive_file")?;
        Some(used.saturating_sub(inactive))
    }
}

/// A group without a limit has nearly 2^63 bytes; no machine has half of it.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// The kernel's least, against 1024 of any other group.
const SHARES_LEAST: &str = "2";

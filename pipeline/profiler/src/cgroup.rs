//! A control group, whatever versions the machine has: each reading is from the version that has its controller.

use std::path::Path;

use crate::cgroup_v1::CgroupV1;
use crate::cgroup_v2::CgroupV2;
use crate::disk::Stacked;
use crate::kernel_file::{Buffer, KernelFile, Vanished};
use crate::mounts::Mounts;
use crate::parse::number;
use crate::reading::{Often, Seldom};

/// The open files of one group.
#[derive(Debug)]
pub(crate) struct Cgroup {
    v1: Option<CgroupV1>,
    v2: Option<CgroupV2>,
}

impl Cgroup {
    /// Opens what there is of the group `path`; none when it has ended.
    pub(crate) fn open(mounts: &Mounts, path: &Path) -> Option<Self> {
        let v1 = Some(CgroupV1::open(mounts, path)).filter(CgroupV1::is_there);
        let with_cpu = v1.as_ref().is_none_or(|v1| !v1.has_cpu());
        let v2 = mounts.v2.as_ref().map(|root| CgroupV2::open(&root.join(path), with_cpu)).filter(CgroupV2::is_there);
        (v1.is_some() || v2.is_some()).then_some(Self { v1, v2 })
    }

    /// Whether there is nothing more to open. A group may be found while it is made, or be given a controller later.
    pub(crate) fn is_whole(&self, mounts: &Mounts) -> bool {
        match (&self.v1, &self.v2) {
            (Some(v1), _) => v1.is_whole(mounts),
            (None, v2) => v2.as_ref().is_some_and(CgroupV2::is_whole),
        }
    }

    pub(crate) fn often(&mut self, buffer: &mut Buffer) -> Result<Often, Vanished> {
        let v1 = self.v1.as_mut().map(|v1| v1.often(buffer)).transpose()?.unwrap_or_default();
        let v2 = self.v2.as_mut().map(|v2| v2.often(buffer)).transpose()?.unwrap_or_default();
        Ok(v1.or(v2))
    }

    pub(crate) fn seldom(&mut self, stacked: &Stacked, buffer: &mut Buffer) -> Result<Seldom, Vanished> {
        let v1 = self.v1.as_mut().map(|v1| v1.seldom(stacked, buffer)).transpose()?.unwrap_or_default();
        let v2 = self.v2.as_mut().map(|v2| v2.seldom(stacked, buffer)).transpose()?.unwrap_or_default();
        Ok(v1.or(v2))
    }
}

/// One process of the group `path`; none when it has none of its own.
pub(crate) fn first_pid(mounts: &Mounts, path: &Path, buffer: &mut Buffer) -> Option<u32> {
    mounts.roots().into_iter().find_map(|root| {
        let text = KernelFile::open(&root.join(path).join("cgroup.procs")).read(buffer).ok()??;
        // A process of another process namespace stands as 0.
        let first = text.split(|&byte| byte == b'\n').filter_map(number).find(|&pid| pid > 0)?;
        u32::try_from(first).ok()
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            std::fs::write(path, text).expect("written");
        }
    }

    #[test]
    fn on_a_hybrid_machine_each_reading_is_from_its_controllers_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = |name: &str| Some(folder.path().join(name));
        let mounts = Mounts { v1_cpuacct: root("cpuacct"), v1_cpu: root("cpu"), v2: root("v2"), ..Mounts::default() };
        put(
            folder.path(),
            &[
                ("cpuacct/web/cpuacct.usage", "7000\n"),
                ("v2/web/cpu.stat", "usage_usec 9\n"),
                ("v2/web/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"),
                ("v2/web/cgroup.procs", "0\n41\n42\n"),
            ],
        );
        let (path, mut buffer) = (Path::new("web"), Buffer::new());
        let mut group = Cgroup::open(&mounts, path).expect("there");
        assert_eq!(group.often(&mut buffer).expect("there").cpu_used_ns, Some(7_000), "not the 9 µs of version 2");
        let seldom = group.seldom(&Stacked::default(), &mut buffer).expect("there");
        assert_eq!((seldom.stalls.memory_us, seldom.stalls.cpu_us), (Some(5), None));
        assert_eq!(first_pid(&mounts, path, &mut buffer), Some(41));

        assert!(!group.is_whole(&mounts), "it is not yet in the tree of cpu");
        put(folder.path(), &[("cpu/web/cpu.stat", "nr_periods 0\nnr_throttled 0\n")]);
        assert!(Cgroup::open(&mounts, path).expect("there").is_whole(&mounts));
        assert!(Cgroup::open(&mounts, Path::new("gone")).is_none());
    }

    #[test]
    fn throttling_is_read_only_under_a_quota() {
        let folder = tempfile::tempdir().expect("a folder");
        let mounts = Mounts { v1_cpu: Some(folder.path().join("cpu")), ..Mounts::default() };
        let (stacked, mut buffer) = (Stacked::default(), Buffer::new());
        let stat = ("cpu/web/cpu.stat", "nr_periods 8\nnr_throttled 2\n");
        put(folder.path(), &[stat, ("cpu/web/cpu.cfs_quota_us", "-1\n"), ("cpu/web/cpu.cfs_period_us", "100000\n")]);
        let mut group = Cgroup::open(&mounts, Path::new("web")).expect("there");
        assert_eq!(group.seldom(&stacked, &mut buffer).expect("there").cpu_limit_cores, None);
        assert_eq!(group.often(&mut buffer).expect("there").cpu_throttled, None);
        put(folder.path(), &[("cpu/web/cpu.cfs_quota_us", "50000\n")]);
        assert_eq!(group.seldom(&stacked, &mut buffer).expect("there").cpu_limit_cores, Some(0.5));
        assert_eq!(group.often(&mut buffer).expect("there").cpu_throttled, Some((2, 8)));
    }
}

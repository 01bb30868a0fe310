//! Where control groups for CPU and memory are on this machine, and what ours are called.
//!
//! ```text
//! foreshadow/<workload>/<workload>-0, -1, …              the primary's instances
//! foreshadow-shadow/<workload>/<workload>-shadow         its shadow
//! ```
//!
//! Shadows have a tree of their own, because weights count among neighbours only: beside its primary a light shadow
//! would still have all that its primary leaves over, against every other workload. The profiler tells a shadow by the
//! name of that tree. A machine of both versions keeps these controllers in version 1.

use std::path::{Path, PathBuf};

use super::controls::{Controls, read};
use super::v1::{Roots, V1};
use super::v2::V2;
use crate::Error;

/// The machine's trees of groups, and our names in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    version: Version,
    suffix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    V1(Roots),
    V2(PathBuf),
}

impl Hierarchy {
    /// Reads the machine's table of mounts. `suffix` tells several adapters on one machine apart.
    pub(crate) fn of_machine(suffix: &str) -> Result<Self, Error> {
        let version = Version::parse(&read(Path::new("/proc/self/mountinfo"))?).ok_or(Error::NoGroups)?;
        Ok(Self { version, suffix: suffix.to_owned() })
    }

    /// The controls of a group, there or not.
    pub(crate) fn controls(&self, path: &Path) -> Box<dyn Controls> {
        match &self.version {
            Version::V1(roots) => Box::new(V1::new(roots, path)),
            Version::V2(root) => Box::new(V2::new(root, path)),
        }
    }

    /// The tree of all primaries.
    pub(crate) fn primaries(&self) -> PathBuf {
        format!("foreshadow{}", self.suffix).into()
    }

    /// The tree of all shadows.
    pub(crate) fn shadows(&self) -> PathBuf {
        format!("foreshadow-shadow{}", self.suffix).into()
    }

    /// A pattern over the groups of a workload, primaries and shadow.
    pub(crate) fn pattern(&self, workload: &str) -> String {
        format!("foreshadow*{}/{workload}/*", self.suffix)
    }

    /// The groups right below one, in order; none below one that is not there.
    pub(crate) fn below(&self, path: &Path) -> Vec<PathBuf> {
        let controls = self.controls(path);
        let entries = std::fs::read_dir(&controls.folders()[0]).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut below: Vec<PathBuf> = folders.map(|entry| path.join(entry.file_name())).collect();
        below.sort();
        below
    }
}

impl Version {
    /// A line `32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu`: the place is the fifth field; kind,
    /// source and options follow the dash.
    fn parse(table: &str) -> Option<Self> {
        let (mut cpu, mut cpuacct, mut memory, mut unified) = (None, None, None, None);
        for line in table.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let (Some(place), mut after) = (before.split(' ').nth(4), after.split(' ')) else { continue };
            let (kind, options) = (after.next(), after.nth(1).unwrap_or_default());
            let has =
                |controller: &str| kind == Some("cgroup") && options.split(',').any(|option| option == controller);
            let keep = |root: &mut Option<PathBuf>, is_there: bool| {
                if is_there {
                    root.get_or_insert_with(|| place.into());
                }
            };
            keep(&mut cpu, has("cpu"));
            keep(&mut cpuacct, has("cpuacct"));
            keep(&mut memory, has("memory"));
            keep(&mut unified, kind == Some("cgroup2"));
        }
        match (cpu, cpuacct, memory) {
            (Some(cpu), Some(cpuacct), Some(memory)) => Some(Self::V1(Roots { cpu, cpuacct, memory })),
            (None, _, None) => unified.map(Self::V2),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_is_of_version_1() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
            33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let at = |name: &str| PathBuf::from(format!("/sys/fs/cgroup/{name}"));
        let roots = Roots { cpu: at("cpu"), cpuacct: at("cpuacct"), memory: at("memory") };
        assert_eq!(Version::parse(table), Some(Version::V1(roots)));
    }

    #[test]
    fn a_unified_machine_is_of_version_2_and_one_without_memory_of_none() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Version::parse(unified), Some(Version::V2("/sys/fs/cgroup".into())));
        let cpu_only = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(Version::parse(&(cpu_only.to_owned() + unified)), None);
        assert_eq!(Version::parse("torn"), None);
    }

    #[test]
    fn one_pattern_finds_primaries_and_shadows() {
        let of = |suffix: &str| Hierarchy { version: Version::V2("/".into()), suffix: suffix.to_owned() };
        assert_eq!(of("").pattern("web"), "foreshadow*/web/*");
        assert_eq!((of("-b").primaries(), of("-b").shadows()), ("foreshadow-b".into(), "foreshadow-shadow-b".into()));
        assert_eq!(of("-b").pattern("web"), "foreshadow*-b/web/*");
    }
}

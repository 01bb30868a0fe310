//! A control group of version 2: one folder for everything.
//!
//! | control | file |
//! |---|---|
//! | CPU limit | `cpu.max`, quota and period; `max` is none |
//! | weight | `cpu.weight`, 1 is the least; `cpu.idle` where the kernel has it |
//! | memory limit | `memory.max`; `memory.swap.max` is 0 |
//!
//! A controller is there once the folder above hands it down, in its `cgroup.subtree_control`; a folder that does so has
//! no processes of its own.

use std::path::{Path, PathBuf};

use super::controls::{Controls, keyed, make, number, read, says, write};
use crate::Error;
use crate::limits::Limits;

/// One group.
#[derive(Debug)]
pub(super) struct V2 {
    root: PathBuf,
    folders: [PathBuf; 1],
}

impl V2 {
    /// The group `path` below `root`, there or not.
    pub(super) fn new(root: &Path, path: &Path) -> Self {
        Self { root: root.into(), folders: [root.join(path)] }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folders[0].join(name)
    }
}

impl Controls for V2 {
    fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    fn create(&self) -> Result<(), Error> {
        let above = self.folders[0].ancestors().skip(1);
        let mut above: Vec<&Path> = above.take_while(|folder| folder.starts_with(&self.root)).collect();
        above.reverse();
        for folder in above {
            make(folder)?;
            write(&folder.join("cgroup.subtree_control"), "+cpu +memory")?;
        }
        make(&self.folders[0])?;
        let swap = self.file("memory.swap.max");
        if swap.exists() { write(&swap, "0") } else { Ok(()) }
    }

    fn set_cpu(&self, limits: &Limits) -> Result<(), Error> {
        write(&self.file("cpu.max"), &format!("{} {}", limits.quota_us, limits.period_us))
    }

    /// The kernel takes any limit here, and kills what it cannot free: whoever lowers it looks at the working set first.
    fn set_memory(&self, bytes: u64) -> Result<(), Error> {
        write(&self.file("memory.max"), &bytes.to_string())
    }

    fn limits(&self) -> Result<Option<Limits>, Error> {
        let (cpu, memory) = (self.file("cpu.max"), self.file("memory.max"));
        let text = read(&cpu)?;
        let (quota, period) =
            text.trim().split_once(' ').ok_or_else(|| says(&cpu, &text, "quota and period are expected"))?;
        let whole = |text: &str| text.parse().map_err(|_| says(&cpu, text, "a whole number is expected"));
        if quota == UNLIMITED || read(&memory)?.trim() == UNLIMITED {
            return Ok(None);
        }
        Ok(Some(Limits { quota_us: whole(quota)?, period_us: whole(period)?, memory_bytes: number(&memory)? }))
    }

    fn make_lowest(&self) -> Result<(), Error> {
        let idle = self.file("cpu.idle");
        let is_idle = idle.exists() && number(&idle)? == 1;
        if is_idle {
            return Ok(());
        }
        // In this order: an idle group takes no other weight.
        write(&self.file("cpu.weight"), WEIGHT_LEAST)?;
        if idle.exists() { write(&idle, "1") } else { Ok(()) }
    }

    fn cpu_used_ns(&self) -> Option<u64> {
        keyed(&self.file("cpu.stat"), "usage_usec")?.checked_mul(1_000)
    }

    fn working_set_bytes(&self) -> Option<u64> {
        let used = number(&self.file("memory.current")).ok()?;
        Some(used.saturating_sub(keyed(&self.file("memory.stat"), "inactive_file")?))
    }
}

const UNLIMITED: &str = "max";

/// The kernel's least, against 100 of any other group.
const WEIGHT_LEAST: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "foreshadow/web/web-0";

    /// A folder that looks like a machine's root with one group, as the kernel fills it.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let group = root.path().join(GROUP);
        std::fs::create_dir_all(&group).expect("made");
        let put = |path: PathBuf, text: &str| std::fs::write(path, text).expect("written");
        for folder in ["", "foreshadow", "foreshadow/web"] {
            put(root.path().join(folder).join("cgroup.subtree_control"), "");
        }
        let files = [
            ("cpu.max", "max 100000\n"),
            ("cpu.weight", "100\n"),
            ("cpu.idle", "0\n"),
            ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"),
            ("memory.max", "max\n"),
            ("memory.swap.max", "max\n"),
            ("memory.current", "5000000\n"),
            ("memory.stat", "anon 3000000\ninactive_file 1000000\nactive_file 1000000\n"),
        ];
        files.into_iter().for_each(|(name, text)| put(group.join(name), text));
        root
    }

    fn text(root: &Path, file: &str) -> String {
        std::fs::read_to_string(root.join(file)).expect("there")
    }

    #[test]
    fn limits_are_written_and_read_back() {
        let root = machine();
        let group = V2::new(root.path(), Path::new(GROUP));
        assert_eq!(group.limits().expect("read"), None, "nothing is limited yet");
        let limits = Limits { quota_us: 50_000, period_us: 100_000, memory_bytes: 64 << 20 };
        group.set_cpu(&limits).and_then(|()| group.set_memory(limits.memory_bytes)).expect("written");
        assert_eq!(text(root.path(), "foreshadow/web/web-0/cpu.max"), "50000 100000");
        assert_eq!(group.limits().expect("read"), Some(limits));
    }

    #[test]
    fn a_group_is_handed_its_controllers_and_no_swap() {
        let root = machine();
        V2::new(root.path(), Path::new(GROUP)).create().expect("made");
        for folder in ["", "foreshadow/", "foreshadow/web/"] {
            assert_eq!(text(root.path(), &format!("{folder}cgroup.subtree_control")), "+cpu +memory", "{folder}");
        }
        assert_eq!(text(root.path(), "foreshadow/web/web-0/memory.swap.max"), "0");
    }

    #[test]
    fn the_lowest_is_one_and_idle() {
        let root = machine();
        let group = V2::new(root.path(), Path::new(GROUP));
        group.make_lowest().expect("written");
        let file = |name: &str| text(root.path(), &format!("{GROUP}/{name}"));
        assert_eq!((file("cpu.weight").as_str(), file("cpu.idle").as_str()), ("1", "1"));
    }

    #[test]
    fn what_is_used_is_read() {
        let root = machine();
        let group = V2::new(root.path(), Path::new(GROUP));
        assert_eq!(group.cpu_used_ns(), Some(1_500_000));
        // 5 MB less the file pages that no one touched.
        assert_eq!(group.working_set_bytes(), Some(4_000_000));
        assert_eq!(V2::new(root.path(), Path::new("gone")).working_set_bytes(), None, "missing is not zero");
    }

    #[test]
    fn a_file_that_says_something_else_is_named() {
        let root = machine();
        std::fs::write(root.path().join(GROUP).join("cpu.max"), "50000\n").expect("written");
        let error = V2::new(root.path(), Path::new(GROUP)).limits().expect_err("one number");
        assert!(error.to_string().ends_with("cpu.max says \"50000\": quota and period are expected"), "{error}");
    }
}

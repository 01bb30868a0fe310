//! The working set of a control group: what it uses, less the cached file pages that no one touched lately.
//!
//! ```text
//! working set = usage − inactive file pages          as the kubelet has it
//! ```
//!
//! Usage is cheap to read (2 µs), the table with the inactive pages dear (8 µs). The table is read again when it
//! has expired, and at once when usage has moved by more than 1/128 and 1 MiB: so file pages that the kernel reclaims, which
//! leave both numbers, do not look like a smaller working set.

use std::path::Path;

use crate::kernel_file::{Buffer, KernelFile, Vanished};
use crate::parse::{keyed, single};

/// How far usage may move before the table is read again: by 1/128 of it (a shift), and by 1 MiB in any case, below
/// any step in which memory is allotted.
const MOVED_SHIFT: u32 = 7;
const MOVED_BYTES: u64 = 1 << 20;

/// The two files, and what the table said last.
#[derive(Debug)]
pub(crate) struct WorkingSet {
    usage: KernelFile,
    table: KernelFile,
    inactive_key: &'static str,
    last: Option<Table>,
}

#[derive(Clone, Copy, Debug)]
struct Table {
    usage_bytes: u64,
    inactive_file_bytes: u64,
}

impl Table {
    fn has_moved(&self, usage_bytes: u64) -> bool {
        self.usage_bytes.abs_diff(usage_bytes) > MOVED_BYTES.max(self.usage_bytes >> MOVED_SHIFT)
    }
}

impl WorkingSet {
    /// Opens the file of the usage and, beside it, `memory.stat`, of which `inactive_key` is the line.
    pub(crate) fn open(group: Option<&Path>, usage: &str, inactive_key: &'static str) -> Self {
        let (usage, table) = (KernelFile::open_in(group, usage), KernelFile::open_in(group, "memory.stat"));
        Self { usage, table, inactive_key, last: None }
    }

    /// Whether both files are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.usage.is_there() && self.table.is_there()
    }

    /// The table is read again at the next reading.
    pub(crate) fn expire(&mut self) {
        self.last = None;
    }

    /// The working set, in bytes.
    pub(crate) fn read(&mut self, buffer: &mut Buffer) -> Result<Option<u64>, Vanished> {
        let Some(usage_bytes) = self.usage.read(buffer)?.and_then(single) else { return Ok(None) };
        if self.last.is_none_or(|last| last.has_moved(usage_bytes)) {
            let inactive = self.table.read(buffer)?.and_then(|table| keyed(table, self.inactive_key.as_bytes()));
            self.last = inactive.map(|inactive_file_bytes| Table { usage_bytes, inactive_file_bytes });
        }
        Ok(self.last.map(|last| usage_bytes.saturating_sub(last.inactive_file_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    #[test]
    fn small_moves_do_not_count() {
        let table = |usage_bytes| Table { usage_bytes, inactive_file_bytes: 0 };
        assert!(!table(0).has_moved(1 << 20), "1 MiB");
        assert!(table(0).has_moved((1 << 20) + 1));
        assert!(!table(1 << 30).has_moved((1 << 30) - (1 << 23)), "1/128 of 1 GiB");
        assert!(table(1 << 30).has_moved((1 << 30) - (1 << 23) - 1));
    }

    #[test]
    fn inactive_file_pages_are_not_in_the_working_set() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| write(folder.path().join(name), text).expect("written");
        put("memory.current", "256000000\n");
        put("memory.stat", "anon 180000000\nfile 76000000\ninactive_file 56000000\nactive_file 20000000\n");
        let (mut set, mut buffer) =
            (WorkingSet::open(Some(folder.path()), "memory.current", "inactive_file"), Buffer::new());
        assert_eq!(set.read(&mut buffer), Ok(Some(200_000_000)));

        // Usage moved by 2,000,000 = 1/128: the table may be old.
        put("memory.current", "258000000\n");
        put("memory.stat", "inactive_file 0\n");
        assert_eq!(set.read(&mut buffer), Ok(Some(202_000_000)));
        // By one more: the table is read.
        put("memory.current", "258000001\n");
        assert_eq!(set.read(&mut buffer), Ok(Some(258_000_001)));

        put("memory.stat", "inactive_file 1\n");
        set.expire();
        assert_eq!(set.read(&mut buffer), Ok(Some(258_000_000)));
        put("memory.stat", "inactive_fi");
        set.expire();
        assert_eq!(set.read(&mut buffer), Ok(None), "a torn table is missing, not zero");
    }
}

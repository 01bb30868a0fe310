//! Pressure: the share of time in which some task waited for a resource (the kernel's PSI).
//!
//! The kernel's own averages span 10 s and more; the differences of its `total` span whatever lies between two
//! readings. Control groups of version 1 have no pressure of their own, and the machine's is not theirs.

use std::path::Path;

use crate::kernel_file::{Buffer, KernelFile};
use crate::parse::{fields, lines, number};

/// Time so far in which some task waited, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stalls {
    pub(crate) cpu_us: Option<u64>,
    pub(crate) memory_us: Option<u64>,
    pub(crate) io_us: Option<u64>,
}

impl Stalls {
    /// What is missing here is taken from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            cpu_us: self.cpu_us.or(other.cpu_us),
            memory_us: self.memory_us.or(other.memory_us),
            io_us: self.io_us.or(other.io_us),
        }
    }
}

/// The three files of one control group, or of the machine.
#[derive(Debug)]
pub(crate) struct Pressure {
    cpu: KernelFile,
    memory: KernelFile,
    io: KernelFile,
}

impl Pressure {
    /// Opens `<folder>/cpu<suffix>` and its two neighbours.
    pub(crate) fn open(folder: &Path, suffix: &str) -> Self {
        let open = |resource: &str| KernelFile::open(&folder.join(format!("{resource}{suffix}")));
        Self { cpu: open("cpu"), memory: open("memory"), io: open("io") }
    }

    /// Whether any file is there.
    pub(crate) fn is_there(&self) -> bool {
        [&self.cpu, &self.memory, &self.io].iter().any(|file| file.is_there())
    }

    pub(crate) fn read(&self, buffer: &mut Buffer) -> Stalls {
        let mut total = |file: &KernelFile| file.read(buffer).ok().flatten().and_then(some_total);
        Stalls { cpu_us: total(&self.cpu), memory_us: total(&self.memory), io_us: total(&self.io) }
    }
}

/// The `total` of the line `some`.
fn some_total(text: &[u8]) -> Option<u64> {
    let some = lines(text)?.find_map(|line| line.strip_prefix(b"some "))?;
    fields(some).find_map(|field| field.strip_prefix(b"total=")).and_then(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_some_is_read() {
        let text = b"some avg10=17.52 avg60=15.34 avg300=7.60 total=1029931697\n\
            full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
        assert_eq!(some_total(text), Some(1_029_931_697));
        assert_eq!(some_total(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"), Some(5), "kernels before 5.13");
    }

    #[test]
    fn a_torn_file_has_no_total() {
        assert_eq!(some_total(b""), None);
        assert_eq!(some_total(b"some avg10=17.52 avg60=15.34 avg300=7.60 total=10299"), None);
        assert_eq!(some_total(b"full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n"), None);
    }
}

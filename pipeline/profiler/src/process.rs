//! One process.
//!
//! | reading | from |
//! |---|---|
//! | CPU used | `utime` + `stime` of `stat`, of all threads, without children |
//! | working set | resident memory, of `statm`; what part of it is inactive would cost a walk over all its pages |
//! | disk | `read_bytes` and `write_bytes` of `io`, for our own user's processes or as root |
//!
//! A process has no limits or pressure of its own. Its CPU is counted in steps of 10 ms: a rate over 100 ms is true to
//! 0.1 core, one over a second to 0.01, and the errors of successive rates cancel.

use std::path::{Path, PathBuf};

use rustix::param::{clock_ticks_per_second, page_size};

use crate::disk::Transfer;
use crate::kernel_file::{Buffer, KernelFile, Vanished};
use crate::parse::{fields, keyed, number};
use crate::reading::{Often, Seldom};

/// The open files of one process.
#[derive(Debug)]
pub(crate) struct Process {
    stat: KernelFile,
    memory: KernelFile,
    io: KernelFile,
    start_ticks: u64,
}

impl Process {
    /// Opens process `pid`, which started `start_ticks` after the machine.
    pub(crate) fn open(proc_root: &Path, pid: u32, start_ticks: u64) -> Option<Self> {
        let folder = folder(proc_root, pid);
        let open = |name: &str| KernelFile::open_in(Some(&folder), name);
        Some(Self { stat: open("stat"), memory: open("statm"), io: open("io"), start_ticks })
            .filter(|process| process.stat.is_there())
    }

    pub(crate) fn often(&mut self, buffer: &mut Buffer) -> Result<Often, Vanished> {
        let stat = match self.stat.read(buffer)?.and_then(parse_stat) {
            // The number was given to another process between discovery and opening.
            Some(stat) if stat.start_ticks != self.start_ticks || stat.has_ended => return Err(Vanished),
            stat => stat,
        };
        Ok(Often {
            cpu_used_ns: stat.and_then(|stat| stat.cpu_ticks.checked_mul(1_000_000_000 / clock_ticks_per_second())),
            cpu_throttled: None,
            memory_working_set_bytes: self.memory.read(buffer)?.and_then(resident_bytes),
        })
    }

    pub(crate) fn seldom(&mut self, buffer: &mut Buffer) -> Result<Seldom, Vanished> {
        Ok(Seldom { disk: self.io.read(buffer)?.and_then(parse_io), ..Seldom::default() })
    }
}

/// When process `pid` started, in ticks since the machine did; none when it has ended.
pub(crate) fn start_ticks(proc_root: &Path, pid: u32, buffer: &mut Buffer) -> Option<u64> {
    let text = KernelFile::open_in(Some(&folder(proc_root, pid)), "stat").read(buffer).ok()??;
    parse_stat(text).filter(|stat| !stat.has_ended).map(|stat| stat.start_ticks)
}

/// The command line of process `pid`, its words joined by blanks; none for threads of the kernel.
///
/// What goes beyond the buffer is cut off.
pub(crate) fn command_line(proc_root: &Path, pid: u32, buffer: &mut Buffer) -> Option<String> {
    let text = KernelFile::open_in(Some(&folder(proc_root, pid)), "cmdline").read(buffer).ok()??;
    let line = String::from_utf8_lossy(text).replace('\0', " ");
    Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
}

/// The lines that say in which control groups process `pid` is.
pub(crate) fn groups(proc_root: &Path, pid: u32, buffer: &mut Buffer) -> Option<String> {
    let text = KernelFile::open_in(Some(&folder(proc_root, pid)), "cgroup").read(buffer).ok()??;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn folder(proc_root: &Path, pid: u32) -> PathBuf {
    proc_root.join(pid.to_string())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    has_ended: bool,
    cpu_ticks: u64,
    start_ticks: u64,
}

/// `stat`: number, name in brackets, state, and 49 numbers. The name may hold blanks and brackets, so the fields are
/// counted from the last bracket; in the manual they are 3 (state), 14, 15 and 22.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let line = text.strip_suffix(b"\n")?;
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    let mut fields = fields(&line[name_end + 1..]);
    let has_ended = matches!(fields.next()?, b"Z" | b"X" | b"x");
    let cpu_ticks = number(fields.nth(10)?)?.checked_add(number(fields.next()?)?)?;
    let start_ticks = number(fields.nth(6)?)?;
    Some(Stat { has_ended, cpu_ticks, start_ticks })
}

/// `statm`: the second number counts the pages in memory. That of `stat` is cheaper and lags by what each CPU has not
/// handed in yet: megabytes on a large machine.
fn resident_bytes(text: &[u8]) -> Option<u64> {
    number(fields(text.strip_suffix(b"\n")?).nth(1)?)?.checked_mul(page_size() as u64)
}

fn parse_io(text: &[u8]) -> Option<Transfer> {
    Some(Transfer { read_bytes: keyed(text, b"read_bytes:")?, write_bytes: keyed(text, b"write_bytes:")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::kernel_like;

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in kernel_like()) {
            let _ = parse_stat(text.as_bytes());
            let _ = resident_bytes(text.as_bytes());
            let _ = parse_io(text.as_bytes());
        }
    }

    const STAT: &[u8] = b"14547 (my (odd) name) R 14540 14540 14521 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 625109 \
        3133440 383 18446744073709551615 94227472900096 94227472919977 140726928599136 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 \
        0 94227472935984 94227472937600 94228376821760 140726928607909 140726928607960 140726928607960 140726928609259 0\n";

    #[test]
    fn the_name_does_not_shift_the_fields() {
        let expected = Stat { has_ended: false, cpu_ticks: 300, start_ticks: 625_109 };
        assert_eq!(parse_stat(STAT), Some(expected), "250 in user and 50 in kernel mode");
    }

    #[test]
    fn torn_files_give_nothing() {
        for length in 0..STAT.len() {
            assert_eq!(parse_stat(&STAT[..length]), None, "cut at {length}");
        }
        assert_eq!(parse_stat(b"1 (a) R 1\n"), None);
        assert_eq!(resident_bytes(b"765 427 399 5 0 123 0\n"), Some(427 * page_size() as u64));
        assert_eq!(resident_bytes(b"765 42"), None);
        assert_eq!(parse_io(b"rchar: 7300\nwchar: 324\nread_bytes: 0\nwrite_by"), None);
    }

    #[test]
    fn bytes_to_and_from_disks_are_read() {
        let io = b"rchar: 7300\nwchar: 324\nsyscr: 14\nsyscw: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";
        assert_eq!(parse_io(io), Some(Transfer { read_bytes: 4096, write_bytes: 8192 }));
    }

    #[test]
    fn a_process_that_ended_unnoticed_by_its_parent_has_vanished() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
        let (proc_root, mut buffer) = (Path::new("/proc"), Buffer::new());
        let start = start_ticks(proc_root, child.id(), &mut buffer).expect("it runs");
        let mut process = Process::open(proc_root, child.id(), start).expect("it runs");
        // It has no memory for a moment, until its program is loaded.
        while process.often(&mut buffer).expect("it runs").memory_working_set_bytes == Some(0) {
            std::thread::yield_now();
        }
        let mut stranger = Process::open(proc_root, child.id(), start + 1).expect("it runs");
        assert_eq!(stranger.often(&mut buffer), Err(Vanished), "its number was given away");

        child.kill().expect("killed");
        // No one has waited for it: a zombie, once the signal has done its work.
        while process.often(&mut buffer).is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(start_ticks(proc_root, child.id(), &mut buffer), None);
        child.wait().expect("waited for");
    }

    #[test]
    fn our_own_command_line_is_read() {
        let line = command_line(Path::new("/proc"), std::process::id(), &mut Buffer::new()).expect("we run");
        assert!(line.contains("profiler"), "{line}");
        assert!(!line.contains('\0'));
    }
}

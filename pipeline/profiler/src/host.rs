//! The machine itself.
//!
//! | reading | file below the root of processes |
//! |---|---|
//! | CPU used | `stat`: user, nice, system and both kinds of interrupts; neither stolen nor idle time |
//! | CPU limit | `stat`: how many CPUs there are |
//! | working set | `meminfo`: total − available |
//! | memory limit | `meminfo`: total |
//! | disk | `diskstats`, whole disks |
//! | network | `1/net/dev`, cards |
//! | pressure | `pressure/*` |

use std::path::Path;

use rustix::param::clock_ticks_per_second;

use crate::disk::{Stacked, disk_stats};
use crate::kernel_file::{Buffer, KernelFile};
use crate::network::{is_card, traffic};
use crate::parse::{fields, keyed, lines, number};
use crate::pressure::Pressure;
use crate::reading::{Often, Seldom};

/// The open files of the machine.
#[derive(Debug)]
pub(crate) struct Host {
    stat: KernelFile,
    memory: KernelFile,
    disks: KernelFile,
    network: KernelFile,
    pressure: Pressure,
}

impl Host {
    /// Opens what there is.
    pub(crate) fn open(proc_root: &Path) -> Self {
        let open = |name: &str| KernelFile::open_in(Some(proc_root), name);
        Self {
            stat: open("stat"),
            memory: open("meminfo"),
            disks: open("diskstats"),
            // The first process is in the machine's network, we may not be.
            network: open("1/net/dev"),
            pressure: Pressure::open(&proc_root.join("pressure"), ""),
        }
    }

    pub(crate) fn often(&self, buffer: &mut Buffer) -> Often {
        Often {
            cpu_used_ns: read(&self.stat, buffer).and_then(cpu_used_ns),
            cpu_throttled: None,
            memory_working_set_bytes: read(&self.memory, buffer)
                .and_then(|text| memory_bytes(text, b"MemTotal:")?.checked_sub(memory_bytes(text, b"MemAvailable:")?)),
        }
    }

    pub(crate) fn seldom(&self, stacked: &Stacked, buffer: &mut Buffer) -> Seldom {
        Seldom {
            cpu_limit_cores: read(&self.stat, buffer).and_then(cpus),
            memory_limit_bytes: read(&self.memory, buffer).and_then(|text| memory_bytes(text, b"MemTotal:")),
            disk: self.disks.read_table(buffer).ok().flatten().and_then(|text| disk_stats(text, stacked)),
            network: self.network.read_table(buffer).ok().flatten().and_then(|text| traffic(text, is_card)),
            stalls: self.pressure.read(buffer),
        }
    }
}

/// The machine's name.
pub(crate) fn name(proc_root: &Path, buffer: &mut Buffer) -> Option<String> {
    let text = read(&KernelFile::open_in(Some(proc_root), "sys/kernel/hostname"), buffer)?;
    Some(String::from_utf8_lossy(text).trim().to_owned())
}

fn read<'b>(file: &KernelFile, buffer: &'b mut Buffer) -> Option<&'b [u8]> {
    file.read(buffer).ok().flatten()
}

/// The time of all CPUs so far, in the kernel's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Neither idle, nor waiting for disks, nor stolen.
    pub(crate) used: u64,
    /// What the hypervisor gave to others; zero on a kernel that does not tell.
    pub(crate) stolen: u64,
    /// All of it.
    pub(crate) all: u64,
}

impl CpuTime {
    /// The line `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user too.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut ticks = fields(lines(text)?.next()?.strip_prefix(b"cpu ")?).map(number);
        let (user, nice, system) = (ticks.next()??, ticks.next()??, ticks.next()??);
        let (idle, waiting) = (ticks.next()??, ticks.next()??);
        let (interrupts, soft_interrupts) = (ticks.next()??, ticks.next()??);
        let stolen = ticks.next().flatten().unwrap_or_default();
        let sum = |all: &[u64]| all.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks));
        let used = sum(&[user, nice, system, interrupts, soft_interrupts])?;
        Some(Self { used, stolen, all: sum(&[used, idle, waiting, stolen])? })
    }
}

fn cpu_used_ns(text: &[u8]) -> Option<u64> {
    CpuTime::read(text)?.used.checked_mul(1_000_000_000 / clock_ticks_per_second())
}

/// How many lines `cpu0`, `cpu1`, … there are.
fn cpus(text: &[u8]) -> Option<f64> {
    let is_cpu =
        |line: &&[u8]| line.strip_prefix(b"cpu").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    let count = lines(text)?.filter(is_cpu).count();
    (count > 0).then_some(count as f64)
}

/// A line of `meminfo`, which counts in units of 1024 bytes.
fn memory_bytes(text: &[u8], key: &[u8]) -> Option<u64> {
    keyed(text, key)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::kernel_like;

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in kernel_like()) {
            let _ = cpu_used_ns(text.as_bytes());
            let _ = cpus(text.as_bytes());
            let _ = memory_bytes(text.as_bytes(), b"MemTotal:");
        }
    }

    const STAT: &[u8] = b"cpu  480547 0 31658 725052 7980 3 355 707 0 0\ncpu0 231225 0 14692 376028 769 0 93 348 0 0\n\
        cpu1 249321 0 16965 349023 7210 3 261 358 0 0\nintr 2917916 0 0\nctxt 3504580\nbtime 1764000000\n";

    #[test]
    fn used_is_neither_idle_nor_stolen() {
        // 480547 + 0 + 31658 + 3 + 355 ticks of 10 ms; 725052 idle, 7980 waiting for disks, 707 stolen.
        assert_eq!(cpu_used_ns(STAT), Some(512_563 * 10_000_000));
        // And 725052 + 7980 + 707 = 733739 more.
        assert_eq!(CpuTime::read(STAT), Some(CpuTime { used: 512_563, stolen: 707, all: 1_246_302 }));
        assert_eq!(cpu_used_ns(b"cpu  480547 0 31"), None);
        assert_eq!(cpu_used_ns(b""), None);
    }

    #[test]
    fn cpus_are_counted() {
        assert_eq!(cpus(STAT), Some(2.0));
        assert_eq!(cpus(b"ctxt 3504580\n"), None);
    }

    #[test]
    fn this_machine_tells_of_itself() {
        let (host, mut buffer) = (Host::open(Path::new("/proc")), Buffer::new());
        let (often, seldom) = (host.often(&mut buffer), host.seldom(&Stacked::default(), &mut buffer));
        let (used, limit) = (often.memory_working_set_bytes.expect("used"), seldom.memory_limit_bytes.expect("total"));
        assert!(0 < used && used < limit, "{used} of {limit} bytes");
        assert!(seldom.cpu_limit_cores >= Some(1.0), "{seldom:?}");
        assert!(
            often.cpu_used_ns > Some(0) && seldom.disk.is_some() && seldom.network.is_some(),
            "{often:?} {seldom:?}"
        );
    }
}

//! Bytes moved to and from block devices.
//!
//! A device that is stacked on others (a loop device, a RAID, a volume of the device mapper) passes its transfers on,
//! and the kernel counts them again at the device below; compressed memory is no disk at all. Such devices are left
//! out by their major number.

use std::path::Path;

use crate::kernel_file::{Buffer, KernelFile};
use crate::parse::{fields, lines, number};

/// Bytes moved so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) read_bytes: u64,
    pub(crate) write_bytes: u64,
}

impl Transfer {
    /// Adds a device's bytes; none when they are beyond all counting.
    fn add(&mut self, read_bytes: u64, write_bytes: u64) -> Option<()> {
        self.read_bytes = self.read_bytes.checked_add(read_bytes)?;
        self.write_bytes = self.write_bytes.checked_add(write_bytes)?;
        Some(())
    }
}

/// The major numbers of stacked devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacked(Vec<u64>);

impl Stacked {
    const DRIVERS: [&[u8]; 6] = [b"loop", b"md", b"mdp", b"device-mapper", b"zram", b"ramdisk"];

    /// Reads the machine's table of drivers; some majors are given at boot.
    pub(crate) fn of_machine(proc_root: &Path, buffer: &mut Buffer) -> Self {
        let table = KernelFile::open(&proc_root.join("devices")).read_table(buffer);
        table.ok().flatten().and_then(Self::parse).unwrap_or_default()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let blocks = lines(text)?.skip_while(|line| *line != b"Block devices:").skip(1);
        let major = |line| {
            let mut fields = fields(line);
            let major = number(fields.next()?)?;
            Self::DRIVERS.contains(&fields.next()?).then_some(major)
        };
        Some(Self(blocks.filter_map(major).collect()))
    }

    fn has(&self, major: u64) -> bool {
        self.0.contains(&major)
    }

    /// Whether the device `<major>:<minor>` is stacked.
    fn has_device(&self, device: &[u8]) -> bool {
        device.split(|&byte| byte == b':').next().and_then(number).is_some_and(|major| self.has(major))
    }
}

/// Sums `io.stat` of version 2: lines `8:0 rbytes=1 wbytes=2 rios=3 …`. A group that never moved a byte has none.
pub(crate) fn io_stat(text: &[u8], stacked: &Stacked) -> Option<Transfer> {
    let mut sum = Transfer::default();
    for line in lines(text)? {
        let mut fields = fields(line);
        if fields.next().is_none_or(|device| stacked.has_device(device)) {
            continue;
        }
        for field in fields {
            if let Some(read) = field.strip_prefix(b"rbytes=") {
                sum.add(number(read)?, 0)?;
            } else if let Some(write) = field.strip_prefix(b"wbytes=") {
                sum.add(0, number(write)?)?;
            }
        }
    }
    Some(sum)
}

/// Sums `blkio.throttle.io_service_bytes` of version 1: lines `8:0 Read 1`, and a line `Total` at the end.
pub(crate) fn io_service_bytes(text: &[u8], stacked: &Stacked) -> Option<Transfer> {
    let (mut sum, mut is_whole) = (Transfer::default(), false);
    for line in lines(text)? {
        let mut fields = fields(line);
        let device = fields.next()?;
        is_whole = device == b"Total";
        if is_whole || stacked.has_device(device) {
            continue;
        }
        match fields.next()? {
            b"Read" => sum.add(number(fields.next()?)?, 0)?,
            b"Write" => sum.add(0, number(fields.next()?)?)?,
            _ => {}
        }
    }
    is_whole.then_some(sum)
}

/// Sums the machine's `diskstats` over whole disks: a partition's transfers are its disk's too.
pub(crate) fn disk_stats(text: &[u8], stacked: &Stacked) -> Option<Transfer> {
    /// The kernel counts in sectors of this size, whatever the disk's.
    const SECTOR_BYTES: u64 = 512;
    let mut sum = Transfer::default();
    let mut disk: &[u8] = b"";
    for line in lines(text)? {
        let mut fields = fields(line);
        let major = number(fields.next()?)?;
        let name = fields.nth(1)?;
        if stacked.has(major) || is_partition(name, disk) {
            continue;
        }
        disk = name;
        // After the name: reads, reads merged, sectors read, ms, writes, writes merged, sectors written.
        let (read, written) = (number(fields.nth(2)?)?, number(fields.nth(3)?)?);
        sum.add(read.checked_mul(SECTOR_BYTES)?, written.checked_mul(SECTOR_BYTES)?)?;
    }
    Some(sum)
}

/// Whether `name` is a partition of the disk that stands before it: `sda1` of `sda`, `nvme0n1p2` of `nvme0n1`.
fn is_partition(name: &[u8], disk: &[u8]) -> bool {
    let Some(last) = disk.last() else { return false };
    let Some(rest) = name.strip_prefix(disk) else { return false };
    let index = if last.is_ascii_digit() { rest.strip_prefix(b"p") } else { Some(rest) };
    index.and_then(number).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::kernel_like;

    proptest::proptest! {
        #[test]
        fn no_table_panics(text in kernel_like()) {
            let _ = io_stat(text.as_bytes(), &stacked());
            let _ = io_service_bytes(text.as_bytes(), &stacked());
            let _ = disk_stats(text.as_bytes(), &stacked());
            let _ = Stacked::parse(text.as_bytes());
        }
    }

    fn stacked() -> Stacked {
        let text = b"Character devices:\n  1 mem\n253 dax\n\nBlock devices:\n  7 loop\n  8 sd\n253 device-mapper\n259 blkext\n";
        Stacked::parse(text).expect("a whole table")
    }

    #[test]
    fn stacked_devices_are_known_by_their_drivers() {
        let stacked = stacked();
        assert!(stacked.has_device(b"7:0") && stacked.has_device(b"253:1"));
        assert!(!stacked.has_device(b"8:0") && !stacked.has_device(b"1:0"), "memory is a character device");
    }

    #[test]
    fn version_2_sums_the_lower_devices() {
        let text = b"253:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n\
            8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n259:3 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n";
        // 8:0 and 259:3; the volume 253:0 lies on 8:0.
        assert_eq!(io_stat(text, &stacked()), Some(Transfer { read_bytes: 4097, write_bytes: 8194 }));
        assert_eq!(io_stat(b"", &stacked()), Some(Transfer::default()), "no transfer yet");
        assert_eq!(io_stat(&text[..text.len() - 1], &stacked()), None, "torn");
        assert_eq!(io_stat(b"8:0 rbytes=x\n", &stacked()), None);
    }

    #[test]
    fn version_1_sums_reads_and_writes() {
        let text = b"8:0 Read 100\n8:0 Write 200\n8:0 Sync 250\n8:0 Async 50\n8:0 Discard 0\n8:0 Total 300\n\
            7:0 Read 9\n7:0 Write 0\n7:0 Total 9\nTotal 309\n";
        assert_eq!(io_service_bytes(text, &stacked()), Some(Transfer { read_bytes: 100, write_bytes: 200 }));
        assert_eq!(io_service_bytes(b"Total 0\n", &stacked()), Some(Transfer::default()));
        assert_eq!(io_service_bytes(b"8:0 Read 100\n", &stacked()), None, "the end is missing");
        assert_eq!(io_service_bytes(b"", &stacked()), None);
    }

    #[test]
    fn the_machine_sums_whole_disks() {
        let text = b"   7       0 loop0 5 0 5 0 0 0 0 0 0 0 0\n \
            8       0 sda 236022 34640 100 448550 68416 62915 200 73267 0 110216 530295 13080 78 9409336 4119 19332 4358\n \
            8       1 sda1 236022 34640 100 448550 68416 62915 200 73267 0 110216 530295\n \
            259       0 nvme0n1 1 0 8 0 1 0 16 0 0 0 0\n 259       1 nvme0n1p1 1 0 8 0 1 0 16 0 0 0 0\n \
            259       2 nvme0n10 1 0 1 0 1 0 1 0 0 0 0\n";
        // Sectors: 100 + 8 + 1 read, 200 + 16 + 1 written.
        let expected = Transfer { read_bytes: 109 * 512, write_bytes: 217 * 512 };
        assert_eq!(disk_stats(text, &stacked()), Some(expected));
        assert_eq!(disk_stats(b"8 0 sda 1\n", &stacked()), None);
    }
}

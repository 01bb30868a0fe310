//! What the binary reads of this machine, against what the kernel says.
//!
//! A thread of the test notes the kernel's own counters all the while; the binary reads the machine at both ends of ten
//! seconds, and its sample says when. The two never read at quite the same instant. CPU, of which the test makes a steady
//! load, agrees within 1 % all the same; of memory, disks and the network, which others use in bursts, what moved within
//! [`APART_MS`] of either end may be in the one and not in the other, and is allowed for beside that.

#![allow(clippy::disallowed_methods, reason = "it measures the machine by the machine's clock")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemas::{Metric, Sample};

const OVER_MS: u64 = 10_000;
const TOLERANCE: f64 = 0.01;

/// How far apart the binary and the test may read: three notes, for a late wake-up of either.
const APART_MS: u64 = 30;
const NOTE_EVERY: Duration = Duration::from_millis(10);

/// Steps in which the kernel counts CPU; the same on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// The kernel's account at one instant: CPU in seconds used so far, memory in bytes used now, bytes [`MOVED`] so far.
struct Note {
    at_ms: u64,
    cpu_seconds: f64,
    memory_bytes: f64,
    moved: [f64; 4],
}

const MOVED: [Metric; 4] = [Metric::DiskRead, Metric::DiskWrite, Metric::NetworkReceive, Metric::NetworkTransmit];

#[test]
fn the_machine_is_read_as_the_kernel_counts_it() {
    let mut command = end_to_end::binary::foreshadow();
    command.args(["profile", "--once", "--json", "--over", "10s"]);
    let (burning, writing, noting) = (While::running(burn), While::running(write_to_disk), While::running(take_notes));
    let output = command.output().expect("the binary runs");
    let (notes, (), ()) = (noting.end(), burning.end(), writing.end());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples: Vec<Sample> = serde_json::from_slice(&output.stdout).expect("an array of samples");
    let [sample] = samples.as_slice() else { panic!("one machine, one sample: {samples:?}") };

    let end_ms = sample.time.millis();
    let begin_ms = end_ms - OVER_MS;
    let [from, to] = [begin_ms, end_ms].map(|at_ms| nearest(&notes, at_ms));
    // What is held moves at once where a process begins or ends.
    let held = notes.iter().filter(|note| note.at_ms.abs_diff(end_ms) <= APART_MS).map(|note| note.memory_bytes);
    let held = held.fold([to.memory_bytes; 2], |[least, most], bytes| [least.min(bytes), most.max(bytes)]);
    let cores = (to.cpu_seconds - from.cpu_seconds) / seconds(to.at_ms - from.at_ms);
    assert!(cores > 0.5, "the load was to be a core, and is {cores}");
    agree(sample, Metric::CpuUsed, [cores, cores]);
    agree(sample, Metric::MemoryWorkingSet, held);
    let memory = memory_bytes("MemTotal:");
    agree(sample, Metric::MemoryLimit, [memory, memory]);
    for (index, metric) in MOVED.into_iter().enumerate() {
        let moved = |at_ms| nearest(&notes, at_ms).moved[index];
        let least = moved(end_ms - APART_MS) - moved(begin_ms + APART_MS);
        let most = moved(end_ms + APART_MS) - moved(begin_ms - APART_MS);
        agree(sample, metric, [least / seconds(OVER_MS), most / seconds(OVER_MS)]);
    }
}

/// Checks a reading against the least and the most that the kernel's account allows, and tells both.
fn agree(sample: &Sample, metric: Metric, [least, most]: [f64; 2]) {
    let name = metric.name();
    let Some(read) = sample.reading(metric) else {
        assert!(MOVED.contains(&metric), "{name} was not read");
        return tell(&format!("SKIPPED: {name} was not read, as this machine does not let us"));
    };
    tell(&format!("{name}: read {read:.4}, counted {least:.4} to {most:.4}"));
    let allowed = least * (1.0 - TOLERANCE)..=most * (1.0 + TOLERANCE);
    assert!(allowed.contains(&read), "{name} was read as {read}, the kernel counted {least} to {most}");
}

/// Tells what was measured, past the capture of output.
fn tell(line: &str) {
    writeln!(io::stderr(), "{line}").expect("standard error is open");
}

/// A thread that works until it is told to end.
struct While<T> {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> While<T> {
    fn running(work: fn(&AtomicBool) -> T) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&is_over);
        Self { is_over, thread: thread::spawn(move || work(&watched)) }
    }

    fn end(self) -> T {
        // The last notes come after the binary's last reading.
        thread::sleep(Duration::from_millis(2 * APART_MS));
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread does not panic")
    }
}

/// Keeps one core busy.
fn burn(is_over: &AtomicBool) {
    let mut spun = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        spun = black_box(spun.wrapping_add(1));
    }
}

/// Writes some 10 MB a second through to the disk, where the temporary folder is on one.
fn write_to_disk(is_over: &AtomicBool) {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let block = vec![7_u8; 1 << 20];
    while !is_over.load(Ordering::Relaxed) {
        let mut file = File::create(folder.path().join("written")).expect("a new file");
        file.write_all(&block).and_then(|()| file.sync_data()).expect("a megabyte is free");
        thread::sleep(Duration::from_millis(100));
    }
}

fn take_notes(is_over: &AtomicBool) -> Vec<Note> {
    let mut notes = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        notes.push(note());
        thread::sleep(NOTE_EVERY);
    }
    notes
}

fn note() -> Note {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let [(disk_read, disk_written), (received, sent)] = [disk_bytes(), network_bytes()];
    Note {
        at_ms: u64::try_from(since_epoch.as_millis()).expect("an age of the world"),
        cpu_seconds: cpu_seconds(),
        memory_bytes: memory_bytes("MemTotal:") - memory_bytes("MemAvailable:"),
        moved: [disk_read, disk_written, received, sent],
    }
}

fn nearest(notes: &[Note], at_ms: u64) -> &Note {
    notes.iter().min_by_key(|note| note.at_ms.abs_diff(at_ms)).expect("there are notes")
}

/// User, nice, system and interrupts of all CPUs: fields 1, 2, 3, 6 and 7 of the first line.
fn cpu_seconds() -> f64 {
    let text = read("/proc/stat");
    let fields: Vec<&str> = text.lines().next().expect("a line of all CPUs").split_whitespace().collect();
    [1, 2, 3, 6, 7].into_iter().map(|index: usize| number(fields[index])).sum::<f64>() / TICKS_PER_SECOND
}

fn memory_bytes(name: &str) -> f64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find(|line| line.starts_with(name)).expect("every Linux has it");
    number(line.split_whitespace().nth(1).expect("an amount")) * 1024.0
}

/// Bytes read from and written to devices that are hardware, by sysfs: neither stacked on others nor in memory.
fn disk_bytes() -> (f64, f64) {
    let text = read("/proc/diskstats");
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let disks = rows.filter(|row| Path::new("/sys/block").join(row[2]).join("device").exists());
    // Sectors of 512 bytes, whatever the disk's.
    let moved = disks.map(|row| (number(row[5]) * 512.0, number(row[9]) * 512.0));
    moved.fold((0.0, 0.0), |sum, disk| (sum.0 + disk.0, sum.1 + disk.1))
}

/// Bytes received and sent by Ethernet and wireless cards, by their names.
fn network_bytes() -> (f64, f64) {
    let text = fs::read_to_string("/proc/1/net/dev").unwrap_or_default();
    let rows = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    let cards = rows.filter(|(name, _)| name.trim_start().starts_with(['e', 'w']));
    let moved = cards.map(|(_, counters)| {
        let columns: Vec<f64> = counters.split_whitespace().map(number).collect();
        (columns[0], columns[8])
    });
    moved.fold((0.0, 0.0), |sum, card| (sum.0 + card.0, sum.1 + card.1))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("every Linux has it")
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

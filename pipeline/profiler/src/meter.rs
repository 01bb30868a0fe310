//! Readings of one instance to its sample: gauges as they are, counters as rates.

use schemas::{Bytes, BytesPerSecond, Cores, EventTime, Ratio, Sample};

use crate::counter::{Counter, Share};
use crate::discover::Found;
use crate::reading::{Often, Seldom};
use crate::surroundings::Around;

const NS_PER_SECOND: f64 = 1e9;
const US_PER_SECOND: f64 = 1e6;

/// The counters of one instance, and its sample as it stands.
#[derive(Debug)]
pub(crate) struct Meter {
    sample: Sample,
    cpu: Counter,
    throttled: Share,
    disk: [Counter; 2],
    network: [Counter; 2],
    stalls: [Counter; 3],
    resets: u64,
}

impl Meter {
    pub(crate) fn new(found: &Found) -> Self {
        let mut meter = Self {
            sample: Sample::new(EventTime::default(), found.workload.clone()),
            cpu: Counter::default(),
            throttled: Share::default(),
            disk: Default::default(),
            network: Default::default(),
            stalls: Default::default(),
            resets: 0,
        };
        meter.rename(found);
        meter
    }

    /// Names change: the instance's, when another of the same name comes or goes, and the tenant's, with the workload.
    pub(crate) fn rename(&mut self, found: &Found) {
        self.sample.tenant = found.tenant.clone();
        self.sample.instance = Some(found.instance.clone());
        self.sample.role = found.role;
    }

    /// The next traffic is counted by another namespace.
    pub(crate) fn forget_network(&mut self) {
        self.network = Default::default();
    }

    /// Takes a reading of each tick, as read at `at_ns`.
    pub(crate) fn often(&mut self, at_ns: u64, often: &Often) {
        let Self { sample, resets, .. } = self;
        let cpu = self.cpu.rate(at_ns, often.cpu_used_ns, resets);
        sample.cpu_used_cores = cpu.map(|ns_per_second| Cores::new(ns_per_second / NS_PER_SECOND));
        sample.cpu_throttled_ratio = self.throttled.share(often.cpu_throttled, resets).map(Ratio::new);
        sample.memory_working_set_bytes = often.memory_working_set_bytes.map(bytes);
    }

    /// Takes a reading of about each second, as read at `at_ns`; it stands until the next.
    pub(crate) fn seldom(&mut self, at_ns: u64, seldom: &Seldom) {
        let Self { sample, disk: [read, write], network: [receive, transmit], stalls: [cpu, memory, io], .. } = self;
        let mut rate = |counter: &mut Counter, value| counter.rate(at_ns, value, &mut self.resets);
        sample.cpu_limit_cores = seldom.cpu_limit_cores.map(Cores::new);
        sample.memory_limit_bytes = seldom.memory_limit_bytes.map(bytes);
        let (disk, network, stalls) = (seldom.disk, seldom.network, seldom.stalls);
        sample.disk_read_bytes_per_second = rate(read, disk.map(|disk| disk.read_bytes)).map(BytesPerSecond::new);
        sample.disk_write_bytes_per_second = rate(write, disk.map(|disk| disk.write_bytes)).map(BytesPerSecond::new);
        sample.network_receive_bytes_per_second =
            rate(receive, network.map(|network| network.receive_bytes)).map(BytesPerSecond::new);
        sample.network_transmit_bytes_per_second =
            rate(transmit, network.map(|network| network.transmit_bytes)).map(BytesPerSecond::new);
        sample.cpu_pressure_ratio = rate(cpu, stalls.cpu_us).map(share_of_time);
        sample.memory_pressure_ratio = rate(memory, stalls.memory_us).map(share_of_time);
        sample.io_pressure_ratio = rate(io, stalls.io_us).map(share_of_time);
    }

    /// Takes what is around the instance.
    pub(crate) fn around(&mut self, around: Around) {
        self.sample.host_cpu_used_ratio = around.used;
        self.sample.host_cpu_stolen_ratio = around.stolen;
    }

    /// The sample, as of `wall`.
    pub(crate) fn sample(&self, wall: EventTime) -> Sample {
        Sample { time: wall, ..self.sample.clone() }
    }

    /// How many counters fell since this was last asked.
    pub(crate) fn take_resets(&mut self) -> u64 {
        std::mem::take(&mut self.resets)
    }
}

/// Stalled microseconds per second as a share. The kernel adds them up at its own instants, so a whole stalled second
/// may come out a little above one.
fn share_of_time(us_per_second: f64) -> Ratio {
    Ratio::new((us_per_second / US_PER_SECOND).min(1.0))
}

/// Exact below 2^53 bytes, 8 PiB.
fn bytes(count: u64) -> Bytes {
    Bytes::new(count as f64)
}

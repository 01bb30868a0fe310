//! This machine's readings, once, for a person or a program. No broker is needed.

use std::thread;

use comfy_table::{CellAlignment, Table, presets};
use profiler::{Profiler, ProfilerSettings};
use schemas::{Metric, Ratio, Sample, Span};

use crate::amount::{bytes, cores};
use crate::instant;

/// Samples the machine at both ends of `over`, and prints what its readings were in between.
pub(crate) fn print(over: Span, is_json: bool, settings: &ProfilerSettings) -> anyhow::Result<()> {
    let settings = ProfilerSettings { host: true, ..settings.clone() };
    let mut profiler = Profiler::new(settings, &[])?;
    profiler.sample(instant::now());
    thread::sleep(over.duration());
    let samples = profiler.sample(instant::now());
    if is_json {
        println!("{}", serde_json::to_string(&samples)?);
        return Ok(());
    }
    for sample in &samples {
        println!("{} over the {over} before {}\n\n{}\n", sample.instance_name(), sample.time, table(sample).trim_fmt());
    }
    println!("To read this took {:.1} ms of CPU.", profiler.cost().cpu_seconds * 1e3);
    Ok(())
}

fn table(sample: &Sample) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["reading", "value", "what it is"]);
    for &metric in Metric::ALL {
        if let Some(meaning) = meaning(metric) {
            let value = sample.reading(metric).map_or_else(|| "not read".to_owned(), |value| readable(metric, value));
            table.add_row([metric.name(), &value, meaning]);
        }
    }
    if let Some(values) = table.column_mut(1) {
        values.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What a reading of the machine is; none for what applications tell of themselves.
fn meaning(metric: Metric) -> Option<&'static str> {
    Some(match metric {
        Metric::CpuUsed => "busy CPUs: neither idle, nor waiting for disks, nor stolen by other machines",
        Metric::CpuLimit => "CPUs that there are",
        Metric::CpuThrottled => "scheduling periods cut short: of control groups, never of a machine",
        Metric::MemoryWorkingSet => "memory that is in use and cannot be reclaimed: total less available",
        Metric::MemoryLimit => "memory that there is",
        Metric::DiskRead => "read from disks",
        Metric::DiskWrite => "written to disks",
        Metric::NetworkReceive => "received by network cards",
        Metric::NetworkTransmit => "sent by network cards",
        Metric::CpuPressure => "time in which some task waited for a CPU",
        Metric::MemoryPressure => "time in which some task waited for memory",
        Metric::IoPressure => "time in which some task waited for a disk",
        Metric::HostCpuStolen => "CPU time that the hypervisor gave to other machines",
        Metric::Requests
        | Metric::Errors
        | Metric::Late
        | Metric::Mirrorable
        | Metric::LatencyP99
        | Metric::HostCpuUsed => return None,
    })
}

fn readable(metric: Metric, value: f64) -> String {
    match metric.unit() {
        schemas::Cores::SYMBOL => format!("{} cores", cores(value)),
        schemas::Bytes::SYMBOL => bytes(value),
        schemas::BytesPerSecond::SYMBOL => format!("{}/s", bytes(value)),
        Ratio::SYMBOL => format!("{:.1} %", value * 100.0),
        unit => format!("{value:.3} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use schemas::{EventTime, WorkloadId};

    use super::*;

    #[test]
    fn amounts_are_readable() {
        // 1.5 × 2^30 bytes; 1536 bytes a second; half a core of nothing else.
        assert_eq!(readable(Metric::MemoryWorkingSet, 1_610_612_736.0), "1.50 GiB");
        assert_eq!(readable(Metric::DiskWrite, 1_536.0), "1.50 KiB/s");
        assert_eq!(readable(Metric::NetworkReceive, 0.0), "0 B/s");
        assert_eq!(readable(Metric::CpuUsed, 0.5), "0.50 cores");
        assert_eq!(readable(Metric::IoPressure, 0.031), "3.1 %");
    }

    #[test]
    fn what_was_not_read_says_so_and_is_not_zero() {
        let mut sample = Sample::new(EventTime::from_millis(1), WorkloadId::new("host").expect("a plain name"));
        sample.set(Metric::DiskRead, Some(0.0));
        let table = table(&sample).to_string();
        let line = |name: &str| table.lines().find(|line| line.contains(name)).expect("a row").to_owned();
        assert!(line("disk_read").contains("0 B/s"), "{table}");
        assert!(line("cpu_throttled").contains("not read"), "{table}");
        // Of seventeen metrics, three come from applications and one stands for the machine already; one line is the header.
        assert_eq!(table.lines().count(), 14, "{table}");
    }
}

//! Our side of the comparison with peers: the same points through our stages, one worker, features told as a digest.
//!
//! `peers windows|stages alone|whole SERIES TICKS SAMPLES`: pairs and features only, or all stages up to the decision law's
//! input; one series a workload, or sixteen, as the profiler reads them (eight metrics of primary and shadow).
#![allow(clippy::disallowed_methods, reason = "a measurement needs the clock")]
#![allow(clippy::print_stdout, reason = "the result goes to stdout")]

mod digest;
mod load;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use dataflow::{Depth, EngineSettings, Feed, Watch, measure_watched};
use digest::Digest;
use load::{Layout, Load};

/// As the binary allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: peers windows|stages alone|whole SERIES TICKS SAMPLES";

fn main() {
    let begun = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [depth_name, layout_name, numbers @ ..] = arguments.as_slice() else { panic!("{USAGE}") };
    let depth = match depth_name.as_str() {
        "windows" => Depth::Features,
        "stages" => Depth::Stages,
        _ => panic!("{USAGE}"),
    };
    let layout = match layout_name.as_str() {
        "alone" => Layout::Alone,
        "whole" => Layout::Whole,
        _ => panic!("{USAGE}"),
    };
    let numbers: Vec<u64> = numbers.iter().map(|number| number.parse().expect(USAGE)).collect();
    let &[series, ticks, samples] = numbers.as_slice() else { panic!("{USAGE}") };

    let workloads = load::records(series, layout);
    let load = Load::new(series, ticks, samples, layout);
    let digest = Arc::new(Mutex::new(Digest::default()));
    let tally = measure_watched(&EngineSettings::default(), depth, &workloads, vec![(feed(load), watch(&digest))])
        .expect("the default settings start one worker");
    let digest = digest.lock().expect("the worker has ended").json();
    let line = serde_json::json!({
        "engine": "foreshadow",
        "program": format!("{depth_name}-{layout_name}"),
        "series": series,
        "ticks": ticks,
        "samples": samples,
        "points": series * ticks * samples,
        "wall_seconds": begun.elapsed().as_secs_f64(),
        "cpu_seconds": cpu_seconds(),
        "decision_inputs": tally.signals,
        "digest": digest,
    });
    println!("{line}");
}

fn feed(mut load: Load) -> Feed {
    Box::new(move |_| load.next())
}

fn watch(digest: &Arc<Mutex<Digest>>) -> Watch {
    let digest = Arc::clone(digest);
    Box::new(move |record| digest.lock().expect("one worker adds, and does not panic").add(record))
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

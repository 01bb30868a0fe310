//! `bench`: what this machine carries, so that users can size their clusters.
//!
//! Every rate stands beside a null baseline of the same run: the same samples through the same harness, each reading read
//! once and dropped. CPU time stands beside wall time, which lies on a shared machine.

mod arrivals;
mod end_to_end;
mod engine;
mod ground;
mod latency;
mod load;
mod memory;
mod messages;
mod produce;
mod recovery;
mod subject;
mod sustain;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::settings::Settings;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// Points a second through the stages, from decoded samples in memory to the input of the decision law.
    Engine(engine::Engine),
    /// The same with two workers, and with up to a million series: what more cores and more series do.
    Scale(engine::Scale),
    /// Points a second from a producer through a real broker and the running pipeline, and back onto the broker.
    EndToEnd(end_to_end::EndToEnd),
    /// How long a decision takes from the sample that completes its tick to a consumer of the decisions.
    Latency(latency::Latency),
    /// How long a pipeline that was killed takes until its next decision, and until nothing is behind.
    Recovery(recovery::Recovery),
    /// Bytes that the windows of a series take, settled.
    Memory(memory::Memory),
    /// The generator of the measures with a broker: a process that they start.
    #[command(hide = true)]
    Generate,
}

/// Measures.
///
/// # Errors
/// When the stages cannot be started.
pub(crate) fn run(arguments: &Bench, settings: &Settings) -> anyhow::Result<()> {
    match &arguments.measure {
        Measure::Engine(arguments) => engine::run(arguments, settings),
        Measure::Scale(arguments) => engine::scale(arguments, settings),
        Measure::EndToEnd(arguments) => end_to_end::run(arguments, settings),
        Measure::Latency(arguments) => latency::run(arguments, settings),
        Measure::Recovery(arguments) => recovery::run(arguments, settings),
        Measure::Memory(arguments) => memory::run(arguments),
        Measure::Generate => produce::generate(),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Rows<R> {
    rows: Vec<R>,
}

/// CPU time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

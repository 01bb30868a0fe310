//! `evaluate`: how well forecasts and detectors do on data that they have not seen.

mod anomaly;
mod faults;
mod forecast;

use clap::{Args, Subcommand};
use serde::Serialize;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Evaluate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Forecasts on traces: error, coverage, and what it would be to provision by them.
    Forecast(forecast::Forecast),
    /// The anomaly detector on the Numenta Anomaly Benchmark.
    Anomaly(anomaly::Anomaly),
    /// The anomaly detector on labelled faults: what it finds, how soon, and how often it is wrong.
    Faults(faults::Faults),
}

/// Evaluates.
///
/// # Errors
/// When the data cannot be read.
pub(crate) fn run(arguments: &Evaluate) -> anyhow::Result<()> {
    match &arguments.what {
        What::Forecast(arguments) => forecast::run(arguments),
        What::Anomaly(arguments) => anomaly::run(arguments),
        What::Faults(arguments) => faults::run(arguments),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Rows<R> {
    rows: Vec<R>,
}

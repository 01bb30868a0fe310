//! The command line.

use clap::{Args, Parser, Subcommand};
use schemas::Span;

/// Keeps every workload supplied with just enough resource, a little ahead of time.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the pipeline on a simulated fleet: one simulated day in two minutes, and a table at the end.
    Demo(Demo),
}

/// What the demonstration takes.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// How long it runs, in wall time.
    #[arg(long, default_value = "120s")]
    pub(crate) duration: Span,
    /// Simulated time per wall time. Neither this nor the duration changes a decision, only where the run ends.
    #[arg(long, default_value_t = 720.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Seed of the fleet's noise.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Timely workers: the number never changes a decision.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    /// Prints one JSON object at the end, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints plain lines.
    #[arg(long)]
    pub(crate) plain: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a speed is a number above zero, such as 720".to_owned()),
    }
}

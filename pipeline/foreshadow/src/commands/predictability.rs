//! `predictability`: for which workloads prediction would pay.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use forecast::lstm::{self, Model};
use indicatif::ProgressBar;
use jobs::predictability::{Predictability, Verdict, judge};
use jobs::traces;
use schemas::Span;
use serde::Serialize;

use crate::words::words;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Traces: Parquet files with the columns `series` and `time`, and readings such as `cpu_cores` or `memory_bytes`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// Only the series whose name begins so.
    #[arg(long, value_name = "PREFIX")]
    series: Option<String>,
    /// Length of a step. Default: as far as a trace's readings lie apart, but a minute where that is under 10s.
    #[arg(long, value_name = "SPAN")]
    step: Option<Span>,
    /// Prints one JSON object with `rows`.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    rows: Vec<Predictability>,
}

/// Judges every series and prints the verdicts, then how many there are of each.
///
/// # Errors
/// When a trace cannot be read.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let series = runtime.block_on(traces::read(&arguments.traces, arguments.step.map(Span::millis)))?;
    let wanted = |name: &str| arguments.series.as_deref().is_none_or(|prefix| name.starts_with(prefix));
    let series: Vec<_> = series.into_iter().filter(|series| wanted(&series.name)).collect();
    anyhow::ensure!(!series.is_empty(), "no series begins with that name: leave --series out to see all");
    let (weights, _) = lstm::shipped().context("the artifact that ships is refused")?;
    let model = Model::new(&weights);
    let progress = ProgressBar::new(series.len() as u64);
    let mut rows = Vec::with_capacity(series.len());
    for series in &series {
        rows.push(judge(series, Some(&model))?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string(&Answer { rows })?);
        return Ok(());
    }
    rows.iter().for_each(|row| println!("{} {}: {}", row.trace, row.series, row.sentence));
    for verdict in [Verdict::Pays, Verdict::Indifferent, Verdict::Percentile, Verdict::Unknown] {
        let number = rows.iter().filter(|row| row.verdict == verdict).count();
        println!("{number} of {}: {}", rows.len(), words(&verdict));
    }
    Ok(())
}

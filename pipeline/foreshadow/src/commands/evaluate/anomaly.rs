//! `evaluate anomaly`: the detector on the Numenta Anomaly Benchmark.

use std::path::PathBuf;

use clap::Args;
use jobs::evaluate::nab::{self, Verdict};

use super::Rows;
use crate::output;

/// What stands below the options.
const AFTER_HELP: &str = "\
Every file is streamed once, in order. The result files are those of the benchmark, below DIR/foreshadow, and its own \
scorer reads them. One threshold a profile, the best over all files, holds for all of them.

Example:
  foreshadow evaluate anomaly --nab ./NAB --results ./results";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Anomaly {
    /// A checkout of the benchmark, with its folders data and labels.
    #[arg(long, value_name = "DIR")]
    nab: PathBuf,
    /// Where the result files are written.
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// Prints one JSON object with all rows.
    #[arg(long)]
    json: bool,
}

/// Streams, writes and scores.
pub(super) fn run(arguments: &Anomaly) -> anyhow::Result<()> {
    let rows = nab::evaluate(&arguments.nab, &arguments.results)?;
    output::to_stdout(|out| {
        if arguments.json {
            return Ok(writeln!(out, "{}", serde_json::to_string(&Rows { rows })?)?);
        }
        writeln!(
            out,
            "{:<6} {:<14} {:>6} {:>10} {:>6} {:>11}",
            "set", "profile", "score", "threshold", "files", "detections"
        )?;
        for Verdict { set, profile, score, threshold, files, detections } in rows {
            writeln!(out, "{set:<6} {profile:<14} {score:>6.1} {threshold:>10.4} {files:>6} {detections:>11}")?;
        }
        Ok(())
    })
}

//! `evaluate faults`: the detector on labelled faults.

use std::path::PathBuf;

use clap::Args;
use jobs::evaluate::faults::{self, Figures, Row, Streamed};

use super::Rows;
use crate::output;

/// What stands below the options.
const AFTER_HELP: &str = "\
Every pod, container or server is streamed once, with an empty memory at its beginning. `stated` is the detector's own \
threshold; `limited` is that times the least factor, one for all files, with at most one false alarm a series-day.

Example:
  foreshadow evaluate faults nezha_metrics_2022-08-22.parquet rcd_sockshop_1s.parquet";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Faults {
    /// Labelled recordings: Parquet files of pods (with the list of faults beside them), containers or servers.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints one JSON object with `rows`.
    #[arg(long)]
    json: bool,
}

/// Streams and counts.
///
/// # Errors
/// When a file cannot be read, or is no labelled recording.
pub(super) fn run(arguments: &Faults) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recordings = runtime.block_on(faults::read_all(&arguments.files))?;
    for (file, fault) in recordings.iter().flat_map(|file| file.left_out.iter().map(|fault| (&file.name, fault))) {
        tracing::warn!(file, fault, "the fault names nobody who was recorded: its run is left out");
    }
    let streamed: Vec<Streamed> = recordings.into_iter().map(Streamed::new).collect();
    let rows = faults::verdict(&streamed);
    output::to_stdout(|out| {
        if arguments.json {
            return Ok(writeln!(out, "{}", serde_json::to_string(&Rows { rows })?)?);
        }
        writeln!(
            out,
            "{:<36} {:<8} {:>6} {:>6} {:>9} {:>6} {:>15}",
            "file", "point", "events", "recall", "precision", "delay", "false a day"
        )?;
        rows.iter().try_for_each(|row| Ok(writeln!(out, "{}", line(row))?))
    })
}

fn line(row: &Row) -> String {
    let Figures { events, recall, precision, median_delay_steps, false_alarms_per_series_day, .. } = &row.figures;
    let told = |figure: &Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"));
    let (recall, precision, delay) = (told(recall), told(precision), told(median_delay_steps));
    let (file, point) = (&row.file, row.operating);
    format!(
        "{file:<36} {point:<8} {events:>6} {recall:>6} {precision:>9} {delay:>6} {false_alarms_per_series_day:>15.2}"
    )
}

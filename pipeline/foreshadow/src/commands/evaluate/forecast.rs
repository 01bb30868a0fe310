//! `evaluate forecast`: every expert, and the whole, on traces.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use forecast::lstm::{self, Model, Weights};
use indicatif::{ProgressBar, ProgressStyle};
use jobs::evaluate::forecast::{Evaluation, Row, evaluate};
use jobs::history;
use jobs::synthesize::{Synthesis, synthesize};
use jobs::traces::{self, Series};
use schemas::Span;

use super::Rows;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Forecast {
    #[command(flatten)]
    sources: Sources,
    /// Only series beside which a shadow was read.
    #[arg(long)]
    shadowed: bool,
    /// Hides what shadows have shown: what is lost by that is what they add.
    #[arg(long)]
    without_shadow: bool,
    /// The artifact of the network to evaluate; without it, the one that ships.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Leaves the network out.
    #[arg(long, conflicts_with = "model")]
    without_lstm: bool,
    /// Only these rows: `ensemble`, `lstm`, `persistence`, … Default: all.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    experts: Vec<String>,
    /// Length of a step. Default: 10s for history; as far as a trace's readings lie apart, but a minute where that is under
    /// 10s.
    #[arg(long, value_name = "SPAN")]
    step: Option<Span>,
    /// Most origins that are scored of a series at each horizon.
    #[arg(long, default_value_t = Evaluation::default().origins_max, value_name = "N")]
    origins: usize,
    /// The quantile that experts are chosen and calibrated at.
    #[arg(long, default_value_t = Evaluation::default().target, value_name = "Q")]
    target: f64,
    /// Shifts each series' level by this factor at the start of its test and every day from then on, up and back in turn. JSON
    /// then also tells the coverage of what is forecast 28 to 55 steps after each shift.
    #[arg(long, value_name = "FACTOR")]
    level_shift: Option<f64>,
    /// Prints one JSON object with `rows`.
    #[arg(long)]
    json: bool,
}

/// What is evaluated on.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Sources {
    /// Traces: Parquet files with the columns `series` and `time`, and readings such as `cpu_cores` or `memory_bytes`.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// A folder of history that `foreshadow run --history` writes.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// Synthetic workloads of this seed, some of them with a shadow; the network that ships has seen seed 1.
    #[arg(long, value_name = "SEED")]
    synthetic: Option<u64>,
}

impl Sources {
    fn read(&self, step_ms: Option<u64>) -> anyhow::Result<Vec<Series>> {
        if let Some(seed) = self.synthetic {
            return Ok(synthesize(&Synthesis { seed, ..Synthesis::default() }));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match &self.history {
            Some(folder) => Ok(runtime.block_on(history::read(folder, step_ms.unwrap_or(history::STEP_MS)))?),
            None => Ok(runtime.block_on(traces::read(&self.traces, step_ms))?),
        }
    }
}

/// Evaluates and prints.
///
/// # Errors
/// When a trace or the artifact cannot be read.
pub(crate) fn run(arguments: &Forecast) -> anyhow::Result<()> {
    if arguments.origins == 0 {
        bail!("--origins 0 scores nothing: give at least 1");
    }
    if arguments.level_shift.is_some_and(|factor| !(factor.is_finite() && factor > 0.0)) {
        bail!("--level-shift must be a number above zero, such as 2");
    }
    let model = model(arguments)?;
    let step_ms = arguments.step.map(Span::millis);
    if step_ms == Some(0) {
        bail!("--step must be at least 1ms");
    }
    let mut series = arguments.sources.read(step_ms)?;
    if arguments.shadowed {
        series.retain(|series| !series.shadow.is_empty());
    }
    if arguments.without_shadow {
        series.iter_mut().for_each(|series| series.shadow.clear());
    }
    let whole = |series: &Series| (series.trace.clone(), series.step_ms);
    series.sort_by_key(whole);
    let evaluation = Evaluation {
        origins_max: arguments.origins,
        target: arguments.target,
        experts: arguments.experts.clone(),
        level_shift: arguments.level_shift,
    };
    let by_trace: Vec<&[Series]> = series.chunk_by(|a, b| whole(a) == whole(b)).collect();
    let progress = ProgressBar::new(by_trace.len() as u64);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos} of {len} traces {wide_msg}")?);
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for trace in by_trace {
        let name = &trace[0].trace;
        progress.set_message(name.clone());
        match evaluate(trace, &evaluation, model.as_ref()) {
            Ok(scored) => rows.extend(scored),
            Err(error) => failed.push(format!("{name} with steps of {} ms: {error}", trace[0].step_ms)),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let unknown = arguments.experts.iter().find(|expert| rows.iter().all(|row| row.expert != **expert));
    if let Some(unknown) = unknown.filter(|_| failed.is_empty()) {
        bail!("--experts {unknown}: nobody of that name has answered; leave --experts out to see who has");
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&Rows { rows })?);
    } else {
        println!("{}", table(&rows));
    }
    anyhow::ensure!(failed.is_empty(), "some traces are not scored: {}", failed.join("; "));
    Ok(())
}

fn model(arguments: &Forecast) -> anyhow::Result<Option<Model>> {
    if arguments.without_lstm {
        return Ok(None);
    }
    let (weights, _) = match &arguments.model {
        None => lstm::shipped().context("the artifact that ships is refused")?,
        Some(path) => {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read the artifact {}", path.display()))?;
            let read = Weights::from_bytes(&bytes);
            read.with_context(|| format!("the artifact {} is refused", path.display()))?
        }
    };
    Ok(Some(Model::new(&weights)))
}

fn table(rows: &[Row]) -> Table {
    const COLUMNS: [&str; 14] = [
        "trace",
        "horizon",
        "expert",
        "series",
        "MASE",
        "WAPE",
        "wQL.50",
        "wQL.90",
        "wQL.95",
        "cov.90",
        "cov.95",
        "slack",
        "slack at 5 %",
        "at 1 %",
    ];
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(COLUMNS);
    for row in rows {
        let scored = &row.scored;
        let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let mut cells =
            vec![row.trace.clone(), format!("{} s", row.horizon_s), row.expert.clone(), row.series.to_string()];
        cells.push(optional(scored.mase_median));
        let plain =
            [scored.wape, scored.wql50, scored.wql90, scored.wql95, scored.coverage90, scored.coverage95, scored.slack];
        cells.extend(plain.map(|value| format!("{value:.4}")));
        cells.extend([scored.slack_at_5, scored.slack_at_1].map(optional));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

//! Points a second through the stages.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::{Args, ValueEnum};
use dataflow::{Depth, EngineSettings, Feed, Tally, measure};
use serde::Serialize;

use super::load::{Load, METRICS, SERIES, Shape, Skew, TICK_MS, records};
use super::{Rows, cpu_seconds};
use crate::settings::Settings;

/// What `bench engine` takes.
#[derive(Args, Debug)]
pub(super) struct Engine {
    /// One JSON object with `rows`.
    #[arg(long)]
    json: bool,
    /// Numbers of series, with commas between; a workload has sixteen.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    series: Vec<usize>,
    /// Shapes, with commas between.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "one-a-series,ten-a-series")]
    shapes: Vec<Shape>,
    /// Skews, with commas between.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "uniform,zipf")]
    skews: Vec<Skew>,
    /// Seconds that are measured of each case, after as many ticks of warm-up as the minute's window has.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// What `bench scale` takes.
#[derive(Args, Debug)]
pub(super) struct Scale {
    /// One JSON object with `rows`.
    #[arg(long)]
    json: bool,
    /// Seconds that are measured of each case.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The most series.
    #[arg(long, default_value_t = 1_000_000)]
    series_max: usize,
}

/// One case.
#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    series: usize,
    skew: Skew,
    workers: usize,
}

#[derive(Serialize)]
struct Row {
    shape: Shape,
    series: usize,
    skew: Skew,
    workers: usize,
    points_per_second: f64,
    null_points_per_second: f64,
    cpu_seconds_per_million_points: f64,
    null_cpu_seconds_per_million_points: f64,
    windows_per_second: f64,
    decision_inputs_per_second: f64,
}

/// Ticks before measuring: the minute's window is full, and every stage has its state.
const WARM_UP: u64 = 70;

/// Measures every case.
///
/// # Errors
/// When the stages cannot be started.
pub(super) fn run(arguments: &Engine, settings: &Settings) -> anyhow::Result<()> {
    let mut cases = Vec::new();
    for &shape in &arguments.shapes {
        for &series in &arguments.series {
            for &skew in &arguments.skews {
                cases.push(Case { shape, series, skew, workers: 1 });
            }
        }
    }
    report(&cases, arguments.seconds, arguments.json, &settings.engine)
}

/// Measures more workers and more series.
///
/// # Errors
/// When the stages cannot be started.
pub(super) fn scale(arguments: &Scale, settings: &Settings) -> anyhow::Result<()> {
    let case = |series, workers| Case { shape: Shape::TenASeries, series, skew: Skew::Uniform, workers };
    let decades = [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|series| *series <= arguments.series_max);
    let mut cases: Vec<Case> = decades.map(|series| case(series, 1)).collect();
    cases.push(case(arguments.series_max.min(100_000), 2));
    report(&cases, arguments.seconds, arguments.json, &settings.engine)
}

fn report(cases: &[Case], seconds: f64, json: bool, settings: &EngineSettings) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for case in cases {
        let null = time(*case, Depth::Null, seconds / 5.0, settings)?;
        let stages = time(*case, Depth::Stages, seconds, settings)?;
        let row = Row {
            shape: case.shape,
            series: case.series,
            skew: case.skew,
            workers: case.workers,
            points_per_second: stages.points / stages.seconds,
            null_points_per_second: null.points / null.seconds,
            cpu_seconds_per_million_points: 1e6 * stages.cpu_seconds / stages.points,
            null_cpu_seconds_per_million_points: 1e6 * null.cpu_seconds / null.points,
            windows_per_second: stages.tally.windows as f64 / stages.seconds_in_all,
            decision_inputs_per_second: stages.tally.signals as f64 / stages.seconds_in_all,
        };
        if !json {
            println!(
                "{}, {} series, {}, {} worker(s): {:.2} M points/s, {:.3} CPU-s a million; null {:.1} M points/s",
                word(case.shape),
                case.series,
                word(case.skew),
                case.workers,
                row.points_per_second / 1e6,
                row.cpu_seconds_per_million_points,
                row.null_points_per_second / 1e6
            );
        }
        rows.push(row);
    }
    if json {
        println!("{}", serde_json::to_string(&Rows { rows })?);
    }
    Ok(())
}

/// A value as the command line spells it.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What a run took.
struct Timed {
    points: f64,
    seconds: f64,
    cpu_seconds: f64,
    tally: Tally,
    seconds_in_all: f64,
}

/// Where the first worker stood when something was passed.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    cpu_seconds: f64,
    ticks: u64,
}

fn time(case: Case, depth: Depth, seconds: f64, settings: &EngineSettings) -> anyhow::Result<Timed> {
    let workloads = case.series.div_ceil(SERIES);
    let marks = Arc::new(Mutex::new(Vec::new()));
    let mut rows_per_tick = 0.0;
    let mut feeds = Vec::new();
    for worker in 0..case.workers {
        let load = Load::new(workloads, case.shape, case.skew, (worker, case.workers));
        rows_per_tick += load.rows_per_tick();
        let marks = (worker == 0).then(|| Arc::clone(&marks));
        feeds.push(feed(load, seconds, marks));
    }
    let begun = Instant::now();
    let tally = measure(settings, depth, &records(workloads), feeds)?;
    let seconds_in_all = begun.elapsed().as_secs_f64();
    let marks: Vec<Mark> = marks.lock().expect("no feed panics").clone();
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    Ok(Timed {
        points: (last.ticks - first.ticks) as f64 * rows_per_tick * METRICS.len() as f64,
        seconds: (last.at - first.at).as_secs_f64(),
        cpu_seconds: last.cpu_seconds - first.cpu_seconds,
        tally,
        seconds_in_all,
    })
}

/// Feeds samples until the first mark is `seconds` old; all workers feed as many ticks as time allows them.
fn feed(mut load: Load, seconds: f64, marks: Option<Arc<Mutex<Vec<Mark>>>>) -> Feed {
    let mut first_tick = None;
    let mut warm: Option<Instant> = None;
    Box::new(move |closed| {
        let block = load.next();
        let first = *first_tick.get_or_insert(block.0);
        let ticks = closed.min(block.0).saturating_sub(first) / TICK_MS;
        if ticks >= WARM_UP {
            let now = Instant::now();
            let since = *warm.get_or_insert(now);
            if let Some(marks) = &marks {
                let mark = Mark { at: now, cpu_seconds: cpu_seconds(), ticks };
                let mut marks = marks.lock().expect("no feed panics");
                if marks.last().is_none_or(|last: &Mark| last.ticks < ticks) {
                    marks.push(mark);
                }
            }
            if (now - since).as_secs_f64() >= seconds && ticks > WARM_UP {
                return None;
            }
        }
        Some(block)
    })
}

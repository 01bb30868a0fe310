//! How long a decision takes from the sample that completes its tick to a consumer of the decisions.
//!
//! Open loop: each sample is due at an instant, and decisions are timed from there, so nothing that is slow hides what
//! waits behind it. The load of each workload rises and falls, those of different agents at different times, and the law
//! is set to follow at once, so that there are decisions to time. What is published beside them stays as the user has set
//! it.

use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use schemas::Span;
use serde::Serialize;

use super::Rows;
use super::arrivals::{Arrivals, ECHO_TICK_MS, Echo};
use super::ground::{BrokerProcess, Ground};
use super::load::{METRICS, SERIES};
use super::messages::{Lane, Mix};
use super::produce::{Plan, Producer, now_ms};
use super::subject::{Done, Subject};
use super::sustain::{Measured, Stand, WARM_UP};
use crate::settings::Settings;
use crate::stop::{self, Stop};

/// What `bench latency` takes.
#[derive(Args, Debug)]
pub(super) struct Latency {
    /// One JSON object with `rows`.
    #[arg(long)]
    json: bool,
    /// Workloads, each with a primary and a shadow that are read.
    #[arg(long, default_value_t = 10_000)]
    workloads: usize,
    /// Samples a second of each; where that is not kept up with, the next lower of 5, 2 and 1 is measured.
    #[arg(long, default_value_t = 10)]
    hz: u32,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

#[derive(Serialize)]
struct Row {
    workloads: usize,
    hz: u32,
    /// What was asked for; more than `hz` where that was not kept up with.
    asked_hz: u32,
    offered_points_per_second: f64,
    features_every_ms: u64,
    /// Of the decisions; none where too few lie beyond to tell.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
    max_ms: f64,
    decisions: u64,
    null_p50_ms: Option<f64>,
    null_p99_ms: Option<f64>,
    cpu_seconds_per_million_points: f64,
    backlog_seconds: f64,
}

/// Samples of a message: what an agent reads of a machine's instances at once.
const ROWS: usize = 64;

/// Time in which a load rises and falls once.
const SWING_MS: u64 = 20_000;

/// Length of the first span, which fills the minute's windows and shows whether the rate can be kept up with.
const FIRST_SPAN: Duration = Duration::from_secs(40);

/// Rates that are tried below the one that was asked for.
const LOWER_HZ: [u32; 3] = [5, 2, 1];

/// Decisions that must have taken longer than a quantile says, or it is an accident.
const BEYOND_MIN: f64 = 10.0;

/// How long the last decisions of a span are waited for.
const LAST_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Measures.
///
/// # Errors
/// When there is no broker, or not even one sample a second is kept up with.
pub(super) fn run(arguments: &Latency, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let rates = std::iter::once(arguments.hz).chain(LOWER_HZ.into_iter().filter(|hz| *hz < arguments.hz));
    for hz in rates {
        let case = Case { workloads: arguments.workloads, hz, span: Duration::from_secs(arguments.seconds) };
        let Some(row) = measure(case, arguments.hz, settings, &stop)? else { continue };
        if arguments.json {
            println!("{}", serde_json::to_string(&Rows { rows: vec![row] })?);
        } else {
            print(&row);
        }
        return Ok(());
    }
    anyhow::bail!(
        "{} workloads are not kept up with at 1 Hz: ask for fewer with --workloads, or publish features less often than \
         each {} (engine.features_every)",
        arguments.workloads,
        settings.engine.features_every
    )
}

/// A load with decisions.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) workloads: usize,
    pub(super) hz: u32,
    pub(super) span: Duration,
}

impl Case {
    pub(super) fn samples_per_second(&self) -> f64 {
        (self.workloads * SERIES / METRICS.len()) as f64 * f64::from(self.hz)
    }

    pub(super) fn plan(&self, ground: &Ground) -> Plan {
        let (workloads, partitions) = (self.workloads, ground.partitions);
        let mix = Mix { lane: Lane::Native, rows: ROWS, workloads, partitions, swing_ms: Some(SWING_MS) };
        Plan { kafka: ground.kafka.clone(), mix, linger_ms: 0.0 }
    }
}

/// The row of a rate; none where it is not kept up with.
fn measure(case: Case, asked_hz: u32, settings: &Settings, stop: &Stop) -> anyhow::Result<Option<Row>> {
    let settings = follow_at_once(settings);
    let Some((measured, histogram)) = piped(case, &settings, stop)? else {
        tracing::warn!(hz = case.hz, "not kept up with: a lower rate is tried");
        return Ok(None);
    };
    let null = null(case, &settings, stop)?;
    let of = |histogram: &Histogram<u64>, quantile: f64| {
        let beyond = histogram.len() as f64 * (1.0 - quantile);
        (beyond >= BEYOND_MIN).then(|| histogram.value_at_quantile(quantile) as f64 / 1_000.0)
    };
    let points = METRICS.len() as f64;
    Ok(Some(Row {
        workloads: case.workloads,
        hz: case.hz,
        asked_hz,
        offered_points_per_second: case.samples_per_second() * points,
        features_every_ms: settings.engine.features_every.millis(),
        p50_ms: of(&histogram, 0.5),
        p99_ms: of(&histogram, 0.99),
        p999_ms: of(&histogram, 0.999),
        max_ms: histogram.max() as f64 / 1_000.0,
        decisions: histogram.len(),
        null_p50_ms: of(&null, 0.5),
        null_p99_ms: of(&null, 0.99),
        cpu_seconds_per_million_points: 1e6 * measured.cpu_seconds / (measured.samples * points),
        backlog_seconds: measured.backlog_seconds,
    }))
}

/// The latencies of the pipeline's decisions, in microseconds; none where it does not keep up.
fn piped(case: Case, settings: &Settings, stop: &Stop) -> anyhow::Result<Option<Timed>> {
    let ground = Ground::new(settings, case.workloads)?;
    let subject = Subject::pipeline(&ground, settings, Done::Decisions)?;
    let timed = time(case, &ground, &subject, settings, stop);
    // The pipeline ends before its topics do, whatever came of it.
    let ended = subject.end();
    let timed = timed?;
    ended?;
    Ok(timed)
}

type Timed = (Measured, Histogram<u64>);

fn time(
    case: Case,
    ground: &Ground,
    subject: &Subject,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<Option<Timed>> {
    let producer = Producer::start(&case.plan(ground))?;
    let (rate, broker) = (case.samples_per_second(), BrokerProcess::find(&ground.kafka.brokers));
    let mut stand = Stand { producer, subject, broker, easy: rate / f64::from(case.hz), stop };
    // At one sample a second first: every workload is met, which takes a while the first time.
    if !stand.drain()? || !stand.measure(rate, FIRST_SPAN)?.sustained {
        return Ok(None);
    }
    let after_ms = settings.engine.tick.millis() + settings.engine.lateness.millis();
    let arrivals = Arrivals::follow(ground, after_ms)?;
    let from_ms = now_ms() + WARM_UP.as_secs_f64() * 1_000.0;
    let measured = stand.measure(rate, case.span)?;
    let until_ms = now_ms();
    wait_until(|| subject.done_ms() as f64 + after_ms as f64 > until_ms, stop)?;
    let histogram = arrivals.end(from_ms, until_ms)?;
    Ok(measured.sustained.then_some((measured, histogram)))
}

/// The same path with nothing between: samples are answered as soon as they are read.
fn null(case: Case, settings: &Settings, stop: &Stop) -> anyhow::Result<Histogram<u64>> {
    let ground = Ground::new(settings, case.workloads)?;
    let echo = Echo::start(&ground)?;
    let mut producer = Producer::start(&case.plan(&ground))?;
    producer.go(case.samples_per_second())?;
    let begun = Instant::now();
    wait_until(|| begun.elapsed() >= WARM_UP, stop)?;
    let arrivals = Arrivals::follow(&ground, ECHO_TICK_MS)?;
    let from_ms = now_ms();
    while begun.elapsed() < WARM_UP + case.span / 2 {
        anyhow::ensure!(!stop.wait(LOOK_EVERY), "stopped");
        producer.told()?;
    }
    let until_ms = now_ms();
    wait_until(|| echo.done_ms() as f64 > until_ms, stop)?;
    let histogram = arrivals.end(from_ms, until_ms)?;
    drop(producer);
    echo.end()?;
    Ok(histogram)
}

fn wait_until(holds: impl Fn() -> bool, stop: &Stop) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds() {
        anyhow::ensure!(!stop.wait(LOOK_EVERY), "stopped");
        anyhow::ensure!(begun.elapsed() < LAST_MAX, "the last decisions did not come within {LAST_MAX:?}");
    }
    Ok(())
}

/// How long a load must have been gone until less is granted: a quarter of the time in which it is low.
const FOLLOWED_WITHIN: Span = Span::from_millis(SWING_MS / 8);

/// Share of an allocation that must lie idle before it is lowered: less than the swing, more than the readings' noise.
const SCALE_DOWN_THRESHOLD: f64 = 0.4;

/// The user's settings, but for a law that follows the swing of the load in both directions.
pub(super) fn follow_at_once(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let engine = &mut settings.engine;
    engine.floor_window = FOLLOWED_WITHIN;
    engine.horizon_prior = engine.tick;
    engine.dwell = Span::from_millis(0);
    engine.quarantine = Span::from_millis(0);
    engine.scaling.scale_down_threshold = SCALE_DOWN_THRESHOLD;
    engine.scaling.raise_rest = Span::from_millis(0);
    engine.scaling.stabilisation = FOLLOWED_WITHIN;
    engine.scaling.churn_changes_max = 1_000;
    settings
}

fn print(row: &Row) {
    if row.hz < row.asked_hz {
        println!("{} Hz are not kept up with; the highest rate that is:", row.asked_hz);
    }
    let told =
        |quantile: Option<f64>| quantile.map_or_else(|| "too few to tell".to_owned(), |ms| format!("{ms:.1} ms"));
    println!(
        "{} workloads at {} Hz ({:.2} M points/s): of {} decisions half within {}, 99 % {}, 99.9 % {}, all {:.1} ms, \
         beyond tick and lateness; null half {} and 99 % {}",
        row.workloads,
        row.hz,
        row.offered_points_per_second / 1e6,
        row.decisions,
        told(row.p50_ms),
        told(row.p99_ms),
        told(row.p999_ms),
        row.max_ms,
        told(row.null_p50_ms),
        told(row.null_p99_ms)
    );
}

//! Points a second from a producer through a real broker and the running pipeline, and back onto the broker.
//!
//! Producer, broker and pipeline share this machine. The pipeline runs under the user's settings, as `foreshadow run`
//! does. Beside it stands the null baseline: a consumer that reads, decodes, counts and drops, with the same producer and
//! broker. Both are measured at the highest rate that they keep up with; neither is a rate of working off a heap.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::Rows;
use super::ground::{BrokerProcess, Ground};
use super::load::{METRICS, SERIES, Skew};
use super::messages::{Lane, Mix};
use super::produce::{Plan, Producer};
use super::subject::{Done, Subject};
use super::sustain::{Measured, Stand};
use crate::settings::Settings;
use crate::stop::{self, Stop};

/// What `bench end-to-end` takes.
#[derive(Args, Debug)]
pub(super) struct EndToEnd {
    /// One JSON object with `rows`.
    #[arg(long)]
    json: bool,
    /// Seconds for which a rate must be kept up with.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Numbers of series, with commas between; a workload has sixteen.
    #[arg(long, value_delimiter = ',', default_value = "10000")]
    series: Vec<usize>,
    /// Samples of a message in the native lane, with commas between.
    #[arg(long, value_delimiter = ',', default_value = "1,64,1024")]
    shapes: Vec<usize>,
    /// Lanes, with commas between; a message of JSON has one sample.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "native,json")]
    lanes: Vec<Lane>,
}

#[derive(Serialize)]
struct Row {
    /// Samples of a message.
    shape: usize,
    lane: Lane,
    series: usize,
    skew: Skew,
    workers: usize,
    points_per_second: f64,
    samples_per_second: f64,
    null_points_per_second: f64,
    /// Of the pipeline's process alone, as the next two are of the others.
    cpu_seconds_per_million_points: f64,
    producer_cpu_seconds_per_million_points: f64,
    broker_cpu_seconds_per_million_points: Option<f64>,
    null_cpu_seconds_per_million_points: f64,
    /// At the end, beyond the tick and the lateness that is allowed.
    backlog_seconds: f64,
}

/// Samples a second that the search begins with.
const FIRST: f64 = 32_000.0;

/// Samples a second at which everything keeps up, and messages a second at which no partition is idle.
const EASY_SAMPLES: f64 = 4_000.0;
const EASY_MESSAGES: usize = 32;

/// How long the generator gathers messages: Kafka's own producer does so by default since 4.0.
const LINGER_MS: f64 = 5.0;

/// Measures every case.
///
/// # Errors
/// When there is no broker, or a part of a case ends before its time.
pub(super) fn run(arguments: &EndToEnd, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    anyhow::ensure!(arguments.shapes.iter().all(|rows| (1..=8192).contains(rows)), "--shapes: 1 to 8192 samples");
    let mut rows = Vec::new();
    for &lane in &arguments.lanes {
        let shapes = if lane == Lane::Json { &[1][..] } else { &arguments.shapes };
        for &shape in shapes {
            for &series in &arguments.series {
                let workloads = series.div_ceil(SERIES);
                let mix = Mix { lane, rows: shape, workloads, partitions: settings.partitions, swing_ms: None };
                let row = case(mix, series, Duration::from_secs(arguments.seconds), settings, &stop)?;
                tell(&row, arguments.json);
                rows.push(row);
            }
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&Rows { rows })?);
    }
    Ok(())
}

fn case(mix: Mix, series: usize, span: Duration, settings: &Settings, stop: &Stop) -> anyhow::Result<Row> {
    let null = measure(mix, span / 4, settings, stop, Subject::null)?;
    let piped = measure(mix, span, settings, stop, |ground| Subject::pipeline(ground, settings, Done::Everything))?;
    let points = METRICS.len() as f64;
    let per_million = |seconds: f64, measured: &Measured| 1e6 * seconds / (measured.samples * points);
    Ok(Row {
        shape: mix.rows,
        lane: mix.lane,
        series,
        skew: Skew::Uniform,
        workers: settings.engine.workers,
        points_per_second: piped.samples_per_second * points,
        samples_per_second: piped.samples_per_second,
        null_points_per_second: null.samples_per_second * points,
        cpu_seconds_per_million_points: per_million(piped.cpu_seconds, &piped),
        producer_cpu_seconds_per_million_points: per_million(piped.producer_cpu_seconds, &piped),
        broker_cpu_seconds_per_million_points: piped.broker_cpu_seconds.map(|seconds| per_million(seconds, &piped)),
        null_cpu_seconds_per_million_points: per_million(null.cpu_seconds, &null),
        backlog_seconds: piped.backlog_seconds,
    })
}

/// Measures a subject on topics of its own.
fn measure(
    mix: Mix,
    span: Duration,
    settings: &Settings,
    stop: &Stop,
    subject: impl Fn(&Ground) -> anyhow::Result<Subject>,
) -> anyhow::Result<Measured> {
    let ground = Ground::new(settings, mix.workloads)?;
    let subject = subject(&ground)?;
    let mut kafka = ground.kafka.clone();
    if mix.lane == Lane::Json {
        // As producers that are not ours: theirs compress when they are told to.
        kafka.options.entry("compression.type".to_owned()).or_insert_with(|| "none".to_owned());
    }
    let producer = Producer::start(&Plan { kafka, mix, linger_ms: LINGER_MS })?;
    let broker = BrokerProcess::find(&ground.kafka.brokers);
    let easy = EASY_SAMPLES.max((mix.rows * EASY_MESSAGES) as f64);
    let measured = Stand { producer, subject: &subject, broker, easy, stop }.highest(FIRST.max(easy), span);
    let ended = subject.end();
    let measured = measured?;
    ended?;
    Ok(measured)
}

/// One line a case, beside the object where that is asked for: the next case takes minutes.
fn tell(row: &Row, beside: bool) {
    let lane = if row.lane == Lane::Json { "JSON" } else { "native" };
    let line = format!(
        "{lane}, {} sample(s) a message, {} series, {} worker(s): {:.2} M points/s ({:.0} samples/s), {:.2} CPU-s a \
         million, {:.1} s behind; null {:.2} M points/s",
        row.shape,
        row.series,
        row.workers,
        row.points_per_second / 1e6,
        row.samples_per_second,
        row.cpu_seconds_per_million_points,
        row.backlog_seconds,
        row.null_points_per_second / 1e6
    );
    if beside {
        tracing::info!("{line}");
    } else {
        println!("{line}");
    }
}

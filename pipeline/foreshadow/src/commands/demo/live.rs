//! `demo --live`: the same on this machine, with real processes under real load.
//!
//! ```text
//! load, open loop ─► mirror ─┬─► primary ┐ processes in control groups ─► profiler ─► samples ─► pipeline ─► decisions
//!                            └─► shadow  ┘◄──────────────────────── adapter ◄─────────────────────────────────┘
//! ```
//!
//! Every part is the one that its command runs; they share a process, and the embedded log instead of Kafka. The load climbs
//! until the primary would be far beyond what it begins with.

mod course;
mod stage;

use std::io::Write;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use dataflow::EngineSettings;
use orchestrators::{Adapter, Cgroups, HostLimits};
use profiler::ProfilerSettings;
use schemas::{Decision, FeatureRecord, Span};
use services::{Arrivals, Load, Outcome, Second, Shape, Spacing, load};
use topics::{Log, Start};
use wire::{Parts, Pipeline};

use super::{Demo, log, picture};
use crate::commands::actuate::predecessor::Predecessor;
use crate::commands::actuate::{inventory, local};
use crate::commands::{mirror, profile};
use crate::following::Following;
use crate::instant;
use crate::settings::Settings;
use crate::stop::{self, Stop};
use course::Course;
use stage::Stage;

/// What the adapter's groups are told apart by from those of `actuate`.
const SUFFIX: &str = "-demo";

/// Where control groups cannot be had, the simulated fleet shows the same.
const ELSEWHERE: &str = "the live demonstration runs processes in control groups, which takes root and groups that can be written; \
                         `foreshadow demo` shows the same on a simulated fleet";

/// The profiler's interval: a tick holds five readings.
const INTERVAL: Span = Span::from_millis(200);

/// Requests per second, from the first second to the last.
const RATES: (u32, u32) = (40, 320);

/// Time that the parts have to find each other before the load begins.
const SETTLING: Duration = Duration::from_secs(3);

/// Between two looks at what has come onto the log.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Time that the last ticks have to close once the load has ended: the lateness and a little more.
const CLOSING: Duration = Duration::from_secs(4);

/// Seconds of load that wait to be shown.
const SECONDS_MAX: usize = 64;

/// Runs the live demonstration; then what came of it.
pub(super) fn run(arguments: &Demo, settings: &Settings) -> anyhow::Result<()> {
    let stage = Stage::on_free_ports(!arguments.without_shadow)?;
    let mut adapter = Cgroups::new(stage.services()?, SUFFIX, HostLimits::default()).context(ELSEWHERE)?;
    let log = log(arguments.keep.as_ref(), settings.embedded.log.clone())?;
    let stop = stop::on_signals()?;
    let ran = adapter.start(instant::now()).context(ELSEWHERE).and_then(|()| {
        inventory::publish(log.as_ref(), &adapter, instant::now())?;
        play(log.as_ref(), &stage, &mut adapter, (arguments, settings), &stop)
    });
    adapter.stop();
    let (course, outcome) = ran?;
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", course.json(&outcome))?;
    } else {
        writeln!(out, "\n{}", course.text(&outcome))?;
    }
    Ok(())
}

/// Runs all parts until the load is over, or somebody stops it.
fn play(
    log: &dyn Log,
    stage: &Stage,
    adapter: &mut Cgroups,
    (arguments, settings): (&Demo, &Settings),
    stop: &Stop,
) -> anyhow::Result<(Course, Outcome)> {
    let engine = EngineSettings { workers: arguments.workers, ..settings.engine.clone() };
    let parts = Parts::new("demo", &engine, settings.idle_after.duration());
    let pipeline = Pipeline::start(log, parts, stop.clone())?;
    let profiler = ProfilerSettings { interval: INTERVAL, host: false, ..settings.profiler.clone() };
    let mirroring = stage.mirror();
    let played = thread::scope(|scope| {
        let adapting = scope.spawn(|| {
            let predecessor = Predecessor::read(log, adapter.name(), instant::now())?;
            local::host(log, adapter, predecessor, settings, stop)
        });
        let profiling = scope.spawn(|| profile::stream(log, &profiler, stop));
        let mirroring = scope.spawn(|| mirror::serve(&mirroring, log, settings, stop));
        let (seconds, told) = mpsc::sync_channel(SECONDS_MAX);
        let loading = scope.spawn(move || {
            stop.wait(SETTLING);
            let lasting = (arguments.duration.duration(), arguments.seed);
            // Who watches may be gone: then nobody counts.
            stage.load(lasting, stop.clone(), |second| drop(seconds.try_send(second.clone())))
        });
        let watched = watch(log, &loading, &told, arguments.json, stop);
        stop.request();
        // The first of the faults is the cause.
        join(adapting, "the adapter")?;
        join(profiling, "the profiler")?;
        join(mirroring, "the mirror")?;
        Ok((watched?, join(loading, "the load")?))
    });
    pipeline.stop()?;
    played
}

/// Shows each second until the load and what follows from it are over.
fn watch<T>(
    log: &dyn Log,
    loading: &ScopedJoinHandle<'_, T>,
    told: &Receiver<Second>,
    silent: bool,
    stop: &Stop,
) -> anyhow::Result<Course> {
    let mut features = Following::<FeatureRecord>::new(log, Start::Earliest)?;
    let mut decisions = Following::<Decision>::new(log, Start::Earliest)?;
    let mut course = Course::begin(instant::now());
    let mut over: Option<Instant> = None;
    while !stop.wait(LOOK_EVERY) && over.is_none_or(|over| over.elapsed() < CLOSING) {
        told.try_iter().for_each(|second| course.loaded(&second));
        for (_, record) in features.poll(Duration::ZERO)? {
            if let Some(line) = record.and_then(|record| course.shown(&record)).filter(|_| !silent) {
                writeln!(std::io::stdout(), "{line}")?;
            }
        }
        for (_, decision) in decisions.poll(Duration::ZERO)? {
            let Some(decision) = decision else { continue };
            course.decided(&decision);
            if !silent {
                writeln!(std::io::stdout(), "{}", picture::line(&decision))?;
            }
        }
        if over.is_none() && loading.is_finished() {
            over = Some(Instant::now());
        }
    }
    Ok(course)
}

fn join<T>(part: ScopedJoinHandle<'_, anyhow::Result<T>>, what: &'static str) -> anyhow::Result<T> {
    part.join().map_err(|_| anyhow!("{what} panicked"))?.context(what)
}

impl Stage {
    /// Sends the load through the mirror until its time is over, or it is stopped; tells of each second as it ends.
    fn load(
        &self,
        (lasting, seed): (Duration, u64),
        stop: Stop,
        on_second: impl FnMut(&Second),
    ) -> anyhow::Result<Outcome> {
        let load = Load::new(self.front, "/work").map_err(anyhow::Error::msg)?;
        let shape: Shape = format!("{}..{}", RATES.0, RATES.1).parse().map_err(anyhow::Error::msg)?;
        let arrivals = Arrivals::new(&shape, lasting, Spacing::Poisson { seed });
        load::run(&load, arrivals.take_while(move |_| !stop.requested()), on_second).context("the load generator")
    }
}

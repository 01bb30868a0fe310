//! `demo`: the whole pipeline on a simulated fleet, with nothing installed.
//!
//! The fleet, its adapter and the pipeline meet only through the embedded log, as they would through Kafka.

mod live;
mod lockstep;
mod picture;
mod report;
mod screen;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use dataflow::EngineSettings;
use schemas::{EventTime, Span, Topic};
use topics::{Embedded, EmbeddedSettings, Log};
use wire::{Parts, Pipeline};

use crate::output;
use crate::settings::Settings;
use crate::stop::{self, Stop};
use lockstep::Lockstep;
use picture::Picture;
use screen::Screen;

/// A Monday, midnight UTC.
const START: EventTime = EventTime::from_millis(1_767_571_200_000);

/// Simulated time says nothing about silence: a partition is idle only where the log's own times say so.
const IDLE_AFTER: Duration = Duration::from_secs(3_600);

/// What the demonstration takes.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Runs real processes in control groups of this machine under real load instead, with their shadow and its mirror. It
    /// needs root; the duration is that of the load, the seed that of its arrivals, and speed does not count.
    #[arg(long)]
    pub(crate) live: bool,
    /// With --live: without a shadow, to see what it is worth.
    #[arg(long, requires = "live")]
    pub(crate) without_shadow: bool,
    /// How long it runs, in wall time.
    #[arg(long, default_value = "120s")]
    pub(crate) duration: Span,
    /// Simulated time per wall time: 720 shows a day in two minutes. Neither this nor the duration changes a decision,
    /// only where the run ends; a machine that cannot keep up shows less of the day.
    #[arg(long, default_value_t = 720.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Seed of the fleet's noise.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Timely workers; the number never changes a decision.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    /// Prints one JSON object at the end, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints plain lines instead of drawing; the default where the output is no terminal.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Keeps the log in this new folder, for `sql`, `explain` and `tap` with `--embedded DIR`.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// Runs the demonstration until its time is up, or until it is interrupted; then the table.
pub(crate) fn run(arguments: &Demo, settings: &Settings) -> anyhow::Result<()> {
    output::end(if arguments.live { live::run(arguments, settings) } else { simulated(arguments, settings) })
}

fn simulated(arguments: &Demo, settings: &Settings) -> anyhow::Result<()> {
    let log = log(arguments.keep.as_ref(), settings.embedded.log.clone())?;
    let stop = stop::on_signals()?;
    let engine = EngineSettings { workers: arguments.workers, ..settings.engine.clone() };
    let (mut lockstep, pipeline) = start(log.as_ref(), engine, arguments.seed, &stop)?;
    let drawn = !arguments.json && !arguments.plain && std::io::stdout().is_terminal();
    let mut screen = drawn.then(Screen::open).transpose().context("the terminal")?;
    let shown = show(arguments, &mut lockstep, screen.as_mut(), &stop);
    drop(screen);
    pipeline.stop()?;
    shown?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", if arguments.json { report::json(&lockstep).to_string() } else { report::text(&lockstep) })?;
    if let Some(folder) = arguments.keep.as_ref().filter(|_| !arguments.json) {
        let folder = folder.display();
        writeln!(out, "\nThe log is kept: foreshadow --embedded {folder} sql \"select * from latest_decisions\"")?;
    }
    Ok(())
}

/// The fleet and the pipeline at both ends of the log.
fn start(log: &dyn Log, engine: EngineSettings, seed: u64, stop: &Stop) -> anyhow::Result<(Lockstep, Pipeline)> {
    // Nobody reads the features of each second here: those of each minute are enough for `sql` over a kept log.
    let engine = EngineSettings { features_every: Span::from_secs(60), ..engine };
    let parts = Parts { clocked: false, ..Parts::new("demo", &engine, IDLE_AFTER) };
    let lockstep = Lockstep::new(log, &engine, seed, START)?;
    Ok((lockstep, Pipeline::start(log, parts, stop.clone())?))
}

fn log(keep: Option<&PathBuf>, settings: EmbeddedSettings) -> anyhow::Result<Arc<dyn Log>> {
    let log = match keep {
        None => Embedded::in_memory(settings),
        // A demonstration is worth no flush: a crash of the machine loses it.
        Some(folder) => Embedded::on_disk(folder, EmbeddedSettings { sync: false, ..settings })?,
    };
    log.ensure(Topic::ALL, 1)?;
    if let Some(folder) = keep {
        let (_, end) = log.watermarks(Topic::Samples, 0)?;
        anyhow::ensure!(end == 0, "{} holds a log already: name a new folder", folder.display());
    }
    Ok(Arc::new(log))
}

/// Steps the fleet at the asked speed, and shows it.
fn show(arguments: &Demo, lockstep: &mut Lockstep, mut screen: Option<&mut Screen>, stop: &Stop) -> anyhow::Result<()> {
    let mut picture = Picture::new(START);
    let lines = !arguments.json && screen.is_none();
    let began = Instant::now();
    while began.elapsed() < arguments.duration.duration() && !stop.requested() {
        for decision in lockstep.step()? {
            if lines {
                writeln!(std::io::stdout(), "{}", picture::line(&decision))?;
            }
            picture.note(&decision);
        }
        picture.observe(lockstep);
        if let Some(screen) = screen.as_mut()
            && !screen.draw(&picture)?
        {
            return Ok(());
        }
        let simulated_ms = lockstep.now().millis() - START.millis();
        let due = simulated_ms as f64 / 1000.0 / arguments.speed;
        let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
        stop.wait(due.saturating_sub(began.elapsed()));
    }
    Ok(())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a speed is a number above zero, such as 720".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn a_day_of_the_fleet_is_kept_supplied_at_a_price_that_is_worth_it() {
        let log = log(None, EmbeddedSettings::default()).expect("in memory");
        let (mut day, pipeline) =
            start(log.as_ref(), EngineSettings::default(), 1, &Stop::default()).expect("in memory");
        while day.simulated_ms() < DAY_MS {
            day.step().expect("the pipeline answers");
        }
        pipeline.stop().expect("it runs");
        let scores = day.scores();
        let (_, own) = &scores[0];
        let late = |scores: &jobs::backtest::Scorecards| scores.total().violation_share().expect("a day was scored");
        let figures = format!("{}", report::json(&day));
        // The price at which the fleet as it stands, never changed, misses its promises for a sixth of the day is 16.2.
        let total = own.total();
        assert!(late(own) <= 0.015 && total.cost() <= 20.0 && total.oom_kills() == 0, "{figures}");
        assert!(total.changes() <= 600, "{figures}");
        // Nobody pays for the others: not the one with the worst bursts, nor the one with the fewest requests.
        let worst = own.workloads().filter_map(|(_, score)| score.violation_share()).fold(0.0, f64::max);
        assert!(worst <= 0.05, "{figures}");
        assert!(scores[1..].iter().all(|(_, rival)| late(rival) > 5.0 * late(own)), "{figures}");
    }
}

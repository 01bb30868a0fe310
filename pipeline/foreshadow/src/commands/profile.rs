//! `profile`: this machine's readings, once or as a stream of samples.
//!
//! ```text
//! workloads ─► roster ─► profiler, each interval ─► batches ─► outbox, a thread of its own ─► samples
//! ```

mod once;
mod roster;

use std::time::{Duration, Instant};

use clap::Args;
use profiler::{Profiler, ProfilerSettings};
use schemas::{EventTime, Span};
use topics::{Delivery, Log};

use crate::batches::Batches;
use crate::connect::connect_with_topics;
use crate::instant;
use crate::outbox::{self, Outbox};
use crate::pace::Pace;
use crate::settings::Settings;
use crate::stop::{self, Stop};
use roster::Roster;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Profile {
    /// Prints this machine's readings over a while and ends; no broker is needed.
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: over how long, 200ms to 1h.
    #[arg(long, requires = "once", default_value = "1s", value_name = "SPAN", value_parser = while_of_readings)]
    pub(crate) over: Span,
    /// With --once: one JSON array of samples; a reading that was not taken is not in it.
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Samples the machine itself too, as workload `host`.
    #[arg(long)]
    pub(crate) host: bool,
}

/// Between two looks at the topic of workloads: discovery, which follows, runs each few seconds.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// Least time between two readings: below it the kernel's own steps of accounting (10 ms) would be most of a rate.
const OVER_MIN: Span = Span::from_millis(200);
const OVER_MAX: Span = Span::from_secs(3_600);

/// Between two lines about the profiler's own cost.
const COST_EVERY: Duration = Duration::from_secs(60);

/// `profile`: this machine's readings, once or as a stream of samples.
pub(crate) fn run(arguments: &Profile, settings: &Settings) -> anyhow::Result<()> {
    if arguments.once {
        return once::print(arguments.over, arguments.json, &settings.profiler);
    }
    let stop = stop::on_signals()?;
    let log = connect_with_topics(settings)?;
    let host = arguments.host || settings.profiler.host;
    stream(log.as_ref(), &ProfilerSettings { host, ..settings.profiler.clone() }, &stop)
}

/// Samples until it is asked to stop.
pub(crate) fn stream(log: &dyn Log, settings: &ProfilerSettings, stop: &Stop) -> anyhow::Result<()> {
    let mut stream = Stream::start(log, settings)?;
    let ran = stream.run(stop);
    ran.and(stream.finish())
}

/// Readings on their way from the kernel to the log.
struct Stream {
    roster: Roster,
    profiler: Profiler,
    batches: Batches,
    outbox: Outbox,
    sampling: Pace,
    interval: Span,
    /// The time of the newest readings, which the next must not have too.
    told: EventTime,
}

impl Stream {
    fn start(log: &dyn Log, settings: &ProfilerSettings) -> anyhow::Result<Self> {
        let roster = Roster::read(log)?;
        let workloads = roster.workloads();
        let profiler = Profiler::new(settings.clone(), &workloads)?;
        let outbox = Outbox::start("samples", log.writer(Delivery::Idempotent)?, outbox::BYTES_MAX)?;
        let (source, interval) = (profiler.source().clone(), settings.interval);
        tracing::info!(%source, workloads = workloads.len(), host = settings.host, %interval, "sampling");
        if workloads.is_empty() && !settings.host {
            tracing::warn!(
                "nothing to sample yet: no workload has a selector; give one, or sample the machine (--host)"
            );
        }
        let now = instant::now();
        let first = Duration::from_millis(interval_end(now, interval).millis() - now.millis());
        let sampling = Pace::new(interval.duration(), Instant::now() + first);
        Ok(Self {
            roster,
            profiler,
            batches: Batches::new(source),
            outbox,
            sampling,
            interval,
            told: EventTime::default(),
        })
    }

    /// Samples until it is asked to stop.
    fn run(&mut self, stop: &Stop) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut refreshing = Pace::new(REFRESH_EVERY, began + REFRESH_EVERY);
        let mut telling = Pace::new(COST_EVERY, began + COST_EVERY);
        while !stop.wait(self.sampling.until_due(Instant::now())) {
            let now = Instant::now();
            self.sampling.take(now);
            if refreshing.take(now) && self.roster.refresh()? {
                let workloads = self.roster.workloads();
                tracing::info!(workloads = workloads.len(), "the workloads to sample have changed");
                self.profiler.set_workloads(&workloads);
            }
            let time = told_as_of(instant::now(), self.interval);
            // One that comes very late, and the next on time, end in the same interval.
            self.told = if time == self.told { time.plus(1) } else { time };
            let samples = self.profiler.sample(self.told);
            self.batches.add(samples, now).into_iter().for_each(|message| self.outbox.put(message));
            self.outbox.check()?;
            if telling.take(now) {
                tell_cost(&self.profiler, self.outbox.counts(), self.sampling.missed());
            }
        }
        Ok(())
    }

    /// Writes what was sampled.
    fn finish(mut self) -> anyhow::Result<()> {
        self.batches.take().into_iter().for_each(|message| self.outbox.put(message));
        tell_cost(&self.profiler, self.outbox.finish(outbox::FLUSH_MAX)?, self.sampling.missed());
        Ok(())
    }
}

/// When the interval ends that is under way. Intervals end with the clock's, as ticks do.
fn interval_end(now: EventTime, interval: Span) -> EventTime {
    now.tick(interval.millis()).plus(interval.millis())
}

/// Which time readings tell of that were due at an interval's end and are taken now: the interval's last millisecond. So a tick
/// is told what it held, and CPU meets the requests that it was used for.
fn told_as_of(now: EventTime, interval: Span) -> EventTime {
    // Late they may be by most of an interval; early only where the clock was set back a little.
    now.plus(interval.millis() / 10).tick(interval.millis()).minus(1)
}

/// What it has cost and done since the start. Missed ticks and dropped samples are what a person should act on.
fn tell_cost(profiler: &Profiler, samples: outbox::Counts, ticks_missed: u64) {
    let cost = profiler.cost();
    tracing::info!(
        core_percent = format_args!("{:.3}", cost.core_share() * 100.0),
        samples = cost.samples,
        written = samples.written,
        waiting = samples.waiting,
        dropped = samples.dropped,
        ticks_missed,
        instances_ended = cost.vanished,
        instances_left_out = cost.left_out,
        counter_resets = cost.resets,
        "cost"
    );
}

fn while_of_readings(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    let is_sound = OVER_MIN <= span && span <= OVER_MAX;
    if is_sound { Ok(span) } else { Err(format!("readings are taken over {OVER_MIN} to {OVER_MAX}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_tell_of_the_interval_that_they_end() {
        let (at, interval) = (EventTime::from_millis, Span::from_millis(100));
        assert_eq!(interval_end(at(1_000), interval), at(1_100));
        assert_eq!(interval_end(at(1_099), interval), at(1_100));
        // On time, late, and a clock that was set back between.
        for now in [1_100, 1_101, 1_189, 1_090] {
            assert_eq!(told_as_of(at(now), interval), at(1_099), "{now}");
        }
    }
}

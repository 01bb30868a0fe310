//! Hosts the simulated fleet: its plants run by the wall clock, their samples are published, and decisions are carried
//! out on them.
//!
//! Simulated time is the time of day. At a higher speed it begins in the past and ends up there: samples from the future
//! are refused by the broker and by the pipeline.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use orchestrators::{Adapter, Simulated};
use schemas::{EventTime, SourceId, Span, Topic};
use topics::{Delivery, Log, Start};

use super::actuator::{self, Actuator};
use super::inventory;
use super::predecessor::Predecessor;
use crate::batches::messages;
use crate::connect::connect_with_topics;
use crate::extent::Extent;
use crate::instant;
use crate::outbox::{self, Outbox};
use crate::pace::Pace;
use crate::settings::Settings;
use crate::stop::{self, Stop};

/// What the simulated fleet takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "The simulated fleet")]
pub(crate) struct Fleet {
    /// Simulated time per wall time, 1 to 1000. Above 1 it begins a day in the past, or as far as --for makes up, and
    /// goes by the wall clock once it has caught up. A decision expires 60 s of simulated time after its tick, so it
    /// must not take the pipeline longer than that. Use a namespace of its own: other sources are in the present.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Seed of the fleet's noise.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Ends after this long, in wall time; without it, when it is asked to.
    #[arg(long = "for", value_name = "SPAN")]
    pub(crate) duration: Option<Span>,
}

/// Between two rounds: how late a decision is carried out at most, and how much of a second samples come late.
const ROUND: Duration = Duration::from_millis(200);

/// Length of a step of the plants, and so the sampling interval.
const STEP_MS: u64 = 1_000;

/// Steps of one round at most: whoever falls behind, by sleep or by speed, catches up over several rounds.
const STEPS_MAX: usize = 1_000;

/// How far in the past a fleet with a higher speed begins: a day, after which loads repeat.
const PAST_MAX_MS: u64 = 86_400_000;

/// Largest speed: a day in a minute and a half; decisions can no longer follow beyond some tens.
const SPEED_MAX: f64 = 1_000.0;

/// Between two lines about what was done.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Under which name samples are published.
const SOURCE: &str = "simulated";

/// Offsets at the end of a partition among which the newest of our own is looked for.
const TAIL_OFFSETS: usize = 256;

/// Hosts the fleet until it is asked to stop.
pub(crate) fn host(arguments: &Fleet, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let log = connect_with_topics(settings)?;
    let mut hosted = Hosted::start(log.as_ref(), arguments, settings.engine.scaling.decision_ttl)?;
    let ran = hosted.run(&stop, arguments.duration);
    ran.and(hosted.finish())
}

/// Simulated time as a function of the time of day.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: EventTime,
    begin: EventTime,
    speed: f64,
}

struct Hosted {
    fleet: Simulated,
    actuator: Actuator,
    source: SourceId,
    samples: Outbox,
    clock: Clock,
    /// Invariant: a whole step; the plants have run up to it.
    now: EventTime,
}

impl Clock {
    fn at(&self, time_of_day: EventTime) -> EventTime {
        let passed_ms = time_of_day.millis().saturating_sub(self.started.millis());
        self.begin.plus((passed_ms as f64 * self.speed) as u64).min(time_of_day)
    }
}

impl Hosted {
    fn start(log: &dyn Log, arguments: &Fleet, decision_ttl: Span) -> anyhow::Result<Self> {
        let source = SourceId::new(SOURCE).expect("a plain name");
        let started = instant::now();
        let own = if arguments.speed > 1.0 { newest_sample(log, &source)? } else { None };
        let begin = begin(started, arguments, own);
        let mut fleet = Simulated::new(plant::demo_fleet(), arguments.seed).context("the demo fleet")?;
        let predecessor = Predecessor::read(log, fleet.name(), begin)?;
        let restored = predecessor.in_force().filter(|outcome| fleet.restore(outcome)).count();
        inventory::publish(log, &fleet, begin)?;
        let actuator = Actuator::start(log, predecessor, decision_ttl, begin)?;
        let samples = Outbox::start("samples", log.writer(Delivery::Idempotent)?, outbox::BYTES_MAX)?;
        tracing::info!(orchestrator = fleet.name(), from = %begin, speed = arguments.speed, restored, "carrying out");
        let clock = Clock { started, begin, speed: arguments.speed };
        Ok(Self { fleet, actuator, source, samples, clock, now: begin })
    }

    fn run(&mut self, stop: &Stop, duration: Option<Span>) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut rounds = Pace::new(ROUND, began);
        let mut telling = Pace::new(TELL_EVERY, began + TELL_EVERY);
        while !stop.wait(rounds.until_due(Instant::now())) {
            let now = Instant::now();
            rounds.take(now);
            if duration.is_some_and(|duration| now.duration_since(began) >= duration.duration()) {
                break;
            }
            self.step_to(self.clock.at(instant::now()));
            self.actuator.round(&mut self.fleet, self.now)?;
            self.samples.check()?;
            if telling.take(now) {
                tell(self.now, self.samples.counts(), self.actuator.counts());
            }
        }
        Ok(())
    }

    /// Writes what waits.
    fn finish(self) -> anyhow::Result<()> {
        let done = self.actuator.counts();
        self.actuator.finish()?;
        tell(self.now, self.samples.finish(outbox::FLUSH_MAX)?, done);
        Ok(())
    }

    /// Runs the plants over every whole step that has passed, and publishes their samples.
    fn step_to(&mut self, due: EventTime) {
        let mut samples = Vec::new();
        for _ in 0..STEPS_MAX {
            let end = self.now.plus(STEP_MS);
            if end > due {
                break;
            }
            samples.extend(self.fleet.step(self.now, STEP_MS));
            self.now = end;
        }
        messages(&self.source, &samples).into_iter().for_each(|message| self.samples.put(message));
    }
}

fn tell(now: EventTime, samples: outbox::Counts, done: actuator::Counts) {
    tracing::info!(
        %now,
        samples = samples.written,
        waiting = samples.waiting,
        dropped = samples.dropped,
        decisions = done.decisions,
        accepted = done.accepted,
        turned_down = done.turned_down,
        in_force = done.in_force,
        "so far"
    );
}

/// The step at which simulated time begins: not before what was published already, which would come late.
fn begin(started: EventTime, arguments: &Fleet, own: Option<EventTime>) -> EventTime {
    let made_up_ms = arguments.duration.map(|duration| duration.millis() as f64 * (arguments.speed - 1.0));
    let past_ms = made_up_ms.map_or(PAST_MAX_MS, |made_up_ms| PAST_MAX_MS.min(made_up_ms as u64));
    let past_ms = if arguments.speed > 1.0 { past_ms } else { 0 };
    let free = own.map_or(EventTime::default(), |own| own.plus(1));
    started.minus(past_ms).max(free).min(started).tick(STEP_MS)
}

/// When the newest of our samples was taken that is near the end of its partition.
fn newest_sample(log: &dyn Log, source: &SourceId) -> anyhow::Result<Option<EventTime>> {
    let Some(extent) = Extent::of(log, Topic::Samples, Start::Earliest)? else { return Ok(None) };
    let mut newest = None;
    extent.home(source.as_str()).tail(TAIL_OFFSETS).read(log, |records| {
        let own = records.iter().filter(|record| record.key.as_deref() == Some(source.as_str().as_bytes()));
        newest = own.map(|record| record.time).max().max(newest);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(newest)
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1.0..=SPEED_MAX).contains(&speed) => Ok(speed),
        _ => Err(format!("a speed lies between 1 and {SPEED_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Sample, WorkloadId};
    use topics::{Embedded, EmbeddedSettings, Outgoing};

    use super::*;

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    fn fleet(speed: f64, duration: Option<Span>) -> Fleet {
        Fleet { speed, seed: 1, duration }
    }

    #[test]
    fn simulated_time_is_the_time_of_day_and_a_faster_one_catches_up() {
        let plain = Clock { started: at(1_000), begin: at(1_000), speed: 1.0 };
        assert_eq!(plain.at(at(1_060)), at(1_060));
        assert_eq!(plain.at(at(990)), at(990), "a clock that was put back: the plants wait");
        // 190 s in the past at twenty times the speed: there after 10 s, and not ahead at 20 s.
        let fast = Clock { started: at(1_000), begin: at(810), speed: 20.0 };
        assert_eq!([1_005, 1_010, 1_020].map(|second| fast.at(at(second))), [at(910), at(1_010), at(1_020)]);
    }

    #[test]
    fn a_faster_fleet_begins_as_far_in_the_past_as_it_makes_up() {
        let started = EventTime::from_millis(100_000_500);
        assert_eq!(begin(started, &fleet(1.0, None), None), at(100_000));
        assert_eq!(begin(started, &fleet(20.0, None), None), at(13_600), "a day");
        let short = fleet(20.0, Some(Span::from_secs(30)));
        // 19 × 30 s.
        assert_eq!(begin(started, &short, None), at(99_430));
        assert_eq!(begin(started, &short, Some(EventTime::from_millis(99_999_999))), at(100_000), "after a restart");
        assert_eq!(begin(started, &short, Some(at(200_000))), at(100_000), "never in the future");
    }

    #[test]
    fn our_own_newest_sample_is_found_among_others() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Samples], 1).expect("a new topic");
        let [own, other] = ["simulated", "machine"].map(|name| SourceId::new(name).expect("a plain name"));
        assert_eq!(newest_sample(&log, &own).expect("in memory"), None);
        let sample = |second| [Sample::new(at(second), WorkloadId::new("web").expect("a plain name"))];
        let message = |source, second| Outgoing::samples(source, at(second), &sample(second));
        let messages = [message(&own, 5), message(&own, 6), message(&other, 9)];
        log.writer(Delivery::Idempotent).expect("a writer").append(&messages).expect("in memory");
        assert_eq!(newest_sample(&log, &own).expect("in memory"), Some(at(6)));
    }
}

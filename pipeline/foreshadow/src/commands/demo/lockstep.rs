//! The fleet in lock step with the pipeline: samples of [`CHUNK_MS`] go onto the log, and once every tick that they
//! close is published, its decisions are carried out, before the next chunk is made.
//!
//! So decisions depend on simulated time alone, not on how fast the machine is.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use dataflow::EngineSettings;
use jobs::backtest::{ListPrice, Race, RaceSettings, Scorecards, Step};
use orchestrators::{Adapter, Simulated};
use schemas::{Action, Decision, EventTime, Noun, Outcome, Progress, SourceId, Status, Topic};
use topics::{Delivery, Log, Outgoing, Reader, Record, Start, Writer};

/// Simulated time that goes in at once: as late as a decision can be carried out.
const CHUNK_MS: u64 = 10_000;

/// Length of a step of the plants, and so the sampling interval.
const STEP_MS: u64 = 1_000;

/// Longest wait for the pipeline; a chunk takes it some milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Most records of one poll.
const POLL_RECORDS_MAX: usize = 4096;

/// What is counted on the way.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Counts {
    pub(super) samples: u64,
    pub(super) decisions: u64,
    pub(super) scale_ups: u64,
    pub(super) scale_downs: u64,
    pub(super) shortfalls: u64,
    pub(super) anomalies: u64,
}

/// The fleet, the race of its rivals over the same demand, and its ends of the log.
pub(super) struct Lockstep {
    fleet: Simulated,
    race: Race,
    writer: Box<dyn Writer>,
    outputs: Box<dyn Reader>,
    source: SourceId,
    began: EventTime,
    now: EventTime,
    /// How far the newest sample is ahead of the ticks that it closes.
    lateness_ms: u64,
    tick_ms: u64,
    counts: Counts,
    scores: Scorecards,
    list_price: ListPrice,
}

impl Lockstep {
    /// The demo fleet at `start`, its inventory written to the log.
    ///
    /// # Errors
    /// When the log takes no writer or reader.
    pub(super) fn new(log: &dyn Log, engine: &EngineSettings, seed: u64, start: EventTime) -> anyhow::Result<Self> {
        let fleet = Simulated::new(plant::demo_fleet(), seed).context("the demo fleet")?;
        let (workloads, pools) = fleet.inventory(start);
        let pool = pools.first().context("the demo fleet has no pool")?;
        let list_price = ListPrice::of_pool(pool).context("the demo pool has no offers")?;
        let (capacity, decision_latency_ms) = (pool.capacity(), CHUNK_MS);
        let race = RaceSettings { seed, decision_latency_ms, capacity, list_price: list_price.clone() };
        let mut writer = log.writer(Delivery::Idempotent)?;
        let inventory: Vec<_> = pools.iter().map(Outgoing::of).chain(workloads.iter().map(Outgoing::of)).collect();
        writer.append(&inventory)?;
        let outputs = [Topic::Decisions, Topic::Anomalies, Topic::Progress].map(|topic| (topic, 0, Start::Earliest));
        Ok(Self {
            fleet,
            race: Race::new(&plant::demo_fleet(), race),
            writer,
            outputs: log.reader(&outputs)?,
            source: SourceId::new("fleet").context("a source")?,
            began: start,
            now: start,
            lateness_ms: engine.lateness.millis(),
            tick_ms: engine.tick.millis(),
            counts: Counts::default(),
            scores: Scorecards::default(),
            list_price,
        })
    }

    /// Runs the fleet over one chunk, waits for the decisions that follow from it, and carries them out.
    ///
    /// # Errors
    /// When the pipeline does not answer.
    pub(super) fn step(&mut self) -> anyhow::Result<Vec<Decision>> {
        let mut samples = Vec::new();
        for step in 0..CHUNK_MS / STEP_MS {
            samples.extend(self.fleet.step(self.now.plus(step * STEP_MS), STEP_MS));
            self.score();
            self.race.step(self.now.plus(step * STEP_MS), STEP_MS);
        }
        self.now = self.now.plus(CHUNK_MS);
        self.counts.samples += samples.len() as u64;
        let mut records: Vec<_> = self.fleet.poll(self.now).iter().map(Outgoing::of).collect();
        records.push(Outgoing::samples(&self.source, self.now, &samples));
        self.writer.append(&records)?;
        let closes = self.now.minus(1 + self.lateness_ms).tick(self.tick_ms);
        let decisions = self.await_outputs(closes)?;
        let answers: Vec<Outcome> =
            decisions.iter().filter_map(|decision| self.fleet.apply(decision, self.now)).collect();
        for outcome in &answers {
            self.scores.of(outcome.workload.as_str()).changed(u64::from(outcome.status == Status::Accepted));
        }
        self.writer.append(&answers.iter().map(Outgoing::of).collect::<Vec<_>>())?;
        Ok(decisions)
    }

    /// Simulated time.
    pub(super) fn now(&self) -> EventTime {
        self.now
    }

    /// How much of the day was shown.
    pub(super) fn simulated_ms(&self) -> u64 {
        self.now.millis() - self.began.millis()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn fleet(&self) -> &Simulated {
        &self.fleet
    }

    /// Each law's name and scores, Foreshadow's first.
    pub(super) fn scores(&self) -> Vec<(&'static str, Scorecards)> {
        let own = [("foreshadow", self.scores.clone())];
        own.into_iter().chain(self.race.scores()).collect()
    }

    fn score(&mut self) {
        for truth in self.fleet.truth() {
            let step = Step {
                dt_ms: STEP_MS,
                demand: truth.demand,
                in_force: truth.in_force,
                shadow: truth.shadow,
                violated: truth.violated,
                oom: truth.oom,
            };
            self.scores.of(truth.workload.as_str()).note(&step, &self.list_price);
        }
    }

    /// Reads what is published until it reaches `closes`.
    fn await_outputs(&mut self, closes: EventTime) -> anyhow::Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            let mut reached = false;
            for record in self.outputs.poll(WAIT_MAX.saturating_sub(began.elapsed()), POLL_RECORDS_MAX)? {
                reached |= self.note(&record, &mut decisions)?.is_some_and(|frontier| frontier >= closes);
            }
            if reached {
                return Ok(decisions);
            }
        }
        bail!("the pipeline has not closed {closes} within {WAIT_MAX:?}: what it told says why")
    }

    /// Counts a record; gives the frontier where it is one.
    fn note(&mut self, record: &Record, decisions: &mut Vec<Decision>) -> anyhow::Result<Option<EventTime>> {
        let value = record.value.as_deref().unwrap_or_default();
        match record.topic {
            Topic::Progress => {
                let progress = Progress::from_json(value)?;
                return Ok((!progress.is_of_features()).then_some(progress.frontier));
            }
            Topic::Anomalies => self.counts.anomalies += 1,
            _ => {
                let decision = Decision::from_json(value)?;
                self.counts.decisions += 1;
                self.counts.scale_ups += u64::from(matches!(decision.action, Action::ScaleUp | Action::Reshape));
                self.counts.scale_downs += u64::from(matches!(decision.action, Action::ScaleDown | Action::Reshape));
                self.counts.shortfalls += u64::from(decision.short());
                decisions.push(decision);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use schemas::Allocation;
    use topics::EmbeddedSettings;

    use super::*;
    use crate::stop::Stop;

    #[test]
    fn shadows_are_paid_for() {
        let log = super::super::log(None, EmbeddedSettings::default()).expect("in memory");
        let settings = EngineSettings::default();
        let (mut day, pipeline) = super::super::start(log.as_ref(), settings, 1, &Stop::default()).expect("in memory");
        day.step().expect("the pipeline answers");
        pipeline.stop().expect("it runs");
        // In the first chunk nothing was decided yet: what was in force in its last step was so in all.
        let price = |of: Allocation| day.list_price.per_hour(&of);
        let truth: Vec<_> = day.fleet.truth().collect();
        let primaries: f64 = truth.iter().map(|truth| price(truth.in_force)).sum();
        let all: f64 = truth.iter().map(|truth| price(truth.in_force.plus(truth.shadow))).sum();
        let paid = day.scores.total().cost() * 3_600_000.0 / CHUNK_MS as f64;
        assert!(all > 1.01 * primaries && (paid / all - 1.0).abs() < 1e-9, "{paid} for {primaries} and {all}");
    }
}

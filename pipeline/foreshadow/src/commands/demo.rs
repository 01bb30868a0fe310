//! The demonstration: a simulated fleet in lock step with the pipeline.
//!
//! Samples of [`CHUNK_MS`] go in; once every tick that they close has been committed, its decisions are carried out,
//! before the next chunk is made. So decisions depend on simulated time alone, not on how fast the machine is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use dataflow::{Delivery, Engine, EngineSettings};
use jobs::backtest::{ListPrice, Race, RaceSettings, Scorecard, Scorecards, Step};
use orchestrators::{Adapter, Simulated};
use schemas::{Action, Decision, EventTime, Noun, Outcome, Span, Status, Topic, batch};

use crate::settings::Settings;

/// What the demonstration takes.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// How long it runs, in wall time.
    #[arg(long, default_value = "120s")]
    pub(crate) duration: Span,
    /// Simulated time per wall time. Neither this nor the duration changes a decision, only where the run ends.
    #[arg(long, default_value_t = 720.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Seed of the fleet's noise.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Timely workers: the number never changes a decision.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    /// Prints one JSON object at the end, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints plain lines.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// A Monday, midnight UTC.
const START: EventTime = EventTime::from_millis(1_767_571_200_000);

/// Simulated time that goes in at once: as late as a decision can be carried out.
const CHUNK_MS: u64 = 10_000;

/// Length of a step of the plants, and so the sampling interval.
const STEP_MS: u64 = 1_000;

/// What is counted on the way.
#[derive(Default)]
struct Counts {
    samples: u64,
    decisions: u64,
    scale_ups: u64,
    scale_downs: u64,
    shortfalls: u64,
    anomalies: u64,
}

struct Show {
    engine: Engine,
    fleet: Simulated,
    settings: EngineSettings,
    counts: Counts,
    scores: Scorecards,
    list_price: ListPrice,
    offsets: BTreeMap<Topic, i64>,
    lines: bool,
}

/// Runs the demonstration.
pub(crate) fn run(arguments: &Demo, _settings: &Settings) -> anyhow::Result<()> {
    let settings =
        EngineSettings { workers: arguments.workers, features_every: Span::from_secs(60), ..EngineSettings::default() };
    let fleet = Simulated::new(plant::demo_fleet(), arguments.seed).context("the demo fleet")?;
    let (workloads, pools) = fleet.inventory(START);
    let pool = pools.first().context("the demo fleet has no pool")?;
    let list_price = ListPrice::of_pool(pool).context("the demo pool has no offers")?;
    let race = RaceSettings {
        seed: arguments.seed,
        decision_latency_ms: CHUNK_MS,
        capacity: pool.capacity(),
        list_price: list_price.clone(),
    };
    let mut race = Race::new(&plant::demo_fleet(), race);
    let mut show = Show {
        engine: Engine::start(&settings, 1)?,
        fleet,
        settings,
        counts: Counts::default(),
        scores: Scorecards::default(),
        list_price,
        offsets: BTreeMap::new(),
        lines: !arguments.json,
    };
    pools.iter().try_for_each(|pool| show.deliver(pool, START))?;
    workloads.iter().try_for_each(|workload| show.deliver(workload, START))?;
    let began = Instant::now();
    let mut now = START;
    while began.elapsed() < arguments.duration.duration() {
        show.chunk(now)?;
        (0..CHUNK_MS / STEP_MS).for_each(|step| race.step(now.plus(step * STEP_MS), STEP_MS));
        now = now.plus(CHUNK_MS);
        let due = Duration::from_secs_f64((now.millis() - START.millis()) as f64 / 1000.0 / arguments.speed);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    show.engine.stop();
    let mut scores = vec![("foreshadow", show.scores)];
    scores.extend(race.scores());
    if arguments.json {
        println!("{}", json(&show.counts, &scores, now));
    } else {
        println!("{}", table(&scores));
    }
    Ok(())
}

impl Show {
    /// Runs the fleet over one chunk, waits for the decisions that follow from it, and carries them out.
    fn chunk(&mut self, from: EventTime) -> anyhow::Result<()> {
        let mut samples = Vec::new();
        for step in 0..CHUNK_MS / STEP_MS {
            samples.extend(self.fleet.step(from.plus(step * STEP_MS), STEP_MS));
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
        let end = from.plus(CHUNK_MS);
        let outcomes = self.fleet.poll(end);
        outcomes.iter().try_for_each(|outcome| self.deliver(outcome, end))?;
        self.counts.samples += samples.len() as u64;
        self.hand_in(Topic::Samples, "fleet", batch::encode(&samples), end)?;
        let closes = end.minus(1 + self.settings.lateness.millis()).tick(self.settings.tick.millis());
        let decisions = self.await_commit(closes)?;
        let answers: Vec<Outcome> = decisions.iter().filter_map(|decision| self.fleet.apply(decision, end)).collect();
        for outcome in &answers {
            self.scores.of(outcome.workload.as_str()).changed(u64::from(outcome.status == Status::Accepted));
        }
        answers.iter().try_for_each(|outcome| self.deliver(outcome, end))
    }

    /// Takes commits until the frontier has come to `closes`.
    fn await_commit(&mut self, closes: EventTime) -> anyhow::Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        loop {
            let commit = self.engine.commits().recv().context("the workers have ended")?;
            for record in &commit.records {
                match Topic::of_noun(&record.noun) {
                    Some(Topic::Decisions) => decisions.push(Decision::from_json(&record.value)?),
                    Some(Topic::Anomalies) => self.counts.anomalies += 1,
                    _ => {}
                }
            }
            if commit.frontier >= closes {
                decisions.iter().for_each(|decision| self.note(decision));
                return Ok(decisions);
            }
        }
    }

    fn note(&mut self, decision: &Decision) {
        self.counts.decisions += 1;
        self.counts.scale_ups += u64::from(matches!(decision.action, Action::ScaleUp | Action::Reshape));
        self.counts.scale_downs += u64::from(matches!(decision.action, Action::ScaleDown | Action::Reshape));
        self.counts.shortfalls += u64::from(decision.short());
        if self.lines {
            let (before, after) = (decision.current.cpu_cores.get(), decision.granted.cpu_cores.get());
            let action = format!("{:?}", decision.action);
            println!(
                "{}  {:<13} {action:<10} {before:>6.2} -> {after:>6.2} cores  {}",
                decision.time, decision.workload, decision.because
            );
        }
    }

    fn deliver<N: Noun>(&mut self, record: &N, log_time: EventTime) -> anyhow::Result<()> {
        self.hand_in(N::TOPIC, record.key(), record.to_json(), log_time)
    }

    fn hand_in(&mut self, topic: Topic, key: &str, value: Vec<u8>, time: EventTime) -> anyhow::Result<()> {
        let offset = self.offsets.entry(topic).or_default();
        *offset += 1;
        let delivery = Delivery {
            topic,
            partition: 0,
            offset: *offset,
            time,
            key: key.to_owned(),
            content_type: None,
            value: Some(value),
            counts_from: None,
        };
        Ok(self.engine.deliver(delivery)?)
    }
}

fn json(counts: &Counts, scores: &[(&str, Scorecards)], now: EventTime) -> serde_json::Value {
    let policies: serde_json::Map<String, serde_json::Value> = scores
        .iter()
        .map(|(name, scores)| {
            let workloads = scores.workloads().map(|(workload, score)| (workload.to_owned(), figures(score)));
            let mut policy = figures(&scores.total());
            policy["workloads"] = workloads.collect::<serde_json::Map<_, _>>().into();
            ((*name).to_owned(), policy)
        })
        .collect();
    serde_json::json!({
        "simulated_seconds": (now.millis() - START.millis()) / 1000,
        "samples": counts.samples,
        "decisions": counts.decisions,
        "scale_ups": counts.scale_ups,
        "scale_downs": counts.scale_downs,
        "shortfalls": counts.shortfalls,
        "anomalies": counts.anomalies,
        "policies": policies,
    })
}

fn figures(score: &Scorecard) -> serde_json::Value {
    serde_json::json!({
        "violation_share": score.violation_share(),
        "slack": score.slack(),
        "cost": score.cost(),
        "changes": score.changes(),
        "oom_kills": score.oom_kills(),
    })
}

fn table(scores: &[(&str, Scorecards)]) -> Table {
    let mut table = Table::new();
    table.set_header(["policy", "violations", "slack", "cost (shadow in it)", "changes", "OOM kills"]);
    for (name, scores) in scores {
        let score = scores.total();
        table.add_row([
            (*name).to_owned(),
            percent(score.violation_share()),
            percent(score.slack()),
            format!("{:.3}", score.cost()),
            score.changes().to_string(),
            score.oom_kills().to_string(),
        ]);
    }
    table
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "not known".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a speed is a number above zero, such as 720".to_owned()),
    }
}

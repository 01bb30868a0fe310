//! Who writes to the log: agents with samples, an operator with the control plane, an adapter with outcomes.
//!
//! Agents are what agents are: they fall silent, send twice, send late, send garbage, and have clocks that jump by an hour. In
//! some worlds a foreign producer sends nothing but garbage.

use std::collections::BTreeMap;
use std::time::Duration;

use end_to_end::fixtures::{self, name};
use end_to_end::unsteady;
use schemas::{
    Decision, EventTime, Metric, Mode, Model, Money, Outcome, Pool, Role, Sample, SourceId, Status, Topic, V1, Workload,
};
use topics::{Consumer, Delivery, Embedded, Log, Outgoing, Start, Writer};

use crate::dice::Dice;

/// Where time begins, in milliseconds: a whole hour.
pub(crate) const BEGIN_MS: u64 = 1_767_225_600_000;

/// By how much a broken clock is wrong.
const JUMP_MS: u64 = 3_600_000;

/// Most milliseconds of samples in a batch.
const BATCH_MS: u64 = 3_000;

/// How long it takes until a decision is in force.
const ACTUATION_MS: u64 = 10_000;

/// A workload and its agent.
struct Agent {
    workload: u64,
    /// Up to where samples were sent.
    sent: u64,
    /// It is silent until then.
    silent_until: u64,
    /// A batch that was held up on its way, and when it arrives.
    held: Option<(u64, Outgoing)>,
    /// The batch before, in case it is sent twice.
    last: Option<Outgoing>,
}

/// The agents, the operator and the adapter.
pub(crate) struct Town {
    pub(crate) now: u64,
    agents: Vec<Agent>,
    /// Whether somebody else writes here too.
    foreign: bool,
    writer: Box<dyn Writer>,
    decisions: Consumer<Decision>,
    /// Outcomes by when they are due.
    due: BTreeMap<u64, Vec<Outcome>>,
}

impl Town {
    pub(crate) fn new(log: &Embedded, workloads: u64, foreign: bool) -> Self {
        let mut writer = log.writer(Delivery::Idempotent).expect("a log in memory");
        let decisions = Consumer::new(log, Start::Earliest).expect("a log in memory");
        let mut records = vec![Outgoing::of(&pool(BEGIN_MS, 6.0))];
        records.extend((0..workloads).map(|number| Outgoing::of(&workload(number, BEGIN_MS, 9.0))));
        writer.append(&records).expect("room");
        let agent = |workload| Agent { workload, sent: BEGIN_MS, silent_until: 0, held: None, last: None };
        let agents = (0..workloads).map(agent).collect();
        Self { now: BEGIN_MS, agents, foreign, writer, decisions, due: BTreeMap::new() }
    }

    /// Something happens.
    pub(crate) fn live_on(&mut self, dice: &mut Dice) {
        self.now += 50 + dice.below(1_000);
        match dice.below(40) {
            0 => self.operate(dice),
            1..=3 => self.adapt(),
            4..=11 if self.foreign => self.writer.append(&[garbage("foreign", self.now)]).expect("room"),
            _ => {
                let agent = dice.below(self.agents.len() as u64) as usize;
                self.send(agent, dice);
            }
        }
    }

    /// Everyone is up to date and in good order.
    pub(crate) fn settle(&mut self) {
        self.now += BATCH_MS;
        self.adapt();
        for agent in &mut self.agents {
            let batch = batch(agent.workload, agent.sent, self.now, self.now);
            let held = agent.held.take().map(|(_, held)| held);
            let records: Vec<_> = held.into_iter().chain(batch).collect();
            agent.sent = self.now;
            self.writer.append(&records).expect("room");
        }
    }

    fn send(&mut self, agent: usize, dice: &mut Dice) {
        let agent = &mut self.agents[agent];
        let mut records = Vec::new();
        if let Some((_, held)) = agent.held.take_if(|(until, _)| *until <= self.now) {
            records.push(held);
        }
        if self.now >= agent.silent_until {
            // After a silence it may have lost what it had not sent.
            if dice.once_in(2) {
                agent.sent = agent.sent.max(self.now.saturating_sub(2 * BATCH_MS));
            }
            let until = (agent.sent + BATCH_MS).min(self.now);
            let log_time = if dice.once_in(60) { self.now + JUMP_MS } else { self.now };
            let ahead = if dice.once_in(60) { JUMP_MS } else { 0 };
            let batch = batch(agent.workload, agent.sent + ahead, until + ahead, log_time);
            agent.sent = until;
            if dice.once_in(20) {
                records.extend(agent.last.clone());
            }
            agent.last.clone_from(&batch);
            match batch {
                Some(batch) if agent.held.is_none() && dice.once_in(20) => {
                    agent.held = Some((self.now + dice.below(6_000), batch));
                }
                batch => records.extend(batch),
            }
            if dice.once_in(40) {
                records.push(garbage(agent_id(agent.workload).as_str(), self.now));
            }
            if dice.once_in(30) {
                agent.silent_until = self.now + dice.below(20_000);
            }
        }
        self.writer.append(&records).expect("room");
    }

    /// The operator changes a workload, the pool or a model, sometimes with a date of long ago, or takes one out.
    fn operate(&mut self, dice: &mut Dice) {
        let time = self.now - dice.below(2) * dice.below(self.now - BEGIN_MS + 1);
        let number = dice.below(self.agents.len() as u64);
        let record = match dice.below(9) {
            6 | 7 => publish(time, dice),
            8 => Outgoing::tombstone::<Model>(&format!("m{}", dice.below(3)), EventTime::from_millis(time)),
            0 => Outgoing::tombstone::<Workload>(name(number).as_str(), EventTime::from_millis(time)),
            1 | 2 => Outgoing::of(&pool(time, 3.0 + dice.below(6) as f64)),
            _ => Outgoing::of(&workload(number, time, 2.0 + dice.below(30) as f64)),
        };
        self.writer.append(&[record]).expect("room");
    }

    /// The adapter carries out what it reads, in its own time.
    fn adapt(&mut self) {
        let polled = self.decisions.poll(Duration::ZERO, 1_000).expect("a log in memory");
        for (_, decision) in polled {
            let decision = decision.expect("decisions can be read").expect("decisions are no tombstones");
            let at = self.now + ACTUATION_MS;
            self.due.entry(at).or_default().push(Outcome {
                version: V1,
                time: EventTime::from_millis(at),
                decision: decision.decision.clone(),
                decided: decision.time,
                workload: decision.workload.clone(),
                adapter: "simulated".to_owned(),
                status: Status::InForce,
                in_force: decision.granted,
                message: String::new(),
            });
        }
        let later = self.due.split_off(&(self.now + 1));
        let due = std::mem::replace(&mut self.due, later);
        let outcomes: Vec<_> = due.into_values().flatten().map(|outcome| Outgoing::of(&outcome)).collect();
        self.writer.append(&outcomes).expect("room");
    }
}

fn agent_id(workload: u64) -> SourceId {
    SourceId::new(&format!("agent-{workload}")).expect("a name")
}

/// Readings of both roles each half second from a time on up to another; none where there is no time between.
fn batch(number: u64, from: u64, until: u64, log_time: u64) -> Option<Outgoing> {
    let times = (from.div_ceil(500)..until.div_ceil(500)).map(|half| half * 500);
    let samples: Vec<Sample> = times
        .flat_map(|time| {
            let second = (time % (2 * JUMP_MS)) / 1_000;
            // Rises and falls within two minutes, each workload at its own time.
            let phase = ((second + 17 * number) % 120) as f64 / 60.0;
            let ramp = 2.5 * (1.0 - (phase - 1.0).abs());
            let wobble = ((time / 500 * 7 + number * 3) % 11) as f64 / 50.0;
            [Role::Primary, Role::Shadow].map(|role| {
                let mut sample = Sample::new(EventTime::from_millis(time), name(number));
                sample.role = role;
                let used = (0.3 + ramp + wobble) * if role == Role::Shadow { 0.75 } else { 1.0 };
                sample.set(Metric::CpuUsed, Some(used));
                sample.set(Metric::CpuLimit, Some(4.0));
                sample.set(Metric::MemoryWorkingSet, Some(0.5e9 + 1e6 * wobble));
                sample.set(Metric::Requests, (time % 5_000 != 0).then_some(100.0 * used));
                sample
            })
        })
        .collect();
    let source = agent_id(number);
    (!samples.is_empty()).then(|| Outgoing::samples(&source, EventTime::from_millis(log_time), &samples))
}

/// Bytes that are no samples: they must be told as such, once.
fn garbage(source: &str, now: u64) -> Outgoing {
    let (key, value) = (source.as_bytes().to_vec(), Some(b"{\"time\": \"yesterday\"}".to_vec()));
    Outgoing { topic: Topic::Samples, time: EventTime::from_millis(now), key, value, headers: Vec::new() }
}

/// A champion of three that take turns, often from a tick ahead on, and once in a while damaged on its way.
fn publish(time: u64, dice: &mut Dice) -> Outgoing {
    let counts_from = EventTime::from_millis(time + dice.below(2) * dice.below(20_000));
    let mut record = unsteady::champion(&format!("m{}", dice.below(3)), dice.below(4) as f32, counts_from);
    if dice.once_in(4) {
        record.sha256 = schemas::sha256(b"another artifact");
    }
    Outgoing { time: EventTime::from_millis(time), ..Outgoing::of(&record) }
}

fn workload(number: u64, time: u64, unmet_cost: f64) -> Workload {
    let workload = fixtures::workload(number, EventTime::from_millis(time));
    Workload { unmet_cost: Money::new(unmet_cost), mode: Mode::Act, ..workload }
}

fn pool(time: u64, cores: f64) -> Pool {
    fixtures::pool(EventTime::from_millis(time), cores)
}

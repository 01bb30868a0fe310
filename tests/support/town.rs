//! A town that a pipeline serves: a simulated fleet, its adapter, and what carries records between them and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orchestrators::{Adapter, Simulated};
use schemas::{Decision, EventTime, LateChange, Outcome, Progress, SourceId, Topic};
use topics::{Action, Consumer, Delivery, Log, Outgoing, Start, Writer};

/// Event time that is written at once.
pub const CHUNK_MS: u64 = 10_000;
/// How long to wait after a chunk: a minute of event time a second.
pub const CHUNK_PAUSE: Duration = Duration::from_millis(166);

/// The town.
pub struct Town {
    fleet: Simulated,
    writer: Box<dyn Writer>,
    decisions: Consumer<Decision>,
    now: EventTime,
    answered: usize,
    acknowledged: Vec<Outgoing>,
    /// What the progress has said of records that came late: it forgets the oldest in time.
    late: BTreeMap<(String, i32, i64), EventTime>,
}

impl Town {
    /// The demo's fleet, at an hour after which so much event time may pass: its times lie neither in the future nor
    /// beyond any retention.
    ///
    /// # Panics
    /// When the log does not serve.
    pub fn new(log: &dyn Log, event_time_ms: u64) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
        let now =
            EventTime::from_millis(u64::try_from(wall.as_millis()).expect("a date")).minus(event_time_ms).tick(60_000);
        let fleet = Simulated::new(plant::demo_fleet(), 1).expect("the demo fleet has good names");
        let (workloads, pools) = fleet.inventory(now);
        let writer = log.writer(Delivery::Idempotent).expect("the broker serves");
        let decisions = Consumer::new(log, Start::Earliest).expect("the broker serves");
        let (acknowledged, late) = (Vec::new(), BTreeMap::new());
        let mut town = Self { fleet, writer, decisions, now, answered: 0, acknowledged, late };
        town.write(pools.iter().map(Outgoing::of).chain(workloads.iter().map(Outgoing::of)).collect());
        town
    }

    /// Writes a chunk of samples, and the outcomes of the decisions that have come until now.
    ///
    /// # Panics
    /// When the log does not take them.
    pub fn live_on(&mut self) {
        let mut samples = Vec::new();
        for step in 0..CHUNK_MS / 1000 {
            samples.extend(self.fleet.step(self.now.plus(step * 1000), 1000));
        }
        self.now = self.now.plus(CHUNK_MS);
        let outcomes = self.carry_out();
        self.answered += outcomes.len();
        // Two sources, so that both partitions are in use.
        let (some, others): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.workload.as_str() < "l");
        let mut records: Vec<_> = outcomes.iter().map(Outgoing::of).collect();
        for (source, samples) in [("agent-1", some), ("agent-2", others)] {
            let source = SourceId::new(source).expect("a name");
            records.push(Outgoing::samples(&source, self.now, &samples));
        }
        records.push(garbage(self.now));
        self.write(records);
    }

    /// Up to when it has written samples.
    #[must_use]
    pub const fn now(&self) -> EventTime {
        self.now
    }

    /// How many outcomes it has written.
    #[must_use]
    pub const fn answered(&self) -> usize {
        self.answered
    }

    /// What the log has told it is written, in order.
    #[must_use]
    pub fn acknowledged(&self) -> &[Outgoing] {
        &self.acknowledged
    }

    /// Remembers what a progress says of records that came late, for a judge who reads the whole log.
    pub fn remember(&mut self, progress: &Progress) {
        let late = progress.late.iter();
        self.late.extend(late.map(|late| ((late.noun.clone(), late.partition, late.offset), late.counts_from)));
    }

    /// A progress with all that was remembered beside what it says itself.
    #[must_use]
    pub fn reminded(&self, progress: &Progress) -> Progress {
        let mut reminded = progress.clone();
        let known: BTreeSet<_> =
            progress.late.iter().map(|late| (late.noun.clone(), late.partition, late.offset)).collect();
        for ((noun, partition, offset), counts_from) in self.late.iter().filter(|(place, _)| !known.contains(*place)) {
            let (noun, partition, offset, counts_from) = (noun.clone(), *partition, *offset, *counts_from);
            reminded.late.push(LateChange { noun, partition, offset, counts_from });
        }
        reminded
    }

    /// Carries out the decisions that have come.
    fn carry_out(&mut self) -> Vec<Outcome> {
        let decisions = self.decisions.poll(Duration::from_millis(1), 1000).unwrap_or_else(|error| {
            assert_eq!(error.action(), Action::Retry, "{error}");
            Vec::new()
        });
        let mut outcomes: Vec<Outcome> = self.fleet.poll(self.now);
        for (_, decision) in decisions {
            let decision = decision.expect("decisions can be read").expect("decisions are no tombstones");
            outcomes.extend(self.fleet.apply(&decision, self.now));
        }
        outcomes
    }

    fn write(&mut self, records: Vec<Outgoing>) {
        self.writer.append(&records).expect("the broker serves");
        self.acknowledged.extend(records);
    }
}

/// Bytes that are no samples: they must be told as such, once.
fn garbage(time: EventTime) -> Outgoing {
    let (key, value) = (b"agent-1".to_vec(), Some(b"{\"time\": \"yesterday\"}".to_vec()));
    Outgoing { topic: Topic::Samples, time, key, value, headers: Vec::new() }
}

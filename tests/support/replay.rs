//! What the outputs of a log have to be: what an engine says that reads the whole log in one go and never fails.

use dataflow::{Commits, Delivery, Engine, EngineSettings, OutputRecord, Rest};
use schemas::{EventTime, Progress, Topic};
use topics::{Log, Record, Start, latest, read_all};

/// What the pipeline reads, the control plane first.
pub const INPUTS: [Topic; 5] = [Topic::Workloads, Topic::Pools, Topic::Outcomes, Topic::Models, Topic::Samples];

/// What the pipeline says.
pub const OUTPUTS: [Topic; 5] = [Topic::Decisions, Topic::Features, Topic::Forecasts, Topic::Anomalies, Topic::Rejects];

/// How far a group's outputs are published.
#[derive(Clone, Debug)]
pub struct Published {
    /// What is acted on, and what had been taken in by then.
    pub decisions: Progress,
    /// Features and forecasts.
    pub features: EventTime,
}

impl Published {
    /// What the log says of a group; none before it has published anything of both.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn of(log: &dyn Log, group: &str) -> Option<Self> {
        let mut found = latest::<Progress>(log).expect("the topic can be read").nouns;
        let features = found.remove(&Progress::of_features(group))?.frontier;
        Some(Self { decisions: found.remove(group)?, features })
    }

    /// Up to where everything is published.
    #[must_use]
    pub fn frontier(&self) -> EventTime {
        self.decisions.frontier.min(self.features)
    }

    fn holds(&self, record: &OutputRecord) -> bool {
        let read = [Topic::Features, Topic::Forecasts].map(Topic::noun).contains(&record.noun.as_str());
        record.tick < if read { self.features } else { self.decisions.frontier }.millis()
    }
}

/// Everything that an engine says until it ends, topic by topic, each in order.
#[must_use]
pub fn said(commits: &Commits) -> Vec<OutputRecord> {
    let all = std::iter::from_fn(|| commits.next());
    let mut records: Vec<_> = all.flat_map(|commit| commit.records).collect();
    records.sort_by(|a, b| a.noun.cmp(&b.noun));
    records
}

/// The outputs up to the published frontiers, as one worker says them.
///
/// # Panics
/// When the log cannot be read, or the settings cannot be used.
#[must_use]
pub fn replay(log: &dyn Log, settings: &EngineSettings, published: &Published) -> Vec<OutputRecord> {
    let settings = EngineSettings { workers: 1, ticks_in_flight_max: 65_536, ..settings.clone() };
    let partitions = log.partitions(Topic::Samples).expect("the log serves");
    let partitions = usize::try_from(partitions).expect("partitions are few");
    let mut engine = Engine::start(&settings, partitions).expect("the settings are sound");
    let commits = engine.commits().clone();
    let collected = std::thread::spawn(move || said(&commits));
    for topic in INPUTS {
        for record in read_all(log, topic, Start::Earliest).expect("the log serves") {
            engine.deliver(delivery(record, &published.decisions)).expect("the workers run");
        }
    }
    engine.finish();
    let mut records = collected.join().expect("the collector only collects");
    records.retain(|record| published.holds(record));
    records
}

/// A record as the published progress tells it: what had not been taken in cannot have counted before the frontier.
fn delivery(record: Record, published: &Progress) -> Delivery {
    let Record { topic, partition, offset, time, .. } = record;
    let noun = topic.noun();
    let taken = published.taken_in.iter().find(|taken| (taken.noun.as_str(), taken.partition) == (noun, partition));
    let settled = taken.is_some_and(|taken| offset < taken.next_offset);
    let place = (noun, partition, offset);
    let late = published.late.iter().find(|late| (late.noun.as_str(), late.partition, late.offset) == place);
    Delivery {
        topic,
        partition,
        offset,
        time,
        key: record.source(),
        content_type: record.header("content-type").map(str::to_owned),
        value: record.value,
        counts_from: if settled { late.map(|late| late.counts_from) } else { Some(published.frontier) },
        settled,
        rest: Rest::Free,
    }
}

//! What the outputs of a log have to be: what an engine says that reads the whole log in one go and never fails.

use dataflow::{Commit, Delivery, Engine, EngineSettings, OutputRecord};
use schemas::{Progress, Topic};
use topics::{Log, Record, Start, read_all};

/// What the pipeline reads, the control plane first.
const INPUTS: [Topic; 4] = [Topic::Workloads, Topic::Pools, Topic::Outcomes, Topic::Samples];

/// What the pipeline says.
pub const OUTPUTS: [Topic; 5] = [Topic::Decisions, Topic::Features, Topic::Forecasts, Topic::Anomalies, Topic::Rejects];

/// The outputs up to the published frontier, in order, as one worker says them.
///
/// # Panics
/// When the log cannot be read, or the settings cannot be used.
#[must_use]
pub fn replay(log: &dyn Log, settings: &EngineSettings, published: &Progress) -> Vec<OutputRecord> {
    let settings = EngineSettings { workers: 1, ticks_in_flight_max: 65_536, ..settings.clone() };
    let partitions = log.partitions(Topic::Samples).expect("the log serves");
    let partitions = usize::try_from(partitions).expect("partitions are few");
    let mut engine = Engine::start(&settings, partitions).expect("the settings are sound");
    let commits = engine.commits().clone();
    let before = published.frontier.millis();
    let collected = std::thread::spawn(move || {
        let records = commits.iter().flat_map(|commit: Commit| commit.records);
        records.filter(|record| record.tick < before).collect()
    });
    for topic in INPUTS {
        for record in read_all(log, topic, Start::Earliest).expect("the log serves") {
            engine.deliver(delivery(record, published)).expect("the workers run");
        }
    }
    engine.finish();
    collected.join().expect("the collector only collects")
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
    }
}

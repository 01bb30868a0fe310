//! What the outputs have to be: what one worker says that reads the whole log in one go and never fails.

use std::collections::{BTreeMap, BTreeSet};

use dataflow::{Commit, Delivery, Engine, EngineSettings, OutputRecord};
use schemas::{EventTime, Progress, Topic};
use topics::{Log, Start, read_all};

/// What the pipeline reads, the control plane first.
const INPUTS: [Topic; 4] = [Topic::Workloads, Topic::Pools, Topic::Outcomes, Topic::Samples];

/// What the pipeline says.
const OUTPUTS: [Topic; 5] = [Topic::Decisions, Topic::Features, Topic::Forecasts, Topic::Anomalies, Topic::Rejects];

/// A topic and a key, with tick and value of each record in order.
type Said = BTreeMap<(Topic, String), Vec<(u64, Vec<u8>)>>;

/// Compares what is on the log with what it has to be; how many decisions agree.
///
/// # Errors
/// The first difference.
pub(crate) fn check(log: &dyn Log, settings: &EngineSettings) -> Result<usize, String> {
    let progress = topics::latest::<Progress>(log).map_err(|error| error.to_string())?.nouns.remove("main");
    let progress = progress.ok_or("nothing was published")?;
    let (found, expected) = (found(log), expected(log, settings, &progress));
    let mut decisions = 0;
    // Dead letters first: they name the record that was judged otherwise.
    let places: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let (rejects, others): (Vec<_>, Vec<_>) = places.into_iter().partition(|(topic, _)| *topic == Topic::Rejects);
    for place in rejects.into_iter().chain(others) {
        let of = |said: &'_ Said| said.get(place).cloned().unwrap_or_default();
        let (found, expected) = (of(&found), of(&expected));
        let (topic, key) = place;
        let at = |index: usize| format!("record {index} of {} for {key}", topic.noun());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            if found != expected {
                return Err(format!("{}: found {}, not {}", at(index), shown(found), shown(expected)));
            }
        }
        let both = found.len().min(expected.len());
        if let Some(more) = found.get(both) {
            return Err(format!("{}: found {} beyond what is expected", at(both), shown(more)));
        }
        if let Some(missing) = expected.get(both) {
            return Err(format!("{}: {} is missing", at(both), shown(missing)));
        }
        if *topic == Topic::Decisions {
            decisions += found.len();
        }
    }
    Ok(decisions)
}

fn shown((tick, value): &(u64, Vec<u8>)) -> String {
    let text: String = String::from_utf8_lossy(value).chars().take(500).collect();
    format!("{tick} {text}")
}

fn found(log: &dyn Log) -> Said {
    let mut said = Said::new();
    for topic in OUTPUTS {
        for record in read_all(log, topic, Start::Earliest).expect("a log in memory") {
            let of = said.entry((topic, record.source())).or_default();
            of.push((record.time.millis(), record.value.expect("an output has a value")));
        }
    }
    said
}

fn expected(log: &dyn Log, settings: &EngineSettings, progress: &Progress) -> Said {
    let settings = EngineSettings { workers: 1, ticks_in_flight_max: 65_536, ..settings.clone() };
    let partitions = log.partitions(Topic::Samples).expect("a log in memory") as usize;
    let mut engine = Engine::start(&settings, partitions).expect("the settings are sound");
    let commits = engine.commits().clone();
    let said = std::thread::spawn(move || {
        let mut said = Said::new();
        for OutputRecord { tick, noun, key, value, .. } in commits.iter().flat_map(|commit: Commit| commit.records) {
            let topic = Topic::of_noun(&noun).expect("a topic");
            said.entry((topic, key)).or_default().push((tick, value));
        }
        said
    });
    for topic in INPUTS {
        for record in read_all(log, topic, Start::Earliest).expect("a log in memory") {
            let late = progress.late.iter().find(|late| {
                (late.noun.as_str(), late.partition, late.offset) == (topic.noun(), record.partition, record.offset)
            });
            // What the pipeline had not taken in cannot have counted before the published frontier.
            let taken = progress
                .taken_in
                .iter()
                .find(|taken| (taken.noun.as_str(), taken.partition) == (topic.noun(), record.partition));
            let settled = taken.is_some_and(|taken| record.offset < taken.next_offset);
            let counts_from = if settled { late.map(|late| late.counts_from) } else { Some(progress.frontier) };
            let delivery = Delivery {
                topic,
                partition: record.partition,
                offset: record.offset,
                time: record.time,
                key: record.source(),
                content_type: record.header("content-type").map(str::to_owned),
                value: record.value,
                counts_from,
                settled,
            };
            engine.deliver(delivery).expect("the workers run");
        }
    }
    engine.finish();
    let mut said = said.join().expect("it only collects");
    said.values_mut().for_each(|records| records.retain(|(tick, _)| *tick < progress.frontier.millis()));
    said.retain(|_, records| !records.is_empty());
    said
}

/// How far the outputs are published.
pub(crate) fn frontier(log: &dyn Log) -> EventTime {
    let progress = topics::latest::<Progress>(log).expect("a log in memory").nouns.remove("main");
    progress.map(|progress| progress.frontier).unwrap_or_default()
}

//! Compares what is on the log with what it has to be.

use std::collections::{BTreeMap, BTreeSet};

use dataflow::{EngineSettings, OutputRecord};
use end_to_end::replay::{OUTPUTS, Published, replay};
use schemas::{EventTime, Topic};
use topics::{Log, Start, read_all};

/// A topic and a key, with tick and value of each record in order.
type Said = BTreeMap<(Topic, String), Vec<(u64, Vec<u8>)>>;

/// Compares what is on the log with what it has to be; how many decisions agree.
///
/// # Errors
/// The first difference.
pub(crate) fn check(log: &dyn Log, settings: &EngineSettings) -> Result<usize, String> {
    let published = Published::of(log, "main").ok_or("nothing was published")?;
    let (found, expected) = (found(log), expected(log, settings, &published));
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

fn expected(log: &dyn Log, settings: &EngineSettings, published: &Published) -> Said {
    let mut said = Said::new();
    for OutputRecord { tick, noun, key, value, .. } in replay(log, settings, published) {
        let topic = Topic::of_noun(&noun).expect("the dataflow names its topics by their nouns");
        said.entry((topic, key)).or_default().push((tick, value));
    }
    said
}

/// How far the outputs are published.
pub(crate) fn frontier(log: &dyn Log) -> EventTime {
    Published::of(log, "main").map(|published| published.frontier()).unwrap_or_default()
}

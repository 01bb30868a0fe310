//! A record of the log as lines for people, or as an object for programs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::{
    Anomaly, Decision, EventTime, FeatureRecord, ForecastRecord, Model, Noun, Outcome, Pool, Progress, Reject, Sample,
    Topic, Workload,
};
use serde_json::{Map, Value, json};
use topics::Record;

use super::essence::Essence;

/// Width of the column of keys: most names are shorter.
const KEY_WIDTH: usize = 20;

/// What a record holds.
enum Content {
    /// A tombstone: the key is removed.
    Removed,
    /// The records of one noun; the faults of rows that cannot be read.
    Nouns(Vec<Box<dyn Shown>>, Vec<String>),
    /// Nothing that can be read, and why.
    Fault(String),
}

/// One noun, whichever it is.
trait Shown {
    /// When it took effect; the log's time where it says none.
    fn time(&self, log_time: EventTime) -> EventTime;
    fn essence(&self) -> String;
    fn value(&self) -> Value;
}

impl<N: Noun + Essence> Shown for N {
    fn time(&self, log_time: EventTime) -> EventTime {
        given(Noun::time(self), log_time)
    }

    fn essence(&self) -> String {
        Essence::essence(self)
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).expect("a noun has a JSON form")
    }
}

/// A sample, which is a noun only in a batch.
struct Row(Sample);

impl Shown for Row {
    fn time(&self, log_time: EventTime) -> EventTime {
        given(self.0.time, log_time)
    }

    fn essence(&self) -> String {
        self.0.essence()
    }

    fn value(&self) -> Value {
        serde_json::to_value(&self.0).expect("a sample has a JSON form")
    }
}

/// A line each noun: time, key, what matters. What a foreign producer wrote must not control the terminal.
pub(super) fn lines(record: &Record) -> Vec<String> {
    let line = |time: EventTime, text: &str| {
        format!("{time}  {:<KEY_WIDTH$}  {text}", record.source()).replace(char::is_control, "\u{fffd}")
    };
    match content(record) {
        Content::Removed => vec![line(record.time, "removed")],
        Content::Nouns(nouns, faults) => {
            let nouns = nouns.iter().map(|noun| line(noun.time(record.time), &noun.essence()));
            nouns.chain(faults.iter().map(|fault| line(record.time, &format!("cannot be read: {fault}")))).collect()
        }
        Content::Fault(fault) => {
            let bytes = record.value.as_ref().map_or(0, Vec::len);
            vec![line(record.time, &format!("cannot be read, {bytes} bytes: {fault}"))]
        }
    }
}

/// The record with its place; what cannot be read as base64 beside its fault. Of samples the value is always an array.
pub(super) fn object(record: &Record) -> Value {
    let headers = record.headers.iter().map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into()));
    let mut object = json!({
        "topic": record.topic.name(),
        "partition": record.partition,
        "offset": record.offset,
        "time": record.time.to_string(),
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "headers": headers.collect::<Map<String, Value>>(),
    });
    match content(record) {
        Content::Removed => object["value"] = Value::Null,
        Content::Nouns(nouns, faults) => {
            let mut values: Vec<Value> = nouns.iter().map(|noun| noun.value()).collect();
            object["value"] = if record.topic == Topic::Samples { values.into() } else { values.remove(0) };
            if !faults.is_empty() {
                object["faults"] = faults.into();
            }
        }
        Content::Fault(fault) => {
            object["value_base64"] = STANDARD.encode(record.value.as_deref().unwrap_or_default()).into();
            object["fault"] = fault.into();
        }
    }
    object
}

fn content(record: &Record) -> Content {
    let Some(bytes) = record.value.as_deref() else { return Content::Removed };
    match record.topic {
        Topic::Samples => samples(record, bytes),
        Topic::Workloads => noun::<Workload>(bytes),
        Topic::Pools => noun::<Pool>(bytes),
        Topic::Features => noun::<FeatureRecord>(bytes),
        Topic::Forecasts => noun::<ForecastRecord>(bytes),
        Topic::Anomalies => noun::<Anomaly>(bytes),
        Topic::Decisions => noun::<Decision>(bytes),
        Topic::Outcomes => noun::<Outcome>(bytes),
        Topic::Models => noun::<Model>(bytes),
        Topic::Rejects => noun::<Reject>(bytes),
        Topic::Progress => noun::<Progress>(bytes),
    }
}

fn noun<N: Noun + Essence + 'static>(bytes: &[u8]) -> Content {
    match N::from_json(bytes) {
        Ok(noun) => Content::Nouns(vec![Box::new(noun)], Vec::new()),
        Err(error) => Content::Fault(error.to_string()),
    }
}

fn samples(record: &Record, bytes: &[u8]) -> Content {
    let rows = match schemas::decode::samples(record.header("content-type"), bytes, record.time) {
        Ok(rows) => rows,
        Err(fault) => return Content::Fault(fault.detail),
    };
    let mut nouns: Vec<Box<dyn Shown>> = Vec::new();
    let mut faults = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        match row {
            Ok(sample) => nouns.push(Box::new(Row(sample))),
            Err(fault) => faults.push(format!("row {index}: {fault}")),
        }
    }
    Content::Nouns(nouns, faults)
}

fn given(time: EventTime, log_time: EventTime) -> EventTime {
    if time == EventTime::default() { log_time } else { time }
}

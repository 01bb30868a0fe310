//! Values of the log as record batches.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use schemas::{
    Anomaly, Decision, EventTime, FeatureRecord, ForecastRecord, Model, Noun, Outcome, Pool, Progress, Reject, Sample,
    Topic, Workload, batch,
};

/// The value of one record of the log, and what of the record bears on reading it.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The value.
    pub bytes: &'a [u8],
    /// The `content-type` header; tells the lanes of samples apart.
    pub content_type: Option<&'a str>,
    /// The log's time of the record, for samples, workloads and pools that carry none.
    pub log_time: EventTime,
}

/// The columns of a topic's table.
#[must_use]
pub fn schema_of(topic: Topic) -> SchemaRef {
    match topic {
        Topic::Samples => batch::SAMPLE_SCHEMA.clone(),
        Topic::Workloads => Workload::arrow_schema(),
        Topic::Pools => Pool::arrow_schema(),
        Topic::Features => FeatureRecord::arrow_schema(),
        Topic::Forecasts => ForecastRecord::arrow_schema(),
        Topic::Anomalies => Anomaly::arrow_schema(),
        Topic::Decisions => Decision::arrow_schema(),
        Topic::Outcomes => Outcome::arrow_schema(),
        Topic::Models => Model::arrow_schema(),
        Topic::Rejects => Reject::arrow_schema(),
        Topic::Progress => Progress::arrow_schema(),
    }
}

/// The rows of values in their order, with the columns of [`schema_of`], and how many values or rows are left out
/// because they cannot be read.
///
/// Holds all of them in memory: call it for a few thousand records at a time.
pub fn batch_of<'a>(topic: Topic, values: impl IntoIterator<Item = Value<'a>>) -> (RecordBatch, usize) {
    match topic {
        Topic::Samples => samples(values),
        Topic::Workloads => nouns(values, |noun: &mut Workload, log_time| fall_back(&mut noun.time, log_time)),
        Topic::Pools => nouns(values, |noun: &mut Pool, log_time| fall_back(&mut noun.time, log_time)),
        Topic::Features => nouns::<FeatureRecord>(values, |_, _| {}),
        Topic::Forecasts => nouns::<ForecastRecord>(values, |_, _| {}),
        Topic::Anomalies => nouns::<Anomaly>(values, |_, _| {}),
        Topic::Decisions => nouns::<Decision>(values, |_, _| {}),
        Topic::Outcomes => nouns::<Outcome>(values, |_, _| {}),
        Topic::Models => nouns::<Model>(values, |_, _| {}),
        Topic::Rejects => nouns::<Reject>(values, |_, _| {}),
        Topic::Progress => nouns::<Progress>(values, |_, _| {}),
    }
}

fn samples<'a>(values: impl IntoIterator<Item = Value<'a>>) -> (RecordBatch, usize) {
    let mut samples: Vec<Sample> = Vec::new();
    let mut undecodable = 0;
    for value in values {
        match schemas::decode::samples(value.content_type, value.bytes, value.log_time) {
            Ok(rows) => {
                let rows_before = samples.len();
                let rows_read = rows.len();
                samples.extend(rows.into_iter().flatten());
                undecodable += rows_read - (samples.len() - rows_before);
            }
            Err(_) => undecodable += 1,
        }
    }
    (batch::to_batch(&samples), undecodable)
}

fn nouns<'a, N: Noun>(
    values: impl IntoIterator<Item = Value<'a>>,
    complete: impl Fn(&mut N, EventTime),
) -> (RecordBatch, usize) {
    let mut nouns: Vec<N> = Vec::new();
    let mut undecodable = 0;
    for value in values {
        match N::from_json(value.bytes) {
            Ok(mut noun) => {
                complete(&mut noun, value.log_time);
                nouns.push(noun);
            }
            Err(_) => undecodable += 1,
        }
    }
    if let Ok(batch) = N::to_batch(&nouns) {
        return (batch, undecodable);
    }
    // A value that does not fit its column (a negative offset, say) must not cost the rows beside it.
    let count = nouns.len();
    nouns.retain(|noun| N::to_batch(std::slice::from_ref(noun)).is_ok());
    let batch = N::to_batch(&nouns).expect("each of the rows fits its columns");
    (batch, undecodable + count - nouns.len())
}

fn fall_back(time: &mut EventTime, log_time: EventTime) {
    if *time == EventTime::default() {
        *time = log_time;
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMillisecondType;

    use super::*;
    use crate::fixtures;

    #[test]
    fn every_topic_decodes_its_noun() {
        for &topic in Topic::ALL {
            let (batch, undecodable) = batch_of(topic, [fixtures::value(fixtures::json(topic))]);
            assert_eq!((batch.num_rows(), undecodable), (1, 0), "{}", topic.noun());
            assert_eq!(batch.schema(), schema_of(topic));
        }
    }

    #[test]
    fn unreadable_values_and_rows_are_counted_and_cost_nothing_else() {
        let negative = r#"[{"time":1,"workload":"w"},{"time":1,"workload":"w","cpu_used_cores":-1.0}]"#;
        let values = [negative, "no json", r#"{"time":2,"workload":"w"}"#].map(fixtures::value);
        let (batch, undecodable) = batch_of(Topic::Samples, values);
        // Two good samples; one negative reading and one value that is no JSON.
        assert_eq!((batch.num_rows(), undecodable), (2, 2));

        let good = fixtures::json(Topic::Rejects);
        let unfit = good.replace("\"partition\":0", "\"partition\":-1");
        let (batch, undecodable) = batch_of(Topic::Rejects, [good, unfit.as_str()].map(fixtures::value));
        assert_eq!((batch.num_rows(), undecodable), (1, 1), "-1 does not fit a column of counts");
    }

    #[test]
    fn a_record_without_a_time_has_the_logs() {
        let json = fixtures::json(Topic::Pools).replace("\"time\":1000,", "");
        let value = Value { log_time: EventTime::from_millis(77), ..fixtures::value(&json) };
        let (batch, _) = batch_of(Topic::Pools, [value]);
        assert_eq!(batch.column(0).as_primitive::<TimestampMillisecondType>().value(0), 77);
    }
}

//! One golden example of every noun, the schemas that follow from the types, and the OpenTelemetry table.
//!
//! `UPDATE_GOLDEN=1 cargo test -p schemas --test golden` rewrites the files; the difference is then read like code.
//! An example of version 1 is never edited so that new code reads it: a noun that changes its shape gets version 2.

#![allow(clippy::disallowed_methods, reason = "UPDATE_GOLDEN is read from the environment")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use schemas::{
    Anomaly, Decision, FeatureRecord, ForecastRecord, Metric, Model, Noun, Outcome, Pool, Progress, Reject, Sample,
    Topic, Workload, batch, columns,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is checked of one noun.
struct Golden {
    topic: Topic,
    /// Reads an example and writes it again.
    again: fn(&str) -> Result<String, String>,
    /// The example's rows.
    rows: fn(&str) -> RecordBatch,
    /// The names of the example's flattened fields.
    keys: fn(&str) -> BTreeSet<String>,
    arrow: fn() -> SchemaRef,
    json: fn() -> Schema,
}

fn goldens() -> [Golden; 11] {
    [
        Golden {
            topic: Topic::Samples,
            again: again::<Sample>,
            rows: |text| batch::to_batch(&[parse(text)]),
            keys: sample_keys,
            arrow: || SchemaRef::clone(&batch::SAMPLE_SCHEMA),
            json: json::<Sample>,
        },
        noun::<Workload>(),
        noun::<Pool>(),
        Golden { keys: feature_keys, ..noun::<FeatureRecord>() },
        noun::<ForecastRecord>(),
        noun::<Anomaly>(),
        noun::<Decision>(),
        noun::<Outcome>(),
        noun::<Model>(),
        noun::<Reject>(),
        noun::<Progress>(),
    ]
}

#[test]
fn every_topic_has_its_example() {
    assert!(goldens().iter().map(|golden| golden.topic).eq(Topic::ALL.iter().copied()));
}

#[test]
fn examples_come_back_as_they_were_written() {
    for golden in goldens() {
        let text = example(&golden);
        let again = (golden.again)(&text).unwrap_or_else(|error| panic!("{}: {error}", golden.topic.noun()));
        assert_eq!(value(&again), value(&text), "{}", golden.topic.noun());
        check(&format!("golden/{}.v1.json", golden.topic.noun()), &again);
    }
}

#[test]
fn schemas_follow_the_types() {
    for golden in goldens() {
        let noun = golden.topic.noun();
        let json = serde_json::to_string_pretty(&(golden.json)()).expect("a schema is JSON");
        check(&format!("json/{noun}.v1.schema.json"), &format!("{json}\n"));
        check(&format!("golden/{noun}.v1.arrow.txt"), &arrow_text(&(golden.arrow)()));
    }
}

#[test]
fn an_example_fills_every_column() {
    for golden in goldens() {
        let rows = (golden.rows)(&example(&golden));
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            assert!(column.null_count() < column.len(), "{}: {} is null", golden.topic.noun(), field.name());
        }
    }
}

#[test]
fn every_field_has_its_column() {
    for golden in goldens() {
        let schema = (golden.arrow)();
        // A map whose keys differ from record to record is JSON text under the map's own name.
        let held = |key: &str| {
            schema.field_with_name(key).is_ok()
                || schema.fields().iter().any(|column| key.starts_with(&format!("{}_", column.name())))
        };
        for key in (golden.keys)(&example(&golden)) {
            assert!(held(&key), "{}: {key} has no column, so SQL would never see it", golden.topic.noun());
        }
    }
}

#[test]
fn other_versions_and_unknown_fields_are_refused_by_name() {
    for golden in goldens() {
        let refused = |field: &str, content: Value| {
            let mut record = value(&example(&golden));
            record[field] = content;
            (golden.again)(&record.to_string()).expect_err(field)
        };
        let version = refused("version", 2.into());
        assert!(version.contains("unknown version 2: this build reads version 1"), "{version}");
        let field = refused("cpu_usd_cores", 1.into());
        assert!(field.contains("unknown field `cpu_usd_cores`"), "{field}");
    }
}

#[test]
fn records_from_before_later_fields_still_read() {
    let later = [
        ("workloads", "", "remediation"),
        ("workloads", "", "probe"),
        ("decisions", "/evidence", "remedies"),
        ("decisions", "", "rollout"),
        ("decisions", "", "probe"),
    ];
    for (noun, at, field) in later {
        let goldens = goldens();
        let golden = goldens.iter().find(|golden| golden.topic.noun() == noun).expect("a noun");
        let mut record = value(&example(golden));
        let removed = record.pointer_mut(at).and_then(Value::as_object_mut).expect("an object").remove(field);
        assert!(removed.is_some(), "{noun}: the example has {field}");
        (golden.again)(&record.to_string()).unwrap_or_else(|error| panic!("{noun}: {error}"));
    }
}

#[test]
fn the_open_telemetry_table_is_fresh() {
    let mut text = "# Readings and their OpenTelemetry names\n\n\
        Generated from `src/reading.rs` by `UPDATE_GOLDEN=1 cargo test -p schemas --test golden`. Names and units follow\n\
        OpenTelemetry's semantic conventions 1.44; names under `foreshadow.` are ours, since the conventions have none.\n\n\
        | column | unit | metric | attribute |\n|---|---|---|---|\n"
        .to_owned();
    for metric in Metric::ALL {
        let (name, attribute) = metric.otel();
        let attribute = attribute.map_or_else(String::new, |(key, value)| format!("`{key}` = `{value}`"));
        writeln!(text, "| `{}` | `{}` | `{name}` | {attribute} |", metric.name(), metric.unit()).expect("text grows");
    }
    check("otel.md", &text);
}

fn noun<N: Noun + JsonSchema>() -> Golden {
    Golden {
        topic: N::TOPIC,
        again: again::<N>,
        rows: |text| N::to_batch(&[parse::<N>(text)]).expect("an example fits its columns"),
        keys: keys::<N>,
        arrow: N::arrow_schema,
        json: json::<N>,
    }
}

fn again<T: Serialize + DeserializeOwned>(text: &str) -> Result<String, String> {
    let record: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    serde_json::to_string_pretty(&record).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn parse<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("an example is a record")
}

fn keys<T: Serialize + DeserializeOwned>(text: &str) -> BTreeSet<String> {
    columns::row(&parse::<T>(text)).into_iter().map(|(key, _)| key).collect()
}

/// The native lane names the version once a message, in the schema's metadata.
fn sample_keys(text: &str) -> BTreeSet<String> {
    keys::<Sample>(text).into_iter().filter(|key| key != "version").collect()
}

/// Features are one row a role, metric and window: the list gives way to its items' fields.
fn feature_keys(text: &str) -> BTreeSet<String> {
    let record: FeatureRecord = parse(text);
    let rows = record.rows.iter().flat_map(columns::row).map(|(key, _)| key);
    keys::<FeatureRecord>(text).into_iter().filter(|key| key != "rows").chain(rows).collect()
}

fn json<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

fn arrow_text(schema: &SchemaRef) -> String {
    let metadata: BTreeMap<_, _> = schema.metadata().iter().collect();
    let mut text = format!("{metadata:?}\n");
    for field in schema.fields() {
        let null = if field.is_nullable() { "null" } else { "not null" };
        let metadata: BTreeMap<_, _> = field.metadata().iter().collect();
        let line = format!("{}: {} {null} {metadata:?}", field.name(), field.data_type());
        writeln!(text, "{}", line.trim_end_matches(" {}")).expect("text grows");
    }
    text
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn example(golden: &Golden) -> String {
    read(&format!("golden/{}.v1.json", golden.topic.noun()))
}

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Compares a file with what the code says it holds, or rewrites it: whole at once, since other tests read it.
fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        let new = file.with_extension("new");
        fs::write(&new, expected).and_then(|()| fs::rename(&new, &file)).expect("the folder can be written");
    }
    assert!(read(path) == expected, "schemas/{path} is stale: run UPDATE_GOLDEN=1 cargo test -p schemas --test golden");
}

//! One record of each noun, and a source that holds batches, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::record_batch::RecordBatch;
use schemas::{EventTime, Topic};

use crate::{Bounds, Catalog, Source, SourceError, Value, batch_of};

/// 2026-11-24T00:00:00Z: 20 781 days after the epoch, in milliseconds.
pub(crate) const MIDNIGHT: u64 = 20_781 * 86_400_000;

/// A record of a topic's noun as JSON, at time 1000 where it has a time.
pub(crate) fn json(topic: Topic) -> &'static str {
    match topic {
        Topic::Samples => r#"{"time":1000,"workload":"w","cpu_used_cores":0.5,"latency_p99_seconds":0.125}"#,
        Topic::Workloads => {
            r#"{"time":1000,"workload":"w","orchestrator":"simulated","pool":"p",
            "allocation":{"cpu_cores":1,"memory_bytes":2},"min":{"cpu_cores":1,"memory_bytes":2},
            "max":{"cpu_cores":4,"memory_bytes":8},"step":{"cpu_cores":0.5,"memory_bytes":1},
            "unmet_cost":9,"idle_cost":1,"shadow":{"size_ratio":0.1,"mirrored_share":0.2}}"#
        }
        Topic::Pools => {
            r#"{"time":1000,"pool":"p","offers":[{"offer":"small","kind":"spot",
            "capacity":{"cpu_cores":8,"memory_bytes":16},"core_hour":0.02,"gib_hour":0.01}]}"#
        }
        Topic::Features => {
            r#"{"time":1000,"tenant":"t","workload":"w","rows":[{"role":"primary","metric":"cpu_used_cores",
            "window_ms":1000,"count":1,"mean":0.5,"min":0.5,"max":0.5,"variance":0,"p50":0.5,"p95":0.5,"p99":0.5,
            "slope_per_second":null,"ewma":0.5,"rate_of_change_per_second":null}]}"#
        }
        Topic::Forecasts => {
            r#"{"time":1000,"tenant":"t","workload":"w","resource":"cpu","horizon_ms":2000,"expert":"persistence",
            "model_version":"1","base":0.5,"quantiles":[{"level":0.9,"value":0.75}],"target_level":0.9,
            "calibrated":0.75}"#
        }
        Topic::Anomalies => {
            r#"{"time":1000,"tenant":"t","workload":"w","detector":"spike","severity":"warning","score":9,
            "threshold":6,"observed":4,"evidence":"four is more than one","suggested":"investigate"}"#
        }
        Topic::Decisions => DECISION,
        Topic::Outcomes => {
            r#"{"time":1000,"decision":"w@1000","decided":900,"workload":"w","adapter":"simulated",
            "status":"in_force","in_force":{"cpu_cores":2,"memory_bytes":4}}"#
        }
        Topic::Models => {
            r#"{"time":1000,"model":"m","artifact":"models/m","sha256":"00","trained_from":0,"trained_to":900,
            "scores":{"pinball":0.25},"champion":true}"#
        }
        Topic::Rejects => {
            r#"{"time":1000,"source":"s","topic":"foreshadow.samples.v1","partition":0,"offset":7,
            "reason":"undecodable","detail":"no JSON","length_bytes":3,"excerpt_base64":"AAAA"}"#
        }
        Topic::Progress => r#"{"group":"g","frontier":1000,"sequence":3}"#,
    }
}

const DECISION: &str = r#"{"decision":"w@1000","time":1000,"sequence":1000,"expires":61000,"tenant":"t",
    "workload":"w","orchestrator":"simulated","pool":"p","mode":"act","action":"scale_up","reason":"forecast",
    "because":"more is needed","current":{"cpu_cores":1,"memory_bytes":2},"wanted":{"cpu_cores":2,"memory_bytes":4},
    "granted":{"cpu_cores":2,"memory_bytes":4},"shortfall":{"cpu_cores":0,"memory_bytes":0},"offer":"small",
    "evidence":{"target_level":0.9,"horizon_ms":2000,"actuation_delay_ms":null,"knee":0.7,"knee_from_shadow":false,
    "amplification":2,"resources":[],
    "pool_before":{"capacity":{"cpu_cores":8,"memory_bytes":16},"free":{"cpu_cores":7,"memory_bytes":14}},
    "pool_after":{"capacity":{"cpu_cores":8,"memory_bytes":16},"free":{"cpu_cores":6,"memory_bytes":12}},
    "price_before":1,"price_after":2}}"#;

/// A value of the JSON lane.
pub(crate) fn value(json: &str) -> Value<'_> {
    Value { bytes: json.as_bytes(), content_type: None, log_time: EventTime::from_millis(5) }
}

/// Rows from JSON records, all of which must be readable.
pub(crate) fn batch<T: AsRef<str>>(topic: Topic, records: &[T]) -> RecordBatch {
    let (batch, undecodable) = batch_of(topic, records.iter().map(|json| value(json.as_ref())));
    assert_eq!(undecodable, 0, "{}", topic.noun());
    batch
}

/// Samples of workload `w`, one core used, at the times.
pub(crate) fn samples(times: impl IntoIterator<Item = u64>) -> RecordBatch {
    let records: Vec<String> =
        times.into_iter().map(|time| format!(r#"{{"time":{time},"workload":"w","cpu_used_cores":1}}"#)).collect();
    batch(Topic::Samples, &records)
}

/// A log in memory, which gives all it has whatever the bounds, and remembers what it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    topics: BTreeMap<Topic, Vec<RecordBatch>>,
    asked: Mutex<Vec<(Topic, Bounds)>>,
}

impl Memory {
    /// A log of one record of each noun.
    pub(crate) fn of_all() -> Self {
        Self::of(Topic::ALL.iter().map(|&topic| (topic, batch(topic, &[json(topic)]))))
    }

    /// A log of batches.
    pub(crate) fn of(batches: impl IntoIterator<Item = (Topic, RecordBatch)>) -> Self {
        let mut memory = Self::default();
        for (topic, batch) in batches {
            memory.topics.entry(topic).or_default().push(batch);
        }
        memory
    }

    /// The bounds of the newest read of a topic.
    pub(crate) fn asked(&self, topic: Topic) -> Option<Bounds> {
        let asked = self.asked.lock().expect("no test panics while it holds the lock");
        asked.iter().rev().find(|(of, _)| *of == topic).map(|(_, bounds)| bounds.clone())
    }
}

impl Source for Memory {
    fn read(&self, topic: Topic, bounds: &Bounds) -> Result<Vec<RecordBatch>, SourceError> {
        self.asked.lock().expect("no test panics while it holds the lock").push((topic, bounds.clone()));
        Ok(self.topics.get(&topic).cloned().unwrap_or_default())
    }
}

/// A catalogue of live rows alone.
pub(crate) fn live(memory: Memory) -> (Arc<Memory>, Catalog) {
    let memory = Arc::new(memory);
    let source: Arc<dyn Source> = memory.clone();
    (memory, Catalog { live: Some(source), ..Catalog::default() })
}

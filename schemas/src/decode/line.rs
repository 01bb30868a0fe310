//! A JSON sample read straight into columns: no name is copied that is known, no sample stands in between.
//!
//! Only text without a fault or an escape in a name is read here. Everything else is left to the derived reader of
//! [`crate::Sample`], which says what is wrong and where; what is accepted here it would accept, and alike.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::samples::{Builder, Names};
use crate::{EventTime, Metric, Role, TenantId, V1};

/// One sample, its names where they stand in the message.
struct Line<'a> {
    time: EventTime,
    tenant: Option<&'a str>,
    workload: &'a str,
    instance: Option<&'a str>,
    role: Role,
    /// By metric; NaN where none was taken.
    readings: [f64; Metric::COUNT],
}

/// Adds a message of one sample or an array of them; how many there were, or none if the message was not read and nothing
/// was added.
pub(super) fn append(bytes: &[u8], log_time: EventTime, into: &mut Builder) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_array = text.trim_start().starts_with('[');
    let lines: Vec<Line<'_>> =
        if is_array { serde_json::from_str(text).ok()? } else { vec![serde_json::from_str(text).ok()?] };
    let rows_before = into.len();
    let added = lines.iter().try_for_each(|line| line.add(log_time, into));
    if added.is_none() {
        into.truncate(rows_before);
    }
    added.and(Some(lines.len())).filter(|rows| *rows > 0)
}

impl Line<'_> {
    fn add(&self, log_time: EventTime, into: &mut Builder) -> Option<()> {
        let readings = || Metric::ALL.iter().zip(self.readings).filter(|(_, value)| !value.is_nan());
        if !readings().all(|(metric, value)| metric.check(value).is_ok()) {
            return None;
        }
        let names = Names {
            tenant: self.tenant.unwrap_or(TenantId::DEFAULT),
            workload: self.workload,
            instance: self.instance,
            role: self.role,
        };
        let who = into.place(&names).ok()?;
        let time = if self.time == EventTime::default() { log_time } else { self.time };
        let row = into.len();
        into.push_row(time.millis(), who);
        readings().for_each(|(metric, value)| into.extend(*metric, row, std::iter::once(value)));
        Some(())
    }
}

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Line<'de>, M::Error> {
        let (mut version, mut time, mut tenant, mut workload, mut role) = (None, None, None, None, None);
        let (mut instance, mut taken) = (None::<Option<&str>>, [None::<Option<f64>>; Metric::COUNT]);
        while let Some(name) = map.next_key::<&str>()? {
            let again = match name {
                "version" => version.replace(map.next_value::<V1>()?).is_some(),
                "time" => time.replace(map.next_value()?).is_some(),
                "tenant" => tenant.replace(map.next_value()?).is_some(),
                "workload" => workload.replace(map.next_value()?).is_some(),
                "instance" => instance.replace(map.next_value()?).is_some(),
                "role" => role.replace(map.next_value()?).is_some(),
                name => {
                    let metric = Metric::of_name(name).ok_or_else(|| M::Error::unknown_field(name, &[]))?;
                    taken[metric.index()].replace(map.next_value()?).is_some()
                }
            };
            if again {
                return Err(M::Error::custom("a field that stands there twice"));
            }
        }
        Ok(Line {
            time: time.unwrap_or_default(),
            tenant,
            workload: workload.ok_or_else(|| M::Error::missing_field("workload"))?,
            instance: instance.flatten(),
            role: role.unwrap_or_default(),
            readings: taken.map(|reading| reading.flatten().unwrap_or(f64::NAN)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sample;

    const LOG_TIME: EventTime = EventTime::from_millis(1_767_225_600_000);

    fn read(text: &str) -> Option<Vec<Sample>> {
        let mut builder = Builder::default();
        let rows = append(text.as_bytes(), LOG_TIME, &mut builder);
        let samples = builder.take();
        assert_eq!(rows.unwrap_or_default(), samples.len(), "{text}");
        rows.map(|rows| (0..rows).map(|row| samples.sample(row)).collect())
    }

    /// As the derived reader has it, completed and checked.
    fn derived(text: &str) -> Option<Vec<Sample>> {
        let samples = serde_json::from_str(text).or_else(|_| serde_json::from_str(text).map(|sample| vec![sample]));
        let mut samples: Vec<Sample> = samples.ok()?;
        for sample in &mut samples {
            if sample.time == EventTime::default() {
                sample.time = LOG_TIME;
            }
            sample.check().ok()?;
        }
        Some(samples)
    }

    #[test]
    fn it_reads_what_the_derived_reader_reads() {
        for text in [
            r#"{"workload":"w"}"#,
            r#" { "workload" : "w", "cpu_used_cores" : 2, "memory_limit_bytes" : 1e9, "cpu_limit_cores" : null } "#,
            r#"{"version":1,"time":1767225601000,"tenant":"t","workload":"w","instance":"w-1","role":"shadow"}"#,
            r#"{"workload":"w","time":"2026-01-01T00:00:02Z","instance":null}"#,
            r#"{"workload":"wä","latency_p99_seconds":0.1234567890123456789}"#,
            r#"[{"workload":"w"},{"workload":"v","cpu_used_cores":0.5}]"#,
        ] {
            assert_eq!(read(text), derived(text), "{text}");
            assert!(read(text).is_some(), "{text} was left to the other");
        }
    }

    #[test]
    fn what_it_does_not_read_leaves_nothing_behind() {
        for text in [
            "",
            "[]",
            "null",
            r#"["w"]"#,
            r#"{"cpu_used_cores":1}"#,
            r#"{"workload":""}"#,
            r#"{"workload":"w\u0061"}"#,
            r#"{"workload":null}"#,
            r#"{"workload":"w","workload":"v"}"#,
            r#"{"workload":"w","cpu_used_cores":1,"cpu_used_cores":1}"#,
            r#"{"workload":"w","cpu":1}"#,
            r#"{"workload":"w","version":2}"#,
            r#"{"workload":"w","tenant":null}"#,
            r#"{"workload":"w","cpu_used_cores":-1}"#,
            r#"{"workload":"w","cpu_used_cores":"1"}"#,
            r#"{"workload":"w"} x"#,
            r#"[{"workload":"w"},{"workload":"w","cpu_pressure_ratio":35}]"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

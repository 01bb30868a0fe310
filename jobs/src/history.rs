//! History as series: what `foreshadow run --history` wrote, on a regular grid of steps.
//!
//! A workload's readings in a step are the mean of each of its instances', summed over them; those of its shadow stand beside
//! those of its primary. A step in which nothing was read is `None`.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use forecast::lstm::Measure;
use query::{Catalog, Session};

use crate::traces::{STEPS_MAX, Series, limit};

/// What is read: the column, what it measures, and the column of its limit.
const COLUMNS: [(&str, Measure, Option<&str>); 5] = [
    ("cpu_used_cores", Measure::Cpu, Some("cpu_limit_cores")),
    ("memory_working_set_bytes", Measure::Memory, Some("memory_limit_bytes")),
    ("network_receive_bytes_per_second", Measure::Rate, None),
    ("network_transmit_bytes_per_second", Measure::Rate, None),
    ("requests_per_second", Measure::Rate, None),
];

/// What the newest record of each workload says.
const RECORDS: &str = "SELECT arrow_cast(workload, 'Utf8'), arrow_cast(profile, 'Utf8'), arrow_cast(learning, 'Utf8') FROM (SELECT \
    *, row_number() OVER (PARTITION BY workload ORDER BY time DESC) AS nth FROM workloads) WHERE nth = 1";

/// The source of all of them; the reading follows.
const TRACE: &str = "history";

/// Most bytes of rows that are sorted and held at once.
const MEMORY_BYTES_MAX: usize = 4 << 30;

/// Length of a step of history: that of the pipeline's forecasts.
pub const STEP_MS: u64 = 10_000;

/// Reads every workload's series, reading by reading, in the order of tenants and workloads.
///
/// # Errors
/// A folder that holds no history, or a file of it that cannot be read.
pub async fn read(folder: &Path, step_ms: u64) -> Result<Vec<Series>, query::Error> {
    Ok(read_from(&session(folder).await?, step_ms).await?.0)
}

/// Reads the series that a model of all workloads may learn from: those of workloads that keep their learning to themselves
/// are left out, from their first reading on.
///
/// # Errors
/// A folder that holds no history, or a file of it that cannot be read.
pub async fn read_shared(folder: &Path, step_ms: u64) -> Result<Vec<Series>, query::Error> {
    let (mut series, records) = read_from(&session(folder).await?, step_ms).await?;
    let is_own = |name: &str| records.get(name).is_some_and(|record| record.learning.as_deref() == Some("own"));
    series.retain(|series| !is_own(&series.name));
    Ok(series)
}

async fn session(folder: &Path) -> Result<Session, query::Error> {
    let catalog =
        Catalog { history: Some(folder.to_owned()), memory_bytes_max: MEMORY_BYTES_MAX, ..Catalog::default() };
    Session::new(catalog).await
}

/// What a workload's newest record says of it.
struct Known {
    profile: Option<String>,
    learning: Option<String>,
}

/// Every workload's series, and what the records say of those that have one.
async fn read_from(session: &Session, step_ms: u64) -> Result<(Vec<Series>, BTreeMap<String, Known>), query::Error> {
    let mut records = BTreeMap::new();
    for batch in session.sql(RECORDS).await? {
        let [workloads, profiles, learnings] = [0, 1, 2].map(|at| column::<StringArray>(&batch, at));
        for row in 0..batch.num_rows() {
            let text = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
            let known = Known { profile: text(profiles), learning: text(learnings) };
            records.insert(workloads.value(row).to_owned(), known);
        }
    }
    let mut all = Vec::new();
    for (column, measure, limit) in COLUMNS {
        let rows = session.sql(&statement(column, limit, step_ms)).await?;
        all.extend(gathered(&rows).into_iter().map(|((tenant, name), steps)| {
            let trace = format!("{TRACE}.{column}");
            let profile = records.get(&name).and_then(|record| record.profile.clone());
            series(Series { trace, name, tenant, profile, measure, step_ms, ..empty() }, &steps)
        }));
    }
    Ok((all, records))
}

fn statement(column: &str, limit: Option<&str>, step_ms: u64) -> String {
    let limit = limit.unwrap_or("CAST(NULL AS DOUBLE)");
    format!(
        "WITH read AS (SELECT tenant, workload, role, coalesce(instance, workload) AS instance, \
         CAST(arrow_cast(time, 'Timestamp(Millisecond, None)') AS BIGINT) / {step_ms} AS step, \
         avg({column}) AS reading, avg({limit}) AS reading_limit \
         FROM samples WHERE role IN ('primary', 'shadow') AND {column} IS NOT NULL \
         GROUP BY tenant, workload, role, instance, step) \
         SELECT arrow_cast(tenant, 'Utf8'), arrow_cast(workload, 'Utf8'), arrow_cast(role, 'Utf8'), step, \
         sum(reading), sum(reading_limit) FROM read \
         GROUP BY tenant, workload, role, step ORDER BY tenant, workload, step"
    )
}

/// What was read in a step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    primary: Option<f64>,
    shadow: Option<f64>,
    limit: Option<f64>,
}

/// By tenant and workload, then by step.
type Gathered = BTreeMap<(String, String), BTreeMap<u64, Step>>;

fn gathered(rows: &[RecordBatch]) -> Gathered {
    let mut all = Gathered::new();
    for batch in rows {
        let [tenants, workloads, roles] = [0, 1, 2].map(|at| column::<StringArray>(batch, at));
        let steps = column::<Int64Array>(batch, 3);
        let [readings, limits] = [4, 5].map(|at| column::<Float64Array>(batch, at));
        for row in 0..batch.num_rows() {
            let whose = (tenants.value(row).to_owned(), workloads.value(row).to_owned());
            let Ok(number) = u64::try_from(steps.value(row)) else { continue };
            let step = all.entry(whose).or_default().entry(number).or_default();
            let reading = readings.is_valid(row).then(|| readings.value(row));
            if roles.value(row) == "shadow" {
                step.shadow = reading;
            } else {
                (step.primary, step.limit) = (reading, limits.is_valid(row).then(|| limits.value(row)));
            }
        }
    }
    all
}

fn column<A: Array + 'static>(batch: &RecordBatch, at: usize) -> &A {
    batch.column(at).as_any().downcast_ref().expect("the statement casts its columns")
}

fn empty() -> Series {
    Series {
        trace: String::new(),
        name: String::new(),
        tenant: String::new(),
        profile: None,
        measure: Measure::Cpu,
        step_ms: 0,
        first_step: 0,
        values: Vec::new(),
        shadow: Vec::new(),
        limit: None,
    }
}

/// Puts steps into a series: from the first to the last, but at most the newest [`STEPS_MAX`].
fn series(mut series: Series, steps: &BTreeMap<u64, Step>) -> Series {
    let (Some((&first, _)), Some((&last, _))) = (steps.first_key_value(), steps.last_key_value()) else {
        return series;
    };
    series.first_step = first.max((last + 1).saturating_sub(STEPS_MAX as u64));
    let at = |step: u64| steps.get(&step).copied().unwrap_or_default();
    series.values = (series.first_step..=last).map(|step| at(step).primary).collect();
    if steps.values().any(|step| step.shadow.is_some()) {
        series.shadow = (series.first_step..=last).map(|step| at(step).shadow).collect();
    }
    // Limits change under way; the one of most steps is what the question is told.
    series.limit = limit(steps.values().filter_map(|step| step.limit).collect());
    series
}

#[cfg(test)]
mod tests {
    use query::{History, HistorySettings, Value, batch_of};
    use schemas::{EventTime, Topic};

    use super::*;

    #[test]
    fn steps_stand_where_they_were_and_gaps_are_no_zeros() {
        let step = |primary: f64, shadow: Option<f64>| Step { primary: Some(primary), shadow, limit: Some(2.0) };
        let steps = BTreeMap::from([(5, step(1.0, None)), (7, step(3.0, Some(0.5)))]);
        let series = series(empty(), &steps);
        assert_eq!((series.first_step, series.limit), (5, Some(2.0)));
        assert_eq!(series.values, [Some(1.0), None, Some(3.0)]);
        assert_eq!(series.shadow, [None, None, Some(0.5)]);
    }

    #[tokio::test]
    async fn who_keeps_its_learning_to_itself_teaches_nobody() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut history = History::open(folder.path(), &HistorySettings::default()).expect("a writable folder");
        let mut keep = |topic, text: &str| {
            let value = Value { bytes: text.as_bytes(), content_type: None, log_time: EventTime::from_millis(1) };
            let (rows, unread) = batch_of(topic, [value]);
            assert_eq!(unread, 0, "{text}");
            history.append(topic, &rows);
        };
        let amounts = r#"{"cpu_cores":1,"memory_bytes":1}"#;
        let mut record = |workload: &str, time: u64, more: &str| {
            let text = format!(
                r#"{{"time":{time},"workload":"{workload}","orchestrator":"simulated","pool":"p","allocation":{amounts},
                "min":{amounts},"max":{amounts},"step":{amounts},"unmet_cost":9,"idle_cost":1{more}}}"#
            );
            keep(Topic::Workloads, &text);
        };
        record("open", 1_000, r#","learning":"own""#);
        record("open", 2_000, r#","profile":"batch""#);
        record("shy", 1_000, "");
        record("shy", 2_000, r#","learning":"own""#);
        for workload in ["open", "shy", "unknown"] {
            keep(Topic::Samples, &format!(r#"{{"time":1500,"workload":"{workload}","cpu_used_cores":0.5}}"#));
        }
        history.finish().expect("a writable folder");
        let profiles: Vec<Option<String>> =
            read(folder.path(), STEP_MS).await.expect("history").into_iter().map(|series| series.profile).collect();
        assert_eq!(profiles, [Some("batch".to_owned()), Some("service".to_owned()), None]);
        let names = |series: Vec<Series>| series.into_iter().map(|series| series.name).collect::<Vec<_>>();
        assert_eq!(names(read(folder.path(), STEP_MS).await.expect("history")), ["open", "shy", "unknown"]);
        assert_eq!(names(read_shared(folder.path(), STEP_MS).await.expect("history")), ["open", "unknown"]);
    }
}

//! Traces: series of readings from Parquet files, on a regular grid of steps.
//!
//! A file has the columns `series` (text) and `time` (an instant), and any of the readings in [`COLUMNS`], in the units of our samples.
//! Each pair of a series and a reading becomes one [`Series`]. Steps are as long as the file's readings lie apart, but at least
//! [`STEP_LEAST_MS`], or as asked for; several readings in a step count with their mean. A step without a reading is `None`.

use std::path::{Path, PathBuf};

use arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use forecast::ensemble::MAX_DEMAND;
use forecast::histogram::{FIRST_BUCKET_BYTES, FIRST_BUCKET_CORES};
use forecast::lstm::Measure;
use query::Session;

/// The readings that are known: the column, what it measures, and the column of its limit.
pub const COLUMNS: [(&str, Measure, Option<&str>); 7] = [
    ("cpu_cores", Measure::Cpu, Some("cpu_limit_cores")),
    ("memory_bytes", Measure::Memory, Some("memory_limit_bytes")),
    ("disk_read_bytes_per_second", Measure::Rate, None),
    ("disk_write_bytes_per_second", Measure::Rate, None),
    ("network_receive_bytes_per_second", Measure::Rate, None),
    ("network_transmit_bytes_per_second", Measure::Rate, None),
    ("requests_per_second", Measure::Rate, None),
];

/// A finer file is averaged over minutes: its shortest horizon is a minute.
pub const STEP_LEAST_MS: u64 = 10_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// Longer series are cut, oldest first: 32 days of 10 s steps.
pub const STEPS_MAX: usize = 1 << 18;

/// Tenths of a series' limits from which its own is told: no test begins before.
const LIMITS_TENTHS: usize = 6;

/// Most bytes of rows that are sorted and held at once.
const MEMORY_BYTES_MAX: usize = 6 << 30;

/// One reading of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The file's name without its ending, and the column where the file has several: `bitbrains.memory_bytes`.
    pub trace: String,
    /// The series within the trace.
    pub name: String,
    /// Who owns it.
    pub tenant: String,
    /// What kind of program it is, as its record says; none without one.
    pub profile: Option<String>,
    /// What is measured.
    pub measure: Measure,
    /// Length of a step.
    pub step_ms: u64,
    /// Number of the first step since the epoch.
    pub first_step: u64,
    /// A value a step.
    pub values: Vec<Option<f64>>,
    /// What a shadow showed of the same, by step; empty where there is none.
    pub shadow: Vec<Option<f64>>,
    /// The limit that was in force for most of its first part, before anybody is tested on it.
    pub limit: Option<f64>,
}

impl Series {
    /// How fine a histogram of its values must be at the lower end: for cores and bytes as for any workload, else a hundredth of the
    /// first value above zero.
    #[must_use]
    pub fn first_bucket(&self) -> f64 {
        const SHARE: f64 = 0.01;
        match self.measure {
            Measure::Cpu => FIRST_BUCKET_CORES,
            Measure::Memory => FIRST_BUCKET_BYTES,
            Measure::Rate => {
                self.values.iter().flatten().find(|value| **value > 0.0).map_or(1.0, |value| SHARE * value)
            }
        }
    }
}

/// Why a trace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file that is not there, or is no Parquet.
    #[error(transparent)]
    File(query::Error),
    /// A statement over a file.
    #[error("{path}: {source}")]
    Query {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: query::Error,
    },
    /// The file is no trace.
    #[error("{path}: {fault}")]
    Fault {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the mend.
        fault: String,
    },
}

/// Reads every series of every file, in the order of files, columns and names.
///
/// # Errors
/// The first file that is not a trace.
pub async fn read(files: &[PathBuf], step_ms: Option<u64>) -> Result<Vec<Series>, TraceError> {
    let mut all = Vec::new();
    for path in files {
        all.extend(File::open(path).await?.series(step_ms).await?);
    }
    Ok(all)
}

struct File<'a> {
    path: &'a Path,
    session: Session,
    columns: Vec<(&'static str, Measure, Option<&'static str>)>,
    limits: Vec<String>,
}

impl<'a> File<'a> {
    async fn open(path: &'a Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Query { path: path.to_owned(), source };
        let fault = |fault: &str| TraceError::Fault { path: path.to_owned(), fault: fault.to_owned() };
        let named = [("trace".to_owned(), path.to_owned())];
        let session =
            Session::over_files(&named, MEMORY_BYTES_MAX, query::PARTITIONS).await.map_err(TraceError::File)?;
        let empty = session.sql("SELECT * FROM trace LIMIT 0").await.map_err(failed)?;
        let schema = empty[0].schema();
        let has = |column: &str| schema.field_with_name(column).is_ok();
        if !has("series") || !has("time") {
            return Err(fault("it has no columns `series` and `time`: a trace has a row for each series and instant"));
        }
        let columns: Vec<_> = COLUMNS.into_iter().filter(|(column, ..)| has(column)).collect();
        if columns.is_empty() {
            let known: Vec<&str> = COLUMNS.iter().map(|(column, ..)| *column).collect();
            return Err(fault(&format!("it has none of the readings {}", known.join(", "))));
        }
        let limits = columns.iter().filter_map(|(.., limit)| *limit).filter(|limit| has(limit));
        let limits = limits.map(ToOwned::to_owned).collect();
        Ok(Self { path, session, columns, limits })
    }

    async fn series(&self, step_ms: Option<u64>) -> Result<Vec<Series>, TraceError> {
        let mut all = Vec::new();
        for &(column, measure, limit) in &self.columns {
            let limit = limit.filter(|limit| self.limits.iter().any(|has| has == limit)).unwrap_or("NULL");
            let statement = format!(
                "SELECT arrow_cast(series, 'Utf8') AS series, \
                 CAST(arrow_cast(time, 'Timestamp(Millisecond, None)') AS BIGINT) AS time, \
                 CAST({column} AS DOUBLE) AS reading, CAST({limit} AS DOUBLE) AS reading_limit \
                 FROM trace WHERE series IS NOT NULL AND time IS NOT NULL ORDER BY series, time"
            );
            let rows = self.session.sql(&statement).await;
            let rows = rows.map_err(|source| TraceError::Query { path: self.path.to_owned(), source })?;
            let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
            let trace = if self.columns.len() == 1 { stem.into_owned() } else { format!("{stem}.{column}") };
            all.extend(gathered(&rows, step_ms).into_iter().map(|gathered| gathered.series(&trace, measure)));
        }
        Ok(all)
    }
}

/// A series as it stands in the file.
#[derive(Default)]
struct Gathered {
    name: String,
    step_ms: u64,
    readings: Vec<(u64, Option<f64>)>,
    limits: Vec<f64>,
}

fn gathered(rows: &[RecordBatch], step_ms: Option<u64>) -> Vec<Gathered> {
    let mut all: Vec<Gathered> = Vec::new();
    for batch in rows {
        let names = column::<StringArray>(batch, 0);
        let (times, readings, limits) =
            (column::<Int64Array>(batch, 1), column::<Float64Array>(batch, 2), column::<Float64Array>(batch, 3));
        for row in 0..batch.num_rows() {
            let name = names.value(row);
            if all.last().is_none_or(|last| last.name != name) {
                all.push(Gathered { name: name.to_owned(), ..Gathered::default() });
            }
            let series = all.last_mut().expect("one was just added");
            let reading =
                readings.is_valid(row).then(|| readings.value(row)).filter(|value| (0.0..=MAX_DEMAND).contains(value));
            series.readings.push((times.value(row).max(0) as u64, reading));
            series.limits.extend(limits.is_valid(row).then(|| limits.value(row)));
        }
    }
    let native = apart(&all);
    let step_ms = step_ms.unwrap_or(if native < STEP_LEAST_MS { MINUTE_MS } else { regular(native) });
    all.iter_mut().for_each(|series| series.step_ms = step_ms);
    all
}

fn column<A: Array + 'static>(batch: &RecordBatch, at: usize) -> &A {
    batch.column(at).as_any().downcast_ref().expect("the statement casts its columns")
}

/// How far readings lie apart: the median over all series.
fn apart(all: &[Gathered]) -> u64 {
    let pairs = all.iter().flat_map(|series| series.readings.windows(2));
    let mut gaps: Vec<u64> = pairs.map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > 0).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(MINUTE_MS)
}

/// The least part of an hour in which a reading lies wherever they are so far apart: seasons are whole steps. Half a percent is
/// an agent's jitter.
fn regular(native_ms: u64) -> u64 {
    let in_an_hour = (1.005 * HOUR_MS as f64 / native_ms as f64) as u64;
    let parts = (1..=in_an_hour).rev().find(|parts| HOUR_MS.is_multiple_of(*parts));
    HOUR_MS / parts.unwrap_or(1)
}

/// The limit of most of the first part of a series, from its limits in the order of time.
pub(crate) fn limit(mut limits: Vec<f64>) -> Option<f64> {
    limits.truncate((limits.len() * LIMITS_TENTHS).div_ceil(10));
    limits.sort_by(f64::total_cmp);
    limits.get(limits.len() / 2).copied().filter(|limit| *limit > 0.0)
}

impl Gathered {
    fn series(self, trace: &str, measure: Measure) -> Series {
        let step = |time: u64| time / self.step_ms;
        let first_step = self.readings.first().map_or(0, |(time, _)| step(*time));
        let last_step = self.readings.last().map_or(0, |(time, _)| step(*time));
        let first_step = first_step.max((last_step + 1).saturating_sub(STEPS_MAX as u64));
        let mut sums = vec![(0.0, 0_u32); (last_step - first_step + 1) as usize];
        for (time, reading) in &self.readings {
            let Some(at) = step(*time).checked_sub(first_step) else { continue };
            if let Some(value) = reading {
                sums[at as usize].0 += value;
                sums[at as usize].1 += 1;
            }
        }
        Series {
            trace: trace.to_owned(),
            name: self.name,
            tenant: "default".to_owned(),
            profile: None,
            measure,
            step_ms: self.step_ms,
            first_step,
            values: sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect(),
            shadow: Vec::new(),
            limit: limit(self.limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(readings: &[(u64, Option<f64>)]) -> Gathered {
        Gathered { name: "a".to_owned(), step_ms: 10_000, readings: readings.to_vec(), limits: vec![2.0, 4.0, 4.0] }
    }

    #[test]
    fn the_limit_is_that_of_before_any_test() {
        // Ten notes of a limit, of which the last four are of what is tested on.
        let limits = [2.0, 2.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0, 8.0, 8.0].to_vec();
        assert_eq!(limit(limits), Some(2.0));
        assert_eq!((limit(Vec::new()), limit(vec![0.0])), (None, None));
    }

    #[test]
    fn steps_are_parts_of_an_hour() {
        // What is regular stays; jitter and odd intervals go to the next longer part.
        let regular_ms = [10_000, 15_000, 60_000, 300_000, 3_600_000].map(|native| (native, native));
        let odd = [(300_001, 300_000), (15_002, 15_000), (57_000, 60_000), (420_000, 450_000), (7_200_000, 3_600_000)];
        for (native, step) in regular_ms.into_iter().chain(odd) {
            assert_eq!(regular(native), step, "{native}");
        }
    }

    #[test]
    fn a_step_is_the_mean_of_its_readings_and_a_gap_is_no_zero() {
        let readings = [(20_000, Some(1.0)), (25_000, Some(3.0)), (31_000, None), (49_999, Some(5.0))];
        let series = gathered(&readings).series("trace", Measure::Cpu);
        assert_eq!((series.first_step, series.limit), (2, Some(4.0)));
        assert_eq!(series.values, [Some(2.0), None, Some(5.0)]);
    }

    #[test]
    fn readings_lie_as_far_apart_as_most_do() {
        let series = gathered(&[(0, None), (300_000, None), (600_000, None), (4_000_000, None)]);
        assert_eq!(apart(&[series]), 300_000);
    }

    #[test]
    fn the_oldest_steps_of_a_long_series_are_left_out() {
        let series = gathered(&[(0, Some(1.0)), (10_000 * STEPS_MAX as u64, Some(2.0))]).series("t", Measure::Cpu);
        assert_eq!((series.first_step, series.values.len(), series.values[0]), (1, STEPS_MAX, None));
    }
}

//! A checkout of the benchmark: `data/<category>/<file>.csv` and `labels/combined_windows.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// Where the label windows are, below the checkout.
const WINDOWS: &str = "labels/combined_windows.json";

/// The first line of every data file.
const HEADER: &str = "timestamp,value";

/// Files outside `realAWSCloudwatch` that measure cloud resources as well.
const CLOUD_FILES: [&str; 2] = [
    "realKnownCause/cpu_utilization_asg_misconfiguration.csv",
    "realKnownCause/ec2_request_latency_system_failure.csv",
];

/// All files, by name.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The files, in the order of their names.
    pub files: Vec<File>,
}

/// One series with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Category and file, such as `realTweets/Twitter_volume_IBM.csv`.
    pub name: String,
    /// The rows, as they stand.
    pub rows: Vec<Row>,
    /// The windows in which something was wrong, in order.
    pub windows: Vec<Window>,
}

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Local time as it stands in the file, to the second.
    pub timestamp: String,
    /// The value, in the file's unit.
    pub value: f64,
}

/// The rows of an anomaly, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the first row.
    pub left: usize,
    /// Index of the last row, not below `left`.
    pub right: usize,
}

impl Corpus {
    /// Reads a checkout.
    ///
    /// # Errors
    /// If a file that the labels name is missing or not as it should be.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(WINDOWS);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}: name the folder of a NAB checkout, which holds data and labels", path.display())
        })?;
        let labels: BTreeMap<String, Vec<[String; 2]>> =
            serde_json::from_str(&text).with_context(|| format!("{} holds no label windows", path.display()))?;
        ensure!(!labels.is_empty(), "{} names no file", path.display());
        let read = |(name, spans): (String, Vec<[String; 2]>)| {
            let path = folder.join("data").join(&name);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            File::parse(name, &text, &spans).with_context(|| path.display().to_string())
        };
        Ok(Self { files: labels.into_iter().map(read).collect::<anyhow::Result<_>>()? })
    }
}

impl File {
    /// Reads a file's text; each span is the first and the last timestamp of a window.
    ///
    /// # Errors
    /// If a line is no row, or a window's end is no row's timestamp.
    pub fn parse(name: String, text: &str, spans: &[[String; 2]]) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        ensure!(lines.next() == Some(HEADER), "line 1 must be {HEADER}");
        let rows: Vec<Row> = (2..).zip(lines).map(|(number, line)| row(number, line)).collect::<anyhow::Result<_>>()?;
        let mut windows = Vec::with_capacity(spans.len());
        let mut next = 0;
        for [first, last] in spans {
            let left = find(&rows, next, first)?;
            let right = find(&rows, left, last)?;
            windows.push(Window { left, right });
            next = right + 1;
        }
        Ok(Self { name, rows, windows })
    }

    /// Whether the file measures a cloud resource.
    #[must_use]
    pub fn is_cloud(&self) -> bool {
        self.name.starts_with("realAWSCloudwatch/") || CLOUD_FILES.contains(&self.name.as_str())
    }
}

fn row(number: usize, line: &str) -> anyhow::Result<Row> {
    let Some((timestamp, value)) = line.split_once(',') else { bail!("line {number} has no comma: {line:?}") };
    let value: f64 = value.trim().parse().with_context(|| format!("line {number}: {value:?} is no number"))?;
    ensure!(value.is_finite(), "line {number}: {value} is no finite number");
    Ok(Row { timestamp: seconds(timestamp).to_owned(), value })
}

/// The first row at or after `from` with a timestamp.
fn find(rows: &[Row], from: usize, timestamp: &str) -> anyhow::Result<usize> {
    let wanted = seconds(timestamp);
    let found = rows.iter().skip(from).position(|row| row.timestamp == wanted);
    found.map(|at| from + at).with_context(|| format!("a window ends at {wanted}, which is no row's timestamp"))
}

/// A timestamp without the fraction that the labels carry.
fn seconds(timestamp: &str) -> &str {
    timestamp.split_once('.').map_or(timestamp, |(whole, _)| whole)
}

//! Sums over feature rows, by window: what the runner compares.

use schemas::{FeatureRecord, FeatureRow};
use serde_json::{Map, Value, json};

use crate::load::{START_MS, TICK_MS};

/// The windows that all programs have.
const WINDOWS_MS: [u64; 3] = [1_000, 10_000, 60_000];

/// The first tick, counted from zero, whose outputs count: every window is full.
const FIRST_TICK: u64 = 60;

/// One set of sums a window.
#[derive(Default)]
pub(crate) struct Digest([Sums; WINDOWS_MS.len()]);

#[derive(Default)]
struct Sums {
    rows: u64,
    count: u64,
    mean: f64,
    min: f64,
    max: f64,
    variance: f64,
}

impl Digest {
    pub(crate) fn add(&mut self, record: &FeatureRecord) {
        if record.time.millis() < START_MS + FIRST_TICK * TICK_MS {
            return;
        }
        for row in &record.rows {
            // Ours has a window of 15 min as well, which no peer computes.
            if let Some(window) = WINDOWS_MS.iter().position(|&window_ms| window_ms == row.window_ms) {
                self.0[window].add(row);
            }
        }
    }

    pub(crate) fn json(&self) -> Value {
        let windows = WINDOWS_MS.iter().zip(&self.0).map(|(window_ms, sums)| (window_ms.to_string(), sums.json()));
        Value::Object(windows.collect::<Map<_, _>>())
    }
}

impl Sums {
    fn add(&mut self, row: &FeatureRow) {
        self.rows += 1;
        self.count += row.count;
        self.mean += f64::from(row.mean);
        self.min += f64::from(row.min);
        self.max += f64::from(row.max);
        self.variance += f64::from(row.variance);
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.rows,
            "count": self.count,
            "mean": self.mean,
            "min": self.min,
            "max": self.max,
            "variance": self.variance,
        })
    }
}

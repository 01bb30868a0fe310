//! The recommender: decayed percentiles of usage, with a margin and a range that narrows as history grows.
//!
//! ```text
//! target = P90 · 1.15
//! lower  = P50 · 1.15 · (1 + 0.001 / c)^-2
//! upper  = P95 · 1.15 · (1 + 1 / c)          c = min(days of history, CPU samples / 1 440)
//! ```
//!
//! | history | c | lower × | upper × |
//! |---|---|---|---|
//! | 5 min | 0.0035 | 0.60 | 289 |
//! | 12 h | 0.5 | 0.996 | 3 |
//! | 1 day | 1 | 0.998 | 2 |
//! | 7 days | 7 | 1.000 | 1.14 |
//!
//! CPU counts once a minute, memory as one peak a day. Both halve in weight every day, so the documented window of eight
//! days of peaks needs no list: what lies before it weighs 1/256 of today.

use forecast::DecayingHistogram;
use forecast::histogram::{FIRST_BUCKET_BYTES, FIRST_BUCKET_CORES, HALF_LIFE_MS};
use plant::Allocation;
use schemas::EventTime;

use super::super::usage::Used;

const DAY_MS: u64 = 86_400_000;
const SAMPLES_PER_DAY: f64 = 1_440.0;
const MIB: f64 = 1_048_576.0;

const MARGIN: f64 = 1.15;
const LOWER_LEVEL: f64 = 0.5;
const TARGET_LEVEL: f64 = 0.9;
const UPPER_LEVEL: f64 = 0.95;

/// Never recommend less: 25 mCPU and 250 MB.
const FLOOR: Allocation = Allocation { cpu_cores: 0.025, memory_bytes: 250e6 };

/// A kill shows a need of at least so much more than was used, bytes.
const OOM_BUMP_BYTES: f64 = 100.0 * MIB;

/// A kill shows a need of at least so many times what was used.
const OOM_BUMP_RATIO: f64 = 1.2;

/// Every sample counts alike.
const WEIGHT: f64 = 1.0;

/// What is recommended, and how far a request may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) lower: Allocation,
    pub(super) target: Allocation,
    pub(super) upper: Allocation,
}

/// The usage of one workload over the last days.
#[derive(Clone, Debug)]
pub(super) struct Recommender {
    min: Allocation,
    max: Allocation,
    cpu: DecayingHistogram,
    memory: DailyPeaks,
    cpu_samples: u64,
    /// Times of the first and the newest CPU sample; none before the first.
    span: Option<(EventTime, EventTime)>,
}

impl Range {
    /// Whether both resources of a request lie within the range.
    pub(super) fn holds(&self, request: Allocation) -> bool {
        request.max(self.lower) == request && request.min(self.upper) == request
    }
}

impl Recommender {
    pub(super) fn new(min: Allocation, max: Allocation) -> Self {
        Self {
            min: min.max(FLOOR),
            max,
            cpu: DecayingHistogram::new(FIRST_BUCKET_CORES, HALF_LIFE_MS),
            memory: DailyPeaks::new(),
            cpu_samples: 0,
            span: None,
        }
    }

    pub(super) fn add(&mut self, now: EventTime, used: &Used) {
        self.cpu.add(now.millis(), used.cpu_cores, WEIGHT);
        self.cpu_samples += 1;
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
        self.memory.add(now, used.memory_peak_bytes);
    }

    pub(super) fn add_oom(&mut self, now: EventTime, request_bytes: f64) {
        self.memory.add_oom(now, request_bytes);
    }

    /// None until both resources have been seen: no history is not a history of nothing.
    pub(super) fn recommend(&self) -> Option<Range> {
        let confidence = self.confidence()?;
        let lower_factor = 1.0 + 0.001 / confidence;
        Some(Range {
            lower: self.estimate(LOWER_LEVEL, 1.0 / (lower_factor * lower_factor))?,
            target: self.estimate(TARGET_LEVEL, 1.0)?,
            upper: self.estimate(UPPER_LEVEL, 1.0 + 1.0 / confidence)?,
        })
    }

    /// Zero at the first sample: the range then is all that the bounds allow.
    fn confidence(&self) -> Option<f64> {
        let (first, newest) = self.span?;
        let days = (newest.millis() - first.millis()) as f64 / DAY_MS as f64;
        Some(days.min(self.cpu_samples as f64 / SAMPLES_PER_DAY))
    }

    fn estimate(&self, level: f64, factor: f64) -> Option<Allocation> {
        let usage = Allocation {
            cpu_cores: self.cpu.percentile(level)?,
            memory_bytes: self.memory.histogram.percentile(level)?,
        };
        Some(usage.scaled(MARGIN * factor).max(self.min).min(self.max))
    }
}

/// The histogram of daily memory peaks, in which the running day's peak is replaced as it grows.
#[derive(Clone, Debug)]
struct DailyPeaks {
    histogram: DecayingHistogram,
    /// End of the running day, which begins with the first sample.
    day_end: EventTime,
    used_peak_bytes: Option<f64>,
    /// Invariant: the larger of the two peaks is in `histogram`, at `day_end`.
    oom_peak_bytes: Option<f64>,
}

impl DailyPeaks {
    fn new() -> Self {
        Self {
            histogram: DecayingHistogram::new(FIRST_BUCKET_BYTES, HALF_LIFE_MS),
            day_end: EventTime::default(),
            used_peak_bytes: None,
            oom_peak_bytes: None,
        }
    }

    fn add(&mut self, now: EventTime, used_bytes: f64) {
        self.begin_day(now);
        let before = self.peak_bytes();
        self.used_peak_bytes = larger(self.used_peak_bytes, Some(used_bytes));
        self.replace(before);
    }

    /// Rests on what was used and requested, never on an earlier kill's peak: that would compound.
    fn add_oom(&mut self, now: EventTime, request_bytes: f64) {
        self.begin_day(now);
        let before = self.peak_bytes();
        let used = self.used_peak_bytes.map_or(request_bytes, |peak| peak.max(request_bytes));
        let needed = (used + OOM_BUMP_BYTES).max(used * OOM_BUMP_RATIO);
        self.oom_peak_bytes = larger(self.oom_peak_bytes, Some(needed));
        self.replace(before);
    }

    fn begin_day(&mut self, now: EventTime) {
        if now < self.day_end {
            return;
        }
        let first = self.histogram.is_empty();
        let past_ms = if first { 0 } else { (now.millis() - self.day_end.millis()) % DAY_MS };
        self.day_end = now.minus(past_ms).plus(DAY_MS);
        (self.used_peak_bytes, self.oom_peak_bytes) = (None, None);
    }

    fn peak_bytes(&self) -> Option<f64> {
        larger(self.used_peak_bytes, self.oom_peak_bytes)
    }

    fn replace(&mut self, before: Option<f64>) {
        let after = self.peak_bytes();
        if before == after {
            return;
        }
        let time = self.day_end.millis();
        if let Some(before) = before {
            self.histogram.subtract(time, before, WEIGHT);
        }
        if let Some(after) = after {
            self.histogram.add(time, after, WEIGHT);
        }
    }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1_073_741_824.0;
    const LEAST: Allocation = Allocation { cpu_cores: 0.0, memory_bytes: 0.0 };
    const MOST: Allocation = Allocation { cpu_cores: 1e3, memory_bytes: 1e12 };

    fn at_hour(hour: u64) -> EventTime {
        EventTime::from_millis(hour * 3_600_000)
    }

    fn used(cpu_cores: f64, memory_peak_bytes: f64) -> Used {
        Used { cpu_cores, cpu_limit_cores: 8.0, memory_peak_bytes }
    }

    #[test]
    fn the_range_has_its_worked_values_after_a_day() {
        let mut recommender = Recommender::new(LEAST, MOST);
        assert_eq!(recommender.recommend(), None);
        for minute in 0..=1_440 {
            recommender.add(EventTime::from_millis(minute * 60_000), &used(1.0, GIB));
        }
        // One core is in bucket 36, which ends at 0.01 · (1.05^37 - 1) / 0.05 = 1.01628; c is 1.
        let range = recommender.recommend().expect("a day of history");
        let target = 1.016_28 * 1.15;
        assert!((range.target.cpu_cores / target - 1.0).abs() < 1e-4);
        assert!((range.lower.cpu_cores / (target / 1.001 / 1.001) - 1.0).abs() < 1e-4);
        assert!((range.upper.cpu_cores / (2.0 * target) - 1.0).abs() < 1e-4);
        assert!((1.15..1.15 * 1.05).contains(&(range.target.memory_bytes / GIB)));
    }

    #[test]
    fn a_tiny_workload_gets_the_floor() {
        let mut recommender = Recommender::new(LEAST, MOST);
        recommender.add(at_hour(0), &used(0.001, 1e6));
        assert_eq!(recommender.recommend().map(|range| range.target), Some(FLOOR));
    }

    #[test]
    fn a_day_counts_once_with_its_largest_peak() {
        let mut peaks = DailyPeaks::new();
        for hour in 0..24 {
            peaks.add(at_hour(hour), GIB * (1 + hour % 3) as f64);
        }
        let mut alone = DailyPeaks::new();
        alone.add(at_hour(0), 3.0 * GIB);
        assert_eq!(peaks.histogram, alone.histogram);
        // The next day has a weight of its own: half a GiB and 3 GiB the day before, at half the weight.
        peaks.add(at_hour(24), 0.5 * GIB);
        let median = peaks.histogram.percentile(0.5).expect("two days");
        assert!((0.5..0.53).contains(&(median / GIB)));
    }

    #[test]
    fn a_kill_bumps_what_was_requested_and_never_compounds() {
        let mut peaks = DailyPeaks::new();
        peaks.add(at_hour(0), 0.2 * GIB);
        // 512 MiB: 100 MiB more are 612, a fifth more 614.4. At 256 MiB the 100 MiB are more.
        peaks.add_oom(at_hour(1), 512.0 * MIB);
        assert_eq!(peaks.oom_peak_bytes, Some(614.4 * MIB));
        peaks.add_oom(at_hour(2), 512.0 * MIB);
        assert_eq!(peaks.oom_peak_bytes, Some(614.4 * MIB));
        let mut small = DailyPeaks::new();
        small.add_oom(at_hour(0), 256.0 * MIB);
        assert_eq!(small.oom_peak_bytes, Some(356.0 * MIB));
    }
}

//! How the live demonstration went, second by second: a line a tick, and what stands at the end.
//!
//! A role suffers in a tick in which it was throttled for more than [`SUFFERING`] of the time; that is what the engine goes by.

use std::fmt::Write as _;

use schemas::{Decision, EventTime, FeatureRecord, Metric, Resource, Role};
use serde_json::{Value, json};
use services::{Outcome, Second};

use super::stage::SLO_S;
use crate::amount::amount;

/// Throttled share from which a role suffers.
const SUFFERING: f64 = 0.15;

/// The window that is shown.
const WINDOW_MS: u64 = 1_000;

/// Cells of a bar.
const CELLS: usize = 10;

/// What is kept of a run.
pub(super) struct Course {
    began: EventTime,
    requests_per_second: u64,
    /// When the shadow first suffered, the first raise was decided, and the primary first suffered and first broke its promise:
    /// seconds since the beginning.
    shadow_suffered: Option<f64>,
    raised: Option<f64>,
    primary_suffered: Option<f64>,
    broke_slo: Option<f64>,
    primary_throttled_max: f64,
    primary_late: u64,
    raises: u64,
    lowerings: u64,
}

/// A role within a tick.
#[derive(Clone, Copy, Debug, Default)]
struct Tick {
    cores: Option<f64>,
    limit: Option<f64>,
    throttled: Option<f64>,
    latency: Option<f64>,
}

impl Course {
    pub(super) fn begin(began: EventTime) -> Self {
        Self {
            began,
            requests_per_second: 0,
            shadow_suffered: None,
            raised: None,
            primary_suffered: None,
            broke_slo: None,
            primary_throttled_max: 0.0,
            primary_late: 0,
            raises: 0,
            lowerings: 0,
        }
    }

    /// Takes in a second of the load.
    pub(super) fn loaded(&mut self, second: &Second) {
        self.requests_per_second = second.due;
    }

    /// Takes in a tick's features; its line, once there is something to show.
    pub(super) fn shown(&mut self, record: &FeatureRecord) -> Option<String> {
        let second = self.second(record.time);
        let [primary, shadow] = [Role::Primary, Role::Shadow].map(|role| Tick::of(record, role));
        if let Some(throttled) = primary.throttled {
            self.primary_throttled_max = self.primary_throttled_max.max(throttled);
        }
        if primary.suffers() {
            self.primary_suffered.get_or_insert(second);
        }
        if shadow.suffers() {
            self.shadow_suffered.get_or_insert(second);
        }
        if primary.latency.is_some_and(|latency| latency > SLO_S) {
            self.broke_slo.get_or_insert(second);
            self.primary_late += 1;
        }
        let rate = self.requests_per_second;
        primary.limit.map(|_| format!("{second:4.0} s {rate:4}/s   primary {primary}   shadow {shadow}"))
    }

    /// Takes in a decision.
    pub(super) fn decided(&mut self, decision: &Decision) {
        let cpu = |of: &schemas::Allocation| of.get(Resource::Cpu);
        let (before, after) = (cpu(&decision.current), cpu(&decision.granted));
        if after > before {
            let second = self.second(decision.time);
            self.raised.get_or_insert(second);
            self.raises += 1;
        }
        self.lowerings += u64::from(after < before);
    }

    /// One JSON object.
    pub(super) fn json(&self, outcome: &Outcome) -> Value {
        let latency = |quantile| outcome.whole.latency(quantile).map(|latency| latency.as_secs_f64());
        json!({
            "requests": outcome.whole.due,
            "answered": outcome.whole.answered,
            "failed": outcome.failures.total(),
            "latency_p50_seconds": latency(0.5),
            "latency_p99_seconds": latency(0.99),
            "shadow_suffered_after_seconds": self.shadow_suffered,
            "raised_after_seconds": self.raised,
            "primary_suffered_after_seconds": self.primary_suffered,
            "broke_slo_after_seconds": self.broke_slo,
            "primary_throttled_max": self.primary_throttled_max,
            "primary_seconds_beyond_slo": self.primary_late,
            "raises": self.raises,
            "lowerings": self.lowerings,
        })
    }

    /// The same for people.
    pub(super) fn text(&self, outcome: &Outcome) -> String {
        let when =
            |second: Option<f64>| second.map_or_else(|| "never".to_owned(), |second| format!("after {second:.0} s"));
        let ms = |quantile| {
            let latency = outcome.whole.latency(quantile);
            latency.map_or_else(|| "-".to_owned(), |latency| format!("{:.1} ms", latency.as_secs_f64() * 1e3))
        };
        let mut text = String::new();
        let (due, failed) = (outcome.whole.due, outcome.failures.total());
        let _ = writeln!(text, "{due} requests, {failed} failed; p50 {}, p99 {}", ms(0.5), ms(0.99));
        let _ = writeln!(text, "the shadow suffered first {}", when(self.shadow_suffered));
        let _ = writeln!(
            text,
            "the first raise was decided {}; {} up, {} down",
            when(self.raised),
            self.raises,
            self.lowerings
        );
        let _ = write!(
            text,
            "the primary suffered {}: throttled for at most {:.0} % of a second, beyond its SLO of {SLO_S} s in {} seconds",
            when(self.primary_suffered),
            self.primary_throttled_max * 100.0,
            self.primary_late
        );
        text
    }

    fn second(&self, at: EventTime) -> f64 {
        (at.millis() as f64 - self.began.millis() as f64) / 1e3
    }
}

impl Tick {
    fn of(record: &FeatureRecord, role: Role) -> Self {
        let mean = |metric: Metric| {
            let mut own = record.rows.iter().filter(|row| row.role == role && row.window_ms == WINDOW_MS);
            own.find(|row| row.metric == metric).map(|row| f64::from(row.mean))
        };
        Self {
            cores: mean(Metric::CpuUsed),
            limit: mean(Metric::CpuLimit),
            throttled: mean(Metric::CpuThrottled),
            latency: mean(Metric::LatencyP99),
        }
    }

    fn suffers(&self) -> bool {
        self.throttled.is_some_and(|throttled| throttled > SUFFERING)
    }
}

impl std::fmt::Display for Tick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((cores, limit)) = self.cores.zip(self.limit) else { return write!(f, "{:CELLS$}  not read", "") };
        let filled = ((cores / limit * CELLS as f64).round() as usize).min(CELLS);
        write!(
            f,
            "{}{} {cores:.2} of {:<10}",
            "█".repeat(filled),
            "░".repeat(CELLS - filled),
            amount(Resource::Cpu, limit)
        )?;
        match self.throttled {
            Some(throttled) => write!(f, " throttled {:3.0} %", throttled * 100.0)?,
            None => write!(f, " throttled   ? %")?,
        }
        match self.latency {
            Some(latency) => write!(f, "  p99 {:6.1} ms", latency * 1e3),
            None => write!(f, "  p99      - ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{FeatureRow, TenantId, V1, WorkloadId};

    use super::*;

    fn record(second: u64, rows: &[(Role, Metric, f32)]) -> FeatureRecord {
        let row = |&(role, metric, mean): &(Role, Metric, f32)| FeatureRow {
            role,
            metric,
            window_ms: WINDOW_MS,
            count: 5,
            mean,
            min: mean,
            max: mean,
            variance: 0.0,
            p50: mean,
            p95: mean,
            p99: mean,
            slope_per_second: None,
            ewma: mean,
            rate_of_change_per_second: None,
        };
        FeatureRecord {
            version: V1,
            time: EventTime::from_millis(second * 1_000),
            tenant: TenantId::default(),
            workload: WorkloadId::new("web").expect("a plain name"),
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn who_suffers_first_is_kept() {
        let mut course = Course::begin(EventTime::from_millis(10_000));
        let at = |second, primary, shadow| {
            record(
                second,
                &[(Role::Primary, Metric::CpuThrottled, primary), (Role::Shadow, Metric::CpuThrottled, shadow)],
            )
        };
        [at(12, 0.0, 0.1), at(15, 0.1, 0.5), at(20, 0.2, 0.6), at(21, 0.3, 0.0)].iter().for_each(|record| {
            course.shown(record);
        });
        assert_eq!((course.shadow_suffered, course.primary_suffered), (Some(5.0), Some(10.0)));
        assert!((course.primary_throttled_max - 0.3).abs() < 1e-6);
    }

    #[test]
    fn a_line_tells_what_was_not_read() {
        let mut course = Course::begin(EventTime::from_millis(0));
        assert_eq!(course.shown(&record(1, &[])), None);
        let rows = [(Role::Primary, Metric::CpuUsed, 0.2), (Role::Primary, Metric::CpuLimit, 0.4)];
        let line = course.shown(&record(2, &rows)).expect("a limit was read");
        assert!(line.contains("█████░░░░░ 0.20 of 0.40 cores") && line.contains("not read"), "{line}");
    }
}

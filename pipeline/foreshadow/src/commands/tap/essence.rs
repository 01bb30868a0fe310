//! What matters of each noun, in one line beside its time and key.

use schemas::{
    Action, Anomaly, Decision, FeatureRecord, ForecastRecord, Metric, Model, Outcome, Pool, Progress, Reject, Resource,
    Role, Sample, Span, Workload,
};

use crate::amount::{amount, both, bytes, change, cores};
use crate::words::words;

/// What matters of a record, without its time and key.
pub(super) trait Essence {
    /// One line.
    fn essence(&self) -> String;
}

/// Readings that were taken; a limit stands behind its usage.
impl Essence for Sample {
    fn essence(&self) -> String {
        let mut parts = Vec::new();
        let mut push = |metric: Metric, text: &dyn Fn(f64) -> String| parts.extend(self.reading(metric).map(text));
        let within = |limit: Metric, show: fn(f64) -> String| {
            self.reading(limit).map_or(String::new(), |limit| format!("/{}", show(limit)))
        };
        let percent = |name: &'static str| move |ratio: f64| format!("{name} {:.1} %", ratio * 100.0);
        let flow = |name: &'static str| move |flow: f64| format!("{name} {}/s", bytes(flow));
        push(Metric::CpuUsed, &|used| format!("cpu {}{} cores", cores(used), within(Metric::CpuLimit, cores)));
        push(Metric::CpuThrottled, &percent("throttled"));
        push(Metric::MemoryWorkingSet, &|used| format!("memory {}{}", bytes(used), within(Metric::MemoryLimit, bytes)));
        push(Metric::DiskRead, &flow("disk read"));
        push(Metric::DiskWrite, &flow("disk write"));
        push(Metric::NetworkReceive, &flow("network in"));
        push(Metric::NetworkTransmit, &flow("network out"));
        push(Metric::CpuPressure, &percent("cpu pressure"));
        push(Metric::MemoryPressure, &percent("memory pressure"));
        push(Metric::IoPressure, &percent("io pressure"));
        push(Metric::Requests, &|rate| format!("{rate:.1} requests/s"));
        push(Metric::Errors, &|rate| format!("{rate:.1} errors/s"));
        push(Metric::Late, &|rate| format!("{rate:.1} late/s"));
        push(Metric::Mirrorable, &|rate| format!("{rate:.1} mirrorable/s"));
        push(Metric::LatencyP99, &|seconds| format!("p99 {:.1} ms", seconds * 1000.0));
        push(Metric::HostCpuUsed, &percent("host cpu"));
        push(Metric::HostCpuStolen, &percent("stolen"));
        let readings = if parts.is_empty() { "no readings".to_owned() } else { parts.join(", ") };
        format!("{} {} {}: {readings}", self.workload, self.role.name(), self.instance_name())
    }
}

impl Essence for Workload {
    fn essence(&self) -> String {
        let shadow = self.shadow.map_or(String::new(), |shadow| format!(", shadow at k {:.2}", shadow.amplification()));
        let paused = match (self.pause.up, self.pause.down) {
            (false, false) => "",
            (true, false) => ", paused up",
            (false, true) => ", paused down",
            (true, true) => ", paused",
        };
        let (mode, q) = (words(&self.mode), self.target_quantile());
        let (held, place) = (both(&self.allocation), &self.orchestrator);
        format!("{held} in pool {} on {place}, mode {mode}, q* {q:.2}{shadow}{paused}", self.pool)
    }
}

impl Essence for Pool {
    fn essence(&self) -> String {
        let offers = self.offers.iter().map(|offer| {
            let (capacity, kind) = (both(&offer.capacity), words(&offer.kind));
            let (core, gib) = (offer.core_hour.get(), offer.gib_hour.get());
            format!("{} ({kind}) {capacity} at {core}/core h, {gib}/GiB h", offer.offer)
        });
        format!("{}: {}", both(&self.capacity()), offers.collect::<Vec<_>>().join("; "))
    }
}

/// The CPU of each role over the shortest window that it has.
impl Essence for FeatureRecord {
    fn essence(&self) -> String {
        let of_role = |role: Role| {
            let cpu = self.rows.iter().filter(|row| row.role == role && row.metric == Metric::CpuUsed);
            cpu.min_by_key(|row| row.window_ms).map(|row| {
                let (mean, max, window) =
                    (cores(f64::from(row.mean)), cores(f64::from(row.max)), Span::from_millis(row.window_ms));
                format!("{} cpu {mean} cores, at most {max}, over {window}", role.name())
            })
        };
        let roles: Vec<String> = Role::ALL.into_iter().filter_map(of_role).collect();
        let of_rows = format!("{} rows", self.rows.len());
        std::iter::once(of_rows).chain(roles).collect::<Vec<_>>().join("; ")
    }
}

impl Essence for ForecastRecord {
    fn essence(&self) -> String {
        let shown = |value| amount(self.resource, value);
        let (name, horizon) = (self.resource.name(), Span::from_millis(self.horizon_ms));
        let (calibrated, base) = (shown(self.calibrated), shown(self.base));
        let expert = &self.expert;
        format!("{name} within {horizon}: {calibrated} at q* {:.2}, about {base} ({expert})", self.target_level)
    }
}

impl Essence for Anomaly {
    fn essence(&self) -> String {
        let taken = self.taken.map_or(String::new(), |taken| format!(", taken: {}", words(&taken)));
        let (severity, detector) = (words(&self.severity), &self.detector);
        format!("{severity} {detector}: {}; suggested: {}{taken}", self.evidence, words(&self.suggested))
    }
}

impl Essence for Decision {
    fn essence(&self) -> String {
        let changes = Resource::ALL.into_iter().filter_map(|resource| change(resource, &self.current, &self.granted));
        let what = match self.action {
            Action::Hold => both(&self.granted),
            _ => changes.collect::<Vec<_>>().join(", "),
        };
        let missing =
            Resource::ALL.into_iter().filter(|&resource| self.shortfall.get(resource) > 0.0).map(|resource| {
                format!(", short of {} of {}", amount(resource, self.shortfall.get(resource)), resource.name())
            });
        let short: String = missing.collect();
        format!("{} {what}{short} [{}]: {}", words(&self.action), words(&self.mode), self.because)
    }
}

impl Essence for Outcome {
    fn essence(&self) -> String {
        let after = Span::from_millis(self.time.millis().saturating_sub(self.decided.millis()));
        let message = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        let (status, in_force) = (words(&self.status), both(&self.in_force));
        format!("{} {status} by {} after {after}, now {in_force}{message}", self.decision, self.adapter)
    }
}

impl Essence for Model {
    fn essence(&self) -> String {
        let rank = if self.champion { "champion" } else { "challenger" };
        let scores: Vec<String> = self.scores.iter().map(|(name, score)| format!("{name} {score:.4}")).collect();
        format!(
            "{rank}, {}, trained {} to {}: {}",
            self.artifact,
            self.trained_from,
            self.trained_to,
            scores.join(", ")
        )
    }
}

impl Essence for Reject {
    fn essence(&self) -> String {
        let row = self.row.map_or(String::new(), |row| format!(" row {row}"));
        let place = format!("{} partition {} offset {}{row}", self.topic, self.partition, self.offset);
        format!("{}: {} ({place})", words(&self.reason), self.detail)
    }
}

impl Essence for Progress {
    fn essence(&self) -> String {
        format!("published up to {}, commit {}", self.frontier, self.sequence)
    }
}

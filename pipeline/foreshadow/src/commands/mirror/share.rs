//! The share of requests that a workload's newest record wants mirrored to its shadow, and its roll-out to a new version.

use std::time::Duration;

use schemas::{Decision, EventTime, Ratio, TenantId, Workload, WorkloadId};
use topics::{Log, Start};

use crate::following::{Followed, Following};

/// One workload's newest record, and where its roll-out stands.
pub(crate) struct Share {
    topic: Following<Workload>,
    decisions: Following<Decision>,
    workload: WorkloadId,
    newest: Option<Newest>,
    /// When the newest turn was decided, and the share that it gives.
    turn: Option<(EventTime, Ratio)>,
}

/// A record and where it stood; no workload where it was removed, or could not be read.
struct Newest {
    partition: i32,
    time: EventTime,
    workload: Option<Workload>,
}

impl Share {
    /// Reads what is there.
    pub(crate) fn read(log: &dyn Log, workload: WorkloadId) -> anyhow::Result<Self> {
        let mut topic = Following::new(log, Start::Earliest)?;
        let mut newest = None;
        topic.catch_up(|followed| replace(&mut newest, &workload, followed))?;
        // A roll-out before this command began is not this one's: its canary sees requests from now on.
        let decisions = Following::new(log, Start::Latest)?;
        Ok(Self { topic, decisions, workload, newest, turn: None })
    }

    /// Takes in what has come since, without waiting.
    pub(crate) fn refresh(&mut self) -> anyhow::Result<()> {
        for followed in self.topic.poll(Duration::ZERO)? {
            replace(&mut self.newest, &self.workload, followed);
        }
        for (_, decision) in self.decisions.poll(Duration::ZERO)? {
            let Some(decision) = decision.filter(|decision| decision.workload == self.workload) else { continue };
            let is_newer = self.turn.is_none_or(|(at, _)| at <= decision.time);
            if let Some(turn) = decision.rollout.filter(|_| is_newer) {
                tracing::info!(workload = %self.workload, share = turn.share.get(), "the roll-out: {}", turn.because);
                self.turn = Some((decision.time, turn.share));
            }
        }
        Ok(())
    }

    /// The share; none where there is no record, or its workload has no shadow.
    pub(crate) fn ratio(&self) -> Option<Ratio> {
        self.record()?.shadow.map(|shadow| shadow.mirrored_share)
    }

    /// The share that a new version and its baseline see, as the roll-out has it; none before its first turn.
    pub(crate) fn on_trial(&self) -> Option<Ratio> {
        self.turn.map(|(_, share)| share)
    }

    /// Who owns the workload, as far as is known.
    pub(crate) fn tenant(&self) -> TenantId {
        self.record().map(|workload| workload.tenant.clone()).unwrap_or_default()
    }

    fn record(&self) -> Option<&Workload> {
        self.newest.as_ref()?.workload.as_ref()
    }
}

fn replace(newest: &mut Option<Newest>, of: &WorkloadId, (record, workload): Followed<Workload>) {
    let is_newer = newest.as_ref().is_none_or(|held| record.supersedes(held.partition, held.time));
    if record.source() == of.as_str() && is_newer {
        *newest = Some(Newest { partition: record.partition, time: record.time, workload });
    }
}

#[cfg(test)]
mod tests {
    use schemas::{ShadowSettings, Topic};
    use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing};

    use super::*;

    fn workload(name: &str, share: Option<f64>) -> Workload {
        let json = format!(
            r#"{{"workload": "{name}", "orchestrator": "cgroup", "pool": "p",
                "allocation": {{"cpu_cores": 1, "memory_bytes": 1}}, "min": {{"cpu_cores": 1, "memory_bytes": 1}},
                "max": {{"cpu_cores": 1, "memory_bytes": 1}}, "step": {{"cpu_cores": 1, "memory_bytes": 1}},
                "unmet_cost": 1, "idle_cost": 1}}"#
        );
        let workload: Workload = serde_json::from_str(&json).expect("a workload");
        let shadow =
            share.map(|share| ShadowSettings { size_ratio: Ratio::new(0.25), mirrored_share: Ratio::new(share) });
        Workload { shadow, ..workload }
    }

    #[test]
    fn the_newest_record_of_the_workload_counts() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Workloads, Topic::Decisions], 2).expect("a new topic");
        let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
        let mut share = Share::read(&log, WorkloadId::new("web").expect("a plain name")).expect("in memory");
        let mut after = |record: Outgoing| {
            writer.append(&[record]).expect("in memory");
            share.refresh().expect("in memory");
            share.ratio().map(Ratio::get)
        };
        assert_eq!(after(Outgoing::of(&workload("api", Some(0.9)))), None, "another workload");
        assert_eq!(after(Outgoing::of(&workload("web", Some(0.2)))), Some(0.2));
        assert_eq!(after(Outgoing::of(&workload("web", Some(0.4)))), Some(0.4));
        assert_eq!(after(Outgoing::of(&workload("web", None))), None, "its shadow is gone");
        assert_eq!(after(Outgoing::of(&workload("web", Some(0.4)))), Some(0.4));
        assert_eq!(after(Outgoing::tombstone::<Workload>("web", EventTime::from_millis(1))), None);
    }
}

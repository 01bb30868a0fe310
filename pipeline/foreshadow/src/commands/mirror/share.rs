//! The share of requests that a workload's newest record wants mirrored to its shadow, and its roll-out to a new version.

use std::time::Duration;

use schemas::{Decision, EventTime, Ratio, Seconds, TenantId, Workload, WorkloadId};
use topics::{Log, Start};

use crate::following::{Followed, Following};

/// One workload's newest record, and where its roll-out stands.
pub(crate) struct Share {
    topic: Following<Workload>,
    decisions: Following<Decision>,
    workload: WorkloadId,
    newest: Option<Newest>,
    /// When the newest turn of a roll-out was decided, and the share that it gives.
    turn: Option<(EventTime, Ratio)>,
    /// When the newest turn of a probe was decided, and until when it holds.
    probe: Option<(EventTime, EventTime)>,
}

/// A step of a roll-out is proven or taken back within six hours, by whoever decides: where nobody does any more, it is over.
const STEP_MS_MAX: u64 = 6 * 3_600_000;

/// No probe takes longer than ten minutes; of one that began before this command only the record tells.
const PROBE_MS_MAX: u64 = 600_000;

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
        Ok(Self { topic, decisions, workload, newest, turn: None, probe: None })
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
            let is_newer = self.probe.is_none_or(|(at, _)| at <= decision.time);
            if let Some(turn) = decision.probe.filter(|_| is_newer) {
                self.probe = Some((decision.time, turn.until));
            }
        }
        Ok(())
    }

    /// The share; none where there is no record, its workload has no shadow, or only that of a probe that is over: its adapter
    /// would have said so, and is gone.
    pub(crate) fn ratio(&self, now: EventTime) -> Option<Ratio> {
        let (newest, record) = (self.newest.as_ref()?, self.record()?);
        let over = self.probe.map_or(newest.time.plus(PROBE_MS_MAX), |(_, until)| until);
        record.shadow.filter(|_| record.probe.is_none() || now < over).map(|shadow| shadow.mirrored_share)
    }

    /// The share that a new version and its baseline see, as the roll-out has it; none before its first turn.
    pub(crate) fn on_trial(&self, now: EventTime) -> Option<Ratio> {
        self.turn.filter(|(at, _)| now < at.plus(STEP_MS_MAX)).map(|(_, share)| share)
    }

    /// The latency that the record promises.
    pub(crate) fn promise(&self) -> Option<Seconds> {
        self.record()?.slo_latency_p99
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
    use schemas::{ProbePolicy, ShadowSettings, Topic};
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
            share.ratio(EventTime::default()).map(Ratio::get)
        };
        assert_eq!(after(Outgoing::of(&workload("api", Some(0.9)))), None, "another workload");
        assert_eq!(after(Outgoing::of(&workload("web", Some(0.2)))), Some(0.2));
        assert_eq!(after(Outgoing::of(&workload("web", Some(0.4)))), Some(0.4));
        assert_eq!(after(Outgoing::of(&workload("web", None))), None, "its shadow is gone");
        assert_eq!(after(Outgoing::of(&workload("web", Some(0.4)))), Some(0.4));
        assert_eq!(after(Outgoing::tombstone::<Workload>("web", EventTime::from_millis(1))), None);
    }
    #[test]
    fn the_share_of_a_probe_ends_with_it_whoever_is_gone() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Workloads, Topic::Decisions], 1).expect("new topics");
        let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
        let mut share = Share::read(&log, WorkloadId::new("web").expect("a plain name")).expect("in memory");
        let at = |second: u64| EventTime::from_millis(second * 1_000);
        let probed = Workload { probe: Some(ProbePolicy::default()), time: at(1_000), ..workload("web", Some(0.4)) };
        writer.append(&[Outgoing::of(&probed)]).expect("in memory");
        share.refresh().expect("in memory");
        let ratio = |share: &Share, second| share.ratio(at(second)).map(Ratio::get);
        assert_eq!((ratio(&share, 1_599), ratio(&share, 1_600)), (Some(0.4), None), "nobody has told of a turn");
        let turn = r#"{"mirrored_share": 0.4, "size_ratio": 0.25, "until": 1060000, "because": "it looks"}"#;
        let golden = include_str!("../../../../../schemas/golden/decisions.v1.json");
        let mut decision: serde_json::Value = serde_json::from_str(golden).expect("JSON");
        decision["workload"] = "web".into();
        decision["time"] = 1_000_000.into();
        decision["probe"] = serde_json::from_str(turn).expect("JSON");
        let decision: Decision = serde_json::from_value(decision).expect("a decision");
        writer.append(&[Outgoing::of(&decision)]).expect("in memory");
        share.refresh().expect("in memory");
        assert_eq!((ratio(&share, 1_059), ratio(&share, 1_060)), (Some(0.4), None));
    }
}

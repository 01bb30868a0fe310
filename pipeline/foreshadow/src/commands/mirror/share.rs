//! The share of requests that a workload's newest record wants mirrored to its shadow, and its roll-out to a new version.

use std::time::Duration;

use schemas::{Decision, EventTime, Mode, Ratio, RolloutAction, RolloutTurn, Seconds, TenantId, Workload, WorkloadId};
use topics::{Log, Start};

use crate::following::{Followed, Following};

/// One workload's newest record, and where its roll-out stands.
pub(crate) struct Share {
    topic: Following<Workload>,
    decisions: Following<Decision>,
    workload: WorkloadId,
    newest: Option<Newest>,
    began: EventTime,
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
    /// Reads what is there. A roll-out that is under way goes on, where there is a new version to mirror to.
    pub(crate) fn read(
        log: &dyn Log,
        workload: WorkloadId,
        has_canary: bool,
        began: EventTime,
    ) -> anyhow::Result<Self> {
        let mut topic = Following::new(log, Start::Earliest)?;
        let mut newest = None;
        topic.catch_up(|followed| replace(&mut newest, &workload, followed))?;
        let from = if has_canary { Start::Time(began.minus(STEP_MS_MAX)) } else { Start::Latest };
        let decisions = Following::new(log, from)?;
        Ok(Self { topic, decisions, workload, newest, began, turn: None, probe: None })
    }

    /// Takes in what has come since, without waiting.
    pub(crate) fn refresh(&mut self) -> anyhow::Result<()> {
        for followed in self.topic.poll(Duration::ZERO)? {
            replace(&mut self.newest, &self.workload, followed);
        }
        loop {
            let decided = self.decisions.poll(Duration::ZERO)?;
            if decided.is_empty() {
                return Ok(());
            }
            for decision in decided.into_iter().filter_map(|(_, decision)| decision) {
                if decision.workload == self.workload {
                    self.follow(&decision);
                }
            }
        }
    }

    fn follow(&mut self, decision: &Decision) {
        let at = decision.time;
        if let Some(turn) = decision.rollout.as_ref().filter(|_| self.turn.is_none_or(|(newest, _)| newest <= at)) {
            let share = if self.is_to_follow(decision, turn) { turn.share } else { Ratio::new(0.0) };
            tracing::info!(workload = %self.workload, share = share.get(), "the roll-out: {}", turn.because);
            self.turn = Some((at, share));
        }
        if let Some(turn) = decision.probe.as_ref().filter(|_| self.probe.is_none_or(|(newest, _)| newest <= at)) {
            self.probe = Some((at, turn.until));
        }
    }

    /// Whether a turn's share is this command's to give: not one that is only recorded, nor what a roll-out came to that was over
    /// when it began, whose version was another.
    fn is_to_follow(&self, decision: &Decision, turn: &RolloutTurn) -> bool {
        let goes_on = matches!(turn.action, RolloutAction::Start | RolloutAction::Advance);
        decision.mode == Mode::Act && (goes_on || decision.time >= self.began)
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

    fn read(log: &dyn Log, began: EventTime) -> Share {
        Share::read(log, WorkloadId::new("web").expect("a plain name"), true, began).expect("in memory")
    }

    /// A decision about the workload at a second, with this beside it.
    fn decided(second: u64, mode: &str, turn: (&str, &str)) -> Decision {
        let golden = include_str!("../../../../../schemas/golden/decisions.v1.json");
        let mut decision: serde_json::Value = serde_json::from_str(golden).expect("JSON");
        (decision["workload"], decision["time"], decision["mode"]) =
            ("web".into(), (second * 1_000).into(), mode.into());
        decision[turn.0] = serde_json::from_str(turn.1).expect("JSON");
        serde_json::from_value(decision).expect("a decision")
    }

    #[test]
    fn a_roll_out_that_is_under_way_goes_on_and_one_that_is_over_or_imagined_does_not() {
        // A mirror that begins at second 1000.
        let found = |second: u64, mode: &str, action: &str| {
            let log = Embedded::in_memory(EmbeddedSettings::default());
            log.ensure(&[Topic::Workloads, Topic::Decisions], 1).expect("new topics");
            let turn = format!(r#"{{"action": "{action}", "share": 0.25, "because": "it passed"}}"#);
            let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
            writer.append(&[Outgoing::of(&decided(second, mode, ("rollout", &turn)))]).expect("in memory");
            let mut share = read(&log, EventTime::from_millis(1_000_000));
            share.refresh().expect("in memory");
            share.on_trial(EventTime::from_millis(1_001_000)).map(Ratio::get)
        };
        assert_eq!(found(900, "act", "advance"), Some(0.25));
        assert_eq!([found(900, "act", "finish"), found(1_000, "act", "finish")], [Some(0.0), Some(0.25)]);
        assert_eq!([found(1_000, "observe", "start"), found(1_000, "recommend", "start")], [Some(0.0); 2]);
    }

    #[test]
    fn the_newest_record_of_the_workload_counts() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Workloads, Topic::Decisions], 2).expect("a new topic");
        let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
        let mut share = read(&log, EventTime::default());
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
        let mut share = read(&log, EventTime::default());
        let at = |second: u64| EventTime::from_millis(second * 1_000);
        let probed = Workload { probe: Some(ProbePolicy::default()), time: at(1_000), ..workload("web", Some(0.4)) };
        writer.append(&[Outgoing::of(&probed)]).expect("in memory");
        share.refresh().expect("in memory");
        let ratio = |share: &Share, second| share.ratio(at(second)).map(Ratio::get);
        assert_eq!((ratio(&share, 1_599), ratio(&share, 1_600)), (Some(0.4), None), "nobody has told of a turn");
        let turn = r#"{"mirrored_share": 0.4, "size_ratio": 0.25, "until": 1060000, "because": "it looks"}"#;
        writer.append(&[Outgoing::of(&decided(1_000, "act", ("probe", turn)))]).expect("in memory");
        share.refresh().expect("in memory");
        assert_eq!((ratio(&share, 1_059), ratio(&share, 1_060)), (Some(0.4), None));
    }
}

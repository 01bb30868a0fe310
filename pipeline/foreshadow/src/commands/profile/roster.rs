//! The workloads to sample: the newest record of each key, of those that say where their instances are.
//!
//! State: one record a key, as many as the compacted topic holds.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::{EventTime, Selector, TenantId, Workload, WorkloadId};
use topics::{Log, Start};

use crate::following::{Followed, Following};

/// The workloads as they are now.
pub(crate) struct Roster {
    topic: Following<Workload>,
    newest: BTreeMap<String, Newest>,
}

/// The newest record of a key, and where it stood.
struct Newest {
    partition: i32,
    time: EventTime,
    workload: Workload,
}

impl Roster {
    /// Reads what is there.
    pub(crate) fn read(log: &dyn Log) -> anyhow::Result<Self> {
        let mut topic = Following::new(log, Start::Earliest)?;
        let mut newest = BTreeMap::new();
        topic.catch_up(|followed| replace(&mut newest, followed))?;
        Ok(Self { topic, newest })
    }

    /// Takes in what has come since, without waiting; true when there is something else to sample.
    pub(crate) fn refresh(&mut self) -> anyhow::Result<bool> {
        let records = self.topic.poll(Duration::ZERO)?;
        if records.is_empty() {
            return Ok(false);
        }
        let before = self.selection();
        records.into_iter().for_each(|followed| replace(&mut self.newest, followed));
        Ok(self.selection() != before)
    }

    /// The workloads whose selector says where their instances are. Others' readings come another way.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        self.selected().cloned().collect()
    }

    fn selected(&self) -> impl Iterator<Item = &Workload> {
        let workloads = self.newest.values().map(|newest| &newest.workload);
        workloads.filter(|workload| workload.selector != Selector::default())
    }

    /// What a profiler goes by. Records change more often than this: with bounds, prices, modes.
    fn selection(&self) -> Vec<(WorkloadId, TenantId, Selector)> {
        let select = |of: &Workload| (of.workload.clone(), of.tenant.clone(), of.selector.clone());
        self.selected().map(select).collect()
    }
}

/// Puts a record in place of its key's.
fn replace(newest: &mut BTreeMap<String, Newest>, (record, workload): Followed<Workload>) {
    let key = record.source();
    if newest.get(&key).is_some_and(|held| !record.supersedes(held.partition, held.time)) {
        return;
    }
    match workload {
        Some(workload) => {
            newest.insert(key, Newest { partition: record.partition, time: record.time, workload });
        }
        None => {
            newest.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::Topic;
    use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing, Writer};

    use super::*;

    fn workload(name: &str, selector: &str) -> Workload {
        let json = format!(
            r#"{{"workload": "{name}", "orchestrator": "cgroup", "selector": {selector}, "pool": "p",
                "allocation": {{"cpu_cores": 1, "memory_bytes": 1}}, "min": {{"cpu_cores": 1, "memory_bytes": 1}},
                "max": {{"cpu_cores": 1, "memory_bytes": 1}}, "step": {{"cpu_cores": 1, "memory_bytes": 1}},
                "unmet_cost": 1, "idle_cost": 1}}"#
        );
        serde_json::from_str(&json).expect("a workload")
    }

    fn log() -> (Embedded, Box<dyn Writer>) {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Workloads], 3).expect("a new topic");
        let writer = log.writer(Delivery::Idempotent).expect("a writer");
        (log, writer)
    }

    fn names(roster: &Roster) -> Vec<String> {
        roster.workloads().iter().map(|workload| workload.workload.to_string()).collect()
    }

    #[test]
    fn only_what_can_be_found_is_sampled_and_the_newest_record_counts() {
        let (log, mut writer) = log();
        let records = [
            workload("web", r#"{"pid": 1}"#),
            workload("elsewhere", "{}"),
            workload("api", r#"{"process": "api*"}"#),
            workload("web", r#"{"pid": 2}"#),
        ];
        writer.append(&records.map(|record| Outgoing::of(&record))).expect("in memory");
        let roster = Roster::read(&log).expect("in memory");
        assert_eq!(names(&roster), ["api", "web"]);
        assert_eq!(roster.workloads()[1].selector.pid, Some(2));
    }

    #[test]
    fn changes_count_when_they_change_what_is_sampled() {
        let (log, mut writer) = log();
        let mut roster = Roster::read(&log).expect("an empty topic");
        let mut after = |record: Outgoing| {
            writer.append(&[record]).expect("in memory");
            roster.refresh().expect("in memory")
        };
        let web = workload("web", r#"{"pid": 1}"#);
        assert!(after(Outgoing::of(&web)));
        assert!(!after(Outgoing::of(&Workload { priority: 3, ..web.clone() })), "the same instances");
        assert!(!after(Outgoing::of(&workload("elsewhere", "{}"))));
        assert!(after(Outgoing::of(&workload("web", r#"{"pid": 2}"#))));
        assert!(after(Outgoing::tombstone::<Workload>("web", EventTime::from_millis(1))));
        assert_eq!(names(&roster), Vec::<String>::new());
    }

    #[test]
    fn a_record_that_cannot_be_read_takes_its_workload_out() {
        let (log, mut writer) = log();
        let web = Outgoing::of(&workload("web", r#"{"pid": 1}"#));
        let broken = Outgoing { value: Some(b"{".to_vec()), ..web.clone() };
        writer.append(&[web, broken]).expect("in memory");
        assert_eq!(names(&Roster::read(&log).expect("in memory")), Vec::<String>::new());
    }
}

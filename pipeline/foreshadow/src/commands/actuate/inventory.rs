//! What an adapter finds, as records: what runs and what pays for it.
//!
//! A record that is there already is its user's. Of a workload the adapter puts right only what it knows better: its own
//! name, the target, what runs and where it is read, the steps that it can set, and the shadow that runs; bounds, prices, mode,
//! pause and the rest stay as they are, and so do pools. So a restart writes nothing, and an edit survives it. A workload that was removed
//! and still runs is written again; to leave one alone, set its mode to `observe`.

use orchestrators::Adapter;
use schemas::{EventTime, Noun, Pool, Selector, Workload};
use topics::{Delivery, Latest, Log, Outgoing, latest};

/// Writes what is missing, and what the adapter knows better.
pub(crate) fn publish(log: &dyn Log, adapter: &dyn Adapter, now: EventTime) -> anyhow::Result<()> {
    let (workloads, pools) = adapter.inventory(now);
    let found = workloads.len() + pools.len();
    let (known_workloads, known_pools) = (latest::<Workload>(log)?, latest::<Pool>(log)?);
    let workloads = workloads.into_iter().filter_map(|found| due(found, &known_workloads, corrected));
    let mut records: Vec<Outgoing> = workloads.map(|workload| Outgoing::of(&workload)).collect();
    let pools = pools.into_iter().filter_map(|found| due(found, &known_pools, |_, _| None));
    records.extend(pools.map(|pool| Outgoing::of(&pool)));
    log.writer(Delivery::Idempotent)?.append(&records)?;
    tracing::info!(found, written = records.len(), "inventory");
    Ok(())
}

/// The record to write for what was found, if any.
fn due<N: Noun>(found: N, known: &Latest<N>, corrected: impl Fn(N, &N) -> Option<N>) -> Option<N> {
    if let Some((_, error)) = known.undecodable.iter().find(|(record, _)| record.source() == found.key()) {
        tracing::warn!(key = found.key(), %error, "its record cannot be read and is left as it is: write it again");
        return None;
    }
    match known.nouns.get(found.key()) {
        Some(known) => corrected(found, known),
        None => Some(found),
    }
}

/// A workload's record with what was found of it; none when the record says so already.
fn corrected(found: Workload, known: &Workload) -> Option<Workload> {
    let Workload { time, allocation, orchestrator, target, revision, selector, step, shadow, .. } = found;
    // What the adapter cannot tell is left as it is.
    let revision = revision.or_else(|| known.revision.clone());
    let selector = if selector == Selector::default() { known.selector.clone() } else { selector };
    let right = Workload { orchestrator, target, revision, selector, step, shadow, ..known.clone() };
    (right != *known).then_some(Workload { time, allocation, ..right })
}

#[cfg(test)]
mod tests {
    use orchestrators::Simulated;
    use schemas::{Mode, Topic};
    use topics::{Embedded, EmbeddedSettings, Start, read_all};

    use super::*;

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    fn log() -> Embedded {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Workloads, Topic::Pools], 2).expect("new topics");
        log
    }

    fn fleet() -> Simulated {
        Simulated::new(plant::demo_fleet(), 1).expect("identifiers")
    }

    fn web(log: &Embedded) -> Workload {
        latest::<Workload>(log).expect("in memory").nouns["web"].clone()
    }

    fn write(log: &Embedded, record: Outgoing) {
        log.writer(Delivery::Idempotent).expect("a writer").append(&[record]).expect("in memory");
    }

    fn records(log: &Embedded) -> usize {
        let records = |topic| read_all(log, topic, Start::Earliest).expect("in memory").len();
        records(Topic::Workloads) + records(Topic::Pools)
    }

    #[test]
    fn what_is_missing_is_written_once() {
        let log = log();
        publish(&log, &fleet(), at(1)).expect("in memory");
        // Six workloads and their pool.
        assert_eq!(records(&log), 7);
        publish(&log, &fleet(), at(2)).expect("in memory");
        assert_eq!(records(&log), 7, "a restart writes nothing");
        write(&log, Outgoing::tombstone::<Workload>("web", at(3)));
        publish(&log, &fleet(), at(4)).expect("in memory");
        assert_eq!(web(&log).time, at(4), "it still runs");
    }

    #[test]
    fn a_users_edit_stays_and_what_the_adapter_knows_better_is_put_right() {
        let log = log();
        publish(&log, &fleet(), at(1)).expect("in memory");
        let found = web(&log);
        let edited = Workload { time: at(2), mode: Mode::Recommend, priority: 9, ..found.clone() };
        write(&log, Outgoing::of(&edited));
        publish(&log, &fleet(), at(3)).expect("in memory");
        assert_eq!(web(&log), edited);
        let mistaken = Workload { time: at(4), shadow: None, ..edited.clone() };
        write(&log, Outgoing::of(&mistaken));
        publish(&log, &fleet(), at(5)).expect("in memory");
        assert_eq!(web(&log), Workload { time: at(5), ..edited });
    }

    #[test]
    fn what_runs_now_is_named_and_what_the_adapter_cannot_tell_stays() {
        let log = log();
        publish(&log, &fleet(), at(1)).expect("in memory");
        let known = Workload {
            revision: Some("one".to_owned()),
            selector: Selector { cgroup: Some("/old".to_owned()), ..Selector::default() },
            ..web(&log)
        };
        let silent = Workload { revision: None, selector: Selector::default(), ..known.clone() };
        assert_eq!(corrected(silent, &known), None);
        let renewed = Workload {
            time: at(2),
            revision: Some("two".to_owned()),
            selector: Selector { cgroup: Some("/new".to_owned()), ..Selector::default() },
            ..known.clone()
        };
        assert_eq!(corrected(renewed.clone(), &known), Some(renewed));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_overwritten() {
        let log = log();
        let broken = Outgoing { value: Some(b"{".to_vec()), ..Outgoing::tombstone::<Pool>("main", at(1)) };
        write(&log, broken);
        publish(&log, &fleet(), at(2)).expect("in memory");
        // The six workloads, and the broken record.
        assert_eq!(records(&log), 7);
        assert_eq!(latest::<Pool>(&log).expect("in memory").undecodable.len(), 1);
    }
}

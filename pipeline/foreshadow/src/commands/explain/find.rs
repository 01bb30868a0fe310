//! Finds a decision on the log, and what belongs to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use schemas::{Decision, EventTime, Noun, Outcome, Status, Topic, Workload};
use topics::{Error, Log, Record, Start, latest};

use super::Explained;
use crate::extent::Extent;

/// The newest offsets of a partition in which a workload's newest decision is looked for first; then
/// [`FIRST_LOOK_GROWTH`] times as many, until all are read.
const FIRST_LOOK_OFFSETS: usize = 4096;
const FIRST_LOOK_GROWTH: usize = 16;
/// The newest offsets of each partition from which other decisions are named.
const NAMED_OFFSETS: usize = 4096;
/// How far an adapter's clock may be behind the one that samples are read by, in milliseconds.
const CLOCK_BEHIND_MS: u64 = 60_000;
/// How many others are named.
const NAMED_MAX: usize = 10;

/// What is asked for, with what stands around it.
///
/// # Errors
/// When the log cannot be read, or holds no such decision: then the error names others.
pub(super) fn explained(log: &dyn Log, asked: &str) -> anyhow::Result<Explained> {
    let decision = match decision(log, asked)? {
        Some(decision) => decision,
        None => anyhow::bail!(others(log, asked)?),
    };
    let outcomes = outcomes(log, &decision)?;
    let workload = workload(log, decision.workload.as_str())?;
    Ok(Explained { decision, outcomes, workload })
}

/// The decision of an id, else the newest of a workload.
fn decision(log: &dyn Log, asked: &str) -> anyhow::Result<Option<Decision>> {
    if let Some((workload, tick)) = parts(asked)
        && let Some(decision) = of_id(log, asked, workload, tick)?
    {
        return Ok(Some(decision));
    }
    newest(log, asked)
}

/// The workload and the tick of a decision's id.
fn parts(asked: &str) -> Option<(&str, EventTime)> {
    let (workload, tick) = asked.rsplit_once('@')?;
    Some((workload, EventTime::from_millis(tick.parse().ok()?)))
}

fn of_id(log: &dyn Log, id: &str, workload: &str, tick: EventTime) -> anyhow::Result<Option<Decision>> {
    let Some(extent) = Extent::of(log, Topic::Decisions, Start::Time(tick))? else { return Ok(None) };
    let mut found = None;
    extent.read(log, |records| {
        found = nouns::<Decision>(&records, workload).find(|decision| decision.decision.as_str() == id);
        Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(found)
}

/// The newest decision of a workload: the last ones of its partition are looked at first.
fn newest(log: &dyn Log, workload: &str) -> anyhow::Result<Option<Decision>> {
    let Some(all) = Extent::of(log, Topic::Decisions, Start::Earliest)? else { return Ok(None) };
    let home = all.clone().home(workload);
    let mut offsets = FIRST_LOOK_OFFSETS;
    while offsets < home.offsets() {
        if let Some(decision) = last(log, &home.clone().tail(offsets), workload)? {
            return Ok(Some(decision));
        }
        offsets = offsets.saturating_mul(FIRST_LOOK_GROWTH);
    }
    // Everywhere: before partitions were added the workload's decisions lay on another one.
    last(log, &all, workload)
}

fn last(log: &dyn Log, extent: &Extent, workload: &str) -> anyhow::Result<Option<Decision>> {
    let mut newest: Option<Decision> = None;
    extent.read(log, |records| {
        for decision in nouns::<Decision>(&records, workload) {
            if newest.as_ref().is_none_or(|held| held.sequence <= decision.sequence) {
                newest = Some(decision);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(newest)
}

/// Up to the one that tells that it is in force, or the log's end.
fn outcomes(log: &dyn Log, decision: &Decision) -> anyhow::Result<Vec<Outcome>> {
    let from = Start::Time(decision.time.minus(CLOCK_BEHIND_MS));
    let Some(extent) = Extent::of(log, Topic::Outcomes, from)? else { return Ok(Vec::new()) };
    let mut outcomes: Vec<Outcome> = Vec::new();
    extent.read(log, |records| {
        let all = nouns::<Outcome>(&records, decision.workload.as_str());
        outcomes.extend(all.filter(|outcome| outcome.decision == decision.decision));
        let landed = outcomes.iter().any(|outcome| outcome.status == Status::InForce);
        Ok(if landed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    outcomes.sort_by_key(|outcome| (outcome.time, outcome.status));
    Ok(outcomes)
}

fn workload(log: &dyn Log, workload: &str) -> Result<Option<Workload>, Error> {
    match latest::<Workload>(log) {
        Err(Error::UnknownTopic { .. }) => Ok(None),
        found => Ok(found?.nouns.remove(workload)),
    }
}

/// The nouns of a key; what cannot be read is told.
fn nouns<'a, N: Noun + 'a>(records: &'a [Record], key: &'a str) -> impl Iterator<Item = N> + 'a {
    records.iter().filter(move |record| record.key.as_deref() == Some(key.as_bytes())).filter_map(noun)
}

fn noun<N: Noun>(record: &Record) -> Option<N> {
    let Record { partition, offset, .. } = record;
    N::from_json(record.value.as_deref()?)
        .inspect_err(|error| tracing::warn!(partition, offset, "left out what cannot be read: {error}"))
        .ok()
}

/// What to say when a decision is not there: which others are.
fn others(log: &dyn Log, asked: &str) -> anyhow::Result<String> {
    let mut newest: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
    if let Some(extent) = Extent::of(log, Topic::Decisions, Start::Earliest)? {
        extent.tail(NAMED_OFFSETS).read(log, |records| {
            for record in &records {
                newest.entry(record.source()).or_default().extend(noun::<Decision>(record));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    newest.values_mut().for_each(|decisions| decisions.sort_by_key(|decision| decision.sequence));
    let ids = |decisions: &[Decision]| {
        let newest = decisions.iter().rev().take(NAMED_MAX).map(|decision| decision.decision.to_string());
        newest.collect::<Vec<_>>().join(", ")
    };
    if newest.is_empty() {
        return Ok(format!("no decision {asked}: the log holds none; `foreshadow run` takes them"));
    }
    if let Some(decisions) = parts(asked).and_then(|(workload, _)| newest.get(workload)) {
        return Ok(format!("no decision {asked}: the newest of this workload are {}", ids(decisions)));
    }
    let last = newest.values().filter_map(|decisions| decisions.last());
    let shown: Vec<_> = last.map(|decision| decision.decision.to_string()).take(NAMED_MAX).collect();
    let more = match newest.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and those of {more} other workloads"),
    };
    Ok(format!(
        "no decision {asked}, nor a workload of that name: of each workload the newest are {}{more}",
        shown.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use schemas::{Allocation, DecisionId, V1};
    use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing};

    use super::super::tests::decision as decided;
    use super::*;

    fn outcome(workload: &str, tick: u64, status: Status) -> Outcome {
        let id = DecisionId::new(&format!("{workload}@{tick}")).expect("an id");
        let decided = decided(workload, tick);
        Outcome {
            version: V1,
            time: EventTime::from_millis(tick + 1500),
            decision: id,
            decided: decided.time,
            workload: decided.workload,
            adapter: "simulated".to_owned(),
            status,
            in_force: Allocation::ZERO,
            message: String::new(),
        }
    }

    fn log(records: &[Outgoing]) -> Embedded {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Decisions, Topic::Outcomes], 2).expect("new topics");
        log.writer(Delivery::Idempotent).expect("a writer").append(records).expect("room");
        log
    }

    /// Decisions of two workloads, one of which has an @ in its name.
    fn usual() -> Embedded {
        let mut records: Vec<_> = [("web", 1000), ("web", 2000), ("web", 3000), ("db@7", 2000)]
            .map(|(workload, tick)| Outgoing::of(&decided(workload, tick)))
            .into();
        let outcomes =
            [("web", 2000, Status::InForce), ("web", 2000, Status::Accepted), ("web", 3000, Status::Accepted)];
        records.extend(outcomes.map(|(workload, tick, status)| Outgoing::of(&outcome(workload, tick, status))));
        log(&records)
    }

    fn id(log: &Embedded, asked: &str) -> String {
        decision(log, asked).expect("a log in memory").expect(asked).decision.to_string()
    }

    #[test]
    fn a_decision_is_found_by_its_id_and_by_its_workload() {
        let log = usual();
        assert_eq!(id(&log, "web@2000"), "web@2000");
        assert_eq!(id(&log, "web"), "web@3000");
        assert_eq!(id(&log, "db@7"), "db@7@2000", "no id, but a workload's name");
        assert_eq!(id(&log, "db@7@2000"), "db@7@2000");
    }

    #[test]
    fn the_newest_is_found_far_behind_those_of_others() {
        let mut records = vec![Outgoing::of(&decided("web", 1000))];
        let mut other = Outgoing::of(&decided("web", 2000));
        // The same partition, another workload: only the key is looked at, so that the value need not differ.
        other.key = (0..)
            .map(|n| format!("k{n}").into_bytes())
            .find(|key| topics::partition_of(key, 2) == topics::partition_of(b"web", 2))
            .expect("some key");
        records.extend(std::iter::repeat_n(other, FIRST_LOOK_OFFSETS + 1));
        assert_eq!(id(&log(&records), "web"), "web@1000");
    }

    #[test]
    fn outcomes_follow_their_decision_in_the_order_of_time() {
        let log = usual();
        let explained = explained(&log, "web@2000").expect("it is there");
        let statuses: Vec<_> = explained.outcomes.iter().map(|outcome| outcome.status).collect();
        assert_eq!(statuses, [Status::Accepted, Status::InForce]);
        assert!(explained.workload.is_none(), "the topic of workloads is not there");
    }

    #[test]
    fn an_unknown_decision_is_told_which_there_are() {
        let log = usual();
        let told = |asked: &str| explained(&log, asked).err().expect("not there").to_string();
        assert_eq!(told("web@9"), "no decision web@9: the newest of this workload are web@3000, web@2000, web@1000");
        let expected =
            "no decision wep, nor a workload of that name: of each workload the newest are db@7@2000, web@3000";
        assert_eq!(told("wep"), expected);
        let error = explained(&Embedded::in_memory(EmbeddedSettings::default()), "web").err().expect("an empty log");
        assert!(error.to_string().contains("the log holds none"), "{error}");
    }
}

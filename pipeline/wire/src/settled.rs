//! What a run before this one has said for good about the inputs, read off the progress that it published.
//!
//! Two things depend on how far a run had come when a record was read: from when on a late change of the control plane
//! counts, and which samples of a partition are late after it rested or a restart. The progress names them, so that a replay gives the
//! same answers. What the progress does not know was not published: it counts from the published frontier on at the
//! earliest.

use std::collections::BTreeMap;

use dataflow::Rest;
use schemas::{EventTime, Progress, Topic};

/// What was settled before this run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled {
    frontier: Option<EventTime>,
    /// The first offset that had not been taken in, by topic and partition.
    taken_in: BTreeMap<(Topic, i32), i64>,
    /// Records that count from a tick that was not theirs alone to say.
    late: BTreeMap<(Topic, i32, i64), EventTime>,
}

impl Settled {
    /// What a published progress says; without one nothing is settled.
    pub(crate) fn of(progress: Option<&Progress>) -> Self {
        let Some(progress) = progress else { return Self::default() };
        let taken = progress.taken_in.iter();
        let late = progress.late.iter();
        Self {
            frontier: Some(progress.frontier),
            taken_in: taken
                .filter_map(|taken| Some(((Topic::of_noun(&taken.noun)?, taken.partition), taken.next_offset)))
                .collect(),
            late: late
                .filter_map(|late| Some(((Topic::of_noun(&late.noun)?, late.partition, late.offset), late.counts_from)))
                .collect(),
        }
    }

    /// Whether a record was taken in.
    pub(crate) fn holds(&self, topic: Topic, partition: i32, offset: i64) -> bool {
        self.taken_in.get(&(topic, partition)).is_some_and(|next| offset < *next)
    }

    /// From which tick a record counts; none leaves it to the record's time.
    pub(crate) fn counts_from(&self, topic: Topic, partition: i32, offset: i64) -> Option<EventTime> {
        if self.holds(topic, partition, offset) {
            self.late.get(&(topic, partition, offset)).copied()
        } else {
            self.frontier
        }
    }

    /// How a partition of the samples rests before its record at `next`: none where the run before did not let it rest, so
    /// neither may this one; else the tick where that run had come when it read the record, if it did.
    pub(crate) fn rest(&self, partition: i32, next: i64) -> Rest {
        if self.holds(Topic::Samples, partition, next) {
            self.late.get(&(Topic::Samples, partition, next)).map_or(Rest::Never, |until| Rest::Until(*until))
        } else {
            Rest::Free
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{LateChange, TakenIn};

    use super::*;

    fn settled() -> Settled {
        let taken = |noun: &str| TakenIn { noun: noun.to_owned(), partition: 0, next_offset: 5 };
        let late = |noun: &str| LateChange {
            noun: noun.to_owned(),
            partition: 0,
            offset: 3,
            counts_from: EventTime::from_millis(40_000),
        };
        Settled::of(Some(&Progress {
            frontier: EventTime::from_millis(60_000),
            taken_in: vec![taken("outcomes"), taken("samples")],
            late: vec![late("outcomes"), late("samples")],
            ..Progress::default()
        }))
    }

    #[test]
    fn a_replay_counts_each_change_from_where_the_run_before_did() {
        let of = |topic, offset| settled().counts_from(topic, 0, offset).map(EventTime::millis);
        assert_eq!(of(Topic::Outcomes, 2), None, "it came in time");
        assert_eq!(of(Topic::Outcomes, 3), Some(40_000), "it was late");
        assert_eq!(of(Topic::Outcomes, 5), Some(60_000), "it was not taken in");
        assert_eq!(of(Topic::Pools, 0), Some(60_000), "nothing of that partition was");
    }

    #[test]
    fn a_partition_rests_where_it_did_in_the_run_before() {
        let of = |next| settled().rest(0, next);
        assert_eq!(of(2), Rest::Never, "it had not been idle");
        assert_eq!(of(3), Rest::Until(EventTime::from_millis(40_000)), "it had been, until here");
        assert_eq!(of(5), Rest::Free, "nobody knows yet");
    }
}

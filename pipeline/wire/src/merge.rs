//! Partitions of the samples in one order: by the log's time, so that a replay meets them as the run before it did.
//!
//! While a partition is behind the end that it had at the start, its next record is waited for, and the oldest of all
//! goes next. Once it has reached that end, its records go on as they come.
//!
//! A partition is idle when nothing was written to it for `idle_after`. Behind the end that is read off the log's
//! times: it was idle before the next record wherever the gap is longer. At the end it is read off the clock.
//!
//! State: at most [`LANE_RECORDS_MAX`] records a partition beside what one poll brings; a full lane is held back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use schemas::EventTime;
use topics::Record;

/// Records that may wait in a lane before its partition is paused: two polls of a busy one.
pub(crate) const LANE_RECORDS_MAX: usize = 2048;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Hand on a record.
    Deliver(Record),
    /// Declare a partition idle.
    Idle(i32),
}

/// Records of all partitions, waiting for their turn.
#[derive(Debug)]
pub(crate) struct Merge {
    lanes: BTreeMap<i32, Lane>,
    idle_after_ms: u64,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Record>,
    /// The latest log time that was handed on.
    handed_on: EventTime,
    /// How long nothing has come, as of the last look at the clock.
    silent: Duration,
    idle: bool,
    held_back: bool,
    /// Whether it has reached the end that it had at the start.
    live: bool,
}

impl Merge {
    pub(crate) fn new(partitions: i32, idle_after: Duration) -> Self {
        let lanes = (0..partitions).map(|partition| (partition, Lane::default())).collect();
        Self { lanes, idle_after_ms: u64::try_from(idle_after.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Puts a partition where a snapshot had come: what was handed on last, and whether it was idle.
    pub(crate) fn resume(&mut self, partition: i32, handed_on: EventTime, idle: bool) {
        let lane = self.lanes.entry(partition).or_default();
        (lane.handed_on, lane.idle) = (handed_on, idle);
    }

    /// The next record of a partition, if it has come.
    pub(crate) fn head(&self, partition: i32) -> Option<&Record> {
        self.lanes.get(&partition)?.waiting.front()
    }

    /// Takes in polled records, each partition's in their order.
    pub(crate) fn take_in(&mut self, records: Vec<Record>) {
        for record in records {
            let lane = self.lanes.entry(record.partition).or_default();
            lane.silent = Duration::ZERO;
            lane.waiting.push_back(record);
        }
    }

    /// The next step; none while there is nothing to do, or a partition has to be waited for.
    pub(crate) fn next(&mut self) -> Option<Step> {
        let unknown = self.lanes.values().any(|lane| !lane.live && lane.waiting.is_empty());
        let heads = self.lanes.iter().filter_map(|(partition, lane)| Some((lane.waiting.front()?.time, *partition)));
        let (time, partition) = heads.min().filter(|_| !unknown)?;
        if let Some(idle) = self.silent_before(time) {
            return Some(idle);
        }
        let lane = self.lanes.get_mut(&partition)?;
        lane.idle = false;
        lane.handed_on = lane.handed_on.max(time);
        lane.waiting.pop_front().map(Step::Deliver)
    }

    /// Time passes, in which nothing has come but what is taken in next.
    pub(crate) fn pass(&mut self, elapsed: Duration) {
        self.lanes.values_mut().filter(|lane| lane.live).for_each(|lane| lane.silent += elapsed);
    }

    /// Whether there are partitions that nothing has come from for too long, as of the clock; asked once all that waits is handed
    /// on.
    pub(crate) fn has_silent(&self) -> bool {
        self.lanes.values().any(|lane| lane.is_silent(self.idle_after_ms))
    }

    /// Declares them idle.
    pub(crate) fn silent(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (partition, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.is_silent(self.idle_after_ms)) {
            lane.idle = true;
            steps.push(Step::Idle(*partition));
        }
        steps
    }

    /// Begins to listen anew: until now nobody could be heard.
    pub(crate) fn listen_anew(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.silent = Duration::ZERO);
    }

    /// Notes that a partition has reached the end that it had at the start.
    pub(crate) fn reach_end(&mut self, partition: i32) {
        self.lanes.entry(partition).or_default().live = true;
    }

    /// Partitions that are to be held back from now on (true), or no longer (false).
    pub(crate) fn hold_back(&mut self) -> Vec<(i32, bool)> {
        let mut turned = Vec::new();
        for (partition, lane) in &mut self.lanes {
            let full = lane.waiting.len() >= LANE_RECORDS_MAX;
            if full != lane.held_back {
                lane.held_back = full;
                turned.push((*partition, full));
            }
        }
        turned
    }

    /// A partition that had been silent for too long when the record of `time` was written.
    fn silent_before(&mut self, time: EventTime) -> Option<Step> {
        let idle_after_ms = self.idle_after_ms;
        let silent = |lane: &Lane| !lane.idle && lane.handed_on.plus(idle_after_ms) < time;
        let (partition, lane) = self.lanes.iter_mut().find(|(_, lane)| silent(lane))?;
        lane.idle = true;
        Some(Step::Idle(*partition))
    }
}

impl Lane {
    fn is_silent(&self, idle_after_ms: u64) -> bool {
        self.live && !self.idle && self.waiting.is_empty() && self.silent.as_millis() > u128::from(idle_after_ms)
    }
}

#[cfg(test)]
mod tests {
    use schemas::Topic;

    use super::*;

    const IDLE_AFTER: Duration = Duration::from_secs(5);

    fn record(partition: i32, offset: i64, time_ms: u64) -> Record {
        let time = EventTime::from_millis(time_ms);
        Record { topic: Topic::Samples, partition, offset, time, key: None, value: None, headers: Vec::new() }
    }

    /// The steps until there is none: delivered records as (partition, offset), idle partitions as (partition, -1).
    fn steps(merge: &mut Merge) -> Vec<(i32, i64)> {
        std::iter::from_fn(|| merge.next())
            .map(|step| match step {
                Step::Deliver(record) => (record.partition, record.offset),
                Step::Idle(partition) => (partition, -1),
            })
            .collect()
    }

    #[test]
    fn behind_the_end_the_oldest_goes_next_and_an_unfetched_partition_is_waited_for() {
        let mut merge = Merge::new(2, IDLE_AFTER);
        merge.take_in(vec![record(0, 0, 1_000), record(0, 1, 3_000), record(1, 0, 2_000)]);
        // After offset 0 of partition 1 its next record is unknown: offset 1 of partition 0 must wait for it.
        assert_eq!(steps(&mut merge), [(0, 0), (1, 0)]);
        merge.take_in(vec![record(1, 1, 2_500)]);
        assert_eq!(steps(&mut merge), [(1, 1)]);
        merge.reach_end(1);
        assert_eq!(steps(&mut merge), [(0, 1)]);
    }

    #[test]
    fn a_gap_in_the_logs_times_tells_which_partition_was_idle() {
        let mut merge = Merge::new(2, IDLE_AFTER);
        merge.reach_end(0);
        merge.reach_end(1);
        merge.take_in(vec![record(0, 0, 1_000), record(1, 0, 1_000), record(0, 1, 6_000), record(0, 2, 6_001)]);
        // 6000 is not more than 5 s after 1000; 6001 is, and partition 0 has spoken since.
        assert_eq!(steps(&mut merge), [(0, 0), (1, 0), (0, 1), (1, -1), (0, 2)]);
        // Both were silent before 20000: all that came is closed, then partition 1 wakes.
        merge.take_in(vec![record(1, 1, 20_000)]);
        assert_eq!(steps(&mut merge), [(0, -1), (1, 1)]);
    }

    #[test]
    fn at_the_end_the_clock_tells_it_once() {
        let mut merge = Merge::new(1, IDLE_AFTER);
        let silent_for = |merge: &mut Merge, elapsed| {
            merge.pass(elapsed);
            merge.silent()
        };
        assert_eq!(silent_for(&mut merge, IDLE_AFTER * 2), [], "the end has not been reached: silence means nothing");
        merge.reach_end(0);
        assert_eq!(silent_for(&mut merge, IDLE_AFTER), []);
        assert_eq!(silent_for(&mut merge, Duration::from_millis(1)), [Step::Idle(0)]);
        assert_eq!(silent_for(&mut merge, IDLE_AFTER), [], "it is idle already");
    }

    #[test]
    fn whoever_speaks_was_not_silent_however_long_the_turn_was() {
        let mut merge = Merge::new(1, IDLE_AFTER);
        merge.reach_end(0);
        merge.pass(IDLE_AFTER * 2);
        merge.take_in(vec![record(0, 0, 1_000)]);
        assert_eq!((steps(&mut merge), merge.silent()), (vec![(0, 0)], vec![]));
    }

    #[test]
    fn a_full_lane_is_held_back_until_it_has_room() {
        let mut merge = Merge::new(2, IDLE_AFTER);
        merge.take_in((0..LANE_RECORDS_MAX).map(|offset| record(1, offset as i64, 1_000)).collect());
        assert_eq!(merge.hold_back(), [(1, true)]);
        assert_eq!(merge.hold_back(), [], "it is told once");
        merge.reach_end(0);
        steps(&mut merge);
        assert_eq!(merge.hold_back(), [(1, false)]);
    }
}

//! How far a partition of an input has come, and from where it would have to be read again.
//!
//! A snapshot at a tick needs every record that has anything to say about that tick or a later one. Ticks of a partition's
//! records go up and down within the lateness, so what is kept is where each new highest tick began: the first record
//! at or beyond a tick is one of those. State: a mark for each tick since the last snapshot.

use std::collections::VecDeque;

use schemas::{EventTime, Topic};

use crate::Delivery;
use crate::snapshot::Resume;

/// How far a partition has come.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    now: Point,
    /// Before the delivery at hand.
    before: Point,
    /// Where each highest tick began.
    marks: VecDeque<(u64, Point)>,
    /// The offset up to which it was said that it was read.
    receipted: i64,
    /// While it is idle: where a run before this one had come when it spoke again.
    until: Option<EventTime>,
}

/// A place in a partition, and what was known there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Point {
    next_offset: i64,
    newest: Option<u64>,
    floor: u64,
    handed_on: EventTime,
    /// The log's time of the last delivery that brought a sample, or of the first.
    heard: EventTime,
    idle: bool,
}

impl Reach {
    /// The first tick that is still open to it: by its newest sample, less the lateness, and by how far the others had come
    /// when it was heard last after a rest or a restart.
    pub(crate) fn watermark(&self, lateness_ms: u64, tick_ms: u64) -> u64 {
        let newest = self.now.newest.map(|newest| EventTime::from_millis(newest.saturating_sub(lateness_ms)));
        newest.map_or(0, |newest| newest.tick(tick_ms).millis()).max(self.now.floor)
    }

    /// Closes every tick before `floor` to it.
    pub(crate) fn raise(&mut self, floor: u64) {
        self.now.floor = self.now.floor.max(floor);
    }

    /// Whether it was declared idle, and has brought no sample since.
    pub(crate) const fn idle(&self) -> bool {
        self.now.idle
    }

    /// While it is idle: the tick that it holds the frontier at, where a run before this one says so.
    pub(crate) const fn until(&self) -> Option<EventTime> {
        self.until
    }

    /// Whether the delivery at hand found it idle, or was the first.
    pub(crate) const fn was_at_rest(&self) -> bool {
        self.before.idle || self.before.newest.is_none()
    }

    /// Whether what it has brought for so long was nothing but dead letters: whoever writes them must not hold the others up.
    pub(crate) fn is_mute(&self, for_ms: u64) -> bool {
        !self.now.idle && self.now.heard.plus(for_ms) < self.now.handed_on
    }

    /// What was not read by a run before this one comes after all that was: nothing is left to wait for.
    pub(crate) const fn wait_no_longer(&mut self) {
        self.until = None;
    }

    /// Declares it idle.
    pub(crate) const fn rest(&mut self, until: Option<EventTime>) {
        self.now.idle = true;
        self.until = until;
    }

    /// Begins with a delivery.
    pub(crate) fn begin(&mut self, delivery: &Delivery) {
        self.before = self.now;
        self.now.next_offset = delivery.offset + 1;
        self.now.handed_on = self.now.handed_on.max(delivery.time);
        if self.now.heard == EventTime::default() {
            self.now.heard = self.now.handed_on;
        }
    }

    /// Takes in a sample's time; true when none was newer.
    pub(crate) fn sample(&mut self, time_ms: u64) -> bool {
        self.now.idle = false;
        self.until = None;
        self.now.heard = self.now.handed_on;
        let newer = self.now.newest.is_none_or(|newest| time_ms > newest);
        if newer {
            self.now.newest = Some(time_ms);
        }
        newer
    }

    /// Notes that the delivery at hand has something to say about a tick.
    pub(crate) fn mark(&mut self, tick: u64) {
        if self.marks.back().is_none_or(|(highest, _)| tick > *highest) {
            self.marks.push_back((tick, Point { next_offset: self.now.next_offset - 1, ..self.before }));
        }
    }

    /// The offset up to which it was read; none when that was said before.
    pub(crate) fn receipt(&mut self) -> Option<i64> {
        let next_offset = self.now.next_offset;
        (std::mem::replace(&mut self.receipted, next_offset) < next_offset).then(|| next_offset - 1)
    }

    /// Forgets what lies before a tick.
    pub(crate) fn forget(&mut self, before: u64) {
        while self.marks.front().is_some_and(|(tick, _)| *tick < before) {
            self.marks.pop_front();
        }
    }

    /// Where to read from when everything before `at` is known; what lies before is forgotten.
    pub(crate) fn resume(&mut self, at: u64, topic: Topic, partition: i32) -> Resume {
        self.forget(at);
        let Point { next_offset, newest, floor, handed_on, heard, idle } =
            self.marks.front().map_or(self.now, |(_, point)| *point);
        Resume { noun: topic.noun().to_owned(), partition, offset: next_offset, newest, floor, handed_on, heard, idle }
    }
}

impl From<Resume> for Reach {
    fn from(Resume { offset, newest, floor, handed_on, heard, idle, .. }: Resume) -> Self {
        let now = Point { next_offset: offset, newest, floor, handed_on, heard, idle };
        Self { now, before: now, receipted: offset, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rest;

    fn delivery(offset: i64) -> Delivery {
        Delivery {
            topic: Topic::Samples,
            partition: 0,
            offset,
            time: EventTime::from_millis(offset.unsigned_abs() * 1000),
            key: String::new(),
            content_type: None,
            value: None,
            counts_from: None,
            settled: false,
            rest: Rest::Free,
        }
    }

    #[test]
    fn reading_begins_again_at_the_first_record_with_anything_to_say() {
        let mut reach = Reach::default();
        // Offset 2 falls behind offset 1; offset 4 says nothing.
        for (offset, ticks) in
            [(0, vec![1_000]), (1, vec![1_000, 3_000]), (2, vec![2_000]), (3, vec![4_000]), (4, vec![])]
        {
            reach.begin(&delivery(offset));
            for tick in ticks {
                reach.sample(tick);
                reach.mark(tick);
            }
        }
        let resume = reach.resume(2_000, Topic::Samples, 0);
        assert_eq!((resume.offset, resume.newest), (1, Some(1_000)), "offset 1 holds the first tick from 2000 on");
        let resume = reach.resume(4_000, Topic::Samples, 0);
        assert_eq!((resume.offset, resume.newest), (3, Some(3_000)));
        let resume = reach.resume(5_000, Topic::Samples, 0);
        assert_eq!((resume.offset, resume.newest), (5, Some(4_000)), "nothing of it is needed");
    }

    #[test]
    fn an_idle_partition_is_idle_again_after_a_restart() {
        let mut reach = Reach::default();
        reach.begin(&delivery(0));
        reach.sample(1_000);
        reach.mark(1_000);
        reach.rest(None);
        reach.begin(&delivery(1));
        assert!(reach.was_at_rest());
        reach.sample(9_000);
        reach.mark(9_000);
        let resume = reach.resume(5_000, Topic::Samples, 0);
        assert_eq!((resume.offset, resume.idle), (1, true));
        assert!(Reach::from(resume).idle());
    }
}

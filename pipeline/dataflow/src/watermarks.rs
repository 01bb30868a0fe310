//! How far each partition of the samples has come.
//!
//! A partition's watermark is its largest event time less the allowed lateness: a function of its offsets alone. The
//! frontier is the least watermark over the partitions that are not idle; when all are, everything that has come is
//! closed. Workers of one process share the table; each writes its own partitions, after the delivery has been handed
//! on.

use std::sync::atomic::{AtomicU64, Ordering};

/// A partition from which nothing has come.
const SILENT: u64 = 0;

/// A partition that has been declared idle.
const IDLE: u64 = u64::MAX;

/// The watermarks of all partitions, as ticks.
#[derive(Debug)]
pub(crate) struct Watermarks {
    ticks: Vec<AtomicU64>,
    /// The first tick of which no sample has come.
    end: AtomicU64,
}

impl Watermarks {
    /// All partitions silent; of every tick before `end` samples have come.
    pub(crate) fn new(partitions: usize, end: u64) -> Self {
        Self { ticks: (0..partitions).map(|_| AtomicU64::new(SILENT)).collect(), end: AtomicU64::new(end) }
    }

    /// Publishes a partition's watermark, or that it is idle and holds nothing back.
    pub(crate) fn set(&self, partition: usize, tick: Option<u64>) {
        self.ticks[partition].store(tick.unwrap_or(IDLE), Ordering::Release);
    }

    /// Notes that samples have come of every tick before `end`.
    pub(crate) fn reach(&self, end: u64) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// Lets an idle partition hold the frontier again, where it is: something of it is on its way.
    pub(crate) fn wake(&self, partition: usize) {
        if self.ticks[partition].load(Ordering::Acquire) == IDLE {
            self.ticks[partition].store(self.frontier().unwrap_or(SILENT), Ordering::Release);
        }
    }

    /// The first tick that is open; none before the first sample and while a partition is silent.
    pub(crate) fn frontier(&self) -> Option<u64> {
        let least = self.ticks.iter().map(|tick| tick.load(Ordering::Acquire)).min()?;
        let frontier = if least == IDLE { self.end.load(Ordering::Acquire) } else { least };
        (frontier != SILENT).then_some(frontier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_partition_holds_the_frontier_until_it_is_idle() {
        let watermarks = Watermarks::new(2, 0);
        watermarks.set(0, Some(5_000));
        assert_eq!(watermarks.frontier(), None, "partition 1 has said nothing");
        watermarks.set(1, Some(3_000));
        assert_eq!(watermarks.frontier(), Some(3_000));
        watermarks.set(1, None);
        assert_eq!(watermarks.frontier(), Some(5_000));
    }

    #[test]
    fn what_has_come_is_closed_once_all_are_idle() {
        let watermarks = Watermarks::new(2, 0);
        watermarks.set(0, None);
        watermarks.set(1, None);
        assert_eq!(watermarks.frontier(), None, "nothing has come");
        watermarks.reach(7_000);
        watermarks.reach(6_000);
        assert_eq!(watermarks.frontier(), Some(7_000));
    }

    #[test]
    fn a_waking_partition_holds_the_frontier_where_it_is() {
        let watermarks = Watermarks::new(2, 0);
        watermarks.set(0, Some(5_000));
        watermarks.set(1, None);
        watermarks.wake(1);
        watermarks.set(0, Some(9_000));
        assert_eq!(watermarks.frontier(), Some(5_000));
        watermarks.wake(0);
        assert_eq!(watermarks.frontier(), Some(5_000), "what is awake is left alone");
    }
}

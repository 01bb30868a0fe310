//! How far each partition of the samples has come.
//!
//! A partition's watermark is its largest event time less the allowed lateness: a function of its offsets alone. The
//! frontier is the least watermark over the partitions that are not idle. Workers of one process share the table; each
//! writes its own partitions, after the delivery has been handed on.

use std::sync::atomic::{AtomicU64, Ordering};

/// A partition from which nothing has come.
const SILENT: u64 = 0;

/// A partition that has been declared idle.
const IDLE: u64 = u64::MAX;

/// The watermarks of all partitions, as ticks.
#[derive(Debug)]
pub(crate) struct Watermarks {
    ticks: Vec<AtomicU64>,
}

impl Watermarks {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { ticks: (0..partitions).map(|_| AtomicU64::new(SILENT)).collect() }
    }

    /// Publishes a partition's watermark, or that it is idle.
    pub(crate) fn set(&self, partition: usize, tick: Option<u64>) {
        self.ticks[partition].store(tick.unwrap_or(IDLE), Ordering::Release);
    }

    /// The first tick that is open; none while a partition is silent, or all are idle.
    pub(crate) fn frontier(&self) -> Option<u64> {
        let least = self.ticks.iter().map(|tick| tick.load(Ordering::Acquire)).min()?;
        (least != SILENT && least != IDLE).then_some(least)
    }
}

//! What the profiler itself costs.

/// What a profiler has cost and done since it was made.
///
/// The goal is 1 % of one core for 100 instances ten times a second: 10 µs for an instance's reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// CPU used by sampling and discovery, in seconds; the kernel's work on their behalf is in it.
    pub cpu_seconds: f64,
    /// Time since the profiler was made, in seconds.
    pub wall_seconds: f64,
    /// Samples given.
    pub samples: u64,
    /// Instances that ended while they were sampled.
    pub vanished: u64,
    /// Counters that fell: each gave no rate for one interval.
    pub resets: u64,
    /// Instances found by the last discovery that were too many, and are not sampled.
    pub left_out: usize,
}

impl Cost {
    /// The share of one core that the profiler has used: 0.01 is one percent.
    #[must_use]
    pub fn core_share(&self) -> f64 {
        if self.wall_seconds > 0.0 { self.cpu_seconds / self.wall_seconds } else { 0.0 }
    }
}

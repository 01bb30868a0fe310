//! Online anomaly detectors over one workload's signals: pure, deterministic, incremental, each with bounded state.
//!
//! | detector | signal | finds | score | state | cost of one observation |
//! |---|---|---|---|---|---|
//! | [`Spike`] | any, per tick | a value far from the recent median | robust standard deviations | 4.8 kB at 300 ticks | 0.3 µs |
//! | [`Divergence`] | primary and shadow load, per tick | a ratio that left its usual place | standard deviations of the log ratio | 40 B | 0.04 µs |
//! | [`Leak`] | memory, per tick | a floor that rises steadily towards the limit | urgency | 1 kB | 0.02 µs, and 25 µs once a minute |
//! | [`StuckAt`] | demand and latency, per tick | a value that has stopped to change | changes that should have come | 0.1 kB | 0.006 µs |
//! | [`Saturation`] | CPU and memory, per tick | usage that stays at its limit | ticks at it | 40 B | 0.008 µs |
//! | [`LevelShift`] | demand and latency, per tick | a step to another level that lasts | deviations | 0.1 kB | 0.02 µs |
//! | [`Residual`] | forecasts, per step | a peak far outside of its forecast | mean excesses beyond the quantile | 0.3 kB | 0.02 µs |
//! | [`JointNovelty`] | any number, per minute or slower | a state that was never seen | evidence | 2 kB a signal at most, 16 kB | 0.1 µs a signal and 0.3 µs |
//! | [`Oscillation`] | allocation, per tick | too many reversals of direction | reversals | 0.3 kB | 0.03 µs |
//! | [`SeasonalCheck`] | a long history, per step | a value unlike its time of the period | robust standard deviations | 8 B a point | a check: 2, 8, 18 ms for 672, 1344, 2880 points |
//!
//! Costs were measured on one core of a busy machine, in the release profile; `tests/cost.rs` measures them anew. A tick of
//! all but the seasonal check and the residual took 0.60 µs of CPU time. No detector looks at single samples: what a sample
//! costs here is its share of that tick.
//!
//! Common law: a value that was not observed (`None`), or is not finite, changes no state and is never read as zero;
//! one incident gives one [`Finding`] (two where it may grow from a warning to a critical one), until the signal has
//! been calm again. Every detector is plain data under serde, so that a snapshot restores it in mid-course.
//!
//! [`WorkloadDetectors`] is the set that one workload carries.

mod alarm_budget;
mod bank;
mod baseline;
mod detector;
mod divergence;
mod episode;
mod esd;
mod joint;
mod leak;
mod level_shift;
mod median;
mod minutes;
#[cfg(test)]
mod noise;
mod novelty;
mod oscillation;
mod ranked_window;
mod refractory;
mod residual;
mod saturation;
mod seasonal;
mod spike;
mod stuck_at;
mod tail;

pub use bank::{DetectorSettings, Readings, Signal, WorkloadDetectors};
pub use detector::{CRITICAL_RATIO, Detector, Finding, Kind, Severity};
pub use divergence::Divergence;
pub use joint::{JointNovelty, Judgement, NoveltySettings};
pub use leak::{Leak, LeakSettings};
pub use level_shift::{LevelShift, LevelShiftSettings};
pub use oscillation::{Oscillation, OscillationSettings};
pub use residual::{Promise, Residual, ResidualSettings};
pub use saturation::{Saturation, SaturationSettings};
pub use seasonal::{SeasonalCheck, SeasonalSettings};
pub use spike::{Spike, SpikeSettings};
pub use stuck_at::{StuckAt, StuckAtSettings};
pub use tail::TailThreshold;

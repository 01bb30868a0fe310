//! Rolling windows over time series: 1 s, 10 s, 60 s and 15 min of one metric, as numbers a model can read.
//!
//! A *series* is one metric of one role of one workload. Its values arrive one *tick* at a time, sorted; a tick, or a
//! minute of ticks, is a *pane*; a window is the last `W` panes, aligned to the epoch. A [`Bank`] folds the ticks of many
//! series and answers with [`Features`] per window; [`recompute`] gives the same features from a recorded series.
//!
//! ```text
//! values of a tick ┬► moments: panes by blocks of 10 s, minutes, quarters ─► 1 s, 10 s, 60 s, 15 min ┐
//!                  ├► counts:  buckets in every window                    ─► quantiles               ┼► Features
//!                  └► EWMA per window                                                                ┘
//! ```
//!
//! # What is computed
//!
//! | feature | how | error |
//! |---|---|---|
//! | count | merged panes | none |
//! | min, max | merged panes | rounded to 24 bits |
//! | mean, variance, slope | centred moments, merged | 10⁻⁶ of the magnitude, no drift |
//! | p50, p95, p99 | integer counts in log-linear buckets | 1/128 of the value; none in rank |
//! | rate of change | mean of the newest pane with values less that of the oldest, by time | 10⁻⁶ of the magnitude |
//! | EWMA | weights halve with every window length of event time | rounding |
//!
//! A window without values is `None`, never zero. A slope needs two distinct times, a rate of change two panes.
//!
//! # What a window covers
//!
//! Read at the tick `[t, t + tick)`, the windows of 1 s, 10 s and 60 s end at `t + tick` and have exactly their length
//! (one tick, where the tick is longer). The window of 15 min is made of 15 minutes, the newest perhaps still filling: it
//! covers between 14 min, just after a minute has begun, and 15 min, when one is full.
//!
//! # Determinism
//!
//! Invariant: every feature but the EWMA is a function of the values inside the window and of absolute time, to the
//! bit. It does not matter when the stream began, whether empty ticks were folded, or which machine computed it. A
//! replay that starts with the oldest pane of the longest window therefore restores the windows exactly; for the EWMA,
//! keep the state itself ([`Bank::save`]).
//!
//! # Cost
//!
//! Amortised O(values) per tick and O(buckets) per answer, for any window. A series holds about 6 KiB at ticks of 1 s
//! ([`Bank::memory_bytes`]), and nothing grows with time; `foreshadow bench` measures both on the machine at hand.

mod bank;
mod bucket;
mod counts;
mod ewma;
mod features;
mod grid;
mod moments;
mod oracle;
mod pane;
mod runs;
mod slab;
mod strips;
mod summary;
mod table;
mod words;

pub use bank::{Bank, RestoreError};
pub use bucket::RELATIVE_ERROR;
pub use features::Features;
pub use grid::{TickError, WINDOWS_MS};
pub use oracle::{disagreement, recompute};
pub use summary::MAX_MAGNITUDE;

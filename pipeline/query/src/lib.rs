//! SQL over the nouns: every topic is a table, read live from the log, from history in Parquet, or from both.
//!
//! A [`Session`] is opened over a [`Catalog`] and answers statements that only read. The crate knows no Kafka: whoever
//! opens the session gives it a [`Source`]. [`History`] writes the Parquet that a catalogue reads.
//!
//! | table | a row is |
//! |---|---|
//! | `samples`, `features`, `forecasts`, `anomalies`, `decisions`, `outcomes`, `rejects` | a record, or a row of one |
//! | `workloads`, `pools`, `models`, `progress` | the newest record of a key |
//! | `latest_decisions` | the newest decision of a workload |
//! | `shadow_vs_primary` | a metric of a primary beside its shadow's, at one tick |
//! | `forecast_error` | a forecast beside the peak that came |
//! | `cost_by_workload` | what a workload costs as decided, its shadow included |
//!
//! Which rows a table holds:
//!
//! - Live alone: what the source reads. History alone: every row of the Parquet files; of the compacted topics
//!   that is every version, for history does not compact.
//! - Both: the topics that keep their records give history and the live rows from the end of the newest whole
//!   slot on. Invariant: no row stands on both sides, since a whole slot holds all rows before its end. A slot that is
//!   unfinished is read live. Compacted topics are read live only.
//! - Two scans in one statement read the log twice, and the second may see more. Rows have no order but that of
//!   `ORDER BY`.
//!
//! Times are milliseconds in UTC; comparisons of `time` with a constant reach the source and the files.
//!
//! Invariant: DataFusion is named in this crate only.

mod decode;
mod error;
mod files;
mod folder;
mod history;
pub mod print;
mod session;
mod source;
mod table;
mod time_filter;
mod views;

#[cfg(test)]
mod fixtures;

pub use decode::{Value, batch_of, schema_of};
pub use error::Error;
pub use history::{History, HistoryCounts, HistorySettings};
pub use session::{Catalog, PARTITIONS, Session};
pub use source::{Bounds, Source, SourceError};

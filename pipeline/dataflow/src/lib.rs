//! The dataflow: deliveries of the log in, records for the log out, the same ones for any arrival order.
//!
//! [`Engine`] is the way in: it starts timely workers, takes [`Delivery`]s and gives [`Commit`]s. `graph::build` is
//! the order of the stages; each stage is one file.
//!
//! **The determinism law.** The outputs up to frontier t are a function of the inputs up to t and the settings: not of
//! arrival order, batching or the number of workers. Three rules keep it. A tick is folded once, when the frontier has
//! passed it, in a canonical order. Lateness is judged by a partition's own watermark, which its offsets alone
//! determine. Whatever leaves a tick is sorted before it is handed out.

mod alert;
mod cell;
mod control;
mod decide;
mod delivery;
mod detect;
mod egress;
mod engine;
mod features;
mod forecast;
pub mod graph;
mod ingest;
mod keys;
mod measure;
mod models;
mod pace;
mod pair;
mod reach;
mod records;
mod settings;
mod slots;
pub mod snapshot;
mod stash;
mod watermarks;

pub use cell::Cell;
pub use delivery::{Commit, Delivery, OutputRecord, Receipt, Rest};
pub use engine::{Commits, Engine, EngineError, Start, serve};
pub use measure::{Block, Depth, Feed, Tally, Watch, measure, measure_watched};
pub use settings::EngineSettings;

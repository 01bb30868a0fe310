//! Stub.
mod ewma;
mod features;
mod grid;
mod oracle;
mod packed;
mod series;
mod sketch;
mod summary;
mod tier;
mod window;

pub use features::Features;
pub use grid::{TickError, WINDOWS_MS};
pub use oracle::{disagreement, recompute};
pub use series::SeriesWindows;
pub use sketch::Sketch;
pub use summary::{MAX_MAGNITUDE, Summary};

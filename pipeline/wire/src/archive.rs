//! The way to history: what went in and what came out is handed on to whoever keeps it.

use std::sync::Arc;
use std::thread::JoinHandle;

use dataflow::OutputRecord;
use schemas::{EventTime, Topic};
use topics::Record;

/// Takes what is to be kept; a fault of its own costs history and nothing else.
pub trait Archive: Send + Sync {
    /// Keeps an input.
    fn keep_input(&self, record: &Record);

    /// Keeps an output.
    fn keep_output(&self, topic: Topic, record: &OutputRecord);

    /// Tells that nothing of before the frontier comes any more.
    fn close(&self, frontier: EventTime);
}

/// An archive, and what a restart has to know of it.
pub struct Archived {
    /// Ends when the last holder lets it go.
    pub archive: Arc<dyn Archive>,
    /// Length of a slot, in milliseconds: a restart begins where a slot does, to write it again.
    pub slot_ms: u64,
    /// Up to where it is written.
    pub written: EventTime,
    /// What writes; it ends with the archive.
    pub thread: JoinHandle<()>,
}
